"""`robeval zoo`: list, show, inspect, convert, verify."""

import pickle

import torch

from robeval.zoo.archs import registry


def test_list_is_what_zoo_alone_says_and_show_may_be_left_out(robeval):
    assert robeval("zoo").out == robeval("zoo", "list").out
    assert robeval("zoo", "trades_mnist").out == robeval("zoo", "show", "trades_mnist").out


def test_inspect_says_what_is_in_a_file_and_gives_a_card(robeval, tmp_path):
    torch.save(registry.build("lenet5", {}, (1, 28, 28), 10, "").state_dict(), tmp_path / "mine.pt")
    said = robeval("zoo", "inspect", tmp_path / "mine.pt")
    assert said.code == 0
    for part in ("torch.save, zip archive", "linear2.weight", "10x200", "648,226 numbers", "It fits lenet5 on images"):
        assert part in said.out
    assert 'arch = "lenet5"' in said.out


def test_inspect_runs_nothing(refused, tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"state_dict": Trap()}))
    assert "nothing in it was executed" in refused("zoo", "inspect", tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


def test_convert_and_verify(robeval, refused, home, tmp_path):
    out = tmp_path / "out"
    weights = home / "zoo" / "checkpoints" / "small.safetensors"
    said = robeval("zoo", "convert", weights, "--card", "small", "--out", out)
    assert said.code == 0, said.err
    checked = robeval("zoo", "verify", out / "cards" / "small.toml", "--limit", "60")
    assert checked.code in (0, 1)
    assert "answers in other batches" in checked.out
    assert "the weights do not fit" in refused("zoo", "convert", weights, "--card", "trades_digits", "--out", out)


def test_a_model_that_fails_a_check_ends_with_1(robeval, home):
    path = home / "zoo" / "cards" / "small.toml"
    path.write_text(path.read_text() + '\n[[published]]\nmetric = "natural accuracy"\nvalue = 3\nsource = "nobody"\n')
    said = robeval("zoo", "verify", "small")
    assert said.code == 1
    assert "FAIL" in said.out
    assert "the card states 3.00 (nobody)" in said.out
