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


def test_fetch(robeval, refused, home, web):
    weights = home / "zoo" / "checkpoints" / "small.safetensors"
    path = home / "zoo" / "cards" / "far.toml"
    text = (home / "zoo" / "cards" / "small.toml").read_text()
    path.write_text(text.replace("small.safetensors", "far.safetensors"))
    assert "is in none of" in refused("zoo", "fetch", "far")
    url = web.put("far", weights.read_bytes())
    path.write_text(f'{path.read_text()}\nurl = "{url}"\nsource = "the moon"\n')
    said = robeval("zoo", "fetch", "far")
    assert said.code == 0, said.err
    assert "fetching far.safetensors" in said.err
    assert "the card names none" in said.out
    assert "Weights: " in robeval("zoo", "far").out


def test_a_run_fetches_weights_or_ends_in_one_message(tiny, home, web, monkeypatch):
    weights = (home / "zoo" / "checkpoints" / "small.safetensors").read_bytes()
    (home / "zoo" / "checkpoints" / "small.safetensors").unlink()
    path = home / "zoo" / "cards" / "small.toml"
    path.write_text(f'{path.read_text()}\nurl = "{web.put("small", weights)}"\nsource = "the moon"\n')
    monkeypatch.setenv("ROBEVAL_OFFLINE", "1")
    said = tiny()
    assert said.code == 1
    assert said.out == ""
    assert said.err.count("robeval: ") == 1
    for part in ("small.safetensors", web.address, "ROBEVAL_OFFLINE", "Get it from the moon", "checkpoints"):
        assert part in said.err
    monkeypatch.delenv("ROBEVAL_OFFLINE")
    said = tiny()
    assert said.code == 0, said.err
    assert "pgd3" in said.out
