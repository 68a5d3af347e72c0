"""Dropout from random bytes: the same distribution as PyTorch's, the same gradients for the same mask, one generator."""

import types

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    BertConfig,
    BertForTokenClassification,
    GPT2Config,
    GPT2Model,
)

from ner_tutorial.fast.dropout import ATTENTION, ByteDropout, byte_dropout, byte_dropout_attention, byte_dropout_in


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_the_share_that_is_dropped_and_the_mean_are_those_of_dropout(p):
    torch.manual_seed(0)
    x = torch.ones(1000, 1000)
    y = ByteDropout(p)(x)
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=1 / 512 + 0.002)
    assert y.mean().item() == pytest.approx(1.0, abs=0.01)
    assert len(y.unique()) == 2


def test_every_place_is_dropped_as_often_whatever_byte_decides_it():
    """Eight decisions share a draw; a sign bit that is always 0 would show in one of eight columns."""
    torch.manual_seed(0)
    dropped = (ByteDropout(0.5)(torch.ones(200_000, 8)) == 0).float().mean(0)
    assert torch.allclose(dropped, torch.full((8,), 0.5), atol=0.01)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    dropped = (ByteDropout(0.5)(torch.ones(200_000, 8)) == 0).float()
    correlation = torch.corrcoef(dropped.T)
    assert torch.allclose(correlation, torch.eye(8), atol=0.01)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=3), st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=50)
def test_any_shape_keeps_its_shape_and_type(shape, p):
    x = torch.ones(shape, dtype=torch.float64)
    y = ByteDropout(p)(x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.999])
def test_it_is_the_comparison_of_each_byte_with_the_threshold(p, dtype):
    """The plain way to write it, number for number: the integers behind it leave no bit of another value."""
    x = torch.randn(37, 11).to(dtype)
    torch.manual_seed(3)
    found = byte_dropout(x, p)
    torch.manual_seed(3)
    draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    threshold = min(round(p * 256), 255)
    kept = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= threshold
    assert torch.equal(found, x * (kept.to(dtype) * (256 / (256 - threshold))))


def test_gradients_pass_where_numbers_pass():
    torch.manual_seed(0)
    x = torch.randn(40, 40, requires_grad=True)
    y = ByteDropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad == 0, y == 0)
    assert torch.allclose(x.grad[y != 0], (y / x)[y != 0])


def test_a_seed_repeats_it_and_a_saved_state_goes_on():
    layer, x = ByteDropout(0.3), torch.ones(7, 11)
    torch.manual_seed(5)
    first = layer(x)
    state = torch.get_rng_state()
    second = layer(x)
    torch.set_rng_state(state)
    assert torch.equal(layer(x), second)
    torch.manual_seed(5)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_nothing_is_dropped_in_evaluation_and_nothing_is_drawn():
    layer, x = ByteDropout(0.3).eval(), torch.randn(5, 5)
    state = torch.get_rng_state()
    assert layer(x) is x
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("p", [-0.1, 1.0, 2.0])
def test_an_impossible_share_is_refused(p):
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        ByteDropout(p)


def test_all_dropout_layers_of_a_model_are_replaced_and_its_weights_stay():
    config = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    model = BertForTokenClassification(config).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count = sum(type(module) is torch.nn.Dropout for module in model.modules())
    with byte_dropout_in(model) as replaced:
        assert replaced == count > 0
        assert not any(type(module) is torch.nn.Dropout for module in model.modules())
        assert all(module.training and module.p == 0.1 for module in model.modules() if isinstance(module, ByteDropout))
        after = model.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
        model(input_ids=torch.tensor([[1, 2, 3]])).logits.sum().backward()


def made(attention: str, dropout: float = 0.1):
    config = BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    torch.manual_seed(1)
    model = BertForTokenClassification._from_config(config, attn_implementation=attention)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.train()


ENCODER_LAYER = types.SimpleNamespace(is_causal=False)
BATCH = {
    "input_ids": torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
}


def test_attention_is_that_of_the_textbook_where_its_random_bytes_drop_nothing(monkeypatch):
    """In training mode, so the way through the function is the one with dropout; gradients are compared as well."""
    monkeypatch.setattr("ner_tutorial.fast.dropout.byte_dropout", lambda x, p: x)
    ours, plain = made("sdpa"), made("eager", dropout=0.0)
    with byte_dropout_in(ours):
        for model in (ours, plain):
            model(**BATCH).logits.square().sum().backward()
        assert torch.allclose(ours(**BATCH).logits, plain(**BATCH).logits, atol=1e-5)
    for (name, mine), theirs in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-3, rtol=1e-3), name


def test_a_model_that_looks_only_back_still_does():
    """Without padding its layers get no mask: the attention itself must not look ahead."""
    config = GPT2Config(
        vocab_size=20, n_positions=8, n_embd=16, n_layer=1, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.1,
        bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    model = GPT2Model._from_config(config, attn_implementation="sdpa").train()
    states = []
    with byte_dropout_in(model):
        assert model.config._attn_implementation == ATTENTION
        for last in (4, 9):
            torch.manual_seed(0)
            states.append(model(input_ids=torch.tensor([[1, 2, 3, last]]), use_cache=False).last_hidden_state[0, :3])
    assert torch.allclose(*states, atol=1e-6)


def attended(dropout: float, mask, draws: int = 4000):
    """(output of ours, output of PyTorch's without dropout) for one query, key and value, repeated ``draws`` times."""
    torch.manual_seed(2)
    query, key, value = (torch.randn(1, 2, 5, 8).expand(draws, -1, -1, -1) for _ in range(3))
    ours, weights = byte_dropout_attention(ENCODER_LAYER, query, key, value, mask, dropout=dropout)
    assert weights is None
    return ours, torch.nn.functional.scaled_dot_product_attention(query, key, value, mask.expand(5, 5)).transpose(1, 2)


def test_attention_with_dropout_has_the_mean_of_attention_and_drops_the_share_it_should():
    mask = torch.tensor([True, True, True, True, False])
    ours, plain = attended(0.3, mask)
    assert torch.allclose(ours.mean(0), plain[0], atol=0.1)
    # The variance of a sum of weights times values that are each dropped with probability p: w^2 v^2 p / (1 - p).
    twice, _ = attended(0.6, mask)
    ratio = twice.var(0).sum() / ours.var(0).sum()
    assert ratio.item() == pytest.approx((0.6 / 0.4) / (0.3 / 0.7), rel=0.1)


@pytest.mark.parametrize("as_numbers", [False, True])
def test_attention_never_looks_where_the_mask_forbids(as_numbers):
    mask = torch.tensor([True, True, False, True, True])
    if as_numbers:
        mask = torch.zeros(5).masked_fill(~mask, float("-inf"))
    torch.manual_seed(3)
    query, key, value = (torch.randn(3, 2, 5, 8) for _ in range(3))
    outputs = []
    for changed in (0.0, 100.0):
        torch.manual_seed(4)
        value[:, :, 2] = changed
        outputs.append(byte_dropout_attention(ENCODER_LAYER, query, key, value, mask, dropout=0.5)[0])
    assert torch.equal(*outputs)


def test_attention_without_dropout_is_pytorchs_own_and_draws_nothing():
    ours, state = made("sdpa").eval(), torch.get_rng_state()
    expected = ours(**BATCH).logits
    with byte_dropout_in(ours):
        assert torch.equal(ours(**BATCH).logits, expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_attention_in_training_repeats_with_a_seed():
    model = made("sdpa")
    logits = []
    with byte_dropout_in(model):
        for seed in (7, 7, 8):
            torch.manual_seed(seed)
            logits.append(model(**BATCH).logits)
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_another_implementation_of_attention_stays_and_a_saved_model_names_none(tmp_path):
    eager, model = made("eager"), made("sdpa")
    with byte_dropout_in(eager), byte_dropout_in(model):
        assert (eager.config._attn_implementation, model.config._attn_implementation) == ("eager", ATTENTION)
        model.save_pretrained(tmp_path)
    assert ATTENTION not in (tmp_path / "config.json").read_text(encoding="utf-8")
    assert BertForTokenClassification.from_pretrained(tmp_path).config._attn_implementation == "sdpa"


def registered() -> list[bool]:
    return [ATTENTION in registry() for registry in (AttentionInterface, AttentionMaskInterface)]


def test_afterwards_the_model_and_transformers_are_as_before():
    model = made("sdpa").eval()
    layers = {name: module for name, module in model.named_modules() if type(module) is torch.nn.Dropout}
    expected = model(**BATCH).logits

    def interrupted():
        with byte_dropout_in(model):
            assert registered() == [True, True]
            model.train()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert registered() == [False, False]
    assert {name: module for name, module in model.named_modules() if name in layers} == layers
    assert all(layer.training for layer in layers.values()), "the mode that the model was in at the end"
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(model.eval()(**BATCH).logits, expected)


def test_of_two_models_the_first_to_end_does_not_end_the_other():
    one, two = made("sdpa"), made("sdpa")
    with byte_dropout_in(one):
        with byte_dropout_in(two):
            two(**BATCH)
        assert registered() == [True, True]
        one(**BATCH)
    assert registered() == [False, False]
