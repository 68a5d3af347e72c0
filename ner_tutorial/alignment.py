"""From words and labels to tokens and labels.

Taught in chapter 2. A tokenizer cuts a word into pieces; ``word_ids`` says which word each piece comes from. Labels
follow: the first piece takes the word's label, later pieces continue it, special tokens get -100.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ner_tutorial.encoders import require_word_ids, usable_length
from ner_tutorial.labels import CONLL_SCHEME, IGNORED_LABEL, LabelScheme


def align_labels_with_tokens(
    labels: Sequence[int], word_ids: Sequence[int | None], scheme: LabelScheme = CONLL_SCHEME
) -> list[int]:
    """The label of each token, from the labels of the words and the word id of each token.

    Args:
        labels: one label id a word.
        word_ids: one entry a token, the index of its word, or ``None`` for a special token.
        scheme: turns the label of a word into the label of its later pieces (B-X into I-X, by name).

    Returns:
        One label id a token, -100 for special tokens.

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
            aligned.append(IGNORED_LABEL)
        elif word_id >= len(labels):
            raise ValueError(f"word id {word_id} has no label: {len(labels)} labels for at least {word_id + 1} words")
        else:
            label = labels[word_id]
            aligned.append(label if word_id != previous else scheme.continuation[label])
        previous = word_id
    return aligned


@dataclass(frozen=True)
class Windows:
    """A tokenised batch of sentences. A sentence that fits is one window; a longer one is several that overlap.

    The five lists have one entry a window, and the inner lists one entry a token.
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


def tokenize_windows(
    sentences: Sequence[Sequence[str]], tokenizer, max_length: int | None = None, stride: int | None = None
) -> Windows:
    """Tokenise sentences of words; cut the long ones into overlapping windows instead of dropping their end.

    Where two windows hold a word, the one in which it stands further from the edge owns it: it has more context there.

    Args:
        sentences: lists of words.
        tokenizer: a fast tokenizer.
        max_length: the longest window in tokens, special tokens included. Default: the tokenizer's limit.
        stride: how many tokens two windows share. Default: a quarter of ``max_length``.

    Raises:
        ValueError: the tokenizer gives no word ids, or ``stride`` leaves no room to move on.
    """
    require_word_ids(tokenizer)
    limit = (
        usable_length(tokenizer)
        if max_length is None
        else min(max_length, usable_length(tokenizer, default=max_length))
    )
    room = limit - tokenizer.num_special_tokens_to_add()
    stride = limit // 4 if stride is None else stride
    if room < 1 or not 0 <= stride < room:
        raise ValueError(
            f"windows of {limit} tokens cannot overlap by {stride}: they hold {max(room, 0)} tokens of text"
        )
    if not len(sentences):
        return Windows([], [], None, [], [], [])
    if _pieces_ignore_neighbours(tokenizer):
        return _windows_from_words(sentences, tokenizer, limit, stride)
    return _windows_from_tokenizer(sentences, tokenizer, limit, stride)


def _pieces_ignore_neighbours(tokenizer) -> bool:
    """True for WordPiece tokenizers: they cut each word by itself, so a word's pieces can be looked up."""
    return type(getattr(tokenizer.backend_tokenizer, "model", None)).__name__ == "WordPiece"


def _windows_from_words(sentences: Sequence[Sequence[str]], tokenizer, limit: int, stride: int) -> Windows:
    """As ``_windows_from_tokenizer``, but each distinct word is tokenised once. The result is the same."""
    pieces = _pieces_of_words(tokenizer.backend_tokenizer, itertools.chain.from_iterable(sentences))
    opening, closing = tokenizer.cls_token_id, tokenizer.sep_token_id
    typed = "token_type_ids" in tokenizer.model_input_names

    rows: list[tuple[int, list[int], list[int | None]]] = []
    long: list[int] = []
    for number, words in enumerate(sentences):
        ids: list[int] = [opening]
        word_ids: list[int | None] = [None]
        for index, word in enumerate(words):
            found = pieces[word]
            ids += found
            word_ids += [index] * len(found)
        if len(ids) >= limit:
            long.append(number)
            continue
        ids.append(closing)
        word_ids.append(None)
        rows.append((number, ids, word_ids))
    short = Windows(
        input_ids=[ids for _, ids, _ in rows],
        attention_mask=[[1] * len(ids) for _, ids, _ in rows],
        token_type_ids=[[0] * len(ids) for _, ids, _ in rows] if typed else None,
        word_ids=[word_ids for _, _, word_ids in rows],
        owned=[[word is not None for word in word_ids] for _, _, word_ids in rows],
        sentence=[number for number, _, _ in rows],
    )
    if not long:
        return short
    windows = _windows_from_tokenizer([sentences[number] for number in long], tokenizer, limit, stride)
    return _merge(short, windows, long)


def _pieces_of_words(backend, words: Iterable[str], together: int = 64) -> dict[str, list[int]]:
    """The token ids of each distinct word, special tokens left out."""
    distinct = list(dict.fromkeys(words))
    backend.no_truncation()  # a call with truncation leaves it switched on
    backend.no_padding()
    # Each encoding that comes back costs time, so words share one.
    groups = [distinct[start : start + together] for start in range(0, len(distinct), together)]
    encodings = backend.encode_batch(groups, is_pretokenized=True, add_special_tokens=False)
    pieces: dict[str, list[int]] = {word: [] for word in distinct}
    for group, encoding in zip(groups, encodings, strict=True):
        for token, number in zip(encoding.ids, encoding.word_ids, strict=True):
            pieces[group[number]].append(token)
    return pieces


def _merge(short: Windows, windows: Windows, long: list[int]) -> Windows:
    """Both sets of windows as one, in the order of the sentences. ``long`` numbers the sentences of the second."""
    sources = [*short.sentence, *(long[number] for number in windows.sentence)]
    order = sorted(range(len(sources)), key=sources.__getitem__)  # stable: windows of a sentence stay in order

    def pick(first: list, second: list) -> list:
        both = [*first, *second]
        return [both[i] for i in order]

    types = short.token_type_ids is not None and windows.token_type_ids is not None
    return Windows(
        input_ids=pick(short.input_ids, windows.input_ids),
        attention_mask=pick(short.attention_mask, windows.attention_mask),
        token_type_ids=pick(short.token_type_ids, windows.token_type_ids) if types else None,
        word_ids=pick(short.word_ids, windows.word_ids),
        owned=pick(short.owned, windows.owned),
        sentence=[sources[i] for i in order],
    )


def _windows_from_tokenizer(sentences: Sequence[Sequence[str]], tokenizer, limit: int, stride: int) -> Windows:
    encoded = tokenizer(
        [list(words) for words in sentences],
        is_split_into_words=True,
        truncation=True,
        max_length=limit,
        stride=stride,
        return_overflowing_tokens=True,
    )
    sources = [int(i) for i in encoded["overflow_to_sample_mapping"]]
    word_ids = [encoded.word_ids(i) for i in range(len(sources))]

    # (sentence, word) -> (score, window), for sentences with more than one window. A window that holds the word's first
    # piece comes first, then one that holds more of its pieces, then one with more room to the nearer edge.
    several = {a for a, b in itertools.pairwise(sources) if a == b}
    best: dict[tuple[int, int], tuple[tuple[bool, int, int], int]] = {}
    starts: dict[tuple[int, int], int] = {}
    step = limit - tokenizer.num_special_tokens_to_add() - stride
    number = 0
    for window, source in enumerate(sources):
        if source not in several:
            continue
        ids = word_ids[window]
        at: dict[int, list[int]] = {}
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
            score = (has_first_piece, len(positions), min(left, right))
            if (source, word) not in best or score > best[source, word][0]:
                best[source, word] = (score, window)
    owned = [
        [word is not None and (source not in several or best[source, word][1] == window) for word in word_ids[window]]
        for window, source in enumerate(sources)
    ]
    return Windows(
        input_ids=[list(ids) for ids in encoded["input_ids"]],
        attention_mask=[list(mask) for mask in encoded["attention_mask"]],
        token_type_ids=[list(ids) for ids in encoded["token_type_ids"]] if "token_type_ids" in encoded else None,
        word_ids=word_ids,
        owned=owned,
        sentence=sources,
    )


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
        max_length, stride: as for ``tokenize_windows``.
        first_piece_only: label only the first piece of a word and give -100 to the later ones: one label a word.

    Returns:
        The columns ``input_ids``, ``token_type_ids`` (if the tokenizer makes them), ``attention_mask`` and ``labels``.

    Raises:
        ValueError: words and labels differ in number, a label is not in the scheme, or the tokenizer gives no word ids.
    """
    for number, (words, tags) in enumerate(zip(examples["tokens"], examples["ner_tags"], strict=True)):
        if len(words) != len(tags):
            name = examples["id"][number] if "id" in examples else number
            raise ValueError(f"example {name}: {len(words)} words but {len(tags)} labels")
    windows = tokenize_windows(examples["tokens"], tokenizer, max_length, stride)
    rows = []
    for word_ids, owned, source in zip(windows.word_ids, windows.owned, windows.sentence, strict=True):
        labels = align_labels_with_tokens(examples["ner_tags"][source], word_ids, scheme)
        previous = None
        for position, word in enumerate(word_ids):
            if not owned[position] or (first_piece_only and word == previous):
                labels[position] = IGNORED_LABEL
            previous = word
        rows.append(labels)
    columns = {"input_ids": windows.input_ids, "attention_mask": windows.attention_mask, "labels": rows}
    if windows.token_type_ids is not None:
        columns = {"input_ids": windows.input_ids, "token_type_ids": windows.token_type_ids, **columns}
    return columns
