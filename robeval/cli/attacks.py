"""`robeval attacks`."""

import click


@click.command()
@click.option("--markdown", is_flag=True, help="Everything about each, as a Markdown page (docs/attacks.md).")
def command(markdown: bool) -> None:
    """List the attacks: what they are, the norms they can do, and the parameters a suite may write."""
    from rich.console import Console

    from robeval.attacks import registry
    from robeval.cli import attack_page
    from robeval.reports.render import terminal
    from robeval.values.parameters import described
    from robeval.values.table import Table

    if markdown:
        click.echo(attack_page.page(), nl=False)
        return
    rows = [
        (entry.name, ", ".join(entry.norms), described(entry.function), entry.summary)
        for entry in registry.catalog().values()
    ]
    Console(highlight=False).print(
        terminal.render(Table("Attacks", ("attack", "norms", "parameters", ""), tuple(rows)))
    )
