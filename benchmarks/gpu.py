"""The original recipe, ``full`` and ``fast`` on a GPU; prediction and evaluation there; F1 where an encoder is at hand.

Speed needs no trained weights, so the encoder is a BERT-base shape of random numbers over a vocabulary made here. What
needs trained weights (F1, and the entities of a card against those of a CPU) starts from MiniLM, and is left out with a
reason where that is not installed. Nothing here needs a network or Jupyter.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from transformers import BertConfig, BertForTokenClassification, BertModel, BertTokenizer, pipeline

from benchmarks import plain
from benchmarks.common import alternate, as_rows, part_of, say
from ner_tutorial import (
    CONLL_SCHEME,
    detect_hardware,
    evaluate_model,
    get_profile,
    load_corpus,
    load_tagger,
    load_tokenizer,
    train_with_accelerate,
    train_with_trainer,
)
from ner_tutorial.alignment import Encoder
from ner_tutorial.collation import training_rows
from ner_tutorial.corpus import take

LOOPS = {"loop": train_with_accelerate, "Trainer": train_with_trainer}
RATES = (1e-4, 2e-4, 3e-4)
"""The recipe chooses the best of three by validation F1, with the seed 0. MiniLM learns at higher rates than BERT-base."""
FAST_MINILM_RATE = 7e-4
"""``fast`` for MiniLM: about the root of eight, by which its batch is larger, times the recipe's middle rate."""
SEEDS = (1, 2, 3, 4, 5)
TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


def word_pieces(sentences, size: int = 8000) -> dict[str, int]:
    """A cased WordPiece vocabulary learned from the words of ``sentences``: pieces per word as a real encoder has them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    learner.train_from_iterator(
        (" ".join(words) for words in sentences), trainers.WordPieceTrainer(vocab_size=size, special_tokens=special)
    )
    return learner.get_vocab()


def write_encoder(folder: Path, sentences, **shape) -> Path:
    """A folder with an encoder of random weights, BERT-base in shape unless ``shape`` says otherwise, and its tokenizer."""
    vocabulary = word_pieces(sentences)
    BertModel(BertConfig(vocab_size=len(vocabulary), **shape)).save_pretrained(folder)
    BertTokenizer(vocab=vocabulary, do_lower_case=False, model_max_length=512).save_pretrained(folder)
    return folder


def seconds_of_run(run: Callable, corpus, encoder: Path, profile, precision: str | None = None) -> float:
    """Seconds of the training steps of one epoch with one of the package's loops."""
    options = {"profile": profile, "precision": precision, "epochs": 1, "progress": False}
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder) / "run", corpus=corpus, checkpoint=encoder, **options)
    return result.train_runtime_s


def training(encoder: Path, corpus, device: str, rounds: int) -> dict:
    """Times as fast as the recipe: each loop with ``full`` and with ``fast``, one epoch, in turns."""
    rows = training_rows(corpus["train"], Encoder(load_tokenizer(encoder), CONLL_SCHEME))
    runs = {"recipe": lambda: plain.train(rows, load_tokenizer(encoder), encoder, 1, 2e-5, 1, device=device)[1]}
    for name in ("full", "fast"):
        for loop, run in LOOPS.items():
            runs[f"{name}, {loop}"] = partial(seconds_of_run, run, corpus, encoder, get_profile(name))
    # ``alternate`` calls each once beforehand: the first run of a process pays for loading kernels.
    return as_rows(alternate(runs, rounds, measure=lambda run: run()))


def overhead(sentences: int = 400, rounds: int = 9) -> dict:
    """What the package's bookkeeping costs: ``full`` against the recipe with a tiny encoder on a processor.

    A step is then so short that whatever a loop does beside it shows, as it would on a card that waits for its next
    launch.
    """
    whole = load_corpus("newswire")
    corpus = part_of(whole, sentences, 16)
    with tempfile.TemporaryDirectory() as folder:
        encoder = write_encoder(Path(folder), whole["train"]["tokens"], **TINY)
        tokenizer = load_tokenizer(encoder)
        rows = training_rows(corpus["train"], Encoder(tokenizer, CONLL_SCHEME))
        runs = {"recipe": lambda: plain.train(rows, tokenizer, encoder, 1, 2e-5, 1)[1]}
        for loop, run in LOOPS.items():
            runs[f"full, {loop}"] = partial(seconds_of_run, run, corpus, encoder, get_profile("full"), precision="no")
        return {"sentences": len(rows), "variants": as_rows(alternate(runs, rounds, measure=lambda run: run()))}


def prediction(encoder: Path, texts: list[str], rounds: int) -> dict:
    """Times as fast as the pipeline one text at a time: the pipeline in batches of 64, and ``Tagger.predict``."""
    with tempfile.TemporaryDirectory() as folder:
        config = BertConfig.from_pretrained(
            encoder, num_labels=CONLL_SCHEME.num_labels, id2label=CONLL_SCHEME.id2label, label2id=CONLL_SCHEME.label2id
        )
        BertForTokenClassification(config).save_pretrained(folder)
        load_tokenizer(encoder).save_pretrained(folder)
        tagger = load_tagger(folder)
        plain_tagger = load_tagger(folder, precision="no")
    pipe = pipeline(
        "token-classification",
        model=plain_tagger.model,
        tokenizer=plain_tagger.tokenizer,
        device=plain_tagger.model.device,
        aggregation_strategy="first",
    )
    few = texts[: max(1, len(texts) // 8)]  # one at a time is slow; the rest of a round would wait for it

    def per_text(function: Callable, count: int) -> Callable[[], float]:
        def measure() -> float:
            started = time.perf_counter()
            function()
            return (time.perf_counter() - started) / count

        return measure

    variants = {
        "pipeline, one at a time": per_text(lambda: [pipe(text) for text in few], len(few)),
        "pipeline, batches of 64": per_text(lambda: pipe(texts, batch_size=64), len(texts)),
        "predict": per_text(lambda: tagger.predict(texts), len(texts)),
    }
    return as_rows(alternate(variants, rounds, measure=lambda run: run()))


def evaluation(encoder: Path, split, device: str, rounds: int) -> dict:
    """Times as fast as a plain loop in batches of 8: ``evaluate_model``, everything from words to scores."""
    from ner_tutorial.encoders import load_model

    tokenizer = load_tokenizer(encoder)
    model = load_model(encoder, CONLL_SCHEME).to(device).eval()
    rows = training_rows(split, Encoder(tokenizer, CONLL_SCHEME))
    variants = {
        "plain loop, batches of 8": lambda: plain.evaluate(model, rows, tokenizer),
        "evaluate_model": lambda: evaluate_model(model, split, tokenizer),
    }
    return as_rows(alternate(variants, rounds))


def same_entities(model_dir: Path, texts: list[str]) -> float:
    """The share of texts in which the device's default number format finds the entities that a CPU finds in float32."""
    here = load_tagger(model_dir)
    there = load_tagger(model_dir, precision="no")
    there.model.to("cpu")
    answers = [[[(e.type, e.start, e.end) for e in row] for row in one.predict(texts)] for one in (here, there)]
    return sum(a == b for a, b in zip(*answers, strict=True)) / len(texts)


def quality(encoder: str | Path, corpus, device: str, seeds=SEEDS, rates=RATES) -> dict:
    """F1 of ``fast`` against the recipe at the best of its rates, paired by seed; and a card's entities against a CPU's."""
    tokenizer = load_tokenizer(encoder)
    rows = training_rows(corpus["train"], Encoder(tokenizer, CONLL_SCHEME))

    def recipe(rate: float, seed: int) -> dict[str, float]:
        model, _ = plain.train(rows, tokenizer, encoder, 3, rate, seed, device=device)
        return {split: evaluate_model(model, corpus[split], tokenizer).scores.f1 for split in ("validation", "test")}

    def fast(seed: int) -> tuple[dict[str, float], float]:
        with tempfile.TemporaryDirectory() as folder:
            result = train_with_accelerate(
                Path(folder) / "run", corpus=corpus, checkpoint=encoder, profile=profile, seed=seed, progress=False
            )
            # The recipe keeps its last epoch, so the last epoch is compared.
            last = max((result.model_dir / "checkpoints").iterdir(), key=lambda path: int(path.name.rsplit("-", 1)[1]))
            model = BertForTokenClassification.from_pretrained(last).to(device)
            scores = {
                split: evaluate_model(model, corpus[split], tokenizer).scores.f1 for split in ("validation", "test")
            }
            same = same_entities(result.model_dir, [" ".join(words) for words in corpus["test"]["tokens"][:]])
        return scores, same

    profile = replace(get_profile("fast"), learning_rate=FAST_MINILM_RATE)
    by_rate = {rate: recipe(rate, 0)["validation"] for rate in rates}
    best = max(by_rate, key=by_rate.get)
    say(f"  recipe, validation F1 by rate: {by_rate}")
    pairs = [(recipe(best, seed), *fast(seed)) for seed in seeds]
    return {
        "encoder": "minilm",
        "sentences": len(rows),
        "recipe_rates": {f"{rate:g}": round(f1, 4) for rate, f1 in by_rate.items()},
        "recipe_rate": best,
        "fast_rate": profile.learning_rate,
        "seeds": list(seeds),
        "same_entities_as_cpu": [round(same, 4) for _, _, same in pairs],
        **{
            f"{name}_{split}_f1": [round(pair[position][split], 4) for pair in pairs]
            for position, name in enumerate(("recipe", "fast"))
            for split in ("validation", "test")
        },
    }


def comparison(sentences: int = 1024, rounds: int = 4, encoder: str | Path | None = None, seeds=SEEDS, **shape) -> dict:
    """Everything above on the device that training would choose. ``shape`` makes the random encoder smaller (tests).

    ``encoder`` is what F1 starts from: the quick profile's, which ``NER_TUTORIAL_CHECKPOINT`` replaces by a folder.
    """
    encoder = encoder or get_profile("quick").checkpoint
    hardware = detect_hardware()
    whole = load_corpus("newswire")
    corpus = part_of(whole, sentences, 64)
    texts = [" ".join(words) for words in take(whole["train"], sentences)["tokens"]]
    with tempfile.TemporaryDirectory() as folder:
        path = write_encoder(Path(folder), whole["train"]["tokens"], **shape)
        found = {
            "device": hardware.name,
            "precision": hardware.precision,
            "sentences": len(corpus["train"]),
            "parameters": sum(p.numel() for p in BertModel.from_pretrained(path).parameters()),
        }
        found["variants"] = training(path, corpus, hardware.device, rounds)
        say(f"  training measured: {found['variants']}")
        found["prediction"] = prediction(path, texts, rounds)
        say(f"  prediction measured: {found['prediction']}")
        found["evaluation"] = evaluation(path, take(whole["train"], sentences), hardware.device, rounds)
        say(f"  evaluation measured: {found['evaluation']}")
    try:
        load_tokenizer(encoder)
    except (ModuleNotFoundError, OSError, ValueError) as error:
        found["quality"] = {"skipped": str(error)}
    else:
        found["quality"] = quality(encoder, whole, hardware.device, seeds)
    return found
