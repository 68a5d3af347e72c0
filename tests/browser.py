"""A Chromium for the tests of pages, and a server for what it opens. Used through the fixtures in ``conftest.py``."""

import contextlib
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address, with a slash at its end, under which a folder of files can be opened in the body."""
    handler = functools.partial(_Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def missing() -> str | None:
    """What keeps the tests from opening a page, or ``None``."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    if not any(map(shutil.which, PROGRAMS)):
        return "no Chromium: apt-get install chromium"
    return None


@contextlib.contextmanager
def chromium() -> Iterator:
    """A running headless Chromium, as Playwright's ``Browser``."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, PROGRAMS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS.split())
        yield browser
        browser.close()
