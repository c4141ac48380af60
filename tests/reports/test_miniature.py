"""The miniature of the papers' tables: its file, and the page that is made of ledgers."""

import pandas as pd
import pytest

from robeval import shelf
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.reports import miniature, papers
from robeval.reports.miniature import Check, Miniature, Shown
from robeval.reports.miniature_page import Figures, asks, expected, named, outcomes, page
from robeval.suites import load as suites
from robeval.train import recipe
from robeval.values.paper import Ask, Recipe
from robeval.zoo import cards

FOUND = miniature.load()
TEXT = """
title = "Ours"
suite = "miniature_digits"
[base]
like = "madry_digits"
network = { width = 4 }
training = { epochs = 2, decay_epochs = [] }
[model.one]
training = { epochs = 3 }
[model.two]
like = "natural_digits"
network = { drop = 0.5 }
[[table]]
id = "trades_table4"
attacks = ["fgsm"]
[[check]]
says = "one is better"
plus = ["one fgsm"]
minus = ["two fgsm"]
at_least = 1
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes the user's own file in place of ours."""
    monkeypatch.setenv("ROBEVAL_HOME", str(tmp_path))
    path = tmp_path / "reports" / "miniature" / "mine.toml"
    path.parent.mkdir(parents=True)

    def write(text):
        path.write_text(text)
        return "mine"

    return write


@pytest.mark.parametrize("name", FOUND.recipes)
def test_every_model_can_be_trained(name):
    own = FOUND.recipes[name]
    card = own.card(name, cards.load(own.like))
    assert card.checkpoint is None
    assert recipe.read(card, len(datasets.load("digits", "train"))).settings.threads == 1
    assert name not in shelf.names(shelf.CARDS)


def test_every_table_is_there_with_models_that_are():
    suite = {chain.id for chain in suites.load(FOUND.suite).chains}
    asked = []
    for shown in FOUND.tables:
        table = papers.load(shown.id)
        titles = {cell.row for cell in table.cells} | {cell.column for cell in table.cells}
        assert set(shown.without) <= titles
        assert set(shown.attacks) <= suite
        rows = asks(table, shown)
        assert len(rows) > 1
        for row in rows.values():
            assert {ask.model for _, ask in row.values()} <= set(FOUND.recipes), shown.id
    for check in FOUND.checks:
        asked += [expected(FOUND, text) for text in named(FOUND, check)]
        assert check.at_least is not None or check.at_most is not None
    assert {ask.model for ask in asked} == set(FOUND.recipes)
    for name in {ask.suite for ask in asked} | set(FOUND.first):
        chains = {chain.id for chain in suites.load(name).chains}
        assert {ask.attack for ask in asked if ask.suite == name} <= chains


def test_what_the_tables_of_the_issue_name_is_shown():
    wanted = {"trades_table4", "trades_table5", "tsipras_table4", "yang_table2", "yang_table4"}
    assert wanted | {f"bat_table{n}" for n in range(3, 7)} <= {shown.id for shown in FOUND.tables}


def test_a_model_has_what_all_have_but_for_its_own(own):
    found = miniature.load(own(TEXT)).recipes
    assert found["one"] == Recipe("madry_digits", {"epochs": 3, "decay_epochs": []}, {"width": 4})
    assert found["two"] == Recipe("natural_digits", {"epochs": 2, "decay_epochs": []}, {"width": 4, "drop": 0.5})
    card = found["two"].card("two", cards.load("natural_digits"))
    assert (card.id, card.network.params["width"], card.network.params["drop"]) == ("two", 4, 0.5)
    assert card.network.params["hidden"] == 100


def test_what_is_wrong_with_a_file_is_said_together(own):
    name = own(TEXT.replace('says = "one is better"', "").replace("[model.two]", "[model.two]\ntrain = 1"))
    with pytest.raises(UserError) as caught:
        miniature.load(name)
    assert "[model.two]: takes no 'train'" in str(caught.value)
    assert "[[check]] 1: 'says' is missing" in str(caught.value)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("", "neither or both of 'plus' and 'lowest' are given"),
        ('plus = ["one fgsm"]\nlowest = "fgsm"', "neither or both of 'plus' and 'lowest' are given"),
        ('lowest = "fgsm"\nbut = ["tow"]', "'but' has unknown model 'tow'"),
    ],
)
def test_an_expectation_is_about_a_sum_or_the_lowest(own, of, said):
    with pytest.raises(UserError) as caught:
        miniature.load(own(TEXT.replace('plus = ["one fgsm"]\nminus = ["two fgsm"]', of)))
    assert f"[[check]] 1: {said}" in str(caught.value)


def results(**accuracies):
    """A ledger's results, by model, under `fgsm` of the miniature's own suite."""
    rows = [
        {"suite": "s", "model": model, "attack": "fgsm", "status": "complete", "robust_accuracy": value}
        for model, value in accuracies.items()
    ]
    return pd.DataFrame(rows).assign(natural_accuracy=1.0)


@pytest.mark.parametrize(
    ("at_least", "at_most", "passed"), [(10, None, True), (21, None, False), (None, 20, True), (None, 19, False)]
)
def test_an_expectation_is_about_the_mean_over_the_seeds(at_least, at_most, passed):
    check = Check("one is better", ("one fgsm",), ("two fgsm",), at_least, at_most)
    ours = Miniature("Ours", "s", {}, {}, (), (check,))
    (found,) = outcomes(ours, Figures([results(one=0.5, two=0.4), results(one=0.7, two=0.4)]))
    assert found.values == pytest.approx((10, 30))
    assert found.passed is passed


@pytest.mark.parametrize(("at_least", "but", "passed"), [(35, (), False), (30, (), True), (60, ("one",), True)])
def test_the_lowest_of_all_models_is_to_be_there_with_every_seed(at_least, but, passed):
    check = Check("all learn", lowest="fgsm", but=but, at_least=at_least)
    ours = Miniature("Ours", "s", {}, dict.fromkeys(("one", "two"), Recipe("", {})), (), (check,))
    seeds = Figures([results(one=0.9, two=0.6), results(one=0.3, two=0.7)])
    (found,) = outcomes(ours, seeds)
    assert found.values == pytest.approx((60, 70) if but else (60, 30))
    assert found.about == (("two fgsm",) if but else ("two fgsm", "one fgsm"))
    assert found.passed is passed
    assert not outcomes(ours, Figures([results(one=0.9)]))[0].passed
    text = page(ours, [], seeds, (1, 2), "")
    assert f"| the lowest fgsm of all models{' but one' * bool(but)}, with every seed |" in text
    assert "| two | fgsm | 65.0 ± 7.1 |" in text


def test_an_accuracy_under_another_suite():
    ours = Miniature("Ours", "s", {"few": 7}, {}, (), (Check("one", ("one few/fgsm",), ("one fgsm",), 1),))
    seeds = Figures([pd.concat([results(one=0.6), results(one=0.7).assign(suite="few")])])
    assert outcomes(ours, seeds)[0].values == pytest.approx((10,))
    assert "Of the suite few only the first 7 test images are attacked." in page(ours, [], seeds, (1,), "")


def test_the_page_shows_what_expectations_are_about_and_whether_they_are_met():
    better = Check("one is better", ("one fgsm",), ("two fgsm",), 1, None)
    worse = Check("one is worse", ("two fgsm",), ("one fgsm",), 1, None)
    ours = Miniature("Ours", "s", {}, {}, (), (better, worse), ("Two is odd.",))
    text = page(ours, [], Figures([results(one=0.6, two=0.5)]), (1,), "")
    assert "| one is better | one fgsm, minus two fgsm | at least 1 | 10.0 | pass |" in text
    assert "| one is worse | two fgsm, minus one fgsm | at least 1 | -10.0 | FAIL |" in text
    assert "\n\nTwo is odd.\n" in text
    assert "| one | fgsm | 60.0 |\n| two | fgsm | 50.0 |" in text


def test_an_expectation_without_every_accuracy_is_not_met():
    check = Check("one is better", ("one fgsm",), ("two fgsm",), 1, None)
    ours = Miniature("Ours", "s", {}, {}, (), (check,))
    (found,) = outcomes(ours, Figures([results(one=0.5, two=0.4), results(one=0.7)]))
    assert found.values == ()
    assert not found.passed


def test_only_what_is_whole_with_every_seed_is_a_figure():
    half = results(one=0.5).assign(status="INCOMPLETE")
    assert Figures([results(one=0.5), half]).of(Ask("robust_accuracy", "one", "s", "fgsm")) == ()


def test_the_page_has_published_beside_measured(own):
    shown = Shown("trades_table4", ("fgsm",), ("natural %",))
    check = Check("one is better", ("mini_trades1_digits fgsm",), (), 60, None)
    ours = Miniature("Ours", "s", {}, {}, (shown,), (check,))
    seeds = [results(mini_trades1_digits=share) for share in (0.5, 0.6)]
    text = page(ours, [(papers.load(shown.id), shown)], Figures(seeds), (1, 2), "It took long.")
    assert "| MNIST, 1/lambda = 1 | 94.75 | – | 55.0 ± 7.1 |" in text
    assert "| MNIST, 1/lambda = 2 | 95.45 | – | – |" in text
    assert "natural %" not in text.partition("trades_table4")[2]
    assert "| one is better | mini_trades1_digits fgsm | at least 60 | 55.0 ± 7.1 | FAIL |" in text
    assert "It took long." in text
