"""Files of weights for tests, as bytes: of every format the same small network."""

import io
import os
import warnings
import zipfile

import torch
from safetensors.torch import save as save_safetensors
from torch import nn

SHAPE = (1, 8, 8)


def network(classes: int = 10) -> nn.Module:
    """A convolution, batch normalisation with statistics of its own, and a linear layer; seeded."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, classes),
        )
        net(torch.rand(32, *SHAPE))
    return net.eval()


def torch_zip(value: object) -> bytes:
    """As torch.save writes today."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def torch_legacy(value: object) -> bytes:
    """As torch.save wrote before 2020."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def safetensors(value: object) -> bytes:
    """As safetensors."""
    return save_safetensors(value)


def torchscript(net: nn.Module) -> bytes:
    """As torch.jit.save writes a scripted module."""
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(net), file)
    return file.getvalue()


def repacked(content: bytes, change) -> bytes:
    """A zip archive with entries that `change(name, content)` returns."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


class Trap:
    """Creates a file when it is unpickled by a careless reader."""

    def __init__(self, path: object) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)
