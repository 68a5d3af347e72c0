"""A folder with labels of its own, from the shell and from Python: no option names the labels, the files do."""

import json
import random

import pytest
from click.testing import CliRunner
from datasets import DatasetDict
from miniature import NAMES, WORDS, save_encoder, save_lookup_model

from ner_tutorial import LabelScheme, Sentence, load_corpus, load_tagger, sentences_to_dataset, train_with_accelerate
from ner_tutorial import write_conll as write
from ner_tutorial.__main__ import main

# The words of the miniature model under three types of its own.
TYPES = {"PER": "ENGINEER", "LOC": "SITE", "ORG": "MAKER"}


def own_label(word: str) -> str:
    answer = NAMES[word]
    return f"{answer[:2]}{TYPES[answer[2:]]}" if answer[2:] in TYPES else "O"


def rows_for(count: int, seed: int) -> list[Sentence]:
    chance = random.Random(seed)
    singles = [word for word in WORDS if not NAMES[word].startswith("I-")]
    rows = [chance.choices(singles, k=chance.randint(2, 8)) for _ in range(count)]
    return [Sentence(words, [], [], [own_label(word) for word in words]) for words in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for seed, (split, size) in enumerate({"train": 140, "validation": 30, "test": 30}.items()):
        write(folder / f"{split}.conll", rows_for(size, seed))
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    lookup = save_lookup_model(tmp_path_factory.mktemp("lookup"))
    return save_encoder(tmp_path_factory.mktemp("encoder"), str(lookup))


def cli(*arguments, **environment):
    return CliRunner(env=environment).invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model(folder, encoder, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "run"
    result = cli(
        "train",
        "--corpus",
        folder,
        "--output",
        output,
        "--learning-rate",
        "0.005",
        "--batch-size",
        8,
        NER_TUTORIAL_CHECKPOINT=encoder,
    )
    assert result.exit_code == 0, result.output
    return output


def test_train_and_evaluate_take_the_labels_from_files_and_model(folder, model):
    names = ("O", "B-ENGINEER", "I-ENGINEER", "B-MAKER", "I-MAKER", "B-SITE", "I-SITE")
    assert load_tagger(model).scheme == LabelScheme(names)
    result = cli("evaluate", "--model", model, "--corpus", folder)
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert set(scores["per_type"]) == set(TYPES.values())
    assert scores["f1"] > 0.5
    profile = cli("evaluate", "--model", model, NER_TUTORIAL_CORPUS=str(folder))
    assert json.loads(profile.stdout) == scores


def test_predict_answers_with_the_folder_s_types(model, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("Nora met Ines in Oslo\n", encoding="utf-8")
    result = cli("predict", "--model", model, text)
    assert {entity["type"] for entity in json.loads(result.stdout)["entities"]} <= set(TYPES.values())


def test_lint_counts_the_folder_s_types(folder):
    result = cli("lint", folder)
    assert "ENGINEER" in result.stdout
    assert "SITE" in result.stdout


def test_corpus_that_lacks_a_type_is_scored_under_the_model_s_ids(model, tmp_path):
    for split in ("train", "validation", "test"):
        write(tmp_path / f"{split}.conll", [Sentence(["Oslo", "won"], [], [], ["B-SITE", "O"])])
    result = cli("evaluate", "--model", model, "--corpus", tmp_path)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["per_type"]["SITE"]["number"] == 1


def test_label_that_the_model_lacks_is_refused_with_its_line(model, tmp_path):
    for split in ("train", "validation", "test"):
        write(tmp_path / f"{split}.conll", [Sentence(["Oslo", "won"], [], [], ["B-TOWN", "O"])])
    result = cli("evaluate", "--model", model, "--corpus", tmp_path)
    assert result.exit_code == 1
    assert f"{tmp_path / 'train.conll'}, line 1: label 'B-TOWN' is not in the scheme O B-ENGINEER" in result.stderr


def test_erratum_19_training_on_splits_that_number_labels_apart_counts_what_the_files_hold(encoder, tmp_path, folder):
    """Erratum 19: the validation split lacks a type and numbers the others as it likes."""
    train, validation = rows_for(60, 5), [row for row in rows_for(90, 6) if "B-MAKER" not in row.ner_tags]
    order = LabelScheme(["B-SITE", "I-SITE", "O", "B-ENGINEER", "I-ENGINEER"])
    splits = DatasetDict(
        train=sentences_to_dataset(train, LabelScheme.from_labels(t for row in train for t in row.ner_tags)),
        validation=sentences_to_dataset(validation, order),
        test=sentences_to_dataset(validation, order),
    )
    result = train_with_accelerate(
        tmp_path / "run", corpus=splits, checkpoint=encoder, epochs=1, batch_size=8, learning_rate=5e-3, progress=False
    )
    gold = sum(tag.startswith("B-") for row in validation for tag in row.ner_tags)
    assert sum(score.number for score in result.test.per_type.values()) == gold


def test_columns_and_conversion_are_options_of_every_command(folder, encoder, tmp_path):
    for split in ("train", "validation", "test"):
        rows = rows_for(8, 1)
        text = "\n".join(
            "".join(f"x y {w} {t.replace('B-', 'S-')}\n" for w, t in zip(r.tokens, r.ner_tags, strict=True))
            for r in rows
        )
        (tmp_path / f"{split}.txt").write_text(text, encoding="utf-8")
    assert cli("lint", tmp_path).exit_code == 1
    options = ["--columns", "word=3,label=4", "--convert"]
    assert cli("lint", tmp_path, *options, "--at-most", 1).exit_code == 1  # the same sentences stand in all files
    corpus = load_corpus(tmp_path, columns="word=3,label=4", convert=True)
    assert corpus["train"]["tokens"][0] == rows_for(8, 1)[0].tokens
    result = cli(
        "train", "--corpus", tmp_path, *options, "--output", tmp_path / "run", "--epochs", 1, "--checkpoint", encoder
    )
    assert result.exit_code == 0, result.output
