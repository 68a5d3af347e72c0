"""Dropout from random bytes: the same distribution as PyTorch's, the same gradients for the same mask, one generator."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForTokenClassification

from ner_tutorial.dropout import ByteDropout, use_byte_dropout


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
    assert use_byte_dropout(model) == count > 0
    assert not any(type(module) is torch.nn.Dropout for module in model.modules())
    assert all(module.training and module.p == 0.1 for module in model.modules() if isinstance(module, ByteDropout))
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    model(input_ids=torch.tensor([[1, 2, 3]])).logits.sum().backward()
