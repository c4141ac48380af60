"""Files of weights: what is in them, which networks they are of, and writing them again."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from robeval.errors import UserError
from robeval.values.card import Input
from robeval.zoo import cards
from robeval.zoo.archs import registry
from robeval.zoo.inspect import SHAPES, inspect
from robeval.zoo.load import load_model
from robeval.zoo.save import convert

# Net_binary keeps its score under a wrapper's name.
LARGE = (
    "dm_preact_resnet",
    "dm_wide_resnet",
    "madry_resnet",
    "preact_resnet",
    "resnet",
    "resnet_imagenet",
    "wide_resnet",
)
SMALL = [(name, params) for name, params in registry.variants() if name not in LARGE and "outputs" not in params]


def weights(name, params, dataset):
    return registry.build(name, params, SHAPES[dataset], 10, "").state_dict()


@pytest.mark.parametrize(("name", "params"), SMALL, ids=[f"{name}-{params}" for name, params in SMALL])
def test_every_family_is_found_in_its_own_weights(name, params, tmp_path):
    dataset = "cifar10" if name.startswith("resnet") else "mnist"
    torch.save({"state_dict": weights(name, params, dataset)}, tmp_path / "w.pt")
    found = inspect(tmp_path / "w.pt")
    assert [(fit.network.arch, fit.network.params) for fit in found.fits if fit.dataset == dataset] == [(name, params)]
    assert found.kind == "torch.save, zip archive"


def test_depth_and_width_of_a_wide_resnet_are_found(tmp_path):
    state = weights("wide_resnet", {"depth": 16, "widen_factor": 2}, "cifar10")
    unused = {f"module.sub_{name}": tensor for name, tensor in state.items() if name.startswith("block1.")}
    torch.save({f"module.{name}": tensor for name, tensor in state.items()} | unused, tmp_path / "w.pt")
    (fit,) = inspect(tmp_path / "w.pt").fits
    assert (fit.network.arch, fit.network.params) == ("wide_resnet", {"depth": 16, "widen_factor": 2})


@pytest.mark.parametrize("final_norm", [False, True])
def test_the_last_normalisation_of_a_preact_resnet_is_found(final_norm, tmp_path):
    """Where its shortcuts start is not in a file of weights; both known forms have it with or without that layer."""
    torch.save(weights("preact_resnet", {"final_norm": final_norm}, "cifar10"), tmp_path / "w.pt")
    (fit,) = inspect(tmp_path / "w.pt").fits
    expected = {"final_norm": True, "shortcut_from": "activation"} if final_norm else {}
    assert (fit.network.arch, fit.network.params) == ("preact_resnet", expected)


def test_the_ready_made_card_loads_the_file(tmp_path):
    save_file(weights("lenet5", {}, "mnist"), tmp_path / "mine.safetensors")
    found = inspect(tmp_path / "mine.safetensors")
    assert found.kind == "safetensors"
    cards.write(found.card(), tmp_path / "mine.toml")
    model = load_model(cards.load(str(tmp_path / "mine.toml")), SHAPES["mnist"], 10)
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
    load_model(cards.load(str(tmp_path / "mine.toml")), SHAPES["cifar10"], 10, tmp_path / "w.pt")


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
    load_model(cards.load(str(path)), SHAPES["mnist"], 10)


def test_weights_of_another_network_are_not_converted(tmp_path):
    torch.save(weights("cnn1", {}, "mnist"), tmp_path / "w.pt")
    with pytest.raises(UserError, match="the weights do not fit the network"):
        convert(tmp_path / "w.pt", cards.load("advertorch_lenet5_adv"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
