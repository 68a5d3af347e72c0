"""Files and folders that appear whole or not at all.

Taught nowhere: plumbing. Everything that the package writes beside a user's files goes through these functions.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial"
"""How the name ends of what is being written. A file or folder with it was cut off and is nobody's."""


@contextlib.contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """A path to write to in the body; afterwards its content stands at ``path``, in place of what was there.

    If the body raises, or the process is killed in it, ``path`` is as it was before.
    """
    path = Path(path)
    partial = path.with_name(path.name + PARTIAL)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # the content reaches the disk before the name does
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 with ``\\n`` at line ends, whole or not at all."""
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, content) -> None:
    """Write ``content`` as JSON, whole or not at all. Numbers that JSON does not know (NaN, infinity) are refused.

    Raises:
        ValueError: ``content`` holds NaN or an infinite number.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder to fill in the body; afterwards it stands at ``path``, which must not exist.

    Raises:
        OSError: ``path`` exists at the end of the body; what was written for it is deleted.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}{PARTIAL}.{os.getpid()}")  # two processes may make the same folder
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
