"""ESC-50: 2,000 clips of 5 s in 50 classes of environmental sounds, in five folds (https://github.com/karolpiczak/ESC-50).

Published: one zip (0.6 GB) of the repository with audio/*.wav and meta/esc50.csv. Prepared: ROOT/ESC-50-master/audio/*.wav and, last, its
meta/esc50.csv: where that lies, the rest is whole. CC BY-NC 3.0, see TERMS.
"""

import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm.auto import tqdm

from lib import paths
from lib.sources import download

__all__ = ["TITLE", "TERMS", "SPLITS", "USUAL", "OPTIONS", "prepare", "home", "recordings"]

TITLE = "ESC-50"
TERMS = """https://github.com/karolpiczak/ESC-50: CC BY-NC 3.0 (non-commercial), its subset ESC-10 CC BY 3.0; clips from Freesound,
their makers are named in its LICENSE."""
SPLITS = {"train": "train", "val": "val", "test": "test"}  # its own name of a split -> ours; all come together
USUAL = "train,val,test"                                   # what is prepared when no splits are named
OPTIONS = ("keep",)                                        # what else can be said, of those of sources.prepare

URL = "https://github.com/karolpiczak/ESC-50/archive/33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip"
SHA256 = "661183a6f53ef04f12c9bd618fed0ddc1713280d6c94a5a5431e844ba6f6a21f"  # GitHub makes archives anew now and then: told, not demanded
BYTES, CLIPS = 645_832_161, 2000
FOLDS = {1: "train", 2: "train", 3: "train", 4: "val", 5: "test"}


def prepare(root: Path, splits: list[str], keep: bool) -> None:
    """Fetch and extract the archive, whatever the splits; ValueError where the disk is too small or it is not ESC-50."""
    if there := home(root):
        print(f"  already prepared in {there}", flush=True)
        return
    to = root / "ESC-50-master"
    archive = next((f for f in (root / "ESC-50-master.zip", root / "master.zip") if f.exists()), root / "ESC-50-master.zip")
    fetched = 0 if archive.exists() else max(0, BYTES - download.size(root / "ESC-50-master.zip.part"))
    download.plan(root, [f"{CLIPS:,} clips of 5 s in {archive.name}; all five folds come together"], fetched, BYTES / download.UNPACK)
    download.room(root, fetched + CLIPS * 441_044)
    download.url(URL, archive)
    try:
        with zipfile.ZipFile(archive) as packed:
            inside = {PurePosixPath(i.filename).parts[1:]: i for i in packed.infolist() if not i.is_dir()}  # below the one folder of all
            table = inside.get(("meta", "esc50.csv"))
            names = set(pd.read_csv(packed.open(table))["filename"]) if table else set()
            gone = sorted(n for n in names if ("audio", n) not in inside)  # so a name that leads out of audio is missing too
            if len(names) != CLIPS or gone:
                raise ValueError(f"{archive} is not ESC-50: meta/esc50.csv names {len(names):,} clips of {CLIPS:,}, and {len(gone):,} of them "
                                 "are missing; delete it and run the same command again")
            order = [("LICENSE",), ("README.md",), *(("audio", n) for n in sorted(names)), ("meta", "esc50.csv")]
            for parts in tqdm(order, desc=f"extracting {archive.name}"):
                file = to.joinpath(*parts)
                if parts in inside and not (file.exists() and download.size(file) == inside[parts].file_size):
                    with packed.open(inside[parts]) as content:
                        download.copy(content, file)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{archive} is cut off or damaged ({error}): delete it, and the same command fetches it again") from None
    known = "" if paths.sha256(archive) == SHA256 else " (the archive is not byte for byte the known one, its content was checked instead)"
    print(f"  {len(names):,} clips in {to}{known}", flush=True)
    if not keep:
        archive.unlink()


def home(root: Path) -> Path | None:
    """The folder of a prepared or unpacked ESC-50 in a root, or the root itself; None where there is none."""
    return next((f for f in (root / "ESC-50-master", root, *sorted(root.glob("ESC-50*"))) if (f / "meta" / "esc50.csv").exists()), None)


def recordings(root: Path, place: str | Path) -> pd.DataFrame:
    """The table of a root: folds 1-3 are train (1,200), 4 is val (398), 5 is test (402); group is the Freesound clip; esc10.

    Two Freesound clips lie in folds 4 and 5 at once: what fold 4 has of them is test, so that no clip is on both sides.
    place: the root as it was given, for the errors: ValueError where nothing is prepared or clips are missing.
    """
    command = f"run python -m lib.sources esc50 root={place or root} splits={USUAL}"
    if not (there := home(root)):
        raise ValueError(f"esc50:{place}: there is no meta/esc50.csv in {root} or {root / 'ESC-50-master'}: {command}")
    told = pd.read_csv(there / "meta" / "esc50.csv", dtype=str)
    files = {entry.name for entry in os.scandir(there / "audio")} if (there / "audio").is_dir() else set()
    if gone := [n for n in told["filename"] if n not in files]:
        raise ValueError(f"esc50:{place}: {len(gone):,} of {len(told):,} clips are missing, the first is {there / 'audio' / gone[0]}: "
                         f"delete {there / 'meta' / 'esc50.csv'} and {command}")
    fold = told["fold"].astype(int).groupby(told["src_file"]).transform("max")  # 209698 and 234879 lie in folds 4 and 5
    return pd.DataFrame(dict(file=[f"{there}/audio/{n}" for n in told["filename"]], label=told["category"],
                             split=fold.map(FOLDS), duration_s=5.0, source="esc50", group=told["src_file"],
                             esc10=told["esc10"] == "True"))
