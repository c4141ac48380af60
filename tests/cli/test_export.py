"""`robeval export adv` and `robeval score`."""

from pathlib import Path

import numpy as np
import torch

from robeval.datasets import registry as datasets


def test_the_array_is_written_and_the_ledger_kept(robeval, tiny, tmp_path):
    tiny("--out", "runs")
    said = robeval("export", "adv", "--suite", "tiny", "--model", "small", "--limit", "40", "--to", "adv.npy")
    assert said.code == 0, said.err
    array = np.load("adv.npy")
    assert array.shape == (40, 1, 8, 8)
    assert array.dtype == np.float32
    assert "of 40 samples are broken" in said.out


def test_images_and_samples_can_be_chosen_as_for_a_run(robeval, tiny, tmp_path):
    whole, part = "whole.npy", "part.npy"
    for to, *more in ((whole, "--limit", "30"), (part, "--data", "digits", "--sample", "10:30")):
        words = "--suite", "tiny", "--model", "small", "--to", to, "--microbatch", "32", *more
        said = robeval("export", "adv", *words)
        assert said.code == 0, said.err
    assert np.array_equal(np.load(whole)[10:], np.load(part))


def test_rules_are_those_of_a_data_set(refused):
    words = "--suite", "tiny", "--model", "small", "--limit", "4", "--to", "adv.npy", "--rules", "trades"
    assert "no rules 'trades' for digits" in refused("export", "adv", *words)


def test_a_part_is_not_what_a_challenge_takes(robeval, real_data):
    weights = real_data / "checkpoints" / "advertorch_mnist_lenet5_advtrained.pt"
    words = "--model", "advertorch_lenet5_adv", "--checkpoint", weights, "--data-root", real_data, "--device", "cpu"
    more = "--suite", "mnist_linf", "--attack", "fgsm", "--limit", "8", "--rules", "trades", "--microbatch", "8"
    said = robeval("export", "adv", *words, *more, "--to", "part.npy")
    assert said.code == 1
    assert "its shape is (8, 28, 28), expected (10000, 28, 28)" in said.err
    assert "further" not in said.err
    assert np.load("part.npy").shape == (8, 28, 28)


def test_score_of_an_array(robeval, refused, real_data, tmp_path):
    samples = datasets.load("mnist", "test", (real_data,))
    x, _ = samples.slice(0, len(samples))
    weights = real_data / "checkpoints" / "advertorch_mnist_lenet5_advtrained.pt"
    words = "--model", "advertorch_lenet5_adv", "--checkpoint", weights, "--data-root", real_data, "--device", "cpu"
    noise = 0.29 * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) - 1)
    array = (x + noise).clamp(0, 1).squeeze(1).numpy()
    np.save("good.npy", array)
    said = robeval("score", "good.npy", *words)
    assert said.code == 0, said.err
    assert "follow the rules, which 10000 do" in said.out
    array[3] += 0.5
    np.save("bad.npy", array)
    said = robeval("score", "bad.npy", *words, "--list", "all.csv")
    assert said.code == 1
    assert "which 9999 do" in said.out
    assert "1 image further than 0.3" in said.err
    assert "Written: all.csv" in said.out
    assert Path("all.csv").read_text().splitlines()[1].startswith("3,further than 0.3 from the test image,0.")
    np.save("flat.npy", array.reshape(10000, 784))
    assert "its shape is (10000, 784), expected (10000, 28, 28)" in refused("score", "flat.npy", *words)
    assert "there is no such file" in refused("score", "none.npy", *words)
