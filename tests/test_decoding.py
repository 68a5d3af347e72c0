"""The best valid sequence: that of a search over all sequences, and never one that IOB2 does not allow."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from miniature import save_lookup_model

from ner_tutorial import (
    CONLL_SCHEME,
    LabelScheme,
    Sentence,
    evaluate_model,
    load_tagger,
    score_labels,
    sentences_to_dataset,
)
from ner_tutorial.decoding import decode, scores_of_words

SCHEMES = [["O", "B-PER", "I-PER"], ["I-LOC", "B-LOC", "O", "I-PER", "B-PER"]]


def is_valid(names) -> bool:
    return all(
        name[0] != "I" or before in (name, "B-" + name[2:]) for before, name in zip(["O", *names], names, strict=False)
    )


@st.composite
def short_sentences(draw):
    scheme = LabelScheme(draw(st.sampled_from(SCHEMES)))
    words = draw(st.integers(0, 5))
    values = draw(st.lists(st.integers(-9, 9), min_size=words * scheme.num_labels, max_size=words * scheme.num_labels))
    logits = np.array(values, float).reshape(words, scheme.num_labels)
    return torch.from_numpy(logits).log_softmax(-1).numpy(), scheme


@settings(max_examples=300)
@given(short_sentences())
def test_the_sequence_is_the_best_of_all_valid_ones(case):
    log_probabilities, scheme = case
    chosen = decode(log_probabilities, scheme)
    assert is_valid([scheme.names[i] for i in chosen])

    def total(ids) -> float:
        return sum(log_probabilities[word, label] for word, label in enumerate(ids))

    every = itertools.product(range(scheme.num_labels), repeat=len(log_probabilities))
    best = max(total(ids) for ids in every if is_valid([scheme.names[i] for i in ids]))
    assert total(chosen) == pytest.approx(best)


@given(short_sentences())
def test_greedy_takes_each_words_best_label_and_viterbi_too_where_that_is_valid(case):
    log_probabilities, scheme = case
    greedy = decode(log_probabilities, scheme, "greedy")
    assert greedy.tolist() == [row.argmax() for row in log_probabilities]
    if is_valid([scheme.names[i] for i in greedy]):
        assert decode(log_probabilities, scheme).tolist() == greedy.tolist()


@settings(max_examples=50)
@given(st.permutations(CONLL_SCHEME.names), st.integers(0, 60), st.integers(0, 10**6))
def test_sequences_of_any_length_and_label_order_are_valid_so_lenient_equals_strict(names, words, seed):
    scheme = LabelScheme(names)
    random = np.random.default_rng(seed)
    rows = [random.normal(size=(words, 9)), random.normal(size=(3, 9)).astype(np.float32)]
    predictions = [[names[i] for i in decode(row, scheme)] for row in rows]
    gold = [[names[i] for i in decode(random.normal(size=row.shape), scheme)] for row in rows]
    assert all(map(is_valid, predictions + gold))
    lenient, strict = (score_labels(gold, predictions, strict=mode, scheme=scheme) for mode in (False, True))
    assert lenient == strict


def test_a_word_that_nothing_answers_for_is_o_and_ends_the_entity():
    scheme = LabelScheme(["O", "B-PER", "I-PER"])
    logits = np.array([[0, 9, 0], [0, 0, 9.0]])
    (scores,) = scores_of_words([logits], [[0, 2]], [0], [3], scheme)
    assert decode(scores, scheme, "greedy").tolist() == [1, 0, 2]
    assert decode(scores, scheme).tolist() in ([1, 0, 0], [1, 0, 1])


def test_an_unknown_decoding_is_refused_with_the_choices():
    for text in ("beam", "", "Viterbi"):
        with pytest.raises(ValueError, match=r"unknown decoding .*viterbi, greedy"):
            decode(np.zeros((0, 9)), CONLL_SCHEME, text)


# -------------------------------------------------------------------------------- what uses it, and how to switch it off


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    """``Velt`` is I-PER, and B-PER by a little less; ``of`` is O by a lot."""
    answers = {"of": "O", "Nora": "B-PER", "Velt": {"I-PER": 4.0, "B-PER": 3.0}, "Oslo": {"I-LOC": 2.0, "O": 1.5}}
    return save_lookup_model(tmp_path_factory.mktemp("lookup"), answers, window=16)


def test_evaluation_and_tagger_answer_validly_and_greedily_where_it_is_asked_for(model_dir):
    words = ["of", "Velt", "of", "Oslo", "of", "Nora", "Velt"]
    dataset = sentences_to_dataset([Sentence(words, [], [], ["O", "B-PER", "O", "O", "O", "B-PER", "I-PER"])])
    valid, greedy = load_tagger(model_dir, precision="no"), load_tagger(model_dir, precision="no", decoding="greedy")
    assert valid.evaluate(dataset).predictions == [["O", "B-PER", "O", "O", "O", "B-PER", "I-PER"]]
    assert greedy.evaluate(dataset).predictions == [["O", "I-PER", "O", "I-LOC", "O", "B-PER", "I-PER"]]
    assert (
        evaluate_model(valid.model, dataset, valid.tokenizer, decoding="greedy").predictions
        == greedy.evaluate(dataset).predictions
    )
    text = " ".join(words * 8)  # several windows
    found = valid(text)
    assert [(span.type, span.text) for span in found] == [("PER", "Velt"), ("PER", "Nora Velt")] * 8
    assert [span.text for span in greedy(text)] == ["Velt", "Oslo", "Nora Velt"] * 8
    # The score is the probability of the label that was given.
    odds = np.exp([4.0, 3.0, 0, 0, 0, 0, 0, 0, 0])
    assert found[0].score == pytest.approx(odds[1] / odds.sum(), abs=1e-5)


def test_an_unknown_decoding_is_refused_before_anything_is_read(model_dir):
    tagger = load_tagger(model_dir)
    with pytest.raises(ValueError, match="unknown decoding 'best'"):
        tagger.evaluate(sentences_to_dataset([Sentence(["of"], [], [], ["O"])]), decoding="best")
    with pytest.raises(ValueError, match="unknown decoding 'best'"):
        load_tagger(model_dir, decoding="best")
