"""Commands that are the entries of a catalog, the keywords of their functions as options: measures and pictures."""

import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import click

from robeval.cli.options import Option
from robeval.errors import nearest
from robeval.values.parameters import listed


class Entry(Protocol):
    """What a catalog has under a name."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def function(self) -> Callable[..., Any]:
        """Its keywords are the options."""

    @property
    def about(self) -> str:
        """What it takes besides."""

    @property
    def short(self) -> str:
        """What it does, in a line."""


class Entries(click.Group, ABC):
    """A group whose commands are the entries of a catalog.

    Attributes:
        kind: what one of them is called.
    """

    kind = ""

    @abstractmethod
    def entries(self) -> Mapping[str, Entry]:
        """Those of the catalog that are commands here."""

    @abstractmethod
    def made(self, entry: Any) -> click.Command:
        """The command of one of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, and those of groups inside."""
        return [*self.entries(), *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The one of that name, if there is one."""
        known = self.entries()
        return self.made(known[cmd_name]) if cmd_name in known else self.commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where they are listed: help imports nothing heavy, as their names would."""
        with formatter.section(f"{self.kind.capitalize()}s"):
            formatter.write_text(f"`{ctx.command_path}` lists them, and with a NAME and --help what one is and takes.")

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Say what the nearest name is where there is none."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            raise click.UsageError(f"unknown {self.kind} '{args[0]}'. {nearest(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)

    def show(self, *more: tuple[str, ...]) -> None:
        """Print the commands, and further rows below them."""
        from rich.console import Console

        from robeval.reports.render import terminal
        from robeval.values.table import Table

        rows = [
            (each.name, each.about, ", ".join(name for name, _, _ in listed(each.function)), each.short)
            for each in self.entries().values()
        ]
        header = (self.kind, "about", "parameters", "")
        Console(highlight=False).print(terminal.render(Table(f"{self.kind.capitalize()}s", header, (*rows, *more))))


def command(entry: Entry, work: Callable[[Any, dict[str, Any]], None], options: Sequence[Option]) -> click.Command:
    """The command of an entry, which does its work with what is given for the options and the keywords."""

    def run(**given: Any) -> None:
        work(entry, given)

    made = _declared(run, listed(entry.function))
    for option in reversed(options):
        made = option(made)
    return click.command(entry.name, help=entry.function.__doc__, short_help=entry.short)(made)


def _declared(command: Callable[..., Any], keywords: Iterable[tuple[str, str, str]]) -> Callable[..., Any]:
    """The command with an option for each keyword, whose texts `split` makes values of."""
    for name, allowed, default in reversed(list(keywords)):
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
