"""Networks in ONNX files, beside the reference implementation of the onnx package and, where it is, onnxruntime."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from weightfiles import SHAPE, network, onnx_model

from robeval.errors import UserError
from robeval.values.card import ModelCard, Network
from robeval.zoo import checkpoints
from robeval.zoo.inspect import inspect
from robeval.zoo.layouts import fit
from robeval.zoo.load import load_model
from robeval.zoo.onnx import graph
from robeval.zoo.onnx.operators import OPERATORS

onnx = pytest.importorskip("onnx")
helper, numpy_helper, FLOAT = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
Reference = pytest.importorskip("onnx.reference").ReferenceEvaluator

DRAW = np.random.default_rng(0)
CARD = ModelCard("net", "Net", "digits", Network("onnx"), where="net.toml")
IMAGE = (2, 6, 7)


def numbers(*shape):
    return DRAW.normal(size=shape).astype(np.float32)


def whole(*values):
    return np.array(values, np.int64)


def model(nodes, weights=(), opset=17, shape=IMAGE, batch="n", outputs=("y",)):
    """A model from nodes (operator, inputs, output, attributes); weights by name."""
    made = [helper.make_node(kind, inputs, [output], **attributes) for kind, inputs, output, attributes in nodes]
    about = helper.make_graph(
        made,
        "test",
        [helper.make_tensor_value_info("x", FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in dict(weights).items()],
    )
    return helper.make_model(about, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.fixture
def put(tmp_path):
    def write(made):
        path = tmp_path / "net.onnx"
        path.write_bytes(made.SerializeToString())
        return path

    return write


def answers(made, x):
    """What others compute, image by image if the model takes one at a time."""
    alone = made.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    parts = [x[i : i + 1] for i in range(len(x))] if alone else [x]
    runs = [Reference(made)]
    if importlib.util.find_spec("onnxruntime"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        runs.append(onnxruntime.InferenceSession(made.SerializeToString(), options))
    name = made.graph.input[0].name
    return [np.concatenate([run.run(None, {name: part})[0] for part in parts]) for run in runs]


def agrees(path, made, shape=IMAGE):
    x = numbers(3, *shape)
    net, logits = graph.load(path, shape)
    found = net(torch.from_numpy(x)).detach().numpy()
    assert found.shape == (3, logits)
    for expected in answers(made, x):
        assert np.allclose(found, expected, atol=1e-5)


POOL = {"kernel_shape": [3, 2], "strides": [2, 2]}
BN = [np.abs(numbers(2)) + 0.5 for _ in range(4)]
# Operator, its other inputs, attributes, opset; what it makes of an image is flattened.
CASES = [
    ("Conv", [numbers(4, 2, 3, 3), numbers(4)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}, 17),
    ("Conv", [numbers(4, 1, 3, 2)], {"pads": [0, 1, 2, 0], "group": 2, "dilations": [2, 1]}, 17),
    ("Conv", [numbers(4, 2, 3, 4)], {"auto_pad": "SAME_UPPER", "strides": [2, 3]}, 17),
    ("Conv", [numbers(4, 2, 3, 4)], {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, 17),
    ("Conv", [numbers(4, 2, 3, 4)], {"auto_pad": "VALID"}, 17),
    ("BatchNormalization", BN, {"epsilon": 0.01, "momentum": 0.9}, 17),
    ("BatchNormalization", BN, {}, 15),
    ("MaxPool", [], POOL | {"pads": [1, 0, 1, 0]}, 17),
    ("MaxPool", [], POOL | {"pads": [0, 1, 1, 0]}, 17),
    ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, 17),
    ("AveragePool", [], POOL | {"pads": [1, 1, 1, 1]}, 17),
    ("AveragePool", [], POOL | {"pads": [1, 0, 1, 1], "count_include_pad": 1}, 17),
    ("AveragePool", [], {"kernel_shape": [2, 2]}, 17),
    ("GlobalAveragePool", [], {}, 17),
    ("ReduceMean", [], {"axes": [2, 3], "keepdims": 0}, 13),
    ("ReduceMean", [whole(3)], {}, 18),
    ("Add", [numbers(2, 1, 1)], {}, 17),
    ("Sub", [numbers(6, 7)], {}, 17),
    ("Mul", [numbers(1)], {}, 17),
    ("Mul", [np.float32(3)], {}, 17),
    ("Div", [np.abs(numbers(2, 6, 7)) + 1], {}, 17),
    ("Neg", [], {}, 17),
    ("Relu", [], {}, 17),
    ("LeakyRelu", [], {"alpha": 0.2}, 17),
    ("LeakyRelu", [], {}, 17),
    ("Sigmoid", [], {}, 17),
    ("Tanh", [], {}, 17),
    ("Clip", [np.float32(-0.5), np.float32(0.7)], {}, 17),
    ("Clip", [], {"min": -0.5, "max": 0.5}, 7),
    ("Clip", [], {"max": 0.5}, 7),
    ("MatMul", [numbers(7, 3)], {}, 17),
    ("Flatten", [], {"axis": -3}, 17),
    ("Reshape", [whole(0, -1, 2)], {}, 17),
    ("Transpose", [], {"perm": [0, 2, 3, 1]}, 17),
    ("Concat", ["x"], {"axis": 1}, 17),
    ("Gather", [whole(1, -1, 0)], {"axis": 2}, 17),
    ("Slice", [whole(1, 0), whole(100, -2), whole(2, 3), whole(2, 1)], {}, 17),
    ("Slice", [], {"starts": [1], "ends": [3], "axes": [3]}, 9),
    ("Unsqueeze", [], {"axes": [1, 4]}, 9),
    ("Unsqueeze", [whole(1, -1)], {}, 17),
    ("Pad", [whole(0, 0, 1, 2, 0, 0, 0, 3)], {}, 17),
    ("Pad", [whole(0, 0, 1, 2, 0, 0, 0, 3), np.float32(0.5)], {"mode": "constant"}, 17),
    ("Pad", [whole(0, 0, 1, 2, 0, 0, 0, 3)], {"mode": "reflect"}, 17),
    ("Pad", [whole(0, 0, 1, 2, 0, 0, 0, 3)], {"mode": "edge"}, 17),
    ("Pad", [whole(1, 2), np.float32(0), whole(-1)], {}, 18),
    ("Pad", [], {"pads": [0, 0, 1, 2, 0, 0, 0, 3], "value": 0.5}, 9),
    ("Cast", [], {"to": 1}, 17),
    ("Identity", [], {}, 17),
    ("Dropout", [], {}, 17),
]


@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize(
    ("kind", "others", "attributes", "opset"), CASES, ids=[f"{case[0]}-{case[3]}" for case in CASES]
)
def test_an_operator_is_that_of_the_reference(put, kind, others, attributes, opset, batch):
    weights = {f"w{i}": np.asarray(other) for i, other in enumerate(others) if not isinstance(other, str)}
    inputs = ["x", *(other if isinstance(other, str) else f"w{i}" for i, other in enumerate(others))]
    made = model([(kind, inputs, "z", attributes), ("Flatten", ["z"], "y", {})], weights, opset, batch=batch)
    agrees(put(made), made)


@pytest.mark.parametrize(
    "attributes", [{"transB": 1}, {"transB": 1, "alpha": 0.5, "beta": 2.0}, {"transA": 0, "transB": 1, "beta": 0.5}]
)
def test_a_linear_layer(put, attributes):
    weights = {"w": numbers(5, 84), "b": numbers(5)}
    made = model([("Flatten", ["x"], "z", {}), ("Gemm", ["z", "w", "b"], "y", attributes)], weights)
    agrees(put(made), made)


@pytest.mark.parametrize("batch", ["n", 1])
def test_shapes_that_are_computed(put, batch):
    """As torch exports `x.view(x.size(0), -1)`, and with arithmetic on the way."""
    nodes = [
        ("Shape", ["x"], "shape", {}),
        ("Gather", ["shape", "zero"], "n", {"axis": 0}),
        ("Unsqueeze", ["n", "first"], "n1", {}),
        ("Constant", [], "six", {"value_ints": [168]}),
        ("Constant", [], "two", {"value_int": 2}),
        ("Div", ["six", "two"], "size", {}),
        ("Cast", ["size"], "size64", {"to": onnx.TensorProto.INT64}),
        ("Concat", ["n1", "size64"], "target", {"axis": 0}),
        ("Reshape", ["x", "target"], "z", {}),
        ("Squeeze", ["first1"], "gone", {}),
        ("Constant", [], "half", {"value_float": 0.5}),
        ("Mul", ["z", "half"], "y", {}),
    ]
    weights = {"zero": np.int64(0), "first": whole(0), "first1": np.zeros((1, 2), np.int64)}
    made = model(nodes, weights, batch=batch)
    agrees(put(made), made)


def test_every_operator_has_a_case():
    others = {"Gemm", "Shape", "Squeeze"}
    assert {case[0] for case in CASES} | others == set(OPERATORS)


# Whole networks


@pytest.mark.parametrize("batch", ["n", 1])
def test_a_network_gives_the_logits_and_gradients_of_the_one_in_torch(put, batch):
    net = network()
    path = put(onnx_model(net, batch))
    model = load_model(CARD, SHAPE, 10, path)
    x = torch.rand(5, *SHAPE, requires_grad=True)
    logits, expected = model.module(x), net(x)
    assert torch.allclose(logits, expected, atol=1e-6)
    for y in range(3):
        ours, theirs = (torch.autograd.grad(each[:, y].sum(), x, retain_graph=True)[0] for each in (logits, expected))
        assert theirs.abs().max() > 0
        assert torch.allclose(ours, theirs, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    assert checkpoints.sha256(path) in model.notes[0]


def test_its_weights_fit_a_network_that_has_their_names(put):
    net = network()
    path = put(onnx_model(net))
    other = network()
    torch.nn.init.zeros_(other[5].weight)
    assert fit(checkpoints.read(path), other, path) == ()
    assert torch.equal(other[5].weight, net[5].weight)


def test_the_file_is_part_of_the_fingerprint(put):
    first = load_model(CARD, SHAPE, 10, put(onnx_model(network()))).fingerprint
    other = network()
    torch.nn.init.zeros_(other[5].bias)
    assert load_model(CARD, SHAPE, 10, put(onnx_model(other))).fingerprint != first


def test_inspect_gives_a_card_for_it(put):
    found = inspect(put(onnx_model(network())))
    assert found.kind == "ONNX"
    assert found.card().network == Network("onnx")
    assert found.card().dataset == "digits"


# What is refused


def external():
    made = onnx_model(network())
    described = made.graph.initializer[0]
    described.ClearField("raw_data")
    described.data_location = onnx.TensorProto.EXTERNAL
    described.external_data.add(key="location", value="../../etc/passwd")
    return made


def swollen():
    """A column times a row of ten thousand numbers, again and again."""
    nodes = [("Flatten", ["x"], "z", {}), ("MatMul", ["z", "w"], "a", {})]
    nodes += [("Unsqueeze", ["a", "last"], "b", {}), ("MatMul", ["b", "row"], "c", {}), ("Flatten", ["c"], "y", {})]
    weights = {"w": np.zeros((84, 60_000), np.float32), "row": np.zeros((1, 60_000), np.float32), "last": whole(-1)}
    return model(nodes, weights)


FLAT = [("Flatten", ["x"], "y", {})]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (external, "are in other files, which are not read"),
        (swollen, "MatMul making 7200000000 numbers"),
        (lambda: model([*FLAT[:0], ("Flatten", ["x"], "z", {}), ("Softmax", ["z"], "y", {})]), "has a softmax in it"),
        (lambda: model([("Erf", ["x"], "y", {})]), "operators that are not known here: Erf"),
        (lambda: model([("Mine", ["x"], "y", {"domain": "mine"})]), "not known here: mine.Mine"),
        (lambda: model(FLAT, opset=6), "is of opset 6; known are 7 and later"),
        (lambda: model(FLAT, shape=(1, 28, 28)), "shape anyx1x28x28, expected 1x2x6x7"),
        (lambda: model(FLAT, shape=(6, 7, 2)), "shape anyx6x7x2, expected 1x2x6x7"),
        (lambda: model(FLAT, batch=8), "shape 8x2x6x7, expected 1x2x6x7 or any number"),
        (lambda: model([("Relu", ["x"], "y", {})]), "gives 2x2x6x7 numbers for 2 images, not logits"),
        (lambda: model([("Reshape", ["x", "s"], "y", {})], {"s": whole(1, -1)}), "gives 1x168 numbers for 2 images"),
        (lambda: model([("Reshape", ["x", "s"], "y", {})], {"s": whole(3, 5)}), "cannot be computed on 2 images"),
        (lambda: model([("Flatten", ["nowhere"], "y", {})]), "cannot be computed on 2 images of 2x6x7: 'nowhere'"),
        (lambda: model([("Flatten", ["x"], "y", {"depth": 3})]), "unexpected keyword argument 'depth'"),
        (lambda: model([("Cast", ["x"], "y", {"to": 8})]), "a use of an operator not known here: Cast to kind 8"),
        (lambda: model([*FLAT, ("Relu", ["x"], "z", {})], outputs=("y", "z")), "has 1 inputs and 2 outputs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_evaluated_is_named(put, build, expected):
    path = put(build())
    with pytest.raises(UserError) as caught:
        graph.load(path, IMAGE)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert caught.value.fix


def test_other_numbers_of_classes_and_keys_are_refused(put):
    path = put(onnx_model(network()))
    with pytest.raises(UserError, match="gives 10 logits, but the data set has 7 classes"):
        load_model(CARD, SHAPE, 7, path)
    card = ModelCard("net", "Net", "digits", Network("onnx", {"width": 4}), where="net.toml")
    with pytest.raises(UserError, match=r"net.toml: \[network\]: 'onnx' takes no 'width'"):
        load_model(card, SHAPE, 10, path)


def test_without_the_package_the_way_to_it_is_named(put, monkeypatch):
    path = put(onnx_model(network()))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        UserError, match=r"needs the package onnx, which is not .*\n  Run `pip install 'robeval\[onnx\]'`"
    ):
        checkpoints.read(path)
