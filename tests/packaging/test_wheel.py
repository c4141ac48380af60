"""The wheel carries the data folders, and works from anywhere."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("zoo/cards", "zoo/checkpoints", "zoo/papers", "suites", "reports/miniature", "reports/papers")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A freshly built wheel."""
    pytest.importorskip("build", reason="needs the package `build`")
    pytest.importorskip("hatchling", reason="needs the package `hatchling`")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    """The wheel as an installer leaves it."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def tracked(*folders):
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(["git", "ls-files", "-z", *folders], capture_output=True, text=True, cwd=ROOT, check=True)
    return {name for name in done.stdout.split("\0") if name}


def test_its_data_files_are_those_in_git(unpacked):
    data = unpacked / "robeval" / "data"
    found = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    expected = tracked(*FOLDERS)
    assert found - expected == set(), "in the wheel and not in git: add them or remove them"
    assert expected - found == set(), "in git and not in the wheel"
    assert {name.rsplit("/", 1)[0] for name in found} == set(FOLDERS)
    for name in found:
        assert (data / name).read_bytes() == (ROOT / name).read_bytes(), name


def test_its_modules_are_those_in_git(unpacked):
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    code = {name for name in found if name.startswith("robeval/") and not name.startswith("robeval/data/")}
    assert code == tracked("robeval")
    assert "robeval/py.typed" in code
    assert not [name for name in found if name.startswith(("tests", "docs", "runs"))]


def test_there_is_no_code_in_the_data_folders():
    assert not [name for name in tracked(*FOLDERS) if name.endswith(".py")]
    assert not (ROOT / "robeval" / "data").exists()


def test_shipped_checkpoints_are_small():
    sizes = [path.stat().st_size for path in (ROOT / "zoo" / "checkpoints").iterdir() if path.is_file()]
    assert max(sizes, default=0) < 2e6
    assert sum(sizes) < 5e6


def ask(unpacked, folder, *command):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROBEVAL")}
    environment |= {"PYTHONPATH": str(unpacked), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=folder, env=environment
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


WHERE = """
import robeval
from robeval import shelf
from robeval.version import VERSION
print(robeval.__file__, *shelf.names(shelf.SUITES).values(), *shelf.names(shelf.CARDS).values(), sep="\\n")
"""


def test_unpacked_it_finds_its_own_data(unpacked, tmp_path):
    paths = ask(unpacked, tmp_path, "-c", WHERE).split()
    assert paths[0] == str(unpacked / "robeval" / "__init__.py")
    assert all(Path(path).is_relative_to(unpacked / "robeval" / "data") for path in paths[1:])
    assert {Path(path).stem for path in paths[1:]} == {
        path.stem for folder in ("suites", "zoo/cards") for path in (ROOT / folder).glob("*.toml")
    }


def test_unpacked_the_command_lists_its_suites(unpacked, tmp_path):
    said = ask(unpacked, tmp_path, "-m", "robeval", "suites")
    for path in (ROOT / "suites").glob("*.toml"):
        assert path.stem in said
    assert list(tmp_path.iterdir()) == []


def test_it_says_its_version_and_brings_its_license(unpacked, tmp_path):
    (info,) = unpacked.glob("*.dist-info")
    version = info.name.removeprefix("robeval-").removesuffix(".dist-info")
    assert ask(unpacked, tmp_path, "-m", "robeval", "--version").split()[-1] == version
    assert "robeval = robeval.__main__:main" in (info / "entry_points.txt").read_text()
    assert (info / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
