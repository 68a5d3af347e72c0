"""The three settings of the book: ``quick`` for a laptop, ``full`` to repeat the original experiment, ``fast`` to work.

``full`` and ``fast`` train BERT-base on CoNLL-2003 and want a GPU. Taught in the introduction. A profile is read by every chapter; no chapter asks for its name.
"""

import math
import operator
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

PROFILE_VARIABLE = "NER_TUTORIAL_PROFILE"
CORPUS_VARIABLE = "NER_TUTORIAL_CORPUS"
CHECKPOINT_VARIABLE = "NER_TUTORIAL_CHECKPOINT"


@dataclass(frozen=True)
class Rule:
    """What a setting means, and which values it may have."""

    meaning: str
    """For a reader of ``help(train_with_trainer)`` or of ``train --help``."""
    least: float | None = None
    """The smallest value that is allowed."""
    above: float | None = None
    """Every allowed value is larger than this."""
    most: float | None = None
    choices: tuple[str, ...] = ()

    def limits(self) -> str:
        """The allowed values in words: ``at least 1``, ``above 0 and at most 1``; empty if there are no limits."""
        bounds = (("at least", self.least), ("above", self.above), ("at most", self.most))
        return " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)

    def check(self, name: str, value) -> None:
        """Raise ``ValueError`` unless ``value`` is allowed for the setting ``name``."""
        if self.choices and value not in self.choices:
            *others, last = self.choices
            raise ValueError(f"unknown {name} {value!r}; choose {', '.join(others)} or {last}")
        too_small = (self.least is not None and not value >= self.least) or (
            self.above is not None and not value > self.above
        )  # NaN is neither
        if too_small or (self.most is not None and not value <= self.most):
            raise ValueError(f"{name} must be {self.limits()}, got {value}")


def setting(meaning: str, *, default=..., **limits):
    """A field of a settings class, with its ``Rule``. Command line, loops and documentation read it there."""
    metadata = {"rule": Rule(meaning, **limits)}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


def as_type(name: str, value, kind):
    """``value`` as the type of the setting ``name``: whole numbers stay whole, and a flag is ``True`` or ``False``.

    Args:
        kind: the annotation of the field: ``int``, ``float``, ``str``, ``bool``, or one of them ``| None``.

    Raises:
        TypeError: the value is of another type.
        ValueError: the value is empty text, or an infinite number.
    """
    allowed = getattr(kind, "__args__", (kind,))
    if value is None and type(None) in allowed:
        return None
    expected = next(one for one in allowed if one is not type(None))
    try:
        if expected is bool:
            if not isinstance(value, bool):
                raise TypeError
            return value
        if isinstance(value, bool) or (expected is float and isinstance(value, str)):
            raise TypeError
        # operator.index takes Python's and NumPy's whole numbers and refuses 2.5, which int() would cut off.
        converted = operator.index(value) if expected is int else expected(value)
    except (TypeError, ValueError):
        words = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}[expected]
        raise TypeError(f"{name} must be {words}, got {value!r}") from None
    if expected is str and not converted:
        raise ValueError(f"{name} must not be empty")
    if expected is float and math.isinf(converted):
        raise ValueError(f"{name} must be a finite number, got {value}")
    return converted


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The settings that decide what a model learns, whatever the machine."""

    corpus: str = setting("What to learn from: a name or folder for load_corpus.")
    checkpoint: str = setting("The encoder to start from: minilm, a model folder, or a name on the Hub.")
    train_sentences: int | None = setting("Use only the first so many training sentences.", least=1)
    epochs: int = setting("How often to go through the training split.", least=1, most=1000)
    batch_size: int = setting("Sentences per training step, on average if batches are filled by tokens.", least=1)
    batching: str = setting(
        "How batches are filled: tokens fills them to a token budget and weighs every label the same; sentences takes "
        "batch-size sentences in random order and the mean loss, as the original recipe does.",
        choices=("tokens", "sentences"),
    )
    eval_batch_size: int = setting("Sentences per batch where nothing is learned.", least=1)
    learning_rate: float = setting("The peak of the schedule, for the head.", above=0)
    warmup_ratio: float = setting("The share of the steps over which the learning rate rises from 0.", least=0, most=1)
    layer_decay: float = setting(
        "Each layer's learning rate as a share of the rate of the layer above it, from the head down; 1 is one rate "
        "for all.",
        above=0,
        most=1,
    )
    weight_decay: float = setting("How strongly AdamW pulls weights towards 0.", least=0)
    decayed: str = setting(
        "Which weights decay: matrices leaves out biases and normalisation weights, all leaves out nothing.",
        choices=("matrices", "all"),
    )
    max_grad_norm: float = setting(
        "Gradients are scaled down to this norm when theirs is larger; 0 leaves them as they are.", least=0
    )
    trim: bool = setting("Keep embedding rows that the corpus does not use out of the optimiser.")
    byte_dropout: bool = setting(
        "On a CPU, draw dropout's random numbers eight at a time; without it dropout is PyTorch's."
    )
    max_length: int = setting(
        "The longest row for the model, in tokens; a longer sentence becomes several overlapping windows.", least=4
    )
    stride: int = setting("The overlap of two windows, in tokens.", least=0)
    seed: int = setting("Same seed, same machine: same model.", least=0, most=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class Profile(Experiment):
    """An experiment with a name: every setting that a chapter needs, in one place that cannot change under it."""

    name: str
    short_run_sentences: int | None
    """``train_sentences`` where a part of the corpus is enough: for chapter 4, which looks at a model's scores, and for
    chapter 6, whose long run repeats the one of chapter 5."""
    by_loop: Mapping[str, Mapping] = field(default_factory=dict)
    """Settings that only one loop has: by its name (``trainer`` or ``accelerate``) the settings by theirs."""


PROFILES = {
    "quick": Profile(
        name="quick",
        corpus="newswire",
        checkpoint="minilm",
        train_sentences=None,
        short_run_sentences=800,
        epochs=3,
        batch_size=24,
        batching="tokens",
        eval_batch_size=64,
        learning_rate=5e-4,
        warmup_ratio=0.0,
        layer_decay=0.85,
        weight_decay=0.01,
        decayed="matrices",
        max_grad_norm=1.0,
        trim=True,
        byte_dropout=True,
        max_length=256,
        stride=64,
        seed=42,
    ),
    "full": Profile(
        name="full",
        corpus="conll2003",
        checkpoint="bert-base-cased",
        train_sentences=None,
        short_run_sentences=None,
        epochs=3,
        batch_size=8,
        batching="sentences",
        eval_batch_size=64,
        learning_rate=2e-5,
        warmup_ratio=0.0,
        layer_decay=1.0,
        weight_decay=0.01,
        decayed="matrices",
        max_grad_norm=1.0,
        trim=False,
        byte_dropout=False,
        max_length=512,
        stride=128,
        seed=42,
        # The original's own loop hands all parameters to AdamW and clips nothing; Trainer's defaults do both otherwise.
        by_loop={"accelerate": {"decayed": "all", "max_grad_norm": 0.0}},
    ),
}
PROFILES["fast"] = replace(
    PROFILES["full"],
    name="fast",
    batch_size=64,  # a budget of 1,024 tokens: a card waits for each launch, so few large steps are faster
    batching="tokens",
    learning_rate=5e-5,  # the highest of the rates that Devlin et al. (2019) searched for fine-tuning
    layer_decay=0.85,
    trim=True,
    byte_dropout=True,
    by_loop={},
)


def variable(name: str) -> str | None:
    """The value of an environment variable, ``None`` if it is not set.

    Raises:
        ValueError: it is set to nothing: what was meant cannot be known, and the default may be something else.
    """
    value = os.environ.get(name)
    if value is not None and not value.strip():
        raise ValueError(f"the environment variable {name} is set but empty; give it a value, or unset it")
    return value


def get_profile(name: str | None = None) -> Profile:
    """The active profile: ``name``, or the one in ``NER_TUTORIAL_PROFILE``, or ``quick``.

    ``NER_TUTORIAL_CORPUS`` and ``NER_TUTORIAL_CHECKPOINT`` replace its corpus and its checkpoint.

    Raises:
        ValueError: there is no profile of that name, or one of the variables is set and empty.
    """
    chosen = name or variable(PROFILE_VARIABLE) or "quick"
    if chosen not in PROFILES:
        where = "" if name else f" (from the environment variable {PROFILE_VARIABLE})"
        raise ValueError(f"unknown profile {chosen!r}{where}; choose one of: {', '.join(PROFILES)}")
    profile = PROFILES[chosen]
    return replace(
        profile,
        corpus=variable(CORPUS_VARIABLE) or profile.corpus,
        checkpoint=variable(CHECKPOINT_VARIABLE) or profile.checkpoint,
    )
