"""Downloads: resumed, checked, and every failure one line that names the URL."""

import hashlib
import io

import pytest
from layouts import Site

from lib import paths
from lib.sources import download

BODY = bytes(range(256)) * 12_000  # 3 MB


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT", 0.001)
    with Site() as site:
        site.files["/a.bin"] = BODY
        yield site


def test_once_and_checked(site, tmp_path):
    for kind in ("md5", "sha256"):
        path = download.url(f"{site.url}/a.bin", tmp_path / kind / "a.bin", digest=hashlib.new(kind, BODY).hexdigest())
        assert path.read_bytes() == BODY and paths.sha256(path) == hashlib.sha256(BODY).hexdigest()
    asked = len(site.asked)
    assert download.url(f"{site.url}/a.bin", path) == path and len(site.asked) == asked  # it is there
    assert not list(tmp_path.rglob("*.part"))


def test_goes_on_where_it_stopped(site, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(BODY[:2_000_000])
    assert download.url(f"{site.url}/a.bin", tmp_path / "a.bin").read_bytes() == BODY
    assert site.asked == [("GET", "/a.bin", "bytes=1999999-")] and site.sent == len(BODY) - 1_999_999


@pytest.mark.parametrize("told", [True, False])
def test_a_part_that_is_whole_already(site, tmp_path, told):
    """Killed between the last byte and the check: one byte is sent again."""
    site.told = told
    (tmp_path / "a.bin.part").write_bytes(BODY)
    assert download.url(f"{site.url}/a.bin", tmp_path / "a.bin").read_bytes() == BODY and site.sent == 1


def test_a_part_that_is_too_long_is_begun_anew(site, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(BODY + b"more")
    assert download.url(f"{site.url}/a.bin", tmp_path / "a.bin").read_bytes() == BODY


def test_lost_connections_are_taken_up_again(site, tmp_path):
    site.cuts = [30 * download.PIECE, 9 * download.PIECE + 5] + 4 * [0]  # five tries without a new byte are borne
    assert download.url(f"{site.url}/a.bin", tmp_path / "a.bin").read_bytes() == BODY
    begun = [30 * download.PIECE - 1, 39 * download.PIECE - 2]  # each time the last byte that was there comes again
    assert [a[2] for a in site.asked[1:3]] == [f"bytes={first}-" for first in begun]
    assert site.sent == len(BODY) + 1 + 1 + 5  # the five were lost as the beginning of a piece


def test_a_server_that_cannot_resume(site, tmp_path):
    site.ranges, site.cuts = False, [30 * download.PIECE]
    assert download.url(f"{site.url}/a.bin", tmp_path / "a.bin").read_bytes() == BODY
    assert site.sent == 30 * download.PIECE + len(BODY)
    site.cuts = 50 * [30 * download.PIECE]  # always the same beginning: given up
    with pytest.raises(download.FetchError, match="no connection after 983,040 bytes"):
        download.url(f"{site.url}/a.bin", tmp_path / "b.bin")


def test_a_server_that_says_no_length(site, tmp_path):
    site.told = False
    assert download.url(f"{site.url}/a.bin", tmp_path / "a.bin").read_bytes() == BODY


def test_failures_are_one_line_that_names_the_url(site, tmp_path):
    place = f"{site.url}/a.bin"
    site.cuts = [30 * download.PIECE] + 50 * [0]
    match = "no connection after 983,040 bytes, tried 6 times .* the same command goes on"
    with pytest.raises(download.FetchError, match=match) as lost:
        download.url(place, tmp_path / "a.bin")
    assert (tmp_path / "a.bin.part").stat().st_size == 30 * download.PIECE
    site.cuts = []
    with pytest.raises(download.FetchError, match="another md5 than announced and was removed") as md5:
        download.url(place, tmp_path / "a.bin", digest="0" * 32)
    assert not (tmp_path / "a.bin.part").exists()
    caught = [lost, md5]
    for status in (404, 403, 503):
        site.refuse = status
        with pytest.raises(download.FetchError, match=str(status)) as refused:
            download.url(place, tmp_path / "d.bin")
        caught.append(refused)
    for error in caught:
        assert place in str(error.value) and "\n" not in str(error.value) and isinstance(error.value, download.FAILURES)
    with pytest.raises(download.FetchError, match=r"no connection after 0 bytes, tried 6 times \(.*refused"):
        download.url("http://127.0.0.1:9/a.bin", tmp_path / "e.bin")  # the discard port: nobody listens


def test_a_full_disk(site, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_append", full)
    with pytest.raises(download.FetchError, match="the disk of .* is full after 0 bytes; make room"):
        download.url(f"{site.url}/a.bin", tmp_path / "a.bin")


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    for write in (lambda path: download.url("http://127.0.0.1:9/x", path), lambda path: download.copy(None, path)):
        with pytest.raises(OSError, match="file cannot be written .*: a file has that name, move it away$"):
            write(tmp_path / "file" / "x.wav")
    with pytest.raises(OSError, match="cannot be written .File name too long.: take a shorter name$"):
        download.copy(io.BytesIO(), tmp_path / ("x" * 255))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
