"""The engine: what makes training and prediction faster without changing what is learned.

Taught in chapter 10. Training goes through one door, ``with speed_up(model, rows, hardware): …``; when the ``with`` is
left, the model is as plain as before, but for what it has learned.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from ner_tutorial.fast.dropout import byte_dropout_in
from ner_tutorial.fast.layer_rates import parameter_groups
from ner_tutorial.fast.precision import (
    Hardware,
    autocast_dtype,
    detect_hardware,
    fast_precision,
    faster_precision,
    loading_ahead,
    reading_precision,
)
from ner_tutorial.fast.vocabulary import restore_embeddings, trim_embeddings

__all__ = [
    "Hardware",
    "autocast_dtype",
    "detect_hardware",
    "fast_precision",
    "faster_precision",
    "loading_ahead",
    "parameter_groups",
    "reading_precision",
    "speed_up",
]


@contextlib.contextmanager
def speed_up(
    model, rows: Sequence[Mapping], hardware: Hardware, *, trim: bool = True, byte_dropout: bool = True
) -> Iterator[None]:
    """Inside it, ``model`` trains faster; afterwards its embeddings, dropout layers and attention are plain again.

    An optimiser must be made inside, because the parameters change. Checkpoints that are saved inside are whole models.

    Args:
        model: a Transformers model; changed in place.
        rows: the training rows, each with ``input_ids``.
        hardware: as ``detect_hardware`` gives it. On a graphics card dropout stays PyTorch's, which is fast there.
        trim: keep embedding rows that ``rows`` do not use out of the optimiser.
        byte_dropout: on a CPU, draw dropout's random numbers eight at a time.
    """
    with contextlib.ExitStack() as undo:
        if trim:
            trim_embeddings(model, rows)
            undo.callback(restore_embeddings, model)  # also where training ends in an error
        if byte_dropout and hardware.device == "cpu":  # a card draws random numbers in parallel anyway
            undo.enter_context(byte_dropout_in(model))
        yield
