"""CIFAR-10: both versions, and what must not pass for them."""

import hashlib
import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from robeval.datasets import cifar10 as room
from robeval.datasets import registry
from robeval.datasets.cifar import Unpickler
from robeval.datasets.files import Published
from robeval.errors import UserError

TRAIN = [f"data_batch_{i}" for i in range(1, 6)]


def batch(first):
    """Two images whose pixels and labels tell which batch they are from."""
    x = np.full((2, 3072), first, dtype=np.uint8)
    x[:, 1024:2048] += 10  # green
    return {b"data": x, b"labels": [first, 9]}


@pytest.fixture
def trust(monkeypatch):
    """Makes a content count as the published file of that name."""

    def enter(name, content):
        files = room.BINARY if name.endswith(".bin") else room.PYTHON
        known = "" if name.endswith(".bin") else hashlib.md5(content).hexdigest()
        monkeypatch.setitem(files, name, Published(len(content), known))
        return content

    return enter


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-py"])
def test_python_version(tmp_path, trust, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    for i, name in enumerate([*TRAIN, "test_batch"]):
        (tmp_path / folder / name).write_bytes(trust(name, pickle.dumps(batch(i), 3)))
    train = registry.load("cifar10", "train", (tmp_path / "nothing here", tmp_path))
    assert train.x.shape == (10, 3, 32, 32)
    assert train.x.dtype == np.uint8
    assert train.y.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert train.x[4, :, 0, 0].tolist() == [2, 12, 2]
    assert registry.load("cifar10", "test", (tmp_path,)).y.tolist() == [5, 9]


def test_binary_version(tmp_path, trust):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    content = b"".join(bytes([label]) + bytes([label + 1] * 1024 + [0] * 2048) for label in (3, 8))
    (folder / "test_batch.bin").write_bytes(trust("test_batch.bin", content))
    samples = registry.load("cifar10", "test", (tmp_path,))
    assert samples.y.tolist() == [3, 8]
    assert samples.x[1, :, 5, 5].tolist() == [9, 0, 0]


def refused(tmp_path, split="test"):
    with pytest.raises(UserError) as caught:
        registry.load("cifar10", split, (tmp_path,))
    assert caught.value.__cause__ is None
    assert caught.value.fix
    return str(caught.value)


def test_missing_files_are_named_with_the_folders(tmp_path):
    message = refused(tmp_path)
    assert "missing: test_batch;" in message
    for folder in ("cifar-10-batches-py", "cifar-10-batches-bin"):
        assert str(tmp_path / folder) in message
    assert "--data-root" in message
    assert "ROBEVAL_DATA" in message
    for name in TRAIN[:-1]:
        (tmp_path / name).touch()
    assert "missing: data_batch_5;" in refused(tmp_path, "train")


def test_binary_labels_out_of_range(tmp_path, trust):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    content = (b"\3" + bytes(3072)) + (b"\x0b" + bytes(3072))
    (folder / "test_batch.bin").write_bytes(trust("test_batch.bin", content))
    message = refused(tmp_path)
    assert "image 1 has the label 11, expected 0 to 9" in message
    assert "test_batch.bin" in message


@pytest.mark.parametrize("name", ["cifar-10-batches-py/test_batch", "cifar-10-batches-bin/test_batch.bin"])
def test_wrong_size(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir()
    path.write_bytes(bytes(100))
    message = refused(tmp_path)
    assert "found 100 bytes, expected 3" in message
    assert str(path) in message
    assert room.SOURCE in message


def test_wrong_checksum(tmp_path, trust):
    content = trust("test_batch", pickle.dumps(batch(1), 3))
    (tmp_path / "test_batch").write_bytes(content[:-3] + bytes(3))
    message = refused(tmp_path)
    assert "found the md5" in message
    assert f"expected {room.PYTHON['test_batch'].md5}" in message


class Trap:
    """Creates a file when it is unpickled by a careless reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_nothing_in_a_pickle_is_executed_even_if_its_checksum_fits(tmp_path, trust):
    sprung = tmp_path / "sprung"
    (tmp_path / "test_batch").write_bytes(trust("test_batch", pickle.dumps(batch(1) | {b"trap": Trap(sprung)}, 3)))
    assert "system" in refused(tmp_path)
    assert not sprung.exists()


def test_both_module_paths_of_numpy_are_known():
    content = pickle.dumps(np.arange(3), 3)
    for module in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        old = content.replace(b"numpy._core.multiarray", module)
        assert Unpickler(io.BytesIO(old)).load().tolist() == [0, 1, 2]


def test_real_test_images(real_data):
    samples = registry.load("cifar10", "test", (real_data,))
    assert samples.x.shape == (10_000, 3, 32, 32)
    assert np.bincount(samples.y).tolist() == [1000] * 10
    assert samples.y[:5].tolist() == [3, 8, 8, 0, 6]


def test_real_training_images(real_data):
    samples = registry.load("cifar10", "train", (real_data,))
    assert samples.x.shape == (50_000, 3, 32, 32)
    assert np.bincount(samples.y).tolist() == [5000] * 10
    assert samples.y[:5].tolist() == [6, 9, 9, 4, 1]


MEASURE = """
import resource, sys, time
from pathlib import Path
from robeval.datasets import registry
registry.catalog()
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
samples = registry.load("cifar10", "test", (Path(sys.argv[1]),))
x, y = samples.slice(0, 10_000)
assert x.shape == (10_000, 3, 32, 32) and x.min() == 0 and x.max() == 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.process_time() - start)
"""


def test_all_test_images_take_little_time_and_memory(tmp_path):
    """The images as float32 are 123 MB, and the file 31 MB; no second copy of the former fits into what is allowed."""
    pytest.importorskip("resource")
    (tmp_path / "cifar-10-batches-bin").mkdir()
    records = np.random.default_rng(0).integers(0, 256, (10_000, 3073), np.uint8)
    records[:, 0] %= 10
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(records.tobytes())
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    kilobytes, seconds = done.stdout.split()
    assert int(kilobytes) < 250_000
    assert float(seconds) < 2, "of the processor"
