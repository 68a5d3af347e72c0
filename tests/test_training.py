"""The two training loops: one signature, one result, the same numbers; the best epoch kept; the test split scored once."""

import dataclasses
import inspect
import itertools
import json
from pathlib import Path

import pytest
import torch
from datasets import DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st
from miniature import LOOPS, NAMES, name_corpus, run, same_weights, save_encoder, save_lookup_model, shift, weights
from seqeval.metrics import accuracy_score, f1_score
from transformers import AutoModelForTokenClassification, set_seed

from ner_tutorial import (
    CONLL_SCHEME,
    EpochMetrics,
    LabelScheme,
    TrainingResult,
    evaluate_model,
    get_profile,
    load_model,
    load_result,
    load_tokenizer,
    sentences_to_dataset,
)
from ner_tutorial.collation import token_loss
from ner_tutorial.conll import Sentence

each_loop = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture(scope="module")
def lookup(tmp_path_factory) -> str:
    """A model that is right on ``name_corpus`` before any training."""
    return str(save_lookup_model(tmp_path_factory.mktemp("lookup")))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, lookup) -> str:
    return save_encoder(tmp_path_factory.mktemp("encoder"), lookup)


@pytest.fixture(scope="module")
def noisy_corpus() -> DatasetDict:
    """Learnable, and yet no model gets everything right: scores stay between 0 and 1."""
    return name_corpus(noise=0.15)


@pytest.fixture(scope="module")
def results(tmp_path_factory, noisy_corpus, encoder) -> dict[str, TrainingResult]:
    return {loop: run(loop, tmp_path_factory.mktemp(loop), noisy_corpus, encoder) for loop in LOOPS}


def scores_of(folder: Path, dataset):
    """What the model in a folder scores, in the number format of training."""
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    return evaluate_model(model, dataset, load_tokenizer(folder)).scores


def epoch_folders(result: TrainingResult) -> list[Path]:
    folders = (result.model_dir / "checkpoints").iterdir()
    return sorted(folders, key=lambda path: int(path.name.rsplit("-", 1)[1]))


# ------------------------------------------------------------------------------------------- one interface, one result


def test_both_loops_take_the_same_arguments():
    one, other = (inspect.signature(function) for function in LOOPS.values())
    assert one == other
    for name in ("corpus", "checkpoint", "epochs", "batch_size", "learning_rate", "seed", "resume", "progress"):
        assert one.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@each_loop
def test_the_result_is_a_frozen_dataclass_of_folder_epochs_and_scores(results, loop):
    result = results[loop]
    assert type(result) is TrainingResult
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.best_epoch = 9
    assert [row.epoch for row in result.epochs] == [1, 2, 3]
    assert all(type(row) is EpochMetrics for row in result.epochs)
    assert all(type(value) is float for row in result.epochs for value in list(dataclasses.astuple(row))[1:])
    assert result.train_runtime_s > 0
    assert result.train_sentences_per_second == pytest.approx(60 * 3 / result.train_runtime_s)


def test_both_loops_give_the_same_numbers_every_epoch(results):
    one, other = results.values()
    for a, b in zip(one.epochs, other.epochs, strict=True):
        assert dataclasses.replace(a, eval_loss=0) == dataclasses.replace(b, eval_loss=0)
        # Summed in another order: the last digits differ.
        assert a.eval_loss == pytest.approx(b.eval_loss, rel=1e-5)
    assert (one.best_epoch, one.validation, one.test) == (other.best_epoch, other.validation, other.test)
    assert 0.3 < one.test.f1 < 1, "a score of 0 or 1 would agree by accident"
    assert len({row.f1 for row in one.epochs}) > 1


def test_both_loops_end_with_the_same_weights(results):
    assert same_weights(*(result.model_dir for result in results.values()))


@each_loop
def test_training_learns(results, loop):
    first, *_, last = results[loop].epochs
    assert last.train_loss < 0.8 * first.train_loss
    assert last.f1 > first.f1


@each_loop
def test_the_model_carries_nine_named_labels(results, loop):
    config = json.loads((results[loop].model_dir / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {str(i): name for i, name in enumerate(CONLL_SCHEME.names)}
    model = AutoModelForTokenClassification.from_pretrained(results[loop].model_dir)
    assert (model.num_labels, model.config.label2id) == (9, CONLL_SCHEME.label2id)


def test_labels_under_other_ids_train_by_name(tmp_path, encoder, noisy_corpus, results):
    """The same corpus with its label ids turned round: same head under other rows, same names in the model."""
    other = LabelScheme(["B-MISC", "I-MISC", *CONLL_SCHEME.names[:7]])
    corpus = name_corpus(noise=0.15, scheme=other)
    assert corpus["train"]["ner_tags"][0] != noisy_corpus["train"]["ner_tags"][0]
    result = run("accelerate", tmp_path / "run", corpus, encoder)
    model = AutoModelForTokenClassification.from_pretrained(result.model_dir)
    assert LabelScheme.from_config(model.config) == other
    found = evaluate_model(model.eval(), corpus["test"], load_tokenizer(result.model_dir), other)
    assert found.scores == result.test
    assert result.test.f1 > 0.3


def test_a_head_for_the_same_labels_under_other_ids_is_not_taken_for_this_one(lookup):
    """As many labels: by its size alone the old head would fit, and B-PER would mean I-ORG."""
    same, other = load_model(lookup), LabelScheme(["B-MISC", "I-MISC", *CONLL_SCHEME.names[:7]])
    assert torch.equal(
        same.classifier.weight, AutoModelForTokenClassification.from_pretrained(lookup).classifier.weight
    )
    set_seed(1)
    one = load_model(lookup, other)
    set_seed(1)
    again = load_model(lookup, other)
    assert one.classifier.weight.abs().max() < 0.2 < same.classifier.weight.abs().max(), "new and small"
    assert torch.equal(one.classifier.weight, again.classifier.weight), "drawn after the seed"
    assert torch.equal(one.get_input_embeddings().weight, same.get_input_embeddings().weight)


# -------------------------------------------------------------------------------------------------------- metrics.json

SCORE_KEYS = ["precision", "recall", "f1", "accuracy", "number", "per_type"]


@each_loop
def test_metrics_json_has_the_announced_form(results, loop):
    content = json.loads((results[loop].model_dir / "metrics.json").read_text(encoding="utf-8"))
    announced = ["epochs", "validation", "test", "train_runtime_s", "train_sentences_per_second"]
    assert [key for key in content if key != "best_epoch"] == announced
    for row in content["epochs"]:
        assert list(row) == ["epoch", "train_loss", "eval_loss", "precision", "recall", "f1", "accuracy"]
    for split in ("validation", "test"):
        assert list(content[split]) == SCORE_KEYS
        assert set(content[split]["per_type"]) >= {"PER", "LOC", "ORG", "MISC"}
        for row in content[split]["per_type"].values():
            assert list(row) == ["precision", "recall", "f1", "number"]
    assert content["train_runtime_s"] > 0
    assert content["train_sentences_per_second"] > 0


@each_loop
def test_metrics_json_is_read_back_as_the_result(results, loop):
    result = results[loop]
    read = load_result(result.model_dir)
    rounded = ("train_runtime_s", "train_sentences_per_second")
    for name in rounded:
        assert getattr(read, name) == pytest.approx(getattr(result, name), abs=1e-3)
    assert dataclasses.replace(read, **{name: getattr(result, name) for name in rounded}) == result


def test_a_folder_without_a_finished_run_has_no_result(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no finished run.*metrics\.json is missing"):
        load_result(tmp_path)


# ------------------------------------------------------------------------------------------ checkpoints, the best epoch


@each_loop
def test_every_epoch_leaves_a_checkpoint_that_loads_and_scores_as_its_epoch_did(results, loop, noisy_corpus):
    result = results[loop]
    folders = epoch_folders(result)
    assert len(folders) == 3
    for row, folder in zip(result.epochs, folders, strict=True):
        assert scores_of(folder, noisy_corpus["validation"]).overall() == {
            "precision": row.precision, "recall": row.recall, "f1": row.f1, "accuracy": row.accuracy,
        }  # fmt: skip
    assert same_weights(folders[result.best_epoch - 1], result.model_dir)


@each_loop
def test_only_the_last_two_checkpoints_keep_what_resuming_needs(results, loop):
    """The newest, and one to fall back to if that is damaged."""
    *older, previous, last = epoch_folders(results[loop])
    state = ("optimizer*", "schedule*", "random_states*", "rng_state*")
    assert older
    assert not [path for folder in older for pattern in state for path in folder.glob(pattern)]
    for folder in (previous, last):
        assert sum(bool(list(folder.glob(pattern))) for pattern in state) == 3


# Warm-up keeps the first epoch near the start, which is right; the later ones go far away.
FALLING = {
    "learning_rate": 0.03,
    "epochs": 6,
    "profile": dataclasses.replace(get_profile("quick"), warmup_ratio=0.1),
}


@pytest.fixture(scope="module")
def falling(tmp_path_factory, lookup) -> dict[str, TrainingResult]:
    """Runs that get worse: the start is right on validation and test, and training teaches other labels."""
    corpus = name_corpus(train=shift)
    return {loop: run(loop, tmp_path_factory.mktemp(loop), corpus, lookup, **FALLING) for loop in LOOPS}


@each_loop
def test_erratum_14_the_best_epoch_is_kept_when_the_last_is_worse(falling, loop):
    result = falling[loop]
    first, *_, last = result.epochs
    assert first.f1 > 0.9 > 0.1 > last.f1
    assert result.best_epoch == 1
    assert result.validation.f1 == first.f1
    assert result.test.f1 > 0.9, "the test score is the best epoch's too"
    corpus = name_corpus(train=shift)
    assert scores_of(result.model_dir, corpus["validation"]) == result.validation
    assert scores_of(result.model_dir, corpus["test"]) == result.test


@each_loop
def test_erratum_14_the_test_split_has_no_say_in_the_choice(falling, lookup, tmp_path, loop):
    """With test labels by which the last epoch would win, the same epoch is chosen and the same model saved."""
    corpus = name_corpus(train=shift, test=shift)
    result = run(loop, tmp_path / "run", corpus, lookup, **FALLING)
    last = epoch_folders(result)[-1]
    assert scores_of(last, corpus["test"]).f1 > 0.9 > 0.1 > result.test.f1
    assert (result.best_epoch, result.epochs) == (falling[loop].best_epoch, falling[loop].epochs)
    assert result.validation == falling[loop].validation
    assert same_weights(result.model_dir, falling[loop].model_dir)


@each_loop
def test_erratum_17_scores_of_an_epoch_count_every_row_against_its_own_labels(loop, noisy_corpus, encoder, tmp_path):
    """The validation rows go through the model sorted by length; read one at a time in their own order, they score the
    same."""
    dataset = noisy_corpus["validation"]
    lengths = [len(words) for words in dataset["tokens"]]
    assert lengths != sorted(lengths), "sorting must move rows, or nothing is tested"
    result = run(loop, tmp_path / "run", noisy_corpus, encoder, precision="no")
    model = AutoModelForTokenClassification.from_pretrained(epoch_folders(result)[-1]).eval()
    tokenizer = load_tokenizer(result.model_dir)
    predictions = []
    for words in dataset["tokens"]:
        encoded = tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
        with torch.inference_mode():
            ids = model(**encoded).logits.argmax(-1)[0].tolist()
        firsts = [i for i, (a, b) in enumerate(itertools.pairwise(encoded.word_ids()), 1) if b is not None and a != b]
        predictions.append([CONLL_SCHEME.names[ids[i]] for i in firsts])
    references = [[CONLL_SCHEME.names[i] for i in tags] for tags in dataset["ner_tags"]]
    assert 0.3 < f1_score(references, predictions) < 1
    assert result.epochs[-1].f1 == pytest.approx(f1_score(references, predictions))
    assert result.epochs[-1].accuracy == pytest.approx(accuracy_score(references, predictions))


def get_precision(result: TrainingResult) -> str:
    return json.loads((result.model_dir / "run.json").read_text(encoding="utf-8"))["precision"]


# -------------------------------------------------------------------------------------------------------- determinism


@each_loop
def test_one_seed_gives_the_same_weights_and_metrics_and_another_does_not(
    results, loop, noisy_corpus, encoder, tmp_path
):
    again = run(loop, tmp_path / "again", noisy_corpus, encoder)
    assert again.epochs == results[loop].epochs
    assert (again.validation, again.test) == (results[loop].validation, results[loop].test)
    assert same_weights(again.model_dir, results[loop].model_dir)
    other = run(loop, tmp_path / "other", noisy_corpus, encoder, seed=2)
    assert other.epochs != again.epochs
    assert not same_weights(other.model_dir, again.model_dir)


@each_loop
def test_erratum_06_the_seed_comes_before_the_random_head(loop, noisy_corpus, encoder, tmp_path):
    """Whatever random numbers were drawn before, the head starts the same."""
    folders = []
    for drawn in (0, 1):
        torch.manual_seed(drawn)
        torch.rand(drawn + 1)
        folders.append(tmp_path / str(drawn))
        run(loop, folders[-1], noisy_corpus, encoder, epochs=1, learning_rate=1e-9, train_sentences=4)
    # With almost no learning, what is saved is the start: it depends on the seed alone.
    assert same_weights(*folders)
    run(loop, tmp_path / "seed", noisy_corpus, encoder, epochs=1, learning_rate=1e-9, train_sentences=4, seed=2)
    head = [weights(folder)["classifier.weight"] for folder in (folders[0], tmp_path / "seed")]
    assert (head[0] - head[1]).abs().max() > 0.01


@each_loop
def test_train_sentences_takes_the_first_so_many(loop, noisy_corpus, encoder, tmp_path):
    fewer = DatasetDict({**noisy_corpus, "train": noisy_corpus["train"].select(range(20))})
    one = run(loop, tmp_path / "option", noisy_corpus, encoder, epochs=1, train_sentences=20)
    other = run(loop, tmp_path / "corpus", fewer, encoder, epochs=1)
    assert same_weights(one.model_dir, other.model_dir)
    assert one.train_sentences_per_second == pytest.approx(20 / one.train_runtime_s)


# --------------------------------------------------------------------------------------------------- options and output


@each_loop
def test_progress_can_be_off(loop, noisy_corpus, encoder, tmp_path, capfd):
    run(loop, tmp_path / "quiet", noisy_corpus, encoder, epochs=1, train_sentences=8, progress=False)
    quiet = capfd.readouterr()
    assert (quiet.out, quiet.err) == ("", "")
    run(loop, tmp_path / "loud", noisy_corpus, encoder, epochs=1, train_sentences=8, progress=True)
    assert "100%" in capfd.readouterr().err


@each_loop
def test_runs_of_different_precision_follow_each_other_in_one_program(loop, noisy_corpus, encoder, tmp_path):
    found = [
        run(loop, tmp_path / f"{i}", noisy_corpus, encoder, epochs=1, precision=precision)
        for i, precision in enumerate(["no", "bf16", "no"])
    ]
    assert [get_precision(result) for result in found] == ["no", "bf16", "no"]
    assert same_weights(found[0].model_dir, found[2].model_dir)
    assert not same_weights(found[0].model_dir, found[1].model_dir)


@each_loop
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_every_evaluation_computes_in_float32_whatever_the_format_of_the_run(loop, precision, tmp_path):
    """The model prefers a label by so little that bfloat16 cannot see it: there the first label, O, would win."""
    close = {**NAMES, "Ines": {"O": 8.0, "B-PER": 8.001}}
    corpus = DatasetDict(dict.fromkeys(name_corpus(), sentences_to_dataset([Sentence(["Ines"], [], [], ["B-PER"])])))
    checkpoint = str(save_lookup_model(tmp_path / "close", close))
    result = run(loop, tmp_path / "run", corpus, checkpoint, epochs=1, learning_rate=1e-12, precision=precision)
    assert result.epochs[0].f1 == result.validation.f1 == result.test.f1 == 1.0


@each_loop
def test_token_batches_and_sentence_batches_agree_when_all_rows_are_one_batch(
    loop, noisy_corpus, lookup, tmp_path_factory
):
    """The sum over the labels by a constant is then the mean; without dropout nothing else differs."""
    still = save_encoder(tmp_path_factory.mktemp("still"), lookup, dropout=0.0)
    found = [
        run(
            loop, tmp_path_factory.mktemp(batching), noisy_corpus, still, epochs=1, batch_size=100, batching=batching,
            precision="no",
        )
        for batching in ("tokens", "sentences")
    ]  # fmt: skip
    tokens, sentences = found
    assert tokens.epochs[0].train_loss == pytest.approx(sentences.epochs[0].train_loss, rel=1e-5)
    a, b = (weights(result.model_dir) for result in found)
    assert all(torch.allclose(a[name], b[name], atol=1e-4) for name in a)


@given(st.lists(st.lists(st.integers(-1, 8), min_size=1, max_size=6), min_size=1, max_size=5), st.integers(0, 99))
@settings(max_examples=60)
def test_token_loss_is_the_sum_of_the_counted_losses_by_its_divisor(rows, seed):
    width = max(map(len, rows))
    labels = torch.tensor([[*(i if i >= 0 else -100 for i in row), *[-100] * (width - len(row))] for row in rows])
    logits = torch.randn(len(rows), width, 9, generator=torch.Generator().manual_seed(seed))
    losses = [
        -logits[i, j].double().softmax(-1)[labels[i, j]].log()
        for i in range(len(rows)) for j in range(width) if labels[i, j] != -100
    ]  # fmt: skip
    total = float(sum(losses))
    assert float(token_loss(logits, labels, 7.0)) == pytest.approx(total / 7, rel=1e-4)
    if losses:
        assert float(token_loss(logits, labels, None)) == pytest.approx(total / len(losses), rel=1e-4)
        assert float(token_loss(logits, labels, len(losses))) == pytest.approx(
            float(token_loss(logits, labels, None)), rel=1e-5
        )


@each_loop
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1 and at most 1000, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"layer_decay": 0.0}, "layer_decay must be above 0 and at most 1"),
        ({"batching": "words"}, "unknown batching 'words'; choose tokens or sentences"),
        ({"precision": "int8"}, "unknown precision 'int8'"),
        ({"profile": "huge"}, "unknown profile 'huge'"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_written(loop, options, message, noisy_corpus, encoder, tmp_path):
    with pytest.raises(ValueError, match=message):
        run(loop, tmp_path / "run", noisy_corpus, encoder, **options)
    assert not (tmp_path / "run").exists()


@each_loop
def test_an_empty_train_split_is_refused(loop, noisy_corpus, encoder, tmp_path):
    empty = DatasetDict({**noisy_corpus, "train": noisy_corpus["train"].select([])})
    with pytest.raises(ValueError, match="the train split holds no sentence"):
        run(loop, tmp_path / "run", empty, encoder)
    assert not (tmp_path / "run").exists()


@each_loop
@pytest.mark.parametrize("missing", ["corpus", "checkpoint"])
def test_an_unknown_corpus_or_checkpoint_is_refused_before_anything_is_written(
    loop, missing, noisy_corpus, encoder, tmp_path
):
    given = {"corpus": noisy_corpus, "checkpoint": encoder} | {missing: str(tmp_path / "nothing")}
    with pytest.raises(FileNotFoundError, match="nothing"):
        run(loop, tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()
