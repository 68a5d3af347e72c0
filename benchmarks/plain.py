"""The original recipe, written plainly: what the fast ways are compared with.

Batches of 8 in random order, padded to the longest row, float32, AdamW as it comes, mean loss, linear schedule.
"""

import time

import torch
from torch.utils.data import DataLoader
from transformers import DataCollatorForTokenClassification, get_scheduler, set_seed

from ner_tutorial.encoders import load_model
from ner_tutorial.labels import CONLL_SCHEME

BATCH_SIZE = 8


def train(
    rows,
    tokenizer,
    checkpoint,
    epochs: int,
    learning_rate: float,
    seed: int,
    batch_size: int = BATCH_SIZE,
    device: str = "cpu",
):
    """Fine-tune ``checkpoint`` on ``rows``; return the model and the seconds spent in training steps."""
    set_seed(seed)
    model = load_model(checkpoint, CONLL_SCHEME).to(device)
    collate = DataCollatorForTokenClassification(tokenizer)
    loader = DataLoader(rows, batch_size=batch_size, shuffle=True, collate_fn=collate)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = get_scheduler("linear", optimizer, 0, epochs * len(loader))
    model.train()
    started = time.perf_counter()
    for _ in range(epochs):
        for batch in loader:
            model(**{name: tensor.to(device) for name, tensor in batch.items()}).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    if device == "cuda":
        torch.cuda.synchronize()  # the steps are only asked for until now
    return model.eval(), time.perf_counter() - started


@torch.inference_mode()
def evaluate(model, rows, tokenizer, batch_size: int = BATCH_SIZE) -> list[list[int]]:
    """Predicted label ids of each row, in the order of the data set."""
    predicted = []
    for batch in DataLoader(rows, batch_size=batch_size, collate_fn=DataCollatorForTokenClassification(tokenizer)):
        labels = batch.pop("labels")
        best = model(**{name: tensor.to(model.device) for name, tensor in batch.items()}).logits.argmax(-1).cpu()
        predicted += [row[mask].tolist() for row, mask in zip(best, labels != -100, strict=True)]
    return predicted


def tokenise_with_map(dataset, tokenizer):
    """Tokenise and align a split with a function for ``Dataset.map``, as the original does."""

    def encode(examples):
        encoded = tokenizer(examples["tokens"], is_split_into_words=True, truncation=True)
        encoded["labels"] = []
        for i, tags in enumerate(examples["ner_tags"]):
            labels, previous = [], None
            for word in encoded.word_ids(i):
                if word is None:
                    labels.append(-100)
                else:
                    labels.append(tags[word] if word != previous else CONLL_SCHEME.continuation[tags[word]])
                previous = word
            encoded["labels"].append(labels)
        return encoded

    return dataset.map(encode, batched=True, remove_columns=dataset.column_names, load_from_cache_file=False)
