"""The models of the papers' tables can be trained."""

from functools import cache

import pytest
import torch

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
    "imagenet": (3, 224, 224),
}


def named():
    """Every model that a table names, and the method that the row says, if it says one."""
    found = {}
    for table in papers.catalog().values():
        for cell in table.cells:
            for reading, ask in cell.asks.get("paper", {}).items():
                names = () if reading == STAND_IN else (ask.model, ask.finding.get("model", ""))
                found.update({name: found.get(name, "") or cell.method for name in names if name})
                if ask.source and reading != STAND_IN:
                    found.setdefault(ask.source, "")
    return {name: method for name, method in found.items() if name not in OTHERS}


NAMED = named()
CATALOG = recipes.catalog()


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trades_mnist", {"beta": 6, "steps": 40, "step_size": 0.01, "eps": 0.3, "epochs": 100}),
        ("trades_resnet18_beta3", {"beta": 3, "eps": 0.031, "epochs": 100, "decay_epochs": [75, 90, 100]}),
        ("trades_net_beta5", {"beta": 5, "eps": 0.1, "steps": 20, "epochs": 50}),
        ("bat_rmcla_eps8", {"target": "most_confusing", "beta": 9, "epochs": 201, "flip": "batch", "pad_with": "grey"}),
        ("bat_fgsm", {"target": "none", "random_start": False, "labels": "true", "epochs": 101}),
        ("bat_madryla_long", {"labels": "adversarial", "steps": 7, "step_size": "2/255", "epochs": 201}),
        ("bat_svhn_rmcla_eps4", {"learning_rate": 0.01, "eps": "4/255", "step_size": "4/255"}),
        ("bat_imagenet_resnet101", {"beta": 100, "steps": 2, "step_size": "8/255", "eps": "16/255"}),
        ("yang_svhn_wrn4010_at", {"learning_rate": 1e-3, "epochs": 60, "reduction": "sum"}),
        ("yang_cifar10_wrn4010_rst2_dropout", {"learning_rate": 1e-3, "weight": 2, "step_size": 0.0062}),
        ("yang_cifar10_wrn4010_at", {"learning_rate": 1e-2, "epochs": 120}),
        ("yang_restricted_imagenet_resnet50_llr", {"weight": 3, "mu": 6, "optimiser": "adam", "step_size": 0.0025}),
        ("tsipras_cifar10_halfhalf_l2_3", {"norm": "l2", "eps": "320/255", "clean_share": 0.5}),
        ("madry_cifar10_secret", {"steps": 7, "decay_on": "kernels", "pad": 2, "epochs": 205}),
        ("madry_mnist_natural", {"reduction": "sum", "optimiser": "adam", "batch_size": 50}),
    ],
)
def test_settings_are_the_published_ones(name, expected):
    training = card_of(name).training
    assert {key: training.get(key) for key in expected} == expected


@pytest.mark.parametrize(("dataset", "batches"), [("cifar10", 40_000), ("cifar10", 60_000)])
def test_the_rate_of_the_challenge_falls_after_so_many_batches(dataset, batches):
    starts = card_of(f"madry_{dataset}_secret").training["decay_epochs"]
    batches_each = -(-50_000 // 128)
    assert min(abs((start - 1) * batches_each - batches) for start in starts) < 30


def test_what_no_paper_says_is_noted():
    assert "not published" in " ".join(CATALOG["trades_ross_wrn34"].notes)
    assert CATALOG["trades_resnet18_beta1"].notes == ()


def test_steps_of_tsipras_are_of_the_radius():
    for name, card in ((name, card_of(name)) for name in NAMED if name.startswith("tsipras_mnist_robust")):
        eps, step = (parse_number(card.training[key]) for key in ("eps", "step_size"))
        assert step == pytest.approx(eps / 30 if "linf" in name else 2.5 * eps / 7, rel=1e-4)
