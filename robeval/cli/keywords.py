"""The keywords of a function as options of a command, as measures and pictures have them."""

import tomllib
from collections.abc import Callable
from typing import Any

import click

from robeval.values.parameters import listed


def declared(command: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """The command with an option for each keyword of the function, whose texts `split` makes values of."""
    for name, allowed, default in reversed(listed(function)):
        needed = default == "required"
        help_ = allowed if needed or not default else f"{allowed}  [default: {default}]"
        option = click.option(f"--{name.replace('_', '-')}", name, required=needed, metavar="VALUE", help=help_)
        command = option(command)
    return command


def split(given: dict[str, Any], function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of the keywords that are given, and the command's other options."""
    own = [name for name, _, _ in listed(function)]
    values = {name: _value(given[name]) for name in own if given[name] is not None}
    return values, {name: value for name, value in given.items() if name not in own}


def _value(text: str) -> Any:
    """What TOML makes of it; several with commas between them are a list; else the text itself."""
    if "," in text and not text.startswith("["):
        return [_value(each.strip()) for each in text.split(",")]
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
