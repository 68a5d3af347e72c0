"""Load a corpus: the book's own newswire, CoNLL-2003, or a folder of files.

Taught in chapter 1. Whatever the source, the result is a ``DatasetDict`` with the splits train, validation and test
and the columns ``id, tokens, pos_tags, chunk_tags, ner_tags``, as CoNLL-2003 has them.
"""

import logging
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, concatenate_datasets, load_dataset

from ner_tutorial.conll import ConllError, Sentence, iob1_to_iob2, is_iob2, read_conll
from ner_tutorial.hub.download import HubUnreachable, cache_only, explain, fetch, offline
from ner_tutorial.labels import CHUNK_NAMES, CONLL_SCHEME, POS_NAMES, LabelScheme

log = logging.getLogger("ner_tutorial")

SPLITS = ("train", "validation", "test")
COLUMNS = ("id", "tokens", "pos_tags", "chunk_tags", "ner_tags")
CORPUS_NAMES = ("newswire", "conll2003")
# Parquet copies of CoNLL-2003 with the original label ids, in the order in which they are tried.
HUB_SOURCES = (("lhoestq/conll2003", None), ("eriktks/conll2003", "refs/convert/parquet"))
HUB_SENTENCES = {"train": 14041, "validation": 3250, "test": 3453}  # of the copies that the book's numbers are from
NO_TAG = -1  # in pos_tags and chunk_tags: the source has no such tag, or one that CoNLL-2003 does not know

# The names under which a split may lie in a folder, without their suffix. The last three are the original distribution's.
SPLIT_NAMES = {
    "train": ("train", "eng.train"),
    "validation": ("validation", "valid", "dev", "eng.testa"),
    "test": ("test", "eng.testb"),
}
CONLL_SUFFIXES = ("", ".conll", ".txt", ".conll.txt", ".iob2", ".tsv")
CORPUS_WAYS_OUT = (
    "Ways out: set NER_TUTORIAL_CORPUS (or --corpus) to a folder with CoNLL files (eng.train, eng.testa, eng.testb) or "
    "parquet; or set NER_TUTORIAL_PROFILE=quick, which needs no network; or connect to the network and unset HF_HUB_OFFLINE."
)


def corpus_features(scheme: LabelScheme = CONLL_SCHEME) -> Features:
    """The columns of every corpus, with the tag names and ids of CoNLL-2003 (NER names from ``scheme``)."""
    return Features(
        {
            "id": Value("string"),
            "tokens": List(Value("string")),
            "pos_tags": List(ClassLabel(names=list(POS_NAMES))),
            "chunk_tags": List(ClassLabel(names=list(CHUNK_NAMES))),
            "ner_tags": List(ClassLabel(names=list(scheme.names))),
        }
    )


def load_corpus(
    source: str | Path = "newswire", *, scheme: LabelScheme = CONLL_SCHEME, convert_iob1: bool = False
) -> DatasetDict:
    """Load a corpus as a ``DatasetDict`` with train, validation and test.

    Args:
        source: ``newswire`` (the book's own corpus, in the package), ``conll2003`` (from the Hugging Face Hub), or a
            folder with one CoNLL or parquet file a split.
        scheme: the NER labels. Sources with other labels are refused; the same labels under other ids are renumbered.
        convert_iob1: turn IOB1 files into IOB2. The original distribution's files (``eng.train`` …) are IOB1, are
            recognised by name and are converted without this. Each conversion is logged as a warning.

    Raises:
        FileNotFoundError: no such corpus or folder, or a split is missing in the folder.
        ConllError, ValueError: a file does not hold what it should; the message names file and line.
        OSError: the Hub cannot be reached; the message names the ways out.
    """
    text = str(source)
    if text == "newswire":
        return _load_folder(Path(str(files("ner_tutorial"))) / "data" / "newswire", scheme, convert_iob1=False)
    if text == "conll2003":
        return _load_hub(scheme)
    folder = Path(text).expanduser()
    if folder.is_dir():
        return _load_folder(folder, scheme, convert_iob1)
    if folder.is_file():
        raise FileNotFoundError(f"{text} is a file; name the folder that holds train, validation and test")
    raise FileNotFoundError(f"no corpus {text!r}: it is neither a folder nor one of {', '.join(CORPUS_NAMES)}")


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split in ``folder``: parquet files by prefix, or one CoNLL file by name.

    Raises:
        FileNotFoundError: a split is missing.
    """
    found: dict[str, list[Path]] = {}
    for split in SPLITS:
        stems = SPLIT_NAMES[split]
        parquet = [
            p for name in stems for base in (folder, folder / "data") for p in sorted(base.glob(f"{name}*.parquet"))
        ]
        plain = [folder / (name + suffix) for name in stems for suffix in CONLL_SUFFIXES]
        nested = sorted((folder / split).glob("*.parquet"))
        # "valid*" also finds what "validation*" has found: each file once.
        found[split] = list(dict.fromkeys(parquet)) or nested or [path for path in plain if path.is_file()][:1]
    missing = [split for split in SPLITS if not found[split]]
    if missing:
        raise FileNotFoundError(
            f"{folder}: no file for {', '.join(missing)}; name the files train, validation and test, with the suffix .conll, .txt "
            "or .parquet (or as the original distribution does: eng.train, eng.testa, eng.testb)"
        )
    return found


def _load_folder(folder: Path, scheme: LabelScheme, convert_iob1: bool) -> DatasetDict:
    splits = {}
    for split, paths in split_files(folder).items():
        if paths[0].suffix == ".parquet":
            import pyarrow.parquet

            # File by file: each carries its own label names, and their order may differ.
            parts: list[Dataset] = []
            for path in paths:
                table = Dataset(pyarrow.parquet.read_table(path))
                parts.append(conform(table, scheme, where=str(path), first_id=sum(map(len, parts))))
            splits[split] = concatenate_datasets(parts)
            continue
        original = paths[0].name.startswith("eng.")
        content = read_conll(paths[0], convert_iob1=convert_iob1 or original)
        for note in content.notes:
            log.warning(note)
        splits[split] = sentences_to_dataset(content.sentences, scheme, where=str(paths[0]))
    return DatasetDict(splits)


def _ids(tags: Sequence[str], known: dict[str, int], length: int) -> list[int]:
    return [known.get(tag, NO_TAG) for tag in tags] if tags else [NO_TAG] * length


def sentences_to_dataset(sentences: Iterable[Sentence], scheme: LabelScheme = CONLL_SCHEME, where: str = "") -> Dataset:
    """Sentences as a ``Dataset`` with the columns of every corpus; ``id`` is the running number as a string.

    Raises:
        ConllError: an NER label is not in ``scheme``.
    """
    pos = {name: i for i, name in enumerate(POS_NAMES)}
    chunk = {name: i for i, name in enumerate(CHUNK_NAMES)}
    ner = scheme.label2id
    rows: dict[str, list] = {name: [] for name in COLUMNS}
    for number, sentence in enumerate(sentences):
        for offset, tag in enumerate(sentence.ner_tags):
            if tag not in ner:
                line = sentence.line + offset if sentence.line else None
                raise ConllError(
                    where or f"sentence {number}", line, f"label {tag!r} is not in the scheme {' '.join(scheme.names)}; "
                    "correct the file, or pass scheme=LabelScheme([...]) with your own labels"
                )  # fmt: skip
        length = len(sentence.tokens)
        rows["id"].append(str(number))
        rows["tokens"].append(list(sentence.tokens))
        rows["pos_tags"].append(_ids(sentence.pos_tags, pos, length))
        rows["chunk_tags"].append(_ids(sentence.chunk_tags, chunk, length))
        rows["ner_tags"].append([ner[tag] for tag in sentence.ner_tags])
    return Dataset.from_dict(rows, features=corpus_features(scheme))


def _read_hub(name: str, revision: str | None) -> DatasetDict:
    """A copy from the Hub, its files checked first. Without a network, what an earlier load has left in the cache."""
    if offline():
        return load_dataset(name, revision=revision)
    try:
        _, commit = fetch(name, "dataset", _data_files, revision)
    except HubUnreachable as unreachable:
        with cache_only():
            try:
                return load_dataset(name)
            except Exception:  # nothing in the cache: what matters is why the Hub was of no use
                raise unreachable from None
    # The commit by its hash: the files are those that were checked, and the library asks for nothing twice.
    return load_dataset(name, revision=commit)


def _data_files(names: list[str]) -> list[str]:
    parquet = [name for name in names if name.endswith(".parquet")]
    return [*(name for name in names if name == "README.md"), *parquet] if parquet else []


def _load_hub(scheme: LabelScheme) -> DatasetDict:
    failures = []
    for name, revision in HUB_SOURCES:
        try:
            loaded = _read_hub(name, revision)
        except HubUnreachable as error:
            failures = [str(error)]
            break
        except Exception as error:  # the libraries below raise many unrelated classes
            failures.append(f"{name}: {error if type(error) is OSError else explain(error)}")
            continue
        missing = [split for split in SPLITS if split not in loaded]
        if missing:
            raise ValueError(f"{name} has no split {', '.join(missing)}; it has {', '.join(loaded)}")
        corpus = {split: conform(loaded[split], scheme, where=f"{name} ({split})") for split in SPLITS}
        _compare_with_original(name, loaded, scheme)
        return DatasetDict(corpus)
    raise OSError("cannot load CoNLL-2003 from the Hugging Face Hub. " + "; ".join(failures) + ". " + CORPUS_WAYS_OUT)


def _compare_with_original(name: str, loaded: DatasetDict, scheme: LabelScheme) -> None:
    """Refuse a copy without all the labels; warn where it has other columns, tags or numbers of sentences."""
    for split in SPLITS:
        features = loaded[split].features
        absent = [label for label in scheme.names if label not in features["ner_tags"].feature.names]
        if absent:
            raise ValueError(f"{name} ({split}): the label(s) {' '.join(absent)} are missing; this is another data set")
    features = loaded["train"].features
    columns = [column for column in COLUMNS if column not in features]
    if columns:
        log.warning("%s: no column %s, unlike CoNLL-2003; it is filled in", name, ", ".join(columns))
    for column, known in (("pos_tags", POS_NAMES), ("chunk_tags", CHUNK_NAMES)):
        names = getattr(getattr(features.get(column), "feature", None), "names", None)
        if column in features and names != list(known):
            log.warning("%s: the names of %s differ from CoNLL-2003's; tags are matched by name", name, column)
    sizes = {split: len(loaded[split]) for split in SPLITS}
    if sizes != HUB_SENTENCES:
        counted = ", ".join(f"{split} {sizes[split]} (CoNLL-2003: {HUB_SENTENCES[split]})" for split in SPLITS)
        log.warning("%s differs from CoNLL-2003 in its number of sentences: %s; scores will not compare", name, counted)


def conform(
    dataset: Dataset, scheme: LabelScheme = CONLL_SCHEME, where: str = "the data set", first_id: int = 0
) -> Dataset:
    """Bring a data set to the columns, names and ids of every corpus, or say why that cannot be done.

    Labels are matched **by name**: a copy that numbers them in another order is renumbered. Rows without an ``id`` are
    numbered from ``first_id``.

    Raises:
        ValueError: a column is missing, the labels carry no names, differ from ``scheme``, or a row is inconsistent.
    """
    features = dataset.features
    for column in ("tokens", "ner_tags"):
        if column not in features:
            raise ValueError(f"{where}: no column {column!r}; it has {', '.join(features)}")
    inner = getattr(features["ner_tags"], "feature", None)
    if not isinstance(inner, ClassLabel):
        raise ValueError(
            f"{where}: ner_tags carries no label names, so its ids mean nothing by themselves; "
            "store it as a list of ClassLabel, or as CoNLL files with label names"
        )
    unknown = [name for name in inner.names if name not in scheme.label2id]
    if unknown:
        raise ValueError(f"{where}: label(s) {' '.join(unknown)} not in the scheme {' '.join(scheme.names)}")
    rows: dict[str, list] = {name: [] for name in COLUMNS}
    renumber = [scheme.label2id[name] for name in inner.names]

    def tag_ids(column: str, known: Sequence[str], row: dict, length: int) -> list[int]:
        names = getattr(getattr(features.get(column), "feature", None), "names", None)
        if names is None or column not in row:
            return [NO_TAG] * length
        table = {name: i for i, name in enumerate(known)}
        return [table.get(names[value], NO_TAG) if value >= 0 else NO_TAG for value in row[column]]

    converted = 0
    for number, row in enumerate(dataset):
        length = len(row["tokens"])
        if length != len(row["ner_tags"]):
            raise ValueError(f"{where}, row {number}: {length} tokens but {len(row['ner_tags'])} NER tags")
        bad = next((value for value in row["ner_tags"] if not 0 <= value < len(renumber)), None)
        if bad is not None:
            raise ValueError(f"{where}, row {number}: label id {bad} is not one of 0 to {len(renumber) - 1}")
        tags = [inner.names[value] for value in row["ner_tags"]]
        if not is_iob2(tags):
            tags, converted = iob1_to_iob2(tags), converted + 1
        rows["id"].append(str(row.get("id", first_id + number)))
        rows["tokens"].append(list(row["tokens"]))
        rows["pos_tags"].append(tag_ids("pos_tags", POS_NAMES, row, length))
        rows["chunk_tags"].append(tag_ids("chunk_tags", CHUNK_NAMES, row, length))
        rows["ner_tags"].append([scheme.label2id[tag] for tag in tags])
    if converted:
        log.warning("%s: %d sentences converted from IOB1 to IOB2", where, converted)
    if renumber != list(range(scheme.num_labels)):
        log.warning("%s: label ids renumbered by name from the order %s", where, " ".join(inner.names))
    return Dataset.from_dict(rows, features=corpus_features(scheme))


def take(dataset: Dataset, count: int | None) -> Dataset:
    """The first ``count`` rows, or all of them if ``count`` is ``None`` or larger."""
    return dataset if count is None or count >= len(dataset) else dataset.select(range(count))


def reference_labels(dataset, scheme: LabelScheme | None = None) -> list[list[str]]:
    """The gold label names of a data set, one list a sentence."""
    scheme = scheme or LabelScheme.from_features(dataset.features)
    return [[scheme.names[i] for i in ids] for ids in dataset["ner_tags"]]


def newswire_stories(split: str) -> list[str]:
    """The story of each sentence of a split of the book's own corpus, such as ``teams-03``; before the hyphen is its desk.

    Raises:
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    folder = Path(str(files("ner_tutorial"))) / "data" / "newswire"
    names = (folder / f"{split}.stories.txt").read_text(encoding="utf-8").split()
    # The files count documents from 1: a -DOCSTART- line stands before each story.
    return [names[row.document - 1] for row in read_conll(folder / f"{split}.conll").sentences]
