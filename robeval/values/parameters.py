"""What a function's keywords may be, read from its signature, and whether given ones fit.

Attacks, architectures and training methods are functions whose keyword-only parameters are the keys a
TOML file may write. A parameter's annotation is its type, and `Annotated` with a `Bound` its range.
"""

import inspect
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from robeval.errors import UserError, nearest
from robeval.values.threat import parse_number

FINEST = 2.0**-24  # how far apart float32 numbers just below 1 are: a bright pixel cannot change by less


@dataclass(frozen=True, slots=True)
class Bound:
    """A number must be at least `low`, or above it if `open`, and at most `high`."""

    low: float
    open: bool = False
    high: float = math.inf

    def __str__(self) -> str:
        top = f" and at most {self.high:g}" if math.isfinite(self.high) else ""
        low = "2^-24" if self.low == FINEST else f"{self.low:g}"
        return f"{'above' if self.open else 'at least'} {low}{top}"

    def holds(self, number: float) -> bool:
        """Whether the number is in range."""
        return (number > self.low if self.open else number >= self.low) and number <= self.high


@dataclass(frozen=True, slots=True)
class Length(Bound):
    """A distance between images in the attack's norm, pixels in [0, 1]; that there are images so far apart is seen to
    when a plan is made.
    """


Count = Annotated[int, Bound(1)]
Size = Annotated[int, Bound(0)]
Positive = Annotated[float, Bound(0, open=True)]
NotNegative = Annotated[float, Bound(0)]
Share = Annotated[float, Bound(0, high=1)]
PositiveShare = Annotated[float, Bound(0, open=True, high=1)]
Distance = Annotated[float, Length(FINEST)]
Change = Annotated[float, Bound(FINEST, high=1)]  # of one pixel
Rate = Annotated[float, Bound(FINEST)]  # of steps in an unbounded space that pixels are mapped to with slopes up to 1
Weight = Annotated[float, Bound(FINEST)]  # of a loss against a squared distance: by less, slopes of 1 move no pixel


def resolve(
    function: Callable[..., Any], given: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], list[UserError]]:
    """All keywords of `function` with their values, and what is wrong with the given ones."""
    hints = get_type_hints(function, include_extras=True)
    known = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    resolved: dict[str, Any] = {}
    problems = [
        UserError(f"takes no '{name}'", where=where, fix=nearest(name, known)) for name in given if name not in known
    ]
    for name, parameter in known.items():
        if name in given:
            value, expected = _read(given[name], hints[name])
            if expected:
                found = f"'{name}' is {given[name]!r}, expected {expected}"
                listed = isinstance(given[name], dict) and get_origin(hints[name]) is tuple
                fix = f"Write [[{name}]], with double brackets." if listed else f"Mend the value of '{name}'."
                problems.append(UserError(found, where=where, fix=fix))
            resolved[name] = value
        elif parameter.default is inspect.Parameter.empty:
            wanted = f"a section [{name}]" if _kind(hints[name]) is dict else f"'{name} = ...'"
            problems.append(UserError(f"'{name}' is missing", where=where, fix=f"Add {wanted}."))
        else:
            resolved[name] = parameter.default
    return resolved, problems


def _read(value: object, hint: Any) -> tuple[Any, str]:
    """The value as the annotation wants it, and what was expected if it does not fit ("" if it does)."""
    if get_origin(hint) is Annotated:
        kind, bound = get_args(hint)
        value, expected = _read(value, kind)
        if expected or not bound.holds(value):
            return value, f"{expected or _word(kind)} {bound}"
        return value, ""
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        fits = any(type(value) is type(choice) and value == choice for choice in choices)
        return value, "" if fits else "one of " + ", ".join(map(repr, choices))
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        return (None, "") if value is None and type(None) in get_args(hint) else _read(value, kinds[0])
    if get_origin(hint) is tuple:
        return _read_list(value, get_args(hint)[0])
    if hint is float:
        number = parse_number(value)
        return (value, "a number") if number is None else (number, "")
    fits = isinstance(value, _kind(hint)) and not (hint is int and isinstance(value, bool))
    return value, "" if fits else _word(hint)


def _read_list(value: object, hint: Any) -> tuple[Any, str]:
    """A list as a tuple of what `hint` wants each item to be, and what was expected if it does not fit."""
    expected = f"a list in which each item is {_word(hint)}"
    if not isinstance(value, list | tuple):
        return value, expected
    items = [_read(item, hint) for item in value]
    return tuple(item for item, _ in items), expected if any(problem for _, problem in items) else ""


def _kind(hint: Any) -> Any:
    """The type to check with isinstance: `dict` of `dict[str, Any]`."""
    return get_origin(hint) or hint


def _word(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        kind, bound = get_args(hint)
        return f"{_word(kind)} {bound}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", dict: "a section"}
    return words.get(_kind(hint), str(hint))


def distances(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, float]:
    """The given keywords that are distances between images, with their values."""
    hints = get_type_hints(function, include_extras=True)
    return {name: value for name, value in given.items() if value is not None and _is_length(hints.get(name))}


def _is_length(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return isinstance(get_args(hint)[1], Length)
    return any(map(_is_length, get_args(hint)))


def listed(function: Callable[..., Any]) -> list[tuple[str, str, str]]:
    """Each keyword a TOML file may write: its name, what it may be, and its default ("required" if there is none)."""
    hints = get_type_hints(function, include_extras=True)
    rows = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            none = parameter.default is inspect.Parameter.empty
            rows.append((name, _allowed(hints[name]), "required" if none else _toml(parameter.default)))
    return rows


def _allowed(hint: Any) -> str:
    """What a value may be, in words."""
    if get_origin(hint) is Annotated:
        kind, bound = get_args(hint)
        return f"{_word(kind)} {bound}"
    if get_origin(hint) is Literal:
        return ", ".join(map(_toml, get_args(hint)))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_allowed(kind) for kind in get_args(hint) if kind is not type(None))
    if get_origin(hint) is tuple:
        return f"a list, each item {_allowed(get_args(hint)[0])}"
    return _word(hint)


def _toml(value: object) -> str:
    if value is None:
        return "left out"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
