"""What the notebooks need to run alone, from any state and in any order.

Taught nowhere: plumbing. Runs and models that chapters make lie in the user's cache, never in the checkout.
"""

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from ner_tutorial.files import new_folder
from ner_tutorial.profiles import Profile, get_profile, variable

CACHE_VARIABLE = "NER_TUTORIAL_CACHE"


def cache_folder() -> Path:
    """The folder for runs that chapters make: ``NER_TUTORIAL_CACHE``, or ``ner-tutorial`` in the user's cache."""
    given = variable(CACHE_VARIABLE)
    base = (
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    )  # an empty one counts as not set, by its definition
    return Path(given).expanduser() if given else Path(base) / "ner-tutorial"


def chapter_folder(name: str) -> Path:
    """An empty folder for the chapter ``name``. What the same chapter left there before is deleted."""
    folder = cache_folder() / "chapters" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _key(profile: Profile) -> str:
    from ner_tutorial import __version__
    from ner_tutorial.corpus import load_corpus
    from ner_tutorial.encoders import local_folder
    from ner_tutorial.fast.precision import detect_hardware
    from ner_tutorial.model_folder import fingerprint
    from ner_tutorial.training.run_folder import corpus_fingerprint

    content = [
        asdict(profile),
        corpus_fingerprint(load_corpus(profile.corpus)),
        fingerprint(local_folder(profile.checkpoint)),
        __version__,
        detect_hardware().precision,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def trained_model(profile: Profile | None = None):
    """The model of a profile: the one kept from an earlier run with the same settings, or one trained now.

    Returns:
        A ``TrainingResult``. It says what it does, on one line, because training takes a while.
    """
    from ner_tutorial.training import load_result, train_with_accelerate

    profile = profile or get_profile()
    folder = cache_folder() / "models" / _key(profile)
    try:
        result = load_result(folder)
        print("Using the model trained earlier with these settings.")
    except FileNotFoundError:
        print("No trained model with these settings yet: training one now.")
        # Two notebooks may train at once: each in a folder of its own; the first to finish is kept.
        scratch = cache_folder() / "models" / f"{folder.name}.{os.getpid()}"
        shutil.rmtree(scratch, ignore_errors=True)
        _keep(train_with_accelerate(scratch, profile=profile), folder)
        shutil.rmtree(scratch, ignore_errors=True)
        result = load_result(folder)
    return result


def kept_model(profile: Profile | None = None) -> Path | None:
    """The folder of the model that ``trained_model`` would use, or ``None`` where it would train one."""
    from ner_tutorial.training import load_result

    models = cache_folder() / "models"
    if not models.is_dir():
        return None  # said at once: the key below takes seconds
    folder = models / _key(profile or get_profile())
    try:
        load_result(folder)
    except FileNotFoundError:
        return None
    return folder


def remember_model(result, profile: Profile | None = None) -> None:
    """Keep a copy of a finished run for ``trained_model``, unless one is kept already."""
    _keep(result, cache_folder() / "models" / _key(profile or get_profile()))


def _keep(result, folder: Path) -> None:
    from ner_tutorial.training.run_folder import METRICS_FILE

    if (folder / METRICS_FILE).is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)  # what is there without its numbers is half a model
    leave_out = shutil.ignore_patterns("checkpoints")
    with (
        contextlib.suppress(OSError),
        new_folder(folder) as partial,
    ):  # another process may be faster, and its model as good
        shutil.copytree(result.model_dir, partial, ignore=leave_out, dirs_exist_ok=True)
