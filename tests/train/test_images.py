"""The images that a training learns from, made ready ahead of it."""

import threading
import time
from contextlib import closing

import numpy as np
import pytest
import torch
from doubles import samples
from PIL import Image
from trainings import CPU, unheard

from robeval.datasets import pictures, registry
from robeval.datasets.pictures import Crop
from robeval.errors import UserError
from robeval.train import epochs, images, loop
from robeval.train.images import Images
from robeval.values.card import ModelCard, Network

COUNT, CROP = 50, Crop(12, 8)
BATCHES = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0)).split(20)  # the last one has 10


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """50 image files of several sizes, which are said to be more than fit on the device."""
    monkeypatch.setattr(images, "ROOM", 0)
    draw = np.random.RandomState(0)
    names = tuple(f"{number}.jpg" for number in range(COUNT))
    for number, name in enumerate(names):
        pixels = draw.randint(0, 256, (20 + number % 7, 30 - number % 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    x = pictures.pictures(tmp_path, names, CROP)
    return registry.samples("photographs", "train", x, np.arange(COUNT) % 9, 9)


@pytest.fixture
def decoded(monkeypatch):
    """The files that are decoded, in turn."""
    names = []

    def decode(path, *args, decode=pictures.decode, **options):
        names.append(path.name)
        return decode(path, *args, **options)

    monkeypatch.setattr(pictures, "decode", decode)
    return names


def helpers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("images")]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", ["files", "floats"])
def test_batches_are_the_same_to_the_bit_and_in_order(photographs, monkeypatch, kind, threads):
    monkeypatch.setattr(images, "THREADS", threads)
    monkeypatch.setattr(images, "TOGETHER", 3)
    some = (
        photographs if kind == "files" else samples(torch.rand(COUNT, 3, 8, 8), torch.arange(COUNT) % 9, num_classes=9)
    )
    x, y = some.slice(0, COUNT)
    ours = Images(some, CPU)
    for epoch in range(2):
        found = list(ours.ahead(BATCHES))
        assert [batch.rows.tolist() for batch in found] == [rows.tolist() for rows in BATCHES], epoch
        for batch in found:
            assert torch.equal(batch.x, x[batch.rows])
            assert torch.equal(batch.y, y[batch.rows])
    assert torch.equal(ours[BATCHES[1]][0], x[BATCHES[1]])
    assert helpers() == []


def test_the_next_ones_are_made_ready_while_one_is_learnt_from(photographs, decoded, monkeypatch):
    monkeypatch.setattr(images, "AHEAD", 1)
    with closing(Images(photographs, CPU).ahead(BATCHES)) as coming:
        next(coming)
        for _ in range(500):
            if len(decoded) < 40:
                time.sleep(0.01)
        assert len(decoded) == 40  # the second batch is ready, the third is not begun
        assert len(next(coming).rows) == 20


def test_a_damaged_file_is_named_in_its_turn(photographs):
    path = photographs.x.root / f"{BATCHES[1][4]}.jpg"
    path.write_bytes(path.read_bytes()[:200])
    coming = Images(photographs, CPU).ahead(BATCHES)
    assert len(next(coming).rows) == 20
    with pytest.raises(UserError, match="cut or damaged") as caught:
        next(coming)
    assert str(path) in str(caught.value)
    assert caught.value.__cause__ is None
    assert helpers() == []


@pytest.mark.parametrize("how", [KeyboardInterrupt, UserError("stop", where="here", fix="")])
def test_nothing_goes_on_after_a_stop(photographs, decoded, monkeypatch, how):
    monkeypatch.setattr(images, "THREADS", 1)
    monkeypatch.setattr(images, "TOGETHER", 1)
    monkeypatch.setattr(Images, "_pixels", slowly)
    coming = Images(photographs, CPU).ahead(BATCHES)
    with pytest.raises((KeyboardInterrupt, UserError)), closing(coming):
        next(coming)
        raise how
    assert helpers() == []
    assert len(decoded) < COUNT - 5
    assert list(coming) == []


def slowly(self, row, whole, pixels=Images._pixels):
    time.sleep(0.01)
    return pixels(self, row, whole)


def test_parts_of_whole_pictures_are_made_ready_as_well(photographs, decoded, monkeypatch):
    monkeypatch.setattr(images, "ROOM", 1 << 30)  # the images fit, but not what is around them
    ours = Images(photographs, CPU)
    decoded.clear()
    for _ in range(2):
        for batch in ours.ahead(BATCHES, lambda row, picture: picture[:, -8:, :8]):
            corners = [photographs.x.whole(row)[:, -8:, :8] for row in batch.rows.tolist()]
            assert torch.equal(batch.x * 255, torch.from_numpy(np.stack(corners)).float())
    assert len(decoded) == COUNT + 2 * COUNT  # once, and for the comparison
    middle = photographs.slice(0, COUNT)[0]
    assert torch.equal(ours[torch.arange(COUNT)][0], middle)


def test_files_are_decoded_once_if_all_of_them_fit_in_memory(photographs, decoded, monkeypatch):
    for room, times in ((COUNT * 3 * 8 * 8, 1), (COUNT * 3 * 8 * 8 - 1, 2)):
        monkeypatch.setattr(images, "KEPT", room)
        ours = Images(photographs, CPU)
        decoded.clear()
        first, second = (list(ours.ahead(BATCHES)) for _ in range(2))
        assert len(decoded) == times * COUNT
        assert all(torch.equal(one.x, two.x) for one, two in zip(first, second, strict=True))


def test_a_training_that_is_stopped_goes_on_to_the_same_bytes(photographs, tmp_path, monkeypatch):
    how = {"pad": 2, "cut_from": "picture", "flip": "image", "batch_size": 20, "epochs": 2, "learning_rate": 0.1}
    network = Network("small_cnn", {"width": 2, "hidden": 8, "padding": 1})
    card = ModelCard("small", "Small", "photographs", network, training={"method": "natural", **how})

    def train(out):
        return loop.train(card, photographs, tmp_path / out, CPU, unheard, pause=0.0).read_text()

    whole, learn, count = train("whole"), epochs._learn, iter(range(4))

    def interrupted(job, state, batch):
        learn(job, state, batch)
        if next(count, None) is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(epochs, "_learn", interrupted)  # in the second epoch
        train("stopped")
    assert helpers() == []
    assert (tmp_path / "stopped" / "unfinished").is_dir()
    assert train("stopped") == whole  # the card has the checksum of the weights
    assert helpers() == []
