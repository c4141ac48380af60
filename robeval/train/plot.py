"""The curves of a training as a picture."""

import csv
import io
from pathlib import Path
from typing import Any

from robeval import canvas, shelf
from robeval.errors import UserError
from robeval.train.log import COLUMNS
from robeval.whole import write_whole

_CURVES = {
    "accuracy": "training, clean",
    "robust_accuracy": "training, perturbed",
    "validation_accuracy": "held out, clean",
    "validation_robust_accuracy": "held out, PGD",
}


def plot(log: Path, picture: Path) -> None:
    """Draw loss, learning rate and accuracies of a log against its epochs, as PNG.

    Raises:
        UserError: the log is none, has no epoch yet, or matplotlib is not installed.
    """
    curves = _read(log)
    with canvas.styled("robeval train plot") as figure:
        drawn = _drawn(curves, log.stem, figure)
        write_whole(picture, canvas.encoded(drawn, dpi=150, title=log.stem))


def _drawn(curves: dict[str, tuple[list[int], list[float]]], title: str, figure: Any) -> Any:
    """Loss and learning rate above, accuracies below."""
    made = figure(figsize=(7, 7), layout="constrained")
    above, below = made.subplots(2, sharex=True)
    above.plot(*curves["loss"], color="black")
    above.set(ylabel="loss", title=title)
    rate = above.twinx()
    rate.plot(*curves["learning_rate"], color="grey", linestyle=":")
    rate.spines["right"].set_visible(True)
    rate.grid(False)
    rate.set_ylabel("learning rate (dotted)")
    for column, label in _CURVES.items():
        epochs, shares = curves[column]
        if epochs:
            below.plot(epochs, [100 * share for share in shares], label=label, marker="." if len(epochs) < 20 else "")
    below.set(xlabel="epoch", ylabel="accuracy, %", ylim=(0, 100))
    below.xaxis.get_major_locator().set_params(integer=True)
    below.legend()
    return made


def _read(log: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Of each column, the epochs that have a number there, and the numbers."""
    with shelf.reading(log):
        text = log.read_text(encoding="utf-8", errors="replace")
    reader = csv.DictReader(io.StringIO(text))
    curves: dict[str, tuple[list[int], list[float]]] = {column: ([], []) for column in COLUMNS}
    try:
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError
        for row in reader:
            for column in COLUMNS:
                if row[column]:
                    curves[column][0].append(int(row["number"]))
                    curves[column][1].append(float(row[column]))
    except ValueError:
        fix = "Give a file OUT/logs/NAME.csv as `robeval train` wrote it."
        raise UserError("this is no log of a training", where=log, fix=fix) from None
    if not curves["loss"][0]:
        raise UserError("no epoch is over yet", where=log, fix="Wait for the first.")
    return curves
