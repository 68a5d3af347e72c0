"""Sentences as columns of Arrow, filled as a stream.

Taught nowhere: plumbing of ``corpus``. A corpus of a million sentences is never held as Python lists.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features

from ner_tutorial.conll import ConllError, Sentence
from ner_tutorial.labels import CHUNK_NAMES, POS_NAMES

log = logging.getLogger("ner_tutorial")

NO_TAG = -1  # in pos_tags and chunk_tags: the source has no such tag, or one that CoNLL-2003 does not know
SENTENCES_PER_CHUNK = 10_000


class SentenceTable:
    """Collects sentences; ``to_dataset`` gives them ids for their labels and makes a data set of them.

    Label names need not be known before: until the end, a label has the number of its first appearance.
    """

    def __init__(self, names: Sequence[str] | None = None, first_id: int = 0):
        """``names``: the only labels that may occur. ``None`` accepts any."""
        self._names = None if names is None else tuple(names)
        self._ids: dict[str, int] = {}  # label name -> provisional id
        self._pos = {name: i for i, name in enumerate(POS_NAMES)}
        self._chunk = {name: i for i, name in enumerate(CHUNK_NAMES)}
        self._rows: dict[str, list] = {}
        self._chunks: list[pa.Table] = []
        self._orders: list[tuple[str, list[str]]] = []
        self._first_id, self._count = first_id, 0
        self._clear()

    def __len__(self) -> int:
        return self._first_id + self._count

    @property
    def labels(self) -> list[str]:
        """Every label that was added or expected."""
        return [*self._ids, *(name for _, names in self._orders for name in names)]

    def expect(self, names: Sequence[str], where: str) -> None:
        """Announce the label names of a source, in the order of its ids. ``to_dataset`` says where they are renumbered.

        Raises:
            ValueError: a name is not one of the table's.
        """
        unknown = [name for name in names if self._names is not None and name not in self._names]
        if unknown:
            raise ValueError(f"{where}: label(s) {' '.join(unknown)} not in the scheme {' '.join(self._names)}")
        self._orders.append((where, list(names)))

    def add(self, sentence: Sentence, where: str = "", identity: str | None = None) -> None:
        """Add a sentence. ``where`` names its file in messages, ``identity`` is its id; default, the running number.

        Raises:
            ConllError: a label is not one of the table's.
        """
        for offset, tag in enumerate(sentence.ner_tags):
            if tag not in self._ids:
                self._admit(tag, sentence.line + offset if sentence.line else None, where)
        length = len(sentence.tokens)
        self._rows["id"].append(str(len(self)) if identity is None else identity)
        self._rows["tokens"].append(sentence.tokens)
        self._rows["pos_tags"].append(_known(sentence.pos_tags, self._pos, length))
        self._rows["chunk_tags"].append(_known(sentence.chunk_tags, self._chunk, length))
        self._rows["ner_tags"].append([self._ids[tag] for tag in sentence.ner_tags])
        self._count += 1
        if len(self._rows["id"]) == SENTENCES_PER_CHUNK:
            self._flush()

    def _admit(self, tag: str, line: int | None, where: str) -> None:
        if self._names is not None and tag not in self._names:
            raise ConllError(
                where or f"sentence {self._count}", line, f"label {tag!r} is not in the scheme {' '.join(self._names)}; correct "
                "the file, or take a model or a LabelScheme that has this label"
            )  # fmt: skip
        self._ids[tag] = len(self._ids)

    def _clear(self) -> None:
        self._rows = {name: [] for name in ("id", "tokens", "pos_tags", "chunk_tags", "ner_tags")}

    def _flush(self) -> None:
        tags = pa.list_(pa.int64())
        types = {
            "id": pa.string(),
            "tokens": pa.list_(pa.string()),
            "pos_tags": tags,
            "chunk_tags": tags,
            "ner_tags": tags,
        }
        self._chunks.append(pa.table({name: pa.array(rows, types[name]) for name, rows in self._rows.items()}))
        self._clear()

    def to_dataset(self, features: Features) -> Dataset:
        """The sentences as a data set of these features; labels get their ids from the names of ``ner_tags``."""
        names = features["ner_tags"].feature.names
        for where, order in self._orders:
            if order != list(names):
                log.warning("%s: label ids renumbered by name from the order %s", where, " ".join(order))
        self._flush()
        ids = np.array([names.index(label) for label in self._ids], dtype=np.int64)
        table = pa.concat_tables([_renumbered(chunk, ids) for chunk in self._chunks])
        return Dataset(table.cast(features.arrow_schema), info=DatasetInfo(features=features))


def _known(tags: Sequence[str], known: dict[str, int], length: int) -> list[int]:
    return [known.get(tag, NO_TAG) for tag in tags] if tags else [NO_TAG] * length


def _renumbered(chunk: pa.Table, ids: np.ndarray) -> pa.Table:
    column = chunk["ner_tags"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], pa.list_(pa.int64()))
    numbers = column.values.to_numpy(zero_copy_only=False)
    values = pa.array(ids[numbers] if len(numbers) else numbers, pa.int64())
    return chunk.set_column(4, "ner_tags", pa.ListArray.from_arrays(column.offsets, values))
