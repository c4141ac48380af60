"""`robeval zoo`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robeval.cli import options

if TYPE_CHECKING:
    from robeval.values.card import ModelCard


class _Zoo(click.Group):
    """`robeval zoo NAME` shows a model, as `robeval zoo show NAME` does."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_Zoo, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the models; show, fetch, inspect, convert or verify one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list")
def list_() -> None:
    """List the models: data set, weights, published accuracies."""
    from rich.console import Console

    from robeval.reports.render import terminal
    from robeval.values.table import Table
    from robeval.zoo import cards

    rows = [
        (card.id, card.dataset, _weights(card), _published(card, "natural"), card.title)
        for card in cards.catalog().values()
    ]
    header = ("model", "data", "weights", "published natural %", "title")
    Console(highlight=False).print(terminal.render(Table("Models", header, tuple(rows))))


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """Show the card of a model, and where its weights are."""
    from rich.console import Console

    from robeval.errors import UserError
    from robeval.reports.render import terminal
    from robeval.values.table import Table
    from robeval.zoo import cards, checkpoints

    console = Console(highlight=False)
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


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def fetch(names: tuple[str, ...]) -> None:
    """Fetch the weights of models that are not there yet from where their cards say, into the cache, and check them."""
    from robeval.cli import fetching
    from robeval.zoo import cards, checkpoints

    for card in [cards.load(name, "NAME") for name in names]:
        with fetching.shown() as listen:
            path = checkpoints.obtain(card, None, listen)
        sha256 = checkpoints.verify(card, path)
        known = card.checkpoint and card.checkpoint.sha256
        said = "that of the card" if known else "the card names none; put it there to be sure of the file from now on"
        click.echo(f"{card.id}: {path}\n  sha256 {sha256} ({said})")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
def inspect(file: Path) -> None:
    """Look into a FILE of weights: names, shapes, the networks it fits, and a card for it. Nothing in it is run."""
    from rich.console import Console

    from robeval.reports.render import terminal
    from robeval.values.table import Table
    from robeval.zoo import cards
    from robeval.zoo.inspect import inspect as look

    console = Console(highlight=False)
    found = look(file)
    rows = [(name, "x".join(map(str, tensor.shape)) or "one number") for name, tensor in found.weights.items()]
    total = sum(tensor.numel() for tensor in found.weights.values())
    console.print(terminal.render(Table(f"{file.name}: {found.kind}", ("name", "shape"), tuple(rows))))
    console.print(f"{len(rows)} tensors, {total:,} numbers, sha256 {found.sha256}", markup=False, soft_wrap=True)
    for each in found.fits:
        params = ", ".join(f"{key}={value}" for key, value in each.network.params.items())
        line = f"It fits {each.network.arch}{f' ({params})' if params else ''} on images of {each.dataset}."
        console.print(line, markup=False, soft_wrap=True)
    if card := found.card():
        click.echo(f"\nA card to begin with, {card.id}.toml (mend its title and, if the network wants it, [input]):\n")
        click.echo(cards.text(card))
    else:
        click.echo("It fits no network that robeval knows; `--model package.module:factory` takes one of your own.")


@command.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--card", required=True, help="The card whose network the weights are of: a name, or a TOML file.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("converted"), show_default=True, help="Where the files go."
)
def convert(source: Path, card: str, out: Path) -> None:
    """Write the weights in SOURCE as safetensors, with a card that goes with them."""
    from robeval.zoo import cards
    from robeval.zoo.save import convert as work

    path = work(source, cards.load(card, "--card"), out)
    click.echo(f"Written: {path} and the weights it names, in {out / 'checkpoints'}")


@command.command()
@click.argument("name")
@options.checkpoint
@options.limit
@options.data_root
def verify(name: str, checkpoint: Path | None, limit: int | None, data_root: Path | None) -> None:
    """Check a model: its natural accuracy against its card, and that its answers belong to single images."""
    from rich.console import Console

    from robeval.cli import fetching
    from robeval.reports.render import terminal
    from robeval.run.verify import verify as work
    from robeval.values.table import Table
    from robeval.zoo import cards, checkpoints

    card = cards.load(name, "NAME")
    with fetching.shown() as listen:
        weights = checkpoints.obtain(card, checkpoint, listen)
    checks = work(card, weights, data_root, limit)
    rows = tuple((each.name, each.verdict, each.evidence) for each in checks)
    Console(highlight=False).print(terminal.render(Table(name, ("check", "", "evidence"), rows)))
    if any(each.verdict == "FAIL" for each in checks):
        raise SystemExit(1)


def _weights(card: "ModelCard") -> str:
    from robeval.errors import UserError
    from robeval.zoo import checkpoints

    try:
        return str(checkpoints.locate(card, None).name)
    except UserError:
        return "not here"


def _published(card: "ModelCard", word: str) -> str:
    return next((f"{each.value:.2f}" for each in card.published if each.metric.startswith(word)), "")
