"""Training: sentences a second and F1 against the original recipe, with paired seeds; and one change at a time."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from datasets import concatenate_datasets
from transformers import DataCollatorForTokenClassification, get_scheduler, set_seed

from benchmarks import plain
from benchmarks.common import alternate, as_rows, say, seconds, summarise
from ner_tutorial.batching import EpochBatches, padding_share, sentence_batches, token_budget_batches
from ner_tutorial.checkpoints import load_model, load_tokenizer
from ner_tutorial.corpus import load_corpus, take
from ner_tutorial.dropout import use_byte_dropout
from ner_tutorial.embeddings import trim_embeddings
from ner_tutorial.evaluation import encode_for_evaluation, evaluate_model
from ner_tutorial.hardware import cpu_is_faster_in_bf16
from ner_tutorial.labels import CONLL_SCHEME, IGNORED_LABEL
from ner_tutorial.profiles import get_profile
from ner_tutorial.training import parameter_groups, token_loss, train_with_accelerate, train_with_trainer, training_rows

CHECKPOINT = "minilm"
SENTENCES, EPOCHS = 800, 3
RECIPE_LEARNING_RATE = 3e-4
SEEDS = (1, 2, 3, 4, 5)
BUDGET = 160
"""Tokens: about as many as a random batch of 8 sentences holds without its padding."""


def newswire_rows(sentences: int):
    """The tokenizer, and so many training sentences as rows."""
    tokenizer = load_tokenizer(CHECKPOINT)
    train = take(load_corpus("newswire")["train"], sentences)
    profile = get_profile("quick")
    return tokenizer, training_rows(train, tokenizer, CONLL_SCHEME, profile.max_length, profile.stride)


def grouped_batches(lengths: Sequence[int], batch_size: int, seed: int, chunk: int = 400) -> list[list[int]]:
    """Batches of equally many rows of similar length: what ``group_by_length`` means in Trainer."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    chunks = [sorted(order[i : i + chunk], key=lengths.__getitem__) for i in range(0, len(order), chunk)]
    batches = [part[i : i + batch_size] for part in chunks for i in range(0, len(part), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


# ------------------------------------------------------------------------------------ paired seeds: time and F1


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
    mixed = cpu_is_faster_in_bf16()
    started = time.perf_counter()
    for plan in plans:
        divisor = counted / len(plan) if way.summed else None
        for batch in plan:
            tensors = collate([rows[i] for i in batch])
            labels = tensors.pop("labels")
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                logits = model(**tensors).logits
            token_loss(logits, labels, divisor).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return model.eval(), time.perf_counter() - started


def _last_checkpoint(run: Path) -> Path:
    return max((run / "checkpoints").iterdir(), key=lambda folder: int(folder.name.rsplit("-", 1)[1]))


def paired_seeds(sentences: int = SENTENCES, epochs: int = EPOCHS, seeds=SEEDS) -> dict:
    """The recipe, the two loops of the package, and other ways of making batches: time ratio and F1, seed by seed.

    F1 is that of the last epoch's weights, in every row, on the validation and the test split together: no row chooses
    anything by them, and twice the sentences halve the noise.
    """
    corpus = load_corpus("newswire")
    profile = get_profile("quick")
    tokenizer, rows = newswire_rows(sentences)
    held_out = encode_for_evaluation(
        concatenate_datasets([corpus["validation"], corpus["test"]]),
        tokenizer,
        CONLL_SCHEME,
        profile.max_length,
        profile.stride,
    )
    # The loops validate after each epoch. Neither that nor saving is in their time; the recipe does neither.
    part = type(corpus)({split: take(corpus[split], sentences if split == "train" else 64) for split in corpus})
    loops = {"loop": (train_with_accelerate, None), "Trainer": (train_with_trainer, None)}
    if cpu_is_faster_in_bf16():
        loops |= {"loop, float32": (train_with_accelerate, "no"), "Trainer, float32": (train_with_trainer, "no")}
    found: dict[str, dict[str, list[float]]] = {name: {"f1": [], "ratio": []} for name in ("recipe", *loops, *WAYS)}

    def note(name: str, model, ratio: float) -> None:
        found[name]["f1"].append(evaluate_model(model.eval(), held_out, tokenizer).scores.f1)
        found[name]["ratio"].append(ratio)
        say(f"  seed {seed}, {name}: {ratio:.2f}x, F1 {found[name]['f1'][-1]:.4f}")

    for seed in seeds:
        model, spent = plain.train(rows, tokenizer, CHECKPOINT, epochs, RECIPE_LEARNING_RATE, seed)
        note("recipe", model, 1.0)
        for name, (run, precision) in loops.items():
            with tempfile.TemporaryDirectory() as folder:
                result = run(
                    Path(folder) / "run",
                    corpus=part,
                    profile=replace(profile, train_sentences=None),
                    epochs=epochs,
                    seed=seed,
                    precision=precision,
                    progress=False,
                )
                note(name, load_model(_last_checkpoint(result.model_dir), CONLL_SCHEME), spent / result.train_runtime_s)
        for name, way in WAYS.items():
            model, taken = fit(way, rows, tokenizer, epochs, seed)
            note(name, model, spent / taken)
    recipe = found["recipe"]["f1"]
    return {
        "sentences": sentences,
        "held_out_sentences": len(held_out.references),
        "epochs": epochs,
        "seeds": list(seeds),
        "recipe": {"batch_size": plain.BATCH_SIZE, "learning_rate": RECIPE_LEARNING_RATE},
        "package": {"batch_size": profile.batch_size, "learning_rate": profile.learning_rate},
        "variants": {
            name: {
                "ratio": as_rows({"": summarise(values["ratio"])})[""],
                "f1": [round(value, 4) for value in values["f1"]],
                "f1_mean": round(statistics.mean(values["f1"]), 4),
                "f1_gain": round(statistics.mean(values["f1"]) - statistics.mean(recipe), 4),
                "seeds_above_recipe": sum(a > b for a, b in zip(values["f1"], recipe, strict=True)),
            }
            for name, values in found.items()
        },
    }


# ------------------------------------------------------------------------------------------ the time of a step alone


FAST = {"fused": True, "trim": True, "byte_dropout": True, "summed": True}


class Steps:
    """One epoch of training steps over fixed batches, for timing alone."""

    def __init__(
        self,
        rows,
        tokenizer,
        batches,
        *,
        fused: bool = False,
        bf16: bool = False,
        trim: bool = False,
        byte_dropout: bool = False,
        summed: bool = False,
        compiled: bool = False,
    ):
        set_seed(0)
        self.model = load_model(CHECKPOINT, CONLL_SCHEME).train()
        if trim:
            trim_embeddings(self.model, rows)
        if byte_dropout:
            use_byte_dropout(self.model)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, 0.01), lr=3e-5, fused=fused or None)
        collate = DataCollatorForTokenClassification(tokenizer)
        self.batches = [collate([rows[i] for i in batch]) for batch in batches]
        counted = sum(int((batch["labels"] != IGNORED_LABEL).sum()) for batch in self.batches)
        self.divisor = counted / len(batches) if summed else None
        self.bf16 = bf16
        self.forward = torch.compile(self.model, dynamic=True) if compiled else self.model

    def __call__(self) -> None:
        for batch in self.batches:
            inputs = {name: value for name, value in batch.items() if name != "labels"}
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                logits = self.forward(**inputs).logits
            token_loss(logits, batch["labels"], self.divisor).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()


def one_change_at_a_time(sentences: int = 240, rounds: int = 5) -> dict:
    """From the recipe's training step to the fast one, a change at a time: ratio to the recipe, and share of padding."""
    tokenizer, rows = newswire_rows(sentences)
    lengths = [len(row["input_ids"]) for row in rows]
    eight = sentence_batches(len(rows), plain.BATCH_SIZE, 0)
    grouped = grouped_batches(lengths, plain.BATCH_SIZE, 0)
    budget = token_budget_batches(lengths, BUDGET, 0)
    double = token_budget_batches(lengths, 2 * BUDGET, 0)
    mixed = {"bf16": True} if cpu_is_faster_in_bf16() else {}
    # A change that starts with a plus sign comes on top of the ones before it.
    settings = {
        "recipe": (eight, {}),
        "+ fused AdamW": (eight, {"fused": True}),
        "+ unused rows left out": (eight, {"fused": True, "trim": True}),
        "+ one random byte a number in dropout": (eight, {"fused": True, "trim": True, "byte_dropout": True}),
        f"+ budget of {BUDGET} tokens, summed loss": (budget, FAST),
    }
    if mixed:
        settings["+ bfloat16"] = (budget, {**FAST, **mixed})
    settings |= {
        f"the same with a budget of {2 * BUDGET} tokens": (double, {**FAST, **mixed}),
        "grouped by length alone": (grouped, {}),
        "bfloat16 alone": (eight, {"bf16": True}),
    }
    variants = {name: Steps(rows, tokenizer, batches, **how) for name, (batches, how) in settings.items()}
    ratios = as_rows(alternate(variants, rounds))
    for name, (batches, _) in settings.items():
        ratios[name]["padding"] = round(padding_share(lengths, batches), 3)
        ratios[name]["steps"] = len(batches)
    return {"sentences": sentences, "variants": ratios}


def compiling(sentences: int = 120, rounds: int = 3) -> dict:
    """``torch.compile`` with dynamic shapes on the fast step: seconds to compile, and the ratio afterwards."""
    if shutil.which("g++") is None:
        return {"skipped": "torch.compile needs a C++ compiler, and g++ is not installed"}
    tokenizer, rows = newswire_rows(sentences)
    batches = token_budget_batches([len(row["input_ids"]) for row in rows], BUDGET, 0)
    how = {**FAST, "bf16": cpu_is_faster_in_bf16()}
    compiled = Steps(rows, tokenizer, batches, **how, compiled=True)
    first = seconds(compiled)
    ratios = as_rows(alternate({"fast step": Steps(rows, tokenizer, batches, **how), "compiled": compiled}, rounds))
    return {"compile_seconds": round(first), "variants": ratios}


KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::_scaled_dot_product", "mkldnn"),
    "dropout": ("aten::bernoulli", "aten::random", "aten::dropout", "aten::native_dropout"),
    "gradient clipping": ("aten::linalg_vector_norm",),
}


def _kind(event) -> str:
    """What an operation of the profile is for. What the optimiser calls is the optimiser's, whatever it is."""
    parent = event
    while parent is not None:
        if parent.name.startswith("Optimizer.step"):
            return "optimiser"
        parent = parent.cpu_parent
    return next((kind for kind, names in KINDS.items() if event.name.startswith(names)), "everything else")


def breakdown(sentences: int = 96) -> dict:
    """Shares of the processor's time by kind of operation, in the recipe's step and in the fast one (profiler)."""
    tokenizer, rows = newswire_rows(sentences)
    lengths = [len(row["input_ids"]) for row in rows]
    fast = {**FAST, "bf16": cpu_is_faster_in_bf16()}
    steps = {
        "recipe": Steps(rows, tokenizer, sentence_batches(len(rows), plain.BATCH_SIZE, 0)),
        "fast": Steps(rows, tokenizer, token_budget_batches(lengths, BUDGET, 0), **fast),
    }
    shares = {}
    for name, step in steps.items():
        step()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            step()
        times = dict.fromkeys(["matrix products", "optimiser", "dropout", "gradient clipping", "everything else"], 0.0)
        for event in profile.events():
            times[_kind(event)] += event.self_cpu_time_total
        shares[name] = {kind: round(time / sum(times.values()), 3) for kind, time in times.items()}
    return {"shares": shares}


def growth(sizes=(150, 300, 600), lengths=(16, 32, 64, 128, 256), rounds: int = 3) -> dict:
    """Seconds an epoch over corpus sizes, and seconds a step over row lengths, each against the smallest."""
    tokenizer, rows = newswire_rows(max(sizes))
    how = {**FAST, "bf16": cpu_is_faster_in_bf16()}

    def epoch(count: int) -> Steps:
        part = rows[:count]
        sampler = EpochBatches([len(row["input_ids"]) for row in part], 8, 1, 0)
        return Steps(part, tokenizer, list(sampler), **how)

    def rows_of(tokens: int) -> Steps:
        word = rows[0]["input_ids"][1]
        row = {"input_ids": [word] * tokens, "attention_mask": [1] * tokens, "labels": [0] * tokens}
        return Steps([row] * 8, tokenizer, [list(range(8))] * 3, **how)

    by_size = alternate({str(size): epoch(size) for size in sizes}, rounds)
    by_length = alternate({str(tokens): rows_of(tokens) for tokens in lengths}, rounds)
    return {
        "by_sentences": {name: round(1 / ratio.median, 3) for name, ratio in by_size.items()},
        "by_row_length": {name: round(1 / ratio.median, 3) for name, ratio in by_length.items()},
    }


# ----------------------------------------------------------------------------------------------------------- memory


def _memory_mb(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (the most so far) of this process; Linux only."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/self/status has no {field}")


def peak_of(name: str) -> float:
    """Train one epoch in this process; how much its peak memory lies above what the imports and the rows took, in MB."""
    tokenizer, rows = newswire_rows(160)
    before = _memory_mb("VmRSS")
    lengths = [len(row["input_ids"]) for row in rows]
    fast = {**FAST, "bf16": cpu_is_faster_in_bf16()}
    step = {
        "recipe": lambda: Steps(rows, tokenizer, sentence_batches(len(rows), plain.BATCH_SIZE, 0)),
        "recipe, batches of 64": lambda: Steps(rows, tokenizer, sentence_batches(len(rows), 64, 0)),
        "fast": lambda: Steps(rows, tokenizer, token_budget_batches(lengths, BUDGET, 0), **fast),
        "fast, every row learns": lambda: Steps(
            rows, tokenizer, token_budget_batches(lengths, BUDGET, 0), **{**fast, "trim": False}
        ),
    }[name]()
    step()
    return _memory_mb("VmHWM") - before


def memory() -> dict:
    """Peak memory of a training epoch in each way, a fresh process each."""
    if not Path("/proc/self/status").exists():
        return {"skipped": "the peak of a process is read from /proc, which only Linux has"}
    found = {}
    for name in ("recipe", "recipe, batches of 64", "fast", "fast, every row learns"):
        code = f"from benchmarks.training import peak_of; print(peak_of({name!r}))"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        found[name] = round(float(done.stdout.split()[-1]))
        say(f"  memory, {name}: {found[name]} MB")
    return {"mb": found}
