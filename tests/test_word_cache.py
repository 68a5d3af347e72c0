"""Tokenising each distinct word once gives what the tokenizer gives for whole sentences."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_tutorial.alignment import _windows_from_tokenizer, _windows_from_words, tokenize_windows
from ner_tutorial.encoders import load_tokenizer

# Accents, zero-width and control characters, CJK, digits and punctuation: what normalisation and cutting depend on.
WORDS = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from("aé\u200b\u0301中.-'ß1"), min_size=1, max_size=8
)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("minilm")


def test_the_whole_corpus_comes_out_the_same(tokenizer, newswire):
    for split in newswire.values():
        sentences = list(split["tokens"])
        assert _windows_from_words(sentences, tokenizer, 256, 64) == _windows_from_tokenizer(
            sentences, tokenizer, 256, 64
        )


@settings(max_examples=150)
@given(sentences=st.lists(st.lists(WORDS, max_size=30), min_size=1, max_size=4), limit=st.integers(8, 40))
def test_any_words_and_window_come_out_the_same(tokenizer, sentences, limit):
    stride = limit // 4
    assert _windows_from_words(sentences, tokenizer, limit, stride) == _windows_from_tokenizer(
        sentences, tokenizer, limit, stride
    )


def test_the_short_way_is_taken_for_wordpiece(tokenizer, monkeypatch):
    def fail(*_):
        raise AssertionError("the slow way was taken")

    monkeypatch.setattr("ner_tutorial.alignment._windows_from_tokenizer", fail)
    assert len(tokenize_windows([["Oslo", "waits"]], tokenizer).input_ids) == 1
