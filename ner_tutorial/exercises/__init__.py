"""The exercises of the book: ``check`` judges an answer, ``hint`` gives one step, ``progress`` shows this session's.

``check("02.3", my_function)`` prints sentences and returns nothing. It raises nothing, whatever it is given, keeps
nothing but the table of ``progress``, and changes nothing of yours.
"""

from importlib import import_module

from ner_tutorial.exercises.engine import OPEN, Exercise, judge

CHAPTERS = range(1, 11)
_session: dict[str, tuple[int, str]] = {}  # number of an exercise: tries, last state

__all__ = ["CHAPTERS", "check", "exercises_of", "hint", "progress"]


def exercises_of(chapter: int) -> tuple[Exercise, ...]:
    """The exercises of a chapter (1 to 10), in their order."""
    return import_module(f"ner_tutorial.exercises.chapter{chapter:02}").EXERCISES


def check(number: str, answer=None) -> None:
    """Judge the answer to an exercise and print what is to be said about it.

    Args:
        number: of the exercise, such as ``"02.3"``.
        answer: a value or a function, as the exercise asks. ``None``, or the function of the cell as the page has it,
            counts as no answer yet.
    """
    exercise = _exercise(number)
    if isinstance(exercise, str):
        print(exercise)
        return
    verdict = judge(exercise, answer)
    tries, _ = _session.get(exercise.number, (0, OPEN))
    _session[exercise.number] = (tries + (verdict.state != OPEN), verdict.state)
    print(verdict.text)


def hint(number: str) -> None:
    """Print one step towards the answer of an exercise."""
    exercise = _exercise(number)
    print(exercise if isinstance(exercise, str) else f"{exercise.number}: {exercise.hint}")


def progress() -> None:
    """Print a table of the exercises that were checked in this session."""
    if not _session:
        print("No exercise has been checked in this session.")
        return
    print(f"{'exercise':9} {'tries':>5}  state")
    for number, (tries, state) in sorted(_session.items()):
        print(f"{number:9} {tries:5}  {state}")
    solved = sum(state == "right" for _, state in _session.values())
    print(f"{solved} of {len(_session)} right")


def _exercise(number) -> Exercise | str:
    """The exercise with this number, or a sentence that says that there is none."""
    try:
        chapter, _, place = str(number).strip().partition(".")
        available = exercises_of(int(chapter)) if int(chapter) in CHAPTERS else ()
        for exercise in available:
            if int(exercise.number.split(".")[1]) == int(place):
                return exercise
    except Exception:  # anything may be handed over as a number
        available = ()
    if available:
        last = available[-1].number
        return f"There is no such exercise: chapter {int(chapter)} has {available[0].number} to {last}."
    return 'There is no such exercise. A number has the chapter and the place in it: check("02.3", answer).'
