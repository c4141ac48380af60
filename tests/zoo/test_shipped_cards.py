"""The cards that come with robeval: their networks, inputs, published numbers and recipes."""

from dataclasses import replace

import pytest
import torch

from robeval.datasets import registry as datasets
from robeval.train import recipe
from robeval.train.schedule import rate
from robeval.zoo import cards, listing
from robeval.zoo.archs.registry import build
from robeval.zoo.inspect import IMAGES
from robeval.zoo.model import with_input
from robeval.zoo.onnx import graph

CARDS = cards.catalog()

# Clean and AutoAttack accuracy as RobustBench's files in model_info/cifar10/Linf print them, and the parameters of the
# networks that its definitions build.
ROBUSTBENCH = {
    "carmon2019_wrn28": ("Carmon2019Unlabeled", 89.69, 59.53, 36_479_194),
    "sehwag2020_wrn28": ("Sehwag2020Hydra", 88.98, 57.14, 36_479_194),
    "wang2020_wrn28": ("Wang2020Improving", 87.50, 56.29, 36_479_194),
    "wu2020_wrn28_extra": ("Wu2020Adversarial_extra", 88.25, 60.04, 36_479_194),
    "wu2020_wrn34": ("Wu2020Adversarial", 85.36, 56.17, 46_160_474),
    "hendrycks2019_wrn28": ("Hendrycks2019Using", 87.11, 54.92, 36_479_194),
    "rice2020_wrn34": ("Rice2020Overfitting", 85.34, 53.42, 184_531_674),
    "huang2020_wrn34": ("Huang2020Self", 83.48, 53.34, 46_160_474),
    "trades_wrn34": ("TRADES", 84.92, 53.08, 46_160_474),
    "engstrom_resnet50_linf8": ("Engstrom2019Robustness", 87.03, 49.25, 23_520_842),
    "wong2020_r18": ("Wong2020Fast", 83.34, 43.21, 11_171_146),
    "sehwag2021_r18": ("Sehwag2021Proxy_R18", 84.38, 54.43, 11_173_962),
    "rade2021_r18_ddpm": ("Rade2021Helper_R18_ddpm", 86.86, 57.09, 12_548_426),
    "rade2021_r18_extra": ("Rade2021Helper_R18_extra", 89.02, 57.67, 12_548_426),
    "rebuffi2021_r18_ddpm": ("Rebuffi2021Fixing_R18_ddpm", 83.53, 56.66, 12_548_426),
    "rebuffi2021_wrn28_ddpm": ("Rebuffi2021Fixing_28_10_cutmix_ddpm", 87.33, 60.73, 36_479_194),
    "gowal2020_wrn28_extra": ("Gowal2020Uncovering_28_10_extra", 89.48, 62.76, 36_479_194),
    "gowal2020_wrn34": ("Gowal2020Uncovering_34_20", 85.64, 56.82, 184_531_674),
    "wang2023_wrn28": ("Wang2023Better_WRN-28-10", 92.44, 67.31, 36_479_194),
    "standard_wrn28": ("Standard", 94.78, 0.0, 36_479_194),
}
LEADERBOARD = "TRADES README, leaderboard"
# The radius that RobustBench states; all others have 8/255.
RADII = {"trades_wrn34": 0.031, "huang2020_wrn34": 0.031, "standard_wrn28": None}


def network(card):
    with torch.device("meta"):
        return build(card.network.arch, card.network.params, *IMAGES[card.dataset], card.where)


@pytest.mark.parametrize("name", ROBUSTBENCH)
def test_cards_of_robustbench_models(name):
    card = CARDS[name]
    title, clean, robust, parameters = ROBUSTBENCH[name]
    assert card.title.startswith(title)
    theirs = replace(card, published=tuple(each for each in card.published if each.source != LEADERBOARD))
    assert (listing.natural(card).value, listing.robust(theirs).value) == (clean, robust)
    assert sum(parameter.numel() for parameter in network(card).parameters()) == parameters
    assert (card.threat and card.threat.eps) == RADII.get(name, 8 / 255)
    assert card.checkpoint.source.startswith("https://")


# The least that the leaderboards print of the networks they were made for.
LEAST = {"trades_mnist": 92.46, "trades_wrn34": 52.92, "madry_mnist_secret": 88.0, "madry_cifar10_secret": 43.95}


@pytest.mark.parametrize("name", LEAST)
def test_the_robust_accuracy_is_the_least_of_the_leaderboard(name):
    assert listing.robust(CARDS[name]).value == LEAST[name]


@pytest.mark.parametrize("name", CARDS)
def test_every_card_can_be_used(name):
    card = CARDS[name]
    shape, classes = IMAGES[card.dataset]
    if card.network.arch != graph.ARCH:  # there the file is the network
        with torch.device("meta"):
            model = with_input(network(card), card.input, shape[0], card.where).eval()
            assert model(torch.rand(2, *shape)).shape == (2, classes)
    for each in card.published:
        kinds = (
            "natural accuracy",
            "accuracy under ",
            "certified accuracy",
            "share of the correctly classified left by ",
        )
        assert each.metric.startswith(kinds)
        assert 0 <= each.value <= 100
        assert each.source
    assert card.checkpoint or card.training


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.training])
def test_every_recipe_can_be_read(name):
    card = CARDS[name]
    sizes = {"cifar10": 50_000, "mnist": 60_000, "mnist_1_3": 12_873}
    count = sizes.get(card.dataset) or len(datasets.load(card.dataset, "train"))
    found = recipe.read(card, count)
    if card.threat is not None:
        assert found.threat == card.threat


def test_trades_with_beta_1_is_the_recipe_of_the_released_script():
    settings = recipe.read(CARDS["trades_wrn34_beta1"], 50_000).settings
    assert (settings.pad, settings.flip) == (4, "image")
    assert [rate(settings, done) for done in (0, 73, 74, 75)] == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_the_sizes_of_images_are_those_of_the_data_sets():
    catalog = datasets.catalog()
    assert {name: classes for name, (_, classes) in IMAGES.items()} == {
        name: catalog[name].num_classes for name in IMAGES
    }
    assert datasets.load("digits", "test").shape == IMAGES["digits"][0]
