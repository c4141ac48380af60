"""What holds for every training method in the catalog, also for one that is added."""

import inspect
from dataclasses import replace
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from doubles import ConvNet, samples, seeded
from lessons import SHAPE, N, course, needed
from torch import nn

from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train.loop import train
from robeval.train.recipe import read
from robeval.train.registry import catalog
from robeval.values.card import ModelCard, Network
from robeval.values.parameters import Bound
from robeval.values.threat import ThreatModel

KNOWN = catalog()
IN_A_BALL = [(name, norm) for name, entry in KNOWN.items() for norm in entry.norms or ("linf",)]

# What a method needs so that all of it is seen in a first epoch, and in any order of the batch.
WORKING = {"awp": {"first_epoch": 1}, "kurakin": {"clean_share": 0.0}, "rst": {"steps": 2}}
# Methods for one kind of network only.
LINEAR = {"linear_exact"}


def params(name):
    return needed(KNOWN[name]) | WORKING.get(name, {})


def network(name, dtype=torch.float32):
    """With BatchNorm and dropout where the method can have them, in training mode."""
    if name not in LINEAR:
        return ConvNet(shape=SHAPE, k=2).to(dtype).train()
    layers = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    for weight in layers.parameters():
        weight.data = torch.randn(weight.shape, generator=seeded(4))
    return layers.to(dtype).train()


def without_chance(net):
    """The same network, whose rows do not see each other and which draws no numbers."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.Dropout):
            layer.eval()
    return net


def problem(net, norm="linf", order=None):
    rows = torch.arange(N) if order is None else order
    x = torch.rand(N, *SHAPE, generator=seeded(8))[rows].to(next(net.parameters()).dtype)
    draws = Noise(0, "method", 1, rows.numpy())
    return Problem(Microbatches(net, N), x, (torch.arange(N) % 2)[rows], ThreatModel(norm, 0.05), draws)


def loss_of(name, net, some):
    return KNOWN[name].loss(some, net, course(), params(name))


@pytest.mark.parametrize(("name", "norm"), IN_A_BALL)
def test_the_loss_is_finite_and_reaches_the_weights_alone(name, norm):
    net = network(name)
    some = problem(net, norm)
    x, y = some.x.clone(), some.y.clone()
    weights = {key: weight.detach().clone() for key, weight in net.named_parameters()}
    loss = loss_of(name, net, some)
    assert loss.shape == ()
    assert loss.isfinite()
    assert loss.requires_grad
    assert all(weight.grad is None for weight in net.parameters())
    assert all(torch.equal(weight, weights[key]) for key, weight in net.named_parameters())
    loss.backward()
    assert all(weight.grad.isfinite().all() for weight in net.parameters())
    assert sum(weight.grad.any().item() for weight in net.parameters()) >= len(weights) - 1  # BatchNorm undoes a bias
    assert torch.equal(some.x, x)
    assert torch.equal(some.y, y)
    assert not some.x.requires_grad
    assert some.x.grad is None


@pytest.mark.parametrize("name", KNOWN)
def test_the_network_is_left_in_training_mode_and_frozen_layers_frozen(name):
    net = nn.Sequential(network(name), nn.Sequential(nn.Dropout(0.0)).eval()).train()
    net[1].eval()
    before = {key: layer.training for key, layer in net.named_modules()}
    loss_of(name, net, problem(net))
    assert {key: layer.training for key, layer in net.named_modules()} == before
    assert net.training


@pytest.mark.parametrize(("name", "norm"), IN_A_BALL)
def test_the_same_call_gives_the_same_bits(name, norm):
    found = []
    for _ in range(2):
        net = network(name)
        torch.manual_seed(3)
        loss = loss_of(name, net, problem(net, norm))
        loss.backward()
        found.append([loss.detach(), *(weight.grad for weight in net.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("name", KNOWN)
def test_its_noise_belongs_to_the_samples(name):
    """Torch's own random numbers and the order of the batch change nothing."""
    net = without_chance(network(name, torch.float64))
    first = loss_of(name, net, problem(net))
    torch.manual_seed(99)
    assert torch.equal(loss_of(name, net, problem(net)), first)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    torch.testing.assert_close(loss_of(name, net, problem(net, order=order)), first, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in KNOWN if "steps" in params(name)])
def test_its_attack_computes_no_gradient_of_the_weights(name):
    """All that the weights cost is in the passes of the loss: more steps cost no more."""
    costs = []
    for steps in (1, 4):
        net, count = network(name), []
        for weight in net.parameters():
            weight.register_hook(lambda slope, count=count: count.append(1))
        loss = KNOWN[name].loss(problem(net), net, course(), params(name) | {"steps": steps})
        costs.append(len(count))
        assert loss.requires_grad
    assert costs[0] == costs[1]


def ranges():
    """Every bounded keyword of every method with a value just outside, and every choice with none of them."""
    for name, entry in KNOWN.items():
        for key, hint in get_type_hints(entry.function, include_extras=True).items():
            kinds = [hint, *get_args(hint)] if get_origin(hint) is not Annotated else [hint]
            for kind in kinds:
                if get_origin(kind) is Annotated:
                    bound = get_args(kind)[1]
                    assert isinstance(bound, Bound)
                    yield name, key, bound.low - (0 if bound.open else 1)
                    if np.isfinite(bound.high):
                        yield name, key, bound.high + 1
                    yield name, key, "many"
                elif get_origin(kind) is Literal:
                    yield name, key, "no such choice"


def card(name, **changes):
    wanted = {"method": name, "epochs": 1, "batch_size": 2, "learning_rate": 0.1, **needed(KNOWN[name])}
    ball = {"norm": KNOWN[name].norms[0], "eps": 0.05} if KNOWN[name].adversarial else {}
    return ModelCard("it", "It", "digits", Network("small_cnn"), training=wanted | ball | changes, where="it.toml")


@pytest.mark.parametrize(("name", "key", "value"), list(ranges()))
def test_what_is_out_of_range_is_refused_by_name(name, key, value):
    assert read(card(name), 10).params == needed(KNOWN[name]) | defaults(name)
    with pytest.raises(UserError, match=rf"it\.toml: \[training\].*'{key}' is {value!r}, expected"):
        read(card(name, **{key: value}), 10)


def defaults(name):
    keywords = inspect.signature(KNOWN[name].function).parameters.values()
    return {each.name: each.default for each in keywords if each.default is not each.empty}


@pytest.fixture(scope="module")
def ones_and_sevens():
    data = datasets.load("digits", "train")
    x, y = data.slice(0, 500)
    kept = ((y == 1) | (y == 7)).nonzero().squeeze(1)[:48]
    return samples(x[kept], (y[kept] == 7).long(), num_classes=2, dataset="digits")


@pytest.mark.parametrize("name", KNOWN)
def test_it_trains_a_small_network_on_digits(name, ones_and_sevens, tmp_path):
    arch = (
        Network("linear")
        if name in LINEAR
        else Network("small_cnn", {"width": 4, "hidden": 16, "padding": 1, "drop": 0})
    )
    recipe = {"epochs": 6, "batch_size": 25, "learning_rate": 0.03, "optimiser": "adam", "replays": 2, "threads": 1}
    model = replace(card(name, **recipe, **WORKING.get(name, {})), network=arch)
    heard = []
    train(model, ones_and_sevens, tmp_path, torch.device("cpu"), heard.append)
    assert all(np.isfinite(epoch.loss) for epoch in heard)
    assert heard[-1].loss < 0.8 * heard[0].loss
    assert heard[-1].accuracy > 0.8
