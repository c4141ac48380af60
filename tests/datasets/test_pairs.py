"""Two classes of a data set as a data set of its own."""

import numpy as np
import pytest
import torch

from robeval.datasets import registry
from robeval.errors import UserError
from robeval.train.loop import train
from robeval.values.card import ModelCard, Network
from robeval.zoo import cards
from robeval.zoo.load import load_model

PAIRS = [("digits", 1, 3), ("digits", 5, 7), ("mnist", 1, 3), ("mnist", 5, 7)]
CPU = torch.device("cpu")


def check(name, first, second, split, roots=()):
    whole, part = registry.load(name, split, roots), registry.load(f"{name}_{first}_{second}", split, roots)
    assert part.num_classes == 2
    assert len(part) == registry.catalog()[part.dataset].sizes[split]
    wanted = [place for place, label in enumerate(whole.y.tolist()) if label in (first, second)]
    assert np.array_equal(part.x, np.stack([whole.x[place] for place in wanted]))
    assert part.y.tolist() == [[first, second].index(whole.y[place]) for place in wanted]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(("first", "second"), [(1, 3), (5, 7)])
def test_they_are_the_images_of_two_classes_in_their_order(first, second, split):
    check("digits", first, second, split)


@pytest.mark.parametrize(("first", "second"), [(1, 3), (5, 7)])
def test_of_mnist_too(real_data, first, second):
    check("mnist", first, second, "test", (real_data,))


@pytest.mark.parametrize(("name", "first", "second"), PAIRS)
def test_the_catalog_says_what_they_are_and_where_their_files_are_from(name, first, second):
    entry = registry.catalog()[f"{name}_{first}_{second}"]
    assert name in entry.summary.lower()
    assert entry.downloads == registry.catalog()[name].downloads


def test_what_is_missing_is_that_of_the_whole(tmp_path):
    with pytest.raises(UserError, match="train-images-idx3-ubyte"):
        registry.load("mnist_1_3", "train", (tmp_path,))


@pytest.mark.parametrize(
    ("method", "arch", "own"),
    [("linear_exact", "linear", {}), ("trades_binary", "small_cnn", {"steps": 2, "step_size": 0.05})],
)
def test_methods_of_two_classes_learn_them(tmp_path, method, arch, own):
    network = Network(arch, {"outputs": 1} if arch == "linear" else {"width": 4, "hidden": 16, "padding": 1})
    settings = {"norm": "linf", "eps": "1/16", "epochs": 6, "batch_size": 60, "optimiser": "adam"}
    recipe = {"method": method, "learning_rate": 0.01, "threads": 1, **settings, **own}
    card = ModelCard("two", "Two", "digits_5_7", network, training=recipe)
    path = train(card, registry.load("digits_5_7", "train"), tmp_path, CPU, lambda epoch: None)
    test = registry.load("digits_5_7", "test")
    x, y = test.slice(0, len(test))
    net = load_model(cards.load(str(path)), test.shape, 2).module
    assert (net(x).argmax(dim=1) == y).float().mean() > 0.9
