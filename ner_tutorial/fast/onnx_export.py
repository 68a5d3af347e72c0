"""Export a fine-tuned model to ONNX, and use the export like any other model.

Used in chapter 10. torch writes the graph, ONNX Runtime quantises and runs it; needs the extra ``onnx``:
``pip install "ner-tutorial[onnx]"``.
"""

import contextlib
import io
import logging
import re
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from ner_tutorial.fast.onnx_model import need
from ner_tutorial.fast.onnx_weights import embeddings_as_int8, matrices_as_int8
from ner_tutorial.files import new_folder

ONNX_FILE = "model.onnx"
# The first version of ONNX with attention as one operation, which a short text gains most from.
OPSET = 23
INPUTS = ("input_ids", "attention_mask")
COLOURS = re.compile(r"\x1b\[[\d;]*m")
FORMS = ("dynamic", "weights", "float")
# Tried: their exports give the model's logits. Others are tried as well, and refused if they do not.
FAMILIES = ("BERT", "RoBERTa", "XLM-R", "DistilBERT", "ELECTRA", "ALBERT", "MPNet")
# What an export is checked on: two texts of different length, as they are exported with, and a longer one alone.
CHECKED = (
    ("Two texts", "of different length"),
    ("Nora Velt flew from Oslo to Lima with 3 members of the Harbour Bank, and came back on Monday .",),
)


class _Logits(torch.nn.Module):
    """The model as a function of two tensors, which gives it a mask of shape (batch, 1, tokens, tokens).

    A boolean one is what ``Attention`` takes. Models that compute attention step by step add the mask to their scores.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        tokens = input_ids.shape[1]
        mask = attention_mask[:, None, None, :].bool().expand(-1, 1, tokens, -1)  # (batch, 1, tokens, tokens)
        if self.model.config._attn_implementation == "eager":
            mask = torch.where(mask, 0.0, torch.finfo(torch.float32).min)
        return self.model(input_ids=input_ids, attention_mask=mask).logits


def _leave_heads_to_attention(graph, heads: int) -> None:
    """In an ONNX graph, let each ``Attention`` node split its inputs into heads, and join them again, by itself.

    The exporter writes a reshape and a transpose for each of its tensors. ONNX allows (batch, tokens, width) as well,
    and ONNX Runtime copies less then, which a short text shows most. A node in other surroundings is left as it is.
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
    del graph.value_info[:]


def _first_feed_forward(graph) -> list[str]:
    """The names of the two products of the first layer's feed-forward block in an ONNX graph.

    They are the first product that widens and the first that narrows. They stay in float: of all blocks of the quick
    profile's model, leaving this one in float lowers the error of the int8 logits most.
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
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(disabled)


def export_onnx(model_dir: str | Path, out: str | Path, quantize: bool | str = True) -> Path:
    """Write an ONNX version of a fine-tuned model into a new folder that ``load_tagger`` reads.

    The export is run on texts of different lengths and compared with the model before the folder appears.

    Args:
        model_dir: a folder that training wrote.
        out: a new or empty folder.
        quantize: what is stored as 8-bit integers. ``"dynamic"`` (or ``True``): the embeddings, and all matrices but those
            of the first layer's feed-forward block; products are computed with integers. It is the fastest form.
            ``"weights"``: the embeddings and all matrices; products are computed in float32, so that every machine gives
            the same entities. It is the smallest form. ``False``: nothing.

    Returns:
        ``out`` as a ``Path``.

    Raises:
        ModuleNotFoundError: onnx, onnxscript or onnxruntime is not installed.
        FileExistsError: ``out`` is not empty.
        FileNotFoundError: ``model_dir`` holds no model.
        ValueError: ``quantize`` is unknown, or models of this family cannot be exported.
    """
    need("onnx", "onnxscript", "onnxruntime")
    import onnx

    from ner_tutorial.encoders import load_tokenizer, quiet_loading
    from ner_tutorial.model_folder import check_finished, load_classifier

    form = {True: "dynamic", False: "float"}.get(quantize, quantize)
    if form not in FORMS:
        raise ValueError(f"unknown quantize={quantize!r}; choose 'dynamic' (or True), 'weights' or False")
    out = Path(out).expanduser()
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty; name a new folder for the export")
    model_dir = Path(model_dir).expanduser()
    check_finished(model_dir)
    if (model_dir / ONNX_FILE).is_file():
        raise ValueError(f"{model_dir} is an export already; name the folder that training wrote")
    tokenizer = load_tokenizer(model_dir)
    with quiet_loading():
        model = load_classifier(model_dir, dtype=torch.float32).eval()
    batches = [_batch(tokenizer, texts) for texts in CHECKED]
    if out.is_dir():
        out.rmdir()  # it is empty; the folder with the export takes its place
    with new_folder(out) as folder, tempfile.TemporaryDirectory() as scratch:
        path, plain = folder / ONNX_FILE, Path(scratch) / ONNX_FILE
        try:
            _trace(_Logits(model).eval(), batches[0], plain)
            graph = onnx.load(plain)
            _leave_heads_to_attention(graph.graph, getattr(model.config, "num_attention_heads", 0))
            onnx.checker.check_model(graph)
            onnx.save(graph, plain)
            _compare(model, plain, batches, largest=1e-3)  # float32 in another order of operations
        except Exception as error:  # torch, onnx and ONNX Runtime raise what they like
            raise ValueError(_cannot_export(model.config.model_type, error)) from error
        if form == "dynamic":
            _quantize_dynamically(plain, path)
        graph = onnx.load(path if form == "dynamic" else plain)
        if form != "float":
            embeddings_as_int8(graph.graph)
        if form == "weights":
            matrices_as_int8(graph.graph)
        del graph.graph.value_info[:]  # shapes of tensors that are gone; ONNX Runtime infers what it needs
        onnx.save(graph, path)
        _compare(model, path, batches, largest=0.5)  # 8 bits round, and a graph that is wrong is further off than this
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return out


def _batch(tokenizer, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask of some texts, both (texts, tokens)."""
    encoded = tokenizer(list(texts), padding=True, return_tensors="pt")
    return tuple(encoded[name] for name in INPUTS)


def _trace(model: torch.nn.Module, example: tuple[torch.Tensor, torch.Tensor], path: Path) -> None:
    """Write the model's graph to ``path``, for batches of any size and length."""
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    with _quiet():
        torch.onnx.export(
            model,
            example,
            str(path),
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_shapes=(axes, axes),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )


def _quantize_dynamically(plain: Path, path: Path) -> None:
    """Let products be computed with 8-bit integers, but for the first layer's feed-forward block."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(
            str(plain),
            str(path),
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
            per_channel=True,  # a scale per column; one for a whole matrix would cost F1
            nodes_to_exclude=_first_feed_forward(onnx.load(plain).graph),
        )


def _compare(model: torch.nn.Module, path: Path, batches, largest: float) -> None:
    """Run the model and its export on the same texts.

    Args:
        largest: the greatest error allowed, as a share of the spread of the model's logits (their standard deviation):
            the error's root mean square over the tokens that are no padding.

    Raises:
        ValueError: the export gives other logits.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it raises says the same
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for ids, mask in batches:
        with torch.inference_mode():
            expected = model(input_ids=ids, attention_mask=mask).logits[mask.bool()]  # (tokens, labels)
        (logits,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        error = torch.from_numpy(logits)[mask.bool()] - expected
        share = float(error.square().mean().sqrt() / expected.std())
        if not share <= largest:
            raise ValueError(
                f"on {ids.shape[1]} tokens its logits differ from the model's by {share:.2g} of their spread"
            )


def _cannot_export(family: str, error: Exception) -> str:
    while error.__cause__ is not None:
        error = error.__cause__  # torch wraps what went wrong in advice for its developers
    reason = COLOURS.sub("", (str(error).strip().splitlines() or [type(error).__name__])[0]).rstrip(".")
    return (
        f"a model of the family {family!r} cannot be exported ({reason[:200]}). Families whose exports give the model's "
        f"answers: {', '.join(FAMILIES)}. Use this model without an export."
    )
