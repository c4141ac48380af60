"""One method's results, measured and printed."""

import pandas as pd
import pytest
from records import fill, spec

from robeval import shelf
from robeval.ledger.store import Ledger
from robeval.reports import measure, method, papers
from robeval.reports.render import csv
from robeval.values.card import ModelCard, Network, Published
from robeval.values.paper import Ask, PaperCell, PaperTable
from robeval.values.threat import ThreatModel
from robeval.zoo import cards

SMALL = Network("small_cnn")
PRINTED = Published("accuracy under PGD-20", 56.61, "its README")
CARDS = {
    "strong": ModelCard("strong", "Some network", "digits", SMALL, training={"method": "trades"}),
    "weak": ModelCard("weak", "A network like TRADES", "digits", SMALL, training={"method": "madry"}),
    "away": ModelCard("away", "TRADES, WRN", "cifar10", SMALL, published=(PRINTED,), threat=ThreatModel("linf", 0.031)),
}


def cell(value, model, **more):
    ask = Ask("robust_accuracy", model, "suite", "pgd20")
    return PaperCell("TRADES row", "robust %", value, asks={"paper": {"": ask}}, **more)


PAPER = PaperTable(
    "t", "T", "Zhang et al., Table 5", (cell("47.04", "weak"), cell("49.14", "away"), cell("", "away")), {}
)


@pytest.fixture
def found(tmp_path):
    ledger = Ledger(tmp_path)
    other = spec("pgd40", params={"steps": 40, "step_size": 0.01})
    for suite, attack, broken in (("one", spec(), 5), ("two", other, 38)):
        fill(ledger, "weak", [(attack, "1" * 30 + "0" * 10)], suite=suite)
        fill(ledger, "strong", [(attack, "1" * broken + "0" * (40 - broken))], suite=suite)
    return method.results(measure.results(ledger, ledger.plans()), CARDS, [PAPER], "trades")


def test_every_result_has_its_rank_among_all_models(found):
    ours = found[found.status == "measured"]
    assert list(zip(ours.model, ours.suite, ours["rank"], ours.of)) == [
        ("strong", "one", 1, 2),
        ("strong", "two", 2, 2),
    ]
    table = method.tables(found, "trades")[0]
    assert table.rows[1][:6] == ("strong", "digits (test)", "linf 0.1", "two", "2 of 2", "100.00")
    assert table.rows[1][8] == "not audited" and "torch 2.0" in table.rows[1][9]


def test_printed_numbers_are_marked_and_have_no_rank(found):
    printed = found[found.status == "published"]
    assert list(zip(printed.model, printed.value, printed.source)) == [
        ("away", 56.61, "its README"),
        ("away", 49.14, "Zhang et al., Table 5"),
    ]
    assert printed["rank"].isna().all()
    measured, table = method.tables(found, "trades")
    assert {row[4] for row in table.rows} == {"published"}
    assert "away" not in {row[0] for row in measured.rows}
    assert "published,away,cifar10,linf 0.031,,accuracy under PGD-20,,," in csv.render(found)


@pytest.mark.parametrize(
    ("card", "name", "said", "expected"),
    [
        (CARDS["strong"], "TRADES", "", True),
        (CARDS["weak"], "trades", "", False),  # it says how it was trained
        (CARDS["weak"], "madry", "trades", True),
        (CARDS["away"], "trades", "", True),
        (CARDS["away"], "trades", "madry", False),  # the table knows better than the title
        (None, "trades", "", False),
        (None, "trades", "trades", True),
        (None, "", "", False),
        (CARDS["away"], "", "", False),
    ],
)
def test_which_models_are_of_a_method(card, name, said, expected):
    assert method.belongs(card, name, said) is expected


TABLES = papers.catalog().values()


@pytest.mark.parametrize(
    ("name", "some", "none"),
    [
        ("trades", {"trades_wrn34", "trades_net_beta1", "yang_mnist_cnn1_trades3"}, ("madry", "zheng", "natural")),
        ("bat", {"bat_rmcla_eps8", "bat_svhn_rmcla_eps4"}, ("madry_", "natural")),
        ("madry", {"trades_madry_wrn34", "bat_madry", "yang_mnist_cnn1_at"}, ("natural", "trades1", "zheng")),
        ("gr", {"yang_mnist_cnn1_gr"}, ("_at", "llr")),
        ("llr", {"yang_mnist_cnn1_llr"}, ("_at", "_gr")),
        ("rst", {"yang_mnist_cnn1_rst2"}, ("_at", "_gr")),
        ("zheng", {"trades_zheng_wrn34"}, ("madry",)),
    ],
)
def test_the_papers_own_networks_are_of_the_method_that_trained_them(name, some, none):
    models = set(method.results(pd.DataFrame(columns=list(measure.COLUMNS)), {}, TABLES, name).model)
    assert some <= models
    assert not [model for model in models for part in none if part in model]
    assert name in method.known({}, TABLES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bat", {"bat_rmcla", "bat_rmosala", "bat_rrandla"}),
        ("R-MOSA-LA", {"bat_rmosala"}),
        ("r-rand-la", {"bat_rrandla"}),
        ("R-MC-LA", {"bat_rmcla"}),
        ("madry", {"bat_madry"}),
    ],
)
def test_released_networks_are_found_by_the_names_of_their_paper(name, expected):
    found = method.results(pd.DataFrame(columns=list(measure.COLUMNS)), cards.catalog(), TABLES, name)
    own = {model.partition("_eps")[0] for model in found.model if model in shelf.names(shelf.CARDS)}
    assert {model for model in own if model.startswith("bat_")} == expected


def test_a_number_that_stands_in_many_rows_is_there_once_as_printed():
    def clean(row):
        ask = Ask("natural_accuracy", "away", "suite", "clean")
        return PaperCell(row, "natural %", "95.3", asks={"paper": {"": ask}})

    paper = PaperTable("t", "T", "Zhang", (clean("PGD"), clean("C&W"), cell("95.3", "away"), cell("95.30", "away")), {})
    found = method.results(pd.DataFrame(columns=list(measure.COLUMNS)), CARDS, [paper], "trades")
    assert list(found.printed) == ["56.61", "95.3", "95.3", "95.30"]
    (only,) = method.tables(found, "trades")  # none is measured
    assert [row[5] for row in only.rows] == list(found.printed)


def test_a_label_of_a_papers_rows_names_its_networks_and_no_word_of_a_title_does():
    found = method.results(pd.DataFrame(columns=list(measure.COLUMNS)), cards.catalog(), TABLES, "AT")
    assert "yang_mnist_cnn1_at" in set(found.model)
    assert not [model for model in found.model if "_at" not in model]
