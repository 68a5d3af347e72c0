"""The built website. Skipped where the book is not built; CI builds it before the tests."""

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
