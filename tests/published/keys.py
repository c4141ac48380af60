"""What the papers share: a loop without anything, and how a name is taken apart."""

import re
from typing import Any

Keys = dict[str, Any]

PLAIN: Keys = {
    "replays": 1,
    "reduction": "mean",
    "optimiser": "sgd",
    "momentum": 0.0,
    "weight_decay": 0.0,
    "decay_on": "all",
    "schedule": "steps",
    "warmup_epochs": 0.0,
    "decay_epochs": (),
    "decay_factor": 0.1,
    "pad": 0,
    "cut_from": "image",
    "pad_with": "zero",
    "flip": "none",
    "ema": 0.0,
    "validation": 0.0,
    "validation_steps": 10,
    "keep_epochs": (),
    "precision": "float32",
    "channels_last": False,
    "seed": 0,
    "threads": 0,
    "norm": "linf",
    "eps": 0.0,
}
UNCHANGED = ("none", (), ())

# Each method's keywords where a paper does not choose others.
MADRY: Keys = {"random_start": True, "attack_mode": "train", "clean_share": 0.0}
TRADES: Keys = {"detach_clean": False, "attack_mode": "eval"}


class UnexpectedError(LookupError):
    """A recipe that nobody wrote down what it has to be."""


def match(pattern: str, name: str) -> re.Match[str]:
    """The parts of a name.

    Raises:
        UnexpectedError: it is not of this form.
    """
    found = re.fullmatch(pattern, name)
    if not found:
        raise UnexpectedError(f"no expectation for the recipe '{name}': write one")
    return found
