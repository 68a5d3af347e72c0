"""Exercises of chapter 9: other people's files, turned into words and IOB2 labels."""

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub


def _label(places, spans, belongs, begin_only=False):
    labels = ["O"] * len(places)
    for first, last, kind in spans:
        inside = [i for i, place in enumerate(places) if belongs(place, (first, last))]
        for number, i in enumerate(inside):
            labels[i] = ("B-" if number == 0 or begin_only else "I-") + kind
    return labels


def _shares(place, span):
    return place[0] < span[1] and span[0] < place[1]


def _within(place, span):
    return span[0] <= place[0] and place[1] <= span[1]


def _starts_within(place, span):
    return span[0] <= place[0] <= span[1]


def _touches(place, span):
    return place[0] <= span[1] and span[0] <= place[1]


def _begins_at_its_start(places, spans):
    labels = _label(places, spans, _shares)
    starts = {first for first, _, _ in spans}
    return [
        "I" + label[1:] if label[0] == "B" and place[0] not in starts else label
        for place, label in zip(places, labels, strict=True)
    ]


def _joined_neighbours(places, spans):
    labels = _label(places, spans, _shares)
    pairs = zip(["O", *labels], labels, strict=False)
    return ["I" + label[1:] if label != "O" and before[2:] == label[2:] else label for before, label in pairs]


WORDS = [(0, 4), (5, 10), (10, 11), (12, 16)]

LABEL = Exercise(
    number="09.1",
    title="Character spans become labels",
    statement="""\
An annotation tool has exported spans as (first character, one past the last, type). Write `label_words(places,
spans)`: `places` has (first character, one past the last) for each word. Return one IOB2 label for each word. A word
belongs to a span if it shares at least one character with it. Spans do not overlap and come in the order of the text.""",
    start=stub("label_words(places, spans)"),
    solution="""\
def label_words(places, spans):
    labels = ["O"] * len(places)
    for first, last, kind in spans:
        prefix = "B-"
        for number, (start, end) in enumerate(places):
            if start < last and first < end:  # they share a character
                labels[number] = prefix + kind
                prefix = "I-"
    return labels""",
    hint="Two stretches share a character if each starts before the other one ends.",
    name="label_words",
    cases=(
        case(WORDS, [(0, 4, "PER")], expected=["B-PER", "O", "O", "O"]),
        case(WORDS, [(0, 10, "PER"), (12, 16, "LOC")], expected=["B-PER", "I-PER", "O", "B-LOC"]),
        case(WORDS, [(0, 8, "PER")], expected=["B-PER", "I-PER", "O", "O"]),
        case(WORDS, [(7, 10, "ORG")], expected=["O", "B-ORG", "O", "O"]),
        case(WORDS, [(0, 4, "LOC"), (5, 10, "LOC")], expected=["B-LOC", "B-LOC", "O", "O"]),
        case(WORDS, [], expected=["O", "O", "O", "O"]),
    ),
    mistakes=(
        Mistake(
            lambda places, spans: _label(places, spans, _shares, begin_only=True),
            "Every word of a span got B-, so one name became several. Only its first word gets B-.",
        ),
        Mistake(
            lambda places, spans: _label(places, spans, _within),
            "A word that is only partly in the span is left out. Annotators often mark a part of a word; here a single "
            "shared character is enough.",
        ),
        Mistake(
            lambda places, spans: _label(places, spans, _starts_within),
            "A word belongs to the span here if it starts inside it or at its end. The end is one past the last "
            "character, so what starts there is outside; and a word may start before the span.",
        ),
        Mistake(
            lambda places, spans: _label(places, spans, _touches),
            "A word that begins where a span ends got its label as well. The end is one past the last character, so they "
            "share none.",
        ),
        Mistake(
            _begins_at_its_start,
            "A word got B- only where the span starts exactly with it. A span may start inside a word, and that word is its "
            "first one.",
        ),
        Mistake(
            _joined_neighbours,
            "Two spans of one type next to each other became one name. The first word of each span gets B-.",
        ),
    ),
)

_TO_IOB2 = {"S": "B", "E": "I"}


def _convert(labels, table):
    return [table.get(label[0], label[0]) + label[1:] if label != "O" else "O" for label in labels]


BIOES = Exercise(
    number="09.2",
    title="BIOES to IOB2",
    statement="""\
Some files use **BIOES**: `S-X` marks a mention of a single word, and `E-X` the last word of a longer one. `B-`, `I-`
and `O` mean what they mean in IOB2. Write `bioes_to_iob2(labels)`, which returns a new list. The name of a type
may contain hyphens, such as `US-CITY`.""",
    start=stub("bioes_to_iob2(labels)"),
    solution="""\
def bioes_to_iob2(labels):
    prefixes = {"S-": "B-", "E-": "I-"}
    return [prefixes.get(label[:2], label[:2]) + label[2:] for label in labels]""",
    hint="Only two prefixes change. Which IOB2 label has a mention of one word? Which one has a last word?",
    name="bioes_to_iob2",
    cases=(
        case(["S-LOC", "O"], expected=["B-LOC", "O"]),
        case(["B-PER", "E-PER", "O", "S-PER"], expected=["B-PER", "I-PER", "O", "B-PER"]),
        case(["B-ORG", "I-ORG", "E-ORG"], expected=["B-ORG", "I-ORG", "I-ORG"]),
        case(["B-MISC", "E-MISC", "S-S", "S-E"], expected=["B-MISC", "I-MISC", "B-S", "B-E"]),
        case(["B-US-CITY", "E-US-CITY", "O"], expected=["B-US-CITY", "I-US-CITY", "O"]),
        case([], expected=[]),
    ),
    mistakes=(
        Mistake(
            lambda labels: _convert(labels, {"S": "I", "E": "I"}),
            "S-X became I-X. A mention of one word starts with that word, so it is B-X.",
        ),
        Mistake(
            lambda labels: _convert(labels, {"S": "B"}),
            "E-X is still there. The last word of a mention continues it: I-X.",
        ),
        Mistake(
            lambda labels: [label.replace("S-", "B-").replace("E-", "I-") for label in labels],
            "replace also changed a type that contains S- or E-. Look at the first two characters only.",
        ),
        Mistake(
            lambda labels: [label.replace("S", "B").replace("E", "I") for label in labels],
            "Every S and every E was replaced, those of the type too. Look at the first two characters only.",
        ),
        Mistake(
            lambda labels: _convert(labels, {"S": "B", "E": "B"}),
            "E-X became B-X, so the last word of a mention became a mention of its own. It continues the mention: I-X.",
        ),
        Mistake(lambda labels: [*labels], "The labels come back as they were. S- and E- are no labels of IOB2."),
    ),
)


def _names(splits, order=sorted):
    kinds = order({label[2:] for labels in splits.values() for label in labels if label != "O"})
    return ["O", *(prefix + kind for kind in kinds for prefix in ("B-", "I-"))]


NAMES = Exercise(
    number="09.3",
    title="Find the fault: one list of label names",
    statement="""\
`label_names(splits)` should return one list of label names for all splits of a corpus: `O` first, and then for each
type, in alphabetical order, `B-X` and `I-X`. `splits` maps the name of a split to all its labels. A small split may
lack a type, and no word of a corpus may need `I-X`; the list has both labels of each type all the same. This version
numbers the labels of validation otherwise than a corpus needs (error 19). Repair it.""",
    start="""\
def label_names(splits):
    return sorted(set(splits["validation"]))""",
    solution="""\
def label_names(splits):
    labels = {label for split in splits.values() for label in split}
    kinds = sorted({label[2:] for label in labels if label != "O"})
    return ["O"] + [prefix + kind for kind in kinds for prefix in ("B-", "I-")]""",
    hint="Collect the types of all splits in a set, sort them, and write B-X and I-X for each.",
    name="label_names",
    cases=(
        case(
            {"train": ["O", "B-LOC", "I-LOC"], "validation": ["O", "B-LOC", "I-LOC"]}, expected=["O", "B-LOC", "I-LOC"]
        ),
        case(
            {"train": ["B-PER", "I-PER", "O", "B-LOC"], "validation": ["O", "B-PER"]},
            expected=["O", "B-LOC", "I-LOC", "B-PER", "I-PER"],
        ),
        case(
            {"train": ["O", "B-ORG"], "validation": ["B-DATE", "O"]},
            expected=["O", "B-DATE", "I-DATE", "B-ORG", "I-ORG"],
        ),
    ),
    mistakes=(
        Mistake(
            lambda splits: sorted({label for labels in splits.values() for label in labels}),
            "The names are simply sorted, so O comes last, and a label that no word needs is missing. Sort the types, and "
            "write both labels of each.",
        ),
        Mistake(
            lambda splits: _names({"train": splits["train"]}),
            "Only train is looked at. A type that is in another split only would have no id.",
        ),
        Mistake(
            lambda splits: _names({"validation": splits["validation"]}),
            "Only validation is looked at. A type that it lacks is missing, and all ids behind it shift (error 19).",
        ),
        Mistake(
            lambda splits: _names(splits, order=lambda kinds: sorted(kinds, reverse=True)),
            "The types are in another order than the alphabetical one, so two people would number them differently.",
        ),
        Mistake(
            lambda splits: ["O", *sorted({label for labels in splits.values() for label in labels} - {"O"})],
            "O is first now, but the rest are the labels that occur. Every type needs both, B-X and I-X, also if no word of "
            "the corpus has one of them.",
        ),
        Mistake(
            lambda splits: ["O", *(_names(splits)[1::2]), *(_names(splits)[2::2])],
            "All B- labels come before all I- labels. The list goes type by type: B-X, I-X, then the next type.",
        ),
        Mistake(
            lambda splits: _names(splits)[1:],
            "O is missing. It is the first label of the list.",
        ),
    ),
)

EXERCISES = (LABEL, BIOES, NAMES)
