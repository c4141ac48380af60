"""Every suite in the repository loads and names only things that exist."""

from pathlib import Path

import pytest

from robeval import shelf
from robeval.attacks import registry
from robeval.datasets import registry as datasets
from robeval.run.plan import resolved
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
