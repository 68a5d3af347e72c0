"""Each exercise: its solution is right, its cell as the page has it is open, and typical wrong answers are told why."""

import contextlib
import io

import pytest

from ner_tutorial import exercises
from ner_tutorial.exercises.engine import OPEN, RIGHT, WRONG, Exercise, judge

EVERY = [exercise for chapter in exercises.CHAPTERS for exercise in exercises.exercises_of(chapter)]
each_exercise = pytest.mark.parametrize("exercise", EVERY, ids=lambda exercise: exercise.number)


def run_cell(code: str, exercise: Exercise) -> tuple[object, str]:
    """Run the code of a cell as a notebook does. Returns the answer that it made, and what it printed."""
    namespace = {"check": exercises.check}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "cell", "exec"), namespace)
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
        assert verdict.text.endswith(mistake.text), verdict.text
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
