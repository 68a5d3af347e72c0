"""Which rows go into a batch: by number of tokens, not by number of sentences.

Taught in chapter 3 (what padding costs) and chapter 10 (what grouping does to F1).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

from ner_tutorial.alignment import Encoder
from ner_tutorial.words import WordRule

TOKENS_PER_SENTENCE = 16
"""A token budget is ``batch_size`` times this. A newswire sentence has about 20 tokens, so such a batch holds a few
sentences less than ``batch_size``: rows of one length have more in common than random ones, and smaller steps make up
for it (chapter 10)."""


def training_rows(dataset, encoder: Encoder) -> list[dict[str, list[int]]]:
    """A split as rows for the collator: ``input_ids``, ``attention_mask`` and ``labels``, one entry per token.

    The whole split is one call of the tokenizer: it uses every core by itself. How the split's words are cut is noted in
    the tokenizer (``WordRule``) and saved with it, so that text will be cut alike.

    Args:
        dataset: a split with the columns ``tokens`` and ``ner_tags``.
        encoder: the model's tokenizer, labels and lengths.

    Raises:
        ValueError: words and labels differ in number, or the split has other labels than the encoder.
    """
    sentences, tags = encoder.split(dataset)
    WordRule.from_words(sentences, encoder.tokenizer).record(encoder.tokenizer)
    windows = encoder.windows(sentences)
    labels = encoder.aligned(windows, tags)
    return [{**windows.inputs(number), "labels": row} for number, row in enumerate(labels)]


def token_budget_batches(lengths: Sequence[int], budget: int, seed: int, chunk: int = 400) -> list[list[int]]:
    """Batches of row indices such that rows times longest row stays within ``budget``; each index stands in one batch.

    The rows are shuffled, cut into chunks, sorted by length inside each chunk, and filled into batches, whose order
    is shuffled again. So rows of a batch have almost one length (little padding), and yet batches differ from epoch
    to epoch. A row longer than the budget is a batch of its own.

    Args:
        lengths: tokens of each row.
        budget: the most tokens in a batch, padding included.
        seed: same seed, same batches.
        chunk: how many rows are sorted together. Larger means less padding and less chance in what meets in a batch.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(lengths)).tolist()  # other neighbours in every epoch
    batches: list[list[int]] = []
    for start in range(0, len(order), chunk):
        batches += sorted_batches(order[start : start + chunk], lengths, budget)
    return [batches[i] for i in random.permutation(len(batches))]  # else each chunk would go from short rows to long


def sorted_batches(rows: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """``rows`` sorted by length, the shortest first, and cut into batches within ``budget`` tokens, padding included."""
    batches: list[list[int]] = []
    for index in sorted(rows, key=lambda i: lengths[i]):
        # Sorted ascending: the new row is the longest, so it sets the width of the batch.
        if not batches or (len(batches[-1]) + 1) * lengths[index] > budget:
            batches.append([])
        batches[-1].append(index)
    return batches


def sentence_batches(count: int, batch_size: int, seed: int) -> list[list[int]]:
    """Batches of ``batch_size`` row indices in random order, the usual way."""
    order = np.random.default_rng(seed).permutation(count).tolist()
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]


def _split_until(batches: list[list[int]], count: int) -> list[list[int]]:
    """Halve the largest batches until there are ``count``."""
    batches = list(batches)
    while len(batches) < count:
        largest = max(range(len(batches)), key=lambda i: len(batches[i]))  # its halves differ least from the others
        batch = batches[largest]
        if len(batch) < 2:
            raise ValueError(
                f"{sum(map(len, batches))} rows cannot fill {count} batches; use fewer processes or more data"
            )
        half = len(batch) // 2
        batches[largest : largest + 1] = [batch[:half], batch[half:]]
    return batches


class EpochBatches(Sampler[list[int]]):
    """A batch sampler with the same number of batches in every epoch, divisible by the number of processes.

    Args:
        lengths: tokens of each row.
        batch_size: sentences a batch; with ``by_tokens``, the budget is ``TOKENS_PER_SENTENCE`` times as many tokens.
        epochs: how many epochs are planned; the schedule needs the number of steps in advance.
        seed: of the whole run. Epoch ``e`` draws from ``(seed, e)``, so that a resumed run sees the same batches.
        by_tokens: fill batches by tokens; otherwise by sentences.
        processes: round the number of batches up to a multiple of this, by splitting some.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        epochs: int,
        seed: int,
        by_tokens: bool = True,
        processes: int = 1,
    ):
        self.lengths, self.seed, self.by_tokens, self._rows = list(lengths), seed, by_tokens, batch_size
        # Accelerate reads this attribute; None says that batches differ in size.
        self.batch_size = None
        self.drop_last = False
        self.epoch = 0
        plans = [self._plan(epoch) for epoch in range(epochs)]
        most = max(map(len, plans), default=0)  # filled by tokens, epochs may differ by some
        self.count = -(-most // processes) * processes  # rounded up: every process takes as many steps
        self.rows_per_batch = len(self.lengths) / self.count if self.count else 0.0

    def _plan(self, epoch: int) -> list[list[int]]:
        # One number from both; their sum would be the same for seed 1, epoch 2 and for seed 2, epoch 1.
        seed = int(np.random.SeedSequence((self.seed, epoch)).generate_state(1)[0])
        if self.by_tokens:
            return token_budget_batches(self.lengths, self._rows * TOKENS_PER_SENTENCE, seed)
        return sentence_batches(len(self.lengths), self._rows, seed)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        return iter(_split_until(self._plan(self.epoch), self.count))


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """The share of tokens in the padded batches that are padding, between 0 and 1."""
    real = sum(lengths[i] for batch in batches for i in batch)  # tokens
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)  # rows times the longest of them
    return 1 - real / padded if padded else 0.0


def token_loss(logits: torch.Tensor, labels: torch.Tensor, divisor: float | None) -> torch.Tensor:
    """Cross-entropy of a batch: its sum over the counted labels by ``divisor``, or their mean if that is ``None``.

    Divided by one constant for all batches, every label of the epoch weighs the same. The mean gives the few labels
    of a batch of short sentences more weight each.

    Args:
        logits: (batch, tokens, labels)
        labels: (batch, tokens), -100 where nothing is counted
        divisor: the counted labels of a mean batch

    Returns:
        A tensor of shape (), in nats.
    """
    reduction = "mean" if divisor is None else "sum"
    # (batch * tokens, labels) and (batch * tokens,); cross_entropy leaves -100 out by itself. It gets float32, because sums of
    # bfloat16 numbers would be too coarse.
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction=reduction)
    return loss if divisor is None else loss / divisor
