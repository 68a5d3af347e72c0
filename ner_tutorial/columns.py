"""Which columns of a file hold the words and which the labels.

Taught in chapter 9. A file is looked through once before it is read: the columns are told apart by what they hold.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ner_tutorial.lines import (
    DOCSTART,
    NEW_DOCUMENT,
    WEBANNO,
    WEBANNO_REMEDY,
    ColumnValues,
    ConllError,
    look_through,
    rows_of,
)
from ner_tutorial.tagging import LABEL, recognise

# Chunk types of CoNLL-2000 and 2003, English and German: their labels look like those of entities.
CHUNK_TYPES = {*["ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP", "NC", "PC", "VC"]}
LANGUAGE = re.compile(r"([a-z]{2,3}(?:-[a-z]+)*:).*", re.DOTALL)
MASK = "[TOKEN]"
ONTONOTES_COLUMNS = {"word": 4, "label": 11}


@dataclass(frozen=True)
class Layout:
    """Where a file has what. Columns count from 0 here, and from 1 in everything that a reader sees."""

    tabs: bool
    count: int
    """Columns of a row; of a CoNLL-2012 file, the fewest."""
    word: int
    label: int
    scheme: str
    """How the labels mark entities: see ``tagging.recognise``, or ``brackets``."""
    pos: int | None = None
    chunk: int | None = None
    layers: tuple[int, ...] = ()
    """Other columns of entity labels, which are not read."""
    prefix: str = ""
    """What each word starts with and what is no part of it, such as ``en:``."""
    ranges: bool = False
    """True if the first column counts the words, as in CoNLL-U: rows such as 3-4 are then left out."""
    labels: frozenset[str] = frozenset()
    """Every value of the label column, but for lines that may be comments."""
    notes: tuple[str, ...] = ()
    """What was found out by guessing, for the reader to check."""


def parse_columns(columns: str | Mapping[str, int] | None) -> dict[str, int]:
    """``"word=2,label=3"`` or ``{"word": 2, "label": 3}`` as a dictionary; columns count from 1.

    Raises:
        ValueError: the text has another form, a name other than word and label, or one of the two is missing.
    """
    if columns is None:
        return {}
    try:
        pairs = dict(columns) if isinstance(columns, Mapping) else dict(part.split("=") for part in columns.split(","))
        chosen = {name.strip(): int(number) for name, number in pairs.items()}
    except (ValueError, AttributeError):
        chosen = {}
    if set(chosen) != {"word", "label"} or min(chosen.values()) < 1 or chosen["word"] == chosen["label"]:
        raise ValueError(f"columns {columns!r}: write them as word=2,label=3, counted from 1")
    return chosen


def find_layout(path: Path, columns: str | Mapping[str, int] | None = None) -> Layout | None:
    """Look a file through and say which columns hold the words and the labels. ``None``: it has no row.

    Args:
        path: a UTF-8 file.
        columns: the word and label columns, where they are known; see ``parse_columns``.

    Raises:
        ConllError: the columns cannot be told apart, or hold something else than words and labels.
    """
    given = parse_columns(columns)
    first = next((line for _, line, _ in rows_of(path) if line), "").lstrip()
    if first.startswith(WEBANNO):
        raise ConllError(path, 1, f"this is WebAnno's TSV; {WEBANNO_REMEDY}")
    # A file of CoNLL-2012 is known by its first line; its rows have as many columns as their sentence has predicates.
    begins = first.startswith(NEW_DOCUMENT[0])
    if begins and not given:
        given = ONTONOTES_COLUMNS
    table = look_through(path, several_counts=begins)
    if table is None:
        return None
    if given:
        word, label = given["word"] - 1, given["label"] - 1
        if max(word, label) >= table.count:
            raise ConllError(path, None, f"there is no column {max(word, label) + 1}; the file has {table.count}")
        layers: tuple[int, ...] = ()
    else:
        masked = next((i for i, values in enumerate(table.values) if values[MASK] > table.rows / 2), None)
        if masked is not None:
            raise ConllError(
                path, None, f"column {masked + 1} holds {MASK} in place of most words; put the words in first"
            )
        label, layers = _label_column(table)
        word = _word_column(table, label, layers)
    return _finish(table, word, label, layers, begins=begins, given=bool(columns))


def _finish(table: ColumnValues, word: int, label: int, layers: tuple[int, ...], begins: bool, given: bool) -> Layout:
    words = table.values[word]
    if sum(value.count(" ") * times for value, times in words.items()) > table.rows:
        raise ConllError(
            table.path, None, f"column {word + 1} holds stretches of text, not words; export the annotations with character "
            "offsets, and read them with: python -m ner_tutorial import FILE --output FOLDER"
        )  # fmt: skip
    prefix = _language(table, words)
    plain = (word, label, table.count) in ((0, 1, 2), (0, 3, 4))
    notes = []
    if not plain and not given:
        notes.append(f"{table.path.name}: word column {word + 1}, label column {label + 1} of {table.count}")
    if prefix:
        notes.append(f"{table.path.name}: every word starts with {prefix!r}, which is left out")
    canonical = plain and table.count == 4 and not any(table.is_number(i) for i in (1, 2))
    if plain and table.count == 4 and not canonical:
        notes.append(f"{table.path.name}: columns 2 and 3 are no parts of speech and chunks, and are not read")
    return Layout(
        tabs=table.tabs, count=table.count, word=word, label=label,
        scheme="brackets" if begins else recognise(table.values[label]),
        pos=1 if canonical else None, chunk=2 if canonical else None,
        layers=layers, prefix=prefix, ranges=table.counting and word != 0, labels=frozenset(table.values[label]),
        notes=tuple(notes),
    )  # fmt: skip


def _language(table: ColumnValues, words: Counter) -> str:
    """The mark that every word starts with, such as ``en:``; "" if there is none."""
    marks: Counter = Counter()
    for value, times in words.items():
        match = LANGUAGE.fullmatch(value)
        marks[match[1] if match else ""] += times
    mark, times = marks.most_common(1)[0]
    if not mark or len(words) == 1:
        return ""
    if times < table.rows and times * 2 > table.rows:
        raise ConllError(
            table.path, None, f"{times} of {table.rows} words start with {mark!r}, as if it named their language, and the others "
            "do not; take it away from all, or correct the others"
        )  # fmt: skip
    return mark if times == table.rows else ""


def _label_column(table: ColumnValues) -> tuple[int, tuple[int, ...]]:
    """The column of entity labels, and the other columns that look like it."""
    columns = range(table.count)
    labels = [i for i in columns if table.is_labels(i)]
    last = table.count - 1
    entity = [i for i in labels if not (table.types(i) and table.types(i) <= CHUNK_TYPES)] or labels
    if not entity:
        # Something in the column is no label. The reader names it with its line.
        shares = [sum(n for value, n in table.values[i].items() if LABEL.fullmatch(value)) for i in columns]
        best = max(shares)
        return (last if best * 2 < table.rows else max(i for i in columns if shares[i] == best)), ()
    text = [i for i in columns if table.is_text(i) and i not in labels]
    if len(entity) == 1:
        return entity[0], ()
    if table.count == 2 or not table.types(0):
        entity = [i for i in entity if i]  # words that look like labels
    typed = [i for i in entity if table.types(i)]
    if len(text) > 1 and (len(typed) > 1 or (typed and typed[0] != last and table.rows > 2 and table.count == 4)):
        # Layers of entities, or chunks of types that are not known here.
        raise ConllError(
            table.path, None, f"columns {' and '.join(str(i + 1) for i in entity)} all look like entity labels; choose one: "
            f"--columns word=1,label={last + 1} (Python: columns={{'word': 1, 'label': {last + 1}}})"
        )  # fmt: skip
    if len(text) > 1 and table.count == 4:
        return entity[-1], ()
    outer = (typed or entity)[0]  # of nested entities the outer layer comes first, and it is empty only if all are
    return outer, tuple(i for i in entity if i != outer)


def _word_column(table: ColumnValues, label: int, layers: Sequence[int]) -> int:
    """The column of words: the first that holds neither labels nor numbers nor parts of speech."""
    others = [i for i in range(table.count) if i != label and i not in layers]
    option = "--columns word=N,label=M (Python: columns={'word': N, 'label': M}) says which are which"
    if not others:
        commas = any("," in value for value in table.values[0])
        raise ConllError(
            table.path, _first_row(table.path), f"1 column(s), need at least 2: word and NER label"
            f"{'; commas part columns here, write tabs in their place' if commas else ''}"
        )  # fmt: skip
    # A first column that holds nothing but O is taken for words that look like a label.
    text = [i for i in others if table.is_text(i) and not (table.is_labels(i) and (i or table.types(i)))]
    if not text:
        if table.count == 2 and not table.counting:
            return others[0]  # words that are numbers or signs
        raise ConllError(
            table.path, _first_row(table.path), f"no column holds words, only numbers and labels; {option}"
        )
    text = [i for i in text if i == 0 or not table.is_whole(i)] or text
    plain = [i for i in text if not table.is_pos(i)]
    if not plain and len(text) < len(others) - table.counting and table.count != 4:
        raise ConllError(table.path, _first_row(table.path), f"the words may be numbers or parts of speech; {option}")
    text = plain or text
    # Four columns are known by their places: only a column that plainly holds more than the first speaks against it.
    known = table.count == 4 and text[0] == 0 and label == 3
    distinct = [len(table.values[i]) for i in text]
    limit = distinct[0] - 1 if not known else 2 * distinct[0] if table.rows >= 20 else table.rows
    rivals = [i for i, values in zip(text[1:], distinct[1:], strict=True) if values > limit]
    if not known and (distinct[0] == 1 or table.rows < 20):
        # One and the same word in every row, or few rows: the words may be what looks like numbers or labels.
        left = range(table.count if distinct[0] == 1 else text[0])
        rivals += [i for i in left if table.is_number(i) and not (i == 0 and table.counting)]
        rivals += [i for i in layers if distinct[0] == 1]
    if rivals:
        raise ConllError(
            table.path,
            _first_row(table.path),
            f"the words may be in column {text[0] + 1} or in column {rivals[0] + 1}; {option}",
        )
    return text[0]


def _first_row(path: Path) -> int:
    return next((number for number, line, comment in rows_of(path) if line not in ("", DOCSTART) and not comment), 1)
