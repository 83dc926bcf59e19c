"""Fetching a published file: once, with a bar, going on where a killed run stopped, and checked by its published hash."""

import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import requests
from filelock import FileLock
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, HTTPError
from tqdm.auto import tqdm

from lib import paths

__all__ = ["FAILURES", "FetchError", "hub", "url"]

FAILURES = (OSError, HTTPError)  # what a fetch raises: the second is whatever the client of the hub raises, also without an answer
TRIES = 6             # in a row that bring nothing new, before a download is given up
FIRST = 4             # the same while nothing came at all: no network or a wrong address is soon said
WAIT = 1.0            # seconds before the second of them, then doubled: half a minute in all
SILENCE = (20, 60)    # seconds without an answer, and without a byte, that count as a lost connection
PIECE = 1 << 15       # bytes written at a time: what a lost connection brought of the last one is lost too
BUSY = (408, 429, 500, 502, 503, 504)  # answers that may change by themselves


class FetchError(OSError):
    """A URL could not be fetched; the message names it and says what to do."""


def hub(repository: str, names: Sequence[str], folder: Path) -> Path:
    """The first of these files that a repository of the Hugging Face hub has, as folder/COMMIT/NAME. Raises one of FAILURES."""
    for name in names:
        try:  # a mirror is read at the call, so that it can be set in a notebook
            about = get_hf_file_metadata(hf_hub_url(repository, name, endpoint=os.environ.get("HF_ENDPOINT", "").rstrip("/") or None))
        except EntryNotFoundError:
            if name == names[-1]:
                raise
            continue
        known = about.etag if len(about.etag or "") == 64 else ""  # a large file's etag is its sha256
        return url(about.location, folder / (about.commit_hash or "main") / name, about.size, known)
    raise ValueError(f"no name of a file in {repository} was given")


def url(place: str, path: Path, size: int | None = None, digest: str = "") -> Path:
    """Fetch a URL to `path`, whole or not at all; what a killed run left in NAME.part goes on (hf_hub_download would begin anew).

    Two runs do not mix: the second waits and finds the file. digest: the sha256 (64 digits) or md5 (32) it must have. A lost
    connection is taken up again TRIES times. Raises FetchError, or OSError where the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{part}.lock"):
        if path.exists():  # another run was faster
            return path
        try:
            with open(part, "ab") as out:
                _fill(place, out, size, path.name)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise FetchError(f"{place}: the disk of {path.parent} is full after {part.stat().st_size:,} bytes; "
                             "make room, the same command goes on") from None
        kind = "md5" if len(digest) == 32 else "sha256"
        if digest and paths.digest(part, kind) != digest:
            part.unlink()
            raise FetchError(f"{place} arrived with another {kind} than announced and was removed; try again")
        os.replace(part, path)
    return path


def _fill(place: str, out: BinaryIO, size: int | None, name: str) -> None:
    """Append what a file lacks of a URL, over as many connections as it takes."""
    begun = furthest = out.tell()
    lost = 0
    with tqdm(total=size, initial=out.tell(), desc=name, unit="B", unit_scale=True, unit_divisor=1000) as bar:
        while True:
            try:
                return _append(place, out, size, bar)
            except requests.RequestException as error:
                lost = 1 if out.tell() > furthest else lost + 1  # bytes sent again by a server that cannot resume are nothing new
                furthest = max(furthest, out.tell())
                if lost == (FIRST if furthest == begun else TRIES):
                    cause = getattr(error.args[0] if error.args else None, "reason", error)  # what lies below urllib3's account of its pools
                    reason = (str(cause).rpartition("): ")[2].splitlines() or [type(error).__name__])[0][:160]
                    raise FetchError(f"{place}: no connection after {out.tell():,} bytes, tried {lost} times ({reason}); "
                                     "check it, the same command goes on from there") from None
            bar.set_postfix_str("connection lost, trying again")
            time.sleep(WAIT * 2 ** (lost - 1))


def _append(place: str, out: BinaryIO, size: int | None, bar: tqdm) -> None:
    """One connection: the bytes behind those in the file. requests.RequestException where another try may help."""
    have = out.tell()
    if size is not None and have == size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(place, headers=headers, stream=True, timeout=SILENCE) as answer:
        if answer.status_code in BUSY:
            raise requests.HTTPError(f"the server answers {answer.status_code}")
        span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        whole = int(total) if total.isdigit() else None
        if answer.status_code == 416:  # nothing lies behind what is there: it is all, or no beginning of this file
            if whole is None:  # not every server says the size here
                told = requests.head(place, headers={"Accept-Encoding": "identity"}, timeout=SILENCE, allow_redirects=True).headers
                whole = int(told["Content-Length"]) if "Content-Length" in told else None
            if have != whole:
                _restart(out, bar)
                raise requests.HTTPError(f"the part held {have:,} bytes of {whole}")
            return
        if not answer.ok:
            raise FetchError(f"{place}: the server answers {answer.status_code} ({answer.reason}): the file has moved or needs a permission; "
                             f"look for it in a browser, and put it into {Path(out.name).parent} as {Path(out.name).stem}")
        if answer.status_code == 200:
            whole = int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
            if have:  # the server ignores Range
                _restart(out, bar)
        elif have and not span.startswith(f"{have}-"):
            raise FetchError(f"{place}: asked for the bytes from {have:,} on, the server sends {span}; delete {out.name} and try again")
        if size is not None and whole not in (None, size):
            raise FetchError(f"{place} has {whole:,} bytes instead of {size:,}: it is not the file that was meant")
        bar.total = whole or size
        bar.set_postfix_str("")
        for piece in answer.iter_content(PIECE):
            out.write(piece)
            bar.update(len(piece))
    if (whole or size) not in (None, out.tell()):
        raise requests.ConnectionError(f"the connection ended at {out.tell():,} of {whole or size:,} bytes")


def _restart(out: BinaryIO, bar: tqdm) -> None:
    out.seek(0)
    out.truncate()
    bar.reset()


