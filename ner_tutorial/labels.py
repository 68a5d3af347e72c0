"""The label scheme: names, ids, and how a label continues inside a word.

Taught in chapter 1 (what the labels are) and chapter 2 (how B-X continues as I-X).
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# Label names of the three tag columns of CoNLL-2003, in the id order of its public copies.
NER_NAMES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
POS_NAMES = (
    '"',
    "''",
    "#",
    "$",
    "(",
    ")",
    ",",
    ".",
    ":",
    "``",
    "CC",
    "CD",
    "DT",
    "EX",
    "FW",
    "IN",
    "JJ",
    "JJR",
    "JJS",
    "LS",
    "MD",
    "NN",
    "NNP",
    "NNPS",
    "NNS",
    "NN|SYM",
    "PDT",
    "POS",
    "PRP",
    "PRP$",
    "RB",
    "RBR",
    "RBS",
    "RP",
    "SYM",
    "TO",
    "UH",
    "VB",
    "VBD",
    "VBG",
    "VBN",
    "VBP",
    "VBZ",
    "WDT",
    "WP",
    "WP$",
    "WRB",
)
CHUNK_NAMES = (
    "O",
    *(
        f"{prefix}-{kind}"
        for kind in ["ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP"]
        for prefix in "BI"
    ),
)

IGNORED_LABEL = -100
"""The label id that PyTorch's cross-entropy leaves out of the loss (its ``ignore_index`` default)."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelScheme:
    """The names of an IOB2 label set, in id order: ``names[i]`` is the label with id ``i``.

    >>> scheme = LabelScheme(["O", "B-PER", "I-PER"])
    >>> scheme.label2id["I-PER"], scheme.continuation[1], scheme.entity_types
    (2, 2, ('PER',))

    Every table is built from the *names*, so it is right for any order of the ids.

    Raises:
        ValueError: a name occurs twice, ``O`` is missing, a name is not ``O``, ``B-X`` or ``I-X``, or a type has
            only one of its two labels.
    """

    names: tuple[str, ...]
    continuation: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """``continuation[i]`` is the id for a later piece of a word whose label has id ``i``: B-X and I-X give I-X, O gives O."""

    def __init__(self, names: Sequence[str]):
        object.__setattr__(self, "names", tuple(names))
        self._check()
        ids = self.label2id
        object.__setattr__(
            self, "continuation", tuple(ids["I-" + name[2:]] if name != "O" else ids["O"] for name in self.names)
        )

    def _check(self) -> None:
        names = self.names
        if any(not isinstance(name, str) for name in names):
            raise ValueError(f"label names must be strings, got {list(names)!r}")
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(f"label names must differ; given twice: {', '.join(duplicates)}")
        if "O" not in names:
            raise ValueError(
                f"the label O (outside every entity) is missing from {list(names)}; is a digit 0 in its place?"
            )
        for name in names:
            if name != "O" and not (name[:2] in ("B-", "I-") and len(name) > 2):
                raise ValueError(f"label {name!r} is not O, B-TYPE or I-TYPE")
        for name in names:
            partner = {"B-": "I-", "I-": "B-"}.get(name[:2], "") + name[2:]
            if name != "O" and partner not in names:
                raise ValueError(f"label {name} has no partner {partner}; IOB2 needs both")

    @property
    def num_labels(self) -> int:
        return len(self.names)

    @property
    def id2label(self) -> dict[int, str]:
        return dict(enumerate(self.names))

    @property
    def label2id(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    @property
    def entity_types(self) -> tuple[str, ...]:
        """The entity types in order of their B- label."""
        return tuple(name[2:] for name in self.names if name.startswith("B-"))

    @property
    def outside_id(self) -> int:
        """The id of ``O``. Not always 0."""
        return self.names.index("O")

    @classmethod
    def from_labels(cls, labels: Iterable[str]) -> "LabelScheme":
        """The scheme of all types that occur in ``labels``: ``O``, then ``B-`` and ``I-`` of each type, types by name.

        The order depends on nothing but the types, so that a sentence more renumbers nothing. The types of CoNLL-2003
        have the order of its public copies.

        >>> LabelScheme.from_labels(["O", "B-TOOL", "O", "B-PART"]).names
        ('O', 'B-PART', 'I-PART', 'B-TOOL', 'I-TOOL')

        Raises:
            ValueError: a label is not ``O``, ``B-X`` or ``I-X``.
        """
        seen = set(labels) - {"O"}
        bad = sorted(label for label in seen if not (label[:2] in ("B-", "I-") and len(label) > 2))
        if bad:
            raise ValueError(f"label {bad[0]!r} is not O, B-TYPE or I-TYPE")
        types = sorted({label[2:] for label in seen})
        names = ["O", *(f"{position}-{kind}" for kind in types for position in "BI")]
        return cls(NER_NAMES if set(names) == set(NER_NAMES) else names)

    @classmethod
    def from_features(cls, features, column: str = "ner_tags") -> "LabelScheme":
        """The scheme of a ``datasets`` feature table whose ``column`` is a list of ``ClassLabel``."""
        return cls(features[column].feature.names)

    @classmethod
    def from_config(cls, config) -> "LabelScheme":
        """The scheme of a model configuration, from its ``id2label``."""
        return cls([config.id2label[index] for index in range(len(config.id2label))])

    def check_tags(self, tags: Sequence[str], where: str = "") -> None:
        """Raise ``ValueError`` if a tag is not in the scheme (erratum 2: the digit ``0`` for the letter ``O``)."""
        known = set(self.names)
        for position, tag in enumerate(tags):
            if tag not in known:
                hint = " (a digit zero; the label is the letter O)" if str(tag) == "0" else ""
                raise ValueError(
                    f"{where + ': ' if where else ''}label {tag!r}{hint} at position {position} is not in the scheme "
                    f"{' '.join(self.names)}"
                )


def model_labels(model) -> LabelScheme | None:
    """The labels that a model's configuration names; ``None`` without one, or with Transformers' ``LABEL_0`` and so on.

    Raises:
        ValueError: the names are not IOB2 labels.
    """
    names = getattr(getattr(model, "config", None), "id2label", None)
    if not names or all(re.fullmatch(r"LABEL_\d+", str(name)) for name in names.values()):
        return None
    return LabelScheme.from_config(model.config)


def named_labels(dataset) -> LabelScheme | None:
    """The labels that a split's ``ner_tags`` are ids of; ``None`` where its features do not name them."""
    feature = getattr((getattr(dataset, "features", None) or {}).get("ner_tags"), "feature", None)
    return LabelScheme(feature.names) if getattr(feature, "names", None) else None


def ids_by_name(own: LabelScheme | None, scheme: LabelScheme) -> list[int] | None:
    """For each label id of a split the id that ``scheme`` has for the same name; ``None`` where no id changes.

    Args:
        own: the split's labels, as ``named_labels`` gives them.
        scheme: the model's labels.

    Raises:
        ValueError: the two do not have the same names.
    """
    if own is None or own.names == scheme.names:
        return None
    if set(own.names) != set(scheme.names):
        raise ValueError(
            f"the data set's labels {' '.join(own.names)} are not the model's {' '.join(scheme.names)}; "
            "score it with a model that was trained on these labels"
        )
    logger.warning(
        "labels matched by name: the data set counts %s, the model %s", *map(" ".join, (own.names, scheme.names))
    )
    return [scheme.label2id[name] for name in own.names]


CONLL_SCHEME = LabelScheme(NER_NAMES)
"""The nine labels of CoNLL-2003 in the id order of its public copies."""


def entity_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(type, first word, one past the last word) of each entity, read leniently, as seqeval does by default.

    >>> entity_spans(["B-PER", "I-PER", "O", "B-LOC"])
    [('PER', 0, 2), ('LOC', 3, 4)]
    """
    from seqeval.metrics.sequence_labeling import get_entities

    return [(kind, first, last + 1) for kind, first, last in get_entities(list(tags))]


def labels_to_score(model, data: LabelScheme | None, given: LabelScheme | None, encoded: bool = False) -> LabelScheme:
    """The labels to evaluate a model with: the model's own, else the split's, else those that were given.

    Args:
        model: a token classifier.
        data: the split's labels, where it names them.
        given: labels that the caller names, where neither does.
        encoded: whether the split is turned into ids already, so that nothing can be matched by name.

    Raises:
        ValueError: nobody names labels, or two of the three contradict each other.
    """
    model = getattr(model, "module", model)  # out of DistributedDataParallel
    own = model_labels(model)
    known = [labels for labels in (own, data) if labels is not None]
    if given is not None and known and given.names not in [labels.names for labels in known]:
        raise ValueError(
            f"scheme has the labels {' '.join(given.names)}, but the {'model' if own else 'data set'} has "
            f"{' '.join(known[0].names)}; leave scheme out"
        )
    if encoded and own and data and own.names != data.names:
        raise ValueError(
            f"the split was encoded with the labels {' '.join(data.names)}, the model has {' '.join(own.names)}; "
            "encode it with the model's"
        )
    labels = next(iter([*known, given]))
    if labels is None:
        raise ValueError("neither the model nor the data set names its labels; give scheme")
    outputs = getattr(getattr(model, "config", None), "num_labels", labels.num_labels)
    if outputs != labels.num_labels:
        raise ValueError(
            f"the model has {outputs} labels, but the data set has {labels.num_labels}: {' '.join(labels.names)}"
        )
    return labels
