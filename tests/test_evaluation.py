"""Scoring words: one answer a word whatever the tokenizer and the windows, and the loss of a plain slow loop."""

import copy
import itertools
import logging
import math
import string

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from datasets import Dataset
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from miniature import NAMES, WORDS, save_lookup_model
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast, set_seed

from ner_tutorial import (
    CONLL_SCHEME,
    LabelScheme,
    encode_for_evaluation,
    evaluate_model,
    load_tagger,
    sentences_to_dataset,
)
from ner_tutorial.alignment import NO_WORD
from ner_tutorial.conll import Sentence
from ner_tutorial.corpus import corpus_features
from ner_tutorial.evaluation import predict_rows

EMPTY_WORDS = ["\u200b", "\u00ad", "\u200d\u200b"]  # words that the WordPiece tokenizer cleans away


def dataset_of(sentences: list[list[tuple[str, str]]]) -> Dataset:
    return sentences_to_dataset(Sentence([w for w, _ in row], [], [], [t for _, t in row]) for row in sentences)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Byte level, without merges, as RoBERTa's would be: one piece a byte, no word is ever empty."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = {piece: i for i, piece in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=pieces, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", model_max_length=512
    )


@pytest.fixture(scope="module")
def tokenizers(tiny_tokenizer) -> dict:
    return {"pieces": tiny_tokenizer, "bytes": byte_tokenizer()}


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return load_tagger(save_lookup_model(tmp_path_factory.mktemp("lookup")), precision="no")


@pytest.fixture(scope="module")
def random_model(tiny_tokenizer):
    """An encoder with strong random weights: its answers vary and depend on the whole row.

    In float64, which the bfloat16 autocast of an evaluation leaves alone: rounding then decides nothing.
    """
    set_seed(5)
    config = BertConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, num_labels=9, initializer_range=0.5,
    )  # fmt: skip
    return BertForTokenClassification(config).double().eval()


# ---------------------------------------------------------------------------------------------- one answer for a word

LABELS = st.sampled_from(CONLL_SCHEME.names)
WORD = st.one_of(
    st.text(string.ascii_letters + "-.'", min_size=1, max_size=6),
    st.sampled_from(EMPTY_WORDS),
    st.just("Donaudampfschifffahrtsgesellschaft"),  # longer than a narrow window
)
SENTENCES = st.lists(st.lists(st.tuples(WORD, LABELS), min_size=1, max_size=40), min_size=1, max_size=4)


@pytest.mark.parametrize("kind", ["pieces", "bytes"])
@given(sentences=SENTENCES, max_length=st.integers(4, 40), share=st.floats(0, 0.9))
@example(sentences=[[("\u200b", "B-PER")]], max_length=8, share=0.25)
@settings(max_examples=60)
def test_each_word_with_a_token_is_answered_for_once_and_others_are_o(tokenizers, kind, sentences, max_length, share):
    tokenizer = tokenizers[kind]
    stride = int(share * (max_length - 2))
    encoded = encode_for_evaluation(dataset_of(sentences), tokenizer, max_length=max_length, stride=stride)
    assert all(len(row["input_ids"]) <= max_length for row in encoded.rows)
    answered = [
        (source, word)
        for source, words in zip(encoded.sentence, encoded.words, strict=True)
        for word in words
        if word != NO_WORD
    ]
    with_token = {
        (i, j) for i, row in enumerate(sentences) for j, (word, _) in enumerate(row)
        if tokenizer([word], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    }  # fmt: skip
    assert sorted(answered) == sorted(with_token)

    # A model that always knows the label of the word: what it says must come back word by word.
    knows = [[label if label != -100 else 0 for label in row["labels"]] for row in encoded.rows]
    expected = [
        [label if (i, j) in with_token else "O" for j, (_, label) in enumerate(row)] for i, row in enumerate(sentences)
    ]
    assert encoded.words_from_rows(knows) == expected
    assert encoded.references == [[label for _, label in row] for row in sentences]


@given(
    st.lists(st.lists(st.sampled_from([*WORDS, "Blackburn", "Acmes", *EMPTY_WORDS]), min_size=1, max_size=40), min_size=1, max_size=6),
    st.integers(6, 64), st.integers(1, 5),
)  # fmt: skip
@settings(max_examples=40)
def test_predictions_of_a_model_do_not_depend_on_windows_and_batches(tagger, sentences, max_length, batch_size):
    """The model looks each piece up, so the right answer is known: that of the word's first piece."""
    dataset = dataset_of([[(word, "O") for word in row] for row in sentences])
    first_piece = {"Blackburn": "Blac", "Acmes": "Acme"}
    expected = [
        [NAMES.get(first_piece.get(word, word), "O") if word not in EMPTY_WORDS else "O" for word in row]
        for row in sentences
    ]
    found = evaluate_model(
        tagger.model,
        dataset,
        tagger.tokenizer,
        max_length=max_length,
        stride=2,
        batch_size=batch_size,
        decoding="greedy",
    )
    assert found.predictions == expected


@pytest.mark.parametrize("empty", EMPTY_WORDS)
def test_words_without_tokens_are_answered_o_and_keep_their_neighbours_in_place(tagger, empty):
    dataset = dataset_of(
        [[("Nora", "B-PER"), (empty, "O"), ("Oslo", "B-LOC")], [(empty, "B-ORG")], [("Ines", "B-PER")]]
    )
    found = evaluate_model(tagger.model, dataset, tagger.tokenizer)
    assert found.predictions == [["B-PER", "O", "B-LOC"], ["O"], ["B-PER"]]
    assert (found.scores.precision, found.scores.recall) == (1.0, 0.75)


# ---------------------------------------------------------------------------------------------------------------- order


def test_erratum_17_predictions_come_in_the_order_of_the_data_set(tagger):
    # Every row has another number of words and another answer; longest first, so that sorting turns them round.
    rows = [[*["the"] * (9 - i), name] for i, name in enumerate(["Nora", "Oslo", "Acme", "Dutch", "Ines", "Lima"])]
    found = evaluate_model(
        tagger.model, dataset_of([[(w, "O") for w in row] for row in rows]), tagger.tokenizer, batch_size=2
    )
    assert found.predictions == [[*["O"] * (9 - i), NAMES[row[-1]]] for i, row in enumerate(rows)]


def test_erratum_17_rows_really_are_sorted_by_length_within_an_evaluation(tagger):
    dataset = dataset_of([[("the", "O")] * n for n in (9, 2, 30, 1, 30)])
    encoded = encode_for_evaluation(dataset, tagger.tokenizer)
    lengths = [len(row["input_ids"]) for row in encoded.rows]
    assert lengths == sorted(lengths)
    assert encoded.sentence == [3, 1, 0, 2, 4]


def test_erratum_17_predicted_rows_come_in_the_order_given(random_model, tiny_tokenizer, small_corpus):
    encoded = encode_for_evaluation(small_corpus["validation"], tiny_tokenizer)
    rows = encoded.rows[::-1]
    together, _ = predict_rows(random_model, rows, tiny_tokenizer, batch_size=3)
    assert [logits.shape for logits in together] == [(len(row["input_ids"]), 9) for row in rows]
    with torch.inference_mode():
        alone = [random_model(input_ids=torch.tensor([row["input_ids"]])).logits[0].numpy() for row in rows]
    for logits, expected in zip(together, alone, strict=True):
        assert logits == pytest.approx(expected, abs=1e-5)


# ------------------------------------------------------------------------------------------------------ loss and scores


def test_loss_and_predictions_are_those_of_a_slow_loop(random_model, tiny_tokenizer, small_corpus):
    # One row of the model a sentence: windows are another test's matter.
    dataset = small_corpus["validation"].filter(
        lambda row: len(tiny_tokenizer(list(row["tokens"]), is_split_into_words=True)["input_ids"]) <= 128
    )
    assert len(dataset) >= 10
    total, count, predictions = 0.0, 0, []
    for words, tags in zip(dataset["tokens"], dataset["ner_tags"], strict=True):
        encoded = tiny_tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
        with torch.inference_mode():
            chances = random_model(**encoded).logits[0].double().softmax(-1)
        answers = {}
        for position, word in enumerate(encoded.word_ids()):
            if word is not None and word not in answers:  # the first piece
                answers[word] = CONLL_SCHEME.names[chances[position].argmax()]
                total -= math.log(chances[position][tags[word]])
                count += 1
        predictions.append([answers.get(i, "O") for i in range(len(words))])
    found = evaluate_model(random_model, dataset, tiny_tokenizer, batch_size=4, decoding="greedy")
    assert len(set(itertools.chain(*predictions))) >= 4, "the model gives different answers"
    assert found.predictions == predictions
    assert found.loss == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4, 15, 64])
def test_the_batch_size_changes_nothing(random_model, tiny_tokenizer, small_corpus, batch_size):
    dataset = small_corpus["test"]
    one = evaluate_model(random_model, dataset, tiny_tokenizer, batch_size=7)
    other = evaluate_model(random_model, dataset, tiny_tokenizer, batch_size=batch_size)
    assert other.predictions == one.predictions
    assert other.scores == one.scores
    assert other.loss == pytest.approx(one.loss, rel=1e-5)


def test_the_table_has_two_levels_and_two_modes_that_seqeval_confirms(random_model, tiny_tokenizer, small_corpus):
    found = evaluate_model(random_model, small_corpus["test"], tiny_tokenizer)
    table = found.table()
    assert set(table) == set(itertools.product(["words", "all pieces"], ["lenient", "strict"]))
    assert table["words", "lenient"] == found.scores
    levels = {
        "words": (found.references, found.predictions),
        "all pieces": (found.piece_references, found.piece_predictions),
    }
    for level, (gold, guess) in levels.items():
        assert table[level, "lenient"].f1 == pytest.approx(f1_score(gold, guess, zero_division=0))
        assert table[level, "strict"].f1 == pytest.approx(
            f1_score(gold, guess, mode="strict", scheme=IOB2, zero_division=0)
        )


def test_piece_scores_count_a_word_wrong_that_is_right_in_its_first_piece(tagger):
    # The model takes the middle of Blac-k-burn for O: the word is found, its pieces are not.
    found = evaluate_model(tagger.model, dataset_of([[("Blackburn", "B-PER"), ("won", "O")]]), tagger.tokenizer)
    table = found.table()
    assert table["words", "lenient"].f1 == 1.0
    assert table["all pieces", "lenient"].f1 == 0.0
    assert found.piece_references == [["B-PER", "I-PER", "I-PER", "O"]]
    assert found.piece_predictions == [["B-PER", "O", "B-PER", "O"]]


# ------------------------------------------------------------------------------------------------------------- edges


def test_evaluation_leaves_the_model_in_its_mode(random_model, tiny_tokenizer, small_corpus):
    for training in (True, False):
        random_model.train(training)
        evaluate_model(random_model, small_corpus["test"], tiny_tokenizer)
        assert random_model.training is training
    random_model.eval()


def test_an_encoded_split_scores_as_the_split_itself(random_model, tiny_tokenizer, small_corpus):
    encoded = encode_for_evaluation(small_corpus["test"], tiny_tokenizer)
    direct = evaluate_model(random_model, small_corpus["test"], tiny_tokenizer)
    assert evaluate_model(random_model, encoded, tiny_tokenizer) == direct


def test_an_empty_split_scores_nothing(random_model, tiny_tokenizer, small_corpus):
    found = evaluate_model(random_model, small_corpus["test"].select([]), tiny_tokenizer)
    assert (found.predictions, found.loss, found.scores.number) == ([], 0.0, 0)


def test_a_sentence_with_more_labels_than_words_is_refused_by_number(random_model, tiny_tokenizer):
    rows = {
        "id": ["0", "1"], "tokens": [["Oslo"], ["Nora", "won"]], "pos_tags": [[], []], "chunk_tags": [[], []],
        "ner_tags": [[5], [1, 0, 0]],
    }  # fmt: skip
    dataset = Dataset.from_dict(rows, features=corpus_features())
    with pytest.raises(ValueError, match="sentence 1: 2 words but 3 labels"):
        evaluate_model(random_model, dataset, tiny_tokenizer)


@given(st.integers(3, 12), st.integers(0, 20))
def test_windows_that_cannot_move_on_are_refused(tiny_tokenizer, small_corpus, max_length, stride):
    assume(stride >= max_length - 2)
    with pytest.raises(ValueError, match="cannot overlap"):
        encode_for_evaluation(small_corpus["test"], tiny_tokenizer, max_length=max_length, stride=stride)


# ------------------------------------------------------------------------------------------------ labels, by their names

PERMUTED = LabelScheme(["B-LOC", "I-LOC", "O", "B-PER", "I-PER", "I-MISC", "B-MISC", "I-ORG", "B-ORG"])


def in_order(scheme: LabelScheme, rows: list[list[tuple[str, str]]]) -> Dataset:
    return sentences_to_dataset((Sentence([w for w, _ in row], [], [], [t for _, t in row]) for row in rows), scheme)


ROWS = [[("Nora", "B-PER"), ("met", "O"), ("Oslo", "B-LOC")], [("Acme", "B-ORG")]]


def test_a_split_that_numbers_its_labels_otherwise_is_matched_by_name_and_it_is_said(tagger, caplog):
    expected = evaluate_model(tagger.model, in_order(CONLL_SCHEME, ROWS), tagger.tokenizer)
    assert expected.scores.f1 == 1.0
    with caplog.at_level(logging.WARNING, logger="ner_tutorial"):
        found = evaluate_model(tagger.model, in_order(PERMUTED, ROWS), tagger.tokenizer)
    assert found == expected
    assert [record.message for record in caplog.records] == [
        f"labels matched by name: the data set counts {' '.join(PERMUTED.names)}, the model {' '.join(CONLL_SCHEME.names)}"
    ]
    assert tagger.evaluate(in_order(PERMUTED, ROWS)) == expected


def test_ids_that_mean_other_types_than_the_models_never_score_well(tagger):
    """The split's ids are right for the model's order, and its names say that they are other types."""
    names = in_order(CONLL_SCHEME, ROWS).cast_column("ner_tags", in_order(PERMUTED, ROWS).features["ner_tags"])
    assert evaluate_model(tagger.model, names, tagger.tokenizer).scores.f1 < 0.5


def test_a_split_with_other_labels_is_refused_with_both_orders(tagger):
    genes = LabelScheme(["O", "B-GENE", "I-GENE"])
    with pytest.raises(ValueError, match=r"data set's labels O B-GENE I-GENE are not the model's O B-PER"):
        evaluate_model(tagger.model, in_order(genes, [[("Nora", "B-GENE")]]), tagger.tokenizer)


def test_a_scheme_that_contradicts_model_and_data_is_refused(tagger):
    with pytest.raises(
        ValueError, match=r"scheme has the labels B-LOC .* but the model has O B-PER .*leave scheme out"
    ):
        evaluate_model(tagger.model, in_order(CONLL_SCHEME, ROWS), tagger.tokenizer, PERMUTED)


@pytest.mark.parametrize("option", [{"scheme": CONLL_SCHEME}, {"max_length": 32}, {"stride": 4}])
def test_options_that_an_encoded_split_cannot_take_are_refused(tagger, option):
    encoded = encode_for_evaluation(in_order(CONLL_SCHEME, ROWS), tagger.tokenizer)
    with pytest.raises(ValueError, match=f"{next(iter(option))} cannot be given with an EvaluationSet"):
        evaluate_model(tagger.model, encoded, tagger.tokenizer, **option)


def test_a_split_encoded_in_another_order_than_the_models_is_refused_with_both(tagger):
    encoded = encode_for_evaluation(in_order(PERMUTED, ROWS), tagger.tokenizer)
    with pytest.raises(ValueError, match=r"encoded with the labels B-LOC .*, the model has O B-PER "):
        evaluate_model(tagger.model, encoded, tagger.tokenizer)


def test_a_model_without_names_takes_the_splits_labels_if_their_number_fits(random_model, tiny_tokenizer):
    found = evaluate_model(random_model, in_order(PERMUTED, ROWS), tiny_tokenizer)
    assert found.references == [["B-PER", "O", "B-LOC"], ["B-ORG"]]
    with pytest.raises(ValueError, match="the model has 9 labels, but the data set has 3"):
        evaluate_model(random_model, in_order(LabelScheme(["O", "B-X", "I-X"]), [[("a", "O")]]), tiny_tokenizer)


def test_a_split_without_names_needs_a_model_or_a_scheme_that_has_them(random_model, tagger, tiny_tokenizer):
    plain = Dataset.from_dict({"tokens": [["Nora", "Oslo"]], "ner_tags": [[1, 5]]})
    with pytest.raises(ValueError, match="neither the model nor the data set names its labels; give scheme"):
        evaluate_model(random_model, plain, tiny_tokenizer)
    assert evaluate_model(random_model, plain, tiny_tokenizer, CONLL_SCHEME).references == [["B-PER", "B-LOC"]]
    assert evaluate_model(tagger.model, plain, tagger.tokenizer).scores.f1 == 1.0


# ------------------------------------------------------------------------------------------------------ number format


@pytest.fixture
def no_shared_accelerator():
    """Accelerate keeps one state per program, and refuses a second number format."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("prepared", [False, True])
def test_evaluation_computes_in_float32_unless_another_format_is_named(
    random_model, tiny_tokenizer, small_corpus, no_shared_accelerator, prepared
):
    """For a plain model, and for one whose forward Accelerate has replaced by one in mixed precision."""
    model = copy.deepcopy(random_model).float()
    rows = encode_for_evaluation(small_corpus["test"], tiny_tokenizer).rows
    exact, _ = predict_rows(model, rows, tiny_tokenizer)
    accelerator = Accelerator(mixed_precision="bf16", cpu=True) if prepared else None
    used = accelerator.prepare(model) if prepared else model
    found, _ = predict_rows(used, rows, tiny_tokenizer, accelerator=accelerator)
    rough, _ = predict_rows(used, rows, tiny_tokenizer, accelerator=accelerator, precision="bf16")
    for one, other, third in zip(exact, found, rough, strict=True):
        assert other == pytest.approx(one, abs=1e-4)
        assert third != pytest.approx(one, abs=1e-4)
    batch = {"input_ids": torch.tensor([rows[-1]["input_ids"]])}
    with torch.inference_mode():
        after = used(**batch).logits[0].float().numpy()
    # What Accelerate has put in place is in place again.
    assert (after == pytest.approx(found[-1], abs=1e-4)) is not prepared


def test_an_unknown_number_format_is_refused(random_model, tiny_tokenizer, small_corpus):
    with pytest.raises(ValueError, match="unknown precision 'int8'; choose bf16, fp16 or no"):
        evaluate_model(random_model, small_corpus["test"], tiny_tokenizer, precision="int8")
