"""`robeval table`: what it lists, shows, computes and refuses."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from robeval import measure
from robeval.cli.main import COMMANDS

OWN = """
title = "A table of our own"
cite = "Somebody, Table 1"
tolerance = 2
suite = "tiny"
needs = "weights that nobody has"

[trained.mini]
like = "small"
training = { method = "natural", epochs = 1, batch_size = 64, learning_rate = 0.01, optimiser = "adam" }

[trained.odd]
like = "small"
training = { method = "alchemy", epochs = 1, batch_size = 64, learning_rate = 0.01 }

[note]
cause = "it was another network"

[[column]]
id = "natural"
metric = "natural_accuracy"
attack = "clean"

[[column]]
id = "pgd"
metric = "robust_accuracy"
attack = "pgd3"

[[row]]
label = "the small one"
model = "small"
notes = ["cause"]
digits = { model = "mini" }
values = { natural = "12.5", pgd = "99.99" }

[[row]]
label = "on images of the other"
model = "small"
source = "other"
digits = { model = "mini", source = "small" }
values = { pgd = "88" }

[[row]]
label = "nobody's"
model = "nobody"
digits = { model = "odd" }
values = { pgd = "1.0" }

[[row]]
label = "heard of"
quoted = "somebody else"
values = { pgd = "2.0" }

[[row]]
label = "measured otherwise"
finding = { measure = "lipschitz", dataset = "digits", step_size = 0.1, at = "x" }
values = { pgd = "3.0" }

[[row]]
label = "clean margins"
model = "small"
digits = { model = "mini" }
[row.values]
natural = { value = "50", metric = "accuracy", finding = { measure = "margin", dataset = "digits", at = "clean" } }
"""
BRIEF = "--device", "cpu", "--microbatch", "32", "--limit", "40"


LARGE = """
[model.grown]
dataset = "digits"
network = { arch = "small_cnn", width = 4, hidden = 16, padding = 1, drop = 0.0 }
training = { method = "natural", epochs = 1, batch_size = 64, learning_rate = 0.01, optimiser = "adam" }
"""


@pytest.fixture
def own(home):
    folder = home / "reports" / "papers"
    folder.mkdir(parents=True)
    (folder / "own.toml").write_text(OWN)
    return folder / "own.toml"


def shown(said):
    """The lines of the table by row and column, in the CSV form."""
    return {(row["row"], row["column"]): row for row in csv.DictReader(io.StringIO(said.out))}


def test_it_is_a_command(robeval):
    assert "table" in COMMANDS
    assert "list" in robeval("table", "--help").out


def test_all_tables_are_listed(robeval, own):
    said = robeval("table", "list")
    assert (said.code, said.err) == (0, "")
    for name in ("own", "trades_table5", "bat_figure1", "yang_table4", "tsipras_theorem2_2"):
        assert re.search(rf"^  {name} ", said.out, re.MULTILINE), name
    assert re.search(r"^  own +7 +6 +6 ", said.out, re.MULTILINE)
    assert robeval("table").out == said.out


def test_without_a_ledger_all_is_published_only_and_says_what_would_make_it(robeval, own):
    said = robeval("table", "own")
    assert said.code == 0
    assert "there is no ledger in runs" in said.err
    assert said.out.count("published only") == 7
    assert "not in runs: `robeval table own --run --out runs` makes it" in said.out
    assert "weights that nobody has" in said.out
    assert "quoted from somebody else" in said.out
    assert "not in runs: `robeval measure lipschitz --dataset digits --step-size 0.1 --out runs` makes it" in said.out
    assert "0 of 7 cells measured" in said.out
    assert not Path("runs").exists()


def test_what_can_be_had_is_computed_once(robeval, own):
    first = robeval("table", "own", "--run", "--format", "csv", *BRIEF)
    assert first.code == 0
    assert "left out: table: there is no card 'nobody'" in first.err
    cost = re.search(r"^8 cells to run and 1 measures to take on cpu, about \d+ s$", first.err, re.MULTILINE)
    assert cost
    assert cost.start() < first.err.index("pgd3")
    assert "left out: measure 'lipschitz': it is about model, but no model is given" in first.err
    rows = shown(first)
    natural, pgd = rows["the small one", "natural"], rows["the small one", "pgd"]
    assert (pgd["model"], pgd["suite"], pgd["attack"], pgd["n"]) == ("small", "tiny", "pgd3", "40")
    assert float(natural["measured"]) > float(pgd["measured"])
    assert natural["verdict"] == pgd["verdict"] == "DIFFERS"
    assert float(pgd["difference"]) == pytest.approx(float(pgd["measured"]) - 99.99)
    assert natural["note"] == "it was another network"
    moved = rows["on images of the other", "pgd"]
    assert moved["source"] == "other"
    assert float(moved["measured"]) >= float(pgd["measured"])
    assert [rows[name, "pgd"]["verdict"] for name in ("nobody's", "heard of")] == ["published only"] * 2
    margins = rows["clean margins", "natural"]
    assert (margins["measured"], margins["n"]) == (natural["measured"], "40")

    again = robeval("table", "own", "--run", "--format", "csv", *BRIEF)
    assert again.out == first.out
    assert "nothing to run: all that can be measured with what is here is in the ledger" in again.err
    plain = robeval("table", "own", "--format", "csv")
    assert (plain.out, plain.err) == (first.out, "")


def test_images_of_ones_own_and_another_suite_of_that_name_are_not_the_papers(robeval, own, tiny, home, tmp_path):
    draw = np.random.RandomState(0)
    np.savez(tmp_path / "noise.npz", x=np.float32(draw.rand(40, 1, 8, 8)), y=draw.randint(0, 10, 40))
    file = tmp_path / "tiny.toml"
    file.write_text((home / "suites" / "tiny.toml").read_text().replace("eps = 0.1", "eps = 0.01"))
    for words, suite, verdict in (
        (("--data", tmp_path / "noise.npz"), "tiny", "other images than the suite's"),
        ((), file, "eps 0.01, not 0.1"),
    ):
        tiny(*words, suite=suite)
        row = shown(robeval("table", "own", "--format", "csv"))["the small one", "pgd"]
        assert (row["measured"], row["verdict"]) == ("", verdict)
    tiny()
    assert shown(robeval("table", "own", "--format", "csv"))["the small one", "pgd"]["verdict"] == "DIFFERS"


MEASURED = """
[[row]]
label = "mean distance"
model = "small"
[row.values]
natural = { value = "", metric = "distance_mean", finding = { measure = "distance", suite = "tiny", at = "" } }

[[row]]
label = "separation"
[row.values.natural]
value = ""
model = ""
metric = "separation"
finding = { measure = "separation", dataset = "digits", split = "test", at = "" }
"""


def test_measures_of_other_images_and_of_another_suite_of_that_name_are_not_the_papers(robeval, own, home, tmp_path):
    own.write_text(OWN + MEASURED)
    draw, file = np.random.RandomState(0), tmp_path / "tiny.toml"
    noise = np.float32(draw.rand(40, 1, 8, 8)), draw.randint(0, 10, 40)
    file.write_text((home / "suites" / "tiny.toml").read_text().replace("eps = 0.1", "eps = 0.01"))
    brief = {"device": "cpu", "microbatch": 32, "limit": 20}
    small, digits, lost = {"model": "small", **brief}, {"dataset": "digits"}, "other images than the"
    for place, (name, about, row, verdict) in enumerate(
        (
            ("distance", small | {"suite": "tiny", "data": noise}, "mean distance", f"{lost} suite's"),
            ("distance", small | {"suite": file}, "mean distance", "other attacks than the suite's"),
            ("margin", small | digits | {"data": noise}, "clean margins", f"{lost} data set's"),
            ("separation", digits | {"data": noise, "reference": noise}, "separation", f"{lost} data set's"),
            ("separation", digits | {"reference": noise}, "separation", "compared with other images"),
        )
    ):
        out = f"runs{place}"
        measure(name, **about, out=out)
        found = shown(robeval("table", "own", "--format", "csv", "--out", out))[row, "natural"]
        assert (found["measured"], found["verdict"]) == ("", verdict)
    measure("distance", **small, suite="tiny", out=out)
    measure("separation", dataset="digits", out=out)
    rows = shown(robeval("table", "own", "--format", "csv", "--out", out))
    assert all(float(rows[row, "natural"]["measured"]) > 0 for row in ("mean distance", "separation"))


def test_only_the_attacks_that_are_asked_for_run_and_rows_of_others_stay(robeval, own, tiny):
    robeval("table", "own", "--run", *BRIEF)
    assert "fgsm" not in Path("runs/results.csv").read_text()
    tiny()
    assert "fgsm" in Path("runs/results.csv").read_text()
    robeval("table", "own", "--run", *BRIEF)
    assert "fgsm" in Path("runs/results.csv").read_text()


def test_the_miniature_trains_its_models_once_and_is_not_held_against_the_paper(robeval, own):
    first = robeval("table", "own", "--scale", "digits", "--run", "--format", "csv", *BRIEF)
    assert first.code == 0
    assert re.search(r"^to train on cpu, about \d+ s: mini$", first.err, re.MULTILINE)
    assert "left out: table: model 'odd': [training]: unknown method 'alchemy'" in first.err
    rows = shown(first)
    pgd = rows["the small one", "pgd"]
    assert (pgd["model"], pgd["verdict"], pgd["difference"]) == ("mini", "other data", "")
    assert float(pgd["measured"]) >= 0
    assert rows["nobody's", "pgd"]["verdict"] == "published only"
    assert "unknown method 'alchemy'" in rows["nobody's", "pgd"]["missing"]
    weights = Path("runs/trained/checkpoints/mini.safetensors")
    made = weights.stat().st_mtime_ns
    again = robeval("table", "own", "--scale", "digits", "--run", "--format", "csv", *BRIEF)
    assert (again.out, weights.stat().st_mtime_ns) == (first.out, made)
    own.write_text(OWN.replace("epochs = 1", "epochs = 2", 1))
    robeval("table", "own", "--scale", "digits", "--run", *BRIEF)
    assert weights.stat().st_mtime_ns != made


@pytest.fixture
def grown(own, home):
    """The second row is of a model that its paper has a recipe for."""
    (home / "zoo" / "papers").mkdir()
    (home / "zoo" / "papers" / "somebody.toml").write_text(LARGE)
    own.write_text(OWN.replace('model = "nobody"', 'model = "grown"\nneeds = "days"'))


def test_a_network_of_full_size_is_not_trained_by_the_table(robeval, grown):
    offer = r"^not trained here: grown; `robeval train grown --out runs.trained` does it, in about \d+ s on cpu$"
    first = robeval("table", "own", "--run", "--format", "csv", *BRIEF)
    assert (first.code, len(re.findall(offer, first.err, re.MULTILINE))) == (0, 1)
    assert not Path("runs/trained").exists()
    row = shown(first)["nobody's", "pgd"]
    assert row["verdict"] == "published only"
    assert re.fullmatch(r"days; `robeval train grown --out runs.trained` trains this one", row["missing"])


def test_a_network_of_full_size_is_that_of_the_ledger_folder_if_it_was_trained_by_just_the_recipe(robeval, grown):
    training = "train", "grown", "--out", "runs/trained", "--device", "cpu"
    assert robeval(*training, "--epochs", "2").code == 0
    other = robeval("table", "own", "--format", "csv")
    assert "`robeval train grown --out runs" in shown(other)["nobody's", "pgd"]["missing"]
    assert robeval(*training).code == 0
    found = robeval("table", "own", "--run", "--format", "csv", *BRIEF)
    assert "not trained here" not in found.err
    assert float(shown(found)["nobody's", "pgd"]["measured"]) >= 0


def test_a_network_of_full_size_is_found_in_the_users_folder(robeval, grown, home):
    assert robeval("train", "grown", "--out", home / "zoo", "--device", "cpu").code == 0
    found = robeval("table", "own", "--run", "--format", "csv", *BRIEF)
    assert "not trained here" not in found.err
    assert float(shown(found)["nobody's", "pgd"]["measured"]) >= 0


def test_what_a_network_of_full_size_costs_is_not_known_without_its_data(robeval, grown, home):
    recipe = home / "zoo" / "papers" / "somebody.toml"
    recipe.write_text(LARGE.replace('"digits"', '"svhn"'))
    found = robeval("table", "own", "--run", *BRIEF, "--data-root", "here")
    said = re.search(r"^not trained here: grown; `robeval train grown --data-root here (.*)$", found.err, re.MULTILINE)
    assert "once there is what it needs: svhn: files of the data set are missing" in said[1]


@pytest.mark.parametrize(
    ("form", "sign"), [("markdown", "| the small one | natural | 12.5 |"), ("latex", "\\toprule"), ("html", "<table>")]
)
def test_forms(robeval, own, form, sign):
    said = robeval("table", "own", "--format", form)
    assert sign in said.out
    assert "it was another network" in said.out


def test_the_page_has_both_scales(robeval, own):
    for scale in ("paper", "digits"):
        robeval("table", "own", "--scale", scale, "--run", *BRIEF)
    said = robeval("table", "page")
    assert said.out.startswith("# The papers' tables, measured\n")
    assert "| own | 7 | 4 | 4 | 4 | A table of our own |" in said.out
    assert "**own: A table of our own; measured with 95 % intervals**" in said.out
    assert "**own: A table of our own, in miniature on the digits data set; measured with 95 % intervals**" in said.out
    assert "## trades_table5" in said.out


def test_wrong_words_are_refused(refused, own):
    assert "Did you mean 'trades_table5'" in refused("table", "trades_tabel5")
    assert "'big' is not one of 'paper', 'digits'" in refused("table", "own", "--scale", "big")
    assert "is not one of" in refused("table", "own", "--format", "docx")
    own.write_text(OWN.replace('label = "heard of"', ""))
    assert "'label' is missing" in refused("table", "own")


def test_a_ledger_that_is_no_folder_is_refused(refused, own):
    Path("runs").write_text("text")
    assert "runs" in refused("table", "own", "--run", *BRIEF)


@pytest.mark.parametrize("other", [("--eta", "0.1"), ("--eps", "0.5"), ("--deltas", "0.5"), ("--seed", "1")])
def test_a_run_with_another_value_of_what_the_table_does_not_say_is_another_number(robeval, home, other):
    """Closed form of `mean` with d = 100: robust 1 - Phi(3) = 0.13 % with the default eta."""
    robeval("measure", "theory", "tsipras", *other)
    empty = shown(robeval("table", "tsipras_theorem2_1", "--format", "csv"))
    row, column = "sign of the mean of x_2, ...; d = 100, p = 0.95; closed form", "robust %"
    assert empty[row, column]["verdict"] == "not measured"
    robeval("measure", "theory", "tsipras")
    both = shown(robeval("table", "tsipras_theorem2_1", "--format", "csv"))
    assert float(both[row, column]["measured"]) == pytest.approx(0.135, abs=0.001)


def test_a_table_is_of_the_seed_it_is_asked_for(robeval, home):
    robeval("measure", "theory", "tsipras", "--seed", "3")
    row = "sign of x_1; d = 100, p = 0.95; simulated", "natural %"
    assert shown(robeval("table", "tsipras_theorem2_1", "--format", "csv", "--seed", "3"))[row]["measured"]
