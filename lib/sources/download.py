"""Fetching published files and unpacking them: once, with a bar, whole or not at all.

A killed download goes on where it stopped, is checked by its published hash, and fails in one line that names the URL.
"""

import errno
import gzip
import os
import re
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import requests
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HTTPError, LocalEntryNotFoundError

from lib import paths, progress

__all__ = ["FAILURES", "FetchError", "hub", "url", "UNPACK", "plan", "room", "whole", "copy", "opened", "inside",
           "size", "missing", "sizes", "compare"]

FAILURES = (OSError, HTTPError)  # what a fetch raises; the second comes from the client of the hub
TRIES = 6           # in a row that bring nothing new, before a download is given up
WAIT = 1.0          # seconds before the second of them, then doubled: half a minute in all
SILENCE = (20, 60)  # seconds without an answer, and without a byte, that count as a lost connection
PIECE = 1 << 15     # bytes written at a time: what a lost connection brought of the last one is lost too
BUSY = (408, 429, 500, 502, 503, 504)  # answers that may change by themselves
UNPACK = 60e6       # bytes of an archive that one CPU unpacks in a second
MBIT = 100          # per second: what the printed times assume


class FetchError(OSError):
    """A URL could not be fetched; the message names it and says what to do."""


# ------------------------------------------------------------------------------------------------------------- fetching

def hub(repository: str, names: Sequence[str], folder: Path) -> Path:
    """The first of these files that a repository of the Hugging Face hub has, fetched into a folder laid out as the
    hub's own cache: .../COMMIT/NAME. Raises one of FAILURES."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None  # read at the call: a notebook may set a mirror
    for name in names:
        try:
            with paths.explained(folder):
                path = Path(hf_hub_download(repository, name, cache_dir=folder, endpoint=endpoint))
        except LocalEntryNotFoundError as error:  # no network, or a server that is down: its cause says which
            raise error.__cause__ or error
        except EntryNotFoundError:
            if name == names[-1]:
                raise
            continue
        blob = path.resolve()  # is named by its sha256 where the file is large; the hub's client compares sizes only
        if len(blob.name) == 64 and paths.sha256(blob) != blob.name:
            blob.unlink()
            raise FetchError(f"{repository}/{name} arrived with another sha256 than announced and was removed; "
                             "try again")
        return path
    raise ValueError(f"no name of a file in {repository} was given")


def url(place: str, path: Path, digest: str = "") -> Path:
    """Fetch a URL to `path`, whole or not at all; what a killed run left in NAME.part goes on.

    Two runs do not mix: the second waits and finds the file. digest: the sha256 (64 digits) or md5 (32) it must have.
    A lost connection is taken up again TRIES times. Raises FetchError, or OSError where the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    with paths.lock(path.with_name(part.name + ".lock")), paths.explained(path, part):
        if path.exists():  # another run was faster
            return path
        _fill(place, part)
        kind = "md5" if len(digest) == 32 else "sha256"
        if digest and paths.digest(part, kind) != digest:
            part.unlink()
            raise FetchError(f"{place} arrived with another {kind} than announced and was removed; try again")
        os.replace(part, path)
    return path


def _fill(place: str, part: Path) -> None:
    """Fetch what a part lacks of a URL, over as many connections as it takes."""
    lost, furthest = 0, size(part)
    while True:
        try:
            return _append(place, part)
        except requests.RequestException as error:
            have = size(part)
            lost = lost + 1 if have <= furthest else 1  # what a server that cannot resume sends again is nothing new
            furthest = max(furthest, have)
            if lost == TRIES:
                reason = str(error).rpartition(": ")[2]  # behind urllib3's account of its pools
                reason = re.sub(r"""['"]\)\)$""", "", reason).strip("'\">")[:160]
                raise FetchError(f"{place}: no connection after {have:,} bytes, tried {lost} times ({reason}); "
                                 "check the network, and the same command goes on") from None
            time.sleep(WAIT * 2 ** (lost - 1))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise FetchError(f"{place}: the disk of {part.parent} is full after {size(part):,} bytes; "
                             "make room, the same command goes on") from None


def _append(place: str, part: Path) -> None:
    """One connection: the bytes behind those of the part. requests.RequestException where another try may help."""
    part.touch()
    first = max(0, size(part) - 1)  # the last byte comes twice, so that a part that is whole asks for no empty range
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={first}-"} if first else {})
    with requests.get(place, headers=headers, stream=True, timeout=SILENCE) as answer, open(part, "r+b") as out:
        if answer.status_code == 416:
            out.truncate(0)
            raise requests.HTTPError("the part was longer than the file and is begun anew")
        if answer.status_code in BUSY:
            raise requests.HTTPError(f"the server answers {answer.status_code}")
        if not answer.ok:
            raise FetchError(f"{place}: the server answers {answer.status_code} ({answer.reason}): the file has moved "
                             "or needs a permission; look for it in a browser, and put it into "
                             f"{part.parent} as {part.stem}")
        if answer.status_code != 206:  # this server cannot resume
            first = out.truncate(0)
        out.seek(first)
        length = answer.headers.get("Content-Length")
        total = first + int(length) if length else None
        with progress.wrapped(out, "write", total=total, initial=first, desc=part.stem) as counted:
            for piece in answer.iter_content(PIECE):
                counted.write(piece)
    if total not in (None, size(part)):
        raise requests.ConnectionError(f"the connection ended at {size(part):,} of {total:,} bytes")


# ------------------------------------------------------------------------------------------------------------- the disk

def plan(root: Path, lines: Iterable[str], download: float, work_s: float) -> None:
    """Print what is about to be fetched (bytes) and done (seconds), and how long it takes."""
    print(*(f"  {line}" for line in lines), sep="\n")
    free = shutil.disk_usage(root).free
    print(f"  to fetch {download / 1e9:,.2f} GB: {_time(8 * download / MBIT / 1e6)} at {MBIT} Mbit/s, "
          f"then {_time(work_s)} of unpacking; {free / 1e9:,.1f} GB are free at {root}", flush=True)


def _time(s: float) -> str:
    return f"{s / 3600:.1f} h" if s > 5400 else f"{s / 60:.0f} min" if s > 90 else f"{s:.0f} s"


def room(root: Path, need: float) -> None:
    """Print the bytes that are needed; ValueError where the disk has fewer."""
    free = shutil.disk_usage(root).free
    print(f"  disk space: {need / 1e9:,.2f} GB are needed at most, {free / 1e9:,.1f} GB are free", flush=True)
    if need > free:
        raise ValueError(f"{root} has {free / 1e9:,.1f} GB free and {need / 1e9:,.1f} GB are needed: make room, "
                         "or take another root or fewer splits")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """As paths.atomic, under a name that the next run writes over: a kill leaves nothing that stays."""
    part = path.with_name(f".{path.name}.part")
    with paths.explained(path, part):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)


def copy(source: BinaryIO, path: Path) -> None:
    """Write an opened file to a path, whole or not at all."""
    with whole(path) as part, open(part, "wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


@contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """A .tar.gz as a stream, with a bar of its bytes; a damaged one is one line."""
    total, title = archive.stat().st_size, f"extracting {archive.name}"
    with open(archive, "rb") as raw, progress.wrapped(raw, "read", total=total, desc=title) as read:
        try:
            with tarfile.open(fileobj=read, mode="r|gz") as tar:
                yield tar
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
            raise ValueError(f"{archive} is cut off or damaged ({error}): delete it, and the same command fetches it "
                             "again") from None


def inside(name: str) -> tuple[str, ...]:
    """The parts of the name of an archive's member, () where it leads out of the folder that it is extracted to.

    Some programs of Windows part them by backslashes; there a colon begins another disk, or hides a stream."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return () if {"/", ".."} & set(parts) or ":" in name else parts


def size(file: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return file.stat().st_size if file.exists() else 0


def missing(path: Path, published: float) -> float:
    """How many of a file's published bytes `url` will fetch."""
    return 0.0 if path.exists() else max(0.0, published - size(path.with_name(path.name + ".part")))


def sizes(folder: Path) -> dict[str, int]:
    """DIR/NAME -> bytes of the files that lie in the folders of a folder."""
    return {f"{file.parent.name}/{file.name}": file.stat().st_size for file in folder.glob("*/*")}


def compare(kind: str, counts: Mapping[str, int], known: Mapping[str, int], whose: str) -> None:
    """Print one line where a data set has other counts than are known of it, and from whom: a part of it may be meant,
    but its results are then no others' results."""
    other = [f"{n:,} {what} instead of {known[what]:,}" for what, n in counts.items() if n != known[what]]
    if other:
        print(f"{kind}: {', '.join(other)} ({whose}): a part of it, or another release", flush=True)
