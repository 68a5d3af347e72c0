"""Exercises of chapter 4: what counts as right, the three numbers, and the way from scores to labels."""

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub

IGNORED = -100

GROUPS = Exercise(
    number="04.1",
    title="Right, invented, missed",
    statement="""\
How many entities are right, how many are false positives, and how many are misses?

```text
gold       B-PER I-PER O B-ORG O B-LOC I-LOC
predicted  B-PER I-PER O B-LOC O O     B-LOC
```""",
    start="answer = None  # three numbers: (right, false positives, misses)",
    solution="""\
# right: PER; false positives: LOC at word 3, LOC at word 6; misses: ORG, LOC 5 to 7
answer = (1, 2, 2)""",
    hint="Write the spans of both lines as triples. Right is what is in both sets.\nRight and misses together are the gold "
    "entities, right and false positives together the predicted ones.",
    expected=(1, 2, 2),
    mistakes=(
        Mistake((2, 1, 1), "One wrong answer was taken for right. Type, start and end must all agree."),
        Mistake((3, 0, 0), "Each prediction touches a gold entity, but type, start and end must agree as well."),
        Mistake((1, 1, 1), "A wrong type gives a false positive and a miss, and so does a wrong boundary."),
        Mistake((1, 2, 0), "A gold entity that was predicted with another type or boundary is a miss, too."),
        Mistake((1, 2, 1), "Gold has three entities. One is right, so two were missed."),
        Mistake((1, 1, 2), "The prediction has three entities. One is right, so two are false positives."),
    ),
)

MODES = Exercise(
    number="04.2",
    title="Lenient and strict",
    statement="""\
Two numbers: the F1 of this prediction in seqeval's lenient mode, and in strict mode (two decimals).

```text
gold       B-LOC I-LOC O B-PER
predicted  I-LOC I-LOC O B-PER
```""",
    start="answer = None  # two numbers: (lenient, strict)",
    solution="""\
# strict sees one predicted entity, PER: precision 1, recall 1/2, F1 = 2/3
answer = (1.0, 0.67)""",
    hint="Which entities does each mode read in the predicted line? Then precision, recall and F1 for each.",
    expected=(1.0, 2 / 3),
    tolerance=0.006,
    mistakes=(
        Mistake((2 / 3, 1.0), "The two have changed places. Lenient mode accepts an I-LOC that opens an entity."),
        Mistake((2 / 3, 2 / 3), "In lenient mode an I-LOC may start an entity, so that mode finds the place as well."),
        Mistake((1.0, 0.0), "The place is lost in strict mode, and the person is not: B-PER is well formed."),
        Mistake((1.0, 0.5), "This is the strict recall. Strict mode ignores the malformed entity: precision is 1."),
        Mistake((1.0, 1.0), "Strict mode reads no entity that starts with I-, so it misses the place (error 10)."),
    ),
)


def _prf(gold, predicted, swap=False, mean="harmonic"):
    right = len(gold & predicted)
    precision = right / len(predicted) if predicted else 0.0
    recall = right / len(gold) if gold else 0.0
    if swap:
        precision, recall = recall, precision
    f1 = (precision + recall) / 2
    if mean == "harmonic":
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def _jaccard(gold, predicted):
    share = len(gold & predicted) / len(gold | predicted) if gold | predicted else 0.0
    return {"precision": share, "recall": share, "f1": share}


def _by_type(gold, predicted):
    kinds = [entity[0] for entity in gold]
    right = sum(entity[0] in kinds for entity in predicted)
    precision, recall = right / max(1, len(predicted)), right / max(1, len(gold))
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


PERSON, PLACE, FIRM, SHORT = ("PER", 0, 2), ("LOC", 4, 5), ("ORG", 7, 8), ("PER", 0, 1)

SCORE = Exercise(
    number="04.3",
    title="Precision, recall and F1",
    statement="""\
Write `score(gold, predicted)` for two sets of entities, each a triple of type, start and end. Return a dictionary with
the keys `precision`, `recall` and `f1`. Where a share has nothing to divide by, it is 0.""",
    start=stub("score(gold, predicted)"),
    solution="""\
def score(gold, predicted):
    right = len(gold & predicted)
    precision = right / len(predicted) if predicted else 0.0
    recall = right / len(gold) if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}""",
    hint="Precision is a share of what was predicted, recall a share of what is gold. All three are 0 if nothing is right.",
    name="score",
    cases=(
        case({PERSON}, {PERSON}, expected={"precision": 1.0, "recall": 1.0, "f1": 1.0}),
        case({PERSON}, {PERSON, PLACE}, expected={"precision": 0.5, "recall": 1.0, "f1": 2 / 3}),
        case({PERSON, PLACE, FIRM}, {PLACE}, expected={"precision": 1.0, "recall": 1 / 3, "f1": 0.5}),
        case({PERSON}, {FIRM}, expected={"precision": 0.0, "recall": 0.0, "f1": 0.0}),
        case({PERSON, PLACE}, {SHORT, PLACE}, expected={"precision": 0.5, "recall": 0.5, "f1": 0.5}),
        case({PERSON}, set(), expected={"precision": 0.0, "recall": 0.0, "f1": 0.0}),
        case(set(), {FIRM}, expected={"precision": 0.0, "recall": 0.0, "f1": 0.0}),
    ),
    mistakes=(
        Mistake(
            lambda gold, predicted: _prf(gold, predicted, swap=True),
            "Precision and recall have changed places (error 1). F1 stays the same, so it does not show. With one gold "
            "and two predicted entities, one of them right, precision is 0.5.",
        ),
        Mistake(
            lambda gold, predicted: _prf(gold, predicted, mean="arithmetic"),
            "This is the arithmetic mean, which stays high when one of the two is low. F1 is the harmonic one, 2PR / (P + R).",
        ),
        Mistake(
            _jaccard,
            "All entities of both sets are the divisor. Precision divides by the predicted ones, recall by the gold ones.",
        ),
        Mistake(
            _by_type,
            "An entity with the right type and a wrong boundary was counted as right. The whole triple has to agree.",
        ),
    ),
)


def _first_only(labels, word_ids):
    return [
        label if word is not None and (at == 0 or word != word_ids[at - 1]) else IGNORED
        for at, (label, word) in enumerate(zip(labels, word_ids, strict=True))
    ]


def _last_only(labels, word_ids):
    return _first_only(labels[::-1], word_ids[::-1])[::-1]


FIRST_PIECE = Exercise(
    number="04.4",
    title="Find the fault: one label for each word",
    statement="""\
For word-level scores, `score_labels_of(labels, word_ids)` should keep the label of the first piece of each word and
set all other positions to -100. With this version, the number of scored labels is not the number of words. Find the
fault and repair it.""",
    start="""\
def score_labels_of(labels, word_ids):
    kept = []
    for label, word in zip(labels, word_ids, strict=True):
        kept.append(-100 if word is None else label)
    return kept""",
    solution="""\
def score_labels_of(labels, word_ids):
    kept, previous = [], None
    for label, word in zip(labels, word_ids, strict=True):
        is_first = word is not None and word != previous
        kept.append(label if is_first else -100)
        previous = word
    return kept""",
    hint="What tells the first piece of a word from a later one? Chapter 2 compares with the word id of the token before.",
    name="score_labels_of",
    cases=(
        case([IGNORED, 1, 0, IGNORED], [None, 0, 1, None], expected=[IGNORED, 1, 0, IGNORED]),
        case(
            [IGNORED, 1, 2, 2, 0, IGNORED],
            [None, 0, 0, 0, 1, None],
            expected=[IGNORED, 1, IGNORED, IGNORED, 0, IGNORED],
        ),
        case([IGNORED, 5, 5, 6, IGNORED], [None, 0, 1, 1, None], expected=[IGNORED, 5, 5, IGNORED, IGNORED]),
        case([0, 0, 0, 0], [None, 0, 0, None], expected=[IGNORED, 0, IGNORED, IGNORED]),
    ),
    mistakes=(
        Mistake(
            lambda labels, word_ids: labels,
            "Every piece is still scored (error 9): a name of four pieces counts four times.",
        ),
        Mistake(
            lambda labels, word_ids: [
                IGNORED if word is None or label == labels[at - 1] else label
                for at, (label, word) in enumerate(zip(labels, word_ids, strict=True))
            ],
            "A piece is dropped if it has the label of the piece before. Another word may have that too: compare word ids.",
        ),
        Mistake(_last_only, "The last piece of each word is kept. The first one answers for the word."),
        Mistake(
            lambda labels, word_ids: [label for label in _first_only(labels, word_ids) if label != IGNORED],
            "The other positions are left out, so the list is shorter than the row. They need an entry too: -100.",
        ),
    ),
)


def _decode(scores, gold, names, keep=lambda winner, label: label != IGNORED, ids=False):
    winners = [max(range(len(row)), key=row.__getitem__) for row in scores]
    kept = [winner for winner, label in zip(winners, gold, strict=True) if keep(winner, label)]
    return kept if ids else [names[i] for i in kept]


NAMES = ["O", "B-PER", "I-PER"]

DECODE = Exercise(
    number="04.5",
    title="From scores to label names",
    statement="""\
Write `decode(scores, gold, names)` for one sentence: `scores` has one list of numbers for each token, one number per
label; `gold` has one label id for each token, -100 where nothing is scored. Both are plain lists (`np.array(scores)`
makes an array of them). Return the name of the best label of each token that is scored.""",
    start=stub("decode(scores, gold, names)"),
    solution="""\
def decode(scores, gold, names):
    predicted = []
    for row, label in zip(scores, gold, strict=True):
        if label != -100:  # gold decides what is dropped, never the prediction
            predicted.append(names[row.index(max(row))])
    return predicted""",
    hint="Three steps: the place of the highest number, the positions where gold is not -100, the names.",
    name="decode",
    cases=(
        case([[0.1, 2.0, 0.3], [3.0, 0.0, 1.0]], [1, 0], NAMES, expected=["B-PER", "O"]),
        case(
            [[0, 9, 0], [0, 5, 1], [0, 1, 5], [4, 0, 0], [0, 0, 9]],
            [-100, 1, 2, 0, -100],
            NAMES,
            expected=["B-PER", "I-PER", "O"],
        ),
        case([[5, 1, 0], [0, 3, 1]], [1, 0], NAMES, expected=["O", "B-PER"]),
        case([[1, 0, 0]], [-100], NAMES, expected=[]),
    ),
    mistakes=(
        Mistake(
            lambda scores, gold, names: _decode(scores, gold, names, keep=lambda winner, label: True),
            "The positions with -100 are still there. What the model says at padding and special tokens would be scored.",
        ),
        Mistake(
            lambda scores, gold, names: _decode(scores, gold, names, keep=lambda winner, label: label > 0),
            "Tokens with the gold label 0 are dropped as well. 0 is O, and a false positive is exactly an answer at such a token.",
        ),
        Mistake(
            lambda scores, gold, names: _decode(scores, gold, names, ids=True),
            "These are ids. The scorer reads names: names[i].",
        ),
        Mistake(
            lambda scores, gold, names: [names[label] for label in gold if label != IGNORED],
            "These are the gold labels. The prediction comes from the scores.",
        ),
        Mistake(
            lambda scores, gold, names: [
                names[row.index(max(row))] if label != IGNORED else IGNORED
                for row, label in zip(scores, gold, strict=True)
            ],
            "Tokens that are not scored are still in the list, as -100. seqeval reads names only: leave them out.",
        ),
    ),
)


BEST = Exercise(
    number="04.6",
    title="The best sequence that is possible",
    statement="""\
A model gives the labels of two words these probabilities (all other labels have 0):

| word | O | B-PER | I-PER | B-LOC |
| --- | --- | --- | --- | --- |
| 1 | 0.50 | 0.40 | 0 | 0.10 |
| 2 | 0.25 | 0.10 | 0.60 | 0.05 |

Which two labels are the most probable sequence that IOB2 allows?""",
    start='answer = None  # for example ["O", "O"]',
    solution="""\
# B-PER I-PER: 0.40 * 0.60 = 0.24; O O: 0.50 * 0.25 = 0.125; O I-PER is not allowed
answer = ["B-PER", "I-PER"]""",
    hint="The probability of a sequence is the product of two numbers. Write down the products of those that are allowed.",
    expected=["B-PER", "I-PER"],
    mistakes=(
        Mistake(["O", "I-PER"], "This is greedy: the best label of each word alone. IOB2 forbids I-PER after O."),
        Mistake(["O", "O"], "This is allowed, with probability 0.50 * 0.25. Another pair has a higher product."),
        Mistake(
            ["O", "B-PER"],
            "This turns the I-PER that is not allowed into B-PER, whose probability is 0.10 only. Compare the products of "
            "all pairs that are allowed.",
        ),
        Mistake(["B-LOC", "I-PER"], "I-PER may come only after B-PER or I-PER, so this pair is not allowed."),
    ),
)

EXERCISES = (GROUPS, MODES, SCORE, FIRST_PIECE, DECODE, BEST)
