"""Exercises of chapter 6: the training loop, the schedule, several processes, and exchanged scores."""

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub

LOOP = ["logits", "loss", "backward", "clip", "optimiser", "schedule", "zero"]


def _moved(name, before):
    rest = [step for step in LOOP if step != name]
    rest.insert(rest.index(before), name)
    return rest


STEP = Exercise(
    number="06.1",
    title="One training step",
    statement="""\
Put the parts of one training step into their order, starting with `logits`:

`zero` (forget the gradients), `optimiser` (move the weights), `clip` (cut the norm of the gradients), `logits`,
`loss`, `schedule` (move the learning rate), `backward`.""",
    start="answer = None  # a list of the seven words",
    solution="""\
answer = ["logits", "loss", "backward", "clip", "optimiser", "schedule", "zero"]""",
    hint="The gradients exist after backward. Everything that uses them comes before they are forgotten.",
    expected=LOOP,
    # The old gradients may be forgotten at any time after the optimiser's step and before the next backward.
    also=tuple(
        [word if word != "optimiser" else spelling for word in order]
        for order in (LOOP, *(_moved("zero", before=name) for name in ("schedule", "loss", "backward")))
        for spelling in ("optimiser", "optimizer")
    ),
    mistakes=(
        Mistake(
            _moved("zero", before="logits"),
            "A loop may forget the gradients first, as you have it: what counts is that they are gone before backward. "
            "This list has to start with logits, so where does zero go then?",
        ),
        Mistake(
            _moved("clip", before="backward"),
            "Clipping comes before backward here. At that moment there are no gradients of this batch that it could cut.",
        ),
        Mistake(
            _moved("zero", before="optimiser"),
            "The gradients are forgotten before the optimiser has used them, so the weights never move.",
        ),
        Mistake(
            _moved("schedule", before="optimiser"),
            "The learning rate moves before the first step, so the first rate is never used. PyTorch warns about this order.",
        ),
        Mistake(
            _moved("optimiser", before="clip"),
            "The weights move before the gradients are cut, so the cut changes nothing.",
        ),
    ),
)

PROCESSES = Exercise(
    number="06.2",
    title="Two processes",
    statement="""\
Two processes evaluate 100 sentences in batches of 16. How many sentences does `gather` return in all, and how many
does `gather_for_metrics`?""",
    start="answer = None  # two numbers: (gather, gather_for_metrics)",
    solution="""\
# 7 batches; two processes take the same number each, so 8 batches of 16
answer = (128, 100)""",
    hint="How many batches are 100 sentences? Both processes must take the same number of steps with full batches.",
    expected=(128, 100),
    mistakes=(
        Mistake(
            (112, 100),
            "Seven batches cannot be shared evenly by two processes. Accelerate repeats sentences until each has four.",
        ),
        Mistake((100, 100), "gather keeps the sentences that were repeated to even out the processes (error 4)."),
        Mistake(
            (100, 128), "The two have changed places. gather_for_metrics is the one that drops the repeated sentences."
        ),
        Mistake((64, 50), "This is the share of one process. Both functions give all rows to every process."),
        Mistake((128, 128), "gather_for_metrics knows how many sentences are real, and drops the rest."),
        Mistake(
            (104, 100), "The last batches are filled up to 16 sentences too, so that all processes have the same shape."
        ),
    ),
)


def _fit(weight, targets, rate, zero="after"):
    stored = 0.0
    for target in targets:
        stored += weight - target
        if zero == "before the step":
            stored = 0.0
        weight -= rate * stored
        if zero == "after":
            stored = 0.0
    return weight


FORGET = Exercise(
    number="06.3",
    title="Find the fault: the loop that remembers",
    statement="""\
This is a training loop for a model with one weight, which should come close to the targets. The loss of a batch is
half the square of `weight - target`, so its gradient is `weight - target`. `backward` *adds* each gradient to what is
stored, as PyTorch does. The loss falls at first and then behaves oddly. Find the fault and repair it.""",
    start="""\
def fit(weight, targets, rate):
    stored = 0.0
    for target in targets:
        stored += weight - target  # backward
        weight -= rate * stored  # the optimiser's step
    return weight""",
    solution="""\
def fit(weight, targets, rate):
    stored = 0.0
    for target in targets:
        stored += weight - target  # backward
        weight -= rate * stored  # the optimiser's step
        stored = 0.0  # zero_grad
    return weight""",
    hint="What is in stored when the second batch begins?",
    name="fit",
    cases=(
        case(1.0, [3.0], 0.5, expected=2.0),
        case(8.0, [0.0, 0.0, 0.0], 0.5, expected=1.0),
        case(0.0, [4.0, 8.0], 0.25, expected=2.75),
        case(2.0, [], 0.1, expected=2.0),
    ),
    mistakes=(
        Mistake(
            lambda weight, targets, rate: _fit(weight, targets, rate, zero="never"),
            "The gradient of the first batch is still there in the second, and both act again. zero_grad belongs at the "
            "end of every step.",
        ),
        Mistake(
            lambda weight, targets, rate: _fit(weight, targets, rate, zero="before the step"),
            "The weight never moves, because the gradient is forgotten before the step uses it.",
        ),
        Mistake(
            lambda weight, targets, rate: weight - rate * sum(weight - target for target in targets),
            "The gradients of all batches were collected for one step at the end. Every batch makes a step of its own.",
        ),
        Mistake(
            lambda weight, targets, rate: _fit(weight, targets, -rate),
            "The weight moves up the gradient. The loss falls in the opposite direction: subtract.",
        ),
    ),
)


def _rate(step, steps, warmup, peak):
    if step < warmup:
        return peak * step / warmup
    return peak * max(0.0, (steps - step) / max(1, steps - warmup))


SCHEDULE = Exercise(
    number="06.4",
    title="The linear schedule",
    statement="""\
Write `rate(step, steps, warmup, peak)`: the learning rate at `step` (counted from 0). It rises in a straight line
from 0 to `peak` during the first `warmup` steps, and then falls in a straight line to 0 at `steps`. `warmup` may be
0.""",
    start=stub("rate(step, steps, warmup, peak)"),
    solution="""\
def rate(step, steps, warmup, peak):
    if step < warmup:
        return peak * step / warmup
    return peak * (steps - step) / (steps - warmup)""",
    hint="After the warm-up there are steps - warmup steps to fall in. At step == warmup the rate is peak.",
    name="rate",
    cases=(
        case(0, 10, 0, 1.0, expected=1.0),
        case(5, 10, 0, 0.5, expected=0.25),
        case(2, 12, 4, 1.0, expected=0.5),
        case(4, 12, 4, 1.0, expected=1.0),
        case(8, 12, 4, 1.0, expected=0.5),
        case(12, 12, 4, 1.0, expected=0.0),
    ),
    mistakes=(
        Mistake(
            lambda step, steps, warmup, peak: peak * (steps - step) / steps,
            "There is no warm-up here: the rate falls from the first step on, whatever warmup says.",
        ),
        Mistake(
            lambda step, steps, warmup, peak: peak * step / warmup if step < warmup else peak,
            "After the warm-up the rate stays at its peak. It has to fall to 0.",
        ),
        Mistake(
            lambda step, steps, warmup, peak: peak * step / warmup if step < warmup else peak * (steps - step) / steps,
            "The fall is measured from step 0, so the rate jumps down when the warm-up ends. There are steps - warmup "
            "steps to fall in.",
        ),
        Mistake(
            lambda step, steps, warmup, peak: (
                peak * step / warmup if step < warmup else peak * (1 - (step - warmup) / steps)
            ),
            "The rate does not reach 0 at the end, because the fall is spread over all steps instead of those after the "
            "warm-up.",
        ),
    ),
)


def _is_whole(score, gold, allowed):
    return abs(score * gold - round(score * gold)) < allowed


def _first_whole(scores, gold, allowed):
    return next((name for name, score in scores.items() if _is_whole(score, gold, allowed)), None)


RECALL = Exercise(
    number="06.5",
    title="Which one is the recall?",
    statement="""\
`scores` holds two printed scores under the names `precision` and `recall`, with six decimals, and `gold` is the
number of gold entities of the split. One of the two, times `gold`, is a whole number, as far as six decimals can
tell. Write `which_is_recall(scores, gold)`: it returns the *name* under which the recall was printed.""",
    start=stub("which_is_recall(scores, gold)"),
    solution="""\
def which_is_recall(scores, gold):
    allowed = gold * 0.0000005  # half of the last printed digit
    for name, score in scores.items():
        if abs(score * gold - round(score * gold)) < allowed:
            return name""",
    hint="Six decimals may be off by 0.0000005, so the product may be off by gold times that.",
    name="which_is_recall",
    cases=(
        case({"precision": 0.934702, "recall": 0.903824}, 5942, expected="precision"),
        case({"precision": 0.90774, "recall": 0.935544}, 5942, expected="recall"),
        case({"precision": 0.917431, "recall": 0.833333}, 24, expected="recall"),
        case({"precision": 0.714286, "recall": 0.769231}, 35, expected="precision"),
    ),
    mistakes=(
        Mistake(
            lambda scores, gold: "recall",
            "This trusts the name. In the first case the two had changed places (error 1), and the arithmetic shows it.",
        ),
        Mistake(
            lambda scores, gold: max(scores, key=scores.get),
            "This takes the higher of the two. Recall may be the lower one; what gives it away is the whole number.",
        ),
        Mistake(
            lambda scores, gold: _first_whole(scores, gold, allowed=0.5),
            "Any product is within 0.5 of a whole number, so the first score always wins. Allow only what six decimals "
            "can be off by.",
        ),
        Mistake(
            lambda scores, gold: _first_whole(scores, gold, allowed=1e-12),
            "A printed score was rounded, so its product is never exactly whole. Allow for the rounding.",
        ),
    ),
)

EXERCISES = (STEP, PROCESSES, FORGET, SCHEDULE, RECALL)
