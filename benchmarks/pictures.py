"""Reading photographs for training: one by one between the steps, as before, and ahead of them in threads.

    python benchmarks/pictures.py [--images 2000] [--step 0.5]

Files of 400x300 are made, and prepared as ImageNet's are, at 224x224, in batches of 128. A step that leaves the CPU
alone, as on another device, is stood for by a pause.
"""

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from robeval.datasets import pictures, registry
from robeval.datasets.imagenet import CROP
from robeval.datasets.registry import Samples
from robeval.reports.render import terminal
from robeval.train import images
from robeval.train.images import Images
from robeval.values.table import Table

BATCH = 128
CPU = torch.device("cpu")


def photographs(folder: Path, count: int) -> Samples:
    """Smooth coloured noise in JPEG files, each of about 30 kB."""
    draw = np.random.default_rng(0)
    names = tuple(f"{number}.jpg" for number in range(count))
    for name in names:
        coarse = draw.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((400, 300), Image.Resampling.BICUBIC).save(folder / name, quality=90)
    return registry.samples("photographs", "train", pictures.pictures(folder, names, CROP), np.zeros(count, int), 2)


def one_by_one(samples: Samples, batches: list[Tensor]) -> Iterator[Tensor]:
    """Each batch when it is asked for."""
    for rows in batches:
        yield samples.take(rows.numpy(), "batch").slice(0, len(rows))[0]


def speed(batches: Iterator[object], count: int, step: float) -> float:
    """Images a second of an epoch whose every step takes `step` seconds."""
    start = time.perf_counter()
    for _ in batches:
        time.sleep(step)
    return count / (time.perf_counter() - start)


@click.command(help=__doc__)
@click.option("--images", "count", default=2000, show_default=True)
@click.option("--step", default=0.5, show_default=True, help="Seconds.")
@click.option("--rounds", default=2, show_default=True, help="The best of them counts.")
def main(count: int, step: float, rounds: int) -> None:
    """Images a second of all, in turn."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        samples = photographs(Path(folder), count)
        batches = list(torch.randperm(count).split(BATCH))
        images.ROOM = 0  # as if they did not fit on the device
        for pause in (0.0, step):
            best = [0.0, 0.0, 0.0]
            for _ in range(rounds):
                ours = Images(samples, CPU)
                found = [
                    speed(one_by_one(samples, batches), count, pause),
                    speed(ours.ahead(batches), count, pause),
                    speed(ours.ahead(batches), count, pause),
                ]
                best = [max(pair) for pair in zip(best, found, strict=True)]
            most = BATCH / pause if pause else math.inf
            rows.append((f"{pause:g} s", *(f"{each:.0f}" for each in best), f"{most:.0f}"))
    columns = ("step", "one by one", "ahead, first epoch", "later epochs", "the steps alone")
    Console().print(terminal.render(Table(f"images/s, {images.THREADS} threads", columns, tuple(rows))))


if __name__ == "__main__":
    main()
