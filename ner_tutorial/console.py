"""What the command line reads and writes: lines in bounded memory, UTF-8 always, nothing that steers a terminal.

Taught nowhere: plumbing of ``__main__``.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

BLOCK = 1 << 16  # bytes read at once
LINES = 500
MARK = b"\xef\xbb\xbf"  # with which some programs begin UTF-8
LONGEST_MESSAGE = 2_000  # characters; a message may quote a line of a file, and a line may be megabytes
# The control characters but tab and line feed, and those that reverse the direction of writing: a text could use them to
# hide or forge what a terminal shows. Lone surrogates are no characters at all.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """``text`` with each character that could steer a terminal written as its escape, ``\\x1b`` for example."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(error: BaseException) -> str:
    """The message of an error as one line of bounded length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = printable(" ".join(lines) or type(error).__name__)
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "…"


def write_utf8() -> None:
    """Let standard output and standard error write UTF-8, whatever the locale says; a lone surrogate as its escape."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def json_line(content) -> str:
    """``content`` as JSON on one line, letters as they are, and what could steer a terminal as JSON's escape."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(content, ensure_ascii=False))


def line_blocks(file, name: str) -> Iterator[list[str]]:
    """The lines of a binary file, in blocks: those that lie ready, at most ``LINES`` at once.

    A pipe that gives a line a minute gives a block a minute. Lines end with ``\\n``, ``\\r\\n`` or ``\\r``.

    Args:
        file: a buffered binary file.
        name: what the file is called in a message.

    Raises:
        ValueError: a line is not UTF-8. The lines before it have been given.
    """
    number = 0
    for ready in _ready_lines(file):
        for start in range(0, len(ready), LINES):
            block: list[str] = []
            for line in ready[start : start + LINES]:
                number += 1
                try:
                    block.append(line.removeprefix(MARK if number == 1 else b"").rstrip(b"\r\n").decode())
                except UnicodeDecodeError as error:
                    if block:
                        yield block
                    raise ValueError(_not_utf8(name, number, error)) from None
            yield block


def _ready_lines(file) -> Iterator[list[bytes]]:
    """The whole lines of each read, with their ends, and at last a line without an end."""
    parts: list[bytes] = []  # of a line that goes on
    while chunk := file.read1(BLOCK):
        parts.append(chunk)
        if b"\n" in chunk:
            lines = b"".join(parts).splitlines(keepends=True)  # of bytes, it splits at \n, \r\n and \r only
            parts = [] if lines[-1].endswith(b"\n") else [lines.pop()]
            yield lines
    if parts:
        yield b"".join(parts).splitlines()


def _not_utf8(name: str, number: int, error: UnicodeDecodeError) -> str:
    content = error.object
    if number == 1 and content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"{name} is not UTF-8 but UTF-16; convert it: iconv -f utf-16 -t utf-8"
    where = f"{name} is not UTF-8: line {number}, byte {error.start + 1}"
    if content[error.start] == 0xED:  # a lone surrogate in the form of UTF-8, as JavaScript and Java programs write it
        return f"{where} is half of a character (a lone surrogate): its text was cut inside of one; write it again"
    return f"{where} ({error.reason}); convert it with iconv from the encoding that it has, such as -f latin1 -t utf-8"


class FolderPath(click.Path):
    """A path on the command line; ``~`` is the user's home folder, also where no shell has replaced it."""

    def convert(self, value, parameter, context) -> Path:
        return Path(super().convert(value, parameter, context)).expanduser()


class CarefulCommand(click.Command):
    """A command that takes no empty argument: in a shell, ``--corpus "$DATA"`` is empty where the variable is not set."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        for position, value in enumerate(args):
            option = value.removesuffix("=") if re.fullmatch(r"--[a-z0-9-]+=", value) else ""
            if option or not value.strip():
                before = args[position - 1] if position else ""
                name = option or (before if before.startswith("--") else "an argument")
                raise click.UsageError(f"{name} is empty; is a variable of the shell unset?", context)
        return super().parse_args(context, args)


class Program(click.Group):
    """Commands whose errors are one line on standard error, without a traceback."""

    command_class = CarefulCommand

    def invoke(self, context: click.Context):
        write_utf8()
        try:
            return super().invoke(context)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise  # click ends the program: with its own message, or without one where nobody reads on
        except Exception as error:
            raise click.ClickException(self.message_of(error)) from error

    @staticmethod
    def message_of(error: Exception) -> str:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the second is that of a GPU
            return "out of memory; shorter lines, a smaller --batch-size or a smaller model need less"
        if isinstance(error, (OSError, ValueError, ImportError)):  # raised on purpose: the message says what to do
            return one_line(error)
        return (
            f"{type(error).__name__}: {one_line(error)} (unexpected, so probably a fault of this program; {TRACEBACK})"
        )


TRACEBACK = "call the same function from Python to see where it happens"
