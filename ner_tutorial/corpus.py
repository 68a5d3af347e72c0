"""Load a corpus: the book's own newswire, CoNLL-2003, or a folder of files.

Taught in chapter 1. Whatever the source, the result is a ``DatasetDict`` with the splits train, validation and test
and the columns ``id, tokens, pos_tags, chunk_tags, ner_tags``, as CoNLL-2003 has them.
"""

import logging
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, load_dataset

from ner_tutorial.conll import Sentence, read_conll
from ner_tutorial.corpus_files import SPLITS, is_conll_2003, open_sentences, split_files
from ner_tutorial.labels import CHUNK_NAMES, CONLL_SCHEME, POS_NAMES, LabelScheme
from ner_tutorial.parquet_rows import label_names, row_sentences
from ner_tutorial.tables import NO_TAG as NO_TAG
from ner_tutorial.tables import SentenceTable
from ner_tutorial.tagging import iob1_to_iob2, is_iob2

log = logging.getLogger("ner_tutorial")

COLUMNS = ("id", "tokens", "pos_tags", "chunk_tags", "ner_tags")
CORPUS_NAMES = ("newswire", "conll2003")
# Parquet copies of CoNLL-2003 with the original label ids, in the order in which they are tried.
HUB_SOURCES = (("lhoestq/conll2003", None), ("eriktks/conll2003", "refs/convert/parquet"))
HUB_SENTENCES = {"train": 14041, "validation": 3250, "test": 3453}  # of the copies that the book's numbers are from
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
    source: str | Path = "newswire",
    *,
    scheme: LabelScheme | None = None,
    convert_iob1: bool = False,
    convert: bool = False,
    columns: str | Mapping[str, int] | None = None,
) -> DatasetDict:
    """Load a corpus as a ``DatasetDict`` with train, validation and test.

    Args:
        source: ``newswire`` (the book's own corpus, in the package), ``conll2003`` (from the Hugging Face Hub), or a
            folder with one CoNLL or parquet file for each split.
        scheme: the NER labels and their ids, for example those of a model. Default: the labels of all splits together
            (``LabelScheme.from_labels``). The same labels under other ids are renumbered; others are refused.
        convert_iob1: turn IOB1 files into IOB2. The original distribution's files (``eng.train`` …) are IOB1, are
            recognised by name and are converted without this. Each conversion is logged as a warning.
        convert: turn files of any scheme that is recognised into IOB2: IOB1, BIOES, BILOU, BMES and IO.
        columns: the word and label columns of the CoNLL files, where they are not found; see ``read_conll``.

    Raises:
        FileNotFoundError: no such corpus or folder, or a split is missing in the folder.
        ConllError, ValueError: a file does not hold what it should; the message names file and line.
        OSError: the Hub cannot be reached; the message names the ways out.
    """
    text = str(source)
    if not text.strip():
        raise ValueError(f"no corpus given: {text!r} names neither a folder nor one of {', '.join(CORPUS_NAMES)}")
    if text == "newswire":
        return _load_folder(Path(str(files("ner_tutorial"))) / "data" / "newswire", scheme, {})
    if text == "conll2003":
        return _load_hub(scheme or CONLL_SCHEME)
    folder = Path(text).expanduser()
    if folder.is_dir():
        return _load_folder(folder, scheme, {"convert_iob1": convert_iob1, "convert": convert, "columns": columns})
    if folder.is_file():
        raise FileNotFoundError(f"{text} is a file; name the folder that holds train, validation and test")
    raise FileNotFoundError(f"no corpus {text!r}: it is neither a folder nor one of {', '.join(CORPUS_NAMES)}")


def _load_folder(folder: Path, scheme: LabelScheme | None, options: dict) -> DatasetDict:
    names = scheme.names if scheme else None
    tables: dict[str, SentenceTable] = {}
    chosen = split_files(folder)
    original = scheme is None and all(is_conll_2003(path) for paths in chosen.values() for path in paths)
    for split, paths in chosen.items():
        tables[split] = table = SentenceTable(names)
        for path in paths:
            if path.suffix == ".parquet":
                import pyarrow.parquet

                # File by file: each carries its own label names, and their order may differ.
                _add_rows(table, Dataset(pyarrow.parquet.read_table(path)), str(path))
            else:
                _add_file(table, path, options)
        if not len(table):
            log.warning("%s: the %s split holds no sentence", folder, split)
    # A label of any split is a label of all: a small split may lack a type.
    scheme = scheme or LabelScheme.from_labels(label for table in tables.values() for label in table.labels)
    if original and set(scheme.names) < set(CONLL_SCHEME.names):
        scheme = CONLL_SCHEME  # a part of CoNLL-2003 has its labels, though some may not occur
    return DatasetDict({split: table.to_dataset(corpus_features(scheme)) for split, table in tables.items()})


def _add_file(table: SentenceTable, path: Path, options: dict) -> None:
    reader = open_sentences(path, **options)
    for sentence in reader:
        table.add(sentence, where=str(path))
    for note in reader.notes:
        log.warning(note)


def _add_rows(table: SentenceTable, dataset: Dataset, where: str) -> None:
    """Add the rows of a data set under the names of its labels; IOB1 becomes IOB2, and both are said."""
    names = label_names(dataset, where)
    table.expect(names, where)
    converted = 0
    for identity, sentence in row_sentences(dataset, where, first_id=len(table)):
        if not is_iob2(sentence.ner_tags):
            sentence.ner_tags[:] = iob1_to_iob2(sentence.ner_tags)
            converted += 1
        table.add(sentence, where=where, identity=identity)
    if converted:
        log.warning("%s: %d sentences converted from IOB1 to IOB2", where, converted)


def sentences_to_dataset(sentences: Iterable[Sentence], scheme: LabelScheme = CONLL_SCHEME, where: str = "") -> Dataset:
    """Sentences as a ``Dataset`` with the columns of every corpus; ``id`` is the running number as a string.

    Raises:
        ConllError: an NER label is not in ``scheme``.
    """
    table = SentenceTable(scheme.names)
    for sentence in sentences:
        table.add(sentence, where=where)
    return table.to_dataset(corpus_features(scheme))


def with_common_labels(splits: Mapping[str, Dataset]) -> DatasetDict:
    """The splits with one list of label names, the same ids in all (erratum 19).

    Splits that name their labels alike come back as they are. Others are renumbered by name, which is logged: in the
    order of the split whose names hold all the others' (the training split first), or in that of
    ``LabelScheme.from_labels`` where none does.

    Raises:
        ValueError: a split has no label names, or its names are no IOB2 scheme.
    """
    names = {split: label_names(rows, f"split {split}") for split, rows in splits.items()}
    if len(set(map(tuple, names.values()))) == 1:
        return DatasetDict(splits)
    union = {name for own in names.values() for name in own}
    whole = next((own for own in names.values() if set(own) == union), None)
    scheme = LabelScheme(whole) if whole else LabelScheme.from_labels(union)
    common = {}
    for split, rows in splits.items():
        lacking = [name for name in scheme.names if name not in names[split]]
        if names[split] == list(scheme.names):
            common[split] = rows
            continue
        common[split] = conform(rows, scheme, where=f"split {split}")
        if lacking:
            log.warning("split %s: its labels lack %s, which other splits have", split, " ".join(lacking))
    # Equal columns in all: what a renumbered split has not, the others give up.
    shared = [
        name for name in next(iter(common.values())).column_names if all(name in d.features for d in common.values())
    ]
    return DatasetDict({split: rows.select_columns(shared) for split, rows in common.items()})


def _read_hub(name: str, revision: str | None) -> DatasetDict:
    """A copy from the Hub, its files checked first. Without a network, what an earlier load has left in the cache."""
    from ner_tutorial.hub.download import HubUnreachable, cache_only, fetch, offline

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
    from ner_tutorial.hub.download import HubUnreachable, explain

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
    table = SentenceTable(scheme.names, first_id)
    _add_rows(table, dataset, where)
    return table.to_dataset(corpus_features(scheme))


def take(dataset: Dataset, count: int | None) -> Dataset:
    """The first ``count`` rows, or all of them if ``count`` is ``None`` or larger."""
    return dataset if count is None or count >= len(dataset) else dataset.select(range(count))


def reference_labels(dataset, scheme: LabelScheme | None = None) -> list[list[str]]:
    """The gold label names of a data set, one list per sentence."""
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
