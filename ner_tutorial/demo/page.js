// A box for text and what the model finds in it. fill(place) turns an element of the page into one:
//   <div class="try-it" data-kind="entities" data-text="…">what stands here without a script</div>
// data-kind is "entities" (needs the model) or "pieces" (needs only the tokenizer).

const BUTTONS = { entities: "Find names", pieces: "Cut into pieces" };
const COLOURS = { PER: "#f6c68b", ORG: "#9fd3f0", LOC: "#9fdcc0", MISC: "#e6b3d0" };
const OTHERS = ["#f3e08c", "#c9c6f2", "#d8d8d8", "#f2b8a8"];
const colourOf = (type) => COLOURS[type] ?? OTHERS[[...type].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % OTHERS.length];
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

// One worker for all boxes of a page, made when the first question is asked.
let worker, number = 0;
const waiting = new Map();

function ask(kind, input, tell) {
  if (!worker) {
    worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => {
      if (data.id === undefined) { for (const { tell } of waiting.values()) tell(data); return; }
      const { resolve, reject } = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error) reject(new Error(data.error)); else resolve(data);
    };
    worker.onerror = (event) => {
      for (const { reject } of waiting.values()) reject(new Error(event.message || "the browser could not start the worker"));
      waiting.clear();
      worker = undefined;
    };
  }
  return new Promise((resolve, reject) => {
    waiting.set((number += 1), { resolve, reject, tell });
    worker.postMessage({ id: number, kind, input });
  });
}

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

// Typed text goes into text nodes only: HTML in it stays text.
function showEntities(text, { entities, cut, milliseconds }) {
  const shown = [];
  let at = 0;
  for (const { type, start, end, score } of entities) {
    const words = text.slice(start, end).split(/(\s+)/), last = words.pop();
    const percent = Math.floor(100 * score); // 0.997 is not 100 %
    const mark = element("mark", {}, ...words,
      element("span", { className: "together" }, last, " ", element("b", {}, `${type} ${percent}%`)));
    mark.style.background = colourOf(type);
    shown.push(text.slice(at, start), mark);
    at = end;
  }
  shown.push(text.slice(at, cut ?? undefined));
  const count = entities.length === 1 ? "1 name" : `${entities.length || "No"} names`;
  const rest = cut === null ? "" : ` The text is too long for this page: what comes after the first ${cut} characters was not read.`;
  return [shown, `${count} found in ${Math.max(1, Math.round(milliseconds))} ms.${rest}`];
}

function showPieces(text, { words }) {
  const shown = words.map(({ word, pieces }) => {
    const row = pieces.length ? pieces : ["(nothing)"];
    return element("span", { className: "word", title: `the word ${word}` }, ...row.map((piece) => element("code", {}, piece)));
  });
  const count = words.reduce((sum, { pieces }) => sum + pieces.length, 0);
  return [shown, `${words.length} ${words.length === 1 ? "word" : "words"}, ${count} ${count === 1 ? "piece" : "pieces"}.`];
}

const SHOW = { entities: showEntities, pieces: showPieces };

function progress({ done, total, window, windows }) {
  if (total !== undefined) return [done / total, `Loading: ${megabytes(done)} of ${megabytes(total)} MB`];
  return [window / windows, windows > 1 ? `Reading part ${window} of ${windows}` : "Reading"];
}

export function fill(place) {
  const kind = place.dataset.kind in SHOW ? place.dataset.kind : "entities";
  const box = element("textarea", { rows: kind === "entities" ? 4 : 2, value: place.dataset.text ?? "", spellcheck: false });
  const button = element("button", { type: "button" }, BUTTONS[kind]);
  const bar = element("progress", { max: 1, hidden: true, ariaLabel: "Progress" });
  const status = element("span", { className: "status" }), result = element("p", { className: "result" });
  status.setAttribute("role", "status");
  result.setAttribute("aria-live", "polite");
  place.replaceChildren(element("label", {}, "Your text", box), element("p", {}, button, " ", bar, " ", status), result);

  button.onclick = async () => {
    const input = box.value;
    if (!input.trim()) { result.replaceChildren(); status.textContent = "Type something first."; return; }
    button.disabled = true;
    const started = performance.now();
    try {
      const answer = await ask(kind, input, (news) => {
        const [share, words] = progress(news);
        Object.assign(bar, { hidden: false, value: share });
        status.textContent = words;
      });
      const [shown, words] = SHOW[kind](input, answer);
      result.replaceChildren(...shown);
      status.textContent = words;
      place.answer = { ...answer, waited: performance.now() - started }; // for tests
    } catch (error) {
      result.replaceChildren();
      status.textContent = `That did not work: ${error.message}.`;
      place.answer = { error: error.message };
    } finally {
      bar.hidden = true;
      button.disabled = false;
    }
  };
}

const styles = element("link", { rel: "stylesheet", href: new URL("./try_it.css", import.meta.url).href });
document.head.append(styles);
document.querySelectorAll(".try-it").forEach(fill);
