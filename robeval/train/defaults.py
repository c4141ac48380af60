"""What `robeval train --method` fills in where nothing is said: settings that work on a data set, for any method."""

import inspect
from collections.abc import Mapping
from typing import Any

from robeval.train.registry import Entry
from robeval.values.threat import parse_number

# Batches and rates are those of TRADES (section 5.3) where it has the data set; the ball on CIFAR-10 is that of most
# comparisons. The rate falls as half a cosine, which needs no epochs to be named and so goes with any number of them.
# What is for two digits is of TRADES (Table 3) and Tsipras et al. (Table 2, 100 epochs), where they say it.
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
_PAIR = {"norm": "linf", "batch_size": 128, "optimiser": "sgd", "momentum": 0.9}
_SETTINGS |= {
    "mnist_1_3": {**_PAIR, "eps": 0.1, "epochs": 30, "learning_rate": 0.01},
    "mnist_5_7": {**_PAIR, "eps": 0.2, "epochs": 100, "learning_rate": 0.01},
    "digits_1_3": {**_PAIR, "eps": "1/16", "epochs": 30, "learning_rate": 0.01, "threads": 1},
    "digits_5_7": {**_PAIR, "eps": "2/16", "epochs": 100, "learning_rate": 0.01, "threads": 1},
}

# What `trades` itself was released with: its ball and steps where none of them is given, its rate where no epochs are.
_TRADES_BALL: dict[str, dict[str, Any]] = {
    "mnist": {"norm": "linf", "eps": 0.3, "steps": 40, "step_size": 0.01},
    "cifar10": {"norm": "linf", "eps": 0.031, "steps": 10, "step_size": 0.007},
}
_TRADES_RATE = {"mnist": [55, 75, 90], "cifar10": [75, 90, 100]}

_STEPS = {"mnist_1_3": 20, "mnist_5_7": 20, "digits_1_3": 20, "digits_5_7": 20, "digits": 7, "mnist": 40, "cifar10": 10}
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
    if method.name == "trades":
        wanted = _as_released(dataset, wanted, given)
    own = inspect.signature(method.function).parameters
    required = {name for name, each in own.items() if each.default is inspect.Parameter.empty} - {*given, *wanted}
    if "steps" in required and dataset in _STEPS:
        wanted["steps"] = _STEPS[dataset]
    eps = parse_number({**wanted, **given}.get("eps"))
    if "step_size" in required and eps and dataset in _STEPS:
        steps = {**wanted, **given}.get("steps", own["steps"].default if "steps" in own else 1)
        wanted["step_size"] = eps * min(1, 2.5 / steps) if isinstance(steps, int) and steps > 0 else eps
    return wanted


def _as_released(dataset: str, wanted: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted, with TRADES's own ball, steps and rate where what is given leaves them whole."""
    ball, starts = _TRADES_BALL.get(dataset, {}), _TRADES_RATE.get(dataset)
    if not set(ball) & set(given):
        wanted = wanted | ball
    if starts and not {"epochs", "schedule", "decay_epochs", "optimiser"} & set(given):
        wanted = {key: value for key, value in wanted.items() if key != "schedule"} | {"decay_epochs": starts}
    return wanted


def fill_network(dataset: str, arch: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of `[network]` for what is not given."""
    return {key: value for key, value in _NETWORK.get((dataset, arch), {}).items() if key not in given}
