"""Read and write CoNLL files: one word a line, columns apart by white space, a blank line between sentences.

Taught in chapter 1 (what a corpus file looks like).
"""

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ner_tutorial.files import write_text

DOCSTART = "-DOCSTART-"


class ConllError(ValueError):
    """A CoNLL file that cannot be read as it is. The message names the file, the line and the remedy."""

    def __init__(self, path, line: int | None, message: str):
        self.path, self.line = str(path), line
        super().__init__(f"{path}{'' if line is None else f', line {line}'}: {message}")


@dataclass(frozen=True)
class Sentence:
    """One sentence: four lists of one length, and the place it was read from."""

    tokens: list[str]
    pos_tags: list[str]
    chunk_tags: list[str]
    ner_tags: list[str]
    document: int = 0
    """How many ``-DOCSTART-`` lines stand before it in the file."""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ConllFile:
    """What a file held: its sentences, the tagging scheme they were written in, and what was changed on reading."""

    sentences: list[Sentence]
    scheme: str
    """``IOB1``, ``IOB2`` or ``either`` (when no entity tells them apart)."""
    notes: list[str] = field(default_factory=list)
    """One line for each thing that the reader changed, such as a conversion from IOB1."""


def _is_label(tag: str) -> bool:
    return tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def is_iob2(tags: Sequence[str]) -> bool:
    """True if no entity starts with ``I-``: every ``I-X`` follows a ``B-X`` or ``I-X``."""
    previous = "O"
    for tag in tags:
        if tag.startswith("I-") and previous[2:] != tag[2:]:
            return False
        previous = tag
    return True


def iob1_to_iob2(tags: Sequence[str]) -> list[str]:
    """The same entities with every first word marked ``B-``. IOB2 tags come back unchanged.

    In IOB1, ``I-`` opens an entity, and ``B-`` is used only where an entity of the same type comes right before.
    """
    converted, previous = [], "O"
    for tag in tags:
        opens = tag.startswith("I-") and previous[2:] != tag[2:]
        converted.append("B-" + tag[2:] if opens else tag)
        previous = tag
    return converted


def _looks_like_iob1(sentences: Iterable[Sequence[str]]) -> tuple[bool, bool]:
    """(some entity opens with I-, some entity opens with B- where IOB1 would have written I-)."""
    opens_with_i = opens_with_needless_b = False
    for tags in sentences:
        previous = "O"
        for tag in tags:
            if tag.startswith("I-") and previous[2:] != tag[2:]:
                opens_with_i = True
            if tag.startswith("B-") and previous[2:] != tag[2:]:
                opens_with_needless_b = True
            previous = tag
    return opens_with_i, opens_with_needless_b


def read_conll(path, *, convert_iob1: bool = False, ner_names: Sequence[str] | None = None) -> ConllFile:
    """Read a CoNLL file.

    The word stands in the first column and the NER tag in the last. Four columns are word, part of speech, chunk and
    NER; two columns are word and NER, and the other two lists are then empty. Every line of a file has as many columns
    as its first. ``-DOCSTART-`` lines start a new document, whatever follows them on the line. A byte order mark and
    CRLF line ends are accepted.

    Args:
        path: the file, in UTF-8.
        convert_iob1: turn IOB1 tags into IOB2 and say so in ``notes``. Without it, an IOB1 file is an error. Chunk tags
            are turned as well: the original distribution's are IOB1, and its public copies' IOB2.
        ner_names: the NER labels that may occur. ``None`` accepts any ``O``, ``B-X`` and ``I-X``.

    Raises:
        ConllError: with file, line and remedy.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no CoNLL file at {path}")
    raw = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConllError(
            path, line, f"byte 0x{raw[error.start]:02x} is not UTF-8; if the file is Latin-1, convert it: "
            f"iconv -f latin1 -t utf-8 {path.name}"
        ) from None  # fmt: skip

    sentences: list[Sentence] = []
    rows: list[list[str]] = []
    columns = document = first_line = 0

    def finish() -> None:
        if rows:
            words, *middle, ner = zip(*rows, strict=True)
            pos, chunk = (list(middle[0]), list(middle[1])) if len(middle) == 2 else ([], [])
            sentences.append(Sentence(list(words), pos, chunk, list(ner), document, first_line))
            rows.clear()

    # Only \n ends a line here: str.splitlines() would also split at \x0b, \x85 and U+2028, which may stand in a word.
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        # Only space and tab part columns: a no-break or zero-width space belongs to its word.
        cells = [cell for cell in line.replace("\t", " ").split(" ") if cell]
        if not cells:
            finish()
            continue
        if cells[0] == DOCSTART:
            finish()
            document += 1
            continue
        columns = columns or len(cells)
        if columns not in (2, 4):
            raise ConllError(path, number, f"{len(cells)} column(s), need 2 (word, NER) or 4 (word, POS, chunk, NER)")
        if len(cells) != columns:
            raise ConllError(
                path, number, f"{len(cells)} column(s) where the file has {columns}: {line.strip()!r}; a column is missing or a "
                "word holds a space"
            )  # fmt: skip
        tag = cells[-1]
        if not _is_label(tag):
            hint = "; a digit zero stands where the letter O is meant" if tag == "0" else ""
            raise ConllError(path, number, f"NER label {tag!r} is not O, B-TYPE or I-TYPE{hint}")
        if ner_names is not None and tag not in ner_names:
            raise ConllError(path, number, f"NER label {tag!r} is not one of {' '.join(ner_names)}")
        if not rows:
            first_line = number
        rows.append(cells)
    finish()
    if not sentences:
        raise ConllError(path, None, "the file holds no sentence")

    opens_with_i, needless_b = _looks_like_iob1(sentence.ner_tags for sentence in sentences)
    scheme = "IOB1" if opens_with_i and not needless_b else "IOB2" if needless_b else "either"
    notes: list[str] = []
    if opens_with_i:
        offender = next(sentence for sentence in sentences if not is_iob2(sentence.ner_tags))
        fixed = iob1_to_iob2(offender.ner_tags)
        at = offender.line + next(i for i, (a, b) in enumerate(zip(offender.ner_tags, fixed, strict=True)) if a != b)
        if not convert_iob1:
            what = "the file is IOB1" if scheme == "IOB1" else "the file mixes IOB1 and IOB2"
            raise ConllError(
                path, at, f"an entity starts with {offender.ner_tags[at - offender.line]}: {what}; "
                "convert it with convert_iob1=True (command line: --convert-iob1)"
            )  # fmt: skip
        changed = 0
        for index, sentence in enumerate(sentences):
            tags = iob1_to_iob2(sentence.ner_tags)
            changed += sum(a != b for a, b in zip(tags, sentence.ner_tags, strict=True))
            sentences[index] = Sentence(
                sentence.tokens, sentence.pos_tags, sentence.chunk_tags, tags, sentence.document, sentence.line
            )
        notes.append(f"{path.name}: converted from IOB1 to IOB2, {changed} labels changed from I- to B-")
    if convert_iob1:
        sentences = [replace(row, chunk_tags=iob1_to_iob2(row.chunk_tags)) for row in sentences]
    return ConllFile(sentences, scheme, notes)


def write_conll(path, sentences: Iterable[Sentence]) -> None:
    """Write sentences as CoNLL, in four columns, or in two if they carry no part of speech and chunk tags.

    What ``write_conll`` writes, ``read_conll`` reads back equal. An existing file is replaced only once the new one is
    complete.

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
        bad = next((tag for tag in sentence.ner_tags if not _is_label(tag)), None)
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
