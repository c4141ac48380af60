"""Files of weights: what is in them, which networks they are of, and writing them again."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from robeval.errors import UserError
from robeval.values.card import Input
from robeval.zoo import cards, checkpoints
from robeval.zoo.archs import registry
from robeval.zoo.inspect import IMAGES, inspect
from robeval.zoo.load import load_model
from robeval.zoo.save import convert
from robeval.zoo.wrapped import Unwrapped

# Every family with numbers that nobody released, and the data sets whose images have its shape and classes.
GREY, CIFAR = ("mnist", "fashion_mnist"), ("cifar10", "svhn")
UNUSUAL = [
    ("cnn1", {}, GREY),
    ("dm_preact_resnet", {}, CIFAR),
    ("dm_wide_resnet", {"depth": 22, "widen_factor": 3}, CIFAR),
    ("keras_cnn", {"width": 5, "hidden": 33}, GREY),
    ("lenet5", {"width": 7, "hidden": 31}, GREY),
    ("lenet5", {"width": 7, "hidden": 31}, ("digits",)),
    ("linear", {}, GREY),
    ("linear", {}, ("tiny_imagenet",)),
    ("madry_cnn", {}, GREY),
    ("madry_resnet", {"units": 3, "widen_factor": 2}, ("cifar100",)),
    ("net", {}, GREY),
    ("preact_resnet", {"final_norm": False}, CIFAR),
    ("preact_resnet", {"final_norm": True, "shortcut_from": "activation"}, ("tiny_imagenet",)),
    ("resnet", {"depth": 18}, ("imagenet", "imagenet_64")),
    ("resnet", {"depth": 34}, ("cifar100",)),
    ("resnet", {"depth": 50}, CIFAR),
    ("resnet2b", {"width": 6, "hidden": 57}, CIFAR),
    ("resnet_imagenet", {"depth": 50}, ("restricted_imagenet", "restricted_imagenet_64")),
    ("resnet_imagenet", {"depth": 101}, ("imagenet", "imagenet_64")),
    ("resnet_imagenet", {"depth": 152}, ("imagenet", "imagenet_64")),
    ("resnet_option_a", {"depth": 26}, ("cifar100",)),
    ("small_cnn", {"width": 12, "hidden": 45, "padding": 0}, GREY),
    ("small_cnn", {"width": 12, "hidden": 45, "padding": 1}, ("digits",)),
    ("small_cnn", {"width": 12, "hidden": 45, "padding": 1}, ("cifar100",)),
    ("small_cnn_bn", {"width": 9, "hidden": 41, "padding": 1}, GREY),
    ("strided_cnn", {"width": 6, "wider": 11, "kernel": 5, "padding": 2, "hidden": 77}, GREY),
    ("strided_cnn", {"width": 6, "wider": 11, "kernel": 3, "padding": 1, "hidden": 77}, CIFAR),
    ("wide_resnet", {"depth": 22, "widen_factor": 3}, ("cifar100",)),
    ("wide_resnet", {"depth": 46, "widen_factor": 1}, ("tiny_imagenet",)),
]


def weights(name, params, dataset):
    return registry.build(name, params, *IMAGES[dataset], "").state_dict()


def unread(name, params, dataset, monkeypatch):
    """What is found in weights as large as they come, which have shapes but no numbers."""
    with torch.device("meta"):
        state = weights(name, params, dataset)
    for part, content in (("unwrap", Unwrapped(state)), ("kind", "a test"), ("sha256", "0" * 64)):
        monkeypatch.setattr(checkpoints, part, lambda *_, content=content: content)
    return inspect(Path(__file__)).fits


@pytest.mark.parametrize(("name", "params", "datasets"), UNUSUAL)
def test_sizes_and_data_sets_are_told_by_the_weights(name, params, datasets, monkeypatch):
    (fit,) = unread(name, params, datasets[0], monkeypatch)
    assert (fit.network.arch, fit.network.params) == (name, params)
    assert fit.datasets == datasets
    assert fit.image == IMAGES[datasets[0]]


def test_every_family_is_among_them():
    assert {name for name, *_ in UNUSUAL} == set(registry.catalog())


@pytest.mark.parametrize("name", ["net", "linear"])
def test_one_score_is_of_two_classes(name, tmp_path):
    torch.save(registry.build(name, {"outputs": 1}, (1, 28, 28), 2, "").state_dict(), tmp_path / "w.pt")
    found = inspect(tmp_path / "w.pt")
    (fit,) = found.fits
    assert (fit.network.arch, fit.network.params) == (name, {"outputs": 1})
    assert (fit.datasets, fit.image) == (("mnist_1_3", "mnist_5_7"), ((1, 28, 28), 2))
    assert found.card().dataset == "mnist_1_3"


def test_classes_that_no_known_data_set_has(tmp_path):
    torch.save(registry.build("lenet5", {}, (3, 32, 32), 43, "").state_dict(), tmp_path / "w.pt")
    (fit,) = inspect(tmp_path / "w.pt").fits
    assert (fit.datasets, fit.image) == ((), ((3, 32, 32), 43))


def test_a_wide_resnet_as_released_is_found(tmp_path):
    state = weights("wide_resnet", {"depth": 10, "widen_factor": 1}, "cifar10")
    unused = {f"module.sub_{name}": tensor for name, tensor in state.items() if name.startswith("block1.")}
    torch.save({"state_dict": {f"module.{name}": each for name, each in state.items()} | unused}, tmp_path / "w.pt")
    found = inspect(tmp_path / "w.pt")
    (fit,) = found.fits
    assert (fit.network.arch, fit.network.params) == ("wide_resnet", {"depth": 10, "widen_factor": 1})
    assert found.kind == "torch.save, zip archive"


def test_the_ready_made_card_loads_the_file(tmp_path):
    save_file(weights("lenet5", {}, "mnist"), tmp_path / "mine.safetensors")
    found = inspect(tmp_path / "mine.safetensors")
    assert found.kind == "safetensors"
    cards.write(found.card(), tmp_path / "mine.toml")
    model = load_model(cards.load(str(tmp_path / "mine.toml")), *IMAGES["mnist"])
    assert model.module(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_the_input_layer_of_the_robustness_library_goes_into_the_card(tmp_path):
    state = weights("resnet_option_a", {}, "cifar10")
    inputs = {f"module.normalizer.new_{name}": torch.full((3, 1, 1), 0.5) for name in ("mean", "std")}
    torch.save(
        {"model": {f"module.model.{name}": tensor for name, tensor in state.items()} | inputs}, tmp_path / "w.pt"
    )
    card = inspect(tmp_path / "w.pt").card()
    assert card.network.arch == "resnet_option_a"
    assert card.input == Input("fixed", (0.5,) * 3, (0.5,) * 3)
    cards.write(card, tmp_path / "mine.toml")
    load_model(cards.load(str(tmp_path / "mine.toml")), *IMAGES["cifar10"], tmp_path / "w.pt")


def test_weights_of_an_unknown_network_fit_nothing(tmp_path):
    torch.save({"layer.weight": torch.rand(3, 4)}, tmp_path / "w.pt")
    found = inspect(tmp_path / "w.pt")
    assert found.fits == ()
    assert found.card() is None


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="FILE: there is no file"):
        inspect(tmp_path / "w.pt")


def test_converted_weights_are_the_same_and_have_a_card(tmp_path):
    state = weights("lenet5", {}, "mnist")
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "w.pt")
    path = convert(tmp_path / "w.pt", cards.load("advertorch_lenet5_adv"), tmp_path / "out")
    written = load_file(tmp_path / "out" / "checkpoints" / "advertorch_lenet5_adv.safetensors")
    assert written.keys() == state.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in state.items())
    load_model(cards.load(str(path)), *IMAGES["mnist"])


def test_weights_of_another_network_are_not_converted(tmp_path):
    torch.save(weights("cnn1", {}, "mnist"), tmp_path / "w.pt")
    with pytest.raises(UserError, match="the weights do not fit the network"):
        convert(tmp_path / "w.pt", cards.load("advertorch_lenet5_adv"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
