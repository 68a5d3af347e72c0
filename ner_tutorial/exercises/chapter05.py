"""Exercises of chapter 5: steps, the first loss, the seed, the best epoch, and the order of predictions."""

import random
from functools import partial
from itertools import count

from ner_tutorial.exercises.engine import Case, Exercise, Mistake, case, stub

STEPS = Exercise(
    number="05.1",
    title="How many steps?",
    statement="""\
A run has 1000 training sentences, batches of 24 sentences and 3 epochs. How many steps does it take?""",
    start="answer = None  # a number",
    solution="""\
import math

answer = math.ceil(1000 / 24) * 3  # 42 batches in each epoch; the last has 16 rows""",
    hint="Each epoch ends with a batch that may be smaller than the others.",
    expected=126,
    mistakes=(
        Mistake(
            125,
            "You divided all sentences of the run at once. Each epoch ends with a batch of its own that is not full.",
        ),
        Mistake(123, "You left the last batch of each epoch out. Trainer keeps it, although it is smaller."),
        Mistake(42, "These are the steps of one epoch. The run has three."),
        Mistake(3000, "This is how many sentences are read. A step takes 24 of them."),
    ),
)

FIRST_LOSS = Exercise(
    number="05.2",
    title="The first loss",
    statement="""\
Your own data has **five** entity types, in IOB2. About how large should the mean loss of the untrained model be? Two
decimals are enough.""",
    start="answer = None  # a number",
    solution="""\
import math

answer = math.log(2 * 5 + 1)  # 11 labels, each about equally probable""",
    hint="A head that knows nothing gives each label the same probability. How many labels are there?",
    expected=2.3979,
    tolerance=0.01,
    mistakes=(
        Mistake(1.609, "This is ln 5. Each type has two labels, B- and I-, and O is one more."),
        Mistake(1.792, "This is ln 6. Each type has two labels, B- and I-, and not one."),
        Mistake(2.303, "This is ln 10. The label O counts too."),
        Mistake(1 / 11, "This is the probability of each label. The loss is its negative logarithm."),
        Mistake(-2.398, "This is the logarithm of the probability. The loss is the negative of it, so it is above 0."),
        Mistake(3.459, "This is the logarithm to the base 2. PyTorch's loss uses the natural one."),
        Mistake(1.041, "This is the logarithm to the base 10. PyTorch's loss uses the natural one."),
        Mistake(2.197, "This is ln 9, for the four types of the book's corpus. Five types have more labels."),
    ),
)


def _dice(width: int):
    """What the exercise on seeds is called with: a function that draws a head, and one that sets the seed."""
    generator, numbers = random.Random(0), count(1)
    return lambda: {"draw": next(numbers), "weights": _weights(generator, width)}, generator.seed


def _weights(generator, width: int) -> list[float]:
    return [round(generator.random(), 2) for _ in range(width)]


def _two_heads(seed: int, width: int):
    return tuple({"draw": number, "weights": _weights(random.Random(seed), width)} for number in (1, 2))


def _seed_once(make_head, set_seed):
    set_seed(7)
    return make_head(), make_head()


def _seed_after(make_head, set_seed):
    heads = make_head(), make_head()
    set_seed(7)
    return heads


def _one_head_twice(make_head, set_seed):
    set_seed(7)
    head = make_head()
    return head, head


def _two_seeds(make_head, set_seed):
    set_seed(7)
    first = make_head()
    set_seed(8)
    return first, make_head()


SEED = Exercise(
    number="05.3",
    title="Find the fault: the same head twice",
    statement="""\
`two_heads(make_head, set_seed)` should draw two heads and return both. Their weights should be equal, because both are
drawn with seed 7. `make_head()` draws a random head, and `set_seed(n)` sets the seed. Something is in the wrong place,
and something is missing. (The heads of the checker are dictionaries with the number of the draw and the weights.)""",
    start="""\
def two_heads(make_head, set_seed):
    first = make_head()
    second = make_head()
    set_seed(7)
    return first, second""",
    solution="""\
def two_heads(make_head, set_seed):
    set_seed(7)
    first = make_head()
    set_seed(7)  # drawing the first head has moved the generator on
    second = make_head()
    return first, second""",
    hint="A seed acts on what is drawn after it, and only until the generator has moved on.",
    name="two_heads",
    cases=tuple(Case(partial(_dice, width), _two_heads(7, width)) for width in (2, 3)),
    mistakes=(
        Mistake(
            _seed_after,
            "The seed is set after the heads were drawn, so it decides nothing about them (error 6).",
        ),
        Mistake(
            _seed_once,
            "The first head is right, and the second is another one: drawing the first has moved the generator on. Set "
            "the seed before each.",
        ),
        Mistake(_one_head_twice, "One head was drawn and returned twice. Draw a second one, with the same seed."),
        Mistake(_two_seeds, "The second head was drawn with another seed. The same seed gives the same numbers."),
    ),
)


def _row(epoch, loss, f1):
    return {"epoch": epoch, "eval_loss": loss, "eval_f1": f1}


FALLING = [_row(1, 0.13, 0.80), _row(2, 0.12, 0.84), _row(3, 0.15, 0.83)]
LATE = [_row(1, 0.12, 0.80), _row(2, 0.14, 0.81), _row(3, 0.16, 0.84)]
EQUAL = [_row(1, 0.20, 0.79), _row(2, 0.19, 0.85), _row(3, 0.18, 0.85)]

BEST = Exercise(
    number="05.4",
    title="Choose the epoch",
    statement="""\
Write `best_epoch(history)`. `history` has one dictionary for each epoch, with the keys `epoch`, `eval_loss` and
`eval_f1`. Return the number of the epoch that the chapter's rule keeps: the highest validation F1, and the first of
equals.""",
    start=stub("best_epoch(history)"),
    solution="""\
def best_epoch(history):
    best = max(history, key=lambda row: row["eval_f1"])  # max keeps the first of equals
    return best["epoch"]""",
    hint="max takes a key function. Which of two equal entries does it return?",
    name="best_epoch",
    cases=(
        case(LATE, expected=3),
        case(EQUAL, expected=2),
        case(FALLING, expected=2),
        case([_row(1, 0.5, 0.3)], expected=1),
    ),
    mistakes=(
        Mistake(
            lambda history: history[-1]["epoch"],
            "This is always the last epoch. It is not the best one by rule (error 14).",
        ),
        Mistake(
            lambda history: min(history, key=lambda row: row["eval_loss"])["epoch"],
            "This is the epoch with the lowest loss. The loss may rise while F1 still rises; the choice is made by F1.",
        ),
        Mistake(
            lambda history: max(reversed(history), key=lambda row: row["eval_f1"])["epoch"],
            "Of two equal epochs this takes the later one. The rule keeps the first.",
        ),
        Mistake(
            lambda history: max(history, key=lambda row: row["eval_f1"])["epoch"] - 1,
            "This is the place in the list, counted from 0. The number of the epoch is under the key epoch.",
        ),
        Mistake(
            lambda history: max(row["eval_f1"] for row in history),
            "This is the F1. The question is which epoch has it.",
        ),
    ),
)


def _restore(order, answers):
    rows = [None] * len(order)
    for row, answer in zip(order, answers, strict=True):
        rows[row] = answer
    return rows


ORDER = Exercise(
    number="05.5",
    title="Put predictions back in order",
    statement="""\
Predictions came back grouped by length (error 17). `order[k]` is the number of the row that answer `k` belongs to.
Write `in_order(order, answers)`: it returns the answers in the order of the rows.""",
    start=stub("in_order(order, answers)"),
    solution="""\
def in_order(order, answers):
    restored = [None] * len(order)
    for row, answer in zip(order, answers, strict=True):
        restored[row] = answer
    return restored""",
    hint="Make a list of empty places first. Answer k goes to the place order[k].",
    name="in_order",
    cases=(
        case([0, 1], ["a", "b"], expected=["a", "b"]),
        case([2, 0, 1], ["a", "b", "c"], expected=["b", "c", "a"]),
        case([3, 1, 0, 2], ["d", "b", "a", "c"], expected=["a", "b", "c", "d"]),
        case([1, 2, 3, 0], ["z", "a", "m", "b"], expected=["b", "z", "a", "m"]),
        case([], [], expected=[]),
    ),
    mistakes=(
        Mistake(
            lambda order, answers: [answers[row] for row in order],
            "The order is applied a second time. [answers[k] for k in order] takes from place order[k]; answer k has to "
            "go to place order[k].",
        ),
        Mistake(
            lambda order, answers: list(answers),
            "The answers are as they came, so most belong to another row (error 17).",
        ),
        Mistake(
            lambda order, answers: sorted(answers),
            "The answers are sorted by themselves. Their places are decided by order, not by what they say.",
        ),
    ),
)

EXERCISES = (STEPS, FIRST_LOSS, SEED, BEST, ORDER)
