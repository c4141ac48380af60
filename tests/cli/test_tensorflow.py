"""TensorFlow checkpoints on the command line: official cards, files of the official form, real images."""

import zipfile
from pathlib import Path

import bundle
import pytest
from home import SUITE

from robeval.zoo import cards

FIXTURES = Path(__file__).parents[1] / "zoo" / "fixtures"


@pytest.fixture
def attack(robeval, home, real_data):
    """Runs clean images and two attacks on three real images."""

    def run(model, checkpoint):
        data = cards.load(model).dataset
        path = home / "suites" / f"brief_{data}.toml"
        path.write_text(SUITE.replace('"digits"', f'"{data}"'))
        words = ("--suite", path, "--model", model, "--checkpoint", checkpoint, "--limit", "3")
        return robeval("run", *words, "--data-root", real_data, "--device", "cpu", "--microbatch", "3")

    return run


def test_the_official_mnist_network(attack, tmp_path):
    prefix = bundle.write(tmp_path / "natural" / "checkpoint-24900", bundle.mnist())
    said = attack("madry_mnist_natural", prefix)
    assert said.code == 0, said.err
    assert "pgd3" in said.out


@pytest.mark.parametrize("name", ["madry_cifar10_adv_trained", "bat_rmcla_eps4"])
def test_the_official_resnet_made_narrow(attack, home, tmp_path, name):
    with zipfile.ZipFile(FIXTURES / "madry_cifar10.zip") as archive:
        archive.extractall(tmp_path)
    text = Path(cards.load(name).where).read_text()
    path = home / "zoo" / "cards" / f"{name}.toml"  # before the shipped card of the same name
    path.write_text(text.replace('arch = "madry_resnet"', 'arch = "madry_resnet"\nunits = 1\nwiden_factor = 1'))
    said = attack(name, tmp_path / "models" / "adv_trained" / "checkpoint-70000")
    assert said.code == 0, said.err
    assert "pgd3" in said.out


def test_other_networks_are_refused_in_one_message(attack, refused, tmp_path):
    prefix = bundle.write(tmp_path / "checkpoint-1", bundle.mnist(classes=9))
    for name in ("madry_mnist_secret", "bat_rmosala_eps8"):
        said = attack(name, prefix)
        assert said.code == 2
        assert "the weights do not fit the network" in said.err
        assert "Traceback" not in said.err
    assert "do not fit" in refused("zoo", "convert", prefix, "--card", "madry_mnist_natural", "--out", tmp_path / "out")
