"""Export a fine-tuned model to ONNX, and use the export like any other model.

Used in chapter 9. torch writes the graph, ONNX Runtime quantises and runs it; needs the extra ``onnx``:
``pip install "ner-tutorial[onnx]"``.
"""

import contextlib
import io
import logging
import warnings
from pathlib import Path

import torch

from ner_tutorial.fast.onnx_model import need

ONNX_FILE = "model.onnx"
# The first version of ONNX with attention as one operation: a short text takes a fifth less time in int8.
OPSET = 23
INPUTS = ("input_ids", "attention_mask")


class _Logits(torch.nn.Module):
    """The model as a function of two tensors. A boolean (batch, 1, tokens, tokens) mask is what ``Attention`` takes."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask[:, None, None, :].bool().expand(-1, 1, input_ids.shape[1], -1)
        return self.model(input_ids=input_ids, attention_mask=mask).logits


def _leave_heads_to_attention(graph, heads: int) -> None:
    """In an ONNX graph, let each ``Attention`` node split its inputs into heads, and join them again, by itself.

    The exporter writes a reshape and a transpose for each of its tensors. ONNX allows (batch, tokens, width) as well,
    and ONNX Runtime copies less then: in int8, a short text takes a tenth less time on two threads, and a quarter less
    on one. A node in other surroundings is left as it is.
    """
    from onnx.helper import get_node_attr_value, make_attribute

    nodes = graph.node
    maker = {name: node for node in nodes for name in node.output}
    users: dict[str, list] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def only_user(node):
        found = users.get(node.output[0], [])
        return found[0] if len(found) == 1 else None

    def swaps_heads(node) -> bool:
        return node.op_type == "Transpose" and list(get_node_attr_value(node, "perm")) == [0, 2, 1, 3]

    for attention in [node for node in nodes if node.op_type == "Attention"]:
        swaps = [maker.get(name) for name in attention.input[:3]]
        if not all(node is not None and swaps_heads(node) and only_user(node) is not None for node in swaps):
            continue
        splits = [maker.get(node.input[0]) for node in swaps]
        back = only_user(attention)
        join = only_user(back) if back is not None and swaps_heads(back) else None
        if not all(node is not None and node.op_type == "Reshape" for node in [*splits, join]):
            continue
        for position, split in enumerate(splits):
            attention.input[position] = split.input[0]
        attention.output[0] = join.output[0]
        attention.attribute.extend([make_attribute("q_num_heads", heads), make_attribute("kv_num_heads", heads)])
        for node in [*splits, *swaps, back, join]:
            nodes.remove(node)
    del graph.value_info[:]  # shapes of tensors that are gone; ONNX Runtime infers what it needs


def _first_feed_forward(graph) -> list[str]:
    """The names of the two products of the first layer's feed-forward block in an ONNX graph.

    They are the first product that widens and the first that narrows. They stay in float. Of the six blocks, leaving
    this one in float lowers the error of the int8 logits most: on training sentences and the quick profile's model, its
    root mean square falls from 0.065 to 0.055.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found: dict[bool, str] = {}
    for node in graph.node:
        weights = [shapes[name] for name in node.input if len(shapes.get(name, ())) == 2]
        if node.op_type == "MatMul" and weights and weights[0][0] != weights[0][1]:
            found.setdefault(weights[0][0] < weights[0][1], node.name)
    return list(found.values())


@contextlib.contextmanager
def _quiet():
    """Hold back what the exporter and the quantiser report about their own internals. What they raise is raised."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)


def export_onnx(model_dir: str | Path, out: str | Path, quantize: bool = True) -> Path:
    """Write an ONNX version of a fine-tuned model into a new folder that ``load_tagger`` reads.

    Args:
        model_dir: a folder that training wrote.
        out: a new or empty folder.
        quantize: store the weights as 8-bit integers and compute with them (dynamic quantisation), all but the first
            layer's feed-forward block.

    Returns:
        ``out`` as a ``Path``.

    Raises:
        ModuleNotFoundError: onnx, onnxscript or onnxruntime is not installed.
        FileExistsError: ``out`` is not empty.
        FileNotFoundError: ``model_dir`` holds no model.
    """
    need("onnx", "onnxscript", "onnxruntime")
    import tempfile

    import onnx

    from ner_tutorial.tagger import load_tagger

    out = Path(out)
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty; name a new folder for the export")
    tagger = load_tagger(model_dir, precision="no")
    example = tagger.tokenizer(["Two texts", "of different length"], padding=True, return_tensors="pt")
    tensors = tuple(example[name] for name in INPUTS)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / ONNX_FILE
        with _quiet():
            torch.onnx.export(
                _Logits(tagger.model.cpu()).eval(),
                tensors,
                str(plain),
                input_names=list(INPUTS),
                output_names=["logits"],
                dynamic_shapes=(axes, axes),
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        model = onnx.load(plain)
        _leave_heads_to_attention(model.graph, tagger.model.config.num_attention_heads)
        onnx.checker.check_model(model)
        onnx.save(model, plain)
        out.mkdir(parents=True, exist_ok=True)
        if quantize:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            with _quiet():
                quantize_dynamic(
                    str(plain),
                    str(out / ONNX_FILE),
                    weight_type=QuantType.QInt8,
                    op_types_to_quantize=["MatMul"],
                    per_channel=True,  # one scale for a whole matrix cost a point of F1
                    nodes_to_exclude=_first_feed_forward(model.graph),
                )
        else:
            plain.replace(out / ONNX_FILE)
    tagger.model.config.save_pretrained(out)
    tagger.tokenizer.save_pretrained(out)
    return out
