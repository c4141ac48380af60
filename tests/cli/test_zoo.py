"""`robeval zoo`: list, show, inspect, convert, verify."""

import io
import pickle
import warnings

import pytest
import torch
from home import trained
from weightfiles import torch_legacy, torch_zip, torchscript

from robeval.zoo import cards
from robeval.zoo.archs import registry
from robeval.zoo.load import load_model


def test_list_is_what_zoo_alone_says_and_show_may_be_left_out(robeval):
    assert robeval("zoo").out == robeval("zoo", "list").out
    assert robeval("zoo", "trades_mnist").out == robeval("zoo", "show", "trades_mnist").out


def test_inspect_says_what_is_in_a_file_and_gives_a_card(robeval, tmp_path):
    torch.save(registry.build("lenet5", {}, (1, 28, 28), 10, "").state_dict(), tmp_path / "mine.pt")
    said = robeval("zoo", "inspect", tmp_path / "mine.pt")
    assert said.code == 0
    for part in ("torch.save, zip archive", "linear2.weight", "10x200", "648,226 numbers", "It fits lenet5 on images"):
        assert part in said.out
    assert 'arch = "lenet5"' in said.out


def test_inspect_runs_nothing(refused, tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"state_dict": Trap()}))
    assert "nothing in it was executed" in refused("zoo", "inspect", tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


def test_convert_and_verify(robeval, refused, home, tmp_path):
    out = tmp_path / "out"
    weights = home / "zoo" / "checkpoints" / "small.safetensors"
    said = robeval("zoo", "convert", weights, "--card", "small", "--out", out)
    assert said.code == 0, said.err
    checked = robeval("zoo", "verify", out / "cards" / "small.toml", "--limit", "60")
    assert checked.code in (0, 1)
    assert "answers in other batches" in checked.out
    assert "the weights do not fit" in refused("zoo", "convert", weights, "--card", "trades_digits", "--out", out)


def exported(net):
    """As torch.onnx writes it, for any number of images."""
    pytest.importorskip("onnx")
    file, axes = io.BytesIO(), {"image": {0: "n"}, "logits": {0: "n"}}
    names = {"input_names": ["image"], "output_names": ["logits"], "dynamic_axes": axes}
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(net, (torch.rand(2, 1, 8, 8),), file, dynamo=False, **names)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "pack"),
    [
        ("torch.save, zip archive", lambda net: torch_zip({"state_dict": net.state_dict()})),
        ("torch.save, before 2020 (pickle)", lambda net: torch_legacy(net.state_dict())),
        ("TorchScript archive", torchscript),
        ("ONNX", exported),
    ],
)
def test_a_trained_model_goes_through_every_format_and_back(robeval, home, tmp_path, kind, pack):
    """Whatever it was stored as, `convert` with the model's own card gives the logits of the module it was."""
    net, x = trained().eval(), torch.rand(20, 1, 8, 8)
    (tmp_path / "file").write_bytes(pack(net))
    said = robeval("zoo", "inspect", tmp_path / "file")
    assert said.code == 0, said.err
    assert kind in said.out
    assert "feature_extractor.conv1.weight" in said.out
    said = robeval("zoo", "convert", tmp_path / "file", "--card", "small", "--out", tmp_path / "out")
    assert said.code == 0, said.err
    model = load_model(cards.load(str(tmp_path / "out" / "cards" / "small.toml")), (1, 8, 8), 10)
    assert torch.equal(model.module(x), net(x))


def test_a_network_that_is_a_file_is_kept_as_it_is(robeval, home, tmp_path):
    net, x = trained().eval(), torch.rand(20, 1, 8, 8)
    (tmp_path / "net.onnx").write_bytes(exported(net))
    said = robeval("zoo", "inspect", tmp_path / "net.onnx")
    assert "It fits onnx on images of digits." in said.out
    (tmp_path / "graph.toml").write_text('title = "Graph"\ndataset = "digits"\n[network]\narch = "onnx"\n')
    said = robeval(
        "zoo", "convert", tmp_path / "net.onnx", "--card", tmp_path / "graph.toml", "--out", tmp_path / "out"
    )
    assert said.code == 0, said.err
    model = load_model(cards.load(str(tmp_path / "out" / "cards" / "graph.toml")), (1, 8, 8), 10)
    assert torch.allclose(model.module(x), net(x), atol=1e-5)
    assert (tmp_path / "out" / "checkpoints" / "graph.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()
    checked = robeval("zoo", "verify", tmp_path / "out" / "cards" / "graph.toml", "--limit", "60")
    assert checked.code == 0, checked.out + checked.err


def test_a_model_that_fails_a_check_ends_with_1(robeval, home):
    path = home / "zoo" / "cards" / "small.toml"
    path.write_text(path.read_text() + '\n[[published]]\nmetric = "natural accuracy"\nvalue = 3\nsource = "nobody"\n')
    said = robeval("zoo", "verify", "small")
    assert said.code == 1
    assert "FAIL" in said.out
    assert "the card states 3.00 (nobody)" in said.out
