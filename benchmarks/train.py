"""Training: robeval's loop beside plain loops of the published structure, in turn, in one process, on one CPU thread.

    python benchmarks/train.py [--data-root DIR]

"plain" is how the papers' scripts are built: in TRADES the clean images pass the network again in every inner step, and
in every method the slopes of the inner problem are asked for with `autograd.grad`. "backward()" is the same with
`loss.backward()` there, as other scripts have it, which computes the slopes of all weights as well and throws them
away. All train the same network with the same optimiser and rates; robeval's also counts the accuracies of its log.

Speeds are of one epoch, the best of some rounds, in seconds of this process on the CPU, so that other programs disturb
them less. Accuracies are on test images, clean and under PGD-20, after more epochs of ours and of plain.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import click
import torch
from plain_training import PLAIN
from rich.console import Console
from torch import Tensor, nn

from robeval.datasets import registry as datasets
from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.ops.losses import cross_entropy
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.reports.render import terminal
from robeval.train.defaults import fill
from robeval.train.inner import climb
from robeval.train.loop import train
from robeval.train.registry import catalog
from robeval.values.card import ModelCard, Network
from robeval.values.table import Table
from robeval.values.threat import ThreatModel
from robeval.zoo import cards
from robeval.zoo.archs.registry import build
from robeval.zoo.load import load_model

BATCH, BETA, RATE = 128, 6.0, 0.004
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Setting:
    """A data set, the network, and the ball and steps that all methods use."""

    samples: Samples
    network: dict[str, Any]
    eps: float
    steps: int
    step_size: float

    def keywords(self, method: str) -> dict[str, Any]:
        """What a card says of a method; one that is meant with one or two steps keeps these."""
        entry = catalog()[method]
        own = signature(entry.function).parameters
        found: dict[str, Any] = {"norm": "linf", "eps": self.eps} if entry.adversarial else {}
        steps = own["steps"].default if "steps" in own and own["steps"].default in (1, 2) else self.steps
        if "steps" in own:
            found["steps"] = steps
        if "step_size" in own and own["step_size"].default is Parameter.empty:
            found["step_size"] = self.eps if steps == 1 else self.step_size
        return found


# ── plain loops ──


def plain(method: str, how: Setting, epochs: int, live: bool, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    x, y = how.samples.slice(0, len(how.samples))
    net = build("small_cnn", how.network, how.samples.shape, how.samples.num_classes, "").train()
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(BATCH):
            loss = PLAIN[method](net, x[rows], y[rows], how, live)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval()


# ── robeval's ──


def ours(method: str, how: Setting, epochs: int, keywords: dict[str, Any], seed: int = 0) -> nn.Module:
    training = {"method": method, **keywords, "epochs": epochs, "batch_size": BATCH, "optimiser": "adam"}
    training |= {"learning_rate": RATE, "channels_last": True, "threads": 1, "seed": seed}
    card = ModelCard("it", "It", how.samples.dataset, Network("small_cnn", how.network), training=training)
    with tempfile.TemporaryDirectory() as folder:
        path = train(card, how.samples, Path(folder), CPU, lambda epoch: None)
        return load_model(cards.load(str(path)), how.samples.shape, how.samples.num_classes).module


# ── the tables ──


def accuracies(net: nn.Module, test: Samples, how: Setting) -> Tensor:
    """Clean and under PGD-20, in %, float64 (2,)."""
    x, y = test.slice(0, len(test))
    problem = Problem(Microbatches(net, BATCH), x, y, ThreatModel("linf", how.eps), Noise(0, "test", 0, range(len(y))))
    adv = climb(problem, problem.random_point(clip=True), cross_entropy, steps=20, step_size=how.eps / 8)
    return torch.stack([100 * (problem.logits(each).argmax(dim=1) == y).double().mean() for each in (x, adv)])


def speeds(how: Setting, rounds: int, *contestants: Callable[[], object]) -> list[float]:
    """Images a second of each, all in turn."""
    best = [float("inf")] * len(contestants)
    for _ in range(rounds):
        for place, contestant in enumerate(contestants):
            start = time.process_time()
            contestant()
            best[place] = min(best[place], time.process_time() - start)
    return [len(how.samples) / seconds for seconds in best]


def beside(method: str, how: Setting, rounds: int) -> tuple[str, ...]:
    """One method, ours and the plain loops in turn."""
    keywords = how.keywords(method)
    found = speeds(
        how,
        rounds,
        lambda: ours(method, how, 1, keywords),
        lambda: plain(method, how, 1, live=False),
        lambda: plain(method, how, 1, live=True),
    )
    ratios = [f"{found[0] / speed:.2f}x" for speed in found[1:]]
    return (method, how.samples.dataset, *(f"{speed:.0f}" for speed in found), *ratios)


def learnt(method: str, how: Setting, epochs: int, test: Samples, seeds: int) -> tuple[str, ...]:
    """What ours and the plain loop have learnt: clean and PGD-20 accuracy, mean and standard deviation over seeds."""
    keywords = how.keywords(method)
    sides: list[Callable[[int], nn.Module]] = [
        lambda seed: ours(method, how, epochs, keywords, seed),
        lambda seed: plain(method, how, epochs, live=False, seed=seed),
    ]
    cells = []
    for side in sides:
        found = torch.stack([accuracies(side(seed), test, how) for seed in range(seeds)])  # (seeds, 2)
        cells += [f"{mean:.1f} ± {apart:.1f}" for mean, apart in zip(found.mean(0), found.std(0), strict=True)]
    return method, *cells


def alone(method: str, how: Setting) -> tuple[str, str]:
    """Images a second of one epoch, with the settings that `robeval train --method` fills in."""
    filled = fill("digits", catalog()[method], {})
    keywords = {key: filled[key] for key in ("norm", "eps", "steps", "step_size") if key in filled}
    try:
        (speed,) = speeds(how, 1, lambda: ours(method, how, 1, keywords))
    except UserError as error:
        return method, f"not here: {error.what}"
    return method, f"{speed:.0f}"


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path), help="Where MNIST is; without it only digits are run.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--images", default=256, show_default=True, help="Of MNIST.")
@click.option("--epochs", default=25, show_default=True, help="After which accuracies are compared, on the digits.")
@click.option("--seeds", default=3, show_default=True, help="Over which accuracies are averaged; 0 leaves them out.")
def main(data_root: Path | None, rounds: int, images: int, epochs: int, seeds: int) -> None:
    """Print images a second, their ratios, and what the networks have learnt."""
    torch.set_num_threads(1)
    console = Console(width=120)

    def show(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        console.print(terminal.render(Table(title, header, tuple(rows))))

    small = {"width": 20, "hidden": 100, "padding": 1, "drop": 0}
    digits = Setting(datasets.load("digits", "train"), small, 3 / 16, 7, 1 / 16)
    rows = [beside(method, digits, rounds) for method in PLAIN]
    if data_root:
        whole = datasets.load("mnist", "train", (data_root,))
        some = datasets.given("mnist", "train", whole.x[:images], whole.y[:images])
        rows += [beside(method, Setting(some, {}, 0.3, 10, 0.04), rounds) for method in ("madry", "mart", "trades")]
    header = ("method", "data", "images/s", "plain", "backward()", "faster than plain", "than backward()")
    show(f"Training, torch {torch.__version__}, 1 thread", header, rows)
    show("Every method, digits", ("method", "images/s"), [alone(method, digits) for method in catalog()])
    if seeds:
        test = datasets.load("digits", "test")
        rows = [learnt(method, digits, epochs, test, seeds) for method in ("madry", "trades", "mart")]
        header = ("method", "clean", "PGD-20", "plain: clean", "plain: PGD-20")
        show(f"Accuracy in %, digits, {epochs} epochs, mean ± standard deviation of {seeds} seeds", header, rows)


if __name__ == "__main__":
    main()
