"""Exercises of chapter 3: padding, masks, the loss, and what goes into a batch."""

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub

IGNORED = -100

COUNT = Exercise(
    number="03.1",
    title="Count the positions",
    statement="""\
Three rows of 5, 9 and 4 tokens form a batch, `[CLS]` and `[SEP]` included. Every piece of a word is labelled.

How many positions does the model compute, how many of them are padding, and how many labels count in the loss?""",
    start="answer = None  # three numbers: (positions, padding, labels that count)",
    solution="""\
# 3 rows of 9 positions; 27 - 18 tokens; 18 tokens without 2 special ones in each row
answer = (27, 9, 12)""",
    hint="A batch is a rectangle, as wide as its longest row. Two tokens of each row are special.",
    expected=(27, 9, 12),
    mistakes=(
        Mistake(
            (27, 9, 18),
            "You counted the special tokens among the labels. Each row has two of them, and their label is -100.",
        ),
        Mistake(
            (27, 18, 12),
            "You gave the tokens in place of the padding: 18 positions are tokens, and the rest is padding.",
        ),
        Mistake(
            (18, 0, 12), "These are the tokens. A batch is a rectangle, so each row is filled up to the longest one."
        ),
        Mistake(
            (27, 9, 27),
            "Not every position has a label: padding and special tokens have -100, which the loss leaves out.",
        ),
    ),
)


def _pad(rows, fill, width=None, left=False):
    width = max(map(len, rows), default=0) if width is None else width
    if left:
        return [[fill] * (width - len(row)) + list(row) for row in rows]
    return [(list(row) + [fill] * (width - len(row)))[:width] for row in rows]


PAD = Exercise(
    number="03.2",
    title="Pad a batch",
    statement="""\
Write `pad_rows(rows, fill)`: it returns the rows as lists of equal length, each filled at its end with `fill` up to the
longest row. The rows that it is given must stay as they are, because the next epoch needs them again.""",
    start=stub("pad_rows(rows, fill)"),
    solution="""\
def pad_rows(rows, fill):
    width = max(len(row) for row in rows)
    return [row + [fill] * (width - len(row)) for row in rows]""",
    hint="[fill] * n is a list of n fillings. row + other makes a new list; row.extend(other) changes the row.",
    name="pad_rows",
    cases=(
        case([[1, 2, 3], [4]], -100, expected=[[1, 2, 3], [4, -100, -100]]),
        case([[4], [1, 2, 3], [5, 6]], 0, expected=[[4, 0, 0], [1, 2, 3], [5, 6, 0]]),
        case([[7, 8]], 1, expected=[[7, 8]]),
    ),
    mistakes=(
        Mistake(
            lambda rows, fill: _pad(rows, fill, left=True),
            "The padding is in front. The collator of this book fills the end of a row, so that token 0 is [CLS] in "
            "each of them.",
        ),
        Mistake(
            lambda rows, fill: _pad(rows, 0),
            "The filling is 0 whatever fill says. For labels 0 is a label (here O), and the loss would count it.",
        ),
        Mistake(
            lambda rows, fill: _pad(rows, fill, width=len(rows[0])),
            "The first row decides the width here, so longer rows are cut off. The longest row has to decide.",
        ),
        Mistake(
            lambda rows, fill: _pad(rows, fill, width=min(map(len, rows))),
            "The rows are cut to the shortest one. Then they are equal, and tokens are lost.",
        ),
    ),
)


def _mean(values):
    return sum(values) / len(values) if values else 0.0


_MEAN_LOSS = """\
def mean_loss(losses, labels):
    total = count = 0
    for loss_row, label_row in zip(losses, labels, strict=True):
        for loss, label in zip(loss_row, label_row, strict=True):
            if label != -100:
                total += loss
                count += 1  # only what is in the sum
    return total / count"""

LOSS = Exercise(
    number="03.3",
    title="Find the fault: the mean loss",
    statement="""\
`mean_loss(losses, labels)` gets the loss of each token and the label ids of a batch, both as lists of rows. It should
return the mean over the tokens that count. Something is wrong with it: the mean falls when a sentence has longer
neighbours. Find the fault and repair it.""",
    start=_MEAN_LOSS.replace("    count += 1  # only what is in the sum", "count += 1"),
    solution=_MEAN_LOSS,
    hint="A mean divides by the number of values that were added up. By what does this one divide?",
    name="mean_loss",
    cases=(
        case([[1.0, 2.0]], [[3, 0]], expected=1.5),
        case([[9.0, 1.0, 2.0, 9.0]], [[IGNORED, 3, 0, IGNORED]], expected=1.5),
        case([[1.0, 2.0, 3.0], [6.0, 9.0, 9.0]], [[0, 1, 0], [1, IGNORED, IGNORED]], expected=3.0),
        case([[4.0, 0.0], [2.0, 7.0]], [[0, 0], [3, IGNORED]], expected=2.0),
    ),
    mistakes=(
        Mistake(
            lambda losses, labels: (
                sum(a for x, y in zip(losses, labels, strict=True) for a, b in zip(x, y, strict=True) if b != IGNORED)
                / sum(map(len, labels))
            ),
            "The sum leaves the positions with -100 out, and the division counts them. So the result depends on how much "
            "padding there is.",
        ),
        Mistake(
            lambda losses, labels: _mean([a for row in losses for a in row]),
            "The mean goes over every position, special tokens and padding included. Those with -100 must be left out.",
        ),
        Mistake(
            lambda losses, labels: _mean(
                [
                    _mean([a for a, b in zip(x, y, strict=True) if b != IGNORED])
                    for x, y in zip(losses, labels, strict=True)
                ]
            ),
            "This is the mean of the means of the rows. A token in a short row then weighs more than one in a long row; "
            "the mean over tokens treats them alike.",
        ),
        Mistake(
            lambda losses, labels: _mean(
                [a for x, y in zip(losses, labels, strict=True) for a, b in zip(x, y, strict=True) if b > 0]
            ),
            "Tokens with the label 0 are left out too. 0 is O, a label like the others; only -100 does not count.",
        ),
    ),
)


def _shares(lengths, batches):
    return [1 - sum(lengths[i] for i in b) / (len(b) * max(lengths[i] for i in b)) for b in batches]


def _tokens(lengths, batches):
    return sum(lengths[i] for b in batches for i in b)


def _area(lengths, batches):
    return sum(len(b) * max(lengths[i] for i in b) for b in batches)


SHARE = Exercise(
    number="03.4",
    title="The share of padding",
    statement="""\
Write `padded_share(lengths, batches)`. `lengths[i]` is the number of tokens of row `i`, and a batch is a list of row
numbers. Return the share of all computed positions that are padding, between 0 and 1.""",
    start=stub("padded_share(lengths, batches)"),
    solution="""\
def padded_share(lengths, batches):
    tokens = positions = 0
    for batch in batches:
        tokens += sum(lengths[row] for row in batch)
        positions += len(batch) * max(lengths[row] for row in batch)
    return 1 - tokens / positions""",
    hint="Add up two numbers over all batches: the tokens, and the area of each rectangle. Divide once, at the end.",
    name="padded_share",
    cases=(
        case([4, 4], [[0, 1]], expected=0.0),
        case([1, 3], [[0, 1]], expected=1 / 3),
        case([1, 3, 10, 10], [[0, 1], [2, 3]], expected=1 - 24 / 26),
        case([8, 2, 4], [[2, 1], [0]], expected=1 - 14 / 16),
    ),
    mistakes=(
        Mistake(
            lambda lengths, batches: _tokens(lengths, batches) / _area(lengths, batches),
            "This is the share of the tokens. The padding is the rest: 1 minus it.",
        ),
        Mistake(
            lambda lengths, batches: _mean(_shares(lengths, batches)),
            "This is the mean of the shares of the batches, in which a small batch counts as much as a large one. "
            "Add up tokens and positions first, and divide once.",
        ),
        Mistake(
            lambda lengths, batches: 1 - _tokens(lengths, batches) / (sum(map(len, batches)) * max(lengths)),
            "Every batch is as wide as the longest row of all here. Each batch has its own width.",
        ),
        Mistake(
            lambda lengths, batches: _area(lengths, batches) - _tokens(lengths, batches),
            "This is the number of padded positions. A share divides it by the number of all positions.",
        ),
        Mistake(
            lambda lengths, batches: _area(lengths, batches) / _tokens(lengths, batches) - 1,
            "This is the padding divided by the tokens. The share is of all positions, the padding among them.",
        ),
        Mistake(
            lambda lengths, batches: 1 - sum(map(sum, batches)) / sum(len(b) * max(b) for b in batches),
            "This computes with the row numbers. The length of row i is lengths[i].",
        ),
    ),
)


def _fill(lengths, budget, too_full, order=None):
    batches = [[]]
    for row in sorted(range(len(lengths)), key=lengths.__getitem__) if order is None else order:
        if batches[-1] and too_full(batches[-1], row):
            batches.append([])
        batches[-1].append(row)
    return batches


def _budget(lengths, budget):
    return _fill(lengths, budget, lambda batch, row: (len(batch) + 1) * lengths[row] > budget)


def _by_sum(lengths, budget):
    return _fill(lengths, budget, lambda batch, row: sum(lengths[i] for i in batch) + lengths[row] > budget)


def _unsorted(lengths, budget):
    def too_full(batch, row):
        return (len(batch) + 1) * max(lengths[i] for i in [*batch, row]) > budget

    return _fill(lengths, budget, too_full, order=range(len(lengths)))


BUDGET = Exercise(
    number="03.5",
    title="Batches within a token budget",
    statement="""\
Write `fill_batches(lengths, budget)`, the chapter's `budget_batches` without its random order. Take the row numbers
from the shortest row to the longest (rows of one length in the order of their numbers), and fill batches. A row joins
the current batch as long as *rows times longest row* stays within the budget; otherwise it starts a new batch. A row
that is longer than the budget is a batch of its own.
Return the list of batches, each a list of row numbers.""",
    start=stub("fill_batches(lengths, budget)"),
    solution="""\
def fill_batches(lengths, budget):
    batches = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        # The rows come sorted, so the new one is the longest and sets the width.
        if not batches or (len(batches[-1]) + 1) * lengths[row] > budget:
            batches.append([])
        batches[-1].append(row)
    return batches""",
    hint="Sorted by length, the row that joins is always the longest: the batch would have (len(batch) + 1) * "
    "lengths[row] positions.",
    name="fill_batches",
    cases=(
        case([2, 2, 2], 4, expected=[[0, 1], [2]]),
        case([5, 1, 3], 6, expected=[[1, 2], [0]]),
        case([1, 1, 4, 4], 10, expected=[[0, 1], [2, 3]]),
        case([9, 2], 4, expected=[[1], [0]]),
    ),
    mistakes=(
        Mistake(
            _by_sum,
            "The budget is compared with the sum of the lengths. The model computes the padding too: rows times the "
            "longest row.",
        ),
        Mistake(
            _unsorted,
            "The rows are in their own order. Sort them by length first, otherwise one long row widens a batch of "
            "short ones.",
        ),
        Mistake(
            lambda lengths, budget: [[lengths[row] for row in batch] for batch in _budget(lengths, budget)],
            "These are the lengths of the rows. A batch lists the numbers of the rows, so that the loader finds them.",
        ),
        Mistake(
            lambda lengths, budget: _budget(lengths, budget)[:-1],
            "The last batch is missing. When the loop ends, the batch that was being filled has to be kept as well.",
        ),
        Mistake(
            lambda lengths, budget: _fill(
                lengths, budget, lambda batch, row: (len(batch) + 1) * lengths[row] >= budget
            ),
            "A batch that reaches the budget exactly stays within it. Only more than the budget is too much.",
        ),
        Mistake(
            lambda lengths, budget: _fill(lengths, budget, lambda batch, row: len(batch) * lengths[row] > budget),
            "The rows are counted before the new one joins. With it the batch has one row more.",
        ),
    ),
)

EXERCISES = (COUNT, PAD, LOSS, SHARE, BUDGET)
