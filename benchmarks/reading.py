"""Everything but training: prediction, evaluation, tokenising, and the time that the import takes."""

import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from transformers import pipeline

from benchmarks import plain
from benchmarks.common import alternate, as_rows, say, seconds, summarise
from ner_tutorial.alignment import tokenize_and_align_labels
from ner_tutorial.corpus import load_corpus, take
from ner_tutorial.encoders import load_tokenizer
from ner_tutorial.evaluation import encode_for_evaluation, predict_rows
from ner_tutorial.fast.onnx_export import ONNX_FILE, export_onnx
from ner_tutorial.fast.precision import fast_precision
from ner_tutorial.labels import CONLL_SCHEME
from ner_tutorial.metrics import score_labels
from ner_tutorial.model_folder import WEIGHTS
from ner_tutorial.tagger import Tagger, load_tagger

EXPORTS = {"ONNX": False, "ONNX, int8": "dynamic", "ONNX, int8 weights": "weights"}
"""What ``export_onnx`` is asked to store as integers of 8 bits."""


def _megabytes(path: Path) -> float:
    """The size of a file in millions of bytes."""
    return round(path.stat().st_size / 1e6, 3)


def prediction(model_dir, sentences: int = 300, rounds: int = 21) -> dict:
    """``load_tagger(...).predict`` against the pipeline on one sentence at a time; the same entities, F1, and sizes.

    On the validation split, because a reader chooses between these ways by what they do to F1. Times and F1 are those of
    the best valid sequence of labels, as ``load_tagger`` has it. Entities are compared with the best label of each word,
    because the pipeline knows no other way.
    """
    held_out = load_corpus("newswire")["validation"]
    texts = [" ".join(words) for words in take(held_out, sentences)["tokens"]]
    with tempfile.TemporaryDirectory() as folder:
        exports = {
            name: export_onnx(model_dir, Path(folder) / str(form), quantize=form) for name, form in EXPORTS.items()
        }
        taggers = {
            "predict": load_tagger(model_dir),
            "predict, float32": load_tagger(model_dir, precision="no"),
            **{name: load_tagger(export) for name, export in exports.items()},
        }
        plain_tagger = taggers["predict, float32"]
        pipe = pipeline(
            "token-classification",
            model=plain_tagger.model,
            tokenizer=plain_tagger.tokenizer,
            device=plain_tagger.model.device,
            aggregation_strategy=plain_tagger.aggregation_strategy,
            stride=plain_tagger.stride,
        )

        def one_at_a_time():
            return [[(e["entity_group"], e["start"], e["end"]) for e in pipe(text)] for text in texts]

        def spans(tagger):
            greedy = Tagger(tagger.model, tagger.tokenizer, stride=tagger.stride, decoding="greedy")
            return [[(e.type, e.start, e.end) for e in row] for row in greedy.predict(texts)]

        expected = one_at_a_time()
        variants = {"pipeline, one at a time": one_at_a_time}
        variants |= {name: (lambda tagger=tagger: tagger.predict(texts)) for name, tagger in taggers.items()}
        variants["ONNX, int8, one at a time"] = lambda: [taggers["ONNX, int8"](text) for text in texts]
        rows = as_rows(alternate(variants, rounds))
        for name, tagger in taggers.items():
            same = [a == b for a, b in zip(spans(tagger), expected, strict=True)]
            rows[name]["same_entities"] = round(sum(same) / len(same), 4)
            rows[name]["f1"] = round(tagger.evaluate(held_out).scores.f1, 4)
        for name, export in exports.items():
            rows[name]["mb"] = _megabytes(export / ONNX_FILE)
        for name in ("predict", "predict, float32"):
            rows[name]["mb"] = _megabytes(Path(model_dir) / WEIGHTS)
    return {"split": "validation", "sentences": sentences, "variants": rows}


def evaluation(model_dir, rounds: int = 15) -> dict:
    """``predict_rows`` on sorted rows against the plain loop at batch 8 in the order of the data set."""
    corpus = load_corpus("newswire")
    tagger = load_tagger(model_dir, precision="no")
    encoded = encode_for_evaluation(corpus["validation"], tagger.tokenizer, CONLL_SCHEME, 256, 64)
    # The plain loop sees the same rows in the order of the split.
    order = sorted(range(len(encoded.rows)), key=encoded.sentence.__getitem__)
    rows = [encoded.rows[i] for i in order]
    fast_ids: list = []
    variants = {
        "plain loop, batches of 8": lambda: plain.evaluate(tagger.model, rows, tagger.tokenizer),
        "sorted, mixed precision": lambda: fast_ids.append(
            predict_rows(tagger.model, encoded.rows, tagger.tokenizer, precision=fast_precision("cpu"))[0]
        ),
    }
    found = as_rows(alternate(variants, rounds))
    names = CONLL_SCHEME.names
    slow = [[names[i] for i in row] for row in plain.evaluate(tagger.model, rows, tagger.tokenizer)]
    fast = encoded.words_from_rows(fast_ids[-1], "greedy")
    found["plain loop, batches of 8"]["f1"] = round(score_labels(encoded.references, slow).f1, 4)
    found["sorted, mixed precision"]["f1"] = round(score_labels(encoded.references, fast).f1, 4)
    return {"sentences": len(rows), "variants": found}


def tokenising(rounds: int = 7) -> dict:
    """``tokenize_and_align_labels`` on a whole split against a plain function under ``Dataset.map``."""
    train = load_corpus("newswire")["train"]
    tokenizer = load_tokenizer("minilm")
    results: dict = {}

    def direct():
        columns = {"tokens": train["tokens"][:], "ner_tags": train["ner_tags"][:]}
        results["direct"] = tokenize_and_align_labels(columns, tokenizer)

    def mapped():
        results["map"] = plain.tokenise_with_map(train, tokenizer)

    rows = as_rows(alternate({"map": mapped, "direct": direct}, rounds))
    same = all(list(results["map"][name]) == results["direct"][name] for name in ("input_ids", "labels"))
    return {"sentences": len(train), "identical": same, "variants": rows}


def import_time(rounds: int = 7) -> dict:
    """Seconds that ``import ner_tutorial`` adds to starting Python; the median of the differences."""

    def start(code: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    extra = [start("import ner_tutorial") - start("pass") for _ in range(rounds)]
    say(f"import: {statistics.median(extra):.3f} s")
    return {"seconds": asdict(summarise(extra))}
