"""`robeval train`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robeval.cli import options

if TYPE_CHECKING:
    from robeval.train.loop import Epoch


@click.command()
@click.argument("card")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("trained"), show_default=True, help="Where the files go."
)
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the one in the card.")
@options.data_root
@options.device
def command(card: str, out: Path, seed: int | None, data_root: Path | None, device: str) -> None:
    """Train the model of CARD, a name (`robeval zoo`) or a TOML file, as its section [training] says.

    Writes the weights into OUT/checkpoints and a card that goes with them into OUT/cards; files of the same name
    there are replaced once training is over. `robeval methods` lists what [training] may name.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from robeval.datasets import registry
    from robeval.run.bench import choose_device
    from robeval.train.loop import train
    from robeval.zoo import cards

    model = cards.load(card, "CARD")
    if seed is not None:
        model = replace(model, training={**model.training, "seed": seed})
    place = choose_device(device)
    samples = registry.load(model.dataset, "train", registry.data_roots(data_root), where=model.where)
    console = Console(highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(16), TimeRemainingColumn(), TextColumn("left")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("starting", total=None)

        def listen(epoch: "Epoch") -> None:
            line = _line(epoch)
            progress.update(bar, description=line, total=epoch.count, completed=epoch.number)
            if not console.is_terminal:
                click.echo(f"{model.id}: {line}, {epoch.images_per_second:.0f} images/s")

        path = train(model, samples, out, place, listen)
    click.echo(f"Written: {out / 'checkpoints' / f'{model.id}.safetensors'} and {path}")
    suite = f"{model.dataset}_{model.training.get('norm', 'linf')}"
    click.echo(f"Now try: robeval run --suite {suite} --model {path}")


def _line(epoch: "Epoch") -> str:
    return f"epoch {epoch.number}/{epoch.count}, loss {epoch.loss:.4f}, accuracy {100 * epoch.accuracy:.2f} %"
