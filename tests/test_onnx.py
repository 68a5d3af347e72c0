"""ONNX exports: the same answers as the model, int8 close to them, one interface for both, and clear errors."""

import logging

import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from miniature import SENTENCE, name_corpus, save_lookup_model

from ner_tutorial import export_onnx, load_tagger

TEXTS = [SENTENCE, "Ines met Nora Velt in Lima.", "", "the Dutch Cup of the Acme Group won .", "Oslo"]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_lookup_model(tmp_path_factory.mktemp("lookup"))


@pytest.fixture(scope="module")
def exports(model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    return {quantize: export_onnx(model_dir, folder / str(quantize), quantize=quantize) for quantize in (False, True)}


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


def test_quantised_scores_stay_within_half_a_point(trained, tmp_path):
    test = name_corpus(sizes={"train": 5, "validation": 5, "test": 150})["test"]
    expected = load_tagger(trained, precision="no").evaluate(test).scores.f1
    small = load_tagger(export_onnx(trained, tmp_path / "int8"))
    assert expected > 0.8
    assert small.evaluate(test).scores.f1 == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("quantize", [False, True])
def test_an_export_finds_the_entities_of_the_model(quantize, model_dir, exports):
    expected = load_tagger(model_dir, precision="no").predict(TEXTS)
    found = load_tagger(exports[quantize]).predict(TEXTS)
    assert [[(e.type, e.start, e.end) for e in row] for row in found] == [
        [(e.type, e.start, e.end) for e in row] for row in expected
    ]


def test_quantised_weights_take_about_a_quarter_of_the_room(trained, trained_export, tmp_path):
    """The embedding table stays as it is, so the whole file shrinks less than its matrices."""
    import onnx

    def stored(folder) -> set[int]:
        graph = onnx.load(folder / "model.onnx").graph
        return {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 2}

    int8 = export_onnx(trained, tmp_path / "int8")
    assert onnx.TensorProto.INT8 in stored(int8)
    assert onnx.TensorProto.INT8 not in stored(trained_export)


def test_the_first_feed_forward_block_stays_in_float_and_no_other_product_does(trained, tmp_path):
    import onnx
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(trained)
    graph = onnx.load(export_onnx(trained, tmp_path / "int8") / "model.onnx").graph
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
