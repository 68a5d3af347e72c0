"""Judge an answer: what an exercise is, and the sentences that a reader gets for an answer.

An exercise asks for a value ("predict the output") or for a function ("write it", "find its fault"). A function is
called with hidden cases. Mistakes that readers often make are kept with the exercise: a wrong value, or a function that
errs in the same way. An answer that gives what they give is told so by name.
"""

import ast
import copy
import inspect
import textwrap
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ner_tutorial.exercises.limits import Outcome, call_with_limit
from ner_tutorial.exercises.values import Unreadable, difference, in_words, plain, show

LIMIT_S = 5.0
"""How long one call of a reader's function may take."""
_WIDTH = 92
_DATA = ("Input:    ", "Came out: ", "Expected: ", "Your answer: ")  # lines that show values, and are not wrapped
RIGHT, WRONG, OPEN = "right", "not yet", "not answered yet"


@dataclass(frozen=True)
class Case:
    """One call of the function: ``make()`` returns the arguments, new ones each time, so that no call sees another's."""

    make: Callable[[], tuple]
    expected: Any


def case(*args, expected) -> Case:
    """A case whose arguments can be copied."""
    return Case(lambda: copy.deepcopy(args), expected)


def stub(signature: str) -> str:
    """The unsolved cell of "write the function"."""
    return f"def {signature}:\n    return None  # your code in place of this line"


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer: what it gives (a value, or a function that errs in this way), and what to tell its author."""

    wrong: Any
    text: str


@dataclass(frozen=True)
class Exercise:
    """One exercise. ``statement`` is Markdown; ``start`` and ``solution`` are the code of the unsolved and solved cell.

    Both define ``answer``, or the function ``name``. Exercises without ``cases`` ask for a value, and ``expected`` is
    the right one.
    """

    number: str
    title: str
    statement: str
    start: str
    solution: str
    hint: str
    mistakes: tuple[Mistake, ...]
    expected: Any = None
    name: str = "answer"
    cases: tuple[Case, ...] = ()
    also: tuple = ()
    """Further values that are right."""
    tolerance: float = 1e-6
    """How far a number may be off."""
    read: Callable[[Any], Any] | None = None
    """Applied to what the function gave back, before it is compared (``json.loads``)."""

    def cell(self, code: str) -> str:
        """``start`` or ``solution`` as a cell of a notebook, with the call of ``check`` at its end."""
        return code + "\n" * (3 if self.cases else 1) + f'check("{self.number}", {self.name})'


@dataclass(frozen=True)
class Verdict:
    """``state`` is one of RIGHT, WRONG and OPEN; ``text`` is what the reader is told."""

    state: str
    text: str


def judge(exercise: Exercise, answer) -> Verdict:
    """Judge an answer of any kind. Raises nothing (but for the reader's own ``KeyboardInterrupt``)."""
    try:
        state, lines = (_judge_function if exercise.cases else _judge_value)(exercise, answer)
    except Unreadable as error:
        state, lines = WRONG, [_unreadable(error, "Your answer is")]
    except Exception as error:  # an answer may fail in any way when it is looked at
        kind = type(error).__name__
        state, lines = WRONG, [f"Your answer cannot be read: looking at it raises {kind}. It is {in_words(answer)}."]
    head = f"{exercise.number}: {state}"
    lines = [line if line.startswith(_DATA) else textwrap.fill(line, _WIDTH) for line in lines]
    return Verdict(state, "\n".join([head if state == OPEN else head + ".", *lines]))


def _unreadable(error: Unreadable, subject: str) -> str:
    what = str(error)
    advice = {
        "a generator": " It hands out its entries once and then is empty: put list(...) around it.",
        "an iterator": " It hands out its entries once and then is empty: put list(...) around it.",
        "a class": " Hand over a value, not the class that makes it.",
        "a function": " This exercise asks for the value: call the function, or type the result.",
    }
    return f"{subject} {what}, which cannot be compared.{advice.get(what, '')}"


def _judge_value(exercise: Exercise, answer) -> tuple[str, list[str]]:
    if answer is None or answer is ...:
        return OPEN, []
    given = plain(answer)
    rights = [plain(value) for value in (exercise.expected, *exercise.also)]
    if any(difference(given, right, exercise.tolerance) is None for right in rights):
        return RIGHT, []
    lines = [f"Your answer: {show(given)}"]
    for mistake in exercise.mistakes:
        if difference(given, plain(mistake.wrong), exercise.tolerance) is None:
            return WRONG, [*lines, mistake.text]
    return WRONG, [*lines, difference(given, rights[0], exercise.tolerance)]


def _judge_function(exercise: Exercise, answer) -> tuple[str, list[str]]:
    if answer is None or answer is ... or _is_unchanged(exercise, answer):
        return OPEN, []
    name = exercise.name
    if isinstance(answer, type):
        return WRONG, [
            f'You handed over a class. This exercise asks for a function: check("{exercise.number}", {name}).'
        ]
    if not callable(answer):
        return WRONG, [
            f"You handed over {in_words(answer)}. This exercise asks for the function itself, without calling it: "
            f'check("{exercise.number}", {name}).'
        ]
    if inspect.iscoroutinefunction(answer):
        return WRONG, ["Write the function with def, not with async def: it has to give its answer back at once."]
    count = len(exercise.cases[0].make())
    if not _takes(answer, count):
        return WRONG, [
            f"The function is called with {count} argument{'s' * (count > 1)}, and yours takes another number."
        ]
    outputs, problem = [], None
    for each in exercise.cases:
        output, lines = _try_case(exercise, answer, each)
        outputs.append(output)
        if lines and problem is None:
            problem = each, output, lines
        if lines and output is _NOTHING:
            break  # it raised or ran too long: the other cases would only repeat that
    if problem is None:
        return RIGHT, [f"All {len(outputs)} hidden cases came out as they should."]
    named = _name_the_mistake(exercise, outputs, *problem[:2])
    return WRONG, [*problem[2], *named]


_NOTHING = object()
"""Stands for the output of a call that gave back nothing that can be compared."""


def _try_case(exercise: Exercise, function: Callable, each: Case) -> tuple[Any, list[str]]:
    """What a call gave back in plain form, and what is wrong with it (an empty list if nothing is)."""
    args = each.make()
    call = f"{exercise.name}({', '.join(map(show, args))})"
    outcome = call_with_limit(function, args, LIMIT_S)
    trouble = _trouble(outcome, function)
    if trouble:
        return _NOTHING, [f"Input:    {call}", trouble]
    value, expected = outcome.value, plain(each.expected)
    if value is None and expected is not None:
        return None, [f"Input:    {call}", "The function gave back None. Does every way through it end with return?"]
    try:
        output = plain(exercise.read(value) if exercise.read else value)
    except Unreadable as error:
        return _NOTHING, [f"Input:    {call}", _unreadable(error, "The function gave back")]
    except Exception as error:
        return _NOTHING, [f"Input:    {call}", f"Came out: {show(value)}", f"This cannot be read: {error}"]
    sentence = difference(output, expected, exercise.tolerance)
    if sentence:
        return output, [f"Input:    {call}", f"Came out: {show(output)}", f"Expected: {show(expected)}", sentence]
    changed = [show(after) for after, before in zip(args, each.make(), strict=True) if show(after) != show(before)]
    if changed:
        advice = "The answer is right, but the function has changed what it was given; its caller may still need that."
        return output, [f"Input:    {call}", f"After the call one argument is {changed[0]}.", advice]
    return output, []


def _trouble(outcome: Outcome, function: Callable) -> str:
    """Why a call gave back nothing, in words; empty if it did give something back."""
    if not outcome.finished:
        text = f"The function was still running after {LIMIT_S:g} seconds, "
        if outcome.stopped:
            return text + "and was stopped. Does its loop come to an end?"
        return text + "and could not be stopped, because it waits inside a call. Restart the kernel to be rid of it."
    if outcome.error is None:
        return ""
    error = outcome.error
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" in line {lines[-1].lineno} of your cell" if lines else ""
    source = f" ({lines[-1].line})" if lines and lines[-1].line else ""
    return f"The function raised {type(error).__name__}{where}{source}: {_message(error)}"


def _message(error: BaseException) -> str:
    try:
        return str(error)[:200] or "no message"
    except Exception:  # a reader's own exception class may fail here
        return "its message cannot be read"


def _name_the_mistake(exercise: Exercise, outputs: list, first: Case, output) -> list[str]:
    """The text of the mistake that gives what the reader's function gave: in all cases, else in the first wrong one."""
    if output is _NOTHING or difference(output, plain(first.expected), exercise.tolerance) is None:
        return []  # nothing to compare, or a right answer whose only fault is that an argument was changed
    for same_in_all in (True, False):
        for mistake in exercise.mistakes:
            pairs = zip(exercise.cases, outputs, strict=False) if same_in_all else [(first, output)]
            if all(_gives(mistake.wrong, each, given, exercise) for each, given in pairs):
                return [mistake.text]
    return []


def _gives(wrong: Callable, each: Case, given, exercise: Exercise) -> bool:
    try:
        output = wrong(*each.make())
        output = plain(exercise.read(output) if exercise.read else output)
    except Exception:
        return given is _NOTHING
    return given is not _NOTHING and difference(given, output, exercise.tolerance) is None


def _takes(function: Callable, count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # some built-in functions have no signature
        return True
    return True


def _is_unchanged(exercise: Exercise, function) -> bool:
    """Whether the function is the one that the unsolved cell defines."""
    given = getattr(function, "__code__", None)
    if not isinstance(given, types.CodeType):
        return False
    # A notebook compiles each statement of a cell by itself, and Python 3.11 then writes other code for a method of an
    # imported module than it does for a whole file.
    whole = ast.parse(exercise.start)
    modules = [whole, *(ast.Module([statement], []) for statement in whole.body)]
    compiled = [compile(module, "start", "exec") for module in modules]
    codes = [constant for module in compiled for constant in module.co_consts if isinstance(constant, types.CodeType)]
    return any(_fingerprint(code) == _fingerprint(given) for code in codes if code.co_name == exercise.name)


def _fingerprint(code: types.CodeType) -> tuple:
    constants = tuple(_fingerprint(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts)
    return code.co_code, code.co_names, code.co_varnames, constants
