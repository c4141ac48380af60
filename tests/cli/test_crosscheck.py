"""`robeval crosscheck`: what it compares, what it says, what it keeps, and what it refuses."""

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest
from home import SUITE

from robeval import api
from robeval.errors import UserError
from robeval.reports import agreement
from robeval.run.crosscheck import STANDARD, with_references
from robeval.run.plan import resolved
from robeval.suites import load as suites
from robeval.values.pair import Pair

pytest.importorskip("torchattacks")
pytest.importorskip("foolbox")


@pytest.fixture
def check(robeval):
    """Compares the small suite on the small model."""

    def run(*words, suite="tiny", model="small", limit="40"):
        words = ("--suite", suite, "--model", model, "--limit", limit, "--device", "cpu", "--microbatch", "32", *words)
        return robeval("crosscheck", *words)

    return run


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")


def line(said, attack, reference):
    """The numbers of a pair in the table of agreement."""
    found = re.search(rf"^  {re.escape(attack)} +{re.escape(reference)} +(.+)$", said.out, re.MULTILINE)
    return [float(each) for each in found.group(1).split()]


def skipped(said):
    return [each.strip() for each in said.out.splitlines() if each.strip().startswith("skipped: ")]


# ── what it does ──


def test_it_says_where_both_agree(check, wide):
    said = check()
    assert (said.code, said.err) == (0, "")
    assert "tiny: robust accuracy in %, and samples broken" in said.out
    for attack, library in (("fgsm", "foolbox"), ("fgsm", "torchattacks"), ("pgd3", "foolbox")):
        n, ours, theirs, both, only_ours, only_theirs, neither = line(said, attack, f"{library}.{attack.strip('3')}")
        assert both + only_ours + only_theirs + neither == n == 40
        assert ours == pytest.approx(100 * (only_theirs + neither) / 40)
        assert theirs == pytest.approx(100 * (only_ours + neither) / 40)
        assert both > 0
        assert neither > 0
        if attack == "fgsm":
            assert only_ours == only_theirs == 0
    assert "pgd3:foolbox: definitions differ: the two are one attack only for random_start = false or" in said.out
    assert "fgsm:foolbox: definitions differ" not in said.out
    assert "median distance" not in said.out


def test_results_are_kept_and_go_to_the_same_tables(check, tmp_path, monkeypatch):
    first = check()
    assert "12 of 12 cells to run" in first.out
    table = pd.read_csv(tmp_path / "work" / "runs" / "results.csv")
    assert set(table.suite) == {"tiny_crosscheck"}
    assert set(table.attack) == {
        "worst_case",
        *(f"{a}{lib}" for a in ("fgsm", "pgd3") for lib in ("", ":foolbox", ":torchattacks")),
    }
    passes = table.set_index("attack").forwards
    assert passes["pgd3"] == passes["pgd3:foolbox"] == passes["pgd3:torchattacks"] > 0
    monkeypatch.setattr("robeval.run.local.run_cell", None)  # calling it would fail
    second = check()
    assert second.code == 0
    assert "0 of 12 cells to run" in second.out
    cut = "\n\ntiny: "
    assert second.out[second.out.index(cut) :] == first.out[first.out.index(cut) :]


def test_cells_of_an_ordinary_run_are_not_made_again(check, tiny):
    tiny()
    assert "8 of 12 cells to run" in check().out
    assert sorted(path.name for path in Path("runs/plans").iterdir()) == [
        "tiny--small.json",
        "tiny_crosscheck--small.json",
    ]


def test_a_reference_that_cannot_do_it_is_skipped_with_the_reason(check, home):
    suite = home / "suites" / "tiny.toml"
    suite.write_text(
        suite.read_text().replace("steps = 3", 'steps = 3\nloss = "margin"\nkappa = 50.0')
        + '\n[[attack]]\nid = "best"\nuse = "fgsm"\nselect = "best"\n'
    )
    said = check()
    assert said.code == 0
    assert skipped(said) == [
        f"skipped: {line}"
        for line in (
            "pgd3, foolbox.pgd: it takes no 'kappa', which is 50.0; 'loss' is 'margin', expected one of 'ce'",
            "pgd3, torchattacks.pgd: it takes no 'kappa', which is 50.0; 'loss' is 'margin', expected one of 'ce'",
            "best, foolbox.fgsm: 'foolbox.fgsm' does not tell its loss, so no iterate is the best",
            "best, torchattacks.fgsm: 'torchattacks.fgsm' does not tell its loss, so no iterate is the best",
        )
    ]
    assert "pgd3:" not in said.out
    assert "6 of 6 cells" in said.out


def test_a_library_that_is_not_there_is_skipped(check, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "foolbox" else find(name, *more)
    )
    said = check()
    assert said.code == 0
    assert skipped(said) == [
        f"skipped: {attack}, foolbox.{use}: 'foolbox.{use}' needs foolbox, which is not installed "
        "(pip install 'robeval[foolbox]')"
        for attack, use in (("fgsm", "fgsm"), ("pgd3", "pgd"))
    ]
    assert "fgsm:torchattacks" in said.out


def test_a_reference_that_fails_is_said_and_the_rest_is_compared(check, monkeypatch):
    import torchattacks

    def fail(*_, **__):
        raise ValueError("no such luck")

    monkeypatch.setattr(torchattacks.FGSM, "forward", fail)
    said = check()
    assert said.code == 1
    assert "small fgsm:torchattacks: FAILED: ValueError: no such luck" in said.out
    assert re.search(r"^  fgsm +torchattacks\.fgsm +INCOMPLETE", said.out, re.MULTILINE)
    assert line(said, "pgd3", "torchattacks.pgd")
    assert "2 cells failed; the reasons are in runs/failures" in said.err


# ── what it refuses ──


def test_nothing_to_compare(check, refused, home):
    (home / "suites" / "tiny.toml").write_text(SUITE.split("[[attack]]")[0] + '[[attack]]\nuse = "clean"\n')
    message = refused("crosscheck", "--suite", "tiny", "--model", "small")
    assert "no attack of it can be compared with another library" in message
    assert "There are references for: " in message


def test_mistakes_are_named(refused, home):
    assert "Did you mean 'tiny'?" in refused("crosscheck", "--suite", "tinny", "--model", "small")
    assert "unknown name" in refused("crosscheck", "--suite", "tiny", "--model", "smalll")
    assert "--limit" in refused("crosscheck", "--suite", "tiny", "--model", "small", "--limit", "0")
    suite = home / "suites" / "tiny.toml"
    suite.write_text(suite.read_text().replace("steps = 3", "stepps = 3"))
    assert "takes no 'stepps'" in refused("crosscheck", "--suite", "tiny", "--model", "small")


# ── what is compared with what ──


def plan(tmp_path, text, norm="linf", dataset="digits"):
    path = tmp_path / "one.toml"
    path.write_text(f'dataset = "{dataset}"\n[threat]\nnorm = "{norm}"\neps = 0.1\n{text}')
    return with_references(resolved(suites.load(str(path))))


def test_the_same_keywords_are_given_to_both(tmp_path):
    found = plan(tmp_path, '[[attack]]\nuse = "pgd"\nsteps = 7\nstep_size = 0.02\nrestarts = 3\nselect = "any"\n')
    ours, *theirs = (chain.attacks[0] for chain in found.suite.chains)
    assert [each.use for each in theirs] == ["foolbox.pgd", "torchattacks.pgd"]
    for each in theirs:
        assert (each.restarts, each.select, each.threat) == (3, "any", ours.threat)
        assert {"steps": 7, "step_size": 0.02, "random_start": True}.items() <= each.params.items()


def test_where_definitions_coincide_no_difference_is_noted(tmp_path):
    text = '[[attack]]\nuse = "pgd"\nsteps = 7\nstep_size = 0.02\n'
    for norm, more, same in (
        ("linf", "random_start = false\n", {"foolbox", "torchattacks"}),
        ("linf", "clip_start = true\n", {"foolbox", "torchattacks"}),
        ("l2", "clip_start = true\n", {"foolbox"}),
        ("linf", "", set()),
    ):
        pairs = plan(tmp_path, text + more, norm).pairs
        assert {pair.use.split(".")[0] for pair in pairs if not pair.differs} == same


def test_the_attacks_of_a_cascade_are_compared_one_by_one(tmp_path):
    text = '[[cascade]]\nid = "two"\nattacks = [{ use = "fgsm" }, { use = "mifgsm" }]\n'
    found = plan(tmp_path, text)
    assert [chain.id for chain in found.suite.chains if ":" not in chain.id] == ["two.1", "two.2"]
    assert all(len(chain.attacks) == 1 for chain in found.suite.chains)


def test_the_standard_cascade_is_compared_as_a_whole(tmp_path):
    pytest.importorskip("pyautoattack")
    parts = [f'{{ use = "{use}" }}' for use in STANDARD]
    text = f'[[cascade]]\nid = "aa"\nattacks = [{", ".join(parts)}]\n'
    found = plan(tmp_path, text)
    assert [(pair.ours, pair.theirs, pair.use) for pair in found.pairs] == [
        ("aa", "aa:autoattack", "autoattack.standard")
    ]
    assert [len(chain.attacks) for chain in found.suite.chains] == [4, 1]
    for norm in ("linf", "l1"):  # with the numbers of targets that the section writes
        found = plan(tmp_path, "[[autoattack]]\n", norm)
        assert [(pair.ours, pair.use) for pair in found.pairs] == [("autoattack", "autoattack.standard")]
    with pytest.raises(UserError, match=r"aa, autoattack\.standard: 'steps' is 50"):
        plan(tmp_path, text.replace('use = "apgd"', 'use = "apgd", steps = 50'))


def test_minimal_distances_are_compared_by_their_medians(home):
    """DeepFool of two libraries; where no image was found the distance counts as infinite."""
    text = SUITE.split("[[attack]]")[0].replace("linf", "l2").replace("0.1", "0.3")
    for library in ("foolbox", "torchattacks"):
        text += f'[[attack]]\nid = "{library}"\nuse = "{library}.deepfool"\nsteps = 20\n'
    (home / "suites" / "tiny.toml").write_text(text)
    found = api.evaluate("small", "tiny", limit=20, device="cpu", microbatch=32)
    pair = Pair("foolbox", "torchattacks", "torchattacks.deepfool", minimal=True)
    table = agreement.costs(found.table, found.samples, [pair], "tiny")
    for place, name in ((6, "foolbox"), (7, "torchattacks")):
        attacked = found.samples[(found.samples.attack == name) & found.samples.attacked]
        middle = attacked.distance.fillna(float("inf")).median()
        assert table.rows[0][place] == (f"{middle:.4g}" if middle < float("inf") else "–")
    assert float(table.rows[0][6]) > 0.01


def test_a_misspelt_attack_is_refused_as_in_a_run(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'pgd'"):
        plan(tmp_path, '[[attack]]\nuse = "pdg"\n')
