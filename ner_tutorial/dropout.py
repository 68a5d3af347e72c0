"""Dropout with random numbers that cost little.

Taught in chapter 9. PyTorch's dropout draws one random number for each number that it may drop, one after the other on
a CPU. That is a seventh of a training step of a small encoder, and more where the matrix products are fast. Here one
draw serves eight.
"""

import torch
from torch import nn


class ByteDropout(nn.Module):
    """Dropout that decides by one random byte a number, so ``p`` is rounded to a multiple of 1/256.

    Draws from PyTorch's own generator: a seed, and a saved state of the generator, mean what they always do.

    Args:
        p: the share of numbers that become 0; the others are scaled by 1 / (1 - p), so that the mean stays.
    """

    def __init__(self, p: float):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p must be at least 0 and below 1, got {p}")
        self.p = p
        self.threshold = min(round(p * 256), 255)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.threshold == 0:
            return x
        count = x.numel()
        # random_ on 64-bit integers fills eight bytes a draw; its default range would leave the sign bit 0.
        draws = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.uint8)[:count].view(x.shape) >= self.threshold
        return x * kept.to(x.dtype).mul_(256 / (256 - self.threshold))

    def extra_repr(self) -> str:
        return f"p={self.p}"


def use_byte_dropout(model: nn.Module) -> int:
    """Replace the model's ``nn.Dropout`` layers in place, and return how many. They hold no weights.

    Dropout inside fused attention is no layer, and stays as it is.
    """
    found = [
        (module, name, layer)
        for module in model.modules()
        for name, layer in module.named_children()
        if type(layer) is nn.Dropout
    ]
    for module, name, layer in found:
        setattr(module, name, ByteDropout(layer.p).train(layer.training))
    return len(found)
