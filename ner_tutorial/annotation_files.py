"""The files that annotation tools export: doccano, Label Studio, Prodigy, spaCy, UBIAI, LightTag and brat.

Taught in chapter 9. ``annotation_formats`` reads a record; here a file's form is recognised, and what cannot be used is
left out and counted, or refused with the reason.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ner_tutorial.annotation_formats import DOCUMENT_KEYS, READERS, AnnotatedText, Span, marked_spans
from ner_tutorial.lines import WEBANNO, WEBANNO_REMEDY, check_encoding, numbered_lines, quoted

BRAT = (".ann", ".a1", ".a2")
"""Brat's files of annotations; the tasks of BioNLP keep given ones and those to be found apart."""


@dataclass
class Annotations:
    """What ``read_annotations`` found."""

    texts: list[AnnotatedText] = field(default_factory=list)
    format: str = ""
    left_out: Counter = field(default_factory=Counter)
    """Why whole texts or annotations were left out -> how many."""

    @property
    def notes(self) -> list[str]:
        return [f"left out: {count} {reason}" for reason, count in sorted(self.left_out.items())]


class AnnotationError(ValueError):
    """An export that cannot be used. The message names the file, the record and what to do."""


def read_annotations(path: str | Path, format: str = "auto") -> Annotations:
    """Read what an annotation tool exported.

    Args:
        path: a JSON or JSON lines file, or a folder of brat's (``.txt`` and ``.ann`` files of the same names).
        format: ``doccano``, ``label-studio``, ``label-studio-min``, ``prodigy``, ``spacy``, ``ubiai``, ``lighttag``,
            ``brat``; or ``auto``, which recognises them by their fields.

    Raises:
        AnnotationError: the format is not recognised, a record lacks a text or a span's place, or only some spans of
            each text were judged (a binary Prodigy session), so that the rest is unknown.
        FileNotFoundError: there is no such file or folder.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no annotations at {path}")
    if path.is_dir() or path.suffix in BRAT:
        if format not in ("auto", "brat"):
            raise AnnotationError(f"{path} is in brat's form, not {format}'s")
        return _read_brat(path)
    if path.suffix == ".spacy":
        raise AnnotationError(
            f"{path} is spaCy's binary DocBin; write its documents as JSON lines with text and spans: "
            '{"text": doc.text, "entities": [[e.start_char, e.end_char, e.label_] for e in doc.ents]}'
        )
    records = list(_records(path))
    if not records:
        raise AnnotationError(f"{path}: the file holds no record")
    name = _recognised(path, records) if format == "auto" else format
    if name not in READERS:
        raise AnnotationError(f"unknown format {format!r}; choose auto, brat or one of {', '.join(READERS)}")
    found = Annotations(format=name)
    if name == "prodigy":
        _refuse_binary_session(path, records)
    seen: dict[str, AnnotatedText] = {}
    for where, record in records:
        try:
            text, spans = READERS[name](record, found.left_out)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise AnnotationError(
                f"{where}: this is no record of {name}'s ({type(error).__name__}: {error}); give the format if it is another"
            ) from error
        if text is None:
            continue
        if not isinstance(text, str):
            raise AnnotationError(f"{where}: the text is {quoted(repr(text))}, not a text")
        if any("\ud800" <= character <= "\udfff" for character in text):
            found.left_out["texts with half a character in them (a lone surrogate), which no file can hold"] += 1
            continue
        new = AnnotatedText(text, spans, _document(record) or where, where)
        if text in seen:
            same = sorted(map(_key, seen[text].spans)) == sorted(map(_key, spans))
            reason = "texts that occur again with the same spans" if same else "texts that occur again with other spans"
            found.left_out[reason] += 1
            continue
        seen[text] = new
        found.texts.append(new)
    return found


def _key(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.type


def _records(path: Path) -> Iterator[tuple[str, object]]:
    """(place, record) of a JSON or JSON lines file."""
    check_encoding(path)
    with path.open("rb") as file:
        if file.read(len(WEBANNO) + 3).lstrip(b"\xef\xbb\xbf").startswith(WEBANNO.encode()):
            raise AnnotationError(f"{path} is WebAnno's TSV; {WEBANNO_REMEDY}")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        list(numbered_lines(path))  # raises, with the line and the remedy
        raise
    except json.JSONDecodeError:
        for number, line in numbered_lines(path):
            if line.strip():
                try:
                    yield f"{path}, line {number}", json.loads(line)
                except json.JSONDecodeError as error:
                    raise AnnotationError(f"{path}, line {number}: no JSON ({error.msg}): {quoted(line)}") from None
        return
    if isinstance(content, dict):
        content = content.get("examples") if isinstance(content.get("examples"), list) else [content]
    if isinstance(content, list) and len(content) == 2 and isinstance(content[0], str):
        content = [content]  # one line of spaCy's (text, annotations)
    if not isinstance(content, list):
        raise AnnotationError(f"{path}: expected a list of records, got {quoted(repr(content))}")
    for number, record in enumerate(content, 1):
        yield f"{path}, record {number}", record


def _document(record) -> str | None:
    if not isinstance(record, dict):
        return None
    for place in (record, record.get("meta"), record.get("data")):
        for key in DOCUMENT_KEYS if isinstance(place, dict) else ():
            # UBIAI calls the text itself "document".
            if isinstance(place.get(key), str | int) and not (key == "document" and "tokens" in place):
                return str(place[key])
    return None


def _recognised(path: Path, records: list[tuple[str, object]]) -> str:
    first = next((record for _, record in records if record), None)
    if isinstance(first, list) and len(first) == 2 and isinstance(first[1], dict):
        return "spacy"
    if isinstance(first, dict):
        keys = set(first)
        if "data" in keys and keys & {"annotations", "completions"}:
            return "label-studio"
        if "content" in keys and "annotations" in keys:
            return "lighttag"
        if "document" in keys and "tokens" in keys:
            return "ubiai"
        if keys & {"spans", "answer"} and "text" in keys:
            return "prodigy"
        if any(marked_spans(record) for _, record in records if isinstance(record, dict)):
            return "label-studio-min"
        if "text" in keys and keys & {"label", "labels", "entities", "annotations"}:
            entities = next((r["entities"] for _, r in records if isinstance(r, dict) and r.get("entities")), None)
            spacy = isinstance(entities, list) and (isinstance(entities[0], list) or "start" in entities[0])
            return "spacy" if spacy else "doccano"
        if "annotation_id" in keys or "annotator" in keys:  # JSON-MIN leaves label out where nothing was marked
            return "label-studio-min"
    shown = (
        f"its fields are {', '.join(first)}"
        if isinstance(first, dict)
        else f"its first record is {quoted(repr(first))}"
    )
    raise AnnotationError(f"{path}: not the export of a known tool ({shown}); known: {', '.join(READERS)}, brat")


def _refuse_binary_session(path: Path, records: list[tuple[str, object]]) -> None:
    rows = [record for _, record in records if isinstance(record, dict)]
    judged = [row for row in rows if row.get("_view_id") == "ner"]
    one_each = any("answer" in row for row in rows) and all(
        "tokens" not in row and len(row.get("spans") or []) == 1 for row in rows
    )
    if judged or one_each:
        raise AnnotationError(
            f"{path}: a binary session: each answer judges one span of its text, and nothing is known of the others, which "
            "training would take for O; annotate whole texts (ner.manual or ner.correct) and export those"
        )


def _read_brat(path: Path) -> Annotations:
    files = sorted(p for suffix in BRAT for p in path.rglob(f"*{suffix}")) if path.is_dir() else [path]
    if not files:
        raise AnnotationError(f"{path}: no .ann file in the folder; name a folder of brat's, or a JSON file")
    found = Annotations(format="brat")
    by_text: dict[Path, list[Path]] = {}
    for file in files:
        by_text.setdefault(file.with_suffix(".txt"), []).append(file)
    for source, parts in by_text.items():
        if not source.is_file():
            raise AnnotationError(f"{parts[0]}: its text {source.name} is missing")
        check_encoding(source)
        with source.open(encoding="utf-8", newline="") as stream:  # brat counts \r\n as two
            text = stream.read()
        spans = [span for file in parts for span in _brat_spans(file, found.left_out)]
        name = source.relative_to(path) if path.is_dir() else Path(source.name)
        found.texts.append(AnnotatedText(text, spans, str(name.with_suffix("")), str(parts[0])))
    return found


def _brat_spans(file: Path, left_out: Counter) -> Iterator[Span]:
    for number, line in numbered_lines(file):
        if line[:1] != "T":
            left_out["lines of brat's that mark no span, such as relations, events and notes"] += bool(line.strip())
            continue
        try:
            _, place, covered = [*line.split("\t"), None][:3]
            kind, _, offsets = place.partition(" ")
            pieces = [tuple(map(int, piece.split())) for piece in offsets.split(";")]
            span = Span(pieces[0][0], pieces[-1][1], kind, covered, parts=len(pieces))
        except (ValueError, IndexError):
            raise AnnotationError(f"{file}, line {number}: no span of brat's: {quoted(line)}") from None
        yield span
