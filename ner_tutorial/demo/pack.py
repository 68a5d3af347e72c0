"""Put a trained model, what runs it and the page's scripts into one folder that any static server can serve.

Taught nowhere: plumbing of the page "Try it" and of the command ``demo``.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from ner_tutorial.files import new_file, new_folder

HERE = Path(__file__).resolve().parent
SCRIPTS = ("page.js", "worker.js", "words.js", "tokenizer.js", "entities.js", "try_it.css")
NPM_FILES = ("package.json", "package-lock.json")
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
CACHE = "ner-tutorial-try-it"
NO_MODEL = (
    "this copy of the book was built without a model; in a clone of its repository, `make live` trains one (some minutes) and "
    "builds the page with it"
)
NO_RUNTIME = (
    "this copy of the book was built without ONNX Runtime for browsers; with npm and a network, `make live` fetches it"
)


def _runtime_in(folder: Path) -> Path | None:
    """The folder that npm made of onnxruntime-web, if all that is needed of it is there."""
    built = folder / "node_modules" / "onnxruntime-web" / "dist"
    return built if all((built / name).is_file() for name in RUNTIME) else None


def find_runtime() -> Path | None:
    """Where ONNX Runtime for browsers was installed: beside this file (in a clone), or by ``fetch_runtime``."""
    return _runtime_in(HERE) or _runtime_in(_runtime_cache())


def _runtime_cache() -> Path:
    from ner_tutorial.notebook import cache_folder

    lock = (HERE / "package-lock.json").read_bytes()
    return cache_folder() / "web" / f"runtime-{hashlib.sha256(lock).hexdigest()[:12]}"


def fetch_runtime() -> Path:
    """The same, installed by npm into the user's cache where it is missing: the versions and hashes of package-lock.json.

    Raises:
        FileNotFoundError: there is no npm.
        OSError: npm could not install it.
    """
    found = find_runtime()
    if found:
        return found
    if shutil.which("npm") is None:
        raise FileNotFoundError("npm is missing; install Node.js, which brings it, to fetch ONNX Runtime for browsers")
    folder = _runtime_cache()
    shutil.rmtree(folder, ignore_errors=True)
    with new_folder(folder) as partial:
        for name in NPM_FILES:
            shutil.copy(HERE / name, partial)
        run = subprocess.run(
            ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=partial, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if run.returncode or not _runtime_in(partial):
            reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise OSError(f"npm could not fetch ONNX Runtime for browsers ({reason}); is there a network?")
    return _runtime_in(folder)


def tokenizer_settings(tokenizer) -> dict:
    """What the page needs to cut text as this tokenizer does, ready for JSON.

    Raises:
        ValueError: the tokenizer is of another kind than BERT's WordPiece, or has words added that it cuts specially.
    """
    from ner_tutorial.alignment import Encoder
    from ner_tutorial.labels import CONLL_SCHEME

    encoder = Encoder(tokenizer, CONLL_SCHEME)  # the labels play no part here
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    rule = encoder.word_rule
    if model["type"] != "WordPiece" or rule.punctuation != "every" or rule.letters:
        raise ValueError(
            f"the page can run models whose tokenizer is a WordPiece of BERT's kind, and this one is {model['type']}; "
            "use the command predict"
        )
    added = [token.content for token in tokenizer.added_tokens_decoder.values()]
    if loose := [token for token in added if len(rule.cut(token)) == 1]:
        raise ValueError(f"the page cannot run a tokenizer with words added to it ({', '.join(loose[:3])})")
    word = tokenizer([["a"]], is_split_into_words=True)
    at = word.word_ids(0).index(0)
    count = sum(number is not None for number in word.word_ids(0))
    return {
        "prefix": model["continuing_subword_prefix"],
        "longest": model["max_input_chars_per_word"],
        "unknown": tokenizer.unk_token_id,
        "before": word["input_ids"][0][:at],
        "after": word["input_ids"][0][at + count :],
        "length": encoder.max_length,
        "stride": encoder.stride,
        "charactersAlone": rule.characters,
    }


def _vocabulary(tokenizer) -> list[str]:
    pieces = [""] * len(tokenizer)
    for piece, number in tokenizer.get_vocab().items():
        pieces[number] = piece
    return pieces


def _compact(content) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _kept(name: str, of: bytes, make) -> Path:
    """A file in the user's cache that depends on ``of`` alone; ``make(path)`` writes it where it is missing."""
    from ner_tutorial.notebook import cache_folder

    path = cache_folder() / "web" / f"{hashlib.sha256(of).hexdigest()[:16]}-{name}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as partial:
            make(partial)
    return path


def _export(model_dir: Path) -> Path:
    """The model with int8 weights that compute in float32: every browser gives the entities that Python gives."""
    from ner_tutorial.fast.onnx_export import ONNX_FILE, export_onnx

    if (model_dir / ONNX_FILE).is_file():
        return model_dir / ONNX_FILE

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            shutil.move(export_onnx(model_dir, Path(scratch) / "export", quantize="weights") / ONNX_FILE, path)

    parts = [
        model_dir / "model.safetensors",
        model_dir / "config.json",
        HERE.parent / "fast" / "onnx_export.py",
        HERE.parent / "fast" / "onnx_weights.py",
    ]
    return _kept(ONNX_FILE, b"".join(path.read_bytes() for path in parts if path.is_file()), make)


def _characters(tokenizer) -> Path:
    import tokenizers

    from ner_tutorial.demo.characters import UNICODE, table

    backend = tokenizer.backend_tokenizer
    state = json.loads(backend.to_str())
    of = _compact([state["normalizer"], state["pre_tokenizer"], tokenizers.__version__, UNICODE])
    return _kept("characters.json", of, lambda path: path.write_bytes(_compact(table(backend))))


def pack(folder: Path, tokenizer, model_dir: Path | None, runtime: Path | None) -> dict:
    """Fill a folder with the page: scripts, tokenizer, and the model and what runs it where they are given.

    Args:
        folder: made if it does not exist; files of an earlier page in it are replaced.
        tokenizer: the model's; a WordPiece of BERT's kind.
        model_dir: a folder that training or ``export_onnx`` wrote.
        runtime: what ``find_runtime`` gave.

    Returns:
        The content of manifest.json: names, sizes and hashes of the files, labels, and ``missing``, a line that says what
        the page lacks for finding entities, where it lacks something.

    Raises:
        ValueError: the page cannot run such a tokenizer.
    """
    from transformers import AutoConfig

    manifest = {"cache": CACHE, **tokenizer_settings(tokenizer), "labels": [], "files": {}}
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCRIPTS:
        shutil.copy(HERE / name, folder)

    def add(name: str, path: str, content: bytes) -> None:
        target = folder / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
        manifest["files"][name] = {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    add("vocabulary", "model/vocabulary.json", _compact(_vocabulary(tokenizer)))
    add("characters", "model/characters.json", _characters(tokenizer).read_bytes())
    if model_dir is None or runtime is None:
        manifest["missing"] = NO_MODEL if model_dir is None else NO_RUNTIME
    else:
        labels = AutoConfig.from_pretrained(model_dir, trust_remote_code=False).id2label
        manifest["labels"] = [labels[number] for number in range(len(labels))]
        add("model", "model/model.onnx", _export(model_dir).read_bytes())
        script, wasm = RUNTIME
        add("wasm", f"vendor/{wasm}", (runtime / wasm).read_bytes())
        shutil.copy(runtime / script, folder / "vendor")
    (folder / "manifest.json").write_bytes(_compact(manifest))
    return manifest
