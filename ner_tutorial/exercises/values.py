"""Answers in plain form, in words, and compared. Nothing here changes what a reader hands over, and nothing runs it."""

import types
from collections import deque
from collections.abc import Iterator
from itertools import islice

LONGEST = 100_000
"""A list with more entries is not read: no exercise asks for one."""
_VIEWS = (list, tuple, range, deque, type({}.keys()), type({}.values()), type({}.items()))


class Unreadable(Exception):
    """An answer that cannot be compared. Its text says in words what the answer is."""


def in_words(value) -> str:
    """What kind of thing a value is: "a list", "a class", "a generator"."""
    kinds = [
        (type(None), "nothing (None)"),
        (bool, "True or False"),
        ((int, float), "a number"),
        (str, "a text"),
        (_VIEWS, "a list"),
        (dict, "a dictionary"),
        ((set, frozenset), "a set"),
        (type, "a class"),
        (types.GeneratorType, "a generator"),
        (types.CoroutineType, "a coroutine"),
        (Iterator, "an iterator"),
        ((types.FunctionType, types.BuiltinFunctionType, types.MethodType), "a function"),
    ]
    for kind, words in kinds:
        if isinstance(value, kind):
            return words
    return f"an object of the type {type(value).__name__}"


def plain(value, depth: int = 0):
    """The value with lists for every kind of sequence and Python's own numbers for those of NumPy, torch and pandas.

    Raises:
        Unreadable: a class, a function, a generator, an unknown object, or something nested or long beyond reason.
    """
    if depth > 20:
        raise Unreadable("a value that is nested too deeply, or that holds itself")
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):  # subclasses too: numpy.float64 is a float
        if isinstance(value, kind):
            return kind(value)
    if not isinstance(value, type) and type(value).__module__.split(".")[0] in ("numpy", "torch", "pandas"):
        size = value.numel() if hasattr(value, "numel") else getattr(value, "size", 0)
        if size > LONGEST:
            raise Unreadable(f"a list with {size} entries")
        if hasattr(value, "detach"):  # a tensor, which may need a gradient or be on a GPU
            value = value.detach().cpu()
        if hasattr(value, "tolist"):
            return plain(value.tolist(), depth + 1)
    if isinstance(value, (*_VIEWS, dict, set, frozenset)):
        if len(value) > LONGEST:
            raise Unreadable(f"{in_words(value)} with {len(value)} entries")
        if isinstance(value, dict):
            return {_hashable(plain(key, depth + 1)): plain(entry, depth + 1) for key, entry in value.items()}
        # A class of the reader's own may hand out more than its length.
        entries = [plain(entry, depth + 1) for entry in islice(value, len(value))]
        return set(map(_hashable, entries)) if isinstance(value, (set, frozenset)) else entries
    raise Unreadable(in_words(value))


def _hashable(entry):
    """Entries of a set and keys are tuples again, since a list cannot be one."""
    return tuple(map(_hashable, entry)) if isinstance(entry, list) else entry


def show(value, width: int = 150) -> str:
    """The value as a reader would type it, shortened in the middle; in words where it has no plain form."""
    try:
        text = repr(plain(value))
    except Exception as error:  # a reader's object may fail in any way when it is looked at
        return f"({error})" if isinstance(error, Unreadable) else f"({in_words(value)})"
    return text if len(text) <= width else f"{text[: width // 2]} … {text[-width // 3 :]}"


def difference(given, expected, tolerance: float) -> str | None:
    """``None`` if two plain values are equal; otherwise one or two sentences on the first difference.

    They tell what the reader's value has, never what it should have.
    """
    if isinstance(expected, dict):
        return _difference_of_dicts(given, expected, tolerance)
    if isinstance(expected, list):
        return _difference_of_lists(given, expected, tolerance)
    if isinstance(expected, bool) or expected is None:
        return None if given is expected else f"It is {show(given)}."
    if isinstance(expected, (int, float)):
        if isinstance(given, bool) or not isinstance(given, (int, float)):
            return f"It should be a number, and it is {in_words(given)}."
        return None if abs(given - expected) <= tolerance else f"It is {show(given)}."
    if type(given) is not type(expected):
        return f"It should be {in_words(expected)}, and it is {in_words(given)}."
    return None if given == expected else f"It is {show(given)}."


def _inside(place: str, inner: str) -> str:
    """The sentence on a difference, with the place where it is: the outermost list or dictionary comes first."""
    start = "Look at "
    return (
        f"{start}{place}, and there at {inner.removeprefix(start)}"
        if inner.startswith(start)
        else f"{start}{place}. {inner}"
    )


def _difference_of_lists(given, expected: list, tolerance: float) -> str | None:
    if isinstance(given, set):
        return "It is a set, which has no order and holds everything once; the order counts here, so make it a list."
    if not isinstance(given, list):
        return f"It should be a list, and it is {in_words(given)}."
    for position, (one, other) in enumerate(zip(given, expected, strict=False)):
        inner = difference(one, other, tolerance)
        if inner:
            return _inside(f"entry {position}", inner)
    if len(given) != len(expected):
        much = "too few" if len(given) < len(expected) else "too many"
        count = f"{len(given)} {'entry' if len(given) == 1 else 'entries'}"
        return f"It has {count}, which is {much}; what both have in common is right."
    return None


def _difference_of_dicts(given, expected: dict, tolerance: float) -> str | None:
    if not isinstance(given, dict):
        return f"It should be a dictionary, and it is {in_words(given)}."
    for key, value in expected.items():
        if key not in given:
            return f"The key {key!r} is missing."
        inner = difference(given[key], value, tolerance)
        if inner:
            return _inside(f"the key {key!r}", inner)
    extra = [key for key in given if key not in expected]
    return f"The key {extra[0]!r} should not be there." if extra else None
