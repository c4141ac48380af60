"""`robeval compare`: two models of a ledger."""

import pytest
from records import fill, spec

from robeval.ledger.store import Ledger


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "runs")
    fill(ledger, "weak", [(spec(), "1" * 30 + "0" * 10)])
    fill(ledger, "strong", [(spec(), "1" * 5 + "0" * 35)])
    fill(ledger, "elsewhere", [(spec(), "0" * 20)], suite="other")
    return ledger.root


def test_it_says_which_is_better(robeval, ledger):
    said = robeval("compare", "weak", "strong", "--out", ledger)
    assert said.code == 0
    assert "second is" in said.out
    assert "87.50" in said.out


def test_unknown_models_and_other_samples(refused, ledger):
    assert "no results of 'wek'" in refused("compare", "wek", "strong", "--out", ledger)
    said = refused("compare", "weak", "elsewhere", "--out", ledger)
    assert "no complete worst case on the same samples" in said
    assert "robeval run --suite SUITE --model weak --model elsewhere" in said
    assert "Known: none" in refused("compare", "weak", "strong", "--out", ledger / "nothing")
