"""From what annotation tools export to a corpus: every span is kept or its problem is said, and splits share no document."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from miniature import save_lookup_model

from ner_tutorial import (
    Sentence,
    import_files,
    label_spans,
    lint_folder,
    load_corpus,
    read_annotations,
    read_conll,
    write_corpus,
)
from ner_tutorial.__main__ import main
from ner_tutorial.annotation_files import AnnotationError
from ner_tutorial.annotation_formats import Span
from ner_tutorial.annotations import offset_unit
from ner_tutorial.labels import entity_spans
from ner_tutorial.tagging import is_iob2

TEXT = "Nora Velt repaired the pump in Oslo."
SPANS = [(0, 9, "PER"), (31, 35, "LOC")]


def as_doccano(key="label"):
    return {"id": 1, "text": TEXT, key: [list(span) for span in SPANS]}


EXPORTS = {
    "doccano": [as_doccano()],
    "doccano, older": [as_doccano("labels")],
    "doccano with relations": [
        {"text": TEXT, "entities": [{"id": 1, "start_offset": a, "end_offset": b, "label": t} for a, b, t in SPANS], "relations": []}
    ],
    "label-studio": [
        {
            "id": 7,
            "data": {"text": TEXT},
            "annotations": [
                {"was_cancelled": True, "result": []},
                {
                    "was_cancelled": False,
                    "result": [
                        {"type": "labels", "value": {"start": a, "end": b, "text": TEXT[a:b], "labels": [t]}}
                        for a, b, t in SPANS
                    ],
                },
            ],
        }
    ],
    "label-studio-min": [
        {"id": 7, "text": TEXT, "label": [{"start": a, "end": b, "text": TEXT[a:b], "labels": [t]} for a, b, t in SPANS]}
    ],
    "label-studio-min, under another name": [
        {"id": 7, "sentence": TEXT, "ner": [{"start": a, "end": b, "labels": [t]} for a, b, t in SPANS]}
    ],
    "prodigy": [
        {
            "text": TEXT,
            "tokens": [{"text": "Nora", "start": 0, "end": 4, "id": 0, "ws": True}],
            "spans": [{"start": a, "end": b, "label": t, "token_start": 0, "token_end": 1} for a, b, t in SPANS],
            "_view_id": "ner_manual",
            "answer": "accept",
        }
    ],
    "spacy": [[TEXT, {"entities": SPANS}]],
    "spacy, one object per line": [{"text": TEXT, "entities": SPANS}],
    "ubiai": [
        {"document": TEXT, "tokens": [{"text": TEXT[a:b], "start": a, "end": b, "entityLabel": t} for a, b, t in SPANS]}
    ],
}  # fmt: skip


@pytest.fixture
def export(tmp_path):
    """``export(records)`` writes JSON lines (or, with ``lines=False``, one list) and returns the path."""

    def write(records, lines=True, name="export.jsonl"):
        path = tmp_path / name
        content = "\n".join(json.dumps(row, ensure_ascii=False) for row in records) if lines else json.dumps(records)
        path.write_text(content, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("lines", [True, False], ids=["JSON lines", "JSON"])
@pytest.mark.parametrize("tool", EXPORTS)
def test_export_is_recognised_and_read(export, tool, lines):
    found = read_annotations(export(EXPORTS[tool], lines))
    assert found.format == tool.partition(",")[0].partition(" ")[0]
    (row,) = found.texts
    assert row.text == TEXT
    assert [(span.start, span.end, span.type) for span in row.spans] == SPANS
    assert read_annotations(export(EXPORTS[tool], lines), found.format).texts == found.texts


def test_lighttag_is_read(export):
    rows = [{"content": TEXT, "annotations": [{"start": a, "end": b, "tag": t} for a, b, t in SPANS]}]
    found = read_annotations(export({"examples": rows}, lines=False))
    assert (found.format, len(found.texts[0].spans)) == ("lighttag", 2)


def test_brat_folder_is_read_with_what_it_cannot_hold(tmp_path):
    text = "Nora Velt and Ola Velt left.\r\nOslo"
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "a.ann").write_text(
        "T1\tPER 0 9\tNora Velt\nT2\tPER 0 4;5 9\tNora Velt\nT3\tLOC 30 34\tOslo\nR1\tknows Arg1:T1 Arg2:T2\n#1\tNote T1\tx\n",
        encoding="utf-8",
    )
    found = read_annotations(tmp_path)
    (row,) = found.texts
    assert (row.text, row.document) == (text, "a")
    assert [span.parts for span in row.spans] == [1, 2, 1]
    assert sum(found.left_out.values()) == 2
    labelled = label_spans(row.text, row.spans)
    assert [problem.kind for problem in labelled.problems] == ["discontinuous"]
    assert [s.tokens for s in labelled.sentences()] == [["Nora", "Velt", "and", "Ola", "Velt", "left", "."], ["Oslo"]]
    assert labelled.labels[-1] == "B-LOC"


def test_given_and_sought_annotations_of_bionlp_are_one(tmp_path):
    (tmp_path / "a.txt").write_text("IL-2 binds", encoding="utf-8")
    (tmp_path / "a.a1").write_text("T1\tProtein 0 4\tIL-2\n", encoding="utf-8")
    (tmp_path / "a.a2").write_text("T2\tBinding 5 10\tbinds\nE1\tBinding:T2\n", encoding="utf-8")
    (row,) = read_annotations(tmp_path).texts
    assert [span.type for span in row.spans] == ["Protein", "Binding"]


def test_half_a_character_is_left_out_with_its_text_and_the_others_stay(export):
    found = read_annotations(export([{"text": "a \ud83d b", "label": []}, as_doccano()], lines=False))
    assert len(found.texts) == 1
    assert "left out: 1 texts with half a character" in found.notes[0]


def test_webanno_is_refused_with_the_export_that_is_read(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("#FORMAT=WebAnno TSV 3.3\n#T_SP=x|value\n\n#Text=Nora\n1-1\t0-4\tNora\tPER\n", encoding="utf-8")
    for read in (read_annotations, read_conll, lambda p: import_files([p])):
        with pytest.raises(ValueError, match="WebAnno's TSV; export from INCEpTION or WebAnno as CoNLL 2002"):
            read(path)


def test_what_was_rejected_ignored_or_cancelled_is_left_out_and_counted(export):
    row = EXPORTS["prodigy"][0]
    rows = [
        row,
        {**row, "text": "x", "answer": "reject"},
        {**row, "text": "y", "answer": "ignore"},
        {**row, "answer": "reject"},
    ]
    found = read_annotations(export(rows))
    assert len(found.texts) == 1
    assert found.left_out == {"texts that were answered with reject": 2, "texts that were answered with ignore": 1}
    studio = EXPORTS["label-studio"][0]
    cancelled = {**studio, "annotations": [{"was_cancelled": True, "result": []}], "data": {"text": "z"}}
    found = read_annotations(export([studio, cancelled]))
    assert +found.left_out == {"annotations that were cancelled": 2, "texts without an annotation": 1}
    assert "left out: 2 annotations that were cancelled" in found.notes


def test_text_that_occurs_again_is_read_once_and_counted(export):
    other = {**as_doccano(), "label": []}
    found = read_annotations(export([as_doccano(), as_doccano(), other]))
    assert len(found.texts) == 1
    assert found.left_out == {
        "texts that occur again with the same spans": 1,
        "texts that occur again with other spans": 1,
    }


@pytest.mark.parametrize("mark", [{"_view_id": "ner"}, {}], ids=["as it says", "by its form"])
def test_binary_session_is_refused_with_the_reason(export, mark):
    rows = [
        {"text": TEXT, "spans": [{"start": a, "end": b, "label": t}], "answer": "accept", **mark} for a, b, t in SPANS
    ]
    with pytest.raises(AnnotationError, match=r"a binary session: each answer judges one span.*ner\.manual"):
        read_annotations(export(rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a", "label": [[0, 1]]}', "line 1|record 1"),
        ('{"title": "a"}', "not the export of a known tool .its fields are title"),
        ('{"text": "a", "label": []}\nnonsense\n', "line 2: no JSON"),
        ("", "no JSON|holds no record"),
        ("[]", "holds no record"),
        ('{"text": 5, "label": []}', "the text is '5', not a text"),
        (
            '{"text": "a", "annotations": [{"label": 3, "start_offset": 0, "end_offset": 1, "user": 1}]}',
            "the labels are numbers",
        ),
    ],
)
def test_what_is_no_export_is_refused_with_its_place(tmp_path, content, message):
    path = tmp_path / "export.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(AnnotationError, match=message):
        read_annotations(path)


def test_other_encodings_binary_files_and_missing_files_are_refused(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(json.dumps(as_doccano()).encode("utf-16"))
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "Z\xfcrich", "label": []}')
    (tmp_path / "c.spacy").write_bytes(b"\x78\x9c")
    for name, message in {"a.jsonl": "UTF-16", "b.jsonl": "byte 0xfc is not UTF-8", "c.spacy": "DocBin"}.items():
        with pytest.raises(ValueError, match=message):
            read_annotations(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no annotations at"):
        read_annotations(tmp_path / "d.jsonl")


# ------------------------------------------------------------------------------------------------ spans and their faults


def test_spans_become_words_and_labels():
    labelled = label_spans(TEXT, SPANS)
    assert labelled.words == ["Nora", "Velt", "repaired", "the", "pump", "in", "Oslo", "."]
    assert labelled.labels == ["B-PER", "I-PER", "O", "O", "O", "O", "B-LOC", "O"]
    assert [TEXT[start:end] for start, end in labelled.places] == labelled.words
    assert (labelled.problems, labelled.kept, labelled.dropped) == ([], 2, 0)


PROBLEMS = {
    "outside the text": ("Nora left", [(5, 99, "PER")], "dropped", ["O", "O"]),
    "only white space": ("Nora  left", [(4, 6, "PER")], "dropped", ["O", "O"]),
    "white space at its ends": ("Nora left", [(0, 5, "PER")], "kept, trimmed", ["B-PER", "O"]),
    "cuts a word": ("Nora left", [(0, 3, "PER")], "kept, widened to 'Nora'", ["B-PER", "O"]),
    "inside a longer one": ("Bank of Oslo", [(0, 12, "ORG"), (8, 12, "LOC")], "dropped; ORG is kept", ["B-ORG", "I-ORG", "I-ORG"]),
    "crosses another": ("a b c d", [(0, 5, "X"), (4, 7, "Y")], "dropped; X is kept", ["B-X", "I-X", "I-X", "O"]),
    "same words twice": ("Nora left", [(0, 4, "PER"), (0, 4, "PER")], "dropped; PER is kept", ["B-PER", "O"]),
    "same words with another type": ("Oslo won", [(0, 4, "LOC"), (0, 4, "ORG")], "dropped; LOC is kept", ["B-LOC", "O"]),
    "discontinuous": ("Nora and Ola", [Span(0, 12, "PER", parts=2)], "dropped", ["O", "O", "O"]),
    "crosses a line end": ("New\nHaven", [(0, 9, "LOC")], "kept, its lines are one sentence", ["B-LOC", "I-LOC"]),
    "differs from its recorded text": ("Nora left", [Span(0, 4, "PER", "Oslo")], "dropped", ["O", "O"]),
    "has no type": ("Nora left", [(0, 4, " ")], "dropped", ["O", "O"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", PROBLEMS)
def test_problem_is_named_with_what_was_done(kind):
    text, spans, done, labels = PROBLEMS[kind]
    labelled = label_spans(text, spans, where="export.jsonl, line 1")
    assert [(problem.kind, problem.done) for problem in labelled.problems] == [(kind, done)]
    assert labelled.labels == labels
    assert labelled.dropped == done.startswith("dropped")
    assert labelled.kept + labelled.dropped == len(spans)
    assert str(labelled.problems[0]).startswith("export.jsonl, line 1, ")


def test_white_space_in_a_type_becomes_a_line():
    assert label_spans("Nora", [(0, 4, "field  engineer")]).labels == ["B-field_engineer"]


texts = st.text(st.sampled_from("ab .,\n-é😀日本"), max_size=30)


@given(texts, st.lists(st.tuples(st.integers(-2, 34), st.integers(-2, 34), st.sampled_from("XY")), max_size=8))
def test_every_span_is_kept_or_dropped_with_a_problem(text, spans):
    labelled = label_spans(text, spans)
    assert labelled.kept + labelled.dropped == len(spans)
    assert labelled.dropped == sum(problem.dropped for problem in labelled.problems)
    assert labelled.kept == len(entity_spans(labelled.labels))
    assert is_iob2(labelled.labels)
    assert len(labelled.words) == len(labelled.labels) == len(labelled.places)
    assert [text[start:end] for start, end in labelled.places] == labelled.words
    rows = labelled.sentences()
    assert [word for row in rows for word in row.tokens] == labelled.words
    assert all(is_iob2(row.ner_tags) for row in rows)


@given(st.lists(st.sampled_from(["Nora", "Velt", "😀", "Zoë", "日本", "ok"]), min_size=1, max_size=8), st.data())
def test_offsets_in_every_unit_give_the_same_labels(words, data):
    text = " ".join(words)
    chosen = data.draw(st.sets(st.integers(0, len(words) - 1)))
    starts = [len(" ".join(words[:i])) + (i > 0) for i in range(len(words))]
    plain = [(starts[i], starts[i] + len(words[i]), "X") for i in chosen]
    units = {
        "characters": lambda t: len(t),
        "utf-16": lambda t: len(t.encode("utf-16-le")) // 2,
        "bytes": lambda t: len(t.encode()),
    }
    expected = label_spans(text, plain)
    for unit, size in units.items():
        spans = [(size(text[:a]), size(text[:b]), kind) for a, b, kind in plain]
        assert label_spans(text, spans, offsets=unit).labels == expected.labels


@pytest.mark.parametrize("recorded", [True, False], ids=["with their text", "without"])
@pytest.mark.parametrize("unit", ["characters", "utf-16", "bytes"])
def test_unit_of_the_offsets_is_found(export, unit, recorded):
    text = "😀 Zoë met Nora Velt in Oslo"
    size = {"characters": len, "utf-16": lambda t: len(t.encode("utf-16-le")) // 2, "bytes": lambda t: len(t.encode())}[
        unit
    ]
    spans = []
    for name in ("Zoë", "Nora Velt", "Oslo"):
        at = text.index(name)
        value = {"start": size(text[:at]), "end": size(text[: at + len(name)]), "labels": ["X"]}
        spans.append({**value, "text": name} if recorded else value)
    path = export([{"text": text, "label": spans}])
    assert offset_unit(read_annotations(path).texts) == unit
    result = import_files([path])
    assert (result.kept, result.dropped, result.problems) == (3, 0, [])
    assert any("offsets count" in note for note in result.notes) == (unit != "characters")


def test_offsets_that_count_a_line_end_once_are_found(export):
    text = "Log:\r\nNora\r\nOslo"
    spans = [
        {"start": 5, "end": 9, "text": "Nora", "labels": ["P"]},
        {"start": 10, "end": 14, "text": "Oslo", "labels": ["L"]},
    ]
    result = import_files([export([{"text": text, "label": spans}])])
    assert (result.kept, result.dropped) == (2, 0)


@pytest.mark.parametrize("text", ["李明在北京工作。", "東京でノラに会った", "โนราอยู่ออสโล"])
def test_scripts_without_spaces_are_cut_as_the_tagger_cuts_them(text):
    from ner_tutorial.words import WordRule

    cut = WordRule().cut
    labelled = label_spans(text, [(0, 2, "X")], cut=cut)
    assert labelled.words == [text[start:end] for start, end in cut(text)]
    assert labelled.kept == 1
    assert len(labelled.words) > 3


# ---------------------------------------------------------------------------------------------------------- the splits


def documents(sizes) -> dict[str, list[Sentence]]:
    return {
        f"doc{number}": [Sentence([f"d{number}", f"s{i}"], [], [], ["B-X", "O"]) for i in range(size)]
        for number, size in enumerate(sizes)
    }


def files_of(folder) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


@given(st.lists(st.integers(1, 9), min_size=3, max_size=12), st.integers(0, 3))
def test_no_document_stands_in_two_splits(tmp_path_factory, sizes, seed):
    folder = tmp_path_factory.mktemp("splits") / "corpus"
    counts = write_corpus(folder, documents(sizes), seed=seed)
    corpus = load_corpus(folder)
    assert {split: len(rows) for split, rows in corpus.items()} == counts
    assert sum(counts.values()) == sum(sizes)
    assert all(counts.values())
    names = [{words[0] for words in rows["tokens"]} for rows in corpus.values()]
    assert sum(map(len, names)) == len(set.union(*names)) == len(sizes)
    assert lint_folder(folder).errors == []


def test_same_seed_gives_the_same_files_and_shares_are_near(tmp_path):
    rows = documents([5] * 40)
    counts = [write_corpus(tmp_path / name, rows, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b") != files_of(tmp_path / "c")
    assert counts[0] == {"train": 160, "validation": 20, "test": 20}


def test_too_few_documents_and_folders_in_use_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"2 documents cannot fill 3 splits; split by sentence .*--split-by sentence"):
        write_corpus(tmp_path / "new", documents([5, 5]))
    assert write_corpus(tmp_path / "new", documents([5, 5]), split_by="sentence")["train"] == 8
    with pytest.raises(FileExistsError, match="exists already; name a new folder"):
        write_corpus(tmp_path / "new", documents([1, 1, 1]))
    with pytest.raises(ValueError, match="unknown split_by 'page'"):
        write_corpus(tmp_path / "other", documents([1, 1, 1]), split_by="page")


# ------------------------------------------------------------------------------------------------------ the command


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_lookup_model(tmp_path_factory.mktemp("lookup"))


def command(*arguments, **options):
    return CliRunner(env={"COLUMNS": "100"}).invoke(main, ["import", *map(str, arguments)], **options)


def test_command_makes_a_corpus_that_loads(export, encoder, tmp_path):
    rows = [{"text": f"Case {i}: Nora left Oslo.", "label": [[8, 12, "PER"], [18, 22, "LOC"]]} for i in range(6)]
    result = command(export(rows), "--output", tmp_path / "corpus", "--checkpoint", encoder)
    assert result.exit_code == 0, result.output
    assert "12 spans: 12 kept, 0 dropped" in result.stdout
    corpus = load_corpus(tmp_path / "corpus")
    assert corpus["train"].features["ner_tags"].feature.names == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert sum(map(len, corpus.values())) == 6


def test_command_ends_with_1_if_a_span_was_dropped_unless_that_is_allowed(export, encoder, tmp_path):
    rows = [{"text": f"Case {i}: Nora left.", "label": [[8, 12, "PER"], [8, 99, "PER"]]} for i in range(4)]
    path = export(rows)
    result = command(path, "--output", tmp_path / "one", "--checkpoint", encoder)
    assert result.exit_code == 1
    assert "outside the text" in result.stdout
    assert f"{path}, line 1, 8 to 99, PER" in result.stdout
    assert result.stderr.startswith("Error: 4 spans were dropped")
    assert sum(map(len, load_corpus(tmp_path / "one").values())) == 4
    assert command(path, "--output", tmp_path / "two", "--checkpoint", encoder, "--allow-dropped").exit_code == 0


def test_command_splits_a_column_file_by_its_documents(encoder, tmp_path):
    path = tmp_path / "all.bioes"
    path.write_text("".join(f"-DOCSTART-\tO\n\nNora\tS-PER\nran\tO\n\nd{i}\tO\n\n" for i in range(5)), encoding="utf-8")
    refused = command(path, "--output", tmp_path / "corpus", "--checkpoint", encoder)
    assert refused.exit_code == 1
    assert "the file is BIOES" in refused.stderr
    result = command(path, "--output", tmp_path / "corpus", "--checkpoint", encoder, "--convert")
    assert result.exit_code == 0, result.output
    assert {split: len(rows) for split, rows in load_corpus(tmp_path / "corpus").items()} == {
        "train": 6, "validation": 2, "test": 2,
    }  # fmt: skip


def test_rows_of_characters_become_words(encoder, tmp_path):
    lines = [f"## {i}\ttext\n노\tB-PS\n라\tI-PS\n는\tO\n \tO\n{i}\tO\n봐\tO\n\n" for i in range(4)]
    path = tmp_path / "klue_dev.tsv"
    path.write_text("".join(lines), encoding="utf-8")
    result = command(path, "--output", tmp_path / "corpus", "--checkpoint", encoder, "--allow-dropped")
    assert result.exit_code == 0, result.output
    assert "4 spans: 4 kept, 0 dropped" in result.stdout
    corpus = load_corpus(tmp_path / "corpus")
    assert "노라는" in corpus["train"]["tokens"][0]


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "plain text\n"])
def test_command_on_something_else_is_one_line(content, encoder, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    result = command(path, "--output", tmp_path / "corpus", "--checkpoint", encoder)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "corpus").exists()
