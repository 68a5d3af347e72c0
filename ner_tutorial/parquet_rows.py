"""The rows of a ``datasets`` data set or a parquet file as sentences with label names, each row checked.

Taught in chapter 1 (a data set's ids mean nothing without their names).
"""

from collections.abc import Iterator

from datasets import ClassLabel, Dataset

from ner_tutorial.conll import Sentence
from ner_tutorial.lines import quoted

TAG_COLUMNS = ("pos_tags", "chunk_tags", "ner_tags")


def label_names(dataset: Dataset, where: str = "the data set") -> list[str]:
    """The names of ``ner_tags`` in the order of their ids.

    Raises:
        ValueError: a column is missing, or the ids carry no names.
    """
    for column in ("tokens", "ner_tags"):
        if column not in dataset.features:
            raise ValueError(f"{where}: no column {column!r}; it has {', '.join(dataset.features)}")
    names = _names(dataset, "ner_tags")
    if names is None:
        raise ValueError(
            f"{where}: ner_tags carries no label names, so its ids mean nothing by themselves; "
            "store it as a list of ClassLabel, or as CoNLL files with label names"
        )
    return names


def _names(dataset: Dataset, column: str) -> list[str] | None:
    inner = getattr(dataset.features.get(column), "feature", None)
    return list(inner.names) if isinstance(inner, ClassLabel) else None


def row_sentences(dataset: Dataset, where: str = "the data set", first_id: int = 0) -> Iterator[tuple[str, Sentence]]:
    """(id, sentence) of each row; the sentence's ``line`` is the number of its row, from 0.

    Tags of parts of speech and chunks without names are left out. Rows without an ``id`` are numbered from ``first_id``.

    Raises:
        ValueError: a row has no words or labels, words that are no texts, a label id without a name, or columns of
            different length; with the file, the row and what to do.
    """
    names = {column: _names(dataset, column) for column in TAG_COLUMNS}
    names["ner_tags"] = label_names(dataset, where)
    columns = [column for column in ("id", "tokens", *TAG_COLUMNS) if column in dataset.features]
    number = 0
    for batch in dataset.select_columns(columns).iter(batch_size=1000):
        for values in zip(*(batch[column] for column in columns), strict=True):
            row = dict(zip(columns, values, strict=True))
            at = f"{where}, row {number}"
            words = _words(row["tokens"], at)
            tags = {}
            for column in TAG_COLUMNS:
                known = names[column]
                tags[column] = (
                    [] if known is None or column not in row else _tags(column, row[column], known, words, at)
                )
            chosen = row.get("id")
            identity = str(first_id + number if chosen is None else chosen)
            yield identity, Sentence(words, tags["pos_tags"], tags["chunk_tags"], tags["ner_tags"], line=number)
            number += 1


def _words(words, at: str) -> list[str]:
    if not isinstance(words, list):
        held = "nothing" if words is None else f"one text, {quoted(words)}" if isinstance(words, str) else repr(words)
        raise ValueError(f"{at}: tokens holds {held}, not a list of words; delete the row or cut the text into words")
    for position, word in enumerate(words):
        if not isinstance(word, str) or not word:
            raise ValueError(f"{at}: word {position} is {word!r}, not a text; delete the row or put the word in")
    return list(words)


def _tags(column: str, ids, names: list[str], words: list[str], at: str) -> list[str]:
    kind = "NER tags" if column == "ner_tags" else column
    if ids is None and column == "ner_tags":
        raise ValueError(f"{at}: ner_tags holds nothing; delete the row or put one label per word in")
    if ids is None:
        return []
    if len(ids) != len(words):
        raise ValueError(
            f"{at}: {len(words)} tokens but {len(ids)} {kind}; delete the row or put one label per word in"
        )
    for value in ids:
        if value is None or not 0 <= value < len(names):
            if column != "ner_tags" and (value is None or value == -1):
                continue
            raise ValueError(
                f"{at}: label id {value} is not one of 0 to {len(names) - 1}{' in ' + column if column != 'ner_tags' else ''}; "
                "correct the row, or the names of the column"
            )
    return [names[value] if value is not None and value >= 0 else "" for value in ids]
