"""From an ONNX file to a network with gradients: `[network] arch = "onnx"`, where the file is all there is to know.

The packages that convert ONNX to torch load torchvision, which works with some builds of torch only; hence this one,
for the operators in `operators.py` and `shapes.py` and no others.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.zoo.formats import onnx as format_
from robeval.zoo.formats.refusals import brief, damaged
from robeval.zoo.onnx.operators import OPERATORS
from robeval.zoo.onnx.shapes import UnsupportedError

ARCH = "onnx"  # what a card calls it
OLDEST = 7  # opset; before it, arithmetic broadcasts by other rules
MOST = 2**28  # numbers that one step may make of an image: 1 GiB
FLOAT = 1  # float32, as an element type
OWN = "Build the network in torch, and give it with `--model package.module:factory`."


@dataclass(frozen=True, slots=True)
class Step:
    """A node of the graph: an operator, the names of its inputs ("" for none) and of its first output."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


class Graph(nn.Module):
    """The steps of an ONNX graph, one after the other.

    Args:
        weights: float32, by the names of the graph.
        constants: whole numbers and single ones, such as shapes and bounds, which stay on the CPU.
        image: the name of the input.
        logits: the name of the output.
        alone: whether the graph is of a single image; then every image goes through it for itself.
    """

    def __init__(
        self,
        steps: tuple[Step, ...],
        weights: Mapping[str, Tensor],
        constants: Mapping[str, Tensor],
        image: str,
        logits: str,
        alone: bool,
    ) -> None:
        super().__init__()
        self.steps, self.image, self.logits, self.alone = steps, image, logits, alone
        self.names, self.constants = tuple(weights), dict(constants)
        self.weights = nn.ParameterList(nn.Parameter(each, requires_grad=False) for each in weights.values())

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        if not self.alone:
            return self.run(x)
        each: Tensor = torch.vmap(lambda image: self.run(image[None])[0])(x)
        return each

    def run(self, x: Tensor, most: int | None = None) -> Tensor:
        """The graph itself.

        Raises:
            UnsupportedError: a step is of a kind not known here, or makes more than `most` numbers.
        """
        values: dict[str, Any] = {**self.constants, **dict(zip(self.names, self.weights)), self.image: x, "": None}
        for step in self.steps:
            try:
                made = OPERATORS[step.operator](*(values[name] for name in step.inputs), **step.attributes)
            except UnsupportedError as error:
                raise UnsupportedError(f"{step.operator} {error}") from None
            if most is not None and made.numel() > most:
                raise UnsupportedError(f"{step.operator} making {made.numel()} numbers of an image")
            values[step.output] = made
        return values[self.logits]


def load(path: Path, shape: tuple[int, int, int]) -> tuple[Graph, int]:
    """The network in a file, and the number of its logits.

    Args:
        shape: channels, height and width of the images.

    Raises:
        UserError: the file cannot be read, or its network takes other images, gives no logits, or computes what is not
            known here.
    """
    model = format_.parse(path)
    try:
        graph = _graph(model, shape, path)
    except UserError:
        raise
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise damaged(path, brief(error)) from None
    return graph, _tried(graph, shape, path)


def _graph(model: Any, shape: tuple[int, int, int], path: Path) -> Graph:
    _refuse_unknown(model, path)
    image, alone = _image(model.graph, shape, path)
    steps, numbers = [], {each.name: format_.tensor(each, path) for each in model.graph.initializer}
    for node in model.graph.node:
        attributes = {each.name: each for each in node.attribute}
        if node.op_type == "Constant":
            numbers[node.output[0]] = _constant(attributes, path)
        else:
            plain = {name.lower(): _attribute(each) for name, each in attributes.items()}
            steps.append(Step(node.op_type, tuple(node.input), node.output[0], plain))
    used = {name for step in steps for name in step.inputs}
    weights = {name: each for name, each in numbers.items() if name in used and each.is_floating_point() and each.ndim}
    constants = {name: each for name, each in numbers.items() if name in used and name not in weights}
    return Graph(tuple(steps), weights, constants, image, model.graph.output[0].name, alone)


def _refuse_unknown(model: Any, path: Path) -> None:
    versions = {each.domain: each.version for each in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    if version < OLDEST:
        found = f"this ONNX network is of opset {version}; known are {OLDEST} and later"
        raise UserError(found, where=path, fix=f"Convert it with onnx.version_converter, or: {OWN}")
    kinds = {node.op_type for node in model.graph.node}
    if kinds & {"Softmax", "LogSoftmax"}:
        raise UserError(
            "this ONNX network has a softmax in it; attacks need the logits before it",
            where=path,
            fix="Export the network without its softmax.",
        )
    own = [f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in ("", "ai.onnx")]
    unknown = own or sorted(kinds - {"Constant", *OPERATORS})
    if unknown or model.functions or model.graph.sparse_initializer:
        found = f"this ONNX network has operators that are not known here: {', '.join(unknown) or 'functions'}"
        raise UserError(found, where=path, fix=f"Known: {', '.join(OPERATORS)}. {OWN}")


def _image(graph: Any, shape: tuple[int, int, int], path: Path) -> tuple[str, bool]:
    """The name of the input that takes images, and whether it takes one at a time."""
    inherent = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in inherent]
    if len(inputs) != 1 or len(graph.output) != 1:
        found = f"this ONNX network has {len(inputs)} inputs and {len(graph.output)} outputs, expected one of each"
        raise UserError(found, where=path, fix=OWN)
    kind = inputs[0].type.tensor_type
    sizes = [size.dim_value for size in kind.shape.dim]  # 0 where any is fine
    fits = len(sizes) == 4 and all(size in (0, wanted) for size, wanted in zip(sizes[1:], shape))
    if not fits or sizes[0] not in (0, 1) or kind.elem_type != FLOAT:
        words = "x".join(str(size or "any") for size in sizes)
        numbers = "numbers" if kind.elem_type == FLOAT else "numbers other than float32"
        wanted = "x".join(map(str, (1, *shape)))
        found = f"this ONNX network takes {numbers} of shape {words}, expected {wanted} or any number of images"
        raise UserError(found, where=path, fix=f"Export it for images of that shape, channels first, or: {OWN}")
    return inputs[0].name, sizes[0] == 1


def _constant(attributes: Mapping[str, Any], path: Path) -> Tensor:
    """What a Constant holds."""
    for name, each in attributes.items():
        match name:
            case "value":
                return format_.tensor(each.t, path)
            case "value_int" | "value_ints":
                return torch.tensor(list(each.ints) if name.endswith("s") else each.i, dtype=torch.int64)
            case "value_float" | "value_floats":
                return torch.tensor(list(each.floats) if name.endswith("s") else each.f, dtype=torch.float32)
    raise damaged(path, f"a Constant that holds {', '.join(attributes) or 'nothing'}")


def _attribute(described: Any) -> Any:
    """A number, numbers or bytes; None of subgraphs and the like, which no operator here takes."""
    return {
        1: described.f,
        2: described.i,
        3: described.s,
        6: tuple(described.floats),
        7: tuple(described.ints),
    }.get(described.type)


def _tried(graph: Graph, shape: tuple[int, int, int], path: Path) -> int:
    """The number of logits, from a run without numbers: shapes alone, however large they are."""
    count = 1 if graph.alone else 2
    images = torch.empty(count, *shape, device="meta")
    try:
        with torch.no_grad():
            logits = copy.deepcopy(graph).to("meta").run(images, most=MOST * count)
    except UnsupportedError as error:
        raise UserError(
            f"this ONNX network has a use of an operator not known here: {error}", where=path, fix=OWN
        ) from None
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be computed
        raise UserError(
            f"this ONNX network cannot be computed on {count} images of {'x'.join(map(str, shape))}: {brief(error)}",
            where=path,
            fix=f"Export it again with a dynamic batch size, or: {OWN}",
        ) from None
    if logits.ndim != 2 or len(logits) != count:
        found = f"this ONNX network gives {'x'.join(map(str, logits.shape))} numbers for {count} images, not logits"
        raise UserError(found, where=path, fix=f"Export it again with a dynamic batch size, or: {OWN}")
    return logits.shape[1]
