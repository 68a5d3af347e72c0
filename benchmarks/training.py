"""Training: sentences a second and F1 against the original recipe, with paired seeds."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from datasets import concatenate_datasets
from transformers import DataCollatorForTokenClassification, get_scheduler, set_seed

from benchmarks import plain
from benchmarks.common import Apart, alternate, as_rows, say, summarise
from benchmarks.steps import BUDGET, CHECKPOINT, Stepper, cpu_dtype, grouped_batches, newswire_rows
from ner_tutorial.batching import token_budget_batches
from ner_tutorial.checkpoints import load_model
from ner_tutorial.corpus import load_corpus, take
from ner_tutorial.dropout import use_byte_dropout
from ner_tutorial.embeddings import trim_embeddings
from ner_tutorial.evaluation import encode_for_evaluation, evaluate_model
from ner_tutorial.labels import CONLL_SCHEME, IGNORED_LABEL
from ner_tutorial.profiles import get_profile
from ner_tutorial.training import parameter_groups, train_with_accelerate, train_with_trainer

SENTENCES, EPOCHS = 800, 3
RECIPE_LEARNING_RATE = 3e-4
SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Way:
    """A way of making batches and weighing their labels; the rest is the recipe, made fast without changing it."""

    batches: Callable[[Sequence[int], int], list[list[int]]]
    """From row lengths and a seed to batches."""
    summed: bool
    """Divide the summed loss by one constant, instead of taking each batch's mean."""


WAYS = {
    "grouped by length, batches of 8, mean loss": Way(lambda lengths, seed: grouped_batches(lengths, 8, seed), False),
    "grouped by length, batches of 8, summed loss": Way(lambda lengths, seed: grouped_batches(lengths, 8, seed), True),
    f"budget of {4 * BUDGET} tokens, summed loss, same learning rate": Way(
        lambda lengths, seed: token_budget_batches(lengths, 4 * BUDGET, seed), True
    ),
}


def fit(way: Way, rows, tokenizer, epochs: int, seed: int):
    """Fine-tune in one way, and otherwise as the recipe, made fast: fused, trimmed, in the machine's fast format."""
    lengths = [len(row["input_ids"]) for row in rows]
    counted = sum(label != IGNORED_LABEL for row in rows for label in row["labels"])
    plans = [way.batches(lengths, 1000 * seed + epoch) for epoch in range(epochs)]
    set_seed(seed)
    model = load_model(CHECKPOINT, CONLL_SCHEME).train()
    trim_embeddings(model, rows)
    use_byte_dropout(model)
    collate = DataCollatorForTokenClassification(tokenizer)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), lr=RECIPE_LEARNING_RATE, fused=True)
    schedule = get_scheduler("linear", optimizer, 0, sum(map(len, plans)))
    step = Stepper(model, optimizer, None, cpu_dtype())
    started = time.perf_counter()
    for plan in plans:
        step.divisor = counted / len(plan) if way.summed else None
        for batch in plan:
            step(collate([rows[i] for i in batch]))
            schedule.step()
    return model.eval(), time.perf_counter() - started


def _last_checkpoint(run: Path) -> Path:
    return max((run / "checkpoints").iterdir(), key=lambda folder: int(folder.name.rsplit("-", 1)[1]))


def _held_out(tokenizer):
    """The validation and the test split together: no row of the table chooses anything by them."""
    corpus, profile = load_corpus("newswire"), get_profile("quick")
    both = concatenate_datasets([corpus["validation"], corpus["test"]])
    return encode_for_evaluation(both, tokenizer, CONLL_SCHEME, profile.max_length, profile.stride)


def _recipe(sentences: int, epochs: int) -> Callable[[int], tuple[float, float]]:
    tokenizer, rows = newswire_rows(sentences)
    held_out = _held_out(tokenizer)

    def run(seed: int) -> tuple[float, float]:
        model, spent = plain.train(rows, tokenizer, CHECKPOINT, epochs, RECIPE_LEARNING_RATE, seed)
        return evaluate_model(model, held_out, tokenizer).scores.f1, spent

    return run


def _loops() -> dict[str, Callable]:
    """The package's two training functions with the quick profile, in the machine's fast format and in float32."""
    functions = {"loop": train_with_accelerate, "Trainer": train_with_trainer}
    common = {"profile": get_profile("quick"), "progress": False}
    found = {name: partial(run, **common) for name, run in functions.items()}
    if cpu_dtype() is not None:
        found |= {f"{name}, float32": partial(run, precision="no", **common) for name, run in functions.items()}
    return found


def _training_corpus(sentences: int):
    """The loops validate after each epoch. Neither that nor saving is in their time; the recipe does neither."""
    corpus = load_corpus("newswire")
    return type(corpus)({split: take(corpus[split], sentences if split == "train" else 64) for split in corpus})


def _seconds_of_recipe(sentences: int) -> Callable[[], float]:
    tokenizer, rows = newswire_rows(sentences)
    return lambda: plain.train(rows, tokenizer, CHECKPOINT, 1, RECIPE_LEARNING_RATE, seed=1)[1]


def _seconds_of_loop(name: str, sentences: int) -> Callable[[], float]:
    run, corpus = _loops()[name], _training_corpus(sentences)

    def train() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return run(Path(folder) / "run", corpus=corpus, epochs=1).train_runtime_s

    return train


def whole_runs(sentences: int = SENTENCES, rounds: int = 5) -> dict:
    """The training seconds of the package's two functions against the recipe's: one epoch each, in turn.

    ``paired_seeds`` has ratios too, of runs that are minutes apart; a machine that changes its pace moves those.
    """
    runs = {"recipe": Apart(_seconds_of_recipe, sentences)}
    runs |= {name: Apart(_seconds_of_loop, name, sentences) for name in _loops()}
    ratios = as_rows(alternate(runs, rounds, measure=lambda run: run()))
    for run in runs.values():
        run.close()
    return {"sentences": sentences, "variants": ratios}


def paired_seeds(sentences: int = SENTENCES, epochs: int = EPOCHS, seeds=SEEDS) -> dict:
    """The recipe, the two loops of the package, and other ways of making batches: time ratio and F1, seed by seed.

    F1 is that of the last epoch's weights, in every row, on the validation and the test split together: twice the
    sentences halve the variance.
    """
    part, profile = _training_corpus(sentences), get_profile("quick")
    tokenizer, rows = newswire_rows(sentences)
    held_out = _held_out(tokenizer)
    # The loops set how their process treats freed memory, which the recipe does not.
    recipe = Apart(_recipe, sentences, epochs)
    loops = _loops()
    found: dict[str, dict[str, list[float]]] = {name: {"f1": [], "ratio": []} for name in ("recipe", *loops, *WAYS)}

    def note(name: str, f1: float, ratio: float) -> None:
        found[name]["f1"].append(f1)
        found[name]["ratio"].append(ratio)
        say(f"  seed {seed}, {name}: {ratio:.2f}x, F1 {f1:.4f}")

    def score(model) -> float:
        return evaluate_model(model, held_out, tokenizer).scores.f1

    for seed in seeds:
        f1, spent = recipe(seed)
        note("recipe", f1, 1.0)
        for name, run in loops.items():
            with tempfile.TemporaryDirectory() as folder:
                result = run(Path(folder) / "run", corpus=part, epochs=epochs, seed=seed)
                model = load_model(_last_checkpoint(result.model_dir), CONLL_SCHEME)
                note(name, score(model), spent / result.train_runtime_s)
        for name, way in WAYS.items():
            model, taken = fit(way, rows, tokenizer, epochs, seed)
            note(name, score(model), spent / taken)
    recipe.close()
    baseline = found["recipe"]["f1"]
    return {
        "sentences": sentences,
        "held_out_sentences": len(held_out.references),
        "epochs": epochs,
        "seeds": list(seeds),
        "recipe": {"batch_size": plain.BATCH_SIZE, "learning_rate": RECIPE_LEARNING_RATE},
        "package": {"batch_size": profile.batch_size, "learning_rate": profile.learning_rate},
        "variants": {
            name: {
                "ratio": asdict(summarise(values["ratio"])),
                "f1": [round(value, 4) for value in values["f1"]],
                "f1_mean": round(statistics.mean(values["f1"]), 4),
                "f1_gain": round(statistics.mean(values["f1"]) - statistics.mean(baseline), 4),
                "seeds_above_recipe": sum(a > b for a, b in zip(values["f1"], baseline, strict=True)),
            }
            for name, values in found.items()
        },
    }
