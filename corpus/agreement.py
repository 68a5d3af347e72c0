"""Agreement of two annotation passes over the same stories: `python corpus/agreement.py [FIRST SECOND]`.

Prints the entity F1 between the passes, overall and by type, and every disagreement. Without arguments, it compares the
two passes kept in `agreement/`, as they were before adjudication.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from markup import Line, MarkupError, read_stories

HERE = Path(__file__).resolve().parent
FIRST, SECOND = HERE / "agreement" / "first.txt", HERE / "agreement" / "second.txt"

Entity = tuple[int, int, str]  # first word, one past the last, type


@dataclass(frozen=True)
class Agreement:
    sentences: int
    entities_first: int
    entities_second: int
    same: int
    f1: float
    """Twice the entities that both passes mark alike, over the sum of what each marks. Symmetric in the passes."""
    by_type: dict[str, float]
    disagreements: list[tuple[Line, list[Entity], list[Entity]]]
    """(sentence, marked so only by the first pass, marked so only by the second)"""


def entities(line: Line) -> set[Entity]:
    found, start = set(), None
    for i, tag in enumerate([*line.tags, "O"]):
        if start is not None and not tag.startswith("I-"):
            found.add((start, i, line.tags[start][2:]))
            start = None
        if tag.startswith("B-"):
            start = i
    return found


def f1(same: int, first: int, second: int) -> float:
    return 2 * same / (first + second) if first + second else 1.0


def compare(first_path, second_path) -> Agreement:
    """Compare two files of stories.

    Raises:
        MarkupError: the passes do not hold the same words.
    """
    first = [line for story in read_stories([first_path]) for line in story.lines]
    second = [line for story in read_stories([second_path]) for line in story.lines]
    if len(first) != len(second):
        raise MarkupError(f"{len(first)} sentences in {first_path}, {len(second)} in {second_path}")
    same, left, right = Counter(), Counter(), Counter()
    disagreements = []
    for a, b in zip(first, second, strict=True):
        if a.tokens != b.tokens:
            raise MarkupError(f"{a.place} and {b.place} hold different words: {a.text!r}, {b.text!r}")
        one, two = entities(a), entities(b)
        left.update(kind for *_, kind in one)
        right.update(kind for *_, kind in two)
        same.update(kind for *_, kind in one & two)
        if one != two:
            disagreements.append((a, sorted(one - two), sorted(two - one)))
    kinds = sorted(left | right)
    total = same.total(), left.total(), right.total()
    return Agreement(
        sentences=len(first),
        entities_first=total[1],
        entities_second=total[2],
        same=total[0],
        f1=f1(*total),
        by_type={kind: f1(same[kind], left[kind], right[kind]) for kind in kinds},
        disagreements=disagreements,
    )


def main(arguments: list[str]) -> int:
    result = compare(*(arguments or (FIRST, SECOND)))
    for line, only_first, only_second in result.disagreements:
        print(line.text)
        for label, found in (("first ", only_first), ("second", only_second)):
            for start, end, kind in found:
                print(f"    {label} {kind:4} {' '.join(line.tokens[start:end])}")
    print(
        f"{result.sentences} sentences, {result.entities_first} and {result.entities_second} entities, F1 {result.f1:.4f}, "
        + ", ".join(f"{kind} {value:.3f}" for kind, value in result.by_type.items())
        + f"; {len(result.disagreements)} sentences differ"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
