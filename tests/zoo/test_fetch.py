"""Weights from where a card says."""

import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest

from robeval.errors import FetchError, UserError
from robeval.values.card import Checkpoint, ModelCard, Network
from robeval.zoo import cards, checkpoints, listing
from robeval.zoo.obtain import fetch, obtain

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def card(**checkpoint):
    return ModelCard(
        "net", "Net", "digits", Network("small_cnn"), checkpoint=Checkpoint(**checkpoint), where="net.toml"
    )


def place(name):
    return Path(os.environ["ROBEVAL_CACHE"]) / "checkpoints" / name


def test_a_file_that_is_not_there_is_fetched_once(web):
    net = card(file="net.pt", sha256=SHA256, url=web.put("a/other.pt", CONTENT))
    told = []
    assert obtain(net, None, lambda *words: told.append(words)) == place("net.pt")
    assert place("net.pt").read_bytes() == CONTENT
    assert told[-1] == ("net.pt", len(CONTENT), len(CONTENT))
    web.files.clear()
    assert obtain(net, None) == place("net.pt")


def test_without_a_checksum_the_first_one_binds(web):
    net = card(file="net.pt", url=web.put("net.pt", CONTENT))
    path = obtain(net, None)
    assert checkpoints.verify(net, path) == SHA256
    path.write_bytes(b"altered")
    with pytest.raises(UserError, match=r"but net\.pt\.sha256, made when it was first fetched or used, says") as caught:
        checkpoints.verify(net, path)
    assert f"delete {path}.sha256" in caught.value.fix
    path.unlink()
    web.put("net.pt", b"another")
    with pytest.raises(FetchError) as caught:
        obtain(net, None)
    assert f"delete {path}.sha256" in str(caught.value)
    (path.parent / "net.pt.sha256").unlink()
    assert obtain(net, None).read_bytes() == b"another"


def test_a_file_put_there_by_hand_binds_from_its_first_use():
    net = card(file="net.pt", source="https://example.org")
    path = place("net.pt")
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert checkpoints.known_sha256(net) == ("", "nobody")
    assert checkpoints.verify(net, checkpoints.locate(net, None)) == SHA256
    assert checkpoints.known_sha256(net) == (SHA256, "recorded when first fetched or used")
    path.write_bytes(b"altered")
    with pytest.raises(UserError, match=r"made when it was first fetched or used, says"):
        checkpoints.verify(net, path)
    own = card(file="own.pt")  # of nobody else: it may change as its maker likes
    place("own.pt").write_bytes(CONTENT)
    checkpoints.verify(own, place("own.pt"))
    assert not place("own.pt.sha256").exists()


def test_the_known_checksum_and_who_says_it(web):
    sure, unsure = (card(file="net.pt", sha256=known, url=web.put("net.pt", CONTENT)) for known in (SHA256, ""))
    assert checkpoints.known_sha256(sure) == (SHA256, "the card")
    assert checkpoints.known_sha256(unsure) == ("", "nobody")
    obtain(unsure, None)
    assert checkpoints.known_sha256(unsure) == (SHA256, "recorded when first fetched or used")
    (table,) = listing.tables([unsure], checksums=True)
    assert (table.header[-1], table.rows[0][-1]) == ("sha256", f"{SHA256[:8]}*")
    assert "nobody published it" in listing.legend([unsure])[-1]
    assert dict(listing.page(unsure)[0].rows)["sha256"] == f"{SHA256} (recorded when first fetched or used)"
    (table,) = listing.tables([sure], checksums=True)
    assert table.rows[0][-1] == SHA256[:8]


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        (b"<!doctype html>quota", "a web page came"),
        (CONTENT[:-1], "sha256"),
        (None, "the server answered 404"),
    ],
)
def test_what_cannot_be_had_is_one_message(web, served, expected):
    url = f"{web.address}/net.pt" if served is None else web.put("net.pt", served)
    net = card(file="net.pt", sha256=SHA256, url=url, source="https://example.org/net")
    with pytest.raises(FetchError) as caught:
        obtain(net, None)
    message = str(caught.value)
    for part in ("net.toml", "net.pt", url, expected, "https://example.org/net", str(place("net.pt").parent)):
        assert part in message
    assert caught.value.__cause__ is None
    assert caught.value.code == 1
    assert not place("net.pt").exists()


def test_a_given_file_is_never_fetched(web, tmp_path):
    net = card(file="net.pt", url=web.put("net.pt", CONTENT))
    with pytest.raises(UserError, match="there is no file"):
        obtain(net, tmp_path / "none.pt")
    assert web.asked == []


def test_a_card_without_an_address():
    with pytest.raises(UserError, match="is in none of"):
        obtain(card(file="net.pt"), None)
    with pytest.raises(UserError, match="has no 'url'") as caught:
        fetch(card(file="net.pt", source="a library"))
    assert "They are at a library." in caught.value.fix


def archive(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name in names:
            zipped.writestr(name, name * 10)
    return file.getvalue()


CHECKPOINT = archive(
    "models/secret/checkpoint",
    "models/secret/checkpoint-9.index",
    "models/secret/checkpoint-9.data-00000-of-00001",
    "models/secret/checkpoint-90.index",
)


def test_several_files_of_an_archive(web):
    net = card(
        file="secret.index",
        url=web.put("secret.zip", CHECKPOINT),
        member="models/secret/checkpoint-9",
        archive_sha256=hashlib.sha256(CHECKPOINT).hexdigest(),
        size=len(CHECKPOINT),
    )
    path = obtain_unread(net)
    assert path == place("secret.index")
    found = sorted(each.name for each in path.parent.iterdir())
    assert found == ["secret.data-00000-of-00001", "secret.index", "secret.index.sha256"]
    assert path.read_text() == "models/secret/checkpoint-9.index" * 10


@pytest.mark.parametrize("member", ["mc_eps4/checkpoint-200", "mc_eps4/*"])
@pytest.mark.parametrize("above", ["", "./", "models/", "a/b/"])
def test_one_model_of_an_archive_of_several_is_found_in_whichever_folder(web, member, above):
    """As of BAT, whose archive nobody describes; the card's file is the name of a TensorFlow checkpoint."""
    names = [
        f"{model}/checkpoint-200{end}" for model in ("mc_eps4", "mc_eps8") for end in (".index", ".data-0", ".meta")
    ]
    content = archive(*(f"{above}{name}" for name in (*names, "mc_eps4/checkpoint")))
    net = card(file="bat", url=web.put("all.zip", content), member=member)
    path = obtain_unread(net)
    assert path == place("bat.index")
    assert path.read_text() == f"{above}mc_eps4/checkpoint-200.index" * 10
    kept = {each.name for each in path.parent.iterdir()}
    assert kept == {"bat.index", "bat.data-0", "bat.meta", "bat.archive.sha256", "bat.index.sha256"}
    assert checkpoints.locate(net, None) == path


def obtain_unread(net):
    """The file, whose checksum is not taken: these are no real checkpoints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("robeval.zoo.obtain.sha256", lambda path: SHA256)
        return obtain(net, None)


def test_without_a_network_it_is_said_what_of_an_archive_goes_where(monkeypatch):
    monkeypatch.setenv("ROBEVAL_OFFLINE", "1")
    with pytest.raises(FetchError) as caught:
        obtain(card(file="bat", url="https://example.org/all.zip", member="mc_eps4/checkpoint-200"), None)
    folder = place("bat").parent
    said = "Get mc_eps4/checkpoint-200.* out of the archive at https://example.org/all.zip and put it, as bat.*, into"
    assert f"{said} {folder}" in caught.value.fix


def test_an_archive_without_the_model_is_not_fetched_again(web):
    url = web.put("secret.zip", CHECKPOINT)
    for _ in range(2):
        with pytest.raises(UserError, match="what was fetched is kept"):
            obtain(card(file="secret.index", url=url, member="models/other/checkpoint-9"), None)
    assert len(web.asked) == 1
    assert obtain_unread(card(file="secret.index", url=url, member="checkpoint-9")) == place("secret.index")
    assert len(web.asked) == 1
    assert not place("secret.index.archive").exists()


@pytest.mark.parametrize(
    ("content", "member", "expected"),
    [
        (
            CHECKPOINT,
            "models/other/checkpoint-9",
            "no entry models/other/checkpoint-9.index; its checkpoints are models/",
        ),
        (archive("a/x-1.index", "b/x-1.index"), "x-1", "'member' x-1 fits several files: a/x-1, b/x-1"),
        (archive("a/x-1.index", "a/x-2.index"), "a/*", "'member' a/* fits several files: a/x-1, a/x-2"),
        (archive("a/ax-1.index"), "x-1", "no entry x-1.index"),
        (archive("net.data"), "net", "the archive has no entry net.index"),
        (archive("../net.index"), "net", "leads out of the folder"),
        (CHECKPOINT[:-9], "models/secret/checkpoint-9", "cut or damaged"),
    ],
)
def test_archives_that_cannot_be_used(web, content, member, expected):
    net = card(file="secret.index", url=web.put("secret.zip", content), member=member)
    with pytest.raises(UserError) as caught:
        obtain(net, None)
    assert expected in str(caught.value)
    assert not place("secret.index").exists()


def test_cards_say_it_all(tmp_path):
    about = Checkpoint("a.index", "0" * 64, "somewhere", "https://example.org/a.zip", "a/b-9", "1" * 64, 12)
    net = ModelCard("net", "Net", "digits", Network("small_cnn"), checkpoint=about)
    cards.write(net, tmp_path / "net.toml")
    assert cards.load(str(tmp_path / "net.toml")).checkpoint == about


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('url = "ftp://example.org/a"', "'url' is 'ftp://example.org/a'"),
        ('url = "a.pt"', "begins with https:// or http://"),
        ('archive_sha256 = "12"', "'archive_sha256' is '12', expected 64 hexadecimal digits"),
        (f'archive_sha256 = "{"0" * 64}"', "but no 'member'"),
        ("size = -1", "'size' is -1"),
    ],
)
def test_cards_that_are_wrong(tmp_path, line, expected):
    path = tmp_path / "net.toml"
    top = 'title = "Net"\ndataset = "digits"\n[network]\narch = "small_cnn"\n'
    path.write_text(f'{top}[checkpoint]\nfile = "a.pt"\n{line}\n')
    with pytest.raises(UserError) as caught:
        cards.load(str(path))
    assert expected in str(caught.value)


def test_the_shipped_cards_name_files_of_their_own():
    fetched = [card for card in cards.catalog().values() if card.checkpoint and card.checkpoint.url]
    assert {"trades_wrn34", "trades_mnist", "akamaster_resnet20"} <= {card.id for card in fetched}
    names = [card.checkpoint.file for card in fetched]
    assert len(set(names)) == len(names)
    for card in fetched:
        # Of others nothing is published: the checksum is recorded when they are first fetched.
        assert card.checkpoint.sha256 or not card.checkpoint.url.startswith("https://raw.githubusercontent.com")
        assert card.checkpoint.source
