"""Archives: the wanted files and nothing else, whatever the archive says."""

import io
import struct
import tarfile
import zipfile

import pytest

from robeval.errors import UserError
from robeval.fetch.unpack import unpack

FILES = {"top/a.txt": b"one" * 1000, "top/deep/b.txt": b"two", "top/c.dat": b"three"}


def zipped(files, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(files, mode="w:gz", **changes):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def text(name):
    return name if name.endswith(".txt") else None


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def archive(tmp_path):
    """Writes an archive; its path."""

    def write(content):
        path = tmp_path / "archive"
        path.write_bytes(content)
        return path

    return write


def named(value):
    """Archives hold the time they were made, which is no name that all processes agree on."""
    return "archive" if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize(
    "content", [zipped(FILES), tarred(FILES), tarred(FILES, "w"), tarred(FILES, "w:xz")], ids=named
)
def test_only_what_is_wanted(archive, tmp_path, content):
    out = tmp_path / "out"
    (out / "top").mkdir(parents=True)
    (out / "top" / "old").write_bytes(b"stays")
    (out / "top" / "a.txt").write_bytes(b"is replaced")
    assert unpack(archive(content), text, out) == 2
    assert tree(out) == {name: FILES[name] for name in FILES if name.endswith(".txt")} | {"top/old": b"stays"}


def test_names_can_be_changed(archive, tmp_path):
    unpack(archive(zipped(FILES)), lambda name: "net.dat" if name == "top/c.dat" else None, tmp_path / "out")
    assert tree(tmp_path / "out") == {"net.dat": b"three"}


def raw_name(content, old, new):
    """The archive with the name of an entry written over, which a library would not write."""
    assert len(old) == len(new)
    return content.replace(old.encode(), new.encode())


def linked(kind):
    return tarred({"top/a.txt": b""}, type=kind, linkname="/etc/passwd")


def zip_link():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("top/a.txt")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return file.getvalue()


def lying_zip():
    """Says 100 bytes where there are 3000."""
    content = zipped({"top/a.txt": b"one" * 1000})
    return content.replace(struct.pack("<I", 3000), struct.pack("<I", 100))


def encrypted():
    content = bytearray(zipped({"top/a.txt": b"one"}))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


def twice():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("top/a.txt"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (zipped({"../a.txt": b""}), "leads out of the folder"),
        (zipped({"top/../../a.txt": b""}), "leads out of the folder"),
        (zipped({"/tmp/a.txt": b""}), "leads out of the folder"),
        (raw_name(zipped({"CXXtmp/a.txt": b""}), "CXXtmp", "C:/tmp"), "leads out of the folder"),
        (raw_name(zipped({"..Xa.txt": b""}), "..X", "..\\"), "leads out of the folder"),
        (tarred({"../a.txt": b""}), "leads out of the folder"),
        (tarred({"/tmp/a.txt": b""}), "leads out of the folder"),
        (tarred({"../unwanted": b"", "a.txt": b""}), "leads out of the folder"),
        (linked(tarfile.SYMTYPE), "is a link or a device"),
        (linked(tarfile.LNKTYPE), "is a link or a device"),
        (linked(tarfile.CHRTYPE), "is a link or a device"),
        (linked(tarfile.FIFOTYPE), "is a link or a device"),
        (zip_link(), "is a link or a device"),
        (zipped({"a.txt": bytes(1 << 27)}), "unpacks to more than 100 times its size"),
        (tarred({"a.txt": bytes(1 << 27)}), "unpacks to more than 100 times its size"),
        (zipped({"unwanted": bytes(1 << 27), "a.txt": b"1"}), "unpacks to more than 100 times its size"),
        (lying_zip(), "archive"),
        (encrypted(), "encrypted"),
        (twice(), "two entries in it have the same path"),
        (zipped({"other": b"1"}), "none of the files that are wanted is in it"),
        (zipped(FILES)[:-30], "cut or damaged"),
        (tarred(FILES)[:-30], "cut or damaged"),
        (tarred(FILES)[:40], "cut or damaged"),
        (b"<html>", "no zip or tar archive"),
        (b"", "no zip or tar archive"),
    ],
    ids=named,
)
def test_tricks_are_refused_and_leave_nothing(archive, tmp_path, content, expected):
    out = tmp_path / "inner" / "out"
    out.mkdir(parents=True)
    path = archive(content)
    before = tree(tmp_path)
    with pytest.raises(UserError) as caught:
        unpack(path, text, out)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert "nothing of it was kept" in str(caught.value)
    assert caught.value.__cause__ is None
    assert tree(tmp_path) == before
