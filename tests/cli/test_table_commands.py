"""Every command that a table prints can be given as it stands."""

import re
import shlex
from pathlib import Path

import click
import pytest

from robeval import shelf
from robeval.cli import keywords
from robeval.cli.main import group
from robeval.cli.table_missing import Missing
from robeval.cli.table_models import Models
from robeval.cli.table_options import Options
from robeval.datasets import registry as datasets
from robeval.measures import registry as measures
from robeval.reports import papers
from robeval.values.paper import SCALES
from robeval.zoo import recipes

TABLES = papers.catalog()
PRINTED = re.compile(r"`robeval ([^`]+)`")
SHELVES = {"model": shelf.CARDS, "models": shelf.CARDS, "suite": shelf.SUITES, "table": papers.PAPERS}


def said(table):
    """The commands that a table prints where its numbers are missing, and those in its texts."""
    found = []
    for scale in SCALES:
        missing = Missing(table, Options(scale, False, Path("runs"), seed=3))
        found += [missing.command(ask).removeprefix("robeval ") for ask in table.asks(scale)]
    texts = [text for cell in table.cells for text in (*cell.notes, cell.needs)]
    return dict.fromkeys(found + PRINTED.findall("\n".join([*texts, *table.notes])))


def parsed(words):
    """The command that the words call, and what they give to it, by click's own parser."""
    rest = ["train", "model", *words[1:]] if words[0] == "train" else list(words)
    command, context = group, click.Context(group)
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, rest)
        context = click.Context(command, context, name)
    return name, command.make_context(name, rest, parent=context).params


def check(words):
    """Options are those of the command, and names are of what there is."""
    name, given = parsed(words)
    for key, kind in SHELVES.items():
        names = given.get(key) or ()
        for each in (names,) if isinstance(names, str) else names:
            assert shelf.find(kind, each, key)
    if words[0] == "train":
        assert recipes.load(given["words"][0])
    elif given.get("dataset"):
        assert given["split"] in datasets.find(given["dataset"], "dataset").splits
    if words[0] == "measure":
        entry = measures.find(name)
        params, _ = keywords.split(given, entry.function)
        measures.resolved(entry, params)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_its_names_and_options_are_known(name):
    for line in said(TABLES[name]):
        check(shlex.split(line))


def test_a_command_that_nobody_knows_is_noticed():
    for line in (
        "measure gradients --model nobody",
        "show gradients --modle x",
        "table trades_table9",
        "measure nothing",
    ):
        with pytest.raises(Exception, match=r"nobody|modle|trades_table9|nothing"):
            check(shlex.split(line))


@pytest.mark.parametrize("name", ["tsipras_figure2", "tsipras_figure3", "tsipras_figure4"])
def test_pictures_that_stand_for_a_figure_are_drawn(robeval, tmp_path, name):
    (line,) = [line for line in said(TABLES[name]) if line.startswith("show")]
    found = robeval(*shlex.split(line), "--sample", "0:1", "--out", tmp_path, "--device", "cpu")
    assert found.code == 0, found.err


def test_the_networks_of_trades_table_3_are_for_the_user_to_train(tmp_path):
    """No weights were released; real MNIST, the paper's four divisors."""
    table = TABLES["trades_table3"]
    models = Models(table, tmp_path)
    names = list(dict.fromkeys(ask.model for ask in table.asks("paper")))
    cards = [models.card(name) for name in names]
    assert [(card.dataset, card.network.arch, card.training["divisor"]) for card in cards] == [
        ("mnist_1_3", "net", divisor) for divisor in (2.0, 3.0, 4.0, 5.0)
    ]
    assert all(map(models.is_large, names))
    for name in names:
        check(shlex.split(models.command(name).removeprefix("robeval ")))
