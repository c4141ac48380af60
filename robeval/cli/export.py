"""`robeval export`."""

from pathlib import Path

import click

from robeval.cli import ends, options


@click.group()
def command() -> None:
    """Write adversarial images as an array."""


@command.command()
@options.suite
@options.model
@click.option("--attack", default="worst_case", show_default=True, help="Whose images; by its id in the suite.")
@click.option(
    "--rules", default="", metavar="RULES", help="Form of a public challenge, trades or madry, and its checks."
)
@click.option("--to", "path", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The .npy file.")
@options.checkpoint
@options.out
@options.limit
@options.microbatch
@options.data
@options.sample
@options.data_root
@options.device
@options.seed
def adv(
    suite: str,
    model: str,
    attack: str,
    rules: str,
    path: Path,
    checkpoint: Path | None,
    out: Path,
    limit: int | None,
    microbatch: int | None,
    data: str | None,
    sample: str | None,
    data_root: Path | None,
    device: str,
    seed: int,
) -> None:
    """Write the adversarial images of a model as an array, float32.

    They are made again, as the ledger keeps only verdicts; with the ledger of the run they are the same bit for bit.
    For each sample it is the image that broke it, or else the last one that was tried. Without --rules the array is
    (n, channels, height, width) in [0, 1].
    """
    with ends.kept(out):
        from robeval import api
        from robeval.cli import fetching
        from robeval.ledger.store import Ledger
        from robeval.run import challenge
        from robeval.run.images import adversarial

        with fetching.shown() as listen:
            given = (data, checkpoint, data_root, device, microbatch, limit, seed, None, sample, listen)
            job = api.prepare(model, suite, *given)
        form = challenge.find(rules, job.samples.dataset) if rules else None
        found = adversarial(job.plan, job.models, job.samples, Ledger(out), job.device, attack, microbatch)
        array = form.packed(found.images) if form else found.images
        challenge.write(path, array)
        click.echo(f"{path}: {array.dtype} {array.shape}; {int(found.broken.sum())} of {len(array)} samples are broken")
        if form:
            clean = job.samples.slice(0, len(array))[0].numpy()
            wrong, _ = challenge.violations(form, array, clean)
            part = challenge.wrong_form(form, array, challenge.COUNT)
            ends.violations(path, form.name, [*([part] if part else []), *wrong])
