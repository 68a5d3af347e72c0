"""The lines of a column file: its encoding, its blank lines, its document marks and comments.

Taught in chapter 9.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path

from ner_tutorial.tagging import LABEL

DOCSTART = "-DOCSTART-"
NEW_DOCUMENT = ("#begin document", "# newdoc")
"""How a comment begins that starts a new document: in CoNLL-2012, and in CoNLL-U."""


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
