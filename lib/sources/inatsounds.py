"""iNatSounds 2024: 5,569 species from iNaturalist, one WAV a recording (https://github.com/visipedia/inat_sounds/tree/main/2024).

Published: per split SPLIT.tar.gz with SPLIT/CATEGORY/NAME.wav (133 GB for the three) and SPLIT.json.tar.gz with the annotations, as COCO
has them. Prepared: ROOT/SPLIT.json, ROOT/SPLIT/CATEGORY/NAME.wav and, once these are whole, ROOT/SPLIT.done.json with the empty recordings.
Non-commercial research and education only, see TERMS.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.sources import download

__all__ = ["TITLE", "TERMS", "SPLITS", "USUAL", "OPTIONS", "Archive", "prepare", "recordings"]

TITLE = "iNatSounds 2024"
TERMS = """https://github.com/visipedia/inat_sounds/tree/main/2024: its terms of use, which downloading accepts: the terms of
service of iNaturalist; non-commercial research and education only; the recordings are not passed on; no warranty; whoever uses them is
responsible for that use and indemnifies UMass Amherst. Each recording has its own licence, named in the annotations."""
SPLITS = {"train": "train", "val": "val", "test": "test"}  # its own name of a split -> ours
USUAL = "train,val,test"                                   # what is prepared when no splits are named
OPTIONS = ("keep",)                                        # what else can be said, of those of sources.prepare


class Archive(NamedTuple):
    size: float  # bytes; as published, so rounded
    md5: str


URL = "https://ml-inat-competition-datasets.s3.amazonaws.com/sounds/2024"
ARCHIVES = {  # as in the README of visipedia/inat_sounds
    "train.tar.gz": Archive(81e9, "181c5419220c8a9468a12b8c938469ec"), "train.json.tar.gz": Archive(14e6, "d0ae17ef52078194d450a83b5efe68a4"),
    "val.tar.gz": Archive(25e9, "828e4cf96e818228cb3536469cb3fb1c"), "val.json.tar.gz": Archive(3.7e6, "8e6e4b9628d43e36f1fea4621945403a"),
    "test.tar.gz": Archive(27e9, "082a2e96ca34f6c9f61767e33cbf3626"), "test.json.tar.gz": Archive(4.0e6, "5482f112f05db4ba8576ba425d95d6a7"),
}
HEADER = 100  # bytes that a WAV without a sample has at most (44, or 78 as ffmpeg writes it): the data set holds some
SECOND = 44_100  # bytes of a second: 22,050 Hz, 16 bit, one channel


def prepare(root: Path, splits: list[str], keep: bool) -> None:
    """Fetch and extract the archives of these splits; ValueError where the disk is too small or an archive is not the published one."""
    todo = [s for s in splits if not (root / f"{s}.done.json").exists()]
    size = {s: ARCHIVES[f"{s}.tar.gz"].size for s in todo}
    fetched = {s: 0.0 if (root / f"{s}.tar.gz").exists() else max(0.0, size[s] - download.size(root / f"{s}.tar.gz.part")) for s in todo}
    download.plan(root, [f"{s}: {size[s] / 1e9:,.2f} GB in {s}.tar.gz, {fetched[s] / 1e9:,.2f} GB of it to fetch, about twice as much when extracted"
                     if s in todo else f"{s}: already prepared" for s in splits], sum(fetched.values()), sum(size.values()) / download.UNPACK)
    told = {s: _annotations(root, s) for s in todo}  # a few MB; they say how long the recordings are
    on_disk = {s: download.sizes(root / s) for s in todo}
    wanted = {s: {name: a["duration"] or 0.0 for name, a, _ in _named(told[s], s)} for s in todo}
    by_hand = {s for s in todo if _whole(wanted[s], on_disk[s])}  # extracted, by us or by hand, and not yet noted
    left = [s for s in todo if s not in by_hand]
    new = [max(0.0, sum(SECOND * v + HEADER for v in wanted[s].values()) - sum(on_disk[s].values())) for s in left]  # bytes of recordings
    download.room(root, sum(fetched[s] for s in left) + sum(new) if keep else
              max((fetched[s] + sum(new[: i + 1]) for i, s in enumerate(left)), default=0.0))
    for split in todo:
        archive = root / f"{split}.tar.gz"
        if split not in by_hand:
            download.url(f"{URL}/{archive.name}", archive, digest=ARCHIVES[archive.name].md5)
            _extract(archive, root, split)
            on_disk[split] = download.sizes(root / split)
            if gone := sorted(wanted[split].keys() - on_disk[split].keys()):
                raise ValueError(f"{archive} lacks {len(gone):,} of the {len(wanted[split]):,} recordings of {split}.json, the first is {gone[0]}: "
                                 "the two are not of one release; delete both and run the same command again")
        empty = sorted(n for n in wanted[split] if on_disk[split][n] <= HEADER)
        with download.whole(root / f"{split}.done.json") as part:
            part.write_text(json.dumps({"recordings": len(wanted[split]), "empty": empty}, indent=1) + "\n", encoding="utf-8")
        print(f"  {split}: {len(wanted[split]):,} recordings in {root / split}, {len(empty):,} of them empty", flush=True)
        if not keep:
            archive.unlink(missing_ok=True)


def _whole(wanted: dict[str, float], on_disk: dict[str, int]) -> bool:
    """Whether all recordings are there, none cut short: durations may be off by a tenth, and of empty ones by anything."""
    return not wanted.keys() - on_disk.keys() and all(on_disk[n] <= HEADER or on_disk[n] >= 0.9 * SECOND * s for n, s in wanted.items())


def _annotations(root: Path, split: str) -> dict:
    """ROOT/SPLIT.json, fetched where it is not there."""
    file = root / f"{split}.json"
    if not file.exists():
        packed = download.url(f"{URL}/{split}.json.tar.gz", root / f"{split}.json.tar.gz", digest=ARCHIVES[f"{split}.json.tar.gz"].md5)
        with download.opened(packed) as tar:
            for member in tar:
                if member.isfile() and member.name.endswith(f"{split}.json"):
                    download.copy(tar.extractfile(member), file)
    if not file.exists():
        raise ValueError(f"{file.name}.tar.gz holds no {file.name}: it is not the published archive; delete it and run the same command again")
    return json.loads(file.read_bytes())


def _extract(archive: Path, root: Path, split: str) -> None:
    """Write an archive's SPLIT/CATEGORY/NAME below the root, each whole or not at all; those there already and anything else are passed over.

    A .gz cannot be entered in the middle: after a kill it is read again from its start, which costs no writing.
    """
    there = download.sizes(root / split)
    with download.opened(archive) as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if len(name.parts) != 3 or name.parts[0] != split or ".." in name.parts or "\\" in member.name or name.name.startswith("._") \
                    or not member.isfile():
                continue  # folders, the ._ that macOS adds to archives, and whatever would lead out of the root
            if there.get("/".join(name.parts[1:])) != member.size:
                download.copy(tar.extractfile(member), root / name)


def _named(told: dict, split: str) -> Iterator[tuple[str, dict, dict]]:
    """CATEGORY/NAME, the entry and the category of each recording of the annotations."""
    category = {c["id"]: c for c in told["categories"]}
    of = {a["audio_id"]: category[a["category_id"]] for a in told["annotations"]}
    for entry in told["audio"]:
        if entry["id"] not in of:
            raise ValueError(f"{split}.json has no annotation for {entry['file_name']}: it is not the published file; delete it and prepare again")
        # Probably SPLIT/CATEGORY/NAME, as the code of its authors joins it to the root; that could not be seen offline, so the end is used.
        *before, name = entry["file_name"].split("/")
        yield f"{before[-1] if before and before[-1] != split else of[entry['id']]['audio_dir_name']}/{name}", entry, of[entry["id"]]


def recordings(root: Path, place: str | Path) -> pd.DataFrame:
    """The table of the splits prepared in a root: label is the species; supercategory, common_name, evaluation (is it among the 1,212
    species of val and test), latitude, longitude.

    No group: recordists span the splits, which are the published ones. Empty recordings are left out of train and kept in val and test
    with duration 0. place: the root as it was given, for the errors: ValueError where nothing is prepared or recordings are missing.
    """
    command = f"run python -m lib.sources inatsounds root={place} splits="
    done = [s for s in SPLITS if (root / f"{s}.done.json").exists()]
    if not done:
        raise ValueError(f"inatsounds:{place}: no split is prepared in {root}: {command}{USUAL}")
    tables, empty = [], dict.fromkeys(SPLITS, 0)
    for split in done:
        names, entries, kinds = zip(*_named(json.loads((root / f"{split}.json").read_bytes()), split))
        folders = os.scandir(root / split) if (root / split).is_dir() else ()
        there = {f"{folder.name}/{file.name}" for folder in folders if folder.is_dir() for file in os.scandir(folder)}
        if gone := [n for n in names if n not in there]:
            raise ValueError(f"inatsounds:{place}: {len(gone):,} of {len(names):,} recordings of {split} are missing, the first is "
                             f"{root / split / gone[0]}: put them back, or delete {split}.done.json and {command}{split}")
        table = pd.DataFrame({"file": [f"{root}/{split}/{name}" for name in names], "label": [k["name"] for k in kinds],
                              "supercategory": [k["supercategory"] for k in kinds], "common_name": [k["common_name"] or "" for k in kinds],
                              "split": split, "evaluation": [bool(k["evaluation"]) for k in kinds]})
        for column, key in (("duration_s", "duration"), ("latitude", "latitude"), ("longitude", "longitude")):
            table[column] = np.array([e.get(key) for e in entries], dtype=float)  # null becomes NaN
        silent = set(json.loads((root / f"{split}.done.json").read_text(encoding="utf-8"))["empty"])
        is_empty = np.array([n in silent for n in names])
        empty[split] = int(is_empty.sum())
        table.loc[is_empty, "duration_s"] = 0.0
        tables.append(table[~is_empty] if split == "train" else table)
    if any(empty.values()):
        print(f"inatsounds: {empty['train']} empty recordings left out of train; "
              f"in val and test {empty['val'] + empty['test']} are kept and count as silence")
    few = dict.fromkeys(("label", "supercategory", "common_name"), "category")  # a number a row, and a legend
    return pd.concat(tables, ignore_index=True).astype(few).assign(source="inatsounds")
