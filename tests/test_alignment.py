"""From words to pieces: labels follow their words, and no word is lost or counted twice, whatever the window."""

import string
from collections import Counter

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertModel, BertTokenizer, ByT5Tokenizer

from ner_tutorial import (
    CONLL_SCHEME,
    LabelScheme,
    Sentence,
    align_labels_with_tokens,
    decode_predictions,
    encode_for_evaluation,
    entity_spans,
    evaluate_model,
    load_tokenizer,
    sentences_to_dataset,
    tokenize_and_align_labels,
    tokenize_windows,
)
from ner_tutorial.labels import NER_NAMES

ZERO_WIDTH = "\u200b"

schemes = st.permutations(NER_NAMES).map(LabelScheme)


@st.composite
def labelled_pieces(draw):
    """A scheme, a label id a word, and word ids as a tokenizer gives them: some words have several pieces, some none."""
    scheme = draw(schemes)
    pieces = draw(st.lists(st.integers(0, 4), max_size=12))
    labels = draw(st.lists(st.integers(0, 8), min_size=len(pieces), max_size=len(pieces)))
    word_ids = [None, *(word for word, count in enumerate(pieces) for _ in range(count)), None]
    return scheme, labels, word_ids + [None] * draw(st.integers(0, 3))


def aligned_slowly(labels, word_ids, names):
    """The rule of parity.md, in names and one token at a time."""
    found = []
    for position, word in enumerate(word_ids):
        if word is None:
            found.append(-100)
            continue
        name = names[labels[word]]
        is_later = position > 0 and word_ids[position - 1] == word
        if is_later and name.startswith("B-"):
            name = name.replace("B-", "I-", 1)
        found.append(names.index(name))
    return found


# ------------------------------------------------------------------------------------------------------ align_labels


@given(labelled_pieces())
def test_aligning_equals_the_slow_version(case):
    scheme, labels, word_ids = case
    assert align_labels_with_tokens(labels, word_ids, scheme) == aligned_slowly(labels, word_ids, list(scheme.names))


@given(labelled_pieces())
def test_aligned_labels_are_ignored_exactly_at_special_tokens(case):
    scheme, labels, word_ids = case
    aligned = align_labels_with_tokens(labels, word_ids, scheme)
    assert len(aligned) == len(word_ids)
    assert [label == -100 for label in aligned] == [word is None for word in word_ids]


@given(labelled_pieces())
def test_first_piece_keeps_the_label_and_later_pieces_continue_it(case):
    scheme, labels, word_ids = case
    aligned = align_labels_with_tokens(labels, word_ids, scheme)
    for word, label in enumerate(labels):
        of_word = [aligned[i] for i, w in enumerate(word_ids) if w == word]
        assert of_word[:1] in ([label], [])
        assert set(of_word[1:]) <= {scheme.continuation[label]}


@given(labelled_pieces())
def test_aligning_neither_adds_nor_removes_an_entity(case):
    scheme, labels, word_ids = case
    # Only words that have a piece can carry an entity to the tokens.
    seen = sorted({word for word in word_ids if word is not None})
    words = entity_spans([scheme.names[labels[word]] for word in seen])
    aligned = [label for label in align_labels_with_tokens(labels, word_ids, scheme) if label != -100]
    tokens = entity_spans([scheme.names[label] for label in aligned])
    assert [kind for kind, _, _ in tokens] == [kind for kind, _, _ in words]


def test_erratum_11_a_person_in_three_pieces_stays_one_person():
    word_ids = [None, 0, 0, 0, 1, None]
    person = CONLL_SCHEME.label2id["B-PER"]
    # Copied to every piece, one person becomes three.
    assert entity_spans(["B-PER"] * 3 + ["O"]) == [("PER", 0, 1), ("PER", 1, 2), ("PER", 2, 3)]
    aligned = align_labels_with_tokens([person, 0], word_ids)
    assert [CONLL_SCHEME.names[i] for i in aligned[1:-1]] == ["B-PER", "I-PER", "I-PER", "O"]
    assert entity_spans([CONLL_SCHEME.names[i] for i in aligned[1:-1]]) == [("PER", 0, 3)]


@pytest.mark.parametrize("label", [-1, -100, 9])
def test_label_outside_the_scheme_is_refused(label):
    with pytest.raises(ValueError, match=f"label id {label} is not in the scheme of 9 labels: O B-PER"):
        align_labels_with_tokens([0, label], [None, 0, 1, None])


def test_word_without_a_label_is_refused():
    with pytest.raises(ValueError, match="word id 2 has no label: 2 labels for at least 3 words"):
        align_labels_with_tokens([0, 0], [None, 0, 1, 2, None])


# ----------------------------------------------------------------------------------------------------------- windows

# Most strings tokenise to one piece a character; frequent words such as "the" are one piece, zero-width spaces none.
words = st.one_of(
    st.sampled_from(["the", "of", ".", ZERO_WIDTH, ZERO_WIDTH * 3]),
    st.text(string.ascii_letters + string.digits, min_size=1, max_size=9),
)
sentences_of_words = st.lists(st.lists(words, max_size=25), min_size=1, max_size=4)


@st.composite
def window_sizes(draw):
    """A window length, and an overlap that leaves room to move on, or the default."""
    max_length = draw(st.integers(4, 40))
    stride = draw(st.one_of(st.none(), st.integers(0, max_length - 3)))
    return max_length, stride


@settings(max_examples=200)
@given(sentences=sentences_of_words, sizes=window_sizes())
def test_every_word_with_tokens_is_owned_by_exactly_one_window(tiny_tokenizer, sentences, sizes):
    windows = tokenize_windows(sentences, tiny_tokenizer, *sizes)
    owners = Counter()
    for row, source in enumerate(windows.sentence):
        owned = {word for word, own in zip(windows.word_ids[row], windows.owned[row], strict=True) if own}
        assert None not in owned
        owners.update((source, word) for word in owned)
    whole = tiny_tokenizer(sentences, is_split_into_words=True)
    with_tokens = {(s, w) for s in range(len(sentences)) for w in whole.word_ids(s) if w is not None}
    assert owners == dict.fromkeys(with_tokens, 1)


@settings(max_examples=200)
@given(sentences=sentences_of_words, sizes=window_sizes())
def test_owner_of_a_word_holds_its_first_piece_and_no_window_is_too_long(tiny_tokenizer, sentences, sizes):
    windows = tokenize_windows(sentences, tiny_tokenizer, *sizes)
    whole = tiny_tokenizer(sentences, is_split_into_words=True)
    first_piece = {}
    for source in range(len(sentences)):
        for token, word in zip(whole["input_ids"][source], whole.word_ids(source), strict=True):
            first_piece.setdefault((source, word), token)
    for row, source in enumerate(windows.sentence):
        assert len(windows.input_ids[row]) <= sizes[0]
        assert windows.input_ids[row][0] == tiny_tokenizer.cls_token_id
        assert windows.input_ids[row][-1] == tiny_tokenizer.sep_token_id
        started = set()
        for token, word, own in zip(windows.input_ids[row], windows.word_ids[row], windows.owned[row], strict=True):
            if own and word not in started:
                assert token == first_piece[source, word]
                started.add(word)


@settings(max_examples=100)
@given(sentences=sentences_of_words)
def test_sentences_that_fit_are_tokenised_as_without_windows(tiny_tokenizer, sentences):
    fitting = [words[:12] for words in sentences]  # at most 12 * 9 pieces
    windows = tokenize_windows(fitting, tiny_tokenizer, 128)
    whole = tiny_tokenizer(fitting, is_split_into_words=True)
    assert windows.input_ids == whole["input_ids"]
    assert windows.attention_mask == whole["attention_mask"]
    assert windows.token_type_ids == whole["token_type_ids"]
    assert windows.sentence == list(range(len(fitting)))
    assert windows.owned == [[word is not None for word in ids] for ids in windows.word_ids]


def test_word_in_an_overlap_belongs_to_the_window_where_it_stands_further_from_the_edge(tiny_tokenizer):
    # 10 one-piece words, windows of 6, 4 shared: [0..5], [2..7], [4..9].
    windows = tokenize_windows([list("abcdefghij")], tiny_tokenizer, 8, 4)
    assert [[w for w in ids if w is not None] for ids in windows.word_ids] == [
        [0, 1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6, 7],
        [4, 5, 6, 7, 8, 9],
    ]
    owned = [
        [w for w, own in zip(ids, mine, strict=True) if own]
        for ids, mine in zip(windows.word_ids, windows.owned, strict=True)
    ]
    assert owned == [[0, 1, 2, 3], [4, 5], [6, 7, 8, 9]]


def test_no_sentences_give_no_windows(tiny_tokenizer):
    windows = tokenize_windows([], tiny_tokenizer)
    assert (windows.input_ids, windows.owned, windows.sentence) == ([], [], [])


def test_sentence_without_words_is_one_window_that_owns_nothing(tiny_tokenizer):
    windows = tokenize_windows([[], ["the"]], tiny_tokenizer)
    assert windows.sentence == [0, 1]
    assert [any(row) for row in windows.owned] == [False, True]


@pytest.mark.parametrize(("max_length", "stride"), [(8, 6), (8, 7), (8, -1), (2, 0), (2, None), (1, None)])
def test_windows_that_cannot_move_on_are_refused(tiny_tokenizer, max_length, stride):
    with pytest.raises(ValueError, match=f"windows of {max_length} tokens cannot overlap by"):
        tokenize_windows([["the"]], tiny_tokenizer, max_length, stride)


def test_windows_never_exceed_the_tokenizers_own_limit(tiny_tokenizer):
    windows = tokenize_windows([["x"] * 500], tiny_tokenizer, 1000)
    assert max(map(len, windows.input_ids)) == tiny_tokenizer.model_max_length == 128


def test_ten_thousand_words_are_all_owned_once(tiny_tokenizer):
    words = [string.ascii_letters[i % 52] * (i % 3 + 1) for i in range(10_000)]
    windows = tokenize_windows([words], tiny_tokenizer)
    owned = Counter()
    for ids, mine in zip(windows.word_ids, windows.owned, strict=True):
        owned.update({word for word, own in zip(ids, mine, strict=True) if own})
    assert owned == dict.fromkeys(range(10_000), 1)


# ------------------------------------------------------------------------------------------ a limit that is not set


@pytest.fixture
def unlimited(tiny_tokenizer) -> BertTokenizer:
    """The same vocabulary without ``model_max_length``: such a tokenizer reports 10**30."""
    return BertTokenizer(vocab=tiny_tokenizer.get_vocab(), do_lower_case=False)


def test_unset_model_max_length_gives_windows_of_512(unlimited):
    assert unlimited.model_max_length > 10**9
    windows = tokenize_windows([["x"] * 2000], unlimited)
    assert max(map(len, windows.input_ids)) == 512


def test_unset_model_max_length_obeys_a_given_length(unlimited):
    assert max(map(len, tokenize_windows([["x"] * 2000], unlimited, 40).input_ids)) == 40
    assert max(map(len, tokenize_windows([["x"] * 2000], unlimited, 1000).input_ids)) == 1000


def test_loading_a_tokenizer_without_a_limit_takes_the_models_positions(unlimited, tmp_path):
    BertModel(
        BertConfig(
            vocab_size=len(unlimited), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
            intermediate_size=8, max_position_embeddings=48,
        )
    ).save_pretrained(tmp_path)  # fmt: skip
    unlimited.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.model_max_length == 48
    assert max(map(len, tokenize_windows([["x"] * 200], tokenizer).input_ids)) == 48


# ------------------------------------------------------------------------------------------ tokenize_and_align_labels


def test_words_and_labels_of_different_number_are_refused_with_the_examples_id(tiny_tokenizer):
    batch = {"tokens": [["a"], ["b", "c"]], "ner_tags": [[0], [0]]}
    with pytest.raises(ValueError, match="example 1: 2 words but 1 labels"):
        tokenize_and_align_labels(batch, tiny_tokenizer)
    with pytest.raises(ValueError, match="example story-7: 2 words but 1 labels"):
        tokenize_and_align_labels({**batch, "id": ["story-6", "story-7"]}, tiny_tokenizer)


def test_tokenizer_without_word_ids_is_refused():
    with pytest.raises(ValueError, match="ByT5Tokenizer is not a fast tokenizer and gives no word ids"):
        tokenize_and_align_labels({"tokens": [["a"]], "ner_tags": [[0]]}, ByT5Tokenizer())


def test_columns_of_an_empty_batch_are_empty(tiny_tokenizer):
    columns = tokenize_and_align_labels({"tokens": [], "ner_tags": []}, tiny_tokenizer)
    assert set(columns) >= {"input_ids", "attention_mask", "labels"}
    assert not any(columns.values())


@st.composite
def labelled_sentences(draw):
    sentences = draw(sentences_of_words)
    tags = [draw(st.lists(st.integers(0, 8), min_size=len(s), max_size=len(s))) for s in sentences]
    return sentences, tags


@settings(max_examples=100)
@given(case=labelled_sentences(), sizes=window_sizes())
def test_first_piece_labels_are_one_a_word_whatever_the_window(tiny_tokenizer, case, sizes):
    sentences, tags = case
    columns = tokenize_and_align_labels(
        {"tokens": sentences, "ner_tags": tags},
        tiny_tokenizer,
        max_length=sizes[0],
        stride=sizes[1],
        first_piece_only=True,
    )
    found = Counter(label for row in columns["labels"] for label in row if label != -100)
    expected = Counter(
        label
        for words, labels in zip(sentences, tags, strict=True)
        for word, label in zip(words, labels, strict=True)
        if not set(word) <= {ZERO_WIDTH}
    )
    assert found == expected


@settings(max_examples=100)
@given(case=labelled_sentences(), sizes=window_sizes())
def test_every_b_label_is_taught_once_whatever_the_window(tiny_tokenizer, case, sizes):
    sentences, tags = case
    columns = tokenize_and_align_labels(
        {"tokens": sentences, "ner_tags": tags}, tiny_tokenizer, max_length=sizes[0], stride=sizes[1]
    )
    lengths = [[len(row) for row in column] for column in columns.values()]
    assert lengths == [lengths[0]] * len(columns)
    b_labels = [CONLL_SCHEME.label2id[name] for name in NER_NAMES if name[0] == "B"]
    found = Counter(label for row in columns["labels"] for label in row if label in b_labels)
    expected = Counter(
        label
        for words, labels in zip(sentences, tags, strict=True)
        for word, label in zip(words, labels, strict=True)
        if label in b_labels and not set(word) <= {ZERO_WIDTH}
    )
    assert found == expected


def entity_rich(count: int) -> Dataset:
    """One sentence of ``count`` words in which every fifth word is a person of two pieces."""
    tokens = ["Qx" if i % 5 == 4 else "the" for i in range(count)]
    return sentences_to_dataset([Sentence(tokens, [], [], ["B-PER" if t == "Qx" else "O" for t in tokens])])


def test_erratum_07_long_sentence_keeps_every_word_and_every_gold_entity(tiny_tokenizer, make_lookup_tagger):
    data = entity_rich(100)
    # What the lesson that everyone copies does: the end is cut off, and its entities are not even missed.
    cut = tiny_tokenizer(data[0]["tokens"], is_split_into_words=True, truncation=True, max_length=32)
    assert max(word for word in cut.word_ids() if word is not None) < 30

    columns = tokenize_and_align_labels(data[:], tiny_tokenizer, max_length=32)
    assert len(columns["labels"]) > 1
    person = CONLL_SCHEME.label2id["B-PER"]
    assert sum(row.count(person) for row in columns["labels"]) == 20

    tagger = make_lookup_tagger({"Q": "B-PER"})
    found = evaluate_model(tagger, data, tiny_tokenizer, max_length=32)
    assert [len(row) for row in found.predictions] == [100]
    assert found.scores.number == 20
    assert (found.scores.precision, found.scores.recall) == (1.0, 1.0)


@settings(max_examples=40)
@given(case=labelled_sentences(), max_length=st.integers(6, 30))
def test_predictions_of_a_context_free_model_do_not_depend_on_the_window(
    tiny_tokenizer, make_lookup_tagger, case, max_length
):
    sentences, tags = case
    rows = [
        Sentence(words, [], [], [NER_NAMES[i] for i in ids])
        for words, ids in zip(sentences, tags, strict=True)
        if words
    ]
    known = {"the": "B-LOC", "of": "I-LOC", "a": "B-PER", "Q": "B-ORG", "7": "I-MISC"}
    tagger = make_lookup_tagger(known)
    data = sentences_to_dataset(rows)
    # The label of each word's first piece, and O for a word that has none.
    first_pieces = [[tiny_tokenizer.tokenize(word)[:1] for word in row.tokens] for row in rows]
    expected = [[known.get(piece[0], "O") if piece else "O" for piece in row] for row in first_pieces]
    options = {"max_length": max_length, "batch_size": 3, "decoding": "greedy"}
    assert evaluate_model(tagger, data, tiny_tokenizer, **options).predictions == expected


def test_erratum_08_word_without_a_token_is_answered_with_o_and_the_rest_stays_in_place(
    tiny_tokenizer, make_lookup_tagger
):
    tokens = ["the", ZERO_WIDTH, "Q", "of", ZERO_WIDTH, "Q"]
    gold = ["O", "O", "B-PER", "O", "O", "B-PER"]
    data = sentences_to_dataset([Sentence(tokens, [], [], gold)])
    # Answers to tokens, one after another, would be two short, and the second person would slide to the left.
    word_ids = tiny_tokenizer(tokens, is_split_into_words=True).word_ids()
    assert [word for word in word_ids if word is not None] == [0, 2, 3, 5]
    found = evaluate_model(make_lookup_tagger({"Q": "B-PER"}), data, tiny_tokenizer)
    assert found.predictions == [gold]
    assert found.scores.f1 == 1.0


def test_erratum_08_entity_on_a_word_without_a_token_is_counted_as_missed(tiny_tokenizer, make_lookup_tagger):
    data = sentences_to_dataset([Sentence(["Q", ZERO_WIDTH], [], [], ["B-PER", "B-LOC"])])
    found = evaluate_model(make_lookup_tagger({"Q": "B-PER"}), data, tiny_tokenizer)
    assert found.predictions == [["B-PER", "O"]]
    assert (found.scores.number, found.scores.precision, found.scores.recall) == (2, 1.0, 0.5)


def test_encoded_rows_name_the_first_piece_of_each_word_once(tiny_tokenizer, small_corpus):
    encoded = encode_for_evaluation(small_corpus["test"], tiny_tokenizer, max_length=24)
    seen = Counter((encoded.sentence[row], word) for row, ids in enumerate(encoded.words) for word in ids if word != -1)
    assert set(seen.values()) == {1}
    per_sentence = Counter(source for source, _ in seen)
    assert [per_sentence[i] for i in range(15)] == [len(words) for words in small_corpus["test"]["tokens"]]
    lengths = [len(row["input_ids"]) for row in encoded.rows]
    assert lengths == sorted(lengths)


def test_gold_labels_of_the_pieces_decode_to_the_words_labels(tiny_tokenizer, small_corpus):
    columns = tokenize_and_align_labels(small_corpus["train"][:], tiny_tokenizer, first_piece_only=True)
    decoded = decode_predictions(columns["labels"], columns["labels"])
    expected = [[NER_NAMES[i] for i in ids] for ids in small_corpus["train"]["ner_tags"]]
    assert decoded.references == decoded.predictions == expected
