"""The maintenance reports of chapter 9: the export is what its program writes, and import finds what was planted."""

import json
import runpy
from collections import Counter
from pathlib import Path

import pytest

from ner_tutorial import Encoder, import_files, load_tokenizer
from ner_tutorial.labels import LabelScheme, entity_spans

ROOT = Path(__file__).resolve().parent.parent
EXPORT = ROOT / "ner_tutorial" / "data" / "maintenance" / "export.jsonl"
PROGRAM = runpy.run_path(str(ROOT / "corpus" / "maintenance" / "build.py"))

# What each planted span leads to: one problem, or two where the wrong span takes the words of a right one.
EXPECTED = {
    "M-004": [("white space at its ends", "kept")],
    "M-009": [("only white space", "dropped")],
    "M-013": [("cuts a word", "kept"), ("same words twice", "dropped")],
    "M-016": [("same words with another type", "dropped")],
    "M-018": [("same words twice", "dropped")],
    "M-022": [("inside a longer one", "dropped")],
    "M-026": [("crosses a line end", "kept"), ("inside a longer one", "dropped")],
    "M-034": [("cuts a word", "kept")],
    "M-037": [("crosses another", "dropped")],
    "M-060": [("outside the text", "dropped")],
}


@pytest.fixture(scope="module")
def imported():
    cut = Encoder(load_tokenizer("minilm"), LabelScheme(["O", "B-X", "I-X"])).word_rule.cut
    return import_files([EXPORT], cut)


def test_the_export_is_what_the_program_writes():
    rows = [json.loads(line) for line in EXPORT.read_text(encoding="utf-8").splitlines()]
    assert rows == json.loads(json.dumps(PROGRAM["export"]()))


def test_import_finds_exactly_the_planted_flaws(imported):
    assert {report for report, *_ in PROGRAM["PLANTED"]} == set(EXPECTED)
    met = {}
    for problem in imported.problems:
        line = int(problem.where.rpartition("line ")[2])
        met.setdefault(f"M-{line:03}", []).append((problem.kind, problem.done[:7].split(",")[0].split(";")[0]))
    assert {report: sorted(problems) for report, problems in met.items()} == EXPECTED


def test_nothing_is_lost_and_there_is_enough_to_learn_from(imported):
    rows = [json.loads(line) for line in EXPORT.read_text(encoding="utf-8").splitlines()]
    assert imported.kept + imported.dropped == sum(len(row["label"]) for row in rows)
    sentences = [sentence for document in imported.documents.values() for sentence in document]
    assert len(imported.documents) == len(rows) == 60
    assert len(sentences) >= 300
    kinds = Counter(kind for sentence in sentences for kind, _, _ in entity_spans(sentence.ner_tags))
    assert sum(kinds.values()) == imported.kept
    assert set(kinds) == {"UNIT", "PART", "FAULT", "TOOL"}
    assert kinds["TOOL"] == 15  # the rare type that chapter 9 speaks of


def test_the_right_spans_of_the_reports_all_come_through(imported):
    """Beside the planted ones; two right spans give way to planted ones that are longer or the same."""
    marked = sum(len(spans) for _, _, spans in PROGRAM["reports"]())
    assert imported.kept + imported.dropped == marked + len(PROGRAM["PLANTED"])


def test_the_package_carries_the_export():
    assert '"data/maintenance/*"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
