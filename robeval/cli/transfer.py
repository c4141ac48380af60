"""`robeval transfer`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robeval.cli import ends, options

if TYPE_CHECKING:
    from robeval import api
    from robeval.ledger.store import Ledger
    from robeval.run.challenge import Rules
    from robeval.run.transfer import Album

WIDTH = 120


@click.command()
@click.option(
    "--source", "sources", multiple=True, required=True, metavar="MODEL,…", help="Whose gradients are followed."
)
@click.option(
    "--target", "targets", multiple=True, required=True, metavar="MODEL,…", help="Whose accuracy is measured."
)
@click.option(
    "--suite",
    default="transfer_digits_linf",
    show_default=True,
    metavar="SUITE",
    help="The attacks that make the images; any suite.",
)
@click.option(
    "--save", type=click.Path(path_type=Path, file_okay=False), help="Folder for the images of each source and attack."
)
@click.option(
    "--rules", default="", metavar="RULES", help="With --save: form of a public challenge, trades or madry, and checks."
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
    save: Path | None,
    rules: str,
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

    Several sources and targets, each given again or with commas between them, make a matrix. Any attack of any suite
    can make the images, with the logits and gradients of the source. They are made once for all targets and cost each a
    forward pass; attacks with restarts or `select = any` ask each target anew. A model's name may leave out the data
    set of the suite: `natural` is `natural_digits` for a suite about digits, or else the one model for that data set
    that has the word in its name.

    Accuracies are given twice: of all samples, where those that the target gets wrong anyway are broken, and of those
    that it gets right. Images are saved as float32, as they were judged.
    """
    with ends.kept(out):
        from robeval import api
        from robeval.cli import fetching
        from robeval.errors import Problems, raise_together
        from robeval.suites import load as suites

        dataset = suites.load(suite).dataset
        problems = Problems()
        victims, seen = (
            [problems.attempt(_full, name, dataset) for name in _split(each)] for each in (targets, sources)
        )
        raise_together(problems)
        given = victims, suite, data, None, data_root, device, microbatch, limit, seed
        with fetching.shown() as listen:
            jobs = [problems.attempt(api.prepare, *given, source, sample, listen) for source in seen]
        raise_together(problems)
        _run(jobs, out, save, rules)


def _run(jobs: "list[api.Job]", out: Path, save: Path | None, rules: str) -> None:
    """Run what is due, print the matrix, write the files."""
    from rich.console import Console

    from robeval.cli.session import run_shown
    from robeval.ledger.store import Ledger
    from robeval.reports import transfer
    from robeval.reports.render import terminal
    from robeval.reports.write import write_transfers
    from robeval.run import challenge
    from robeval.run.transfer import Album

    form = challenge.find(rules, jobs[0].samples.dataset) if save and rules else None
    console, ledger, failed = Console(highlight=False), Ledger(out), 0
    for job in jobs:
        album = Album()
        failed += run_shown(console, job, out, album.take if save else None).failed
        if save:
            _save(job, ledger, album, save, form)
    plans = [plan for job in jobs for plan in job.plan.models]
    wide = Console(highlight=False, width=max(console.width, WIDTH))  # narrower, numbers would be cut off
    for table in transfer.tables(transfer.results(ledger, plans)):
        wide.print(terminal.render(table))
    write_transfers(ledger)
    console.print(f"Written: {out / 'transfer.md'} and {out / 'transfer.csv'}", markup=False, soft_wrap=True)
    ends.check(failed, out)


def _save(job: "api.Job", ledger: "Ledger", album: "Album", folder: Path, form: "Rules | None") -> None:
    """One file for each attack; ends with 1 if one breaks the rules of its challenge."""
    from robeval.run import challenge
    from robeval.run.local import Local

    if job.source is None:
        raise AssertionError("there is a source for each job")
    local = Local(job.models, job.samples, ledger, job.device, job.microbatch, sources=[job.source])
    for name, images in album.whole(job.plan, local):
        path = folder / f"{job.plan.models[0].suite}--{job.source.id}--{name}.npy"
        array = form.packed(images) if form else images
        challenge.write(path, array)
        click.echo(f"{path}: {array.dtype} {array.shape}")
        if form:
            wrong, _ = challenge.violations(form, array, job.samples.slice(0, len(array))[0].numpy())
            ends.violations(path, form.name, wrong)


def _split(names: tuple[str, ...]) -> list[str]:
    """Names that are given again, or with commas between them."""
    return [name for each in names for name in each.split(",") if name]


def _full(name: str, dataset: str) -> str:
    """The model of the data set that is meant by a short name.

    Raises:
        UserError: it may be one of several, or is a model for another data set.
    """
    from robeval import shelf
    from robeval.errors import UserError
    from robeval.zoo import cards

    known = shelf.names(shelf.CARDS)
    if name not in known:
        if f"{name}_{dataset}" in known:
            return f"{name}_{dataset}"
        like = [each for each in known if name in each.split("_") and cards.load(each).dataset == dataset]
        if len(like) > 1:
            fix = f"Name one of them: {', '.join(like)}."
            raise UserError(f"'{name}' may be one of {len(like)} models for {dataset}", where="transfer", fix=fix)
        return like[0] if like else name
    if (own := cards.load(name).dataset) != dataset:
        fix = f"Sources and targets are models of one data set: choose a suite about {own}, or another model."
        raise UserError(f"it is for {own}, but the suite is about {dataset}", where=f"model '{name}'", fix=fix)
    return name
