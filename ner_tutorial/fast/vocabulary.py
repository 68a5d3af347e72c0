"""Keep the embedding rows that a corpus never uses out of the optimiser.

Taught in chapter 10 and in its appendix. Half of a small encoder's parameters are its vocabulary; a small corpus touches
a fraction of it. The other rows get no gradient, yet AdamW updates all rows at every step.
"""

import torch
from torch import nn


class TrimmedEmbedding(nn.Module):
    """An embedding of which only some rows learn; outside it looks whole.

    In training mode only the learning rows may be asked for. In evaluation mode every row may. ``state_dict`` holds
    the whole table under the usual name, so a saved model is complete and loads anywhere.

    Args:
        embedding: the table to wrap, of shape (vocabulary, width).
        used: the distinct ids of the rows that learn.
    """

    def __init__(self, embedding: nn.Embedding, used: torch.Tensor):
        super().__init__()
        whole = embedding.weight.detach().clone()
        used = used.to(whole.device)
        # From an id of the tokenizer to a row of the small table; -1, which raises an error, where no row learns.
        lookup = torch.full((len(whole),), -1, dtype=torch.long, device=whole.device)
        lookup[used] = torch.arange(len(used), device=whole.device)
        self.num_embeddings, self.embedding_dim, self.padding_idx = *whole.shape, embedding.padding_idx
        self.weight = nn.Parameter(whole[used].clone())  # (learning rows, width)
        self.register_buffer("whole", whole, persistent=False)
        self.register_buffer("used", used, persistent=False)
        self.register_buffer("lookup", lookup, persistent=False)
        self._stale = False

    def complete(self) -> torch.Tensor:
        """The whole table, with the learning rows as they are now. Shape (vocabulary, width)."""
        with torch.no_grad():
            self.whole[self.used] = self.weight
        return self.whole

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if self.training:
            self._stale = True  # a step may follow, so the whole table no longer agrees with the learning rows
            return nn.functional.embedding(self.lookup[ids], self.weight)
        if self._stale:
            self.complete()  # once after training steps, not at every batch
            self._stale = False
        return nn.functional.embedding(ids, self.whole)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        destination[prefix + "weight"] = self.complete().clone()  # a copy: training goes on in the table itself

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, missing, unexpected, errors):
        whole = state_dict.get(prefix + "weight")
        if whole is None:
            missing.append(prefix + "weight")
            return
        with torch.no_grad():
            self.whole.copy_(whole)
            self.weight.copy_(self.whole[self.used])
        self._stale = False


def trim_embeddings(model, rows) -> int:
    """Let only the word embeddings learn that ``rows`` use, and return how many those are.

    Args:
        model: a Transformers model; its input embedding is replaced in place.
        rows: the training rows, each with ``input_ids``.
    """
    embedding = model.get_input_embeddings()
    used = {i for row in rows for i in row["input_ids"]}
    # The collator pads with this row; its output is masked everywhere, but it must be there to be looked up.
    used.add(model.config.pad_token_id or 0)
    model.set_input_embeddings(TrimmedEmbedding(embedding, torch.tensor(sorted(used))))
    return len(used)


def restore_embeddings(model) -> None:
    """Put a plain embedding back, with what was learned. Does nothing if the model was not trimmed."""
    trimmed = model.get_input_embeddings()
    if isinstance(trimmed, TrimmedEmbedding):
        plain = nn.Embedding(trimmed.num_embeddings, trimmed.embedding_dim, padding_idx=trimmed.padding_idx)
        plain.weight = nn.Parameter(trimmed.complete().clone())
        model.set_input_embeddings(plain.to(trimmed.weight.device))
