"""The checker answers in words whatever it is given, stops what does not end, and changes nothing of the reader's."""

import copy
import dataclasses
import itertools
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from ner_tutorial import exercises
from ner_tutorial.exercises import check, engine, hint, limits, progress
from ner_tutorial.exercises.engine import OPEN, RIGHT, WRONG, Case, Exercise, Mistake, case, judge, stub
from ner_tutorial.exercises.values import Unreadable, difference, plain, show

FUNCTION = Exercise(
    number="00.1",
    title="Double",
    statement="Write `double(numbers)`.",
    start=stub("double(numbers)"),
    solution="def double(numbers):\n    return [2 * number for number in numbers]",
    hint="Twice.",
    name="double",
    cases=(case([1, 2], expected=[2, 4]), case([], expected=[]), case([0.5], expected=[1.0])),
    mistakes=(Mistake(lambda numbers: [number**2 for number in numbers], "These are the squares."),),
)
VALUE = Exercise(
    number="00.2",
    title="List",
    statement="Which numbers?",
    start="answer = None",
    solution="answer = [1, 2, 3]",
    hint="Three.",
    expected=[1, 2, 3],
    mistakes=(Mistake([0, 1, 2], "You counted from 0."),),
)


@pytest.fixture
def short_limit(monkeypatch):
    monkeypatch.setattr(engine, "LIMIT_S", 0.3)


def right(numbers):
    return [2 * number for number in numbers]


def raising(numbers):
    return numbers[7]


def endless(numbers):
    while True:
        pass


def endless_and_stubborn(numbers):
    while True:
        try:  # noqa: SIM105
            numbers = list(numbers)
        except BaseException:
            pass


def leaving(numbers):
    raise SystemExit(3)


def generating(numbers):
    for number in numbers:
        yield 2 * number


async def asynchronous(numbers):
    return right(numbers)


def recursive(numbers):
    return recursive(numbers)


def changing(numbers):
    numbers[:] = [2 * number for number in numbers]
    return list(numbers)


class Hostile:
    """Fails whenever it is looked at."""

    def __repr__(self, *_):
        raise RuntimeError("no repr")

    __eq__ = __iter__ = __len__ = __hash__ = __getattr__ = __repr__

    def __call__(self, numbers):
        raise HostileError


class HostileError(Exception):
    __str__ = Hostile.__repr__


class Endless(list):
    """A list that hands out more than it has."""

    def __iter__(self):
        return itertools.count(7)


SENTENCES = {
    "a class": (int, "a class"),
    "a list": ([2, 4], "the function itself"),
    "a text": ("double", "the function itself"),
    "a lambda that raises": (lambda numbers: 1 / 0, "ZeroDivisionError"),
    "a function that raises": (raising, "IndexError"),
    "a generator function": (generating, "put list(...) around it"),
    "a coroutine function": (asynchronous, "not with async def"),
    "no return": (lambda numbers: sorted(numbers).clear(), "end with return"),
    "two arguments": (lambda one, two: [], "another number"),
    "no arguments": (lambda: [], "another number"),
    "a function that leaves": (leaving, "SystemExit"),
    "a function without an end to its recursion": (recursive, "RecursionError"),
    "an object that cannot be shown": (lambda numbers: Hostile(), "cannot be compared"),
    "an object that fails when it is looked at": (Hostile(), "cannot be read"),
    "an error that cannot be shown": (lambda numbers: Hostile.__call__(None, numbers), "its message cannot be read"),
    "a function that changes its input": (changing, "has changed what it was given"),
    "the squares": (lambda numbers: [number**2 for number in numbers], "These are the squares."),
    "a set": (lambda numbers: {2 * number for number in numbers}, "no order"),
    "a function": (lambda numbers: print, "a function"),
    "a class as a result": (lambda numbers: dict, "a class"),
    "numbers as texts": (lambda numbers: [str(2 * number) for number in numbers], "should be a number"),
    "one entry": (lambda numbers: [2 * number for number in numbers[:1]], "too few"),
    "True": (lambda numbers: True, "should be a list"),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_a_broken_function_is_answered_in_words(name):
    answer, words = SENTENCES[name]
    verdict = judge(FUNCTION, answer)
    assert verdict.state == WRONG
    assert words in " ".join(verdict.text.split())
    assert "Traceback" not in verdict.text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (generating([1]), "put list(...) around it"),
        (iter([1, 2, 3]), "put list(...) around it"),
        (list, "not the class"),
        (right, "asks for the value"),
        ({1, 2, 3}, "no order"),
        ("1 2 3", "should be a list"),
        ([1, 2], "too few"),
        ([1, 2, 3, 4], "too many"),
        ([1, 2, 4], "Look at entry 2. It is 4."),
        ([0, 1, 2], "counted from 0"),
        ([True, 2, 3], "should be a number"),
        ([1, [2], 3], "Look at entry 1. It should be a number"),
        (range(10**9), "a list with 1000000000 entries"),
        (np.broadcast_to(0, (10**9,)), "a list with 1000000000 entries"),
        (torch.zeros(1).expand(10**9), "a list with 1000000000 entries"),
        (torch.zeros(3, device="meta"), "cannot be read"),
        (pd.DataFrame({"a": [1, 2, 3]}), "the type DataFrame"),
        (Endless([1, 2, 4]), "Look at entry"),
    ],
)
def test_a_wrong_value_is_answered_in_words(answer, words):
    verdict = judge(VALUE, answer)
    assert verdict.state == WRONG
    assert words in " ".join(verdict.text.split())
    assert "[1, 2, 3]" not in verdict.text, "the right answer stays hidden"


def test_an_object_that_fails_whenever_it_is_looked_at_is_answered_in_words(capsys):
    assert "cannot be compared" in judge(VALUE, Hostile()).text
    assert judge(VALUE, [1, Hostile()]).state == WRONG
    check(Hostile(), 1)
    assert "There is no such exercise" in capsys.readouterr().out


def test_a_list_that_holds_itself_is_answered_in_words():
    endless_list = [1]
    endless_list.append(endless_list)
    assert "nested too deeply" in judge(VALUE, endless_list).text


@pytest.mark.parametrize(
    "answer",
    [
        [1, 2, 3],
        (1, 2, 3),
        range(1, 4),
        np.array([1, 2, 3]),
        [np.int64(1), np.float32(2), np.float64(3)],
        torch.tensor([1, 2, 3]),
        torch.tensor([1.0, 2.0, 3.0], requires_grad=True),
        [torch.tensor(1), 2, np.array(3)],
        pd.Series([1, 2, 3]),
    ],
    ids=repr,
)
def test_sequences_and_numbers_of_every_library_count(answer):
    assert judge(VALUE, answer).state == RIGHT
    assert judge(FUNCTION, lambda numbers: np.array(numbers) * 2).state == RIGHT


def test_nothing_and_the_cell_of_the_page_are_no_answer_yet():
    space = {}
    exec(FUNCTION.start, space)
    for answer in (None, ..., space["double"]):
        assert judge(FUNCTION, answer).text == "00.1: not answered yet"
    assert judge(VALUE, None).state == OPEN


def test_a_generator_that_is_handed_over_keeps_its_entries():
    numbers = generating([1, 2])
    judge(VALUE, numbers)
    assert list(numbers) == [2, 4]


def test_what_a_function_is_given_is_new_in_every_call():
    seen = []

    def greedy(numbers):
        seen.append(numbers)
        answer = right(numbers)
        numbers.clear()
        return answer

    first, second = judge(FUNCTION, greedy), judge(FUNCTION, greedy)
    assert first == second
    assert first.state == WRONG
    assert judge(FUNCTION, right).state == RIGHT
    assert len({id(numbers) for numbers in seen}) == len(seen)


def test_a_right_answer_that_changed_its_input_is_not_called_another_mistake():
    """Twice 2 is also the square of 2, so the first case alone cannot tell the two apart."""
    exercise = dataclasses.replace(FUNCTION, cases=(case([2, 0], expected=[4, 0]), *FUNCTION.cases))
    text = judge(exercise, changing).text
    assert "has changed what it was given" in text
    assert "squares" not in text


@pytest.mark.parametrize("function", [endless, endless_and_stubborn], ids=lambda function: function.__name__)
def test_an_endless_loop_is_stopped(function, short_limit):
    before = threading.active_count()
    verdict = judge(FUNCTION, function)
    assert verdict.state == WRONG
    assert "still running after 0.3 seconds" in verdict.text
    assert threading.active_count() == before


def test_an_endless_loop_is_stopped_in_another_thread_too(short_limit):
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(judge(FUNCTION, endless)))
    thread.start()
    thread.join(30)
    assert "was stopped" in verdicts[0].text


def test_a_call_that_waits_is_left_behind_and_the_reader_is_told(short_limit, monkeypatch):
    monkeypatch.setattr(limits, "_TRIES", 2)
    leave = threading.Event()

    def waits(numbers):
        time.sleep(1.5)
        leave.set()

    verdict = judge(FUNCTION, waits)
    assert "could not be stopped" in verdict.text
    assert "was stopped" not in verdict.text
    leave.wait(5)


def test_an_endless_generator_is_not_emptied(short_limit):
    assert "put list(...) around it" in judge(FUNCTION, lambda numbers: itertools.count()).text


def test_an_interrupt_of_the_reader_is_passed_on_and_stops_the_call(monkeypatch):
    before = threading.active_count()
    join, calls = threading.Thread.join, []

    def interrupted(thread, timeout=None):
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        judge(FUNCTION, endless)
    assert threading.active_count() == before


def test_without_threads_the_call_is_made_all_the_same(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert judge(FUNCTION, right).state == RIGHT
    assert "IndexError" in judge(FUNCTION, raising).text


def test_the_line_that_raised_is_named():
    text = judge(FUNCTION, raising).text
    line = raising.__code__.co_firstlineno + 1
    assert f"IndexError in line {line} of your cell (return numbers[7])" in text
    assert "double([1, 2])" in text


def test_a_wrong_answer_names_input_output_and_expected_one():
    text = judge(FUNCTION, lambda numbers: [3 * number for number in numbers]).text
    assert text.splitlines() == [
        "00.1: not yet.",
        "Input:    double([1, 2])",
        "Came out: [3, 6]",
        "Expected: [2, 4]",
        "Look at entry 0. It is 3.",
    ]


def test_the_place_of_a_difference_is_named_from_outside_to_inside():
    sentence = difference([1, {"a": [2, 3]}], [1, {"a": [2, 4]}], 0)
    assert sentence == "Look at entry 1, and there at the key 'a', and there at entry 1. It is 3."


def test_a_notebook_s_kernel_answers_and_goes_on_after_an_endless_loop():
    cells = [
        new_code_cell("from ner_tutorial.exercises import check, engine\nengine.LIMIT_S = 0.5"),
        new_code_cell(
            "def two_heads(make, seed):\n    print('here')\n    while True:\n        pass\n\n\ncheck('05.3', two_heads)"
        ),
        new_code_cell("check('01.2', 4)"),
    ]
    notebook = new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    texts = ["".join(output.text for output in cell.outputs) for cell in notebook.cells]
    assert "here" in texts[1]
    assert "was stopped" in texts[1]
    assert texts[2] == "01.2: right.\n"


def test_arguments_that_cannot_be_copied_are_made_anew():
    exercise = copy.copy(FUNCTION)
    object.__setattr__(exercise, "cases", (Case(lambda: (iter([1, 2]),), [2, 4]),))
    assert judge(exercise, right).state == RIGHT


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(...) | st.just(int) | st.just(right),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner) | st.builds(iter, st.lists(inner))
    ),
    max_leaves=8,
)


@given(ANYTHING)
def test_any_answer_gets_a_verdict(answer):
    for exercise in (VALUE, FUNCTION):
        assert judge(exercise, answer).state in (RIGHT, WRONG, OPEN)
        assert judge(FUNCTION, lambda numbers: answer).text.startswith("00.1: ")


@given(ANYTHING)
def test_a_plain_value_equals_itself_and_is_shown(value):
    try:
        first = plain(value)
    except Unreadable:
        return
    if "nan" not in repr(first) and "inf" not in repr(first):
        assert difference(first, plain(value), 0.0) is None
    assert len(show(value)) < 200


@pytest.mark.parametrize("number", ["02.3", "2.3", " 02.3 ", 2.3])
def test_a_number_is_found_however_it_is_written(number, capsys):
    check(number, None)
    assert capsys.readouterr().out == "02.3: not answered yet\n"


@pytest.mark.parametrize("number", ["02.99", "11.1", "", "three", None, [], "2", "0.1", "-1.1"])
def test_a_number_that_does_not_exist_is_answered_in_words(number, capsys):
    check(number, None)
    hint(number)
    out = capsys.readouterr().out
    assert out.count("There is no such exercise") == 2


def test_check_returns_nothing_and_progress_shows_the_session(monkeypatch, capsys):
    monkeypatch.setattr(exercises, "_session", {})
    progress()
    assert capsys.readouterr().out == "No exercise has been checked in this session.\n"
    assert check("01.2", None) is None
    assert check("01.2", 1) is None
    assert check("01.2", 4) is None
    assert check("02.1") is None
    capsys.readouterr()
    progress()
    assert capsys.readouterr().out.splitlines() == [
        "exercise  tries  state",
        "01.2          2  right",
        "02.1          0  not answered yet",
        "1 of 2 right",
    ]


def test_a_hint_gives_one_step(capsys):
    hint("01.2")
    assert capsys.readouterr().out.startswith("01.2: In IOB1")
