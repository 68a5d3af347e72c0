"""Batches by token budget: every row once an epoch, the budget kept, the same count each epoch, the same for a seed."""

import itertools

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ner_tutorial.collation import (
    TOKENS_PER_SENTENCE,
    EpochBatches,
    padding_share,
    sentence_batches,
    token_budget_batches,
)

ROW_LENGTHS = st.lists(st.integers(1, 120), max_size=150)
some = settings(max_examples=100)


def epoch(batches: EpochBatches, number: int) -> list[list[int]]:
    batches.set_epoch(number)
    return list(batches)


@given(ROW_LENGTHS, st.integers(1, 200), st.integers(0, 2**32), st.integers(1, 60))
@example([], 10, 0, 5)
@some
def test_every_row_stands_in_exactly_one_batch(lengths, budget, seed, chunk):
    batches = token_budget_batches(lengths, budget, seed, chunk)
    assert sorted(itertools.chain(*batches)) == list(range(len(lengths)))
    assert all(batches)


@given(ROW_LENGTHS, st.integers(1, 200), st.integers(0, 2**32), st.integers(1, 60))
@some
def test_padded_batches_stay_within_the_budget_unless_one_row_alone_exceeds_it(lengths, budget, seed, chunk):
    for batch in token_budget_batches(lengths, budget, seed, chunk):
        padded = len(batch) * max(lengths[i] for i in batch)
        assert padded <= budget or len(batch) == 1


@given(ROW_LENGTHS, st.integers(1, 30), st.integers(0, 2**32))
@some
def test_a_budget_of_one_sentence_batches_makes_batches_full(lengths, budget, seed):
    """Two neighbours of a chunk never fit into one batch: otherwise half-empty batches would cost steps."""
    batches = token_budget_batches(lengths, budget, seed, chunk=len(lengths) or 1)
    # Among batches of one length, the one that is left over comes last.
    by_first = sorted(batches, key=lambda batch: (lengths[batch[0]], lengths[batch[-1]], -len(batch)))
    for batch, following in itertools.pairwise(by_first):
        assert (len(batch) + 1) * lengths[following[0]] > budget


def test_sorting_in_chunks_leaves_little_padding():
    lengths = [1 + (i * 37) % 60 for i in range(800)]
    shuffled = padding_share(lengths, sentence_batches(800, 16, seed=1))
    filled = padding_share(lengths, token_budget_batches(lengths, 16 * TOKENS_PER_SENTENCE, seed=1))
    assert filled < 0.1 < 0.3 < shuffled


@given(st.integers(0, 100), st.integers(1, 20), st.integers(0, 2**32))
@some
def test_sentence_batches_hold_every_row_once_and_only_the_last_is_short(count, size, seed):
    batches = sentence_batches(count, size, seed)
    assert sorted(itertools.chain(*batches)) == list(range(count))
    assert all(len(batch) == size for batch in batches[:-1])


# -------------------------------------------------------------------------------------------------- epochs of a run


@given(
    st.lists(st.integers(1, 60), min_size=12, max_size=120), st.integers(2, 8), st.integers(1, 5), st.integers(0, 9),
    st.booleans(), st.integers(1, 4),
)  # fmt: skip
@some
def test_each_epoch_has_every_row_once_in_the_announced_number_of_batches(
    lengths, size, epochs, seed, by_tokens, processes
):
    batches = EpochBatches(lengths, size, epochs, seed, by_tokens, processes)
    assert len(batches) % processes == 0
    assume(len(batches) <= len(lengths))  # otherwise there is an error, see below
    for number in range(epochs):
        plan = epoch(batches, number)
        assert len(plan) == len(batches)
        assert all(plan), "an empty batch has no loss"
        assert sorted(itertools.chain(*plan)) == list(range(len(lengths)))
        if by_tokens:
            budget = size * TOKENS_PER_SENTENCE
            assert all(len(rows) * max(lengths[i] for i in rows) <= budget or len(rows) == 1 for rows in plan)


@given(st.lists(st.integers(1, 60), min_size=30, max_size=60), st.integers(0, 2**31))
@settings(max_examples=20)
def test_a_seed_gives_the_same_batches_and_another_epoch_others(lengths, seed):
    def run(number: int, seed: int) -> list[list[int]]:
        return epoch(EpochBatches(lengths, 4, 3, seed), number)

    assert run(1, seed) == run(1, seed)
    assert run(0, seed) != run(1, seed)
    assert run(0, seed) != run(0, seed + 1)


def test_a_resumed_run_sees_the_batches_of_its_epoch_without_drawing_the_ones_before():
    through, resumed = (EpochBatches(list(range(1, 61)), 4, 3, seed=7) for _ in range(2))
    plans = [epoch(through, number) for number in range(3)]
    assert epoch(resumed, 2) == plans[2]


def test_more_processes_only_split_batches():
    lengths = [1 + (i * 37) % 60 for i in range(101)]
    one, four = (EpochBatches(lengths, 8, 2, seed=3, processes=processes) for processes in (1, 4))
    assert len(one) <= len(four) < len(one) + 4
    whole = [set(batch) for batch in epoch(one, 0)]
    assert all(any(set(batch) <= larger for larger in whole) for batch in epoch(four, 0))


def test_too_few_rows_for_the_processes_is_a_clear_error():
    with pytest.raises(ValueError, match="2 rows cannot fill 4 batches; use fewer processes or more data"):
        list(EpochBatches([5, 5], 8, 1, seed=0, processes=4))


def test_padding_share_counts_the_empty_cells():
    assert padding_share([2, 4, 3], [[0, 1], [2]]) == pytest.approx(2 / 11)
    assert padding_share([], []) == 0.0
