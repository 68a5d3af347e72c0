"""Call a reader's function with a time limit, in the main thread of a notebook or in any other, on every system.

The call runs in a thread of its own. When its time is up, Python raises an exception inside that thread. This stops
any loop that is written in Python. It cannot stop a call that is waiting inside C code (``time.sleep``): such a call is
left behind, and the caller is told. And a loop that runs in C without pause, such as ``sum(itertools.count())``, stops
Python as a whole, this module too; only a restart of the kernel helps then.
"""

import contextlib
import contextvars
import ctypes
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_TRIES = 40  # a loop with ``except:`` in it may swallow some of the exceptions
_PAUSE_S = 0.05


class TimeIsUp(BaseException):
    """Raised inside a reader's function. Not an ``Exception``, so that ``except Exception`` does not catch it."""


@dataclass
class Outcome:
    """What became of a call: a value, an error, or a time limit that was reached."""

    value: Any = None
    error: BaseException | None = None
    finished: bool = False
    """False if the call went on beyond its time."""
    stopped: bool = True
    """False if it could not be stopped and is still running."""


def call_with_limit(function: Callable, args: Sequence, seconds: float) -> Outcome:
    """Call ``function(*args)`` and wait for at most ``seconds``. Raises nothing that the function raises.

    A ``KeyboardInterrupt`` of the waiting thread stops the call and is passed on.
    """
    outcome = Outcome()
    context = contextvars.copy_context()  # what is printed belongs to the notebook cell that called

    def work():
        with contextlib.suppress(TimeIsUp):  # it may arrive when the call has just ended
            try:
                outcome.value = context.run(function, *args)
                outcome.finished = True
            except TimeIsUp:
                pass
            except BaseException as error:
                outcome.error, outcome.finished = error, True

    worker = threading.Thread(target=work, daemon=True)
    try:
        worker.start()
    except RuntimeError:  # a system without threads (a browser): no limit is better than no answer
        work()
        return outcome
    try:
        worker.join(seconds)
    except KeyboardInterrupt:
        _stop(worker)
        raise
    if worker.is_alive():
        outcome.stopped = _stop(worker)
    return outcome


def _stop(worker: threading.Thread) -> bool:
    """Raise ``TimeIsUp`` in the thread until it has ended. Returns whether it has."""
    for _ in range(_TRIES):
        if not worker.is_alive():
            return True
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident), ctypes.py_object(TimeIsUp))
        worker.join(_PAUSE_S)
    return not worker.is_alive()
