"""The two settings of the book: ``quick`` for a laptop, ``full`` for the original experiment on a GPU.

Taught in the introduction. A profile is read by every chapter; no chapter asks for its name.
"""

import os
from dataclasses import dataclass, replace

PROFILE_VARIABLE = "NER_TUTORIAL_PROFILE"
CORPUS_VARIABLE = "NER_TUTORIAL_CORPUS"
CHECKPOINT_VARIABLE = "NER_TUTORIAL_CHECKPOINT"


@dataclass(frozen=True)
class Profile:
    """Every setting that a chapter needs, in one place that cannot change under it."""

    name: str
    corpus: str
    """A name or folder for ``load_corpus``."""
    checkpoint: str
    """A name or folder for ``load_tokenizer`` and ``load_model``."""
    train_sentences: int | None
    """Use only the first so many training sentences; ``None`` uses all."""
    short_run_sentences: int | None
    """The same where a part of the corpus is enough: for chapter 4, which looks at a model's scores, and for chapter 6, whose
    long run repeats the one of chapter 5."""
    epochs: int
    batch_size: int
    """Sentences a training batch."""
    eval_batch_size: int
    """Sentences a batch where nothing is learned."""
    learning_rate: float
    """The peak of the schedule, for the head."""
    warmup_ratio: float
    """The share of the steps over which the learning rate rises from 0."""
    layer_decay: float
    """Each layer's learning rate as a share of the rate of the layer above it, from the head down; 1.0 is one for all."""
    weight_decay: float
    max_grad_norm: float
    """Gradients are scaled down to this norm when theirs is larger."""
    max_length: int
    """The longest row for the model, in tokens; a longer sentence becomes several overlapping windows."""
    stride: int
    """The overlap of two windows, in tokens."""
    seed: int


PROFILES = {
    "quick": Profile(
        name="quick",
        corpus="newswire",
        checkpoint="minilm",
        train_sentences=None,
        short_run_sentences=800,
        epochs=3,
        batch_size=24,
        eval_batch_size=64,
        learning_rate=5e-4,
        warmup_ratio=0.0,
        layer_decay=0.85,
        weight_decay=0.01,
        max_grad_norm=1.0,
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
        eval_batch_size=64,
        learning_rate=2e-5,
        warmup_ratio=0.0,
        layer_decay=1.0,
        weight_decay=0.01,
        max_grad_norm=1.0,
        max_length=512,
        stride=128,
        seed=42,
    ),
}


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
