"""What the machine offers, and what training makes of it: device, precision, threads.

Taught in chapter 5.
"""

import os
from dataclasses import dataclass
from pathlib import Path


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
        format_ = {"bf16": "bfloat16 mixed precision", "fp16": "float16 mixed precision", "no": "float32"}[
            self.precision
        ]
        return f"{self.device} ({self.name}), {format_}, {self.threads} threads"


def cpu_has_bf16() -> bool:
    """True if the processor multiplies bfloat16 matrices in hardware (AVX512-BF16 or AMX)."""
    import torch

    # There is no public query; torch's own mkldnn path asks the same two functions.
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def _cpu_name() -> str:
    import platform

    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as info:
            names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def detect_hardware(precision: str | None = None) -> Hardware:
    """The device to train on and the precision it is fast in. ``precision`` overrides the second.

    Raises:
        ValueError: ``precision`` is not ``bf16``, ``fp16`` or ``no``.
    """
    import torch

    if precision not in (None, "bf16", "fp16", "no"):
        raise ValueError(f"unknown precision {precision!r}; choose bf16, fp16 or no")
    if torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "").lower() not in ("1", "true", "yes"):
        device, name = "cuda", torch.cuda.get_device_name()
        # is_bf16_supported() also counts emulation, which is slower than fp16; units came with compute capability 8.
        best = "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp16"
    elif torch.backends.mps.is_available() and not os.environ.get("ACCELERATE_USE_CPU"):
        device, name, best = "mps", "Apple GPU", "no"
    else:
        device, name, best = "cpu", _cpu_name(), "bf16" if cpu_has_bf16() else "no"
    return Hardware(device, name, precision or best, torch.get_num_threads())
