"""Fetching data sets: what is wanted, where it belongs, and that it can be read there."""

import hashlib
import io
import os
import pickle
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robeval.datasets import cifar10, registry
from robeval.datasets.fetch import fetch
from robeval.datasets.files import Published
from robeval.errors import FetchError, UserError


def archive(files):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tarred:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tarred.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def small(web, monkeypatch):
    """CIFAR-10 with two images in each batch, on the server."""
    files = {}
    for label, name in enumerate(cifar10.PYTHON):
        x = np.random.RandomState(label).randint(0, 256, (2, 3072), dtype=np.uint8)
        files[name] = content = pickle.dumps({b"data": x, b"labels": [label, 9]}, 3)
        monkeypatch.setitem(cifar10.PYTHON, name, Published(len(content), hashlib.md5(content).hexdigest()))
    packed = archive({f"cifar-10-batches-py/{name}": content for name, content in (files | {"readme": b""}).items()})
    entry = registry.catalog()["cifar10"]
    (known,) = entry.downloads
    checksum = f"md5:{hashlib.md5(packed).hexdigest()}"
    remote = replace(known.remote, url=web.put("cifar.tar.gz", packed), size=len(packed), checksum=checksum)
    return replace(entry, downloads=(replace(known, remote=remote),))


def test_an_archive_is_unpacked_where_it_is_looked_for(small, web):
    folder = Path(os.environ["ROBEVAL_CACHE"]) / "data"
    ((path, sha256),) = fetch(small)
    assert sha256 == hashlib.sha256(web.files["/cifar.tar.gz"]).hexdigest()
    assert registry.load("cifar10", "test").y.tolist() == [5, 9]
    assert len(registry.load("cifar10", "train")) == 10
    names = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}
    assert names == {f"cifar-10-batches-py/{name}" for name in cifar10.PYTHON}  # no readme, no archive
    assert path.parent == folder
    asked = len(web.asked)
    assert fetch(small) == []
    assert len(web.asked) == asked


def test_what_is_lacking_is_fetched_again(small, tmp_path):
    fetch(small, tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    assert fetch(small, tmp_path)
    assert len(registry.load("cifar10", "train", (tmp_path,))) == 10


def test_single_files(web, tmp_path):
    entry = registry.catalog()["trades_cifar10"]
    arrays = {"cifar10_X.npy": np.zeros((3, 32, 32, 3)), "cifar10_Y.npy": np.arange(3)}
    downloads = []
    for known in entry.downloads:
        file = io.BytesIO()
        np.save(file, arrays[known.remote.name])
        remote = replace(known.remote, url=web.put(known.remote.name, file.getvalue()))
        downloads.append(replace(known, remote=remote))
    entry = replace(entry, downloads=tuple(downloads))
    assert len(fetch(entry, tmp_path)) == 2
    assert registry.load("trades_cifar10", "test", (tmp_path,)).y.tolist() == [0, 1, 2]
    assert (tmp_path / "trades" / "cifar10_X.npy.sha256").is_file()  # since none is published
    (tmp_path / "trades" / "cifar10_Y.npy").unlink()
    ((path, _),) = fetch(entry, tmp_path)
    assert path.name == "cifar10_Y.npy"
    np.save(path, np.arange(3)[::-1])
    with pytest.raises(UserError, match="when it was first fetched"):
        registry.load("trades_cifar10", "test", (tmp_path,))


def test_without_a_network_one_message_says_what_to_do(small, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBEVAL_OFFLINE", "1")
    with pytest.raises(FetchError) as caught:
        fetch(small, tmp_path)
    message = str(caught.value)
    for part in ("cifar-10-python.tar.gz", small.downloads[0].remote.url, str(tmp_path), "cifar-10-batches-py/"):
        assert part in message


@pytest.mark.parametrize("name", ["imagenet", "digits"])
def test_what_is_not_on_the_web(name):
    with pytest.raises(UserError, match=f"robeval cannot fetch '{name}'"):
        fetch(registry.catalog()[name])


def test_what_the_catalog_says_of_downloads_has_the_right_form():
    for entry in registry.catalog().values():
        for each in entry.downloads:
            assert re.match(r"https?://", each.remote.url)
            assert re.fullmatch(r"(md5:[0-9a-f]{32})?", each.remote.checksum)
            assert each.remote.checksum or "drive.google.com" in each.remote.url
            assert not Path(each.folder).is_absolute()
