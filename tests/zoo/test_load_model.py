"""From a card or a module to a LoadedModel."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.values.card import Checkpoint, Input, ModelCard, Network
from robeval.zoo import cards, checkpoints
from robeval.zoo.archs.registry import build
from robeval.zoo.load import load_model, wrap
from robeval.zoo.model import with_input

SHAPE = (1, 16, 16)
CARD = ModelCard("net", "Net", "digits", Network("small_cnn", {"width": 4, "hidden": 8}), where="net.toml")


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(build("small_cnn", CARD.network.params, SHAPE, 10, "here").state_dict(), path)
    return path


def test_a_loaded_model_is_ready_to_be_asked(weights):
    model = load_model(CARD, SHAPE, 10, weights)
    assert (model.id, model.title, model.dataset, model.num_classes) == ("net", "Net", "digits", 10)
    assert not any(part.training for part in model.module.modules())
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    assert model.module(torch.rand(3, *SHAPE)).shape == (3, 10)
    assert any(checkpoints.sha256(weights) in note for note in model.notes)


def test_a_published_checksum_that_binds_nobody_is_compared_all_the_same(weights):
    for stated, expected in (("ab" * 32, [f"this differs from the sha256 that was published, {'ab' * 32}"]), ("", [])):
        card = replace(CARD, checkpoint=Checkpoint("net.pt", stated_sha256=stated))
        assert [note for note in load_model(card, SHAPE, 10, weights).notes if "differs" in note] == expected
    right = replace(CARD, checkpoint=Checkpoint("net.pt", stated_sha256=checkpoints.sha256(weights)))
    assert not any("differs" in note for note in load_model(right, SHAPE, 10, weights).notes)


def test_the_input_layer_standardises(weights):
    plain = load_model(CARD, SHAPE, 10, weights)
    fixed = load_model(replace(CARD, input=Input("fixed", (0.5,), (0.25,))), SHAPE, 10, weights)
    x = torch.rand(3, *SHAPE)
    assert torch.equal(fixed.module(x), plain.module((x - 0.5) / 0.25))


def test_the_fingerprint_is_of_network_input_and_weights(weights, tmp_path):
    first = load_model(CARD, SHAPE, 10, weights).fingerprint
    assert load_model(replace(CARD, id="other", title="Other"), SHAPE, 10, weights).fingerprint == first
    fixed = replace(CARD, input=Input("fixed", (0.5,), (0.25,)))
    dropped = replace(CARD, network=Network("small_cnn", {**CARD.network.params, "drop": 0.1}))
    other = tmp_path / "other.pt"
    state = checkpoints.read(weights)
    torch.save({**state, "classifier.fc3.bias": torch.ones(10)}, other)
    prints = {load_model(card, SHAPE, 10, path).fingerprint for card, path in ((fixed, weights), (dropped, weights))}
    prints |= {first, load_model(CARD, SHAPE, 10, other).fingerprint}
    assert len(prints) == 4


def test_loading_draws_no_random_numbers(weights):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_model(CARD, SHAPE, 10, weights)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"network": Network("small_cn")}, "net.toml: unknown architecture 'small_cn'"),
        ({"network": Network("small_cnn", {"widht": 4})}, "takes no 'widht'"),
        ({"network": Network("small_cnn", {"width": 5, "hidden": 8})}, "conv1.weight (found 4x1x3x3, expected 5x"),
        ({"input": Input("fixed", (0.5,) * 3, (1.0,) * 3)}, "'mean' has 3 numbers, but the images have 1 channels"),
    ],
)
def test_cards_that_do_not_fit(weights, change, expected):
    with pytest.raises(UserError) as caught:
        load_model(replace(CARD, **change), SHAPE, 10, weights)
    assert expected in str(caught.value)


class Own(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale, self.shift = scale, torch.zeros(1)
        self.net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2), nn.BatchNorm1d(2))

    def forward(self, x):
        return self.net(x * self.scale + self.shift)


def test_wrapping_leaves_the_users_module_as_it_is():
    module = Own()
    model = wrap(module, "mine", 2)
    assert module.training
    assert all(part.training for part in module.modules())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not any(part.training for part in model.module.modules())
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    model.module.net[2].weight.fill_(7)
    assert not (module.net[2].weight == 7).any()
    assert (model.id, model.dataset, model.num_classes) == ("mine", "", 2)


def test_the_fingerprint_of_a_module_changes_with_what_it_computes():
    module = Own()
    first = wrap(module, "mine", 2).fingerprint
    assert wrap(module.eval(), "mine", 2).fingerprint == first
    prints = {first}
    with torch.no_grad():
        module.net[2].weight += 1e-3
    prints.add(wrap(module, "mine", 2).fingerprint)
    module.net[3].running_mean += 1
    prints.add(wrap(module, "mine", 2).fingerprint)
    module.scale = 2.0
    prints.add(wrap(module, "mine", 2).fingerprint)
    module.shift = torch.ones(1)
    prints.add(wrap(module, "mine", 2).fingerprint)
    module.net[1] = nn.Dropout(0.1)
    prints.add(wrap(module, "mine", 2).fingerprint)
    assert len(prints) == 6


def test_a_module_that_cannot_be_copied_is_a_user_error():
    module = nn.Linear(2, 2)
    module.history = module.weight * 2
    with pytest.raises(UserError, match="mine: the module cannot be copied"):
        wrap(module, "mine", 2)


# The real ones


def accuracy(model, samples, n):
    x, y = samples.slice(0, n)
    with torch.no_grad():
        return (model.module(x).argmax(dim=1) == y).double().mean().item()


def test_trades_mnist(real_data):
    samples = datasets.load("mnist", "test", (real_data,))
    path = real_data / "checkpoints" / "trades_mnist_smallcnn.pt"
    model = load_model(cards.load("trades_mnist"), samples.shape, samples.num_classes, path)
    assert model.notes == ()
    assert accuracy(model, samples, 1000) == 0.994


def test_resnet20(real_data):
    samples = datasets.load("cifar10", "test", (real_data,))
    path = real_data / "checkpoints" / "akamaster_cifar10_resnet20.th"
    model = load_model(cards.load("akamaster_resnet20"), samples.shape, samples.num_classes, path)
    assert 0.90 < accuracy(model, samples, 500) < 0.935


def test_other_weights_than_the_cards_are_refused(tmp_path):
    path = tmp_path / "mine.pt"
    torch.save(build("small_cnn", {}, (1, 28, 28), 10, "here").state_dict(), path)
    with pytest.raises(UserError, match=r"but the card .* expects 5b99888064f6"):
        load_model(cards.load("trades_mnist"), (1, 28, 28), 10, path)


def test_weights_of_another_network_are_refused(real_data):
    card = replace(cards.load("trades_mnist"), checkpoint=None)
    path = real_data / "checkpoints" / "advertorch_mnist_lenet5_clntrained.pt"
    with pytest.raises(UserError, match=r"14 missing: feature_extractor.*8 unexpected: conv1"):
        load_model(card, (1, 28, 28), 10, path)


class Norm(nn.Module):
    """As people write it: with its numbers in plain attributes."""

    def __init__(self, mean, net):
        super().__init__()
        self.mean, self.net = mean, net

    def forward(self, x):
        return self.net(x - torch.as_tensor(self.mean).view(1, -1, 1, 1))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0.0,), (0.7,)),
        ([0.0], [0.7]),
        (np.array([0.0]), np.array([0.7])),
        (torch.tensor([0.0]), torch.tensor([0.7])),
        ({"r": [0.0]}, {"r": [0.7]}),
    ],
)
def test_the_fingerprint_sees_numbers_in_any_container(one, other):
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))
    first, again, second = (wrap(Norm(mean, net), "mine", 2).fingerprint for mean in (one, one, other))
    assert first == again != second


def test_the_fingerprint_sees_networks_in_a_plain_list():
    prints = {wrap(Norm([nn.Linear(2, 2)], nn.Flatten()), "mine", 2).fingerprint for _ in range(2)}
    assert len(prints) == 2


def test_what_cannot_be_read_is_never_taken_for_something_else():
    module = Norm(object(), nn.Flatten())
    assert wrap(module, "mine", 2).fingerprint != wrap(module, "mine", 2).fingerprint


def test_no_input_layer_leaves_the_network_alone():
    network = nn.Identity()
    assert with_input(network, Input(), 3, "card") is network


def test_a_mean_and_a_deviation_for_each_channel():
    """In float64, as numpy has it."""
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.201)
    x = torch.rand(4, 3, 5, 5)
    expected = (x.double().numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert np.allclose(with_input(nn.Identity(), Input("fixed", mean, std), 3, "card")(x), expected, atol=1e-6)


def test_mean_and_deviation_one_half_is_2x_minus_1_bit_for_bit():
    """As Hendrycks et al. and Bilateral Adversarial Training scale images: doubling rounds nothing."""
    layer = with_input(nn.Identity(), Input("fixed", (0.5,) * 3, (0.5,) * 3), 3, "card")
    x = torch.rand(50, 3, 32, 32)
    levels = (torch.arange(256, dtype=torch.float32) / 255).expand(1, 3, 1, 256)
    assert torch.equal(layer(x), 2 * x - 1)
    assert torch.equal(layer(levels), 2 * levels - 1)


def test_per_image_standardisation_is_that_of_the_definition():
    """(x - mean) / max(std, 1 / sqrt(d)) on the scale [0, 255], in float64; its slope by finite differences."""
    layer = with_input(torch.nn.Identity(), Input("per_image"), 3, "card")
    x = torch.rand(4, 3, 5, 5, dtype=torch.float64)
    x[1] = 0.3
    x[2] = 0.5 + 1e-6 * x[2]
    flat = (255 * x.numpy()).reshape(4, -1)
    deviation = np.maximum(flat.std(axis=1, keepdims=True), 1 / np.sqrt(75))
    expected = (flat - flat.mean(axis=1, keepdims=True)) / deviation
    assert np.allclose(layer(x).numpy().reshape(4, -1), expected)
    assert torch.autograd.gradcheck(layer, x[:1].clone().requires_grad_())
    constant = x[1:2].clone().requires_grad_()
    assert torch.autograd.grad(layer(constant).sum(), constant)[0].isfinite().all()
