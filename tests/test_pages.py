"""Every page of the built website in a real browser. Skipped where the book is not built or no Chromium is found."""

import itertools
import re
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml
from browser import HTML, ROOT, served

pytestmark = pytest.mark.slow

AXE = ROOT / "ner_tutorial" / "demo" / "node_modules" / "axe-core" / "axe.min.js"
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

# What axe finds, and how many rules had nothing to find. Its whole report is some megabytes for each page.
RUN_AXE = """async (standard) => {
  const result = await window.axe.run(document, { runOnly: standard, resultTypes: ['violations'] });
  return {
    passes: result.passes.length,
    found: result.violations.map((rule) => [rule.id, rule.nodes.map((node) => node.html.slice(0, 200))]),
  };
}"""
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
OPEN_ANSWERS = "document.querySelectorAll('details').forEach((answer) => { answer.open = true; })"

BOXES = "[...document.querySelectorAll('.pst-scrollable-table-container')]"
WIDE = "(e) => e.scrollWidth > e.clientWidth"

# Code blocks in which the longest line that a notebook may have (tests/test_book.py) would wrap; hidden ones are narrower.
LONGEST_LINE = """[...document.querySelectorAll('.cell_input pre')].filter((block) => {
  const line = document.createElement('span');
  line.style.display = 'block';
  line.textContent = 'x'.repeat(block.closest('details') ? 88 : 92);
  block.append(line);
  const lines = line.getClientRects()[0].height / parseFloat(getComputedStyle(block).lineHeight);
  line.remove();
  return lines > 1.5;
}).map((block) => block.textContent.slice(0, 60))"""


def book_order() -> list[str]:
    """The names of all pages, in the order of the table of contents."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [contents["root"], *(page["file"] for part in contents["parts"] for page in part["chapters"])]


PAGES = book_order()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the built site, which lies in a subfolder of its server, as on a project's public pages."""
    if not (HTML / "book" / "intro.html").is_file():
        pytest.skip("the website is not built; `make book` builds it")
    top = tmp_path_factory.mktemp("server")
    (top / "project").symlink_to(HTML)
    with served(top) as address:
        yield address + "project/"


@pytest.fixture(scope="module")
def open_page(chromium, site):
    """``open_page(name, width=1280, **context)``: a page in a context of its own. ``page.complaints`` lists what went wrong."""

    def open_page(name: str, width: int = 1280, **options):
        page = chromium.new_context(viewport={"width": width, "height": 900}, **options).new_page()
        page.complaints = []
        page.on("console", lambda said: said.type == "error" and page.complaints.append(said.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("response", lambda answer: answer.ok or page.complaints.append(f"{answer.status}: {answer.url}"))
        inside = (site, "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(inside) or page.complaints.append(request.url))
        page.goto(f"{site}{name}")
        return page

    return open_page


@pytest.fixture
def visit(open_page):
    """``open_page`` for pages that are closed after the test."""
    pages = []

    def visit(*arguments, **options):
        pages.append(open_page(*arguments, **options))
        return pages[-1]

    yield visit
    for page in pages:
        page.context.close()


@pytest.fixture(scope="module", params=PAGES)
def opened(request, open_page):
    """Each page of the book, opened once for the tests that look at all of them."""
    page = open_page(f"{request.param}.html")
    yield page
    page.context.close()


@pytest.fixture
def page(opened):
    """A page of the book in a window as wide as a laptop's, in light colours, with every answer closed."""
    opened.set_viewport_size({"width": 1280, "height": 900})
    opened.emulate_media(media="screen", color_scheme="light")
    opened.evaluate(OPEN_ANSWERS.replace("true", "false"))
    return opened


def test_a_page_opens_without_errors_and_asks_nobody_else(page):
    page.wait_for_load_state("networkidle")
    assert page.complaints == []


@pytest.mark.parametrize("name", ["search", "genindex"])
def test_a_page_that_sphinx_adds_opens_without_errors_and_asks_nobody_else(name, visit):
    page = visit(f"{name}.html")
    page.wait_for_load_state("networkidle")
    assert page.complaints == []


def test_no_page_scrolls_sideways_and_nothing_is_cut(page):
    page.evaluate(OPEN_ANSWERS)
    for width in (320, 360, 768):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width < 480:  # only numbers and what cells print are read sideways on a phone
            assert page.evaluate(f"{BOXES}.filter((e) => !e.querySelector('.number, .dataframe')).filter({WIDE})") == []
    # At the width of a laptop no code scrolls, and columns of tables are wider than a letter.
    page.set_viewport_size({"width": 1280, "height": 900})
    assert (
        page.evaluate("[...document.querySelectorAll('pre')].filter((e) => e.scrollWidth > e.clientWidth + 1).length")
        == 0
    )
    assert page.evaluate(LONGEST_LINE) == []
    assert page.evaluate(f"{BOXES}.filter({WIDE}).map((e) => e.innerText.slice(0, 80))") == []
    widths = page.evaluate("[...document.querySelectorAll('article td')].map((cell) => cell.offsetWidth)")
    assert min(widths, default=99) > 20


def test_axe_finds_nothing_in_light_and_dark(page):
    if not AXE.is_file():
        pytest.skip("axe-core is missing: npm ci --prefix ner_tutorial/demo")
    page.evaluate(OPEN_ANSWERS)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        page.wait_for_timeout(300)  # colours change slowly
        result = page.evaluate(RUN_AXE, STANDARD)
        assert result["passes"] > 10
        assert result["found"] == [], scheme


@pytest.mark.parametrize("name", [PAGES[1], "book/05_trainer", "book/try_it"])
def test_firefox_shows_the_page_as_chromium_does(name, site, firefox):
    firefox.send("WebDriver:SetWindowRect", width=1280, height=900)
    firefox.goto(f"{site}{name}.html")
    firefox.evaluate(f"() => {{ {OPEN_ANSWERS}; return new Promise((done) => setTimeout(done, 500)); }}")
    seen = firefox.evaluate(
        """() => ({
          wide: document.documentElement.scrollWidth - innerWidth,
          scrolling: [...document.querySelectorAll('pre')].filter((e) => e.scrollWidth > e.clientWidth + 1).length,
          broken: [...document.querySelectorAll('article img')].filter((e) => !e.naturalWidth).map((e) => e.src),
          icons: [...document.fonts].filter((font) => font.status === 'loaded').length > 0,
          asked: performance.getEntriesByType('resource').map((entry) => entry.name),
        })"""
    )
    assert [address for address in seen.pop("asked") if not address.startswith((site, "data:"))] == []
    assert seen.pop("wide") <= 0
    assert seen == {"scrolling": 0, "broken": [], "icons": True}
    if AXE.is_file():
        firefox.evaluate(f"() => {{ {AXE.read_text(encoding='utf-8')} }}")
        result = firefox.evaluate(RUN_AXE, STANDARD)
        assert result["found"] == []
        assert result["passes"] > 10


@pytest.fixture(scope="module")
def targets(chromium, site) -> dict[str, dict]:
    """Of each page: where its links lead, what it shows, and the anchors that it has."""
    page = chromium.new_page()
    collected = {}
    for name in PAGES:
        page.goto(f"{site}{name}.html")
        collected[f"{site}{name}.html"] = page.evaluate(
            """() => ({
              links: [...document.querySelectorAll('a[href], link[href]')].map((e) => e.href),
              sources: [...document.querySelectorAll('[src]')].map((e) => e.src),
              broken: [...document.querySelectorAll('article img')].filter((e) => !e.naturalWidth).map((e) => e.src),
              silent: [...document.querySelectorAll('article img:not([alt])')].map((e) => e.src),
              anchors: [...document.querySelectorAll('[id]')].map((e) => e.id),
              next: document.querySelector('a.right-next')?.href, previous: document.querySelector('a.left-prev')?.href,
            })"""
        )
    page.close()
    return collected


def test_every_link_anchor_image_and_download_resolves(site, targets):
    assert [broken for page in targets.values() for broken in page["broken"] + page["silent"]] == []
    dead = []
    for address, page in targets.items():
        for target in page["links"] + page["sources"]:
            file, anchor = urldefrag(target)
            if not file.startswith(site):
                continue
            path = HTML / unquote(urlsplit(file[len(site) :]).path)
            known = targets.get(file.split("?")[0])
            if not path.exists() or (anchor and known and unquote(anchor) not in known["anchors"]):
                dead.append((address[len(site) :], target[len(site) :]))
    assert dead == []


def test_next_and_previous_walk_the_book_in_order(site, targets):
    addresses = [f"{site}{name}.html" for name in PAGES]
    for before, after in itertools.pairwise(addresses):
        assert targets[before]["next"] == after
        assert targets[after]["previous"] == before


def test_colab_buttons_point_at_notebooks_of_the_repository(site, targets):
    repository, branch = CONFIG["repository"]["url"], CONFIG["repository"]["branch"]
    start = f"https://colab.research.google.com/github{urlsplit(repository).path}/blob/{branch}/"
    for name in PAGES:
        found = {link for link in targets[f"{site}{name}.html"]["links"] if "colab.research" in urlsplit(link).netloc}
        notebook = f"{name}.ipynb"
        assert {start + notebook} & found == ({start + notebook} if (ROOT / notebook).is_file() else set())
        assert all((ROOT / link.removeprefix(start)).is_file() for link in found)


@pytest.mark.parametrize(("words", "first"), [("alignment", "book/02_"), ("metrics", "book/04_")])
def test_search_finds_the_chapter_that_teaches_it_first(words, first, visit):
    page = visit(f"search.html?q={words}")
    link = page.locator("ul.search li a").first
    link.wait_for()
    page.wait_for_function("document.querySelector('#search-results h2, .search-summary')?.textContent.length > 0")
    assert urlsplit(link.evaluate("(e) => e.href")).path.split("/project/")[1].startswith(first)


def test_the_first_address_leads_to_the_first_page(site, visit):
    assert CONFIG["sphinx"]["config"]["page_descriptions"][PAGES[0]] in (HTML / "index.html").read_text(
        encoding="utf-8"
    )
    page = visit("")
    page.wait_for_url(f"{site}{PAGES[0]}.html")
    assert page.complaints == []


def test_every_page_has_a_description_of_its_own_and_a_picture(site, visit):
    descriptions = set()
    page = visit(f"{PAGES[0]}.html", java_script_enabled=False)  # as the programs that read these tags do
    for name in PAGES:
        page.goto(f"{site}{name}.html", wait_until="domcontentloaded")
        tags = page.evaluate(
            """Object.fromEntries([...document.querySelectorAll('meta')].map(
                (e) => [e.getAttribute('property') ?? e.name, e.content]))"""
        )
        assert tags["description"] == tags["og:description"], name
        assert 50 < len(tags["description"]) < 180, name
        descriptions.add(tags["description"])
        assert (HTML / tags["og:image"].removeprefix(CONFIG["html"]["baseurl"])).is_file()
        assert tags["og:url"] == f"{CONFIG['html']['baseurl']}{name}.html"
        assert page.locator('link[rel="icon"]').count() == 1
    assert len(descriptions) == len(PAGES)


def test_the_keyboard_s_place_is_visible_on_everything_it_reaches(visit):
    """Each stop of the Tab key has an outline that the same element has not when it is left."""
    page = visit(f"{PAGES[1]}.html")
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
              const at = document.activeElement, style = getComputedStyle(at);
              return [at.outerHTML.slice(0, 80), at.className, parseFloat(style.outlineWidth), style.outlineStyle];
            }"""
        )
        stops.append(stop)
    assert any("article-header" in stop[0] or "btn" in stop[1] for stop in stops)
    assert [html for html, _, width, style in stops if style == "none" or width < 2] == []


def test_print_shows_everything_dark_on_light(page):
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    page.emulate_media(media="print", color_scheme="dark")
    # The width of A4 with usual margins, in the browser's pixels.
    page.set_viewport_size({"width": 720, "height": 1000})
    shown = page.evaluate(
        """() => {
          const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number); return (r + g + b) / 765; };
          const all = (selector) => [...document.querySelectorAll(selector)];
          return {
            cut: all('article pre').filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent.slice(0, 80)),
            closed: all('article details > :not(summary)').filter((e) => !e.offsetHeight && e.textContent.trim()).length,
            paper: light(getComputedStyle(document.body).backgroundColor),
            faint: all('article :is(p, li, td, pre, pre span, h1, h2, code)').filter((e) => e.offsetHeight && light(getComputedStyle(e).color) > 0.6)
              .map((e) => e.outerHTML.slice(0, 80)),
          };
        }"""
    )
    assert shown == {"cut": [], "closed": 0, "paper": 1, "faint": []}


def test_a_figure_is_sharp_and_keeps_its_shape(visit):
    """On a laptop at the size that the notebook says; on a phone smaller, in the same proportions; drawn with more pixels."""
    page = visit(f"{PAGES[0]}.html")
    page.wait_for_load_state("networkidle")
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        figures = page.evaluate(
            """[...document.querySelectorAll('.cell_output img')].map(
                (e) => [e.naturalWidth, e.naturalHeight, e.clientWidth, e.clientHeight])"""
        )
        assert figures
        for pixels, rows, wide, high in figures:
            assert pixels > 1.9 * wide
            assert pixels / rows == pytest.approx(wide / high, rel=0.02)


def test_the_first_visit_is_light(site, chromium):
    """Everything that the browser asks for on the first page, compressed as a server would: under 300 kB."""
    import gzip

    page = chromium.new_page()
    sizes = {}
    page.on("response", lambda answer: sizes.update({answer.url: len(gzip.compress(answer.body()))}))
    page.goto(f"{site}{PAGES[0]}.html", wait_until="networkidle")
    page.close()
    assert sum(sizes.values()) < 300_000, sizes


def test_numbers_in_tables_are_apart_and_right_aligned(visit):
    page = visit(f"{PAGES[1]}.html")
    cells = page.evaluate(
        """[...document.querySelectorAll('table.dataframe td')].map((e) => [
          e.textContent, getComputedStyle(e).textAlign, parseFloat(getComputedStyle(e).paddingLeft)])"""
    )
    assert any(align == "right" for _, align, _ in cells)
    for text, align, padding in cells:
        assert padding > 5
        if text.replace(".", "").isdigit():
            assert align == "right", text


def test_a_word_that_is_a_number_stays_with_the_words_of_its_column(visit):
    page = visit("book/02_label_alignment.html")
    columns = page.evaluate(
        """[...document.querySelectorAll('table')].map((table) => [...table.tBodies[0].rows].map((row) =>
          [...row.cells].map((cell) => [cell.textContent.trim(), cell.classList.contains('number')])))"""
    )
    mixed = 0
    for table in columns:
        for column in zip(*(row for row in table if len(row) == len(table[0])), strict=True):
            words = [text for text, _ in column if text and not re.fullmatch(r"-?[\d.,]+ ?%?", text)]
            if len(words) > len(column) / 2:
                assert not any(number for _, number in column), column
                mixed += 1
    assert mixed


def test_a_version_is_no_number(visit):
    page = visit("book/appendix_changes.html")
    versions = page.locator("table", has_text="nbval").last.locator("td:nth-child(2)")
    assert versions.count() > 5
    assert page.locator("td.number", has_text=re.compile(r"\d+\.\d+\.\d+")).count() == 0


def test_the_site_holds_no_source_maps():
    if not HTML.is_dir():
        pytest.skip("the website is not built; `make book` builds it")
    assert list(HTML.rglob("*.map")) == []


def test_a_constant_is_described_by_its_own_words(visit):
    page = visit("book/api.html")
    assert page.locator("dt[id$=IGNORED_LABEL] + dd").inner_text().startswith("The label id that PyTorch")
    assert page.locator("dt[id$=CONLL_SCHEME] + dd").inner_text().startswith("The nine labels")


def test_the_page_of_functions_names_every_public_one():
    import ner_tutorial

    text = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. auto(?:function|class|data):: (\w+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(name for name in ner_tutorial.__all__ if not name.startswith("_"))
