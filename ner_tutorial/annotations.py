"""From texts with marked spans to words with labels.

Taught in chapter 9. Annotators mark characters and a model labels words, so some spans cannot be kept as they are. Each
of them becomes a ``Problem`` that says what was done; nothing is dropped in silence.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ner_tutorial.annotation_formats import AnnotatedText, Span
from ner_tutorial.conll import Sentence
from ner_tutorial.lines import quoted
from ner_tutorial.words import WordRule

UNITS = ("characters", "utf-16", "bytes", "characters without \\r")
"""What offsets may count: Unicode code points; UTF-16 units, as JavaScript counts; UTF-8 bytes; or code points of a text
whose line ends have one character, though the file's have two."""


@dataclass(frozen=True)
class Problem:
    """A span that could not be kept as it was marked."""

    kind: str
    done: str
    """What was done: ``kept, …`` or ``dropped``."""
    span: Span
    where: str = ""
    text: str = ""
    """The characters that the span covers, as far as they are in the text."""

    @property
    def dropped(self) -> bool:
        return self.done.startswith("dropped")

    def __str__(self) -> str:
        place = f"{self.where}, " if self.where else ""
        return f"{place}{self.span.start} to {self.span.end}, {self.span.type} {quoted(self.text, 40)}: {self.kind}; {self.done}"


@dataclass(frozen=True)
class LabelledText:
    """A text as words with labels. The three lists have one entry per word."""

    words: list[str]
    labels: list[str]
    places: list[tuple[int, int]]
    """The first character of each word and the one past its last."""
    line_ends: list[int]
    """After how many words each sentence ends: at each line end of the text that stands inside no span."""
    problems: list[Problem] = field(default_factory=list)
    kept: int = 0
    dropped: int = 0
    """``kept + dropped`` is the number of spans that were given."""

    def sentences(self, document: int = 1) -> list[Sentence]:
        """One sentence per line of the text; lines without a word are left out."""
        parts = zip([0, *self.line_ends], self.line_ends, strict=False)
        return [
            Sentence(self.words[start:end], [], [], self.labels[start:end], document)
            for start, end in parts
            if end > start
        ]


def label_spans(
    text: str,
    spans: Sequence[Span | tuple[int, int, str]],
    *,
    offsets: str = "characters",
    cut: Callable[[str], list[tuple[int, int]]] | None = None,
    where: str = "",
) -> LabelledText:
    """The words of a text with IOB2 labels that hold its spans.

    Of spans that share a word the longest is kept, as flat labels can hold only one. A span that begins or ends inside a
    word is widened to whole words.

    Args:
        text: any text; a line end ends a sentence.
        spans: ``Span`` or (start, end, type), ``end`` one past the last.
        offsets: what start and end count, one of ``UNITS``; see ``offset_unit``.
        cut: cuts a text into words: (first character, one past the last) of each, such as ``Encoder.word_rule.cut``. Give
            the rule of the encoder that you will train, so that training and use have the same words. Default: as
            BERT's tokenizers cut.
        where: the file and record, for the problems.

    Raises:
        ValueError: ``offsets`` is no unit that is known.
    """
    spans = [span if isinstance(span, Span) else Span(*span) for span in spans]
    places = (cut or WordRule("every").cut)(text)
    convert = _converter(text, offsets)
    problems: dict[int, list[Problem]] = {}
    candidates: list[tuple[int, int, int]] = []  # first word, one past the last, number of the span

    def note(number: int, kind: str, done: str, start: int | None = None, end: int | None = None) -> None:
        covered = text[start:end] if start is not None else spans[number].text or ""
        problem = Problem(kind, done, spans[number], where, covered)
        # What was done to a span before it was dropped matters no more.
        problems[number] = [problem] if problem.dropped else [*problems.get(number, []), problem]

    owner = _word_of_each_character(text, places)
    for number, span in enumerate(spans):
        start, end = convert(span.start), convert(span.end)
        kind = _refusal(span, start, end, text)
        if kind:
            inside = start is not None and end is not None
            note(number, kind, "dropped", *((start, end) if inside else ()))
            continue
        covered = text[start:end]
        first, last = start + len(covered) - len(covered.lstrip()), end - len(covered) + len(covered.rstrip())
        inner = [owner[i] for i in range(first, last) if owner[i] is not None]
        if not inner:
            note(number, "holds no word", "dropped", start, end)
            continue
        if (first, last) != (start, end):
            note(number, "white space at its ends", "kept, trimmed", start, end)
        begin, stop = places[inner[0]][0], places[inner[-1]][1]
        if begin < first or stop > last:
            note(number, "cuts a word", f"kept, widened to {quoted(text[begin:stop], 40)}", start, end)
        candidates.append((inner[0], inner[-1] + 1, number))

    labels = ["O"] * len(places)
    taken: dict[int, int] = {}  # word -> the candidate that holds it
    chosen: dict[int, tuple[int, int, int]] = {}
    for candidate in sorted(candidates, key=lambda c: (c[0] - c[1], c[0], c[2])):  # the longest first
        first, stop, number = candidate
        rival = next((taken[word] for word in range(first, stop) if word in taken), None)
        if rival is not None:
            at = places[first][0], places[stop - 1][1]
            note(number, _conflict(candidate, chosen[rival], spans), f"dropped; {spans[rival].type} is kept", *at)
            continue
        chosen[number] = candidate
        taken.update(dict.fromkeys(range(first, stop), number))
        kind = type_name(spans[number].type)
        labels[first:stop] = ["B-" + kind, *["I-" + kind] * (stop - first - 1)]
    ends = _sentence_ends(text, places, labels)
    for first, stop, number in chosen.values():
        if re.search(r"[\r\n]", text[places[first][0] : places[stop - 1][1]]):
            at = places[first][0], places[stop - 1][1]
            note(number, "crosses a line end", "kept, its lines are one sentence", *at)
    words = [text[start:end] for start, end in places]
    listed = [problem for number in sorted(problems) for problem in problems[number]]
    return LabelledText(words, labels, places, ends, listed, len(chosen), len(spans) - len(chosen))


def type_name(kind: str) -> str:
    """A type as it can stand in a column file: white space becomes ``_``."""
    return re.sub(r"\s+", "_", kind.strip())


def _refusal(span: Span, start: int | None, end: int | None, text: str) -> str | None:
    """Why a span cannot be kept whatever the words are; ``None`` if it can."""
    if span.parts > 1:
        return "discontinuous"
    if start is None or end is None or not 0 <= start <= end <= len(text):
        return "outside the text"
    if not text[start:end].strip():
        return "only white space"
    if not type_name(span.type):
        return "has no type"
    if span.text is not None and span.text.split() != text[start:end].split():
        return "differs from its recorded text"
    return None


def _conflict(candidate: tuple[int, int, int], other: tuple[int, int, int], spans: Sequence[Span]) -> str:
    if candidate[:2] == other[:2]:
        same = spans[candidate[2]].type == spans[other[2]].type
        return "same words twice" if same else "same words with another type"
    inside = other[0] <= candidate[0] and candidate[1] <= other[1]
    return "inside a longer one" if inside else "crosses another"


def _word_of_each_character(text: str, places: Sequence[tuple[int, int]]) -> list[int | None]:
    owner: list[int | None] = [None] * len(text)
    for number, (start, end) in enumerate(places):
        owner[start:end] = [number] * (end - start)
    return owner


def _sentence_ends(text: str, places: Sequence[tuple[int, int]], labels: Sequence[str]) -> list[int]:
    ends = []
    for number in range(1, len(places)):
        gap = text[places[number - 1][1] : places[number][0]]
        if ("\n" in gap or "\r" in gap) and not labels[number].startswith("I-"):
            ends.append(number)
    return [*ends, len(places)] if places else []


def _converter(text: str, unit: str) -> Callable[[int], int | None]:
    """From an offset in ``unit`` to one in characters; ``None`` where it is outside the text or inside a character."""
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}; choose one of {', '.join(UNITS)}")
    if unit == "characters":
        return lambda offset: offset if 0 <= offset <= len(text) else None
    widths = {
        "utf-16": lambda c: 2 if ord(c) > 0xFFFF else 1,
        "bytes": lambda c: len(c.encode("utf-8", "surrogatepass")),
        "characters without \\r": lambda c: 1,
    }[unit]
    table, at = {}, 0
    for i, character in enumerate(text):
        table.setdefault(at, i)
        skipped = unit.endswith("\\r") and character == "\r" and text[i + 1 : i + 2] == "\n"
        at += 0 if skipped else widths(character)
    table.setdefault(at, len(text))
    return table.get


def offset_unit(texts: Sequence[AnnotatedText]) -> str:
    """The unit in which the offsets of these texts count, so that as many spans as possible fit.

    A span fits if it covers the text that the tool recorded with it; where none was recorded, if it begins and ends at the
    edge of a word. Of units that fit alike the first of ``UNITS`` is taken.
    """
    fits = {}
    for unit in UNITS:
        fits[unit] = 0
        for row in texts:
            convert = _converter(row.text, unit)
            fits[unit] += sum(_fits(row.text, span, convert(span.start), convert(span.end)) for span in row.spans)
    return max(UNITS, key=lambda unit: fits[unit])


def _fits(text: str, span: Span, start: int | None, end: int | None) -> bool:
    if start is None or end is None or start >= end or span.parts > 1:
        return False
    covered = text[start:end]
    if span.text is not None:
        return covered.split() == span.text.split()
    before, after = text[max(start - 1, 0) : start], text[end : end + 1]
    whole = not (before.isalnum() and covered[0].isalnum()) and not (after.isalnum() and covered[-1].isalnum())
    return whole and covered == covered.strip()
