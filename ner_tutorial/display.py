"""Show words, labels and entities, in a notebook or a terminal.

Taught in chapter 1. Each function returns what it draws.
"""

from collections.abc import Sequence
from html import escape

from ner_tutorial.labels import entity_spans

# Colour-blind safe tints (after Okabe and Ito), dark text on them in light and in dark pages; the type is also written out.
TYPE_COLOURS = {"PER": "#f6c68b", "ORG": "#9fd3f0", "LOC": "#9fdcc0", "MISC": "#e6b3d0"}
OTHER_COLOURS = ("#f3e08c", "#c9c6f2", "#d8d8d8", "#f2b8a8")


def colour_of(entity_type: str) -> str:
    """The tint of an entity type; types outside CoNLL-2003 get one by their name, always the same."""
    return TYPE_COLOURS.get(entity_type) or OTHER_COLOURS[sum(map(ord, entity_type)) % len(OTHER_COLOURS)]


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
    """A text with its entities marked: HTML in a notebook, brackets in a terminal."""

    def __init__(self, text: str, spans: Sequence[tuple[int, int, str]]):
        """``spans`` are (start character, end character, type), in order and without overlap."""
        self.text, self.spans = text, list(spans)

    def __str__(self) -> str:
        parts, at = [], 0
        for start, end, kind in self.spans:
            parts += [self.text[at:start], f"[{self.text[start:end]}]{kind}"]
            at = end
        return "".join([*parts, self.text[at:]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts, at = [], 0
        for start, end, kind in self.spans:
            parts.append(escape(self.text[at:start]))
            parts.append(
                f'<mark style="background:{colour_of(kind)};color:#1a1a1a;padding:.1em .3em;border-radius:.3em">'
                f'{escape(self.text[start:end])} <b style="font-size:.7em">{escape(kind)}</b></mark>'
            )
            at = end
        parts.append(escape(self.text[at:]))
        return f'<div style="line-height:2.1">{"".join(parts)}</div>'


def show_entities(words_or_text: Sequence[str] | str, labels_or_entities: Sequence) -> EntityView:
    """Mark the entities of a sentence.

    Args:
        words_or_text: a list of words, or a text.
        labels_or_entities: label names, one a word; or for a text, entity spans with ``start``, ``end`` and ``type``
            (from ``load_tagger``) or the dictionaries of a ``pipeline``.

    Returns:
        An object that a notebook shows as coloured text and ``print`` as brackets.

    Raises:
        ValueError: words and labels differ in number.
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
        return EntityView(words_or_text, sorted(spans))
    words, labels = list(words_or_text), list(labels_or_entities)
    if len(words) != len(labels):
        raise ValueError(f"{len(words)} words but {len(labels)} labels")
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word) + 1
    spans = [(starts[a], starts[b - 1] + len(words[b - 1]), kind) for kind, a, b in entity_spans(labels)]
    return EntityView(" ".join(words), spans)
