"""Model cards: reading, refusing, writing."""

from dataclasses import replace

import pytest

from robeval.errors import UserError
from robeval.values.card import Checkpoint, Input, ModelCard, Network, Published
from robeval.values.threat import ThreatModel
from robeval.zoo import cards

CARD = """
title = "A small network"
dataset = "digits"
paper = "arXiv:0000.00000"

[network]
arch = "small_cnn"
width = 8

[threat]
norm = "linf"
eps = "8/255"

[input]
normalise = "fixed"
mean = [0.5]
std = [1]

[checkpoint]
file = "small.safetensors"
sha256 = "{0}"
source = "https://example.org"

[training]
method = "trades"
beta = 6.0
milestones = [1, 2]

[[published]]
metric = "natural accuracy"
value = 99
source = "Table 1"
""".replace("{0}", "AB" * 32)


@pytest.fixture
def card(tmp_path):
    """Writes a card with some lines replaced, and gives its path as text."""

    def put(*changes):
        text = CARD
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "small.toml"
        path.write_text(text)
        return str(path)

    return put


def test_a_whole_card(card):
    path = card()
    assert cards.load(path) == ModelCard(
        id="small",
        title="A small network",
        dataset="digits",
        paper="arXiv:0000.00000",
        network=Network("small_cnn", {"width": 8}),
        input=Input("fixed", (0.5,), (1.0,)),
        checkpoint=Checkpoint("small.safetensors", "ab" * 32, "https://example.org"),
        training={"method": "trades", "beta": 6.0, "milestones": [1, 2]},
        published=(Published("natural accuracy", 99.0, "Table 1"),),
        where=path,
        threat=ThreatModel("linf", 8 / 255),
    )


def test_the_smallest_card(tmp_path):
    path = tmp_path / "bare.toml"
    path.write_text('title = "Bare"\ndataset = "digits"\n[network]\narch = "small_cnn"\n')
    assert cards.load(str(path)) == ModelCard("bare", "Bare", "digits", Network("small_cnn"), where=str(path))


def refused(path):
    with pytest.raises(UserError) as caught:
        cards.load(path)
    assert path in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("paper =", "papers =", "takes no 'papers'\n  Did you mean 'paper'?"),
        ("[network]", "[networks]", "Did you mean 'network'?"),
        ('arch = "small_cnn"', "", "[network]: 'arch' is missing"),
        ('arch = "small_cnn"', "arch = 3", "'arch' is 3, expected a text"),
        ("width = 8", "width = 2020-01-01", "[network]: 'width' is datetime.date(2020, 1, 1), expected"),
        ("beta = 6.0", "beta = nan", "[training]: 'beta' is nan, expected a text, a finite number"),
        ('title = "A small network"', "title = 1", "'title' is 1, expected a text"),
        ('norm = "linf"', 'norm = "l3"', "[threat]: 'norm' is 'l3', expected one of 'linf', 'l2', 'l1'"),
        ('eps = "8/255"', "eps = 0", "[threat]: 'eps' is 0, expected a number above 0"),
        ('eps = "8/255"', "eps = 8", "'eps' is 8, but images are in [0, 1]\n  Did you mean \"8/255\"?"),
        ('eps = "8/255"', "", "[threat]: 'eps' is missing"),
        ('normalise = "fixed"', 'normalise = "imagenet"', "[input]: 'normalise' is 'imagenet', expected one of 'none'"),
        ('normalise = "fixed"', 'normalise = "none"', "so nothing would use them"),
        ("mean = [0.5]", 'mean = ["grey"]', "[input]: 'mean' is ['grey'], expected a list"),
        ("mean = [0.5]", "mean = [0.5, 0.5]", "'mean' has 2 numbers and 'std' 1"),
        ("std = [1]", "std = [0]", "'std' is [0.0], expected numbers above 0"),
        ('source = "https', 'sorce = "https', "[checkpoint]: takes no 'sorce'\n  Did you mean 'source'?"),
        ('file = "small.safetensors"', "", "[checkpoint]: 'file' is missing"),
        ('file = "small', 'file = "../small', "expected the bare name of a file"),
        ('file = "small.safetensors"', 'file = ""', "expected the bare name of a file"),
        ("AB" * 32, "AB" * 31, "expected 64 hexadecimal digits"),
        ("value = 99", 'value = "high"', "[[published]]: 'value' is 'high', expected a number"),
        ("[[published]]", "[published]", "'published' is {'metric'"),
        ("[training]", "[[training]]", "expected a section"),
        ('title = "A small', 'title = "A "small', "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(card, old, new, expected):
    assert expected in refused(card((old, new)))


def test_all_that_is_wrong_is_said_at_once(card):
    message = refused(card(("title =", "titel ="), ("std = [1]", "std = [-1]"), ("AB" * 32, "x"), ("value =", "val =")))
    for expected in ("'titel'", "'title' is missing", "numbers above 0", "64 hexadecimal", "'value' is missing"):
        assert expected in message


def test_missing_network(tmp_path):
    path = tmp_path / "bare.toml"
    path.write_text('title = "Bare"\ndataset = "digits"\n')
    assert refused(str(path)) == f"{path}: 'network' is missing\n  Add a section [network]."


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"--model: unknown name 'trades_mnst'\n.*Did you mean 'trades_mnist'"):
        cards.load("trades_mnst")
    with pytest.raises(UserError, match=r"--source: there is no file x\.toml"):
        cards.load("x.toml", "--source")


def test_the_catalog_adds_the_users_cards_and_says_all_that_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBEVAL_HOME", str(tmp_path))
    shelf = tmp_path / "zoo" / "cards"
    shelf.mkdir(parents=True)
    (shelf / "mine.toml").write_text(CARD)
    known = cards.catalog()
    assert known["mine"].title == "A small network"
    assert known["trades_mnist"].dataset == "mnist"
    for name in ("one", "two"):
        (shelf / f"{name}.toml").write_text(CARD.replace("title", f"title{name}"))
    with pytest.raises(UserError) as caught:
        cards.catalog()
    assert "titleone" in str(caught.value)
    assert "titletwo" in str(caught.value)


def test_writing_and_reading_gives_the_same(card, tmp_path):
    first = cards.load(card())
    awkward = replace(
        first,
        title='Quotes " and \\, tab\t, newline\n, delete \x7f, and ε',
        network=Network("small_cnn", {"width": 8, "odd key": "x", "drop": 1e-05, "flag": True, "sizes": [1, [2.5]]}),
        training={"method": "trades", "beta": 2, "rate": {"first": 0.1, "then": {}}, "note": ""},
        published=(Published("a", 99.48, "b"), Published("c", 0.1, "d")),
        measured=(Published("e", 98.5, "f"),),
        checkpoint=replace(first.checkpoint, stated_sha256="cd" * 32),
    )
    bare = ModelCard("bare", "Bare", "digits", Network("small_cnn"))
    odd = replace(bare, id="odd", threat=ThreatModel("l2", 0.4321))
    for each in (first, awkward, bare, odd, *cards.catalog().values()):
        path = tmp_path / "written" / f"{each.id}.toml"
        cards.write(each, path)
        assert cards.load(str(path)) == replace(each, where=str(path))
        assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_a_written_card_is_pleasant_to_read(tmp_path):
    path = tmp_path / "x.toml"
    training, threat = {"method": "trades", "beta": 6.0}, ThreatModel("linf", 8 / 255)
    network = Network("small_cnn", {"padding": 1})
    cards.write(ModelCard("x", "X", "digits", network, training=training, threat=threat), path)
    assert path.read_text() == (
        'title = "X"\ndataset = "digits"\n\n[network]\narch = "small_cnn"\npadding = 1\n\n'
        '[threat]\nnorm = "linf"\neps = "8/255"\n\n'
        '[input]\nnormalise = "none"\n\n[training]\nmethod = "trades"\nbeta = 6.0\n'
    )


def test_what_toml_cannot_hold_is_not_written(tmp_path):
    card = ModelCard("x", "X", "digits", Network("small_cnn", {"width": None}))
    with pytest.raises(TypeError, match="NoneType"):
        cards.write(card, tmp_path / "x.toml")
    assert list(tmp_path.iterdir()) == []
