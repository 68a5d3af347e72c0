"""The models that chapters share: trained once, found again, never half of one, and never in the checkout."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from miniature import altered_model, name_corpus, process_server, same_weights, save_corpus

from ner_tutorial import chapter_folder, get_profile, load_tagger, remember_model, train_with_trainer, trained_model
from ner_tutorial.notebook import cache_folder

TRAINS = "No trained model with these settings yet: training one now.\n"
REUSES = "Using the model trained earlier with these settings.\n"


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("NER_TUTORIAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def profile(tmp_path_factory, tiny_checkpoint):
    corpus = save_corpus(tmp_path_factory.mktemp("corpus"), name_corpus())
    return dataclasses.replace(
        get_profile("quick"), corpus=corpus, checkpoint=tiny_checkpoint, epochs=1, train_sentences=8
    )


def said(capsys) -> str:
    """What was printed; the progress bar goes to standard error."""
    return capsys.readouterr().out


def kept(cache: Path) -> list[Path]:
    return sorted((cache / "models").iterdir())


# --------------------------------------------------------------------------------------------------------- the folders


def test_the_cache_is_where_the_variable_says_or_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("NER_TUTORIAL_CACHE", str(tmp_path / "given"))
    assert cache_folder() == tmp_path / "given"
    monkeypatch.delenv("NER_TUTORIAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "ner-tutorial"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "ner-tutorial"


def test_a_tilde_in_the_variable_is_the_home_folder_and_an_empty_one_is_an_error(monkeypatch, tmp_path):
    """Path("~/x") is a folder called ~ in the working directory, and an empty name is that directory itself."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NER_TUTORIAL_CACHE", "~/models")
    assert cache_folder() == tmp_path / "models"
    monkeypatch.setenv("NER_TUTORIAL_CACHE", "")
    with pytest.raises(ValueError, match="NER_TUTORIAL_CACHE is set but empty"):
        cache_folder()


def test_the_cache_is_never_in_the_checkout(monkeypatch):
    monkeypatch.delenv("NER_TUTORIAL_CACHE", raising=False)
    assert not cache_folder().resolve().is_relative_to(Path(__file__).resolve().parent.parent)


def test_a_chapter_gets_an_empty_folder_each_time_and_leaves_others_alone(cache):
    first, other = chapter_folder("05"), chapter_folder("06")
    for folder in (first, other):
        (folder / "old.txt").write_text("from an earlier run", encoding="utf-8")
    again = chapter_folder("05")
    assert again == first
    assert list(again.iterdir()) == []
    assert [path.name for path in other.iterdir()] == ["old.txt"]
    assert again.is_relative_to(cache)


# ---------------------------------------------------------------------------------------------------------- the models


def test_a_model_is_trained_once_and_then_found(cache, profile, capsys):
    first = trained_model(profile)
    assert said(capsys) == TRAINS
    second = trained_model(profile)
    assert said(capsys) == REUSES
    assert second == first
    assert kept(cache) == [first.model_dir], "nothing else is left"
    assert load_tagger(first.model_dir)("Nora met Ines") is not None


def test_the_profile_that_is_active_is_the_default(cache, profile, capsys, monkeypatch):
    result = trained_model(profile)
    # The same settings under the quick profile's own name are those of the profile with its parts replaced.
    monkeypatch.setenv("NER_TUTORIAL_PROFILE", "quick")
    monkeypatch.setenv("NER_TUTORIAL_CORPUS", profile.corpus)
    monkeypatch.setenv("NER_TUTORIAL_CHECKPOINT", profile.checkpoint)
    active = dataclasses.replace(get_profile(), epochs=1, train_sentences=8)
    said(capsys)
    assert trained_model(active) == result
    assert said(capsys) == REUSES


@pytest.mark.parametrize("change", [{"seed": 43}, {"learning_rate": 1e-3}, {"train_sentences": 9}])
def test_other_settings_mean_another_model(cache, profile, capsys, change):
    one = trained_model(profile)
    said(capsys)
    other = trained_model(dataclasses.replace(profile, **change))
    assert said(capsys) == TRAINS
    assert kept(cache) == sorted([one.model_dir, other.model_dir])


def test_a_changed_corpus_means_another_model(cache, profile, capsys, tmp_path):
    folder = tmp_path / "corpus"
    shutil.copytree(profile.corpus, folder)
    mine = dataclasses.replace(profile, corpus=str(folder))
    trained_model(mine)
    (folder / "train.conll").write_text("Nora B-PER\nwon O\n\n" * 8, encoding="utf-8")
    said(capsys)
    trained_model(mine)
    assert said(capsys) == TRAINS
    assert len(kept(cache)) == 2


def test_a_changed_encoder_means_another_model(cache, profile, capsys, tmp_path):
    """The folder has the same name and other weights."""
    folder = Path(shutil.copytree(profile.checkpoint, tmp_path / "encoder"))
    mine = dataclasses.replace(profile, checkpoint=str(folder))
    trained_model(mine)
    shutil.rmtree(folder)
    altered_model(profile.checkpoint, folder, weights=lambda tensors: {n: t * 0.5 for n, t in tensors.items()})
    said(capsys)
    trained_model(mine)
    assert said(capsys) == TRAINS
    assert len(kept(cache)) == 2


def test_a_run_that_a_chapter_made_is_kept_for_the_others(cache, profile, capsys, tmp_path):
    run = train_with_trainer(tmp_path / "run", profile=profile, progress=False)
    remember_model(run, profile)
    said(capsys)
    found = trained_model(profile)
    assert said(capsys) == REUSES
    assert (found.epochs, found.validation, found.test) == (run.epochs, run.validation, run.test)
    assert same_weights(found.model_dir, run.model_dir)
    assert found.model_dir.is_relative_to(cache)
    assert not (found.model_dir / "checkpoints").exists(), "what only a resumed run needs is left behind"


def test_the_first_model_that_is_kept_stays(cache, profile, capsys, tmp_path):
    first = trained_model(profile)
    before = (first.model_dir / "metrics.json").read_bytes()
    run = train_with_trainer(tmp_path / "run", profile=dataclasses.replace(profile, seed=5), progress=False)
    remember_model(run, profile)
    assert (first.model_dir / "metrics.json").read_bytes() == before


def test_half_a_model_in_the_cache_is_replaced(cache, profile, capsys):
    """As a process leaves it that was killed while it copied, or an older version of this program."""
    folder = trained_model(profile).model_dir
    (folder / "metrics.json").unlink()
    said(capsys)
    result = trained_model(profile)
    assert said(capsys) == TRAINS
    assert result.model_dir == folder
    assert kept(cache) == [folder]


def train_in_the_cache(folder: str, profile) -> None:
    import os

    import torch

    os.environ["NER_TUTORIAL_CACHE"] = folder
    torch.set_num_threads(1)
    trained_model(profile)


def test_two_notebooks_may_ask_for_the_same_model_at_once(cache, profile, capsys):
    processes = [process_server().Process(target=train_in_the_cache, args=(str(cache), profile)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(kept(cache)) == 1
    trained_model(profile)
    assert said(capsys) == REUSES
