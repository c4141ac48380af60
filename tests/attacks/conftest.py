"""Images and networks on which independent code has to arrive at the same bits."""

from pathlib import Path

import pytest
from doubles import COLOUR, ConvNet, classes, images
from torch import nn

from robeval.datasets import registry as datasets
from robeval.values.threat import ThreatModel
from robeval.zoo import cards
from robeval.zoo.load import load_model

# Cards of networks that others have trained: the file, how many images, and a radius at which some of them fall.
RELEASED = {
    "advertorch_lenet5_adv": ("advertorch_mnist_lenet5_advtrained.pt", 16, 104 / 256),
    "advertorch_lenet5_clean": ("advertorch_mnist_lenet5_clntrained.pt", 8, 32 / 256),
    "wong_kolter_mnist": ("wong_kolter_mnist_linf0.1.pth", 16, 48 / 256),
    "abcrown_resnet2b": ("abcrown_cifar10_resnet2b_adv.pth", 16, 5 / 256),
    "oval_base": ("oval_cifar10_base_kw.pth", 16, 8 / 256),
    "akamaster_resnet20": ("akamaster_cifar10_resnet20.th", 8, 1 / 512),
    "autoattack_resnet18": ("model_test.pt", 2, 3 / 512),
}


@pytest.fixture
def exact():
    """A network, 32 images of multiples of 1/256, and labels.

    With radius and step of that kind as well, every iterate of an l-inf attack is such an image: float32 holds it
    without rounding, so there is one right answer whatever the order of additions.
    """
    model, x = ConvNet(COLOUR, kind=nn.Tanh), (images(32, COLOUR) * 256).round() / 256
    return model, x, classes(model, x)


@pytest.fixture(scope="session")
def trades(real_data):
    """The released TRADES network for MNIST and the first 64 test images."""
    samples = datasets.load("mnist", "test", (real_data,))
    path = real_data / "checkpoints" / "trades_mnist_smallcnn.pt"
    model = load_model(cards.load("trades_mnist"), samples.shape, samples.num_classes, path).module
    return model, *samples.slice(0, 64)


@pytest.fixture(scope="session")
def trades_exact(trades):
    """The same with grey levels in 256ths, so that iterates are not rounded."""
    model, x, y = trades
    return model, (x * 255).round() / 256, y


@pytest.fixture(scope="session", params=RELEASED)
def released(request, real_data):
    """A released network, the first test images that it gets right, their labels and a threat model.

    Grey levels are in 256ths and the radius is a multiple of 1/512, so that sign steps are not rounded.
    """
    file, n, eps = RELEASED[request.param]
    card = cards.load(request.param)
    samples = datasets.load(card.dataset, "test", (real_data,))
    folder = real_data / "checkpoints"
    if request.param == "autoattack_resnet18":
        folder = Path(pytest.importorskip("pyautoattack").__file__).parent / "examples"
    model = load_model(card, samples.shape, samples.num_classes, folder / file).module
    x, y = samples.slice(0, n)
    x = (x * 255).round() / 256
    right = classes(model, x) == y
    return model, x[right], y[right], ThreatModel("linf", eps)
