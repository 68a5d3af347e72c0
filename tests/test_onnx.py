"""ONNX exports: the same answers as the model, int8 close to them, one interface for both, and clear errors."""

import logging

import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from hypothesis import given
from hypothesis import strategies as st
from miniature import SENTENCE, name_corpus, save_lookup_model, tiny_bert_config

from ner_tutorial import CONLL_SCHEME, export_onnx, load_tagger

pytestmark = pytest.mark.slow

TEXTS = [SENTENCE, "Ines met Nora Velt in Lima.", "", "the Dutch Cup of the Acme Group won .", "Oslo"]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_lookup_model(tmp_path_factory.mktemp("lookup"))


@pytest.fixture(scope="module")
def exports(model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    return {
        quantize: export_onnx(model_dir, folder / str(quantize), quantize=quantize)
        for quantize in (False, True, "weights")
    }


def test_the_export_gives_the_logits_of_the_model_for_any_batch_and_length(trained, trained_export):
    """Also for shapes that the exporter did not see, and with padding."""
    model = load_tagger(trained, precision="no")
    exported = load_tagger(trained_export)
    for texts in (["Nora"], ["Nora Velt met Ines in Oslo .", "the Cup"], ["Oslo"] * 5, [" ".join(["Lima of"] * 20)]):
        batch = model.tokenizer(texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            expected = model.model(**batch).logits
        found = exported.model(**batch).logits
        real = batch["attention_mask"].bool()
        assert torch.allclose(found[real], expected[real], atol=1e-4)


def test_the_exported_attention_splits_and_joins_its_heads_itself(trained, trained_export):
    """A transpose and a reshape around each tensor would cost a short text a tenth of its time and more."""
    import onnx

    nodes = onnx.load(trained_export / "model.onnx").graph.node
    attention = [node for node in nodes if node.op_type == "Attention"]
    config = load_tagger(trained, precision="no").model.config
    assert len(attention) == config.num_hidden_layers
    for node in attention:
        given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        assert given["q_num_heads"] == given["kv_num_heads"] == config.num_attention_heads
    assert not [node.name for node in nodes if node.op_type in ("Transpose", "Reshape")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model with attention layers, trained for a moment."""
    from miniature import run, save_encoder

    lookup = str(save_lookup_model(tmp_path_factory.mktemp("vocabulary")))
    encoder = save_encoder(tmp_path_factory.mktemp("encoder"), lookup)
    corpus = name_corpus(noise=0.05, sizes={"train": 200, "validation": 30, "test": 30})
    return run("accelerate", tmp_path_factory.mktemp("run"), corpus, encoder, epochs=4, batch_size=8).model_dir


@pytest.fixture(scope="module")
def trained_export(trained, tmp_path_factory):
    return export_onnx(trained, tmp_path_factory.mktemp("onnx") / "plain", quantize=False)


@pytest.fixture(scope="module")
def trained_int8(trained, tmp_path_factory):
    return export_onnx(trained, tmp_path_factory.mktemp("onnx") / "int8")


def test_quantised_scores_stay_within_half_a_point(trained, trained_int8):
    test = name_corpus(sizes={"train": 5, "validation": 5, "test": 150})["test"]
    expected = load_tagger(trained, precision="no").evaluate(test).scores.f1
    small = load_tagger(trained_int8)
    assert expected > 0.8
    assert small.evaluate(test).scores.f1 == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("quantize", [False, True, "weights"])
def test_an_export_finds_the_entities_of_the_model(quantize, model_dir, exports):
    expected = load_tagger(model_dir, precision="no").predict(TEXTS)
    found = load_tagger(exports[quantize]).predict(TEXTS)
    assert [[(e.type, e.start, e.end) for e in row] for row in found] == [
        [(e.type, e.start, e.end) for e in row] for row in expected
    ]


def test_quantised_weights_take_about_a_quarter_of_the_room(trained_export, trained_int8):
    """The embedding table stays as it is, so the whole file shrinks less than its matrices."""
    import onnx

    def stored(folder) -> set[int]:
        graph = onnx.load(folder / "model.onnx").graph
        return {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 2}

    assert onnx.TensorProto.INT8 in stored(trained_int8)
    assert onnx.TensorProto.INT8 not in stored(trained_export)


def test_the_first_feed_forward_block_stays_in_float_and_no_other_product_does(trained, trained_int8):
    import onnx
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(trained)
    graph = onnx.load(trained_int8 / "model.onnx").graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    wide, narrow = config.intermediate_size, config.hidden_size
    assert [shapes[node.input[1]] for node in products] == [(narrow, wide), (wide, narrow)]
    integer = sum(node.op_type == "MatMulInteger" for node in graph.node)
    assert integer == 6 * config.num_hidden_layers + 1 - 2  # with the head, without the two


def test_exporting_and_loading_print_and_log_nothing(trained, tmp_path, capfd, caplog):
    with caplog.at_level(logging.WARNING):
        load_tagger(export_onnx(trained, tmp_path / "out"))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_a_folder_with_files_is_not_overwritten(trained, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty"):
        export_onnx(trained, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_without_a_model_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model folder"):
        export_onnx(tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named_with_the_command_that_installs_it(trained, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "onnxscript" else find(name, *a))
    with pytest.raises(
        ModuleNotFoundError, match=r'onnxscript is missing; install it: pip install "ner-tutorial\[onnx\]"'
    ):
        export_onnx(trained, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def save_family(name: str, folder, tokenizer) -> str:
    """A tiny token classifier of a family, untrained, with a BERT tokenizer."""
    from transformers import AutoConfig, AutoModelForTokenClassification, set_seed

    small = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    more = {
        "bert": {"intermediate_size": 64},
        "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
        "electra": {"embedding_size": 32, "intermediate_size": 64},
        "albert": {"embedding_size": 16, "intermediate_size": 64},
        "mpnet": {"intermediate_size": 64},
        "roberta": {"intermediate_size": 64, "max_position_embeddings": 514},
        "modernbert": {"intermediate_size": 64, "global_attn_every_n_layers": 2, "local_attention": 8},
        "deberta-v2": {"intermediate_size": 64, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    }[name]
    size = {"vocab_size": len(tokenizer)} if name == "distilbert" else small
    names = dict(enumerate(CONLL_SCHEME.names))
    config = AutoConfig.for_model(name, **size, **more, pad_token_id=0, id2label=names, label2id=CONLL_SCHEME.label2id)
    set_seed(0)
    AutoModelForTokenClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("family", ["distilbert", "electra", "albert", "mpnet", "roberta"])
def test_the_families_that_are_named_can_be_exported(family, tiny_tokenizer, tmp_path):
    """BERT, the first of them, is exported and compared above."""
    model = save_family(family, tmp_path / "model", tiny_tokenizer)
    tagger = load_tagger(model, precision="no")
    batch = tagger.tokenizer(["Nora Velt met Ines in Oslo .", "the Cup"], padding=True, return_tensors="pt")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        expected = tagger.model(**inputs).logits
    exported = load_tagger(export_onnx(model, tmp_path / "out", quantize=False)).model(**inputs).logits
    real = batch["attention_mask"].bool()
    assert torch.allclose(exported[real], expected[real], atol=1e-4)


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2"])
def test_a_family_that_does_not_export_is_one_clear_error_and_leaves_no_folder(family, tiny_tokenizer, tmp_path):
    """Or it is exported well, where a later version of torch can."""
    model = save_family(family, tmp_path / "model", tiny_tokenizer)
    error = None
    try:
        export_onnx(model, tmp_path / "out", quantize=False)
    except ValueError as raised:
        error = str(raised)
    if error is not None:
        assert f"family '{family}' cannot be exported" in error
        assert "BERT, RoBERTa, XLM-R" in error
        assert "\n" not in error
    assert (tmp_path / "out").exists() == (error is None)


def test_an_unknown_form_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match="unknown quantize='int4'; choose 'dynamic'"):
        export_onnx(trained, tmp_path / "out", quantize="int4")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """An untrained model whose embeddings are most of it, as in real ones."""
    from transformers import BertForTokenClassification, BertTokenizer, set_seed

    folder = tmp_path_factory.mktemp("wide")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"piece{number}" for number in range(4000))]
    names = dict(enumerate(CONLL_SCHEME.names))
    config = tiny_bert_config(len(pieces), positions=64, id2label=names, label2id=CONLL_SCHEME.label2id)
    set_seed(0)
    BertForTokenClassification(config).save_pretrained(folder)
    BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=64).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def wide_exports(wide, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide-exports")
    return {form: export_onnx(wide, folder / str(form), quantize=form) for form in (False, "dynamic", "weights")}


def test_both_int8_forms_store_the_embeddings_as_int8_too(wide_exports):
    sizes = {form: (folder / "model.onnx").stat().st_size for form, folder in wide_exports.items()}
    taggers = {form: load_tagger(folder) for form, folder in wide_exports.items()}
    tables = {form: sizes[form] / sizes[False] for form in ("dynamic", "weights")}
    assert max(tables.values()) < 0.45, sizes
    batch = taggers[False].tokenizer(["piece7 piece9 piece3999", "piece1"], padding=True, return_tensors="pt")
    expected = taggers[False].model(**batch).logits
    for form in ("dynamic", "weights"):
        assert torch.allclose(taggers[form].model(**batch).logits, expected, atol=0.05)


def test_weights_as_int8_compute_in_float32(wide_exports):
    """No product of integers is left to round differently on another machine."""
    import onnx

    graph = onnx.load(wide_exports["weights"] / "model.onnx").graph
    assert {node.op_type for node in graph.node} & {"MatMulInteger", "DynamicQuantizeLinear", "QLinearMatMul"} == set()
    assert [
        t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and min(t.dims, default=0) > 100
    ] == []


@pytest.mark.parametrize("axis", [0, 1])
@given(data=st.data())
def test_rounding_errs_by_half_a_step_at_most(axis, data):
    import numpy as np

    from ner_tutorial.fast.onnx_weights import rounded

    shape = (data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6)))
    numbers = st.floats(-1e3, 1e3, width=32)
    weights = np.array(data.draw(st.lists(numbers, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])), "f")
    integers, scales = rounded(weights.reshape(shape), axis)
    assert integers.dtype == np.int8
    assert (np.abs(integers * scales - weights.reshape(shape)) <= scales * 0.5001 + 1e-30).all()
