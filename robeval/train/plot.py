"""The curves of a training as a picture."""

import csv
import io
from pathlib import Path
from typing import Any

from robeval import shelf
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
    rows = _read(log)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        fix = "Install it: pip install 'robeval[plot]'. The log is plain CSV, which other programs draw too."
        raise UserError(
            "drawing needs matplotlib, which is not installed", where="robeval train plot", fix=fix
        ) from None
    figure: Any = Figure(figsize=(7, 7), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    epochs = [int(row["number"]) for row in rows]
    above.plot(epochs, [float(row["loss"]) for row in rows], color="black")
    above.set(ylabel="loss", title=log.stem)
    rate = above.twinx()
    rate.plot(epochs, [float(row["learning_rate"]) for row in rows], color="grey", linestyle=":")
    rate.set_ylabel("learning rate (dotted)")
    for column, label in _CURVES.items():
        known = [(epoch, 100 * float(row[column])) for epoch, row in zip(epochs, rows, strict=True) if row[column]]
        if known:
            below.plot(*zip(*known, strict=True), label=label, marker="." if len(known) < 20 else "")
    below.set(xlabel="epoch", ylabel="accuracy, %", ylim=(0, 100))
    below.legend()
    below.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    write_whole(picture, content.getvalue())


def _read(log: Path) -> list[dict[str, str]]:
    """The rows of a log."""
    with shelf.reading(log):
        text = log.read_text(encoding="utf-8", errors="replace")
    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        fix = "Give a file OUT/logs/NAME.csv that `robeval train` wrote."
        raise UserError("this is no log of a training", where=log, fix=fix)
    if not (rows := list(reader)):
        raise UserError("no epoch is over yet", where=log, fix="Wait for the first.")
    return rows
