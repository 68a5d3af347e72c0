"""What can go wrong around a run: damaged checkpoints, files that could run code, other processes, full disks."""

import errno
import hashlib
import json
import logging
import os
import pickle
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from miniature import (
    LOOPS,
    name_corpus,
    process_server,
    same_weights,
    save_corpus,
    save_encoder,
    save_lookup_model,
    shift,
)
from safetensors import SafetensorError

from ner_tutorial import load_result, load_tagger
from ner_tutorial.__main__ import main
from ner_tutorial.training import scoring
from ner_tutorial.training.checkpoints import damage, one_line_if_disk_is_full
from ner_tutorial.training.results import LossMeter
from ner_tutorial.training.run_folder import LOCK_FILE, hold_folder

pytestmark = pytest.mark.slow

each_loop = pytest.mark.parametrize("loop", LOOPS)
OPTIONS = {
    "epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "seed": 1, "train_sentences": 30, "progress": False,
    "precision": "no",
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict:
    lookup = str(save_lookup_model(tmp_path_factory.mktemp("lookup")))
    return {
        "corpus": save_corpus(tmp_path_factory.mktemp("corpus"), name_corpus(noise=0.15)),
        "checkpoint": save_encoder(tmp_path_factory.mktemp("encoder"), lookup),
    }


@pytest.fixture(scope="module")
def through(inputs, tmp_path_factory) -> dict[str, Path]:
    """For each loop the folder of a run that nothing disturbed."""
    folders = {loop: tmp_path_factory.mktemp(loop) / "run" for loop in LOOPS}
    for loop, folder in folders.items():
        LOOPS[loop](folder, **OPTIONS, **inputs)
    return folders


@pytest.fixture
def unfinished(through, tmp_path, loop) -> Path:
    """A copy of that run, as if it had been killed after its last epoch."""
    folder = shutil.copytree(through[loop], tmp_path / "run")
    for name in ("metrics.json", "config.json", "model.safetensors"):
        (folder / name).unlink()
    return folder


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").iterdir(), key=lambda path: int(path.name.rsplit("-", 1)[1]))


def agree(folder: Path, other: Path) -> None:
    one, two = load_result(folder), load_result(other)
    assert (one.epochs, one.best_epoch, one.validation, one.test) == (
        two.epochs, two.best_epoch, two.validation, two.test,
    )  # fmt: skip
    assert same_weights(folder, other)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def file_of(checkpoint: Path, pattern: str) -> Path:
    return next(iter(checkpoint.glob(pattern)))


# ------------------------------------------------------------------------------------------------- damaged checkpoints

DAMAGES = {
    "model cut off": ("model.safetensors", truncate, "model.safetensors has"),
    "model changed": ("model.safetensors", flip, "the content of model.safetensors has changed"),
    "optimiser missing": ("optimizer*", Path.unlink, "optimizer.* is missing"),
    "optimiser changed": ("optimizer*", flip, "the content of optimizer.* has changed"),
    "schedule missing": ("schedule*", Path.unlink, "schedule.* is missing"),
    "random states missing": ("r*_state*", Path.unlink, "state.* is missing"),
    "mark cut off": ("complete.json", truncate, "complete.json is damaged"),
}


@each_loop
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_newest_checkpoint_is_passed_over_and_the_run_ends_as_if_nothing_had_been(
    unfinished, through, loop, kind, inputs, caplog
):
    pattern, harm, reason = DAMAGES[kind]
    newest = checkpoints(unfinished)[-1]
    harm(file_of(newest, pattern))
    LOOPS[loop](unfinished, **OPTIONS, **inputs, resume=True)
    assert any(newest.name in text and re.search(reason, text) for text in caplog.messages)
    agree(unfinished, through[loop])
    assert damage(newest) == "", "it was written anew"


@each_loop
def test_if_all_checkpoints_are_damaged_the_run_begins_again(unfinished, through, loop, inputs):
    for checkpoint in checkpoints(unfinished):
        truncate(checkpoint / "model.safetensors")
    LOOPS[loop](unfinished, **OPTIONS, **inputs, resume=True)
    agree(unfinished, through[loop])


@each_loop
def test_if_the_best_model_is_damaged_the_next_best_is_kept_and_that_is_said(loop, tmp_path, caplog):
    """The start is right and training teaches other labels, so the first epoch is the best."""
    lookup, folder = str(save_lookup_model(tmp_path / "lookup")), tmp_path / "run"
    options = {**OPTIONS, "learning_rate": 0.03, "train_sentences": None, "checkpoint": lookup}
    options["corpus"] = name_corpus(train=shift)
    result = LOOPS[loop](folder, **options)
    first, second, _ = sorted(result.epochs, key=lambda row: (-row.f1, row.eval_loss))
    assert result.best_epoch == first.epoch == 1
    (folder / "metrics.json").unlink()
    truncate(checkpoints(folder)[0] / "model.safetensors")
    again = LOOPS[loop](folder, **options, resume=True)
    assert again.best_epoch == second.epoch
    assert again.validation.f1 == second.f1
    assert "The model of epoch 1 in" in caplog.text
    assert "is damaged (model.safetensors has" in caplog.text


@each_loop
@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("model.safetensors", Path.unlink),
        ("model.safetensors", truncate),
        ("tokenizer.json", Path.unlink),
        ("config.json", Path.unlink),
    ],
)
def test_a_finished_run_with_a_damaged_model_is_no_success_and_is_mended(
    through, loop, name, harm, inputs, tmp_path, caplog
):
    folder = shutil.copytree(through[loop], tmp_path / "run")
    harm(folder / name)
    LOOPS[loop](folder, **OPTIONS, **inputs, resume=True)
    assert "its model is damaged" in caplog.text
    agree(folder, through[loop])
    load_tagger(folder)


@each_loop
def test_an_epoch_is_saved_before_it_is_scored(loop, inputs, through, tmp_path, monkeypatch):
    """A fault in scoring (a cache that cannot be written to was one) used to lose the epoch."""
    folder, epochs = tmp_path / "run", []

    def fail(*_, **__):
        raise OSError("no such cache")

    with monkeypatch.context() as broken:
        broken.setattr(scoring, "evaluate_model", fail)
        with pytest.raises(OSError, match="no such cache"):
            LOOPS[loop](folder, **OPTIONS, **inputs)
    assert [damage(path) for path in checkpoints(folder)] == [""]
    make = scoring.require_finite_weights
    for module in ("loop", "trainer"):
        monkeypatch.setattr(
            f"ner_tutorial.training.{module}.require_finite_weights",
            lambda run, epoch: (epochs.append(epoch), make(run, epoch)),
        )
    LOOPS[loop](folder, **OPTIONS, **inputs, resume=True)
    assert epochs == [2, 3], "the first epoch was not trained again"
    agree(folder, through[loop])


# ---------------------------------------------------------------------------------------------------- code in a file


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@each_loop
@pytest.mark.parametrize("name", ["custom_checkpoint_0.pkl", "sampler.bin", "pytorch_model.bin"])
def test_a_file_that_could_run_code_is_refused_by_name(unfinished, loop, name, inputs, tmp_path):
    (checkpoints(unfinished)[-1] / name).write_bytes(pickle.dumps(Payload(tmp_path / "harm")))
    with pytest.raises(PermissionError, match=f"{name} is not a file that this program writes"):
        LOOPS[loop](unfinished, **OPTIONS, **inputs, resume=True)
    assert not (tmp_path / "harm").exists()


@each_loop
@pytest.mark.parametrize("pattern", ["optimizer*", "scheduler*", "r*_state*"])
def test_code_in_a_file_of_the_run_is_not_run_even_if_the_mark_fits(unfinished, loop, pattern, inputs, tmp_path):
    *_, newest, last = checkpoints(unfinished)
    shutil.rmtree(last)  # so that an epoch is left to train
    files = list(newest.glob(pattern))
    if not files:
        pytest.skip("this loop keeps its schedule as JSON")
    torch.save(Payload(tmp_path / "harm"), files[0])
    mark = json.loads((newest / "complete.json").read_text(encoding="utf-8"))
    content = files[0].read_bytes()
    mark["files"][files[0].name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (newest / "complete.json").write_text(json.dumps(mark), encoding="utf-8")
    with pytest.raises(PermissionError, match="could run code"):
        LOOPS[loop](unfinished, **OPTIONS, **inputs, resume=True)
    assert not (tmp_path / "harm").exists()


# ------------------------------------------------------------------------------------------- what is not the run's own


@each_loop
def test_resuming_removes_nothing_that_the_run_did_not_make(unfinished, through, loop, inputs):
    home = unfinished / "checkpoints"
    mine = [home / "mine", home / "epoch-2-copy", home / "checkpoint-best", home / "epoch-77", home / "partial-notes"]
    for folder in mine:
        folder.mkdir()
        (folder / "thesis.tex").write_text("three years of work", encoding="utf-8")
    (home / "notes.txt").write_text("mine", encoding="utf-8")
    LOOPS[loop](unfinished, **OPTIONS, **inputs, resume=True)
    assert all((folder / "thesis.tex").is_file() for folder in mine)
    assert (home / "notes.txt").is_file()
    agree(unfinished, through[loop])


@each_loop
def test_a_run_that_took_no_step_leaves_no_claim(loop, inputs, tmp_path, monkeypatch):
    """The corrected command was refused: the folder 'already holds a run'."""
    folder = tmp_path / "deep" / "run"

    def fail(*_, **__):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(f"ner_tutorial.training.{'loop' if loop == 'accelerate' else 'trainer'}.token_loss", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            LOOPS[loop](folder, **OPTIONS, **inputs)
    assert not (tmp_path / "deep").exists()
    result = LOOPS[loop](folder, **OPTIONS | {"epochs": 1}, **inputs)
    assert result.model_dir == folder


@each_loop
def test_a_run_that_ends_after_a_checkpoint_keeps_its_claim(loop, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "save_model", lambda *_: pytest.fail("interrupted"))
    with pytest.raises(pytest.fail.Exception):
        LOOPS[loop](tmp_path / "run", **OPTIONS, **inputs)
    assert (tmp_path / "run" / "run.json").is_file()
    with pytest.raises(FileExistsError, match="already holds a run"):
        LOOPS[loop](tmp_path / "run", **OPTIONS, **inputs)


@each_loop
def test_a_place_that_cannot_be_written_to_is_found_before_a_model_is_loaded(loop, inputs, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("ner_tutorial.training.preparation.load_model", lambda *_: pytest.fail("loaded"))
    with pytest.raises(OSError, match=r"cannot write to .*name a folder where you may"):
        LOOPS[loop](tmp_path / "file" / "run", **OPTIONS, **inputs)


# ------------------------------------------------------------------------------------------------------ two processes


def hold(folder: str) -> None:
    with hold_folder(folder):
        time.sleep(60)


@each_loop
def test_a_folder_in_which_another_process_trains_is_refused_by_its_number_and_free_when_that_is_killed(
    loop, inputs, tmp_path
):
    folder = tmp_path / "run"
    other = process_server().Process(target=hold, args=(str(folder),), daemon=True)
    other.start()
    while not ((folder / LOCK_FILE).is_file() and (folder / LOCK_FILE).read_text(encoding="utf-8")):
        time.sleep(0.01)
    with pytest.raises(FileExistsError, match=f"another process trains in .*process {other.pid} on "):
        LOOPS[loop](folder, **OPTIONS, **inputs)
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    assert (folder / LOCK_FILE).is_file(), "what the killed process left"
    LOOPS[loop](folder, **OPTIONS | {"epochs": 1}, **inputs)
    assert not (folder / LOCK_FILE).exists()


# ---------------------------------------------------------------------------------------------------------- full disks


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        RuntimeError("basic_ios::clear: iostream error"),
        Exception("No space left on device (os error 28)"),
    ],
    ids=["Python", "safetensors", "torch", "torch, in a tensor", "torch, at the end", "tokenizers"],
)
def test_a_full_disk_is_one_line_whichever_library_meets_it(error, tmp_path):
    with (
        pytest.raises(OSError, match=r"the disk is full, .* go on with resume"),
        one_line_if_disk_is_full(tmp_path),
    ):
        raise error


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(RuntimeError, match="out of memory"), one_line_if_disk_is_full(tmp_path):
        raise RuntimeError("CUDA out of memory")


@each_loop
def test_a_run_on_a_full_disk_says_so_and_goes_on_later(loop, inputs, through, tmp_path, monkeypatch):
    folder, save, calls = tmp_path / "run", torch.save, []

    def full(*arguments, **options):
        calls.append(arguments)
        if len(calls) > 4:  # in the second epoch
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")
        return save(*arguments, **options)

    with monkeypatch.context() as broken:
        broken.setattr(torch, "save", full)
        with pytest.raises(OSError, match="the disk is full"):
            LOOPS[loop](folder, **OPTIONS, **inputs)
    LOOPS[loop](folder, **OPTIONS, **inputs, resume=True)
    agree(folder, through[loop])


# ------------------------------------------------------------------------------------------- training that learns nothing


def json_files(folder: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.json"))


@each_loop
def test_a_loss_that_is_no_number_stops_the_run_with_the_likely_causes(loop, inputs, tmp_path):
    """It used to end with exit status 0, best epoch 1, and NaN in metrics.json, which is then no JSON."""
    with pytest.raises(ValueError, match=r"nan, so training stops\. Likely causes: the learning rate is too high"):
        LOOPS[loop](tmp_path / "run", **OPTIONS | {"learning_rate": 1e30}, **inputs)
    assert not (tmp_path / "run").exists(), "it learned nothing that could be gone on from"


@each_loop
def test_a_loss_that_is_no_number_in_a_later_epoch_leaves_the_good_ones(loop, inputs, tmp_path, monkeypatch):
    add = LossMeter.add
    monkeypatch.setattr(
        LossMeter, "add", lambda self, loss: add(self, loss * float("inf") if self.epoch == 2 else loss)
    )
    with pytest.raises(ValueError, match=r"the training loss in epoch 2, step \d+ is inf"):
        LOOPS[loop](tmp_path / "run", **OPTIONS, **inputs)
    assert len(checkpoints(tmp_path / "run")) == 1
    assert "NaN" not in json_files(tmp_path / "run")
    assert "Infinity" not in json_files(tmp_path / "run")


@each_loop
def test_the_command_line_says_it_in_one_line(loop, inputs, tmp_path):
    arguments = ["train", "--corpus", inputs["corpus"], "--checkpoint", inputs["checkpoint"]]
    result = CliRunner().invoke(
        main,
        [*arguments, "--loop", loop, "--output", str(tmp_path / "run"), "--learning-rate", "1e30", "--epochs", "1"],
    )
    assert result.exit_code == 1
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: the training loss in epoch 1, step ")
    assert "the learning rate is too high" in message
    assert "Traceback" not in result.stderr


@each_loop
def test_without_entities_in_the_validation_split_the_loss_decides_and_that_is_said(loop, inputs, tmp_path, caplog):
    corpus = name_corpus(validation=lambda label: "O")
    options = OPTIONS | {"learning_rate": 3e-2, "epochs": 4}
    result = LOOPS[loop](tmp_path / "run", **options, **inputs | {"corpus": corpus})
    assert {row.f1 for row in result.epochs} == {0.0}
    assert result.best_epoch == min(result.epochs, key=lambda row: row.eval_loss).epoch
    assert "The validation split holds no entity" in caplog.text


@each_loop
def test_without_a_validation_sentence_the_last_epoch_is_kept_and_that_is_said(loop, inputs, tmp_path, caplog):
    corpus = name_corpus(noise=0.15)
    corpus["validation"] = corpus["validation"].select([])
    result = LOOPS[loop](tmp_path / "run", **OPTIONS, **inputs | {"corpus": corpus})
    assert result.best_epoch == 3
    assert "The validation split holds no sentence to choose an epoch by" in caplog.text


@each_loop
def test_an_f1_of_0_after_few_steps_is_explained(loop, inputs, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    options = OPTIONS | {"learning_rate": 0.03, "epochs": 2, "train_sentences": 8}
    result = LOOPS[loop](tmp_path / "run", **options, **inputs | {"corpus": name_corpus(train=lambda label: "O")})
    assert result.validation.f1 == 0
    assert "F1 on the validation split is 0.000 in every epoch: after 4 training steps" in caplog.text
    assert "--epochs" in caplog.text
