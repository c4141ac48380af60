"""The command as a user has it: in this process where that will do, in its own where it must be killed."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest
from home import furnish

from robeval.cli.main import main

BRIEF = "--device", "cpu", "--microbatch", "32"


@dataclass(frozen=True)
class Said:
    """What a command left on the screen."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user's folder, an empty working folder, and a screen that is wide enough."""
    folder = furnish(tmp_path / "home")
    monkeypatch.setenv("ROBEVAL_HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


@pytest.fixture
def robeval(monkeypatch, capsys):
    """Runs a command in this process."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["robeval", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def tiny(robeval):
    """Runs the small suite on the small model, on 40 samples unless said otherwise."""

    def run(*words, suite="tiny", model="small", limit="40"):
        return robeval("run", "--suite", suite, "--model", model, "--limit", limit, *BRIEF, *words)

    return run


@pytest.fixture
def refused(robeval):
    """Runs a command that must end in one message and exit code 2; gives the message."""

    def run(*words):
        said = robeval(*words)
        assert said.code == 2, said
        assert said.err.count("robeval: ") == 1 or said.err.count("Error: ") == 1, said.err
        assert "Traceback" not in said.out + said.err
        return said.err

    return run


@pytest.fixture
def begin():
    """Begins a command in a process of its own, with one thread, so that equal runs are equal."""
    begun = []
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # tests in the background: the command would ignore it too
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(*words, **options):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
        process = subprocess.Popen([sys.executable, "-m", "robeval", *map(str, words)], **(pipes | options))
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()
