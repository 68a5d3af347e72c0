"""Serve the page "Try it" with a model of one's own, on this machine only.

Taught nowhere: plumbing of the command ``demo``.
"""

import functools
import http.server
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 (as in the class it comes from)
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *arguments) -> None:
        pass


def server_of(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of the files in a folder, for this machine only, not yet started. Port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    try:
        return http.server.ThreadingHTTPServer((HOST, port), functools.partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise OSError(
            f"port {port} of this machine cannot be used ({error.strerror}); choose another with --port"
        ) from None


@contextmanager
def demo_server(model_dir: str | Path, port: int = 0) -> Iterator[http.server.ThreadingHTTPServer]:
    """A server of the page with the model in ``model_dir``, not yet started. Its files are deleted after the body.

    Raises:
        FileNotFoundError: there is no such folder, or no npm to fetch what runs the model in a browser.
        ValueError: the page cannot run this model, because of its tokenizer or its family.
        OSError: npm has no network, or the port is taken.
    """
    from ner_tutorial.encoders import load_tokenizer
    from ner_tutorial.tagger import load_tagger
    from ner_tutorial.web.pack import fetch_runtime, pack, tokenizer_settings

    model_dir = Path(model_dir)
    if not (model_dir / "config.json").is_file():
        load_tagger(model_dir)  # which says what is wrong
    tokenizer = load_tokenizer(model_dir)
    tokenizer_settings(tokenizer)  # before anything takes long
    runtime = fetch_runtime()
    with tempfile.TemporaryDirectory(prefix="ner-tutorial-demo-") as folder:
        pack(Path(folder), tokenizer, model_dir, runtime)
        server = server_of(Path(folder), port)
        try:
            yield server
        finally:
            server.server_close()
