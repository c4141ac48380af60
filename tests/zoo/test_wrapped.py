"""How weights are wrapped and named, and which of several networks in a file are meant."""

from dataclasses import replace

import pytest
import torch

from robeval.errors import UserError
from robeval.values.card import Checkpoint, ModelCard, Network
from robeval.zoo import cards
from robeval.zoo.archs.registry import build
from robeval.zoo.inspect import inspect
from robeval.zoo.load import load_model
from robeval.zoo.wrapped import state_dict

WEIGHTS = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2)}


def prefixed(prefix):
    return {f"{prefix}{name}": tensor for name, tensor in WEIGHTS.items()}


@pytest.mark.parametrize(
    "loaded",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "epoch": 3},
        {"model_state_dict": WEIGHTS, "optimizer": {"state": {}, "param_groups": []}},
        {"model": {"state_dict": WEIGHTS}},
        {"net": prefixed("module."), "acc": 93.1},
        {"state_dict": [WEIGHTS], "err": 0.1},
        [WEIGHTS],
        prefixed("module."),
        prefixed("model."),
        prefixed("module.model."),
        prefixed("_orig_mod."),
    ],
)
def test_usual_wrappings(loaded):
    assert state_dict(loaded, "net.pt").weights.keys() == WEIGHTS.keys()


def test_a_prefix_that_not_every_name_has_stays():
    mixed = prefixed("module.") | {"other": torch.zeros(1)}
    assert state_dict(mixed, "net.pt").weights.keys() == mixed.keys()


def test_a_wrapper_that_holds_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(UserError, match="more than 4 wrappers"):
        state_dict(loop, "net.pt")


@pytest.mark.parametrize(
    ("loaded", "expected"),
    [
        ([WEIGHTS, WEIGHTS, WEIGHTS], "a list of 3 networks, and robeval evaluates one"),
        ([1, 2], "it holds a list of 2"),
        ({"state": {}, "param_groups": []}, "it is the state of an optimiser"),
        ({"epoch": 1, "acc": 2, "loss": 3, "seed": 4}, "it holds epoch, acc, loss and 1 more"),
        (WEIGHTS | {"epoch": 1}, "it holds fc.weight, fc.bias, epoch"),
        ({}, "it holds nothing"),
        (3, "it holds one int"),
    ],
)
def test_what_holds_no_weights(loaded, expected):
    with pytest.raises(UserError) as caught:
        state_dict(loaded, "net.pt")
    assert str(caught.value).startswith("net.pt: ")
    assert expected in str(caught.value)
    assert caught.value.fix


# Several networks in a file

OTHER = {name: tensor + 1 for name, tensor in WEIGHTS.items()}
UNLIKE = {"embed.weight": torch.ones(5, 5)}


def number(unwrapped):
    """Whose weights they are: 1 of the first, 2 of the other."""
    return unwrapped.weights["fc.weight"][0, 0].item()


@pytest.mark.parametrize(
    ("loaded", "names"),
    [
        ({"model": WEIGHTS, "ema": OTHER}, "model, ema"),
        ({"ema": OTHER, "model": WEIGHTS}, "model, ema"),
        ({"state_dict": WEIGHTS, "model": UNLIKE}, "state_dict, model"),
        ({"net_a": WEIGHTS, "net_b": UNLIKE}, "net_a, net_b"),
        ({"net_a": [WEIGHTS], "net_b": {"state_dict": OTHER}}, "net_a, net_b"),
        ({"model": {"student": WEIGHTS, "teacher": OTHER}}, "student, teacher"),
        ({"model": WEIGHTS, "swa": {f"module.{k}": v for k, v in OTHER.items()} | {"module.steps": torch.ones(())}},
         "model, swa"),
        ({"model": WEIGHTS, "shadow": {"fc.weight": OTHER["fc.weight"]}}, "model, shadow"),
    ],
)  # fmt: skip
def test_several_networks_are_refused_by_name(loaded, names):
    with pytest.raises(UserError, match=f"this file holds 2 networks: {names}") as caught:
        state_dict(loaded, "net.pt")
    assert f"as in 'key = \"{names.split(', ')[0]}\"'" in caught.value.fix


@pytest.mark.parametrize(
    "loaded",
    [
        {"model": WEIGHTS, "embedding": UNLIKE},
        {"model": WEIGHTS, "ema": {name: tensor.clone() for name, tensor in WEIGHTS.items()}},
        {"model": WEIGHTS, "again": WEIGHTS},
        {"state_dict": WEIGHTS, "optimizer": {"state": {0: OTHER}, "param_groups": []}, "mean": torch.ones(3)},
    ],
)
def test_what_leaves_no_doubt_is_taken(loaded):
    assert state_dict(loaded, "net.pt").notes == ()
    assert number(state_dict(loaded, "net.pt")) == 1


@pytest.mark.parametrize("turn", [1, -1])
def test_averaged_weights_are_taken_where_that_is_the_custom_and_it_is_said(turn):
    items = [("unaveraged_model_state_dict", OTHER), ("model_state_dict", WEIGHTS)]
    found = state_dict(dict(items[::turn]), "net.pt")
    assert number(found) == 1
    (note,) = found.notes
    assert "'model_state_dict', averaged over training; 'unaveraged_model_state_dict' was left aside" in note


@pytest.mark.parametrize(
    ("loaded", "key", "expected"),
    [
        ({"model": WEIGHTS, "ema": OTHER}, "ema", 2),
        ({"model": WEIGHTS, "ema": OTHER}, "model", 1),
        ({"net_a": WEIGHTS}, "net_a", 1),
        ({"model": {"student": WEIGHTS, "teacher": {"state_dict": OTHER}}}, "teacher", 2),
        ({"unaveraged_model_state_dict": OTHER, "model_state_dict": WEIGHTS}, "unaveraged_model_state_dict", 2),
    ],
)
def test_a_key_chooses(loaded, key, expected):
    assert state_dict(loaded, "net.pt", key) == (state_dict(loaded, "net.pt", key).weights, ())
    assert number(state_dict(loaded, "net.pt", key)) == expected


def test_an_unusual_name_is_told_and_a_key_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="its weights are called 'net_a', which is no usual name") as caught:
        state_dict({"net_a": WEIGHTS, "epoch": 3}, "net.pt")
    assert "'key = \"net_a\"'" in caught.value.fix
    with pytest.raises(UserError, match=r"it holds fc.weight, fc.bias, and nothing that is called 'ema'"):
        state_dict({"model": WEIGHTS}, "net.pt", "ema")


def test_references_to_one_object_are_followed_once():
    loaded = {f"{i}": torch.ones(()) for i in range(2000)}
    for _ in range(3):
        loaded = {f"{i}": loaded for i in range(2000)}
    with pytest.raises(UserError, match="there are no weights"):
        state_dict(loaded, "net.pt")


def test_the_key_of_a_card_chooses_and_tells_results_apart(tmp_path):
    networks = {name: build("linear", {}, (1, 2, 2), 3, "").state_dict() for name in ("model", "ema")}
    torch.save(networks, tmp_path / "two.pt")
    card = ModelCard("two", "Two", "mnist", Network("linear"), checkpoint=Checkpoint("two.pt"))
    with pytest.raises(UserError, match="this file holds 2 networks: model, ema"):
        load_model(card, (1, 2, 2), 3, tmp_path / "two.pt")
    loaded = {}
    for name, state in networks.items():
        chosen = replace(card, checkpoint=Checkpoint("two.pt", key=name))
        cards.write(chosen, tmp_path / "two.toml")
        assert cards.load(str(tmp_path / "two.toml")).checkpoint == chosen.checkpoint
        loaded[name] = load_model(chosen, (1, 2, 2), 3, tmp_path / "two.pt")
        assert torch.equal(loaded[name].module.fc.weight, state["fc.weight"])
    assert loaded["model"].fingerprint != loaded["ema"].fingerprint


def test_a_file_of_two_is_inspected_by_key(tmp_path):
    networks = {name: build("lenet5", {}, (1, 28, 28), 10, "").state_dict() for name in ("model", "ema")}
    torch.save(networks, tmp_path / "two.pt")
    with pytest.raises(UserError, match="holds 2 networks"):
        inspect(tmp_path / "two.pt")
    found = inspect(tmp_path / "two.pt", "ema")
    assert torch.equal(found.weights["conv1.weight"], networks["ema"]["conv1.weight"])
    assert found.card().checkpoint.key == "ema"
