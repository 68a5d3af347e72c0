"""Parameter groups: which weights decay, and at which rate each layer learns."""

import pytest
import torch
from miniature import LOOPS, name_corpus, run, same_weights, save_encoder, save_lookup_model, tiny_bert_config, weights
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoModelForTokenClassification,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    set_seed,
)

from ner_tutorial import CONLL_SCHEME, load_model, load_tokenizer
from ner_tutorial.fast.layer_rates import layer_depths, parameter_groups
from ner_tutorial.fast.vocabulary import trim_embeddings

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
ENCODERS = {
    "bert": (tiny_bert_config(40, 16), "bert.encoder.layer.{}.", 2),
    "distilbert": (
        DistilBertConfig(vocab_size=40, dim=16, n_layers=3, n_heads=2, hidden_dim=32),
        "distilbert.transformer.layer.{}.",
        3,
    ),
    "electra": (ElectraConfig(**SMALL, embedding_size=8), "electra.encoder.layer.{}.", 3),
    "modernbert": (ModernBertConfig(**SMALL, pad_token_id=0), "model.layers.{}.", 3),
}


def make(config):
    set_seed(0)
    return AutoModelForTokenClassification.from_config(config)


@pytest.mark.parametrize("family", ENCODERS)
def test_depth_counts_from_the_embeddings_to_the_head(family):
    config, layer, count = ENCODERS[family]
    model = make(config)
    depths = layer_depths(model)
    assert set(depths) == {name for name, _ in model.named_parameters()}
    for i in range(count):
        of_layer = {depth for name, depth in depths.items() if name.startswith(layer.format(i))}
        assert of_layer == {i + 1}
    word = next(name for name, p in model.named_parameters() if p is model.get_input_embeddings().weight)
    assert depths[word] == 0
    assert depths["classifier.weight"] == depths["classifier.bias"] == count + 1


@pytest.mark.parametrize("layer_decay", [1.0, 0.8])
def test_the_groups_hold_every_learning_parameter_once(layer_decay):
    model = make(ENCODERS["bert"][0])
    trim_embeddings(model, [{"input_ids": [1, 2, 3]}])
    model.classifier.bias.requires_grad_(False)
    grouped = [id(p) for group in parameter_groups(model, 0.1, 1e-3, layer_decay) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("layer_decay", [1.0, 0.8])
def test_matrices_decay_and_vectors_do_not(layer_decay):
    for group in parameter_groups(make(ENCODERS["bert"][0]), 0.1, 1e-3, layer_decay):
        expected = {0.1 if parameter.ndim >= 2 else 0.0 for parameter in group["params"]}
        assert expected == {group["weight_decay"]}


def test_without_decay_there_is_one_learning_rate():
    groups = parameter_groups(make(ENCODERS["bert"][0]), 0.1, 1e-3)
    assert [group["lr"] for group in groups] == [1e-3, 1e-3]


def test_the_first_step_moves_each_layer_by_its_own_rate():
    """AdamW's first step moves every weight with a gradient by the learning rate, whatever the gradient's size."""
    model = make(ENCODERS["bert"][0]).eval()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.0, 1e-2, layer_decay=0.5), fused=True)
    ids = torch.arange(10).view(2, 5)
    model(input_ids=ids, labels=ids % 2).loss.backward()
    optimizer.step()
    moved = {name: (p.detach() - before[name]).abs().max().item() for name, p in model.named_parameters()}
    assert moved["classifier.weight"] == pytest.approx(1e-2, rel=0.02)
    assert moved["bert.encoder.layer.1.output.dense.weight"] == pytest.approx(5e-3, rel=0.02)
    assert moved["bert.encoder.layer.0.output.dense.weight"] == pytest.approx(2.5e-3, rel=0.02)
    assert moved["bert.embeddings.word_embeddings.weight"] == pytest.approx(1.25e-3, rel=0.02)


def test_the_head_comes_first_so_that_logs_show_its_rate():
    groups = parameter_groups(make(ENCODERS["bert"][0]), 0.0, 1e-3, 0.9)
    assert groups[0]["lr"] == max(group["lr"] for group in groups) == 1e-3


def test_a_model_with_shared_layers_is_refused_with_the_remedy():
    model = make(AlbertConfig(**SMALL, embedding_size=8))
    with pytest.raises(ValueError, match=r"AlbertForTokenClassification has 0 lists of 3 .* layer_decay=1\.0"):
        parameter_groups(model, 0.0, 1e-3, 0.9)
    assert len(parameter_groups(model, 0.0, 1e-3, 1.0)) == 2


@pytest.mark.parametrize("layer_decay", [0.0, -0.5, 1.1, float("nan")])
def test_a_decay_outside_its_range_is_refused(layer_decay):
    with pytest.raises(ValueError, match="layer_decay must be above 0 and at most 1"):
        parameter_groups(make(ENCODERS["bert"][0]), 0.0, 1e-3, layer_decay)


def test_both_loops_learn_the_same_weights_with_layer_decay_and_others_than_without(tmp_path):
    lookup = str(save_lookup_model(tmp_path / "lookup"))
    encoder, corpus = save_encoder(tmp_path / "encoder", lookup), name_corpus(noise=0.15)
    found = {
        (loop, decay): run(loop, tmp_path / f"{loop}-{decay}", corpus, encoder, epochs=2, layer_decay=decay).model_dir
        for loop in LOOPS
        for decay in (1.0, 0.5)
    }
    assert same_weights(*(found[loop, 0.5] for loop in LOOPS))
    assert not same_weights(*(found["accelerate", decay] for decay in (1.0, 0.5)))
    name = "bert.embeddings.word_embeddings.weight"
    start = load_model(encoder, CONLL_SCHEME).state_dict()[name]
    moved = {decay: (weights(found["accelerate", decay])[name] - start).norm().item() for decay in (1.0, 0.5)}
    assert moved[0.5] < moved[1.0]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_model_with_shared_layers_is_refused_before_anything_is_written(loop, tmp_path):
    tokenizer = load_tokenizer(save_lookup_model(tmp_path / "lookup"))
    AlbertModel(AlbertConfig(**{**SMALL, "vocab_size": len(tokenizer)}, embedding_size=8)).save_pretrained(
        tmp_path / "a"
    )
    tokenizer.save_pretrained(tmp_path / "a")
    folder, corpus = tmp_path / "run", name_corpus()
    with pytest.raises(ValueError, match=r"layer_decay=1\.0"):
        run(loop, folder, corpus, str(tmp_path / "a"), epochs=1, layer_decay=0.9)
    assert not folder.exists()
    assert run(loop, folder, corpus, str(tmp_path / "a"), epochs=1, layer_decay=1.0).model_dir == folder
