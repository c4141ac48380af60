"""The user's own model by name: `package.module:factory`."""

import importlib
import re
import sys
from pathlib import Path

from torch import nn

from robeval.errors import UserError
from robeval.zoo import checkpoints
from robeval.zoo.carried import numbers
from robeval.zoo.layouts import fit

_FORM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_factory(name: str) -> bool:
    """Whether a model's name has the form `package.module:factory`."""
    return bool(_FORM.fullmatch(name))


def make(name: str, checkpoint: Path | None) -> nn.Module:
    """The `nn.Module` that the factory returns when it is called without arguments, with weights if a file is given.

    The module is imported, from the working folder too, and the factory called: this runs the user's own code. The
    file of weights is only read.

    Raises:
        UserError: it cannot be imported or called, returns something else, or the weights do not fit.
    """
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
        network = found() if callable(found) and not isinstance(found, nn.Module) else found
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        reason = f"{type(error).__name__}: {str(error).strip() or 'no message'}".splitlines()[0]
        fix = "Give module:factory, where calling factory() returns an nn.Module."
        raise UserError(f"'{name}' gives no model: {reason}", where="--model", fix=fix) from None
    finally:
        sys.path.remove(here)
    if not isinstance(network, nn.Module):
        fix = "Let it return an nn.Module that maps images in [0, 1] to logits."
        raise UserError(f"'{name}' gives a {type(network).__name__}, expected an nn.Module", where="--model", fix=fix)
    if checkpoint is not None:
        weights = checkpoints.read(checkpoint)
        if numbers(weights) and not numbers(network.state_dict()):
            raise UserError(
                "the file holds mean and deviation of an input layer, and the module has no place for them",
                where=checkpoint,
                fix="Write a card, whose [input] can have them, or give the module such buffers.",
            )
        fit(weights, network, checkpoint)
    return network
