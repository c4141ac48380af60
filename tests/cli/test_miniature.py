"""`robeval miniature`: what it trains, keeps, shows and refuses."""

import json
from pathlib import Path

import pytest

from robeval.cli import miniature_work
from robeval.cli.miniature_work import Task
from robeval.ledger.store import Ledger
from robeval.reports import miniature

OWN = """
title = "Ours"
suite = "miniature_digits"
table = []

[base]
like = "natural_digits"
network = { width = 2, hidden = 8 }
training = { epochs = 1, decay_epochs = [] }

[model.mini_trades1_digits]
[model.mini_trades2_digits]
like = "madry_digits"
training = { method = "trades", eps = 2, step_size = 0.1, steps = 1 }

[[check]]
says = "one can read"
plus = ["mini_trades1_digits clean"]
at_least = 5
"""
SECOND = """
[[check]]
says = "two can read"
plus = ["mini_trades2_digits clean"]
at_least = 5
"""


@pytest.fixture
def own(home):
    """Writes the user's own miniature in place of ours."""

    def write(text):
        path = home / "reports" / "miniature" / "digits.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        miniature._load.cache_clear()

    yield write
    miniature._load.cache_clear()


def test_it_trains_attacks_and_checks_and_does_nothing_twice(robeval, own):
    own(OWN)
    said = robeval("miniature", "--seeds", "1", "--workers", "1", "--out", "mini", "--page", "page.md")
    assert said.code == 0, said
    assert "1/1 mini_trades1_digits, seed 1: " in said.err
    assert "Written: page.md" in said.out
    weights = Path("mini/seed1/trained/checkpoints/mini_trades1_digits.safetensors")
    page, before = Path("page.md").read_text(), weights.stat().st_mtime_ns
    assert "| one can read | mini_trades1_digits clean | at least 5 | " in page
    assert "From nothing to this page by the clock: 0 min (1 models with 1 workers" in page
    again = robeval("miniature", "--seeds", "1", "--workers", "1", "--out", "mini", "--page", "page.md")
    assert again.code == 0
    assert weights.stat().st_mtime_ns == before
    assert Path("page.md").read_text() == page


def test_of_models_that_were_not_asked_for_nothing_is_expected(robeval, own):
    own(OWN.replace('like = "madry_digits"', "") + SECOND)
    asked = ("miniature", "--seeds", "1", "--workers", "1", "--out", "mini", "--only", "mini_trades1")
    said = robeval(*asked)
    assert said.code == 0, said
    assert "| two can read | mini_trades2_digits clean | at least 5 |" in said.out
    assert "| not measured |" in said.out
    own(OWN.replace("at_least = 5", "at_least = 101") + SECOND)
    unmet = robeval(*asked)
    assert unmet.code == 1
    assert "1 expectations are not met" in unmet.err


def test_what_cannot_be_trained_is_said_and_fails(own, tmp_path):
    own(OWN + SECOND)
    done = miniature_work.do(Task("mini_trades2_digits", 1, tmp_path, {}))
    assert "'eps' is 2, but images are in [0, 1]" in done.failure


def test_another_recipe_is_trained_anew(own, tmp_path):
    task = Task("mini_trades1_digits", 2, tmp_path, {})
    written = []
    for text in (OWN, OWN, OWN.replace("width = 2", "width = 3")):
        own(text)
        written.append(miniature_work.trained(task).stat().st_mtime_ns)
    assert written[0] == written[1] < written[2]


def test_a_check_about_a_model_that_is_not_there(refused, own):
    own(OWN.replace('"mini_trades1_digits clean"', '"mini_odd clean"'))
    assert "there is no model 'mini_odd' in the miniature" in refused("miniature", "--seeds", "1", "--out", "mini")


def test_what_it_took_is_said_in_seconds_of_cpu_where_they_were_counted(robeval, own):
    own(OWN.replace("table = []", "table = []\nfirst = { miniature_digits = 40 }"))
    asked = ("miniature", "--seeds", "1", "--workers", "1", "--out", "mini")
    assert robeval(*asked).code == 0
    counted = Path("mini/seed1/cpu/mini_trades1_digits.json")
    assert json.loads(counted.read_text()).keys() == {"training", "attacks"}
    counted.write_text('{"training": 100, "attacks": 500}')
    assert "1 trainings: 100 s of CPU; attacks: 500 s; together 5 min on each of two cores.\n" in robeval(*asked).out
    own(OWN.replace("plus", "minus = []\nplus"))
    assert robeval(*asked).code == 0
    assert json.loads(counted.read_text())["training"] == 100
    assert json.loads(counted.read_text())["attacks"] > 500
    own(OWN.replace("width = 2", "width = 3"))
    assert robeval(*asked).code == 0
    assert 0 < json.loads(counted.read_text())["training"] < 100
    assert 0 < json.loads(counted.read_text())["attacks"] < 500
    counted.unlink()
    assert "Of 1 of them seconds of the clock are counted, those of CPU are not known." in robeval(*asked).out


def test_a_suite_attacks_the_first_images_alone_where_that_is_said(robeval, own):
    own(OWN.replace("table = []", "table = []\nfirst = { miniature_digits = 40 }"))
    assert robeval("miniature", "--seeds", "1", "--workers", "1", "--out", "mini").code == 0
    assert [plan.n for plan in Ledger(Path("mini/seed1")).plans()] == [40]
