"""TensorFlow checkpoints: the logits of TensorFlow's own graph, and the names and shapes of released ones."""

import bundle
import pytest
import torch
from tensorflows import CIFAR, MNIST, NARROW, PER_IMAGE, TWICE, distance, narrow
from torch import nn

from robeval.errors import UserError
from robeval.values.card import Input
from robeval.zoo import cards, checkpoints
from robeval.zoo.archs import registry
from robeval.zoo.formats import tensorflow_saved
from robeval.zoo.inspect import inspect
from robeval.zoo.layouts import fit, misfits
from robeval.zoo.load import load_model
from robeval.zoo.save import convert

# The same logits as TensorFlow


def test_logits_of_the_mnist_network(saved):
    model = load_model(cards.load("madry_mnist_adv_trained"), MNIST, 10, saved["madry_mnist"])
    assert distance(model, "madry_mnist.npz", "logits") < 1e-5
    assert model.notes[0].startswith("dropped 17 tensors of the optimiser: Variable/Adam")
    assert "names no sha256" in model.notes[1]


@pytest.mark.parametrize(("wanted", "key"), [(PER_IMAGE, "standardised"), (TWICE, "scaled")])
def test_logits_of_the_resnet_as_madry_and_as_bat_feed_it(saved, wanted, key):
    model = narrow(saved["madry_cifar10"], wanted)
    assert distance(model, "madry_cifar10.npz", key) < 1e-5
    assert "dropped 24 tensors of the optimiser: global_step, " in model.notes[0]


def symmetric(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.forward = lambda x, module=module: nn.functional.conv2d(x, module.weight, None, module.stride, 1)


def other_eps(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5


def other_mean(network):
    network.bn1.running_mean.zero_()


@pytest.mark.parametrize("spoil", [symmetric, other_eps, other_mean])
def test_the_logits_tell_details_apart(saved, spoil):
    model = narrow(saved["madry_cifar10"], PER_IMAGE)
    spoil(model.module.network)
    assert distance(model, "madry_cifar10.npz", "standardised") > 1e-3


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.2])
def test_the_logits_tell_the_slope(saved, slope, monkeypatch):
    model = narrow(saved["madry_cifar10"], TWICE)
    leaky = nn.functional.leaky_relu
    monkeypatch.setattr("robeval.zoo.archs.madry_resnet.F.leaky_relu", lambda x, _: leaky(x, slope))
    assert distance(model, "madry_cifar10.npz", "scaled") > 1e-2


@pytest.mark.parametrize(
    ("wanted", "key"),
    [(Input(), "scaled"), (PER_IMAGE, "scaled"), (Input(), "standardised"), (TWICE, "standardised")],
)
def test_the_logits_tell_the_input(saved, wanted, key):
    assert distance(narrow(saved["madry_cifar10"], wanted), "madry_cifar10.npz", key) > 1e-2


def test_the_logits_tell_the_order_of_the_flattening(saved):
    model = load_model(cards.load("madry_mnist_secret"), MNIST, 10, saved["madry_mnist"])
    stored = checkpoints.read(saved["madry_mnist"])["Variable_4"]
    assert not torch.equal(model.module.fc1.weight, stored)
    model.module.fc1.weight.copy_(stored)
    assert distance(model, "madry_mnist.npz", "logits") > 1e-2


# Names and shapes as released


@pytest.mark.parametrize(("params", "sizes"), [({}, {}), ({"widen_factor": 1}, {"widen": 1})])
def test_the_released_names_and_shapes_of_the_resnet(params, sizes):
    with torch.device("meta"):
        network = registry.build("madry_resnet", params, CIFAR, 10, "")
        shapes = bundle.resnet(**sizes) | {"logit/DW/Momentum": (1, 1), "global_step": ()}
        orders = {4: (3, 2, 0, 1), 2: (1, 0)}
        state = {name: torch.empty(shape) for name, shape in shapes.items()}
        state = {name: each.permute(orders.get(each.ndim, (*range(each.ndim),))) for name, each in state.items()}
        assert misfits(state, network) == []
        spoilt = state | {"unit_1_0/sub1/conv1/DW": torch.empty(3, 3, 3, 3), "other/DW": torch.empty(1)}
        del spoilt["logit/biases"]
        problems = "; ".join(misfits(spoilt, network))
    for part in ("1 missing: fc.bias", "1 unexpected: other/DW", "block1.layer.0.conv1.weight (found 3x3x3x3"):
        assert part in problems


def test_the_released_mnist_network_of_another_size_is_refused(tmp_path):
    prefix = bundle.write(tmp_path / "checkpoint-7", bundle.mnist(hidden=512))
    with pytest.raises(UserError, match=r"the weights do not fit the network: 3 different: fc1\.weight"):
        load_model(cards.load("madry_mnist_natural"), MNIST, 10, prefix)


def test_a_network_that_was_never_in_tensorflow_does_not_fit(saved):
    network = registry.build("small_cnn", {}, MNIST, 10, "")
    with pytest.raises(UserError, match="do not fit"):
        fit(checkpoints.read(saved["two_data_files"]), network, "x")


def test_inspect_and_convert(saved, tmp_path):
    found = inspect(saved["madry_mnist"])
    assert found.kind == tensorflow_saved.NAME
    assert [(each.network.arch, each.datasets[0]) for each in found.fits] == [("madry_cnn", "mnist")]
    assert [each.network for each in inspect(saved["madry_cifar10"]).fits] == [NARROW]
    path = convert(saved["madry_mnist"], cards.load("madry_mnist_natural"), tmp_path)
    model = load_model(cards.load(str(path)), MNIST, 10)
    assert distance(model, "madry_mnist.npz", "logits") < 1e-5
    assert model.notes == ()
