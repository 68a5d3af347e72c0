"""A run that is killed and resumed ends as one that ran through, bit for bit; a folder in use is never overwritten."""

import gc
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
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

from ner_tutorial import TrainingResult, load_result, load_tagger

pytestmark = pytest.mark.slow

each_loop = pytest.mark.parametrize("loop", LOOPS)
OPTIONS = {
    "epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "seed": 1, "train_sentences": 30, "progress": False,
    "precision": "no", "layer_decay": 0.8,
}  # fmt: skip
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


# ------------------------------------------------------------------------- training in a process that can be killed


def train_and_perhaps_die(loop: str, folder: str, options: dict, die_at: int | None, seen: str) -> None:
    """Train; die by SIGKILL just before the change number ``die_at`` that Python makes to the folder.

    An audit hook sees every file that is opened for writing, moved or deleted. Without ``die_at`` they are counted.
    """
    import torch

    torch.set_num_threads(1)
    gc.freeze()  # what the server had loaded needs no collecting here; Trainer asks for that
    changes: list[str] = []

    def watch(event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, _ = arguments
            if not (isinstance(path, str | os.PathLike) and mode and set(mode) & set("wax+")):
                return
        elif event in CHANGES:
            path = arguments[0]
        else:
            return
        if str(path).startswith(folder):
            if len(changes) == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            changes.append(f"{event} {str(path)[len(folder) + 1 :]}")

    sys.addaudithook(watch)
    LOOPS[loop](folder, **options)
    Path(seen).write_text(json.dumps(changes), encoding="utf-8")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """``start(loop, folder, options, die_at)`` starts a training process."""
    seen = tmp_path_factory.mktemp("seen") / "changes.json"
    processes = process_server()

    def begin(loop: str, folder: Path, options: dict, die_at: int | None = None):
        process = processes.Process(
            target=train_and_perhaps_die, args=(loop, str(folder), options, die_at, str(seen)), daemon=True
        )
        process.start()
        process.seen = seen
        return process

    return begin


@pytest.fixture(scope="module")
def finish(start):
    """Run a training process to its end, whatever that is, and return its exit code."""

    def wait(*arguments, **options) -> int:
        process = start(*arguments, **options)
        process.join(120)
        assert process.exitcode is not None, "the training hangs"
        return process.exitcode

    return wait


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict:
    """Corpus and checkpoint as folders, which processes can share."""
    lookup = str(save_lookup_model(tmp_path_factory.mktemp("lookup")))
    return {
        "corpus": save_corpus(tmp_path_factory.mktemp("corpus"), name_corpus(noise=0.15)),
        "checkpoint": save_encoder(tmp_path_factory.mktemp("encoder"), lookup),
    }


@pytest.fixture(scope="module")
def through(start, inputs, tmp_path_factory) -> dict[str, dict]:
    """For each loop a run that nothing disturbed, the changes it made to its folder, and the seconds it took."""
    found = {}
    for loop in LOOPS:
        folder = tmp_path_factory.mktemp(loop) / "run"
        began = time.perf_counter()
        process = start(loop, folder, OPTIONS | inputs)
        process.join(120)
        assert process.exitcode == 0
        changes = json.loads(process.seen.read_text(encoding="utf-8"))
        found[loop] = {"folder": folder, "changes": changes, "seconds": time.perf_counter() - began}
    return found


def agree(folder: Path, other: Path) -> None:
    """Same numbers, same weights; only the seconds may differ."""
    one, two = load_result(folder), load_result(other)
    assert one.epochs == two.epochs
    assert (one.best_epoch, one.validation, one.test) == (two.best_epoch, two.validation, two.test)
    assert same_weights(folder, other)


# ------------------------------------------------------------------------------------------------ killed and resumed


@each_loop
def test_the_undisturbed_run_writes_the_checkpoints_that_are_to_be_disturbed(through, loop):
    changes = through[loop]["changes"]
    assert len(load_result(through[loop]["folder"]).epochs) == 3
    assert sum(bool(re.match(MARKED, change)) for change in changes) == 6
    assert len(changes) > 30


@each_loop
def test_killed_at_random_changes_and_resumed_the_run_ends_bit_for_bit_the_same(
    through, loop, finish, inputs, tmp_path
):
    """Each attempt dies a few changes further on: while checkpoints are written, moved and cleaned up."""
    chance = random.Random(loop)
    folder, total = tmp_path / "run", len(through[loop]["changes"])
    options = OPTIONS | inputs | {"resume": True}
    kills = 0
    for _ in range(4):
        code = finish(loop, folder, options, die_at=chance.randrange(total // 3))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills >= 2
    if not (folder / "metrics.json").is_file():
        assert finish(loop, folder, options) == 0
    agree(folder, through[loop]["folder"])


# The most delicate moments: (what the change is like, which of those, how many changes further on).
MARKED = r"os\.rename .*complete\.json\.partial"  # twice per epoch: when it is saved, and when it is scored
MOMENTS = {
    "while the claim is written": (r"os\.rename run\.json", 0, 0),
    "while a checkpoint is written": (MARKED, 2, -4),
    "before a checkpoint is marked": (MARKED, 2, 0),
    "before a whole checkpoint is in its place": (
        r"os\.rename checkpoints/(epoch-\d+\.partial\.\d+|checkpoint-\d+/complete\.json\.partial)$",
        1,
        0,
    ),
    "between saving and scoring": (MARKED, 3, 0),
    "while an older checkpoint is cleaned up": (r"os\.remove .*(optimizer|random_states|rng_state)", 1, 0),
    "after the last epoch": (MARKED, 5, 2),
    "while the model is moved to its place": (r"os\.rename model\.partial", 2, 0),
    "while the result is written": (r"os\.rename metrics\.json", 0, 0),
}


def number_of(moment: str, changes: list[str]) -> int:
    pattern, occurrence, further = MOMENTS[moment]
    return [i for i, change in enumerate(changes) if re.match(pattern, change)][occurrence] + further


@each_loop
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_a_delicate_moment_and_resumed_the_run_ends_bit_for_bit_the_same(
    through, loop, moment, finish, inputs, tmp_path
):
    folder, options = tmp_path / "run", OPTIONS | inputs
    at = number_of(moment, through[loop]["changes"])
    assert finish(loop, folder, options, die_at=at) == -signal.SIGKILL
    assert not (folder / "metrics.json").is_file()
    if moment == "while the model is moved to its place":
        with pytest.raises(FileNotFoundError, match="holds no finished model"):
            load_tagger(folder)
    seconds = [json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in folder.rglob("complete.json")]
    assert finish(loop, folder, options | {"resume": True}) == 0
    agree(folder, through[loop]["folder"])
    # The time of the first part counts too.
    assert load_result(folder).train_runtime_s >= max(seconds, default=0) - 1e-3


@each_loop
def test_killed_at_random_times_and_resumed_the_run_ends_bit_for_bit_the_same(
    through, loop, start, finish, inputs, tmp_path
):
    """From outside, as a scheduler kills: also inside a step, where Python changes no file."""
    chance = random.Random(loop)
    folder, options = tmp_path / "run", OPTIONS | inputs | {"resume": True}
    for _ in range(2):
        process = start(loop, folder, options)
        process.join(chance.uniform(0.3, 0.9) * through[loop]["seconds"])
        process.kill()
        process.join()
    assert finish(loop, folder, options) == 0
    agree(folder, through[loop]["folder"])


@each_loop
def test_killed_as_soon_as_a_checkpoint_appears_and_resumed_the_run_ends_bit_for_bit_the_same(
    through, loop, start, finish, inputs, tmp_path
):
    folder, options = tmp_path / "run", OPTIONS | inputs | {"resume": True}
    for count in (1, 2):
        process = start(loop, folder, options)
        while process.is_alive() and len(list((folder / "checkpoints").glob("*"))) < count:
            time.sleep(0.001)
        process.kill()
        process.join()
    assert finish(loop, folder, options) == 0
    agree(folder, through[loop]["folder"])


@each_loop
def test_resuming_keeps_an_earlier_best_epoch(loop, finish, inputs, tmp_path):
    """The first epoch is the best, the run dies after the last one: the first one's weights must still be there."""
    options = {**OPTIONS, "epochs": 6, "learning_rate": 0.03, "train_sentences": None}
    options["corpus"] = save_corpus(tmp_path, name_corpus(train=shift))
    options["checkpoint"] = str(save_lookup_model(tmp_path / "lookup"))
    folder = tmp_path / "run"
    assert finish(loop, folder, options) == 0
    result = load_result(folder)
    assert result.best_epoch == 1
    assert result.epochs[-1].f1 < result.validation.f1
    shutil.copytree(folder, tmp_path / "through")
    for name in ("metrics.json", "model.safetensors"):
        (folder / name).unlink()
    assert finish(loop, folder, options | {"resume": True}) == 0
    agree(folder, tmp_path / "through")


# --------------------------------------------------------------------------------- in this process: claims and refusals


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@each_loop
def test_a_folder_that_holds_a_run_is_refused_and_left_untouched(through, loop, inputs):
    folder = through[loop]["folder"]
    before = contents(folder)
    with pytest.raises(FileExistsError, match=r"already holds a run.*--resume"):
        LOOPS[loop](folder, **OPTIONS, **inputs)
    assert contents(folder) == before


@each_loop
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_other_files_is_refused_and_left_untouched(loop, resume, inputs, tmp_path):
    (tmp_path / "thesis.tex").write_text("three years of work", encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="not empty and holds no run"):
        LOOPS[loop](tmp_path, **OPTIONS, **inputs, resume=resume)
    assert contents(tmp_path) == before


@each_loop
def test_a_file_in_the_place_of_the_folder_is_refused(loop, inputs, tmp_path):
    file = tmp_path / "run"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="is a file"):
        LOOPS[loop](file, **OPTIONS, **inputs)
    assert file.read_text(encoding="utf-8") == "mine"


@each_loop
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "seed was 1, now 2"),
        ({"learning_rate": 0.1, "epochs": 4}, "epochs was 3, now 4, learning_rate was 0.01, now 0.1"),
        ({"batching": "sentences"}, "batching was 'tokens', now 'sentences'"),
        ({"train_sentences": 5}, "train_sentences was 30, now 5"),
    ],
)
def test_resuming_with_other_settings_is_refused_by_their_names(through, loop, change, named, inputs):
    folder = through[loop]["folder"]
    before = contents(folder)
    with pytest.raises(ValueError, match=f"cannot resume the run in .* with other settings: {named}$"):
        LOOPS[loop](folder, **OPTIONS | inputs | change, resume=True)
    assert contents(folder) == before


@each_loop
def test_a_resumed_run_keeps_its_number_format_whatever_the_machine_prefers_now(loop, inputs, tmp_path, monkeypatch):
    """The default is found by timing, and a machine that was busy then may be free now."""
    options = OPTIONS | inputs | {"precision": None, "epochs": 2}
    monkeypatch.setattr("ner_tutorial.fast.precision.cpu_is_faster_in_bf16", lambda: True)
    LOOPS[loop](tmp_path / "run", **options)
    shutil.copytree(tmp_path / "run", tmp_path / "through")
    (tmp_path / "run" / "metrics.json").unlink()
    monkeypatch.setattr("ner_tutorial.fast.precision.cpu_is_faster_in_bf16", lambda: False)
    with pytest.raises(ValueError, match="precision was 'bf16', now 'no'"):
        LOOPS[loop](tmp_path / "run", **options | {"precision": "no"}, resume=True)
    LOOPS[loop](tmp_path / "run", **options, resume=True)
    agree(tmp_path / "run", tmp_path / "through")


def test_resuming_with_the_other_loop_is_refused(through, inputs):
    with pytest.raises(ValueError, match="loop was 'accelerate', now 'trainer'"):
        LOOPS["trainer"](through["accelerate"]["folder"], **OPTIONS, **inputs, resume=True)


@each_loop
def test_resuming_on_a_changed_corpus_is_refused(through, loop, inputs, tmp_path):
    changed = save_corpus(tmp_path, name_corpus(noise=0.15, train=shift))
    with pytest.raises(ValueError, match="corpus_sha256 was"):
        LOOPS[loop](through[loop]["folder"], **OPTIONS | inputs | {"corpus": changed}, resume=True)


@each_loop
def test_resuming_a_finished_run_returns_its_result_and_changes_nothing(through, loop, inputs):
    folder = through[loop]["folder"]
    before = contents(folder)
    result = LOOPS[loop](folder, **OPTIONS, **inputs, resume=True)
    assert type(result) is TrainingResult
    assert result == load_result(folder)
    assert contents(folder) == before


@each_loop
def test_resuming_an_empty_or_missing_folder_starts_a_run(loop, inputs, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing/below"):
        result = LOOPS[loop](tmp_path / name, **OPTIONS | inputs | {"epochs": 1, "train_sentences": 4}, resume=True)
        assert load_result(tmp_path / name).epochs == result.epochs


@each_loop
def test_a_cut_off_checkpoint_is_not_used_and_disappears(through, loop, inputs, tmp_path):
    """A newer folder without the mark of a complete checkpoint, full of nonsense: resuming starts before it."""
    folder = shutil.copytree(through[loop]["folder"], tmp_path / "run")
    (folder / "metrics.json").unlink()
    newest = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name.rsplit("-", 1)[1]))
    stem = newest.name.rsplit("-", 1)[0]
    cut_off = folder / "checkpoints" / f"{stem}-9999"
    cut_off.mkdir()
    (cut_off / "model.safetensors").write_bytes(b"half of it")
    LOOPS[loop](folder, **OPTIONS, **inputs, resume=True)
    assert not cut_off.exists()
    agree(folder, through[loop]["folder"])
