"""Contents -> matplotlib figures."""

import textwrap
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from robeval import canvas
from robeval.canvas import ALARM, GREY, PALETTE
from robeval.errors import UserError
from robeval.pictures.content import Bins, Chart, Content, Grid, Histogram, Line, Panel, Scatter
from robeval.whole import write_whole

PANEL = 0.95  # inches that an image has on the page
COMMAND = "robeval show"
FINE = 100  # pixels from which on an image is smoothed where it is made smaller
LETTERS = 16  # of the note that fit into an inch
MARKED = 20  # points of a curve that have marks, about
MARKS = "osD^vP*X"
EQUAL = "robust = natural"
STYLES = ("-", (0, (5, 1)), (0, (1, 1)), (0, (5, 1, 1, 1)))


def write(content: Content, path: Path, dpi: int) -> None:
    """Draw it into a file whose ending says which form it has.

    Raises:
        UserError: the ending is another, matplotlib is missing, or the file cannot be written.
    """
    refuse(path)
    with canvas.styled(COMMAND) as figure:
        drawn = draw(content, figure)
        write_whole(path, canvas.encoded(drawn, path.suffix.lower()[1:], dpi, content.title))


def refuse(path: Path) -> None:
    """Say before anything is computed what would keep the picture from being drawn.

    Raises:
        UserError: as `write`.
    """
    if path.suffix.lower()[1:] not in canvas.FORMS:
        found = f"it does not end in .{', .'.join(canvas.FORMS)}"
        raise UserError(found, where=path, fix="Give the name of a picture, as picture.png.")
    with canvas.styled(COMMAND):
        pass


@singledispatch
def draw(content: Any, figure: Any) -> Any:
    """The figure of a content, made by matplotlib's class of figures in its present style."""
    raise AssertionError(f"nothing draws {type(content).__name__}")


@draw.register
def _(content: Grid, figure: Any) -> Any:
    columns, rows = len(content.heads), len(content.strips)
    longest = max(len(line) for strip in content.strips for line in strip.label.split("\n"))
    width = max(PANEL * columns + 0.075 * longest + 0.3, 4)
    height = (PANEL + 0.22) * rows + 0.3 + _inches(content.title, width, 10) + _inches(content.note, width, 7)
    made = figure(figsize=(width, height), layout="constrained")
    made.get_layout_engine().set(w_pad=0.04, h_pad=0.03, wspace=0.02, hspace=0.02)
    axes = made.subplots(rows, columns, squeeze=False)
    for strip, line in zip(content.strips, axes):
        line[0].set_ylabel(strip.label, rotation=0, ha="right", va="center", fontsize=8)
        for panel, place in zip(strip.panels, line):
            _image(place, panel)
    for head, place in zip(content.heads, axes[0]):
        place.set_title(head, fontsize=8)
    return _named(made, content.title, content.note)


def _image(axes: Any, panel: Panel) -> None:
    way = "nearest" if max(panel.pixels.shape) < FINE else "antialiased"
    # Blue and red are told apart by those who take red for green.
    if panel.signed:
        axes.imshow(panel.pixels, cmap="RdBu", vmin=-1, vmax=1, interpolation=way)
    else:
        axes.imshow(panel.pixels, cmap="gray", vmin=0, vmax=1, interpolation=way)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set(visible=True, color="#bbbbbb", linewidth=0.5)
    weight, colour = ("bold", ALARM) if panel.alarm else ("normal", "black")
    axes.set_xlabel(panel.caption, fontsize=8, fontweight=weight, color=colour, labelpad=2)


@draw.register
def _(content: Chart, figure: Any) -> Any:
    made, axes = _one(figure, content)
    for line in content.lines:
        _line(axes, line)
    left = min(float(line.x[0]) for line in content.lines)
    right = max(float(line.x[-1]) for line in content.lines)
    axes.set(ylim=(0, 100), xlim=(left, right if right > left else left + 1))
    if content.whole:
        axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(axes)
    return _named(made, content.title, content.note)


def _line(axes: Any, line: Line) -> None:
    colour = PALETTE[line.colour % len(PALETTE)]
    style = (0, (3, 1.5)) if line.dashed else STYLES[line.colour // len(PALETTE) % len(STYLES)]
    marked = "" if line.dashed else MARKS[line.colour % len(MARKS)]
    every = max(1, round(len(line.x) / MARKED))
    axes.plot(
        line.x,
        line.y,
        label=line.label,
        color=colour,
        linestyle=style,
        marker=marked,
        markevery=every,
        markersize=3.5,
        zorder=3,
        clip_on=False,
    )
    axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.08 if line.dashed else 0.16, linewidth=0)


@draw.register
def _(content: Histogram, figure: Any) -> Any:
    made, axes = _one(figure, content)
    for place, each in enumerate(content.sets):
        _bins(axes, each, place)
    axes.set(xlim=(0, 1), ylim=(0, None))
    if content.mark is not None:
        axes.axvline(content.mark, color="black", linewidth=1, label=content.mark_label)
    _legend(axes)
    return _named(made, content.title, content.note)


def _bins(axes: Any, each: Bins, place: int) -> None:
    colour = PALETTE[place % len(PALETTE)]
    style = STYLES[place // len(PALETTE) % len(STYLES)]
    axes.stairs(each.shares, each.edges, label=each.label, color=colour, linewidth=1.5, linestyle=style)
    axes.stairs(each.shares, each.edges, fill=True, color=colour, alpha=0.12)
    axes.axvline(each.least, color=colour, linestyle=":", linewidth=1)


@draw.register
def _(content: Scatter, figure: Any) -> Any:
    made, axes = _one(figure, content)
    for place, each in enumerate(content.points):
        across = [[each.x - each.x_interval[0]], [each.x_interval[1] - each.x]]
        up = [[each.y - each.y_interval[0]], [each.y_interval[1] - each.y]]
        axes.errorbar(
            [each.x], [each.y], xerr=np.maximum(across, 0), yerr=np.maximum(up, 0), label=each.label, linestyle="",
            color=PALETTE[place % len(PALETTE)], marker=MARKS[place % len(MARKS)], markersize=6, elinewidth=1,
            capsize=2, zorder=3,
        )  # fmt: skip
    least = min(each.x_interval[0] for each in content.points)
    left = max(0.0, 5 * np.floor((least - 1) / 5))
    axes.plot([left, 100], [left, 100], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), label=EQUAL)
    axes.set(xlim=(left, 100.5), ylim=(-1, 101))
    _legend(axes)
    return _named(made, content.title, content.note)


def _one(figure: Any, content: Chart | Histogram | Scatter) -> tuple[Any, Any]:
    """A figure with one plot, and the plot."""
    made = figure(figsize=(6.2, 3.7), layout="constrained")
    axes = made.subplots()
    axes.set(xlabel=content.x_label, ylabel=content.y_label)
    return made, axes


def _legend(axes: Any) -> None:
    """What is what, beside the plot, where it hides nothing; guides come after what was measured."""
    known = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    labels = sorted(known, key=lambda label: label == EQUAL)
    axes.legend([known[label] for label in labels], labels, loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=8)


def _named(figure: Any, title: str, note: str) -> Any:
    """The figure with its title above, and what a reader has to know below."""
    width = figure.get_size_inches()[0]
    figure.suptitle(_wrapped(title, width, 10), x=0.01, ha="left")
    figure.supxlabel(_wrapped(note, width, 7), x=0.01, ha="left", fontsize=7, color=GREY)
    return figure


def _wrapped(text: str, inches: float, size: int) -> str:
    return textwrap.fill(text, int(inches * LETTERS * 7.5 / size))


def _inches(text: str, width: float, size: int) -> float:
    """The height of a wrapped text."""
    return (_wrapped(text, width, size).count("\n") + 1) * size * 1.4 / 72
