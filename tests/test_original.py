"""``full`` is the original experiment and ``fast`` is not: settings, number of steps, order of operations, on a miniature."""

import dataclasses
import json
import math

import pytest
import torch
from miniature import LOOPS, name_corpus, run, save_encoder, save_lookup_model, weights
from torch.utils.data import DataLoader
from transformers import DataCollatorForTokenClassification, get_scheduler, set_seed

from ner_tutorial import CONLL_SCHEME, get_profile, load_model, load_tokenizer, train_with_accelerate
from ner_tutorial.alignment import Encoder
from ner_tutorial.collation import EpochBatches, training_rows
from ner_tutorial.fast import Hardware, faster_precision, loading_ahead, parameter_groups, reading_precision
from ner_tutorial.training.results import MemoryFullError, remark_on_skipped_steps
from ner_tutorial.training.settings import resolve

each_loop = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    lookup = save_lookup_model(tmp_path_factory.mktemp("lookup"))
    return save_encoder(tmp_path_factory.mktemp("encoder"), str(lookup))


@pytest.fixture(scope="module")
def corpus():
    return name_corpus(noise=0.15, sizes={"train": 43, "validation": 12, "test": 12})


def test_full_has_the_settings_of_the_original_experiment():
    for loop in LOOPS:
        settings = resolve("full", loop=loop)
        assert (settings.batch_size, settings.batching, settings.epochs) == (8, "sentences", 3)
        assert (settings.learning_rate, settings.weight_decay, settings.warmup_ratio) == (2e-5, 0.01, 0.0)
        assert (settings.layer_decay, settings.trim, settings.byte_dropout) == (1.0, False, False)
    trainer, loop = (resolve("full", loop=name) for name in ("trainer", "accelerate"))
    assert (trainer.max_grad_norm, trainer.decayed) == (1.0, "matrices")
    assert (loop.max_grad_norm, loop.decayed) == (0.0, "all")


def test_full_takes_the_steps_of_the_original_experiment():
    assert len(EpochBatches([20] * 14041, 8, 3, seed=42, by_tokens=False)) * 3 == 5268


def test_what_a_user_gives_goes_before_what_a_loop_has():
    assert resolve("full", {"max_grad_norm": 0.5}, loop="accelerate").max_grad_norm == 0.5


def test_fast_differs_from_full_in_what_its_name_says():
    full, fast = (dataclasses.asdict(get_profile(name)) for name in ("full", "fast"))
    different = {name for name in full if full[name] != fast[name]}
    assert different == {
        "name", "batch_size", "batching", "learning_rate", "layer_decay", "trim", "byte_dropout", "by_loop",
    }  # fmt: skip
    assert fast["learning_rate"] in (5e-5, 3e-5, 2e-5)  # the rates of the BERT paper
    assert fast["batch_size"] * 16 == 1024


@each_loop
def test_full_on_a_miniature_is_the_recipe_step_by_step(loop, encoder, corpus, tmp_path):
    """The recipe is written out below, as the original has it; both must end with the same weights."""
    result = run(
        loop, tmp_path / "run", corpus, encoder, profile="full", batch_size=None, learning_rate=1e-3, precision="no"
    )
    tokenizer = load_tokenizer(encoder)
    set_seed(1)
    model = load_model(encoder, CONLL_SCHEME).train()
    rows = training_rows(corpus["train"], Encoder(tokenizer, CONLL_SCHEME, 512, 128))
    batches = EpochBatches([len(row["input_ids"]) for row in rows], 8, 3, 1, by_tokens=False)
    loader = DataLoader(rows, batch_sampler=batches, collate_fn=DataCollatorForTokenClassification(tokenizer))
    vectors = [p for p in model.parameters() if p.ndim < 2]
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    groups = [
        {"params": matrices, "weight_decay": 0.01},
        {"params": vectors, "weight_decay": 0.0 if loop == "trainer" else 0.01},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    schedule = get_scheduler("linear", optimizer, 0, 3 * math.ceil(43 / 8))
    set_seed(1)
    kept = {}
    for epoch in range(3):
        batches.set_epoch(epoch)
        for batch in loader:
            model(**batch).loss.backward()
            if loop == "trainer":
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        kept[epoch + 1] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    saved = weights(result.model_dir)
    for name, tensor in kept[result.best_epoch].items():
        if name in saved:
            torch.testing.assert_close(saved[name], tensor, atol=1e-5, rtol=1e-4)


def test_decay_reaches_vectors_only_where_it_is_asked_for(encoder):
    model = load_model(encoder, CONLL_SCHEME)
    by_default = {group["weight_decay"] for group in parameter_groups(model, 0.01, 1e-3)}
    everywhere = {group["weight_decay"] for group in parameter_groups(model, 0.01, 1e-3, decayed="all")}
    assert (by_default, everywhere) == ({0.01, 0.0}, {0.01})


# ------------------------------------------------------------------------------------------------- number format


def hardware(device="cpu", precision="bf16") -> Hardware:
    return Hardware(device, "a processor", precision, 1)


class Slow(torch.nn.Module):
    """A model whose step takes longer in one number format, whatever the machine."""

    def __init__(self, slow: bool):
        super().__init__()
        self.weight, self.slow_in_bf16 = torch.nn.Parameter(torch.ones(1)), slow

    def forward(self, x):
        import time
        from types import SimpleNamespace

        if torch.is_autocast_enabled("cpu") == self.slow_in_bf16:
            time.sleep(0.01)
        return SimpleNamespace(loss=(self.weight * x).sum() + torch.rand(1))


@pytest.mark.parametrize(("slow_in_bf16", "expected"), [(True, "no"), (False, "bf16")])
def test_the_number_format_is_the_one_in_which_real_steps_are_faster(slow_in_bf16, expected):
    model = Slow(slow_in_bf16).eval()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    precision, ratio = faster_precision(model, [{"x": torch.ones(1)}] * 2, hardware())
    assert (precision, ratio > 1) == (expected, expected == "bf16")
    assert torch.equal(torch.get_rng_state(), before)
    assert model.weight.grad is None
    assert not model.training


def test_without_a_second_format_nothing_is_timed():
    assert faster_precision(None, [], hardware(precision="no")) == ("no", 1.0)


def test_the_choice_is_printed_and_recorded(encoder, corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ner_tutorial.fast.precision.cpu_is_faster_in_bf16", lambda: True)
    monkeypatch.setattr("ner_tutorial.fast.faster_precision", lambda *_: ("no", 0.8))
    options = {"profile": "full", "epochs": 1, "train_sentences": 8, "progress": False}
    result = train_with_accelerate(tmp_path / "run", corpus=corpus, checkpoint=encoder, **options)
    assert "float32" in capsys.readouterr().out
    assert json.loads((result.model_dir / "run.json").read_text(encoding="utf-8"))["precision"] == "no"


# ---------------------------------------------------------------------------------------------- memory, skipped steps


@each_loop
def test_a_full_memory_is_one_line_that_says_what_to_lower(loop, encoder, corpus, tmp_path, monkeypatch):
    from transformers import BertForTokenClassification

    forward, calls = BertForTokenClassification.forward, []

    def second_epoch_runs_out(self, *arguments, **options):
        calls.append(self.training)
        if sum(calls) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, *arguments, **options)

    monkeypatch.setattr(BertForTokenClassification, "forward", second_epoch_runs_out)
    with pytest.raises(MemoryFullError, match="batch_size 8: lower it") as caught:
        run(loop, tmp_path / "run", corpus, encoder, profile="full", batch_size=None, precision="no", epochs=2)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    # The first epoch is kept, and the same settings go on from it.
    result = run(
        loop, tmp_path / "run", corpus, encoder, profile="full", batch_size=None, precision="no", epochs=2, resume=True
    )
    assert len(result.epochs) == 2


def test_steps_that_float16_skips_are_counted_and_move_no_schedule(encoder, corpus, tmp_path, monkeypatch, caplog):
    from accelerate import Accelerator

    skipped = iter([True, True])
    monkeypatch.setattr(Accelerator, "optimizer_step_was_skipped", property(lambda _: next(skipped, False)))
    run("accelerate", tmp_path / "run", corpus, encoder, profile="full", batch_size=None, precision="no", epochs=1)
    assert "2 of 6 steps were skipped" in caplog.text
    schedule = json.loads(next((tmp_path / "run").glob("checkpoints/*/schedule.json")).read_text(encoding="utf-8"))
    assert schedule["last_epoch"] == 4


def test_a_few_skipped_steps_are_no_bad_sign(caplog):
    remark_on_skipped_steps(0, 100)
    assert not caplog.text
    remark_on_skipped_steps(2, 100)
    assert "bad sign" not in caplog.text
    remark_on_skipped_steps(20, 100)
    assert "bad sign" in caplog.text


def test_a_card_gets_its_batches_ahead_of_time_and_a_processor_does_not(monkeypatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    assert loading_ahead(hardware("cpu")) == {}
    options = loading_ahead(hardware("cuda"))
    assert options["pin_memory"]
    assert options["num_workers"] > 0


@pytest.mark.parametrize(("device", "expected"), [("cuda", "fp16"), ("mps", "no")])
def test_a_model_that_only_reads_has_the_digits_of_float16_on_a_card(device, expected):
    assert reading_precision(device) == expected
