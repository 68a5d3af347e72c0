"""Which files of a folder hold annotated words, and which of them is which split.

Taught in chapter 9. ``load_corpus`` and ``lint_folder`` both ask here, so both read the same files.
"""

import re
from pathlib import Path

from ner_tutorial.conll import SentenceReader
from ner_tutorial.lines import NEW_DOCUMENT, WEBANNO, ConllError, cells_of, check_encoding
from ner_tutorial.tagging import LABEL

SPLITS = ("train", "validation", "test")
SPLIT_OF = {
    **dict.fromkeys(["train", "training"], "train"),
    **dict.fromkeys(["validation", "valid", "val", "dev", "devel", "development", "testa"], "validation"),
    **dict.fromkeys(["test", "testb"], "test"),
}
COLUMN_SUFFIXES = {".conll", ".iob", ".iob1", ".iob2", ".bio", ".bio2", ".bioes", ".iobes", ".bilou", ".conllu", ".tsv"}
ORIGINAL = re.compile(
    r"[a-z]{3}\.(train|testa|testb)"
)  # eng.train, esp.testa: how CoNLL-2002 and 2003 name their files
# What lies beside a corpus and is no column file, whatever its lines look like.
OTHER_SUFFIXES = {
    ".ann", ".arrow", ".bz2", ".cfg", ".csv", ".gz", ".html", ".ipynb", ".json", ".jsonl", ".lock", ".md", ".parquet",
    ".partial", ".pdf", ".png", ".py", ".rst", ".safetensors", ".sh", ".spacy", ".toml", ".xml", ".yaml", ".yml", ".zip",
}  # fmt: skip
SHARD = re.compile(r"(.*?)[-_.]?(\d+)(?:-of-(\d+))?")
HEAD = 50_000  # bytes that are looked at to tell whether a file has columns


def _role(name: str, exact: bool) -> str | None:
    """The split that a file's name (without its suffix) stands for.

    Exactly named are ``train``, ``eng.train`` and ``train.conll`` (of ``train.conll.txt``); otherwise one part of the name
    says it, as in ``NER-de-train`` or ``wnut17train``. Names of two splits, such as ``train_dev``, stand for none.
    """
    parts = [part for part in re.split(r"[^a-z]+", name.lower()) if part]
    if exact:
        extras = {suffix[1:] for suffix in COLUMN_SUFFIXES} | {"conll", "txt"}
        parts = [part for part in parts if part not in extras]
        if len(parts) == 2 and re.fullmatch(r"[a-z]{3}", parts[0]) and re.fullmatch(r"train|test[ab]", parts[1]):
            parts = parts[1:]
        return SPLIT_OF.get(parts[0]) if len(parts) == 1 else None
    roles = {SPLIT_OF[part] for part in parts if part in SPLIT_OF}
    if not roles:
        glued = (re.search(r"(train|dev|(?<!la)(?<!con)(?<!pro)test)$", part) for part in parts)
        roles = {SPLIT_OF[match[1]] for match in glued if match}
    return roles.pop() if len(roles) == 1 else None


def _readable(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and not path.name.endswith(("~", ".partial"))


def _stem(path: Path) -> str:
    """The name without a suffix that says what the file is: the last part of ``eng.train`` says which one it is."""
    return path.stem if path.suffix in COLUMN_SUFFIXES | OTHER_SUFFIXES | {".txt"} else path.name


def looks_like_columns(path: Path) -> bool:
    """True if half of the first lines have an NER label in the same column, or if the file is in another encoding."""
    try:
        check_encoding(path)
    except ConllError:
        return True
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith((NEW_DOCUMENT[0].encode(), WEBANNO.encode())):
        return True  # no file of these has a label such as B-X
    lines = head.decode("utf-8", errors="replace").replace("\r", "\n").split("\n")
    rows = [cells for cells in (cells_of(line, tabs=False) for line in lines[:2000]) if len(cells) > 1]
    counts: dict[int, int] = {}
    for cells in rows:
        for place in {0, *(i - len(cells) for i, cell in enumerate(cells) if i)}:  # the first, or counted from the end
            counts[place] = counts.get(place, 0) + bool(LABEL.fullmatch(cells[place]))
    return bool(rows) and max(counts.values()) * 2 >= len(rows)


def is_conll_2003(path: Path) -> bool:
    """True for a file that is named as in the original distribution of CoNLL-2003 (``eng.train``), which is in IOB1."""
    return path.name.startswith("eng.")


def open_sentences(path: Path, *, convert_iob1: bool = False, convert: bool = False, columns=None) -> SentenceReader:
    """The reader of one column file, as every part of the package reads it. Options and errors as in ``read_conll``."""
    return SentenceReader(path, convert_iob1=convert_iob1 or is_conll_2003(path), convert=convert, columns=columns)


def column_files(folder: Path) -> list[Path]:
    """The files of a folder that hold words and labels in columns: by suffix, by name, or by what their first lines hold."""
    return sorted(path for path in folder.iterdir() if _readable(path) and _is_column_file(path))


def _is_column_file(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in OTHER_SUFFIXES:
        return False
    if suffix in COLUMN_SUFFIXES or ORIGINAL.fullmatch(path.name):
        return True
    return _role(_stem(path), exact=True) is not None or looks_like_columns(path)


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files of a folder, of ``data`` in it, and of a folder in it for each split."""
    places = [folder, folder / "data", *(folder / name for name in SPLIT_OF)]
    return [path for place in places if place.is_dir() for path in sorted(place.glob("*.parquet")) if _readable(path)]


def _sources(folder: Path) -> dict[str, dict[tuple, list[Path]]]:
    """For each split its candidates: (how exactly it is named, where, kind) -> files."""
    found: dict[str, dict[tuple, list[Path]]] = {split: {} for split in SPLITS}
    for path in column_files(folder):
        for rank, exact in enumerate((True, False)):
            role = _role(_stem(path), exact)
            if role:
                found[role].setdefault((rank, path.name), []).append(path)
                break
    for path in parquet_files(folder):
        if path.parent.name in SPLIT_OF and path.parent != folder:
            found[SPLIT_OF[path.parent.name]].setdefault((0, path.parent.name + "/"), []).append(path)
            continue
        shard = SHARD.fullmatch(path.stem)
        stem = shard[1] if shard else path.stem
        for rank, exact in enumerate((True, False)):
            role = _role(stem, exact)
            if role:
                parts = f"{path.parent.name}/{stem}-*.parquet" if shard else path.name
                found[role].setdefault((rank, parts), []).append(path)
                break
    return found


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split in ``folder``: one column file, or one parquet file or set of shards.

    A file that is named exactly for its split (``train.conll``, ``dev.txt``, ``eng.testa``) comes before one whose name
    only holds the split (``NER-de-train.tsv``).

    Raises:
        FileNotFoundError: a split is missing.
        ValueError: a split has several files of equal rank, or lacks a shard.
    """
    chosen: dict[str, list[Path]] = {}
    for split, candidates in _sources(folder).items():
        best = min((key[0] for key in candidates), default=0)
        ranked = {key: paths for key, paths in candidates.items() if key[0] == best}
        if len(ranked) > 1:
            names = ", ".join(str(path.relative_to(folder)) for paths in ranked.values() for path in paths)
            raise ValueError(
                f"{folder}: several files could be the {split} split ({names}); leave one of them in the folder"
            )
        for paths in ranked.values():
            _check_shards(folder, split, paths)
            chosen[split] = paths
    missing = [split for split in SPLITS if split not in chosen]
    if missing:
        raise FileNotFoundError(_nothing_for(folder, missing))
    return {split: chosen[split] for split in SPLITS}


def _check_shards(folder: Path, split: str, paths: list[Path]) -> None:
    totals = {int(match[3]) for path in paths if (match := SHARD.fullmatch(path.stem)) and match[3]}
    if totals and (len(totals) > 1 or len(paths) != max(totals)):
        raise ValueError(
            f"{folder}: the {split} split has {len(paths)} parquet files where their names speak of {max(totals)}; "
            "copy the missing ones, or delete those of another version"
        )


def _nothing_for(folder: Path, missing: list[str]) -> str:
    others = sorted(path.name for path in folder.iterdir() if _readable(path))
    shown = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
    message = (
        f"{folder}: no file for {', '.join(missing)}; name the files train, validation and test, with the suffix .conll, .txt "
        "or .parquet (or as the original distribution does: eng.train, eng.testa, eng.testb)"
    )
    if not others:
        return message
    if any(name.endswith(".csv") for name in others):
        message += "; a .csv file is not read: part its columns by tabs and call it .tsv"
    return (
        f"{message}; the folder holds {shown}; to split files by document into a new folder: "
        "python -m ner_tutorial import FILE… --output NEWFOLDER"
    )
