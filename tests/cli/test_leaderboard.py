"""`robeval leaderboard`: the models of a ledger, ranked."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from records import fill, spec

from robeval import shelf
from robeval.ledger.store import Ledger
from robeval.values.threat import ThreatModel

CLEAN = spec("clean", use="clean", params={})


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "runs")
    fill(ledger, "weak", [(CLEAN, "0" * 40), (spec(), "1" * 30 + "0" * 10)])
    fill(ledger, "strong", [(CLEAN, "0" * 40), (spec(), "1" * 5 + "0" * 35)])
    fill(ledger, "alone", [(spec(), "0" * 20)], suite="other")
    return ledger.root


def test_on_the_screen(robeval, ledger):
    said = robeval("leaderboard", "--out", ledger)
    assert said.code == 0
    assert said.out.index("strong") < said.out.index("weak")
    assert "other: digits" in said.out
    assert "strong, weak: robeval 0.1, torch 2.0, cpu (test); not audited" in said.out
    assert "other: digits" not in robeval("leaderboard", "--out", ledger, "--suite", "small").out


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        (
            "markdown",
            [
                "| 1 | strong | 100.00 | 100.00 [91.2,100.0] | 87.50 [73.9,94.5] | 87.50 [73.9,94.5] |",
                "| 40 | not audited |",
            ],
        ),
        ("latex", [r"\toprule", r"1 & strong & 100.00"]),
        ("html", ['data-value="strong"', "<!DOCTYPE html>", "torch 2.0", "not audited"]),
        ("csv", ["suite,model,dataset", "small,strong,digits,test,linf,0.1,worst_case", ",audit\n", ",not audited\n"]),
    ],
)
def test_as_a_file(robeval, ledger, tmp_path, form, parts):
    path = tmp_path / "new" / "board"
    said = robeval("leaderboard", "--out", ledger, "--suite", "small", "--format", form, "--to", path)
    assert said.code == 0, said.err
    text = path.read_text()
    assert all(part in text for part in parts)
    assert "://" not in text, "nothing is loaded from anywhere"
    assert robeval("leaderboard", "--out", ledger, "--suite", "small", "--format", form).out == text


def test_what_is_not_there(refused, ledger, tmp_path):
    assert "there are no results of 'smal'\n  Did you mean 'small'?" in refused(
        "leaderboard", "--out", ledger, "--suite", "smal"
    )
    said = refused("leaderboard", "--out", tmp_path / "nothing")
    assert "there are no results" in said
    assert "robeval run --suite" in said


def test_models_on_other_samples_or_in_another_ball_have_tables_of_their_own(robeval, ledger):
    made = Ledger(ledger)
    fill(made, "brief", [(spec(), "0" * 20)])
    wide = ThreatModel("linf", 0.3)
    fill(made, "wide", [(spec(threat=wide), "0" * 40)], threat=wide)
    said = robeval("leaderboard", "--out", ledger, "--suite", "small", "--format", "markdown").out
    captions = [line for line in said.splitlines() if line.startswith("**")]
    assert [line.partition(", robust")[0] + line.rpartition(",")[2] for line in captions] == [
        "**small: digits (test), linf eps 0.1 n = 40**",
        "**small: digits (test), linf eps 0.1 n = 20**",
        "**small: digits (test), linf eps 0.3 n = 40**",
    ]
    on_screen = robeval("leaderboard", "--out", ledger, "--suite", "small").out
    assert on_screen.count("small: digits (test)") == 4, "three tables of attacks, and one ranking of several models"


def test_models_with_other_seeds_are_not_ranked_together(robeval, refused, tmp_path):
    """Nor compared: what is drawn at random differs between them."""
    ledger = Ledger(tmp_path / "seeds")
    for name, broken in {"first": "1000", "second": "1100", "third": "1110"}.items():
        planned = fill(ledger, name, [(spec(), broken)])
        if name == "third":
            ledger.put_plan(replace(planned, seed=7))
    found = pd.read_csv(io.StringIO(robeval("leaderboard", "--out", ledger.root, "--format", "csv").out))
    assert dict(zip(found.model, found.seed)) == {"first": 0, "second": 0, "third": 7}
    assert set(found[found.attack == "worst_case"]["rank"]) == {1}
    *_, one, other = robeval("leaderboard", "--out", ledger.root, "--format", "markdown").out.split("**small:")
    assert ("first" in one) and ("third" not in one) and ("seed" not in one.partition("**")[0])
    assert ("third" in other) and ("first" not in other) and (", seed 7" in other.partition("**")[0])
    assert "with the same seed" in refused("compare", "first", "third", "--out", ledger.root)


def test_models_on_other_images_of_the_same_name_are_not_ranked_together(robeval, refused, tmp_path):
    """Nor compared: the samples are others, though their numbers are the same."""
    ledger = Ledger(tmp_path / "images")
    for name, content in {"first": "c", "second": "c", "third": "d"}.items():
        planned = fill(ledger, name, [(spec(), "1000")])
        if content == "d":
            made = ledger.get(planned.rows[0].keys[0][0])
            about = replace(made.cell, slice=replace(made.cell.slice, content=content * 32))
            ledger.put(replace(made, cell=about))
            ledger.put_plan(replace(planned, rows=(replace(planned.rows[0], keys=((about.key,),)),)))
    for form in ("markdown", "html", "terminal"):
        said = robeval("leaderboard", "--out", ledger.root, "--format", form).out
        assert form == "html" or said.count("small: digits (test)") == (2 if form == "markdown" else 3)
    found = pd.read_csv(io.StringIO(robeval("leaderboard", "--out", ledger.root, "--format", "csv").out))
    assert dict(zip(found.model, found.content.str[0])) == {"first": "c", "second": "c", "third": "d"}
    assert "no complete worst case on the same samples" in refused("compare", "first", "third", "--out", ledger.root)
    assert robeval("compare", "first", "second", "--out", ledger.root).code == 0


def test_images_of_ones_own_are_named(robeval, tiny, tmp_path):
    draw = np.random.RandomState(0)
    np.savez(tmp_path / "my noise.npz", x=np.float32(draw.rand(20, 1, 8, 8)), y=draw.randint(0, 10, 20))
    said = tiny("--data", tmp_path / "my noise.npz", "--out", tmp_path / "mixed", limit=20)
    tiny("--out", tmp_path / "mixed", model="other", limit=20)
    assert "tiny: digits (own:my_noise.npz), linf eps 0.1" in said.out
    board = (tmp_path / "mixed" / "leaderboard.md").read_text()
    assert board.count("| 1 | small |") == board.count("| 1 | other |") == 1
    assert board.count("## tiny") == 1 and board.count("tiny: digits (test)") == 2


def test_worst_cases_over_other_attacks_are_not_ranked_together(robeval, refused, tmp_path):
    """As where a table has run a part of a suite only; clean images are part of every attack."""
    ledger = Ledger(tmp_path / "editions")
    fill(ledger, "part", [(spec(), "1000")])
    fill(ledger, "same", [(CLEAN, "0000"), (spec(), "1100")])
    fill(ledger, "whole", [(CLEAN, "0000"), (spec(), "1000"), (spec("fgsm", use="fgsm", params={}), "1110")])
    fill(ledger, "longer", [(spec(params={"steps": 40, "step_size": 0.01}), "1000")])
    boards = robeval("leaderboard", "--out", ledger.root, "--format", "markdown").out.split("**small:")[1:]
    models = [{name for name in ("part", "same", "whole", "longer") if f"| {name} |" in board} for board in boards]
    assert models == [{"longer"}, {"part", "same"}, {"whole"}]
    assert "no complete worst case" in refused("compare", "part", "whole", "--out", ledger.root)
    assert robeval("compare", "part", "same", "--out", ledger.root).code == 0
    said = refused("show", "tradeoff", "--out", ledger.root)
    assert "cannot stand beside each other" in said and "--model" in said and "--attack" in said


def test_robustbenchs_form(robeval, ledger, tmp_path):
    said = robeval("leaderboard", "--out", ledger, "--suite", "small", "--format", "json")
    infos = json.loads(said.out)
    assert infos["digits"]["Linf"]["strong"]["clean_acc"] == "100.00"
    robeval("leaderboard", "--out", ledger, "--suite", "small", "--format", "json", "--to", tmp_path / "model_info")
    path = tmp_path / "model_info" / "digits" / "Linf" / "strong.json"
    assert json.loads(path.read_text()) == infos["digits"]["Linf"]["strong"]
    robeval("leaderboard", "--out", ledger, "--suite", "small", "--format", "json", "--to", tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text()) == infos


def test_one_method(robeval, ledger):
    said = robeval("leaderboard", "--out", ledger, "--method", "trades", "--format", "markdown")
    assert "trades_wrn34" in said.out and "| published |" in said.out
    fill(Ledger(ledger), "trades_digits", [(spec(), "0" * 40)])
    said = robeval("leaderboard", "--out", ledger, "--method", "trades", "--format", "html")
    assert "<td>trades_digits</td>" in said.out and "1 of 3" in said.out
    assert robeval("leaderboard", "--out", ledger, "--method", "trades", "--format", "csv").out.startswith(
        "status,model"
    )


def test_models_trained_into_the_ledger_folder_are_of_their_method(robeval, ledger):
    folder = ledger / "trained" / "cards"
    folder.mkdir(parents=True)
    card = (shelf.names(shelf.CARDS)["trades_digits"]).read_text()
    (folder / "strong.toml").write_text(card)
    (folder / "torn.toml").write_text("title = ")
    said = robeval("leaderboard", "--out", ledger, "--method", "trades", "--format", "csv")
    assert said.code == 0, said.err
    assert [line.split(",")[1] for line in said.out.splitlines() if line.startswith("measured")] == ["strong"]
    infos = json.loads(robeval("leaderboard", "--out", ledger, "--suite", "small", "--format", "json").out)
    assert "TRADES" in infos["digits"]["Linf"]["strong"]["name"]


def test_a_method_has_no_json_and_the_other_forms_are_named(refused, ledger):
    said = refused("leaderboard", "--out", ledger, "--method", "trades", "--format", "json")
    assert "Choose terminal, csv, markdown, latex or html." in said


def test_pictures_are_made_again(robeval, tiny, tmp_path, home):
    assert tiny("--out", tmp_path / "runs").code == 0
    page = tmp_path / "board.html"
    words = "leaderboard", "--out", tmp_path / "runs", "--format", "html", "--pictures", 2, "--to", page
    said = robeval(*words)
    assert said.code == 0 and said.err == ""
    text = page.read_text()
    assert text.count("data:image/png") == 6
    cells = pd.read_parquet(tmp_path / "runs" / "cells")
    broken = cells[cells.broken & cells.attacked].groupby("sample").first()
    assert all(f"sample {sample}, class {row.label}<" in text for sample, row in broken.head(2).iterrows())
    (home / "suites" / "tiny.toml").write_text((home / "suites" / "tiny.toml").read_text().replace("0.05", "0.06"))
    said = robeval(*words)
    assert "no pictures of small in tiny: the suite, the data or the weights are others" in said.err
    assert "data:image/png" not in page.read_text()


def test_pictures_of_a_model_that_is_not_at_hand_are_left_out(robeval, ledger):
    said = robeval("leaderboard", "--out", ledger, "--format", "html", "--pictures", 2)
    assert said.code == 0
    assert "no pictures of weak in small: its weights are not at hand" in said.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--method", "tradse"), "no model of the ledger or the zoo is of the method 'tradse'"),
        (("--method", "trades", "--format", "json"), "the table of a method has no JSON"),
        (("--pictures", "3"), "only the page has pictures"),
        (("--pictures", "-1", "--format", "html"), "-1 pictures cannot be made"),
        (("--format", "csv", "--to", "."), "is a folder"),
    ],
)
def test_what_cannot_be_asked(refused, ledger, words, part):
    assert part in refused("leaderboard", "--out", ledger, *words)
