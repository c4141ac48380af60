"""`robeval train`."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from robeval.cli.train import command
from robeval.errors import UserError
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


def test_help_needs_no_torch():
    code = "import sys; from robeval.cli import train; assert not {'torch', 'rich', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
