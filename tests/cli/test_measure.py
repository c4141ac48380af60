"""`robeval measure`: one command per measure, resumed, printed and refused like the others."""

import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from robeval.measures import registry

FEW = "--limit", "30", "--device", "cpu", "--microbatch", "16"


def test_every_measure_is_a_command_with_its_keywords(robeval):
    said = robeval("measure").out + robeval("measure", "theory").out
    for name, entry in registry.catalog().items():
        assert name in said
        room = ("theory",) if entry.about == "theory" else ()
        assert "--out" in robeval("measure", *room, name, "--help").out
    assert "a number above 0" in robeval("measure", "lipschitz", "--help").out


def test_a_model_is_measured_once(robeval, tmp_path):
    words = "measure", "gradients", "--model", "small", *FEW, "--scale", "signed"
    said = robeval(*words)
    assert said.code == 0, said
    assert "gradients: small on digits (test), scale=signed" in said.out
    assert "squared_norm_mean" in said.out
    (path,) = (tmp_path / "work" / "runs" / "measures" / "gradients").iterdir()
    before = path.stat().st_mtime_ns
    assert robeval(*words).out == said.out
    assert path.stat().st_mtime_ns == before
    table = pd.read_csv(tmp_path / "work" / "runs" / "measures.csv")
    assert table.n.max() == 30
    assert "gradients: small" in (tmp_path / "work" / "runs" / "measures.md").read_text()


def test_fractions_and_choices(robeval):
    said = robeval("measure", "lipschitz", "--model", "small", *FEW, "--eps", "8/255", "--keep", "best", "--steps", "2")
    assert said.code == 0, said
    assert "eps=0.0313725 steps=2" in said.out


def test_data_and_theory(robeval):
    said = robeval("measure", "separation", "--dataset", "digits", "--limit", "20")
    assert said.code == 0, said
    assert "separation: digits (test)" in said.out
    said = robeval("measure", "theory", "tsipras", "--d", "9", "--n", "100", "--p", "0.9")
    assert said.code == 0, said
    assert "tsipras: theory, d=9 p=0.9 n=100" in said.out


def test_a_suite_is_run_and_its_verdicts_are_measured(robeval):
    words = "--suite", "tiny", "--model", "small", *FEW
    said = robeval("measure", "errors", *words)
    assert said.code == 0, said
    assert "6 of 6 cells to run" in said.out
    ran = robeval("run", *words)
    assert "0 of 6 cells to run" in ran.out
    results = pd.read_csv("runs/results.csv").set_index("attack")
    table = pd.read_csv("runs/measures.csv").set_index("metric")
    assert table.value["robust_error"] == pytest.approx(1 - results.robust_accuracy["worst_case"])
    assert table.value["natural_error"] == pytest.approx(1 - results.robust_accuracy["clean"])
    said = robeval("measure", "curve", *words, "--radii", "0,0.05,1/10")
    assert said.code == 0, said
    table = pd.read_csv("runs/measures.csv")
    curve = table[table.measure == "curve"].set_index("at")
    assert curve.metric["eps=0.05"] == "robust_accuracy_at_most"
    assert "an upper bound only" in said.out
    assert "an upper bound only" in Path("runs/measures.md").read_text()
    assert curve.value["eps=0"] == pytest.approx(results.robust_accuracy["clean"])
    assert curve.value["eps=0.1"] == pytest.approx(results.robust_accuracy["worst_case"])
    assert "distance_mean" in robeval("measure", "distance", *words).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lipshitz",), "unknown measure 'lipshitz'. Did you mean 'lipschitz'?"),
        (("theory", "tsipra"), "Did you mean 'tsipras'?"),
        (("lipschitz", "--model", "small"), "Missing option '--eps'"),
        (("lipschitz", "--model", "small", "--eps", "big"), "'eps' is 'big', expected a number above 0"),
        (("gradients", "--model", "smal"), "Did you mean 'small'?"),
        (("gradients", "--model", "small", "--scale", "2"), "'scale' is 2, expected one of 'unit'"),
        (("gradients", "--model", "small", "--limit", "0"), "--limit: 0"),
        (("separation",), "no data set is given"),
        (("separation", "--dataset", "digist"), "Did you mean 'digits'?"),
        (("curve", "--suite", "tiny", "--model", "small", "--radii", "a,b"), "a list in which each item is a number"),
        (("theory", "tsipras", "--p", "2"), "at least 0.5 and at most 1"),
    ],
)
def test_what_does_not_fit_is_refused(refused, words, said):
    assert said in refused("measure", *words)


def test_a_suite_without_attacks_in_its_own_threat_model(refused, home):
    path = home / "suites" / "tiny.toml"
    far = 'threat = { norm = "l2", eps = 1 }\n'
    path.write_text(
        path.read_text()
        .replace('use = "clean"\n', f'use = "clean"\n{far}')
        .replace('use = "fgsm"\n', f'use = "fgsm"\n{far}')
        .replace('use = "pgd"\n', f'use = "pgd"\n{far}')
    )
    assert "none of its attacks is in linf" in refused("measure", "errors", "--suite", "tiny", "--model", "small")


def test_a_killed_measure_goes_on(begin, robeval, tmp_path, monkeypatch):
    """602 samples are one slice; the training split has two, and the second is not begun before the first is kept."""
    words = "measure", "separation", "--dataset", "digits", "--split", "train"
    process = begin(*words)
    parts = tmp_path / "work" / "runs" / "parts" / "separation"
    while process.poll() is None and not (parts.is_dir() and list(parts.glob("[!.]*"))):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    said = robeval(*words)
    assert said.code == 0, said
    assert "1195" in said.out
    assert not list(parts.iterdir())
