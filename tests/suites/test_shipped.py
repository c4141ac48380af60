"""Every suite in the repository loads and names only things that exist."""

from dataclasses import replace
from pathlib import Path

import pytest
from doubles import COLOUR, ConvNet, classes, images, problem

from robeval import shelf
from robeval.attacks import registry
from robeval.datasets import registry as datasets
from robeval.run.plan import fitted, resolved
from robeval.suites import load as suites
from robeval.values.attack import SELECTS

FOLDER = Path(__file__).parents[2] / "suites"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.toml"))


def test_there_are_suites_and_the_catalog_has_them_all():
    assert {"digits_linf", "digits_l2"} <= set(SHIPPED)
    assert list(suites.catalog()) == SHIPPED
    assert all((FOLDER / f"{name}.toml") == path for name, path in shelf.names(shelf.SUITES).items())


@pytest.fixture(params=SHIPPED)
def suite(request):
    return suites.load(request.param)


def test_its_name_is_that_of_the_file_and_it_has_a_title(suite):
    assert suite.where == str(FOLDER / f"{suite.id}.toml")
    assert suite.title != suite.id
    assert suite.slice_size >= 100


def test_its_attacks_exist_and_take_what_it_says(suite):
    wrong = [
        problem
        for chain in suite.chains
        for spec in chain.attacks
        for problem in registry.check(spec, f"{suite.id}: {spec.id}")[1]
    ]
    assert wrong == []
    assert [chain.id for chain in resolved(suite).chains] == [chain.id for chain in suite.chains]


def test_its_data_set_and_split_exist(suite):
    assert suite.split in datasets.catalog()[suite.dataset].splits


def test_its_ids_are_unique_snake_case_names(suite):
    ids = [chain.id for chain in suite.chains]
    assert len(set(ids)) == len(ids)
    assert all(name == name.lower() and name.replace("_", "").isalnum() for name in [suite.id, *ids])


def test_no_two_of_its_attacks_are_the_same_question(suite):
    specs = [tuple(str(spec.identity()) for spec in chain.attacks) for chain in resolved(suite).chains]
    assert len(set(specs)) == len(specs)


def test_it_measures_natural_accuracy_and_has_a_worst_case(suite):
    assert "clean" in [spec.use for chain in suite.chains for spec in chain.attacks]
    inside = [
        spec
        for chain in suite.chains
        for spec in chain.attacks
        if spec.threat.norm == suite.threat.norm and spec.threat.eps <= suite.threat.eps
    ]
    assert [spec for spec in inside if spec.use != "clean"]


def test_its_numbers_are_in_pixel_units(suite):
    for chain in resolved(suite).chains:
        for spec in chain.attacks:
            assert spec.select in SELECTS
            if spec.threat.norm == "linf":
                assert 0 < spec.threat.eps <= 0.5
            if spec.params.get("step_size") is not None and not spec.minimises:
                assert 0 < spec.params["step_size"] <= spec.threat.eps


@pytest.mark.parametrize("data", ["digits", "mnist", "cifar10"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_white_box_suites_have_every_attack_that_needs_gradients(data, norm):
    used = {spec.use for chain in suites.load(f"whitebox_{data}_{norm}").chains for spec in chain.attacks}
    wanted = {
        name
        for name, entry in registry.catalog().items()
        if entry.gradients and not entry.library and (norm in entry.norms or entry.minimal)
    }
    assert used - {"clean"} == wanted


@pytest.mark.parametrize("data", ["digits", "mnist", "cifar10"])
def test_reference_suites_have_every_attack_of_other_libraries(data):
    used = {spec.use for chain in suites.load(f"reference_{data}_linf").chains for spec in chain.attacks}
    wanted = {name for name, entry in registry.catalog().items() if entry.library}
    assert used - {"clean"} == wanted - {"autoattack.standard"}, "whose parts are there as a chain"


class ElsewhereError(Exception):
    """The model was asked about another point than the image."""


def has_iterates(spec):
    """Whether the attack asks about other points than the image before it answers."""

    def look(asked, rows, points, logits, values):
        if (points != asked.x[rows]).any():
            raise ElsewhereError

    model, x = ConvNet(COLOUR), images(4, COLOUR)
    asked = problem(model, x, classes(model, x), replace(spec.threat, eps=0.01), watch=look)
    try:
        registry.catalog()[spec.use].function(asked, **spec.params)
    except ElsewhereError:
        return True
    return False


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.startswith("whitebox_")])
def test_white_box_suites_ask_in_both_protocols(name):
    """Of every attack that stays in a ball and has iterates, with all else equal."""
    suite, wrong = fitted(resolved(suites.load(name)), "made", 10)
    assert wrong == []
    specs = [spec for chain in suite.chains for spec in chain.attacks]
    asked = [spec.identity() for spec in specs]
    inside = [spec for spec in specs if not registry.catalog()[spec.use].minimal and has_iterates(spec)]
    assert {spec.use for spec in inside} >= {"pgd"}
    alone = [
        f"{spec.id} without {select}"
        for spec in inside
        for select in ("final", "any")
        if spec.identity() | {"select": select} not in asked
    ]
    assert alone == []
    assert all(spec.select == "final" for spec in specs if spec not in inside), "there is nothing else to choose"
