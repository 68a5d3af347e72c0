"""The built website. Skipped where the book is not built; CI builds it before the tests."""

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

HTML = Path(__file__).resolve().parent.parent / "_build" / "html"


class _Assets(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "script" and values.get("src"):
            self.found.append(values["src"])
        if tag == "link" and values.get("rel") in ("stylesheet", "preload", "modulepreload"):
            self.found.append(values["href"])


@pytest.fixture
def first_page() -> Path:
    page = HTML / "book" / "intro.html"
    if not page.is_file():
        pytest.skip("the website is not built; `make book` builds it")
    return page


def test_the_first_page_needs_nothing_from_elsewhere(first_page):
    parser = _Assets()
    parser.feed(first_page.read_text(encoding="utf-8"))
    assert [target for target in parser.found if urlsplit(target).netloc] == []


def test_the_first_page_is_light(first_page):
    """Everything that the browser loads for it, its pictures too, as a server sends it: text compressed."""
    parser = _Assets()
    parser.feed(first_page.read_text(encoding="utf-8"))
    files = {first_page, *(first_page.parent / urlsplit(target).path for target in parser.found)}
    files |= {
        HTML / "_static" / "basic.css",
        *HTML.glob("_static/vendor/fontawesome/webfonts/*"),
    }  # style sheets ask for these
    sizes = {path.resolve(): len(gzip.compress(path.read_bytes())) for path in files}
    assert sum(sizes.values()) < 300_000, sizes


def test_icons_are_still_there(first_page):
    """Each icon of the page has a rule that names its character, and the font still has that character."""
    from fontTools.ttLib import TTFont

    page = first_page.read_text(encoding="utf-8")
    styles = "".join(path.read_text(encoding="utf-8") for path in HTML.glob("_static/styles/*.css"))
    characters = set()
    for path in HTML.glob("_static/vendor/fontawesome/webfonts/*.ttf"):
        characters |= set(TTFont(path).getBestCmap())
    icons = set(re.findall(r'class="fa-(?:solid|brands|regular) fa-([a-z-]+)', page))
    assert {"magnifying-glass", "angle-right", "bars"} <= icons
    for icon in icons - {"lg"}:
        rule = re.search(rf'\.fa-{icon}:before\{{content:"(.)"', styles)
        assert rule, icon
        assert ord(rule[1]) in characters, icon
