"""A training that is stopped and taken up again ends in the same bytes as one that was left alone."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import safetensors
import torch
import trainings
from doubles import samples

from robeval import whole
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.train import epochs, loop
from robeval.train.keeper import identity
from robeval.train.modes import threads
from robeval.train.recipe import read
from robeval.values.card import ModelCard, Network
from robeval.zoo import cards

CPU = torch.device("cpu")
# Dropout draws from torch's own random state; BatchNorm has buffers.
CARDS = {
    "cnn": Network("small_cnn", {"width": 2, "hidden": 8, "padding": 1, "drop": 0.5}),
    "bn": Network("small_cnn_bn", {"width": 2, "hidden": 8, "padding": 1}),
}
BALL = {"norm": "linf", "eps": 0.1}
BASE = {"epochs": 3, "batch_size": 40, "learning_rate": 0.05, "threads": 1, "seed": 3}
RECIPES = {
    "sgd": {"method": "trades", "steps": 2, "step_size": 0.05, "momentum": 0.9, "pad": 1, "flip": "image", **BALL},
    "adam": {"method": "natural", "optimiser": "adam", "ema": 0.8, "schedule": "cosine", "warmup_epochs": 1},
    "memory": {"method": "free", "replays": 2, "reduction": "sum", "learning_rate": 1e-3, **BALL},
    "best": {"method": "madry", "steps": 2, "step_size": 0.05, "validation": 0.2, "validation_steps": 2, **BALL},
    "layout": {"method": "natural", "momentum": 0.9, "channels_last": True, "decay_on": "kernels", "weight_decay": 0.1},
}


class StopError(Exception):
    """Stands for a kill."""


def card(name, **changes):
    network = CARDS["bn" if name == "best" else "cnn"]
    return ModelCard("small", "Small", "digits", network, training=BASE | RECIPES[name] | changes, where="small.toml")


def train(card, some, out, **options):
    heard = []
    loop.train(card, some, out, CPU, heard.append, **({"pause": 0.0} | options))
    return heard


def stop_after(monkeypatch, batches):
    """Raise in the midst of the next batch but so many."""
    count, learn = iter(range(batches)), epochs._learn

    def learn_or_stop(job, state, rows):
        learn(job, state, rows)
        if next(count, None) is None:
            raise StopError

    monkeypatch.setattr(epochs, "_learn", learn_or_stop)


def files(out):
    """All that is left but for the times in the log."""
    found = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    rows = found.pop("logs/small.csv").decode().splitlines()
    return found, [row.split(",")[:-2] for row in rows]


@pytest.mark.parametrize("name", RECIPES)
def test_stopped_at_any_batch_it_goes_on_to_the_same_bytes(some, tmp_path, monkeypatch, name):
    left_alone = train(card(name), some, tmp_path / "whole", pause=1e9)
    for batches in (1, 2, 1):  # of the 9, or 6, that there are
        stopped(card(name), some, tmp_path / "stopped", monkeypatch, batches)
        torch.rand(batches)  # whatever is drawn in between does not matter
    heard = train(card(name), some, tmp_path / "stopped")
    assert 0 < len(heard) < len(left_alone)
    for ours, theirs in zip(heard, left_alone[-len(heard) :], strict=True):
        assert replace(ours, seconds=0.0, images_per_second=0.0) == replace(theirs, seconds=0.0, images_per_second=0.0)
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


def test_after_the_end_nothing_unfinished_is_left_and_the_same_command_trains_again(some, tmp_path):
    assert len(train(card("sgd"), some, tmp_path)) == 3
    assert not (tmp_path / "unfinished").exists()
    assert len(train(card("sgd"), some, tmp_path)) == 3


def stopped(card, some, out, monkeypatch, batches=4):
    with monkeypatch.context() as patch, pytest.raises(StopError):
        stop_after(patch, batches)
        train(card, some, out)
    return out / "unfinished" / "small.safetensors"


def test_another_recipe_is_refused_with_both(some, tmp_path, monkeypatch):
    path = stopped(card("sgd"), some, tmp_path, monkeypatch)
    before = path.read_bytes()
    other = replace(card("sgd", beta=3, seed=4), network=Network("small_cnn", {"width": 4, "hidden": 8, "padding": 1}))
    with pytest.raises(UserError) as caught:
        train(other, some, tmp_path)
    message = str(caught.value)
    assert f"{path}: it was begun with another recipe" in message
    for line in (
        "- beta = 6.0",
        "+ beta = 3.0",
        "- seed = 3",
        "+ seed = 4",
        "- network.width = 2",
        "+ network.width = 4",
    ):
        assert line in message
    assert "- network.drop = 0.5" in message
    assert "+ network.drop" not in message
    assert "momentum" not in message
    assert "--restart" in message
    assert path.read_bytes() == before
    fewer = samples(*some.slice(0, 90), num_classes=10, dataset="digits")
    with pytest.raises(UserError, match="- images = 100"):
        train(card("sgd"), fewer, tmp_path)


def test_restart_begins_anew(some, tmp_path, monkeypatch):
    stopped(card("sgd", seed=9), some, tmp_path / "old", monkeypatch)
    assert len(train(card("sgd"), some, tmp_path / "old", restart=True)) == 3
    train(card("sgd"), some, tmp_path / "new")
    assert files(tmp_path / "old") == files(tmp_path / "new")


@pytest.mark.parametrize("damage", [b"", b"not a training", None])
def test_a_damaged_file_is_named(some, tmp_path, monkeypatch, damage):
    path = stopped(card("sgd"), some, tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(UserError, match="this is no training that can go on") as caught:
        train(card("sgd"), some, tmp_path)
    assert str(path) in str(caught.value)
    assert "--restart" in str(caught.value)


def test_nothing_in_the_file_is_a_pickle(some, tmp_path, monkeypatch):
    path = stopped(card("sgd"), some, tmp_path, monkeypatch)
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["robeval"])
        names = set(file.keys())
    assert header["state"]["epoch"] == 2
    assert header["recipe"]["beta"] == 6.0
    assert {"order", "random.cpu", "optimiser.0.momentum_buffer"} <= names


def test_a_full_disk_leaves_the_saving_of_before(some, tmp_path, monkeypatch):
    path = stopped(card("sgd"), some, tmp_path, monkeypatch)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(whole.os, "fsync", full)
        with pytest.raises(UserError, match="it cannot be written: No space left on device") as caught:
            train(card("sgd"), some, tmp_path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    train(card("sgd"), some, tmp_path)
    train(card("sgd"), some, tmp_path / "whole")
    names = [folder / "checkpoints" / "small.safetensors" for folder in (tmp_path, tmp_path / "whole")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_saving_waits_its_turn(some, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(loop.Keeper, "save", lambda keeper, state: saved.append(state.batch))
    train(card("sgd"), some, tmp_path, pause=1e9)
    assert saved == []


BEGIN = """
import sys
from pathlib import Path
import torch
from robeval.datasets import registry
from robeval.train.loop import train
from robeval.zoo import cards
card, out = cards.load(sys.argv[1]), Path(sys.argv[2])
train(card, registry.load("digits", "train"), out, torch.device("cpu"), print, pause=0.0)
"""


def test_killed_for_good_it_goes_on_to_the_same_bytes(tmp_path):
    path = tmp_path / "small.toml"
    cards.write(card("sgd", epochs=5, batch_size=300), path)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen([sys.executable, "-c", BEGIN, path, tmp_path / "killed"], env=environment)
    saved = tmp_path / "killed" / "unfinished" / "small.safetensors"
    while running.poll() is None and not saved.is_file():
        time.sleep(0.001)
    running.kill()
    assert running.wait() == -signal.SIGKILL, "it was over before it could be killed"
    assert [each.name for each in saved.parent.glob("*.safetensors")] == [saved.name]
    digits, read = datasets.load("digits", "train"), cards.load(str(path))
    for folder in ("killed", "whole"):
        train(read, digits, tmp_path / folder, pause=1e9)
    names = [tmp_path / folder / "checkpoints" / "small.safetensors" for folder in ("killed", "whole")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_on_a_cpu_the_number_of_threads_tells_trainings_apart(some):
    card = replace(trainings.CARD, training=trainings.RECIPE | {"threads": 0})
    recipe = read(card, len(some))
    with threads(1):
        one = identity(card, recipe, some, "cpu")
    with threads(2):
        two, elsewhere = identity(card, recipe, some, "cpu"), identity(card, recipe, some, "cuda")
    assert (one["threads"], two["threads"], elsewhere["threads"]) == (1, 2, 0)
