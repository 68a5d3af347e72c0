"""The records that annotation tools export, each as a text with spans.

Taught in chapter 9. Each reader is a few lines, because each tool writes the same three things under other names: a text,
where a span begins and ends, and its type.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

DOCUMENT_KEYS = ("document_id", "doc_id", "document", "doc", "doc_idx", "filename", "file_name")
"""Fields that name the document of a text, in the record itself or in its ``meta`` or ``data``."""


@dataclass(frozen=True)
class Span:
    """A span as the tool recorded it: ``start`` and ``end`` count in the tool's own unit, ``end`` is one past the last."""

    start: int
    end: int
    type: str
    text: str | None = None
    """The covered text, if the tool recorded it."""
    parts: int = 1
    """Of how many pieces the span consists; more than one if it is discontinuous."""


@dataclass(frozen=True)
class AnnotatedText:
    text: str
    spans: list[Span]
    document: str
    """The document that the text belongs to; a text that names none is a document of its own."""
    where: str
    """The file and the line or record, for messages."""


Reader = Callable[[object, Counter], tuple[str | None, list[Span]]]
"""From a record to its text (``None``: left out) and spans; what is left out is counted in the ``Counter`` by its reason."""


def _doccano(record, left_out: Counter):
    rows = record.get("label") or record.get("labels") or record.get("entities") or record.get("annotations") or []
    spans = []
    for row in rows:
        if isinstance(row, dict):
            if isinstance(row["label"], int):
                raise ValueError(
                    "the labels are numbers; export them with their names (JSONL in doccano 1.5 and later)"
                )
            spans.append(Span(int(row["start_offset"]), int(row["end_offset"]), str(row["label"])))
        else:
            spans.append(Span(int(row[0]), int(row[1]), str(row[2])))
    return record["text"], spans


def _label_studio_spans(results: Iterable[dict], left_out: Counter) -> list[Span]:
    spans = []
    for result in results:
        value = result.get("value", result)
        labels = value.get("labels")
        if not labels or "start" not in value:
            left_out["results that mark no span of text, such as relations and choices"] += 1
            continue
        # A span may have several labels: each is a span of its own here, and all but one will be a problem.
        spans += [Span(int(value["start"]), int(value["end"]), str(label), value.get("text")) for label in labels]
    return spans


def _label_studio(record, left_out: Counter):
    annotations = record.get("annotations", record.get("completions")) or []
    whole = [row for row in annotations if not row.get("was_cancelled") and not row.get("skipped")]
    left_out["annotations that were cancelled"] += len(annotations) - len(whole)
    if not whole:
        left_out["texts without an annotation"] += 1
        return None, []
    left_out["further annotations of the same text"] += len(whole) - 1
    return _text_of(record["data"]), _label_studio_spans(whole[0].get("result", []), left_out)


def _label_studio_min(record, left_out: Counter):
    return _text_of(record), _label_studio_spans(marked_spans(record), left_out)


def marked_spans(record: dict) -> list[dict]:
    """The spans of a record of JSON-MIN. They stand under the name that the labelling interface gives them."""
    for value in record.values():
        if isinstance(value, list) and value and isinstance(value[0], dict) and {"start", "labels"} <= set(value[0]):
            return value
    return []


def _text_of(data: dict) -> str:
    """The text of a task: the field ``text``, or the only one that holds a long text."""
    if "text" in data:
        return data["text"]
    texts = [
        value for key, value in data.items() if isinstance(value, str) and key not in DOCUMENT_KEYS and " " in value
    ]
    if len(texts) != 1:
        raise ValueError(f"no field text among {', '.join(data)}")
    return texts[0]


def _prodigy(record, left_out: Counter):
    answer = record.get("answer", "accept")
    if answer != "accept":
        left_out[f"texts that were answered with {answer}"] += 1
        return None, []
    text = record["text"]
    spans = [Span(int(s["start"]), int(s["end"]), str(s["label"]), s.get("text")) for s in record.get("spans") or []]
    return text, spans


def _spacy(record, left_out: Counter):
    text, rows = (
        (record["text"], record["entities"]) if isinstance(record, dict) else (record[0], record[1]["entities"])
    )
    return text, [
        Span(int(row["start"]), int(row["end"]), str(row["label"]), row.get("text"))
        if isinstance(row, dict)
        else Span(int(row[0]), int(row[1]), str(row[2]))
        for row in rows
    ]


def _ubiai(record, left_out: Counter):
    rows = record["tokens"]
    return record["document"], [
        Span(int(r["start"]), int(r["end"]), str(r["entityLabel"]), r.get("text")) for r in rows
    ]


def _lighttag(record, left_out: Counter):
    rows = record.get("annotations") or []
    return record["content"], [Span(int(r["start"]), int(r["end"]), str(r["tag"]), r.get("value")) for r in rows]


READERS: dict[str, Reader] = {
    "doccano": _doccano,
    "label-studio": _label_studio,
    "label-studio-min": _label_studio_min,
    "prodigy": _prodigy,
    "spacy": _spacy,
    "ubiai": _ubiai,
    "lighttag": _lighttag,
}
