"""Exercises of chapter 8: kinds of mistakes, and what a score is worth when sentences share a story."""

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub


def _overlaps(one, other):
    return one[1] < other[2] and other[1] < one[2]


def _kind(gold, predicted, overlaps=_overlaps):
    near = [span for span in predicted if overlaps(gold, span)]
    if gold in near:
        return "right"
    if any(span[1:] == gold[1:] for span in near):
        return "wrong type"
    if any(span[0] == gold[0] for span in near):
        return "wrong boundary"
    return "both wrong" if near else "missed"


def _touches(one, other):
    return one[1] <= other[2] and other[1] <= one[2]


def _no_both(gold, predicted):
    kind = _kind(gold, predicted)
    return "missed" if kind == "both wrong" else kind


def _type_first(gold, predicted):
    kind = _kind(gold, predicted)
    return "wrong type" if kind == "both wrong" else kind


def _first_decides(gold, predicted):
    return next((kind for kind in (_kind(gold, [span]) for span in predicted) if kind != "missed"), "missed")


def _missed_or_right(gold, predicted):
    return "right" if gold in predicted else "missed"


KIND = Exercise(
    number="08.1",
    title="What kind of mistake?",
    statement="""\
Write `kind(gold, predicted)`. `gold` is one gold entity (type, start, end), and `predicted` is the list of predicted
entities of the same sentence. Return

- `"right"` if the very same entity was predicted;
- `"wrong type"` if an entity of the same words has another type;
- `"wrong boundary"` if an entity of the same type shares some of its words, but not exactly the same ones;
- `"both wrong"` if only entities with another type and other boundaries share words with it;
- `"missed"` if no predicted entity shares a word with it.

If several of these hold, the first one counts. This is simpler than `match_entities`: it looks at one gold
entity and makes no pairs, so one predicted entity may answer for two gold ones.""",
    start=stub("kind(gold, predicted)"),
    solution="""\
def kind(gold, predicted):
    gold_type, start, end = gold
    near = [span for span in predicted if start < span[2] and span[1] < end]
    if gold in near:
        return "right"
    if any(span[1:] == (start, end) for span in near):
        return "wrong type"
    if any(span[0] == gold_type for span in near):
        return "wrong boundary"
    return "both wrong" if near else "missed\"""",
    hint="First collect the predicted entities that share a word: each starts before the other one ends.",
    name="kind",
    cases=(
        case(("PER", 0, 2), [("PER", 0, 2), ("LOC", 4, 5)], expected="right"),
        case(("ORG", 3, 5), [("LOC", 3, 5)], expected="wrong type"),
        case(("ORG", 3, 5), [("ORG", 4, 5)], expected="wrong boundary"),
        case(("ORG", 3, 5), [("LOC", 4, 6)], expected="both wrong"),
        case(("ORG", 3, 6), [("LOC", 2, 4), ("ORG", 4, 6)], expected="wrong boundary"),
        case(("ORG", 3, 5), [("ORG", 5, 6)], expected="missed"),
        case(("ORG", 3, 5), [], expected="missed"),
    ),
    mistakes=(
        Mistake(
            lambda gold, predicted: _kind(gold, predicted, _touches),
            "Two entities that only touch are taken to overlap. The end is one past the last word, so 3 to 5 and 5 to 6 "
            "share no word.",
        ),
        Mistake(
            _no_both,
            "An entity of another type that shares some words was overlooked. The model saw something there, so it is not missed.",
        ),
        Mistake(
            _type_first,
            "The type is wrong here, and so are the boundaries. That is a kind of its own: both wrong.",
        ),
        Mistake(
            _first_decides,
            "The first predicted entity that shares a word decided here. Look at all of them: a later one may have the right type.",
        ),
        Mistake(
            _missed_or_right,
            "Everything that is not right is called missed. Look at the predicted entities that share words.",
        ),
    ),
)


def _f1(counts):
    right, predicted, gold = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
    return 2 * right / (predicted + gold) if predicted + gold else 0.0


RESAMPLE = Exercise(
    number="08.2",
    title="One draw of a bootstrap by story",
    statement="""\
A bootstrap draws stories with replacement and computes the score again, many times. Write one draw:
`f1_of_draw(stories, picks)`. `stories` has one triple for each story, (right, predicted, gold) entities, and `picks`
lists the numbers of the stories that were drawn; a story may be drawn several times. Return the F1 over all drawn
stories together, and 0 if there is nothing to count.""",
    start=stub("f1_of_draw(stories, picks)"),
    solution="""\
def f1_of_draw(stories, picks):
    right = sum(stories[number][0] for number in picks)
    predicted = sum(stories[number][1] for number in picks)
    gold = sum(stories[number][2] for number in picks)
    return 2 * right / (predicted + gold) if predicted + gold else 0.0""",
    hint="Add up the three counts over the draws first. F1 is 2 * right / (predicted + gold).",
    name="f1_of_draw",
    cases=(
        case([(1, 2, 2), (8, 8, 8)], [0], expected=0.5),
        case([(1, 2, 2), (8, 8, 8)], [0, 1], expected=0.9),
        case([(1, 2, 2), (8, 8, 8)], [0, 0, 0, 1], expected=22 / 28),
        case([(2, 2, 4), (0, 3, 0)], [1, 0], expected=4 / 9),
        case([(0, 0, 0)], [0], expected=0.0),
    ),
    mistakes=(
        Mistake(
            lambda stories, picks: sum(_f1([stories[i]]) for i in picks) / len(picks),
            "This is the mean of the F1 of each story, in which a story with two entities counts as much as one with "
            "eight. Add up the counts first.",
        ),
        Mistake(
            lambda stories, picks: _f1([stories[i] for i in set(picks)]),
            "A story that was drawn three times counts once here. Drawing with replacement is what makes the draws differ.",
        ),
        Mistake(
            lambda stories, picks: _f1(stories),
            "This is the F1 of all stories, whatever was drawn.",
        ),
        Mistake(
            lambda stories, picks: sum(stories[i][0] for i in picks) / max(1, sum(stories[i][2] for i in picks)),
            "This is the recall. F1 takes the predicted entities into account as well.",
        ),
        Mistake(
            lambda stories, picks: sum(stories[i][0] for i in picks) / max(1, sum(stories[i][1] for i in picks)),
            "This is the precision. F1 takes the gold entities into account as well.",
        ),
    ),
)

EXERCISES = (KIND, RESAMPLE)
