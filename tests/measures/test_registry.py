"""The catalog of measures, and what is said about parameters that do not fit."""

import pytest

from robeval.errors import UserError
from robeval.measures import registry


def test_every_measure_is_documented_and_named_as_its_file():
    for name, entry in registry.catalog().items():
        assert entry.about in registry.ABOUT
        assert entry.short.endswith(".")
        assert entry.function.__module__.rsplit(".", 1)[1] == name
        assert (entry.summary is None) == (entry.about == "theory")


def test_an_unknown_measure():
    with pytest.raises(UserError, match="Did you mean 'lipschitz'"):
        registry.find("lipshitz")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("lipschitz", {}, "'eps' is missing"),
        ("lipschitz", {"eps": 0.1, "step": 3}, "takes no 'step'"),
        ("lipschitz", {"eps": -1}, "a number above 0"),
        ("gradients", {"scale": "units"}, "one of 'unit', 'signed', 'bytes'"),
        ("linear", {"negative": 7}, "both classes are 7"),
        ("tsipras_svm", {"d": 16, "eta": 0.9}, "begins at 4 / sqrt\\(d\\) = 1"),
        ("tsipras", {"p": 0.2}, "at least 0.5 and at most 1"),
    ],
)
def test_parameters_that_do_not_fit(name, given, said):
    with pytest.raises(UserError, match=said):
        registry.resolved(registry.find(name), given)


def test_two_measures_of_one_name():
    with pytest.raises(ValueError, match="two measures"):
        registry.measure("margin", about="theory")(lambda draw: ())
