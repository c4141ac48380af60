"""`robeval leaderboard`: the models of a ledger, ranked."""

import pytest
from records import fill, spec

from robeval.ledger.store import Ledger

CLEAN = spec("clean", use="clean", params={})


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "runs")
    fill(ledger, "weak", [(CLEAN, "0" * 40), (spec(), "1" * 30 + "0" * 10)])
    fill(ledger, "strong", [(CLEAN, "0" * 40), (spec(), "1" * 5 + "0" * 35)])
    fill(ledger, "alone", [(spec(), "0" * 20)], suite="other")
    return ledger.root


def test_on_the_screen(robeval, ledger):
    said = robeval("leaderboard", "--out", ledger)
    assert said.code == 0
    assert said.out.index("strong") < said.out.index("weak")
    assert "other: digits" in said.out
    assert "other: digits" not in robeval("leaderboard", "--out", ledger, "--suite", "small").out


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        (
            "markdown",
            [
                "| 1 | strong | 100.00 | 100.00 [91.2,100.0] | 87.50 [73.9,94.5] | 87.50 [73.9,94.5] |",
                "| 40 | not audited |",
            ],
        ),
        ("latex", [r"\toprule", r"1 & strong & 100.00"]),
        ("html", ['data-value="strong"', "<!DOCTYPE html>", "torch 2.0", "not audited"]),
        ("csv", ["suite,model,dataset", "small,strong,digits,test,linf,0.1,worst_case", ",audit\n", ",not audited\n"]),
    ],
)
def test_as_a_file(robeval, ledger, tmp_path, form, parts):
    path = tmp_path / "new" / "board"
    said = robeval("leaderboard", "--out", ledger, "--suite", "small", "--format", form, "--to", path)
    assert said.code == 0, said.err
    text = path.read_text()
    assert all(part in text for part in parts)
    assert "://" not in text, "nothing is loaded from anywhere"
    assert robeval("leaderboard", "--out", ledger, "--suite", "small", "--format", form).out == text


def test_what_is_not_there(refused, ledger, tmp_path):
    assert "there are no results of 'smal'\n  Did you mean 'small'?" in refused(
        "leaderboard", "--out", ledger, "--suite", "smal"
    )
    said = refused("leaderboard", "--out", tmp_path / "nothing")
    assert "there are no results" in said
    assert "robeval run --suite" in said
