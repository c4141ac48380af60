"""`robeval zoo`."""

from pathlib import Path

import click

from robeval.cli import options

WIDE = 100  # columns of a screen that has room for checksums


class _Zoo(click.Group):
    """`robeval zoo NAME` shows a model, as `robeval zoo show NAME` does; without a name it lists them all."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0].startswith("--dataset"):
            args = ["list", *args]
        elif args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Zoo)
def command() -> None:
    """List the models; show, fetch, inspect, convert or verify one."""


@command.command("list")
@click.option("--dataset", help="Only the models of this data set.")
def list_(dataset: str | None) -> None:
    """List the models: networks, published accuracies and their sources, and where the weights are.

    A card that cannot be read is named after the others, and the command ends with 1.
    """
    from rich.console import Console

    from robeval.errors import Problems, UserError, nearest
    from robeval.reports.render import terminal
    from robeval.zoo import cards, listing

    console = Console(highlight=False)
    problems = Problems()
    known = cards.catalog(problems).values()
    found = [card for card in known if dataset in (None, card.dataset)]
    if not found:
        fix = nearest(str(dataset), {card.dataset for card in known})
        raise UserError(f"there is no model of '{dataset}'", where="--dataset", fix=fix)
    for table in listing.tables(found, checksums=console.width >= WIDE):
        console.print(terminal.render(table))
    for line in ("", *listing.legend(found)):
        console.print(line, markup=False)
    for problem in problems:
        click.echo(f"robeval: {problem}", err=True)
    if problems:
        raise SystemExit(1)


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """Show the card of a model, and where its weights are."""
    from rich.console import Console

    from robeval.errors import UserError
    from robeval.reports.render import terminal
    from robeval.zoo import cards, checkpoints, listing

    console = Console(highlight=False)
    card = cards.load(name, "NAME")
    for table in listing.page(card):
        console.print(terminal.render(table))
    try:
        weights = f"Weights: {checkpoints.locate(card, None)}"
    except UserError as error:
        weights = f"Weights: {error}"
    console.print(weights, markup=False, soft_wrap=True)


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def fetch(names: tuple[str, ...]) -> None:
    """Fetch the weights of models that are not there yet from where their cards say, into the cache, and check them."""
    from robeval.cli import fetching
    from robeval.zoo import cards, checkpoints
    from robeval.zoo.obtain import obtain

    for card in [cards.load(name, "NAME") for name in names]:
        with fetching.shown() as listen:
            path = obtain(card, None, listen)
        sha256 = checkpoints.verify(card, path)
        known = card.checkpoint and card.checkpoint.sha256
        said = "that of the card" if known else "the card names none; put it there to be sure of the file from now on"
        click.echo(f"{card.id}: {path}\n  sha256 {sha256} ({said})")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", default="", help="The entry that holds the weights, where the file has several networks.")
def inspect(file: Path, key: str) -> None:
    """Look into a FILE of weights: names, shapes, the networks it fits, and a card for it. Nothing in it is run."""
    from rich.console import Console

    from robeval.reports.render import terminal
    from robeval.values.table import Table
    from robeval.zoo import cards
    from robeval.zoo.inspect import inspect as look

    console = Console(highlight=False)
    found = look(file, key)
    rows = [(name, "x".join(map(str, tensor.shape)) or "one number") for name, tensor in found.weights.items()]
    total = sum(tensor.numel() for tensor in found.weights.values())
    console.print(terminal.render(Table(f"{file.name}: {found.kind}", ("name", "shape"), tuple(rows))))
    console.print(f"{len(rows)} tensors, {total:,} numbers, sha256 {found.sha256}", markup=False, soft_wrap=True)
    for each in found.fits:
        params = ", ".join(f"{key}={value}" for key, value in each.network.params.items())
        (channels, height, width), classes = each.image
        images = " or ".join(each.datasets) or f"{channels}x{height}x{width} in {classes} classes"
        line = f"It fits {each.network.arch}{f' ({params})' if params else ''} on images of {images}."
        console.print(line, markup=False, soft_wrap=True)
    if card := found.card():
        click.echo(f"\nA card to begin with, {card.id}.toml (mend its title and, if the network wants it, [input]):\n")
        click.echo(cards.text(card))
    elif found.fits:
        click.echo("No data set that robeval knows has such images, so there is no card; `--data` takes your own.")
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
    """Check a model: its natural accuracy, its mode and input range, and that answers belong to single images."""
    from rich.console import Console

    from robeval.cli import fetching
    from robeval.errors import UserError
    from robeval.reports.render import terminal
    from robeval.run.verify import verify as work
    from robeval.values.table import Table
    from robeval.zoo import cards
    from robeval.zoo.obtain import obtain

    if limit is not None and limit < 1:
        raise UserError(f"{limit} samples cannot be evaluated", where="--limit", fix="Give 1 or more.")
    card = cards.load(name, "NAME")
    with fetching.shown() as listen:
        weights = obtain(card, checkpoint, listen)
    checks = work(card, weights, data_root, limit)
    rows = tuple((each.name, each.verdict, each.evidence) for each in checks)
    Console(highlight=False).print(terminal.render(Table(name, ("check", "", "evidence"), rows)))
    if any(each.verdict == "FAIL" for each in checks):
        raise SystemExit(1)
