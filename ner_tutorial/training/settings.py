"""The settings of a run: one list, read by both loops, the command line and the run's record.

Taught in chapter 5. The list is the fields of ``TrainingSettings``: each has its type, its limits and its meaning beside
its name, and nothing repeats them.
"""

import difflib
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields

from ner_tutorial.profiles import Experiment, Profile, Rule, as_type, get_profile, setting


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Experiment):
    """Everything that decides what a run learns. Two runs with equal settings on one machine give equal weights.

    ``run.json`` in the folder of a run holds exactly these fields.
    """

    precision: str | None = setting(
        "The number format of the matrix products: bf16, fp16, or no for float32.  [default: what the machine is fast in]",
        default=None,
        choices=("bf16", "fp16", "no"),
    )
    loop: str = ""
    """``trainer`` or ``accelerate``."""
    corpus_sha256: str = ""
    processes: int = 1


OPTIONS: dict[str, tuple[type, Rule]] = {
    one.name: (one.type, one.metadata["rule"]) for one in fields(TrainingSettings) if "rule" in one.metadata
}
"""What a user may set, by name: the type and the rule. The other fields are found out by the run itself."""
EXPERIMENT = tuple(one.name for one in fields(Experiment))
"""The settings that a profile gives."""


def resolve(profile: Profile | str | None = None, overrides: Mapping | None = None, loop: str = "") -> TrainingSettings:
    """The settings of a run: those of the profile, and in their place what the user gave.

    What depends on the machine is still open: ``precision`` is ``None`` unless it was given.

    Args:
        profile: a ``Profile`` or its name; ``None`` is the active one.
        overrides: settings by name; ``None`` as a value leaves a setting to the profile.
        loop: ``trainer`` or ``accelerate``, where the profile has settings of that loop's own.

    Raises:
        TypeError: there is no setting of that name, or a value has another type.
        ValueError: a value is outside its limits, or there is no profile of that name.
    """
    if not isinstance(profile, Profile):
        profile = get_profile(profile)
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    for name in given:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(OPTIONS)}"
            raise TypeError(f"unknown setting {name!r}; {hint}")
    shared = {name: getattr(profile, name) for name in EXPERIMENT} | dict(profile.by_loop.get(loop, {}))
    values = {name: as_type(name, value, OPTIONS[name][0]) for name, value in (shared | given).items()}
    for name, value in values.items():
        if value is not None:
            OPTIONS[name][1].check(name, value)
    return TrainingSettings(**values, loop=loop)


def differences(mine: TrainingSettings, theirs: Mapping) -> str:
    """In words, how these settings differ from those of a ``run.json``; empty if they do not."""
    changed = sorted(
        (name, theirs.get(name), value) for name, value in asdict(mine).items() if value != theirs.get(name)
    )
    return ", ".join(f"{name} was {before!r}, now {now!r}" for name, before, now in changed)


def takes_settings(function: Callable) -> Callable:
    """Give a function with ``**overrides`` the signature and the documentation of the settings.

    ``help()`` and an editor then show each setting by its name; ``{settings}`` in the docstring becomes the list.
    """
    signature = inspect.signature(function)
    named = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    taken = {one.name for one in named}
    options = {name: option for name, option in OPTIONS.items() if name not in taken}
    function.__signature__ = signature.replace(
        parameters=[
            *named,
            *(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in options),
        ]
    )
    lines = []
    for name, (_, rule) in options.items():
        meaning, _, default = rule.meaning.rstrip(".]").partition(".  [default: ")
        details = "; ".join(filter(None, [rule.limits(), default and f"default: {default}"]))
        text = f"{name}: {meaning[0].lower()}{meaning[1:]}{f' ({details})' if details else ''}."
        lines += textwrap.wrap(text, 112, initial_indent=" " * 8, subsequent_indent=" " * 12)
    function.__doc__ = function.__doc__.replace("        {settings}", "\n".join(lines))
    return function
