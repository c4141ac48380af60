"""What `robeval train --method` fills in where nothing is said: settings that work on a data set, for any method."""

import inspect
from collections.abc import Mapping
from typing import Any

from robeval.train.registry import Entry
from robeval.values.threat import parse_number

# Balls, steps and loops are those of TRADES (section 5.3) where it has the data set; the rate falls as half a cosine,
# which needs no epochs to be named and so goes with any number of them.
_SETTINGS: dict[str, dict[str, Any]] = {
    "digits": {
        "norm": "linf",
        "eps": "3/16",
        "epochs": 40,
        "batch_size": 128,
        "optimiser": "adam",
        "learning_rate": 0.004,
        "schedule": "cosine",
        "channels_last": True,
        "threads": 1,
    },
    "mnist": {
        "norm": "linf",
        "eps": 0.3,
        "epochs": 100,
        "batch_size": 128,
        "optimiser": "sgd",
        "learning_rate": 0.01,
        "momentum": 0.9,
        "schedule": "cosine",
        "channels_last": True,
    },
    "cifar10": {
        "norm": "linf",
        "eps": "8/255",
        "epochs": 76,
        "batch_size": 128,
        "optimiser": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 2e-4,
        "schedule": "cosine",
        "pad": 4,
        "flip": "image",
    },
}
_STEPS = {"digits": 7, "mnist": 40, "cifar10": 10}
_NETWORK: dict[tuple[str, str], dict[str, Any]] = {
    ("digits", "small_cnn"): {"padding": 1},
    ("digits", "small_cnn_bn"): {"padding": 1},
}

# What is left alone where the first is given: it would not go with it.
_TOGETHER = {
    "optimiser": ("learning_rate", "momentum"),
    "decay_epochs": ("schedule",),
    "norm": ("eps",),
    "eps": ("norm",),
}


def fill(dataset: str, method: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of `[training]` for what is not given; none for a data set that nothing is known of.

    Of the method's own keywords only the number and length of steps, where it requires them: eps, or, of many steps,
    as much less as lets all together go 2.5 eps.
    """
    left = {key for first, others in _TOGETHER.items() if first in given for key in others}
    ball = set() if method.adversarial else {"norm", "eps"}
    wanted = {key: value for key, value in _SETTINGS.get(dataset, {}).items() if key not in left | ball | set(given)}
    own = inspect.signature(method.function).parameters
    required = {name for name, each in own.items() if each.default is inspect.Parameter.empty} - set(given)
    if "steps" in required and dataset in _STEPS:
        wanted["steps"] = _STEPS[dataset]
    eps = parse_number({**wanted, **given}.get("eps"))
    if "step_size" in required and eps and dataset in _STEPS:
        steps = {**wanted, **given}.get("steps", own["steps"].default if "steps" in own else 1)
        wanted["step_size"] = eps * min(1, 2.5 / steps) if isinstance(steps, int) and steps > 0 else eps
    return wanted


def fill_network(dataset: str, arch: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of `[network]` for what is not given."""
    return {key: value for key, value in _NETWORK.get((dataset, arch), {}).items() if key not in given}
