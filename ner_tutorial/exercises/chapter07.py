"""Exercises of chapter 7: characters, aggregation, plain values, offsets at work, and windows."""

import json

import numpy as np

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub

OFFSETS = Exercise(
    number="07.1",
    title="Count characters",
    statement="""\
Between which characters is the place in this text? Give the first character and the one after the last, as Python
counts them.

```text
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
            "You counted from 1, or as JavaScript does, where the emoji counts twice. In Python the first character has the "
            "number 0, and the emoji counts once.",
        ),
        Mistake((11, 4), "The second number is not the length. It is the character after the last one."),
    ),
)

STRATEGIES = Exercise(
    number="07.2",
    title="Three strategies, one word",
    statement="""\
A word has three pieces. These are their probabilities. To keep the sums short, there is one column per type here,
without the difference between `B-` and `I-`:

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
    hint="first looks at one row only, average at the mean of each column, and max at the highest number of the table.",
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


def _hide(text, spans, kinds=("PER",)):
    for kind, start, end in reversed(spans):
        if kind in kinds:
            text = text[:start] + "[NAME]" + text[end:]
    return text


def _pieces(text, spans, tail=True, gap=0):
    pieces, at = [], 0
    for kind, start, end in spans:
        if kind == "PER":
            pieces += [text[at:start], "[NAME]"]
            at = end + gap
    return "".join(pieces) + (text[at:] if tail else "")


def _from_the_front(text, spans):
    for kind, start, end in spans:
        if kind == "PER":
            text = text[:start] + "[NAME]" + text[end:]
    return text


def _by_replace(text, spans):
    for name in {text[start:end] for kind, start, end in spans if kind == "PER"}:
        text = text.replace(name, "[NAME]")
    return text


HIDE = Exercise(
    number="07.4",
    title="Hide the persons",
    statement="""\
Write `hide_people(text, spans)`. `spans` lists (type, first character, one past the last) in the order of the text.
Return the text with `[NAME]` in place of each span of type `PER`, and everything else as it was. When it is right, try
it with your model: `hide_people(text, [(s.type, s.start, s.end) for s in tagger(text)])`. The model misses people, so
do not rely on such a function to protect anyone.""",
    start=stub("hide_people(text, spans)"),
    solution="""\
def hide_people(text, spans):
    # From the end, so that the offsets still to be used stay valid.
    for kind, start, end in reversed(spans):
        if kind == "PER":
            text = text[:start] + "[NAME]" + text[end:]
    return text""",
    hint="After the first replacement the text has another length. For which spans do the offsets still fit?",
    name="hide_people",
    cases=(
        case("Ana left.", [("PER", 0, 3)], expected="[NAME] left."),
        case("Ana met Jonas Holm.", [("PER", 0, 3), ("PER", 8, 18)], expected="[NAME] met [NAME]."),
        case(
            "Lima saw Ana in Lima.",
            [("PER", 0, 4), ("PER", 9, 12), ("LOC", 16, 20)],
            expected="[NAME] saw [NAME] in Lima.",
        ),
        case("Rain in Oslo.", [("LOC", 8, 12)], expected="Rain in Oslo."),
        case("No names.", [], expected="No names."),
    ),
    mistakes=(
        Mistake(
            _from_the_front,
            "The first replacement is right, and the second is in the wrong place: the text has another length by then, "
            "and the offsets belong to the old one.",
        ),
        Mistake(
            _by_replace,
            "Every place where the same characters occur was replaced, also where they name no person. The offsets say "
            "which occurrence is meant.",
        ),
        Mistake(
            lambda text, spans: _pieces(text, spans, tail=False),
            "The text after the last hidden name is missing.",
        ),
        Mistake(
            lambda text, spans: _pieces(text, spans, gap=1),
            "One character too many is gone after each name. The end of a span is already one past its last character.",
        ),
        Mistake(
            lambda text, spans: _hide(text, spans, kinds=("PER", "LOC", "ORG", "MISC")),
            "Other types are hidden as well. Only spans of type PER are persons.",
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
            lambda count, size, stride: [(i, min(i + size, count)) for i in range(0, count, stride)],
            "Each window starts stride tokens after the one before, up to the end of the text. Here stride is what two "
            "neighbours share, so the step is size - stride; and the window that reaches the end is the last.",
        ),
        Mistake(
            lambda count, size, stride: [(i, i + size) for i in range(0, max(1, count - stride), size - stride)],
            "The last window reaches past the end of the text. No window may end after count tokens.",
        ),
        Mistake(
            lambda count, size, stride: [(i, j - 1) for i, j in _windows(count, size, size - stride)],
            "The second number is the last token of a window here. It should be the one after it.",
        ),
        Mistake(
            lambda count, size, stride: _windows(count, size, size),
            "The windows do not overlap, so a name at a cut is whole in none of them.",
        ),
        Mistake(
            lambda count, size, stride: [(0, min(size, count))],
            "There is only one window: the end of the text is cut off without a message (error 13).",
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

EXERCISES = (OFFSETS, STRATEGIES, PLAIN, HIDE, WINDOWS)
