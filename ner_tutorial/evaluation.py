"""Score a model on words: every word once, whatever the tokenizer and the windows.

Taught in chapter 4 (what is scored) and chapter 6 (how several processes share the work).
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader

from ner_tutorial.alignment import align_labels_with_tokens, tokenize_windows
from ner_tutorial.corpus import reference_labels
from ner_tutorial.labels import CONLL_SCHEME, IGNORED_LABEL, LabelScheme
from ner_tutorial.metrics import Scores, labels_by_word, score_labels

NO_WORD = -1

NEAR_TIE = 0.1
"""Two logits that are no further apart count as level (``near_ties_in_float32``). In bfloat16, 99 of 100 of the quick
profile's tokens have no logit that is off by more than 0.03."""


@dataclass(frozen=True)
class EvaluationSet:
    """A split, tokenised for evaluation: rows sorted by length, and the way back from rows to words.

    A row is a sentence, or one window of a long one. In ``rows``, ``labels`` is set on the first piece of each word
    that the row owns and -100 elsewhere: one label a word.
    """

    rows: list[dict[str, list[int]]]
    piece_labels: list[list[int]]
    """The same rows with a label on every piece of an owned word."""
    words: list[list[int]]
    """For each token the index of the word that it answers for, or -1."""
    sentence: list[int]
    """For each row the index of its sentence in the split."""
    references: list[list[str]]
    """The gold labels of the words, sentence by sentence, in the order of the split."""
    scheme: LabelScheme

    def words_from_rows(self, predicted_ids: Sequence[Sequence[int]]) -> list[list[str]]:
        """One predicted label a word, in the order of the split, from predicted ids of shape (rows, tokens).

        Each word is answered for by its first piece in the row that owns it; a word without a token is ``O``.
        """
        by_sentence: list[list[tuple[int, str]]] = [[] for _ in self.references]
        for row, (ids, words) in enumerate(zip(predicted_ids, self.words, strict=True)):
            by_sentence[self.sentence[row]] += [
                (word, self.scheme.names[ids[position]]) for position, word in enumerate(words) if word != NO_WORD
            ]
        return [labels_by_word(pairs, len(gold)) for pairs, gold in zip(by_sentence, self.references, strict=True)]


def encode_for_evaluation(
    dataset, tokenizer, scheme: LabelScheme | None = None, max_length: int | None = None, stride: int | None = None
) -> EvaluationSet:
    """Tokenise a split for ``evaluate_model``. ``dataset`` needs the columns ``tokens`` and ``ner_tags``.

    Raises:
        ValueError: a sentence has another number of labels than of words, or the tokenizer gives no word ids.
    """
    scheme = scheme or LabelScheme.from_features(dataset.features)
    sentences, tags = dataset["tokens"][:], dataset["ner_tags"][:]
    for number, (words, ids) in enumerate(zip(sentences, tags, strict=True)):
        if len(words) != len(ids):
            raise ValueError(f"sentence {number}: {len(words)} words but {len(ids)} labels")
    windows = tokenize_windows(sentences, tokenizer, max_length, stride)
    rows, piece_labels, words_of, sources = [], [], [], []
    # Ascending, so that a batch holds rows of one length; Python's sort keeps equal rows in order.
    for row in sorted(range(len(windows.input_ids)), key=lambda i: len(windows.input_ids[i])):
        source, word_ids, owned = windows.sentence[row], windows.word_ids[row], windows.owned[row]
        pieces = align_labels_with_tokens(tags[source], word_ids, scheme)
        pieces = [label if own else IGNORED_LABEL for label, own in zip(pieces, owned, strict=True)]
        first = [
            word if own and (i == 0 or word_ids[i - 1] != word) else NO_WORD
            for i, (word, own) in enumerate(zip(word_ids, owned, strict=True))
        ]
        encoded = {
            "input_ids": windows.input_ids[row],
            "attention_mask": windows.attention_mask[row],
            "labels": [label if word != NO_WORD else IGNORED_LABEL for label, word in zip(pieces, first, strict=True)],
        }
        if windows.token_type_ids is not None:
            encoded["token_type_ids"] = windows.token_type_ids[row]
        rows.append(encoded)
        piece_labels.append(pieces)
        words_of.append(first)
        sources.append(source)
    return EvaluationSet(rows, piece_labels, words_of, sources, reference_labels(dataset, scheme), scheme)


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate_model`` found."""

    scores: Scores
    """Word level, lenient: the headline numbers."""
    loss: float
    """Mean cross-entropy a word (natural logarithm), at the first piece of each."""
    predictions: list[list[str]]
    """One label a word, in the order of the split."""
    references: list[list[str]]
    piece_references: list[list[str]]
    """Gold labels of all pieces, row by row."""
    piece_predictions: list[list[str]]

    def table(self) -> dict[tuple[str, str], Scores]:
        """The four scores of chapter 4: ``(level, mode)`` for word or piece level, lenient or strict mode."""
        levels = {
            "words": (self.references, self.predictions),
            "all pieces": (self.piece_references, self.piece_predictions),
        }
        return {
            (level, mode): score_labels(gold, guess, strict=mode == "strict", scheme=None)
            for level, (gold, guess) in levels.items()
            for mode in ("lenient", "strict")
        }


@contextlib.contextmanager
def near_ties_in_float32(model, precision: str) -> Iterator[None]:
    """Inside it, a row goes through the model again in float32 where mixed precision cannot tell its two best labels apart.

    A number format with fewer digits moves each logit a little. That changes an answer only where two labels are almost
    level; such rows are few, and with them settled the scores are those of float32. In training mode nothing is settled.

    Args:
        model: the plain model, as ``accelerator.unwrap_model`` gives it. Weights of another format than float32 are left
            alone: there is nothing more exact to ask.
        precision: the number format of its products: ``bf16``, ``fp16`` or ``no``, with which nothing is done.
    """
    weights = next(model.parameters(), None)
    if precision == "no" or weights is None or weights.dtype != torch.float32:
        yield
        return

    def settle(module, _, inputs, output):
        if module.training:
            return output
        logits = output.logits.float()  # (batch, tokens, labels)
        best, second = logits.topk(2, dim=-1).values.unbind(-1)
        near = ((best - second < NEAR_TIE) & inputs["attention_mask"].bool()).any(1)
        if near.any():
            rows = {name: tensor[near] for name, tensor in inputs.items() if torch.is_tensor(tensor) and tensor.ndim}
            # The class's own forward: Accelerate replaces the one of a prepared model by one in mixed precision.
            with torch.autocast(logits.device.type, enabled=False):
                logits[near] = type(module).forward(module, **rows).logits
        output.logits = logits
        return output

    hook = model.register_forward_hook(settle, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def predict_rows(model, rows, tokenizer, batch_size: int = 32, accelerator=None) -> tuple[list[list[int]], float]:
    """Predicted label ids of each row, in order, and the mean loss over the counted labels.

    With an ``accelerator`` of several processes, each takes its share of the batches, and every process returns the
    whole result. Batches are the same for any number of processes, and so is the rounding in them.

    Args:
        model: the model; with several processes, the prepared one.
        rows: dictionaries with ``input_ids``, ``attention_mask`` and ``labels``; best sorted by length.
        tokenizer: pads the rows.
        batch_size: rows a batch.
        accelerator: an ``accelerate.Accelerator``; ``None`` makes a plain one, on the model's device.

    Returns:
        (ids, loss): one list of label ids a row, as long as the row; loss in nats a counted label.
    """
    from accelerate import Accelerator
    from transformers import DataCollatorForTokenClassification

    if not rows:
        return [], 0.0
    count = len(rows)
    # A last batch of another size would be rounded differently, and several processes fill it up anyway: fill it here,
    # with the first rows once more, and cut them off at the end.
    filled = [rows[i % count] for i in range(-(-count // batch_size) * batch_size)]
    collate = DataCollatorForTokenClassification(tokenizer)
    loader = DataLoader(filled, batch_size=batch_size, collate_fn=collate)
    if accelerator is None:
        accelerator = _PlainAccelerator(model.device)
    else:
        assert isinstance(accelerator, Accelerator)
        loader = accelerator.prepare_data_loader(loader)
    ties = near_ties_in_float32(accelerator.unwrap_model(model), accelerator.mixed_precision)
    was_training = model.training
    model.eval()
    predicted: list[list[int]] = []
    losses, counts = [], []  # a tensor of shape (rows of the step,) for each step
    # Around the whole loop: autocast keeps the converted weights until it ends.
    with torch.inference_mode(), accelerator.autocast(), ties:
        for batch in loader:
            batch = accelerator.move(batch) if isinstance(accelerator, _PlainAccelerator) else batch
            labels = batch.pop("labels")
            logits = model(**batch).logits.float()  # (batch, tokens, labels)
            loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
            # Processes hold batches of different width, and gather needs one: pad before it.
            ids = accelerator.pad_across_processes(logits.argmax(-1), dim=1, pad_index=0)
            # gather would return the rows that fill the last batch twice; gather_for_metrics drops them.
            ids, loss, counted = accelerator.gather_for_metrics((ids, loss.sum(1), (labels != IGNORED_LABEL).sum(1)))
            predicted += ids.tolist()
            losses.append(loss.double().cpu())
            counts.append(counted.cpu())
    model.train(was_training)
    if len(predicted) != len(filled):
        raise RuntimeError(f"{len(predicted)} rows came back for {len(filled)}: some were gathered more than once")
    predicted = [ids[: len(row["input_ids"])] for ids, row in zip(predicted[:count], rows, strict=True)]
    total = torch.cat(losses)[:count].sum()
    return predicted, float(total / torch.cat(counts)[:count].sum().clamp(min=1))


class _PlainAccelerator:
    """What ``predict_rows`` asks of an Accelerator, for one process; making a real one has effects on the whole program."""

    def __init__(self, device):
        from ner_tutorial.fast.precision import fast_precision

        self.device = device
        self.mixed_precision = fast_precision(device.type)

    def move(self, batch):
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def autocast(self):
        dtype = torch.float16 if self.mixed_precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.mixed_precision != "no")

    def unwrap_model(self, model):
        return model

    def pad_across_processes(self, tensor, **_):
        return tensor

    def gather_for_metrics(self, tensors):
        return tensors


def evaluate_model(
    model,
    dataset,
    tokenizer,
    scheme: LabelScheme = CONLL_SCHEME,
    *,
    batch_size: int = 32,
    max_length: int | None = None,
    stride: int | None = None,
    accelerator=None,
) -> Evaluation:
    """Score ``model`` on a split. Word-level, lenient scores are the headline; ``table()`` has the others.

    Args:
        model: a token classifier with the labels of ``scheme``.
        dataset: a split with ``tokens`` and ``ner_tags``, or an ``EvaluationSet`` made of one.
        tokenizer: the model's tokenizer.
        batch_size: rows a batch.
        max_length, stride: of the windows that long sentences are cut into.
        accelerator: shares the work among its processes.
    """
    encoded = (
        dataset
        if isinstance(dataset, EvaluationSet)
        else encode_for_evaluation(dataset, tokenizer, scheme, max_length=max_length, stride=stride)
    )
    ids, loss = predict_rows(model, encoded.rows, tokenizer, batch_size, accelerator)
    predictions = encoded.words_from_rows(ids)
    names = encoded.scheme.names
    pieces = [
        [(names[label], names[guess]) for label, guess in zip(labels, row, strict=True) if label != IGNORED_LABEL]
        for labels, row in zip(encoded.piece_labels, ids, strict=True)
    ]
    return Evaluation(
        scores=score_labels(encoded.references, predictions, scheme=None),
        loss=loss,
        predictions=predictions,
        references=encoded.references,
        piece_references=[[gold for gold, _ in row] for row in pieces],
        piece_predictions=[[guess for _, guess in row] for row in pieces],
    )
