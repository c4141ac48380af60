"""A run that is killed and started again ends in the same ledger as one that was left alone."""

import random
import re
import time
from pathlib import Path

import pandas as pd
import pytest

SUITE = """
title = "Long enough to be killed"
dataset = "digits"
slice_size = 30

[threat]
norm = "linf"
eps = 0.1

[[attack]]
use = "clean"

[[attack]]
id = "pgd30"
use = "pgd"
steps = 30
step_size = 0.01

[[attack]]
id = "pgd_any"
use = "pgd"
steps = 10
step_size = 0.02
restarts = 3
select = "any"

[[attack]]
id = "pgd_l2"
use = "pgd"
threat = { norm = "l2", eps = 0.5 }
steps = 20
step_size = 0.05
select = "best"

[[cascade]]
id = "cascade"
attacks = [
    { use = "fgsm" },
    { use = "pgd", steps = 150, step_size = 0.02 },
    { use = "pgd", steps = 20, step_size = 0.02, loss = "margin" },
]
"""
SAMPLES = 120
CELLS = 7 * SAMPLES // 30
KILLS = 2


@pytest.fixture
def started(begin, home):
    """Begins the evaluation into a folder."""
    (home / "suites" / "long.toml").write_text(SUITE)
    words = "run", "--suite", "long", "--model", "small", "--limit", SAMPLES, "--device", "cpu", "--microbatch", "32"
    return lambda out: begin(*words, "--out", out)


def finished(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def cells(folder):
    return len(list(Path(folder).glob("cells/*/*.parquet")))


def samples(folder):
    table = pd.read_parquet(Path(folder) / "cells")
    return table.sort_values(["cell", "sample"], ignore_index=True)


def without_seconds(folder):
    return pd.read_csv(Path(folder) / "results.csv").drop(columns="seconds")


def test_killed_and_started_again_it_ends_in_the_same_ledger(started):
    left_alone = started("whole")
    assert f"{CELLS} of {CELLS} cells to run" in finished(left_alone)

    seed = random.randrange(10**6)
    print(f"seed {seed}")  # seen if it fails
    draw = random.Random(seed)
    killed_at = []
    for kill in range(1, KILLS + 1):
        running = started("killed")
        before = cells("killed")
        # The last time in the middle of the last cascade, whose rest then depends on what is read back.
        wanted = min(before + draw.randint(1, CELLS // KILLS), CELLS - 2) if kill < KILLS else CELLS - 2
        while running.poll() is None and cells("killed") < wanted:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.1))  # anywhere in the cell after it
        running.kill()
        running.communicate()
        if running.returncode == 0:
            break
        killed_at.append(cells("killed"))
    assert killed_at, "it was never killed in time"

    said = finished(started("killed"))
    due = int(re.search(rf"(\d+) of {CELLS} cells to run", said)[1])
    assert due == CELLS - killed_at[-1]
    assert cells("killed") == cells("whole") == CELLS
    assert not Path("killed", "damaged").exists(), "a kill left a part of a file"
    names = [{path.name for path in Path(folder).glob("cells/*/*.parquet")} for folder in ("whole", "killed")]
    assert names[0] == names[1]
    pd.testing.assert_frame_equal(samples("killed"), samples("whole"), check_exact=True)
    pd.testing.assert_frame_equal(without_seconds("killed"), without_seconds("whole"), check_exact=True)
    assert Path("killed", "settings.json").read_text() == Path("whole", "settings.json").read_text()
