"""A file is there whole or not at all, whatever happens."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from robeval.errors import UserError
from robeval.whole import write_whole

OLD, NEW = b"old " * 5000, b"new " * 9000


def test_it_writes_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    write_whole(path, OLD)
    assert path.read_bytes() == OLD
    write_whole(path, NEW)
    assert path.read_bytes() == NEW
    write_whole(path, b"")
    assert path.read_bytes() == b""
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


KILLED_ANYWHERE = """
import os, sys
from pathlib import Path
from robeval.whole import write_whole

folder, old, new = Path(sys.argv[1]), b"old " * 5000, b"new " * 9000
name = "cell.parquet"


def die_at(k):
    seen = 0
    def watch(frame, event, argument):
        nonlocal seen
        if event in ("c_call", "c_return", "call"):
            seen += 1
            if seen > k:
                os._exit(9)
    sys.setprofile(watch)


counts = {"old": 0, "new": 0, "absent": 0}
for start in ("old", "absent"):
    k = 0
    while True:
        for each in folder.iterdir():
            each.unlink()
        if start == "old":
            (folder / name).write_bytes(old)
        child = os.fork()
        if not child:
            die_at(k)
            write_whole(folder / name, new)
            sys.setprofile(None)
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert died in (0, 9), died
        shown = [each.name for each in folder.iterdir() if not each.name.startswith(".")]
        assert shown in ([], [name]), shown
        content = (folder / name).read_bytes() if shown else b""
        state = {old: "old", new: "new", b"": "absent"}.get(content)
        assert state in (start, "new"), f"after {k} calls there is a part: {len(content)} bytes"
        counts[state] += 1
        if not died:
            assert state == "new"
            assert [each.name for each in folder.iterdir()] == [name]
            break
        write_whole(folder / name, new)  # the next run is not stopped by what the dead one left
        assert (folder / name).read_bytes() == new
        k += 1
assert k > 30 and min(counts.values()) > 5, (k, counts)
print(k, counts)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_killed_between_any_two_calls_it_leaves_the_old_file_or_the_new(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED_ANYWHERE, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_content_is_on_disk_before_the_name_and_then_the_folder_is(tmp_path):
    calls = []

    def watch(frame, event, argument):
        if event == "c_call" and argument.__name__ in ("fsync", "write", "replace", "rename"):
            calls.append(argument.__name__)

    sys.setprofile(watch)
    try:
        write_whole(tmp_path / "file", NEW)
    finally:
        sys.setprofile(None)
    assert calls == ["write", "fsync", "replace", "fsync"]


def refused(path, *words):
    with pytest.raises(UserError) as caught:
        write_whole(path, NEW)
    message = str(caught.value)
    for word in (str(path), "--out", *words):
        assert word in message
    return message


@pytest.mark.parametrize("function", ["fsync", "open", "replace", "write"])
def test_a_full_disk_leaves_the_file_before_and_nothing_else(tmp_path, monkeypatch, function):
    path = tmp_path / "file"
    write_whole(path, OLD)

    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if function == "write":
            opened = Path.open

            def open_full(self, *arguments, **keywords):
                file = opened(self, *arguments, **keywords)
                file.write(NEW[:100])
                return Full(file)

            patch.setattr(Path, "open", open_full)
        elif function == "open":
            patch.setattr(Path, "open", full)
        else:
            patch.setattr(os, function, full)
        refused(path, "No space left on device")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == OLD


class Full:
    """A file that takes no more."""

    def __init__(self, file):
        self.file = file

    def write(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


TOO_LARGE = """
import resource, sys
from pathlib import Path
from robeval.errors import UserError
from robeval.whole import write_whole

path = Path(sys.argv[1])
write_whole(path, b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    write_whole(path, b"new " * 9000)
except UserError as error:
    assert "File too large" in str(error), error
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    sys.exit(5)
"""


def test_a_write_that_the_system_cuts_short_leaves_the_file_before(tmp_path):
    pytest.importorskip("resource")
    command = [sys.executable, "-c", TOO_LARGE, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 5, done.stderr


NOBODY = """
import os, sys
from pathlib import Path
from robeval.errors import UserError
from robeval.whole import write_whole

if os.getuid() == 0:
    os.setuid(65534)  # whom, unlike root, a folder can refuse
try:
    write_whole(Path(sys.argv[1]), b"new")
except UserError as error:
    print(error)
    sys.exit(5)
"""


def test_a_read_only_folder_is_a_user_error():
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name) / "out"
        folder.mkdir()
        path = folder / "file"
        path.write_bytes(OLD)
        Path(name).chmod(0o755)
        folder.chmod(0o555)
        source = Path(__file__).parents[1]
        command = [sys.executable, "-c", NOBODY, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=source)
        folder.chmod(0o755)
        if "No module named" in done.stderr:
            pytest.skip("nobody may read where robeval is installed")
        assert done.returncode == 5, done.stderr
        assert "Permission denied" in done.stdout
        assert "--out" in done.stdout
        assert [each.name for each in folder.iterdir()] == ["file"]
        assert path.read_bytes() == OLD


def test_a_file_where_a_folder_is_needed_is_a_user_error(tmp_path):
    (tmp_path / "file").write_bytes(OLD)
    refused(tmp_path / "file" / "cells" / "x")
    assert (tmp_path / "file").read_bytes() == OLD


def test_a_folder_of_that_name_is_a_user_error(tmp_path):
    (tmp_path / "x").mkdir()
    refused(tmp_path / "x", "directory")
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_file_with_this_content_is_left_alone(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"same")
    before = path.stat().st_ino
    write_whole(path, b"same")
    assert path.stat().st_ino == before
