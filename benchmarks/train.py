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
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
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
        """What a card says of a method: those of its keywords that are here."""
        given = {"steps": self.steps, "step_size": self.step_size}
        own = catalog()[method].function.__annotations__
        kept = {key: value for key, value in given.items() if key in own and method != "fast"}
        return kept | ({"norm": "linf", "eps": self.eps} if catalog()[method].adversarial else {})


# ── plain loops ──


def inner(
    net: nn.Module, start: Tensor, x: Tensor, how: Setting, loss: Callable[[Tensor], Tensor], live: bool
) -> Tensor:
    adv = start
    for _ in range(how.steps):
        adv = adv.detach().requires_grad_()
        value = loss(net(adv))
        if live:
            value.backward()
            slope = adv.grad
        else:
            (slope,) = torch.autograd.grad(value, adv)
        adv = adv.detach() + how.step_size * slope.sign()
        adv = torch.min(torch.max(adv, x - how.eps), x + how.eps).clamp(0, 1)
    return adv


def natural(net: nn.Module, x: Tensor, y: Tensor, how: Setting, live: bool) -> Tensor:
    return F.cross_entropy(net(x), y)


def madry(net: nn.Module, x: Tensor, y: Tensor, how: Setting, live: bool) -> Tensor:
    start = (x + how.eps * (2 * torch.rand_like(x) - 1)).clamp(0, 1)
    return F.cross_entropy(net(inner(net, start, x, how, lambda logits: F.cross_entropy(logits, y), live)), y)


def trades(net: nn.Module, x: Tensor, y: Tensor, how: Setting, live: bool) -> Tensor:
    net.eval()
    adv = inner(net, near(x), x, how, lambda logits: divergence(logits, net(x)), live)
    net.train()
    return F.cross_entropy(net(x), y) + BETA * divergence(net(adv), net(x)) / len(x)


def mart(net: nn.Module, x: Tensor, y: Tensor, how: Setting, live: bool) -> Tensor:
    net.eval()
    adv = inner(net, near(x), x, how, lambda logits: F.cross_entropy(logits, y), live)
    net.train()
    clean, changed = net(x), net(adv)
    p, q = clean.softmax(dim=1), changed.softmax(dim=1)
    rival = q.scatter(1, y[:, None], 0.0).amax(dim=1)
    boosted = F.cross_entropy(changed, y) - (1.0001 - rival).log().mean()
    apart = F.kl_div((q + 1e-12).log(), p, reduction="none").sum(dim=1)
    return boosted + BETA * (apart * (1.0000001 - p.gather(1, y[:, None]).squeeze(1))).mean()


def near(x: Tensor) -> Tensor:
    return x + 0.001 * torch.randn_like(x)


def divergence(logits: Tensor, clean: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(logits, dim=1), F.softmax(clean, dim=1), reduction="sum")


PLAIN = {"natural": natural, "madry": madry, "trades": trades, "mart": mart}


def plain(method: str, how: Setting, epochs: int, live: bool) -> nn.Module:
    torch.manual_seed(0)
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


def ours(method: str, how: Setting, epochs: int, keywords: dict[str, Any]) -> nn.Module:
    training = {"method": method, **keywords, "epochs": epochs, "batch_size": BATCH, "optimiser": "adam"}
    training |= {"learning_rate": RATE, "channels_last": True, "threads": 1}
    card = ModelCard("it", "It", how.samples.dataset, Network("small_cnn", how.network), training=training)
    with tempfile.TemporaryDirectory() as folder:
        path = train(card, how.samples, Path(folder), CPU, lambda epoch: None)
        return load_model(cards.load(str(path)), how.samples.shape, how.samples.num_classes).module


# ── the tables ──


def accuracies(net: nn.Module, test: Samples, how: Setting) -> str:
    """Clean / PGD-20, in %."""
    x, y = test.slice(0, len(test))
    problem = Problem(Microbatches(net, BATCH), x, y, ThreatModel("linf", how.eps), Noise(0, "test", 0, range(len(y))))
    adv = climb(problem, problem.random_point(clip=True), cross_entropy, steps=20, step_size=how.eps / 8)
    return " / ".join(f"{100 * (problem.logits(each).argmax(dim=1) == y).double().mean():.1f}" for each in (x, adv))


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


def learnt(method: str, how: Setting, epochs: int, test: Samples) -> tuple[str, str, str]:
    """What ours and the plain loop have learnt."""
    made = ours(method, how, epochs, how.keywords(method)), plain(method, how, epochs, live=False)
    return method, accuracies(made[0], test, how), accuracies(made[1], test, how)


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
@click.option("--epochs", default=10, show_default=True, help="After which accuracies are compared, on the digits.")
def main(data_root: Path | None, rounds: int, images: int, epochs: int) -> None:
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
        rows += [beside(method, Setting(some, {}, 0.3, 10, 0.04), rounds) for method in ("madry", "trades")]
    header = ("method", "data", "images/s", "plain", "backward()", "faster than plain", "than backward()")
    show(f"Training, torch {torch.__version__}, 1 thread", header, rows)
    show("Every method, digits", ("method", "images/s"), [alone(method, digits) for method in catalog()])
    if epochs:
        test = datasets.load("digits", "test")
        rows = [learnt(method, digits, epochs, test) for method in ("madry", "trades")]
        show(f"Clean / PGD-20 accuracy in %, digits, {epochs} epochs", ("method", "robeval", "plain"), rows)


if __name__ == "__main__":
    main()
