"""Recipes of many models in one file."""

import pytest

from robeval.errors import UserError
from robeval.zoo import recipes

FILE = """
[base.loop]
note = "the loop is ours"
dataset = "digits"
network = { arch = "small_cnn", padding = 1 }
training = { epochs = 2, batch_size = 10, learning_rate = 0.1 }

[base.slow]
note = "slow"
training = { learning_rate = 0.01 }

[model]
first = { like = ["loop"], training = { method = "natural" } }
second = { like = ["first", "slow"], title = "Second", network = { width = 2 } }
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "zoo" / "papers").mkdir(parents=True)
    monkeypatch.setenv("ROBEVAL_HOME", str(tmp_path))

    def write(text):
        (tmp_path / "zoo" / "papers" / "it.toml").write_text(text)

    write(FILE)
    return write


def test_later_ones_count_key_by_key(home):
    first, second = recipes.load("first"), recipes.load("second")
    assert first.card.training == {"epochs": 2, "batch_size": 10, "learning_rate": 0.1, "method": "natural"}
    assert second.card.training == {**first.card.training, "learning_rate": 0.01}
    assert second.card.network.params == {"padding": 1, "width": 2}
    assert (second.card.id, second.card.title, second.card.dataset) == ("second", "Second", "digits")
    assert (first.notes, second.notes) == (("the loop is ours",), ("the loop is ours", "slow"))
    assert second.card.checkpoint is None


def test_cards_come_first_and_unknown_names_get_the_nearest(home):
    assert recipes.load("trades_digits").card.checkpoint
    with pytest.raises(UserError, match=r"CARD: unknown name 'secnd'\n  Did you mean 'second'\?"):
        recipes.load("secnd")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('["first", "slow"]', '["first", "slw"]', "second: there is no 'slw' to be like\n  Did you mean 'slow'?"),
        ('like = ["loop"]', 'like = ["second"]', "second: it is like 'first', which is like it"),
        ('title = "Second"', 'tite = "Second"', "'tite'"),
        ('dataset = "digits"', "", "'dataset'"),
        ("padding = 1", "padding = nan", "'padding' is nan"),
        ("first = {", "first = 3 #", "first"),
    ],
)
def test_what_is_wrong_is_named(home, before, after, message):
    home(FILE.replace(before, after))
    with pytest.raises(UserError) as caught:
        recipes.catalog()
    assert message in str(caught.value)
    assert "it.toml" in str(caught.value)
