"""Each exercise: its solution is right, its cell as the page has it is open, and typical wrong answers are told why."""

import ast
import contextlib
import importlib.util
import io
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ner_tutorial import exercises
from ner_tutorial.exercises.engine import OPEN, RIGHT, WRONG, Exercise, judge

ROOT = Path(__file__).resolve().parent.parent
EVERY = [exercise for chapter in exercises.CHAPTERS for exercise in exercises.exercises_of(chapter)]
each_exercise = pytest.mark.parametrize("exercise", EVERY, ids=lambda exercise: exercise.number)


def load_tool():
    spec = importlib.util.spec_from_file_location("tools_exercises", ROOT / "tools" / "exercises.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_cell(code: str, exercise: Exercise) -> tuple[object, str]:
    """Run the code of a cell as a notebook does. Returns the answer that it made, and what it printed."""
    namespace = {"check": exercises.check}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for statement in ast.parse(code).body:  # each by itself, which can give other bytecode than the whole
            exec(compile(ast.Module([statement], []), "cell", "exec"), namespace)
    return namespace[exercise.name], printed.getvalue()


def test_there_are_as_many_exercises_as_the_book_promises():
    for chapter in exercises.CHAPTERS:
        numbers = [exercise.number for exercise in exercises.exercises_of(chapter)]
        assert numbers == [f"{chapter:02}.{place}" for place in range(1, len(numbers) + 1)]
        assert len(numbers) >= (4 if chapter <= 7 else 2)


@each_exercise
def test_the_solution_is_right(exercise):
    answer, printed = run_cell(exercise.cell(exercise.solution), exercise)
    assert judge(exercise, answer).state == RIGHT
    assert printed.startswith(f"{exercise.number}: right.")


@each_exercise
def test_the_unsolved_cell_says_one_quiet_line(exercise):
    answer, printed = run_cell(exercise.cell(exercise.start), exercise)
    assert printed == f"{exercise.number}: not answered yet\n"
    assert judge(exercise, None).state == judge(exercise, ...).state == judge(exercise, answer).state == OPEN


@each_exercise
def test_three_typical_mistakes_are_told_apart(exercise):
    answers = [judge(exercise, mistake.wrong) for mistake in exercise.mistakes]
    assert len(answers) >= 3
    for mistake, verdict in zip(exercise.mistakes, answers, strict=True):
        assert verdict.state == WRONG, mistake.text
        assert " ".join(verdict.text.split()).endswith(mistake.text), verdict.text
    assert len({mistake.text for mistake in exercise.mistakes}) == len(answers)


@each_exercise
def test_other_wrong_answers_get_a_sentence_and_no_solution(exercise):
    if exercise.cases:
        verdict = judge(exercise, lambda *args: "something else")
        assert "Expected: " in verdict.text or "cannot be read" in verdict.text
    else:
        verdict = judge(exercise, ["something else"])
        assert "should" in verdict.text or "entry" in verdict.text
    assert verdict.state == WRONG


@each_exercise
def test_the_texts_are_complete_and_fit_a_page(exercise):
    assert exercise.title
    assert exercise.hint.endswith(".") or exercise.hint.endswith("?") or exercise.hint.endswith(")")
    for code in (exercise.start, exercise.solution):
        assert all(len(line) <= 88 for line in code.splitlines())
    for line in exercise.statement.splitlines():
        assert len(line) <= 120


def test_the_code_of_cells_and_solutions_is_written_as_the_book_writes_code(tmp_path):
    (tmp_path / "ruff.toml").write_text((ROOT / "book" / "ruff.toml").read_text().replace("../", f"{ROOT}/"))
    for exercise in EVERY:
        for kind in ("start", "solution"):
            code = exercise.cell(getattr(exercise, kind)) + "\n"
            (tmp_path / f"{kind}_{exercise.number.replace('.', '_')}.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--diff", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_tool_puts_the_section_before_the_recall_questions_and_counts_the_cells(tmp_path):
    tool = load_tool()
    last = "## What to remember\n\nWords.\n\n## Exercises\n\n**1.** By hand.\n\n## Recall questions\n\n**1.** Why?\n\n## What next\n\nMore."
    cells = [new_code_cell("1 + 1", execution_count=1, id="first"), new_markdown_cell(last, id="last")]
    path = tmp_path / "02_page.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    assert tool.main(["--check", str(path)]) == 1
    assert tool.main([str(path)]) == 0
    assert tool.main(["--check", str(path)]) == 0
    page = nbformat.read(path, as_version=4)
    nbformat.validate(page)
    assert page.cells[1].source == "## What to remember\n\nWords."
    assert page.cells[-1].source.startswith("## Recall questions")
    assert [cell.id for cell in page.cells[2:-1]] == [cell.id for cell in tool.section(2)]
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))

    code[3].source = "answer = 1"
    nbformat.write(page, path)
    assert tool.main(["--check", str(path)]) == 1, "a cell that someone changed by hand"


@pytest.mark.parametrize("chapter", exercises.CHAPTERS)
def test_the_tool_writes_what_the_cells_print(chapter, monkeypatch):
    monkeypatch.setattr(exercises, "_session", {})
    space = {}
    for cell in load_tool().section(chapter):
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(cell.source, space)
            assert printed.getvalue() == "".join(output.text for output in cell.outputs)


PAGES = sorted((ROOT / "book").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page_and_package_have_the_same_exercises(path):
    assert load_tool().main(["--check", str(path)]) == 0, "run tools/exercises.py"
