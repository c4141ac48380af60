"""Where suites and cards are found."""

import re
from pathlib import Path

import pytest

from robeval import shelf
from robeval.errors import UserError

SHIPPED = Path(__file__).parents[1] / "suites"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder that ROBEVAL_HOME names, with an empty shelf of suites."""
    monkeypatch.setenv("ROBEVAL_HOME", str(tmp_path))
    (tmp_path / "suites").mkdir()
    return tmp_path


def test_the_shipped_suites_are_on_the_shelf():
    assert shelf.names(shelf.SUITES) == {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}
    assert "digits_linf" in shelf.names(shelf.SUITES)


def test_the_users_folder_adds(home):
    mine = home / "suites" / "mine.toml"
    mine.write_text("")
    assert shelf.names(shelf.SUITES)["mine"] == mine
    assert shelf.find(shelf.SUITES, "mine", "--suite") == mine
    assert shelf.find(shelf.SUITES, "digits_linf", "--suite") == SHIPPED / "digits_linf.toml"


def test_the_users_folder_overrides(home):
    mine = home / "suites" / "digits_linf.toml"
    mine.write_text("")
    assert shelf.find(shelf.SUITES, "digits_linf", "--suite") == mine
    assert len(shelf.names(shelf.SUITES)) == len(list(SHIPPED.glob("*.toml")))


@pytest.mark.parametrize("place", ["nowhere", ""])
def test_a_users_folder_that_is_not_there_adds_nothing(tmp_path, monkeypatch, place):
    monkeypatch.setenv("ROBEVAL_HOME", str(tmp_path / place) if place else "")
    assert list(shelf.names(shelf.SUITES)) == sorted(path.stem for path in SHIPPED.glob("*.toml"))


def test_a_path_is_taken_as_it_is(tmp_path):
    path = tmp_path / "other.toml"
    path.write_text("")
    assert shelf.find(shelf.SUITES, str(path), "--suite") == path


def test_an_unknown_name_offers_the_nearest_and_names_the_option():
    with pytest.raises(UserError, match=re.escape("--suite: unknown name 'digit_linf'")) as caught:
        shelf.find(shelf.SUITES, "digit_linf", "--suite")
    assert "Did you mean 'digits_linf'?" in str(caught.value)


@pytest.mark.parametrize("name", ["there_is_none.toml", "folder.toml"])
def test_a_path_to_no_file_names_it_and_the_option(tmp_path, name):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UserError) as caught:
        shelf.find(shelf.SUITES, str(tmp_path / name), "--suite")
    assert str(tmp_path / name) in str(caught.value)
    assert caught.value.where == "--suite"


def test_broken_toml_names_file_and_line(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text('title = "x"\n\n[threat\nnorm = "linf"\n')
    with pytest.raises(UserError, match=r"at line 3, column \d+") as caught:
        shelf.read_toml(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("content", [b"title = '\xff\xfe'", None])
def test_a_file_that_cannot_be_read_is_a_user_error(tmp_path, content):
    path = tmp_path / "strange.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be read|not UTF-8") as caught:
        shelf.read_toml(path)
    assert caught.value.where == str(path)


def test_the_cache_is_where_the_user_says(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBEVAL_CACHE", str(tmp_path / "mine"))
    assert shelf.cache() == tmp_path / "mine"
    monkeypatch.delenv("ROBEVAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert shelf.cache() == tmp_path / "xdg" / "robeval"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert shelf.cache() == tmp_path / "home" / ".cache" / "robeval"
