"""Bad input, gathered in one table: each ends in one clear line of error or in the right result, never in a traceback.

A row names what the user does, the files that are bad, and what must come: a part of the message, or ``RIGHT``.
"""

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from miniature import altered_model, name_corpus, save_corpus, save_encoder, save_lookup_model

from ner_tutorial.__main__ import main

pytestmark = pytest.mark.slow

RIGHT = None
EVALUATE = ["evaluate", "--model", "{model}", "--corpus", "{bad}"]
PREDICT = ["predict", "--model", "{model}"]
TRAIN = ["train", "--corpus", "{corpus}", "--checkpoint", "{encoder}", "--epochs", "1", "--output", "{tmp}/run"]
TRAIN_ON = ["train", "--corpus", "{bad}", "--checkpoint", "{encoder}", "--epochs", "1", "--output", "{tmp}/run"]
TRAIN_FROM = ["train", "--corpus", "{corpus}", "--checkpoint", "{bad}", "--epochs", "1", "--output", "{tmp}/run"]
LINT = ["lint", "{bad}"]
USE = ["predict", "--model", "{bad}"]


@dataclass(frozen=True)
class Row:
    """What is done with what, and what must come of it."""

    command: list[str]
    message: str | None
    """A part of the one line on standard error; ``RIGHT`` for exit status 0."""
    files: dict[str, str | bytes] = field(default_factory=dict)
    """Contents of files in the folder ``{bad}``; with ``of``, they replace those of a copy."""
    of: str = ""
    """The folder that ``{bad}`` is a copy of: ``model``, ``encoder`` or ``corpus``."""
    delete: tuple[str, ...] = ()
    text: str | bytes = "Nora met Ines\n"
    environment: dict[str, str] = field(default_factory=dict)


def corpus_of(train, **more) -> dict[str, str | bytes]:
    good = "Nora B-PER\nwon O\n\n"
    return {"train.conll": train, "validation.conll": good, "test.conll": good, **more}


TABLE = {
    # ------------------------------------------------------------------------------------- text for predict
    "text: none": Row(PREDICT, RIGHT, text=""),
    "text: white space": Row(PREDICT, RIGHT, text=" \t\u3000\u200b\n\n"),
    "text: control characters": Row(PREDICT, RIGHT, text="\x00\x1b[2J\x07 Nora\x7f\n"),
    "text: no end of line": Row(PREDICT, RIGHT, text="Nora"),
    "text: a mark of Windows": Row(PREDICT, RIGHT, text=b"\xef\xbb\xbfNora\r\n"),
    "text: combining marks and joined emoji": Row(PREDICT, RIGHT, text="Rene\u0301 👩\u200d🚀 नी\n"),
    "text: a word of 50,000 letters": Row(PREDICT, RIGHT, text="N" * 50_000 + "\n"),
    "text: 20,000 words on a line": Row(PREDICT, RIGHT, text="Nora " * 20_000 + "\n"),
    "text: Latin-1": Row(PREDICT, "not UTF-8: line 1", text="Zoë\n".encode("latin-1")),
    "text: UTF-16": Row(PREDICT, "UTF-16", text="Zoë\n".encode("utf-16")),
    "text: a lone surrogate": Row(PREDICT, "half of a character", text=b"\xed\xa0\x80\n"),
    "text: a file that is a folder": Row([*PREDICT, "{tmp}"], "directory"),
    "text: a file that is not there": Row([*PREDICT, "{tmp}/nothing"], "No such file"),
    # ------------------------------------------------------------------------------------------ corpora
    "corpus: an empty folder": Row(EVALUATE, "no file for train, validation, test"),
    "corpus: empty files": Row(EVALUATE, "train.conll", corpus_of("")),
    "corpus: a line without a label": Row(EVALUATE, "train.conll, line 1", corpus_of("Nora\n\n")),
    "corpus: a digit for the letter O": Row(EVALUATE, "train.conll, line 1", corpus_of("Nora 0\n\n")),
    "corpus: labels that the model lacks": Row(EVALUATE, "train.conll, line 1: label 'B-CAT'", corpus_of("Nora B-CAT\n\n")),
    "corpus: Latin-1": Row(EVALUATE, "train.conll", corpus_of("Zoë B-PER\n\n".encode("latin-1"))),
    "corpus: zeros": Row(EVALUATE, "train.conll", corpus_of(b"\x00" * 100)),
    "corpus: a photo": Row(EVALUATE, "train.conll", corpus_of(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)),
    "corpus: a line of 20 MB": Row(EVALUATE, "train.conll, line 1", corpus_of("N" * 20_000_000 + "\n\n")),
    "corpus: damaged parquet": Row(EVALUATE, "parquet", {"train.parquet": "PAR1", "validation.parquet": "PAR1", "test.parquet": "PAR1"}),
    "corpus: its name is a file": Row(["evaluate", "--model", "{model}", "--corpus", "{model}/config.json"], "is a file"),
    "corpus: no such name": Row(["evaluate", "--model", "{model}", "--corpus", "nowhere"], "no corpus 'nowhere'"),
    "corpus: the name of a device": Row(["evaluate", "--model", "{model}", "--corpus", "/dev/null"], "corpus"),
    "corpus: an empty name": Row(["evaluate", "--model", "{model}", "--corpus", ""], "is empty"),
    "corpus: an empty variable": Row(["evaluate", "--model", "{model}"], "is set but empty", environment={"NER_TUTORIAL_CORPUS": ""}),
    "corpus: training on nothing": Row(TRAIN_ON, "train.conll", corpus_of("")),
    "lint: an empty folder": Row(LINT, "no CoNLL file"),
    "lint: a file": Row(["lint", "{model}/config.json"], "no folder at"),
    # ------------------------------------------------------------------------------- finished models, used
    "model: an empty folder": Row(USE, "holds no finished model"),
    "model: not there": Row(["predict", "--model", "{tmp}/nothing"], "no model folder at"),
    "model: a file": Row(["predict", "--model", "{model}/config.json"], "no model folder at"),
    "model: an encoder": Row(USE, "not an NER model", of="encoder"),
    "model: no weights": Row(USE, "model.safetensors is missing", of="model", delete=("model.safetensors",)),
    "model: pickled weights only": Row(USE, "can run code", {"pytorch_model.bin": b"cos\nsystem\n(S'exit 1'\ntR."}, of="model", delete=("model.safetensors",)),
    "model: empty weights": Row(USE, "damaged", {"model.safetensors": b""}, of="model"),
    "model: weights that are text": Row(USE, "damaged", {"model.safetensors": "hello" * 100}, of="model"),
    "model: a header of many exabytes": Row(USE, "damaged", {"model.safetensors": b"\xff" * 8 + b"{}"}, of="model"),
    "model: an index that leads out of the folder": Row(USE, "not in the folder", {"model.safetensors.index.json": json.dumps({"weight_map": {"a": "../../secret.safetensors"}})}, of="model", delete=("model.safetensors",)),
    "model: a damaged index": Row(USE, "not an index", {"model.safetensors.index.json": "[]"}, of="model", delete=("model.safetensors",)),
    "model: no tokenizer": Row(USE, "has no tokenizer", of="model", delete=("tokenizer.json", "tokenizer_config.json")),
    "model: a tokenizer that is a list": Row(USE, "tokenizer.json", {"tokenizer.json": "[]"}, of="model"),
    "model: a tokenizer that is cut off": Row(USE, "tokenizer.json", {"tokenizer.json": '{"version": '}, of="model"),
    "model: a configuration that is a list": Row(USE, "config.json", {"config.json": "[]"}, of="model"),
    "model: a configuration in Latin-1": Row(USE, "config.json", {"config.json": '{"a": "ë"}'.encode("latin-1")}, of="model"),
    "model: an export that is text": Row(USE, "model.onnx is damaged", {"model.onnx": "hello"}, of="model"),
    "model: an unknown number format": Row([*PREDICT, "--precision", "int4"], "int4"),
    "model: nothing given": Row(["predict"], "--model"),
    # ------------------------------------------------------------------------------- encoders, to train from
    "encoder: an empty folder": Row(TRAIN_FROM, "without config.json"),
    "encoder: no weights": Row(TRAIN_FROM, "holds no weights", of="encoder", delete=("model.safetensors",)),
    "encoder: damaged weights": Row(TRAIN_FROM, "damaged", {"model.safetensors": b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "[:9]}, of="encoder"),
    "encoder: no tokenizer": Row(TRAIN_FROM, "has no tokenizer", of="encoder", delete=("tokenizer.json", "tokenizer_config.json")),
    "encoder: a name with line ends": Row(["train", "--output", "{tmp}/run", "--checkpoint", "a\nb\x1b[2J"], "cannot load checkpoint"),
    "encoder: an address": Row(["train", "--output", "{tmp}/run", "--checkpoint", "https://example.org/x"], "no model folder at"),
    "encoder: an empty variable": Row(["train", "--output", "{tmp}/run"], "is set but empty", environment={"NER_TUTORIAL_CHECKPOINT": " "}),
    # ----------------------------------------------------------------------------------- settings of a run
    "train: no output": Row(["train"], "--output"),
    "train: a file for an output": Row([*TRAIN[:-1], "{model}/config.json"], "is a file"),
    "train: an output in a file": Row([*TRAIN[:-1], "{model}/config.json/run"], "config.json"),
    "train: an output with files": Row([*TRAIN[:-1], "{model}"], "is not empty"),
    "train: no epoch": Row([*TRAIN, "--epochs", "0"], "--epochs"),
    "train: a rate that is no number": Row([*TRAIN, "--learning-rate", "nan"], "learning"),
    "train: a rate that is infinite": Row([*TRAIN, "--learning-rate", "inf"], "learning"),
    "train: an unknown profile": Row(TRAIN, "unknown profile", environment={"NER_TUTORIAL_PROFILE": "huge"}),
    "train: all is well": Row(TRAIN, RIGHT),
}  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("good")
    save_lookup_model(home / "model")
    save_encoder(home / "encoder", str(home / "model"))
    (home / "corpus").mkdir()
    save_corpus(home / "corpus", name_corpus(sizes={"train": 8, "validation": 4, "test": 4}))
    return {name: home / name for name in ("model", "encoder", "corpus")}


def snapshot(folders: dict[str, Path]) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for folder in folders.values() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", TABLE)
def test_bad_input_ends_in_one_clear_line_or_in_the_right_result(name, places, tmp_path):
    row = TABLE[name]
    bad = tmp_path / "bad"
    if row.of:
        altered_model(places[row.of], bad, delete=row.delete)
    else:
        bad.mkdir()
    for file, content in row.files.items():
        (bad / file).write_bytes(content.encode() if isinstance(content, str) else content)
    before = snapshot(places)
    arguments = [part.format(bad=bad, tmp=tmp_path, **places) for part in row.command]
    result = CliRunner(env={"HF_HUB_OFFLINE": "1", **row.environment}).invoke(main, arguments, input=row.text)
    assert snapshot(places) == before, "the user's files were changed"
    assert result.exception is None or isinstance(result.exception, SystemExit), "an exception came through"
    assert "Traceback" not in result.stderr
    if row.message is RIGHT:
        assert result.exit_code == 0, result.output
        return
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    said = result.stderr.splitlines()[-1]
    assert said.startswith("Error: ")
    assert row.message in said
    assert "fault of this program" not in said
    assert len(said) < 3000
    assert said.isprintable()


def process(*arguments, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ner_tutorial", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False, **options)


def test_a_folder_without_the_right_to_write_is_said_in_a_process_of_its_own(places, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    if os.access(locked, os.W_OK):
        pytest.skip("this user may write everywhere")
    done = process("train", "--corpus", places["corpus"], "--checkpoint", places["encoder"], "--output", locked / "run")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1].startswith("Error: ")
    assert b"Traceback" not in done.stderr


def test_a_full_disk_is_said_in_one_line(places, tmp_path):
    """A limit on the size of files stands for the disk: writing fails in the same place."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = process(
        "train", "--corpus", places["corpus"], "--checkpoint", places["encoder"], "--epochs", "1", "--output", tmp_path / "run",
        preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode not in (0, None)
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_closed_streams_end_quietly(places):
    done = process("predict", "--model", places["model"], stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
