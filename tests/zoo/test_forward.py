"""What networks compute: in float64, beside the sources they are of, or beside their definition in plain operations."""

import zlib

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, linear, max_pool2d, relu

from robeval.zoo.archs import registry

CIFAR, MNIST = (3, 32, 32), (1, 28, 28)


def uniform(seed, shape, low=-1.0):
    """float64 in [low, 1); RandomState gives the same numbers in every version of numpy."""
    return torch.from_numpy(np.random.RandomState(seed).uniform(low, 1, tuple(shape)))


def filled(name, shape, classes=10, **params):
    """A network in float64 whose weights depend on nothing but their names."""
    network = registry.build(name, params, shape, classes, "card.toml").double().eval()
    state = network.state_dict()
    for key, tensor in state.items():
        drawn = uniform(zlib.crc32(key.encode()), tensor.shape)
        if tensor.ndim > 1:
            state[key] = drawn * (3 / tensor[0].numel()) ** 0.5
        elif key.endswith(("running_var", "weight")):
            state[key] = 1 + drawn / 2
        elif not key.endswith("num_batches_tracked"):
            state[key] = drawn / 5
    network.load_state_dict(state)
    return network


def logits(network, shape, n=2):
    with torch.no_grad():
        return network(uniform(0, (n, *shape), low=0.0))


# Logits of the first image by the definitions in robustbench 1.1.1 (their input layer left out), and, of
# `resnet_imagenet` with 9 classes on 64x64 images, by those of torchvision 0.28.0 and timm 1.0.31, which agree.
# Weights and images are those of `filled` and `logits`; a network with other names would draw others.
SOURCES = [
    (
        ("wide_resnet", {"depth": 16, "widen_factor": 2}, CIFAR),
        (-0.276003, 0.11692, 0.038618, -0.069026, -0.035513, 0.40827, -0.384461, 0.751903, -0.031815, 0.442329),
    ),
    (
        ("preact_resnet", {}, CIFAR),
        (-0.410012, -0.959886, 0.344412, 2.017664, -0.73017, -2.108517, -2.180417, 1.189947, -3.786736, -0.103927),
    ),
    (
        ("preact_resnet", {"final_norm": True, "shortcut_from": "activation"}, CIFAR),
        (0.132321, -0.409781, 0.007102, 0.484463, -1.431079, -0.477826, -0.340993, 0.338187, -0.704895, 0.75839),
    ),
    (
        ("resnet", {}, CIFAR),
        (-0.191926, -0.430128, -0.012662, -0.221414, -1.151194, -0.505146, 0.145349, 0.775988, -0.538622, 0.073214),
    ),
    (
        ("resnet", {"depth": 50}, CIFAR),
        (0.302807, -1.052063, 0.466871, 2.295911, -0.583031, 1.170083, -3.483985, -4.392011, 0.987341, -1.637504),
    ),
    (
        ("dm_wide_resnet", {"depth": 16, "widen_factor": 2}, CIFAR),
        (0.087798, 0.148355, -0.34373, -0.170517, -0.021516, -0.322708, 0.327201, -0.058295, 0.293295, 0.095173),
    ),
    (
        ("dm_preact_resnet", {}, CIFAR),
        (0.028031, -0.038622, 0.084577, 0.324677, 0.382353, -1.124584, -0.4861, 0.3354, 0.146797, 0.36709),
    ),
    (
        ("dm_preact_resnet", {"activation": "relu"}, CIFAR),
        (0.077984, -0.203667, 0.75777, 0.619346, 0.372711, -1.73919, -0.449839, 0.483886, -0.106239, 1.137826),
    ),
    (
        ("resnet_imagenet", {}, (3, 64, 64)),
        (1.139025, 5.180269, 1.673667, -2.291376, 0.069545, 0.444298, 1.703831, 2.867821, -0.582026),
    ),
]


@pytest.mark.parametrize(("network", "expected"), SOURCES, ids=[f"{name}-{params}" for (name, params, _), _ in SOURCES])
def test_the_logits_are_those_of_the_sources(network, expected):
    name, params, shape = network
    found = logits(filled(name, shape, len(expected), **params), shape)
    assert np.allclose(found[0].numpy(), expected, rtol=0, atol=1e-6)


def norm(weights, name, x, eps=1e-5):
    """Batch normalisation in evaluation mode."""
    mean, var, scale, shift = (
        weights[f"{name}.{part}"].view(-1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + eps).sqrt() * scale + shift


def wide_resnet(weights, x):
    """Section 2 of arXiv:1605.07146, with pre-activation shared by the shortcuts that change the width."""
    x = conv2d(x, weights["conv1.weight"], padding=1)
    for group, i in ((group, i) for group in (1, 2, 3) for i in range(2)):
        at = f"block{group}.layer.{i}"
        stride = 2 if group > 1 and i == 0 else 1
        active = relu(norm(weights, f"{at}.bn1", x))
        branch = conv2d(active, weights[f"{at}.conv1.weight"], stride=stride, padding=1)
        branch = conv2d(relu(norm(weights, f"{at}.bn2", branch)), weights[f"{at}.conv2.weight"], padding=1)
        x = branch + (x if i else conv2d(active, weights[f"{at}.convShortcut.weight"], stride=stride))
    pooled = relu(norm(weights, "bn1", x)).mean(dim=(2, 3))
    return linear(pooled, weights["fc.weight"], weights["fc.bias"])


def resnet34(weights, x):
    """Sections 3.3 and 4.2 of arXiv:1512.03385: 3, 4, 6 and 3 blocks, a projection where the width changes."""
    x = relu(norm(weights, "bn1", conv2d(x, weights["conv1.weight"], padding=1)))
    for group, blocks in enumerate((3, 4, 6, 3), start=1):
        for i in range(blocks):
            at, stride = f"layer{group}.{i}", 2 if group > 1 and i == 0 else 1
            branch = conv2d(x, weights[f"{at}.conv1.weight"], stride=stride, padding=1)
            branch = conv2d(relu(norm(weights, f"{at}.bn1", branch)), weights[f"{at}.conv2.weight"], padding=1)
            if stride == 2:
                x = norm(weights, f"{at}.shortcut.1", conv2d(x, weights[f"{at}.shortcut.0.weight"], stride=2))
            x = relu(norm(weights, f"{at}.bn2", branch) + x)
    return linear(x.mean(dim=(2, 3)), weights["linear.weight"], weights["linear.bias"])


def cnn2(weights, x):
    """CNN2 of Yang et al.: TRADES' SmallCNN."""

    def layer(name, x):
        return relu(conv2d(x, weights[f"feature_extractor.{name}.weight"], weights[f"feature_extractor.{name}.bias"]))

    x = max_pool2d(layer("conv2", layer("conv1", x)), 2)
    x = max_pool2d(layer("conv4", layer("conv3", x)), 2).flatten(1)
    for name in ("fc1", "fc2", "fc3"):
        x = linear(x, weights[f"classifier.{name}.weight"], weights[f"classifier.{name}.bias"])
        x = x if name == "fc3" else relu(x)
    return x


def cnn1(weights, x):
    """CNN1 of Yang et al.: no activation after the second convolution."""
    x = relu(conv2d(x, weights["conv1.weight"], weights["conv1.bias"]))
    x = max_pool2d(conv2d(x, weights["conv2.weight"], weights["conv2.bias"]), 2).flatten(1)
    x = relu(linear(x, weights["fc1.weight"], weights["fc1.bias"]))
    return linear(x, weights["fc2.weight"], weights["fc2.bias"])


def net(weights, x):
    """Net of TRADES, Table 4."""
    for name in ("conv1", "conv2"):
        x = relu(max_pool2d(conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"]), 2))
    x = relu(linear(x.flatten(1), weights["fc1.weight"], weights["fc1.bias"]))
    return linear(x, weights["fc2.weight"], weights["fc2.bias"])


def pixels(weights, x):
    return x.flatten(1) @ weights["fc.weight"].T + weights["fc.bias"]


@pytest.mark.parametrize(
    ("name", "shape", "params", "definition"),
    [
        ("wide_resnet", CIFAR, {"depth": 16, "widen_factor": 4}, wide_resnet),
        ("resnet", CIFAR, {"depth": 34}, resnet34),
        ("small_cnn", MNIST, {}, cnn2),
        ("cnn1", MNIST, {}, cnn1),
        ("net", MNIST, {}, net),
        ("linear", MNIST, {}, pixels),
    ],
)
def test_the_logits_are_those_of_the_definition(name, shape, params, definition):
    network = filled(name, shape, **params)
    with torch.no_grad():
        expected = definition(network.state_dict(), uniform(0, (2, *shape), low=0.0))
    assert torch.allclose(logits(network, shape), expected, rtol=0, atol=1e-10)


def test_a_linear_score_of_two_classes():
    """Cross-entropy of the two logits is the logistic loss of y (w.x + b) with y = -1 or 1."""
    network = filled("linear", MNIST, 2, outputs=1)
    weight, bias = network.state_dict().values()
    x = uniform(0, (5, *MNIST), low=0.0)
    score = (x.flatten(1) @ weight.T + bias).squeeze(1)
    for label, y in ((0, -1), (1, 1)):
        found = torch.nn.functional.cross_entropy(network(x), torch.full((5,), label), reduction="none")
        assert torch.allclose(found, torch.log1p(torch.exp(-y * score)))


def dropping(network):
    """In evaluation mode but for dropout."""
    for part in network.eval().modules():
        if isinstance(part, torch.nn.Dropout):
            part.train()
    return network


def test_a_wide_resnet_drops_between_the_convolutions():
    """With all dropped, what is left of a block is its shortcut."""
    network = dropping(filled("wide_resnet", CIFAR, depth=16, widen_factor=2, drop_rate=1.0))
    first, second = network.block2.layer
    x = uniform(1, (2, 32, 8, 8))
    with torch.no_grad():
        wider = first(x)
        assert torch.equal(wider, first.convShortcut(relu(first.bn1(x))))
        assert torch.equal(second(wider), wider)


def test_a_resnet_of_restricted_imagenet_drops_in_all_blocks_but_the_first_of_each_layer():
    """Yang et al., there between the second and the third convolution: with all dropped, that one gives zeros."""
    network = dropping(filled("resnet_imagenet", (3, 64, 64), 9, drop_rate=1.0))
    plain = filled("resnet_imagenet", (3, 64, 64), 9)
    x = uniform(1, (2, 64, 4, 4))
    with torch.no_grad():
        first, second = network.layer1[0], network.layer1[1]
        wider = first(x)
        assert torch.equal(wider, plain.layer1[0](x))
        constant = second.bn3(torch.zeros_like(wider))
        assert torch.equal(second(wider), relu(constant + wider))
    assert network.state_dict().keys() == plain.state_dict().keys()
