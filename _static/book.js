// What this book adds to the theme's scripts. Runs on every page.

// Search: what a chapter is about is in the name of its file, and a chapter comes before an appendix of the same score.
// searchtools.js takes this object instead of its own; the numbers are the ones it has.
var Scorer = {
  score([page, , , , score]) {
    const asked = (new URLSearchParams(location.search).get("q") ?? "").toLowerCase().split(/\W+/);
    const name = page.split("/").pop().split("_");
    return score + (asked.some((word) => name.includes(word)) ? 100 : 0) + (/^\d/.test(name[0]) ? 1 : 0);
  },
  objNameMatch: 11, objPartialMatch: 6, objPrio: { 0: 15, 1: 5, 2: -5 }, objPrioDefault: 0,
  title: 15, partialTitle: 7, term: 5, partialTerm: 2,
};

// The boxes in which readers try things (ner_tutorial/demo). Their script is loaded only on pages that have one.
const root = new URL(document.documentElement.dataset.content_root, location.href);

document.addEventListener("DOMContentLoaded", () => {
  const boxes = document.querySelectorAll(".try-it");
  if (boxes.length && location.protocol === "file:") {
    boxes.forEach((box) => { box.textContent = "This box works on a served page, not on an opened file: run make serve."; });
  } else if (boxes.length) import(new URL("_static/try_it/page.js", root));

  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);
  // A label would hide the text that is shown, such as "Search Ctrl+K", from someone who speaks to the computer.
  each(".search-button-field, summary", (button) => button.removeAttribute("aria-label"));
  each("progress:not([aria-label])", (bar) => bar.setAttribute("aria-label", "Progress"));
  // Columns of numbers are aligned at the right, with their heading. Counted from the right, where no cell spans rows.
  each("table", (table) => {
    const rows = [...(table.tBodies[0]?.rows ?? [])], heads = [...(table.tHead?.rows[0]?.cells ?? [])].reverse();
    heads.forEach((head, i) => {
      const cells = rows.map((row) => row.cells[row.cells.length - 1 - i]).filter((cell) => cell?.textContent.trim());
      const numbers = cells.filter((cell) => cell.matches("td") && /^[-+−]?(\d[\d,]*)?\.?\d+( ?%)?$/.test(cell.textContent.trim()));
      if (2 * numbers.length > cells.length) [head, ...numbers].forEach((cell) => cell.classList.add("number"));
    });
  });
  // On a phone a table of words that is too wide is read row by row; each cell then names its column (book.css).
  const narrow = matchMedia("(max-width: 480px)");
  const stack = () => each(".pst-scrollable-table-container > table:not(.dataframe)", (table) => {
    table.classList.remove("stacked");
    if (!narrow.matches || !table.tHead || table.querySelector(".number") || table.offsetWidth <= table.parentElement.clientWidth) return;
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    for (const row of table.tBodies[0].rows) [...row.cells].forEach((cell, i) => { cell.dataset.column = names[i] ?? ""; });
    table.classList.add("stacked");
  });
  stack();
  narrow.addEventListener("change", stack);
  // What scrolls can be reached and scrolled with the keyboard.
  each("pre, .pst-scrollable-table-container", (box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  });
});
