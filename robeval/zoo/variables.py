"""From the names that TensorFlow's variables have to those of a network's weights."""

import re
from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

# What a Saver writes beside the weights: the step, and an optimiser's memory of each weight.
MEMORY = re.compile(r"(global_step|beta[12]_power|(.+/)?(Momentum|Adam(_1)?))")


class Variable(NamedTuple):
    """A weight as TensorFlow's graph has it.

    Attributes:
        name: of the variable.
        maps: of a matrix behind a flattening, height and width of what was flattened: TensorFlow runs through rows,
            columns and channels, torch through channels, rows and columns.
    """

    name: str
    maps: tuple[int, int] = (1, 1)


@runtime_checkable
class FromTensorFlow(Protocol):
    """A network whose weights were also released as TensorFlow's checkpoints."""

    def variables(self) -> Mapping[str, Variable]:
        """The variable of each weight, by the weight's name in `state_dict`; counters have none."""
        ...


def renamed(state: Mapping[str, Tensor], module: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """The weights of a TensorFlow checkpoint by the network's own names, and which entries are no weights.

    Matrices and kernels have torch's order of axes already. Anything else comes back as it is.
    """
    variables = module.variables() if isinstance(module, FromTensorFlow) else {}
    own = {variable.name: name for name, variable in variables.items()}
    if own.keys().isdisjoint(state):
        return dict(state), []
    memory = [name for name in state if MEMORY.fullmatch(name)]
    found = {own.get(name, name): tensor for name, tensor in state.items() if name not in memory}
    for name, (_, maps) in variables.items():
        if maps != (1, 1) and name in found and found[name].shape == module.get_parameter(name).shape:
            split = found[name].unflatten(1, (*maps, -1))  # (out, rows, columns, channels)
            found[name] = split.permute(0, 3, 1, 2).flatten(1)
    return found, memory
