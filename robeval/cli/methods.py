"""`robeval methods`."""

import click


@click.command()
@click.argument("name", required=False)
@click.option("--markdown", is_flag=True, help="Everything about each, as a Markdown page (docs/methods.md).")
def command(name: str | None, markdown: bool) -> None:
    """List the training methods; with a NAME, say what it does and which keys a card's [training] may write."""
    from rich.console import Console

    from robeval.cli import method_page
    from robeval.errors import UserError, nearest
    from robeval.reports.render import terminal
    from robeval.train import registry
    from robeval.values.table import Table

    known = registry.catalog()
    if markdown:
        click.echo(method_page.page(), nl=False)
    elif name is None:
        Console(highlight=False).print(terminal.render(method_page.table(known.values())))
    elif name not in known:
        raise UserError(f"unknown method '{name}'", where="NAME", fix=nearest(name, known))
    else:
        click.echo(f"{name}\n\n{method_page.description(known[name])}")
        if rows := method_page.parameters(known[name]):
            table = Table("Parameters", ("parameter", "may be", "default"), rows)
            Console(highlight=False).print(terminal.render(table))
