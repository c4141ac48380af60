"""The command itself: help, names, and how it ends."""

import json
import re
import subprocess
import sys

import pytest

from robeval.cli.main import COMMANDS
from robeval.version import VERSION

HEAVY = ("torch", "pandas", "numpy", "sklearn", "scipy", "pyarrow", "safetensors")

ALL_HELP = """
import contextlib, io, json, sys
from robeval.cli.main import COMMANDS, group

said = {}
for words in ([], *([name] for name in COMMANDS)):
    for flag in ("--help", "-h"):
        with contextlib.redirect_stdout(io.StringIO()) as screen:
            code = group.main([*words, flag], standalone_mode=False, prog_name="robeval")
        said[" ".join([*words, flag])] = code, screen.getvalue(), sorted(set(sys.modules) & set(sys.argv[1:]))
print(json.dumps(said))
"""


def test_help_of_everything_is_there_and_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", ALL_HELP, *HEAVY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert len(said) == 2 * (1 + len(COMMANDS))
    for command, (code, text, heavy) in said.items():
        assert not code, command
        assert text.startswith("Usage: robeval"), command
        assert len(text.split()) > 20, command
        assert heavy == [], command


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_begins_as_the_list_of_commands_says(robeval, name):
    said = robeval(name, "--help")
    assert said.code == 0
    first = " ".join(said.out.split("\n\n")[1].split())
    assert first[:10] == COMMANDS[name][:10]


def test_the_list_of_commands_names_all(robeval):
    said = robeval("--help")
    for name, summary in COMMANDS.items():
        assert re.search(rf"^  {name}\s+{re.escape(summary)}$", said.out, re.MULTILINE)


def test_without_a_command_there_is_help(robeval):
    said = robeval()
    assert said.code == 2
    assert "Usage: robeval" in said.out
    assert "Commands:" in said.out


def test_the_version(robeval):
    assert robeval("--version").out.split()[-1] == VERSION
    assert robeval("-V").code == 0


@pytest.mark.parametrize(
    ("word", "nearest"), [("rnu", "run"), ("suite", "suites"), ("zooo", "zoo"), ("attack", "attacks")]
)
def test_an_unknown_command_offers_the_nearest(refused, word, nearest):
    assert f"there is no command '{word}'. Did you mean '{nearest}'?" in refused(word)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bogus"], "No such option '--bogus'"),
        (["run", "--bogus"], "No such option '--bogus'"),
        (["run"], "Missing option '--suite'"),
        (["run", "--suite", "tiny"], "Missing option '--model'"),
        (["run", "--suite"], "'--suite' requires an argument"),
        (["run", "--suite", "tiny", "--model", "small", "--limit", "many"], "'many' is not a valid integer"),
        (["suites", "a", "b"], "unexpected extra argument"),
    ],
)
def test_wrong_words(refused, words, message):
    assert message in refused(*words)


def test_as_a_module_it_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "robeval", "suites", "digits_lnf"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("robeval: NAME: unknown name 'digits_lnf'\n  Did you mean 'digits_linf'?")
    assert len(done.stderr.splitlines()) == 2


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m robeval suites | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_full_disk_behind_the_output_is_one_message():
    command = f"{sys.executable} -m robeval suites > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_system_refuses_is_one_message(refused, monkeypatch):
    def forbid(*arguments):
        raise PermissionError(13, "Permission denied", "/closed/folder")

    monkeypatch.setattr("robeval.shelf.names", forbid)
    assert refused("suites") == "robeval: /closed/folder: Permission denied\n"


def test_a_bug_keeps_its_traceback(robeval, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("robeval.shelf.names", broken)
    with pytest.raises(ZeroDivisionError):
        robeval("suites")
