"""The few pickle instructions that torch and TorchScript write, followed without importing or calling anything."""

import pickletools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

MOST = 1 << 19  # instructions; the largest networks of the papers need some ten thousand
WIDEST = 1 << 60  # of whole numbers that are keys: larger ones may be chosen so that a dictionary takes hours


class RefusedError(Exception):
    """An instruction or a name that only running code could follow."""


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a class or function, "module name"."""

    text: str


@dataclass(slots=True, eq=False)
class Holder:
    """An object of a class that nobody looks up: what the class would have been given."""

    attributes: Mapping[Any, Any] = field(default_factory=dict)


class Machine:
    """A stack, a memory, and what may be made.

    Args:
        make: called with a function's name and arguments; returns what it makes of them, or raises `RefusedError`.
        storage: called with the parts of a persistent id.
        holds: whether objects of the class of this name become a `Holder`.
    """

    def __init__(
        self, make: Callable[[str, Any], object], storage: Callable[..., object], holds: Callable[[str], bool]
    ) -> None:
        self.make, self.storage, self.holds = make, storage, holds
        self.stack: list[Any] = []
        self.marks: list[int] = []  # how high the stack was at each
        self.memory: dict[int, Any] = {}

    def follow(self, described: bytes | BytesIO) -> Any:
        """What the instructions describe, of a stream up to the first end of any.

        Raises:
            RefusedError: one of them is unknown, or `make` refuses.
            Exception: whatever comes of instructions that make no sense.
        """
        for count, (instruction, given, _) in enumerate(pickletools.genops(described)):
            if count == MOST:
                raise ValueError(f"it is described in more than {MOST} instructions")
            if instruction.name == "STOP":
                return self.stack.pop()
            if instruction.name not in INSTRUCTIONS:
                raise RefusedError(instruction.name)
            INSTRUCTIONS[instruction.name](self, given)
        raise EOFError

    def push(self, value: object) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def marked(self) -> list[Any]:
        """Take everything above the last mark off the stack, and the mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def last(self, count: int) -> list[Any]:
        """Take so many values off the stack."""
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def call(self, name: Name, arguments: Any) -> None:
        """What would be a call."""
        self.push(self.make(name.text, arguments))

    def construct(self, name: Name, _: object) -> None:
        """What would be a new object."""
        if not self.holds(name.text):
            raise RefusedError(name.text)
        self.push(Holder())

    def fill(self, attributes: object) -> None:
        """What would be `__setstate__`."""
        if not isinstance(self.stack[-1], Holder) or not isinstance(attributes, dict):
            raise RefusedError("__setstate__")
        self.stack[-1].attributes = attributes


def _keep(machine: Machine, where: int) -> None:
    machine.memory[where] = machine.stack[-1]


def _literal(machine: Machine, given: object) -> None:
    machine.push(given)


def _recall(machine: Machine, where: int) -> None:
    machine.push(machine.memory[where])


def _pairs(machine: Machine, items: list[Any]) -> None:
    machine.stack[-1].update(zip(keys(items[::2]), items[1::2]))


def keys(items: Iterable[Any]) -> Iterator[Any]:
    """The same, if they are plain values: a tuple of tuples, each twice, may take any time to look up.

    Raises:
        TypeError: they are not.
    """
    for item in items:
        if not isinstance(item, str | bytes | int | float | None) or (isinstance(item, int) and abs(item) >= WIDEST):
            raise TypeError("it has keys that are neither texts nor plain numbers")
        yield item


INSTRUCTIONS: dict[str, Callable[[Machine, Any], object]] = {
    "PROTO": lambda machine, given: None,
    "GLOBAL": lambda machine, given: machine.push(Name(given)),
    "MARK": lambda machine, given: machine.marks.append(len(machine.stack)),
    "NONE": lambda machine, given: machine.push(None),
    "NEWTRUE": lambda machine, given: machine.push(True),
    "NEWFALSE": lambda machine, given: machine.push(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _literal),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINSTRING"), _literal),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _keep),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _recall),
    "EMPTY_TUPLE": lambda machine, given: machine.push(()),
    "TUPLE": lambda machine, given: machine.push(tuple(machine.marked())),
    "TUPLE1": lambda machine, given: machine.push(tuple(machine.last(1))),
    "TUPLE2": lambda machine, given: machine.push(tuple(machine.last(2))),
    "TUPLE3": lambda machine, given: machine.push(tuple(machine.last(3))),
    "EMPTY_LIST": lambda machine, given: machine.push([]),
    "APPEND": lambda machine, given: machine.stack[-2].append(machine.stack.pop()),
    "APPENDS": lambda machine, given: machine.stack[-1].extend(items) if (items := machine.marked()) else None,
    "EMPTY_SET": lambda machine, given: machine.push(set()),
    "EMPTY_DICT": lambda machine, given: machine.push({}),
    "SETITEM": lambda machine, given: _pairs(machine, machine.last(2)),
    "SETITEMS": lambda machine, given: _pairs(machine, machine.marked()),
    "BINPERSID": lambda machine, given: machine.push(machine.storage(*machine.stack.pop())),
    "NEWOBJ": lambda machine, given: machine.construct(*machine.last(2)),
    "REDUCE": lambda machine, given: machine.call(*machine.last(2)),
    "BUILD": lambda machine, given: machine.fill(machine.stack.pop()),
}
