"""From words and labels to tokens and labels.

Taught in chapter 2. A tokenizer cuts a word into pieces; ``word_ids`` says which word each piece comes from. Labels
follow: the first piece takes the word's label, later pieces continue it, special tokens get -100. ``Encoder`` holds a
tokenizer, the labels and the lengths together: training, evaluation and the reading of text all encode through it.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ner_tutorial.encoders import require_word_ids, usable_length
from ner_tutorial.labels import CONLL_SCHEME, IGNORED_LABEL, LabelScheme, ids_by_name, named_labels
from ner_tutorial.words import WordRule, put_space_before_words

NO_WORD = -1


def align_labels_with_tokens(
    labels: Sequence[int], word_ids: Sequence[int | None], scheme: LabelScheme = CONLL_SCHEME
) -> list[int]:
    """The label of each token, from the labels of the words and the word id of each token.

    Args:
        labels: one label id per word.
        word_ids: one entry per token, the index of its word, or ``None`` for a special token.
        scheme: turns the label of a word into the label of its later pieces (B-X into I-X, by name).

    Returns:
        One label id per token, -100 for special tokens.

    >>> align_labels_with_tokens([3, 0, 7], [None, 0, 0, 1, 2, None])
    [-100, 3, 4, 0, 7, -100]

    Raises:
        ValueError: a word id has no label, or a label id is not in the scheme.
    """
    count = scheme.num_labels
    for label in labels:
        if not 0 <= label < count:
            raise ValueError(
                f"label id {label} is not in the scheme of {scheme.num_labels} labels: {' '.join(scheme.names)}"
            )
    aligned: list[int] = []
    previous: int | None = None
    for word_id in word_ids:
        if word_id is None:
            aligned.append(IGNORED_LABEL)  # [CLS] and [SEP] are no words: the loss leaves them out
        elif word_id >= len(labels):
            raise ValueError(f"word id {word_id} has no label: {len(labels)} labels for at least {word_id + 1} words")
        else:
            label = labels[word_id]
            aligned.append(label if word_id != previous else scheme.continuation[label])  # one B- per entity
        previous = word_id
    return aligned


@dataclass(frozen=True)
class Windows:
    """A tokenised batch of sentences. A sentence that fits is one window; a longer one is several that overlap.

    The lists have one entry per window, and the inner lists one entry per token.
    """

    input_ids: list[list[int]]
    attention_mask: list[list[int]]
    token_type_ids: list[list[int]] | None
    word_ids: list[list[int | None]]
    """The word of each token, ``None`` for special tokens."""
    owned: list[list[bool]]
    """True where this window answers for the token's word. Every word that has a token is owned by one window."""
    sentence: list[int]
    """The index of the sentence that the window was cut from."""
    offsets: list[list[tuple[int, int]]] | None = None
    """Where each token begins and ends in its word, in characters; only if they were asked for."""

    def inputs(self, window: int) -> dict[str, list[int]]:
        """What the model reads of a window: one list per input name, one entry per token."""
        types = {} if self.token_type_ids is None else {"token_type_ids": self.token_type_ids[window]}
        return {"input_ids": self.input_ids[window], **types, "attention_mask": self.attention_mask[window]}

    def first_pieces(self) -> list[list[int]]:
        """For each token the word that it answers for, as the first piece of a word that its window owns; else -1."""
        rows = []
        for ids, owned in zip(self.word_ids, self.owned, strict=True):
            before = [None, *ids[:-1]]  # the word of the token before; the same word: this is a later piece
            triples = zip(ids, owned, before, strict=True)
            rows.append([word if own and word != last else NO_WORD for word, own, last in triples])
        return rows  # (windows, tokens)


class Encoder:
    """A tokenizer with the labels and the lengths of one model: turns words, labels and text into rows of tokens.

    Args:
        tokenizer: a fast tokenizer. If it is byte-level, it is set to put a space before each word, so that a word gets
            the pieces that it has in running text; that setting is saved with it.
        scheme: the model's labels, in the order of its logits.
        max_length: the longest row in tokens, special tokens included; never longer than the tokenizer allows.
            Default: the tokenizer's limit.
        stride: how many tokens two windows of a long sentence share. Default: a quarter of the row.

    Raises:
        ValueError: the tokenizer gives no word ids, or ``stride`` leaves no room to move on.
    """

    def __init__(self, tokenizer, scheme: LabelScheme, max_length: int | None = None, stride: int | None = None):
        require_word_ids(tokenizer)
        put_space_before_words(tokenizer)
        self.tokenizer, self.scheme = tokenizer, scheme
        limit = usable_length(tokenizer, default=max_length or 512)
        self.max_length = limit if max_length is None else min(max_length, limit)
        quarter = self.max_length // 4  # in one window, each word has about an eighth of a row on either side
        if stride is not None and max_length is not None and self.max_length < max_length:
            stride = min(stride, quarter)  # it was meant for longer rows than the tokenizer allows
        self.stride = quarter if stride is None else stride
        # Tokens of text in a row, once the special tokens have their place.
        self.room = self.max_length - tokenizer.num_special_tokens_to_add()
        if self.room < 1 or not 0 <= self.stride < self.room:
            raise ValueError(
                f"windows of {self.max_length} tokens cannot overlap by {self.stride}: "
                f"they hold {max(self.room, 0)} tokens of text"
            )

    @property
    def word_rule(self) -> WordRule:
        """How this tokenizer's model cuts text into words: as recorded with it when it was trained, or the default."""
        return WordRule.of(self.tokenizer)

    def windows(self, sentences: Sequence[Sequence[str]], offsets: bool = False) -> Windows:
        """Tokenise sentences of words; cut the long ones into overlapping windows instead of dropping their end.

        Where two windows hold a word, the one in which it stands further from the edge owns it: it has more context there.
        """
        if not len(sentences):
            return Windows([], [], None, [], [], [], [] if offsets else None)
        encoded = self.tokenizer(
            [list(words) for words in sentences],
            is_split_into_words=True,  # the words are given, and word_ids counts them
            truncation=True,
            max_length=self.max_length,
            stride=self.stride,
            return_overflowing_tokens=True,  # what does not fit becomes further rows, and is not thrown away
            return_offsets_mapping=offsets,
        )
        # Without special tokens, a sentence of which the tokenizer leaves nothing is an empty window: nothing to read.
        kept = [i for i, ids in enumerate(encoded["input_ids"]) if len(ids)]
        sources = [int(encoded["overflow_to_sample_mapping"][i]) for i in kept]  # (windows,), never falling
        word_ids = [encoded.word_ids(i) for i in kept]  # (windows, tokens)
        columns = {
            name: [list(encoded[name][i]) for i in kept] for name in encoded if name != "overflow_to_sample_mapping"
        }
        return Windows(
            input_ids=columns["input_ids"],
            attention_mask=columns["attention_mask"],
            token_type_ids=columns.get("token_type_ids"),
            word_ids=word_ids,
            owned=_owned(word_ids, sources, self.room - self.stride),
            sentence=sources,
            offsets=columns.get("offset_mapping"),
        )

    def texts(self, texts: Sequence[str]) -> tuple[Windows, list[list[tuple[int, int]]]]:
        """Cut texts into words and tokenise these, exactly as ``windows`` tokenises the words of a data set.

        Returns:
            The windows, with token offsets, and for each text the first character of each word and the one past its last.
        """
        places = [self.word_rule.cut(text) for text in texts]
        words = [[text[start:end] for start, end in row] for text, row in zip(texts, places, strict=True)]
        return self.windows(words, offsets=True), places

    def aligned(self, windows: Windows, tags: Sequence[Sequence[int]]) -> list[list[int]]:
        """The label of each token of each window, from the label ids of each sentence's words.

        A word that two windows hold is labelled where it is owned and is -100 in the other.
        """
        rows = []
        for source, word_ids, owned in zip(windows.sentence, windows.word_ids, windows.owned, strict=True):
            labels = align_labels_with_tokens(tags[source], word_ids, self.scheme)  # (tokens,)
            rows.append([label if own else IGNORED_LABEL for label, own in zip(labels, owned, strict=True)])
        return rows

    def split(self, dataset) -> tuple[list[list[str]], list[list[int]]]:
        """The words and the label ids of a split, the ids in the order of this encoder's labels.

        Raises:
            ValueError: the split has other label names than the encoder, or a sentence has more or fewer labels than words.
        """
        sentences, tags = dataset["tokens"][:], dataset["ner_tags"][:]
        _same_lengths(sentences, tags, "sentence", range(len(sentences)))
        table = ids_by_name(named_labels(dataset), self.scheme)
        if table is not None:
            tags = [[table[tag] for tag in row] for row in tags]  # from the split's numbering to the model's
        return sentences, tags


def _same_lengths(sentences, tags, kind: str, names: Sequence) -> None:
    for name, words, labels in zip(names, sentences, tags, strict=True):
        if len(words) != len(labels):
            raise ValueError(f"{kind} {name}: {len(words)} words but {len(labels)} labels")


def _owned(word_ids: list[list[int | None]], sources: list[int], step: int) -> list[list[bool]]:
    """For each token of each window, whether the window owns its word.

    Args:
        word_ids: for each window the word of each token.
        sources: for each window its sentence.
        step: by how many tokens a window of a sentence starts after the one before it.
    """
    # (sentence, word) -> (score, window), for sentences with more than one window. A window that holds the word's first
    # piece comes first, then one that holds more of its pieces, then one with more room to the nearer edge.
    several = {a for a, b in itertools.pairwise(sources) if a == b}  # windows of a sentence follow each other
    best: dict[tuple[int, int], tuple[tuple[bool, int, int], int]] = {}
    starts: dict[tuple[int, int], int] = {}  # (sentence, word) -> where its first piece is
    number = 0  # of the window in its sentence
    for window, source in enumerate(sources):
        if source not in several:
            continue
        ids = word_ids[window]
        at: dict[int, list[int]] = {}  # word -> places of its pieces in this window
        for position, word in enumerate(ids):
            if word is not None:
                at.setdefault(word, []).append(position)
        last = len(ids) - 1
        is_first = window == 0 or sources[window - 1] != source
        number = 0 if is_first else number + 1
        is_last = window == len(sources) - 1 or sources[window + 1] != source
        for word, positions in at.items():
            # A word cut by the window's edge is whole in the neighbour. The true ends of a sentence are no cut.
            left = last if is_first else positions[0]
            right = last if is_last else last - positions[-1]
            start = number * step + positions[0]  # where the word starts in the sentence, up to a constant
            has_first_piece = start == starts.setdefault((source, word), start)
            score = (has_first_piece, len(positions), min(left, right))  # compared from the left
            if (source, word) not in best or score > best[source, word][0]:
                best[source, word] = (score, window)
    return [
        [word is not None and (source not in several or best[source, word][1] == window) for word in word_ids[window]]
        for window, source in enumerate(sources)
    ]


def tokenize_windows(
    sentences: Sequence[Sequence[str]], tokenizer, max_length: int | None = None, stride: int | None = None
) -> Windows:
    """Sentences of words as windows of tokens: ``Encoder.windows`` for a tokenizer alone. Errors as in ``Encoder``."""
    return Encoder(tokenizer, CONLL_SCHEME, max_length, stride).windows(sentences)  # labels play no part here


def tokenize_and_align_labels(
    examples: Mapping[str, Sequence],
    tokenizer,
    scheme: LabelScheme = CONLL_SCHEME,
    *,
    max_length: int | None = None,
    stride: int | None = None,
    first_piece_only: bool = False,
) -> dict[str, list]:
    """Tokenise a batch of examples and align their labels, for ``dataset.map(..., batched=True)``.

    Give ``remove_columns=dataset.column_names``: a sentence longer than ``max_length`` yields several rows, so that
    none of its words and none of its gold entities is lost (erratum 7). In the overlap of two rows each word is
    labelled once and is -100 in the other.

    Args:
        examples: a batch with the columns ``tokens`` and ``ner_tags``.
        tokenizer: a fast tokenizer.
        scheme: the labels that ``ner_tags`` are ids of.
        max_length, stride: as for ``Encoder``.
        first_piece_only: label only the first piece of a word and give -100 to the later ones: one label per word.

    Returns:
        The columns ``input_ids``, ``token_type_ids`` (if the tokenizer makes them), ``attention_mask`` and ``labels``.

    Raises:
        ValueError: words and labels differ in number, a label is not in the scheme, or the tokenizer gives no word ids.
    """
    sentences, tags = examples["tokens"], examples["ner_tags"]
    _same_lengths(sentences, tags, "example", examples.get("id", range(len(sentences))))
    encoder = Encoder(tokenizer, scheme, max_length, stride)
    windows = encoder.windows(sentences)
    labels = encoder.aligned(windows, tags)
    if first_piece_only:
        labels = first_piece_labels(windows.first_pieces(), labels)
    types = {} if windows.token_type_ids is None else {"token_type_ids": windows.token_type_ids}
    return {"input_ids": windows.input_ids, **types, "attention_mask": windows.attention_mask, "labels": labels}


def first_piece_labels(words: list[list[int]], labels: list[list[int]]) -> list[list[int]]:
    """The same labels with -100 on all pieces but the first of each word: ``words`` is ``Windows.first_pieces()``."""
    return [
        [label if word != NO_WORD else IGNORED_LABEL for word, label in zip(*row, strict=True)]
        for row in zip(words, labels, strict=True)
    ]
