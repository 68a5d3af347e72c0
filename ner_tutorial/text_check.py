"""Is a model as good on text as on the words it was scored on?

Taught in chapter 7. Scores are computed on a data set's words, and use is on text, which is cut into words first. Where
the two are cut differently, the scores promise too much, and nothing else shows it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ner_tutorial.alignment import Encoder, Windows
from ner_tutorial.evaluation import predict_rows, sorted_rows
from ner_tutorial.labels import entity_spans
from ner_tutorial.words import joined

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextAgreement:
    """F1 of the same sentences, read as the words of the data set and read as running text."""

    words_f1: float
    text_f1: float
    sentences: int


def check_text_agrees(
    model, dataset, encoder: Encoder, sentences: int = 200, tolerance: float = 0.05, accelerator=None
) -> TextAgreement:
    """Read some sentences both ways, as words and as text, and warn if the text's F1 is lower by more than ``tolerance``.

    Scores of words say nothing about text that is cut into other words: a warning here means that the model is worse in
    use than its scores. Both F1 values count entities by type and by their characters in the text.

    Args:
        model: a token classifier.
        dataset: a split with ``tokens`` and ``ner_tags``, best one that the model has not learned from.
        encoder: the model's tokenizer, labels and lengths.
        sentences: how many to read, spread over the split.
        tolerance: how far F1 may fall before a warning is logged.
        accelerator: shares the work among its processes.
    """
    count = min(sentences, len(dataset))
    words, tags = encoder.split(dataset.select([i * len(dataset) // count for i in range(count)]) if count else dataset)
    texts, places = zip(*map(joined, words), strict=True) if count else ((), ())  # and where each word is in its text
    names = encoder.scheme.names
    gold = _characters([[names[tag] for tag in row] for row in tags], places)
    from_words = _characters(_labels_for(model, encoder, encoder.windows(words), places, accelerator), places)
    windows, cuts = encoder.texts(texts)  # the same text, cut into words by the model's own rule
    from_text = _characters(_labels_for(model, encoder, windows, cuts, accelerator), cuts)
    agreement = TextAgreement(_f1(gold, from_words), _f1(gold, from_text), count)
    if agreement.text_f1 < agreement.words_f1 - tolerance:
        logger.warning(
            "F1 is %.3f on the words of %d validation sentences, and %.3f on the same sentences as text: the data set cuts "
            "words in other places than the text is cut. Expect the second in use; prepare the data with words cut at "
            "white space and punctuation, or choose an encoder with another tokenizer",
            agreement.words_f1, count, agreement.text_f1,
        )  # fmt: skip
    return agreement


def _labels_for(model, encoder: Encoder, windows: Windows, words: Sequence[Sequence], accelerator) -> list[list[str]]:
    """The model's label for each of these words."""
    nothing = [[encoder.scheme.outside_id] * len(row) for row in words]  # there are no gold labels
    encoded = sorted_rows(windows, encoder.aligned(windows, nothing), nothing, encoder.scheme)
    logits, _ = predict_rows(model, encoded.rows, encoder.tokenizer, accelerator=accelerator)
    return encoded.words_from_rows(logits)


def _characters(labels, places) -> set[tuple[int, str, int, int]]:
    """(sentence, type, first character, one past the last) of each entity."""
    return {
        (number, kind, place[first][0], place[end - 1][1])
        for number, (row, place) in enumerate(zip(labels, places, strict=True))
        for kind, first, end in entity_spans(row)
    }


def _f1(gold: set, predicted: set) -> float:
    return 2 * len(gold & predicted) / (len(gold) + len(predicted)) if gold or predicted else 0.0
