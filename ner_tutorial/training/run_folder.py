"""The folder of a training run: held by one process at a time, claimed once, resumed on request, never overwritten.

Taught in chapter 6 (checkpoints).
"""

import contextlib
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ner_tutorial.files import PARTIAL, write_json
from ner_tutorial.training.checkpoints import CHECKPOINTS, marked_checkpoints, remove_cut_off
from ner_tutorial.training.results import METRICS_FILE
from ner_tutorial.training.settings import TrainingSettings, differences

RUN_FILE = "run.json"
LOCK_FILE = "run.lock"
PASSING = (LOCK_FILE, RUN_FILE + PARTIAL)
"""Files of ours that a process may leave behind when it is killed; they make no run."""


def corpus_fingerprint(corpus) -> str:
    """SHA-256 over the words and labels of all splits."""
    digest = hashlib.sha256()
    for split in sorted(corpus):
        names = corpus[split].features["ner_tags"].feature.names
        for words, tags in zip(corpus[split]["tokens"], corpus[split]["ner_tags"], strict=True):
            digest.update(json.dumps([split, words, [names[i] for i in tags]]).encode())
    return digest.hexdigest()


def recorded_settings(folder: str | Path) -> dict | None:
    """The content of ``run.json`` in ``folder``, or ``None`` if there is no run.

    Raises:
        ValueError: the file is no JSON object.
    """
    record = Path(folder) / RUN_FILE
    if not record.is_file():
        return None
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{record} is damaged: it is no JSON object; name another folder for a new run")
    return content


def check_folder(folder: str | Path, settings: TrainingSettings, resume: bool) -> None:
    """Find out whether ``folder`` can be the home of this run. Nothing is written.

    Raises:
        FileExistsError: the folder holds another run, or files of another kind.
        ValueError: ``resume`` is asked for, and the run in the folder has other settings.
    """
    folder = Path(folder)
    if folder.is_file():
        raise FileExistsError(f"{folder} is a file; name a folder for the run")
    theirs = recorded_settings(folder)
    if theirs is not None:
        if not resume:
            raise FileExistsError(
                f"{folder} already holds a run; name another folder, or continue that run with resume (--resume)"
            )
        if changed := differences(settings, theirs):
            raise ValueError(f"cannot resume the run in {folder} with other settings: {changed}")
    elif folder.is_dir() and any(path.name not in PASSING for path in folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty and holds no run of this program; name another folder")


def claim_folder(folder: Path, settings: TrainingSettings) -> None:
    """Write ``run.json``: from here on the folder is this run's."""
    if not (folder / RUN_FILE).is_file():
        write_json(folder / RUN_FILE, asdict(settings))


@contextlib.contextmanager
def hold_folder(folder: str | Path) -> Iterator[Path]:
    """Make ``folder`` and keep every other process from training in it while the body runs.

    Making the folder and the lock file in it shows at once whether the place can be written to. If the body raises
    before the first checkpoint is whole, nothing is left, so that a corrected command finds the folder free.

    Raises:
        FileExistsError: another process trains in it.
        OSError: nothing can be written there.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]  # the deepest first
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
    except FileExistsError:
        raise
    except OSError as error:
        _remove_empty(made)
        raise type(error)(
            f"cannot write to {folder} ({error.strerror or error}); name a folder where you may"
        ) from None
    try:
        remove_cut_off(folder)
        yield folder
    finally:
        if not marked_checkpoints(folder) and not (folder / METRICS_FILE).is_file():
            remove_cut_off(folder)
            (folder / RUN_FILE).unlink(missing_ok=True)
        _unlock(folder, lock)
        _remove_empty([folder / CHECKPOINTS, *made])


def _remove_empty(folders: list[Path]) -> None:
    for path in folders:
        with contextlib.suppress(OSError):  # it holds something, or was never made
            path.rmdir()


def _lock(folder: Path) -> int:
    """Take the lock file of ``folder``: an open file that the operating system lets one process hold.

    The system frees it when the process ends, however it ends, so a file that a killed process left is no obstacle.
    """
    path = folder / LOCK_FILE
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _try_to_hold(file)
        except OSError:
            owner = _owner(path)
            os.close(file)
            raise FileExistsError(
                f"another process trains in {folder} ({owner}); wait for its end, or name another folder"
            ) from None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file), path.stat()):
                break
        os.close(file)  # its last owner has deleted it in between
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")})
    os.truncate(file, 0)
    os.write(file, text.encode())
    return file


def _try_to_hold(file: int) -> None:
    """Raise ``OSError`` if another process holds ``file``."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        os.lseek(file, 1000, os.SEEK_SET)  # behind the text: Windows keeps others from reading the part that is held
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
    else:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # a file system without locks, as some networks have: nothing can be held there


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"see {path}"


def _unlock(folder: Path, lock: int) -> None:
    path = folder / LOCK_FILE
    with contextlib.suppress(OSError):  # Windows deletes no open file
        path.unlink()
    os.close(lock)
    if os.name == "nt":
        with contextlib.suppress(OSError):
            path.unlink()
