"""Show words, labels and entities, in a notebook or a terminal.

Taught in chapter 1. Each function returns what it draws.
"""

from collections.abc import Iterable, Sequence
from html import escape

from ner_tutorial.labels import entity_spans

# Colour-blind safe tints (after Okabe and Ito), dark text on them in light and in dark pages. The type is also written
# out: colours only help the eye, and no palette has as many as a corpus may have types.
TYPE_COLOURS = {"PER": "#f6c68b", "ORG": "#9fd3f0", "LOC": "#9fdcc0", "MISC": "#e6b3d0"}
OTHER_COLOURS = ("#f3e08c", "#c9c6f2", "#d8d8d8", "#f2b8a8")
ALL_COLOURS = (*TYPE_COLOURS.values(), *OTHER_COLOURS)


def colour_of(entity_type: str) -> str:
    """The tint of an entity type; types outside CoNLL-2003 get one by their name, always the same."""
    return TYPE_COLOURS.get(entity_type) or OTHER_COLOURS[sum(map(ord, entity_type)) % len(OTHER_COLOURS)]


def colours_of(entity_types: Iterable[str]) -> dict[str, str]:
    """A tint for each type of one picture: different ones for up to eight types, then some share theirs."""
    chosen: dict[str, str] = {}
    for kind in sorted(set(entity_types)):
        free = [colour for colour in ALL_COLOURS if colour not in chosen.values()]
        own = colour_of(kind)
        chosen[kind] = own if own in free or not free else free[-1]
    return chosen


def aligned_text(words: Sequence[str], labels: Sequence[object]) -> str:
    """Two lines, words over labels, each column as wide as its longer entry.

    Raises:
        ValueError: words and labels differ in number.
    """
    if len(words) != len(labels):
        raise ValueError(f"{len(words)} words but {len(labels)} labels")
    columns = [(str(word), str(label)) for word, label in zip(words, labels, strict=True)]
    widths = [max(len(word), len(label)) for word, label in columns]
    lines = (
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in zip(*columns, strict=True)
    )
    return "\n".join(line.rstrip() for line in lines)


class ShownText(str):
    """A text that was printed already: at the end of a notebook cell it is not shown a second time."""

    __slots__ = ()

    def _ipython_display_(self) -> None:
        pass


def show_aligned(words: Sequence[str], labels: Sequence[object]) -> str:
    """Print words over labels, and return the text. See ``aligned_text``."""
    text = ShownText(aligned_text(words, labels))
    print(text)
    return text


class EntityView:
    """A text with its entities marked: HTML in a notebook, brackets in a terminal. An entity inside another is drawn in it."""

    def __init__(self, text: str, spans: Sequence[tuple[int, int, str]]):
        """``spans`` are (start character, end character, type), in any order.

        Raises:
            ValueError: a span is not in the text.
        """
        self.text = text
        for start, end, kind in spans:
            if not 0 <= start <= end <= len(text):
                raise ValueError(
                    f"the entity {kind} from {start} to {end} is not in the text of {len(text)} characters"
                )
        # Outer entities first. One that crosses another is cut where the other ends, for the picture only.
        self.spans = sorted(spans, key=lambda span: (span[0], -span[1], span[2]))

    def _drawn(self, write, open_mark, close_mark) -> str:
        parts: list[str] = []
        ends: list[tuple[int, str]] = []  # the entities that are open, the innermost last
        at = 0

        def go_to(place: int) -> None:
            nonlocal at
            while ends and ends[-1][0] <= place:
                end, kind = ends.pop()
                parts.extend([write(self.text[at:end]), close_mark(kind)])
                at = end
            parts.append(write(self.text[at:place]))
            at = place

        for start, end, kind in self.spans:
            go_to(start)
            parts.append(open_mark(kind))
            ends.append((min(end, ends[-1][0]) if ends else end, kind))
        go_to(len(self.text))
        return "".join(parts)

    def __str__(self) -> str:
        return self._drawn(str, lambda kind: "[", lambda kind: f"]{kind}")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        colours = colours_of(kind for _, _, kind in self.spans)

        def open_mark(kind: str) -> str:
            return f'<mark style="background:{colours[kind]};color:#1a1a1a;padding:.1em .3em;border-radius:.3em">'

        def close_mark(kind: str) -> str:
            return f' <b style="font-size:.7em">{escape(kind)}</b></mark>'

        return f'<div style="line-height:2.1">{self._drawn(escape, open_mark, close_mark)}</div>'


def show_entities(words_or_text: Sequence[str] | str, labels_or_entities: Sequence) -> EntityView:
    """Mark the entities of a sentence.

    Args:
        words_or_text: a list of words, or a text.
        labels_or_entities: label names, one per word; or for a text, entity spans with ``start``, ``end`` and ``type``
            (from ``load_tagger``) or the dictionaries of a ``pipeline``.

    Returns:
        An object that a notebook shows as coloured text and ``print`` as brackets.

    Raises:
        ValueError: words and labels differ in number, or an entity is not in the text.
    """
    if isinstance(words_or_text, str):
        spans = [
            (
                item["start"],
                item["end"],
                item.get("entity_group") or item["entity"].removeprefix("B-").removeprefix("I-"),
            )
            if isinstance(item, dict)
            else (item.start, item.end, item.type)
            for item in labels_or_entities
        ]
        return EntityView(words_or_text, spans)
    words, labels = list(words_or_text), list(labels_or_entities)
    if len(words) != len(labels):
        raise ValueError(f"{len(words)} words but {len(labels)} labels")
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word) + 1
    spans = [(starts[a], starts[b - 1] + len(words[b - 1]), kind) for kind, a, b in entity_spans(labels)]
    return EntityView(" ".join(words), spans)
