"""The table of errors: every entity once, the same F1 as seqeval; and the tests that say how sure a number is."""

import itertools

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from miniature import name_corpus, save_corpus, save_lookup_model
from seqeval.metrics import f1_score

from ner_tutorial import errors, evaluate_model
from ner_tutorial.__main__ import main
from ner_tutorial.corpus import newswire_stories
from ner_tutorial.errors import KINDS, Memory, error_table, match_entities
from ner_tutorial.labels import entity_spans

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
pairs = st.lists(
    st.integers(1, 9).flatmap(lambda n: st.tuples(*(st.lists(st.sampled_from(LABELS), min_size=n, max_size=n),) * 2)),
    min_size=1,
    max_size=8,
)


def table_of(pairs, **more):
    references, predictions = zip(*pairs, strict=True)
    sentences = [[f"w{i}" for i in range(len(row))] for row in references]
    return error_table(sentences, references, predictions, **more)


@given(pairs)
@settings(max_examples=60)
def test_every_entity_is_in_the_table_once(pairs):
    table = table_of(pairs)
    assert (table["gold_type"] != "").sum() == sum(len(entity_spans(gold)) for gold, _ in pairs)
    assert (table["predicted_type"] != "").sum() == sum(len(entity_spans(guess)) for _, guess in pairs)
    assert set(table["kind"]) <= set(KINDS)


@given(pairs)
@settings(max_examples=60)
def test_f1_from_the_table_is_seqevals(pairs):
    table = table_of(pairs)
    gold, predicted = (table["gold_type"] != "").sum(), (table["predicted_type"] != "").sum()
    right = (table["kind"] == "right").sum()
    expected = f1_score([list(a) for a, _ in pairs], [list(b) for _, b in pairs], zero_division=0)
    assert 2 * right / max(gold + predicted, 1) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ([("PER", 0, 2)], [("PER", 0, 2)], ["right"]),
        ([("PER", 0, 2)], [("LOC", 0, 2)], ["wrong type"]),
        ([("PER", 0, 2)], [("PER", 1, 2)], ["wrong boundary"]),
        ([("PER", 0, 2)], [("LOC", 1, 3)], ["both wrong"]),
        ([("PER", 0, 2)], [], ["missed"]),
        ([], [("PER", 0, 2)], ["invented"]),
        # Two predicted parts of one name: one is the partner, the other is invented.
        ([("PER", 0, 3)], [("PER", 0, 2), ("PER", 2, 3)], ["wrong boundary", "invented"]),
        # The exact pair is made first, whatever else overlaps.
        ([("PER", 0, 1), ("LOC", 1, 3)], [("LOC", 0, 1), ("LOC", 1, 3)], ["wrong type", "right"]),
    ],
)
def test_each_kind_of_mistake(gold, predicted, kinds):
    assert [row[0] for row in match_entities(gold, predicted)] == kinds


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["OSLO", "2"], "capitals"), (["Oslo"], "capitalised"), (["von", "Velt"], "mixed"), (["oslo"], "lower"),
        (["2030"], "no letters"),
    ],
)  # fmt: skip
def test_casing(words, expected):
    assert errors.casing(words) == expected


def test_how_much_of_an_entity_was_seen():
    memory = Memory([["Nora", "Velt", "in", "Oslo"]], [["B-PER", "I-PER", "O", "B-LOC"]])
    assert memory.seen(["Oslo"], "LOC") == "same type"
    assert memory.seen(["Oslo"], "ORG") == "another type"
    assert memory.seen(["Oslo", "Rovers"], "ORG") == "some word seen"
    assert memory.seen(["Lima"], "LOC") == "all words new"


def test_the_columns_say_what_they_name():
    gold, guess = ["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "O", "O", "B-LOC"]
    table = error_table(
        [["Nora", "Velt", "in", "OSLO"]], [gold], [guess], stories=["teams-01"], probabilities=[[0.9, 0.8, 0.7, 0.6]]
    )
    first, second = table.to_dict("records")
    assert (first["kind"], first["gold"], first["predicted"]) == ("wrong boundary", "Nora Velt", "Nora")
    assert (first["genre"], first["length"], first["score"]) == ("teams", 2, pytest.approx(0.9))
    assert (second["kind"], second["casing"], second["score"]) == ("right", "capitals", pytest.approx(0.6))


def test_a_sentence_with_too_few_labels_is_named():
    with pytest.raises(ValueError, match="sentence 1: 2 words, 1 gold"):
        error_table([["a"], ["a", "b"]], [["O"], ["O"]], [["O"], ["O", "O"]])


def test_scores_by_a_column_of_gold_entities_speak_of_recall_only():
    table = table_of([(["B-PER", "O", "B-LOC"], ["B-PER", "B-LOC", "O"])])
    by_type = errors.scores_by(table, "gold_type")
    assert list(by_type.columns) == ["entities", "right", "recall"]
    assert by_type.loc["PER", "recall"] == 1
    assert by_type.loc["LOC", "recall"] == 0
    by_kind = errors.scores_by(table.assign(genre="g"), "genre")
    assert by_kind.loc["g", "f1"] == pytest.approx(0.5)


def test_confusion_counts_types_with_what_was_missed_and_invented():
    table = table_of([(["B-PER", "O", "B-LOC"], ["B-LOC", "B-LOC", "O"])])
    matrix = errors.type_confusion(table)
    assert matrix.loc["PER", "LOC"] == 1
    assert matrix.loc["LOC", "(missed)"] == 1
    assert matrix.loc["(invented)", "LOC"] == 1


def test_worst_sentences_come_first():
    table = table_of([(["B-PER"], ["B-PER"]), (["B-PER", "B-LOC"], ["O", "O"]), (["B-PER"], ["O"])])
    assert errors.worst_sentences(table) == [1, 2]


def test_calibration_counts_each_predicted_entity_once():
    table = table_of([(["B-PER", "B-LOC"], ["B-PER", "B-PER"])], probabilities=[[0.95, 0.6]])
    rows = errors.calibration(table)
    assert rows["entities"].sum() == 2
    assert rows["share right"].dropna().tolist() == [0.0, 1.0]
    assert rows.index.tolist() == ["0 to 0.5", "0.5 to 0.7", "0.7 to 0.9", "0.9 to 0.99", "0.99 to 1"]


def answers(rng, count: int, right: float) -> list[list[str]]:
    return [["B-PER" if rng.random() < right else "O"] for _ in range(count)]


def test_an_interval_holds_the_score_and_groups_widen_it():
    rng = np.random.default_rng(1)
    stories = [i // 20 for i in range(400)]
    # All sentences of a story are right or wrong together.
    lucky = rng.random(20) < 0.7
    guess = [["B-PER" if lucky[story] else "O"] for story in stories]
    gold = [["B-PER"]] * 400
    low, high = errors.bootstrap_f1(gold, guess)
    wide_low, wide_high = errors.bootstrap_f1(gold, guess, stories)
    score = f1_score(gold, guess)
    assert wide_low < low < score < high < wide_high


def test_a_paired_test_tells_alike_from_different():
    rng = np.random.default_rng(2)
    gold = [["B-PER"]] * 300
    one, other, better = answers(rng, 300, 0.7), answers(rng, 300, 0.7), answers(rng, 300, 0.95)
    difference, p = errors.paired_test(gold, one, better)
    assert difference > 0.1
    assert p < 0.01
    assert errors.paired_test(gold, one, one) == (0.0, 1.0)
    assert errors.paired_test(gold, one, other)[1] > 0.05


def test_confident_learning_finds_planted_errors():
    rng = np.random.default_rng(3)
    true = rng.integers(0, 3, 600)
    probabilities = np.full((600, 3), 0.05)
    probabilities[np.arange(600), true] = 0.9
    given_labels = true.copy()
    planted = rng.choice(600, 30, replace=False)
    given_labels[planted] = (given_labels[planted] + 1) % 3
    found = errors.suspected_labels(given_labels, probabilities)
    assert set(found) == set(planted)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_sentence_of_the_newswire_has_its_story(split, newswire):
    stories = newswire_stories(split)
    assert len(stories) == len(newswire[split])
    # Sentences of a story stand together.
    changes = sum(a != b for a, b in itertools.pairwise(stories))
    assert changes == len(set(stories)) - 1


def test_an_evaluation_has_the_probability_of_every_label(make_lookup_tagger, tiny_tokenizer, newswire):
    split = newswire["test"].select(range(4))
    found = evaluate_model(make_lookup_tagger({"the": "B-PER"}), split, tiny_tokenizer)
    for words, chances, chosen, names in zip(
        split["tokens"], found.label_probabilities, found.probabilities, found.predictions, strict=True
    ):
        assert chances.shape == (len(words), found.scheme.num_labels)
        assert chances.sum(1) == pytest.approx(1.0)
        assert chosen == pytest.approx([chances[i, found.scheme.label2id[name]] for i, name in enumerate(names)])


def test_the_command_prints_the_tables_and_writes_every_entity_once(tmp_path):
    model = save_lookup_model(tmp_path / "model")
    folder = tmp_path / "corpus"
    folder.mkdir()
    save_corpus(folder, name_corpus(noise=0.2))
    arguments = ["errors", "--model", str(model), "--corpus", str(folder), "--csv", str(tmp_path / "table.csv")]
    first = CliRunner().invoke(main, arguments)
    assert first.exit_code == 0, first.output
    assert "wrong type" in first.output
    assert "By seen in training" in first.output
    rows = pd.read_csv(tmp_path / "table.csv")
    assert set(rows["kind"]) <= set(KINDS)
    assert len(rows) > 20
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "table.csv exists; name a new file" in again.output


def test_a_table_without_entities_has_its_columns():
    empty = table_of([(["O"], ["O"])])
    assert list(errors.scores_by(empty, "genre").columns) == ["entities", "right", "recall", "precision", "f1"]
    assert errors.worst_sentences(empty) == []
    assert errors.count_kinds(empty).sum() == 0
