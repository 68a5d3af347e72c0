"""Compare ways of doing one thing: in one run, alternating, by the median of the ratio within each round."""

import gc
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import torch
import transformers

from ner_tutorial.corpus import take
from ner_tutorial.fast.precision import cpu_bf16_instructions, cpu_is_faster_in_bf16, detect_hardware


@dataclass(frozen=True)
class Ratio:
    """How many times faster than the baseline a variant was, over the rounds."""

    median: float
    lowest: float
    highest: float
    rounds: int


def summarise(ratios: list[float]) -> Ratio:
    return Ratio(round(statistics.median(ratios), 3), round(min(ratios), 3), round(max(ratios), 3), len(ratios))


def seconds(function: Callable[[], object]) -> float:
    gc.collect()  # the garbage of one side is not collected in the other's time
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def alternate(
    variants: Mapping[str, Callable[[], object]], rounds: int, measure: Callable[[Callable], float] | None = None
) -> dict[str, Ratio]:
    """Run every variant once a round, the first as the baseline, and compare within the round.

    Each variant runs once before, unmeasured: the first call compiles and fills caches. ``measure`` calls a variant
    and returns its seconds; default, ``seconds``.
    """
    measure = measure or seconds
    for function in variants.values():
        function()
    baseline = next(iter(variants))
    ratios: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        times = {name: measure(function) for name, function in variants.items()}
        for name, value in times.items():
            ratios[name].append(times[baseline] / value)
    return {name: summarise(values) for name, values in ratios.items()}


class Apart:
    """A function in a process of its own: ``make(...)`` makes it there, and each call calls it there.

    What one variant does to its process then meets no other: how the C library treats freed memory, for example, depends
    on what the process freed before.
    """

    def __init__(self, make: Callable[..., Callable], *arguments, **options):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, make, arguments, options), daemon=True)
        self.process.start()
        other.close()  # so that the end of the process ends the connection

    def __call__(self, *arguments):
        self.connection.send(arguments)
        return self.connection.recv()

    def close(self) -> None:
        self.connection.close()
        self.process.join()


def _serve(connection, make, arguments, options) -> None:
    function = make(*arguments, **options)
    while True:
        try:
            call = connection.recv()
        except EOFError:
            return
        connection.send(function(*call))
        gc.collect()


def part_of(corpus, train: int | None, others: int):
    """The first sentences of each split: ``train`` of the training split (``None`` is all), ``others`` of the others."""
    return type(corpus)({split: take(corpus[split], train if split == "train" else others) for split in corpus})


def as_rows(ratios: Mapping[str, Ratio]) -> dict[str, dict]:
    return {name: asdict(ratio) for name, ratio in ratios.items()}


def machine() -> dict:
    """What the figures belong to."""
    hardware = detect_hardware()
    return {
        "processor": hardware.name,
        "device": hardware.device,
        "bf16_instructions": ", ".join(cpu_bf16_instructions()) or "none",
        "faster_in_bf16": cpu_is_faster_in_bf16(),
        "threads": hardware.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
