"""What a run saves after each epoch to go on from, and how a damaged checkpoint is found before it is used.

Taught in chapter 6 (checkpoints). A checkpoint holds model, optimiser, schedule and random states. ``complete.json`` is
written into it last and holds the size and the SHA-256 of each file, so a checkpoint without it was cut off while it
was written, and one whose files differ from it was damaged afterwards. Neither is used.
"""

import contextlib
import errno
import json
import logging
import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ner_tutorial.files import PARTIAL, write_json
from ner_tutorial.model_folder import sha256
from ner_tutorial.training.results import History

CHECKPOINTS = "checkpoints"
COMPLETE = "complete.json"
MODEL_ONLY = "model_only.json"
"""What ``COMPLETE`` is called in an older checkpoint: its model may yet be the best, but nobody resumes there."""
WEIGHTS = "model.safetensors"
SCHEDULE = "schedule.json"
STATE_FILES = ("optimizer*", "scheduler*", "random_states*", "rng_state*", "scaler*", SCHEDULE)
"""What only resuming needs, as both loops name it."""
RESUMABLE = 2
"""So many checkpoints keep what resuming needs: the newest, and one to fall back to."""
PICKLED = (".pkl", ".bin", ".pt", ".pth")
"""Python objects; reading one without care runs code that it names."""

OURS = re.compile(rf"(epoch|checkpoint)-\d+({re.escape(PARTIAL)}\.\d+)?|model{re.escape(PARTIAL)}\.\d+")
"""The names that a run gives to folders."""
FILES_OF_OURS = re.compile(
    r"(model|pytorch_model|config|tokenizer|vocab|merges|special_tokens|added_tokens|chat_template|spiece|sentencepiece|"
    r"words|training_args|trainer_state|optimizer|scheduler|schedule|random_states|rng_state|scaler|custom_checkpoint|"
    r"complete|model_only).*"
)
"""The names of the files in them."""
FULL = re.compile("No space left|Disk quota|os error 28|file write failed|unexpected pos|iostream error")
"""How the libraries word it that a disk is full."""

log = logging.getLogger("ner_tutorial")


def mark_whole(checkpoint: Path, history: History) -> None:
    """Write ``complete.json`` into a checkpoint that is written to its end."""
    files = {}
    for path in sorted(checkpoint.iterdir()):
        if path.is_file() and path.name not in (COMPLETE, MODEL_ONLY):  # the mark does not list itself
            files[path.name] = {"size": path.stat().st_size, "sha256": sha256(path)}
    write_json(checkpoint / COMPLETE, {**history.to_dict(), "files": files})


def record_scores(checkpoint: Path, history: History) -> None:
    """Put the scores of an epoch into the mark of its checkpoint, which was made before they were known."""
    content = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))
    write_json(checkpoint / COMPLETE, {**content, **history.to_dict()})


def marked_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run that were written to their end and keep what resuming needs, oldest first."""
    marked = [path.parent for path in (folder / CHECKPOINTS).glob(f"*/{COMPLETE}")]
    marked = [path for path in marked if OURS.fullmatch(path.name) and PARTIAL not in path.name]
    return sorted(marked, key=_number)  # as text, epoch-10 would come before epoch-9


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])


def damage(checkpoint: Path, names: tuple[str, ...] = ()) -> str:
    """What is wrong with a checkpoint, in words; empty if its files are as they were when it was written.

    Args:
        names: look at these files alone; default, at all that the mark lists.
    """
    mark = next((checkpoint / name for name in (COMPLETE, MODEL_ONLY) if (checkpoint / name).is_file()), None)
    if mark is None:
        return f"{COMPLETE} is missing"
    try:
        content = json.loads(mark.read_text(encoding="utf-8"))
        History.from_dict(content)
        expected = content["files"]
        for name in names or expected:
            path = checkpoint / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != expected[name]["size"]:  # a cut-off file is known without reading it
                return f"{name} has {path.stat().st_size} bytes instead of {expected[name]['size']}"
            if sha256(path) != expected[name]["sha256"]:
                return f"the content of {name} has changed"
    except (ValueError, KeyError, TypeError):
        return f"{mark.name} is damaged"
    return ""


def last_whole(folder: Path) -> tuple[Path | None, History]:
    """The newest checkpoint that can be resumed from, and how far the run had come there.

    Damaged ones are passed over, and the log says so. Without any, the run begins at its start.

    Raises:
        PermissionError: a checkpoint holds a file that could run code when it is read.
    """
    for checkpoint in reversed(marked_checkpoints(folder)):
        _refuse_code(checkpoint)
        reason = damage(checkpoint)
        if not reason:
            content = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))
            return checkpoint, History.from_dict(content)
        log.warning("The checkpoint %s is damaged (%s); going on from the one before it.", checkpoint, reason)
    return None, History()


def _refuse_code(checkpoint: Path) -> None:
    """Raise ``PermissionError`` for pickled files that the mark does not list, and for those that Accelerate reads without
    care (``custom_checkpoint_0.pkl``)."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        listed = set(json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))["files"])
        for path in sorted(checkpoint.iterdir()):
            if path.suffix in PICKLED and (path.name not in listed or path.name.startswith("custom_checkpoint")):
                break
        else:
            return  # no such file
        raise PermissionError(
            f"{path} is not a file that this program writes, and could run code when it is read; "
            "delete it if you do not know it, or start a new run in another folder"
        )


@contextlib.contextmanager
def reading_numbers_only(checkpoint: Path | None) -> Iterator[None]:
    """Around reading a checkpoint: a file that holds more than numbers, which nobody unpickles, becomes one clear error.

    PyTorch reads with ``weights_only=True`` here, so nothing in such a file is ever run.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        raise PermissionError(
            f"a file in {checkpoint} holds more than numbers and is not read, because it could run code; "
            "start a new run in another folder"
        ) from error


def clear_older(folder: Path) -> None:
    """Delete what only resuming needs from all but the newest checkpoints; their models stay."""
    for checkpoint in marked_checkpoints(folder)[:-RESUMABLE]:
        # First: from now on nobody resumes here, even if the deleting is cut off.
        (checkpoint / COMPLETE).replace(checkpoint / MODEL_ONLY)
        _delete_state(checkpoint)


def _delete_state(checkpoint: Path) -> None:
    for pattern in STATE_FILES:
        for path in checkpoint.glob(pattern):
            path.unlink()


def remove_cut_off(folder: Path) -> None:
    """Delete checkpoints whose writing was cut off, and finish the cleaning of older ones.

    Only folders with the names that a run gives are touched, and only if all in them has names that a run gives.
    """
    for path in (folder / CHECKPOINTS).glob("*"):
        if (path / MODEL_ONLY).is_file() and OURS.fullmatch(path.name):
            _delete_state(path)
        elif not (path / COMPLETE).is_file() or PARTIAL in path.name:
            remove_if_ours(path)
    for path in folder.glob(f"model{PARTIAL}.*"):
        remove_if_ours(path)


def remove_if_ours(path: Path) -> bool:
    """Delete a checkpoint folder if this program made it. True if nothing is there afterwards."""
    named_by_us = OURS.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    if named_by_us and all(FILES_OF_OURS.fullmatch(inner.name) and inner.is_file() for inner in path.iterdir()):
        shutil.rmtree(path)
    return not path.exists()


@contextlib.contextmanager
def one_line_if_disk_is_full(folder: Path) -> Iterator[None]:
    """Around saving: a full disk becomes one ``OSError`` that says so, whichever library met it.

    PyTorch reports it as a ``RuntimeError`` about its zip archive, safetensors and the tokenizers as errors of their own.
    """
    try:
        yield
    except Exception as error:
        if not (getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or FULL.search(str(error))):
            raise
        raise OSError(
            f"the disk is full, so the checkpoint or the model could not be saved in {folder}; free some space and go "
            "on with resume (--resume)",
        ) from error
