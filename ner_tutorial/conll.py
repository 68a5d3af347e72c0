"""Read and write CoNLL files: one word per line, columns apart by white space, a blank line between sentences.

Taught in chapter 1 (what a corpus file looks like). ``columns`` finds out what stands in which column.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ner_tutorial.columns import find_layout
from ner_tutorial.files import write_text
from ner_tutorial.lines import DOCSTART, NEW_DOCUMENT, RANGE, ConllError, cells_of, quoted, rows_of
from ner_tutorial.tagging import (
    LABEL,
    belongs,
    brackets_to_iob2,
    iob1_to_iob2,
    is_iob2,
    opens_with_needless_b,
    to_iob2,
)


@dataclass(frozen=True)
class Sentence:
    """One sentence: four lists of one length, and the place it was read from."""

    tokens: list[str]
    pos_tags: list[str]
    chunk_tags: list[str]
    ner_tags: list[str]
    document: int = 0
    """How many documents were begun before it in the file, by ``-DOCSTART-`` or a comment that says so."""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ConllFile:
    """What a file held: its sentences, the tagging scheme they were written in, and what was changed on reading."""

    sentences: list[Sentence]
    scheme: str
    """``IOB1``, ``IOB2``, ``either`` (when no entity tells them apart), ``BIOES``, ``BILOU``, ``BMES``, ``IO`` or ``brackets``."""
    notes: list[str] = field(default_factory=list)
    """One line for each thing that the reader guessed or changed, such as a conversion from IOB1."""


class SentenceReader:
    """The sentences of one CoNLL file, one at a time: a loop over the reader reads the file as a stream.

    ``scheme`` and ``notes`` are complete once the loop has ended. Arguments and errors are those of ``read_conll``.
    """

    def __init__(self, path, *, convert_iob1: bool = False, convert: bool = False, columns=None):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"no CoNLL file at {self.path}")
        self.convert, self.convert_iob1 = convert, convert or convert_iob1
        self.layout = find_layout(self.path, columns)
        if self.layout is None:
            raise ConllError(self.path, None, "the file holds no sentence")
        self.notes: list[str] = list(self.layout.notes)
        self.scheme = "either"
        self._known: dict[str, str] = {}  # each distinct word and tag is kept once, however often it occurs
        self._seen: Counter = Counter()

    def __iter__(self) -> Iterator[Sentence]:
        layout, seen = self.layout, self._seen
        rows: list[list[str]] = []
        numbers: list[int] = []
        document = 0
        for number, line, maybe_comment in rows_of(self.path):
            if line == "" or line == DOCSTART:
                if rows:
                    yield self._sentence(rows, numbers, document)
                    rows, numbers = [], []
                document += line == DOCSTART
                continue
            cells = cells_of(line, layout.tabs)
            if maybe_comment and not rows and not self._is_row(cells):
                document += line.lstrip().startswith(NEW_DOCUMENT)
                continue
            if layout.ranges and RANGE.fullmatch(cells[0]):
                seen["ranges"] += 1
                continue
            self._check_row(cells, line, number)
            rows.append(cells)
            numbers.append(number)
        if rows:
            yield self._sentence(rows, numbers, document)
        self._finish()

    def _is_row(self, cells: list[str]) -> bool:
        """True for a row whose word starts with #; a comment has another number of columns, or no label."""
        layout = self.layout
        # "# text = The words" is how CoNLL-U writes what it knows of a sentence.
        if len(cells) != layout.count or layout.word != 0 or cells[2:3] == ["="]:
            return False
        tag = cells[layout.label]
        return tag in layout.labels or (layout.scheme != "IO" and LABEL.fullmatch(tag) is not None)

    def _check_row(self, cells: list[str], line: str, number: int) -> None:
        layout, path = self.layout, self.path
        if len(cells) != layout.count and not (layout.scheme == "brackets" and len(cells) > layout.count):
            raise ConllError(
                path, number, f"{len(cells)} column(s) where the file has {layout.count}: {quoted(line.strip())}; a column is "
                "missing or a word holds a space"
            )  # fmt: skip
        tag, word = cells[layout.label], cells[layout.word]
        if not word.removeprefix(layout.prefix):
            raise ConllError(
                path, number, f"the word in column {layout.word + 1} is empty; if each row is a character and a space is a row too, "
                f"make words of them: python -m ner_tutorial import {path.name} --output FOLDER"
            )  # fmt: skip
        if layout.scheme == "brackets":
            if "*" not in tag and not tag.startswith("("):
                raise ConllError(path, number, f"{quoted(tag)} is no part of an entity in brackets such as (PERSON*")
        elif not belongs(tag, layout.scheme):
            expected = {"IOB": "O, B-TYPE or I-TYPE", "IO": "O or a type"}.get(
                layout.scheme, f"a label of {layout.scheme}"
            )
            hint = "; a digit zero stands where the letter O is meant" if tag == "0" else ""
            if number == 1 and not hint:
                hint = "; if this line names the columns, delete it" if tag.islower() else ""
            raise ConllError(path, number, f"NER label {quoted(tag)} is not {expected}{hint}")

    def _sentence(self, rows: list[list[str]], numbers: list[int], document: int) -> Sentence:
        layout = self.layout
        known = self._known.setdefault
        columns = list(zip(*(row[: layout.count] for row in rows), strict=True))
        words = [known(word, word) for word in (cell.removeprefix(layout.prefix) for cell in columns[layout.word])]
        tags = list(columns[layout.label])
        for other in layout.layers:
            self._seen[other] += sum(cell[:2] in ("B-", "S-", "U-") for cell in columns[other])
        pos = [] if layout.pos is None else [known(tag, tag) for tag in columns[layout.pos]]
        chunk = [] if layout.chunk is None else [known(tag, tag) for tag in columns[layout.chunk]]
        if self.convert_iob1:
            chunk = iob1_to_iob2(chunk)
        tags = [known(tag, tag) for tag in self._in_iob2(tags, numbers)]
        return Sentence(words, pos, chunk, tags, document, numbers[0])

    def _in_iob2(self, tags: list[str], numbers: list[int]) -> list[str]:
        scheme, seen = self.layout.scheme, self._seen
        if scheme == "brackets":
            return brackets_to_iob2(tags)
        if scheme == "IOB":
            seen["needless B"] += opens_with_needless_b(tags)
            if is_iob2(tags):
                return tags
            converted, changed = to_iob2(tags, scheme)
            if "first" not in seen:
                at = next(i for i, (one, other) in enumerate(zip(tags, converted, strict=True)) if one != other)
                seen["first"], self._offender = numbers[at], tags[at]
        else:
            converted, changed = to_iob2(tags, scheme)
            if not self.convert:
                at = next((i for i, tag in enumerate(tags) if tag != "O"), None)
                if at is not None:
                    raise ConllError(
                        self.path, numbers[at], f"label {quoted(tags[at])}: the file is {scheme}, not IOB2{_LOSS.get(scheme, '')}; "
                        "convert it with convert=True (command line: --convert)"
                    )  # fmt: skip
        seen["changed"] += changed
        return converted

    def _finish(self) -> None:
        """What can be said only after the last sentence: the scheme, and what was converted."""
        name, seen = self.path.name, self._seen
        self.scheme = self.layout.scheme
        if self.scheme == "IOB":
            opens_with_i = "first" in seen
            self.scheme = "IOB2" if seen["needless B"] else "IOB1" if opens_with_i else "either"
            if opens_with_i and not self.convert_iob1:
                what = "the file is IOB1" if self.scheme == "IOB1" else "the file mixes IOB1 and IOB2"
                raise ConllError(
                    self.path, seen["first"], f"an entity starts with {self._offender}: {what}; "
                    "convert it with convert_iob1=True (command line: --convert-iob1)"
                )  # fmt: skip
            if opens_with_i:
                self.notes.append(
                    f"{name}: converted from IOB1 to IOB2, {seen['changed']} labels changed from I- to B-"
                )
        elif self.scheme != "brackets":
            faults = f"; {seen['changed']} labels broke its rules" if seen["changed"] else ""
            self.notes.append(f"{name}: converted from {self.scheme} to IOB2{_LOSS.get(self.scheme, '')}{faults}")
        if seen["ranges"]:
            self.notes.append(
                f"{name}: {seen['ranges']} rows for several words at once are left out; their words are read"
            )
        for other in (layer for layer in self.layout.layers if seen[layer]):
            word, column = self.layout.word + 1, other + 1
            self.notes.append(
                f"{name}: {seen[other]} entities of column {column}, another layer of labels, are not read; "
                f"--columns word={word},label={column} reads that one instead"
            )


_LOSS = {"IO": " (IO does not tell neighbouring entities of one type apart: they are read as one)"}


def read_conll(
    path,
    *,
    convert_iob1: bool = False,
    convert: bool = False,
    columns: str | Mapping[str, int] | None = None,
    ner_names: Sequence[str] | None = None,
) -> ConllFile:
    """Read a CoNLL file.

    Two columns are word and NER label; four are word, part of speech, chunk and NER label. Of other files the word and
    label columns are found by what they hold, and ``notes`` says which they are. Every line of a file has as many
    columns as its first. ``-DOCSTART-`` lines and comments such as ``# newdoc`` start a new document. A byte order mark,
    CRLF line ends, and comments in front of a sentence are accepted.

    Args:
        path: the file, in UTF-8.
        convert_iob1: turn IOB1 tags into IOB2 and say so in ``notes``. Without it, an IOB1 file is an error. Chunk tags
            are turned as well: the original distribution's are IOB1, and its public copies' IOB2.
        convert: turn any scheme that is recognised into IOB2: IOB1, BIOES, BILOU, BMES and IO.
        columns: the word and label columns, counted from 1: ``"word=2,label=3"`` or ``{"word": 2, "label": 3}``.
        ner_names: the NER labels that may occur. ``None`` accepts any ``O``, ``B-X`` and ``I-X``.

    Raises:
        ConllError: with file, line and remedy.
        FileNotFoundError: there is no such file.
        ValueError: ``columns`` has another form.
    """
    reader = SentenceReader(path, convert_iob1=convert_iob1, convert=convert, columns=columns)
    sentences = list(reader)
    if not sentences:
        raise ConllError(path, None, "the file holds no sentence")
    if ner_names is not None:
        for row in sentences:
            for offset, tag in enumerate(row.ner_tags):
                if tag not in ner_names:
                    raise ConllError(path, row.line + offset, f"NER label {tag!r} is not one of {' '.join(ner_names)}")
    return ConllFile(sentences, reader.scheme, reader.notes)


def write_conll(path, sentences: Iterable[Sentence]) -> None:
    """Write sentences as CoNLL, in four columns, or in two if they carry no part of speech and chunk tags.

    What ``write_conll`` writes, ``read_conll`` reads back equal, if words can be told from numbers and parts of speech;
    where a few rows do not show that, it refuses or adds a note, and ``columns="word=1,label=4"`` says it. An existing
    file is replaced only once the new one is complete.

    Raises:
        ValueError: a word is empty or holds a space, a tab or a line end; the lists of a sentence differ in length; some
            sentences have four columns and others two; a label is not IOB2; or the document numbers fall.
    """
    path = Path(path)
    lines: list[str] = []
    document = columns_of_file = 0
    for number, sentence in enumerate(sentences):
        if not sentence.tokens:
            raise ValueError(f"sentence {number} has no words")
        if sentence.document < document:
            raise ValueError(f"sentence {number}: document {sentence.document} after document {document}; sort them")
        lines += [f"{DOCSTART} -X- -X- O" if sentence.pos_tags else f"{DOCSTART} O", ""] * (
            sentence.document - document
        )
        document = sentence.document
        if not lines and sentence.tokens[0].startswith("\ufeff"):
            lines.append("")  # at the very start of a file it would be read as a byte order mark
        full = bool(sentence.pos_tags or sentence.chunk_tags)
        columns = [sentence.tokens, *([sentence.pos_tags, sentence.chunk_tags] if full else []), sentence.ner_tags]
        if len({len(column) for column in columns}) != 1:
            raise ValueError(f"sentence {number}: columns of different length {[len(column) for column in columns]}")
        columns_of_file = columns_of_file or len(columns)
        if len(columns) != columns_of_file:
            raise ValueError(f"sentence {number}: {len(columns)} columns where the file has {columns_of_file}")
        bad = next((tag for tag in sentence.ner_tags if not belongs(tag, "IOB")), None)
        if bad is not None:
            raise ValueError(f"sentence {number}: NER label {bad!r} is not O, B-TYPE or I-TYPE")
        if not is_iob2(sentence.ner_tags):
            raise ValueError(
                f"sentence {number}: an entity starts with I- in {' '.join(sentence.ner_tags)[:80]}; convert with iob1_to_iob2"
            )
        for cells in zip(*columns, strict=True):
            bad = next((cell for cell in cells if not cell or any(c in cell for c in " \t\n\r")), None)
            if bad is not None:
                raise ValueError(
                    f"sentence {number}: {bad!r} cannot stand in a CoNLL column (empty, or holds white space)"
                )
            if cells[0] == DOCSTART:
                raise ValueError(f"sentence {number}: {DOCSTART} marks a document and cannot be a word")
            lines.append(" ".join(cells))
        lines.append("")
    write_text(path, "\n".join(lines) + "\n")
