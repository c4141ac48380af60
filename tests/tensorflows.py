"""TensorFlow checkpoints and the networks that they belong to: what their tests share."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from robeval.values.card import Input, ModelCard, Network
from robeval.zoo.load import load_model

FIXTURES = Path(__file__).parent / "zoo" / "fixtures"
MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
NARROW = Network("madry_resnet", {"units": 1, "widen_factor": 1})
PER_IMAGE, TWICE = Input("per_image"), Input("fixed", (0.5,) * 3, (0.5,) * 3)
SMALL = {"a/DW": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1.5, 2]), "c": np.array(7)}


def narrow(folder, wanted):
    return load_model(ModelCard("n", "N", "cifar10", NARROW, wanted), CIFAR, 10, folder)


def distance(model, file, key):
    kept = np.load(FIXTURES / file)
    with torch.no_grad():
        return float((model.module(torch.from_numpy(kept["images"])) - torch.from_numpy(kept[key])).abs().max())


def packed(folder, path, inside="models/secret/"):
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(folder.iterdir()):
            archive.write(each, f"{inside}{each.name}")
    return path
