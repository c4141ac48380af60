"""`robeval transfer`: images made on one model, accuracy measured on another."""

import numpy as np
import pandas as pd

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
    assert "transfer_digits_linf from natural_digits" in said.out
    again = robeval("transfer", *words, *BRIEF)
    assert again.out.count("0 of 10 cells") == 2


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
