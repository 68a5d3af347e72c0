"""Exercises of chapter 7: characters, aggregation, plain values, spans, and windows."""

import json

import numpy as np

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub

OFFSETS = Exercise(
    number="07.1",
    title="Count characters",
    statement="""\
Between which characters is the place in this text? Give the first character and the one after the last, as Python
counts them.

```
🙂 Zoë left Oslo.
```""",
    start="answer = None  # two numbers: (start, end)",
    solution="""\
text = "🙂 Zoë left Oslo."
start = text.index("Oslo")
answer = (start, start + len("Oslo"))  # (11, 15)""",
    hint="Python counts the emoji as one character and the ë as one. The first character has the number 0.",
    expected=(11, 15),
    mistakes=(
        Mistake((11, 14), "You gave the last character. The end is one past it, so that text[start:end] is the name."),
        Mistake(
            (15, 19), "You counted bytes: in UTF-8 the emoji has four and the ë has two. Offsets count characters."
        ),
        Mistake(
            (12, 16),
            "You counted from 1, or as JavaScript does, where the emoji counts twice. In Python it is 11 to 15.",
        ),
        Mistake((11, 4), "The second number is not the length. It is the character after the last one."),
    ),
)

STRATEGIES = Exercise(
    number="07.2",
    title="Three strategies, one word",
    statement="""\
A word has three pieces. These are their probabilities, with `B-` and `I-` of a type added up:

| piece | LOC | ORG | PER |
| --- | --- | --- | --- |
| 1 | 0.55 | 0.45 | 0 |
| 2 | 0.20 | 0.50 | 0.30 |
| 3 | 0 | 0.20 | 0.80 |

Which type does the word get from the strategies `first`, `average` and `max`?""",
    start="""\
answer = None  # for example {"first": "ORG", "average": "ORG", "max": "ORG"}""",
    solution="""\
# means: LOC 0.25, ORG 0.383, PER 0.367; the highest single number is PER 0.80
answer = {"first": "LOC", "average": "ORG", "max": "PER"}""",
    hint="first reads one row, average takes the mean of each column, max looks for the highest number of the table.",
    expected={"first": "LOC", "average": "ORG", "max": "PER"},
    mistakes=(
        Mistake(
            {"first": "LOC", "average": "PER", "max": "ORG"},
            "average and max have changed places: PER has the highest single number, and ORG the highest mean.",
        ),
        Mistake(
            {"first": "LOC", "average": "PER", "max": "PER"},
            "Look at the means of the columns again: ORG has (0.45 + 0.50 + 0.20) / 3, which is more than PER has.",
        ),
        Mistake(
            {"first": "LOC", "average": "LOC", "max": "LOC"},
            "Only first is decided by the first piece. The other two look at all pieces.",
        ),
        Mistake(
            {"first": "LOC", "average": "ORG", "max": "LOC"},
            "max takes the highest number of all pieces, and that is 0.80 in the third one.",
        ),
    ),
)


def _entities(convert=float, dropped=()):
    def write(entities):
        rows = [{**entity, "score": convert(entity["score"])} for entity in entities]
        return json.dumps([{k: v for k, v in row.items() if k not in dropped} for row in rows], default=str)

    return write


PLAIN = Exercise(
    number="07.3",
    title="Find the fault: entities as JSON",
    statement="""\
`to_json(entities)` should write the answer of a pipeline as JSON. The entities are dictionaries like
`{"entity_group": "LOC", "score": 0.5, "word": "Oslo", "start": 0, "end": 4}`, and their scores are NumPy numbers.
Call it with such a list to see what happens. Then repair it; the scores must stay numbers.""",
    start="""\
import json


def to_json(entities):
    return json.dumps(entities)""",
    solution="""\
import json


def to_json(entities):
    plain = [{**entity, "score": float(entity["score"])} for entity in entities]
    return json.dumps(plain)""",
    hint="float(...) makes a Python number of a NumPy one. {**entity, ...} is a copy with one value replaced.",
    name="to_json",
    cases=(
        case([], expected=[]),
        case(
            [{"entity_group": "LOC", "score": np.float32(0.5), "word": "Oslo", "start": 0, "end": 4}],
            expected=[{"entity_group": "LOC", "score": 0.5, "word": "Oslo", "start": 0, "end": 4}],
        ),
        case(
            [{"entity_group": "PER", "score": np.float32(0.25), "word": "Zoë", "start": 3, "end": 6}] * 2,
            expected=[{"entity_group": "PER", "score": 0.25, "word": "Zoë", "start": 3, "end": 6}] * 2,
        ),
    ),
    read=json.loads,
    mistakes=(
        Mistake(
            _entities(convert=str),
            "The scores are texts now. A program that reads the JSON cannot compare them with 0.9.",
        ),
        Mistake(
            _entities(convert=int), "The scores are cut to whole numbers, so nearly all are 0. float keeps the value."
        ),
        Mistake(
            _entities(dropped=("score",)), "The scores are gone. The reader of the JSON needs them to judge an answer."
        ),
    ),
)


def _spans(labels, places, keep_stray=True, split_on_b=True, match_type=True):
    spans, open_type = [], ""
    for label, (start, end) in zip(labels, places, strict=True):
        prefix, _, kind = label.partition("-")
        continues = (prefix == "I" or not split_on_b) and (kind == open_type or (not match_type and open_type))
        if kind and continues:
            spans[-1] = (spans[-1][0], spans[-1][1], end)
        elif kind and (prefix == "B" or keep_stray):
            spans.append((kind, start, end))
        else:
            kind = ""
        open_type = open_type if kind and continues else kind
    return spans


PLACES = [(0, 4), (5, 9), (10, 13), (14, 20)]

SPANS = Exercise(
    number="07.4",
    title="From words to spans",
    statement="""\
Write `spans_of_words(labels, places)`. Each word has a label and a pair (first character, one past its last). Return
a list of (type, start, end) in characters. `B-X` opens a span, `I-X` makes an open span of type `X` longer, and an
`I-X` that has no open span of its type opens one.""",
    start=stub("spans_of_words(labels, places)"),
    solution="""\
def spans_of_words(labels, places):
    spans, open_type = [], ""
    for label, (start, end) in zip(labels, places, strict=True):
        prefix, _, kind = label.partition("-")  # O has no kind
        if kind and prefix == "I" and kind == open_type:
            spans[-1] = (kind, spans[-1][1], end)
        elif kind:
            spans.append((kind, start, end))
        open_type = kind
    return spans""",
    hint="Keep the type of the span that is open, and an empty text while none is.",
    name="spans_of_words",
    cases=(
        case(["B-PER", "I-PER", "O", "B-LOC"], PLACES, expected=[("PER", 0, 9), ("LOC", 14, 20)]),
        case(["B-PER", "B-PER", "O", "O"], PLACES, expected=[("PER", 0, 4), ("PER", 5, 9)]),
        case(["O", "I-LOC", "I-LOC", "O"], PLACES, expected=[("LOC", 5, 13)]),
        case(["B-PER", "I-ORG", "O", "I-ORG"], PLACES, expected=[("PER", 0, 4), ("ORG", 5, 9), ("ORG", 14, 20)]),
        case([], [], expected=[]),
    ),
    mistakes=(
        Mistake(
            lambda labels, places: _spans(labels, places, keep_stray=False),
            "An I- without an open span is lost here. It should open one: a reader would rather see the mention.",
        ),
        Mistake(
            lambda labels, places: _spans(labels, places, split_on_b=False),
            "Two neighbours of one type became one span. B- always opens a new one.",
        ),
        Mistake(
            lambda labels, places: _spans(labels, places, match_type=False),
            "An I- of another type makes the open span longer. It only continues a span of its own type.",
        ),
        Mistake(
            lambda labels, places: [(kind, start, end - 1) for kind, start, end in _spans(labels, places)],
            "The end is the last character. It should be one past it, as in the places of the words.",
        ),
    ),
)


def _windows(count, size, step, tail=True, extra=False):
    found, start = [], 0
    while True:
        found.append((start, min(start + size, count)))
        if (start + size >= count and not extra) or start + step >= count:
            break
        start += step
    return found if tail else [pair for pair in found if pair[1] - pair[0] == size]


WINDOWS = Exercise(
    number="07.5",
    title="Windows over a long text",
    statement="""\
Write `windows(count, size, stride)` for a text of `count` tokens: a list of (first token, one past the last). Each
window has `size` tokens, the last one may have fewer, and two neighbours share `stride` tokens, as in a pipeline. The
last window is the one that reaches the end of the text.""",
    start=stub("windows(count, size, stride)"),
    solution="""\
def windows(count, size, stride):
    pairs, start = [], 0
    while True:
        end = min(start + size, count)
        pairs.append((start, end))
        if end == count:
            return pairs
        start = end - stride  # the next window shares this many tokens""",
    hint="If two windows share stride tokens, the next one starts size - stride tokens after the start of this one.",
    name="windows",
    cases=(
        case(3, 4, 1, expected=[(0, 3)]),
        case(10, 4, 1, expected=[(0, 4), (3, 7), (6, 10)]),
        case(9, 4, 1, expected=[(0, 4), (3, 7), (6, 9)]),
        case(11, 5, 3, expected=[(0, 5), (2, 7), (4, 9), (6, 11)]),
        case(4, 4, 2, expected=[(0, 4)]),
    ),
    mistakes=(
        Mistake(
            lambda count, size, stride: _windows(count, size, stride),
            "Each window starts stride tokens after the one before. Here stride is what two neighbours share, so the "
            "step is size - stride.",
        ),
        Mistake(
            lambda count, size, stride: _windows(count, size, size),
            "The windows do not overlap, so a name at a cut is whole in none of them.",
        ),
        Mistake(
            lambda count, size, stride: [(0, min(size, count))],
            "There is only one window: the end of the text is cut off without a word (erratum 13).",
        ),
        Mistake(
            lambda count, size, stride: _windows(count, size, size - stride, extra=True),
            "One window too many: the one before had reached the end already, so the last holds nothing new.",
        ),
        Mistake(
            lambda count, size, stride: _windows(count, size, size - stride, tail=False),
            "A last window that is not full is missing, and the end of the text with it.",
        ),
    ),
)

EXERCISES = (OFFSETS, STRATEGIES, PLAIN, SPANS, WINDOWS)
