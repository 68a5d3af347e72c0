"""From scores to labels: the best sequence that IOB2 allows.

Taught in chapter 4. Greedy decoding takes each word's best label by itself, so an I-PER can follow an O. The best valid
sequence is the one of highest total log-probability among those in which it cannot.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ner_tutorial.labels import LabelScheme

DECODINGS = ("viterbi", "greedy")


def check_decoding(decoding: str) -> str:
    """The name of a way of decoding, as it came.

    Raises:
        ValueError: it is neither ``viterbi`` nor ``greedy``.
    """
    if decoding not in DECODINGS:
        raise ValueError(f"unknown decoding {decoding!r}; choose one of {', '.join(DECODINGS)}")
    return decoding


@lru_cache(maxsize=32)
def forbidden_steps(scheme: LabelScheme) -> np.ndarray:
    """True where label ``j`` cannot follow label ``i``: I-X follows only B-X and I-X. Shape (labels + 1, labels).

    The last row is the start of a sentence, which I-X cannot follow either.
    """
    types = [name[2:] for name in scheme.names]  # O has the empty type, and no I-
    table = np.array([[name.startswith("I-") and name[2:] != type_ for name in scheme.names] for type_ in [*types, ""]])
    table.setflags(write=False)
    return table


def decode(log_probabilities: np.ndarray, scheme: LabelScheme, decoding: str = "viterbi") -> np.ndarray:
    """One label id per word of a sentence.

    ``viterbi`` gives the valid IOB2 sequence whose log-probabilities have the highest sum, by dynamic programming
    (Viterbi, "Error bounds for convolutional codes and an asymptotically optimum decoding algorithm", 1967).
    ``greedy`` gives each word its best label.

    Args:
        log_probabilities: (words, labels), natural logarithms. Any constant per word can be added, so logits do too.
        scheme: the labels, in the order of the columns.
        decoding: ``viterbi`` or ``greedy``.

    Raises:
        ValueError: ``decoding`` is unknown.
    """
    ids = log_probabilities.argmax(1) if len(log_probabilities) else np.zeros(0, int)  # (words,)
    forbidden = forbidden_steps(scheme)
    # The best sequence of all is the best valid one if it is valid, as it is for most sentences. Row -1 of the table is
    # the start of a sentence, which comes before the first word.
    if check_decoding(decoding) == "greedy" or not forbidden[np.concatenate(([-1], ids[:-1])), ids].any():
        return ids
    steps = np.where(forbidden, -np.inf, 0.0)  # (labels + 1, labels)
    best = steps[-1] + log_probabilities[0]  # of each label, the best sum of a sequence that ends with it
    origins = np.zeros(log_probabilities.shape, int)  # the label before it on that sequence
    for word in range(1, len(ids)):
        sums = best[:, None] + steps[:-1]  # (label before, label)
        origins[word] = sums.argmax(0)
        best = sums.max(0) + log_probabilities[word]
    ids = np.empty(len(origins), int)
    ids[-1] = best.argmax()  # the last label of the best sequence; from it back, label by label
    for word in range(len(ids) - 1, 0, -1):
        ids[word - 1] = origins[word, ids[word]]
    return ids


def scores_of_words(
    predicted: Sequence[np.ndarray],
    words: Sequence[Sequence[int]],
    sentence: Sequence[int],
    lengths: Sequence[int],
    scheme: LabelScheme,
) -> list[np.ndarray]:
    """The scores of each sentence's words, of shape (words, labels), gathered from the windows that answer for them.

    Args:
        predicted: for each window the logits of its tokens, (tokens, labels).
        words: for each window and token the word that the token answers for, or -1.
        sentence: for each window its sentence.
        lengths: the number of words of each sentence.
        scheme: the labels, in the order of the logits. A word that no token answers for is ``O`` for certain.
    """
    outside = np.full(scheme.num_labels, -np.inf)
    outside[scheme.outside_id] = 0.0  # probability 1
    scores = [np.tile(outside, (length, 1)) for length in lengths]  # (words, labels) each
    for logits, ids, number in zip(predicted, words, sentence, strict=True):
        ids = np.asarray(ids, int)
        answers = np.flatnonzero(ids >= 0)  # the tokens that answer for a word
        scores[number][ids[answers]] = np.asarray(logits)[answers]
    return scores


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of the same shape, (..., labels); each row sums to 1."""
    odds = np.exp(logits - logits.max(-1, keepdims=True))  # the largest exponent is 0, so nothing overflows
    return odds / odds.sum(-1, keepdims=True)
