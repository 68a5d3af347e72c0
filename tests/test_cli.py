"""The command line: help, training, scores as JSON, one JSON line a sentence, and errors of one line."""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from miniature import name_corpus, same_weights, save_corpus, save_encoder, save_lookup_model

from ner_tutorial import load_corpus, load_result, load_tagger
from ner_tutorial.__main__ import main
from ner_tutorial.console import line_blocks, printable
from ner_tutorial.profiles import PROFILES

COMMANDS = ("train", "evaluate", "predict", "lint")


def cli(*arguments, text: str | bytes | None = None, **environment) -> Result:
    """Run the command line in this process."""
    return CliRunner(env=environment).invoke(main, [str(argument) for argument in arguments], input=text)


def shell(*arguments, **options) -> subprocess.CompletedProcess:
    """Run it as a user does, in a process of its own."""
    command = [sys.executable, "-m", "ner_tutorial", *map(str, arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False, **options)


def one_line_error(result: Result) -> str:
    """The message of a run that failed as it should: exit status 1, one line on standard error, nothing else."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), "an exception came through"
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    return lines[0].removeprefix("Error: ")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> str:
    return save_corpus(tmp_path_factory.mktemp("corpus"), name_corpus(noise=0.15))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    return save_lookup_model(tmp_path_factory.mktemp("lookup"))


@pytest.fixture(scope="module")
def trained(corpus, model_dir, tmp_path_factory) -> Path:
    """A model trained from the command line, good enough to have scores between 0 and 1."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    encoder = save_encoder(tmp_path_factory.mktemp("encoder"), str(model_dir))
    result = cli(
        "train", "--corpus", corpus, "--checkpoint", encoder, "--output", folder, "--epochs", 3, "--batch-size", 4,
        "--learning-rate", 0.005, "--seed", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder


# ---------------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_explains_every_option(command, flag):
    result = cli(command, flag)
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    for parameter in main.commands[command].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[0] in words
    assert main.commands[command].help.split("\n")[0] in words


@pytest.mark.parametrize("option", ["--corpus", "--checkpoint", "--output", "--loop", "--epochs", "--batch-size", "--learning-rate", "--seed", "--resume"])  # fmt: skip
def test_train_has_the_announced_options(option):
    assert option in {name for parameter in main.commands["train"].params for name in parameter.opts}


@pytest.mark.slow
def test_the_program_lists_its_commands_without_loading_the_libraries():
    result = shell("--help")
    assert result.returncode == 0
    assert all(command in result.stdout for command in COMMANDS)
    assert "NER_TUTORIAL_PROFILE" in result.stdout
    assert result.stderr == ""
    code = "import sys; from ner_tutorial.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: print('torch' in sys.modules, 'datasets' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.splitlines()[-1] == "False False"


# --------------------------------------------------------------------------------------------------------------- train


@pytest.mark.parametrize("loop", ["trainer", "accelerate"])
def test_train_writes_model_and_metrics_and_reports_every_epoch(loop, corpus, tiny_checkpoint, tmp_path):
    result = cli(
        "train", "--corpus", corpus, "--checkpoint", tiny_checkpoint, "--output", tmp_path / "run", "--loop", loop,
        "--epochs", 2, "--batch-size", 8, "--learning-rate", 0.001, "--layer-decay", 0.9, "--seed", 7,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    given = {"loop": loop, "epochs": 2, "batch_size": 8, "learning_rate": 0.001, "layer_decay": 0.9, "seed": 7}
    assert {name: record[name] for name in given} == given
    run = load_result(tmp_path / "run")
    lines = [line for line in result.stdout.splitlines() if line.startswith("epoch ")]
    assert len(lines) == len(run.epochs) == 2
    assert f"F1 {run.epochs[1].f1:.4f}" in lines[1]
    assert f"best epoch {run.best_epoch}; test F1 {run.test.f1:.4f}" in result.stdout
    load_tagger(tmp_path / "run")


def test_what_is_not_given_comes_from_the_active_profile(corpus, tiny_checkpoint, tmp_path):
    folder = tmp_path / "run"
    result = cli(
        "train", "--output", folder, "--train-sentences", 4, "--epochs", 1,
        NER_TUTORIAL_CORPUS=corpus, NER_TUTORIAL_CHECKPOINT=tiny_checkpoint, NER_TUTORIAL_PROFILE="quick",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (record["corpus"], record["checkpoint"]) == (corpus, tiny_checkpoint)
    assert (record["batch_size"], record["learning_rate"], record["layer_decay"], record["seed"]) == (
        24,
        5e-4,
        0.85,
        42,
    )
    assert record["loop"] == "accelerate"


@pytest.mark.slow
def test_a_run_killed_in_the_shell_is_resumed_bit_for_bit(corpus, tiny_checkpoint, tmp_path):
    arguments = [
        "train", "--corpus", corpus, "--checkpoint", tiny_checkpoint, "--epochs", "3", "--batch-size", "2",
        "--learning-rate", "0.01",
    ]  # fmt: skip
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "ner_tutorial", *arguments, "--output", str(folder)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (folder / "checkpoints" / "epoch-1").is_dir():
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "metrics.json").exists()
    refused = cli(*arguments, "--output", folder)
    assert "already holds a run" in one_line_error(refused)
    resumed = cli(*arguments, "--output", folder, "--resume")
    assert resumed.exit_code == 0, resumed.output
    through = cli(*arguments, "--output", tmp_path / "through")
    assert through.exit_code == 0, through.output
    assert load_result(folder).epochs == load_result(tmp_path / "through").epochs
    assert same_weights(folder, tmp_path / "through")


def test_iob1_files_are_refused_and_converted_when_asked(model_dir, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for split in ("train", "validation", "test"):
        (corpus / f"{split}.conll").write_text("Nora I-PER\nVelt I-PER\nwon O\n\nOslo I-LOC\n\n", encoding="utf-8")
    arguments = ["evaluate", "--model", model_dir, "--corpus", corpus]
    message = one_line_error(cli(*arguments))
    assert "train.conll, line 1" in message
    assert "--convert-iob1" in message
    converted = cli(*arguments, "--convert-iob1")
    assert json.loads(converted.stdout)["f1"] == 1.0


# ------------------------------------------------------------------------------------------------------------ evaluate


def test_evaluate_prints_the_scores_of_metrics_json(trained, corpus):
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert 0.2 < metrics["test"]["f1"] < 1, "scores that could differ"
    for split in ("test", "validation"):
        result = cli("evaluate", "--model", trained, "--corpus", corpus, "--split", split)
        assert result.exit_code == 0, result.output
        scores = json.loads(result.stdout)
        assert scores["per_type"] == metrics[split]["per_type"]
        assert {name: scores[name] for name in metrics[split]} == metrics[split]
    best = metrics["epochs"][metrics["best_epoch"] - 1]
    assert scores["loss"] == pytest.approx(best["eval_loss"], rel=1e-6)


def test_evaluate_scores_the_test_split_of_the_profiles_corpus_by_default(trained, corpus):
    result = cli("evaluate", "--model", trained, NER_TUTORIAL_CORPUS=corpus)
    expected = cli("evaluate", "--model", trained, "--corpus", corpus, "--split", "test")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads(expected.stdout)


def test_evaluate_strict_equals_lenient_since_answers_are_well_formed(model_dir, tmp_path):
    """The model's best answer for Velt is I-PER wherever it stands; behind O it is no label that can be given."""
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.conll").write_text("the O\nVelt B-PER\n\nOslo B-LOC\n\n", encoding="utf-8")
    arguments = ["evaluate", "--model", model_dir, "--corpus", tmp_path]
    lenient, strict = (json.loads(cli(*arguments, *more).stdout) for more in ([], ["--strict"]))
    assert (lenient["f1"], strict["f1"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert strict["per_type"]["PER"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 1}


# ------------------------------------------------------------------------------------------------------------- predict

TEXT = "Nora Velt flew to Oslo.\n\nthe of\nBlackburn met Ines\n"


def expected_lines(model_dir: Path) -> list[dict]:
    tagger = load_tagger(model_dir)
    return [
        {"text": line, "entities": [span.to_dict() for span in tagger(line)]} for line in TEXT.removesuffix("\n").split("\n")
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["file", "standard input", "dash"])
def test_predict_gives_one_json_line_for_every_line(model_dir, tmp_path, source):
    file = tmp_path / "text.txt"
    file.write_text(TEXT, encoding="utf-8")
    arguments = {"file": [file], "standard input": [], "dash": ["-"]}[source]
    result = cli("predict", "--model", model_dir, *arguments, text=None if source == "file" else TEXT)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows == expected_lines(model_dir)
    assert [[entity["text"] for entity in row["entities"]] for row in rows] == [
        ["Nora Velt", "Oslo"], [], [], ["Blackburn", "Ines"],
    ]  # fmt: skip
    assert list(rows[0]["entities"][0]) == ["type", "text", "start", "end", "score"]


def test_predict_reads_windows_files_and_writes_letters_as_they_are(model_dir, tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes("\ufeffNora met Zoë\r\nOslo".encode())
    result = cli("predict", "--model", model_dir, file)
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["Nora met Zoë", "Oslo"]
    assert "Zoë" in result.stdout


def test_predict_of_nothing_prints_nothing(model_dir):
    result = cli("predict", "--model", model_dir, text="")
    assert (result.exit_code, result.stdout) == (0, "")


def test_predict_aggregates_as_asked(model_dir):
    found = {}
    for strategy in ("first", "simple"):
        result = cli("predict", "--model", model_dir, "--aggregation", strategy, text="Blackburn\n")
        found[strategy] = [entity["text"] for entity in json.loads(result.stdout)["entities"]]
    assert found == {"first": ["Blackburn"], "simple": ["Blac", "burn"]}


def test_predict_on_another_encoding_is_an_error_that_names_the_way_out(model_dir, tmp_path):
    file = tmp_path / "latin.txt"
    file.write_bytes("Nora met Zoë\n".encode("latin-1"))
    message = one_line_error(cli("predict", "--model", model_dir, file))
    assert message.startswith(f"{file} is not UTF-8")
    assert "iconv" in message


# ---------------------------------------------------------------------------------------------------------------- lint


def test_lint_ends_with_0_for_a_clean_folder_and_1_for_a_faulty_one(tmp_path):
    for split, text in {"train": "Nora B-PER\nwon O\n\n", "test": "Oslo B-LOC\n\n"}.items():
        (tmp_path / f"{split}.conll").write_text(text, encoding="utf-8")
    clean = cli("lint", tmp_path)
    assert clean.exit_code == 0
    assert "0 errors" in clean.stdout
    (tmp_path / "validation.conll").write_text("Oslo B-LOC\n\n", encoding="utf-8")
    faulty = cli("lint", tmp_path)
    assert faulty.exit_code == 1
    assert "1 errors" in faulty.stdout
    assert "sentence in test.conll, line 1, validation.conll, line 1" in faulty.stdout


def test_lint_warnings_leave_the_exit_status_0(tmp_path):
    (tmp_path / "train.conll").write_text("Oslo B-LOC\n\nOslo B-LOC\n\n" + "the O\n" * 6, encoding="utf-8")
    result = cli("lint", tmp_path, "--long", 5)
    assert result.exit_code == 0
    assert "2 warnings" in result.stdout


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.slow
def test_an_unknown_corpus_is_one_line_in_the_shell_too(model_dir):
    result = shell("evaluate", "--model", model_dir, "--corpus", "nowhere")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == "Error: no corpus 'nowhere': it is neither a folder nor one of newswire, conll2003\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--corpus", "nowhere", "--output", "{tmp}/run"], "no corpus 'nowhere'"),
        (["train", "--corpus", "{tmp}", "--output", "{tmp}/run"], "no file for train, validation, test"),
        (["train", "--checkpoint", "nobody/nothing", "--output", "{tmp}/run"], "cannot load checkpoint 'nobody/nothing'"),
        (["train", "--checkpoint", "./nowhere", "--output", "{tmp}/run"], "no model folder at ./nowhere"),
        (["train", "--checkpoint", "{tmp}", "--output", "{tmp}/run"], "is a folder without config.json"),
        (["train", "--checkpoint", "{damaged}", "--output", "{tmp}/run"], "cannot load checkpoint"),
        (["evaluate", "--model", "{tmp}/nowhere"], "no model folder at"),
        (["evaluate", "--model", "{tmp}"], "holds no finished model"),
        (["predict", "--model", "{tmp}/nowhere"], "no model folder at"),
        (["predict", "--model", "{damaged}"], "damaged"),
        (["lint", "{tmp}/nowhere"], "no folder at"),
        (["lint", "{tmp}"], "no CoNLL file in"),
    ],
)  # fmt: skip
def test_what_cannot_be_found_is_one_line(arguments, message, corpus, model_dir, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in model_dir.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes()[: -10 if file.suffix == ".safetensors" else None])
    result = cli(
        *(part.format(tmp=tmp_path, damaged=damaged) for part in arguments), text="Nora\n", NER_TUTORIAL_CORPUS=corpus
    )
    assert message in one_line_error(result)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [["train", "--output", "run"], ["evaluate", "--model", "{model}"]])
def test_an_unknown_profile_is_one_line(command, model_dir):
    result = cli(*(part.format(model=model_dir) for part in command), NER_TUTORIAL_PROFILE="huge")
    assert one_line_error(result) == (
        f"unknown profile 'huge' (from the environment variable NER_TUTORIAL_PROFILE); choose one of: {', '.join(PROFILES)}"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"], ["train", "--output", "x", "--epochs", "0"], ["train", "--output", "x", "--learning-rate", "0"],
        ["train", "--output", "x", "--loop", "mine"], ["evaluate", "--model", "x", "--split", "dev"],
        ["predict", "--model", "x", "nowhere.txt"], ["unknown"],
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2_and_points_to_the_help(arguments):
    result = cli(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
    assert "--help" in result.stderr


# ----------------------------------------------------------------------------------------- streams, terminals, precision


def program(*arguments, **options) -> subprocess.Popen:
    """A process of its own, to talk to while it runs. Its standard error goes to a pipe too."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | options.pop("environment", {})
    return subprocess.Popen(
        [sys.executable, "-m", "ner_tutorial", *map(str, arguments)], env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


@pytest.mark.slow
def test_predict_answers_while_it_reads_writes_utf8_and_ends_quietly_when_nobody_reads_on(model_dir):
    with program("predict", "--model", model_dir, environment={"PYTHONIOENCODING": "cp1252"}) as process:
        for line in ("Nora met Zoë", "日本 → Oslo", "Oslo\udc9b[2J"):  # cp1252 has no letter for some of them
            process.stdin.write(line.encode("utf-8", "surrogateescape").replace(b"\x9b", "\x9b".encode()) + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()  # before the input has ended
            assert json.loads(answer)["text"] == line.replace("\udc9b", "\x9b")
            assert "\x9b" not in answer.decode(), "it would steer a terminal"
        process.stdout.close()
        process.stdin.write(b"Nora met Ines\n" * 50)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def test_lines_before_a_damaged_one_are_answered(model_dir, tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes(b"Nora\nOslo\n" * 400 + b"Zo\xeb\nInes\n")
    result = cli("predict", "--model", model_dir, file)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 800
    assert "line 801, byte 3" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Nora\n".encode("utf-16"), "UTF-16; convert it: iconv -f utf-16 -t utf-8"),
        ("Nora\n".encode("utf-16-be"), None),  # without a mark it is UTF-8 with zeros, and each line gets an answer
        (b"Nora \xed\xa0\x80\n", "line 1, byte 6 is half of a character (a lone surrogate)"),
        (b"Nora\nZo\xeb\n", "line 2, byte 3"),
    ],
)
def test_other_encodings_are_named_with_their_way_out(content, message, model_dir):
    result = cli("predict", "--model", model_dir, text=content)
    if message is None:
        assert result.exit_code == 0
    else:
        assert result.exit_code == 1
        assert message in result.stderr
        assert result.stderr.startswith("Error: standard input is not UTF-8")


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60), sizes=st.lists(st.integers(1, 7), min_size=1)
)
def test_lines_are_those_of_the_text_however_they_arrive(text, sizes):
    """Hypothesis cuts the bytes inside of letters and between \\r and \\n."""

    class Drops(io.BytesIO):
        reads = itertools.cycle(sizes)

        def read1(self, size=-1):
            return super().read1(next(self.reads))

    # newline=None reads \r, \r\n and \n as the end of a line, as text files are read.
    expected = [line.rstrip("\n") for line in io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8-sig")]
    blocks = list(line_blocks(Drops(text.encode()), "text"))
    assert [line for block in blocks for line in block] == expected
    assert all(blocks)


def test_a_block_is_never_large(tmp_path):
    lines = [b"a\n"] * 100_000
    assert max(map(len, line_blocks(io.BytesIO(b"".join(lines)), "text"))) <= 500


@pytest.mark.parametrize("precision", ["bf16", "no"])
def test_evaluate_and_predict_take_a_number_format(precision, model_dir, corpus):
    scored = cli("evaluate", "--model", model_dir, "--corpus", corpus, "--precision", precision)
    assert scored.exit_code == 0, scored.output
    tagged = cli("predict", "--model", model_dir, "--precision", precision, text="Nora met Ines\n")
    assert [entity["text"] for entity in json.loads(tagged.stdout)["entities"]] == ["Nora", "Ines"]


def test_decoding_is_the_best_valid_sequence_or_each_words_best_label(model_dir, tmp_path):
    """The model answers I-PER for Velt wherever it occurs, and alone that is no sequence of IOB2."""
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.conll").write_text("the O\nVelt B-PER\n\nOslo B-LOC\n\n", encoding="utf-8")
    scored, tagged = {}, {}
    for decoding in ("viterbi", "greedy"):
        arguments = ["--model", model_dir, "--decoding", decoding]
        scored[decoding] = json.loads(cli("evaluate", *arguments, "--corpus", tmp_path, "--strict").stdout)["f1"]
        tagged[decoding] = json.loads(cli("predict", *arguments, text="the Velt\n").stdout)["entities"]
    tagger = load_tagger(model_dir, decoding="greedy")
    assert tagged["greedy"] == [span.to_dict() for span in tagger("the Velt")]
    assert scored["greedy"] == pytest.approx(2 / 3)
    assert scored["viterbi"] >= scored["greedy"]
    default = json.loads(cli("evaluate", "--model", model_dir, "--corpus", tmp_path, "--strict").stdout)["f1"]
    assert default == scored["viterbi"]


def test_scores_in_float32_are_those_of_float32_products(model_dir, corpus, monkeypatch):
    """``load_tagger(precision="no").evaluate`` used to compute in bfloat16 where the machine is fast in it."""
    seen = []
    tagger = load_tagger(model_dir, precision="no")
    tagger.model.classifier.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    from ner_tutorial.fast import precision

    monkeypatch.setattr(precision, "fast_precision", lambda device: "bf16")
    tagger.evaluate(load_corpus(corpus)["test"])
    assert set(seen) == {torch.float32}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["evaluate", "--model", "{model}", "--corpus", ""], "--corpus"),
        (["evaluate", "--model", "{model}", "--corpus="], "--corpus"),
        (["evaluate", "--model", ""], "--model"),
        (["predict", "--model", "{model}", ""], "an argument"),
        (["train", "--output", "", "--epochs", "1"], "--output"),
        (["train", "--output", "{tmp}/run", "--checkpoint", " "], "--checkpoint"),
        (["lint", ""], "an argument"),
    ],
)
def test_an_empty_argument_is_an_error(arguments, named, model_dir, tmp_path):
    result = cli(*(part.format(model=model_dir, tmp=tmp_path) for part in arguments))
    assert result.exit_code == 2
    assert f"{named} is empty; is a variable of the shell unset?" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["NER_TUTORIAL_CORPUS", "NER_TUTORIAL_PROFILE", "NER_TUTORIAL_CHECKPOINT"])
def test_an_empty_variable_is_an_error_of_one_line(name, model_dir):
    assert f"{name} is set but empty" in one_line_error(cli("evaluate", "--model", model_dir, **{name: ""}))


def test_a_tilde_is_the_home_folder(corpus, tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    arguments = ["--corpus", corpus, "--checkpoint", tiny_checkpoint, "--epochs", 1, "--train-sentences", 4]
    assert cli("train", "--output", "~/run", *arguments).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert cli("predict", "--model", "~/run", text="Nora\n").exit_code == 0


def test_lint_shows_what_could_steer_a_terminal_as_its_escape(tmp_path):
    """A word that clears the screen, and one that turns the direction of writing."""
    for split in ("train", "test"):
        (tmp_path / f"{split}.conll").write_text("\x1b[2JOslo\u202e B-LOC\n\n", encoding="utf-8")
    result = cli("lint", tmp_path)
    assert "\\x1b[2JOslo\\u202e" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


@given(st.text())
def test_printable_text_holds_no_control_and_leaves_letters_alone(text):
    shown = printable(text)
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\t\n"]
    assert printable(shown) == shown
    shown.encode()
    if text.isprintable():
        assert shown == text


def test_what_nobody_expected_is_one_line_too(model_dir, monkeypatch):
    def fail(*_, **__):
        raise KeyError("a fault\nof ours " + "x" * 10_000_000)

    monkeypatch.setattr("ner_tutorial.tagger.Tagger.predict", fail)
    message = one_line_error(cli("predict", "--model", model_dir, text="Nora\n"))
    assert message.startswith("KeyError: ")
    assert len(message) < 3000
