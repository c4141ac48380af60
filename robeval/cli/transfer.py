"""`robeval transfer`."""

from pathlib import Path

import click

from robeval.cli import ends, options


@click.command()
@click.option(
    "--source", "sources", multiple=True, required=True, metavar="MODEL", help="Whose gradients are followed."
)
@click.option("--target", "targets", multiple=True, required=True, metavar="MODEL", help="Whose accuracy is measured.")
@click.option(
    "--suite",
    default="transfer_digits_linf",
    show_default=True,
    metavar="SUITE",
    help="The attacks that make the images; any suite.",
)
@options.out
@options.limit
@options.microbatch
@options.data
@options.sample
@options.data_root
@options.device
@options.seed
def command(
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    suite: str,
    out: Path,
    limit: int | None,
    microbatch: int | None,
    data: str | None,
    sample: str | None,
    data_root: Path | None,
    device: str,
    seed: int,
) -> None:
    """Attack models with images made on another model (black-box transfer).

    A sample counts as broken if the image made with the source's gradients is misclassified by the target, or if
    the target is wrong on the clean image. Several sources and targets are all crossed. A model's name may leave
    out the data set of the suite: `natural` is `natural_digits` for a suite about digits.
    """
    with ends.kept(out):
        from robeval import api
        from robeval.cli import fetching
        from robeval.cli.session import run_jobs
        from robeval.errors import Problems, raise_together
        from robeval.suites import load as suites

        dataset = suites.load(suite).dataset
        victims = [_full(name, dataset) for name in targets]
        problems = Problems()
        with fetching.shown() as listen:
            jobs = [
                problems.attempt(
                    api.prepare, victims, suite, data, None, data_root, device, microbatch, limit, seed,
                    _full(name, dataset), sample, listen,
                )
                for name in sources
            ]  # fmt: skip
        raise_together(problems)
        run_jobs(jobs, out)


def _full(name: str, dataset: str) -> str:
    """The model's name with the data set, if only that is on the shelf."""
    from robeval import shelf

    known = shelf.names(shelf.CARDS)
    return f"{name}_{dataset}" if name not in known and f"{name}_{dataset}" in known else name
