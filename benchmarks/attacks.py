"""Every attack beside the same of torchattacks, foolbox and the official AutoAttack: time, strength and their ratio.

    python benchmarks/attacks.py --checkpoint model_mnist_smallcnn.pt --data-root DIR

All are run by robeval's engine on the same samples of the MNIST SmallCNN of TRADES, with frozen parameters, in turn,
and judged alike. A ratio is printed only where the outcomes do not differ significantly (exact McNemar test on the
samples broken, p < 0.05) and, for minimal distances, where the medians are finite and within 5 %. What is compared,
and with which settings, is in attacks.toml.
"""

import statistics
import time
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from scipy.stats import binomtest

from robeval.datasets.registry import Samples, load
from robeval.ops.microbatch import Microbatches
from robeval.reports.render import terminal
from robeval.run.bench import Shape, exact_arithmetic, probe
from robeval.run.crosscheck import with_references
from robeval.run.engine import run_cell
from robeval.run.plan import make_plan, resolved
from robeval.suites import load as suites
from robeval.values.cell import Cell, Verdicts
from robeval.values.pair import Pair
from robeval.values.table import Table
from robeval.zoo import cards
from robeval.zoo.load import load_model
from robeval.zoo.model import LoadedModel

NEAR = 1.05  # medians of distances whose quotient is at most this are of equal strength


@click.command()
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True)
@click.option("--data-root", type=click.Path(path_type=Path), required=True)
@click.option("--suite", default=str(Path(__file__).with_suffix(".toml")), show_default=True)
@click.option("--images", default=64, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(checkpoint: Path, data_root: Path, suite: str, images: int, rounds: int) -> None:
    """Time the pairs in turn and print medians and ratios."""
    samples = load("mnist", "test", (data_root,))
    model = load_model(cards.load("trades_mnist"), samples.shape, samples.num_classes, checkpoint)
    check = with_references(resolved(suites.load(suite)))
    plan = make_plan(check.suite, [model], samples, limit=images, seed=0)
    cells = {cell.attack.id: cell for cell in plan.cells}
    shape = probe(model.module, samples.shape, torch.device("cpu"))
    times: dict[str, list[float]] = {name: [] for name in cells}
    found: dict[str, Verdicts] = {}
    for turn in range(rounds + 1):  # the first warms up, and imports the libraries
        for name, cell in cells.items():
            seconds, found[name] = timed(cell, model, samples, shape)
            if turn:
                times[name].append(seconds)
    rows = [row(pair, times, found) for pair in check.pairs]
    header = ("attack", "reference", "seconds: ours", "theirs", "robust %: ours", "theirs")
    header += ("median distance: ours", "theirs", "ours is faster by")
    caption = f"{images} MNIST images, TRADES SmallCNN, torch {torch.__version__}, {shape}"
    Console(width=190).print(terminal.render(Table(caption, header, tuple(rows), check.skipped)))


def timed(cell: Cell, model: LoadedModel, samples: Samples, shape: Shape) -> tuple[float, Verdicts]:
    """Seconds and verdicts of one cell."""
    x, y = samples.slice(cell.slice.start, cell.slice.stop)
    with exact_arithmetic(shape.threads):
        start = time.perf_counter()
        verdicts = run_cell(cell, Microbatches(model.module, shape.rows), x, y)
        return time.perf_counter() - start, verdicts


def row(pair: Pair, times: dict[str, list[float]], found: dict[str, Verdicts]) -> tuple[str, ...]:
    """One pair; ratios are taken round by round, and their median shown."""
    names = (pair.ours, pair.theirs)
    ours, theirs = (found[name] for name in names)
    seconds = (f"{statistics.median(times[name]):.2f}" for name in names)
    robust = (f"{100 * (~found[name].broken).mean():.1f}" for name in names)
    medians = [median(each) if pair.minimal else np.nan for each in (ours, theirs)]
    shown = ("" if np.isnan(each) else f"{each:.4g}" for each in medians)
    ratio = statistics.median(slow / fast for slow, fast in zip(times[pair.theirs], times[pair.ours]))
    verdict = f"{ratio:.2f}x" if comparable(ours, theirs, medians) else "not comparable"
    note = " *" if pair.differs else ""
    return (pair.ours, pair.use + note, *seconds, *robust, *shown, verdict)


def median(verdicts: Verdicts) -> float:
    """Of the distances at which attacked samples were misclassified; infinite where none was found."""
    return float(np.median(np.nan_to_num(verdicts.distance[verdicts.attacked], nan=np.inf)))


def comparable(ours: Verdicts, theirs: Verdicts, medians: list[float]) -> bool:
    """Whether both were equally strong."""
    only = int((ours.broken & ~theirs.broken).sum()), int((~ours.broken & theirs.broken).sum())
    if sum(only) and binomtest(only[0], sum(only)).pvalue < 0.05:
        return False
    return bool(np.isnan(medians[0])) or (np.isfinite(medians).all() and max(medians) <= NEAR * min(medians))


if __name__ == "__main__":
    main()
