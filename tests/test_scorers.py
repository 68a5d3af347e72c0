"""Other people's scorers on the same labels: F1 agrees to the last digit, the kinds of mistakes do not, as chapter 8 says."""

from collections import Counter, defaultdict
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score

from ner_tutorial import CONLL_SCHEME, evaluate_model
from ner_tutorial.errors import count_kinds, error_table, match_entities
from ner_tutorial.labels import entity_spans

CHAPTER = Path(__file__).parent.parent / "book" / "08_error_analysis.ipynb"
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
# Any sequence of labels, the impossible ones too: all scorers start an entity at an I- that continues nothing.
rows = st.lists(
    st.integers(1, 9).flatmap(lambda n: st.tuples(*(st.lists(st.sampled_from(LABELS), min_size=n, max_size=n),) * 2)),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def predicted(make_lookup_tagger, tiny_tokenizer, newswire):
    """Gold and predicted labels of the test split, from a model that knows the most frequent label per first piece.

    It finds many entities, few of them whole, and writes impossible sequences with greedy decoding.
    """
    seen = defaultdict(Counter)
    for words, tags in zip(newswire["train"]["tokens"], newswire["train"]["ner_tags"], strict=True):
        for word, tag in zip(words, tags, strict=True):
            seen[tiny_tokenizer.tokenize(word)[0]][CONLL_SCHEME.names[tag]] += 1
    labels = {piece: counts.most_common(1)[0][0] for piece, counts in seen.items()}
    found = evaluate_model(make_lookup_tagger(labels), newswire["test"], tiny_tokenizer, decoding="greedy")
    return found.references, found.predictions


def ours(references, predictions) -> dict[str, int]:
    kinds = count_kinds(error_table([["w"] * len(row) for row in references], references, predictions))
    wrong = kinds["wrong type"] + kinds["wrong boundary"] + kinds["both wrong"]
    return {"right": kinds["right"], "wrong": wrong, "missed": kinds["missed"], "invented": kinds["invented"]}


def of_nervaluate(references, predictions):
    evaluator = pytest.importorskip("nervaluate.evaluator")
    types = sorted({label[2:] for row in [*references, *predictions] for label in row if label != "O"})
    strict = evaluator.Evaluator(list(references), list(predictions), tags=types, loader="list").evaluate()
    return strict["overall"]["strict"]


def of_seqscore(references, predictions):
    scoring = pytest.importorskip("seqscore.scoring")
    score, _ = scoring.score_label_sequences(predictions, references, "BIO", repair="conlleval")
    return score


def compare(references, predictions) -> None:
    """Everything that chapter 8 says about the three ways of counting."""
    f1, kinds = f1_score(references, predictions, zero_division=0), ours(references, predictions)
    paired = of_nervaluate(references, predictions)
    assert paired.f1 == pytest.approx(f1, abs=1e-12)
    # Of as many entities in all, it never pairs fewer than we do.
    assert paired.correct == kinds["right"]
    more = paired.incorrect - kinds["wrong"]
    assert more >= 0
    assert (paired.missed, paired.spurious) == (kinds["missed"] - more, kinds["invented"] - more)
    unpaired = of_seqscore(references, predictions)
    assert unpaired.f1 == pytest.approx(f1, abs=1e-12)
    assert unpaired.false_neg == kinds["wrong"] + kinds["missed"]
    assert unpaired.false_pos == kinds["wrong"] + kinds["invented"]


@given(rows)
@settings(max_examples=100, deadline=None)
def test_three_scorers_on_any_labels(rows):
    compare(*map(list, zip(*rows, strict=True)))


def test_three_scorers_on_the_answers_of_a_model(predicted):
    kinds = ours(*predicted)
    assert min(kinds.values()) > 20, kinds  # every kind of mistake is there
    compare(*predicted)


def test_one_long_answer_across_two_entities_is_counted_in_two_ways():
    references = [["B-MISC", "B-ORG", "I-ORG", "I-ORG"]]
    predictions = [["B-ORG", "I-ORG", "I-ORG", "B-ORG"]]
    assert ours(references, predictions) == {"right": 0, "wrong": 1, "missed": 1, "invented": 1}
    paired = of_nervaluate(references, predictions)
    assert (paired.incorrect, paired.missed, paired.spurious) == (2, 0, 0)


def chapters_ways() -> dict:
    """What the chapter's cell defines: the ways of both scorers."""
    cells = nbformat.read(CHAPTER, as_version=4).cells
    source = next(cell.source for cell in cells if cell["id"] == "two-scorers-cell")
    names = {}
    exec(compile(source, "cell", "exec"), names)
    return names


@given(rows)
@settings(max_examples=60, deadline=None)
def test_the_chapters_way_in_reading_order_is_nervaluates(rows):
    in_reading_order = chapters_ways()["in_reading_order"]
    for gold, guess in rows:
        paired = of_nervaluate([gold], [guess])
        counts = Counter(kind for kind, _, _ in in_reading_order(entity_spans(gold), entity_spans(guess)))
        expected = (paired.correct, paired.incorrect, paired.missed, paired.spurious)
        assert tuple(counts[kind] for kind in ("right", "wrong", "missed", "invented")) == expected


def test_pairs_of_the_chapters_way_and_ours_name_each_entity_once():
    gold, guess = [("MISC", 0, 1), ("ORG", 1, 4)], [("ORG", 0, 3), ("ORG", 3, 4)]
    for pairs in (match_entities(gold, guess), chapters_ways()["in_reading_order"](gold, guess)):
        assert sorted(g for _, g, _ in pairs if g) == gold
        assert sorted(p for _, _, p in pairs if p) == guess
