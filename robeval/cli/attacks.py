"""`robeval attacks`."""

import click


@click.command()
def command() -> None:
    """List the attacks: what they are, the norms they can do, and the parameters a suite may write."""
    from rich.console import Console

    from robeval.attacks import registry
    from robeval.reports.render import terminal
    from robeval.values.parameters import described
    from robeval.values.table import Table

    known = registry.catalog().values()
    ours = [
        (entry.name, ", ".join(entry.norms), described(entry.function), entry.summary)
        for entry in known
        if not entry.library
    ]
    theirs = [
        (entry.name, ", ".join(entry.norms), "yes" if registry.is_installed(entry) else "no")
        for entry in known
        if entry.library
    ]
    notes = (
        "Parameters are some of those of the attack of the same name, and mean the same.",
        "`robeval crosscheck` runs them beside ours.",
    )
    console = Console(highlight=False)
    console.print(terminal.render(Table("Attacks", ("attack", "norms", "parameters", ""), tuple(ours))))
    header = ("reference", "norms", "installed")
    console.print(terminal.render(Table("Attacks of other libraries", header, tuple(theirs), notes)))
