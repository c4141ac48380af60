"""TensorFlow checkpoints: what is refused, soon and in little memory."""

import os
import time
import zipfile

import bundle
import pytest
import torch
from peak import peak
from tensorflows import FIXTURES, NARROW, SMALL, packed

from robeval.errors import UserError
from robeval.values.card import ModelCard
from robeval.zoo import checkpoints

ROWS, (DATA,) = bundle.rows_of(SMALL)
INDEX = bundle.table(ROWS)
SIZE = len(DATA)


def with_entry(*values, name=b"a/DW"):
    """An index in which one variable is described otherwise, its checksums being right."""
    rows = [(key, bundle.entry(*values) if key == name else value) for key, value in ROWS]
    return bundle.table(rows), DATA


def overlapping():
    """Two thousand variables, each of the whole data file."""
    crc = bundle.masked(bytes(1 << 20))
    rows = [(f"{i:06d}".encode(), bundle.entry(1, (1 << 18,), 0, 0, 1 << 20, crc)) for i in range(1_900)]
    return bundle.table([(b"", bundle.field(1, 1)), *rows], 1000), bytes(1 << 20)


def long_names():
    """Names that unpack to a thousand bytes each from five."""
    rows = [(b"x" * 1000 + f"{i:05d}".encode(), b"") for i in range(30_000)]
    return bundle.table([(b"", bundle.field(1, 1)), *rows], 30_001), b""


def many_variables():
    """Each of one number, which takes a millisecond to check."""
    crc = bundle.masked(bytes(4))
    rows = [(f"{i:06d}".encode(), bundle.entry(1, (1,), 0, 4 * i, 4, crc)) for i in range(10_000)]
    return bundle.table([(b"", bundle.field(1, 1)), *rows], 1000), bytes(40_000)


def one_block_often():
    part = bundle.block(ROWS)
    handle = bundle.varint(0) + bundle.varint(len(part) - 5)
    return bundle.finished(part, [(f"{i:05d}".encode(), handle) for i in range(20_000)]), DATA


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]


NESTED = b"\x12\x80\x01" * 100_000
FEW = b"\x0f" * 4
REFUSED = {
    "empty index": (b"", DATA, "the file is empty"),
    "index cut": (INDEX[:-20], DATA, "the index is cut"),
    "index cut to its footer": (INDEX[-48:], DATA, "block lies outside"),
    "bit in the index": (flipped(INDEX, 10), DATA, "a checksum in the index is wrong"),
    "bit in the footer": (flipped(INDEX, len(INDEX) - 46), DATA, "cannot be read"),
    "bit in the data": (INDEX, flipped(DATA, 3), "the checksum of 'a/DW' is wrong"),
    "data cut": (INDEX, DATA[:-1], "'c' lies outside the data files"),
    "web page for data": (INDEX, b"<html>", "lies outside the data files"),
    "web page for index": (b"<!DOCTYPE html><html>", DATA, "this is a web page"),
    "huge tensor": (*with_entry(1, (1 << 40,), 0, 0, 1 << 42, FEW), "lies outside the data files"),
    "huge shape": (*with_entry(1, (1 << 62, 1 << 62), 0, 0, 24, FEW), "declares 24 bytes, which its shape"),
    "negative size": (*with_entry(1, ((1 << 64) - 6,), 0, 0, 24, FEW), "which its shape"),
    "far offset": (*with_entry(1, (2, 3), 0, 1 << 63, 24, FEW), "lies outside the data files"),
    "many axes": (*with_entry(1, (1 << 62,) * 20_000, 0, 0, 24, FEW), "which its shape"),
    "nothing in it": (*with_entry(1, (0,), 0, 0, 0, FEW), "which its shape"),
    "a text": (*with_entry(7, (2, 3), 0, 0, 24, FEW), "is not of plain numbers"),
    "no checksum": (*with_entry(1, (2, 3), 0, 0, 24, b""), "cut"),
    "of another file": (*with_entry(1, (2, 3), 5, 0, 24, FEW), "lies outside the data files"),
    "no header": (bundle.table(ROWS[1:]), DATA, "has no header"),
    "no variables": (bundle.table(ROWS[:1]), DATA, "it holds nothing"),
    "big-endian": (bundle.table([(b"", bundle.field(1, 1) + bundle.field(2, 1)), *ROWS[1:]]), DATA, "big-endian"),
    "a data file missing": (bundle.table([(b"", bundle.field(1, 3)), *ROWS[1:]]), DATA, "net.data-00000-of-00003 is"),
    "many data files": (bundle.table([(b"", bundle.field(1, 1 << 60)), *ROWS[1:]]), DATA, "is not there"),
    "compressed": (bundle.table(ROWS, kind=1), DATA, "the index is compressed"),
    "not in order": (bundle.table([ROWS[0], *reversed(ROWS[1:])]), DATA, "are not in order"),
    "a message for a number": (bundle.table([(b"", bundle.field(1, b"x")), *ROWS[1:]]), DATA, "a number belongs"),
    "a number for a message": (bundle.table([*ROWS[:-1], (b"c", bundle.field(2, 3))]), DATA, "a message belongs"),
    "nested": (bundle.table([*ROWS[:-1], (b"c", NESTED)]), DATA, "cut"),
    "an endless number": (bundle.table([*ROWS[:-1], (b"c", b"\xff" * 100)]), DATA, "has no end"),
    "slices": (bundle.table([*ROWS[:-1], (b"c", ROWS[-1][1] + bundle.field(7, b""))]), DATA, "stored in slices"),
    "a long index": (bytes(1 << 21), DATA, "is longer than"),
    "overlapping": (*overlapping(), "on top of others"),
    "long names": (*long_names(), "too long"),
    "many variables": (*many_variables(), "the index names 10000 variables"),
    "one block often": (*one_block_often(), "blocks of the index overlap"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_in_one_message_soon(tmp_path, name):
    index, data, expected = REFUSED[name]
    (tmp_path / "net.index").write_bytes(index)
    (tmp_path / "net.data-00000-of-00001").write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(UserError) as caught:
        checkpoints.read(tmp_path / "net")
    assert time.perf_counter() - start < 5
    assert expected in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'net'}.index: ")
    assert len(str(caught.value)) < 700
    assert caught.value.fix
    assert caught.value.__cause__ is None


def test_a_flipped_bit_is_refused_or_changes_nothing_and_a_cut_is_refused(tmp_path):
    (tmp_path / "net.data-00000-of-00001").write_bytes(DATA)
    for at in range(0, len(INDEX), 2):
        (tmp_path / "net.index").write_bytes(flipped(INDEX, at))
        try:
            weights = checkpoints.read(tmp_path / "net")
        except UserError:
            continue
        assert torch.equal(weights["a/DW"], torch.arange(6.0).reshape(2, 3).T)
        assert set(weights) == set(SMALL)
    for end in range(0, len(INDEX), 5):
        (tmp_path / "net.index").write_bytes(INDEX[:end])
        with pytest.raises(UserError):
            checkpoints.read(tmp_path / "net")


def with_memory(folder):
    """A small network, and sixty million bytes of an optimiser before, between and behind its weights."""
    large, places = 20_000_000, []
    folder.mkdir()
    with (folder / "net.data-00000-of-00001").open("wb") as file:
        for name in ("a/DW", "b", "c"):
            places.append((f"{name}/Momentum", bundle.entry(1, (large // 4,), 0, file.tell(), large, FEW)))
            file.seek(large, 1)  # a hole, which the disk does not hold
            value = SMALL[name]
            stored = value.tobytes()
            crc = bundle.masked(stored)
            places.append(
                (name, bundle.entry(bundle.TYPES[value.dtype.name], value.shape, 0, file.tell(), len(stored), crc))
            )
            file.write(stored)
    found = [(name.encode(), message) for name, message in sorted(places)]
    (folder / "net.index").write_bytes(bundle.table([ROWS[0], *found]))
    return folder / "net"


def test_what_an_optimiser_remembers_is_not_read(tmp_path):
    """It is half of the released checkpoints of CIFAR-10, or two thirds."""
    prefix = with_memory(tmp_path / "it")
    weights = checkpoints.read(prefix)
    assert torch.equal(weights["a/DW"], torch.arange(6.0).reshape(2, 3).T)
    assert weights["c"] == 7
    assert weights["a/DW/Momentum"].shape == (5_000_000,), "that it is there is said all the same"
    os.truncate(tmp_path / "it" / "net.data-00000-of-00001", 50_000_000)
    with pytest.raises(UserError, match="'c/Momentum' lies outside the data files"):
        checkpoints.read(prefix)


def test_memory_is_taken_for_weights_alone(saved, tmp_path):
    """Neither for what is left out, nor for what is refused, nor twice for a member of an archive."""
    pytest.importorskip("resource")
    prefix = with_memory(tmp_path / "it")
    with zipfile.ZipFile(tmp_path / "it.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(f"{prefix}.index", "it/net.index")
        archive.write(f"{prefix}.data-00000-of-00001", "it/net.data-00000-of-00001")
    large = bundle.write(tmp_path / "large" / "net", SMALL)
    os.truncate(f"{large}.data-00000-of-00001", 3 << 30)
    for name, (index, data, _) in REFUSED.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.index").write_bytes(index)
        (tmp_path / name / "net.data-00000-of-00001").write_bytes(data)
    paths = [prefix, tmp_path / "it.zip", large, *(tmp_path / name / "net" for name in REFUSED)]
    start = time.perf_counter()
    grown, read = peak(saved["madry_mnist"], paths)
    assert read == [str(prefix), str(tmp_path / "it.zip")]
    assert grown < 20_000, "kilobytes"
    assert time.perf_counter() - start < 30


def test_an_old_checkpoint_is_named(saved):
    (path,) = saved["version_1"].iterdir()
    with pytest.raises(UserError, match="TensorFlow checkpoint of version 1"):
        checkpoints.read(path)


def test_a_part_alone(tmp_path):
    (tmp_path / "net.data-00000-of-00001").write_bytes(DATA)
    with pytest.raises(UserError, match=r"Put net.index, which says what is where in it, beside it"):
        checkpoints.locate(ModelCard("n", "N", "mnist", NARROW), tmp_path / "net.data-00000-of-00001")


def test_a_damaged_archive_and_one_that_unpacks_to_more_than_weights_do(saved, tmp_path):
    path = packed(saved["madry_cifar10"], tmp_path / "n.zip")
    content = path.read_bytes()
    path.write_bytes(content[:5000] + b"\1" + content[5001:])
    with pytest.raises(UserError, match="the checksum of 'logit/DW' is wrong"):
        checkpoints.read(path)
    path.write_bytes(content.replace(b"PK\3\4", b"PK\3\5"))
    with pytest.raises(UserError, match="this archive is cut, damaged or locked"):
        checkpoints.read(path)
    assert checkpoints.read(FIXTURES / "madry_mnist.zip").keys() > {"Variable"}, "small, but as it is for its tests"
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net.index", b"")
        archive.writestr("net.data-00000-of-00001", bytes(70_000_000))
    with pytest.raises(UserError, match="its entries declare 70000000 bytes, more than weights can be packed"):
        checkpoints.read(tmp_path / "bomb.zip")
