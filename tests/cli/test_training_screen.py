"""What is said of a training that nobody looks at on a terminal."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from robeval.cli import training_screen
from robeval.cli.training_screen import TrainingScreen, line
from robeval.train.log import Epoch

EPOCH = Epoch(
    number=2, count=4, learning_rate=0.1, loss=1.5, accuracy=0.5, robust_accuracy=None, images_per_second=100, seconds=9
)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [0.0]
    monkeypatch.setattr(training_screen.time, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute_with_the_time_left(clock):
    said = io.StringIO()
    with TrainingScreen(Console(file=said), "small") as screen:
        for clock[0], share in ((1, 0.25), (30, 0.26), (61, 0.30), (100, 0.40), (121, 0.50)):
            screen.glance(share, EPOCH)
    lines = said.getvalue().splitlines()
    assert lines == [
        # 5 % in 60 s: 70 % in 14 min; 25 % in 120 s: 50 % in 4 min
        "small: in epoch 2/4, loss 1.5000, accuracy 50.00 %, 100 images/s, about 14 min left",
        "small: in epoch 2/4, loss 1.5000, accuracy 50.00 %, 100 images/s, about 4 min left",
    ]


def test_on_a_terminal_there_is_a_bar_in_place_of_lines(clock):
    said = io.StringIO()
    with TrainingScreen(Console(file=said, force_terminal=True), "small") as screen:
        for clock[0], share in ((1, 0.25), (61, 0.30)):
            screen.glance(share, EPOCH)
    assert "min left" not in said.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_narrow_terminal_shows_everything(clock, width):
    said, long = io.StringIO(), replace(EPOCH, number=12, count=100, robust_accuracy=0.4, validation_accuracy=0.5)
    with TrainingScreen(Console(file=said, force_terminal=True, width=width), "small") as screen:
        for clock[0], share in ((1, 0.25), (61, 0.30)):
            screen.glance(share, long)
    shown = " ".join(re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", said.getvalue()).split())
    assert line(long) in shown
    assert re.search(r"30 %, \S+ left", shown)
