"""Every attack beside the same of other libraries and the official AutoAttack: time, strength and their ratio.

    python benchmarks/attacks.py --checkpoint model_mnist_smallcnn.pt --data-root DIR

All are run by robeval's engine on the same samples of one MNIST network, with frozen parameters, in turn, and judged
alike; DeepFool besides an image at a time, and AutoAttack as a whole on the first few images only. Attacks that no
library has are in a row of their own. Seconds are CPU seconds, of all threads. A ratio is printed only where the
robust accuracies are within 1 point or one image of each other, whichever is larger, and the outcomes do not differ
significantly (exact McNemar test on the samples broken, p < 0.05), which fewer than 6 samples cannot; and, for minimal
distances, where the medians are finite and within 5 %. What is compared, and with which settings, is in attacks.toml.
"""

import importlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
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
from robeval.run.crosscheck import STANDARD_NAME, Crosscheck, with_references
from robeval.run.engine import run_cell
from robeval.run.plan import make_plan, resolved
from robeval.suites import load as suites
from robeval.values.cell import Verdicts
from robeval.values.pair import Pair
from robeval.values.plan import Task
from robeval.values.suite import Chain, Suite
from robeval.values.table import Table
from robeval.zoo import cards
from robeval.zoo.load import load_model
from robeval.zoo.model import LoadedModel

ALONE = "one image at a time"
OTHERS = "adversarial_library"  # beside this script: references that robeval does not have
POINTS = 0.01  # by which robust accuracies of equal strength may differ; one image always may
NEAR = 1.05  # medians of distances whose quotient is at most this are of equal strength


@click.command()
@click.option("--model", "name", default="trades_mnist", show_default=True, help="A model of MNIST, by its card.")
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True)
@click.option("--data-root", type=click.Path(path_type=Path), required=True)
@click.option("--suite", default=str(Path(__file__).with_suffix(".toml")), show_default=True)
@click.option("--images", default=64, show_default=True)
@click.option("--few", default=8, show_default=True, help="Images for AutoAttack, which takes a hundred times as long.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--rows", type=int, help="Of a batch, ours and theirs; unless given, what suits the machine best.")
@click.option("--attack", "chosen", multiple=True, help="Only the attack of this id; may be given again.")
def main(
    name: str,
    checkpoint: Path,
    data_root: Path,
    suite: str,
    images: int,
    few: int,
    rounds: int,
    rows: int | None,
    chosen: tuple[str, ...],
) -> None:
    """Time the pairs in turn and print medians and ratios."""
    skipped = more_references()
    samples = load("mnist", "test", (data_root,))
    model = load_model(cards.load(name), samples.shape, samples.num_classes, checkpoint)
    check = work(resolved(suites.load(suite)), chosen)
    tasks = everything(check, model, samples, images, few)
    shape = probe(model.module, samples.shape, torch.device("cpu"), rows)
    for todo in filter(None, everything(check, model, samples, 1, 0).values()):  # warms up, and imports the libraries
        timed(todo, model, samples, shape)
    times: dict[str, list[float]] = {attack: [] for attack in tasks}
    found: dict[str, Verdicts] = {}
    for _ in range(rounds):
        for attack, todo in tasks.items():
            seconds, found[attack] = timed(todo, model, samples, shape)
            times[attack].append(seconds)
    paired = {attack for pair in check.pairs for attack in (pair.ours, pair.theirs)}
    lines = [row(pair, times, found) for pair in check.pairs]
    lines += [single(attack, times[attack], found[attack]) for attack in tasks if attack not in paired]
    header = ("attack", "reference", "images", "seconds: ours", "theirs", "robust %: ours", "theirs")
    header += ("median distance: ours", "theirs", "ours is faster by")
    caption = f"MNIST, {name}, torch {torch.__version__}, {shape}"
    Console(width=190).print(terminal.render(Table(caption, header, tuple(lines), (*check.skipped, *skipped))))


def more_references() -> tuple[str, ...]:
    """Enter the references that only benchmarks have into the catalog; what is missing for that."""
    try:
        importlib.import_module(OTHERS)
    except ModuleNotFoundError as error:
        return (f"{OTHERS}.deepfool: {error} (pip install --no-deps adv-lib tqdm)",)
    return ()


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
            pairs += (Pair(chain.id, f"{chain.id}: {ALONE}", ALONE, minimal=True),)
    left = tuple(chain for chain in chains if chain not in check.suite.chains)
    return replace(check, suite=replace(check.suite, chains=(*check.suite.chains, *left)), pairs=pairs)


def everything(
    check: Crosscheck, model: LoadedModel, samples: Samples, images: int, few: int
) -> dict[str, tuple[Task, ...]]:
    """What each row of the table has to do."""
    chains, pairs = check.suite.chains, check.pairs
    slow = tuple(chain for chain in chains if len(chain.attacks) > 1 or chain.attacks[0].use == STANDARD_NAME)
    quick = tuple(chain for chain in chains if chain not in slow)
    names = {pair.ours: pair.theirs for pair in pairs if pair.use == ALONE}
    alone = tuple(Chain(names[chain.id], chain.attacks) for chain in chains if chain.id in names)
    tasks: dict[str, tuple[Task, ...]] = {}
    for part, count, at_once in ((quick, images, images), (slow, few, few or 1), (alone, images, 1)):
        suite = replace(check.suite, chains=part, slice_size=at_once)
        plan = make_plan(suite, [model], samples, limit=count, seed=0)
        following = iter(plan.tasks)  # those of one chain after those of another
        tasks |= {row.id: tuple(islice(following, len(row.keys))) for row in plan.models[0].rows}
    return tasks


def timed(tasks: Sequence[Task], model: LoadedModel, samples: Samples, shape: Shape) -> tuple[float, Verdicts]:
    """CPU seconds and verdicts of some images after others, in batches of no more rows than are asked for at once."""
    parts, first = [], tasks[0].cells[0].slice
    with exact_arithmetic(shape.threads):
        batches = Microbatches(model.module, min(shape.rows, first.stop - first.start))
        start = time.process_time()
        for task in tasks:
            verdicts = task.before
            for cell in task.cells:
                x, y = samples.slice(cell.slice.start, cell.slice.stop)
                verdicts = run_cell(cell, batches, x, y, verdicts)
            parts.append(verdicts.columns())
        seconds = time.process_time() - start
    return seconds, Verdicts(**{key: np.concatenate([part[key] for part in parts]) for key in parts[0]})


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
    return (pair.ours, pair.use + note, str(len(ours.broken)), *seconds, *robust, *shown, verdict)


def single(name: str, times: list[float], found: Verdicts) -> tuple[str, ...]:
    """An attack that no library has."""
    distance = median(found)
    shown = "" if np.isinf(distance) else f"{distance:.4g}"
    robust = f"{100 * (~found.broken).mean():.1f}"
    return (name, "none", str(len(found.broken)), f"{statistics.median(times):.2f}", "", robust, "", shown, "", "")


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
