"""The models of the papers' tables can be trained."""

import re
from dataclasses import asdict, astuple
from functools import cache

import pytest
import torch
from published import PAPERS, expected
from published.keys import UnexpectedError

from robeval import shelf
from robeval.datasets import registry as datasets
from robeval.reports import papers
from robeval.train.recipe import read
from robeval.values.paper import STAND_IN
from robeval.values.threat import parse_number
from robeval.zoo import recipes
from robeval.zoo.archs.registry import build

# Not by these papers, or by settings of which nothing is known.
OTHERS = {"wong_kolter_cifar10", *(f"avc2018_rank{rank}" for rank in range(1, 7))}
SHAPES = {
    **dict.fromkeys(("mnist", "mnist_1_3", "mnist_5_7"), (1, 28, 28)),
    **dict.fromkeys(("cifar10", "svhn"), (3, 32, 32)),
    "restricted_imagenet_64": (3, 64, 64),
    **dict.fromkeys(("restricted_imagenet", "imagenet"), (3, 224, 224)),
}


def asked():
    """Every printed number, and where it would be found of the paper's own networks."""
    for table in papers.catalog().values():
        for cell in table.cells:
            asks = cell.asks.get("paper", {}).items()
            yield from ((cell, ask) for reading, ask in asks if reading != STAND_IN)


def named():
    """Every model that a table names, and the method that the row says, if it says one."""
    found = {}
    for cell, ask in asked():
        names = (ask.model, ask.finding.get("model", ""))
        found.update({name: found.get(name, "") or cell.method for name in names if name})
        if ask.source:
            found.setdefault(ask.source, "")
    return {name: method for name, method in found.items() if name not in OTHERS}


NAMED = named()
CATALOG = recipes.catalog()
CARDS = [name for name in shelf.names(shelf.CARDS) if name.split("_")[0] in PAPERS and not name.endswith("_digits")]


@cache
def weights(arch, params, shape, classes):
    """How many, without memory for them."""
    with torch.device("meta"):
        return sum(each.numel() for each in build(arch, dict(params), shape, classes, arch).parameters())


def card_of(name):
    return CATALOG[name].card if name in CATALOG else recipes.load(name).card


def test_there_are_many():
    assert len(NAMED) > 120
    assert {"trades_net_beta5", "bat_imagenet_resnet152", "yang_svhn_wrn4010_at", "trades_wrn34"} <= set(NAMED)


@pytest.mark.parametrize("name", [*NAMED, *(name for name in CATALOG if name not in NAMED)])
def test_each_has_a_recipe_that_can_be_used(name):
    card = card_of(name)
    entry = datasets.find(card.dataset, name)
    recipe = read(card, entry.sizes["train"] or 100_000)
    assert NAMED.get(name) in ("", None, recipe.method.name)
    assert weights(card.network.arch, tuple(card.network.params.items()), SHAPES[card.dataset], entry.num_classes)
    if recipe.method.adversarial:
        assert card.threat == recipe.threat
        far = recipe.params.get("step_size", 0) * recipe.params.get("steps", 1)
        assert recipe.threat.eps <= far * (1 + 1e-6) <= 2.6 * recipe.threat.eps


def said(name):
    """What the recipe of that name says, in the form of `expected`."""
    card = card_of(name)
    recipe = read(card, 100_000)
    ball = {"norm": card.threat.norm, "eps": card.threat.eps} if card.threat else {}
    return {
        "paper": card.paper,
        "dataset": card.dataset,
        "network": {"arch": card.network.arch, **card.network.params},
        "input": astuple(card.input),
        "method": recipe.method.name,
        "params": dict(recipe.params),
        **ball,
        "loop": asdict(recipe.settings),
    }


def flat(keys):
    """One number, word or truth value for each key, those of sections and lists with the names of both."""
    found = {}
    for key, value in keys.items():
        inner = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, tuple) else None
        found |= {key: value} if inner is None else {f"{key}.{name}": each for name, each in flat(inner).items()}
    return found


@pytest.mark.parametrize("name", [*CATALOG, *CARDS])
def test_each_recipe_is_the_published_one(name):
    wanted, found = flat(expected(name)), flat(said(name))
    assert {key: value for key, value in found.items() if key.endswith("step_size")} == pytest.approx(
        {key: value for key, value in wanted.items() if key.endswith("step_size")}, rel=1e-5
    )
    assert {**found, "params.step_size": 0} == {**wanted, "params.step_size": 0}


@pytest.mark.parametrize("name", ["trades_net_beta6", "bat_rxx", "yang_svhn_wrn4010_rst3_2", "tsipras_mnist", "other"])
def test_a_recipe_that_nobody_expects_is_found(name):
    with pytest.raises(UnexpectedError, match="write one"):
        expected(name)


ROW_SAYS = [
    (r"lambda = (\d)$", lambda card: card.training.get("divisor", card.training.get("beta"))),
    (r"RST\(([0-9.]+)\)", lambda card: card.training["weight"]),
    (r"TRADES\(([0-9.]+)\)", lambda card: card.training["beta"]),
    (r"eps_y=([0-9.]+)", lambda card: card.training["eps_y"]),
    (r"beta=([0-9.]+)", lambda card: card.training["beta"]),
    (r"trained with radius (\d)", lambda card: card.threat.eps * 255),
    (r"(?:l-inf|l2) (\d+/255|[0-9.]+), (?:robust|half-half)", lambda card: card.threat.eps),
    (r"ResNet-(\d+)$", lambda card: card.network.params["depth"]),
]


@pytest.mark.parametrize("number", range(len(ROW_SAYS)))
def test_the_number_of_a_printed_row_is_that_of_its_model(number):
    pattern, value = ROW_SAYS[number]
    rows = {(cell.row, ask.model) for cell, ask in asked() if ask.model in NAMED}
    told = [(parse_number(match[1]), model) for row, model in rows if (match := re.search(pattern, row))]
    assert told
    for printed, model in told:
        assert value(card_of(model)) == pytest.approx(printed), model


@pytest.mark.parametrize(("dataset", "batches"), [("cifar10", 40_000), ("cifar10", 60_000)])
def test_the_rate_of_the_challenge_falls_after_so_many_batches(dataset, batches):
    starts = card_of(f"madry_{dataset}_secret").training["decay_epochs"]
    batches_each = -(-50_000 // 128)
    assert min(abs((start - 1) * batches_each - batches) for start in starts) < 30


OPEN = {  # what is said to be ours, and of which recipes
    "the loop of this network is not published": r"trades_(natural|madry|kurakin|zheng|ross)_(wrn34|mnist)",
    "the settings of this method are not published": r"trades_(madry|kurakin|zheng|ross)_(wrn34|mnist)",
    "not published; ours: the rate stays as it is": r"trades_net_.*",
    "how many epochs it was trained for is not published": r"bat_(natural|madry_2x8|svhn_madry)",
    "this one differs from the first by its seed": r"bat_rmcla_eps8_second",
    "batch size, weight decay and augmentation are not published": r"bat_imagenet_.*",
    "the loop and the steps of the attack are not published": r"tsipras_(mnist|cifar10)_.*",
    "300 batches of 256; the rest and the steps of the attack are not published": r"tsipras_restricted_imagenet_.*",
}


@pytest.mark.parametrize("name", CATALOG)
def test_what_no_paper_says_is_noted(name):
    notes = CATALOG[name].notes
    wanted = [said for said, names in OPEN.items() if re.fullmatch(names, name)]
    assert len(notes) == len(wanted)
    assert all(any(said in note for note in notes) for said in wanted)
