"""`robeval zoo`."""

import click


@click.command()
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the models and where their weights are; with a NAME, show its card."""
    from rich.console import Console

    from robeval.errors import UserError
    from robeval.reports.render import terminal
    from robeval.values.card import ModelCard
    from robeval.values.table import Table
    from robeval.zoo import cards, checkpoints

    def weights(card: ModelCard) -> str:
        try:
            return str(checkpoints.locate(card, None).name)
        except UserError:
            return "not here"

    console = Console(highlight=False)
    if name is None:
        rows = [(card.id, card.dataset, weights(card), card.title) for card in cards.catalog().values()]
        console.print(terminal.render(Table("Models", ("model", "data", "weights", "title"), tuple(rows))))
        return
    card = cards.load(name, "NAME")
    lines = [("title", card.title), ("data", card.dataset), ("paper", card.paper), ("card", card.where)]
    lines += [("network", f"{card.network.arch} {dict(card.network.params)}"), ("input", card.input.normalise)]
    lines += [("training", ", ".join(f"{key}={value}" for key, value in card.training.items()))]
    lines += [("published", f"{each.metric}: {each.value:g} ({each.source})") for each in card.published]
    console.print(terminal.render(Table(card.id, ("", ""), tuple(line for line in lines if line[1]))))
    try:
        weights_line = f"Weights: {checkpoints.locate(card, None)}"
    except UserError as error:
        weights_line = str(error)
    console.print(weights_line, markup=False, soft_wrap=True)
