"""`robeval zoo`: list, show, inspect, convert, verify."""

import io
import pickle
import warnings

import bundle
import numpy as np
import pytest
import torch
from home import trained
from weightfiles import keras, torch_legacy, torch_zip, torchscript

from robeval.zoo import cards
from robeval.zoo.archs import registry
from robeval.zoo.load import load_model


def test_list_is_what_zoo_alone_says_and_show_may_be_left_out(robeval):
    assert robeval("zoo").out == robeval("zoo", "list").out
    assert robeval("zoo", "trades_mnist").out == robeval("zoo", "show", "trades_mnist").out


def test_a_list_of_one_data_set(robeval, refused):
    said = robeval("zoo", "list", "--dataset", "mnist")
    assert said.code == 0
    assert said.out == robeval("zoo", "--dataset", "mnist").out == robeval("zoo", "--dataset=mnist").out
    assert "trades_mnist" in said.out
    assert "trades_wrn34" not in said.out
    assert "small" not in said.out.replace("small_cnn", "")
    assert "--dataset: there is no model of 'minst'\n  Did you mean 'mnist'?" in refused("zoo", "--dataset", "minst")


def test_a_broken_card_does_not_hide_the_others(robeval, home):
    (home / "zoo" / "cards" / "broken.toml").write_text('title = "Broken"\n[network')
    said = robeval("zoo", "list")
    assert said.code == 1
    assert "small" in said.out
    assert "trades_wrn34" in said.out
    assert said.err.count("robeval: ") == 1
    assert "broken.toml: this is not valid TOML" in said.err
    assert robeval("zoo", "small").code == 0


def test_80_columns_are_enough(robeval, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = robeval("zoo", "list", "--dataset", "cifar10").out
    assert max(map(len, said.splitlines())) <= 80
    lines = [line.split() for line in said.splitlines()]
    # The network's name may go on in the next line.
    assert ["carmon2019_wrn28", "wide_resnet", "89.69", "59.53", "a", "at", "URL"] in lines
    assert ["trades_wrn34_beta1", "wide_resnet", "34-10", "88.64", "49.14", "d", "to", "train"] in lines
    assert "a  accuracy under AutoAttack standard, l-inf 8/255 (RobustBench," in said


def test_a_page_says_where_the_weights_are(robeval, home):
    assert "Weights: " + str(home / "zoo" / "checkpoints" / "small.safetensors") in robeval("zoo", "small").out
    missing = robeval("zoo", "engstrom_resnet50_linf8").out
    assert "linf 8/255" in missing
    assert "Get it from https://www.dropbox.com/s/c9qlt1lbdnu9tlo/cifar_linf_8.pt" in missing
    assert "Run `robeval train trades_wrn34_beta1`, which makes it" in robeval("zoo", "trades_wrn34_beta1").out


RELEASED = """
title = "As trades_wrn34, but thin"
dataset = "cifar10"

[network]
arch = "wide_resnet"
depth = {depth}
widen_factor = 2

[checkpoint]
file = "model_cifar_wrn.pt"
"""

BRIEFLY = """
title = "CIFAR-10 in a hurry"
dataset = "cifar10"

[threat]
norm = "linf"
eps = 0.031

[[attack]]
use = "clean"

[[attack]]
use = "pgd"
steps = 2
step_size = 0.003
"""


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_in_the_form_of_the_released_trades_model_runs(robeval, refused, home, real_data, tmp_path, prefix):
    """Plain or from DataParallel, written before 2020, with the block that is never used; another depth is refused."""
    for depth in (10, 16):
        (home / "zoo" / "cards" / f"thin{depth}.toml").write_text(RELEASED.format(depth=depth))
    (home / "suites" / "briefly.toml").write_text(BRIEFLY)
    state = registry.build("wide_resnet", {"depth": 10, "widen_factor": 2}, (3, 32, 32), 10, "").state_dict()
    state |= {f"sub_{name}": tensor for name, tensor in state.items() if name.startswith("block1.")}
    file = tmp_path / "model_cifar_wrn.pt"
    torch.save({prefix + name: tensor for name, tensor in state.items()}, file, _use_new_zipfile_serialization=False)
    words = "--suite", "briefly", "--checkpoint", file, "--limit", "2", "--data-root", real_data, "--device", "cpu"
    said = robeval("run", "--model", "thin10", *words)
    assert said.code == 0, said.err
    assert "thin10: dropped 13 tensors that the network does not use: sub_block1.*" in said.out
    assert "n = 2" in said.out
    assert "missing: block1.layer.1.bn1.weight" in refused("run", "--model", "thin16", *words)


def test_the_released_trades_model_at_its_full_size_by_its_own_card(robeval, home, real_data, tmp_path, monkeypatch):
    """Without its file the card's own command ends in one message; one of its form, from DataParallel, is loaded."""
    monkeypatch.setenv("ROBEVAL_OFFLINE", "1")
    monkeypatch.setenv("ROBEVAL_DATA", str(real_data))
    monkeypatch.setenv("ROBEVAL_CACHE", str(tmp_path / "cache"))
    said = robeval("run", "--suite", "cifar10_linf", "--model", "trades_wrn34")
    assert (said.code, said.out, said.err.count("robeval: ")) == (1, "", 1)
    card = cards.load("trades_wrn34")
    for part in (card.checkpoint.file, card.checkpoint.source, str(tmp_path / "cache" / "checkpoints")):
        assert part in said.err
    with torch.device("meta"):
        net = registry.build("wide_resnet", card.network.params, (3, 32, 32), 10, "")
    state = net.to_empty(device="cpu").state_dict()
    state |= {f"sub_{name}": tensor for name, tensor in state.items() if name.startswith("block1.")}
    for i, tensor in enumerate(state.values()):
        tensor.fill_(i)
    file = tmp_path / card.checkpoint.file
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, file, _use_new_zipfile_serialization=False)
    model = load_model(card, (3, 32, 32), 10, file)
    assert any("sub_block1.*" in note for note in model.notes)
    own = dict(model.module.named_parameters())
    assert sum(each.numel() for each in own.values()) == 46_160_474
    assert all(torch.equal(each, state[name]) for name, each in own.items())


TENSORFLOW = """
title = "As released, but thin"
dataset = "cifar10"

[network]
arch = "madry_resnet"
units = {units}
widen_factor = 1

[input]
{images}

[checkpoint]
file = "models.zip"
"""
MADRY = 'normalise = "per_image"'
BAT = 'normalise = "fixed"\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]'


@pytest.mark.parametrize(("images", "folder"), [(MADRY, "models/adv_trained"), (BAT, "mc_eps4")])
def test_a_checkpoint_in_the_form_of_madry_and_of_bat_runs(robeval, refused, home, real_data, tmp_path, images, folder):
    """The released names with five units in each group, only narrower, and Momentum; another depth is refused."""
    for units in (5, 3):
        (home / "zoo" / "cards" / f"thin{units}.toml").write_text(TENSORFLOW.format(units=units, images=images))
    (home / "suites" / "briefly.toml").write_text(BRIEFLY)
    draw = np.random.default_rng(0)
    weights = {name: draw.random(shape, np.float32) / 9 for name, shape in bundle.resnet(widen=1).items()}
    memory = {f"{name}/Momentum": value for name, value in weights.items() if "moving" not in name}
    prefix = bundle.write(tmp_path / folder / "checkpoint-200", weights | memory | {"global_step": np.array(78200)})
    words = "--suite", "briefly", "--limit", "2", "--data-root", real_data, "--device", "cpu"
    said = robeval("run", "--model", "thin5", *words, "--checkpoint", prefix.parent)
    assert said.code == 0, said.err
    assert f"thin5: dropped {len(memory) + 1} tensors of the optimiser" in said.out
    assert "n = 2" in said.out
    wrong = refused("run", "--model", "thin3", *words, "--checkpoint", prefix)
    assert "the weights do not fit the network" in wrong
    assert "unit_1_3/residual_only_activation/BatchNorm" in wrong


def test_inspect_says_what_is_in_a_file_and_gives_a_card(robeval, tmp_path):
    torch.save(registry.build("lenet5", {}, (1, 28, 28), 10, "").state_dict(), tmp_path / "mine.pt")
    said = robeval("zoo", "inspect", tmp_path / "mine.pt")
    assert said.code == 0
    for part in (
        "torch.save, zip archive",
        "linear2.weight",
        "10x200",
        "648,226 numbers",
        "It fits lenet5 (width=32, hidden=200)",
    ):
        assert part in said.out
    assert 'arch = "lenet5"' in said.out


def test_inspect_of_a_network_for_other_images(robeval, tmp_path):
    torch.save(registry.build("lenet5", {}, (3, 32, 32), 43, "").state_dict(), tmp_path / "mine.pt")
    said = robeval("zoo", "inspect", tmp_path / "mine.pt")
    assert said.code == 0
    assert "It fits lenet5 (width=32, hidden=200) on images of 3x32x32 in 43 classes." in said.out
    assert "No data set that robeval knows has such images" in said.out


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


RECIPE = """
title = "Trained for an epoch"
dataset = "digits"

[network]
arch = {arch}

[training]
method = "natural"
epochs = 1
batch_size = 200
learning_rate = 0.01
"""


def as_keras(net, folder):
    pytest.importorskip("h5py")
    (folder / "net.h5").write_bytes(keras(net.state_dict()))
    return folder / "net.h5"


def as_tensorflow(net, folder):
    """TensorFlow has channels last, in kernels, matrices and what is flattened."""
    variables = {}
    for weight, (name, maps) in net.variables().items():
        value = net.state_dict()[weight]
        if maps != (1, 1):
            value = value.unflatten(1, (-1, *maps)).permute(0, 2, 3, 1).flatten(1)
        axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[value.ndim]
        variables[name] = value.permute(axes).numpy()
    return bundle.write(folder / "checkpoint-1", variables).with_name("checkpoint-1.index")


@pytest.mark.parametrize(
    ("arch", "kind", "put"),
    [
        ('"keras_cnn"\nwidth = 4\nhidden = 16', "Keras weights, HDF5", as_keras),
        ('"madry_cnn"', "TensorFlow checkpoint, version 2", as_tensorflow),
    ],
    ids=["keras", "tensorflow"],
)
def test_networks_with_channels_last_go_through_their_formats_and_back(robeval, home, tmp_path, arch, kind, put):
    (tmp_path / "net.toml").write_text(RECIPE.format(arch=arch))
    said = robeval("train", tmp_path / "net.toml", "--out", tmp_path, "--device", "cpu")
    assert said.code == 0, said.err
    net = load_model(cards.load(str(tmp_path / "cards" / "net.toml")), (1, 8, 8), 10).module
    path = put(next(part for part in net.modules() if hasattr(part, "fc1") or hasattr(part, "d1")), tmp_path)
    assert kind in robeval("zoo", "inspect", path).out
    said = robeval("zoo", "convert", path, "--card", tmp_path / "net.toml", "--out", tmp_path / "out")
    assert said.code == 0, said.err
    back = load_model(cards.load(str(tmp_path / "out" / "cards" / "net.toml")), (1, 8, 8), 10).module
    x = torch.rand(20, 1, 8, 8)
    assert torch.equal(back(x), net(x))


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


def test_fetch(robeval, refused, home, web):
    weights = home / "zoo" / "checkpoints" / "small.safetensors"
    path = home / "zoo" / "cards" / "far.toml"
    text = (home / "zoo" / "cards" / "small.toml").read_text()
    path.write_text(text.replace("small.safetensors", "far.safetensors"))
    assert "is in none of" in refused("zoo", "fetch", "far")
    url = web.put("far", weights.read_bytes())
    path.write_text(f'{path.read_text()}\nurl = "{url}"\nsource = "the moon"\n')
    said = robeval("zoo", "fetch", "far")
    assert said.code == 0, said.err
    assert "fetching far.safetensors" in said.err
    assert "the card names none" in said.out
    assert "Weights: " in robeval("zoo", "far").out


def test_a_run_fetches_weights_or_ends_in_one_message(tiny, home, web, monkeypatch):
    weights = (home / "zoo" / "checkpoints" / "small.safetensors").read_bytes()
    (home / "zoo" / "checkpoints" / "small.safetensors").unlink()
    path = home / "zoo" / "cards" / "small.toml"
    path.write_text(f'{path.read_text()}\nurl = "{web.put("small", weights)}"\nsource = "the moon"\n')
    monkeypatch.setenv("ROBEVAL_OFFLINE", "1")
    said = tiny()
    assert said.code == 1
    assert said.out == ""
    assert said.err.count("robeval: ") == 1
    for part in ("small.safetensors", web.address, "ROBEVAL_OFFLINE", "Get it from the moon", "checkpoints"):
        assert part in said.err
    monkeypatch.delenv("ROBEVAL_OFFLINE")
    said = tiny()
    assert said.code == 0, said.err
    assert "pgd3" in said.out
