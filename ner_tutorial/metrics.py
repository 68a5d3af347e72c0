"""When is an entity right? Decode predictions into labels and score them with seqeval.

Taught in chapter 4. An entity counts only if its type and both its ends are right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.resources import files

import numpy as np

from ner_tutorial.baselines import DictionaryBaseline
from ner_tutorial.corpus import reference_labels
from ner_tutorial.labels import CONLL_SCHEME, IGNORED_LABEL, LabelScheme


@dataclass(frozen=True)
class DecodedLabels:
    """Label names per sentence, ignored positions left out. The fields are named so that they cannot be exchanged."""

    references: list[list[str]]
    """What the annotators wrote (gold)."""
    predictions: list[list[str]]
    """What the model answered."""


def decode_predictions(logits_or_ids, labels, scheme: LabelScheme = CONLL_SCHEME) -> DecodedLabels:
    """Label names of references and predictions, without the positions whose label is -100.

    Args:
        logits_or_ids: scores of shape (sentences, tokens, labels), or label ids of shape (sentences, tokens). Rows
            may differ in length if they are given as lists.
        labels: label ids of shape (sentences, tokens), -100 where nothing is scored.
        scheme: the names of the ids.

    Raises:
        ValueError: the shapes differ, the last axis is not ``scheme.num_labels`` wide, or an id is not in the scheme.
    """
    references, predictions = [], []
    if len(logits_or_ids) != len(labels):
        raise ValueError(f"{len(logits_or_ids)} rows of predictions but {len(labels)} rows of labels")
    for number, (row, gold) in enumerate(zip(logits_or_ids, labels, strict=True)):
        row, gold = np.asarray(row), np.asarray(gold)  # (tokens, labels) or (tokens,); (tokens,)
        if row.ndim == 2:
            if row.shape[-1] != scheme.num_labels:
                raise ValueError(
                    f"row {number}: {row.shape[-1]} scores a token, but the scheme has {scheme.num_labels} labels"
                )
            row = row.argmax(-1)  # (tokens,)
        if row.shape != gold.shape:
            raise ValueError(f"row {number}: {row.shape[0] if row.ndim else 0} predictions but {len(gold)} labels")
        counted = gold != IGNORED_LABEL  # (tokens,); the reference decides for both, so the lengths stay equal
        references.append(_names(gold[counted], scheme, "reference", number))
        predictions.append(_names(row[counted], scheme, "prediction", number))
    return DecodedLabels(references=references, predictions=predictions)


def _names(ids, scheme: LabelScheme, kind: str, row: int) -> list[str]:
    wrong = [int(i) for i in ids if not 0 <= i < scheme.num_labels]
    if wrong:
        raise ValueError(f"row {row}: {kind} id {wrong[0]} is not in the scheme of {scheme.num_labels} labels")
    return [scheme.names[int(i)] for i in ids]


@dataclass(frozen=True)
class TypeScore:
    """Precision, recall and F1 of one entity type, between 0 and 1; ``number`` counts its gold entities."""

    precision: float
    recall: float
    f1: float
    number: int


@dataclass(frozen=True)
class Scores:
    """Entity scores of a set of sentences. All are between 0 and 1."""

    precision: float
    """The share of predicted entities that are right."""
    recall: float
    """The share of gold entities that are found."""
    f1: float
    """The harmonic mean of precision and recall."""
    accuracy: float
    """The share of *labels* that are right; always-O already gets a high one (erratum 16)."""
    number: int
    """Gold entities."""
    per_type: dict[str, TypeScore]

    def to_dict(self) -> dict:
        """Plain values that ``json.dumps`` accepts."""
        return asdict(self)

    def overall(self) -> dict[str, float]:
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, "accuracy": self.accuracy}


@cache
def load_seqeval():
    """The seqeval metric of this package as an ``evaluate`` module (chapter 4). Needs no network.

    ``score_labels`` asks seqeval itself, whose import takes a fraction of the time of ``evaluate``'s; both give the same.
    """
    import evaluate

    return evaluate.load(str(files("ner_tutorial") / "seqeval_metric"), keep_in_memory=True)


def score_labels(
    references: Sequence[Sequence[str]],
    predictions: Sequence[Sequence[str]],
    *,
    strict: bool = False,
    scheme: LabelScheme | None = CONLL_SCHEME,
) -> Scores:
    """Entity scores of predicted label names against the references, computed by seqeval.

    Args:
        references: gold label names, one list per sentence.
        predictions: predicted label names, same lengths.
        strict: count only entities that are well-formed IOB2 (they start with B-). Without it, seqeval is lenient:
            an I- after another type or after O opens an entity (erratum 10).
        scheme: the labels that may occur; a digit ``0`` or another foreign label is an error (erratum 2).

    Raises:
        ValueError: lengths differ, or a label is not in the scheme.
    """
    if len(references) != len(predictions):
        raise ValueError(f"{len(references)} reference sentences but {len(predictions)} predicted ones")
    for number, (gold, guess) in enumerate(zip(references, predictions, strict=True)):
        if len(gold) != len(guess):
            raise ValueError(f"sentence {number}: {len(gold)} reference labels but {len(guess)} predicted ones")
        if scheme is not None:
            scheme.check_tags(gold, f"reference of sentence {number}")
            scheme.check_tags(guess, f"prediction of sentence {number}")
    if not any(len(gold) for gold in references):  # seqeval would divide by the number of labels
        return Scores(0.0, 0.0, 0.0, 0.0, 0, {})
    return _seqeval_scores([list(row) for row in references], [list(row) for row in predictions], strict)


def _seqeval_scores(references, predictions, strict: bool) -> Scores:
    """What seqeval counts. Its ``classification_report`` would mix the types with averages, under the same kind of name."""
    from seqeval.metrics import accuracy_score, v1
    from seqeval.metrics import sequence_labeling as lenient
    from seqeval.scheme import IOB2, Entities

    if strict:
        support = partial(v1.precision_recall_fscore_support, scheme=IOB2)  # ill-formed entities count as none
        entities = [Entities(rows, IOB2).unique_tags for rows in (references, predictions)]
    else:
        support = lenient.precision_recall_fscore_support  # an I- after O opens an entity, as conlleval has it
        entities = [
            {kind for row in rows for kind, *_ in lenient.get_entities(row)} for rows in (references, predictions)
        ]
    # With average=None it gives one value per type, in the order of the sorted names.
    columns = support(references, predictions, average=None, zero_division=0)
    rows = zip(sorted(entities[0] | entities[1]), *columns, strict=True)
    per_type = {kind: TypeScore(float(p), float(r), float(f1), int(number)) for kind, p, r, f1, number in rows}
    # Micro: all entities are counted together, so a frequent type weighs more than a rare one.
    overall = support(references, predictions, average="micro", zero_division=0) if per_type else (0.0, 0.0, 0.0)
    return Scores(
        *map(float, overall[:3]),  # precision, recall, F1
        accuracy=float(accuracy_score(references, predictions)),
        number=sum(row.number for row in per_type.values()),
        per_type=per_type,
    )


def make_compute_metrics(
    scheme: LabelScheme = CONLL_SCHEME, *, strict: bool = False
) -> Callable[..., dict[str, float]]:
    """A ``compute_metrics`` function for ``Trainer``: precision, recall, f1 and accuracy as plain floats."""

    def compute_metrics(prediction) -> dict[str, float]:
        decoded = decode_predictions(prediction.predictions, prediction.label_ids, scheme)
        return score_labels(decoded.references, decoded.predictions, strict=strict, scheme=scheme).overall()

    return compute_metrics


def baseline_scores(train, test) -> Mapping[str, Scores]:
    """The scores that cost nothing: ``always O``, and the dictionary of the training mentions."""
    scheme = LabelScheme.from_features(test.features)
    references = reference_labels(test, scheme)
    dictionary = DictionaryBaseline(train)
    return {
        "always O": score_labels(references, [["O"] * len(row) for row in references], scheme=scheme),
        "dictionary": score_labels(references, [dictionary.predict(words) for words in test["tokens"]], scheme=scheme),
    }
