"""An exported model behind the interface of a Transformers model.

Used by ``load_tagger`` where a model folder holds ``model.onnx`` (chapter 10).
"""

from pathlib import Path

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput


def need(*modules: str) -> None:
    import importlib.util

    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(f'{", ".join(missing)} is missing; install it: pip install "ner-tutorial[onnx]"')


class OnnxTokenClassifier(PreTrainedModel):
    """An exported model behind the interface of a Transformers model. Runs on the CPU, for inference only."""

    main_input_name = "input_ids"

    def __init__(self, config, path: str | Path):
        need("onnxruntime")
        import onnxruntime

        super().__init__(config)  # no layers are built: the session holds the weights
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors only
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def forward(self, input_ids, attention_mask=None, **_) -> TokenClassifierOutput:
        """``input_ids`` and ``attention_mask`` of shape (batch, tokens); logits of shape (batch, tokens, labels)."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)  # the graph has two inputs and no default
        (logits,) = self.session.run(None, {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()})
        return TokenClassifierOutput(logits=torch.from_numpy(logits))
