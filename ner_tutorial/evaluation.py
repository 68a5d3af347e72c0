"""Score a model on words: every word once, whatever the tokenizer and the windows.

Taught in chapter 4 (what is scored) and chapter 6 (how several processes share the work).
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import DataLoader

from ner_tutorial import fast
from ner_tutorial.alignment import Encoder, Windows, first_piece_labels
from ner_tutorial.decoding import check_decoding, decode, scores_of_words, softmax
from ner_tutorial.labels import IGNORED_LABEL, LabelScheme, labels_to_score, named_labels
from ner_tutorial.metrics import Scores, score_labels


@dataclass(frozen=True)
class EvaluationSet:
    """A split, tokenised for evaluation: rows sorted by length, and the way back from rows to words.

    A row is a sentence, or one window of a long one. In ``rows``, ``labels`` is set on the first piece of each word
    that the row owns and -100 elsewhere: one label per word.
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

    def words_from_rows(self, predicted: Sequence, decoding: str = "viterbi") -> list[list[str]]:
        """One predicted label per word, in the order of the split.

        Each word is answered for by its first piece in the row that owns it; a word without a token is ``O``.

        Args:
            predicted: for each row, in order, the logits of its tokens, of shape (tokens, labels); or label ids that are
                chosen already, of shape (tokens,), which are taken as they are.
            decoding: how logits become labels, ``viterbi`` (the best sequence that IOB2 allows) or ``greedy``.
        """
        if len(predicted) and np.ndim(predicted[0]) == 1:  # ids: nothing is left to decode
            table, decoding = np.eye(self.scheme.num_labels), "greedy"  # row i is highest at label i
            predicted = [table[ids[: len(words)]] for ids, words in zip(predicted, self.words, strict=True)]
        return self.decode_words(self.scores_of_words(predicted), decoding)

    def scores_of_words(self, logits: Sequence[np.ndarray]) -> list[np.ndarray]:
        """For each sentence, in the order of the split, the scores of its words, of shape (words, labels)."""
        lengths = [len(gold) for gold in self.references]  # in words
        return scores_of_words(logits, self.words, self.sentence, lengths, self.scheme)

    def decode_words(self, scores: Sequence[np.ndarray], decoding: str = "viterbi") -> list[list[str]]:
        """The labels of the words, from their scores."""
        return [[self.scheme.names[i] for i in decode(rows, self.scheme, decoding)] for rows in scores]


def encode_split(dataset, encoder: Encoder) -> EvaluationSet:
    """Tokenise a split for ``evaluate_model``, with the labels in the encoder's order.

    Args:
        dataset: a split with the columns ``tokens`` and ``ner_tags``. Where its features number the same labels in
            another order, they are matched by name.
        encoder: the model's tokenizer, labels and lengths.

    Raises:
        ValueError: a sentence has another number of labels than of words, or the split has other labels.
    """
    sentences, tags = encoder.split(dataset)
    windows = encoder.windows(sentences)
    pieces = encoder.aligned(windows, tags)  # (windows, tokens)
    references = [[encoder.scheme.names[tag] for tag in row] for row in tags]
    return sorted_rows(windows, pieces, references, encoder.scheme)


def sorted_rows(windows: Windows, pieces: list[list[int]], references, scheme: LabelScheme) -> EvaluationSet:
    """Windows as an ``EvaluationSet``, from the label of each of their tokens and the gold labels of each sentence."""
    words = windows.first_pieces()  # (windows, tokens), -1 where a token answers for no word
    firsts = first_piece_labels(words, pieces)
    # Ascending, so that a batch holds rows of one length; Python's sort keeps equal rows in order.
    order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
    return EvaluationSet(
        rows=[{**windows.inputs(i), "labels": firsts[i]} for i in order],
        piece_labels=[pieces[i] for i in order],
        words=[words[i] for i in order],
        sentence=[windows.sentence[i] for i in order],
        references=references,
        scheme=scheme,
    )


def encode_for_evaluation(
    dataset, tokenizer, scheme: LabelScheme | None = None, max_length: int | None = None, stride: int | None = None
) -> EvaluationSet:
    """``encode_split`` for a tokenizer alone. Without ``scheme``, the labels are those that the split's features name.

    Raises:
        ValueError: as ``encode_split``, and the tokenizer gives no word ids.
    """
    scheme = scheme or LabelScheme.from_features(dataset.features)
    return encode_split(dataset, Encoder(tokenizer, scheme, max_length, stride))


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate_model`` found."""

    scores: Scores
    """Word level, lenient: the headline numbers."""
    loss: float
    """Mean cross-entropy per word (natural logarithm), at the first piece of each."""
    predictions: list[list[str]]
    """One label per word, in the order of the split."""
    references: list[list[str]]
    piece_references: list[list[str]]
    """Gold labels of all pieces, row by row."""
    piece_predictions: list[list[str]]
    """The best label of each piece by itself."""
    label_probabilities: list[np.ndarray] = field(compare=False)
    """For each sentence, in the order of the split, the model's probability of every label; (words, labels)."""
    scheme: LabelScheme

    @property
    def probabilities(self) -> list[np.ndarray]:
        """For each sentence the probability of the label that each word got, between 0 and 1; (words,)."""
        ids = self.scheme.label2id
        return [
            rows[np.arange(len(rows)), [ids[name] for name in names]] if names else np.zeros(0)
            for rows, names in zip(self.label_probabilities, self.predictions, strict=True)
        ]

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


def predict_rows(
    model, rows, tokenizer, batch_size: int = 32, accelerator=None, precision: str = "no"
) -> tuple[list[np.ndarray], float]:
    """The logits of each row, in order, and the mean loss over the counted labels.

    With an ``accelerator`` of several processes, each takes its share of the batches, and every process returns the
    whole result. Batches are the same for any number of processes.

    Args:
        model: the model; with several processes, the prepared one.
        rows: dictionaries with ``input_ids``, ``attention_mask`` and ``labels``; best sorted by length.
        tokenizer: pads the rows.
        batch_size: rows per batch.
        accelerator: an ``accelerate.Accelerator``; ``None`` makes a plain one, on the model's device.
        precision: the number format of the matrix products, ``no`` (float32), ``bf16`` or ``fp16``. Scores that are to
            be compared need float32, so the accelerator's own format is used only if it is named here.

    Returns:
        (logits, loss): for each row a float32 array of shape (tokens, labels); loss in nats per counted label.
    """
    from transformers import DataCollatorForTokenClassification

    dtype = fast.autocast_dtype(precision)  # refuses an unknown one
    if not rows:
        return [], 0.0
    count = len(rows)
    # A last batch of another size would be rounded differently, and several processes fill it up anyway: fill it here,
    # with the first rows once more, and cut them off at the end.
    filled = [rows[i % count] for i in range(-(-count // batch_size) * batch_size)]
    collate = DataCollatorForTokenClassification(tokenizer)
    loader = DataLoader(filled, batch_size=batch_size, collate_fn=collate)
    plain = model
    if accelerator is not None:
        loader, plain = accelerator.prepare_data_loader(loader), accelerator.unwrap_model(model)
    was_training = model.training
    model.eval()  # no dropout
    predicted: list[np.ndarray] = []
    losses, counts = [], []  # a tensor of shape (rows of the step,) for each step
    # Around the whole loop: autocast keeps the converted weights until it ends.
    with torch.inference_mode(), _number_format(plain, dtype):
        for batch in loader:
            if accelerator is None:  # making one has effects on the whole program
                batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            labels = batch.pop("labels")
            logits = plain(**batch).logits.float()  # (batch, tokens, labels)
            # Of shape (batch, tokens); cross_entropy wants the labels second. Sum and count are kept for each row, because
            # batches have different numbers of words.
            loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
            result = logits, loss.sum(1), (labels != IGNORED_LABEL).sum(1)  # the last two are (batch,)
            if accelerator is not None:
                # Processes hold batches of different width, and gather needs one: pad before it.
                result = accelerator.pad_across_processes(logits, dim=1), *result[1:]
                # gather would return the rows that fill the last batch twice; gather_for_metrics drops them.
                result = accelerator.gather_for_metrics(result)
            logits, loss, counted = result
            predicted += list(logits.cpu().numpy())
            losses.append(loss.double().cpu())
            counts.append(counted.cpu())
    model.train(was_training)
    if len(predicted) != len(filled):
        raise RuntimeError(f"{len(predicted)} rows came back for {len(filled)}: some were gathered more than once")
    # Without the padding: (tokens, labels) each.
    predicted = [logits[: len(row["input_ids"])] for logits, row in zip(predicted[:count], rows, strict=True)]
    total = torch.cat(losses)[:count].sum()
    return predicted, float(total / torch.cat(counts)[:count].sum().clamp(min=1))


@contextlib.contextmanager
def _number_format(model, dtype: torch.dtype) -> Iterator[None]:
    """Inside it, the model's products are computed in ``dtype``, whatever Accelerate has prepared it for."""
    prepared = model.__dict__.get("forward")
    original = model.__dict__.get("_original_forward")
    if original is not None:
        model.forward = original  # the one that Accelerate put in its place switches mixed precision on by itself
    device = next((parameter.device.type for parameter in model.parameters()), "cpu")
    try:
        with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
            yield
    finally:
        if original is not None:
            model.forward = prepared


def evaluate_model(
    model,
    dataset,
    tokenizer,
    scheme: LabelScheme | None = None,
    *,
    batch_size: int = 32,
    max_length: int | None = None,
    stride: int | None = None,
    accelerator=None,
    precision: str = "no",
    decoding: str = "viterbi",
) -> Evaluation:
    """Score ``model`` on a split. Word-level, lenient scores are the headline; ``table()`` has the others.

    Args:
        model: a token classifier. Its configuration names its labels; the split's are matched with them by name.
        dataset: a split with ``tokens`` and ``ner_tags``, or an ``EvaluationSet`` made of one.
        tokenizer: the model's tokenizer.
        scheme: the labels of a split whose features do not name them, and of a model whose configuration does not.
        batch_size: rows per batch.
        max_length, stride: of the windows that long sentences are cut into.
        accelerator: shares the work among its processes.
        precision: the number format of the matrix products, as for ``predict_rows``; default, float32.
        decoding: ``viterbi`` for the best sequence that IOB2 allows, ``greedy`` for the best label of each word alone.

    Raises:
        ValueError: model and split have other labels, ``scheme`` contradicts one of them, or an option does not go with
            an ``EvaluationSet``, which has its labels and windows already.
    """
    check_decoding(decoding)
    if isinstance(dataset, EvaluationSet):
        given = {"scheme": scheme, "max_length": max_length, "stride": stride}
        if extra := [name for name, value in given.items() if value is not None]:
            raise ValueError(
                f"{', '.join(extra)} cannot be given with an EvaluationSet, which was encoded with its own; "
                "give them to encode_for_evaluation"
            )
        encoded = dataset
        labels_to_score(model, encoded.scheme, None, encoded=True)
    else:
        labels = labels_to_score(model, named_labels(dataset), scheme)
        encoded = encode_split(dataset, Encoder(tokenizer, labels, max_length, stride))
    logits, loss = predict_rows(model, encoded.rows, tokenizer, batch_size, accelerator, precision)
    scores = encoded.scores_of_words(logits)  # of each sentence (words, labels)
    predictions = encoded.decode_words(scores, decoding)
    names = encoded.scheme.names
    pieces = [
        [(names[label], names[i]) for label, i in zip(labels, row.argmax(1), strict=True) if label != IGNORED_LABEL]
        for labels, row in zip(encoded.piece_labels, logits, strict=True)
    ]
    return Evaluation(
        scores=score_labels(encoded.references, predictions, scheme=None),
        loss=loss,
        predictions=predictions,
        references=encoded.references,
        piece_references=[[gold for gold, _ in row] for row in pieces],
        piece_predictions=[[guess for _, guess in row] for row in pieces],
        label_probabilities=[softmax(rows) for rows in scores],
        scheme=encoded.scheme,
    )
