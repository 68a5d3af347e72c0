"""Files from the Hugging Face Hub: quickly, whole and checked, or one line that says what is wrong.

Taught nowhere: plumbing. huggingface_hub downloads; this module asks once whether the Hub can be reached, before the
libraries begin their retries, and compares what has arrived with the hash that the Hub has announced.
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

ANSWER_WITHIN = 15  # seconds for the first answer of the Hub, the look-up of its address included
T = TypeVar("T")


class HubUnreachable(OSError):
    """The Hub does not answer at all. Another repository on it would not answer either."""


def offline() -> bool:
    """True if the Hugging Face libraries were told not to use the network (``HF_HUB_OFFLINE``)."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


@contextlib.contextmanager
def cache_only():
    """Let the libraries look in their caches only, as under ``HF_HUB_OFFLINE=1``: at once, without retries."""
    import datasets.config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def answer_within_limit(ask: Callable[[], T], seconds: float = ANSWER_WITHIN) -> T:
    """``ask()``, or ``TimeoutError`` after ``seconds``. A thread, because the look-up of a host's address knows no time limit."""
    answer: list[T] = []
    failure: list[Exception] = []

    def work() -> None:
        try:
            answer.append(ask())
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not answer:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    return answer[0]


def _answer_behind(error: BaseException) -> BaseException | None:
    """The error that carries the Hub's answer: ``error`` itself or one that it was raised from."""
    seen: BaseException | None = error
    while seen is not None and getattr(getattr(seen, "response", None), "status_code", None) is None:
        seen = seen.__cause__
    return seen


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error, or ``None``."""
    answer = _answer_behind(error)
    return int(answer.response.status_code) if answer is not None else None


def _first_line(text: object) -> str:
    return next((line.strip()[:200] for line in str(text).splitlines() if line.strip()), "")


def explain(error: BaseException) -> str:
    """An error of the Hub's libraries as one line, without request ids."""
    status = status_of(error)
    known = {
        401: "not there, or not open to you: check the name, or log in (hf auth login) (401)",
        403: "not open to you: your token lacks the permission, or the terms are not accepted (403)",
        404: "not there: check the name (404)",
        429: "the Hub asks to slow down; wait some minutes and try again (429)",
    }
    if status in known:
        return known[status]
    if status is not None and status >= 500:
        return f"the Hub has a problem of its own; try again later ({status})"
    if status is not None:
        reason = getattr(_answer_behind(error), "server_message", None)
        return f"the Hub refuses: {_first_line(reason) or _first_line(error)} ({status})"
    return f"{type(error).__name__}: {_first_line(error) or 'no reason given'}"


def repository(name: str, kind: str, revision: str | None = None):
    """What the Hub says about a repository: its commit (``sha``) and its files with their hashes (``siblings``).

    Args:
        name: ``owner/name``, or ``name`` alone for some old models.
        kind: ``model`` or ``dataset``.
        revision: a branch; ``None`` for the main one.

    Raises:
        HubUnreachable: there is no answer within seconds.
        OSError: the answer is no; the message says why in one line.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return answer_within_limit(
            lambda: HfApi().repo_info(
                name, repo_type=kind, revision=revision, files_metadata=True, timeout=ANSWER_WITHIN
            )
        )
    except HfHubHTTPError as error:
        raise OSError(explain(error)) from error
    except ValueError as error:  # not a name that a repository can have
        raise OSError(explain(error)) from error
    except Exception as error:  # the HTTP client's own errors, whose names change from version to version
        reason = _first_line(error) or type(error).__name__
        raise HubUnreachable(f"no connection to {constants.ENDPOINT}: {reason}") from error


def check_file(path: str | Path, sibling) -> None:
    """Compare a downloaded file with the size and the hash that the Hub has announced; delete it if they differ.

    Raises:
        OSError: they differ.
    """
    path = Path(path)
    stored = path.resolve()  # in the cache, a name is a link to the content
    content_hash = getattr(sibling.lfs, "sha256", None)
    digest = hashlib.sha256() if content_hash else hashlib.sha1(b"blob %d\0" % stored.stat().st_size)
    expected = content_hash or sibling.blob_id
    if expected is None:
        return
    with stored.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    if digest.hexdigest() != expected:
        path.unlink(missing_ok=True)
        stored.unlink(missing_ok=True)
        raise OSError(f"{sibling.rfilename} has not the hash that the Hub announced; it was deleted, so try again")


def fetch(
    name: str, kind: str, wanted: Callable[[list[str]], list[str]], revision: str | None = None
) -> tuple[Path, str]:
    """Download files of a repository into the library's cache and check them.

    Args:
        name, kind, revision: as for ``repository``.
        wanted: chooses among the names of the files.

    Returns:
        (folder, commit): the snapshot in the cache, and the commit it is of.

    Raises:
        HubUnreachable: the Hub does not answer.
        OSError: a file cannot be had whole; the message says why in one line.
    """
    from huggingface_hub import hf_hub_download

    contents = repository(name, kind, revision)
    by_name = {sibling.rfilename: sibling for sibling in contents.siblings or []}
    names = wanted(sorted(by_name))
    if not names:
        raise OSError(f"it holds no file of the kind that is needed, only {', '.join(by_name) or 'nothing'}"[:300])
    path = ""
    for file in names:
        try:
            path = hf_hub_download(name, file, repo_type=kind, revision=revision)
        except Exception as error:  # unrelated classes, some of the HTTP client's own
            raise OSError(f"{file}: {explain(error)}") from error
        check_file(path, by_name[file])
    return Path(path[: -len(names[-1])]), contents.sha


def _files_of_model(names: list[str], weights: bool) -> list[str]:
    """The files to download of a model: configuration and tokenizer, and one set of weights if they are asked for."""
    flat = [name for name in names if "/" not in name]
    formats = (("model", ".safetensors"), ("pytorch_model", ".bin"))
    small = [
        name
        for name in flat
        if name.endswith((".json", ".txt", ".model", ".jinja")) and not name.endswith(".index.json")
    ]
    for start, suffix in formats if weights else ():
        parts = [name for name in flat if name.startswith(start) and name.endswith((suffix, suffix + ".index.json"))]
        if parts:
            return [*small, *parts]
    return small if "config.json" in small else []


@cache
def downloaded_model(name: str, weights: bool) -> Path:
    """The folder of a model from the Hub: downloaded and checked, or from the cache where the Hub cannot be asked.

    Args:
        name: ``owner/name``, or ``name`` alone for some old models.
        weights: without them, configuration and tokenizer only.

    Raises:
        OSError: the files cannot be had; the message says why in one line.
    """
    from huggingface_hub import try_to_load_from_cache

    reason = "HF_HUB_OFFLINE is set"
    if not offline():
        try:
            return fetch(name, "model", lambda names: _files_of_model(names, weights))[0]
        except HubUnreachable as error:
            reason = str(error)
    cached = try_to_load_from_cache(name, "config.json")
    if not isinstance(cached, str):
        raise OSError(f"{reason}, and no copy lies in the cache")
    return Path(cached).parent
