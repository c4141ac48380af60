"""Files that hold more than a network: an input layer's numbers, an attacker's copy, an unused block, prefixes."""

from dataclasses import replace

import pytest
import torch

from robeval.errors import UserError
from robeval.values.card import Input, ModelCard, Network
from robeval.zoo import checkpoints
from robeval.zoo.archs.registry import build
from robeval.zoo.inspect import inspect
from robeval.zoo.layouts import fit
from robeval.zoo.load import load_model
from robeval.zoo.save import convert

SHAPE = (3, 32, 32)
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.201)
PARAMS = {"depth": 10, "widen_factor": 1}
CARD = ModelCard("net", "Net", "cifar10", Network("wide_resnet", PARAMS), Input("fixed", MEAN, STD), where="net.toml")


@pytest.fixture
def state():
    return build("wide_resnet", PARAMS, SHAPE, 10, "here").state_dict()


def column(numbers):
    return torch.tensor(numbers).view(-1, 1, 1)


def prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def robustness(state, mean=MEAN):
    """As the robustness library saves: the model, its attacker with the same model, and the input layer of both."""
    whole = prefixed("model.", state) | prefixed("attacker.model.", state)
    for name in ("normalizer", "attacker.normalize"):
        whole |= {f"{name}.new_mean": column(mean), f"{name}.new_std": column(STD)}
    return {"model": prefixed("module.", whole), "optimizer": {"state": {}, "param_groups": []}, "epoch": 150}


def load(saved, tmp_path, card=CARD):
    torch.save(saved, tmp_path / "net.pt")
    return load_model(card, SHAPE, 10, tmp_path / "net.pt")


def same(model, state):
    loaded = model.module.network.state_dict()
    return loaded.keys() == state.keys() and all(torch.equal(loaded[name], state[name]) for name in state)


def test_a_file_of_the_robustness_library(state, tmp_path):
    model = load(robustness(state), tmp_path)
    assert same(model, state)
    assert any(f"left out {len(state) + 4} tensors around the network" in note for note in model.notes)


@pytest.mark.parametrize(("mean", "std"), [("mean", "std"), ("mu", "sigma"), ("normalize.mean", "normalize.std")])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_files_that_hold_the_numbers_of_their_input_layer(state, tmp_path, mean, std, prefix):
    unused = prefixed("sub_", {name: tensor for name, tensor in state.items() if name.startswith("block1.")})
    whole = prefixed(prefix, state | unused) | {mean: column(MEAN), std: column(STD)}
    model = load({"state_dict": prefixed("module.", whole)}, tmp_path)
    assert same(model, state)
    assert any("sub_block1.*" in note for note in model.notes)
    assert any("left out 2 tensors around the network" in note for note in model.notes)


@pytest.mark.parametrize("given", [Input(), Input("per_image"), Input("fixed", MEAN, (0.25, 0.25, 0.25))])
def test_another_input_layer_than_the_cards_is_refused(state, tmp_path, given):
    with pytest.raises(UserError) as caught:
        load(robustness(state), tmp_path, replace(CARD, input=given))
    assert str(caught.value).startswith("net.toml: [input]: ")
    assert "'mean = [0.4914, 0.4822, 0.4465]' and 'std = [0.2023, 0.1994, 0.201]'" in caught.value.fix


def test_nor_is_such_a_file_converted(state, tmp_path):
    torch.save(robustness(state), tmp_path / "net.pt")
    with pytest.raises(UserError, match="was saved with an input layer that subtracts"):
        convert(tmp_path / "net.pt", replace(CARD, input=Input()), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    convert(tmp_path / "net.pt", CARD, tmp_path / "out")


def test_two_networks_in_one_file_are_refused(state, tmp_path):
    saved = robustness(state)
    saved["model"]["module.attacker.model.fc.bias"] = torch.ones(10)
    with pytest.raises(UserError, match=r"two networks: attacker\.model\.fc\.bias is not the same as model\.fc\.bias"):
        load(saved, tmp_path)


def test_a_network_that_calls_its_own_weights_so_keeps_them(tmp_path):
    """A network with an input layer of its own is loaded as it is."""

    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(3, 1, 1))
            self.register_buffer("std", torch.ones(3, 1, 1))
            self.model = torch.nn.Linear(2, 2)

    own = Own()
    own.mean += 3
    torch.save(own.state_dict(), tmp_path / "own.pt")
    fresh = Own()
    assert fit(checkpoints.read(tmp_path / "own.pt"), fresh, "own.pt") == ()
    assert fresh.mean.flatten().tolist() == [3, 3, 3]


def test_inspection_finds_the_network_and_its_input_layer(tmp_path):
    state = build("wide_resnet", {"depth": 16, "widen_factor": 2}, SHAPE, 10, "here").state_dict()
    torch.save(robustness(state), tmp_path / "net.pt")
    card = inspect(tmp_path / "net.pt").card()
    assert card.network == Network("wide_resnet", {"depth": 16, "widen_factor": 2})
    assert card.input == Input("fixed", MEAN, STD)
