"""Read the authors' markup: one tokenised sentence a line, entities in brackets, `== id` before each story.

The format is described in AUTHORS.md. Only the standard library is needed.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

TYPES = ("PER", "ORG", "LOC", "MISC")


class MarkupError(ValueError):
    """A line that departs from AUTHORS.md."""


@dataclass
class Line:
    tokens: list[str]
    tags: list[str]
    path: Path
    number: int

    @property
    def place(self) -> str:
        return f"{self.path.name}:{self.number}"

    @property
    def text(self) -> str:
        return " ".join(self.tokens)


@dataclass
class Story:
    name: str
    lines: list[Line] = field(default_factory=list)

    @property
    def desk(self) -> str:
        return self.name.rsplit("-", 1)[0]


def parse_line(line: str) -> tuple[list[str], list[str]]:
    """(tokens, IOB2 tags) of a line such as ``[PER Ilse Maro] spoke .``

    Raises:
        MarkupError: a bracket is nested, unclosed or stray, or a type is unknown.
    """
    tokens: list[str] = []
    tags: list[str] = []
    kind, opens = None, False
    for raw in line.split():
        if opening := re.fullmatch(r"\[([A-Z]+)", raw):
            if kind:
                raise MarkupError(f"bracket inside a bracket at {raw}")
            if opening[1] not in TYPES:
                raise MarkupError(f"unknown type {opening[1]}")
            kind, opens = opening[1], True
            continue
        closes = raw.endswith("]")
        token = raw[:-1] if closes else raw
        if not token or "[" in token or "]" in token or (closes and not kind):
            raise MarkupError(f"bracket out of place at {raw!r}; write [PER Name Name]")
        tokens.append(token)
        tags.append("O" if not kind else ("B-" if opens else "I-") + kind)
        opens = False
        if closes:
            kind = None
    if kind:
        raise MarkupError("a bracket is not closed")
    return tokens, tags


def read_stories(paths) -> list[Story]:
    """All stories of the files, in order.

    Raises:
        MarkupError: with file and line.
    """
    stories: list[Story] = []
    for path in map(Path, paths):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("=="):
                stories.append(Story(line[2:].strip()))
            elif line.strip():
                try:
                    tokens, tags = parse_line(line)
                except MarkupError as error:
                    raise MarkupError(f"{path.name}:{number}: {error}") from None
                if not stories:
                    raise MarkupError(f"{path.name}:{number}: a sentence before the first story (== id)")
                stories[-1].lines.append(Line(tokens, tags, path, number))
    return stories
