"""Exercises of chapter 10: comparing times by ratios, and scores by pairs of seeds."""

from statistics import median, stdev

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub


def _ratios(plain, fast):
    return [a / b for a, b in zip(plain, fast, strict=True)]


RATIO = Exercise(
    number="10.1",
    title="How many times as fast?",
    statement="""\
Two ways ran in turn, and each round gave one time for each. Write `times_as_fast(plain, fast)`: it returns the
median, over the rounds, of how many times as fast the second way was as the first.""",
    start=stub("times_as_fast(plain, fast)"),
    solution="""\
from statistics import median


def times_as_fast(plain, fast):
    return median(a / b for a, b in zip(plain, fast, strict=True))""",
    hint="Each round gives one ratio, because whatever slowed the machine down in this round slowed both.",
    name="times_as_fast",
    cases=(
        case([10.0, 10.0, 10.0], [5.0, 5.0, 5.0], expected=2.0),
        case([10.0, 12.0, 60.0], [5.0, 4.0, 12.0], expected=3.0),
        case([8.0, 30.0, 9.0], [4.0, 10.0, 6.0], expected=2.0),
        case([6.0, 8.0], [2.0, 4.0], expected=2.5),
    ),
    mistakes=(
        Mistake(
            lambda plain, fast: median(plain) / median(fast),
            "This is the ratio of the two medians. They may come from different rounds; take the ratio within each round, "
            "and then the median.",
        ),
        Mistake(
            lambda plain, fast: sum(_ratios(plain, fast)) / len(plain),
            "This is the mean of the ratios. One disturbed round moves a mean a lot and a median hardly.",
        ),
        Mistake(
            lambda plain, fast: median(_ratios(fast, plain)),
            "The ratio is upside down: the time of the plain way divided by the time of the fast one is above 1 if the "
            "fast one is faster.",
        ),
        Mistake(
            lambda plain, fast: sum(plain) / sum(fast),
            "This is the ratio of the sums, in which a slow round weighs most.",
        ),
        Mistake(
            lambda plain, fast: min(plain) / min(fast),
            "This compares the best time of each way. The two may come from different rounds; take the ratio within each "
            "round, and then the median.",
        ),
        Mistake(
            lambda plain, fast: median(a - b for a, b in zip(plain, fast, strict=True)),
            "This is a difference of times, in seconds, which another machine changes. Divide one time by the other.",
        ),
        Mistake(
            lambda plain, fast: sorted(_ratios(plain, fast))[len(plain) // 2],
            "The median of an even number of ratios is the mean of the two in the middle; statistics.median does that.",
        ),
    ),
)


def _differences(first, second):
    return [b - a for a, b in zip(first, second, strict=True)]


def _error(values, corrected=True, root=True):
    spread = stdev(values) if corrected else stdev(values) * ((len(values) - 1) / len(values)) ** 0.5
    return spread / len(values) ** 0.5 if root else spread


def _mean(values):
    return sum(values) / len(values)


PAIRED = Exercise(
    number="10.2",
    title="Is the second way better?",
    statement="""\
Two ways of training were run with the same seeds. Write `paired_difference(first, second)` for their lists of F1: it
returns a pair, the mean of the differences *second minus first* and the standard error of this mean. The standard error
is the standard deviation of the differences (with n - 1) divided by the square root of n.""",
    start=stub("paired_difference(first, second)"),
    solution="""\
from statistics import mean, stdev


def paired_difference(first, second):
    differences = [b - a for a, b in zip(first, second, strict=True)]
    return mean(differences), stdev(differences) / len(differences) ** 0.5""",
    hint="Make the list of differences first, seed by seed. statistics.stdev divides by n - 1.",
    name="paired_difference",
    tolerance=1e-5,
    cases=(
        case([0.70, 0.80, 0.75], [0.73, 0.79, 0.79], expected=(0.02, 0.015275)),
        case([0.70, 0.72, 0.74, 0.76], [0.71, 0.73, 0.75, 0.77], expected=(0.01, 0.0)),
        case([0.80, 0.82], [0.78, 0.82], expected=(-0.01, 0.01)),
    ),
    mistakes=(
        Mistake(
            lambda first, second: (
                _mean(_differences(first, second)),
                (_error(first) ** 2 + _error(second) ** 2) ** 0.5,
            ),
            "The two lists are treated as if they had nothing to do with each other. The seeds are paired, so a lucky seed "
            "is lucky for both; take the spread of the differences.",
        ),
        Mistake(
            lambda first, second: (_mean(_differences(first, second)), _error(_differences(first, second), root=False)),
            "This is the standard deviation of single differences. The mean of n of them varies less: divide by the "
            "square root of n.",
        ),
        Mistake(
            lambda first, second: (
                _mean(_differences(first, second)),
                _error(_differences(first, second), corrected=False),
            ),
            "The standard deviation divides by n here. With few seeds that is too small; divide by n - 1.",
        ),
        Mistake(
            lambda first, second: (_mean(_differences(second, first)), _error(_differences(second, first))),
            "The sign is turned round. Second minus first is above 0 if the second way is better.",
        ),
        Mistake(
            lambda first, second: (_error(_differences(first, second)), _mean(_differences(first, second))),
            "The two values have changed places. The mean comes first, and then its standard error.",
        ),
        Mistake(
            lambda first, second: _mean(_differences(first, second)),
            "This is the mean of the differences alone. Return two values: the mean, and its standard error.",
        ),
    ),
)

EXERCISES = (RATIO, PAIRED)
