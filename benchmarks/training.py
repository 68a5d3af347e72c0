"""Training: sentences a second and F1 against the original recipe, with paired seeds; and one change at a time."""

import shutil
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from transformers import DataCollatorForTokenClassification, set_seed

from benchmarks import plain
from benchmarks.common import alternate, as_rows, say, summarise
from ner_tutorial.batching import EpochBatches, padding_share, sentence_batches, token_budget_batches
from ner_tutorial.checkpoints import load_model, load_tokenizer
from ner_tutorial.corpus import load_corpus, take
from ner_tutorial.embeddings import trim_embeddings
from ner_tutorial.evaluation import encode_for_evaluation, evaluate_model
from ner_tutorial.hardware import cpu_has_bf16
from ner_tutorial.labels import CONLL_SCHEME
from ner_tutorial.profiles import get_profile
from ner_tutorial.training import parameter_groups, token_loss, train_with_accelerate, train_with_trainer, training_rows

CHECKPOINT = "minilm"
SENTENCES, EPOCHS = 400, 3
RECIPE_LEARNING_RATE = 3e-4
SEEDS = (1, 2, 3, 4, 5)


def paired_seeds(sentences: int = SENTENCES, epochs: int = EPOCHS, seeds=SEEDS) -> dict:
    """The recipe, the loop and Trainer on the same sentences: ratio of the training times and test F1, seed by seed."""
    corpus = load_corpus("newswire")
    tokenizer = load_tokenizer(CHECKPOINT)
    profile = get_profile("quick")
    train = take(corpus["train"], sentences)
    rows = training_rows(train, tokenizer, CONLL_SCHEME, profile.max_length, profile.stride)
    test = encode_for_evaluation(corpus["test"], tokenizer, CONLL_SCHEME, profile.max_length, profile.stride)
    # Validation after each epoch is not part of what is compared: a few sentences keep the runs going.
    small = type(corpus)({**corpus, "train": train, "validation": take(corpus["validation"], 64)})
    loops = {"loop": (train_with_accelerate, None), "Trainer": (train_with_trainer, None)}
    if cpu_has_bf16():
        loops |= {"loop, float32": (train_with_accelerate, "no"), "Trainer, float32": (train_with_trainer, "no")}
    found: dict[str, dict[str, list[float]]] = {name: {"f1": [], "ratio": []} for name in ("recipe", *loops)}
    for seed in seeds:
        model, spent = plain.train(rows, tokenizer, CHECKPOINT, epochs, RECIPE_LEARNING_RATE, seed)
        found["recipe"]["f1"].append(evaluate_model(model, test, tokenizer).scores.f1)
        found["recipe"]["ratio"].append(1.0)
        for name, (run, precision) in loops.items():
            folder = Path(tempfile.mkdtemp())
            result = run(
                folder / "run",
                corpus=small,
                profile=replace(profile, train_sentences=None),
                epochs=epochs,
                seed=seed,
                precision=precision,
                progress=False,
            )
            shutil.rmtree(folder)
            found[name]["f1"].append(result.test.f1)
            found[name]["ratio"].append(spent / result.train_runtime_s)
        say(f"seed {seed}: " + ", ".join(f"{n} {v['ratio'][-1]:.1f}x F1 {v['f1'][-1]:.3f}" for n, v in found.items()))
    return {
        "sentences": sentences,
        "epochs": epochs,
        "seeds": list(seeds),
        "recipe": {"batch_size": plain.BATCH_SIZE, "learning_rate": RECIPE_LEARNING_RATE},
        "package": {"batch_size": profile.batch_size, "learning_rate": profile.learning_rate},
        "variants": {
            name: {
                "ratio": as_rows({"": summarise(values["ratio"])})[""],
                "f1": [round(value, 4) for value in values["f1"]],
                "f1_mean": round(statistics.mean(values["f1"]), 4),
                "f1_gain": round(statistics.mean(values["f1"]) - statistics.mean(found["recipe"]["f1"]), 4),
            }
            for name, values in found.items()
        },
    }


class _Steps:
    """One epoch of training steps over fixed batches, for timing alone."""

    def __init__(self, rows, tokenizer, batches, *, fused: bool, bf16: bool, trim: bool, divisor: float | None):
        set_seed(0)
        self.model = load_model(CHECKPOINT, CONLL_SCHEME).train()
        if trim:
            trim_embeddings(self.model, rows)
        groups = parameter_groups(self.model, 0.01)
        self.optimizer = torch.optim.AdamW(groups, lr=3e-5, fused=fused or None)
        collate = DataCollatorForTokenClassification(tokenizer)
        self.batches = [collate([rows[i] for i in batch]) for batch in batches]
        self.bf16, self.divisor = bf16, divisor

    def __call__(self) -> None:
        for batch in self.batches:
            inputs = {name: value for name, value in batch.items() if name != "labels"}
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                logits = self.model(**inputs).logits
            token_loss(logits, batch["labels"], self.divisor).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()


def one_change_at_a_time(sentences: int = 240, rounds: int = 5) -> dict:
    """From the recipe's training step to the fast one, a change at a time: ratio to the recipe, and share of padding."""
    tokenizer = load_tokenizer(CHECKPOINT)
    rows = training_rows(take(load_corpus("newswire")["train"], sentences), tokenizer, CONLL_SCHEME, 256, 64)
    lengths = [len(row["input_ids"]) for row in rows]
    eight = sentence_batches(len(rows), 8, 0)
    by_length = sorted(range(len(rows)), key=lengths.__getitem__)
    grouped = [by_length[i : i + 8] for i in range(0, len(by_length), 8)]
    budget = token_budget_batches(lengths, 160, 0)
    double = token_budget_batches(lengths, 320, 0)
    mixed = cpu_has_bf16()
    settings = {
        "recipe": (eight, {}),
        "fused AdamW": (eight, {"fused": True}),
        "+ token budget of 160": (budget, {"fused": True, "divisor": 100.0}),
        "+ unused rows left out": (budget, {"fused": True, "divisor": 100.0, "trim": True}),
        "+ bfloat16": (budget, {"fused": True, "divisor": 100.0, "trim": True, "bf16": mixed}),
        "+ token budget of 320": (double, {"fused": True, "divisor": 200.0, "trim": True, "bf16": mixed}),
        "grouped by length alone": (grouped, {}),
        "bfloat16 alone": (eight, {"bf16": mixed}),
    }
    plain_step = {"fused": False, "bf16": False, "trim": False, "divisor": None}
    variants = {
        name: _Steps(rows, tokenizer, batches, **{**plain_step, **how}) for name, (batches, how) in settings.items()
    }
    ratios = as_rows(alternate(variants, rounds))
    for name, (batches, _) in settings.items():
        ratios[name]["padding"] = round(padding_share(lengths, batches), 3)
        ratios[name]["steps"] = len(batches)
    return {"sentences": sentences, "variants": ratios}


def batches_and_f1(sentences: int = SENTENCES, epochs: int = 3, seeds=SEEDS) -> dict:
    """What a batch is, and what it does to F1: same precision, optimiser and learning rate, other batches and loss."""
    corpus = load_corpus("newswire")
    tokenizer = load_tokenizer(CHECKPOINT)
    rows = training_rows(take(corpus["train"], sentences), tokenizer, CONLL_SCHEME, 256, 64)
    test = encode_for_evaluation(corpus["test"], tokenizer, CONLL_SCHEME, 256, 64)
    lengths = [len(row["input_ids"]) for row in rows]
    counted = sum(label != -100 for row in rows for label in row["labels"])
    from transformers import get_scheduler

    def grouped(seed: int) -> list[list[int]]:
        # Sorted inside chunks, then cut into batches of 8 sentences: what grouping by length means in Trainer.
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(rows), generator=generator).tolist()
        chunks = [sorted(order[i : i + 400], key=lengths.__getitem__) for i in range(0, len(order), 400)]
        batches = [chunk[i : i + 8] for chunk in chunks for i in range(0, len(chunk), 8)]
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    ways = {
        "random batches of 8, mean loss": (lambda seed: sentence_batches(len(rows), 8, seed), False),
        "grouped by length, batches of 8, mean loss": (grouped, False),
        "grouped by length, batches of 8, summed loss": (grouped, True),
        "token budget of 160, summed loss": (lambda seed: token_budget_batches(lengths, 160, seed), True),
    }
    collate = DataCollatorForTokenClassification(tokenizer)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for seed in seeds:
        for name, (make, summed) in ways.items():
            plans = [make(1000 * seed + epoch) for epoch in range(epochs)]
            set_seed(seed)
            model = load_model(CHECKPOINT, CONLL_SCHEME).train()
            trim_embeddings(model, rows)
            optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), lr=RECIPE_LEARNING_RATE, fused=True)
            schedule = get_scheduler("linear", optimizer, 0, sum(map(len, plans)))
            for plan in plans:
                divisor = counted / len(plan) if summed else None
                for batch in plan:
                    tensors = collate([rows[i] for i in batch])
                    labels = tensors.pop("labels")
                    with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
                        logits = model(**tensors).logits
                    token_loss(logits, labels, divisor).backward()
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    schedule.step()
                    optimizer.zero_grad()
            found[name].append(evaluate_model(model.eval(), test, tokenizer).scores.f1)
        say(f"seed {seed}: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in found.items()))
    first = next(iter(found.values()))
    return {
        "sentences": sentences,
        "epochs": epochs,
        "seeds": list(seeds),
        "ways": {
            name: {
                "f1": [round(value, 4) for value in values],
                "f1_mean": round(statistics.mean(values), 4),
                "gain": round(statistics.mean(values) - statistics.mean(first), 4),
                "seeds_above_first": sum(a > b for a, b in zip(values, first, strict=True)),
            }
            for name, values in found.items()
        },
    }


def growth(sizes=(150, 300, 600), rounds: int = 3) -> dict:
    """Seconds an epoch over three corpus sizes, and seconds a step over row lengths, each against the smallest."""
    tokenizer = load_tokenizer(CHECKPOINT)
    rows = training_rows(take(load_corpus("newswire")["train"], max(sizes)), tokenizer, CONLL_SCHEME, 256, 64)
    how = {"fused": True, "bf16": cpu_has_bf16(), "trim": True, "divisor": 100.0}

    def epoch(count: int):
        part = rows[:count]
        sampler = EpochBatches([len(row["input_ids"]) for row in part], 8, 1, 0)
        return _Steps(part, tokenizer, list(sampler), **how)

    def length(tokens: int):
        word = rows[0]["input_ids"][1]
        row = {"input_ids": [word] * tokens, "attention_mask": [1] * tokens, "labels": [0] * tokens}
        return _Steps([row] * 8, tokenizer, [list(range(8))] * 3, **how)

    by_size = alternate({str(size): epoch(size) for size in sizes}, rounds)
    by_length = alternate({str(tokens): length(tokens) for tokens in (16, 32, 64, 128, 256)}, rounds)
    return {
        "by_sentences": {name: round(1 / ratio.median, 3) for name, ratio in by_size.items()},
        "by_row_length": {name: round(1 / ratio.median, 3) for name, ratio in by_length.items()},
    }
