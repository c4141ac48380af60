"""What all tests share: no files of the user, and the real data where there are any."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from web import served

# One thread, here and in the commands that tests start: on small tensors more only wait for each other.
torch.set_num_threads(1)
# What test modules draw when they are imported is the same in every run as well.
torch.manual_seed(0)
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).parents[1]
PLACES = (os.environ.get("ROBEVAL_DATA", ""), str(ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def same_draws_in_every_run():
    """A test that draws numbers without a generator of its own draws the same ones every time."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    """Empty folders, each in a folder of its own: pytest's would look at all that there are to number the next."""
    place = tmp_path_factory.mktemp("caches")
    return (place / str(number) / "cache" for number in itertools.count())


@pytest.fixture(autouse=True)
def nothing_of_the_user(monkeypatch, caches):
    """Tests find no cards, caches and data but their own, and ask nobody on the web."""
    for name in ("ROBEVAL_HOME", "ROBEVAL_DATA"):
        monkeypatch.delenv(name, raising=False)
    cache = next(caches)
    cache.mkdir(parents=True)
    monkeypatch.setenv("ROBEVAL_CACHE", str(cache))
    monkeypatch.setenv("ROBEVAL_OFFLINE", "1")


@pytest.fixture
def web(monkeypatch):
    """A server on this machine, the only one that may be asked; a connection that breaks is not tried again."""
    for name in ("ROBEVAL_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("robeval.fetch.download.RETRIES", 0)
    with served() as server:
        yield server


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the published MNIST and CIFAR-10 files and `checkpoints/`."""
    for place in PLACES:
        if place and (Path(place) / "checkpoints").is_dir():
            return Path(place)
    pytest.skip("no real data: ROBEVAL_DATA does not name a folder with data sets and checkpoints/")
