"""Scores: seqeval's numbers equal plain loops, references and predictions cannot be exchanged, baselines are honest."""

import json
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score
from transformers import EvalPrediction

from ner_tutorial import (
    CONLL_SCHEME,
    DecodedLabels,
    DictionaryBaseline,
    LabelScheme,
    Sentence,
    baseline_scores,
    decode_predictions,
    entity_spans,
    evaluate_model,
    load_seqeval,
    make_compute_metrics,
    mentions,
    score_labels,
    sentences_to_dataset,
    unseen_share,
)
from ner_tutorial.corpus import reference_labels
from ner_tutorial.labels import NER_NAMES

# ------------------------------------------------------------------------------------------ an oracle of plain loops


def lenient_entities(tags) -> list[tuple[str, int, int]]:
    """seqeval's default reading: an entity also opens at an I- that follows O or another type."""
    found, start, kind = [], None, None
    for i, tag in enumerate([*tags, "O"]):
        if kind is not None and (tag == "O" or tag.startswith("B-") or tag[2:] != kind):
            found.append((kind, start, i))
            kind = None
        if tag != "O" and kind is None:
            kind, start = tag[2:], i
    return found


def strict_entities(tags) -> list[tuple[str, int, int]]:
    """IOB2: an entity is a B-X and the I-X that follow it; any other I- belongs to nothing."""
    found = []
    for start, tag in enumerate(tags):
        if tag.startswith("B-"):
            end = start + 1
            while end < len(tags) and tags[end] == "I-" + tag[2:]:
                end += 1
            found.append((tag[2:], start, end))
    return found


def ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def scores_by_loops(references, predictions, entities_of):
    """((precision, recall, f1, number) of all types, the same by type)."""
    right, predicted, gold = Counter(), Counter(), Counter()
    for tags, guess in zip(references, predictions, strict=True):
        true, made = entities_of(tags), entities_of(guess)
        for entity in true:
            gold[entity[0]] += 1
        for entity in made:
            predicted[entity[0]] += 1
            if entity in true:
                right[entity[0]] += 1

    def row(kinds):
        tp, p, g = (sum(counter[kind] for kind in kinds) for counter in (right, predicted, gold))
        return ratio(tp, p), ratio(tp, g), ratio(2 * tp, p + g), g

    kinds = set(predicted) | set(gold)
    return row(kinds), {kind: row([kind]) for kind in kinds}


TAGS = [name for name in NER_NAMES if "MISC" not in name]
labels = st.sampled_from(TAGS)
# A pair of labels as one number, which hypothesis draws many times faster than two choices from a list.
pairs = st.integers(0, len(TAGS) ** 2 - 1).map(lambda number: (TAGS[number // len(TAGS)], TAGS[number % len(TAGS)]))


@st.composite
def tagged(draw):
    """(references, predictions); in some positions both are the same, so that many entities are right."""
    rows = draw(st.lists(st.lists(pairs, max_size=9), min_size=1, max_size=4))
    same = draw(st.integers(0, 2**9 - 1))
    references = [[gold for gold, _ in row] for row in rows]
    predictions = [[gold if same >> i & 1 else guess for i, (gold, guess) in enumerate(row)] for row in rows]
    return references, predictions


@settings(max_examples=1000)
@given(case=tagged())
def test_lenient_and_strict_scores_equal_the_plain_loops_on_1000_cases(case):
    references, predictions = case
    for strict, entities_of in ((False, lenient_entities), (True, strict_entities)):
        scores = score_labels(references, predictions, strict=strict)
        overall, by_type = scores_by_loops(references, predictions, entities_of)
        assert (scores.precision, scores.recall, scores.f1, scores.number) == pytest.approx(overall)
        found = {kind: (row.precision, row.recall, row.f1, row.number) for kind, row in scores.per_type.items()}
        assert found.keys() == by_type.keys()
        for kind, row in by_type.items():
            assert found[kind] == pytest.approx(row)


@settings(max_examples=50)
@given(case=tagged())
def test_accuracy_equals_scikit_learns_over_all_labels(case):
    references, predictions = case
    gold, guess = [tag for row in references for tag in row], [tag for row in predictions for tag in row]
    expected = accuracy_score(gold, guess) if gold else 0.0
    assert score_labels(references, predictions).accuracy == pytest.approx(expected)
    assert score_labels(references, predictions, strict=True).accuracy == pytest.approx(expected)


@given(st.lists(labels, max_size=12))
def test_entity_spans_are_the_lenient_entities(tags):
    assert entity_spans(tags) == lenient_entities(tags)


@settings(max_examples=50)
@given(case=tagged())
def test_exchanging_references_and_predictions_exchanges_precision_and_recall(case):
    references, predictions = case
    scores, exchanged = score_labels(references, predictions), score_labels(predictions, references)
    assert (scores.precision, scores.recall) == (exchanged.recall, exchanged.precision)
    assert scores.f1 == pytest.approx(exchanged.f1)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("sentences", [[["O", "O"]], [["O"], []], [[]], []])
def test_without_any_entity_scores_are_zero_and_nothing_is_warned_of(sentences, strict):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = score_labels(sentences, sentences, strict=strict)
    assert (scores.precision, scores.recall, scores.f1, scores.number, scores.per_type) == (0.0, 0.0, 0.0, 0, {})


@pytest.mark.parametrize("strict", [False, True])
@settings(max_examples=60)
@given(case=tagged())
def test_the_metric_module_gives_the_same_scores(strict, case):
    references, predictions = case
    if not any(references):
        return
    scores = score_labels(references, predictions, strict=strict)
    result = load_seqeval().compute(references=references, predictions=predictions, strict=strict)
    types = {kind: row for kind, row in result.items() if isinstance(row, dict)}
    assert {kind: asdict(row) for kind, row in scores.per_type.items()} == types
    assert scores.overall() == {name: result[f"overall_{name}"] for name in ("precision", "recall", "f1", "accuracy")}


AWKWARD = ["micro avg", "macro avg", "weighted avg", "overall_f1", "overall_precision", "f1"]


@pytest.mark.parametrize("strict", [False, True])
def test_types_that_are_named_like_an_average_keep_their_scores(strict):
    gold = [[f"B-{name}" for name in AWKWARD]]
    guess = [["O", *gold[0][1:]]]
    scores = score_labels(gold, guess, strict=strict, scheme=None)
    assert {kind: (row.recall, row.number) for kind, row in scores.per_type.items()} == {
        name: (float(name != "micro avg"), 1) for name in AWKWARD
    }
    assert (scores.number, scores.precision, scores.recall) == (6, 1.0, pytest.approx(5 / 6))


@pytest.mark.parametrize("name", AWKWARD[:-1])
def test_the_metric_module_refuses_a_type_that_is_one_of_its_keys(name):
    with pytest.raises(ValueError, match=f"'{name}'.* is a key of this metric's result.*score_labels"):
        load_seqeval().compute(references=[[f"B-{name}"]], predictions=[["O"]])


def test_scoring_does_not_import_evaluate():
    code = "import sys; from ner_tutorial import score_labels; score_labels([['B-PER']], [['B-PER']]); assert 'evaluate' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_are_plain_values_that_json_takes():
    scores = score_labels([["B-PER", "O", "B-LOC"]], [["B-PER", "O", "B-ORG"]])
    content = json.loads(json.dumps(scores.to_dict()))
    assert content["per_type"]["PER"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "number": 1}
    assert type(scores.precision) is type(scores.accuracy) is float
    assert type(scores.number) is type(scores.per_type["PER"].number) is int
    assert scores.overall() == {name: content[name] for name in ("precision", "recall", "f1", "accuracy")}


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="2 reference sentences but 1 predicted ones"):
        score_labels([["O"], ["O"]], [["O"]])
    with pytest.raises(ValueError, match="sentence 1: 2 reference labels but 1 predicted ones"):
        score_labels([["O"], ["O", "O"]], [["O"], ["O"]])


# --------------------------------------------------------------------------------------------------- decoding logits


@st.composite
def logits_and_labels(draw):
    """Scores and gold ids of a batch; scores are small whole numbers, so that ties occur."""
    rows, width = draw(st.integers(1, 3)), draw(st.integers(0, 5))
    names = draw(st.permutations(NER_NAMES))
    scores = draw(st.lists(st.integers(-3, 3), min_size=rows * width * 9, max_size=rows * width * 9))
    gold = draw(st.lists(st.sampled_from([-100, *range(9)]), min_size=rows * width, max_size=rows * width))
    return np.array(scores, float).reshape(rows, width, 9), np.array(gold, int).reshape(rows, width), LabelScheme(names)


def decoded_slowly(logits, gold, names):
    references, predictions = [], []
    for scores_of_row, gold_of_row in zip(logits, gold, strict=True):
        references.append([])
        predictions.append([])
        for scores_of_token, label in zip(scores_of_row, gold_of_row, strict=True):
            if label != -100:
                best = 0
                for i in range(9):
                    if scores_of_token[i] > scores_of_token[best]:
                        best = i
                references[-1].append(names[label])
                predictions[-1].append(names[best])
    return references, predictions


@given(logits_and_labels())
def test_decoding_equals_the_slow_version(case):
    logits, gold, scheme = case
    references, predictions = decoded_slowly(logits, gold, scheme.names)
    expected = DecodedLabels(references=references, predictions=predictions)
    assert decode_predictions(logits, gold, scheme) == expected
    # Label ids instead of scores, and lists instead of arrays.
    assert decode_predictions(logits.argmax(-1), gold, scheme) == expected
    assert decode_predictions(logits.argmax(-1).tolist(), gold.tolist(), scheme) == expected


def test_rows_of_different_length_are_decoded():
    decoded = decode_predictions([[1, 2], [0]], [[1, -100], [0]])
    assert decoded == DecodedLabels(references=[["B-PER"], ["O"]], predictions=[["B-PER"], ["O"]])


def test_id_under_an_ignored_label_is_not_looked_at():
    # Trainer pads the predictions of several batches with -100.
    decoded = decode_predictions(np.array([[1, -100]]), np.array([[1, -100]]))
    assert decoded.predictions == [["B-PER"]]


@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [
        ([[0]], [[0], [0]], "1 rows of predictions but 2 rows of labels"),
        (np.zeros((1, 2, 8)), [[0, 0]], "row 0: 8 scores a token, but the scheme has 9 labels"),
        ([[0, 0], [0]], [[0, 0], [0, 0]], "row 1: 1 predictions but 2 labels"),
        (np.zeros((1, 3, 9)), [[0, 0]], "row 0: 3 predictions but 2 labels"),
        ([[0, 9]], [[0, 0]], "row 0: prediction id 9 is not in the scheme of 9 labels"),
        ([[0, -1]], [[0, 0]], "row 0: prediction id -1 is not in the scheme of 9 labels"),
        ([[0], [0]], [[0], [12]], "row 1: reference id 12 is not in the scheme of 9 labels"),
    ],
)
def test_what_cannot_be_decoded_is_refused(predicted, gold, message):
    with pytest.raises(ValueError, match=message):
        decode_predictions(predicted, gold)


def one_hot(ids) -> np.ndarray:
    return np.eye(9)[np.array(ids)]


def test_compute_metrics_gives_plain_floats():
    prediction = EvalPrediction(predictions=one_hot([[0, 1, 2, 0]]), label_ids=np.array([[-100, 1, 2, -100]]))
    metrics = make_compute_metrics()(prediction)
    assert metrics == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "accuracy": 1.0}
    assert {type(value) for value in metrics.values()} == {float}
    assert json.loads(json.dumps(metrics)) == metrics


def test_compute_metrics_uses_the_given_names_and_mode():
    scheme = LabelScheme(["I-PER", "B-PER", "O"])
    prediction = EvalPrediction(predictions=np.eye(3)[[[0, 0]]], label_ids=np.array([[1, 0]]))
    assert make_compute_metrics(scheme)(prediction)["f1"] == 1.0
    assert make_compute_metrics(scheme, strict=True)(prediction)["f1"] == 0.0


# ------------------------------------------------------------------------------------------------------------ errata


def test_erratum_01_one_gold_and_two_predicted_entities_give_precision_half_and_recall_one():
    gold, predicted = np.array([[-100, 1, 2, 0, 0, -100]]), one_hot([[0, 1, 2, 0, 5, 0]])
    decoded = decode_predictions(predicted, gold)
    assert decoded.references == [["B-PER", "I-PER", "O", "O"]]
    assert decoded.predictions == [["B-PER", "I-PER", "O", "B-LOC"]]
    metrics = make_compute_metrics()(EvalPrediction(predictions=predicted, label_ids=gold))
    assert (metrics["precision"], metrics["recall"]) == (0.5, 1.0)


def test_erratum_01_decoded_labels_cannot_be_unpacked_by_position():
    decoded = decode_predictions([[1]], [[1]])
    with pytest.raises(TypeError):
        _first, _second = decoded


def test_erratum_01_evaluation_of_a_model_that_finds_too_much_loses_precision(tiny_tokenizer, make_lookup_tagger):
    data = sentences_to_dataset([Sentence(["Q", "of", "Z"], [], [], ["B-PER", "O", "O"])])
    found = evaluate_model(make_lookup_tagger({"Q": "B-PER", "Z": "B-PER"}), data, tiny_tokenizer)
    assert (found.scores.precision, found.scores.recall) == (0.5, 1.0)


def test_erratum_02_digit_zero_between_two_entities_is_refused():
    wrong = ["B-ORG", "0", "B-LOC"]
    # What seqeval makes of it: a third entity, of the type "_".
    with pytest.warns(UserWarning, match="0 seems not to be NE tag"):
        assert entity_spans(wrong) == [("ORG", 0, 1), ("_", 1, 2), ("LOC", 2, 3)]
    with pytest.warns(UserWarning, match="0 seems not to be NE tag"):
        scores = load_seqeval().compute(references=[["B-ORG", "O", "B-LOC"]], predictions=[wrong])
    assert scores["overall_precision"] == pytest.approx(2 / 3)

    with pytest.raises(ValueError, match=r"prediction of sentence 0: label '0' \(a digit zero"):
        score_labels([["B-ORG", "O", "B-LOC"]], [wrong])
    with pytest.raises(ValueError, match=r"reference of sentence 0: label '0' \(a digit zero"):
        score_labels([wrong], [["B-ORG", "O", "B-LOC"]])


@pytest.mark.parametrize("foreign", ["B-GENE", "LABEL_0", "o", "B-per", ""])
def test_erratum_02_any_foreign_label_is_refused(foreign):
    with pytest.raises(ValueError, match=f"sentence 1: label '{foreign}'.* at position 1 is not in the scheme"):
        score_labels([["O"], ["O", "O"]], [["O"], ["O", foreign]])


def test_erratum_09_word_that_is_right_in_its_first_piece_is_right(tiny_tokenizer, make_lookup_tagger):
    data = sentences_to_dataset([Sentence(["Qx", "of"], [], [], ["B-PER", "O"])])
    assert tiny_tokenizer(["Qx"], is_split_into_words=True).tokens()[1:-1] == ["Q", "##x"]
    # Right in "Q" and wrong in "##x": published word-level scores count the word as found.
    found = evaluate_model(make_lookup_tagger({"Q": "B-PER", "##x": "O"}), data, tiny_tokenizer)
    assert found.predictions == [["B-PER", "O"]]
    assert found.piece_references == [["B-PER", "I-PER", "O"]]
    assert found.piece_predictions == [["B-PER", "O", "O"]]
    assert found.scores.f1 == 1.0
    f1 = {key: scores.f1 for key, scores in found.table().items()}
    assert f1 == {
        ("words", "lenient"): 1.0,
        ("words", "strict"): 1.0,
        ("all pieces", "lenient"): 0.0,
        ("all pieces", "strict"): 0.0,
    }


def test_erratum_10_modes_differ_and_the_default_is_the_lenient_one():
    gold, predicted = [["B-PER", "I-PER"]], [["I-PER", "I-PER"]]
    assert score_labels(gold, predicted).f1 == 1.0
    assert score_labels(gold, predicted, strict=False).f1 == 1.0
    assert score_labels(gold, predicted, strict=True).f1 == 0.0


def test_erratum_10_table_of_an_evaluation_names_the_mode_of_each_score(tiny_tokenizer, make_lookup_tagger):
    data = sentences_to_dataset([Sentence(["Q", "Z"], [], [], ["B-PER", "I-PER"])])
    found = evaluate_model(make_lookup_tagger({"Q": "I-PER", "Z": "I-PER"}), data, tiny_tokenizer, decoding="greedy")
    f1 = {key: scores.f1 for key, scores in found.table().items()}
    assert (f1["words", "lenient"], f1["words", "strict"]) == (1.0, 0.0)
    # The headline is the lenient word-level score.
    assert found.scores == found.table()["words", "lenient"]


def test_erratum_16_always_o_has_a_high_accuracy_and_finds_nothing(newswire):
    scores = baseline_scores(newswire["train"], newswire["test"])
    labels_of_test = [tag for row in newswire["test"]["ner_tags"] for tag in row]
    always_o = scores["always O"]
    assert always_o.accuracy == pytest.approx(labels_of_test.count(0) / len(labels_of_test))
    assert always_o.accuracy > 0.75
    assert (always_o.precision, always_o.recall, always_o.f1) == (0.0, 0.0, 0.0)
    dictionary = scores["dictionary"]
    assert 0.0 < dictionary.f1 < 1.0
    assert dictionary.number == always_o.number == len(mentions(newswire["test"]))


# --------------------------------------------------------------------------------------------- mentions and baselines

vocabulary = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def annotated(draw, max_size=5):
    """Sentences over four words, so that mentions repeat, overlap, and take several types."""
    sentences = []
    for stretches in draw(
        st.lists(
            st.lists(st.tuples(st.sampled_from([None, "PER", "LOC"]), st.lists(vocabulary, min_size=1, max_size=3)), min_size=1, max_size=4),
            max_size=max_size,
        )
    ):  # fmt: skip
        words = [word for _, part in stretches for word in part]
        tags = [
            "O" if kind is None else ("B-" if i == 0 else "I-") + kind
            for kind, part in stretches
            for i in range(len(part))
        ]
        sentences.append(Sentence(words, [], [], tags))
    return sentences


def dictionary_slowly(train: list[Sentence], tokens: list[str]) -> list[str]:
    """At each word, try every mention of the training sentences and take the longest; then go on behind it."""
    known: list[tuple[tuple[str, ...], str]] = [
        (tuple(s.tokens[a:b]), kind) for s in train for kind, a, b in strict_entities(s.ner_tags)
    ]
    tags, at = [], 0
    while at < len(tokens):
        fitting = [words for words, _ in known if tuple(tokens[at : at + len(words)]) == words]
        if not fitting:
            tags.append("O")
            at += 1
            continue
        longest = max(fitting, key=len)
        kinds = [kind for words, kind in known if words == longest]
        # The most frequent type; of equals, the one seen first.
        kind = max(kinds, key=lambda k: (kinds.count(k), -kinds.index(k)))
        tags += ["B-" + kind] + ["I-" + kind] * (len(longest) - 1)
        at += len(longest)
    return tags


@settings(max_examples=100)
@given(train=annotated(), tokens=st.lists(vocabulary, max_size=10))
def test_dictionary_baseline_equals_the_slow_version(train, tokens):
    baseline = DictionaryBaseline(sentences_to_dataset(train))
    assert baseline.predict(tokens) == dictionary_slowly(train, tokens)


@settings(max_examples=50)
@given(train=annotated(), test=annotated())
def test_unseen_share_equals_the_slow_version(train, test):
    def surfaces(sentences):
        return [" ".join(s.tokens[a:b]) for s in sentences for _, a, b in strict_entities(s.ner_tags)]

    known, asked = surfaces(train), surfaces(test)
    expected = sum(surface not in known for surface in asked) / len(asked) if asked else 0.0
    assert unseen_share(sentences_to_dataset(train), sentences_to_dataset(test)) == pytest.approx(expected)


def test_mentions_are_surface_and_type_in_order():
    rows = sentences_to_dataset([Sentence(["New", "York", "beats", "Oslo"], [], [], ["B-ORG", "I-ORG", "O", "B-LOC"])])
    assert mentions(rows) == [("New York", "ORG"), ("Oslo", "LOC")]
    assert reference_labels(rows) == [["B-ORG", "I-ORG", "O", "B-LOC"]]


def test_dictionary_takes_the_longest_match_and_the_most_frequent_type():
    train = sentences_to_dataset(
        [
            Sentence(["New", "York"], [], [], ["B-LOC", "I-LOC"]),
            Sentence(["York"], [], [], ["B-PER"]),
            Sentence(["Oslo", "Oslo", "Oslo"], [], [], ["B-ORG", "B-LOC", "B-LOC"]),
        ]
    )
    assert DictionaryBaseline(train).predict(["in", "New", "York", "York", "Oslo"]) == [
        "O", "B-LOC", "I-LOC", "B-PER", "B-LOC",
    ]  # fmt: skip


def test_baseline_without_training_mentions_answers_o():
    empty = sentences_to_dataset([Sentence(["a"], [], [], ["O"])])
    assert DictionaryBaseline(empty).predict(["a", "b"]) == ["O", "O"]
    assert DictionaryBaseline(empty).predict([]) == []


def test_scheme_of_scores_can_be_another_one_or_none():
    genes = LabelScheme(["O", "B-GENE", "I-GENE"])
    assert score_labels([["B-GENE"]], [["B-GENE"]], scheme=genes).f1 == 1.0
    assert score_labels([["B-GENE"]], [["B-GENE"]], scheme=None).f1 == 1.0
    with pytest.raises(ValueError, match="is not in the scheme"):
        score_labels([["B-GENE"]], [["B-GENE"]], scheme=CONLL_SCHEME)
