"""What costs nothing: the names that training data holds, looked up in other text.

Taught in chapter 1. Every trained model is compared with these answers (``metrics.baseline_scores``).
"""

from collections import Counter
from collections.abc import Sequence

from ner_tutorial.labels import LabelScheme, entity_spans


def mentions(dataset, scheme: LabelScheme | None = None) -> list[tuple[str, str]]:
    """(surface form, type) of every entity in a data set, in order. The surface form is its words joined by spaces."""
    scheme = scheme or LabelScheme.from_features(dataset.features)
    found = []
    for tokens, ids in zip(dataset["tokens"], dataset["ner_tags"], strict=True):
        for kind, start, end in entity_spans([scheme.names[i] for i in ids]):
            found.append((" ".join(tokens[start:end]), kind))
    return found


def unseen_share(train, test) -> float:
    """The share of test mentions whose surface form is no mention in train."""
    known = {surface for surface, _ in mentions(train)}
    surfaces = [surface for surface, _ in mentions(test)]
    return sum(surface not in known for surface in surfaces) / len(surfaces) if surfaces else 0.0


class DictionaryBaseline:
    """Tags every mention that it saw in training with the type it had there most often; longest match first."""

    def __init__(self, train):
        counts: dict[tuple[str, ...], Counter] = {}
        for surface, kind in mentions(train):
            counts.setdefault(tuple(surface.split(" ")), Counter())[kind] += 1
        self.types = {words: kinds.most_common(1)[0][0] for words, kinds in counts.items()}
        self.longest = max(map(len, self.types), default=0)

    def predict(self, tokens: Sequence[str]) -> list[str]:
        """One label a word."""
        tags, start = ["O"] * len(tokens), 0
        while start < len(tokens):
            for end in range(min(len(tokens), start + self.longest), start, -1):
                kind = self.types.get(tuple(tokens[start:end]))
                if kind:
                    tags[start:end] = ["B-" + kind] + ["I-" + kind] * (end - start - 1)
                    start = end
                    break
            else:
                start += 1
        return tags
