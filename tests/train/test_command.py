"""`robeval train`."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from robeval import shelf
from robeval.cli.train import _next, command
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.suites import load as suites
from robeval.train import epochs, log
from robeval.values.card import ModelCard, Network
from robeval.zoo import cards

CARD = """title = "Small"
dataset = "digits"

[network]
arch = "small_cnn"
width = 2
hidden = 8
padding = 1

[training]
method = "natural"
epochs = 2
batch_size = 1195
learning_rate = 0.1
threads = 1
"""


@pytest.fixture
def card(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(CARD)
    return path


def call(*words):
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)


def test_it_trains_and_says_what_to_do_next(card, tmp_path):
    out = tmp_path / "out"
    result = call(card, "--out", out, "--device", "cpu")
    assert result.exit_code == 0
    first, second, written, next_ = result.output.splitlines()
    assert first.startswith("small: epoch 1/2, loss 2.30")
    assert second.startswith("small: epoch 2/2, loss")
    assert written == f"Written: {out / 'checkpoints' / 'small.safetensors'} and {out / 'cards' / 'small.toml'}"
    assert next_ == f"Now try: robeval run --suite digits_linf --model {out / 'cards' / 'small.toml'}"
    assert cards.load(str(out / "cards" / "small.toml")).checkpoint.sha256


@pytest.mark.parametrize("dataset", sorted(datasets.catalog()))
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_what_it_says_to_do_next_can_be_done(dataset, norm):
    card = ModelCard("it", "It", dataset, Network("small_cnn"), training={"norm": norm})
    said, _, rest = _next(card, Path("it.toml")).partition(" --suite ")
    suite, _, model = rest.partition(" --model ")
    assert model == "it.toml"
    if said == "Now try: robeval run":
        assert suites.load(suite, "it").dataset == dataset
    else:
        assert said.startswith(f"There is no suite {dataset}_{norm};")
        assert f"{dataset}_{norm}" not in shelf.names(shelf.SUITES)


def test_another_seed_stands_in_the_new_card(card, tmp_path):
    assert call(card, "--out", tmp_path, "--seed", 7, "--device", "cpu").exit_code == 0
    assert cards.load(str(tmp_path / "cards" / "small.toml")).training["seed"] == 7


def test_what_the_user_can_mend_is_a_user_error(card, tmp_path):
    card.write_text(CARD.replace("epochs = 2", "epochs = 0"))
    with pytest.raises(UserError, match=r"small\.toml: \[training\]: 'epochs' is 0"):
        call(card, "--out", tmp_path / "out")
    with pytest.raises(UserError, match="unknown name 'no_such_card'"):
        call("no_such_card")
    assert not (tmp_path / "out").exists()


NEW = "--method", "trades", "--dataset", "digits", "--arch", "small_cnn"
SMALL = "--width", 2, "--hidden", 8, "--batch-size", 1195, "--steps", 1, "--device", "cpu"


def test_a_new_model_needs_no_card(tmp_path):
    result = call(*NEW, "--beta", 6, "--epochs", 2, *SMALL, "--out", tmp_path)
    assert result.exit_code == 0
    name = "trades_digits_small_cnn"
    filled, first, *_ = result.output.splitlines()
    assert filled.startswith(f"{name}: not given, so as is usual on digits: norm = linf, eps = 3/16, ")
    assert first.startswith(f"{name}: epoch 1/2, loss 2.30")
    made, begun = (cards.load(str(tmp_path / folder / f"{name}.toml")) for folder in ("cards", "recipes"))
    assert made.training == begun.training
    assert (made.training["method"], made.training["beta"], made.training["step_size"]) == ("trades", 6, 0.1875)
    assert made.network == begun.network
    assert made.network.params == {"padding": 1, "width": 2, "hidden": 8}
    assert made.checkpoint and not begun.checkpoint
    again = call(tmp_path / "recipes" / f"{name}.toml", "--out", tmp_path / "again", "--device", "cpu")
    assert again.exit_code == 0
    files = [folder / "checkpoints" / f"{name}.safetensors" for folder in (tmp_path, tmp_path / "again")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_network_gets_what_it_needs_for_small_images(tmp_path):
    words = "--method", "natural", "--dataset", "digits", "--arch", "small_cnn_bn", "--width", 2, "--hidden", 4
    result = call(*words, "--epochs", 1, "--batch-size", 1195, "--device", "cpu", "--out", tmp_path)
    assert result.exit_code == 0
    made = cards.load(str(tmp_path / "cards" / "natural_digits_small_cnn_bn.toml"))
    assert made.network.params["padding"] == 1


def test_keys_of_a_card_can_be_given_as_options(card, tmp_path):
    words = "--epochs=1", "--weight_decay", "1e-4", "--decay-epochs", 1, "--channels-last", "--width", 3
    assert call(card, *words, "--out", tmp_path, "--device", "cpu").exit_code == 0
    made = cards.load(str(tmp_path / "cards" / "small.toml"))
    assert made.training["decay_epochs"] == (1,) or made.training["decay_epochs"] == [1]
    assert (made.training["epochs"], made.training["weight_decay"], made.training["channels_last"]) == (1, 1e-4, True)
    assert made.network.params["width"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "trade", *NEW[2:]), "--method: unknown name 'trade'\n  Did you mean 'trades'?"),
        (("--method", "trades", "--dataset", "digit", *NEW[4:]), "--dataset: unknown name 'digit'"),
        (("--method", "trades", "--dataset", "digits"), "--arch: it is missing"),
        ((*NEW, "--bta", 6), "neither 'trades' nor 'small_cnn' takes '--bta'\n  Did you mean 'beta'?"),
        ((*NEW, "--batch-sise", 6), "Did you mean 'batch-size'?"),
        ((*NEW, "--eps", 0.1), "'eps' is given, but not the norm"),
        ((*NEW, "--epochs", 0), "'epochs' is 0, expected a whole number at least 1"),
        ((*NEW, "--batch-size", 5000), "only 1195 training images"),
        ((*NEW, "--learning-rate", "nan"), "'learning_rate' is nan"),
        ((*NEW, "--precision", "bfloat16", "--device", "cpu"), "which is for CUDA"),
        ((*NEW, "--pad", 8, "--pad-with", "reflect"), "images of 8x8 mirror at most 7 pixels"),
        ((*NEW, "--name", "a/b"), "--name: 'a/b' cannot be the name of a file"),
        ((*NEW[:-1], "small_cnn_bn", "--padding", 0), "'small_cnn_bn' cannot take 1 x 8 x 8 images: "),
        ((*NEW[:-1], "net"), "'net' cannot take 1 x 8 x 8 images: "),
        (("natural_digits", *NEW), "--method, --dataset, --arch cannot go with the card 'natural_digits'"),
        (("natural_digits", "--epoch", 3), "takes '--epoch'\n  Did you mean 'epochs'?"),
        (("natural_digits", "madry_digits"), "nothing takes the word 'madry_digits'"),
        ((*NEW[:2], "--dataset", "mnist", *NEW[4:]), "mnist"),
    ],
)
def test_what_cannot_be_is_one_message(tmp_path, words, message):
    with pytest.raises(UserError) as caught:
        call(*words, "--out", tmp_path / "out", "--data-root", tmp_path)
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_nothing_to_train_is_a_wrong_usage():
    assert call().exit_code == 2
    assert "give a CARD, or --method" in call().output


def test_a_training_that_leads_nowhere_ends_in_code_1(card, tmp_path, capsys):
    result = call(card, "--learning-rate", 1e30, "--out", tmp_path, "--device", "cpu")
    assert result.exit_code == 1
    assert "is not finite in epoch" in result.output


def test_it_says_that_it_goes_on_and_how_after_ctrl_c(card, tmp_path, monkeypatch):
    learn, count = epochs._learn, iter(range(1))

    def interrupted(job, state, rows):
        if next(count, None) is None:
            raise KeyboardInterrupt
        learn(job, state, rows)
        job.keeper.save(state)

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "_learn", interrupted)
        with pytest.raises(click.Abort, match="the same command goes on"):
            command.main(["model", str(card), "--out", str(tmp_path), "--device", "cpu"], standalone_mode=False)
    result = call(card, "--out", tmp_path, "--device", "cpu")
    assert result.output.startswith("small: goes on where it was stopped; --restart begins anew\n")
    assert "epoch 2/2" in result.output


def test_curves_of_a_log_become_a_picture(card, tmp_path):
    pytest.importorskip("matplotlib")
    call(card, "--out", tmp_path, "--device", "cpu")
    log = tmp_path / "logs" / "small.csv"
    assert call("plot", log).output == f"Written: {log.with_suffix('.png')}\n"
    assert log.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert call("plot", log, "--out", tmp_path / "other.png").exit_code == 0
    assert (tmp_path / "other.png").read_bytes() == log.with_suffix(".png").read_bytes()


def test_drawing_says_what_it_lacks(card, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    call(card, "--out", tmp_path, "--device", "cpu")
    with pytest.raises(UserError, match=r"needs matplotlib, which is not installed\n.*robeval\[plot\]"):
        call("plot", tmp_path / "logs" / "small.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("a,b\n", "this is no log"),
        (log.text([]) + "1,2,x\n", "this is no log"),
        (log.text([]), "no epoch is over yet"),
    ],
)
def test_what_is_no_log_is_named(tmp_path, content, message):
    path = tmp_path / "it.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        call("plot", path)
    assert str(path) in str(caught.value)


def test_help_needs_no_torch():
    code = "import sys; from robeval.cli import train; assert not {'torch', 'rich', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_of_a_paper_is_trained_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "zoo" / "papers").mkdir(parents=True)
    entry = 'like = ["all"]\nnote = "the rate is ours"\ntraining = { learning_rate = 0.2 }'
    base = CARD.replace("[network]", "[base.all.network]").replace("[training]", "[base.all.training]")
    base = "[base.all]\n" + base.replace('title = "Small"\n', "")
    (tmp_path / "zoo" / "papers" / "paper.toml").write_text(f"{base}\n[model.its_small]\n{entry}\n")
    monkeypatch.setenv("ROBEVAL_HOME", str(tmp_path))
    result = call("its_small", "--epochs", 1, "--out", tmp_path / "zoo", "--device", "cpu")
    assert result.output.startswith("its_small: the rate is ours\nits_small: epoch 1/1")
    made = cards.load("its_small")
    assert made.checkpoint
    assert (made.training["epochs"], made.training["learning_rate"]) == (1, 0.2)
    assert "\nits_small: natural, small_cnn on digits\n" in call("list").output
    assert "\nyang_cifar10_wrn4010_llr: llr, wide_resnet on cifar10\n" in call("list").output
