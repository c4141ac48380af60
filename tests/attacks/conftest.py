"""Images and networks on which independent code has to arrive at the same bits."""

import pytest
from doubles import COLOUR, ConvNet, classes, images
from torch import nn

from robeval.datasets import registry as datasets
from robeval.zoo import cards
from robeval.zoo.load import load_model


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
