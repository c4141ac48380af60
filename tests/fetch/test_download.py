"""A file from the web is whole and checked, or not there."""

import hashlib
import random
import socket

import pytest

from robeval.errors import FetchError
from robeval.fetch.download import download, recorded
from robeval.values.remote import Remote

CONTENT = random.Random(0).randbytes(1 << 21)
MD5, SHA256 = (hashlib.new(kind, CONTENT).hexdigest() for kind in ("md5", "sha256"))


def refused(remote, path):
    """The one message; the file has not got its name."""
    with pytest.raises(FetchError) as caught:
        download(remote, path, "Get it by hand.")
    assert caught.value.code == 1
    assert caught.value.fix == "Get it by hand."
    assert caught.value.__cause__ is None
    assert not path.exists()
    message = str(caught.value)
    assert message.startswith(f"{remote.name} could not be fetched from {remote.url}: ")
    assert message.count("\n") == 1
    return message


def left(path):
    """What lies in the folder besides the file."""
    return sorted(each.name for each in path.parent.iterdir() if each != path)


@pytest.mark.parametrize("checksum", [f"md5:{MD5}", f"sha256:{SHA256}"])
def test_a_good_file(web, tmp_path, checksum):
    path = tmp_path / "new" / "net.pt"
    told = []
    remote = Remote("net.pt", web.put("a/net", CONTENT), len(CONTENT), checksum)
    assert download(remote, path, "", lambda *words: told.append(words)) == SHA256
    assert path.read_bytes() == CONTENT
    assert left(path) == []
    assert told[-1] == ("net.pt", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert len(told) > 1


def test_where_nothing_is_published_the_first_checksum_is_kept_and_binds(web, tmp_path):
    path = tmp_path / "net.pt"
    remote = Remote("net.pt", web.put("net", CONTENT))
    assert download(remote, path, "") == SHA256
    assert (tmp_path / "net.pt.sha256").read_text() == f"{SHA256}  net.pt\n"
    assert recorded(path) == SHA256
    path.unlink()
    assert download(remote, path, "Get it by hand.") == SHA256
    path.unlink()
    web.put("net", b"another")
    assert f"{SHA256} is recorded when it was first fetched" in refused(remote, path)


@pytest.mark.parametrize(
    ("served", "size", "checksum", "expected"),
    [
        (CONTENT[:-1], len(CONTENT), "", f"{len(CONTENT) - 1} bytes came, expected {len(CONTENT)}"),
        (CONTENT + b"1", len(CONTENT), "", f"larger than the {len(CONTENT)} bytes that are published"),
        (CONTENT[:-1] + b"1", len(CONTENT), f"md5:{MD5}", f"but {MD5} is published"),
        (CONTENT[:-1] + b"1", 0, f"sha256:{SHA256}", f"but {SHA256} is published"),
        (b"", 0, "", "an empty file came"),
        (b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded", 0, "", "a web page came in place of the file"),
        (b"\n  <html>", 9, f"md5:{MD5}", "a web page came in place of the file"),
    ],
)
def test_what_is_not_the_file_is_thrown_away(web, tmp_path, served, size, checksum, expected):
    path = tmp_path / "net.pt"
    assert expected in refused(Remote("net.pt", web.put("net", served), size, checksum), path)
    assert left(path) == []


def test_a_download_that_was_cut_goes_on_where_it_stopped(web, tmp_path):
    path = tmp_path / "net.pt"
    remote = Remote("net.pt", web.put("net", CONTENT), len(CONTENT), f"md5:{MD5}")
    web.cut["/net"] = 1_500_000
    assert "received" in refused(remote, path)
    (kept,) = left(path)
    assert kept.startswith(".")
    begun = (tmp_path / kept).read_bytes()
    assert 1_000_000 < len(begun) <= 1_500_000  # the last block may be lost
    assert CONTENT.startswith(begun)
    assert download(remote, path, "") == SHA256
    assert ("/net", f"bytes={len(begun)}-") in web.asked
    assert left(path) == []


def test_a_server_that_cannot_go_on_is_asked_for_all_of_it(web, tmp_path):
    path = tmp_path / "net.pt"
    remote = Remote("net.pt", web.put("net", CONTENT), len(CONTENT), f"md5:{MD5}")
    web.ranges = False
    web.cut["/net"] = 1_500_000
    refused(remote, path)
    assert left(path) != []
    assert download(remote, path, "") == SHA256
    assert left(path) == []


def test_a_connection_that_breaks_is_taken_up_again_at_once(web, tmp_path, monkeypatch):
    monkeypatch.setattr("robeval.fetch.download.RETRIES", 2)
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)
    url = web.put("net", CONTENT)
    web.cut["/net"] = 1_200_000
    assert download(Remote("net.pt", url), tmp_path / "net.pt", "") == SHA256
    first, second = web.asked
    assert first == ("/net", None)
    assert second[1].startswith("bytes=1")


def test_not_found(web, tmp_path):
    assert "the server answered 404" in refused(Remote("net.pt", f"{web.address}/none"), tmp_path / "net.pt")
    assert left(tmp_path / "net.pt") == []


def test_nobody_answers(web, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        remote = Remote("net.pt", f"http://127.0.0.1:{taken.getsockname()[1]}/net")
        assert "there is no connection to the server" in refused(remote, tmp_path / "net.pt")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/net", "net.pt"])
def test_only_the_web_is_asked(web, tmp_path, url):
    assert "this is no address of the web" in refused(Remote("net.pt", url), tmp_path / "net.pt")


def test_the_network_can_be_forbidden(web, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBEVAL_OFFLINE", "1")
    remote = Remote("net.pt", web.put("net", CONTENT))
    assert "ROBEVAL_OFFLINE forbids" in refused(remote, tmp_path / "net.pt")
    assert web.asked == []
    monkeypatch.setenv("ROBEVAL_OFFLINE", "0")
    assert download(remote, tmp_path / "net.pt", "") == SHA256


def test_a_folder_that_cannot_be_written(web, tmp_path):
    (tmp_path / "file").touch()
    remote = Remote("net.pt", web.put("net", CONTENT))
    with pytest.raises(FetchError, match="it cannot be written into"):
        download(remote, tmp_path / "file" / "net.pt", "")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (
            b'<p class="uc-error-subcaption">Too many users have viewed or downloaded this file',
            "Google Drive gives a page",
        ),
        (b"<html>Sign in", "Google Drive gives a page"),
    ],
)
def test_pages_of_google_drive(web, tmp_path, monkeypatch, page, expected):
    drive(monkeypatch, web, {"none": page})
    remote = Remote("net.pt", "https://drive.google.com/uc?id=none")
    assert expected in refused(remote, tmp_path / "net.pt")


def test_google_drive_asks_to_confirm_large_files(web, tmp_path, monkeypatch):
    form = (
        b'<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
        b'<input type="hidden" name="id" value="large"><input type="hidden" name="confirm" value="t"></form>'
    )
    drive(monkeypatch, web, {"large": form}, confirmed=CONTENT)
    remote = Remote("net.pt", "https://drive.google.com/uc?id=large", len(CONTENT), f"md5:{MD5}")
    assert download(remote, tmp_path / "net.pt", "") == SHA256


def drive(monkeypatch, web, pages, confirmed=b""):
    """Stands in for Google Drive: a page for each id, and the file where it is asked for with a confirmation."""
    import requests

    real = requests.Session.get

    def get(self, url, **options):
        asked = requests.models.PreparedRequest()
        asked.prepare_url(url, None)
        if "confirm=t" in asked.url:
            answer = real(self, web.put("confirmed", confirmed), **options)
            answer.headers["Content-Disposition"] = 'attachment; filename="net.pt"'
            answer.headers["Content-Type"] = "application/octet-stream"
            return answer
        answer = real(self, web.put("page", pages[asked.url.rpartition("=")[2]]), **options)
        answer.headers["Content-Type"] = "text/html"
        return answer

    monkeypatch.setattr(requests.Session, "get", get)
