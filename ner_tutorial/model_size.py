"""Refuse a configuration that asks for a much larger model than its weights, before the memory is full.

Taught nowhere: plumbing under chapters 5 and 7. Transformers builds what ``config.json`` describes, and draws at random the
numbers that the file of weights does not have: one wrong digit there would fill the memory.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

MOST_LAYERS = 10_000
"""Far more than any model has."""
NUMBERS_BESIDE_THE_FILE = 10**7
"""So many numbers a model may have beyond those of its file: a new head, or a layer that is then refused by its name."""
LEAST_PER_TENSOR = 10**4
"""As so many numbers each tensor counts at least: a small one costs time instead of memory."""


def check_layers(path: Path, content: Mapping) -> None:
    """Raise ``ValueError`` if a configuration asks for more layers than any model has.

    Some configurations make a list of their layers as soon as Transformers reads them, so this is looked at first.

    Args:
        path: of the configuration, for the message.
        content: what it holds.
    """
    for name, value in content.items():
        if "layer" in name and isinstance(value, int) and value > MOST_LAYERS:
            raise ValueError(f"{path} asks for {value:,} layers ({name}), and no model has so many; copy it again")


@contextlib.contextmanager
def no_larger_than_its_file(config: Path, weights: Sequence[Path]) -> Iterator[None]:
    """Inside it, a model with many more numbers than its weights is refused while Transformers builds it.

    Args:
        config: the configuration, for the message.
        weights: the files of its weights.

    Raises:
        ValueError: the model is too large for these files.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    size = sum(path.stat().st_size for path in weights)
    left = size + NUMBERS_BESIDE_THE_FILE  # a number has at least two bytes: room for twice what the files hold
    counted = set()

    def count(module, name: str, parameter) -> None:
        nonlocal left
        if parameter is None or (id(module), name) in counted:
            return  # a parameter is registered again when its numbers are loaded
        counted.add((id(module), name))
        left -= max(parameter.numel(), LEAST_PER_TENSOR)
        if left < 0:
            raise ValueError(
                f"{config} describes a model that is much larger than its weights, which have {size:,} bytes; they do not "
                "belong together, so copy or train the model again"
            )

    # Models are built without memory for their numbers at first, so this comes in time. The hook sees every module of the
    # program, but only until the model is there.
    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
