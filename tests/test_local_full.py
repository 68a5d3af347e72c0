"""The full profile from local folders: the original distribution's files, parquet, and BERT folders old and new."""

import json
import logging

import pytest
import torch
from miniature import SIZES, parquet_files, sentences, vocabulary, write_bert, write_original
from safetensors.torch import load_file, save_file

from ner_tutorial import align_labels_with_tokens, get_profile, load_corpus, load_model, load_tokenizer
from ner_tutorial.labels import CHUNK_NAMES, NER_NAMES, POS_NAMES

# The sentence of parity.md as eng.train has it: IOB1 in both tag columns.
ORIGINAL_START = """\
-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O
German JJ I-NP I-MISC
call NN I-NP O
to TO I-VP O
boycott VB I-VP O
British JJ I-NP I-MISC
lamb NN I-NP O
. . O O
"""


@pytest.fixture
def full(monkeypatch, tmp_path):
    """The full profile, its corpus and checkpoint replaced by environment variables alone."""

    def use(corpus, checkpoint=None):
        monkeypatch.setenv("NER_TUTORIAL_PROFILE", "full")
        monkeypatch.setenv("NER_TUTORIAL_CORPUS", str(corpus))
        if checkpoint:
            monkeypatch.setenv("NER_TUTORIAL_CHECKPOINT", str(checkpoint))
        return get_profile()

    return use


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """Miniature cased BERT folders: with tokenizer files, and with vocab.txt alone."""
    base = tmp_path_factory.mktemp("bert")
    return {
        "new": write_bert(base / "new"),
        "old": write_bert(base / "old", tokenizer_files=False),
    }


# ---------------------------------------------------------------------------------------------------------- the corpus


def test_first_sentence_of_the_original_files_has_the_numbers_of_parity(tmp_path, full):
    for name in ("eng.train", "eng.testa", "eng.testb"):
        (tmp_path / name).write_text(ORIGINAL_START, encoding="utf-8")
    row = load_corpus(full(tmp_path).corpus)["train"][0]
    assert " ".join(row["tokens"]) == "EU rejects German call to boycott British lamb ."
    assert row["ner_tags"] == [3, 0, 7, 0, 0, 0, 7, 0, 0]
    assert row["pos_tags"] == [22, 42, 16, 21, 35, 37, 16, 21, 7]
    assert row["chunk_tags"] == [11, 21, 11, 12, 21, 22, 11, 12, 0]


def test_original_files_become_what_was_written(tmp_path, full, caplog):
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        corpus = load_corpus(full(write_original(tmp_path / "conll")).corpus)
    for split, size in SIZES.items():
        rows = corpus[split]
        assert len(rows) == size
        wanted = sentences(split)
        assert list(rows["tokens"]) == [row.tokens for row in wanted]
        assert [[NER_NAMES[i] for i in ids] for ids in rows["ner_tags"]] == [row.ner_tags for row in wanted]
        assert [[POS_NAMES[i] for i in ids] for ids in rows["pos_tags"]] == [row.pos_tags for row in wanted]
        assert [[CHUNK_NAMES[i] for i in ids] for ids in rows["chunk_tags"]] == [row.chunk_tags for row in wanted]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert all("converted from IOB1 to IOB2" in line for line in said)


@pytest.mark.parametrize("form", ["data/{}-00000-of-00001.parquet", "{}/0000.parquet", "{}.parquet"])
def test_parquet_folder_gives_the_same_corpus(tmp_path, full, caplog, form):
    for name, content in parquet_files(form).items():
        path = tmp_path / "parquet" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        corpus = load_corpus(full(tmp_path / "parquet").corpus)
    assert caplog.records == []
    original = load_corpus(write_original(tmp_path / "conll"))
    for split in SIZES:
        assert corpus[split].to_list() == original[split].to_list()


# ------------------------------------------------------------------------------------------------------- the tokenizer


@pytest.mark.parametrize("kind", ["new", "old"])
def test_cased_folder_gives_a_fast_cased_tokenizer(bert, full, kind, tmp_path):
    assert (bert[kind] / "tokenizer.json").is_file() == (kind == "new")
    tokenizer = load_tokenizer(full(tmp_path, bert[kind]).checkpoint)
    assert tokenizer.is_fast
    assert tokenizer.model_max_length == 512
    pieces = tokenizer(["Nora", "Velt", "visited", "OSLO"], is_split_into_words=True).tokens()
    assert pieces == ["[CLS]", "Nora", "Velt", "visited", "O", "##S", "##L", "##O", "[SEP]"]


def test_vocab_alone_gives_the_tokenisation_table_of_parity(tmp_path, tiny_vocabulary):
    rows = ["[unused]"] * (max(tiny_vocabulary.values()) + 1)
    pieces = [f"[unused{i}]" for i in range(len(rows))]
    for piece, number in tiny_vocabulary.items():
        pieces[number] = piece
    tokenizer = load_tokenizer(write_bert(tmp_path / "bert", pieces=pieces, tokenizer_files=False))
    encoded = tokenizer(
        ["EU", "rejects", "German", "call", "to", "boycott", "British", "lamb", "."], is_split_into_words=True
    )
    assert encoded["input_ids"] == [101, 7270, 22961, 1528, 1840, 1106, 21423, 1418, 2495, 12913, 119, 102]
    assert encoded.word_ids() == [None, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8, None]
    aligned = align_labels_with_tokens([3, 0, 7, 0, 0, 0, 7, 0, 0], encoded.word_ids())
    assert aligned == [-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100]


def test_vocabulary_without_capitals_is_uncased(tmp_path):
    pieces = [piece for piece in vocabulary() if piece.startswith("[") or piece == piece.lower()]
    folder = write_bert(tmp_path / "uncased", pieces=[*pieces, "oslo"], tokenizer_files=False)
    assert load_tokenizer(folder).tokenize("OSLO Oslo") == ["oslo", "oslo"]


@pytest.mark.parametrize(("written", "pieces"), [(True, ["o", "##s", "##l", "##o"]), (False, ["Oslo"])])
def test_what_tokenizer_config_says_comes_before_the_vocabulary(tmp_path, written, pieces):
    folder = write_bert(tmp_path / "bert", tokenizer_files=False)
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": written}), encoding="utf-8")
    assert load_tokenizer(folder).tokenize("Oslo") == pieces


def test_tokenizer_config_without_the_casing_leaves_it_to_the_vocabulary(tmp_path):
    folder = write_bert(tmp_path / "bert", tokenizer_files=False)
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 512}), encoding="utf-8")
    assert load_tokenizer(folder).tokenize("Oslo") == ["Oslo"]


# ----------------------------------------------------------------------------------------------------------- the model


def test_saved_model_of_an_old_folder_stays_cased(bert, tmp_path):
    load_tokenizer(bert["old"]).save_pretrained(tmp_path)
    load_model(bert["old"]).save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).tokenize("Oslo") == ["Oslo"]


def test_weights_under_the_names_of_the_first_bert_are_read(bert, tmp_path):
    # The files of bert-base-cased call the two parameters of a normalisation gamma and beta.
    folder = write_bert(tmp_path / "gamma", tokenizer_files=False)
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(1)
    renamed = {}
    for name, value in weights.items():
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[old] = torch.randn_like(value) if "LayerNorm" in name else value
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    model = load_model(folder)
    for name, value in model.bert.named_parameters():
        source = "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        )
        assert torch.equal(value, renamed[source]), name


def test_weights_in_the_older_format_are_read(bert, tmp_path):
    folder = write_bert(tmp_path / "bin", tokenizer_files=False)
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    model = load_model(folder)
    assert torch.equal(model.get_input_embeddings().weight, weights["bert.embeddings.word_embeddings.weight"])
