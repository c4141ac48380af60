"""Released files of weights get the accuracy that is known of them, on the whole test set."""

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from robeval.datasets import registry as datasets
from robeval.zoo import cards
from robeval.zoo.load import load_model

# Measured with independent code on all 10,000 test images. TRADES' network is in tests/run/test_paper_results.py.
KNOWN = {
    "akamaster_resnet20": ("akamaster_cifar10_resnet20.th", 9173),
    "advertorch_lenet5_adv": ("advertorch_mnist_lenet5_advtrained.pt", 9864),
    "advertorch_lenet5_clean": ("advertorch_mnist_lenet5_clntrained.pt", 9889),
    "wong_kolter_mnist": ("wong_kolter_mnist_linf0.1.pth", 9820),
    "attackbox_mnist": ("attackbox_mnist_cw_dataparallel.pt", 9949),
    "abcrown_resnet2b": ("abcrown_cifar10_resnet2b_adv.pth", 6925),
    "oval_base": ("oval_cifar10_base_kw.pth", 5853),
    "autoattack_keras_mnist": ("autoattack_mnist_keras.weight.h5", 9774),
    "colt_mnist": ("colt_mnist_linf0.1.onnx", 9916),
}
NEEDS = {"autoattack_keras_mnist": "h5py", "colt_mnist": "onnx"}


def released(name, file, real_data):
    """The model of a card with a released file, and the test images."""
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"needs {NEEDS[name]}")
    card = cards.load(name)
    samples = datasets.load(card.dataset, "test", (real_data,))
    return load_model(card, samples.shape, samples.num_classes, real_data / "checkpoints" / file), samples


@pytest.mark.parametrize("name", KNOWN)
def test_natural_accuracy_on_all_images(name, real_data):
    file, correct = KNOWN[name]
    model, samples = released(name, file, real_data)
    found = 0
    for start in range(0, len(samples), 500):
        x, y = samples.slice(start, start + 500)
        with torch.no_grad():
            found += int((model.module(x).argmax(dim=1) == y).sum())
    assert abs(found - correct) <= 2


# Steps, step size and eps of PGD without random start; what its publisher says is left of what was correct, in %; and
# on how many images that is tried: as many as a second or two suffices for.
PUBLISHED = {
    "advertorch_lenet5_adv": (40, 0.01, 0.3, 93.2, 200),
    "advertorch_lenet5_clean": (40, 0.01, 0.3, 0.0, 60),
    "wong_kolter_mnist": (40, 0.01, 0.1, 100 * 95.9 / 98.2, 1000),  # the attack's numbers are not stated
    "oval_base": (20, 0.5 / 255, 2 / 255, None, 1000),  # nobody attacked it in public, but see below
    "abcrown_resnet2b": (20, 0.5 / 255, 2 / 255, 100 * 54.82 / 69.25, 1000),  # nor here
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_pgd_leaves_as_much_as_published(name, real_data):
    steps, step, eps, percent, count = PUBLISHED[name]
    model, samples = released(name, KNOWN[name][0], real_data)
    found, tried = left(model, *samples.slice(0, count), steps, step, eps)
    if percent is not None:
        share = percent / 100
        assert abs(found - share) <= 3.5 * (share * (1 - share) / tried) ** 0.5 + 0.5 / tried
    for number in cards.load(name).published:
        if number.metric.startswith("certified accuracy"):  # what is proved, no attack can break
            assert number.value <= 100 * found * tried / count < 100 * tried / count


def left(model, x, y, steps, step, eps):
    """The share of what was correct that PGD without random start leaves correct, and how many images that were."""
    with torch.no_grad():
        right = model.module(x).argmax(dim=1) == y
    x, y = x[right], y[right]
    adv = x
    for _ in range(steps):
        adv = adv.detach().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(model.module(adv), y), adv)
        adv = (adv.detach() + step * slope.sign()).clamp(x - eps, x + eps).clamp(0, 1)
    with torch.no_grad():
        return (model.module(adv).argmax(dim=1) == y).double().mean().item(), len(y)


def test_the_svhn_network_of_wong_and_kolter_runs(real_data):
    """There is no SVHN here to measure it on."""
    path = real_data / "checkpoints" / "wong_kolter_svhn_linf0.01.pth"
    model = load_model(cards.load("wong_kolter_svhn"), (3, 32, 32), 10, path)
    logits = model.module(torch.rand(4, 3, 32, 32))
    assert logits.shape == (4, 10)
    assert logits.isfinite().all()
    assert len(set(logits[:, 0].tolist())) == 4


def test_the_example_of_the_autoattack_package(real_data):
    path = Path(str(files("pyautoattack"))) / "examples" / "model_test.pt"
    samples = datasets.load("cifar10", "test", (real_data,))
    model = load_model(cards.load("autoattack_resnet18"), samples.shape, 10, path)
    x, y = samples.slice(0, 100)
    with torch.no_grad():
        assert (model.module(x).argmax(dim=1) == y).float().mean() > 0.85
