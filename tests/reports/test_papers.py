"""The published tables: no cell is there twice, every name leads somewhere, wrong files are refused."""

from collections import Counter
from functools import cache
from inspect import signature

import pytest

from robeval import shelf
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.reports import papers
from robeval.suites import load as suites
from robeval.train import recipe, registry
from robeval.values.paper import PaperCell
from robeval.zoo import cards

NUMBERED = {"trades": range(1, 8), "bat": range(1, 10), "tsipras": range(1, 6), "yang": range(1, 5)}
OTHERS = {
    "trades_figure3", "trades_text", "bat_figure1", "bat_text", "tsipras_figure2", "tsipras_figure3",
    "tsipras_figure4", "tsipras_figure5", "tsipras_theorem2_1", "tsipras_theorem2_2", "yang_theorem4_2",
    "yang_theorem4_4", "yang_figure4",
}  # fmt: skip
TABLES = papers.catalog()


def test_every_table_of_the_four_papers_is_there():
    assert set(TABLES) == {f"{paper}_table{n}" for paper, numbers in NUMBERED.items() for n in numbers} | OTHERS


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.id)
def test_no_cell_is_there_twice(table):
    places = Counter((cell.row, cell.column) for cell in table.cells)
    assert max(places.values()) == 1


suite_called = cache(suites.load)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.id)
@pytest.mark.parametrize("scale", ["paper", "digits"])
def test_every_suite_and_attack_that_is_asked_for_exists(table, scale):
    for ask in table.asks(scale):
        if name := ask.suite or ask.finding.get("suite", ""):
            suite = suite_called(name)
            assert ask.finding or ask.attack in [chain.id for chain in suite.chains], ask
            dataset = suite.dataset
        else:
            dataset = ask.finding.get("dataset", "")
        if not dataset:
            continue
        assert dataset in datasets.catalog()
        assert dataset.startswith("digits") == (scale == "digits"), ask


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.id)
def test_every_model_of_the_miniature_is_on_the_shelf_or_can_be_trained(table):
    known = shelf.names(shelf.CARDS)
    asked = {name for ask in table.asks("digits") for name in (ask.model, ask.source) if name}
    for name in asked:
        assert name in known or name in table.recipes, name
    for name, each in table.recipes.items():
        like = cards.load(each.like)
        assert like.dataset.startswith("digits") or name not in asked, name
        training = dict(like.training) | dict(each.training)
        if can_be_read(training):
            recipe.read(cards.ModelCard(name, name, like.dataset, like.network, training=training), 1195)


def can_be_read(training):
    """Whether the method is there, with half-half training: without, the row says so and is left out."""
    method = registry.catalog().get(training["method"])
    return method and ("clean_share" not in training or "clean_share" in signature(method.function).parameters)


def test_a_name_stands_for_one_recipe_in_all_tables():
    known = {}
    for table in TABLES.values():
        for name, each in table.recipes.items():
            assert known.setdefault(name, each) == each, name


def test_table_5_of_trades_has_both_readings_beside_each_other():
    cells = {cell.row: cell for cell in TABLES["trades_table5"].cells if cell.column == "robust %"}
    deepfool = cells["line 14, TRADES, 1/lambda = 6, DeepFool, l-inf"].asks["paper"]
    assert {name: (ask.suite, ask.attack) for name, ask in deepfool.items()} == {
        "sound": ("cifar10_linf", "trades_deepfool"),
        "2019": ("trades_table5_2019", "deepfool"),
    }
    mnist = cells["line 24, TRADES, 1/lambda = 6, MNIST, C&W (l2 0.005)"].asks["paper"]
    assert {name: ask.suite for name, ask in mnist.items()} == {"2019": "trades_2019_mnist"}


def test_a_printed_number_says_how_precise_it_is():
    half = {"99.48": 0.005, "0": 0.5, "7.4e3": 50, "2.6e-26": 5e-28, "4/255": 0, "0.0006728": 5e-8}
    for text, expected in half.items():
        assert PaperCell("", "", text).half_unit == pytest.approx(expected), text
    assert PaperCell("", "", "4/255").number == 4 / 255
    assert PaperCell("", "", "").number is PaperCell("", "", "max(1-a,0)").number is None


# ── the files ──

GOOD = """
title = "A table"
cite = "Somebody, Table 1"
suite = "s_{data}"
data = "big"
metric = "robust_accuracy"
tolerance = 0.5

[note]
why = "because"

[[column]]
id = "a"
title = "A %"
attack = "pgd"

[[column]]
id = "b"
attack = "clean"
metric = "natural_accuracy"
tolerance = 0.1

[[row]]
label = "one"
model = "m"
attack = "fgsm"
digits = { model = "mini", suite = "d" }
values = { a = { value = "1.5", notes = ["why"], suite = "own" }, b = "2.50" }

[[row]]
label = "two"
quoted = "others"
values = { a = "3" }
"""


def written(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return str(path)


def test_the_narrower_place_counts(tmp_path):
    table = papers.load(written(tmp_path, GOOD))
    one, two, three = table.cells
    assert (one.row, one.column, one.published, one.notes, one.tolerance) == ("one", "A %", "1.5", ("because",), 0.5)
    assert (two.column, two.tolerance, three.quoted) == ("b", 0.1, "others")
    ask, other = one.asks["paper"][""], two.asks["paper"][""]
    assert (ask.model, ask.suite, ask.attack, ask.metric) == ("m", "own", "pgd", "robust_accuracy")
    assert (other.suite, other.attack, other.metric) == ("s_big", "clean", "natural_accuracy")
    small = two.asks["digits"][""]
    assert (small.model, small.suite, small.attack) == ("mini", "d", "clean")
    assert three.asks == {}


def test_without_a_model_of_its_own_a_row_has_no_miniature(tmp_path):
    table = papers.load(written(tmp_path, GOOD.replace('digits = { model = "mini", suite = "d" }', "")))
    assert all("digits" not in cell.asks for cell in table.cells)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "A table"\n', "", "'title' is missing"),
        ("tolerance = 0.5", 'tolerance = "much"', "'tolerance' is 'much', expected a number"),
        ('suite = "s_{data}"', 'siute = "s"', "takes no 'siute'"),
        ('b = "2.50"', 'c = "2.50"', "'values' has a column 'c'"),
        ('b = "2.50"', "b = 2.5", "it is 2.5, expected a text"),
        ('["why"]', '["whyy"]', "there is no note 'whyy'"),
        ('"mini",', '"mini", tired = 1,', "takes no 'tired'"),
        ('id = "b"', "", "'id' is missing"),
        ('quoted = "others"', 'reading = { old = { suite = "x" } }', "unknown reading 'old'"),
        ("[note]", '[trained.mini]\nlike = "x"\n[note]', "'training' is missing"),
    ],
)
def test_wrong_files_are_refused(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(UserError, match=r"own\.toml") as refused:
        papers.load(written(tmp_path, GOOD.replace(old, new, 1)))
    assert said in str(refused.value)


def test_the_nearest_name_is_offered():
    with pytest.raises(UserError, match="Did you mean 'trades_table5'"):
        papers.load("trades_tabel5")
