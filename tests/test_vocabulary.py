"""Trimmed embeddings: they look whole from outside, and learn exactly what the plain table would."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoModelForTokenClassification, BertConfig, BertForTokenClassification, set_seed

from ner_tutorial.collation import token_loss
from ner_tutorial.fast.vocabulary import TrimmedEmbedding, restore_embeddings, trim_embeddings

VOCABULARY = 50
ROWS = [{"input_ids": [2, 7, 9, 3]}, {"input_ids": [2, 11, 3]}]
USED = [0, 2, 3, 7, 9, 11]  # what the rows hold, and the padding
UNUSED = [i for i in range(VOCABULARY) if i not in USED]
BATCH = {
    "input_ids": torch.tensor([[2, 7, 9, 3], [2, 11, 3, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
}
LABELS = torch.tensor([[-100, 1, 2, -100], [-100, 0, -100, -100]])


def tiny_model() -> BertForTokenClassification:
    """Without dropout, so that two models can be compared step by step."""
    set_seed(3)
    return BertForTokenClassification(
        BertConfig(
            vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3,
        )
    )  # fmt: skip


@pytest.fixture
def pair() -> tuple[BertForTokenClassification, BertForTokenClassification]:
    """(plain, trimmed), with the same weights."""
    plain = tiny_model()
    trimmed = copy.deepcopy(plain)
    assert trim_embeddings(trimmed, ROWS) == len(USED)
    return plain, trimmed


def table(model) -> torch.Tensor:
    return model.state_dict()["bert.embeddings.word_embeddings.weight"]


def steps(model, count: int = 3, weight_decay: float = 0.0, learning_rate: float = 0.01) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    model.train()
    losses = []
    for _ in range(count):
        loss = token_loss(model(**BATCH).logits, LABELS, None)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_only_the_rows_of_the_corpus_and_the_padding_learn(pair):
    _, trimmed = pair
    embedding = trimmed.get_input_embeddings()
    assert embedding.used.tolist() == USED
    assert tuple(embedding.weight.shape) == (len(USED), 16)
    assert {name for name, _ in embedding.named_parameters()} == {"weight"}


def test_the_state_dict_is_that_of_the_plain_model(pair):
    plain, trimmed = pair
    assert list(trimmed.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in trimmed.state_dict().items())


def test_loss_and_gradients_of_used_rows_are_those_of_the_plain_model(pair):
    losses = []
    for model in pair:
        model.train()
        loss = token_loss(model(**BATCH).logits, LABELS, None)
        loss.backward()
        losses.append(loss.item())
    plain, trimmed = pair
    assert losses[0] == losses[1]
    gradient = plain.get_input_embeddings().weight.grad
    assert torch.equal(trimmed.get_input_embeddings().weight.grad, gradient[USED])
    assert torch.equal(gradient[UNUSED], torch.zeros(len(UNUSED), 16)), "the rows left out had nothing to learn"
    others = {n: p.grad for n, p in plain.named_parameters() if "word_embeddings" not in n}
    assert all(torch.equal(p.grad, others[n]) for n, p in trimmed.named_parameters() if "word_embeddings" not in n)


def test_training_ends_where_the_plain_model_does_without_weight_decay(pair):
    plain, trimmed = pair
    start = table(plain).clone()
    assert steps(plain) == steps(trimmed)
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in trimmed.state_dict().items())
    assert not torch.equal(table(trimmed)[USED], start[USED]), "it has learned"


def test_rows_that_the_corpus_never_uses_stay_as_they_were_even_under_weight_decay(pair):
    plain, trimmed = pair
    start = table(plain).clone()
    steps(plain, weight_decay=0.5)
    steps(trimmed, weight_decay=0.5)
    assert torch.equal(table(trimmed)[UNUSED], start[UNUSED])
    assert not torch.equal(table(plain)[UNUSED], start[UNUSED]), "the plain table decays: that is the difference"
    assert torch.equal(table(trimmed)[USED], table(plain)[USED])


def test_evaluation_mode_answers_for_every_id_and_sees_what_was_learned(pair):
    plain, trimmed = pair
    everything = {"input_ids": torch.arange(VOCABULARY).view(5, 10)}
    for _ in range(2):  # before and after learning, and again: the whole table is refreshed each time
        with torch.inference_mode():
            expected, found = (model.eval()(**everything).logits for model in pair)
        assert torch.equal(found, expected)
        assert steps(plain) == steps(trimmed)
    with torch.inference_mode():
        expected, found = (model.eval()(**everything).logits for model in pair)
    assert torch.equal(found, expected)


def test_a_saved_trimmed_model_loads_as_the_full_model(pair, tmp_path):
    _, trimmed = pair
    steps(trimmed)
    trimmed.save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert type(loaded.get_input_embeddings()) is nn.Embedding
    assert loaded.state_dict().keys() == trimmed.state_dict().keys()
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in trimmed.state_dict().items())


def test_loading_weights_into_a_trimmed_model_fills_both_tables(pair):
    plain, trimmed = pair
    steps(plain)
    steps(trimmed, count=1)
    trimmed.load_state_dict(plain.state_dict())
    assert torch.equal(table(trimmed), table(plain))
    assert torch.equal(trimmed.get_input_embeddings().weight.detach(), table(plain)[USED])
    with torch.inference_mode():
        assert torch.equal(trimmed.eval()(**BATCH).logits, plain.eval()(**BATCH).logits)


def test_a_state_dict_without_the_table_is_refused(pair):
    plain, trimmed = pair
    state = plain.state_dict()
    del state["bert.embeddings.word_embeddings.weight"]
    with pytest.raises(RuntimeError, match=r"word_embeddings\.weight"):
        trimmed.load_state_dict(state)


def test_restoring_puts_a_plain_table_back_with_what_was_learned(pair):
    _, trimmed = pair
    steps(trimmed)
    learned = table(trimmed).clone()
    restore_embeddings(trimmed)
    assert type(trimmed.get_input_embeddings()) is nn.Embedding
    assert torch.equal(table(trimmed), learned)
    restore_embeddings(trimmed)  # a second time does nothing
    assert torch.equal(table(trimmed), learned)


@given(st.sets(st.integers(0, 19), min_size=1), st.integers(0, 99))
@settings(max_examples=40)
def test_any_choice_of_rows_reads_like_the_plain_table(used, seed):
    torch.manual_seed(seed)
    plain = nn.Embedding(20, 4)
    trimmed = TrimmedEmbedding(plain, torch.tensor(sorted(used)))
    everything, chosen = torch.arange(20), torch.tensor(sorted(used))
    assert torch.equal(trimmed.eval()(everything), plain(everything))
    assert torch.equal(trimmed.train()(chosen), plain(chosen))
    assert torch.equal(trimmed.state_dict()["weight"], plain.weight.detach())


def test_training_on_a_row_left_out_is_an_error_and_not_a_wrong_row(pair):
    _, trimmed = pair
    with pytest.raises(IndexError):
        trimmed.train()(input_ids=torch.tensor([[2, UNUSED[0], 3]]))
