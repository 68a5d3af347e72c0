"""Use a fine-tuned model on text.

Taught in chapter 7. ``load_tagger`` turns a model folder into something that reads text and answers entities.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ner_tutorial.alignment import Encoder, Windows
from ner_tutorial.collation import TOKENS_PER_SENTENCE, sorted_batches
from ner_tutorial.decoding import check_decoding
from ner_tutorial.labels import LabelScheme
from ner_tutorial.spans import STRATEGIES, spans_of_texts

_HALF_PAIR = re.compile("[\ud800-\udfff]")  # a lone surrogate is no character, and the tokenizer refuses the whole list


@dataclass(frozen=True)
class EntitySpan:
    """An entity in a text: ``text == whole[start:end]``. All values are plain Python."""

    type: str
    text: str
    start: int
    """Index of the first character."""
    end: int
    """One past the index of the last character."""
    score: float
    """The model's probability for the type, between 0 and 1 (as the aggregation strategy combines it)."""

    def to_dict(self) -> dict:
        return asdict(self)


BATCH_SIZE = {"cpu": 48, "cuda": 1024}
"""Windows per batch, by kind of device. A processor is busy with few; a graphics card waits for each batch to be launched,
so it gets as many as keep it computing."""


class Tagger:
    """Finds entities in text. Made by ``load_tagger``.

    Text is cut into words as the training data was, and the words are encoded as evaluation encodes a data set's. A text
    longer than the model's window is read in overlapping windows, so none of it is cut off (erratum 13); one of them
    answers for each word.

    Args:
        model: a token classifier whose configuration names its labels.
        tokenizer: the model's tokenizer.
        aggregation_strategy, stride, decoding: as for ``load_tagger``.

    Raises:
        ValueError: strategy or decoding is unknown, the stride leaves no room to move on, or the labels are not IOB2.
    """

    def __init__(
        self,
        model,
        tokenizer,
        aggregation_strategy: str = "first",
        stride: int | None = None,
        decoding: str = "viterbi",
    ):
        if aggregation_strategy not in STRATEGIES:
            raise ValueError(
                f"unknown aggregation strategy {aggregation_strategy!r}; choose one of {', '.join(STRATEGIES)}"
            )
        self.model, self.tokenizer = model, tokenizer
        self.scheme = LabelScheme.from_config(model.config)
        self.encoder = Encoder(tokenizer, self.scheme, stride=stride)
        self.stride = self.encoder.stride
        self.aggregation_strategy, self.decoding = aggregation_strategy, check_decoding(decoding)

    def __call__(self, text: str) -> list[EntitySpan]:
        """The entities of one text, in order. An empty text has none."""
        return self.predict([text])[0]

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[list[EntitySpan]]:
        """The entities of each text, in the order of the texts.

        Args:
            texts: any number of strings.
            batch_size: windows of similar length that go through the model together; default, ``BATCH_SIZE``. Counted as
                in training: a batch has ``TOKENS_PER_SENTENCE`` times as many tokens, in many short windows or a few long
                ones.

        Raises:
            TypeError: ``texts`` is one string, or an item is not a string.
            ValueError: ``batch_size`` is less than 1.
        """
        if batch_size is None:
            batch_size = BATCH_SIZE.get(self.model.device.type, BATCH_SIZE["cpu"])
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if isinstance(texts, str):
            raise TypeError("predict takes a list of texts; call the tagger itself with one text")
        texts = list(texts)
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"text {number} is {type(text).__name__}, not str")
        filled = [i for i, text in enumerate(texts) if text.strip()]  # the others have no word
        if not filled:
            return [[] for _ in texts]
        read = [_HALF_PAIR.sub("\ufffd", texts[i]) for i in filled]  # as long as the text, so its offsets hold
        windows, places = self.encoder.texts(read)
        spans: list[list[EntitySpan]] = [[] for _ in texts]
        entities = spans_of_texts(
            self._logits(windows, batch_size),
            windows,
            (read, places),
            self.scheme,
            self.aggregation_strategy,
            self.decoding,
        )
        for i, rows in zip(filled, entities, strict=True):
            spans[i] = [
                EntitySpan(type=type_, text=texts[i][start:end], start=start, end=end, score=score)
                for type_, start, end, score in rows
            ]
        return spans

    def _logits(self, windows: Windows, batch_size: int) -> list[np.ndarray]:
        """Of each window, in their order, the logits of shape (tokens, labels). The model sees the windows sorted."""
        inputs = [windows.inputs(window) for window in range(len(windows.sentence))]
        lengths = [len(row) for row in windows.input_ids]  # tokens of each window
        rows: list = [None] * len(lengths)
        fill = {"input_ids": self.tokenizer.pad_token_id or 0, "token_type_ids": self.tokenizer.pad_token_type_id}
        with torch.inference_mode():
            for chosen in sorted_batches(range(len(lengths)), lengths, batch_size * TOKENS_PER_SENTENCE):
                # As the tokenizer's pad, which takes as long for one short text as a quarter of an int8 model.
                width = lengths[chosen[-1]]  # the longest: they are sorted
                batch = {
                    name: torch.tensor(
                        [inputs[i][name] + [fill.get(name, 0)] * (width - lengths[i]) for i in chosen]
                    ).to(self.model.device)
                    for name in inputs[0]
                }
                logits = self.model(**batch).logits.float().cpu().numpy()  # (windows, tokens, labels)
                for row, number in enumerate(chosen):
                    rows[number] = logits[row, : lengths[number]]  # without the padding, back in its place
        return rows

    def evaluate(self, dataset, **options):
        """Word-level scores on a split with gold labels; see ``evaluate_model``, which takes the same options.

        Raises:
            ValueError: the split has other labels than the model.
        """
        from ner_tutorial.evaluation import evaluate_model

        return evaluate_model(self.model, dataset, self.tokenizer, **{"decoding": self.decoding, **options})


def load_tagger(
    model_dir: str | Path,
    aggregation_strategy: str = "first",
    stride: int | None = None,
    precision: str | None = None,
    decoding: str = "viterbi",
) -> Tagger:
    """Load a fine-tuned model for use on text. The folder is used whole or not at all: nothing is filled in.

    Args:
        model_dir: a folder that training or ``export_onnx`` wrote.
        aggregation_strategy: how pieces become words and words become entities: ``simple``, ``first``, ``average`` or
            ``max`` (compared in chapter 7). ``first`` gives a word the label of its first piece, as training does.
        stride: tokens that two windows of a long text share; default, a quarter of the window.
        precision: the number format of the weights, ``bf16``, ``fp16`` or ``no`` (float32); default, what the machine
            is fast in, or float32 where the model cannot compute in that.
        decoding: how the words' scores become labels with the strategy ``first``: ``viterbi`` takes the best sequence
            that IOB2 allows, ``greedy`` each word's best label.

    Raises:
        FileNotFoundError: there is no such folder, or a file of the model or its tokenizer is missing.
        ValueError: a file is damaged or does not belong to the others; the model has no NER labels; or it cannot compute
            in ``precision``.
    """
    from ner_tutorial.encoders import load_tokenizer
    from ner_tutorial.model_folder import check_finished

    if not str(model_dir).strip():
        raise ValueError("the name of the model folder is empty; is a variable of the shell unset?")
    folder = Path(model_dir).expanduser()
    check_finished(folder)
    tokenizer = load_tokenizer(folder)
    model = _exported_model(folder) if (folder / "model.onnx").is_file() else _trained_model(folder, precision)
    return Tagger(model.eval(), tokenizer, aggregation_strategy, stride, decoding)  # eval: no dropout


def _trained_model(folder: Path, precision: str | None):
    """The model with its weights in a number format that it can compute in."""
    from ner_tutorial import fast
    from ner_tutorial.encoders import quiet_loading, runs_in
    from ner_tutorial.model_folder import load_classifier

    device = fast.detect_hardware(precision).device
    chosen = precision or fast.reading_precision(device)
    try:
        with quiet_loading():
            model = load_classifier(folder, dtype=fast.autocast_dtype(chosen)).to(device).eval()
            if not runs_in(model, chosen):
                if precision is not None:
                    raise ValueError(
                        f"{folder}: a {model.config.model_type} model cannot compute in {precision}; choose no, which is float32"
                    )
                model = load_classifier(folder, dtype=torch.float32).to(device)
    except torch.cuda.OutOfMemoryError:
        raise  # a RuntimeError too, but not the configuration's fault
    except (RuntimeError, TypeError, AttributeError) as error:  # from a configuration that makes no sense
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{folder / 'config.json'} describes a model that cannot be made: {reason}") from error
    return model


def _exported_model(folder: Path):
    """The exported model in the folder, with as many outputs as labels."""
    from transformers import AutoConfig

    from ner_tutorial.fast.onnx_model import OnnxTokenClassifier, need

    need("onnxruntime")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    try:
        model = OnnxTokenClassifier(config, folder / "model.onnx")
    except Exception as error:  # onnxruntime has an error class of its own for each fault of a file
        raise ValueError(
            f"{folder / 'model.onnx'} is damaged ({str(error).splitlines()[0]}); export it again"
        ) from error
    outputs = model.session.get_outputs()[0].shape[-1]
    if isinstance(outputs, int) and outputs != len(config.id2label):
        raise ValueError(f"{folder / 'model.onnx'} has {outputs} labels, its config.json {len(config.id2label)}")
    return model
