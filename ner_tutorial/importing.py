"""From files of annotations to a corpus in three splits: the command ``import``.

Taught in chapter 9.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ner_tutorial.annotation_files import read_annotations
from ner_tutorial.annotation_formats import AnnotatedText, Span
from ner_tutorial.annotations import Problem, label_spans, offset_unit
from ner_tutorial.conll import ConllError, Sentence, write_conll
from ner_tutorial.corpus_files import OTHER_SUFFIXES, looks_like_columns, open_sentences
from ner_tutorial.files import new_folder
from ner_tutorial.labels import entity_spans
from ner_tutorial.lines import DOCSTART, cells_of, rows_of

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass
class Imported:
    """What ``import_files`` made of the files."""

    documents: dict[str, list[Sentence]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    kept: int = 0
    dropped: int = 0
    notes: list[str] = field(default_factory=list)

    def table(self, at_most: int = 20) -> str:
        """What was kept and dropped, by kind, with the first problems of each kind."""
        counts = Counter((p.kind, p.done.partition(";")[0].partition(" to ")[0]) for p in self.problems)
        width = max((len(kind) for kind, _ in counts), default=0)
        lines = [*self.notes, f"{self.kept + self.dropped} spans: {self.kept} kept, {self.dropped} dropped"]
        lines += [f"  {kind.ljust(width)}  {count:6}  {done}" for (kind, done), count in sorted(counts.items())]
        for kind in sorted({problem.kind for problem in self.problems}):
            own = [problem for problem in self.problems if problem.kind == kind]
            lines += ["", f"{kind}:", *(f"  {problem}" for problem in own[:at_most])]
            lines += [f"  … and {len(own) - at_most} more"] * (len(own) > at_most)
        return "\n".join(lines)


def import_files(
    paths: Sequence[str | Path],
    cut: Callable[[str], list[tuple[int, int]]] | None = None,
    *,
    format: str = "auto",
    offsets: str = "auto",
    reading: Mapping | None = None,
) -> Imported:
    """Read files of annotations, or column files, into sentences by document.

    Args:
        paths: files or brat folders.
        cut: how the encoder's words are cut; see ``label_spans``.
        format: as for ``read_annotations``, or ``columns``, or ``characters``: a column file whose rows are characters.
        offsets: as for ``label_spans``, or ``auto``: the unit that fits the most spans (``offset_unit``).
        reading: options of ``read_conll`` for column files.

    Raises:
        AnnotationError, ConllError, FileNotFoundError: a file cannot be used; the message says why.
    """
    result = Imported()
    for path in map(Path, paths):
        columns = format == "columns" or (format == "auto" and _has_columns(path))
        if columns:
            try:
                _add_columns(result, path, dict(reading or {}))
                continue
            except ConllError as error:
                if format != "auto" or "each row is a character" not in str(error):
                    raise
        if columns or format == "characters":
            _add_texts(result, character_rows(path), cut, "characters", path.name)
            result.notes.append(f"{path.name}: the rows are characters; they were put together and cut into words")
            continue
        annotations = read_annotations(path, format)
        result.notes.append(f"{path.name}: {annotations.format}, {len(annotations.texts)} texts")
        result.notes += [f"{path.name}: {note}" for note in annotations.notes]
        _add_texts(result, annotations.texts, cut, offsets, path.name)
    return result


def _has_columns(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() not in OTHER_SUFFIXES and looks_like_columns(path)


def _add_columns(result: Imported, path: Path, reading: dict) -> None:
    reader = open_sentences(path, **reading)
    rows = list(reader)
    for row in rows:
        result.documents.setdefault(f"{path} {row.document:09}", []).append(row)
    result.kept += sum(len(entity_spans(row.ner_tags)) for row in rows)
    result.notes += reader.notes


def _add_texts(result: Imported, texts: Sequence[AnnotatedText], cut, offsets: str, name: str) -> None:
    unit = offset_unit(texts) if offsets == "auto" else offsets
    if unit != "characters":
        result.notes.append(f"{name}: offsets count {unit}")
    for row in texts:
        labelled = label_spans(row.text, row.spans, offsets=unit, cut=cut, where=row.where)
        result.documents.setdefault(row.document, []).extend(labelled.sentences())
        result.problems += labelled.problems
        result.kept += labelled.kept
        result.dropped += labelled.dropped


def character_rows(path: Path) -> list[AnnotatedText]:
    """The sentences of a column file whose rows are characters and their labels; a row with an empty word is a space."""
    texts: list[AnnotatedText] = []
    rows: list[list[str]] = []
    first = document = 0
    for number, line, comment in [*rows_of(path), (0, "", False)]:
        if line in ("", DOCSTART):
            if rows:
                text = "".join(cells[0] or " " for cells in rows)
                starts = [0]
                for cells in rows:
                    starts.append(starts[-1] + len(cells[0] or " "))
                spans = [Span(starts[a], starts[b], kind) for kind, a, b in entity_spans([cells[-1] for cells in rows])]
                where = f"{path}, line {first}"
                texts.append(AnnotatedText(text, spans, f"{path} {document:09}" if document else where, where))
            rows, first = [], 0
            document += line == DOCSTART
        elif not comment or len(cells_of(line, tabs=True)[0]) == 1:
            rows.append(cells_of(line, tabs=True))
            first = first or number
    return texts


def write_corpus(
    folder: str | Path,
    documents: Mapping[str, Sequence[Sentence]],
    *,
    split_by: str = "document",
    seed: int = 13,
    shares: Mapping[str, float] | None = None,
) -> dict[str, int]:
    """Write documents as ``train.conll``, ``validation.conll`` and ``test.conll`` into a new folder.

    Args:
        folder: a folder that does not exist yet, or an empty one.
        documents: the name of each document and its sentences.
        split_by: ``document`` keeps each document in one split, so that the test split measures texts that are new to the
            model; ``sentence`` deals sentences out one by one, where there are too few documents.
        seed: of the random order; the same seed gives the same splits.
        shares: how large each split should be, by its number of sentences. Default: 0.8, 0.1, 0.1.

    Returns:
        The number of sentences of each split.

    Raises:
        ValueError: there are fewer than three documents (or sentences), or ``split_by`` is unknown.
        FileExistsError: ``folder`` holds something already.
    """
    folder, shares = Path(folder).expanduser(), dict(shares or SHARES)
    if split_by not in ("document", "sentence"):
        raise ValueError(f"unknown split_by {split_by!r}; choose document or sentence")
    units = [list(rows) for _, rows in sorted(documents.items()) if rows]
    if split_by == "sentence":
        units = [[row] for rows in units for row in rows]
    if len(units) < len(shares):
        remedy = (
            "; split by sentence (split_by='sentence', command line: --split-by sentence)"
            if split_by == "document"
            else ""
        )
        raise ValueError(f"{len(units)} {split_by}s cannot fill {len(shares)} splits{remedy}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists already; name a new folder")
    random.Random(seed).shuffle(units)
    units.sort(key=len, reverse=True)  # stable: the large ones first, so that the small ones fill the gaps
    total = sum(map(len, units))
    splits: dict[str, list[list[Sentence]]] = {split: [] for split in shares}
    for left, unit in zip(range(len(units), 0, -1), units, strict=True):
        empty = [split for split in splits if not splits[split]]
        # The split that lacks most of its share; at the end, one that has nothing yet.
        open_splits = empty if len(empty) >= left else list(splits)
        best = max(open_splits, key=lambda s: shares[s] * total - sum(map(len, splits[s])))
        splits[best].append(unit)
    if folder.is_dir():
        folder.rmdir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(folder) as partial:
        for split, chosen in splits.items():
            rows = [
                Sentence(row.tokens, row.pos_tags, row.chunk_tags, row.ner_tags, number)
                for number, unit in enumerate(chosen, 1)
                for row in unit
            ]
            write_conll(partial / f"{split}.conll", rows)
    return {split: sum(map(len, chosen)) for split, chosen in splits.items()}
