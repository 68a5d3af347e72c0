"""Training steps alone: one change at a time, where the time goes, how it grows, and memory."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import DataCollatorForTokenClassification, set_seed

from benchmarks import plain
from benchmarks.common import Apart, alternate, as_rows, say, seconds
from ner_tutorial.alignment import Encoder
from ner_tutorial.collation import (
    TOKENS_PER_SENTENCE,
    EpochBatches,
    padding_share,
    sentence_batches,
    token_budget_batches,
    token_loss,
    training_rows,
)
from ner_tutorial.corpus import load_corpus, take
from ner_tutorial.encoders import load_model, load_tokenizer
from ner_tutorial.fast import Hardware, parameter_groups, speed_up
from ner_tutorial.fast.precision import cpu_is_faster_in_bf16
from ner_tutorial.labels import CONLL_SCHEME, IGNORED_LABEL
from ner_tutorial.profiles import get_profile

CHECKPOINT = "minilm"
BUDGET = get_profile("quick").batch_size * TOKENS_PER_SENTENCE
"""Tokens a batch, as the quick profile has them."""
RECIPE_BUDGET = plain.BATCH_SIZE * TOKENS_PER_SENTENCE
"""A budget that makes no fewer steps than the recipe does."""
LARGER_BATCH = get_profile("quick").batch_size
"""Sentences per batch when the recipe has batches about as large as the package's."""


def newswire_rows(sentences: int):
    """The tokenizer, and so many training sentences as rows."""
    tokenizer = load_tokenizer(CHECKPOINT)
    train = take(load_corpus("newswire")["train"], sentences)
    profile = get_profile("quick")
    return tokenizer, training_rows(train, Encoder(tokenizer, CONLL_SCHEME, profile.max_length, profile.stride))


def grouped_batches(lengths: Sequence[int], batch_size: int, seed: int, chunk: int = 400) -> list[list[int]]:
    """Batches of equally many rows of similar length: what ``group_by_length`` means in Trainer."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    chunks = [sorted(order[i : i + chunk], key=lengths.__getitem__) for i in range(0, len(order), chunk)]
    batches = [part[i : i + batch_size] for part in chunks for i in range(0, len(part), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


class Stepper:
    """A model with its optimiser: a call takes one training step on one batch.

    The loss is divided by ``divisor``, or is the batch's mean if that is ``None``.
    """

    def __init__(self, model, optimizer, divisor: float | None, dtype: torch.dtype | None, forward=None):
        self.model, self.optimizer, self.divisor, self.dtype = model, optimizer, divisor, dtype
        self.forward = model if forward is None else forward
        self.device = model.device
        # float16 needs its gradients scaled, or the small ones become 0.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16)

    def __call__(self, batch) -> None:
        inputs = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        labels = inputs.pop("labels")
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            logits = self.forward(**inputs).logits
        self.scaler.scale(token_loss(logits, labels, self.divisor)).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()


class Epoch:
    """One epoch of training steps over fixed batches, for timing alone; a call returns when the device has finished."""

    def __init__(
        self,
        rows,
        tokenizer,
        batches,
        *,
        make_model: Callable = lambda: load_model(CHECKPOINT, CONLL_SCHEME),
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        fused: bool = False,
        trim: bool = False,
        byte_dropout: bool = False,
        summed: bool = False,
        compiled: bool = False,
    ):
        set_seed(0)
        model = make_model()
        self.fast = contextlib.ExitStack()  # never left: the process ends with the measurement
        hardware = Hardware(device, "", "no", torch.get_num_threads())
        self.fast.enter_context(speed_up(model, rows, hardware, trim=trim, byte_dropout=byte_dropout))
        model.to(device).train()
        collate = DataCollatorForTokenClassification(tokenizer)
        self.batches = [collate([rows[i] for i in batch]) for batch in batches]
        counted = sum(int((batch["labels"] != IGNORED_LABEL).sum()) for batch in self.batches)
        self.step = Stepper(
            model,
            torch.optim.AdamW(parameter_groups(model, 0.01, 1e-5), fused=fused or None),
            counted / len(batches) if summed else None,
            dtype,
            torch.compile(model, dynamic=True) if compiled else None,
        )

    def __call__(self) -> None:
        for batch in self.batches:
            self.step(batch)
        if self.step.device.type == "cuda":
            torch.cuda.synchronize()


def cpu_dtype() -> torch.dtype | None:
    """What mixed precision computes in on this processor; ``None`` where float32 is the fastest."""
    return torch.bfloat16 if cpu_is_faster_in_bf16() else None


FLOAT32 = {"fused": True, "trim": True, "byte_dropout": True, "summed": True}


def fast() -> dict:
    """The options of the fast step on this processor."""
    return {**FLOAT32, "dtype": cpu_dtype()}


def _epoch(sentences: int, batches, **options) -> Epoch:
    """For a process of its own: what it needs is made there."""
    tokenizer, rows = newswire_rows(sentences)
    return Epoch(rows, tokenizer, batches, **options)


def one_change_at_a_time(sentences: int = 240, rounds: int = 5) -> dict:
    """From the recipe's training step to the fast one, a change at a time: ratio to the recipe, and share of padding."""
    _, rows = newswire_rows(sentences)
    lengths = [len(row["input_ids"]) for row in rows]
    eight = sentence_batches(len(rows), plain.BATCH_SIZE, 0)
    grouped = grouped_batches(lengths, plain.BATCH_SIZE, 0)
    many_steps = token_budget_batches(lengths, RECIPE_BUDGET, 0)
    budget = token_budget_batches(lengths, BUDGET, 0)
    # A change that starts with a plus sign comes on top of the ones before it.
    changes = {
        "+ fused AdamW": "fused",
        "+ unused rows left out": "trim",
        "+ one random byte per number in dropout": "byte_dropout",
    }
    settings: dict[str, tuple[list, dict]] = {"recipe": (eight, {})}
    so_far: dict = {}
    for name, option in changes.items():
        so_far = {**so_far, option: True}
        settings[name] = (eight, so_far)
    settings[f"+ budget of {RECIPE_BUDGET} tokens, summed loss"] = (many_steps, FLOAT32)
    if cpu_dtype() is not None:
        settings["+ bfloat16"] = (many_steps, fast())
    settings |= {
        f"+ budget of {BUDGET} tokens": (budget, fast()),
        "grouped by length alone": (grouped, {}),
        f"batches of {LARGER_BATCH} alone": (sentence_batches(len(rows), LARGER_BATCH, 0), {}),
        "bfloat16 alone": (eight, {"dtype": torch.bfloat16}),
    }
    variants = {name: Apart(_epoch, sentences, batches, **how) for name, (batches, how) in settings.items()}
    ratios = as_rows(alternate(variants, rounds))
    for name, (batches, _) in settings.items():
        variants[name].close()
        ratios[name]["padding"] = round(padding_share(lengths, batches), 3)
        ratios[name]["steps"] = len(batches)
    return {"sentences": sentences, "variants": ratios}


def compiling(sentences: int = 120, rounds: int = 3) -> dict:
    """``torch.compile`` with dynamic shapes on the fast step: seconds to compile, and the ratio afterwards."""
    if shutil.which("g++") is None:
        return {"skipped": "torch.compile needs a C++ compiler, and g++ is not installed"}
    tokenizer, rows = newswire_rows(sentences)
    batches = token_budget_batches([len(row["input_ids"]) for row in rows], BUDGET, 0)
    compiled = Epoch(rows, tokenizer, batches, **fast(), compiled=True)
    first = seconds(compiled)
    ratios = as_rows(alternate({"fast step": Epoch(rows, tokenizer, batches, **fast()), "compiled": compiled}, rounds))
    return {"compile_seconds": round(first), "variants": ratios}


# ------------------------------------------------------------------------------------------------ where the time goes

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


def _profiled(sentences: int, batches, **options) -> Callable[[], dict[str, float]]:
    epoch = _epoch(sentences, batches, **options)

    def shares() -> dict[str, float]:
        epoch()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            epoch()
        times = dict.fromkeys(["matrix products", "optimiser", "dropout", "gradient clipping", "everything else"], 0.0)
        for event in profile.events():
            times[_kind(event)] += event.self_cpu_time_total
        return {kind: round(time / sum(times.values()), 3) for kind, time in times.items()}

    return shares


def breakdown(sentences: int = 96) -> dict:
    """Shares of the processor's time by kind of operation, in the recipe's step and in the fast one (profiler)."""
    lengths = [len(row["input_ids"]) for row in newswire_rows(sentences)[1]]
    steps = {
        "recipe": Apart(_profiled, sentences, sentence_batches(len(lengths), plain.BATCH_SIZE, 0)),
        "fast": Apart(_profiled, sentences, token_budget_batches(lengths, BUDGET, 0), **fast()),
    }
    shares = {name: step() for name, step in steps.items()}
    for step in steps.values():
        step.close()
    return {"shares": shares}


def growth(sizes=(150, 300, 600), lengths=(16, 32, 64, 128, 256), rounds: int = 3) -> dict:
    """Seconds an epoch over corpus sizes, and seconds a step over row lengths, each against the smallest."""
    tokenizer, rows = newswire_rows(max(sizes))

    def epoch(count: int) -> Epoch:
        part = rows[:count]
        sampler = EpochBatches([len(row["input_ids"]) for row in part], get_profile("quick").batch_size, 1, 0)
        return Epoch(part, tokenizer, list(sampler), **fast())

    def rows_of(tokens: int) -> Epoch:
        word = rows[0]["input_ids"][1]
        row = {"input_ids": [word] * tokens, "attention_mask": [1] * tokens, "labels": [0] * tokens}
        return Epoch([row] * 8, tokenizer, [list(range(8))] * 3, **fast())

    by_size = alternate({str(size): epoch(size) for size in sizes}, rounds)
    by_length = alternate({str(tokens): rows_of(tokens) for tokens in lengths}, rounds)
    return {
        "by_sentences": {name: round(1 / ratio.median, 3) for name, ratio in by_size.items()},
        "by_row_length": {name: round(1 / ratio.median, 3) for name, ratio in by_length.items()},
    }


# ------------------------------------------------------------------------------------------------------------- memory


def _memory_mb(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (the most so far) of this process; Linux only."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/self/status has no {field}")


MEMORY = {
    "recipe": ("eight", {}),
    "recipe, batches of 64": ("sixty-four", {}),
    "fast": ("budget", {}),
    "fast, every row learns": ("budget", {"trim": False}),
}
"""What each measurement of memory trains: its batches, and what differs from the fast step's options."""


def peak_of(name: str) -> float:
    """Train one epoch in this process; how much its peak memory lies above what the imports and the rows took, in MB."""
    tokenizer, rows = newswire_rows(160)
    before = _memory_mb("VmRSS")
    kind, changed = MEMORY[name]
    batches = {
        "eight": lambda: sentence_batches(len(rows), plain.BATCH_SIZE, 0),
        "sixty-four": lambda: sentence_batches(len(rows), 64, 0),
        "budget": lambda: token_budget_batches([len(row["input_ids"]) for row in rows], BUDGET, 0),
    }[kind]()
    Epoch(rows, tokenizer, batches, **({**fast(), **changed} if kind == "budget" else {}))()
    return _memory_mb("VmHWM") - before


def memory() -> dict:
    """Peak memory of a training epoch in each way, a fresh process each."""
    if not Path("/proc/self/status").exists():
        return {"skipped": "the peak of a process is read from /proc, which only Linux has"}
    found = {}
    for name in MEMORY:
        code = f"from benchmarks.steps import peak_of; print(peak_of({name!r}))"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        found[name] = round(float(done.stdout.split()[-1]))
        say(f"  memory, {name}: {found[name]} MB")
    return {"mb": found}
