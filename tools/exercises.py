"""Write the exercises of the package into the chapters: `python tools/exercises.py [--check] [NOTEBOOK ...]`.

An exercise stands once, in `ner_tutorial/exercises/`. This tool makes the section "Exercises" of a chapter from it: the
statements, the unsolved cells with the line that they print, hints and solutions (closed). The cells of the section are
known by their ids, which begin with `exercise`; a chapter without any gets the section before its recall questions.
With `--check` nothing is written, and the exit status is 1 if a page and the package differ.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ner_tutorial.exercises import CHAPTERS, exercises_of  # noqa: E402
from ner_tutorial.exercises.engine import OPEN, Exercise  # noqa: E402

INTRODUCTION = """\
## Exercises

Change the cell of an exercise and run it. `check` looks at your answer, tries a function on hidden cases, and says what
it finds. If it speaks of "error 11", that is the number in [the list of errors](appendix_errata.ipynb). A hint and the
solution are below each cell."""


def closed(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def cells_of_exercise(exercise: Exercise) -> list:
    name = f"exercise-{exercise.number.replace('.', '-')}"
    solution = f"```python\n{exercise.cell(exercise.solution)}\n```"
    return [
        new_markdown_cell(
            f"### Exercise {exercise.number}: {exercise.title}\n\n{exercise.statement}", id=f"{name}-text"
        ),
        printing_cell(exercise.cell(exercise.start), f"{exercise.number}: {OPEN}\n", f"{name}-cell"),
        new_markdown_cell(f"{closed('Hint', exercise.hint)}\n\n{closed('Solution', solution)}", id=f"{name}-solution"),
    ]


def printing_cell(source: str, printed: str, name: str):
    outputs = [new_output("stream", name="stdout", text=printed)] if printed else []
    return new_code_cell(source, outputs=outputs, id=name)


def section(chapter: int) -> list:
    """The cells of a chapter's section "Exercises"."""
    exercises = exercises_of(chapter)
    rows = [f"{exercise.number:9} {0:5}  {OPEN}\n" for exercise in exercises]
    table = f"{'exercise':9} {'tries':>5}  state\n{''.join(rows)}0 of {len(rows)} right\n"
    name = f"exercises-{chapter:02}"
    return [
        new_markdown_cell(INTRODUCTION, id=f"{name}-introduction"),
        printing_cell("from ner_tutorial.exercises import check, progress", "", f"{name}-import"),
        *(cell for exercise in exercises for cell in cells_of_exercise(exercise)),
        printing_cell("progress()", table, f"{name}-progress"),
    ]


def is_ours(cell) -> bool:
    return cell.get("id", "").startswith("exercise")


def without_other_section(cells: list) -> list:
    """The cells without a section "Exercises" that was written by hand; its recall questions stay."""
    for cell in cells:
        if cell.cell_type == "markdown" and not is_ours(cell):
            text = re.sub(r"^## Exercises\n.*?(?=^#+ Recall|^## |\Z)", "", cell.source, flags=re.MULTILINE | re.DOTALL)
            if text != cell.source:
                cell.source = text.strip()
    return [cell for cell in cells if cell.source or cell.cell_type != "markdown"]


def place_of_section(cells: list) -> int:
    """Where the section begins. A cell that holds the heading of the recall questions and more is cut before it."""
    for index, cell in enumerate(cells):
        if is_ours(cell):
            return index
    for index, cell in enumerate(cells):
        heading = (
            re.search(r"^#+ Recall questions", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        )
        if heading:
            before, cell.source = cell.source[: heading.start()].rstrip(), cell.source[heading.start() :]
            if before:
                cells.insert(index, new_markdown_cell(before, id=f"{cell.id[:50]}-before"))
            return index + bool(before)
    raise SystemExit('the chapter has neither exercises nor a heading "Recall questions"')


def with_exercises(notebook, chapter: int):
    """The notebook with its section as the package has it, and all code cells counted anew."""
    notebook.cells = without_other_section(notebook.cells)
    place = place_of_section(notebook.cells)
    rest = [cell for cell in notebook.cells if not is_ours(cell)]
    notebook.cells = [*rest[:place], *section(chapter), *rest[place:]]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return notebook


def chapter_of(path: Path) -> int | None:
    number = re.match(r"\d\d", path.name)
    return int(number[0]) if number and int(number[0]) in CHAPTERS else None


def main(arguments: list[str]) -> int:
    only_check = "--check" in arguments
    names = [Path(name) for name in arguments if name != "--check"]
    differ = False
    for path in names or sorted((ROOT / "book").glob("[0-9]*.ipynb")):
        chapter = chapter_of(path)
        if chapter is None:
            print(f"{path.name}: not a chapter with exercises", file=sys.stderr)
            return 2
        notebook = with_exercises(nbformat.read(path, as_version=4), chapter)
        if notebook == nbformat.read(path, as_version=4):
            continue
        differ = True
        print(f"{path.name}: {'differs from the package' if only_check else 'written'}")
        if not only_check:
            nbformat.write(notebook, path)
    return 1 if only_check and differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
