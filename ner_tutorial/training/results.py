"""What a training run leaves: a row per epoch, the scores, and which epoch is the best.

Taught in chapter 5 (the table of a run) and chapter 6 (which epoch is kept, erratum 14).
"""

import contextlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from ner_tutorial.files import write_json
from ner_tutorial.metrics import Scores, TypeScore

METRICS_FILE = "metrics.json"
STEPS_BETWEEN_CHECKS = 50
"""The loss is looked at now and then: at every step it would cost time."""

log = logging.getLogger("ner_tutorial")


@dataclass(frozen=True)
class EpochMetrics:
    """One row of the table that a run prints. Scores are word level, on the validation split."""

    epoch: int
    train_loss: float
    """Mean cross-entropy per counted piece, while training."""
    eval_loss: float
    """Mean cross-entropy per word, on the validation split."""
    precision: float
    recall: float
    f1: float
    accuracy: float


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves: the folder of the best model, and the numbers."""

    model_dir: Path
    epochs: list[EpochMetrics]
    best_epoch: int
    """The epoch with the highest validation F1, and of several the one with the lowest validation loss; its weights
    are the model."""
    validation: Scores
    test: Scores
    """The test split, scored once, with the best epoch's weights."""
    train_runtime_s: float
    """Seconds spent in training steps, evaluation and saving left out."""
    train_sentences_per_second: float

    def to_dict(self) -> dict:
        """The content of ``metrics.json``."""
        return {
            "epochs": [asdict(row) for row in self.epochs],
            "best_epoch": self.best_epoch,
            "validation": self.validation.to_dict(),
            "test": self.test.to_dict(),
            "train_runtime_s": round(self.train_runtime_s, 3),
            "train_sentences_per_second": round(self.train_sentences_per_second, 3),
        }


def load_result(model_dir: str | Path) -> TrainingResult:
    """The result of a finished run, read from its ``metrics.json``.

    Raises:
        FileNotFoundError: the folder holds no finished run.
    """
    path = Path(model_dir) / METRICS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"no finished run in {model_dir}: {METRICS_FILE} is missing")
    content = json.loads(path.read_text(encoding="utf-8"))

    def scores(row: dict) -> Scores:
        return Scores(**{**row, "per_type": {kind: TypeScore(**value) for kind, value in row["per_type"].items()}})

    return TrainingResult(
        model_dir=Path(model_dir),
        epochs=[EpochMetrics(**row) for row in content["epochs"]],
        best_epoch=content["best_epoch"],
        validation=scores(content["validation"]),
        test=scores(content["test"]),
        train_runtime_s=content["train_runtime_s"],
        train_sentences_per_second=content["train_sentences_per_second"],
    )


def save_result(result: TrainingResult) -> None:
    """Write ``metrics.json``, the last file of a run: a folder that has it holds a finished run."""
    write_json(result.model_dir / METRICS_FILE, result.to_dict())


@dataclass
class History:
    """How far a run has come. Each checkpoint holds it as it was then."""

    epochs: list[EpochMetrics] = field(default_factory=list)
    seconds: float = 0.0
    """Spent in training steps, over all parts of an interrupted run."""
    unscored: float | None = None
    """The training loss of an epoch that is saved and not scored yet."""
    skipped: int = 0
    """Steps that float16 lost: a gradient ran out of its range, and the scaler left the weights as they were."""

    @property
    def trained(self) -> int:
        """How many epochs the weights have been trained for."""
        return len(self.epochs) + (self.unscored is not None)

    def to_dict(self) -> dict:
        return {
            "epochs": [asdict(row) for row in self.epochs],
            "seconds": self.seconds,
            "unscored": self.unscored,
            "skipped": self.skipped,
        }

    @classmethod
    def from_dict(cls, content: dict) -> "History":
        """From what ``to_dict`` gave. Raises ``KeyError`` or ``TypeError`` for anything else."""
        rows = [EpochMetrics(**row) for row in content["epochs"]]
        return cls(rows, content["seconds"], content["unscored"], content.get("skipped", 0))


def ranking(epochs: Sequence[EpochMetrics]) -> list[EpochMetrics]:
    """The epochs, best first: by validation F1, among equals by validation loss, among equals the first."""
    return sorted(epochs, key=lambda row: (-row.f1, row.eval_loss, row.epoch))


def remark_on_choice(epochs: Sequence[EpochMetrics], entities: int, steps: int) -> None:
    """Say in the log what a reader of the result must know: why an epoch was chosen, or that nothing was learned.

    Args:
        epochs: the rows of the run.
        entities: gold entities in the validation split.
        steps: training steps of the whole run.
    """
    best, *others = ranking(epochs)
    equals = [row.epoch for row in others if row.f1 == best.f1]
    if entities == 0:
        log.warning(
            "The validation split holds no entity, so its F1 is 0 in every epoch and says nothing. Epoch %d is kept, "
            "which has the lowest validation loss. Add sentences with entities to the validation split.",
            best.epoch,
        )
    elif best.f1 == 0:
        log.warning(
            "F1 on the validation split is 0.000 in every epoch: after %d training steps the model finds no entity. "
            "Train for more steps (epochs, --epochs; or a smaller batch_size, --batch-size), give more sentences, or "
            "raise the learning rate (learning_rate, --learning-rate).",
            steps,
        )
    elif equals:
        log.info("Epochs %s have one F1; the validation loss decides for epoch %d.", [best.epoch, *equals], best.epoch)


def remark_on_skipped_steps(skipped: int, steps: int) -> None:
    """Say in the log how many steps float16 has lost; some at the start are usual, many are not."""
    if skipped:
        remark = "Many are a bad sign: try a lower learning rate, or --precision no." if skipped * 20 > steps else ""
        log.warning(
            "%d of %d steps were skipped, because a gradient was outside the range of float16. The first few are usual: "
            "the scaler finds its factor by them. %s",
            skipped,
            steps,
            remark,
        )


class MemoryFullError(ValueError):
    """The device has too little memory for a step of this run."""


@contextlib.contextmanager
def one_line_if_memory_is_full(batch_size: int, folder: Path) -> Iterator[None]:
    """Inside it, a device without enough memory ends the run with one line that says what to lower.

    Raises:
        MemoryFullError: in place of what PyTorch raises.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; a processor's allocator raises it plainly
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise MemoryFullError(
            f"the memory of the device is full with batch_size {batch_size}: lower it (batch_size, --batch-size), or lower "
            f"max_length if single sentences are very long. The checkpoints in {folder} are kept, and the same settings "
            "can continue from them where memory is free. A run with another batch size learns differently, so it cannot "
            "continue this one: start it in another folder."
        ) from error


class DivergedError(ValueError):
    """The loss of a run is no number any more, so that going on would teach the model nothing."""


def require_finite(loss: float, what: str, precision: str | None) -> None:
    """Raise ``DivergedError`` if ``loss`` is NaN or infinite.

    Args:
        what: the place in words, such as ``the training loss of epoch 1``.
        precision: the number format of the run; float16 has causes of its own.
    """
    if not math.isfinite(loss):
        causes = "the learning rate is too high (try a third of it)"
        if precision == "fp16":
            causes += ", float16 ran out of its range (try --precision no)"
        raise DivergedError(
            f"{what} is {loss}, so training stops. Likely causes: {causes}, or the checkpoint that training started "
            "from holds damaged weights. Start again in another folder."
        )


class LossMeter:
    """The mean training loss of an epoch, and a stop when it is no number any more.

    Args:
        epoch: counted from 1, for the message.
        precision: the number format of the run.
    """

    def __init__(self, epoch: int, precision: str | None):
        self.epoch, self.precision = epoch, precision
        self.total: torch.Tensor | float = 0.0
        self.copied = torch.zeros(())
        self.steps = 0

    def add(self, loss: torch.Tensor) -> None:
        """Count the loss of one step, a tensor of shape ()."""
        self.total = self.total + loss.detach()  # without its graph, or every step's activations would stay in memory
        self.steps += 1
        if self.steps % STEPS_BETWEEN_CHECKS == 0:
            # Asking a card for a number waits for all that it has still to do. So the number is copied when the card
            # comes to it, and looked at one round later, when it has long been there.
            self._check(float(self.copied))
            self.copied = torch.zeros((), pin_memory=self.total.is_cuda)
            self.copied.copy_(self.total, non_blocking=True)

    def mean(self, accelerator) -> float:
        """The mean over the steps of all processes."""
        mean = accelerator.reduce(torch.as_tensor(self.total), "mean").item() / max(self.steps, 1)
        self._check(mean)
        return mean

    def _check(self, loss: float) -> None:
        require_finite(loss, f"the training loss in epoch {self.epoch}, step {self.steps}", self.precision)
