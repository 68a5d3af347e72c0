"""What a model gets wrong: a table with one row per entity, and the counts and tests that are made from it.

Taught in chapter 8. Everything here reads label names, so it works for any model and any set of types.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from ner_tutorial.labels import entity_spans

KINDS = ("right", "wrong type", "wrong boundary", "both wrong", "missed", "invented")
"""What can become of an entity. The first four pair a gold entity with a predicted one, the last two have no partner."""
SEEN = ("same type", "another type", "some word seen", "all words new")
"""How much of a gold entity the training split has shown: its surface form, or at least a word of its entities."""

Span = tuple[str, int, int]


def match_entities(gold: Sequence[Span], predicted: Sequence[Span]) -> list[tuple[str, Span | None, Span | None]]:
    """Pair the entities of one sentence: (kind, gold or ``None``, predicted or ``None``), in order of their words.

    Entities on the same words are paired first. Of the rest, those that share most words are paired, so that each
    entity has at most one partner. Without one it is missed (gold) or invented (predicted).

    Args:
        gold, predicted: (type, first word, one past the last word), as ``entity_spans`` gives them.
    """
    overlaps = sorted(
        (
            (g[1:] != p[1:], -(min(g[2], p[2]) - max(g[1], p[1])), g[0] != p[0], g, p)
            for g in gold
            for p in predicted
            if min(g[2], p[2]) > max(g[1], p[1])
        ),
        key=lambda pair: (*pair[:3], pair[3][1], pair[4][1]),  # same words, then most shared words, then same type
    )
    taken_gold: set[Span] = set()
    taken_predicted: set[Span] = set()
    rows: list[tuple[str, Span | None, Span | None]] = []
    for other_words, _, other_type, g, p in overlaps:
        if g not in taken_gold and p not in taken_predicted:  # greedily: the best pairs come first
            taken_gold.add(g)
            taken_predicted.add(p)
            kind = {(0, 0): "right", (0, 1): "wrong type", (1, 0): "wrong boundary", (1, 1): "both wrong"}
            rows.append((kind[other_words, other_type], g, p))
    rows += [("missed", g, None) for g in gold if g not in taken_gold]
    rows += [("invented", None, p) for p in predicted if p not in taken_predicted]
    return sorted(rows, key=lambda row: (row[1] or row[2])[1:])


def casing(words: Sequence[str]) -> str:
    """``capitals``, ``lower``, ``capitalised`` (each word begins with a capital) or ``mixed``."""
    letters = [word for word in words if any(c.isalpha() for c in word)]
    if not letters:
        return "no letters"
    if all(word.isupper() for word in letters):
        return "capitals"
    if all(word.islower() for word in letters):
        return "lower"
    return "capitalised" if all(word[0].isupper() for word in letters) else "mixed"


class Memory:
    """The entities of a training split, to ask how much of another entity was seen there.

    Args:
        sentences: lists of words.
        labels: the label names of their words.
    """

    def __init__(self, sentences: Iterable[Sequence[str]], labels: Iterable[Sequence[str]]):
        self.types: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self.words: set[str] = set()
        for words, tags in zip(sentences, labels, strict=True):
            for kind, start, end in entity_spans(tags):
                self.types[tuple(words[start:end])].add(kind)  # a surface form may be of several types
                self.words.update(words[start:end])

    def seen(self, words: Sequence[str], kind: str) -> str:
        """One of ``SEEN`` for an entity of type ``kind`` with these words."""
        types = self.types.get(tuple(words))
        if types:
            return "same type" if kind in types else "another type"
        return "some word seen" if self.words & set(words) else "all words new"


def error_table(
    sentences: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    predictions: Sequence[Sequence[str]],
    *,
    train: Memory | None = None,
    stories: Sequence[str] | None = None,
    probabilities: Sequence[Sequence[float]] | None = None,
) -> pd.DataFrame:
    """One row per entity, gold or predicted; a gold entity and the predicted one that it is paired with share a row.

    Args:
        sentences: the words.
        references, predictions: label names, one per word.
        train: what the training split has shown (``Memory``); without it the column ``seen`` is empty.
        stories: the document of each sentence. What stands before its last hyphen is the genre.
        probabilities: the model's probability for each word's predicted label, between 0 and 1.

    Returns:
        A table with the columns sentence, story, genre, kind, gold_type, predicted_type, gold, predicted (the words),
        start, end (of the gold entity, else of the predicted one), length (words), casing, seen, score (the mean
        probability of the predicted entity's words).

    Raises:
        ValueError: a sentence has another number of labels than of words.
    """
    rows = []
    for number, (words, gold, guess) in enumerate(zip(sentences, references, predictions, strict=True)):
        if not len(words) == len(gold) == len(guess):
            raise ValueError(
                f"sentence {number}: {len(words)} words, {len(gold)} gold and {len(guess)} predicted labels"
            )
        story = "" if stories is None else stories[number]
        for kind, g, p in match_entities(entity_spans(gold), entity_spans(guess)):
            _, start, end = g or p
            score = None
            if p and probabilities is not None:
                score = float(np.mean(probabilities[number][p[1] : p[2]]))  # as load_tagger scores an entity
            rows.append(
                {
                    "sentence": number,
                    "story": story,
                    "genre": story.rpartition("-")[0],
                    "kind": kind,
                    "gold_type": g[0] if g else "",
                    "predicted_type": p[0] if p else "",
                    "gold": " ".join(words[g[1] : g[2]]) if g else "",
                    "predicted": " ".join(words[p[1] : p[2]]) if p else "",
                    "start": start,
                    "end": end,
                    "length": end - start,
                    "casing": casing(words[start:end]),
                    "seen": train.seen(words[start:end], g[0]) if g and train else "",
                    "score": score,
                }
            )
    columns = [
        "sentence", "story", "genre", "kind", "gold_type", "predicted_type", "gold", "predicted", "start", "end",
        "length", "casing", "seen", "score",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def count_kinds(table: pd.DataFrame) -> pd.Series:
    """How many entities became what, in the order of ``KINDS``."""
    return table["kind"].value_counts().reindex(KINDS, fill_value=0)


def scores_by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Precision, recall and F1 of each value of ``column``, the most frequent first.

    A right entity counts as found. Every other gold entity lowers recall, every other predicted one precision. For a
    column that only gold entities have (``gold_type``, ``seen``), invented entities belong to no value: only recall
    can be said of it, and ``scores_by`` leaves the other two out.
    """
    rows = {}
    of_gold_only = column in ("gold_type", "seen", "gold")
    for value, part in table.groupby(column, sort=False):
        if value == "":
            continue
        right = int((part["kind"] == "right").sum())
        gold, predicted = int((part["gold_type"] != "").sum()), int((part["predicted_type"] != "").sum())
        rows[value] = {"entities": gold, "right": right, "recall": right / gold if gold else np.nan}
        if not of_gold_only:
            rows[value]["precision"] = right / predicted if predicted else np.nan
            rows[value]["f1"] = 2 * right / (gold + predicted) if gold + predicted else np.nan  # 2PR / (P + R)
    columns = ["entities", "right", "recall"] + ([] if of_gold_only else ["precision", "f1"])
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return frame.sort_values("entities", ascending=False, kind="stable")


def type_confusion(table: pd.DataFrame) -> pd.DataFrame:
    """Counts of gold types (rows) against predicted types (columns), missed and invented entities included."""
    gold = table["gold_type"].replace("", "(invented)")
    predicted = table["predicted_type"].replace("", "(missed)")
    return pd.crosstab(gold, predicted, rownames=["gold"], colnames=["predicted"])


def worst_sentences(table: pd.DataFrame, count: int = 10) -> list[int]:
    """The sentences with the most wrong entities; of equals the one with the surest wrong answer first."""
    wrong = table[table["kind"] != "right"]
    order = wrong.groupby("sentence").agg(errors=("kind", "size"), surest=("score", "max")).fillna(0)
    order = order.sort_values(["errors", "surest"], ascending=False, kind="stable")
    return [int(number) for number in order.index[:count]]


def calibration(table: pd.DataFrame, edges: Sequence[float] = (0, 0.5, 0.7, 0.9, 0.99, 1.0)) -> pd.DataFrame:
    """How often predicted entities are right, by the score that the model gave them; a range has its upper edge."""
    guesses = table[table["score"].notna()]
    ranges = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    bins = pd.cut(guesses["score"].astype(float), list(edges), labels=ranges, include_lowest=True)
    right = (guesses["kind"] == "right").groupby(bins, observed=False)
    mean = guesses["score"].astype(float).groupby(bins, observed=False).mean()
    return pd.DataFrame({"entities": right.size(), "mean score": mean, "share right": right.mean()})


def report(table: pd.DataFrame, f1: float) -> str:
    """The tables of chapter 8 as text: kinds, types, what training has shown, length, casing, genre, scores."""
    parts = [f"F1 {f1:.4f}", "", "What became of the entities", count_kinds(table).to_string(), ""]
    parts += ["Gold types (rows) and predicted types", type_confusion(table).to_string(), ""]
    for title, column in (("type", "gold_type"), ("seen in training", "seen"), ("length in words", "length"),
                          ("casing", "casing"), ("genre", "genre")):  # fmt: skip
        rows = scores_by(table, column)
        if len(rows):
            parts += [f"By {title}", rows.round(3).to_string(), ""]
    if table["score"].notna().any():
        parts += ["Predicted entities by score", calibration(table).round(3).to_string(), ""]
    return "\n".join(parts).rstrip()


# --------------------------------------------------------------------------------------------- how sure is a number?


def _counts(references, predictions, groups: Sequence | None) -> np.ndarray:
    """(right, gold, predicted) of each group of sentences; shape (groups, 3)."""
    totals: dict = defaultdict(lambda: np.zeros(3))
    for number, (gold, guess) in enumerate(zip(references, predictions, strict=True)):
        a, b = Counter(entity_spans(gold)), Counter(entity_spans(guess))  # a & b: the same type on the same words
        totals[number if groups is None else groups[number]] += ((a & b).total(), a.total(), b.total())
    return np.array(list(totals.values()))


def _f1(counts: np.ndarray) -> np.ndarray:
    """F1 from (…, 3) counts of right, gold and predicted entities; 0 where there are none."""
    return 2 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1)


def bootstrap_f1(
    references, predictions, groups: Sequence | None = None, *, samples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """An interval for F1: the middle ``level`` of the F1 of data sets drawn, with replacement, from this one.

    Args:
        references, predictions: label names, sentence by sentence.
        groups: what is drawn together, such as the story of each sentence: sentences of a story share their names, so
            they are no independent evidence. ``None`` draws single sentences.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993 (percentile interval, cluster by group).
    """
    counts = _counts(references, predictions, groups)  # (groups, 3)
    draws = np.random.default_rng(seed).integers(len(counts), size=(samples, len(counts)))
    values = _f1(counts[draws].sum(axis=1))  # (samples,)
    edge = (1 - level) / 2  # cut off at either end
    low, high = np.quantile(values, [edge, 1 - edge])
    return float(low), float(high)


def paired_test(
    references, first, second, groups: Sequence | None = None, *, samples: int = 5000, seed: int = 0
) -> tuple[float, float]:
    """(F1 of ``second`` less F1 of ``first``, p): approximate randomisation, two-sided.

    If the two models were alike, it would not matter which of them gave which answer. So the answers of each group are
    exchanged at random, and p is the share of exchanges whose difference is at least as large as the one observed.

    Source: Noreen, Computer Intensive Methods for Testing Hypotheses, 1989; Yeh, COLING 2000.
    """
    a, b = _counts(references, first, groups), _counts(references, second, groups)
    observed = float(_f1(b.sum(0)) - _f1(a.sum(0)))
    swap = np.random.default_rng(seed).random((samples, len(a))) < 0.5  # (samples, groups)
    moved = np.einsum("sg,gc->sc", swap.astype(float), b - a)  # what each exchange moves from b to a
    differences = _f1(b.sum(0) - moved) - _f1(a.sum(0) + moved)
    # The observed split is one of the possible ones, so it counts as well: p is never 0.
    return observed, float((1 + (np.abs(differences) >= abs(observed) - 1e-12).sum()) / (1 + samples))


def suspected_labels(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Words whose label is probably wrong, the most suspicious first: confident learning.

    A word is suspected if the model's best other label is at least as probable as that label is on average where it
    is given, and more probable than the given one. The order is by how little the model thinks of the given label.

    Args:
        labels: (words,) label ids as annotated.
        probabilities: (words, labels) of a model that was **not** trained on these words.

    Returns:
        Indices of words.

    Source: Northcutt, Jiang and Chuang, Confident Learning, JAIR 2021.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=float)
    thresholds = np.array(
        [probabilities[labels == k, k].mean() if (labels == k).any() else np.inf for k in range(probabilities.shape[1])]
    )  # (labels,): how sure the model is of a label where it is given
    sure = np.where(probabilities >= thresholds, probabilities, 0)  # (words, labels)
    best = sure.argmax(1)  # (words,)
    given = probabilities[np.arange(len(labels)), labels]  # (words,): of the label as annotated
    suspicious = np.flatnonzero((sure.max(1) > 0) & (best != labels) & (sure.max(1) > given))
    return suspicious[np.argsort(given[suspicious], kind="stable")]
