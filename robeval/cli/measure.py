"""`robeval measure`: one command for each measure in the catalog, its keywords as options."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robeval.cli import ends, keywords, options

if TYPE_CHECKING:
    from rich.console import Console

    from robeval import api
    from robeval.measures.registry import Entry

_run = (options.limit, options.microbatch, options.data_root, options.device, options.seed)
_COMMON: Mapping[str, tuple[options.Option, ...]] = {
    "model": (options.models, options.dataset, options.split, options.checkpoint, options.out, *_run),
    "data": (options.dataset, options.split, options.out, options.limit, options.data_root),
    "verdicts": (options.suite, options.models, options.checkpoint, options.out, *_run),
    "theory": (options.out, options.seed),
}


class _Measures(keywords.Entries):
    """Its commands are the measures but those of theory, which are commands of `theory`."""

    kind = "measure"
    theory = False

    def entries(self) -> "Mapping[str, Entry]":
        from robeval.measures.registry import catalog

        return {name: entry for name, entry in catalog().items() if (entry.about == "theory") == self.theory}

    def made(self, entry: "Entry") -> click.Command:
        return keywords.command(entry, _measure, _COMMON[entry.about])


class _Theory(_Measures):
    theory = True


@click.group(cls=_Measures, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Measure models, data and theorems beside robust accuracy.

    Answers are kept in the ledger folder, with their 95 % intervals where they have any: the same command goes on where
    it was stopped, and run again it computes nothing. The folder gets measures.csv and measures.md.
    """
    if ctx.invoked_subcommand is None and isinstance(ctx.command, _Measures):
        ctx.command.show(
            ("theory", "theory", "", "Examples and theorems of the papers: `robeval measure theory` lists them.")
        )


@command.group(cls=_Theory, invoke_without_command=True)
@click.pass_context
def theory(ctx: click.Context) -> None:
    """Examples and theorems of the papers: closed forms beside simulations."""
    if ctx.invoked_subcommand is None and isinstance(ctx.command, _Measures):
        ctx.command.show()


def _measure(entry: "Entry", given: dict[str, Any]) -> None:
    out: Path = given.pop("out")
    with ends.kept(out):
        from rich.console import Console

        from robeval import measuring
        from robeval.reports import findings
        from robeval.reports.render import terminal

        params, rest = keywords.split(given, entry.function)
        console = Console(highlight=False)
        if models := rest.pop("models", None):
            rest["model"] = list(models)
        with console.status("") as status:

            def listen(question: Any, share: float) -> None:
                status.update(f"{question.measure} of {question.subject}: {100 * share:.0f} %")

            def attack(job: "api.Job", folder: Path) -> "api.Evaluation":
                status.stop()
                return _attacked(console, job, folder)

            found = measuring.run(entry.name, params, measuring.Request(**rest), out, attack, listen)
        for note in found.notes:
            console.print(note, markup=False, soft_wrap=True)
        for table in findings.tables(found.table):
            console.print(terminal.render(table))
        console.print(f"Written: {out / 'measures.md'} and {out / 'measures.csv'}", markup=False, soft_wrap=True)


def _attacked(console: "Console", job: "api.Job", out: Path) -> "api.Evaluation":
    """Run the suite of a measure of verdicts; exits with 1 if cells failed."""
    from robeval.cli.session import run_shown

    found = run_shown(console, job, out)
    ends.check(found.failed, out)
    return found
