"""`robeval transfer`: images made on one model, accuracy measured on another."""

import numpy as np
import pandas as pd
import pytest
import torch

from robeval.datasets import registry as datasets
from robeval.zoo import cards
from robeval.zoo.load import load_model

BRIEF = "--device", "cpu", "--microbatch", "64", "--limit", "120"


def table(folder):
    return pd.read_csv(folder / "results.csv", keep_default_na=False)


def test_sources_and_targets_are_crossed_and_names_may_leave_out_the_data_set(robeval, tmp_path):
    out = tmp_path / "runs"
    words = "--source", "natural", "--source", "trades", "--target", "trades", "--target", "natural", "--out", out
    said = robeval("transfer", *words, *BRIEF)
    assert said.code == 0, said.err
    found = table(out)
    pairs = set(zip(found.source, found.model))
    assert pairs == {
        (one, other) for one in ("natural_digits", "trades_digits") for other in ("natural_digits", "trades_digits")
    }
    pgd = found[found.attack == "pgd40"].set_index(["source", "model"]).robust_accuracy
    assert pgd["natural_digits", "natural_digits"] < 0.1, "its own images break it"
    assert pgd["natural_digits", "trades_digits"] > pgd["trades_digits", "trades_digits"], "transfer is weaker"
    assert "transfer_digits_linf: pgd40, made on other models" in said.out
    again = robeval("transfer", *words, *BRIEF)
    assert again.out.count("0 of 10 cells") == 2


def test_both_denominators_and_the_losses_are_those_of_the_images_that_are_saved(robeval, tmp_path):
    words = "--source", "madry", "--target", "trades,natural", "--out", tmp_path / "runs", "--save", tmp_path / "images"
    said = robeval("transfer", *words, *BRIEF)
    assert said.code == 0, said.err
    images = torch.from_numpy(np.load(tmp_path / "images" / "transfer_digits_linf--madry_digits--pgd40.npy"))
    data = datasets.load("digits", "test")
    x, y = data.slice(0, 120)
    assert (images.dtype, images.shape) == (torch.float32, x.shape)
    assert (images - x).abs().max() <= 0.1875, "in float32, without any tolerance"
    assert ((images >= 0) & (images <= 1)).all()
    assert (images != x).flatten(1).any(dim=1).all(), "also the samples that a target gets wrong"
    found = pd.read_csv(tmp_path / "runs" / "transfer.csv").query("attack == 'pgd40'")
    for name in ("trades_digits", "natural_digits"):
        numbers = found[found.model == name].set_index(["metric", "at"])[["value", "n"]]
        net = load_model(cards.load(name), data.shape, 10).module
        with torch.no_grad():
            right, still = net(x).argmax(dim=1) == y, net(images).argmax(dim=1) == y
            losses = torch.nn.functional.cross_entropy(net(images), y, reduction="none").double()
        everyone, correct = "all samples", "clean-correct on the target"
        assert tuple(numbers.loc["robust_accuracy", everyone]) == ((right & still).double().mean(), 120)
        assert tuple(numbers.loc["robust_accuracy", correct]) == (still[right].double().mean(), right.sum())
        assert numbers.loc["mean_cross_entropy", everyone].value == pytest.approx(losses.mean().item(), rel=1e-5)
        assert numbers.loc["mean_cross_entropy", correct].value == pytest.approx(losses[right].mean().item(), rel=1e-5)
    before = images.numpy().tobytes()
    robeval("transfer", *words, *BRIEF)
    again = np.load(tmp_path / "images" / "transfer_digits_linf--madry_digits--pgd40.npy")
    assert again.tobytes() == before, "made again where the ledger has the verdicts"


def test_a_short_name_that_may_be_several_is_refused(refused):
    words = "--target", "trades_mnist", "--suite", "transfer_mnist_linf"
    assert "Name one of them: madry_mnist_adv_trained" in refused("transfer", "--source", "madry", *words)


def test_models_of_two_data_sets_are_refused_together(refused):
    said = refused("transfer", "--source", "natural_digits", "--target", "trades_digits,trades_mnist")
    assert "model 'trades_mnist'" in said
    assert "it is for mnist, but the suite is about digits" in said
    assert "checkpoint" not in said, "refused before any weights are looked for"


def test_a_target_that_is_the_source_is_a_white_box(robeval, tmp_path):
    robeval("transfer", "--source", "natural", "--target", "natural", "--out", tmp_path / "a", *BRIEF)
    robeval("run", "--suite", "transfer_digits_linf", "--model", "natural_digits", "--out", tmp_path / "b", *BRIEF)
    own, white = (table(tmp_path / name) for name in "ab")
    assert np.array_equal(own.robust_accuracy, white.robust_accuracy)
    assert set(own.source) == {"natural_digits"}
    assert set(white.source) == {""}


def test_unknown_names(refused):
    assert "'natural_digit'" in refused("transfer", "--source", "natural_digit", "--target", "trades")
    assert "--suite: unknown name 'transfer'" in refused(
        "transfer", "--source", "natural", "--target", "trades", "--suite", "transfer"
    )
    assert "it is for digits, but the suite" in refused(
        "transfer", "--source", "natural_digits", "--target", "trades", "--suite", "transfer_mnist_linf"
    )
