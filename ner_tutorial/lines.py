"""The lines of a column file: its encoding, blank lines, document marks and comments, and what each column holds.

Taught in chapter 9.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ner_tutorial.labels import POS_NAMES
from ner_tutorial.tagging import LABEL

DOCSTART = "-DOCSTART-"
NEW_DOCUMENT = ("#begin document", "# newdoc")
"""How a comment begins that starts a new document: in CoNLL-2012, and in CoNLL-U."""
WEBANNO = "#FORMAT=WebAnno"
WEBANNO_REMEDY = "export from INCEpTION or WebAnno as CoNLL 2002, which holds one layer of spans in columns"
PLACEHOLDERS = {"_", "-", "-X-", "*"}
UNIVERSAL_POS = frozenset("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())  # noqa: SIM905
RANGE = re.compile(r"\d+[-.]\d+")  # in CoNLL-U, a row for several words at once, or for a word that is not in the text


class ConllError(ValueError):
    """A CoNLL file that cannot be read as it is. The message names the file, the line and the remedy."""

    def __init__(self, path, line: int | None, message: str):
        self.path, self.line = str(path), line
        super().__init__(f"{path}{'' if line is None else f', line {line}'}: {message}")


def quoted(text: str, limit: int = 60) -> str:
    """``text`` for a message: in quotes, and cut where it is long."""
    return repr(text if len(text) <= limit else text[:limit] + "…")


def check_encoding(path: Path) -> None:
    """Raise ``ConllError`` if the first bytes are those of UTF-16 or UTF-32."""
    with path.open("rb") as file:
        head = file.read(4096)
    name = None
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        name = "utf-32"
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "utf-16"
    elif len(head) >= 16:
        even, odd = head[::2].count(0) / len(head[::2]), head[1::2].count(0) / len(head[1::2])
        name = "utf-16le" if odd > 0.9 and even < 0.1 else "utf-16be" if even > 0.9 and odd < 0.1 else None
    if name:
        raise ConllError(
            path, 1, f"the file is {name.upper()}, not UTF-8; save it as UTF-8 in your editor, or convert it: "
            f"iconv -f {name} -t utf-8 {path.name}"
        )  # fmt: skip


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, line without its end) of a UTF-8 file, read as a stream. A byte order mark is left out.

    Raises:
        ConllError: the file is not UTF-8; with the line, the byte, and how to convert it.
    """
    check_encoding(path)
    # Only \\n, \\r and \\r\\n end a line here: str.splitlines() also splits at \\x0b, \\x85 and U+2028, which words may hold.
    with path.open(encoding="utf-8-sig", newline=None) as file:
        try:
            for number, line in enumerate(file, 1):
                yield number, line.rstrip("\n")
        except UnicodeDecodeError:
            raise _not_utf8(path) from None


def _not_utf8(path: Path) -> ConllError:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode("utf-8")
            except UnicodeDecodeError as error:
                return ConllError(
                    path, number, f"byte 0x{error.object[error.start]:02x} is not UTF-8; if the file is Latin-1, convert it: "
                    f"iconv -f latin1 -t utf-8 {path.name}"
                )  # fmt: skip
    return ConllError(path, None, "the file is not UTF-8")


def cells_of(line: str, tabs: bool) -> list[str]:
    """The columns of a line: apart by tabs, or by any run of spaces and tabs.

    No other white space parts columns: a no-break or zero-width space belongs to its word.
    """
    if tabs:
        return [cell.strip(" ") for cell in line.rstrip(" \t").split("\t")]
    return [cell for cell in line.replace("\t", " ").split(" ") if cell]


def rows_of(path: Path) -> Iterator[tuple[int, str, bool]]:
    """(line number, line, whether it may be a comment) of each line that is no blank line and no document mark.

    A blank line is (number, "", False), and a document mark is (number, DOCSTART, False). A line that starts with ``#``
    may be a comment only where a sentence starts; whether it is one can be told only by its columns.
    """
    at_start = True
    for number, line in numbered_lines(path):
        text = line.strip(" \t")
        first, _, rest = text.replace("\t", " ").partition(" ")
        if not text:
            yield number, "", False
            at_start = True
        elif first == DOCSTART or ((first.isdigit() or LABEL.fullmatch(first)) and rest.split(" ")[0] == DOCSTART):
            yield number, DOCSTART, False
            at_start = True
        else:
            comment = text[0] == "#" and at_start
            yield number, line, comment
            at_start = comment


@dataclass
class ColumnValues:
    """What each column holds, over all rows."""

    path: Path
    tabs: bool
    count: int
    values: list[Counter] = field(default_factory=list)
    rows: int = 0
    counting: bool = False

    def is_text(self, i: int) -> bool:
        # Two and four columns start with the words, be they only dashes.
        return not self.is_number(i) and not (self.is_empty(i) and (i or self.count not in (2, 4)))

    def is_empty(self, i: int) -> bool:
        """True if there are only signs that stand for nothing."""
        return set(self.values[i]) <= PLACEHOLDERS

    def is_number(self, i: int) -> bool:
        if i == 0 and self.counting:
            return True
        # Two and four columns are known by their places, so a few words that are numbers are still words there.
        return self.is_whole(i) and (self.count not in (2, 4) or len(self.values[i]) > 2)

    def is_whole(self, i: int) -> bool:
        return all(value.isascii() and value.isdigit() for value in self.values[i])

    def is_labels(self, i: int) -> bool:
        return all(LABEL.fullmatch(value) for value in self.values[i])

    def types(self, i: int) -> set[str]:
        return {value[2:] for value in self.values[i] if value != "O"}

    def is_pos(self, i: int) -> bool:
        values = set(self.values[i])
        return any(len(value) > 1 and value.isalpha() and value.isupper() for value in values) and (
            values <= {*POS_NAMES, *UNIVERSAL_POS}
        )


def look_through(path: Path, several_counts: bool) -> ColumnValues | None:
    """The separator and the number of columns, then the values of each column."""
    # (columns by white space, columns by tabs, whether a tab column holds a space) -> rows
    shapes: Counter = Counter()
    starred: Counter = Counter()  # the same of lines that start with #: tokens, if the file has no other
    for _, line, comment in rows_of(path):
        if line in ("", DOCSTART):
            continue
        by_space, by_tabs = cells_of(line, tabs=False), cells_of(line, tabs=True)
        shape = (len(by_space), len(by_tabs), any(" " in cell for cell in by_tabs))
        if not comment:
            shapes[shape] += 1
        elif any(LABEL.fullmatch(cell) for cell in by_space):
            starred[shape] += 1
    no_other, shapes = not shapes, shapes or starred
    if not shapes:
        return None
    tabs = _tabs_part_columns(path, shapes)
    count = next(iter(shapes))[1 if tabs else 0]
    if several_counts:
        count = min(shape[1 if tabs else 0] for shape in shapes)
    table = ColumnValues(path, tabs, count, [Counter() for _ in range(count)])
    _fill(table, several_counts, starred=no_other)
    if not table.rows:
        return None
    return table


def _tabs_part_columns(path: Path, shapes: Counter) -> bool:
    by_space, by_tabs = ({shape[i] for shape in shapes} for i in (0, 1))
    inner = {shape[2] for shape in shapes}
    if len(by_tabs) > 1 or by_tabs == {1}:
        most = shapes.most_common(1)[0][0]
        # Rows that miss a column leave several counts; the most common row says what was meant.
        return len(by_space) > 1 and len(by_tabs) > 1 and most[1] > 1 and most[0] != most[1]
    if len(by_space) == 1 and inner == {False}:
        return False
    if len(by_space) == 1 and inner == {True}:
        raise ConllError(
            path, None, f"every row has {by_tabs.pop()} columns by its tabs and {by_space.pop()} by its spaces; "
            "part all columns by tabs, or all by spaces"
        )  # fmt: skip
    return True


def _fill(table: ColumnValues, several_counts: bool, starred: bool) -> None:
    """Count the values of each column, and whether the first one numbers the words of each sentence."""
    chunk: list[list[str]] = []
    longest = at = 0
    counts_up = True

    def flush() -> None:
        for counter, values in zip(table.values, zip(*chunk, strict=True), strict=True):
            counter.update(values)
        chunk.clear()

    for _, line, comment in rows_of(table.path):
        if line in ("", DOCSTART):
            at = 0
            continue
        if comment and not starred:
            continue
        cells = cells_of(line, table.tabs)
        if len(cells) != table.count and not (several_counts and len(cells) > table.count):
            continue
        if not RANGE.fullmatch(cells[0]):
            at += 1
            counts_up = counts_up and cells[0] == str(at)
            longest = max(longest, at)
            chunk.append(cells[: table.count])
            table.rows += 1
        if len(chunk) == 10_000:
            flush()
    if chunk:
        flush()
    table.counting = counts_up and longest > 1
