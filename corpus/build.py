"""Make the corpus files of the package from the stories: `python corpus/build.py` (needs `pip install textblob`).

Splits by story, within each desk, and adds part-of-speech and chunk tags as silver annotation by TextBlob's tagger
(the lexicon and rules of the Pattern library). The result is the same on every machine.
"""

import random
import sys
from collections import defaultdict
from pathlib import Path

from markup import Story, read_stories

from ner_tutorial.conll import Sentence, write_conll
from ner_tutorial.labels import CHUNK_NAMES, POS_NAMES

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "ner_tutorial" / "data" / "newswire"
SEED = 2031
SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}

# TextBlob's names for what CoNLL-2003 calls otherwise.
POS_SYNONYMS = {"'": "''", "-": ":", "--": ":", "…": ":"}


def split_stories(stories: list[Story]) -> dict[str, list[Story]]:
    """Stories of each split: every desk is divided in the same proportion, and the order is mixed across desks."""
    desks: dict[str, list[Story]] = defaultdict(list)
    for story in stories:
        desks[story.desk].append(story)
    splits: dict[str, list[Story]] = {name: [] for name in SHARES}
    for desk in sorted(desks):
        mine = sorted(desks[desk], key=lambda story: story.name)
        random.Random(f"{SEED}-{desk}").shuffle(mine)
        held_out = round(len(mine) * SHARES["test"])
        splits["test"] += mine[:held_out]
        splits["validation"] += mine[held_out : 2 * held_out]
        splits["train"] += mine[2 * held_out :]
    for name, chosen in splits.items():
        random.Random(f"{SEED}-{name}").shuffle(chosen)
    return splits


def silver_tags(tokens: list[str]) -> tuple[list[str], list[str]]:
    """(part-of-speech tags, chunk tags) of a tokenised sentence, in the tag sets of CoNLL-2003."""
    from textblob.en import parse

    # A slash separates fields in the tagger's output, and a bare bracket is a bracket tag: stand-ins go in their place.
    cells = [
        token.split("/") for token in str(parse(" ".join(t.replace("/", "-") for t in tokens), tokenize=False)).split()
    ]
    if len(cells) != len(tokens):
        raise ValueError(f"the tagger answered {len(cells)} tokens for {len(tokens)}: {' '.join(tokens)}")
    pos, chunk = [], []
    for token, cell in zip(tokens, cells, strict=True):
        tag = POS_SYNONYMS.get(cell[1], cell[1])
        if tag not in POS_NAMES:
            tag = token if token in POS_NAMES else ":" if not token[0].isalnum() else "NN"
        pos.append(tag)
        chunk.append(cell[2] if cell[2] in CHUNK_NAMES else "O")
    # An I- whose chunk was interrupted starts a new one.
    for i, tag in enumerate(chunk):
        if tag[0] == "I" and (i == 0 or chunk[i - 1][2:] != tag[2:]):
            chunk[i] = "B" + tag[1:]
    return pos, chunk


def main() -> int:
    stories = read_stories(sorted((HERE / "stories").glob("*.txt")))
    TARGET.mkdir(parents=True, exist_ok=True)
    for split, chosen in split_stories(stories).items():
        sentences = [
            Sentence(line.tokens, *silver_tags(line.tokens), line.tags, document)
            for document, story in enumerate(chosen, 1)
            for line in story.lines
        ]
        write_conll(TARGET / f"{split}.conll", sentences)
        (TARGET / f"{split}.stories.txt").write_text("".join(f"{story.name}\n" for story in chosen), encoding="utf-8")
        print(f"{split}: {len(chosen)} stories, {len(sentences)} sentences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
