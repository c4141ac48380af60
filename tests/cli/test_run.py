"""`robeval run`: what it shows and leaves, how it goes on, and what it refuses."""

import functools
import os
import re
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from home import CELLS, network, trained
from safetensors.torch import save_file

from robeval.attacks import registry


def tables(said):
    """What is shown below the progress: captions, tables, notes."""
    return said.out[said.out.index("\n\ntiny: ") : said.out.index("Written: ")]


def cells(out):
    return {path: path.stat().st_mtime_ns for path in sorted(Path(out).glob("cells/*/*.parquet"))}


# ── what it does ──


def test_a_run_shows_a_table_and_leaves_the_files(tiny, tmp_path):
    said = tiny()
    assert (said.code, said.err) == (0, "")
    assert f"{CELLS} of {CELLS} cells to run on cpu, into runs" in said.out
    assert re.search(r"^small pgd3: \d+ of 40 samples robust \(\d+\.\d\d %\), \d+\.\d s$", said.out, re.MULTILINE)
    assert re.search(r"^  worst case +\d+\.\d\d \[\d+\.\d,\d+\.\d\] *$", said.out, re.MULTILINE)
    assert said.out.endswith("Written: runs/leaderboard.md and runs/results.csv\n")
    out = tmp_path / "work" / "runs"
    table = pd.read_csv(out / "results.csv").set_index("attack")
    assert list(table.index) == ["clean", "fgsm", "pgd3", "worst_case"]
    assert (table.n == 40).all()
    accuracy = table.robust_accuracy
    assert accuracy["clean"] > 0.6
    assert accuracy["worst_case"] <= accuracy[["clean", "fgsm", "pgd3"]].min()
    for name in ("clean", "fgsm", "pgd3"):
        assert f"{100 * accuracy[name]:.2f} [" in tables(said)
        assert f"| {name} | {100 * accuracy[name]:.2f} [" in (out / "leaderboard.md").read_text()
    samples = pd.read_parquet(out / "cells")
    assert len(samples) == 3 * 40
    assert 1 - samples[samples.attack == "pgd3"].broken.mean() == pytest.approx(accuracy["pgd3"])
    assert len(cells(out)) == CELLS


def test_run_twice_it_computes_nothing_and_says_the_same(tiny, tmp_path, monkeypatch):
    first = tiny()
    before = cells("runs")
    monkeypatch.setattr("robeval.run.local.run_cell", None)  # calling it would fail
    second = tiny()
    assert (second.code, second.err) == (0, "")
    assert f"0 of {CELLS} cells to run" in second.out
    assert tables(second) == tables(first)
    assert cells("runs") == before


def test_several_models_are_ranked(tiny):
    """The best first; of so few images the difference is not significant, and they share the rank."""
    said = tiny("--model", "other", limit="20")
    assert "6 of 6 cells to run" in said.out
    assert re.search(r"^  1 +small .*\n  1 +other ", said.out, re.MULTILINE)
    assert "models that do not differ significantly share a rank" in said.out
    assert len(cells("runs")) == 6


def test_the_leaderboard_has_the_models_of_earlier_runs_too(tiny):
    tiny(limit="20")
    tiny(model="other", limit="20")
    text = Path("runs/leaderboard.md").read_text()
    assert text.index("| 1 | small |") < text.index("| 1 | other |")
    assert set(pd.read_csv("runs/results.csv").model) == {"small", "other"}


def test_the_limit_is_the_number_of_samples(tiny):
    said = tiny(limit="7")
    assert "3 of 3 cells to run" in said.out
    assert "n = 7" in said.out
    assert set(pd.read_csv("runs/results.csv").n) == {7}
    more = tiny(limit="20")
    assert "3 of 3 cells to run" in more.out  # a slice of 7 is no part of a slice of 20
    assert "3 of 6 cells to run" in tiny(limit="40").out


def test_weights_can_be_given(tiny, home):
    weights = home / "zoo" / "checkpoints" / "small.safetensors"
    save_file(trained(1).state_dict(), home / "mine.safetensors")
    same, less = tiny(model="other", limit="20"), tiny("--checkpoint", home / "mine.safetensors", limit="20")
    given = tiny("--checkpoint", weights, model="other", limit="20")
    assert [said.code for said in (same, less, given)] == [0, 0, 0]
    assert "3 of 3 cells to run" in given.out
    assert tables(given) != tables(same)


def test_output_that_is_no_terminal_has_no_control_codes(tiny):
    said = tiny("--model", "other")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said.out + said.err)


def test_long_messages_are_not_broken_into_lines(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "60")
    out = tmp_path / ("long" * 20)
    said = tiny("--out", out)
    assert f"cells to run on cpu, into {out}\n" in said.out
    assert f"Written: {out}/leaderboard.md and {out}/results.csv\n" in said.out
    note = next(line for line in said.out.splitlines() if line.startswith("small: the card names no sha256"))
    assert re.search(r" [0-9a-f]{64}$", note)


# ── failures and damage ──


@contextmanager
def broken_fgsm():
    """The attack `fgsm` gives up."""
    known = registry.catalog()["fgsm"]

    @functools.wraps(known.function)  # with the same keywords, so that it is the same cell
    def gives_up(problem, **params):
        raise RuntimeError("this attack gives up")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._CATALOG, "fgsm", replace(known, function=gives_up))
        yield


def test_a_failing_attack_leaves_the_rest_and_a_reason(tiny):
    with broken_fgsm():
        said = tiny()
    assert said.code == 1
    assert said.err == "robeval: 2 cells failed; the reasons are in runs/failures\n"
    assert "small fgsm: FAILED: RuntimeError: this attack gives up" in said.out
    assert re.search(r"^  fgsm +INCOMPLETE *$", said.out, re.MULTILINE)
    assert re.search(r"^  worst case +INCOMPLETE *$", said.out, re.MULTILINE)
    assert "small, fgsm: INCOMPLETE: 0 of 2 cells; RuntimeError: this attack gives up" in said.out
    reasons = [path.read_text() for path in Path("runs/failures").iterdir()]
    assert len(reasons) == 2
    assert all("Traceback" in reason and "this attack gives up" in reason for reason in reasons)
    table = pd.read_csv("runs/results.csv").set_index("attack")
    assert table.robust_accuracy.isna().to_dict() == {"clean": False, "fgsm": True, "pgd3": False, "worst_case": True}
    assert "INCOMPLETE" in Path("runs/leaderboard.md").read_text()


def test_once_mended_only_what_failed_is_run_again(tiny):
    with broken_fgsm():
        assert tiny().code == 1
    said = tiny()
    assert said.code == 0
    assert f"2 of {CELLS} cells to run" in said.out
    assert "INCOMPLETE" not in said.out
    assert list(Path("runs/failures").iterdir()) == []


@pytest.mark.parametrize("damage", ["half", "empty", "garbage"])
def test_a_damaged_cell_is_set_aside_said_and_computed_again(tiny, damage):
    first = tiny()
    path = list(cells("runs"))[2]
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "empty": b"", "garbage": b"x" * len(whole)}[damage])
    said = tiny()
    assert said.code == 0
    assert f"a damaged file was set aside, its work is done again: runs/damaged/{path.name}" in said.out
    assert f"1 of {CELLS} cells to run" in said.out
    assert tables(said) == tables(first)
    assert Path("runs/damaged", path.name).exists()
    assert len(cells("runs")) == CELLS
    assert f"0 of {CELLS} cells to run" in tiny().out


def test_damaged_settings_and_plans_are_made_anew(tiny):
    first = tiny()
    Path("runs/settings.json").write_text("{")
    Path("runs/plans/tiny--small.json").write_text("[]")
    said = tiny()
    assert said.code == 0
    assert tables(said) == tables(first)


# ── what is refused, in one message, before anything is written ──


@pytest.fixture
def wrong(refused, home):
    """Runs the small suite with other words; nothing may be written."""

    def run(*words, suite="tiny", model="small"):
        message = refused("run", "--suite", suite, "--model", model, "--device", "cpu", *words)
        assert not Path("runs").exists()
        return message

    return run


def test_unknown_names_are_told_together_with_the_nearest(wrong):
    message = wrong("--device", "gpu", "--limit", "0", suite="tyni", model="smal")
    assert "--suite: unknown name 'tyni'\n  Did you mean 'tiny'?" in message
    assert "--model: unknown name 'smal'\n  Did you mean 'small'?" in message
    assert "--device: 'gpu' cannot be used" in message
    assert "--limit: 0 samples cannot be evaluated" in message


def test_a_model_named_twice(wrong):
    assert "--model: 'small' is named twice" in wrong("--model", "small")


def test_a_malformed_suite(wrong, home):
    path = home / "suites" / "tiny.toml"
    path.write_text(path.read_text().replace("eps = 0.1", "eps = = 0.1"))
    message = wrong()
    assert f"{path}: this is not valid TOML" in message
    assert "at line 8" in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("eps = 0.1", "eps = 8", '[threat]: eps is 8, but pixels are in [0, 1]\n  Did you mean "8/255"?'),
        ('use = "pgd"', 'use = "pdg"', "attack 'pgd3': unknown attack 'pdg'\n  Did you mean 'pgd'?"),
        ("step_size", "stepsize", "attack 'pgd3': 'pgd': takes no 'stepsize'\n  Did you mean 'step_size'?"),
        ("steps = 3", 'steps = "many"', "attack 'pgd3': 'pgd': 'steps' is 'many', expected a whole number"),
        ('"digits"', '"digit"', "unknown data set 'digit'\n  Did you mean 'digits'?"),
        ('norm = "linf"', 'norm = "l3"', "'norm' is 'l3', expected one of 'linf', 'l2', 'l1'"),
    ],
)
def test_a_suite_with_something_wrong(wrong, home, old, new, message):
    path = home / "suites" / "tiny.toml"
    path.write_text(path.read_text().replace(old, new))
    said = wrong()
    assert str(path) in said
    assert message in said


def test_a_folder_or_bytes_in_place_of_a_suite(wrong, home):
    (home / "suites" / "folder.toml").mkdir()
    (home / "suites" / "bytes.toml").write_bytes(b'title = "x"\ndataset = "\xff"\n')
    assert "folder.toml is a folder" in wrong(suite=home / "suites" / "folder.toml")
    assert "folder.toml: the file cannot be read: Is a directory" in wrong(suite="folder")
    assert "bytes.toml: line 2 is not UTF-8" in wrong(suite="bytes")


def test_a_missing_data_set(wrong, home, tmp_path):
    suite = home / "suites" / "tiny.toml"
    suite.write_text(suite.read_text().replace('"digits"', '"mnist"'))
    message = wrong("--data-root", tmp_path / "nowhere")
    assert "t10k-images-idx3-ubyte.gz" in message
    assert str(tmp_path / "nowhere") in message
    assert "--data-root DIR" in message


def test_a_cut_data_file(wrong, home, tmp_path):
    suite = home / "suites" / "tiny.toml"
    suite.write_text(suite.read_text().replace('"digits"', '"mnist"'))
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (tmp_path / name).write_bytes(b"\x1f\x8b\x08\x00cut")
    message = wrong("--data-root", tmp_path)
    assert f"{tmp_path / 't10k-images-idx3-ubyte.gz'}: the gzip file (7 bytes) is cut or damaged" in message


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8), (3, 32, 32)])
def test_images_of_another_size_are_blamed_and_not_the_card(wrong, home, tmp_path, shape):
    x = np.random.default_rng(0).random((20, *shape), dtype=np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=np.arange(20) % 10)
    said = wrong("--data", str(tmp_path / "mine.npz"))
    has = "x".join(map(str, shape))
    assert f"--data {tmp_path / 'mine.npz'}: they are {has} in 10 classes" in said
    assert "model 'small' takes those of digits, 1x8x8 in 10 classes" in said
    assert "card" not in said


def test_a_model_for_another_data_set(wrong, home):
    card = home / "zoo" / "cards" / "small.toml"
    card.write_text(card.read_text().replace('"digits"', '"mnist"'))
    assert "model 'small': it is for mnist, but the suite 'tiny' is about digits" in wrong()


def test_weights_that_are_missing(wrong, home):
    (home / "zoo" / "checkpoints" / "small.safetensors").unlink()
    message = wrong()
    assert "its file of weights, small.safetensors, is in none of:" in message
    assert "`--checkpoint FILE`" in message


def odd_file(folder, kind):
    """A file that is no weights of the small network."""
    path = folder / f"{kind.replace(' ', '_')}.safetensors"
    whole = (folder / "small.safetensors").read_bytes()
    contents = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "web page": b"<!DOCTYPE html><html>Sign in</html>",
        "text": b"weights: none",
        "pickle": b"\x80\x04cos\nsystem\n.",
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind == "another network":
        save_file({"x": next(network().parameters()).detach()}, path)
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cut", "is cut or damaged"),
        ("empty", "the file is empty"),
        ("web page", "this is a web page, not weights"),
        ("text", "this is no file of weights that robeval reads"),
        ("pickle", "nothing in it was executed"),
        ("another network", "the weights do not fit the network"),
        ("folder", "is a folder"),
        ("nothing", "there is no file"),
    ],
)
def test_a_checkpoint_that_is_none(wrong, home, kind, expected):
    path = odd_file(home / "zoo" / "checkpoints", kind)
    message = wrong("--checkpoint", path)
    assert str(path) in message
    assert expected in message


def test_another_checkpoint_than_the_cards(wrong, home):
    card = home / "zoo" / "cards" / "small.toml"
    card.write_text(card.read_text() + f'sha256 = "{"0" * 64}"\n')
    message = wrong()
    assert f"{home / 'zoo' / 'checkpoints' / 'small.safetensors'}: the sha256 of the file is" in message
    assert "expects 000000" in message


def test_one_checkpoint_for_two_models(wrong, home):
    assert "--checkpoint: it goes with one model only" in wrong("--checkpoint", home, "--model", "other")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_a_checkpoint_that_the_system_will_not_read(wrong):
    assert "/proc/self/mem: the file cannot be read: Input/output error" in wrong("--checkpoint", "/proc/self/mem")


def test_out_below_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    words = "run", "--suite", "tiny", "--model", "small", "--limit", "4", "--device", "cpu", "--microbatch", "8"
    for out in (tmp_path / "file", tmp_path / "file" / "runs"):
        message = refused(*words, "--out", out)
        assert str(out) in message
        assert "--out" in message
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("part", ["cells", "plans", "results.csv", "settings.json"])
def test_a_ledger_that_cannot_be_written(tiny, part):
    Path("runs").mkdir()
    if part in ("cells", "plans"):
        Path("runs", part).write_text("a file where a folder should be")
    else:
        Path("runs", part, "x").mkdir(parents=True)
    said = tiny(limit="4")
    assert said.code == 2
    assert f"robeval: runs/{part}" in said.err
    assert "--out" in said.err
    assert "Traceback" not in said.err


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_disk_that_fills_up_keeps_what_is_finished(tiny, monkeypatch):
    fsync, files = os.fsync, []

    def fill(handle):
        kind = Path(f"/proc/self/fd/{handle}").resolve().suffixes
        files.extend(each for each in kind if each == ".parquet")
        if len(files) > 2:
            raise OSError(28, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        said = tiny()
    assert said.code == 2
    assert "it cannot be written: No space left on device" in said.err
    assert len(cells("runs")) == 2
    assert not list(Path("runs").rglob("*.tmp"))
    again = tiny()
    assert again.code == 0
    assert f"4 of {CELLS} cells to run" in again.out


def test_another_batch_shape_in_the_same_ledger(tiny, robeval):
    tiny(limit="20")
    words = "run", "--suite", "tiny", "--model", "small", "--limit", "40", "--device", "cpu", "--microbatch", "8"
    said = robeval(*words)
    assert said.code == 2
    assert "--microbatch: 8, but runs was begun with 32" in said.err
    assert "3 of 6 cells" in robeval(*words[:-2]).out  # without the option it goes on


# ── Ctrl-C ──


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(begin, home, tiny):
    suite = home / "suites" / "tiny.toml"
    long = suite.read_text() + '\n[[attack]]\nid = "long"\nuse = "pgd"\nsteps = 1000000\nstep_size = 0.01\n'
    suite.write_text(long)
    running = begin("run", "--suite", "tiny", "--model", "small", "--limit", 40, "--device", "cpu", "--microbatch", 32)
    for line in running.stdout:
        if line.startswith("small pgd3: "):
            break
    time.sleep(0.5)  # into the long attack
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert err.strip().splitlines() == [
        "robeval: interrupted. Finished cells are kept in runs; the same command goes on from there."
    ]
    assert len(cells("runs")) == CELLS
    assert not list(Path("runs").rglob("*.tmp"))
    suite.write_text(long.replace("1000000", "2"))
    assert f"2 of {CELLS + 2} cells to run" in tiny().out


def test_a_model_of_ones_own_by_module_and_factory(robeval, refused, tmp_path):
    (tmp_path / "work" / "own_net.py").write_text(
        "from torch import nn\ndef tiny_net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    words = "run", "--suite", "tiny", "--model", "own_net:tiny_net", "--limit", "20", "--device", "cpu"
    said = robeval(*words, "--microbatch", "32")
    assert said.code == 0, said.err
    assert "tiny_net clean" in said.out
    assert "'own_net:tiny' gives no model" in refused(*words[:4], "own_net:tiny", *words[5:])
