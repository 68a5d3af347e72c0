"""From a model's answers for words to entities in the text.

Taught in chapter 7, step by step and beside the pipeline of Transformers, which finds the same entities in plain text.
``load_tagger``'s way differs where the pipeline is wrong: it knows the words that it has cut, where the pipeline
compares the lengths of tokens (and takes a letter with a separate accent for a later piece), and one window answers for
each word of a long text.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ner_tutorial.alignment import NO_WORD, Windows
from ner_tutorial.characters import starts_character
from ner_tutorial.decoding import decode, scores_of_words, softmax
from ner_tutorial.labels import LabelScheme

STRATEGIES = ("simple", "first", "average", "max")


class Span(NamedTuple):
    """An entity: its type, the characters ``text[start:end]``, and its score between 0 and 1."""

    type: str
    start: int
    end: int
    score: float


def combined(logits: np.ndarray, firsts: Sequence[int], word_ids: Sequence[int | None], strategy: str) -> np.ndarray:
    """The logits of one window, with what all the pieces of a word say together in the row of its first piece.

    Args:
        logits: (tokens, labels)
        firsts: for each token the word that it answers for, or -1.
        word_ids: for each token its word, or ``None``.
        strategy: which pieces speak for a word: the ``first``, the one with the highest probability (``max``), or all,
            by the mean of their probabilities (``average``).
    """
    if strategy not in ("average", "max"):
        return logits
    chances = softmax(logits)  # (tokens, labels)
    rows = logits.copy()
    for start, word in enumerate(firsts):
        if word == NO_WORD:
            continue
        end = start + 1
        while end < len(word_ids) and word_ids[end] == word:
            end += 1  # the word is tokens start to end - 1
        if strategy == "average":
            rows[start] = np.log(chances[start:end].mean(0))  # a softmax of it gives the mean back
        else:
            rows[start] = logits[start + chances[start:end].max(1).argmax()]  # the surest piece
    return rows


def pieces_as_words(
    windows: Windows, places: Sequence[Sequence[tuple[int, int]]], texts: Sequence[str]
) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
    """Each piece as a word of its own, for the strategy ``simple``: which token answers for it, and where it stands.

    Pieces that share a character, as the bytes of one letter do, are one; so are a letter and its accents.

    Args:
        windows: of all texts, with offsets.
        places: for each text where its words begin and end.
        texts: the texts.

    Returns:
        For each window and token the piece that it answers for, or -1; for each text where its pieces begin and end.
    """
    answers: list[list[int]] = []
    pieces: list[list[tuple[int, int]]] = [[] for _ in texts]
    for window, number in enumerate(windows.sentence):
        text, found = texts[number], pieces[number]
        row = [NO_WORD] * len(windows.word_ids[window])
        for token, word in enumerate(windows.word_ids[window]):
            if not windows.owned[window][token]:
                continue
            base, limit = places[number][word]  # offsets count from the start of the word
            start, end = (min(base + offset, limit) for offset in windows.offsets[window][token])
            if found and end <= found[-1][1]:
                continue  # another part of the same character
            while not starts_character(text, end):
                end += 1
            if found and (start < found[-1][1] or not starts_character(text, start)):
                found[-1] = (found[-1][0], max(end, found[-1][1]))  # it goes on with the piece before
            elif start < end:
                row[token] = len(found)
                found.append((start, end))
        answers.append(row)
    return answers, pieces


def spans_of_texts(
    logits: Sequence[np.ndarray],
    windows: Windows,
    texts: tuple[Sequence[str], Sequence[Sequence[tuple[int, int]]]],
    scheme: LabelScheme,
    strategy: str = "first",
    decoding: str = "viterbi",
) -> list[list[Span]]:
    """The entities of each text, in order.

    Each word gets scores from its pieces, and a label. Words of one type that follow each other are one entity, unless a
    later one is labelled ``B-``. Its score is the mean of its words' probabilities for the labels they got.

    Args:
        logits: of each window, (tokens, labels).
        windows: as ``Encoder.texts`` gives them.
        texts: the texts, and where their words begin and end.
        scheme: the labels, in the order of the logits.
        strategy: as for ``combined``, or ``simple``, with which each piece is a word of its own.
        decoding: with ``first``, how the words' scores become labels (``decoding.decode``). The other strategies are those
            of the pipeline of Transformers, which takes each word's best label.
    """
    plain, places = texts
    if strategy == "simple":
        answers, places = pieces_as_words(windows, places, plain)
    else:
        answers = windows.first_pieces()
        logits = [
            combined(rows, firsts, ids, strategy)
            for rows, firsts, ids in zip(logits, answers, windows.word_ids, strict=True)
        ]
    scores = scores_of_words(logits, answers, windows.sentence, [len(row) for row in places], scheme)
    decoding = decoding if strategy == "first" else "greedy"
    return [
        spans_of_words(rows, decode(rows, scheme, decoding), row, scheme)
        for rows, row in zip(scores, places, strict=True)
    ]


def spans_of_words(
    scores: np.ndarray, labels: np.ndarray, places: Sequence[tuple[int, int]], scheme: LabelScheme
) -> list[Span]:
    """The entities of one text, from the logits (words, labels), the chosen label id, and the place of each word."""
    if (labels == scheme.outside_id).all():
        return []
    chances = softmax(scores)  # (words, labels)
    spans: list[Span] = []
    means: list[float] = []  # the probabilities of the words of the last entity
    last = -2  # its last word
    for word in np.flatnonzero(labels != scheme.outside_id).tolist():
        prefix, _, type_ = scheme.names[labels[word]].partition("-")
        start, end = places[word]
        chance = float(chances[word, labels[word]])
        # An I- that goes on with nothing opens an entity, as in lenient scoring.
        if word == last + 1 and prefix == "I" and spans[-1].type == type_:
            means.append(chance)
            spans[-1] = spans[-1]._replace(end=end, score=sum(means) / len(means))
        else:
            means = [chance]
            spans.append(Span(type_, start, end, chance))
        last = word
    return spans
