"""Every attack beside the same of torchattacks, foolbox and the official AutoAttack: time, strength and their ratio.

    python benchmarks/attacks.py --checkpoint model_mnist_smallcnn.pt --data-root DIR

All are run by robeval's engine on the same samples of one MNIST network, with frozen parameters, in turn, and judged
alike; DeepFool besides an image at a time. Attacks that no library has are in a row of their own. A ratio is
printed only where the robust accuracies are within 1 point or one image of each other, whichever is larger, and the
outcomes do not differ significantly (exact McNemar test on the samples broken, p < 0.05), which fewer than 6 samples
cannot; and, for minimal distances, where the medians are finite and within 5 %. What is compared, and with which
settings, is in attacks.toml.
"""

import statistics
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from scipy.stats import binomtest

from robeval.datasets.registry import Samples, load
from robeval.errors import UserError
from robeval.ops.microbatch import Microbatches
from robeval.reports.render import terminal
from robeval.run.bench import Shape, exact_arithmetic, probe
from robeval.run.crosscheck import Crosscheck, with_references
from robeval.run.engine import run_cell
from robeval.run.plan import make_plan, resolved
from robeval.suites import load as suites
from robeval.values.cell import Cell, Verdicts
from robeval.values.pair import Pair
from robeval.values.suite import Suite
from robeval.values.table import Table
from robeval.zoo import cards
from robeval.zoo.load import load_model
from robeval.zoo.model import LoadedModel

ALONE = "one image at a time"
POINTS = 0.01  # by which robust accuracies of equal strength may differ; one image always may
NEAR = 1.05  # medians of distances whose quotient is at most this are of equal strength


@click.command()
@click.option("--model", "name", default="trades_mnist", show_default=True, help="A model of MNIST, by its card.")
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True)
@click.option("--data-root", type=click.Path(path_type=Path), required=True)
@click.option("--suite", default=str(Path(__file__).with_suffix(".toml")), show_default=True)
@click.option("--images", default=64, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--attack", "chosen", multiple=True, help="Only the attack of this id; may be given again.")
def main(
    name: str, checkpoint: Path, data_root: Path, suite: str, images: int, rounds: int, chosen: tuple[str, ...]
) -> None:
    """Time the pairs in turn and print medians and ratios."""
    samples = load("mnist", "test", (data_root,))
    model = load_model(cards.load(name), samples.shape, samples.num_classes, checkpoint)
    check = work(resolved(suites.load(suite)), chosen)
    plan = make_plan(check.suite, [model], samples, limit=images, seed=0)
    cells = {cell.attack.id: cell for cell in plan.cells}
    alone = {pair.theirs: cells[pair.ours] for pair in check.pairs if pair.use == ALONE}
    shape = probe(model.module, samples.shape, torch.device("cpu"))
    times: dict[str, list[float]] = {attack: [] for attack in (*cells, *alone)}
    found: dict[str, Verdicts] = {}
    for turn in range(rounds + 1):  # the first warms up, and imports the libraries
        for attack, cell in cells.items():
            seconds, found[attack] = timed(cell, model, samples, shape)
            if turn:
                times[attack].append(seconds)
        for attack, cell in alone.items():
            seconds, found[attack] = one_by_one(cell, model, samples, Shape(1, shape.threads))
            if turn:
                times[attack].append(seconds)
    paired = {attack for pair in check.pairs for attack in (pair.ours, pair.theirs)}
    rows = [row(pair, times, found) for pair in check.pairs]
    rows += [single(attack, times[attack], found[attack]) for attack in cells if attack not in paired]
    header = ("attack", "reference", "seconds: ours", "theirs", "robust %: ours", "theirs")
    header += ("median distance: ours", "theirs", "ours is faster by")
    caption = f"{images} MNIST images, {name}, torch {torch.__version__}, {shape}"
    Console(width=190).print(terminal.render(Table(caption, header, tuple(rows), check.skipped)))


def work(suite: Suite, chosen: tuple[str, ...]) -> Crosscheck:
    """What to time: the attacks beside all their references, and those that have none."""
    chains = tuple(chain for chain in suite.chains if not chosen or chain.id in chosen)
    try:
        check = with_references(replace(suite, chains=chains))
    except UserError:  # none of them has a reference
        check = Crosscheck(replace(suite, chains=()), (), ())
    pairs = check.pairs
    for chain in chains:
        if chain.attacks[0].use == "deepfool":
            pairs += (Pair(chain.id, f"{chain.id}:alone", ALONE, minimal=True),)
    left = tuple(chain for chain in chains if chain not in check.suite.chains)
    return replace(check, suite=replace(check.suite, chains=(*check.suite.chains, *left)), pairs=pairs)


def one_by_one(cell: Cell, model: LoadedModel, samples: Samples, shape: Shape) -> tuple[float, Verdicts]:
    """Seconds and verdicts of one cell, each image attacked by itself."""
    start = cell.slice.start
    places = [(start + i, start + i + 1) for i in range(cell.slice.stop - start)]
    cells = [replace(cell, slice=replace(cell.slice, start=a, stop=b)) for a, b in places]
    seconds, verdicts = zip(*(timed(each, model, samples, shape) for each in cells), strict=True)
    columns = [each.columns() for each in verdicts]
    whole = Verdicts(**{key: np.concatenate([each[key] for each in columns]) for key in columns[0]})
    return sum(seconds), whole


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


def single(name: str, times: list[float], found: Verdicts) -> tuple[str, ...]:
    """An attack that no library has."""
    distance = median(found)
    shown = "" if np.isinf(distance) else f"{distance:.4g}"
    robust = f"{100 * (~found.broken).mean():.1f}"
    return (name, "none", f"{statistics.median(times):.2f}", "", robust, "", shown, "", "")


def median(verdicts: Verdicts) -> float:
    """Of the distances at which attacked samples were misclassified; infinite where none was found."""
    return float(np.median(np.nan_to_num(verdicts.distance[verdicts.attacked], nan=np.inf)))


def comparable(ours: Verdicts, theirs: Verdicts, medians: list[float]) -> bool:
    """Whether both were equally strong."""
    only = int((ours.broken & ~theirs.broken).sum()), int((~ours.broken & theirs.broken).sum())
    if abs(only[0] - only[1]) > max(1, POINTS * len(ours.broken)):
        return False
    if sum(only) and binomtest(only[0], sum(only)).pvalue < 0.05:
        return False
    return bool(np.isnan(medians[0])) or (np.isfinite(medians).all() and max(medians) <= NEAR * min(medians))


if __name__ == "__main__":
    main()
