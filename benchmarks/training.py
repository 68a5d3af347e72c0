"""Training: time and F1 against the original recipe. Time is taken in turns, F1 over paired seeds."""

import math
import queue
import statistics
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from transformers import DataCollatorForTokenClassification, get_scheduler, set_seed

from benchmarks import plain
from benchmarks.common import Apart, alternate, as_rows, part_of, say
from benchmarks.steps import CHECKPOINT, RECIPE_BUDGET, Stepper, cpu_dtype, grouped_batches, newswire_rows
from ner_tutorial.collation import EpochBatches, sentence_batches, token_budget_batches
from ner_tutorial.corpus import load_corpus
from ner_tutorial.encoders import load_model
from ner_tutorial.evaluation import encode_for_evaluation, evaluate_model
from ner_tutorial.fast import detect_hardware, parameter_groups, speed_up
from ner_tutorial.labels import CONLL_SCHEME, IGNORED_LABEL
from ner_tutorial.profiles import Profile, get_profile
from ner_tutorial.training import train_with_accelerate, train_with_trainer

SENTENCES, EPOCHS = 800, 3
RECIPE_LEARNING_RATE = 3e-4
SEEDS = (1, 2, 3, 4, 5)
PACKAGE_SETTINGS = ("batch_size", "learning_rate", "warmup_ratio", "layer_decay")
"""What a record names of the profile that it was made with."""


@dataclass(frozen=True)
class Way:
    """A way of making batches and weighing their labels; the rest is the recipe, made fast without changing it."""

    batches: Callable[[Sequence[int], int], list[list[int]]]
    """From row lengths and a seed to batches."""
    summed: bool
    """Divide the summed loss by one constant, instead of taking each batch's mean."""
    learning_rate: float = RECIPE_LEARNING_RATE


WAYS = {
    "grouped by length, batches of 8, mean loss": Way(lambda lengths, seed: grouped_batches(lengths, 8, seed), False),
    "grouped by length, batches of 8, summed loss": Way(lambda lengths, seed: grouped_batches(lengths, 8, seed), True),
    f"budget of {4 * RECIPE_BUDGET} tokens, summed loss, same learning rate": Way(
        lambda lengths, seed: token_budget_batches(lengths, 4 * RECIPE_BUDGET, seed), True
    ),
}

LARGER = {
    "recipe, batches of 24": Way(lambda lengths, seed: sentence_batches(len(lengths), 24, seed), False),
    "recipe, batches of 24, rate 5e-4": Way(
        lambda lengths, seed: sentence_batches(len(lengths), 24, seed), False, 5e-4
    ),
}
"""The recipe with the quick profile's number of sentences per batch, at its own rate and at that profile's."""


def fit(way: Way, rows, tokenizer, epochs: int, seed: int, dtype: torch.dtype | None):
    """Fine-tune in one way, and otherwise as the recipe, made fast: fused, trimmed, in mixed precision if ``dtype`` says so.

    Returns the model and the number of steps.
    """
    lengths = [len(row["input_ids"]) for row in rows]
    counted = sum(label != IGNORED_LABEL for row in rows for label in row["labels"])
    plans = [way.batches(lengths, 1000 * seed + epoch) for epoch in range(epochs)]
    set_seed(seed)
    model = load_model(CHECKPOINT, CONLL_SCHEME).train()
    collate = DataCollatorForTokenClassification(tokenizer)
    with speed_up(model, rows, detect_hardware("no")):
        optimizer = torch.optim.AdamW(parameter_groups(model, 0.01, way.learning_rate, decayed="all"), fused=True)
        steps = sum(map(len, plans))
        schedule = get_scheduler("linear", optimizer, 0, steps)
        step = Stepper(model, optimizer, None, dtype)
        for plan in plans:
            step.divisor = counted / len(plan) if way.summed else None
            for batch in plan:
                step(collate([rows[i] for i in batch]))
                schedule.step()
    return model.eval(), steps


def _last_checkpoint(run: Path) -> Path:
    return max((run / "checkpoints").iterdir(), key=lambda folder: int(folder.name.rsplit("-", 1)[1]))


def _held_out(tokenizer):
    """The validation split: what these tables are for is choosing, and the test split must not take part in a choice."""
    validation, profile = load_corpus("newswire")["validation"], get_profile("quick")
    return encode_for_evaluation(validation, tokenizer, CONLL_SCHEME, profile.max_length, profile.stride)


def _loops() -> dict[str, Callable]:
    """The package's two training functions with the quick profile, in the machine's fast format and in float32."""
    functions = {"loop": train_with_accelerate, "Trainer": train_with_trainer}
    common = {"profile": get_profile("quick"), "progress": False}
    found = {name: partial(run, **common) for name, run in functions.items()}
    if cpu_dtype() is not None:
        found |= {f"{name}, float32": partial(run, precision="no", **common) for name, run in functions.items()}
    return found


def _training_corpus(sentences: int | None):
    """The loops validate after each epoch. Neither that nor saving is in their time; the recipe does neither."""
    return part_of(load_corpus("newswire"), sentences, 64)


def _seconds_of_recipe(sentences: int) -> Callable[[], float]:
    tokenizer, rows = newswire_rows(sentences)
    return lambda: plain.train(rows, tokenizer, CHECKPOINT, 1, RECIPE_LEARNING_RATE, seed=1)[1]


def _seconds_of_loop(name: str, sentences: int) -> Callable[[], float]:
    run, corpus = _loops()[name], _training_corpus(sentences)

    def train() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return run(Path(folder) / "run", corpus=corpus, epochs=1).train_runtime_s

    return train


def whole_runs(sentences: int = SENTENCES, rounds: int = 9) -> dict:
    """The training seconds of the package's two functions against the recipe's: one epoch each, in turn."""
    runs = {"recipe": Apart(_seconds_of_recipe, sentences)}
    runs |= {name: Apart(_seconds_of_loop, name, sentences) for name in _loops()}
    ratios = as_rows(alternate(runs, rounds, measure=lambda run: run()))
    for run in runs.values():
        run.close()
    return {"sentences": sentences, "variants": ratios}


def _with_one_rate(profile: Profile) -> Profile:
    """The same profile with the recipe's learning rate for all layers."""
    return replace(profile, learning_rate=RECIPE_LEARNING_RATE, layer_decay=1.0)


@dataclass(frozen=True)
class Loop:
    """A row of a table of F1: the package's loop with a profile, in a number format."""

    profile: Profile
    precision: str


def ways_of_batching() -> dict:
    """Ways of making batches against the recipe's, on a part of the corpus; the package's is the loop.

    Nothing but the batches differs. So few sentences make few steps an epoch, so the loop gets a budget with which it
    makes no fewer than the recipe.
    """
    profile = replace(_with_one_rate(get_profile("quick")), batch_size=plain.BATCH_SIZE, warmup_ratio=0.0)
    return _paired_seeds(SENTENCES, profile, {"loop": Loop(profile, _precision())}, list(WAYS))


def whole_corpus() -> dict:
    """The package's loop with the quick profile against the recipe, on all of its training sentences.

    Trainer is not trained here: it learns the same weights as the loop, bit for bit, as the tests check. Rows of their
    own have the recipe with larger batches, and the loop with the recipe's learning rate for all layers.
    """
    profile = get_profile("quick")
    loops = {"loop": Loop(profile, _precision())}
    if cpu_dtype() is not None:
        loops["loop, float32"] = Loop(profile, "no")
    loops["loop, one learning rate"] = Loop(_with_one_rate(profile), _precision())
    return _paired_seeds(profile.train_sentences, profile, loops, list(LARGER))


def _precision() -> str:
    return "no" if cpu_dtype() is None else "bf16"


def _trainer_of_rows(sentences: int | None, epochs: int, dtype: torch.dtype | None) -> Callable[..., tuple[float, int]]:
    """For a process of its own, with one thread: trains one row of a table with one seed; returns F1 and the steps.

    F1 is that of the last epoch's weights, in every row, with the best valid sequence of labels. ``dtype`` is that of
    the ways; a process that found it by timing would have others beside it.
    """
    torch.set_num_threads(1)
    part, (tokenizer, rows) = _training_corpus(sentences), newswire_rows(sentences)
    lengths = [len(row["input_ids"]) for row in rows]
    held_out = _held_out(tokenizer)

    def train(name: str, loop: Loop | None, seed: int) -> tuple[float, int]:
        if loop is not None:
            with tempfile.TemporaryDirectory() as folder:
                result = train_with_accelerate(
                    Path(folder) / "run", corpus=part, profile=loop.profile, precision=loop.precision, epochs=epochs,
                    seed=seed, progress=False,
                )  # fmt: skip
                model = load_model(_last_checkpoint(result.model_dir), CONLL_SCHEME)
            steps = epochs * len(EpochBatches(lengths, loop.profile.batch_size, epochs, seed))
        elif name == "recipe":
            model, _ = plain.train(rows, tokenizer, CHECKPOINT, epochs, RECIPE_LEARNING_RATE, seed)
            steps = epochs * math.ceil(len(rows) / plain.BATCH_SIZE)
        else:
            model, steps = fit((WAYS | LARGER)[name], rows, tokenizer, epochs, seed, dtype)
        return evaluate_model(model, held_out, tokenizer).scores.f1, steps

    return train


def _paired_seeds(sentences: int | None, profile: Profile, loops: dict[str, Loop], ways: Sequence[str] = ()) -> dict:
    """The recipe, loops of the package with the batches of ``profile``, and other ways of training: F1, seed by seed.

    F1 is no time: the runs go side by side, each in one thread of its own process.
    """
    names = ["recipe", *loops, *ways]
    jobs = [(seed, name) for name in names for seed in SEEDS]
    workers = [
        Apart(_trainer_of_rows, sentences, EPOCHS, cpu_dtype()) for _ in range(min(torch.get_num_threads(), len(jobs)))
    ]
    free: queue.SimpleQueue[Apart] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def run(job: tuple[int, str]) -> tuple[float, int]:
        seed, name = job
        worker = free.get()
        try:
            f1, steps = worker(name, loops.get(name), seed)
        finally:
            free.put(worker)
        say(f"  seed {seed}, {name}: F1 {f1:.4f}")
        return f1, steps

    with ThreadPoolExecutor(len(workers)) as pool:
        results = dict(zip(jobs, pool.map(run, jobs), strict=True))
    for worker in workers:
        worker.close()
    # For each row, five F1 and five numbers of steps.
    found = {name: list(zip(*(results[seed, name] for seed in SEEDS), strict=True)) for name in names}
    baseline, _ = found["recipe"]
    return {
        "sentences": len(_training_corpus(sentences)["train"]),
        "validation_sentences": len(load_corpus("newswire")["validation"]),
        "epochs": EPOCHS,
        "seeds": list(SEEDS),
        "recipe": {"batch_size": plain.BATCH_SIZE, "learning_rate": RECIPE_LEARNING_RATE},
        "package": {name: getattr(profile, name) for name in PACKAGE_SETTINGS},
        "variants": {
            name: {
                "steps": list(steps),
                "f1": [round(value, 4) for value in f1],
                "f1_mean": round(statistics.mean(f1), 4),
                "f1_gain": round(statistics.mean(f1) - statistics.mean(baseline), 4),
                "seeds_above_recipe": sum(a > b for a, b in zip(f1, baseline, strict=True)),
            }
            for name, (f1, steps) in found.items()
        },
    }
