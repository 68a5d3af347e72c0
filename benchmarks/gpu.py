"""The recipe against the fast way on a GPU. Speed only: random weights of BERT-base shape serve for that."""

import torch
from transformers import BertConfig, BertForTokenClassification

from benchmarks import plain
from benchmarks.common import alternate, as_rows
from benchmarks.steps import BUDGET, Epoch, newswire_rows
from ner_tutorial.collation import padding_share, sentence_batches, token_budget_batches
from ner_tutorial.fast.precision import detect_hardware
from ner_tutorial.labels import CONLL_SCHEME


def comparison(device: str = "cuda", config=None, sentences: int = 1000, budget: int = 2560, rounds: int = 5) -> dict:
    """Ratio of an epoch's time on ``device``: the recipe, the recipe's batches made fast, and a large token budget."""
    tokenizer, rows = newswire_rows(sentences)
    config = config or BertConfig(
        vocab_size=len(tokenizer),
        num_labels=CONLL_SCHEME.num_labels,
        id2label=CONLL_SCHEME.id2label,
        label2id=CONLL_SCHEME.label2id,
    )
    lengths = [len(row["input_ids"]) for row in rows]
    eight = sentence_batches(len(rows), plain.BATCH_SIZE, 0)
    budgets = {f"fast, budget of {tokens} tokens": tokens for tokens in (BUDGET, budget)}
    make = {"make_model": lambda: BertForTokenClassification(config), "device": device}
    # The same choice as training makes: bfloat16 where the card has units for it.
    dtype = torch.float16 if detect_hardware().precision == "fp16" else torch.bfloat16
    variants = {"recipe": Epoch(rows, tokenizer, eight, **make)}
    plans = {"recipe": eight}
    for name, tokens in budgets.items():
        plans[name] = token_budget_batches(lengths, tokens, 0)
        variants[name] = Epoch(rows, tokenizer, plans[name], **make, dtype=dtype, fused=True, trim=True, summed=True)
    found = as_rows(alternate(variants, rounds))
    for name, plan in plans.items():
        found[name]["padding"] = round(padding_share(lengths, plan), 3)
        found[name]["steps"] = len(plan)
    parameters = sum(p.numel() for p in BertForTokenClassification(config).parameters())
    return {
        "device": detect_hardware().name if device != "cpu" else "cpu",
        "parameters": parameters,
        "sentences": sentences,
        "variants": found,
    }
