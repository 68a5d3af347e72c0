"""The linter: each defect in a made folder is reported with file and line, and a clean folder is left in peace."""

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from ner_tutorial import Sentence, lint_folder, write_conll
from ner_tutorial.__main__ import main
from ner_tutorial.labels import entity_spans

WIKIGOLD = Path(__file__).parents[2] / "shared" / "data" / "wikigold"

CLEAN = {
    "train.conll": "Nora B-PER\nleft O\nOslo B-LOC\n\nNothing O\nhappened O\nthere O\nin O\nthe O\nmorning O\n",
    "test.conll": "Velt B-PER\nstayed O\n",
}


@pytest.fixture
def lint(tmp_path):
    """``lint({"name": text}, **options)`` writes the files and reports on their folder."""

    def lint_files(contents: dict[str, str | bytes], **options):
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return lint_folder(tmp_path, **options)

    return lint_files


def test_clean_folder_has_no_errors_and_no_warnings(lint):
    report = lint(CLEAN)
    assert (report.errors, report.warnings) == ([], [])
    assert [file.name for file in report.files] == ["test.conll", "train.conll"]


def test_counts_are_those_of_the_file(lint):
    train = lint(CLEAN).files[1]
    assert (train.sentences, train.tokens, train.outside) == (2, 9, 7)
    assert dict(train.entities) == {"PER": 1, "LOC": 1}
    assert (train.without_entity, train.longest, train.under_six) == (1, 6, 1)


def test_report_as_text_says_the_counts_and_the_findings(lint):
    text = str(lint({**CLEAN, "dev.conll": "Velt B-PER\nstayed O\n"}))
    assert "train.conll: 2 sentences, 9 words, 2 entities" in text
    assert "types: LOC 1 (50%), PER 1 (50%)" in text
    assert "O 77.8% of words; 50.0% of sentences without an entity" in text
    assert "words a sentence: mean 4.5, longest 6, under six 50.0%" in text
    assert "1 errors\n  sentence in dev.conll, line 1, test.conll, line 1: Velt stayed" in text
    assert "0 warnings" in text


def test_file_without_entities_is_counted(lint):
    report = lint({"train.conll": "a O\nb O\n"})
    assert "types: none" in str(report)
    assert report.errors == []


# ------------------------------------------------------------------------------------------------------------- errors


def test_sentence_in_two_files_is_an_error_with_both_lines(lint):
    report = lint({**CLEAN, "test.conll": "x O\n\nNora B-PER\nleft O\nOslo B-LOC\n"})
    assert report.errors == ["sentence in test.conll, line 3, train.conll, line 1: Nora left Oslo"]


def test_sentence_in_two_files_is_found_though_its_labels_differ(lint):
    report = lint({"train.conll": "Nora B-PER\nleft O\n", "test.conll": "Nora O\nleft O\n"})
    assert report.errors == ["sentence in test.conll, line 1, train.conll, line 1: Nora left"]


def test_erratum_15_entity_that_starts_with_i_is_an_error_and_the_file_is_still_counted(lint, tmp_path):
    report = lint({**CLEAN, "dev.conll": "the O\nBank I-ORG\nof I-ORG\nOslo I-ORG\n"})
    (error,) = report.errors
    assert error.startswith(f"{tmp_path / 'dev.conll'}, line 2: an entity starts with I-ORG: the file is IOB1")
    dev = report.files[0]
    assert (dev.name, dict(dev.entities)) == ("dev.conll", {"ORG": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file holds no sentence"),
        ("Nora B-PER\nleft\n", "line 2: 1 column(s) where the file has 2"),
        ("Nora\n", "line 1: 1 column(s), need at least 2"),
        ("Nora 0\n", "line 1: NER label '0' is not O, B-TYPE or I-TYPE; a digit zero"),
        ("Zürich B-LOC\n".encode("latin-1"), "line 1: byte 0xfc is not UTF-8"),
    ],
)
def test_file_that_cannot_be_read_is_an_error_and_the_others_are_still_looked_over(lint, content, message):
    report = lint({**CLEAN, "dev.conll": content})
    (error,) = report.errors
    assert "dev.conll" in error
    assert message in error
    assert [file.name for file in report.files] == ["test.conll", "train.conll"]


# ----------------------------------------------------------------------------------------------------------- warnings


def test_sentence_twice_in_one_file_is_a_warning_with_both_lines(lint):
    report = lint({"train.conll": "Nora B-PER\nleft O\n\nx O\n\nNora B-PER\nleft O\n"})
    assert report.errors == []
    assert report.warnings == ["train.conll: same sentence at lines 1, 6: Nora left"]


def test_long_sentence_is_a_warning_from_the_given_number_of_words_on(lint):
    files = {"train.conll": "a O\n\n" + "b O\n" * 101}
    assert lint(files).warnings == [
        "train.conll, line 3: 101 words; more than 100 may not fit into the model in one piece"
    ]
    assert lint(files, long_sentence=101).warnings == []


def test_name_that_is_left_out_elsewhere_is_a_warning(lint):
    report = lint(
        {
            "train.conll": "the O\nRed B-ORG\nStar I-ORG\nwon O\n\nRed B-ORG\nStar I-ORG\nlost O\n",
            "test.conll": "she O\nsaw O\nRed O\nStar O\n",
        }
    )
    assert report.errors == []
    assert report.warnings == ["test.conll, line 3: 'Red Star' is O here, elsewhere ORG 2 times"]


def test_single_word_and_part_of_a_longer_name_are_no_inconsistency(lint):
    report = lint(
        {
            "train.conll": "Turkey B-LOC\nwon O\n\nthe O\nRed B-ORG\nStar I-ORG\n",
            "test.conll": "a O\nturkey O\nand O\nTurkey O\n\nFC B-ORG\nRed I-ORG\nStar I-ORG\nBonn I-ORG\n",
        }
    )
    assert report.warnings == []


def test_type_that_varies_between_the_same_words_is_a_warning(lint):
    report = lint({"train.conll": "in O\nOslo B-LOC\ntoday O\n", "test.conll": "well O\nin O\nOslo B-ORG\ntoday O\n"})
    assert report.warnings == ["'Oslo' between 'in' and 'today': LOC at train.conll, line 2; ORG at test.conll, line 3"]


def test_type_that_varies_between_other_words_is_no_warning(lint):
    report = lint({"train.conll": "in O\nOslo B-LOC\ntoday O\n", "test.conll": "beat O\nOslo B-ORG\ntoday O\n"})
    assert report.warnings == []


def test_sentence_of_one_name_has_no_surroundings_to_compare(lint):
    report = lint(
        {"train.conll": "Oslo B-LOC\n", "test.conll": "OSLO B-LOC\n\nx O\n", "dev.conll": "y O\n\nOslo B-ORG\n"}
    )
    assert report.warnings == []
    # It is the same sentence in two files, though.
    assert report.errors == ["sentence in dev.conll, line 3, train.conll, line 1: Oslo"]


def test_findings_of_one_kind_are_listed_up_to_a_number_and_then_counted(lint):
    rows = "".join(f"w{i} O\n\n" for i in range(5))
    report = lint({"train.conll": rows, "test.conll": rows}, at_most=3)
    assert len(report.errors) == 4
    assert report.errors[-1] == "… and 2 more like the last"


def test_entity_of_ten_thousand_words_takes_no_cubic_time(lint):
    words = "a O\n" * 10_000
    entity = "b O\na B-X\n" + "a I-X\n" * 4_999
    report = lint({"train.conll": f"{words}\n{entity}"}, at_most=2)
    assert "'a a a" in report.warnings[2]
    assert "is O here, elsewhere X 1 times" in report.warnings[2]
    assert report.warnings[-1] == "… and 4999 more like the last"


def test_forms_are_found_wherever_all_their_words_are_outside(lint):
    """The same as looking at every stretch of words one by one, on words that overlap each other in many ways."""
    import itertools
    import random

    chance = random.Random(3)
    rows = []
    for _ in range(60):
        words = chance.choices("ab", k=chance.randint(2, 9))
        tags, before = [], "O"
        for _word in words:
            tag = chance.choice(["O", "O", "B-X"] + ["I-X"] * (before != "O"))
            tags.append(tag)
            before = tag
        rows.append((words, tags))
    text = "\n".join("".join(f"{w} {t}\n" for w, t in zip(*row, strict=True)) for row in rows)
    report = lint({"train.conll": text}, at_most=10**6)
    found = sorted(line.split(":")[0] + line.split("'")[1] for line in report.warnings if "is O here" in line)
    forms = {tuple(w[a:b]) for w, t in rows for _, a, b in entity_spans(t) if b - a > 1}
    wanted, line = [], 1
    for words, tags in rows:
        for a, b in itertools.combinations(range(len(words) + 1), 2):
            if tuple(words[a:b]) in forms and set(tags[a:b]) == {"O"}:
                wanted.append(f"train.conll, line {line + a}" + " ".join(words[a:b]))
        line += len(words) + 1
    assert found == sorted(wanted)


# ------------------------------------------------------------------------------------------------- files and folders


def test_parquet_folder_is_looked_over_like_one_of_columns(lint, tmp_path, newswire):
    for split, rows in newswire.items():
        rows.select(range(40)).to_parquet(tmp_path / f"{split}.parquet")
    report = lint({})
    assert [file.name for file in report.files] == ["test.parquet", "train.parquet", "validation.parquet"]
    assert [file.sentences for file in report.files] == [40, 40, 40]
    assert report.errors == []


def test_files_are_found_by_suffix_and_by_the_original_names(lint):
    text = "Velt B-PER\nstayed O\n"
    names = ["a.conll", "b.txt", "c.conll.txt", "d.iob2", "e.tsv", "eng.testa"]
    report = lint({name: text.replace("stayed", f"stayed-{name}") for name in names})
    assert [file.name for file in report.files] == names


def test_text_files_that_are_no_conll_are_left_alone(lint):
    report = lint(
        {**CLEAN, "README.txt": "These files were written\nfor a test.\n", "stories.txt": "politics-12\nworld-03\n"}
    )
    assert [file.name for file in report.files] == ["test.conll", "train.conll"]
    assert report.errors == []


def test_missing_folder_and_folder_without_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder at"):
        lint_folder(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="no CoNLL file in"):
        lint_folder(tmp_path)


def test_newswire_of_the_package_has_no_errors():
    import ner_tutorial

    report = lint_folder(Path(ner_tutorial.__file__).parent / "data" / "newswire")
    assert report.errors == []
    assert [file.name for file in report.files] == ["test.conll", "train.conll", "validation.conll"]


def test_wikigold_is_counted_and_found_to_be_iob1():
    if not WIKIGOLD.is_dir():
        pytest.skip(f"the WikiGold file is not part of the project, and {WIKIGOLD} is not there")
    report = lint_folder(WIKIGOLD)
    (file,) = report.files
    # Its own README counts 1,696 sentences and 39,007 tokens.
    assert (file.name, file.sentences, file.tokens) == ("wikigold.conll.txt", 1696, 39007)
    # Read once more without the package: in IOB1 an entity starts where a label differs from the one before, or at B-.
    starts, before = Counter(), "O"
    for line in (WIKIGOLD / file.name).read_text(encoding="utf-8").splitlines():
        tag = line.split()[-1] if line.strip() else "O"
        if tag != "O" and (tag.startswith("B-") or tag[2:] != before[2:]):
            starts[tag[2:]] += 1
        before = tag
    assert file.entities == starts
    assert set(starts) == {"PER", "ORG", "LOC", "MISC"}
    assert len(report.errors) == 1
    assert "line 1: an entity starts with I-MISC: the file is IOB1" in report.errors[0]
    assert (
        "wikigold.conll.txt, line 11021: 144 words; more than 100 may not fit into the model in one piece"
        in report.warnings
    )
    assert "wikigold.conll.txt: same sentence at lines 14536, 40119: 2 ." in report.warnings


# --------------------------------------------------------------------------------------------------- the command line


def test_command_prints_the_report_and_fails_only_on_errors(tmp_path):
    rows = [Sentence(["Nora", "left"], [], [], ["B-PER", "O"])]
    write_conll(tmp_path / "train.conll", rows * 2)  # a warning
    result = CliRunner().invoke(main, ["lint", str(tmp_path)])
    assert result.exit_code == 0
    assert "train.conll: 2 sentences, 4 words, 2 entities" in result.output
    assert "same sentence at lines 1, 4" in result.output

    write_conll(tmp_path / "test.conll", rows)  # an error
    result = CliRunner().invoke(main, ["lint", str(tmp_path), "--long", "1"])
    assert result.exit_code == 1
    assert "sentence in test.conll" in result.output
    assert "more than 1 may not fit" in result.output


def test_command_on_a_missing_folder_is_one_line_without_a_traceback(tmp_path):
    result = CliRunner().invoke(main, ["lint", str(tmp_path / "nothing")])
    assert result.exit_code == 1
    assert result.output.strip() == f"Error: no folder at {tmp_path / 'nothing'}"
