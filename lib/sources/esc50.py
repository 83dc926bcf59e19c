"""ESC-50: 2,000 clips of 5 s in 50 classes of environmental sounds, in five folds.

Published: one zip (0.6 GB) of https://github.com/karolpiczak/ESC-50 with audio/*.wav and meta/esc50.csv. Prepared:
ROOT/ESC-50-master/audio/*.wav and, last, its meta/esc50.csv: where that lies, the rest is whole. CC BY-NC 3.0.
"""

import zipfile
import zlib
from pathlib import Path

import pandas as pd

from lib import paths, progress
from lib.sources import download

__all__ = ["TERMS", "SPLITS", "USUAL", "OPTIONS", "prepare", "home", "recordings"]

TERMS = """ESC-50: https://github.com/karolpiczak/ESC-50: CC BY-NC 3.0 (non-commercial), its subset ESC-10 CC BY 3.0;
clips from Freesound, their makers are named in its LICENSE."""
SPLITS = ("train", "val", "test")  # all come together
USUAL = "train,val,test"  # what is prepared when no splits are named
OPTIONS = ("keep",)       # what else can be said, of those of sources.prepare

URL = "https://github.com/karolpiczak/ESC-50/archive/33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip"
SHA256 = "661183a6f53ef04f12c9bd618fed0ddc1713280d6c94a5a5431e844ba6f6a21f"  # GitHub may zip anew
BYTES, CLIPS = 645_832_161, 2000
FOLDS = {1: "train", 2: "train", 3: "train", 4: "val", 5: "test"}


def prepare(root: Path, splits: list[str], keep: bool) -> None:
    """Fetch and extract the archive, whatever the splits; ValueError where the disk is too small or it is another."""
    if there := home(root):
        print(f"  already prepared in {there}", flush=True)
        return
    archive = root / ("master.zip" if (root / "master.zip").exists() else "ESC-50-master.zip")
    absent = download.missing(archive, BYTES)
    download.plan(root, [f"{CLIPS:,} clips of 5 s in {archive.name}; all five folds come together"], absent,
                  BYTES / download.UNPACK)
    download.room(root, absent + CLIPS * 441_044)
    download.url(URL, archive)
    try:
        _extract(archive, root / "ESC-50-master")
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError) as error:  # the last: a password, a method
        raise ValueError(f"{archive} is cut off or damaged ({error}): delete it, and the same command fetches it "
                         "again") from None
    known = paths.sha256(archive) == SHA256
    print(f"  {CLIPS:,} clips in {root / 'ESC-50-master'}", "" if known else "(the archive is not byte for byte the "
          "known one, its content was checked instead)", flush=True)
    if not keep:
        archive.unlink()


def _extract(archive: Path, folder: Path) -> None:
    """Write the clips and, last, their table; ValueError where they are not those of ESC-50."""
    with zipfile.ZipFile(archive) as packed:
        inside = {download.inside(i.filename)[1:]: i for i in packed.infolist() if not i.is_dir()}
        table = inside.get(("meta", "esc50.csv"))
        rows = pd.read_csv(packed.open(table), dtype=str, keep_default_na=False) if table else {}
        names = sorted(set(rows.get("filename", ())))
        gone = [name for name in names if ("audio", name) not in inside]  # a name that leads out of audio is among them
        if len(names) != CLIPS or gone:
            raise ValueError(f"{archive} is not ESC-50: meta/esc50.csv names {len(names):,} clips of {CLIPS:,}, and "
                             f"{len(gone):,} of them are missing; delete it and run the same command again")
        wanted = [("LICENSE",), ("README.md",), *(("audio", name) for name in names), ("meta", "esc50.csv")]
        for parts in progress.bar(wanted, desc=f"extracting {archive.name}", unit="file"):
            file = folder.joinpath(*parts)
            if parts in inside and download.size(file) != inside[parts].file_size:
                with packed.open(inside[parts]) as content:
                    download.copy(content, file)


def home(root: Path) -> Path | None:
    """The folder of a prepared or unpacked ESC-50 in a root, or the root itself; None where there is none."""
    places = (root / "ESC-50-master", root, *sorted(root.glob("ESC-50*")))
    return next((place for place in places if (place / "meta" / "esc50.csv").exists()), None)


def recordings(root: Path, place: str | Path) -> pd.DataFrame:
    """The table of a root: folds 1-3 are train (1,200), 4 is val (398), 5 is test (402).

    group is the Freesound clip. Two of these lie in folds 4 and 5 at once: what fold 4 has of them is test, so that no
    clip is on both sides. place: the root as it was given, for the errors: ValueError where nothing is prepared or
    clips are missing."""
    command = f"run python -m lib.sources esc50 root={place or root} splits={USUAL}"
    there = home(root)
    if there is None:
        raise ValueError(f"esc50:{place}: there is no meta/esc50.csv in {root} or {root / 'ESC-50-master'}: {command}")
    clips = pd.read_csv(there / "meta" / "esc50.csv", dtype=str)
    files = {file.name for file in (there / "audio").glob("*")}
    if gone := [name for name in clips["filename"] if name not in files]:
        raise ValueError(f"esc50:{place}: {len(gone):,} of {len(clips):,} clips are missing, the first is "
                         f"{there / 'audio' / gone[0]}: delete {there / 'meta' / 'esc50.csv'} and {command}")
    fold = clips["fold"].astype(int).groupby(clips["src_file"]).transform("max")  # 209698, 234879 lie in folds 4 and 5
    return pd.DataFrame(dict(file=f"{there}/audio/" + clips["filename"], label=clips["category"], split=fold.map(FOLDS),
                             duration_s=5.0, source="esc50", group=clips["src_file"], esc10=clips["esc10"] == "True"))
