"""`robeval score`."""

from pathlib import Path

import click

from robeval.cli import ends, options


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@options.model
@click.option("--rules", default="trades", show_default=True, metavar="RULES", help="Whose: trades or madry.")
@click.option(
    "--list", "listing", type=click.Path(path_type=Path, dir_okay=False), help="A CSV file with every violation."
)
@options.checkpoint
@options.data_root
@options.device
def command(
    file: Path,
    model: str,
    rules: str,
    listing: Path | None,
    checkpoint: Path | None,
    data_root: Path | None,
    device: str,
) -> None:
    """Score an array of adversarial images (.npy) on a model, by the rules of a public challenge.

    Every kind of violation is said with how many images have it, and with --list FILE every one of them is listed;
    images that break the rules do not count as a success. Ends with code 1 if there are any.
    """
    from robeval.run import challenge
    from robeval.run.bench import choose_device
    from robeval.run.score import score
    from robeval.whole import write_whole

    found = score(file, model, rules, checkpoint, data_root, choose_device(device))
    click.echo(found.summary)
    if listing:
        write_whole(listing, challenge.every_one(found.kinds).encode())
        click.echo(f"Written: {listing}")
    ends.violations(file, rules, found.violations)
