"""Check that a model folder is whole before anything in it is used.

Taught nowhere: plumbing under chapters 5 and 7. Transformers fills in whatever a folder lacks: layers become random
numbers, a missing tokenizer becomes an empty one, and the program goes on. Here each of these is an error that names the
file.
"""

import hashlib
import json
from pathlib import Path

from ner_tutorial.labels import LabelScheme
from ner_tutorial.model_size import check_layers, no_larger_than_its_file

CONFIG, WEIGHTS, EXPORTED = "config.json", "model.safetensors", "model.onnx"
PICKLED = "pytorch_model.bin"
# Each of these holds a vocabulary; which one a model has depends on its kind.
VOCABULARIES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip
FLOATS = ("F64", "F32", "F16", "BF16")
# Whole numbers that some older models save beside their weights; they are counted, not learned.
COUNTED = ("position_ids", "token_type_ids")


def read_config(folder: Path) -> dict:
    """The content of ``config.json``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a JSON object, names no ``model_type``, or asks for more layers than any model has.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is a folder without config.json; name the folder that save_pretrained wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # JSON's and UTF-8's errors are kinds of it
        raise ValueError(f"{path} is not readable as JSON ({error}); copy the model again") from None
    if not isinstance(content, dict) or not isinstance(content.get("model_type"), str):
        raise ValueError(f'{path} has no "model_type"; it is not the configuration of a Transformers model')
    check_layers(path, content)
    return content


def shards(index: Path) -> list[Path]:
    """The files that an index names, in order of their names.

    Raises:
        FileNotFoundError: one of them is not there.
        ValueError: the index cannot be read.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ValueError(f"{index} is not an index of weights; copy the model again") from None
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise FileNotFoundError(f"{index} names {name!r}, which is not in the folder; copy the model again")
    return [index.parent / name for name in names]


def weight_files(folder: Path) -> list[Path]:
    """The files of the one set of weights that Transformers would load, safetensors first; empty if there is none."""
    for name in (WEIGHTS, PICKLED):
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}.index.json").is_file():
            return shards(folder / f"{name}.index.json")
    return []


def check_weights(folder: Path) -> None:
    """Raise an error unless ``folder`` has weights, whole files of numbers with a decimal point.

    Raises:
        FileNotFoundError: there are no weights, or a part of them is missing.
        ValueError: a file is cut off, or holds whole numbers where the model has others.
    """
    from safetensors import SafetensorError, safe_open

    files = weight_files(folder)
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no weights ({WEIGHTS}, or a model.safetensors.index.json and its parts)"
        )
    for path in files:
        if path.suffix != ".safetensors":
            continue
        try:
            with safe_open(path, framework="numpy") as file:
                kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged ({error}); copy or train the model again") from None
        for name, kind in kinds.items():
            if kind not in FLOATS and not name.endswith(COUNTED):
                raise ValueError(
                    f"{path}: {name} is stored as {kind}, but weights must be one of {', '.join(FLOATS)}; a quantised "
                    "model cannot be used here, so save it again without quantisation"
                )


def check_tokenizer_files(folder: Path) -> None:
    """Raise an error unless ``folder`` has the files of a tokenizer; without them Transformers makes an empty one.

    Raises:
        FileNotFoundError: there is none of the known vocabulary files, or ``vocab.json`` without ``merges.txt``.
        ValueError: a file is no JSON.
    """
    there = [name for name in VOCABULARIES if (folder / name).is_file()]
    if there == ["vocab.json"] and not (folder / "merges.txt").is_file():
        raise FileNotFoundError(f"{folder} has vocab.json but no merges.txt; copy the tokenizer's files again")
    if not there:
        raise FileNotFoundError(
            f"{folder} has no tokenizer (none of {', '.join(VOCABULARIES)}); save it beside the model: "
            "tokenizer.save_pretrained(folder)"
        )
    for path in (folder / "tokenizer.json", folder / "tokenizer_config.json"):
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not readable as JSON ({error}); copy the tokenizer's files again") from None
        if not isinstance(content, dict):
            raise ValueError(f"{path} is not the file of a tokenizer; copy the tokenizer's files again")


def check_labels(folder: Path, config: dict) -> None:
    """Raise ``ValueError`` unless ``id2label`` numbers the labels of an IOB2 scheme 0, 1, 2 and so on."""
    labels = config.get("id2label")
    if not isinstance(labels, dict) or not labels:
        raise ValueError(f"{folder} is not an NER model: its {CONFIG} names no labels (id2label)")
    try:
        names = {int(key): name for key, name in labels.items()}
    except ValueError:
        raise ValueError(f"{folder / CONFIG}: a key of id2label is not a number: {_some(list(labels))}") from None
    if sorted(names) != list(range(len(names))):
        raise ValueError(
            f"{folder / CONFIG}: id2label has the ids {', '.join(map(str, sorted(names)))}, but the outputs of a model are "
            f"numbered from 0 to {len(names) - 1}"
        )
    try:
        LabelScheme([names[index] for index in range(len(names))])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder} is not an NER model of this kind: {error}") from None


def require_finished(folder: Path) -> None:
    """Raise ``FileNotFoundError`` unless ``folder`` has the configuration and the weights of a trained model."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no model folder at {folder}; train one: python -m ner_tutorial train --output {folder}"
        )
    if not (folder / CONFIG).is_file():
        started = (folder / "run.json").is_file()
        hint = (
            "its training has not ended: continue it with train --resume"
            if started
            else "name a trained model's folder"
        )
        raise FileNotFoundError(f"{folder} holds no finished model ({CONFIG} is missing); {hint}")
    weights = weight_files(folder)
    if not weights:
        raise FileNotFoundError(f"{folder} holds no finished model ({WEIGHTS} is missing)")
    if weights[0].suffix != ".safetensors":
        raise FileNotFoundError(
            f"{folder} holds no finished model ({WEIGHTS} is missing); {weights[0].name} is not read, because such a file can "
            "run code: load it with Transformers where you trust it, and save it again with save_pretrained"
        )


def check_finished(folder: Path) -> None:
    """Raise an error unless ``folder`` is a finished NER model: configuration, labels, weights or export, tokenizer.

    Raises:
        FileNotFoundError, ValueError: a file is missing or wrong; the message names it.
    """
    exported = (folder / EXPORTED).is_file()
    if not exported:
        require_finished(folder)
    config = read_config(folder)
    if not exported:
        check_weights(folder)
    check_labels(folder, config)
    check_tokenizer_files(folder)


def load_classifier(folder: Path, head: str = "is there", **options):
    """A token classifier with the weights in ``folder``, all of them and nothing else.

    Args:
        folder: a folder whose files were checked.
        head: ``is there`` (no weight may be missing), ``may be new`` (a head that is wholly missing is drawn at random),
            or ``is new`` (one of another size as well).
        **options: for ``from_pretrained``.

    Raises:
        ValueError: another weight is missing, has another size, belongs to a layer that ``config.json`` does not count, or
            is not a finite number. A pooler may be left over: no token classifier has one.
    """
    import torch
    from transformers import AutoModelForTokenClassification

    options["output_loading_info"] = True
    options["ignore_mismatched_sizes"] = True  # for the report; without it, there is an error without names
    with no_larger_than_its_file(folder / CONFIG, weight_files(folder)):
        model, report = AutoModelForTokenClassification.from_pretrained(folder, trust_remote_code=False, **options)
    faults = _faults(model, report, head)
    if not faults:
        broken = [name for name, tensor in model.named_parameters() if not torch.isfinite(tensor).all()]
        faults = [f"not a finite number in {_some(broken)}"] if broken else []
    if faults:
        wrapped = any(name.startswith("module.") for name in report["unexpected_keys"])
        hint = (
            "; the names begin with module., so save the model inside of DataParallel, model.module" if wrapped else ""
        )
        raise ValueError(
            f"the weights in {folder} are not those of the model in its config.json: {'; '.join(faults)}{hint}"
        )
    return model


def _faults(model, report: dict, head: str) -> list[str]:
    """What is wrong with loaded weights, from the report of ``from_pretrained``: missing, of another size, left over."""
    prefix = model.base_model_prefix + "."
    encoder = model.base_model
    parts = {name.split(".")[0] for name, _ in (*encoder.named_children(), *encoder.named_parameters(recurse=False))}
    every = set(model.state_dict())

    def half(name: str) -> bool:
        """One of a layer's tensors is missing and another is there."""
        layer = name.rsplit(".", 1)[0]
        return any(other.rsplit(".", 1)[0] == layer and other not in report["missing_keys"] for other in every)

    missing = sorted(report["missing_keys"])
    resized = sorted(report["mismatched_keys"])
    extra = sorted(name for name in report["unexpected_keys"] if "pooler" not in name.split(".")[:2])
    if head != "is there":
        missing = [name for name in missing if name.startswith(prefix) or half(name)]
        # The heads of pre-training are left over too; a further layer of the encoder must not be.
        extra = [name for name in extra if name.removeprefix(prefix).split(".")[0] in parts]
    if head == "is new":
        resized = [row for row in resized if row[0].startswith(prefix)]
    sizes = [f"{name} ({_size(stored)}, config.json says {_size(wanted)})" for name, stored, wanted in resized]
    lists = {
        "missing": missing,
        "of another size": sizes,
        "not in the model": extra,
        "not readable": report["error_msgs"],
    }
    return [f"{title}: {_some(names)}" for title, names in lists.items() if names]


def _size(shape) -> str:
    return " x ".join(map(str, shape))


def _some(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(str, names[:3])) + more


def check_vocabulary(folder: Path, tokenizer, config) -> None:
    """Raise ``ValueError`` unless each id of the tokenizer has a row in the model's table of embeddings."""
    rows = getattr(config, "vocab_size", None)
    ids = set(tokenizer.get_vocab().values())
    if not ids - set(tokenizer.all_special_ids):
        raise ValueError(f"the tokenizer in {folder} knows no word and no letter; copy the tokenizer's files again")
    if not rows:
        return
    if max(ids) >= rows:
        raise ValueError(
            f"the tokenizer in {folder} has ids up to {max(ids)}, but the model has {rows} embeddings (vocab_size in "
            "config.json): tokenizer and model do not belong together"
        )
    if 2 * len(ids) < rows:  # models have spare rows, but not half of them
        raise ValueError(
            f"the tokenizer in {folder} has {len(ids)} pieces for the model's {rows} embeddings (vocab_size in "
            "config.json): its files are cut off, or belong to another model"
        )


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of what a model is loaded from: configuration, weights and tokenizer."""
    digest = hashlib.sha256()
    small = [path for path in folder.iterdir() if path.suffix in (".json", ".txt", ".model") and path.is_file()]
    for path in sorted({*small, *weight_files(folder)}):
        digest.update(f"{path.name} {sha256(path)}\n".encode())
    return digest.hexdigest()
