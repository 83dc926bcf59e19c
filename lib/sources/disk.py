"""What preparing a data set does to a disk: say what is coming, see that it fits, and write so that a kill leaves no half of a file."""

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tqdm.auto import tqdm

__all__ = ["UNPACK", "plan", "room", "whole", "copy", "opened", "size", "sizes"]

UNPACK = 60e6  # bytes of an archive that one CPU unpacks in a second
MBIT = 100     # per second: what the printed times assume


def plan(root: Path, lines: Iterable[str], download: float, work_s: float) -> None:
    """Print what is about to be fetched (bytes) and done (seconds), and how long it takes."""
    print(*(f"  {line}" for line in lines), sep="\n")
    print(f"  to fetch {download / 1e9:,.2f} GB: {_time(8 * download / MBIT / 1e6)} at {MBIT} Mbit/s, then {_time(work_s)} of unpacking; "
          f"{shutil.disk_usage(root).free / 1e9:,.1f} GB are free at {root}", flush=True)


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


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
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    yield part
    os.replace(part, path)


def copy(source: BinaryIO, path: Path) -> None:
    """Write an opened file to a path, whole or not at all."""
    with whole(path) as part, open(part, "wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


@contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """A .tar.gz as a stream, with a bar of its bytes; a damaged one is one line."""
    with open(archive, "rb") as raw, tqdm.wrapattr(raw, "read", total=archive.stat().st_size, desc=f"extracting {archive.name}") as read:
        try:
            with tarfile.open(fileobj=read, mode="r|gz") as tar:
                yield tar
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
            raise ValueError(f"{archive} is cut off or damaged ({error}): delete it, and the same command fetches it again") from None


def size(file: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return file.stat().st_size if file.exists() else 0


def sizes(folder: Path) -> dict[str, int]:
    """DIR/NAME -> bytes of the files that lie in the folders of a folder."""
    found = {}
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if entry.is_dir():
            found |= {f"{entry.name}/{file.name}": file.stat().st_size for file in os.scandir(entry.path)}
    return found
