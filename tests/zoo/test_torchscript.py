"""TorchScript archives: the weights are read, and the code is not."""

import io
import pickle
import warnings

import pytest
import torch
from torch import nn
from weightfiles import SHAPE, Trap, network, repacked, torchscript

from robeval.errors import UserError
from robeval.zoo import checkpoints
from robeval.zoo.layouts import fit


def traced(net):
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.trace(net, torch.rand(2, *SHAPE)), file)
    return file.getvalue()


@pytest.mark.parametrize("pack", [torchscript, traced])
def test_the_weights_have_the_names_of_the_module(tmp_path, pack):
    path, net = tmp_path / "net.pt", network()
    path.write_bytes(pack(net))
    weights = checkpoints.read(path)
    assert checkpoints.kind(path) == "TorchScript archive"
    assert weights.keys() == net.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in net.state_dict().items())


def test_strides_precisions_and_shared_numbers(tmp_path):
    net = nn.Linear(3, 2).double()
    net.weight = nn.Parameter(torch.arange(12.0).reshape(3, 4)[:, 1:3].T)
    net.register_buffer("small", torch.tensor([1.5], dtype=torch.float16))
    net.register_buffer("flags", torch.tensor([True, False]))
    net.register_buffer("same", net.weight.detach())
    net.register_buffer("none", torch.empty(0, 2))
    path = tmp_path / "net.pt"
    path.write_bytes(torchscript(net))
    weights = checkpoints.read(path)
    assert weights.keys() == net.state_dict().keys()
    for name, tensor in net.state_dict().items():
        assert weights[name].dtype == tensor.dtype
        assert torch.equal(weights[name], tensor)


def test_code_is_not_even_looked_at(tmp_path):
    path, net = tmp_path / "net.pt", network()
    garbage = repacked(torchscript(net), lambda name, old: b"import os; os.abort()" if "/code/" in name else old)
    path.write_bytes(garbage)
    assert fit(checkpoints.read(path), network(), path) == ()
    with warnings.catch_warnings(action="ignore"), pytest.raises(RuntimeError):
        torch.jit.load(io.BytesIO(garbage))


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        checkpoints.read(path)
    return str(caught.value)


@pytest.mark.parametrize("protocol", [1, 2, 4])
@pytest.mark.parametrize("inside", [lambda trap: trap, lambda trap: {"0.weight": trap}, lambda trap: [[trap]]])
def test_a_planted_pickle_is_never_executed(tmp_path, protocol, inside):
    sprung = tmp_path / "sprung"
    planted = pickle.dumps(inside(Trap(sprung)), protocol)
    message = refused(
        tmp_path / "net.pt",
        repacked(torchscript(network()), lambda name, old: planted if name.endswith("/data.pkl") else old),
    )
    assert "nothing in it was executed" in message
    assert not sprung.exists()


def test_what_would_be_called_is_named(tmp_path):
    planted = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
    message = refused(
        tmp_path / "net.pt",
        repacked(torchscript(network()), lambda name, old: planted if name.endswith("/data.pkl") else old),
    )
    assert "(posix.system)" in message


def test_frozen_modules_have_no_weights_left(tmp_path):
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.freeze(torch.jit.script(network())), file)
    assert "it was frozen" in refused(tmp_path / "net.pt", file.getvalue())


def test_a_module_of_endless_parts_is_given_up_in_time(tmp_path):
    """Each part holds the next twice: forty lines describe a million million parts."""
    part = b"c__torch__\nPart\n)\x81}("
    names = [b"X\x01\x00\x00\x00" + letter for letter in (b"a", b"b")]
    described = b"\x80\x02c__torch__\nPart\n)\x81}bq\x00"
    for level in range(40):
        described += part + names[0] + b"h" + bytes([level]) + names[1] + b"h" + bytes([level]) + b"ub"
        described += b"q" + bytes([level + 1])
    message = refused(
        tmp_path / "net.pt",
        repacked(torchscript(network()), lambda name, old: described + b"." if name.endswith("/data.pkl") else old),
    )
    assert "more than 100000 parts" in message
