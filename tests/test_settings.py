"""One list of settings: what may be given, how it is checked, and who reads it."""

import dataclasses
import inspect

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from miniature import LOOPS

from ner_tutorial import get_profile
from ner_tutorial.__main__ import main
from ner_tutorial.profiles import PROFILES
from ner_tutorial.training.settings import EXPERIMENT, OPTIONS, TrainingSettings, resolve


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("PROFILE", "CORPUS", "CHECKPOINT"):
        monkeypatch.delenv(f"NER_TUTORIAL_{name}", raising=False)


@pytest.mark.parametrize("name", PROFILES)
def test_without_overrides_the_settings_are_the_profiles(name):
    settings, profile = resolve(name), get_profile(name)
    assert {field: getattr(settings, field) for field in EXPERIMENT} == {f: getattr(profile, f) for f in EXPERIMENT}
    assert settings.precision is None, "the machine's choice"


def test_the_original_recipe_batches_by_sentences_and_the_quick_one_by_tokens():
    assert (resolve("full").batching, resolve("quick").batching) == ("sentences", "tokens")


def test_an_override_replaces_one_setting_and_none_replaces_none():
    base = resolve("quick")
    assert resolve("quick", {"epochs": 7, "seed": None}) == dataclasses.replace(base, epochs=7)
    assert resolve("quick", dict.fromkeys(OPTIONS)) == base


@given(st.integers(1, 1000), st.floats(1e-9, 1e3), st.integers(0, 2**32 - 1))
def test_whole_numbers_and_numbers_of_numpy_are_taken(epochs, rate, seed):
    settings = resolve("quick", {"epochs": np.int64(epochs), "learning_rate": np.float64(rate), "seed": seed})
    assert (settings.epochs, settings.learning_rate, settings.seed) == (epochs, rate, seed)
    assert (type(settings.epochs), type(settings.learning_rate)) == (int, float)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"epoch": 3}, TypeError, "unknown setting 'epoch'; did you mean epochs"),
        ({"gpu": True}, TypeError, "unknown setting 'gpu'; there are: corpus, checkpoint, "),
        ({"loop": "mine"}, TypeError, "unknown setting 'loop'"),
        ({"epochs": 2.5}, TypeError, "epochs must be a whole number, got 2.5"),
        ({"epochs": "3"}, TypeError, "epochs must be a whole number, got '3'"),
        ({"epochs": True}, TypeError, "epochs must be a whole number, got True"),
        ({"epochs": 10**9}, ValueError, "epochs must be at least 1 and at most 1000, got 1000000000"),
        ({"learning_rate": "high"}, TypeError, "learning_rate must be a number, got 'high'"),
        ({"learning_rate": float("inf")}, ValueError, "learning_rate must be a finite number, got inf"),
        ({"trim": 1}, TypeError, "trim must be True or False, got 1"),
        ({"checkpoint": ""}, ValueError, "checkpoint must not be empty"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"warmup_ratio": 1.5}, ValueError, "warmup_ratio must be at least 0 and at most 1, got 1.5"),
        ({"precision": "int8"}, ValueError, "unknown precision 'int8'; choose bf16, fp16 or no"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_setting_is_named_with_what_is_right(overrides, error, message):
    with pytest.raises(error, match=message):
        resolve("quick", overrides)


def test_a_profile_made_by_hand_is_checked_too():
    with pytest.raises(ValueError, match="layer_decay must be above 0 and at most 1, got 2"):
        resolve(dataclasses.replace(get_profile("quick"), layer_decay=2))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_documents_every_setting_and_refuses_a_misspelt_one(loop, tmp_path):
    parameters = inspect.signature(LOOPS[loop]).parameters
    assert set(OPTIONS) <= set(parameters)
    documentation = " ".join(LOOPS[loop].__doc__.split())
    for name, (_, rule) in OPTIONS.items():
        assert f" {name}: " in documentation
        words = rule.meaning.split(".")[0]
        assert name == "corpus" or words[1:] in documentation
    with pytest.raises(TypeError, match="did you mean learning_rate"):
        LOOPS[loop](tmp_path / "run", learningrate=0.1)
    assert not (tmp_path / "run").exists()


def test_the_command_line_has_an_option_for_every_setting_with_its_meaning():
    options = {one.name: one for one in main.commands["train"].params if isinstance(one, click.Option)}
    for name, (_, rule) in OPTIONS.items():
        assert f"--{name.replace('_', '-')}" in options[name].opts
        assert name == "corpus" or options[name].help.startswith(rule.meaning)


def test_the_record_of_a_run_has_the_settings_and_what_the_run_found_out():
    assert {one.name for one in dataclasses.fields(TrainingSettings)} == {
        *OPTIONS,
        "loop",
        "corpus_sha256",
        "processes",
    }
