"""Reading text with a fine-tuned model: spans, order, long texts, the four strategies, and clear errors."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from miniature import NAMES, SENTENCE, WORDS, piece_logits, save_lookup_model
from transformers import BertConfig, BertForTokenClassification, BertModel, BertTokenizer, pipeline
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.pipelines.token_classification import AggregationStrategy

from ner_tutorial import CONLL_SCHEME, EntitySpan, LabelScheme, Tagger, load_tagger, sentences_to_dataset
from ner_tutorial.conll import Sentence


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    return save_lookup_model(tmp_path_factory.mktemp("lookup"))


@pytest.fixture(scope="module")
def tagger(model_dir) -> Tagger:
    return load_tagger(model_dir)


@pytest.mark.parametrize(("precision", "dtype"), [("no", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_the_number_format_of_the_weights(model_dir, precision, dtype):
    tagger = load_tagger(model_dir, precision=precision)
    assert {parameter.dtype for parameter in tagger.model.parameters()} == {dtype}
    assert [span.text for span in tagger(SENTENCE)] == ["Nora Velt", "Oslo", "Ines", "Dutch Cup", "Acme Group"]


def triples(spans: list[EntitySpan]) -> list[tuple[str, int, int]]:
    return [(span.type, span.start, span.end) for span in spans]


# ---------------------------------------------------------------------------------------------------------- spans


def test_spans_name_type_text_and_place(tagger):
    found = [(span.type, span.text) for span in tagger(SENTENCE)]
    assert found == [
        ("PER", "Nora Velt"), ("LOC", "Oslo"), ("PER", "Ines"), ("MISC", "Dutch Cup"), ("ORG", "Acme Group"),
    ]  # fmt: skip
    assert all(SENTENCE[span.start : span.end] == span.text for span in tagger(SENTENCE))


def test_scores_are_the_probabilities_of_the_model(tagger):
    expected = math.exp(8) / (math.exp(8) + 8)
    assert [span.score for span in tagger("Oslo Lima")] == pytest.approx([expected, expected], abs=1e-5)


def test_spans_are_plain_python_values_that_json_takes(tagger):
    for span in tagger(SENTENCE):
        assert {name: type(value) for name, value in span.to_dict().items()} == {
            "type": str, "text": str, "start": int, "end": int, "score": float,
        }  # fmt: skip
        assert json.loads(json.dumps(span.to_dict())) == span.to_dict()


SNIPPETS = ["Nora", "Velt", "Oslo", "Blackburn", " ", "\n", "é", "e\u0301", "日本", "\u200b", "😀", "-", "."]


@given(st.lists(st.sampled_from(SNIPPETS), max_size=25))
@settings(max_examples=60)
def test_a_span_is_a_slice_of_any_text(tagger, snippets):
    text = "".join(snippets)
    spans = tagger(text)
    assert [text[span.start : span.end] for span in spans] == [span.text for span in spans]
    assert all(span.text.strip() for span in spans)
    ends = [0, *(span.end for span in spans)]
    assert all(end <= span.start for end, span in zip(ends, spans, strict=False)), "spans overlap or are out of order"


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u00a0", "\u200b", "\u200b \u200b"])
def test_a_text_without_words_has_no_entities(tagger, text):
    assert tagger(text) == []
    assert tagger.predict([text, "Oslo", text]) == [[], tagger("Oslo"), []]


# ---------------------------------------------------------------------------------------------------------- order


def test_no_texts_give_no_answers(tagger):
    assert tagger.predict([]) == []


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=12), max_size=9), st.integers(1, 4))
@settings(max_examples=25)
def test_erratum_17_tagger_answers_in_the_order_of_the_texts(tagger, rows, batch_size):
    texts = [" ".join(row) for row in rows]
    together = tagger.predict(texts, batch_size=batch_size)
    alone = [tagger(text) for text in texts]
    assert [triples(spans) for spans in together] == [triples(spans) for spans in alone]
    # And what is found in a text stands in that text.
    assert [[text[span.start : span.end] for span in spans] for text, spans in zip(texts, together, strict=True)] == [
        [span.text for span in spans] for spans in together
    ]


def test_erratum_17_longest_text_first_keeps_its_place(tagger):
    texts = ["the the the the the the Oslo", "the the Ines", "Acme"]  # descending: sorting by length turns them round
    assert [[span.text for span in spans] for spans in tagger.predict(texts, batch_size=1)] == [
        ["Oslo"], ["Ines"], ["Acme"],
    ]  # fmt: skip


def test_a_batch_is_counted_in_tokens_and_cannot_be_empty(tagger, monkeypatch):
    shapes = []
    forward = tagger.model.forward
    monkeypatch.setattr(
        tagger.model, "forward", lambda **batch: shapes.append(tuple(batch["input_ids"].shape)) or forward(**batch)
    )
    tagger.predict(["Oslo"] * 12 + ["the " * 20] * 3, batch_size=3)  # 48 tokens: 3 a short text, 22 a long one
    assert shapes == [(12, 3), (2, 22), (1, 22)]
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        tagger.predict(["Oslo"], batch_size=0)


# ------------------------------------------------------------------------------------------------------ long texts


@pytest.fixture(scope="module")
def two_windows(model_dir, tmp_path_factory) -> dict[str, Tagger]:
    """One model, read through windows of 16 tokens and of 512."""
    narrow = save_lookup_model(tmp_path_factory.mktemp("narrow"), window=16)
    wide = save_lookup_model(tmp_path_factory.mktemp("wide"), window=512)
    return {"narrow": load_tagger(narrow), "wide": load_tagger(wide)}


def test_erratum_13_entities_beyond_the_window_are_found(two_windows):
    text = "Nora Velt met Ines in Oslo . " * 20
    narrow = two_windows["narrow"]
    # The error itself: a pipeline without a stride reads one window and says nothing.
    cut = pipeline(
        "token-classification", model=narrow.model, tokenizer=narrow.tokenizer, aggregation_strategy="first"
    )(text)
    assert len(cut) == 6
    part = narrow("Nora Velt met Ines in Oslo . ")
    assert len(part) == 3
    assert triples(narrow(text)) == [
        (span.type, span.start + 29 * i, span.end + 29 * i) for i in range(20) for span in part
    ]


# Names of up to three pieces: the overlap of two windows of 16 is 4 tokens, and holds each of them whole.
PHRASES = ["Nora Velt", "Ines", "Oslo", "Acme Group", "Dutch Cup", "Blackburn", "the", "of", "met", ".", ","]


@given(st.lists(st.sampled_from(PHRASES), min_size=1, max_size=60))
@settings(max_examples=60)
def test_erratum_13_a_long_text_reads_as_it_does_without_windows(two_windows, phrases):
    text = " ".join(phrases)
    assert len(two_windows["wide"].tokenizer(text)["input_ids"]) < 512
    narrow, wide = two_windows["narrow"](text), two_windows["wide"](text)
    assert triples(narrow) == triples(wide)
    assert [span.score for span in narrow] == pytest.approx([span.score for span in wide], abs=1e-5)


def test_long_and_short_texts_mix_in_a_batch(two_windows):
    texts = ["Oslo", "Nora Velt met Ines in Oslo . " * 9, "", "Ines"]
    narrow, wide = (two_windows[name].predict(texts, batch_size=3) for name in ("narrow", "wide"))
    assert [triples(spans) for spans in narrow] == [triples(spans) for spans in wide]
    assert [len(spans) for spans in narrow] == [1, 27, 0, 1]


# ------------------------------------------------------------------------------------------------------ strategies


def test_erratum_12_simple_cuts_a_word_that_the_default_keeps_whole(model_dir, tagger):
    text = "Nora met Blackburn ."
    assert [span.text for span in load_tagger(model_dir, "simple")(text)] == ["Nora", "Blac", "burn"]
    assert [(span.type, span.text) for span in tagger(text)] == [("PER", "Nora"), ("PER", "Blackburn")]


@given(st.lists(st.sampled_from([*PHRASES, "Zanzibar", "Acmes"]), min_size=1, max_size=20))
@settings(max_examples=30)
def test_erratum_12_default_spans_begin_and_end_with_words(tagger, phrases):
    text = " ".join(phrases)
    starts = {i for i in range(len(text)) if i == 0 or text[i - 1] == " "}
    ends = {i for i in range(1, len(text) + 1) if i == len(text) or text[i] == " "}
    for span in tagger(text):
        assert span.start in starts
        assert span.end in ends


def test_each_strategy_combines_the_pieces_as_its_name_says(model_dir):
    pieces = ["Zan", "##zi", "##bar"]
    chances = np.stack([torch.softmax(piece_logits(NAMES[piece]), 0).numpy() for piece in pieces])
    names = CONLL_SCHEME.names

    def one_word(row) -> list[tuple[str, str, float]]:
        return [(names[row.argmax()].removeprefix("B-"), "Zanzibar", float(row.max()))]

    expected = {
        "simple": [
            ("PER", "Zan", chances[0].max()), ("LOC", "zi", chances[1].max()), ("ORG", "bar", chances[2].max()),
        ],
        "first": one_word(chances[0]),
        "average": one_word(chances.mean(0)),
        "max": one_word(chances[chances.max(1).argmax()]),
    }  # fmt: skip
    assert len({rows[0][0] for name, rows in expected.items() if name != "simple"}) == 3, "the case tells them apart"
    for strategy, rows in expected.items():
        found = load_tagger(model_dir, strategy, precision="no")("the Zanzibar .")
        assert [(span.type, span.text) for span in found] == [(kind, text) for kind, text, _ in rows], strategy
        assert [span.score for span in found] == pytest.approx([score for *_, score in rows], abs=1e-5), strategy


@pytest.mark.parametrize("strategy", ["none", "last", ""])
def test_an_unknown_strategy_is_refused_with_the_choices(model_dir, strategy):
    with pytest.raises(ValueError, match=r"unknown aggregation strategy.*simple, first, average, max"):
        load_tagger(model_dir, strategy)


# ---------------------------------------------------------------------------------------------------------- errors


def test_one_string_is_not_a_list_of_texts(tagger):
    with pytest.raises(TypeError, match="list of texts"):
        tagger.predict("Nora met Ines")


@pytest.mark.parametrize(("texts", "message"), [(["Nora", None], "text 1 is NoneType"), ([["Nora"]], "text 0 is list")])
def test_an_item_that_is_no_string_is_named(tagger, texts, message):
    with pytest.raises(TypeError, match=message):
        tagger.predict(texts)


def test_a_missing_folder_is_an_error_that_says_how_to_train(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model folder.*ner_tutorial train"):
        load_tagger(tmp_path / "nothing")


@pytest.mark.parametrize("left_out", ["config.json", "model.safetensors"])
def test_a_folder_without_a_whole_model_is_an_error(model_dir, tmp_path, left_out):
    shutil.copytree(model_dir, tmp_path / "part", ignore=shutil.ignore_patterns(left_out))
    with pytest.raises(FileNotFoundError, match="holds no finished model"):
        load_tagger(tmp_path / "part")


def test_cut_off_weights_are_a_clear_error(model_dir, tmp_path):
    folder = shutil.copytree(model_dir, tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises((OSError, ValueError), match="cut"):
        load_tagger(folder)


def test_a_model_without_ner_labels_is_an_error(tmp_path):
    config = BertConfig(vocab_size=5, hidden_size=4, num_hidden_layers=0, num_attention_heads=1, num_labels=3)
    BertForTokenClassification(config).save_pretrained(tmp_path)
    BertTokenizer(vocab={p: i for i, p in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])}).save_pretrained(
        tmp_path
    )
    with pytest.raises(ValueError, match="is not an NER model"):
        load_tagger(tmp_path)


def test_a_bare_encoder_is_an_error_and_not_a_model_with_random_answers(tmp_path):
    BertModel(BertConfig(vocab_size=5, hidden_size=4, num_hidden_layers=0, num_attention_heads=1)).save_pretrained(
        tmp_path
    )
    BertTokenizer(vocab={p: i for i, p in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])}).save_pretrained(
        tmp_path
    )
    with pytest.raises(ValueError, match="is not an NER model"):
        load_tagger(tmp_path)


def test_scoring_on_other_labels_is_refused(tagger):
    other = LabelScheme(["O", "B-GENE", "I-GENE"])
    dataset = sentences_to_dataset([Sentence(["Nora"], [], [], ["B-GENE"])], other)
    with pytest.raises(ValueError, match=r"GENE.*are not the model's"):
        tagger.evaluate(dataset)


def test_the_default_stride_is_a_quarter_of_the_window(model_dir, tagger):
    assert tagger.tokenizer.model_max_length == 64
    assert (tagger.stride, load_tagger(model_dir, stride=5).stride) == (16, 5)


# ---------------------------------------------------------------------------------- the pipeline as the oracle

PIECES_WITHOUT_SPACE = ["the", "Nora", "Velt", "Oslo", "Zan", "Zanzibar", "Blackburn", "of", ",", "."]


@pytest.fixture(scope="module")
def finder(model_dir):
    """The pipeline of Transformers, which aggregates by code of its own."""
    return pipeline("token-classification", model=str(model_dir), tokenizer=str(model_dir))


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
@given(
    words=st.lists(st.tuples(st.sampled_from(PIECES_WITHOUT_SPACE), st.booleans()), max_size=14),
    answers=st.lists(st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4, 5, 6]), min_size=64, max_size=64),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_entities_are_those_of_the_pipeline_whatever_the_model_answers(finder, strategy, words, answers, seed):
    """With and without spaces between the words; logits of any size, and ``O`` as often as in real text."""
    text = "".join(word + " " * space for word, space in words)
    windows = finder.tokenizer([text], return_offsets_mapping=True, return_special_tokens_mask=True)
    count = len(windows["input_ids"][0])
    logits = torch.randn(count, CONLL_SCHEME.num_labels, generator=torch.Generator().manual_seed(seed))
    logits[range(count), answers[:count]] += 3
    outputs = {
        "logits": logits[None],
        "sentence": text,
        "input_ids": windows["input_ids"],
        "offset_mapping": windows["offset_mapping"],
        "special_tokens_mask": torch.tensor(windows["special_tokens_mask"]),
    }
    expected = finder.postprocess([outputs], aggregation_strategy=AggregationStrategy(strategy))
    model = FixedAnswers(logits, finder.model.config)
    found = Tagger(model, finder.tokenizer, strategy, decoding="greedy")(text)
    assert [(one.type, one.start, one.end, one.score) for one in found] == [
        (e["entity_group"], e["start"], e["end"], pytest.approx(float(e["score"]), abs=1e-5)) for e in expected
    ]


class FixedAnswers:
    """Stands for a model that gives these logits (tokens, labels) for the one text that it is asked about."""

    device = torch.device("cpu")

    def __init__(self, logits, config):
        self.logits, self.config = logits, config

    def __call__(self, input_ids, **_):
        assert input_ids.shape == (1, len(self.logits))
        return TokenClassifierOutput(logits=self.logits[None])


def test_accents_that_come_apart_glue_no_word_to_the_one_before():
    """The pipeline compares the lengths of a token and of its text, and takes such a word for a later piece."""
    table = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "oslo", "lodz"]
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(table)}, do_lower_case=True)
    text = "Oslo Lo\u0301dz"
    assert tokenizer(text).tokens() == ["[CLS]", "oslo", "lodz", "[SEP]"]
    answers = [0, CONLL_SCHEME.label2id["B-PER"], CONLL_SCHEME.label2id["B-LOC"], 0]
    config = BertConfig(id2label=CONLL_SCHEME.id2label, label2id=CONLL_SCHEME.label2id)
    found = Tagger(FixedAnswers(8 * torch.eye(CONLL_SCHEME.num_labels)[answers], config), tokenizer)(text)
    assert [(one.type, one.text) for one in found] == [("PER", "Oslo"), ("LOC", "Lo\u0301dz")]
