"""The folder of a training run: claimed once, resumed on request, never overwritten.

Taught in chapter 6 (checkpoints).
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from ner_tutorial.files import write_json

RUN_FILE = "run.json"
METRICS_FILE = "metrics.json"
CHECKPOINTS = "checkpoints"
COMPLETE = "complete.json"
"""Written last into a checkpoint. A checkpoint without it was cut off while it was written, and is not used."""
PARTIAL = "partial-"
"""How the name of a checkpoint folder begins that has not been moved to its place yet."""
MODEL_ONLY = "model_only.json"
"""What ``COMPLETE`` is called in an older checkpoint: its model may yet be the best, but nobody resumes there."""


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides what a run learns. Two runs with equal settings on one machine give equal weights."""

    loop: str
    corpus: str
    corpus_sha256: str
    checkpoint: str
    epochs: int
    batch_size: int
    eval_batch_size: int
    learning_rate: float
    warmup_ratio: float
    layer_decay: float
    weight_decay: float
    max_grad_norm: float
    max_length: int
    stride: int
    seed: int
    train_sentences: int | None
    precision: str
    batching: str
    trim: bool
    byte_dropout: bool
    processes: int = 1


def corpus_fingerprint(corpus) -> str:
    """SHA-256 over the words and labels of all splits."""
    digest = hashlib.sha256()
    for split in sorted(corpus):
        names = corpus[split].features["ner_tags"].feature.names
        for words, tags in zip(corpus[split]["tokens"], corpus[split]["ner_tags"], strict=True):
            digest.update(json.dumps([split, words, [names[i] for i in tags]]).encode())
    return digest.hexdigest()


def recorded_precision(folder: str | Path) -> str | None:
    """The number format of the run in ``folder``, or ``None`` if there is no run."""
    record = Path(folder) / RUN_FILE
    return json.loads(record.read_text(encoding="utf-8")).get("precision") if record.is_file() else None


def claim_folder(folder: str | Path, settings: TrainingSettings, resume: bool) -> Path:
    """Make ``folder`` the home of this run, or find that it already is.

    Raises:
        FileExistsError: the folder holds another run, or files of another kind.
        ValueError: ``resume`` is asked for, and the run in the folder has other settings.
    """
    folder = Path(folder)
    if folder.is_file():
        raise FileExistsError(f"{folder} is a file; name a folder for the run")
    mine = asdict(settings)
    record = folder / RUN_FILE
    if record.is_file():
        theirs = json.loads(record.read_text(encoding="utf-8"))
        different = sorted(key for key in mine if mine[key] != theirs.get(key))
        if not resume:
            raise FileExistsError(
                f"{folder} already holds a run; name another folder, or continue that run with resume (--resume)"
            )
        if different:
            lines = ", ".join(f"{key} was {theirs.get(key)!r}, now {mine[key]!r}" for key in different)
            raise ValueError(f"cannot resume the run in {folder} with other settings: {lines}")
    elif folder.is_dir() and any(path.name != f"{RUN_FILE}.partial" for path in folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty and holds no run of this program; name another folder")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(record, mine)
    return folder


def complete_checkpoints(folder: Path) -> list[Path]:
    """The usable checkpoints of a run, oldest first. Cut-off ones are left out."""
    found = [path.parent for path in (folder / CHECKPOINTS).glob(f"*/{COMPLETE}")]
    found = [path for path in found if not path.name.startswith(PARTIAL)]
    return sorted(found, key=lambda path: int(path.name.rsplit("-", 1)[1]))


def drop_cut_off_checkpoints(folder: Path) -> None:
    """Delete checkpoints whose writing was cut off, and finish the cleaning of older ones."""
    keep = set(complete_checkpoints(folder))
    for path in (folder / CHECKPOINTS).glob("*"):
        if (path / MODEL_ONLY).is_file():
            drop_training_state(path)
        elif path.is_dir() and path not in keep:
            shutil.rmtree(path)


def drop_training_state(checkpoint: Path) -> None:
    """Delete what only resuming needs (optimiser, schedule, random states); the model stays."""
    if (checkpoint / COMPLETE).is_file():
        (checkpoint / COMPLETE).replace(checkpoint / MODEL_ONLY)  # first: from now on nobody resumes here
    for pattern in ("optimizer*", "scheduler*", "random_states*", "rng_state*", "scaler*", "custom_checkpoint*"):
        for path in checkpoint.glob(pattern):
            path.unlink()
