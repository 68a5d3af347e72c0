"""Write the maintenance reports as an annotation tool exports them: `python corpus/maintenance/build.py`.

`reports.txt` holds sixty reports, a sentence a line, with entities as `[words|TYPE]`. The export is JSON lines in the form
of doccano: one report a line, `label` with character offsets. A few flaws are planted on purpose, of the kinds that real
exports carry; chapter 9 finds and decides them.
"""

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPORT = HERE.parents[1] / "ner_tutorial" / "data" / "maintenance" / "export.jsonl"
ENTITY = re.compile(r"\[([^|\]]+)\|([A-Z]+)\]")

# (report, words, first character within them, length, type): one more span, beside the right ones.
PLANTED = [
    ("M-004", "soot and", 0, 5, "FAULT"),  # takes the space behind the word along
    ("M-009", "the strain", 3, 1, "PART"),  # nothing but a space
    ("M-013", "suction cups", 0, 11, "PART"),  # leaves out the last letter of a word
    ("M-016", "float switch", 0, 12, "UNIT"),  # the same words with another type
    ("M-018", "oil cooler", 0, 10, "PART"),  # the same span twice
    ("M-022", "print head", 6, 4, "PART"),  # inside a longer one
    ("M-026", "broken and touched the frame.\nElement", 0, 37, "FAULT"),  # runs on into the next sentence
    ("M-034", "gears", 0, 3, "PART"),  # cuts a word that has no other label
    ("M-037", "ring clearance", 0, 14, "FAULT"),  # crosses another span
    ("M-060", "at eight bar.", 3, 900, "FAULT"),  # ends behind the text
]


def reports() -> list[tuple[str, str, list[list]]]:
    """(name, text, spans) of each report; the sentences of the text are its lines."""
    found = []
    for block in (HERE / "reports.txt").read_text(encoding="utf-8").strip().split("\n\n"):
        name, *lines = block.split("\n")
        text, spans = "", []
        for line in lines:
            text += "\n" if text else ""
            position = 0
            for match in ENTITY.finditer(line):
                text += line[position : match.start()]
                spans.append([len(text), len(text) + len(match[1]), match[2]])
                text += match[1]
                position = match.end()
            text += line[position:]
        found.append((name.removeprefix("# "), text, spans))
    return found


def export() -> list[dict]:
    rows = []
    for number, (name, text, spans) in enumerate(reports(), 1):
        for report, words, first, length, kind in PLANTED:
            if report == name:
                start = text.index(words) + first
                spans = [*spans, [start, start + length, kind]]
        rows.append({"id": number, "text": text, "label": sorted(spans), "report": name})
    return rows


def main() -> None:
    EXPORT.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in export()]
    EXPORT.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
