"""Exercises of chapter 1: labels, spans, schemes and baselines."""

from collections import Counter
from itertools import pairwise

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub

SPANS = Exercise(
    number="01.1",
    title="Read the spans",
    statement="""\
Which mentions do these labels describe? Write each one as (type, first word, one past the last word), as in the
section "From labels to entities". Words are counted from 0.

```text
B-PER I-PER O B-LOC B-LOC I-LOC O
```""",
    start="""\
answer = None  # a list, for example [("ORG", 0, 1), ("PER", 4, 6)]""",
    solution="""\
answer = [("PER", 0, 2), ("LOC", 3, 4), ("LOC", 4, 6)]""",
    hint="Write the numbers 0 to 6 above the labels. A mention starts at every B- and ends before the next label that "
    "is not I- of its type.",
    expected=[("PER", 0, 2), ("LOC", 3, 4), ("LOC", 4, 6)],
    mistakes=(
        Mistake(
            [("PER", 0, 1), ("LOC", 3, 3), ("LOC", 4, 5)],
            "You gave the last word of each mention. A span ends one past it, as Python's slices do, so that "
            "words[start:end] is the mention.",
        ),
        Mistake(
            [("PER", 1, 3), ("LOC", 4, 5), ("LOC", 5, 7)],
            "You counted the words from 1. Python counts from 0, so the first word has the number 0.",
        ),
        Mistake(
            [("PER", 0, 2), ("LOC", 3, 6)],
            "You joined two neighbours into one mention. The second B-LOC says that another place starts there.",
        ),
        Mistake(
            [("B-PER", 0, 2), ("B-LOC", 3, 4), ("B-LOC", 4, 6)],
            "The places are right. The type is only the part after the hyphen, so write PER and LOC: the B- is there to "
            "mark the first word.",
        ),
    ),
)

IOB1 = Exercise(
    number="01.2",
    title="Count mentions in IOB1",
    statement="""\
This sentence is labelled in **IOB1**. How many mentions does it have?

```text
I-PER I-PER O I-LOC O I-PER B-PER I-PER
```""",
    start="answer = None  # a number",
    solution="answer = 4  # words 0 to 1, word 3, word 5, and words 6 to 7",
    hint="In IOB1 a mention starts with I-. B- is used only where a mention of the same type comes directly before.",
    expected=4,
    mistakes=(
        Mistake(
            1, "You counted the B- labels. That is right for IOB2; in IOB1 most mentions start with I- (error 15)."
        ),
        Mistake(
            3, "You joined words 5 to 7 into one mention. The B-PER at word 6 says that a second person starts there."
        ),
        Mistake(5, "You counted the I- labels. An I- after a label of its own type continues that mention."),
        Mistake(6, "You counted the labelled words. A mention of two words has two labels and counts once."),
    ),
)

UNSEEN = Exercise(
    number="01.3",
    title="Find the fault: the share of unseen mentions",
    statement="""\
`unseen_share(known, mentions)` should return the share of the mentions whose surface form is not in `known`.
`mentions` has one entry for every mention, so a name that occurs three times is there three times. Without mentions
the share is 0. The function below is wrong for some inputs. Find the fault and repair it.""",
    start="""\
def unseen_share(known, mentions):
    forms = set(mentions)
    if not forms:
        return 0.0
    return len([form for form in forms if form not in known]) / len(forms)""",
    solution="""\
def unseen_share(known, mentions):
    if not mentions:
        return 0.0
    return sum(form not in known for form in mentions) / len(mentions)""",
    hint='What is left of ["Paris", "Paris", "Oslo"] in a set, and how many mentions were there?',
    name="unseen_share",
    cases=(
        case(["Paris", "Rome"], ["Paris", "Oslo"], expected=0.5),
        case(["Paris", "Rome"], ["Paris", "Paris", "Oslo"], expected=1 / 3),
        case(["Paris", "Rome"], ["Oslo", "Oslo", "Rome", "Lima"], expected=0.75),
        case(["Paris"], [], expected=0.0),
        case([], ["Oslo", "Lima"], expected=1.0),
    ),
    mistakes=(
        Mistake(
            lambda known, mentions: len(set(mentions) - set(known)) / max(1, len(set(mentions))),
            "Each name is counted once, however often it occurs. The question is about mentions, and a set has lost "
            "how many there were.",
        ),
        Mistake(
            lambda known, mentions: sum(form in known for form in mentions) / max(1, len(mentions)),
            "This is the share of the mentions that are known. The unseen ones are the others.",
        ),
        Mistake(
            lambda known, mentions: sum(form not in known for form in mentions),
            "This is how many mentions are unseen. A share divides that by the number of all mentions.",
        ),
    ),
)


def _all_begin(labels):
    return ["B-" + label[2:] if label != "O" else "O" for label in labels]


def _opening(labels, opens):
    before = ["O", *labels[:-1]]
    return ["B-" + a[2:] if a[:2] == "I-" and opens(a, b) else a for a, b in zip(labels, before, strict=False)]


CONVERT = Exercise(
    number="01.4",
    title="Convert IOB1 to IOB2",
    statement="""\
Write `to_iob2(labels)`: it takes the labels of one sentence in IOB1 and returns a new list in IOB2, where every
mention starts with `B-`. Labels that are right already stay as they are.""",
    start=stub("to_iob2(labels)"),
    solution="""\
def to_iob2(labels):
    converted, before = [], "O"
    for label in labels:
        # I-X opens a mention unless the word before belongs to the same type.
        opens = label.startswith("I-") and before[2:] != label[2:]
        converted.append("B-" + label[2:] if opens else label)
        before = label
    return converted""",
    hint="Look at each label together with the one before it. Which pairs mean that I-X opens a mention?",
    name="to_iob2",
    cases=(
        case(["I-PER", "I-PER", "O", "I-LOC"], expected=["B-PER", "I-PER", "O", "B-LOC"]),
        case(["O", "I-PER", "B-PER", "I-PER"], expected=["O", "B-PER", "B-PER", "I-PER"]),
        case(["I-LOC", "I-PER", "I-PER"], expected=["B-LOC", "B-PER", "I-PER"]),
        case([], expected=[]),
        case(["B-ORG", "I-ORG", "O"], expected=["B-ORG", "I-ORG", "O"]),
    ),
    mistakes=(
        Mistake(
            lambda labels: [*labels],
            "The labels come back as they were. A mention that opens with I- must get B- at its first word.",
        ),
        Mistake(
            _all_begin,
            "Every labelled word became B-, so a name of two words is now two names. Only the first word of a mention "
            "gets B-.",
        ),
        Mistake(
            lambda labels: _opening(labels, lambda label, before: before == "O"),
            "An I- after O is converted, and an I- after another type is not. In I-LOC I-PER a second mention starts, "
            "because the type changes.",
        ),
        Mistake(
            lambda labels: _opening(labels, lambda label, before: before != label),
            "An I- is converted whenever the label before it is another one, so I-PER after B-PER starts a new mention. "
            "Compare the types: what follows the hyphen.",
        ),
    ),
)


def _counts(pairs):
    counts: dict[str, Counter] = {}
    for surface, kind in pairs:
        counts.setdefault(surface, Counter())[kind] += 1
    return {surface: dict(kinds) for surface, kinds in counts.items()}


def _case(surface, kinds, expected):
    return case([(surface, kind) for kind in kinds.split()], expected={surface: expected})


DICTIONARY = Exercise(
    number="01.5",
    title="The dictionary baseline",
    statement="""\
Write `most_frequent_types(pairs)`. `pairs` lists (surface form, type), one for each mention in train. Return a
dictionary that gives each surface form the type that it has most often. If two types are equally frequent, take the
one that came first.""",
    start=stub("most_frequent_types(pairs)"),
    solution="""\
from collections import Counter


def most_frequent_types(pairs):
    kinds = {}
    for surface, kind in pairs:
        kinds.setdefault(surface, Counter())[kind] += 1
    # most_common keeps the order of first occurrence among equals.
    return {surface: counts.most_common(1)[0][0] for surface, counts in kinds.items()}""",
    hint="A Counter for each surface form: kinds.setdefault(surface, Counter())[kind] += 1. The chapter's section \"Same "
    'words, two types" has it.',
    name="most_frequent_types",
    cases=(
        case([("Oslo", "LOC"), ("Ajax", "ORG")], expected={"Oslo": "LOC", "Ajax": "ORG"}),
        _case("Perth", "LOC ORG ORG LOC ORG LOC", expected="LOC"),
        _case("Jordan", "LOC PER PER LOC PER", expected="PER"),
        _case("Ajax", "ORG LOC LOC ORG", expected="ORG"),
        _case("Lima", "ORG LOC LOC PER", expected="LOC"),
        case([], expected={}),
    ),
    mistakes=(
        Mistake(
            lambda pairs: dict(pairs),
            "Each name has the type of its last mention. A plain assignment overwrites what came before; count "
            "first, and choose at the end.",
        ),
        Mistake(
            lambda pairs: dict(reversed(pairs)),
            "Each name has the type of its first mention, however rare that type is. Count all mentions.",
        ),
        Mistake(
            _counts, "These are the counts. The baseline needs one type for each name, the one with the highest count."
        ),
        Mistake(
            lambda pairs: {
                surface: max(kinds.items(), key=lambda item: item[1]) for surface, kinds in _counts(pairs).items()
            },
            "Each name has a pair of type and count, as most_common gives it. Take the first of the two.",
        ),
    ),
)


def _neighbours(rows, any_type=False, round_the_end=False):
    pairs = [pair for row in rows for pair in pairwise(row[-1:] * round_the_end + row)]
    return sum(after[:2] == "B-" and before != "O" and (any_type or before[2:] == after[2:]) for before, after in pairs)


SIDE_BY_SIDE = Exercise(
    number="01.6",
    title="Where B- decides",
    statement="""\
Write `side_by_side(rows)`. `rows` has the IOB2 labels of several sentences, one list for each. Count the places where a
mention starts directly after another mention **of the same type**: only there does `B-` say something that `I-` would
not. When it is right, count them in the corpus with `side_by_side(label_names(corpus["train"]))`. In the book's
newswire the answer is 0, because a comma or another word is between any two names of one type.""",
    start=stub("side_by_side(rows)"),
    solution="""\
from itertools import pairwise


def side_by_side(rows):
    places = 0
    for row in rows:
        for before, label in pairwise(row):
            places += label.startswith("B-") and before[2:] == label[2:]
    return places""",
    hint="Look at each label together with the one before it, inside one sentence. O has no type, so O[2:] is empty.",
    name="side_by_side",
    cases=(
        case([["B-PER", "B-PER", "O"]], expected=1),
        case([["B-PER", "I-PER", "B-PER", "I-PER", "B-LOC"]], expected=1),
        case([["B-LOC", "O", "B-LOC"], ["B-ORG", "B-ORG", "B-ORG"]], expected=2),
        case([["O", "B-PER"], ["B-PER", "O"]], expected=0),
        case([[], ["O"]], expected=0),
    ),
    mistakes=(
        Mistake(
            lambda rows: _neighbours(rows, any_type=True),
            "Neighbours of different types are counted too. There the type tells the two mentions apart, with or without B-.",
        ),
        Mistake(
            lambda rows: _neighbours([[label for row in rows for label in row]]),
            "The sentences were joined, so a mention at the end of one and a mention at the start of the next count as "
            "neighbours. No mention crosses the end of a sentence.",
        ),
        Mistake(
            lambda rows: sum(label.startswith("B-") for row in rows for label in row),
            "Every B- is counted. That is the number of mentions.",
        ),
        Mistake(
            lambda rows: sum(b[:2] == "B-" and a == b for row in rows for a, b in pairwise(row)),
            "Only a B- after the same B- is counted. The mention before may have several words, and then it ends with I-: "
            "compare the types alone.",
        ),
        Mistake(
            lambda rows: _neighbours(rows, round_the_end=True),
            "The first word of a sentence is compared with its last one: in Python labels[-1] is the last entry. Start "
            "with the second word.",
        ),
    ),
)

EXERCISES = (SPANS, IOB1, UNSEEN, CONVERT, DICTIONARY, SIDE_BY_SIDE)
