"""From a model's answers for tokens to entities in the text.

Taught in chapter 7, step by step and with the pipeline of Transformers, which finds the same entities. This module does
the last step for ``load_tagger`` in a small part of the pipeline's time for it, and an exported model answers a short text
so fast that this shows (chapter 9). It asks the tokenizer which tokens make up a word, where the pipeline
compares lengths and can be wrong (letters whose accent is a character of its own).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ner_tutorial.labels import LabelScheme

STRATEGIES = ("simple", "first", "average", "max")


class Found(NamedTuple):
    """An entity: its type, the characters ``text[start:end]``, and its score between 0 and 1."""

    type: str
    start: int
    end: int
    score: float


def entities_of_window(
    logits: np.ndarray,
    words: Sequence[int | None],
    offsets: Sequence[tuple[int, int]],
    scheme: LabelScheme,
    strategy: str,
) -> list[Found]:
    """The entities of one window, in order.

    Each word gets probabilities from its tokens, and the label with the highest one. Words of one type that follow
    each other are one entity, unless a later one is labelled ``B-``. Its score is the mean of its words' probabilities.

    Args:
        logits: (tokens, labels)
        words: for each token the index of its word; ``None`` for tokens that the tokenizer added.
        offsets: for each token its first character and the one past its last.
        scheme: the labels, in the order of the logits.
        strategy: which tokens speak for a word: the ``first``, the one with the highest probability (``max``), or all
            (``average``). With ``simple`` each token is a word of its own.
    """
    if (logits.argmax(1) == scheme.outside_id).all():
        return []  # by every strategy
    # The first and one past the last token of each word.
    spans: list[list[int]] = []
    previous = None
    for token, word in enumerate(words):
        if word is not None:
            if word == previous and strategy != "simple":
                spans[-1][1] = token + 1
            else:
                spans.append([token, token + 1])
        previous = word
    if not spans:
        return []
    odds = np.exp(logits - logits.max(1, keepdims=True))
    chances = odds / odds.sum(1, keepdims=True)  # (tokens, labels)
    if strategy == "average":
        rows = np.stack([chances[start:end].mean(0) for start, end in spans])
    elif strategy == "max":
        peaks = chances.max(1)
        rows = chances[[start + peaks[start:end].argmax() for start, end in spans]]
    else:
        rows = chances[[start for start, _ in spans]]
    best = rows.argmax(1)  # (words,)
    found: list[Found] = []
    scores: list[float] = []  # of the words of the last entity
    last = -2  # its last word
    for word in np.flatnonzero(best != scheme.outside_id).tolist():
        prefix, _, type_ = scheme.names[best[word]].partition("-")
        start, end = offsets[spans[word][0]][0], offsets[spans[word][1] - 1][1]
        score = float(rows[word, best[word]])
        if word == last + 1 and prefix == "I" and found[-1].type == type_:
            scores.append(score)
            found[-1] = found[-1]._replace(end=end, score=sum(scores) / len(scores))
        else:
            scores = [score]
            found.append(Found(type_, start, end, score))
        last = word
    return found


def without_overlaps(found: Sequence[Found]) -> list[Found]:
    """The entities of overlapping windows as those of one text, in order.

    Where two overlap, the longer one stays, and of two of one length the one with the higher score: a window that begins
    or ends inside a name sees a part of it.
    """
    kept: list[Found] = []
    for entity in sorted(found, key=lambda entity: entity.start):
        if kept and entity.start < kept[-1].end:
            # Python's max keeps the first of equals.
            kept[-1] = max(kept[-1], entity, key=lambda one: (one.end - one.start, one.score))
        else:
            kept.append(entity)
    return kept
