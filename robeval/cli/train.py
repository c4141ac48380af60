"""`robeval train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robeval.cli import options

if TYPE_CHECKING:
    from robeval.values.card import ModelCard


class _Train(click.Group):
    """`robeval train CARD` trains a model, as `robeval train model CARD` does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["model", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Train)
def command() -> None:
    """Train a model; draw the curves of a training."""


@command.command(
    context_settings={"ignore_unknown_options": True},
    epilog="`robeval train plot LOG` draws the curves of a training.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[CARD] [--KEY VALUE]...")
@click.option("--method", default="", help="Train a new model by this method (`robeval methods`).")
@click.option("--dataset", default="", help="What the new model learns from (`robeval data`).")
@click.option("--arch", default="", help="The new model's network: a file of robeval/zoo/archs/.")
@click.option("--name", default="", help="What the new model is called.  [default: METHOD_DATASET_ARCH]")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("trained"), show_default=True, help="Where the files go."
)
@click.option("--restart", is_flag=True, help="Begin anew where an unfinished training would go on.")
@options.data_root
@options.device
def model(
    words: tuple[str, ...],
    method: str,
    dataset: str,
    arch: str,
    name: str,
    out: Path,
    restart: bool,
    data_root: Path | None,
    device: str,
) -> None:
    """Train the model of CARD, a name (`robeval zoo`, `robeval train list`) or a TOML file, as its section [training]
    says; or a new one.

    Every key of [training] and [network] can be given as an option, such as `--epochs 30 --beta 6 --eps 8/255
    --decay-epochs 20,25`: `robeval methods` and docs/methods.md list them. A new model needs --method, --dataset and
    --arch; what else is left out is filled in for digits, mnist and cifar10, and said.

    Writes the weights into OUT/checkpoints, a card that goes with them into OUT/cards, the card trained from into
    OUT/recipes, and a line for each epoch into OUT/logs. Stopped at any moment, the same command goes on where it
    was, and ends in the same weights.
    """
    card = _card(words, {"method": method, "dataset": dataset, "arch": arch, "name": name})
    path = _trained(card, out, restart, data_root, device)
    click.echo(f"Written: {out / 'checkpoints' / f'{card.id}.safetensors'} and {path}")
    click.echo(_next(card, path))


def _next(card: "ModelCard", path: Path) -> str:
    """A command that takes the new model, if there is a suite about its images."""
    from robeval import shelf

    suite = f"{card.dataset}_{card.training.get('norm', 'linf')}"
    if suite in shelf.names(shelf.SUITES):
        return f"Now try: robeval run --suite {suite} --model {path}"
    return f"There is no suite {suite}; with a file of your own: robeval run --suite FILE.toml --model {path}"


def _trained(card: "ModelCard", out: Path, restart: bool, data_root: Path | None, device: str) -> Path:
    """Train it while it is shown; the path of the new card."""
    from rich.console import Console

    from robeval.cli.training_screen import TrainingScreen
    from robeval.datasets import registry
    from robeval.run.bench import choose_device
    from robeval.train import loop
    from robeval.train.epochs import DivergedError

    place = choose_device(device)
    samples = registry.load(card.dataset, "train", registry.data_roots(data_root), where=card.where)
    if not restart and loop.unfinished(card, out):
        click.echo(f"{card.id}: goes on where it was stopped; --restart begins anew")
    console = Console(highlight=False)
    try:
        with TrainingScreen(console, card.id) as screen:
            return loop.train(card, samples, out, place, screen.listen, glance=screen.glance, restart=restart)
    except DivergedError as error:
        click.echo(f"robeval: {error}", err=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise click.Abort("What is learnt so far is kept; the same command goes on from there.") from None


@command.command(name="list")
def list_() -> None:
    """List the models of the papers' tables that were not released, and what trains each."""
    from robeval.zoo import recipes

    for name, recipe in recipes.catalog().items():
        card = recipe.card
        click.echo(f"{name}: {card.training.get('method')}, {card.network.arch} on {card.dataset}")


@command.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The picture.  [default: LOG with .png]")
def plot(log: Path, out: Path | None) -> None:
    """Draw the curves of LOG, a file OUT/logs/NAME.csv: loss, learning rate and accuracies, as PNG."""
    from robeval.train.plot import plot as work

    picture = out or log.with_suffix(".png")
    work(log, picture)
    click.echo(f"Written: {picture}")


def _card(words: tuple[str, ...], new: dict[str, str]) -> "ModelCard":
    """The card of what to train."""
    from robeval.errors import UserError
    from robeval.train import wanted
    from robeval.zoo import recipes

    name, given = wanted.split(words)
    if name is None and not any(new.values()):
        raise click.UsageError("give a CARD, or --method, --dataset and --arch for a new model")
    if name is not None:
        if stray := [f"--{option}" for option, value in new.items() if value]:
            found = f"{', '.join(stray)} cannot go with the card '{name}'"
            raise UserError(found, where="robeval train", fix="Leave out the card for a new model.")
        recipe = recipes.load(name)
        for note in recipe.notes:
            click.echo(f"{recipe.card.id}: {note}")
        return wanted.changed(recipe.card, given)
    card, filled = wanted.new(new["method"], new["dataset"], new["arch"], new["name"], given)
    if filled:
        click.echo(f"{card.id}: not given, so as is usual on {card.dataset}: {_listed(filled)}")
    return card


def _listed(keys: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in keys.items())
