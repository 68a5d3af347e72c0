"""Corpora from every source come out alike: columns, splits, label names and ids; what cannot be read is refused."""

import logging

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value, concatenate_datasets

import ner_tutorial.corpus
from ner_tutorial import CONLL_SCHEME, ConllError, LabelScheme, Sentence, load_corpus, sentences_to_dataset, write_conll
from ner_tutorial.conll import is_iob2
from ner_tutorial.corpus import COLUMNS, NO_TAG, corpus_features, take
from ner_tutorial.labels import CHUNK_NAMES, NER_NAMES, POS_NAMES

SPLITS = ["train", "validation", "test"]
OTHER_ORDER = ["O", "B-ORG", "B-MISC", "B-PER", "I-PER", "B-LOC", "I-ORG", "I-MISC", "I-LOC"]
WORDS = ["EU", "meets", "Nora", "Velt"]
TAGS = ["B-ORG", "O", "B-PER", "I-PER"]
FOUR = [Sentence(WORDS, ["NNP", "VBZ", "NNP", "NNP"], ["B-NP", "B-VP", "B-NP", "I-NP"], TAGS, 1)]
TWO = [Sentence(WORDS, [], [], TAGS, 1)]
OWN_SCHEME = LabelScheme(["O", "B-ORG", "I-ORG", "B-PER", "I-PER"])  # what a folder with these labels comes out with


def ner_feature(names) -> Features:
    return Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(names)))})


def rows_in_order(names, tags=TAGS, words=WORDS) -> Dataset:
    """One sentence whose labels are stored under the ids of ``names``."""
    ids = [list(names).index(tag) for tag in tags]
    return Dataset.from_dict({"tokens": [words], "ner_tags": [ids]}, features=ner_feature(names))


def write_splits(folder, name_of, write):
    """One file a split: ``write(path)`` at ``folder / name_of(split)``."""
    for split in SPLITS:
        path = folder / name_of(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    return folder


def names_of(dataset) -> list[list[str]]:
    names = dataset.features["ner_tags"].feature.names
    return [[names[i] for i in ids] for ids in dataset["ner_tags"]]


def assert_conforms(corpus, scheme=CONLL_SCHEME):
    """What holds for every corpus whatever its source."""
    assert list(corpus) == SPLITS
    for rows in corpus.values():
        assert rows.column_names == list(COLUMNS)
        assert rows.features == corpus_features(scheme)
        assert [f.feature.names for f in (rows.features["pos_tags"], rows.features["chunk_tags"], rows.features["ner_tags"])] == [
            list(POS_NAMES), list(CHUNK_NAMES), list(scheme.names),
        ]  # fmt: skip
        for row in rows:
            assert len({len(row[column]) for column in COLUMNS[1:]}) == 1
            assert isinstance(row["id"], str)


# ---------------------------------------------------------------------------------------------------------- newswire


def test_newswire_conforms(newswire):
    assert_conforms(newswire)


def test_newswire_is_iob2_with_all_four_types_in_every_split(newswire):
    for split in SPLITS:
        names = names_of(newswire[split])
        assert all(is_iob2(row) for row in names)
        assert {name for row in names for name in row} == set(NER_NAMES)


def test_newswire_has_known_pos_and_chunk_tags_everywhere(newswire):
    for split in SPLITS:
        for column in ("pos_tags", "chunk_tags"):
            assert NO_TAG not in {tag for row in newswire[split][column] for tag in row}


def test_newswire_ids_are_distinct_within_a_split(newswire):
    for split in SPLITS:
        assert len(set(newswire[split]["id"])) == len(newswire[split])


# --------------------------------------------------------------------------------------------------- CoNLL in a folder


@pytest.mark.parametrize("suffix", ["", ".conll", ".txt", ".conll.txt", ".iob2", ".tsv"])
@pytest.mark.parametrize("validation", ["validation", "valid", "dev"])
def test_folder_of_conll_files_is_found_by_name(tmp_path, suffix, validation):
    names = {"train": "train", "validation": validation, "test": "test"}
    write_splits(tmp_path, lambda split: names[split] + suffix, lambda path: write_conll(path, FOUR))
    corpus = load_corpus(tmp_path)
    assert_conforms(corpus, OWN_SCHEME)
    assert names_of(corpus["validation"]) == [TAGS]


def test_tags_of_four_columns_become_ids_by_name(tmp_path):
    write_splits(tmp_path, "{}.conll".format, lambda path: write_conll(path, FOUR))
    corpus = load_corpus(str(tmp_path))
    row = corpus["train"][0]
    assert row["tokens"] == WORDS
    assert [POS_NAMES[i] for i in row["pos_tags"]] == FOUR[0].pos_tags
    assert [CHUNK_NAMES[i] for i in row["chunk_tags"]] == FOUR[0].chunk_tags
    assert names_of(corpus["train"]) == [TAGS]


def test_two_column_files_have_no_pos_and_chunk_tags_but_the_columns(tmp_path):
    write_splits(tmp_path, "{}.conll".format, lambda path: write_conll(path, TWO))
    corpus = load_corpus(tmp_path)
    assert_conforms(corpus, OWN_SCHEME)
    row = corpus["test"][0]
    assert row["pos_tags"] == row["chunk_tags"] == [NO_TAG] * 4
    assert names_of(corpus["test"]) == [TAGS]


def test_unknown_pos_tag_is_no_error(tmp_path):
    odd = [Sentence(["x"], ["NOUN"], ["B-FOO"], ["O"])]
    write_splits(tmp_path, "{}.conll".format, lambda path: write_conll(path, odd))
    row = load_corpus(tmp_path)["train"][0]
    assert (row["pos_tags"], row["chunk_tags"]) == ([NO_TAG], [NO_TAG])


def test_each_split_comes_from_its_own_file(tmp_path):
    write_splits(
        tmp_path, "{}.conll".format, lambda path: write_conll(path, [Sentence([path.stem], [], [], ["O"])] * 2)
    )
    corpus = load_corpus(tmp_path)
    assert {split: list(corpus[split]["tokens"]) for split in SPLITS} == {split: [[split], [split]] for split in SPLITS}


def test_label_outside_the_scheme_is_refused_with_file_and_line(tmp_path):
    write_splits(tmp_path, "{}.conll".format, lambda path: write_conll(path, TWO))
    (tmp_path / "test.conll").write_text("the O\n\nthe O\nBRCA1 B-GENE\n", encoding="utf-8")
    with pytest.raises(
        ConllError, match=r"test\.conll, line 4: label 'B-GENE' is not in the scheme O B-PER.*LabelScheme"
    ):
        load_corpus(tmp_path, scheme=CONLL_SCHEME)


def test_labels_come_from_the_files_of_all_splits_in_one_order(tmp_path):
    for split, text in {"train": "x B-TOOL\ny O\n", "validation": "x O\n", "test": "y B-PART\nz I-PART\n"}.items():
        (tmp_path / f"{split}.conll").write_text(text, encoding="utf-8")
    corpus = load_corpus(tmp_path)
    scheme = LabelScheme(["O", "B-PART", "I-PART", "B-TOOL", "I-TOOL"])
    assert_conforms(corpus, scheme)
    assert [names_of(rows) for rows in corpus.values()] == [[["B-TOOL", "O"]], [["O"]], [["B-PART", "I-PART"]]]


def test_labels_of_conll_have_their_own_order(tmp_path):
    text = "".join(f"{kind} B-{kind}\n" for kind in ("LOC", "MISC", "ORG", "PER"))
    write_splits(tmp_path, "{}.conll".format, lambda path: path.write_text(text, encoding="utf-8"))
    assert_conforms(load_corpus(tmp_path))


def test_own_labels_are_read_with_an_own_scheme(tmp_path):
    scheme = LabelScheme(["I-GENE", "B-GENE", "O"])
    write_splits(tmp_path, "{}.conll".format, lambda path: path.write_text("the O\nBRCA1 B-GENE\n", encoding="utf-8"))
    corpus = load_corpus(tmp_path, scheme=scheme)
    assert corpus["train"].features["ner_tags"].feature.names == ["I-GENE", "B-GENE", "O"]
    assert corpus["train"][0]["ner_tags"] == [2, 1]


def test_missing_split_is_named(tmp_path):
    write_splits(tmp_path, "{}.conll".format, lambda path: write_conll(path, TWO))
    (tmp_path / "validation.conll").unlink()
    (tmp_path / "test.conll").unlink()
    with pytest.raises(
        FileNotFoundError, match="no file for validation, test; name the files train, validation and test"
    ):
        load_corpus(tmp_path)


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        FileNotFoundError, match="no corpus 'newswir': it is neither a folder nor one of newswire, conll2003"
    ):
        load_corpus("newswir")


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    write_conll(tmp_path / "train.conll", TWO)
    with pytest.raises(FileNotFoundError, match=r"train\.conll is a file; name the folder"):
        load_corpus(tmp_path / "train.conll")


# --------------------------------------------------------------------------------------------------------------- IOB1

IOB1 = "-DOCSTART- -X- -X- O\n\nEU NNP I-NP I-ORG\nmeets VBZ I-VP O\nNora NNP I-NP I-PER\nVelt NNP I-NP I-PER\n"
ORIGINAL_NAMES = {"train": "eng.train", "validation": "eng.testa", "test": "eng.testb"}


def test_erratum_15_original_distribution_is_recognised_converted_and_said_so(tmp_path, caplog):
    write_splits(tmp_path, ORIGINAL_NAMES.get, lambda path: path.write_text(IOB1, encoding="utf-8"))
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        corpus = load_corpus(tmp_path)
    assert_conforms(corpus)
    assert all(names_of(corpus[split]) == [TAGS] for split in SPLITS)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"{name}: converted from IOB1 to IOB2, 2 labels changed from I- to B-" for name in ORIGINAL_NAMES.values()
    ]


def test_erratum_15_iob1_under_another_name_is_refused_until_conversion_is_asked_for(tmp_path, caplog):
    write_splits(tmp_path, "{}.txt".format, lambda path: path.write_text(IOB1, encoding="utf-8"))
    with pytest.raises(ConllError, match=r"train\.txt, line 3: an entity starts with I-ORG"):
        load_corpus(tmp_path)
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        corpus = load_corpus(tmp_path, convert_iob1=True)
    assert all(names_of(corpus[split]) == [TAGS] for split in SPLITS)
    assert len(caplog.records) == 3


def test_erratum_15_iob1_in_parquet_is_converted_and_said_so(tmp_path, caplog):
    rows = rows_in_order(NER_NAMES, ["I-ORG", "O", "I-PER", "I-PER"])
    write_splits(tmp_path, "{}.parquet".format, rows.to_parquet)
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        corpus = load_corpus(tmp_path)
    assert all(names_of(corpus[split]) == [TAGS] for split in SPLITS)
    assert "1 sentences converted from IOB1 to IOB2" in caplog.text


def test_iob2_is_loaded_without_a_warning(tmp_path, caplog):
    write_splits(tmp_path, ORIGINAL_NAMES.get, lambda path: write_conll(path, FOUR))
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        load_corpus(tmp_path)
    assert caplog.records == []


# ------------------------------------------------------------------------------------------------------------ parquet


@pytest.mark.parametrize(
    "name",
    ["{}.parquet", "{}-00000-of-00001.parquet", "data/{}-00000-of-00001.parquet", "{}/0000.parquet", "{}/data.parquet"],
)
def test_parquet_is_found_flat_in_data_and_in_a_folder_a_split(tmp_path, name):
    data = sentences_to_dataset(FOUR * 3)
    corpus = load_corpus(write_splits(tmp_path, name.format, data.to_parquet))
    assert_conforms(corpus)
    for split in SPLITS:
        assert corpus[split].to_list() == data.to_list()


@pytest.mark.parametrize("validation", ["validation", "valid", "dev"])
def test_parquet_row_stands_in_its_split_once(tmp_path, validation):
    names = {"train": "train", "validation": validation, "test": "test"}
    data = sentences_to_dataset(FOUR)
    write_splits(tmp_path, lambda split: f"{names[split]}-00000-of-00001.parquet", data.to_parquet)
    assert {split: len(rows) for split, rows in load_corpus(tmp_path).items()} == dict.fromkeys(SPLITS, 1)


@pytest.mark.parametrize("folder", ["", "data"])
def test_erratum_03_parquet_with_other_ids_is_renumbered_by_name_and_said_so(tmp_path, caplog, folder):
    write_splits(tmp_path / folder, "{}.parquet".format, rows_in_order(OTHER_ORDER).to_parquet)
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        corpus = load_corpus(tmp_path)
    assert_conforms(corpus)
    for split in SPLITS:
        assert corpus[split][0]["ner_tags"] == [3, 0, 1, 2]
    assert "label ids renumbered by name from the order O B-ORG B-MISC" in caplog.text


def test_each_shard_of_a_split_is_renumbered_by_its_own_names(tmp_path):
    write_splits(tmp_path, "{}-00000-of-00002.parquet".format, rows_in_order(OTHER_ORDER).to_parquet)
    write_splits(tmp_path, "{}-00001-of-00002.parquet".format, rows_in_order(NER_NAMES, words=list("abcd")).to_parquet)
    corpus = load_corpus(tmp_path)
    for split in SPLITS:
        assert list(corpus[split]["tokens"]) == [WORDS, list("abcd")]
        assert names_of(corpus[split]) == [TAGS, TAGS]
        assert len(set(corpus[split]["id"])) == 2


def test_parquet_with_a_part_of_the_labels_is_accepted(tmp_path):
    names = ["O", "I-PER", "B-PER"]
    write_splits(tmp_path, "{}.parquet".format, rows_in_order(names, ["O", "O", "B-PER", "I-PER"]).to_parquet)
    assert load_corpus(tmp_path)["test"][0]["ner_tags"] == [0, 0, 1, 2]


def test_pos_and_chunk_tags_in_parquet_are_renumbered_by_name(tmp_path):
    features = Features(
        {
            **ner_feature(NER_NAMES),
            "pos_tags": List(ClassLabel(names=["VBZ", "NNP"])),
            "chunk_tags": List(Value("int64")),
        }
    )
    rows = Dataset.from_dict(
        {"tokens": [WORDS], "ner_tags": [[3, 0, 1, 2]], "pos_tags": [[1, 0, 1, 1]], "chunk_tags": [[1, 2, 3, 4]]},
        features=features,
    )
    write_splits(tmp_path, "{}.parquet".format, rows.to_parquet)
    row = load_corpus(tmp_path)["train"][0]
    assert [POS_NAMES[i] for i in row["pos_tags"]] == ["NNP", "VBZ", "NNP", "NNP"]
    # Numbers without names mean nothing; they are not taken for CoNLL's.
    assert row["chunk_tags"] == [NO_TAG] * 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            Dataset.from_dict({"tokens": [["a"]], "ner_tags": [[0]]}), "ner_tags carries no label names", id="no names"
        ),
        pytest.param(Dataset.from_dict({"words": [["a"]]}), "no column 'tokens'; it has words", id="no tokens"),
        pytest.param(Dataset.from_dict({"tokens": [["a"]]}), "no column 'ner_tags'; it has tokens", id="no labels"),
        pytest.param(rows_in_order(NER_NAMES, ["O"], ["a", "b"]), "row 0: 2 tokens but 1 NER tags", id="lengths"),
        pytest.param(Dataset.from_dict({"tokens": [["a"]], "ner_tags": [[-1]]}, features=ner_feature(NER_NAMES)), "row 0: label id -1 is not one of 0 to 8", id="no label"),
    ],
)  # fmt: skip
def test_parquet_that_cannot_be_understood_is_refused(tmp_path, rows, message):
    write_splits(tmp_path, "{}.parquet".format, rows.to_parquet)
    with pytest.raises(ValueError, match=message) as caught:
        load_corpus(tmp_path)
    assert str(tmp_path / "train.parquet") in str(caught.value)


def test_parquet_with_other_labels_than_the_given_ones_is_refused(tmp_path):
    write_splits(tmp_path, "{}.parquet".format, rows_in_order(["O", "B-GENE", "I-GENE"], ["O"], ["a"]).to_parquet)
    with pytest.raises(ValueError, match=r"train\.parquet: label\(s\) B-GENE I-GENE not in the scheme O B-PER"):
        load_corpus(tmp_path, scheme=CONLL_SCHEME)
    assert load_corpus(tmp_path)["train"].features["ner_tags"].feature.names == ["O", "B-GENE", "I-GENE"]


def test_bad_row_is_named_with_its_own_shard(tmp_path):
    write_splits(tmp_path, "{}-0.parquet".format, rows_in_order(NER_NAMES).to_parquet)
    write_splits(tmp_path, "{}-1.parquet".format, rows_in_order(NER_NAMES, ["O"], ["a", "b"]).to_parquet)
    with pytest.raises(ValueError, match=r"train-1\.parquet, row 0: 2 tokens but 1 NER tags"):
        load_corpus(tmp_path)


# ------------------------------------------------------------------------------------------------------------ the Hub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """``hub(folder)`` makes the loader read CoNLL-2003 from a local folder, which ``load_dataset`` takes as well."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def use(*sources):
        monkeypatch.setattr(ner_tutorial.corpus, "HUB_SOURCES", tuple((str(source), None) for source in sources))

    return use


def test_hub_copy_with_other_ids_is_renumbered_by_name(tmp_path, hub):
    copy = write_splits(tmp_path / "copy", "data/{}.parquet".format, rows_in_order(OTHER_ORDER).to_parquet)
    hub(copy)
    corpus = load_corpus("conll2003")
    assert_conforms(corpus)
    assert names_of(corpus["train"]) == [TAGS]


def test_second_hub_copy_is_taken_when_the_first_cannot_be_read(tmp_path, hub):
    copy = write_splits(tmp_path / "copy", "{}.parquet".format, sentences_to_dataset(FOUR).to_parquet)
    hub("nobody/no-such-corpus", copy)
    assert names_of(load_corpus("conll2003")["test"]) == [TAGS]


def test_hub_copy_without_a_split_is_refused(tmp_path, hub):
    copy = write_splits(tmp_path / "copy", "{}.parquet".format, sentences_to_dataset(FOUR).to_parquet)
    (copy / "test.parquet").unlink()
    hub(copy)
    with pytest.raises(ValueError, match="has no split test; it has train, validation"):
        load_corpus("conll2003")


def test_unreachable_hub_names_every_failure_and_the_ways_out(hub):
    hub("nobody/no-such-corpus", "nobody/nor-this-one")
    with pytest.raises(OSError, match="cannot load CoNLL-2003 from the Hugging Face Hub") as caught:
        load_corpus("conll2003")
    message = str(caught.value)
    for part in (
        "nobody/no-such-corpus: ",
        "nobody/nor-this-one: ",
        "NER_TUTORIAL_CORPUS",
        "NER_TUTORIAL_PROFILE=quick",
        "HF_HUB_OFFLINE",
    ):
        assert part in message
    assert "\n" not in message


# --------------------------------------------------------------------------------------------------- from sentences


def test_sentences_without_a_file_are_named_by_their_number():
    with pytest.raises(ConllError, match="sentence 1: label 'B-GENE' is not in the scheme"):
        sentences_to_dataset([Sentence(["a"], [], [], ["O"]), Sentence(["b"], [], [], ["B-GENE"])])


def test_no_sentences_give_an_empty_data_set_with_all_columns():
    rows = sentences_to_dataset([])
    assert len(rows) == 0
    assert rows.features == corpus_features(CONLL_SCHEME)


def test_take_gives_the_first_rows_or_all(newswire):
    train = newswire["train"]
    assert list(take(train, 3)["tokens"]) == train[:3]["tokens"]
    assert len(take(train, None)) == len(take(train, 10**9)) == len(train)
    assert len(take(train, 0)) == 0


def test_splits_of_two_corpora_can_be_put_together(newswire, tmp_path):
    # Equal features whatever the source, so datasets' own tools work on them.
    write_splits(tmp_path, "{}.conll".format, lambda path: write_conll(path, TWO))
    both = concatenate_datasets([newswire["test"], load_corpus(tmp_path, scheme=CONLL_SCHEME)["test"]])
    assert len(both) == len(newswire["test"]) + 1
