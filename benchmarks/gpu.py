"""The recipe against the fast way on a GPU. Speed only: random weights of BERT-base shape serve for that."""

import torch
from transformers import BertConfig, BertForTokenClassification, DataCollatorForTokenClassification, set_seed

from benchmarks import plain
from benchmarks.common import alternate, as_rows
from benchmarks.training import newswire_rows
from ner_tutorial.batching import padding_share, sentence_batches, token_budget_batches
from ner_tutorial.embeddings import trim_embeddings
from ner_tutorial.hardware import detect_hardware
from ner_tutorial.labels import CONLL_SCHEME
from ner_tutorial.training import parameter_groups, token_loss


class GpuSteps:
    """One epoch of training steps on a device; a call returns when the device has finished."""

    def __init__(self, device: str, config, rows, tokenizer, batches, *, fast: bool):
        set_seed(0)
        self.device, self.fast = torch.device(device), fast
        self.model = BertForTokenClassification(config)
        if fast:
            trim_embeddings(self.model, rows)
        self.model.to(self.device).train()
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, 0.01), lr=1e-5, fused=fast or None)
        collate = DataCollatorForTokenClassification(tokenizer)
        self.batches = [collate([rows[i] for i in batch]) for batch in batches]
        self.divisor = sum(int((b["labels"] != -100).sum()) for b in self.batches) / len(batches) if fast else None
        bf16 = self.device.type == "cpu" or torch.cuda.is_bf16_supported()
        self.dtype = torch.bfloat16 if bf16 else torch.float16
        # float16 needs its gradients scaled, or the small ones become 0.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=fast and not bf16)

    def __call__(self) -> None:
        for batch in self.batches:
            inputs = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
            labels = inputs.pop("labels")
            with torch.autocast(self.device.type, self.dtype, enabled=self.fast):
                logits = self.model(**inputs).logits
            self.scaler.scale(token_loss(logits, labels, self.divisor)).backward()
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.synchronize()


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
    budgets = {f"fast, budget of {tokens} tokens": tokens for tokens in (160, budget)}
    variants = {"recipe": GpuSteps(device, config, rows, tokenizer, eight, fast=False)}
    plans = {"recipe": eight}
    for name, tokens in budgets.items():
        plans[name] = token_budget_batches(lengths, tokens, 0)
        variants[name] = GpuSteps(device, config, rows, tokenizer, plans[name], fast=True)
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
