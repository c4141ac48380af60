"""`robeval attacks`."""

import click


@click.command()
@click.argument("name", required=False)
@click.option("--markdown", is_flag=True, help="Everything about each, as a Markdown page (docs/attacks.md).")
def command(name: str | None, markdown: bool) -> None:
    """List the attacks; with a NAME, say what it does and which parameters a suite may write."""
    from rich.console import Console

    from robeval.attacks import registry
    from robeval.cli import attack_page
    from robeval.cli.page import HEADER
    from robeval.errors import UserError, nearest
    from robeval.reports.render import terminal
    from robeval.values.table import Table

    known, ways = registry.catalog(), attack_page.ways()
    if markdown:
        click.echo(attack_page.page(), nl=False)
    elif name is None:
        for table in attack_page.tables(known.values()):
            Console(highlight=False).print(terminal.render(table))
    elif name not in {**known, **ways}:
        raise UserError(f"unknown attack '{name}'", where="NAME", fix=nearest(name, {**known, **ways}))
    else:
        way = ways.get(name)
        click.echo(f"{name}\n\n{way.text if way else attack_page.description(known[name])}")
        if rows := way.rows if way else attack_page.parameters(known[name]):
            Console(highlight=False).print(terminal.render(Table("Parameters", HEADER[: len(rows[0])], rows)))
