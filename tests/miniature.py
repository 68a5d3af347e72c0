"""A miniature CoNLL-2003 and a miniature cased BERT, made here from words of our own."""

import json
import math
import multiprocessing
import random
import shutil
import string
from collections.abc import Iterable
from pathlib import Path

import nbformat
import torch
from datasets import DatasetDict
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
    BertTokenizer,
    set_seed,
)

from ner_tutorial import (
    CONLL_SCHEME,
    LabelScheme,
    Sentence,
    TrainingResult,
    load_tokenizer,
    sentences_to_dataset,
    train_with_accelerate,
    train_with_trainer,
    write_conll,
)
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

    files = {}
    for split in SIZES:
        buffer = io.BytesIO()
        changes.get(split, sentences_to_dataset(sentences(split))).to_parquet(buffer)
        files[form.format(split)] = buffer.getvalue()
    return files


# ---- models whose answers are known beforehand, corpora for them, and runs on both

# What the model below answers for each piece: a label, or the logits of several.
NAMES = {
    "Nora": "B-PER", "Velt": "I-PER", "Ines": "B-PER", "Oslo": "B-LOC", "Lima": "B-LOC", "Acme": "B-ORG",
    "Group": "I-ORG", "Dutch": "B-MISC", "Cup": "I-MISC",
    # One name in three pieces: the middle one is taken for no name, as a model that errs does.
    "Blac": "B-PER", "##k": "O", "##burn": "B-PER",
    # Another, over which the strategies disagree.
    "Zan": {"B-PER": 1.5}, "##zi": {"B-LOC": 1.9, "B-ORG": 1.0}, "##bar": {"B-ORG": 3.0, "B-LOC": 2.9},
    **dict.fromkeys(["the", "of", "met", "flew", "to", "won", ".", ",", "-", "##s", "in"], "O"),
}  # fmt: skip
SENTENCE = "Nora Velt flew to Oslo, Ines to the Dutch Cup of Acme Group."
WORDS = [piece for piece, answer in NAMES.items() if isinstance(answer, str) and not piece.startswith("##")]
LOOPS = {"accelerate": train_with_accelerate, "trainer": train_with_trainer}
# Each type becomes the next one: what is right under one labelling is wrong under the other.
SHIFTED = {"PER": "LOC", "LOC": "ORG", "ORG": "MISC", "MISC": "PER"}
NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "book").glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if path.name[:2].isdigit()]


def piece_logits(answer: str | dict[str, float], scheme: LabelScheme = CONLL_SCHEME) -> torch.Tensor:
    answer = {answer: 8.0} if isinstance(answer, str) else answer
    return torch.tensor([answer.get(name, 0.0) for name in scheme.names])


def save_lookup_model(
    folder: Path, answers=None, window: int = 64, positions: int = 512, scheme: LabelScheme = CONLL_SCHEME
) -> Path:
    """A model folder whose answers are looked up: each piece has its logits, whatever stands around it.

    A BERT without layers. Its embedding holds the logits, their negatives (so that the mean is 0) and a filler (so that
    every row has one norm): layer normalisation then only scales it, and the classifier scales it back.
    """
    answers = NAMES if answers is None else answers
    table = {"[PAD]": "O", "[UNK]": "O", "[CLS]": "O", "[SEP]": "O", "[MASK]": "O", **answers}
    tokenizer = BertTokenizer(
        vocab={piece: i for i, piece in enumerate(table)}, do_lower_case=False, model_max_length=window
    )
    labels = scheme.num_labels
    config = BertConfig(
        vocab_size=len(table), hidden_size=2 * labels + 2, num_hidden_layers=0, num_attention_heads=1,
        max_position_embeddings=positions, num_labels=labels, id2label=scheme.id2label, label2id=scheme.label2id,
    )  # fmt: skip
    model = BertForTokenClassification(config)
    logits = torch.stack([piece_logits(answer, scheme) for answer in table.values()])
    norm = 400.0
    filler = (norm - logits.square().sum(1)).sqrt()[:, None]
    with torch.no_grad():
        embeddings = model.bert.embeddings
        embeddings.word_embeddings.weight.copy_(torch.cat([logits, -logits, filler, -filler], 1))
        embeddings.position_embeddings.weight.zero_()
        embeddings.token_type_embeddings.weight.zero_()
        model.classifier.bias.zero_()
        model.classifier.weight.zero_()
        model.classifier.weight[:, :labels] = math.sqrt(2 * norm / config.hidden_size) * torch.eye(labels)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def shift(label: str) -> str:
    return label if label == "O" else label[:2] + SHIFTED[label[2:]]


def name_sentences(count: int, seed: int, noise: float = 0.0, relabel=lambda label: label) -> list[Sentence]:
    """Sentences of words that each have one label (see ``NAMES``); a share of the labels is wrong on purpose."""
    chance = random.Random(seed)
    singles = [word for word in WORDS if not NAMES[word].startswith("I-")]
    rows = []
    for _ in range(count):
        words = chance.choices(singles, k=chance.randint(2, 12))
        tags = [relabel(NAMES[word]) for word in words]
        tags = [chance.choice(["O", "B-PER", "B-LOC"]) if chance.random() < noise else tag for tag in tags]
        rows.append(Sentence(words, [], [], tags))
    return rows


def name_corpus(noise: float = 0.0, scheme: LabelScheme = CONLL_SCHEME, sizes=None, **relabel) -> DatasetDict:
    sizes = sizes or {"train": 60, "validation": 25, "test": 26}
    return DatasetDict(
        {
            split: sentences_to_dataset(
                name_sentences(size, seed, noise, relabel.get(split, lambda label: label)), scheme
            )
            for seed, (split, size) in enumerate(sizes.items())
        }
    )


def save_encoder(folder: Path, lookup: str, dropout: float = 0.1) -> str:
    """An untrained two-layer encoder over the same vocabulary: its classification head is made when training starts."""
    tokenizer = load_tokenizer(lookup)
    set_seed(0)
    config = tiny_bert_config(
        len(tokenizer), positions=64, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def run(loop: str, folder: Path, corpus, checkpoint: str, **options) -> TrainingResult:
    defaults = {"epochs": 3, "batch_size": 4, "learning_rate": 5e-3, "seed": 1, "progress": False}
    return LOOPS[loop](folder, corpus=corpus, checkpoint=checkpoint, **(defaults | options))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def process_server():
    """Makes processes with the libraries loaded: a start takes milliseconds instead of seconds.

    There is one server for all tests, and what it loads is settled before its first process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "accelerate", "datasets", "evaluate", "seqeval.metrics", "transformers.trainer",
            "transformers.models.bert.modeling_bert", "ner_tutorial.training",
        ]
    )  # fmt: skip
    return context


def save_corpus(folder: Path, corpus: DatasetDict) -> str:
    for split, rows in corpus.items():
        names = rows.features["ner_tags"].feature.names
        write_conll(
            folder / f"{split}.conll",
            [
                Sentence(list(words), [], [], [names[i] for i in tags], 1)
                for words, tags in zip(rows["tokens"], rows["ner_tags"], strict=True)
            ],
        )
    return str(folder)


def first_code_cell(path: Path) -> str:
    notebook = nbformat.read(path, as_version=4)
    return next(cell.source for cell in notebook.cells if cell.cell_type == "code")


def altered_model(source, folder: Path, weights=None, config=None, delete: Iterable[str] = (), **files: str) -> Path:
    """A copy of a model folder with something changed.

    Args:
        weights: gets the dictionary of tensors, returns another one.
        config: gets the content of config.json, changes it in place.
        delete: names of files to leave out.
        **files: new contents of files, ``config_json="…"`` for config.json.
    """
    shutil.copytree(source, folder)
    if weights is not None:
        tensors = {
            name: tensor.contiguous() for name, tensor in weights(load_file(folder / "model.safetensors")).items()
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if config is not None:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config(content)
        (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    for name in delete:
        (folder / name).unlink()
    for name, content in files.items():
        (folder / name.replace("_json", ".json")).write_text(content, encoding="utf-8")
    return folder
