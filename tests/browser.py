"""A Chromium and a Firefox for the tests of pages, and a server for what it opens. Used through the fixtures in ``conftest.py``."""

import contextlib
import functools
import http.server
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FIREFOX = ("firefox-esr", "firefox")
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


def missing_firefox() -> str | None:
    """What keeps the tests from opening a page in Firefox, or ``None``."""
    return None if any(map(shutil.which, FIREFOX)) else "no Firefox: apt-get install firefox-esr"


class Firefox:
    """A running Firefox, spoken to by Marionette, the remote control that it has built in.

    Playwright drives only a Firefox of its own, from its own server; this one is the system's.
    """

    def __init__(self, port: int):
        self.wire = socket.create_connection(("127.0.0.1", port), timeout=180)
        self.file = self.wire.makefile("rb")
        self.count = 0
        self._receive()  # its greeting
        self.send("WebDriver:NewSession", capabilities={"alwaysMatch": {"timeouts": {"script": 170_000}}})

    def _receive(self):
        length = b""
        while (byte := self.file.read(1)) != b":":
            length += byte
        return json.loads(self.file.read(int(length)))

    def send(self, command: str, **parameters):
        """The result of a command of WebDriver. Raises ``RuntimeError`` with Firefox's words."""
        self.count += 1
        body = json.dumps([0, self.count, command, parameters]).encode()
        self.wire.sendall(b"%d:%s" % (len(body), body))
        _, _, error, result = self._receive()
        if error:
            raise RuntimeError(f"{command}: {error['message']}")
        return result

    def goto(self, address: str) -> None:
        self.send("WebDriver:Navigate", url=address)

    def evaluate(self, expression: str, *arguments):
        """The value of a JavaScript function, or of the promise that it returns, called with ``arguments``."""
        script = (
            "const [...given] = arguments, done = given.pop();"
            f"Promise.resolve(({expression})(...given)).then((value) => done({{ value }}), (e) => done({{ error: `${{e}}` }}));"
        )
        answer = self.send("WebDriver:ExecuteAsyncScript", script=script, args=list(arguments))["value"]
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer.get("value")


@contextlib.contextmanager
def firefox() -> Iterator[Firefox]:
    """A running headless Firefox with an empty profile."""
    program = next(filter(None, map(shutil.which, FIREFOX)))
    with tempfile.TemporaryDirectory() as name:
        profile = Path(name)
        (profile / "user.js").write_text('user_pref("marionette.port", 0);\n', encoding="utf-8")
        process = subprocess.Popen(
            [program, "--marionette", "--headless", "--no-remote", "--profile", name],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            told, deadline = profile / "MarionetteActivePort", time.monotonic() + 120
            while not (told.is_file() and told.read_text(encoding="utf-8").strip()):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("Firefox did not start")
                time.sleep(0.2)
            yield Firefox(int(told.read_text(encoding="utf-8")))
        finally:
            process.terminate()
            process.wait(60)
