"""Fine-tune an encoder for NER, once with ``Trainer`` and once with a loop of our own on Accelerate.

Taught in chapter 5 (``trainer``) and chapter 6 (``loop``). Both take the same settings, see the same batches, choose the
best epoch by validation F1, and score the test split once, at the end. In the order of a run: ``settings``,
``run_folder``, ``checkpoints``, ``preparation``, one of the two loops, and ``results``.

The names below are the public ones. They are loaded when first used: the command line reads the settings alone.
"""

from importlib import import_module

_PUBLIC = {
    "TrainingSettings": "training.settings",
    "resolve": "training.settings",
    "DivergedError": "training.results",
    "EpochMetrics": "training.results",
    "TrainingResult": "training.results",
    "load_result": "training.results",
    "train_with_accelerate": "training.loop",
    "train_with_trainer": "training.trainer",
    "token_loss": "collation",
    "training_rows": "collation",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"ner_tutorial.{_PUBLIC[name]}"), name)
