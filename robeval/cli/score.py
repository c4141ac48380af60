"""`robeval score`."""

from pathlib import Path

import click

from robeval.cli import ends, options


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", required=True, metavar="MODEL", help="A model by name (`robeval zoo`), or a card's TOML file.")
@click.option("--rules", default="trades", show_default=True, metavar="RULES", help="Whose: trades or madry.")
@options.checkpoint
@options.data_root
@options.device
def command(file: Path, model: str, rules: str, checkpoint: Path | None, data_root: Path | None, device: str) -> None:
    """Score an array of adversarial images (.npy) on a model, by the rules of a public challenge.

    Every kind of violation is listed with its images; images that break the rules do not count as a success. Ends
    with code 1 if there are any.
    """
    from robeval.run.bench import choose_device
    from robeval.run.score import score

    found = score(file, model, rules, checkpoint, data_root, choose_device(device))
    click.echo(found.summary)
    ends.violations(file, rules, found.violations)
