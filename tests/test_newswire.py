"""The book's own corpus is what its datasheet says: size, shares, variety, splits, consistency, agreement."""

import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import yaml

from ner_tutorial.baselines import mentions, unseen_share
from ner_tutorial.conll import is_iob2, read_conll
from ner_tutorial.corpus import load_corpus
from ner_tutorial.labels import entity_spans
from ner_tutorial.lint import inconsistent_surfaces, lint_folder

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "corpus"
DATA = ROOT / "ner_tutorial" / "data" / "newswire"
SPLITS = ("train", "validation", "test")
SPORT = {"football", "individual", "teams"}

sys.path.insert(0, str(CORPUS))

import agreement  # noqa: E402
from check import errors as markup_errors  # noqa: E402
from check import mask  # noqa: E402
from markup import MarkupError, parse_line, read_stories  # noqa: E402


@pytest.fixture(scope="module")
def files():
    return {split: read_conll(DATA / f"{split}.conll") for split in SPLITS}


@pytest.fixture(scope="module")
def sentences(files):
    return [sentence for split in SPLITS for sentence in files[split].sentences]


@pytest.fixture(scope="module")
def stories():
    return {story.name: story for story in read_stories(sorted((CORPUS / "stories").glob("*.txt")))}


def story_names(split: str) -> list[str]:
    return (DATA / f"{split}.stories.txt").read_text(encoding="utf-8").split()


def within(value: float, target: float, margin: float) -> bool:
    return abs(value - target) <= margin


def test_size(sentences, stories):
    assert len(sentences) >= 2400
    assert sum(len(s.tokens) for s in sentences) >= 35_000
    assert len(stories) >= 160


def test_stories_are_split_70_15_15_and_stand_in_one_split_each(stories):
    names = {split: story_names(split) for split in SPLITS}
    assert sorted(name for split in SPLITS for name in names[split]) == sorted(stories)
    shares = {split: len(names[split]) / len(stories) for split in SPLITS}
    assert within(shares["train"], 0.70, 0.02)
    assert within(shares["validation"], 0.15, 0.02)
    assert within(shares["test"], 0.15, 0.02)


def test_every_desk_is_in_every_split(stories):
    desks = {story.desk for story in stories.values()}
    for split in SPLITS:
        assert {name.rsplit("-", 1)[0] for name in story_names(split)} == desks


def test_the_package_holds_the_words_and_labels_of_the_stories(files, stories):
    for split in SPLITS:
        written = [(line.tokens, line.tags) for name in story_names(split) for line in stories[name].lines]
        assert written == [(s.tokens, s.ner_tags) for s in files[split].sentences]
        documents = [number for number, name in enumerate(story_names(split), 1) for _ in stories[name].lines]
        assert documents == [s.document for s in files[split].sentences]


def test_labels_are_valid_iob2_of_the_four_types(sentences):
    names = {"O", *(f"{p}-{t}" for p in "BI" for t in ("PER", "ORG", "LOC", "MISC"))}
    for sentence in sentences:
        assert set(sentence.ner_tags) <= names
        assert is_iob2(sentence.ner_tags)


def test_no_sentence_stands_twice(sentences):
    counts = Counter(" ".join(s.tokens) for s in sentences)
    assert counts.most_common(1)[0][1] == 1


def test_a_quarter_of_the_stories_is_sport(stories):
    assert sum(story.desk in SPORT for story in stories.values()) / len(stories) >= 0.25


def test_sentence_lengths(sentences):
    lengths = [len(s.tokens) for s in sentences]
    assert min(lengths) >= 1
    assert max(lengths) <= 60
    assert within(sum(lengths) / len(lengths), 14.5, 1.0)
    assert within(sum(n < 6 for n in lengths) / len(lengths), 0.20, 0.03)


def test_shares_of_types_and_of_outside(sentences):
    kinds = Counter(kind for s in sentences for kind, _, _ in entity_spans(s.ner_tags))
    total = kinds.total()
    for kind, target in {"LOC": 0.30, "PER": 0.28, "ORG": 0.27, "MISC": 0.15}.items():
        assert within(kinds[kind] / total, target, 0.05), kind
    labels = [label for s in sentences for label in s.ner_tags]
    assert within(labels.count("O") / len(labels), 0.83, 0.025)
    assert within(sum(set(s.ner_tags) == {"O"} for s in sentences) / len(sentences), 0.20, 0.03)


def test_most_test_mentions_are_unseen_and_many_forms_are_ambiguous():
    corpus = load_corpus("newswire")
    assert unseen_share(corpus["train"], corpus["test"]) >= 0.55
    types = defaultdict(set)
    for split in SPLITS:
        for surface, kind in mentions(corpus[split]):
            types[surface].add(kind)
    assert sum(len(kinds) > 1 for kinds in types.values()) >= 40


def test_sentences_are_not_made_from_templates(sentences, stories):
    verbs = {tuple(s.tokens): any(tag[:2] in ("VB", "MD") for tag in s.pos_tags) for s in sentences}
    lines = [line for story in stories.values() for line in story.lines if len(line.tokens) >= 6]
    with_verb = [line for line in lines if verbs[tuple(line.tokens)]]

    def unique(chosen) -> float:
        counts = Counter(map(mask, chosen))
        return sum(count == 1 for count in counts.values()) / len(chosen)

    assert len(with_verb) > 1000
    assert unique(with_verb) >= 0.97
    assert unique(lines) >= 0.80


def test_stories_open_with_headline_and_dateline(stories):
    for story in stories.values():
        dated = [i for i, line in enumerate(story.lines[:4]) if re.fullmatch(r"\d{4}-\d\d-\d\d", line.tokens[-1])]
        assert dated, story.name
        assert dated[0] >= 1, f"{story.name} has no headline"


def test_the_authors_checks_find_nothing(stories):
    assert markup_errors([line for story in stories.values() for line in story.lines]) == []


def test_names_are_annotated_alike_in_like_places(files):
    accepted = yaml.safe_load((CORPUS / "exceptions.yml").read_text(encoding="utf-8"))
    assert all(len(entry["reason"]) > 20 for entry in accepted)
    found = {re.match(r".*?'(.+?)' (?:between|is O)", line)[1] for line in inconsistent_surfaces(files)}
    assert found == {entry["surface"] for entry in accepted}


def test_lint_finds_no_error():
    assert lint_folder(DATA).errors == []


def test_silver_tags_use_the_tag_sets_of_conll():
    for rows in load_corpus("newswire").values():
        for column in ("pos_tags", "chunk_tags"):
            assert min(value for row in rows[column] for value in row) >= 0, "an unknown tag"


def test_second_pass_covers_enough_held_out_sentences_and_agrees():
    result = agreement.compare(agreement.FIRST, agreement.SECOND)
    assert result.sentences >= 300
    held_out = {name for split in ("validation", "test") for name in story_names(split)}
    assert {story.name for story in read_stories([agreement.FIRST])} <= held_out
    assert result.f1 >= 0.90
    # Every disagreement was decided: its story is named in the record.
    decided = (CORPUS / "agreement" / "adjudication.md").read_text(encoding="utf-8")
    by_sentence = {line.text: story.name for story in read_stories([agreement.FIRST]) for line in story.lines}
    for line, _, _ in result.disagreements:
        assert by_sentence[line.text] in decided


def test_agreement_is_symmetric_and_counts_by_hand(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("== a-01\n[PER Ana Roe] left [LOC Oslo] .\nNo names here .\n", encoding="utf-8")
    two.write_text("== a-01\n[PER Ana Roe] left [ORG Oslo] .\nNo names here .\n", encoding="utf-8")
    forth, back = agreement.compare(one, two), agreement.compare(two, one)
    assert forth.f1 == back.f1 == 0.5
    assert forth.by_type == {"LOC": 0.0, "ORG": 0.0, "PER": 1.0}
    assert len(forth.disagreements) == 1
    two.write_text("== a-01\n[PER Ana] left .\nNo names here .\n", encoding="utf-8")
    with pytest.raises(MarkupError, match="different words"):
        agreement.compare(one, two)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[PER Ana [LOC Oslo]", "bracket inside"),
        ("[FOO Ana]", "unknown type"),
        ("[PER Ana", "not closed"),
        ("Ana] left", "out of place"),
    ],
)
def test_markup_errors_are_named(line, message):
    with pytest.raises(MarkupError, match=message):
        parse_line(line)
