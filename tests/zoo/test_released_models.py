"""Released files of weights get the accuracy that is known of them, on the whole test set."""

from importlib.resources import files
from pathlib import Path

import pytest
import torch

from robeval.datasets import registry as datasets
from robeval.zoo import cards
from robeval.zoo.load import load_model

# Measured with independent code on all 10,000 test images.
KNOWN = {
    "advertorch_lenet5_adv": ("advertorch_mnist_lenet5_advtrained.pt", 9864),
    "advertorch_lenet5_clean": ("advertorch_mnist_lenet5_clntrained.pt", 9889),
    "wong_kolter_mnist": ("wong_kolter_mnist_linf0.1.pth", 9820),
    "attackbox_mnist": ("attackbox_mnist_cw_dataparallel.pt", 9949),
    "abcrown_resnet2b": ("abcrown_cifar10_resnet2b_adv.pth", 6925),
    "oval_base": ("oval_cifar10_base_kw.pth", 5853),
}


@pytest.mark.parametrize("name", KNOWN)
def test_natural_accuracy_on_all_images(name, real_data):
    file, correct = KNOWN[name]
    card = cards.load(name)
    samples = datasets.load(card.dataset, "test", (real_data,))
    model = load_model(card, samples.shape, samples.num_classes, real_data / "checkpoints" / file)
    found = 0
    for start in range(0, len(samples), 500):
        x, y = samples.slice(start, start + 500)
        with torch.no_grad():
            found += int((model.module(x).argmax(dim=1) == y).sum())
    assert abs(found - correct) <= 2


def test_resnet20_is_as_accurate_as_its_authors_say(real_data):
    samples = datasets.load("cifar10", "test", (real_data,))
    path = real_data / "checkpoints" / "akamaster_cifar10_resnet20.th"
    model = load_model(cards.load("akamaster_resnet20"), samples.shape, 10, path)
    x, y = samples.slice(0, 500)
    with torch.no_grad():
        found = (model.module(x).argmax(dim=1) == y).float().mean().item()
    assert abs(found - 0.9173) < 4 * (0.9173 * 0.0827 / 500) ** 0.5


def test_the_example_of_the_autoattack_package(real_data):
    path = Path(str(files("pyautoattack"))) / "examples" / "model_test.pt"
    samples = datasets.load("cifar10", "test", (real_data,))
    model = load_model(cards.load("autoattack_resnet18"), samples.shape, 10, path)
    x, y = samples.slice(0, 100)
    with torch.no_grad():
        assert (model.module(x).argmax(dim=1) == y).float().mean() > 0.85
