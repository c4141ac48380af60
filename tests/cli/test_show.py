"""`robeval show`: pictures of models and ledgers, as files."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from robeval.errors import UserError
from robeval.pictures import registry, show
from robeval.pictures.far import ball
from robeval.suites import load as suites

pytest.importorskip("matplotlib", reason="drawing needs the extra `plot`")

CPU = "--device", "cpu", "--microbatch", "16"
MODELS = "--model", "small", "--model", "other"


@pytest.fixture
def content(robeval, monkeypatch):
    """What a command draws."""
    kept = []
    make = show.content
    monkeypatch.setattr(show, "content", lambda *given: kept.append(make(*given)) or kept[-1])

    def run(*words):
        said = robeval("show", *words, *(() if words[0] in ("curve", "tradeoff") else CPU))
        assert said.code == 0, said
        path = said.out.splitlines()[-1].removeprefix("Written: ")
        assert Image.open(path).format == "PNG"
        return kept.pop()[0]

    return run


def images(strip):
    return np.stack([panel.pixels for panel in strip.panels])


def test_every_kind_is_a_command_with_its_keywords(robeval):
    said = robeval("show")
    assert said.code == 0, said
    for name, entry in registry.catalog().items():
        assert name in said.out
        help_ = robeval("show", name, "--help").out
        assert "--to" in help_
        assert ("--sample" in help_) == (entry.about != "ledger")


def test_gradients_of_the_same_images(content):
    grid = content("gradients", *MODELS, "--sample", "0:5")
    assert [strip.label for strip in grid.strips] == ["image", "small", "other"]
    assert {len(strip.panels) for strip in grid.strips} == {5}
    assert grid.title == "Loss gradients, digits (test 0:5)"
    for strip in grid.strips[1:]:
        slopes = images(strip)
        assert all(panel.signed for panel in strip.panels)
        assert np.abs(slopes).max() <= 1
        assert np.std(slopes, axis=(1, 2), ddof=1).max() <= 1 / 3 + 1e-9  # cut at three of these
        assert all(float(panel.caption) > 0 for panel in strip.panels)
    again = content("gradients", *MODELS, "--sample", "2:4")
    assert np.array_equal(images(again.strips[1]), images(grid.strips[1])[2:4])


def test_large_eps_leaves_the_ball_of_no_image(content):
    grid = content("large-eps", "--model", "small", "--sample", "0:4", "--eps", "0.4", "--steps", "5")
    clean, adv = (images(strip) for strip in grid.strips)
    assert 0.35 < np.abs(adv - clean).max() <= 0.4 + 1e-6
    assert "ℓ∞ ε = 0.4" in grid.title
    assert "5 steps" in grid.note
    for panel, head in zip(grid.strips[1].panels, grid.heads, strict=True):
        assert panel.alarm == (f"class {panel.caption}" != head)


@pytest.mark.parametrize("kind", ["large-eps", "interpolation"])
def test_digits_have_a_radius_four_times_that_of_their_suites(content, kind):
    words = (kind, "--model", "small", "--sample", "0:2", "--steps", "2")
    for norm in ("linf", "l2"):
        radius = 4 * suites.load(f"digits_{norm}").threat.eps
        assert f" ε = {radius:.4g}, digits" in content(*words, "--norm", norm).title


def test_data_without_a_usual_radius_need_one():
    with pytest.raises(UserError, match="no radius is usual for svhn, only for cifar10, digits, mnist") as found:
        ball(SimpleNamespace(samples=SimpleNamespace(dataset="svhn")), "linf", None)
    assert found.value.where == "--eps"


def test_an_interpolation_is_the_straight_way(content):
    words = "--sample", "0:2", "--eps", "0.4", "--steps", "4", "--frames", "5", "--norm", "l2"
    grid = content("interpolation", *MODELS, *words)
    assert [strip.label.split("\n")[0] for strip in grid.strips] == ["small", "other", "small", "other"]
    assert grid.heads == ("t = 0", "t = 0.25", "t = 0.5", "t = 0.75", "t = 1")
    for strip in grid.strips:
        way = images(strip)
        assert way[2] == pytest.approx((way[0] + way[4]) / 2, abs=1e-6)
        assert 0.35 < np.linalg.norm(way[4] - way[0]) <= 0.4 + 1e-6
    far = content("large-eps", *MODELS, *words[:6], "--norm", "l2")
    assert np.array_equal(images(grid.strips[1])[4], far.strips[2].panels[0].pixels)


def test_adversarial_images_are_those_of_the_run(content, robeval):
    robeval("export", "adv", "--suite", "tiny", "--model", "small", "--limit", "6", "--to", "adv.npy", *CPU)
    grid = content("adversarial", *MODELS, "--suite", "tiny", "--sample", "0:6", "--out", "fresh")
    assert [strip.label for strip in grid.strips] == [
        "clean", "small\nadversarial", "difference", "other\nadversarial", "difference",
    ]  # fmt: skip
    clean, adv, change = (images(strip) for strip in grid.strips[:3])
    assert np.array_equal(adv, np.load("adv.npy")[:, 0].astype(float))
    most = np.abs(np.stack([images(grid.strips[place]) - clean for place in (1, 3)])).max()
    assert change == pytest.approx((adv - clean) / most, abs=1e-6)
    assert f"{most:.3g} at full strength" in grid.note
    for panel, head, image in zip(grid.strips[1].panels, grid.heads, clean, strict=True):
        before, after = panel.caption.split(" → ")
        assert panel.alarm == (f"class {after}" != head)
        assert f"class {before}" == head or np.array_equal(panel.pixels, image), "wrong anyway, so not attacked"
    assert "tiny" in grid.title
    assert "pgd3 of tiny" in content("adversarial", *MODELS, "--suite", "tiny", "--attack", "pgd3").title


def test_colour_images(content, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), np.uint8)
    np.savez("colour.npz", x=pixels, y=np.arange(6))
    (tmp_path / "work" / "colour.py").write_text(COLOUR)
    grid = content(
        "gradients", "--model", "colour:net", "--dataset", "cifar10", "--data", "colour.npz", "--sample", "0:6"
    )
    assert images(grid.strips[0]) == pytest.approx(pixels.transpose(0, 2, 3, 1) / 255, abs=1e-6)
    slopes = images(grid.strips[1])
    assert slopes.shape == (6, 8, 8, 3)
    assert slopes.min() >= 0
    assert slopes.max() <= 1
    assert slopes.mean(axis=(1, 2, 3)) == pytest.approx(np.full(6, 0.5), abs=0.05)


COLOUR = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Tanh(), nn.Linear(16, 10))
"""


def test_curves_and_trade_offs_are_the_rows_of_the_ledger(content, robeval, refused, home):
    words = "--suite", "tiny", *MODELS, "--limit", "30", "--device", "cpu", "--microbatch", "16"
    assert "robeval measure curve --suite SUITE --model MODEL" in refused("show", "curve")
    robeval("measure", "curve", *words, "--points", "4")
    assert "no attack of 'tiny' looks for the nearest image of" in refused("show", "curve")
    tiny = home / "suites" / "tiny.toml"
    tiny.write_text(tiny.read_text() + '\n[[attack]]\nuse = "deepfool"\nminimises = "linf"\nsteps = 3\n')
    robeval("measure", "curve", *words, "--points", "4", "--out", "near")
    chart = content("curve", "--out", "near")
    table = pd.read_csv("near/measures.csv")
    assert set(table.metric) == {"robust_accuracy"}
    for line in chart.lines:
        own = table[table.model == line.label]
        assert line.x == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])
        assert line.y == pytest.approx(100 * own.value.to_numpy())
        assert line.low == pytest.approx(100 * own.low.to_numpy())
        assert line.high == pytest.approx(100 * own.high.to_numpy())
    assert "tiny, digits (test), n = 30, ℓ∞ ε = 0.1" in chart.title
    assert "fgsm, pgd3, deepfool" in chart.note

    results = pd.read_csv("runs/results.csv")
    worst = results[results.attack == "worst_case"].set_index("model")
    plane = content("tradeoff")
    assert len(plane.points) == 2
    for point in plane.points:
        row = worst.loc[point.label]
        assert (point.x, point.y) == pytest.approx((100 * row.natural_accuracy, 100 * row.robust_accuracy))
        assert point.y_interval == pytest.approx((100 * row.ci_low, 100 * row.ci_high))
        assert point.x_interval[0] < point.x <= point.x_interval[1] + 1e-9
    one = content("tradeoff", "--model", "other", "--attack", "pgd3")
    pgd = results[(results.attack == "pgd3") & (results.model == "other")]
    assert [point.y for point in one.points] == pytest.approx(100 * pgd.robust_accuracy)
    assert "there is no suite" not in refused("show", "tradeoff", "--attack", "pgd4")
    robeval("run", *words[:4], "--limit", "20", *CPU)
    assert "cannot stand beside each other" in refused("show", "tradeoff")


def test_without_matplotlib_nothing_runs(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said = refused("show", "gradients", "--model", "none")
    assert "needs matplotlib, which is not installed" in said
    assert "robeval[plot]" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gradient",), "unknown picture 'gradient'. Did you mean 'gradients'?"),
        (("gradients",), "Missing option '--model'"),
        (("gradients", "--model", "smal"), "Did you mean 'small'?"),
        (("gradients", "--model", "small", "--model", "small"), "a model is named twice"),
        (("gradients", "--model", "small", "--sample", "0:30"), "30 images do not fit into one picture"),
        (("gradients", "--model", "small", "--sample", "5"), "'5' names no samples"),
        (("gradients", "--model", "small", "--to", "it.jpg"), "does not end in .png"),
        (("large-eps", "--model", "small", "--eps", "8"), 'Did you mean "8/255"?'),
        (("large-eps", "--model", "small", "--eps", "x"), "'eps' is 'x', expected a number above 0"),
        (("interpolation", *MODELS, "--eps", "0.3", "--sample", "0:11"), "are 22 rows"),
        (("adversarial", "--model", "small", "--suite", "tini"), "Did you mean 'tiny'?"),
        (("adversarial", "--model", "small", "--suite", "tiny", "--attack", "pgd"), "has no attack 'pgd'"),
        (("tradeoff",), "robeval run --suite SUITE --model MODEL --out runs"),
        (("steps", "--model", "small"), "robeval measure steps --model small --eps EPS --step-size SIZE --out runs"),
        (("separation", "--dataset", "digits"), "robeval measure separation --dataset digits --out runs"),
    ],
)
def test_what_does_not_fit_is_refused(refused, words, said):
    assert said in refused("show", *words)
