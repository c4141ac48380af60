"""Results in the form of RobustBench's model_info."""

import pytest
import records
from records import fill, spec

from robeval.ledger.store import Ledger
from robeval.reports import measure
from robeval.reports.model_info import infos
from robeval.values.card import ModelCard, Network, Published
from robeval.values.threat import ThreatModel

LINF = ThreatModel("linf", 8 / 255)
# The keys of RobustBench's files, in its own order; `footnote` is in some of them.
KEYS = [
    "link",
    "name",
    "authors",
    "additional_data",
    "number_forward_passes",
    "dataset",
    "venue",
    "architecture",
    "eps",
    "clean_acc",
    "reported",
    "autoattack_acc",
    "footnote",
]
NETWORK = Network("wide_resnet", {"depth": 34, "widen_factor": 10})
CARD = ModelCard("net", "A paper's model", "digits", NETWORK, paper="arXiv:1901.08573")
PRINTED = Published("accuracy under PGD-20", 56.61, "its paper")


def made(ledger, cards=None, reported=None):
    return infos(measure.results(ledger, ledger.plans()), cards or {}, reported or {})


def autoattack(queries=5000):
    steps = ("apgd", {"steps": 100, "loss": "ce"}), ("apgd_targeted", {"steps": 100, "targets": 9, "loss": "dlr"})
    steps += ("fab_targeted", {"targets": 9, "steps": 100}), ("square", {"queries": queries})
    return [spec(f"aa.{use}", LINF, use=use, params=params) for use, params in steps]


def chained(ledger, attacks, outcomes, n=4):
    """One chain, of which each part breaks what is said and keeps what the ones before broke."""
    cells, after = [], ""
    for attack, broken in zip(attacks, outcomes, strict=True):
        about = records.cell(attack, "net", 0, n, after)
        ledger.put(records.result(about, broken))
        cells.append(about.key)
        after = about.key
    ledger.put_plan(records.plan("net", {"aa": (tuple(attacks), (tuple(cells),))}, n, LINF, "aa_suite"))


def test_what_card_and_ledger_know(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "net", [(spec(threat=LINF), "1100")], natural="1111", threat=LINF)
    info = made(ledger, {"net": CARD}, {"net": PRINTED})["digits"]["Linf"]["net"]
    assert list(info) == [*KEYS, "robeval"]
    assert info["link"] == "https://arxiv.org/abs/1901.08573"
    assert (info["architecture"], info["eps"], info["reported"]) == ("wide_resnet 34-10", "8/255", "56.61")
    assert (info["clean_acc"], info["autoattack_acc"], info["authors"]) == ("100.00", None, None)
    assert "4 samples of digits (test)" in info["footnote"] and "its paper" in info["footnote"]
    (row,) = info["robeval"]
    assert (row["worst_case_acc"], row["n"], row["audit"]) == ("50.00", 4, "not audited")


def test_a_model_without_a_card_has_what_the_ledger_knows(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "net", [(spec(), "1100")])
    info = made(ledger)["digits"]["Linf"]["net"]
    unknown = ["link", "authors", "additional_data", "number_forward_passes", "venue", "architecture", "reported"]
    assert [info[key] for key in unknown] == 7 * [None]
    assert info["name"] == "net"


@pytest.mark.parametrize(("queries", "expected"), [(5000, "25.00"), (1000, None)])
def test_only_the_standard_version_is_autoattack(tmp_path, queries, expected):
    ledger = Ledger(tmp_path)
    chained(ledger, autoattack(queries), ["1000", "1100", "1100", "1110"])
    assert made(ledger)["digits"]["Linf"]["net"]["autoattack_acc"] == expected


def test_two_radii_of_one_norm_are_two_entries(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "net", [(spec(threat=LINF), "1100")], threat=LINF, suite="one")
    fill(ledger, "net", [(spec(), "1110")], suite="two")
    assert sorted(made(ledger)["digits"]["Linf"]) == ["net_eps_0.1", "net_eps_8_255"]


def test_unfinished_models_and_transferred_images_are_left_out(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "net", [(spec(), "1100"), (spec("fgsm", use="fgsm", params={}), None)])
    assert made(ledger) == {}
