"""The fast training path against the plain one: the same losses, every example once an epoch, a complete saved model.

The plain path is the recipe of ``benchmarks/plain.py``: the model's own mean loss, AdamW as it comes, the whole table.
"""

import dataclasses
import json
from collections import Counter

import pytest
import torch
from miniature import LOOPS, name_corpus, run, save_encoder, save_lookup_model, weights
from torch.utils.data import DataLoader
from transformers import AttentionInterface, AutoModelForTokenClassification, DataCollatorForTokenClassification

from benchmarks import plain
from benchmarks.training import WAYS, grouped_batches
from ner_tutorial import CONLL_SCHEME, get_profile, load_model, load_tokenizer
from ner_tutorial.alignment import Encoder
from ner_tutorial.collation import EpochBatches, token_budget_batches, token_loss, training_rows
from ner_tutorial.fast import Hardware, speed_up
from ner_tutorial.fast.dropout import ByteDropout
from ner_tutorial.fast.layer_rates import parameter_groups
from ner_tutorial.fast.vocabulary import trim_embeddings

each_loop = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture(scope="module")
def corpus():
    return name_corpus(noise=0.15)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    """Without dropout: then two runs over the same batches compute the same."""
    lookup = str(save_lookup_model(tmp_path_factory.mktemp("lookup")))
    return save_encoder(tmp_path_factory.mktemp("still"), lookup, dropout=0.0)


@pytest.fixture(scope="module")
def rows(corpus, encoder):
    return training_rows(corpus["train"], Encoder(load_tokenizer(encoder), CONLL_SCHEME, 64, 16))


def test_fast_path_and_plain_path_have_the_same_loss_on_the_same_batches(rows, encoder):
    """Trimmed table, fused AdamW and the summed loss against the model's own mean: step by step, and in the weights."""
    collate = DataCollatorForTokenClassification(load_tokenizer(encoder))
    batches = token_budget_batches([len(row["input_ids"]) for row in rows], 60, seed=3)
    torch.manual_seed(0)
    slow = load_model(encoder, CONLL_SCHEME).train()
    fast = load_model(encoder, CONLL_SCHEME).train()
    fast.load_state_dict(slow.state_dict())
    trim_embeddings(fast, rows)
    slow_optimizer = torch.optim.AdamW(slow.parameters(), lr=1e-3, weight_decay=0.0)
    fast_optimizer = torch.optim.AdamW(parameter_groups(fast, 0.0, 1e-3), fused=True)
    assert len(batches) >= 5
    for batch in batches:
        tensors = collate([rows[i] for i in batch])
        expected = slow(**tensors).loss
        labels = tensors.pop("labels")
        # With the batch's own number of labels as the divisor, the sum over a constant is the mean.
        found = token_loss(fast(**tensors).logits, labels, int((labels != -100).sum()))
        assert found.item() == pytest.approx(expected.item(), rel=1e-4)
        for loss, model, optimizer in ((expected, slow, slow_optimizer), (found, fast, fast_optimizer)):
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    a, b = slow.state_dict(), fast.state_dict()
    assert a.keys() == b.keys()
    assert all(torch.allclose(a[name], b[name], rtol=1e-3, atol=1e-5) for name in a)


def test_the_loop_computes_what_the_plain_recipe_computes(corpus, encoder, tmp_path):
    """One batch with all rows, one epoch: the whole fast loop against the whole plain one, start to saved weights."""
    # A linear schedule without warm-up starts at the peak, so the one step has the learning rate in both.
    result = run(
        "accelerate", tmp_path / "fast", corpus, encoder, epochs=1, batch_size=1000, learning_rate=1e-3, precision="no",
        profile=dataclasses.replace(get_profile("quick"), warmup_ratio=0.0, layer_decay=1.0),
    )  # fmt: skip
    tokenizer = load_tokenizer(encoder)
    everything = training_rows(corpus["train"], Encoder(tokenizer, CONLL_SCHEME, 64, 16))
    expected, _ = plain.train(everything, tokenizer, encoder, 1, 1e-3, seed=1, batch_size=1000)
    found = AutoModelForTokenClassification.from_pretrained(result.model_dir).state_dict()
    for name, tensor in expected.state_dict().items():
        # The recipe decays biases, normalisation weights and unused rows too: 1e-5 of a weight in one step.
        assert torch.allclose(found[name], tensor, rtol=1e-3, atol=1e-4), name


@each_loop
@pytest.mark.parametrize("batching", ["tokens", "sentences"])
def test_a_run_sees_every_example_once_an_epoch(loop, batching, corpus, encoder, rows, tmp_path, monkeypatch):
    from ner_tutorial.training import loop as by_hand
    from ner_tutorial.training import trainer as by_trainer

    seen: list[Counter] = []
    make = by_hand.collator

    def watched(tokenizer):
        collate = make(tokenizer)

        def collate_and_count(batch):
            seen[-1].update(tuple(row["input_ids"]) for row in batch)
            return collate(batch)

        return collate_and_count

    iterate = EpochBatches.__iter__

    def counted(self):
        seen.append(Counter())
        return iterate(self)

    for module in (by_hand, by_trainer):
        monkeypatch.setattr(module, "collator", watched)
    monkeypatch.setattr(EpochBatches, "__iter__", counted)
    expected = Counter(tuple(row["input_ids"]) for row in rows)
    run(loop, tmp_path / "run", corpus, encoder, epochs=2, batching=batching, precision="no")
    assert seen == [expected, expected]


@each_loop
def test_a_saved_model_is_the_full_model(loop, corpus, encoder, rows, tmp_path):
    result = run(loop, tmp_path / "run", corpus, encoder, epochs=1)
    whole = load_model(encoder, CONLL_SCHEME)
    saved = AutoModelForTokenClassification.from_pretrained(result.model_dir)
    assert {n: p.shape for n, p in saved.state_dict().items()} == {n: p.shape for n, p in whole.state_dict().items()}
    before, after = whole.get_input_embeddings().weight, saved.get_input_embeddings().weight
    used = sorted({i for row in rows for i in row["input_ids"]})
    unused = sorted(set(range(len(before))) - set(used) - {whole.config.pad_token_id})
    assert unused
    assert torch.equal(after[unused], before[unused])
    assert not torch.equal(after[used], before[used])


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_making_batches_in_the_benchmark_has_each_row_once(way, rows):
    lengths = [len(row["input_ids"]) for row in rows]
    batches = WAYS[way].batches(lengths, 5)
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))


def test_grouped_batches_are_what_trainer_makes(rows):
    """Trainer's own sampler groups by length too: as many sentences a batch, and as little padding."""
    lengths = [len(row["input_ids"]) for row in rows]
    batches = grouped_batches(lengths, 8, seed=0)
    assert [len(batch) for batch in batches].count(8) >= len(rows) // 8
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in batches]
    assert sum(spread) / len(spread) <= 3


def test_the_plain_evaluation_answers_for_each_counted_label_in_order(rows, encoder):
    model = load_model(encoder, CONLL_SCHEME).eval()
    tokenizer = load_tokenizer(encoder)
    found = plain.evaluate(model, rows, tokenizer, batch_size=7)
    assert [len(row) for row in found] == [sum(label != -100 for label in row["labels"]) for row in rows]
    loader = DataLoader(rows[:1], batch_size=1, collate_fn=DataCollatorForTokenClassification(tokenizer))
    batch = next(iter(loader))
    labels = batch.pop("labels")[0]
    with torch.inference_mode():
        expected = model(**batch).logits[0].argmax(-1)[labels != -100].tolist()
    assert found[0] == expected


@each_loop
@pytest.mark.parametrize("batching", ["tokens", "sentences"])
@pytest.mark.parametrize(
    "engine", [{"trim": True}, {"byte_dropout": True}, {"trim": True, "byte_dropout": True}], ids=str
)
def test_the_engine_changes_time_and_nothing_that_is_learned(loop, batching, engine, corpus, encoder, tmp_path):
    """Without dropout, and without weight decay, which alone moves unused rows: the plain path and the fast one agree."""
    profile = dataclasses.replace(get_profile("quick"), weight_decay=0.0)
    off = {"trim": False, "byte_dropout": False}
    plain_run, fast_run = (
        run(loop, tmp_path / name, corpus, encoder, epochs=2, profile=profile, batching=batching, precision="no", **how)
        for name, how in (("plain", off), ("fast", off | engine))
    )
    expected, found = weights(plain_run.model_dir), weights(fast_run.model_dir)
    assert found.keys() == expected.keys()
    # The norm by which gradients are clipped is a sum over all rows: its rounding may differ.
    assert all(torch.allclose(found[name], expected[name], rtol=1e-3, atol=1e-5) for name in expected)
    for one, other in zip(plain_run.epochs, fast_run.epochs, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.f1 == other.f1
    record = json.loads((fast_run.model_dir / "run.json").read_text(encoding="utf-8"))
    assert {name: record[name] for name in off} == off | engine


CPU = Hardware("cpu", "a processor", "no", 1)


def test_after_the_with_the_model_is_plain_and_whole_and_has_learned(rows, encoder):
    model = load_model(encoder, CONLL_SCHEME).train()
    modules, before = {n: type(m) for n, m in model.named_modules()}, model.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    with speed_up(model, rows, CPU):
        assert {n: type(m) for n, m in model.named_modules()} != modules
        with torch.no_grad():
            model.get_input_embeddings().weight += 1
    assert {n: type(m) for n, m in model.named_modules()} == modules
    after = model.state_dict()
    name = next(name for name in after if name.endswith("word_embeddings.weight"))
    used = sorted({i for row in rows for i in row["input_ids"]})
    assert torch.equal(after[name][used], before[name][used] + 1)
    assert all(torch.equal(after[other], before[other]) for other in before if other != name)


def test_an_exception_in_the_with_leaves_the_model_plain_too(rows, encoder):
    model = load_model(encoder, CONLL_SCHEME)
    modules, registered = {n: type(m) for n, m in model.named_modules()}, set(AttentionInterface())

    def broken():
        with speed_up(model, rows, CPU):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        broken()
    assert {n: type(m) for n, m in model.named_modules()} == modules
    assert set(AttentionInterface()) == registered
    assert model.config._attn_implementation == "sdpa"


def test_on_a_graphics_card_dropout_stays_pytorchs(rows, encoder):
    model = load_model(encoder, CONLL_SCHEME)
    with speed_up(model, rows, dataclasses.replace(CPU, device="cuda")):
        assert not any(isinstance(module, ByteDropout) for module in model.modules())
        assert model.config._attn_implementation == "sdpa"


def test_a_run_leaves_nothing_behind_in_transformers(corpus, encoder, tmp_path):
    registered = set(AttentionInterface())
    run("accelerate", tmp_path / "run", corpus, encoder, epochs=1, train_sentences=8, byte_dropout=True)
    assert set(AttentionInterface()) == registered
