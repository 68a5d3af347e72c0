"""A miniature CoNLL-2003 and a miniature cased BERT, made here from words of our own."""

import random
import string
from collections.abc import Iterable
from pathlib import Path

from ner_tutorial import Sentence
from ner_tutorial.conll import iob1_to_iob2

PEOPLE = [
    "Nora Velt",
    "Ivo Brandt",
    "Lena Osei",
    "Tomas Rhee",
    "Ada Marsh",
    "Jonas Holm",
    "Mira Solberg",
    "Paul Easton",
]
PLACES = ["Lisbon", "Porto", "Easton", "New Haven", "Oslo", "Warsaw", "Lyon", "Marsh Hill"]
GROUPS = ["Porto", "Harbour Union", "Delta Bank", "EU", "Oslo Rovers", "Easton"]
OTHERS = ["German", "British", "Baltic Cup", "Polish", "Harbour Act"]
PATTERNS = [
    "PER/NNP visited/VBD LOC/NNP ./.",
    "ORG/NNP rejects/VBZ MISC/JJ call/NN ./.",
    "PER/NNP of/IN ORG/NNP said/VBD on/IN Monday/NNP that/IN trade/NN with/IN LOC/NNP grew/VBD ./.",
    "MISC/JJ officials/NNS met/VBD PER/NNP and/CC PER/NNP in/IN LOC/NNP ./.",
    "ORG/NNP beat/VBD ORG/NNP 2-1/CD in/IN the/DT MISC/NNP in/IN LOC/NNP ./.",
    "Rain/NN fell/VBD in/IN the/DT north/NN for/IN three/CD days/NNS ./.",
    "LOC/NNP 's/POS port/NN ,/, run/VBN by/IN ORG/NNP ,/, was/VBD closed/VBN ,/, PER/NNP told/VBD reporters/NNS ./.",
    "SOCCER/NN -/: LOC/NNP 1996-08-22/CD",
]
NOUNS, VERBS = ("NN", "NNS", "NNP", "CD", "DT", "JJ"), ("VBD", "VBZ", "VBN")
SIZES = {"train": 60, "validation": 30, "test": 30}
ORIGINAL_FILES = {"train": "eng.train", "validation": "eng.testa", "test": "eng.testb"}


def sentences(split: str, count: int | None = None) -> list[Sentence]:
    """Sentences of a split in IOB2; the same at every call. Types meet in one surface form, as in real news."""
    draw = random.Random(split)
    pool = {"PER": PEOPLE, "LOC": PLACES, "ORG": GROUPS, "MISC": OTHERS}
    made = []
    for number in range(count or SIZES[split]):
        words, pos, ner = [], [], []
        for item in PATTERNS[number % len(PATTERNS)].split():
            text, tag = item.rsplit("/", 1)
            names = draw.choice(pool[text]).split() if text in pool else [text]
            words += names
            pos += [tag] * len(names)
            ner += ["B-" + text, *["I-" + text] * (len(names) - 1)] if text in pool else ["O"]
        chunk = iob1_to_iob2(["I-NP" if tag in NOUNS else "I-VP" if tag in VERBS else "O" for tag in pos])
        made.append(Sentence(words, pos, chunk, ner, 1))
    return made


def iob2_to_iob1(tags: Iterable[str]) -> list[str]:
    """As the original distribution writes it: ``B-`` only where the same type comes right before."""
    written, previous = [], "O"
    for tag in tags:
        needed = tag.startswith("B-") and previous[2:] == tag[2:]
        written.append(tag if needed or tag == "O" else "I-" + tag[2:])
        previous = tag
    return written


def write_original(folder: Path) -> Path:
    """eng.train, eng.testa and eng.testb in the form of the original distribution."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, name in ORIGINAL_FILES.items():
        blocks = ["-DOCSTART- -X- O O\n" if split == "train" else "-DOCSTART- -X- -X- O\n"]
        for row in sentences(split):
            columns = (row.tokens, row.pos_tags, iob2_to_iob1(row.chunk_tags), iob2_to_iob1(row.ner_tags))
            blocks.append("".join(" ".join(cells) + "\n" for cells in zip(*columns, strict=True)))
        (folder / name).write_text("\n".join(blocks) + "\n", encoding="utf-8")
    return folder


def vocabulary() -> list[str]:
    """Pieces of a cased vocabulary: every ASCII character, first and later, and the words of the corpus."""
    letters = [c for c in string.printable if not c.isspace()]
    words = sorted({word for split in SIZES for row in sentences(split) for word in row.tokens if word.isalpha()})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return list(dict.fromkeys([*special, *letters, *("##" + c for c in letters), *words]))


def tiny_bert_config(vocab_size: int, positions: int, **more):
    """Two layers of width 32: the size of every encoder that the tests train or load."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
        **more,
    )


def write_bert(folder: Path, *, pieces: list[str] | None = None, tokenizer_files: bool = True) -> Path:
    """A folder with a miniature BERT (width 32, 2 layers, 512 positions) and vocab.txt.

    With ``tokenizer_files``, what today's Hub folders hold beside it: tokenizer.json and tokenizer_config.json.
    """
    from transformers import BertForMaskedLM, BertTokenizer, set_seed

    pieces = pieces or vocabulary()
    folder.mkdir(parents=True, exist_ok=True)
    set_seed(0)
    config = tiny_bert_config(len(pieces), positions=512)
    BertForMaskedLM(config).save_pretrained(folder)  # the real bert-base-cased carries this head too
    if tokenizer_files:
        known = {piece: number for number, piece in enumerate(pieces)}
        BertTokenizer(vocab=known, do_lower_case=False, model_max_length=512).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return folder


def parquet_files(form: str = "data/{}-00000-of-00001.parquet", **changes) -> dict[str, bytes]:
    """The corpus as parquet with CoNLL-2003's schema, by path in the repository. ``changes``: other rows of a split."""
    import io

    from ner_tutorial import sentences_to_dataset

    files = {}
    for split in SIZES:
        buffer = io.BytesIO()
        changes.get(split, sentences_to_dataset(sentences(split))).to_parquet(buffer)
        files[form.format(split)] = buffer.getvalue()
    return files
