"""What the exercises call right is what the package and the libraries do."""

import math
from itertools import pairwise

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler
from transformers import BertTokenizer, get_scheduler

from ner_tutorial import LabelScheme, align_labels_with_tokens, entity_spans, iob1_to_iob2, score_labels
from ner_tutorial.collation import padding_share, sorted_batches
from ner_tutorial.exercises import exercises_of


def exercise(number: str):
    return next(each for each in exercises_of(int(number[:2])) if each.number == number)


def inputs_and_outputs(number: str):
    return [(each.make(), each.expected) for each in exercise(number).cases]


def test_spans_and_schemes():
    assert exercise("01.1").expected == entity_spans(["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "I-LOC", "O"])
    iob1 = ["I-PER", "I-PER", "O", "I-LOC", "O", "I-PER", "B-PER", "I-PER"]
    assert exercise("01.2").expected == len(entity_spans(iob1_to_iob2(iob1)))
    for (labels,), expected in inputs_and_outputs("01.4"):
        assert iob1_to_iob2(labels) == expected


def test_pieces_and_their_labels():
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "li", "lin", "##d", "##nd", "##q", "##qvist", "##vist"]
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(entries)})
    assert tokenizer.tokenize("lindqvist") == exercise("02.1").expected
    word_ids = [None, 0, 0, 1, 2, 2, 2, None]
    assert align_labels_with_tokens([3, 0, 5], word_ids) == exercise("02.2").expected
    for (names,), expected in inputs_and_outputs("02.4"):
        assert list(LabelScheme(names).continuation) == expected


def test_batches():
    for (lengths, batches), expected in inputs_and_outputs("03.4"):
        assert padding_share(lengths, batches) == pytest.approx(expected)
    for (lengths, budget), expected in inputs_and_outputs("03.5"):
        assert sorted_batches(range(len(lengths)), lengths, budget) == expected


def test_the_mean_loss_is_pytorchs():
    for (losses, labels), expected in inputs_and_outputs("03.3"):
        # Two labels; the logits are chosen so that the gold label costs what the case says.
        for gap in (0.0, 1.0):
            chance = torch.tensor([math.exp(-loss - gap) for row in losses for loss in row], dtype=torch.float64)
            gold = torch.tensor([label if label < 0 else 0 for row in labels for label in row])
            logits = torch.stack([chance.log(), (1 - chance).clamp(min=1e-300).log()], dim=1)
            assert torch.nn.functional.cross_entropy(logits, gold).item() == pytest.approx(expected + gap, abs=1e-5)


def test_scores():
    gold, predicted = ["B-LOC", "I-LOC", "O", "B-PER"], ["I-LOC", "I-LOC", "O", "B-PER"]
    both = [score_labels([gold], [predicted], strict=strict).f1 for strict in (False, True)]
    assert both == pytest.approx(exercise("04.2").expected)
    gold, predicted = (
        ["B-PER", "I-PER", "O", "B-ORG", "O", "B-LOC", "I-LOC"],
        ["B-PER", "I-PER", "O", "B-LOC", "O", "O", "B-LOC"],
    )
    gold_spans, predicted_spans = set(entity_spans(gold)), set(entity_spans(predicted))
    groups = gold_spans & predicted_spans, predicted_spans - gold_spans, gold_spans - predicted_spans
    assert tuple(map(len, groups)) == exercise("04.1").expected


def test_the_best_possible_sequence_of_two_words():
    first = {"O": 0.50, "B-PER": 0.40, "I-PER": 0.0, "B-LOC": 0.10}
    second = {"O": 0.25, "B-PER": 0.10, "I-PER": 0.60, "B-LOC": 0.05}
    allowed = [(a, b) for a in first for b in second if a[0] != "I" and (b[0] != "I" or a[2:] == b[2:])]
    assert list(max(allowed, key=lambda pair: first[pair[0]] * second[pair[1]])) == exercise("04.6").expected


def test_steps_and_the_schedule():
    model = torch.nn.Linear(1, 1)
    for (step, steps, warmup, peak), expected in inputs_and_outputs("06.4"):
        optimizer = torch.optim.SGD(model.parameters(), lr=peak)
        schedule = get_scheduler("linear", optimizer, warmup, steps)
        for _ in range(step):
            optimizer.step()
            schedule.step()
        assert schedule.get_last_lr()[0] == pytest.approx(expected)
    assert exercise("05.1").expected == 3 * len(BatchSampler(range(1000), 24, drop_last=False))


def weight_after(order: list[str], targets, start: float = 1.0, rate: float = 0.25) -> float:
    """The weight after one step per target, with the parts of a step in this order."""
    weight = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=rate)
    made = {}
    parts = {
        "logits": lambda target: made.update(logits=weight - target),
        "loss": lambda target: made.update(loss=made["logits"] ** 2 / 2),
        "backward": lambda target: made["loss"].backward(),
        "optimiser": lambda target: optimizer.step(),
        "zero": lambda target: optimizer.zero_grad(),
    }
    parts["optimizer"] = parts["optimiser"]
    for target in targets:
        for part in order:
            parts.get(part, lambda target: None)(target)
    return weight.item()


def test_every_order_of_a_step_that_counts_as_right_trains_alike():
    step = exercise("06.1")
    orders = [step.expected, *step.also]
    assert {weight_after(order, (3.0, -2.0, 5.0)) for order in orders} == {
        weight_after(step.expected, (3.0, -2.0, 5.0))
    }


def test_a_loop_that_forgets_its_gradients():
    for (weight, targets, rate), expected in inputs_and_outputs("06.3"):
        assert weight_after(exercise("06.1").expected, targets, weight, rate) == pytest.approx(expected)


def test_two_processes_share_a_hundred_sentences():
    batches = BatchSampler(range(100), 16, drop_last=False)
    shards = [BatchSamplerShard(batches, num_processes=2, process_index=i) for i in range(2)]
    assert sum(len(batch) for shard in shards for batch in shard) == exercise("06.2").expected[0]


def test_offsets_and_windows():
    text = "🙂 Zoë left Oslo."
    start, end = exercise("07.1").expected
    assert text[start:end] == "Oslo"
    for (count, size, stride), expected in inputs_and_outputs("07.5"):
        assert all(a[1] - b[0] == stride for a, b in pairwise(expected))
        assert all(end - start == size for start, end in expected[:-1])
        assert (expected[0][0], expected[-1][1]) == (0, count)
