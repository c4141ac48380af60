"""The user's own model as `package.module:factory`."""

import pytest
import torch
from doubles import ConvNet, images

from robeval.errors import UserError
from robeval.zoo import factory

MINE = """
import torch
from torch import nn

def net(width=4):
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(width * 16, 10))

class Nets:
    wide = staticmethod(lambda: net(8))

ready = net()

def number():
    return 5

def leaves():
    raise SystemExit(3)

def fails():
    raise RuntimeError("no such weights\\nat all")
"""


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["my_models:net", "my_models:Nets.wide", "my_models:ready"])
def test_functions_attributes_and_modules_give_a_model(name):
    assert factory.is_factory(name)
    assert factory.make(name, None)(images(2)).shape == (2, 10)


def test_weights_come_from_a_file(tmp_path):
    wanted = factory.make("my_models:net", None)
    torch.save({"state_dict": {f"module.{k}": v + 1 for k, v in wanted.state_dict().items()}}, tmp_path / "w.pt")
    found = factory.make("my_models:net", tmp_path / "w.pt")
    assert torch.equal(found[0].weight, torch.load(tmp_path / "w.pt")["state_dict"]["module.0.weight"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_model:net", "ModuleNotFoundError: No module named 'my_model'"),
        ("my_models:nett", "AttributeError: module 'my_models' has no attribute 'nett'"),
        ("my_models:number", "gives a int, expected an nn.Module"),
        ("my_models:fails", "RuntimeError: no such weights"),
        ("my_models:leaves", "SystemExit: 3"),
    ],
)
def test_what_gives_no_model_is_said(name, message):
    with pytest.raises(UserError) as caught:
        factory.make(name, None)
    assert message in str(caught.value)
    assert str(caught.value).startswith("--model: ")


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(ConvNet().state_dict(), tmp_path / "w.pt")
    with pytest.raises(UserError, match="do not fit the network"):
        factory.make("my_models:net", tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["trades_digits", "cards/mine.toml", "a:", ":b", "C:\\cards\\mine.toml", "a b:c"])
def test_other_names_are_no_factories(name):
    assert not factory.is_factory(name)
