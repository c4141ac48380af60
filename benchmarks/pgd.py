"""PGD-40 on the MNIST SmallCNN of TRADES: robeval beside torchattacks, foolbox and a plain script loop.

    python benchmarks/pgd.py --checkpoint model_mnist_smallcnn.pt --data-root DIR

Every contestant climbs cross-entropy for 40 steps of 0.01 within 0.3 from the image itself and returns the last
iterate. Peers are run with the model's parameters as they come ("live") and frozen. Outcomes are compared sample by
sample with the exact McNemar test; where they differ significantly, the ratio is not printed.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import foolbox
import torch
import torch.nn.functional as F
import torchattacks
from rich.console import Console
from scipy.stats import binomtest
from torch import Tensor, nn

from robeval.attacks.pgd import pgd
from robeval.datasets.registry import load
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.reports.render import terminal
from robeval.run.bench import exact_arithmetic, probe
from robeval.values.table import Table
from robeval.values.threat import ThreatModel
from robeval.zoo import cards
from robeval.zoo.load import load_model

EPS, STEP_SIZE, STEPS = 0.3, 0.01, 40

Contestant = Callable[[nn.Module, Tensor, Tensor], Tensor]


def ours(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    shape = probed(net, x)
    with exact_arithmetic(shape.threads):
        noise = Noise(0, "pgd", 0, range(len(x)))
        problem = Problem(Microbatches(net, shape.rows), x, y, ThreatModel("linf", EPS), noise)
        return pgd(problem, steps=STEPS, step_size=STEP_SIZE, random_start=False)


_PROBED = {}


def probed(net: nn.Module, x: Tensor):
    """As in a run, the batch shape is probed once per model."""
    if id(net) not in _PROBED:
        _PROBED[id(net)] = probe(net, tuple(x.shape[1:]), torch.device("cpu"))
    return _PROBED[id(net)]


def with_torchattacks(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return torchattacks.PGD(net, eps=EPS, alpha=STEP_SIZE, steps=STEPS, random_start=False)(x, y)


def with_foolbox(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP_SIZE, steps=STEPS, random_start=False)
    return attack.run(foolbox.PyTorchModel(net, bounds=(0, 1)), x, foolbox.criteria.Misclassification(y), epsilon=EPS)


def plain_loop(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loop of the papers' scripts, with `backward()`."""
    adv = x.clone()
    for _ in range(STEPS):
        adv.requires_grad_()
        F.cross_entropy(net(adv), y).backward()
        adv = (adv + STEP_SIZE * adv.grad.sign()).detach()
        adv = x + (adv - x).clamp(-EPS, EPS)
        adv = adv.clamp(0, 1)
    return adv


@click.command()
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True)
@click.option("--data-root", type=click.Path(path_type=Path), required=True)
@click.option("--images", default=256, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(checkpoint: Path, data_root: Path, images: int, rounds: int) -> None:
    """Time the contestants in turn and print medians and ratios."""
    samples = load("mnist", "test", (data_root,))
    x, y = samples.slice(0, images)
    card = cards.load("trades_mnist")
    frozen, live = (load_model(card, samples.shape, 10, checkpoint).module for _ in range(2))
    live.requires_grad_(True)
    contestants: dict[str, tuple[Contestant, nn.Module]] = {
        "robeval": (ours, frozen),
        "torchattacks, live": (with_torchattacks, live),
        "torchattacks, frozen": (with_torchattacks, frozen),
        "foolbox, live": (with_foolbox, live),
        "foolbox, frozen": (with_foolbox, frozen),
        "plain loop, live": (plain_loop, live),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    robust: dict[str, Tensor] = {}
    for turn in range(rounds + 1):  # the first warms up
        for name, (attack, net) in contestants.items():
            start = time.perf_counter()
            adv = attack(net, x, y)
            if turn:
                times[name].append(time.perf_counter() - start)
            with torch.no_grad():
                robust[name] = frozen(adv).argmax(dim=1) == y
    rows = [row(name, times, robust, images) for name in contestants]
    header = ("contestant", "seconds", "gradient steps/s", "robust %", "robeval is faster by")
    caption = f"PGD-40, {images} MNIST images, torch {torch.__version__}, {torch.get_num_threads()} threads, "
    caption += f"robeval's shape {_PROBED[id(frozen)]}"
    Console(width=100).print(terminal.render(Table(caption, header, tuple(rows))))


def row(name: str, times: dict[str, list[float]], robust: dict[str, Tensor], images: int) -> tuple[str, ...]:
    """One contestant; ratios are taken round by round, and their median shown."""
    seconds = statistics.median(times[name])
    ratio = statistics.median(theirs / mine for theirs, mine in zip(times[name], times["robeval"]))
    only_ours, only_theirs = (
        int((robust["robeval"] & ~robust[name]).sum()),
        int((~robust["robeval"] & robust[name]).sum()),
    )
    differ = only_ours + only_theirs
    comparable = not differ or binomtest(only_ours, differ).pvalue >= 0.05
    accuracy = f"{100 * robust[name].float().mean():.2f}"
    verdict = f"{ratio:.2f}x" if comparable else "not comparable"
    return (name, f"{seconds:.2f}", f"{images * STEPS / seconds:.0f}", accuracy, verdict)


if __name__ == "__main__":
    main()
