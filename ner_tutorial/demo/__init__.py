"""Serve the page "Try it" with a model of one's own, on this machine only.

Taught nowhere: plumbing of the command ``demo``.
"""

import contextlib
import functools
import http.server
import shutil
import tempfile
from collections.abc import Iterator
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
        raise OSError(f"port {port} of this machine cannot be used ({error.strerror}); choose another") from None


def serve(server: http.server.ThreadingHTTPServer) -> None:
    """Print the server's address and answer until Ctrl-C."""
    print(f"Open http://{HOST}:{server.server_port}/ (Ctrl-C ends)", flush=True)
    with contextlib.suppress(KeyboardInterrupt), server:
        server.serve_forever()
    print()


@contextlib.contextmanager
def demo_server(model_dir: str | Path, port: int = 0) -> Iterator[http.server.ThreadingHTTPServer]:
    """A server of the page with the model in ``model_dir``, not yet started. Its files are deleted after the body.

    Raises:
        FileNotFoundError: there is no such folder, or no npm to fetch what runs the model in a browser.
        ValueError: the page cannot run this model, because of its tokenizer or its family.
        OSError: npm has no network, or the port is taken.
    """
    from ner_tutorial.demo.pack import fetch_runtime, pack, tokenizer_settings
    from ner_tutorial.encoders import load_tokenizer
    from ner_tutorial.model_folder import check_finished

    model_dir = Path(model_dir).expanduser()
    check_finished(model_dir)
    tokenizer = load_tokenizer(model_dir)
    tokenizer_settings(tokenizer)  # before anything takes long
    runtime = fetch_runtime()
    with tempfile.TemporaryDirectory(prefix="ner-tutorial-demo-") as folder:
        pack(Path(folder), tokenizer, model_dir, runtime)
        shutil.copy(Path(__file__).with_name("index.html"), folder)
        server = server_of(Path(folder), port)
        try:
            yield server
        finally:
            server.server_close()
