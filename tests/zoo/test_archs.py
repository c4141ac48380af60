"""Network families: sizes, names and arithmetic of the released definitions."""

import pytest
import torch
from torch import nn

from robeval.errors import UserError
from robeval.zoo.archs import registry
from robeval.zoo.layouts import fit

CIFAR, MNIST = (3, 32, 32), (1, 28, 28)


def build(name, shape=CIFAR, classes=10, **params):
    return registry.build(name, params, shape, classes, "card.toml")


@pytest.mark.parametrize(
    ("name", "shape", "params", "expected"),
    [
        ("small_cnn", MNIST, {}, 312_202),
        ("wide_resnet", CIFAR, {}, 46_160_474),
        ("wide_resnet", CIFAR, {"depth": 40, "widen_factor": 10, "drop_rate": 0.2}, 55_841_754),
        ("wide_resnet", CIFAR, {"depth": 28}, 36_479_194),
        ("wide_resnet", CIFAR, {"widen_factor": 20}, 184_531_674),
        ("dm_wide_resnet", CIFAR, {}, 36_479_194),
        ("dm_preact_resnet", CIFAR, {}, 12_548_426),
        ("preact_resnet", CIFAR, {}, 11_171_146),
        ("preact_resnet", CIFAR, {"final_norm": True}, 11_172_170),
        ("resnet_option_a", CIFAR, {}, 269_722),
        ("strided_cnn", MNIST, {}, 166_406),
        ("lenet5", MNIST, {}, 648_226),
        ("small_cnn_bn", MNIST, {}, 312_586),
        ("resnet2b", CIFAR, {}, 112_006),
        ("net", MNIST, {}, 21_840),
        ("linear", MNIST, {}, 7_850),
        ("cnn1", MNIST, {}, 1_199_882),
        ("resnet", CIFAR, {}, 11_173_962),
        ("resnet", CIFAR, {"depth": 34}, 21_282_122),
        ("resnet", CIFAR, {"depth": 50}, 23_520_842),
        ("linear", MNIST, {}, 7_850),
        ("keras_cnn", MNIST, {}, 210_650),
        ("madry_cnn", MNIST, {}, 3_274_634),
        ("madry_resnet", CIFAR, {}, 45_901_914),
        ("madry_resnet", CIFAR, {"widen_factor": 1}, 464_154),
    ],
)
def test_numbers_of_parameters(name, shape, params, expected):
    with torch.device("meta" if shape == CIFAR else "cpu"):
        network = build(name, shape, **params)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize(
    ("params", "classes", "expected"),
    [
        ({}, 1000, 25_557_032),
        ({"depth": 101}, 1000, 44_549_160),
        ({"depth": 152}, 1000, 60_192_808),
        ({"drop_rate": 0.5}, 9, 23_526_473),
    ],
)
def test_numbers_of_parameters_on_imagenet(params, classes, expected):
    with torch.device("meta"):
        network = build("resnet_imagenet", (3, 224, 224), classes, **params)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def norm(prefix):
    return {f"{prefix}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


def test_the_names_of_wide_resnet_are_those_of_the_released_file():
    names = {"conv1.weight", "fc.weight", "fc.bias"} | norm("bn1")
    for b in (1, 2, 3):
        names.add(f"block{b}.layer.0.convShortcut.weight")
        for i in (0, 1):
            here = f"block{b}.layer.{i}"
            names |= norm(f"{here}.bn1") | norm(f"{here}.bn2") | {f"{here}.conv1.weight", f"{here}.conv2.weight"}
    assert set(build("wide_resnet", depth=16, widen_factor=2).state_dict()) == names


def test_the_names_of_preact_resnet_are_those_of_the_released_files():
    names = {"conv1.weight", "linear.weight", "linear.bias"} | {f"layer{k}.0.shortcut.0.weight" for k in (2, 3, 4)}
    for k, i in ((k, i) for k in (1, 2, 3, 4) for i in (0, 1)):
        here = f"layer{k}.{i}"
        names |= norm(f"{here}.bn1") | norm(f"{here}.bn2") | {f"{here}.conv1.weight", f"{here}.conv2.weight"}
    with torch.device("meta"):
        assert set(build("preact_resnet").state_dict()) == names
        assert set(build("preact_resnet", final_norm=True).state_dict()) == names | norm("bn")


def test_the_names_of_deepminds_networks_are_those_of_the_released_files():
    names = {"init_conv.weight", "logits.weight", "logits.bias"} | norm("batchnorm")
    for group, i in ((group, i) for group in (0, 1, 2) for i in (0, 1)):
        here = f"layer.{group}.block.{i}"
        names |= norm(f"{here}.batchnorm_0") | norm(f"{here}.batchnorm_1")
        names |= {f"{here}.conv_0.weight", f"{here}.conv_1.weight", f"layer.{group}.block.0.shortcut.weight"}
    assert set(build("dm_wide_resnet", depth=16, widen_factor=2).state_dict()) == names
    names = {"conv_2d.weight", "logits.weight", "logits.bias"} | norm("batchnorm")
    names |= {f"layer_{k}.0.shortcut.weight" for k in (1, 2, 3)}
    for k, i in ((k, i) for k in (0, 1, 2, 3) for i in (0, 1)):
        here = f"layer_{k}.{i}"
        names |= norm(f"{here}.batchnorm_0") | norm(f"{here}.batchnorm_1")
        names |= {f"{here}.conv_2d_1.weight", f"{here}.conv_2d_2.weight"}
    with torch.device("meta"):
        assert set(build("dm_preact_resnet").state_dict()) == names


def test_the_names_of_resnet_imagenet_are_those_of_torchvision():
    names = {"conv1.weight", "fc.weight", "fc.bias"} | norm("bn1")
    for k, blocks in enumerate((3, 4, 6, 3), start=1):
        names |= {f"layer{k}.0.downsample.0.weight"} | norm(f"layer{k}.0.downsample.1")
        for i, j in ((i, j) for i in range(blocks) for j in (1, 2, 3)):
            names |= norm(f"layer{k}.{i}.bn{j}") | {f"layer{k}.{i}.conv{j}.weight"}
    with torch.device("meta"):
        assert set(build("resnet_imagenet", classes=9, drop_rate=0.2).state_dict()) == names


def test_a_released_wide_resnet_with_its_unused_block_fits():
    network = build("wide_resnet", depth=10, widen_factor=1)
    state = network.state_dict()
    unused = {f"sub_{name}": tensor for name, tensor in state.items() if name.startswith("block1.")}
    (note,) = fit(state | unused, network, "model_cifar_wrn.pt")
    assert "sub_block1.*" in note


def test_a_block_of_wide_resnet_is_the_equation():
    network = build("wide_resnet", depth=10, widen_factor=2).eval()
    block = network.block2.layer[0]
    x = torch.randn(2, 32, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        active = torch.relu(block.bn1(x))
        expected = block.convShortcut(active) + block.conv2(torch.relu(block.bn2(block.conv1(active))))
        assert torch.equal(block(x), expected)
        assert block(x).shape == (2, 64, 4, 4)


def test_the_shortcut_of_option_a_has_no_weights_and_pads_both_sides():
    block = build("resnet_option_a", depth=8).layer2[0].eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.rand(2, 16, 8, 8)
    with torch.no_grad():
        out = block(x)
    assert out.shape == (2, 32, 4, 4)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


@pytest.mark.parametrize("name", registry.catalog())
@pytest.mark.parametrize(("shape", "classes"), [(MNIST, 10), (CIFAR, 7)])
def test_every_shape_gives_logits(name, shape, classes):
    thin = {"depth": 10, "widen_factor": 1}
    params = {"wide_resnet": thin, "dm_wide_resnet": thin, "madry_resnet": {"units": 1, "widen_factor": 1}}
    params = params.get(name, {})
    logits = build(name, shape, classes, **params)(torch.rand(2, *shape))
    assert logits.shape == (2, classes)


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("wide_resnet", {"depth": 28 + 1}, "cannot have depth 29: it has to be 6 n + 4"),
        ("wide_resnet", {"depth": 4}, "cannot have depth 4"),
        ("dm_wide_resnet", {"depth": 29}, "cannot have depth 29: it has to be 6 n + 4"),
        ("resnet_imagenet", {"depth": 18}, "'depth' is 18, expected one of 50, 101, 152"),
        ("preact_resnet", {"shortcut_from": "start"}, "expected one of 'input', 'activation'"),
        ("resnet_option_a", {"depth": 18}, "cannot have depth 18: it has to be 6 n + 2"),
        ("resnet_option_a", {"depth": 2}, "cannot have depth 2"),
        ("wide_resnet", {"width": 10}, "takes no 'width'"),
        ("wide_resnet", {"widen_factor": 0}, "'widen_factor' is 0, expected a whole number at least 1"),
        ("wideresnet", {}, "unknown architecture 'wideresnet'\n  Did you mean 'wide_resnet'?"),
    ],
)
def test_what_cannot_be_built_is_named(name, params, expected):
    with pytest.raises(UserError) as caught:
        build(name, **params)
    assert expected in str(caught.value)


def test_small_images_need_padding():
    with pytest.raises(UserError, match="Set 'padding = 1'"):
        build("small_cnn", (1, 8, 8))
    assert build("small_cnn", (1, 8, 8), padding=1)(torch.rand(2, 1, 8, 8)).shape == (2, 10)


def test_a_strided_convolution_of_madry_pads_below_and_right_only():
    """TensorFlow's SAME: output (i, j) is the sum over a 3x3 window that begins at (2 i, 2 j)."""
    network = build("madry_resnet", units=1, widen_factor=1)
    conv = network.block2.layer[0].conv1
    x = torch.rand(2, 16, 8, 8)
    with torch.no_grad():
        out = conv(x)
        padded = torch.zeros(2, 16, 9, 9)
        padded[:, :, :8, :8] = x
        for i, j in ((0, 0), (1, 2), (3, 3)):
            window = padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            expected = torch.einsum("nchw,ochw->no", window, conv.weight)
            assert torch.allclose(out[:, :, i, j], expected, atol=1e-5)
    assert out.shape == (2, 32, 4, 4)


def test_shortcuts_of_madry_have_no_weights():
    network = build("madry_resnet", units=2, widen_factor=10).eval()
    first, wider = network.block1.layer[0], network.block2.layer[0]
    x, y = torch.randn(2, 16, 8, 8), torch.randn(2, 160, 8, 8)
    with torch.no_grad():
        for unit in (first, wider):
            nn.init.zeros_(unit.conv2.weight)
        active = torch.where(first.bn1(x) > 0, first.bn1(x), 0.1 * first.bn1(x))
        out = first(x)
        assert torch.allclose(out[:, 72:88], active, atol=1e-6), "of the first unit: after the activation"
        assert not out[:, :72].any()
        assert not out[:, 88:].any()
        out = wider(y)
        assert torch.allclose(out[:, 80:240], torch.nn.functional.avg_pool2d(y, 2), atol=1e-6), "of others: before it"
        assert not out[:, :80].any()


def test_one_score_has_the_names_of_the_released_net_binary():
    shapes = {name: tuple(each.shape) for name, each in build("net", MNIST, 2, outputs=1).state_dict().items()}
    layers = {"conv1": (10, 1, 5, 5), "conv2": (20, 10, 5, 5), "fc1": (50, 320), "fc2": (1, 50)}
    assert shapes == {f"{k}.weight": v for k, v in layers.items()} | {f"{k}.bias": v[:1] for k, v in layers.items()}


def test_one_score_is_two_logits():
    network = build("net", MNIST, 2, outputs=1).eval()
    x = torch.rand(5, *MNIST)
    logits, scores = network(x), []
    network.fc2.register_forward_hook(lambda *call: scores.append(call[2]))
    assert torch.equal(network(x), logits)
    (score,) = scores
    assert score.shape == (5, 1)
    assert torch.allclose(logits[:, 1] - logits[:, 0], score.squeeze(1))
    assert torch.equal(logits.argmax(dim=1), (score.squeeze(1) > 0).long())
