"""What the machine offers, and what training makes of it: device, precision, threads.

Taught in chapter 5 (the choice) and chapter 10 (why the number format is timed).
"""

import functools
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "no": torch.float32}
"""By the name of a precision, the number format that matrix products compute in."""


def autocast_dtype(precision: str) -> torch.dtype:
    """The number format of a precision: ``bf16``, ``fp16`` or ``no`` (float32).

    Raises:
        ValueError: there is no precision of that name.
    """
    if precision not in PRECISIONS:
        *others, last = PRECISIONS
        raise ValueError(f"unknown precision {precision!r}; choose {', '.join(others)} or {last}")
    return PRECISIONS[precision]


@dataclass(frozen=True)
class Hardware:
    """The choices that depend on the machine and not on the experiment."""

    device: str
    """``cuda``, ``mps`` or ``cpu``."""
    name: str
    """The processor or card, as it calls itself."""
    precision: str
    """``bf16``, ``fp16`` or ``no``: the number format of the matrix products in training."""
    threads: int
    """Processor threads that PyTorch uses."""

    def describe(self) -> str:
        name = str(PRECISIONS[self.precision]).removeprefix("torch.")
        mixed = "" if self.precision == "no" else " mixed precision"
        return f"{self.device} ({self.name}), {name}{mixed}, {self.threads} threads"


def cpu_bf16_instructions() -> tuple[str, ...]:
    """The processor's instructions for bfloat16 products: some of ``AVX512-BF16`` and ``AMX``."""
    # There is no public query; torch's own mkldnn path asks the same two functions.
    checks = {"AVX512-BF16": "_is_avx512_bf16_supported", "AMX": "_is_amx_tile_supported"}
    return tuple(name for name, check in checks.items() if getattr(torch.cpu, check, lambda: False)())


@functools.cache
def cpu_is_faster_in_bf16() -> bool:
    """True if the processor multiplies bfloat16 matrices clearly faster than float32 ones.

    Having the instructions is not enough: some processors with AVX512-BF16, and without AMX, take twice as long for a
    product in bfloat16. So where there are instructions, a product of an encoder's size is timed in both formats, once
    a program.
    """
    if not cpu_bf16_instructions():
        return False
    rows, weight = torch.ones(256, 384), torch.ones(1536, 384)

    def seconds(dtype) -> float:
        a, b = rows.to(dtype), weight.to(dtype)
        started = time.perf_counter()
        torch.nn.functional.linear(a, b)
        return time.perf_counter() - started

    # The best of several: a busy machine delays some calls, and the very first ones prepare code.
    times = [(seconds(torch.float32), seconds(torch.bfloat16)) for _ in range(12)]
    float32, bfloat16 = (min(column) for column in zip(*times, strict=True))
    # Mixed precision converts the weights at every step: a small gain in the product alone would be none.
    return bfloat16 < 0.75 * float32


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as info:
            names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def fast_precision(device: str) -> str:
    """The number format that a kind of device is fast in: ``bf16``, ``fp16`` or ``no`` (float32).

    Args:
        device: ``cuda``, ``mps`` or ``cpu``.
    """
    if device == "cuda":
        # is_bf16_supported() also counts emulation, which is slower than fp16; units came with compute capability 8.
        return "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp16"
    return "bf16" if device == "cpu" and cpu_is_faster_in_bf16() else "no"


def reading_precision(device: str) -> str:
    """The number format for the weights of a model that only reads: ``bf16``, ``fp16`` or ``no`` (float32).

    A graphics card is as fast in float16 as in bfloat16, and float16 has three more binary digits, so that fewer
    near ties come out otherwise than in float32. Its range is too small only for gradients, which reading does not have.

    Args:
        device: ``cuda``, ``mps`` or ``cpu``.
    """
    return "fp16" if device == "cuda" else fast_precision(device)


def faster_precision(model, batches: Sequence[Mapping], hardware: Hardware, rounds: int = 3) -> tuple[str, float]:
    """The faster number format for training steps of this size: float32, or the one that the device is fast in.

    Large products gain from fewer digits. In small batches the conversions can cost more than that, so a few real steps
    are timed both ways, in turns. Weights and random states are afterwards as they were.

    Args:
        model: a Transformers model, on the device.
        batches: padded batches with ``labels``, on the device.
        hardware: its ``precision`` is the format that is compared with float32.

    Returns:
        (precision, ratio): ``no`` or ``hardware.precision``; seconds in float32 by seconds in the other format.
    """
    if hardware.precision == "no":
        return "no", 1.0

    def seconds(precision: str) -> float:
        started = time.perf_counter()
        for batch in batches:
            with torch.autocast(hardware.device, autocast_dtype(precision), enabled=precision != "no"):
                loss = model(**batch).loss
            loss.backward()
            model.zero_grad()  # no optimiser steps, so the weights stay
        if hardware.device == "cuda":
            torch.cuda.synchronize()  # the steps were only asked for until now
        return time.perf_counter() - started

    training = model.training
    model.train()
    with torch.random.fork_rng():
        seconds("no"), seconds(hardware.precision)  # the first call of each prepares code
        ratios = [seconds("no") / seconds(hardware.precision) for _ in range(rounds)]
    model.train(training)
    ratio = statistics.median(ratios)  # of pairs, because a machine's pace changes from minute to minute
    # A gain within what timing varies by is none, and float32 is the simpler choice.
    return (hardware.precision if ratio > 1.05 else "no"), ratio


def loading_ahead(hardware: Hardware) -> dict:
    """Options for a ``DataLoader`` that has a batch ready when a graphics card asks for it; none for other devices.

    Two workers pad the rows, and pinned memory can be copied while the card computes.
    """
    if hardware.device != "cuda":
        return {}
    # The workers are forked, and the tokenizers library would warn of that in each of them unless this is set.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    return {"num_workers": 2, "persistent_workers": True, "pin_memory": True}


def detect_hardware(precision: str | None = None) -> Hardware:
    """The device to train on and the precision it is fast in. ``precision`` overrides the second.

    Raises:
        ValueError: ``precision`` is not ``bf16``, ``fp16`` or ``no``, or is ``fp16`` on a CPU, which has no units for it.
    """
    if precision is not None:
        autocast_dtype(precision)
    if torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "").lower() not in ("1", "true", "yes"):
        device, name = "cuda", torch.cuda.get_device_name()
    elif torch.backends.mps.is_available() and not os.environ.get("ACCELERATE_USE_CPU"):
        device, name = "mps", "Apple GPU"
    else:
        device, name = "cpu", _cpu_name()
    if device == "cpu" and precision == "fp16":
        raise ValueError("fp16 is for GPUs; on a processor choose bf16 or no")
    # fast_precision may time the processor, so it is asked only where nobody has chosen.
    return Hardware(device, name, precision or fast_precision(device), torch.get_num_threads())
