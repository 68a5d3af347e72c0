"""Ways of writing entities as one label per word, and the way from each of them to IOB2.

Taught in chapter 1 (IOB1 and IOB2) and chapter 9 (the others). The position comes before the hyphen, the type after it.
"""

import re
from collections.abc import Iterable, Sequence

LABEL = re.compile(r"O|[BIESLUM]-.+", re.DOTALL)
"""A label of one of the schemes that mark positions."""

# The position letters beside B and I that tell a scheme from the others.
POSITIONS = {"BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES"}
NOT_A_TYPE = re.compile(r"o|[BIbi][-_].*", re.DOTALL)  # a slip of the pen for O, B-X or I-X


def is_iob2(tags: Sequence[str]) -> bool:
    """True if no entity starts with ``I-``: every ``I-X`` follows a ``B-X`` or ``I-X``."""
    previous = "O"
    for tag in tags:
        if tag.startswith("I-") and previous[2:] != tag[2:]:
            return False
        previous = tag
    return True


def iob1_to_iob2(tags: Sequence[str]) -> list[str]:
    """The same entities with every first word marked ``B-``. IOB2 tags come back unchanged.

    In IOB1, ``I-`` opens an entity, and ``B-`` is used only where an entity of the same type comes right before.
    """
    converted, previous = [], "O"
    for tag in tags:
        opens = tag.startswith("I-") and previous[2:] != tag[2:]
        converted.append("B-" + tag[2:] if opens else tag)
        previous = tag
    return converted


def opens_with_needless_b(tags: Sequence[str]) -> bool:
    """True if some entity opens with ``B-`` where IOB1 would have written ``I-``."""
    previous = "O"
    for tag in tags:
        if tag.startswith("B-") and previous[2:] != tag[2:]:
            return True
        previous = tag
    return False


def recognise(labels: Iterable[str]) -> str:
    """The scheme that a set of labels is written in: ``IOB``, ``BIOES``, ``BILOU``, ``BMES`` or ``IO``.

    ``IOB`` stands for IOB1 and IOB2, which have the same labels. It is also the answer where no scheme fits: the labels
    that do not are then the faulty ones.

    >>> recognise({"O", "B-PER", "E-PER", "S-PER"}), recognise({"O", "person-actor"}), recognise({"O", "I-PER"})
    ('BIOES', 'IO', 'IOB')
    """
    labels = set(labels)
    marked = labels - {"O"}
    letters = {label[0] for label in marked if LABEL.fullmatch(label)}
    if marked and not letters:
        types = all(label[:1].isalpha() and not NOT_A_TYPE.fullmatch(label) for label in marked)
        return "IO" if types and "O" in labels else "IOB"
    if letters <= set("BI"):
        return "IOB"
    return next((name for name, known in POSITIONS.items() if letters <= set(known)), "IOB")


def belongs(label: str, scheme: str) -> bool:
    """True if ``label`` can occur in a file of that scheme."""
    if label == "O":
        return True
    if scheme == "IO":
        return bool(label) and not NOT_A_TYPE.fullmatch(label)
    return len(label) > 2 and label[1] == "-" and label[0] in POSITIONS.get(scheme, "BI")


def to_iob2(tags: Sequence[str], scheme: str) -> tuple[list[str], int]:
    """The labels of one sentence in IOB2, and how many of them broke the rules of ``scheme``.

    In BIOES (BILOU and BMES are the same with other letters) an entity of one word is ``S-X``, and the last word of a
    longer one is ``E-X``. A label that cannot follow the one before starts an entity. IO has no positions: neighbouring
    words of one type become one entity, also where they were two.
    """
    if scheme == "IOB":
        converted = iob1_to_iob2(tags)
        return converted, sum(one != other for one, other in zip(tags, converted, strict=True))
    if scheme == "IO":
        return iob1_to_iob2(["O" if tag == "O" else "I-" + tag for tag in tags]), 0
    converted, faults, open_type = [], 0, None
    for tag in tags:
        position, kind = (tag[0], tag[2:]) if tag != "O" else ("O", None)
        inside = position in "IMEL"
        faults += open_type is not None and not (inside and kind == open_type)  # the open entity has no end
        faults += inside and open_type != kind
        converted.append("O" if kind is None else ("I-" if inside and open_type == kind else "B-") + kind)
        open_type = kind if position in "BIM" else None
    return converted, faults + (open_type is not None)


def brackets_to_iob2(cells: Sequence[str]) -> list[str]:
    """The labels of one sentence from a column in brackets, as CoNLL-2012 has it: ``(PERSON*``, ``*``, ``*)``, ``(GPE)``."""
    tags, kind = [], None
    for cell in cells:
        if cell.startswith("("):
            kind = cell.strip("(*)")
            tags.append("B-" + kind)
        else:
            tags.append("O" if kind is None else "I-" + kind)
        if cell.endswith(")"):
            kind = None
    return tags
