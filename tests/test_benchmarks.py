"""The measurements behind the book's claims: ratios within a round, the record that chapter 10 reads, the targets."""

import itertools
import json
import os
import re
from pathlib import Path

import pytest
import torch
from miniature import process_server

from benchmarks import common, gpu, mix, reading, targets, training
from benchmarks.__main__ import OWN_MACHINE, PARTS, main
from benchmarks.steps import newswire_rows
from ner_tutorial import CONLL_SCHEME, get_profile, load_corpus, load_model, load_tokenizer
from ner_tutorial.collation import EpochBatches
from ner_tutorial.corpus import newswire_stories

pytestmark = pytest.mark.slow

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results.json"


@pytest.fixture(scope="module")
def results() -> dict:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def test_a_ratio_is_taken_within_a_round_and_the_variants_alternate(monkeypatch):
    """A machine that gets three times slower half-way changes both sides, and no ratio."""
    calls: list[str] = []
    clock = itertools.count()
    times = {"slow": 8.0, "fast": 2.0}

    def spent(function) -> float:
        name = function()
        return times[name] * (1 if next(clock) < 4 else 3)

    monkeypatch.setattr(common, "seconds", spent)
    variants = {name: (lambda name=name: calls.append(name) or name) for name in times}
    found = common.alternate(variants, rounds=4)
    assert calls == ["slow", "fast"] * 5  # one unmeasured call of each first
    assert found["slow"] == common.Ratio(1.0, 1.0, 1.0, 4)
    assert found["fast"] == common.Ratio(4.0, 4.0, 4.0, 4)


def test_a_variant_may_measure_itself():
    """A training function reports the seconds of its steps; the loading before them is not compared."""
    spent = {"slow": [9.0, 6.0, 8.0], "fast": [9.0, 2.0, 2.0]}
    found = common.alternate({name: (lambda name=name: spent[name].pop(0)) for name in spent}, 2, lambda run: run())
    assert found["fast"] == common.Ratio(3.5, 3.0, 4.0, 2)


@pytest.fixture
def warm_start(monkeypatch):
    """Other processes come from a server that has the libraries loaded; a measurement starts them from nothing."""
    server = process_server()
    monkeypatch.setattr(common.multiprocessing, "get_context", lambda _: server)


def _counter(start: int):
    """For the next test, in another process."""
    numbers = itertools.count(start)
    return lambda step: (next(numbers) * step, os.getpid())


def test_a_function_apart_runs_in_one_other_process_and_keeps_its_state(warm_start):
    apart = common.Apart(_counter, 5)
    answers = [apart(10), apart(100)]
    apart.close()
    assert [value for value, _ in answers] == [50, 600]
    assert len({process for _, process in answers}) == 1
    assert os.getpid() not in {process for _, process in answers}
    assert apart.process.exitcode == 0


def _instead_of_training(sentences, epochs, precision):
    """For the next test, in other processes: (F1 that tells row and seed, steps that tell the process)."""
    f1 = {"recipe": 0.5, "loop": 0.6, "other": 0.4}
    return lambda name, loop, seed: (f1[name] + seed / 1000 + (loop is not None), os.getpid())


def test_rows_trained_side_by_side_come_back_by_row_and_seed(warm_start, monkeypatch):
    monkeypatch.setattr(training, "_trainer_of_rows", _instead_of_training)
    profile = get_profile("quick")
    found = training._paired_seeds(8, profile, {"loop": training.Loop(profile, "no")}, ["other"])
    rows = found["variants"]
    assert list(rows) == ["recipe", "loop", "other"]
    assert rows["recipe"]["f1"] == [0.501, 0.502, 0.503, 0.504, 0.505]
    assert rows["loop"]["f1"] == [1.601, 1.602, 1.603, 1.604, 1.605]
    assert rows["other"] == {**rows["other"], "f1_mean": 0.403, "f1_gain": -0.1, "seeds_above_recipe": 0}
    assert rows["loop"]["seeds_above_recipe"] == 5
    processes = {step for row in rows.values() for step in row["steps"]}
    assert os.getpid() not in processes
    assert len(processes) <= torch.get_num_threads()


PAIRED = ["batches", "training"]


def test_the_record_holds_every_part_and_names_the_machine(results):
    assert set(results) - {"machine", "gpu"} == set(PARTS) - {"gpu"}
    needed = {"processor", "bf16_instructions", "faster_in_bf16", "threads", "torch", "date"}
    assert needed <= set(results["machine"])
    for part in OWN_MACHINE & set(results):
        assert needed <= set(results[part]["machine"])


@pytest.mark.parametrize("part", PAIRED)
def test_the_recorded_f1_belong_to_five_paired_seeds(part, results):
    scored = results[part]
    assert len(set(scored["seeds"])) == 5
    for row in scored["variants"].values():
        assert len(row["f1"]) == 5
        assert row["f1_mean"] == pytest.approx(sum(row["f1"]) / 5, abs=1e-4)
        assert row["f1_gain"] == pytest.approx(row["f1_mean"] - scored["variants"]["recipe"]["f1_mean"], abs=2e-4)


@pytest.mark.parametrize("part", PAIRED)
def test_the_recorded_steps_are_those_of_the_package_and_of_the_recipe(part, results):
    """The record belongs to the profile and the corpus of this checkout, not to earlier ones."""
    scored = results[part]
    rows = newswire_rows(scored["sentences"])[1]
    lengths = [len(row["input_ids"]) for row in rows]
    size, epochs = scored["package"]["batch_size"], scored["epochs"]
    expected = [epochs * len(EpochBatches(lengths, size, epochs, seed)) for seed in scored["seeds"]]
    assert scored["variants"]["loop"]["steps"] == expected
    recipe = scored["recipe"]["batch_size"]
    assert set(scored["variants"]["recipe"]["steps"]) == {epochs * -(-len(rows) // recipe)}


def test_the_comparison_on_the_whole_corpus_is_that_of_the_quick_profile(results):
    scored, profile = results["training"], get_profile("quick")
    assert scored["sentences"] == len(load_corpus(profile.corpus)["train"])
    assert scored["package"] == {name: getattr(profile, name) for name in scored["package"]}
    assert scored["epochs"] == profile.epochs


def test_every_part_with_a_target_is_checked_on_the_record(results):
    """Which targets are met belongs to the machine and the day; that each is looked at does not."""
    claims = [row.claim for row in targets.check(results)]
    assert len(set(claims)) == len(claims)
    for word in ("import", "tokenise", "predict", "evaluation", "loop", "Trainer", "tiny encoder", "GPU"):
        assert any(word in claim for claim in claims), word


def test_a_target_that_is_missed_is_found(results):
    worse = json.loads(json.dumps(results))
    worse["training"]["variants"]["loop"]["f1_gain"] = -0.001
    worse["prediction"]["variants"]["predict"]["same_entities"] = 0.98
    better = json.loads(json.dumps(worse))
    better["training"]["variants"]["loop"]["f1_gain"] = 0.001
    found, without = ({row.claim for row in targets.check(rows) if not row.met} for rows in (worse, better))
    assert "predict, sentences with the same entities" in found
    assert found - without == {"loop, mean F1 against the recipe"}


def test_an_unknown_part_is_refused_with_the_choices(capsys):
    assert main(["trianing"]) == 2
    assert "unknown part trianing; choose from import, tokenising" in capsys.readouterr().err


def test_figures_of_two_machines_are_not_mixed(monkeypatch, capsys, results):
    monkeypatch.setattr("benchmarks.__main__.machine", lambda: {**results["machine"], "processor": "another one"})
    before = RESULTS.read_bytes()
    assert main(["import"]) == 2
    assert "holds times of another machine" in capsys.readouterr().err
    assert RESULTS.read_bytes() == before


def test_f1_may_come_from_another_machine_than_the_times(monkeypatch, tmp_path, results):
    """F1 belongs to no processor: its part is replaced, names its machine, and the times keep theirs.

    A part that this program no longer measures leaves the record.
    """
    other = {**results["machine"], "processor": "another one"}
    record = tmp_path / "results.json"
    record.write_text(json.dumps({**results, "no longer measured": {"variants": {}}}), encoding="utf-8")
    monkeypatch.setattr("benchmarks.__main__.RESULTS", record)
    monkeypatch.setattr("benchmarks.__main__.machine", lambda: other)
    again = {**results["training"], "seeds": [6, 7, 8, 9, 10]}
    monkeypatch.setitem(PARTS, "training", lambda: dict(again))
    main(["training"])
    written = json.loads(record.read_text(encoding="utf-8"))
    assert written["training"] == {**again, "machine": other}
    assert {name: part for name, part in written.items() if name != "training"} == {
        name: part for name, part in results.items() if name in PARTS | {"machine": None} and name != "training"
    }


@pytest.fixture(scope="module")
def gpu_record(tmp_path_factory) -> dict:
    """The part that is measured on a card, on this processor and with a tiny encoder: that it runs, not what it finds."""
    folder = tmp_path_factory.mktemp("encoder")
    gpu.write_encoder(folder, load_corpus("newswire")["train"]["tokens"], **gpu.TINY)
    few = load_corpus("newswire")
    few = type(few)({split: rows.select(range(24)) for split, rows in few.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "load_corpus", lambda _: few)
        return gpu.comparison(rounds=1, encoder=folder, seeds=(1,), **gpu.TINY)


def test_the_gpu_part_runs_on_whatever_device_is_there(gpu_record):
    assert list(gpu_record["variants"]) == ["recipe", "full, loop", "full, Trainer", "fast, loop", "fast, Trainer"]
    assert list(gpu_record["prediction"]) == ["pipeline, one at a time", "pipeline, batches of 64", "predict"]
    assert all(
        row["median"] > 0 for part in ("variants", "prediction", "evaluation") for row in gpu_record[part].values()
    )
    assert len(gpu_record["quality"]["fast_test_f1"]) == 1


def test_the_gpu_part_says_why_it_has_no_f1(monkeypatch):
    monkeypatch.setattr(gpu, "training", lambda *_: {})
    monkeypatch.setattr(gpu, "prediction", lambda *_: {})
    monkeypatch.setattr(gpu, "evaluation", lambda *_: {})
    found = gpu.comparison(sentences=8, rounds=1, encoder="/no/such/folder", **gpu.TINY)
    assert "/no/such/folder" in found["quality"]["skipped"]


def test_the_overhead_of_both_loops_is_measured():
    found = gpu.overhead(sentences=24, rounds=1)
    assert list(found["variants"]) == ["recipe", "full, loop", "full, Trainer"]


def test_two_mixes_of_genres_have_one_size_and_whole_stories():
    stories = newswire_stories("train")
    usual, more = (mix.draw(stories, 600, share, seed=1) for share in (None, 0.5))
    assert len(usual) == len(more) == 600
    shares = [sum(mix.genre(stories[i]) in mix.TEAM_SPORT for i in rows) / 600 for rows in (usual, more)]
    assert shares[0] < 0.4 < shares[1] == pytest.approx(0.5, abs=0.01)


def test_every_form_of_an_export_is_measured_with_its_size(tiny_checkpoint, tmp_path, monkeypatch):
    """That it runs and what it names, with an untrained model: not what it finds."""
    model = load_model(tiny_checkpoint, CONLL_SCHEME)
    model.save_pretrained(tmp_path)
    load_tokenizer(tiny_checkpoint).save_pretrained(tmp_path)
    few = load_corpus("newswire")
    few = type(few)({split: rows.select(range(6)) for split, rows in few.items()})
    monkeypatch.setattr(reading, "load_corpus", lambda _: few)
    found = reading.prediction(tmp_path, rounds=1)
    rows = found["variants"]
    assert found["split"] == "validation"
    assert set(rows) == {
        "pipeline, one at a time", "predict", "predict, float32", "ONNX", "ONNX, int8", "ONNX, int8 weights",
        "ONNX, int8, one at a time",
    }  # fmt: skip
    assert all("f1" in row and "same_entities" in row for row in rows.values() if "mb" in row)
    assert all(row["mb"] > 0 for row in rows.values() if "mb" in row)
    assert rows["predict"]["mb"] == rows["predict, float32"]["mb"]
    assert sum("mb" in row for row in rows.values()) == 5


@pytest.mark.parametrize("part", ["compiling", "memory", "gpu", "overhead", "evaluation", "prediction", "training"])
def test_the_claims_are_checked_on_a_record_without_a_part(part, results):
    """Where a compiler or a card is missing, the others' claims are still looked at."""
    without = {name: content for name, content in results.items() if name != part}
    assert {row.claim for row in targets.check(without)} <= {row.claim for row in targets.check(results)}


def _as_it_is(record: dict) -> None:
    pass


def _without_some_parts(record: dict) -> None:
    for name in ("steps", "runs", "prediction", "gpu", "compiling", "memory", "growth"):
        record.pop(name, None)


def _with_skipped_parts(record: dict) -> None:
    for name in ("runs", "compiling", "memory"):
        record[name] = {"skipped": "a reason in words"}


def _with_every_row(record: dict) -> None:
    rows = record["training"]["variants"]
    rows |= {name: dict(rows["loop"]) for name in training.LARGER}
    record["steps"]["variants"]["batches of 24 alone"] = dict(record["steps"]["variants"]["recipe"])
    record["prediction"]["variants"]["ONNX, int8 weights"] = {
        **record["prediction"]["variants"]["ONNX, int8"],
        "mb": 24.0,
    }


@pytest.mark.parametrize("change", [_as_it_is, _without_some_parts, _with_skipped_parts, _with_every_row])
@pytest.mark.parametrize("page", ["10_going_faster", "appendix_engine"])
def test_the_pages_read_any_record(page, change, results, tmp_path, monkeypatch, capsys):
    """What was not measured costs a line on the page, and no cell."""
    import matplotlib.pyplot as plt

    record = json.loads(json.dumps(results))
    change(record)
    for folder in ("benchmarks", "book"):
        (tmp_path / folder).mkdir()
    (tmp_path / "benchmarks" / "results.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "book")
    monkeypatch.setattr(plt, "show", lambda: None)
    notebook = json.loads((RESULTS.parent.parent / "book" / f"{page}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    wanted = [cell for cell in cells if re.search(r"\b(measured|record|steps|part|pick|ratios|paired|ways)\b", cell)]
    names: dict = {}
    for cell in wanted:
        exec(cell, names)
    plt.close("all")
    said = capsys.readouterr().out
    assert ("a reason in words" in said) == (change is _with_skipped_parts)
    if change is _without_some_parts:
        assert "not in this record" in said
    if change is _with_every_row:
        assert "not in this record" not in said
