"""`robeval data`: list, fetch, verify; and images in place of a suite's own."""

import gzip
import hashlib
import struct

import numpy as np
import pandas as pd
import pytest

from robeval.datasets import mnist, registry
from robeval.datasets.files import Published

LABELS = bytes([7, 2, 1])


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder with MNIST's test images, three of them, that count as published."""
    folder = tmp_path / "files" / "mnist"
    folder.mkdir(parents=True)
    x = np.arange(3 * 784, dtype=np.uint32).astype(np.uint8)
    contents = {
        "t10k-images-idx3-ubyte": struct.pack(">IIII", 0x803, 3, 28, 28) + x.tobytes(),
        "t10k-labels-idx1-ubyte": struct.pack(">II", 0x801, 3) + LABELS,
    }
    for name, content in contents.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        monkeypatch.setitem(mnist.FILES, name, Published(len(content), hashlib.md5(content).hexdigest()))
    return tmp_path / "files"


def test_list_is_what_data_alone_says(robeval, small):
    said = robeval("data", "--data-root", small)
    assert said.out == robeval("data", "list", "--data-root", small).out
    (line,) = [line for line in said.out.splitlines() if line.split()[:1] == ["mnist"]]
    assert line.split()[:7] == ["mnist", "10", "not", "here", "3", "yes", "70,000"]
    (small / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"")
    assert "DAMAGED" in robeval("data", "--data-root", small).out


def test_list_on_80_columns_has_a_line_for_each(robeval, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = robeval("data").out.splitlines()
    for name in registry.catalog():
        assert len([line for line in lines if line.split()[:1] == [name]]) == 1
    assert max(len(line) for line in lines if "looked in" not in line) <= 80


def test_verify_counts(robeval, small, monkeypatch):
    said = robeval("data", "verify", "mnist", "--data-root", small)
    assert said.code == 1
    assert "mnist test: found 3 images, expected 10,000" in said.err
    assert "train-images-idx3-ubyte.gz" in said.err
    for name, count in {"mnist": 3, "mnist_1_3": 1, "mnist_5_7": 1}.items():
        monkeypatch.setitem(registry.catalog()[name].sizes, "test", count)
    said = robeval("data", "verify", "--data-root", small)  # those that are here
    assert said.code == 0, said.err
    assert "all 3 of 1x28x28, 0 to 1, 3 classes" in said.out
    assert "all 602 of 1x8x8" in said.out
    assert "cifar10" not in said.out


def test_verify_names_what_is_damaged(robeval, small):
    path = small / "mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    said = robeval("data", "verify", "--data-root", small)
    assert said.code == 1
    assert "FAIL" in said.out
    assert f"{path}: the gzip file" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("command", ["fetch", "verify"])
def test_unknown_names(refused, command):
    assert "Did you mean 'mnist'?" in refused("data", command, "minst")


def test_fetch_without_a_network(robeval):
    said = robeval("data", "fetch", "svhn")
    assert said.code == 1
    assert said.err.startswith("robeval: train_32x32.mat could not be fetched from http://ufldl.stanford.edu/")
    assert said.err.count("robeval: ") == 1
    assert said.err.count("\n") == 2


def test_fetch(robeval, web, small, tmp_path, monkeypatch):
    entry = registry.catalog()["mnist"]
    for each in entry.downloads:
        path = small / "mnist" / each.remote.name
        content = path.read_bytes() if path.is_file() else b"another"
        web.put(each.remote.name, content)
    root = tmp_path / "root"
    monkeypatch.setattr("robeval.datasets.fetch.download", _from(web))
    said = robeval("data", "fetch", "mnist", "--data-root", root)
    assert said.code == 0, said.err
    assert said.out.count("sha256") == 4
    assert "fetching t10k-images-idx3-ubyte.gz" in said.err
    assert registry.load("mnist", "test", (root,)).y.tolist() == list(LABELS)
    assert "its files are there already" in robeval("data", "fetch", "mnist", "--data-root", root).out


def _from(web):
    """The real download, of the server's file with that name, whatever is published of it."""
    from robeval.fetch.download import download
    from robeval.values.remote import Remote

    def work(remote, path, fix, listen):
        return download(Remote(remote.name, f"{web.address}/{remote.name}"), path, fix, listen)

    return work


# Images in place of a suite's own


def verdicts(out):
    """By sample, attack and model: broken, distance, predicted."""
    cells = [pd.read_parquet(path) for path in sorted((out / "cells").rglob("*.parquet"))]
    return pd.concat(cells).sort_values(["sample", "queries"])[["sample", "label", "broken", "distance", "predicted"]]


def test_some_samples_have_the_verdicts_they_have_among_all(tiny, tmp_path):
    samples = registry.load("digits", "test")
    np.savez(tmp_path / "mine.npz", x=samples.x[:120], y=samples.y[:120])
    whole, part, piece = (tmp_path / name for name in ("whole", "part", "piece"))
    for out, words in ((whole, []), (part, ["--sample", "stratified:30:1"]), (piece, ["--sample", "35:48"])):
        assert tiny("--out", out, "--data", tmp_path / "mine.npz", *words, limit=602).code == 0
    everything = verdicts(whole)
    for out, n in ((part, 30), (piece, 13)):
        some = verdicts(out)
        assert some["sample"].nunique() == n
        expected = everything[everything["sample"].isin(some["sample"])]
        pd.testing.assert_frame_equal(some.reset_index(drop=True), expected.reset_index(drop=True))
    assert "own:mine.npz stratified:30:1" in (part / "results.csv").read_text()


def test_a_file_of_arrays(tiny, refused, tmp_path):
    samples = registry.load("digits", "test")
    np.savez(tmp_path / "mine.npz", x=samples.x[:40], y=samples.y[:40])
    own, theirs = tmp_path / "own", tmp_path / "theirs"
    assert tiny("--out", own, "--data", tmp_path / "mine.npz").code == 0
    assert tiny("--out", theirs).code == 0
    pd.testing.assert_frame_equal(verdicts(own), verdicts(theirs))
    message = refused("run", "--suite", "tiny", "--model", "small", "--data", tmp_path / "none.npz")
    assert "--data: there is no data set, file or folder" in message


def test_no_such_samples(refused):
    assert "--sample: '0:603' is no range" in refused("run", "--suite", "tiny", "--model", "small", "--sample", "0:603")
