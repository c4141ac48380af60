"""The `robeval` command: knows its commands' names, imports one when it is called."""

import importlib
import sys
from typing import Any

import click

from robeval.errors import UserError, nearest
from robeval.version import VERSION

COMMANDS = {
    "run": "Attack models with a suite and print their robust accuracy.",
    "transfer": "Attack models with images made on another model.",
    "leaderboard": "Rank the models of a ledger, a table for each suite.",
    "compare": "Compare two models sample by sample.",
    "show": "Draw pictures: gradients, adversarial examples, curves, trade-offs.",
    "export": "Write adversarial images as an array.",
    "score": "Score an array of adversarial images by the rules of a public challenge.",
    "crosscheck": "Run the attacks of a suite beside those of other libraries.",
    "table": "The papers' tables: published numbers beside measured ones.",
    "measure": "Measure models, data and theorems beside robust accuracy.",
    "miniature": "Train the methods of the papers' tables in miniature, and check them.",
    "train": "Train the model of a card, or a new one; draw the curves of a training.",
    "methods": "List the training methods and their parameters.",
    "suites": "List the suites, or show one.",
    "attacks": "List the attacks and their parameters.",
    "zoo": "List the models; show, fetch, inspect, convert or verify one.",
    "data": "List the data sets; fetch or verify their files.",
}

INTERRUPTED = 130


class Lazy(click.Group):
    """A group whose commands are imported when they are called, so that help needs no torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"robeval.cli.{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Offer the nearest command for a misspelt one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command '{args[0]}'. {nearest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, "-V", "--version", prog_name="robeval")
def group() -> None:
    """How much of an image classifier's accuracy survives an adversary.

    \b
    Begin with:
      robeval run --suite digits_linf --model natural_digits --model trades_digits
    """


def main() -> None:
    """Run the command; what the user can mend ends in one message on stderr and exit code 2 (1 if the web failed)."""
    try:
        group.main(standalone_mode=False, prog_name="robeval")
    except UserError as error:
        click.echo(f"robeval: {error}", err=True)
        sys.exit(error.code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        click.echo(f"robeval: interrupted. {error}".rstrip(), err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone: nothing is left to say
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        # The system refused something, as a folder that nobody may enter or a full disk behind `>`.
        click.echo(f"robeval: {error.filename or 'the system'}: {error.strerror}", err=True)
        sys.exit(2)
