"""What torch would do with the pickles that `torch.save` wrote, found out without doing it.

torch's own reader calls few functions only; but some of these make as much of a single number as it says, others copy
what they are given as often as the file says. So the instructions are followed first by a machine that calls nothing,
and what state_dicts and the counters around them are not made of is refused.
"""

from io import BytesIO
from typing import Any

from robeval.zoo.formats.instructions import MOST, Machine, Name, RefusedError, keys

PARAMETER = "torch.nn.parameter Parameter"
BUILT = (
    PARAMETER,
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_parameter_with_state",
    "torch device",
)
# Whose names may stand in a file at all: types of numbers and storages are named without being called.
PACKAGES = ("torch", "collections", "_codecs", "builtins", "__builtin__")
LISTS = ("torch Size", "_codecs encode")  # the latter is how bytes are written
FILLED = (*LISTS, "collections OrderedDict", "collections Counter", "builtins set", "__builtin__ set")
# What makes tensors that no network here takes, and of which kind they are.
ODD = {
    "torch._utils _rebuild_sparse_tensor": "sparse",
    "torch.serialization _get_layout": "sparse",
    "torch._utils _rebuild_qtensor": "quantized",
    "torch._utils _rebuild_nested_tensor": "nested",
    "torch._utils _rebuild_meta_tensor_no_storage": "on the device `meta`, which holds no numbers",
}


class OddError(Exception):
    """Of which kind its tensors are."""


class _Mapping(dict[Any, Any]):
    """An OrderedDict, which may have attributes."""


class Foresight(Machine):
    """Follows pickles of one file.

    Args:
        size: bytes of the file.
    """

    def __init__(self, size: int) -> None:
        super().__init__(self._made, self._stored, lambda name: name == PARAMETER)
        self.left, self.copied, self.storages = size, 0, set[str]()

    def push(self, value: object) -> None:
        """Put a value on the stack, unless it is another package's class or function."""
        if isinstance(value, Name) and value.text.replace(" ", ".").split(".")[0] not in PACKAGES:
            raise RefusedError(value.text)
        super().push(value)

    def fill(self, attributes: object) -> None:
        """The attributes of an OrderedDict."""
        if not isinstance(self.stack[-1], _Mapping) or not isinstance(attributes, dict):
            raise RefusedError("__setstate__")
        self._copy(len(attributes))

    def _made(self, name: str, arguments: tuple[Any, ...]) -> object:
        """What stands for the outcome of a call."""
        if name in ODD:
            raise OddError(ODD[name])
        if name in FILLED:
            return self._filled(name, *arguments)
        if name not in BUILT:
            raise RefusedError(name)
        return None

    def _filled(self, name: str, given: Any = (), *_: object) -> object:
        """A container is made of a list, a tuple or a dictionary, and is a copy of that."""
        if not isinstance(given, list | tuple | dict | str):
            raise TypeError(f"it has a {name.split()[1]} of something else than a list")
        self._copy(len(given))
        if name in LISTS:
            return None
        pairs = name == "collections OrderedDict" and not isinstance(given, dict)
        return _Mapping.fromkeys(keys(pair[0] for pair in given) if pairs else keys(given))

    def _copy(self, count: int) -> None:
        self.copied += count
        if self.copied > MOST:
            raise ValueError(f"it copies more than {MOST} values")

    def _stored(self, mark: str, kind: Name, key: str = "", device: str = "", count: int = 0, *_: object) -> None:
        """All numbers together, each of a byte at the least, are in the file."""
        if mark != "storage":  # but "module", with its class and source
            raise RefusedError(kind.text)
        if key not in self.storages:
            self.storages.add(key)
            self.left -= count
        if count < 0 or self.left < 0:
            raise ValueError("it declares tensors that it does not hold")


def refuse(pickles: BytesIO, count: int, size: int) -> None:
    """Complain of what torch should not follow.

    Args:
        pickles: that many one after the other.
        size: bytes of the file that they are in.

    Raises:
        RefusedError: it would take code.
        OddError: the tensors are of a kind of which no network here is.
        Exception: whatever comes of instructions that make no sense.
    """
    for _ in range(count):
        Foresight(size).follow(pickles)
