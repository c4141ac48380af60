"""The commands that list what there is."""

from pathlib import Path

import pytest

from robeval.attacks import registry
from robeval.datasets import registry as datasets
from robeval.train import registry as methods


def test_suites_lists_all_and_shows_one(robeval, home):
    said = robeval("suites")
    assert said.code == 0
    assert "digits_linf" in said.out
    assert "Digits in a hurry" in said.out
    shown = robeval("suites", "tiny")
    assert "steps=3, step_size=0.05" in shown.out
    assert "linf 0.1" in shown.out
    assert robeval("suites", home / "suites" / "tiny.toml").out == shown.out


def test_a_shown_suite_says_what_is_special(robeval, home):
    path = home / "suites" / "tiny.toml"
    special = 'restarts = 5\nselect = "any"\nthreat = { norm = "linf", eps = 0.2 }\n'
    path.write_text(path.read_text() + special)
    assert "eps=0.2, restarts=5, select=any, steps=3" in robeval("suites", "tiny").out


def test_a_broken_suite_is_named(refused, home):
    (home / "suites" / "broken.toml").write_text('dataset = "digits"\n[threat\n')
    (home / "suites" / "other.toml").write_text('dataset = "digits"\n')
    message = refused("suites")
    assert "broken.toml: this is not valid TOML" in message
    assert "at line 2" in message
    assert "other.toml: 'threat' is missing" in message


def test_zoo_lists_all_and_shows_one(robeval, home):
    said = robeval("zoo")
    assert said.code == 0
    for name in ("small", "other", "trades_mnist"):
        assert name in said.out
    assert "here: the file is where robeval looks for it" in said.out
    assert "at URL: `robeval zoo fetch MODEL` gets the file" in said.out
    shown = robeval("zoo", "small")
    assert shown.code == 0
    assert "A small network" in shown.out
    assert str(home / "zoo" / "checkpoints" / "small.safetensors") in shown.out


def test_a_model_without_weights_can_be_shown(robeval):
    shown = robeval("zoo", "trades_mnist")
    assert shown.code == 0
    assert "99.48" in shown.out
    assert "https://github.com/yaodongyu/TRADES" in shown.out


def test_a_broken_card_is_named(robeval, home):
    path = home / "zoo" / "cards" / "broken.toml"
    path.write_text("title = 5\n")
    said = robeval("zoo")
    assert said.code == 1
    assert "trades_wrn34" in said.out, "the others are listed"
    message = said.err
    assert f"{path}: 'title' is 5, expected a text" in message
    assert "'network' is missing" in message


@pytest.mark.parametrize("command", ["suites", "zoo"])
def test_unknown_names(refused, command):
    assert "NAME: unknown name" in refused(command, "smalll")
    assert "there is no file" in refused(command, "smalll.toml")


def test_attacks_lists_all_with_their_parameters(robeval):
    said = robeval("attacks")
    assert said.code == 0
    for name in registry.catalog():
        assert name in said.out
    assert "linf, l2" in said.out


def test_an_attack_is_shown_with_its_parameters(robeval, refused):
    shown = robeval("attacks", "pgd").out
    assert "arXiv:1706.06083" in shown
    assert "Climb the loss for" in shown
    assert "Parameters:" not in shown
    assert "a number at least 2^-24" in shown
    assert "Did you mean 'pgd'?" in refused("attacks", "pdg")


def test_what_is_made_of_attacks_is_listed_and_shown_too(robeval, refused):
    listed = robeval("attacks").out
    assert "[[autoattack]]" in listed
    assert "robeval transfer" in listed
    shown = robeval("attacks", "autoattack").out
    for version in ("standard", "plus", "rand"):
        assert f"- `{version}`, linf, l2" in shown
    assert "- `standard`, l1: `apgd` loss=ce steps=100 restarts=5; `apgd_targeted` steps=100 targets=5;" in shown
    assert "`apgd` loss=auto steps=100 eot=20" in shown
    assert "with 2 classes the margin" in shown
    assert "Cost" in shown
    assert '"none", "autoattack"' in shown
    assert "Attack models with images made on another model" in robeval("attacks", "transfer").out
    assert "Did you mean 'autoattack'?" in refused("attacks", "autoatack")
    page = robeval("attacks", "--markdown").out
    assert "## `autoattack`" in page
    assert "## `transfer`" in page


def test_methods_lists_all_with_their_parameters(robeval, refused):
    said = robeval("methods")
    assert said.code == 0
    for name in methods.catalog():
        assert name in said.out
    shown = robeval("methods", "trades").out
    assert "arXiv:1901.08573" in shown
    assert "Natural risk plus" in shown
    assert "detach_clean" in shown
    assert "Parameters" not in robeval("methods", "natural").out
    assert "Did you mean 'trades'?" in refused("methods", "trade")


def test_data_lists_all_and_where_it_looked(robeval, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBEVAL_DATA", str(tmp_path / "mine"))
    said = robeval("data", "--data-root", tmp_path / "given")
    assert said.code == 0
    for name in datasets.catalog():
        assert name in said.out
    assert ["digits", "10", "1,195", "602"] in [line.split()[:4] for line in said.out.splitlines()]
    assert "not here" in said.out
    assert said.out.index(f"looked in {tmp_path / 'given'}") < said.out.index(f"looked in {tmp_path / 'mine'}")


def test_on_a_narrow_screen_everything_is_still_there(robeval, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    for words in (
        ["suites"],
        ["zoo"],
        ["zoo", "list", "--dataset", "cifar10"],
        ["attacks"],
        ["methods"],
        ["data"],
        ["zoo", "trades_mnist"],
    ):
        said = robeval(*words)
        assert said.code == 0
        tables = said.out.split("Weights:")[0].split("its file of weights")[0].splitlines()[:-1]
        assert max(len(line) for line in tables if "looked in" not in line) <= 60
        assert len(tables) < 1000  # and not one letter in each line


def test_the_page_about_attacks_is_that_of_this_catalogue(robeval):
    """If this fails: `robeval attacks --markdown > docs/attacks.md`."""
    page = robeval("attacks", "--markdown").out
    assert page == (Path(__file__).parents[2] / "docs" / "attacks.md").read_text(encoding="utf-8")
    for name, entry in registry.catalog().items():
        assert f"## `{name}`" in page
        assert entry.summary in page


def test_the_page_about_methods_is_that_of_this_catalogue(robeval):
    """If this fails: `robeval methods --markdown > docs/methods.md`."""
    page = robeval("methods", "--markdown").out
    assert page == (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    for name, entry in methods.catalog().items():
        assert f"## `{name}`" in page
        assert entry.summary in page
    assert "| `batch_size` | a whole number at least 1 | required |" in page
    assert "| `eps` | a number at least 0 | 0.0 | the ball that training perturbs images in" in page
