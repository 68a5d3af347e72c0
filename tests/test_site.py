"""The built website: how much a reader loads. Skipped where the book is not built; CI builds it before the tests."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

HTML = Path(__file__).resolve().parent.parent / "_build" / "html"
LIMIT = 500_000
"""Bytes of the first page with its scripts, styles and fonts, before images."""


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


def assets(page: Path) -> set[Path]:
    parser = _Assets()
    parser.feed(page.read_text(encoding="utf-8"))
    local = [urlsplit(target) for target in parser.found]
    return {(page.parent / unquote(target.path)).resolve() for target in local if not target.netloc}


@pytest.fixture
def first_page() -> Path:
    page = HTML / "book" / "intro.html"
    if not page.is_file():
        pytest.skip("the website is not built; `make book` builds it")
    return page


def test_the_first_page_is_light(first_page):
    files = {first_page, *assets(first_page)}
    assert len(files) > 5
    sizes = {path.name: path.stat().st_size for path in files}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:6]
    assert sum(sizes.values()) < LIMIT, largest


def test_the_first_page_needs_nothing_from_elsewhere(first_page):
    parser = _Assets()
    parser.feed(first_page.read_text(encoding="utf-8"))
    assert [target for target in parser.found if urlsplit(target).netloc] == []
