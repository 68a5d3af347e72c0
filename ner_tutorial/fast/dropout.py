"""Dropout with random numbers that cost little.

Taught in chapter 10. PyTorch's dropout draws one random number for each number that it may drop, one after the other on
a CPU, and in a small encoder that is a noticeable part of a training step. Here one draw serves eight.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

ATTENTION = "byte_dropout"
"""The name by which Transformers knows ``byte_dropout_attention``. No saved model names it."""

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By the bytes of a floating-point number, the integer of the same width."""


def byte_dropout(x: torch.Tensor, p: float) -> torch.Tensor:
    """``x`` with a share ``p`` of its numbers replaced by 0, decided by one random byte a number.

    Draws from PyTorch's own generator: a seed, and a saved state of the generator, mean what they always do.

    Args:
        x: of any shape.
        p: at least 0 and below 1; rounded to a multiple of 1/256. The numbers that stay are scaled by 1 / (1 - p), so
            that the mean stays.
    """
    threshold = min(round(p * 256), 255)
    if threshold == 0:
        return x  # less than half of 1/256 is nothing
    count, width = x.numel(), x.element_size()
    # random_ on 64-bit integers fills eight bytes a draw; its default range would leave the sign bit 0.
    draws = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)[:count]
    # A comparison would be plainer, but on a CPU PyTorch makes and converts booleans slowly. Integers as wide as x's
    # numbers go through vector instructions: the sign of the difference becomes all bits 0 below the threshold, and all
    # bits 1 from there on.
    keep = (threshold - 1 - draws.to(INTEGERS[width])).bitwise_right_shift_(8 * width - 1)
    scale = torch.tensor(256 / (256 - threshold), dtype=x.dtype).view(keep.dtype).item()
    return x * keep.bitwise_and_(scale).view(x.dtype).view(x.shape)


class ByteDropout(nn.Module):
    """``byte_dropout`` as a layer: it drops in training mode only.

    Args:
        p: the share of numbers that become 0.
    """

    def __init__(self, p: float):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p must be at least 0 and below 1, got {p}")
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return byte_dropout(x, self.p) if self.training else x

    def extra_repr(self) -> str:
        return f"p={self.p}"


def byte_dropout_attention(module, query, key, value, attention_mask, dropout=0.0, scaling=None, **options):
    """Attention for ``transformers.AttentionInterface`` that drops its weights with ``byte_dropout``.

    Where nothing is dropped, or a layer asks for more than attention to all that the mask allows, it is PyTorch's own
    (``sdpa``).

    Args:
        module: the attention layer that asks.
        query, key, value: (rows, heads, tokens, width of a head)
        attention_mask: true where a query may look, or a number to add to its score; of a shape that broadcasts to
            (rows, heads, tokens, tokens). ``None`` lets every query look at every token.
        dropout: the share of weights that become 0; layers pass 0 in evaluation mode.
        scaling: of the products of queries and keys; default, one over the root of the width.
        options: what else layers pass.

    Returns:
        (output, None): output of shape (rows, tokens, heads, width of a head). The weights are not returned.
    """
    # Without a mask, a layer that looks only back says so by this option or attribute (as in sdpa_attention_forward).
    looks_back = options.get("is_causal")
    if looks_back is None:
        looks_back = getattr(module, "is_causal", True)
    more = (looks_back and attention_mask is None) or options.get("softcap") or options.get("position_bias") is not None
    if dropout == 0 or more or query.shape[1] != key.shape[1]:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    scores = (query * (query.shape[-1] ** -0.5 if scaling is None else scaling)) @ key.transpose(-1, -2)
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            # A sum, because masked_fill would go over booleans, slowly, for every head, and once more on the way back.
            added = torch.zeros_like(attention_mask, dtype=scores.dtype)
            attention_mask = added.masked_fill_(~attention_mask, float("-inf"))
        scores = scores + attention_mask
    weights = byte_dropout(scores.softmax(-1), dropout)  # (rows, heads, tokens, tokens)
    return (weights @ value).transpose(1, 2).contiguous(), None  # as sdpa returns it


@contextlib.contextmanager
def byte_dropout_in(model: nn.Module) -> Iterator[int]:
    """Inside it, the model drops by random bytes; afterwards it and Transformers are as before. Gives the layers' number.

    The model's ``nn.Dropout`` layers, which hold no weights, are replaced in place. The dropout inside attention is no
    layer: a Transformers model with PyTorch's attention gets ``byte_dropout_attention`` instead. Another implementation
    of attention stays as it is.
    """
    places = [
        (module, name, layer)
        for module in model.modules()
        for name, layer in module.named_children()
        if type(layer) is nn.Dropout
    ]
    with contextlib.ExitStack() as undo:
        for module, name, layer in places:
            setattr(module, name, ByteDropout(layer.p).train(layer.training))
            undo.callback(_put_back, module, name, layer)  # undone in reverse, however the with is left
        if getattr(getattr(model, "config", None), "_attn_implementation", None) == "sdpa":
            undo.enter_context(_registered())
            model.set_attn_implementation(ATTENTION)
            undo.callback(model.set_attn_implementation, "sdpa")
        yield len(places)


def _put_back(module: nn.Module, name: str, layer: nn.Module) -> None:
    setattr(module, name, layer.train(getattr(module, name).training))


@contextlib.contextmanager
def _registered() -> Iterator[None]:
    """Inside it, Transformers knows our attention by its name. Its registries hold for the whole process."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    registries = ((AttentionInterface, byte_dropout_attention), (AttentionMaskInterface, sdpa_mask))
    # Within another model's with, the name stands already, and is taken out where it was put in.
    new = [(registry, function) for registry, function in registries if ATTENTION not in registry()]
    for registry, function in new:
        registry.register(ATTENTION, function)
    try:
        yield
    finally:
        for registry, _ in new:
            registry._global_mapping.pop(ATTENTION, None)  # there is no public way to take a name out
