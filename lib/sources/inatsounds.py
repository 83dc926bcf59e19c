"""iNatSounds 2024: 5,569 species from iNaturalist, one WAV a recording.

Published: per split SPLIT.tar.gz with SPLIT/CATEGORY/NAME.wav (133 GB for the three) and SPLIT.json.tar.gz with the
annotations, as COCO has them, see https://github.com/visipedia/inat_sounds/tree/main/2024. Prepared: ROOT/SPLIT.json,
ROOT/SPLIT/CATEGORY/NAME.wav and, once these are whole, ROOT/SPLIT.done.json with the empty recordings. Non-commercial
research and education only, see TERMS.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib import paths
from lib.sources import download

__all__ = ["TERMS", "SPLITS", "USUAL", "OPTIONS", "Archive", "prepare", "recordings"]

TERMS = """iNatSounds 2024: https://github.com/visipedia/inat_sounds/tree/main/2024: its terms of use, which
downloading accepts: the terms of service of iNaturalist; non-commercial research and education only; the recordings are
not passed on; no warranty; whoever uses them is responsible for that use and indemnifies UMass Amherst. Each recording
has its own licence, named in the annotations."""
SPLITS = ("train", "val", "test")
USUAL = "train,val,test"  # what is prepared when no splits are named
OPTIONS = ("keep",)       # what else can be said, of those of sources.prepare


class Archive(NamedTuple):
    size: float  # bytes; as published, so rounded
    md5: str


URL = "https://ml-inat-competition-datasets.s3.amazonaws.com/sounds/2024"
ARCHIVES = {  # as in the README of visipedia/inat_sounds
    "train.tar.gz": Archive(81e9, "181c5419220c8a9468a12b8c938469ec"),
    "train.json.tar.gz": Archive(14e6, "d0ae17ef52078194d450a83b5efe68a4"),
    "val.tar.gz": Archive(25e9, "828e4cf96e818228cb3536469cb3fb1c"),
    "val.json.tar.gz": Archive(3.7e6, "8e6e4b9628d43e36f1fea4621945403a"),
    "test.tar.gz": Archive(27e9, "082a2e96ca34f6c9f61767e33cbf3626"),
    "test.json.tar.gz": Archive(4.0e6, "5482f112f05db4ba8576ba425d95d6a7"),
}
COUNTS = {  # as published and in Liu et al. 2026: the species of val and test are those that are evaluated
    "recordings of train": 137_012, "species of train": 5_569, "recordings of val": 45_698, "species of val": 1_212,
    "recordings of test": 49_527, "species of test": 1_212}
HEADER = 100     # bytes that a WAV without a sample has at most (44, or 78 from ffmpeg): the data set holds some
SECOND = 44_100  # bytes of a second: 22,050 Hz, 16 bit, one channel


def prepare(root: Path, splits: list[str], keep: bool) -> None:
    """Fetch and extract the archives of these splits; without `keep` each archive goes once it is extracted.

    ValueError where the disk is too small or an archive is not the published one."""
    todo = [split for split in splits if not (root / f"{split}.done.json").exists()]
    published = {split: ARCHIVES[f"{split}.tar.gz"].size for split in todo}
    absent = {split: download.missing(root / f"{split}.tar.gz", published[split]) for split in todo}
    lines = [f"{split}: {published[split] / 1e9:,.2f} GB in {split}.tar.gz, about twice as much when extracted"
             if split in todo else f"{split}: already prepared" for split in splits]
    download.plan(root, lines, sum(absent.values()), sum(published.values()) / download.UNPACK)
    lengths = {split: _lengths(root, split) for split in todo}
    packed = [split for split in todo if not _complete(root, split, lengths[split])]  # not extracted, not even by hand
    download.room(root, _need(root, {split: lengths[split] for split in packed}, absent, keep))
    for split in todo:
        archive = root / f"{split}.tar.gz"
        if split in packed:
            download.url(f"{URL}/{archive.name}", archive, digest=ARCHIVES[archive.name].md5)
            _extract(archive, root, split)
        _finish(root, split, lengths[split])
        if not keep:
            archive.unlink(missing_ok=True)


def _lengths(root: Path, split: str) -> dict[str, float]:
    """CATEGORY/NAME -> seconds of a split's recordings, by its annotations, which are fetched if absent."""
    file, packed = root / f"{split}.json", root / f"{split}.json.tar.gz"
    if not file.exists():
        download.url(f"{URL}/{packed.name}", packed, digest=ARCHIVES[packed.name].md5)
        with download.opened(packed) as tar:
            for member in tar:
                if member.isfile() and member.name.endswith(file.name):
                    download.copy(tar.extractfile(member), file)
    if not file.exists():
        raise ValueError(f"{packed.name} holds no {file.name}: it is not the published archive; delete it and run the "
                         "same command again")
    return {name: entry["duration"] or 0.0 for name, entry, _ in _named(root, split)}


def _complete(root: Path, split: str, lengths: dict[str, float]) -> bool:
    """Whether all recordings are there, none cut short: a duration may be off by a tenth, of empty ones by anything."""
    there = download.sizes(root / split)
    return lengths.keys() <= there.keys() and all(
        there[name] <= HEADER or there[name] >= 0.9 * SECOND * seconds for name, seconds in lengths.items())


def _need(root: Path, lengths: dict[str, dict[str, float]], absent: dict[str, float], keep: bool) -> float:
    """Bytes that these splits take at most, while they are fetched and extracted one after the other."""
    most = archives = extracted = 0.0
    for split, seconds in lengths.items():
        archives = absent[split] + (archives if keep else 0.0)
        whole = sum(SECOND * s + HEADER for s in seconds.values())
        extracted += max(0.0, whole - sum(download.sizes(root / split).values()))
        most = max(most, archives + extracted)
    return most


def _extract(archive: Path, root: Path, split: str) -> None:
    """Write an archive's SPLIT/CATEGORY/NAME below the root, each whole or not at all, but for those there already.

    A .gz cannot be entered in the middle: after a kill it is read again from its start, which costs no writing.
    ValueError where two recordings have a name that some disks take for the same: one would be lost."""
    there, seen = download.sizes(root / split), set()
    with download.opened(archive) as tar:
        for member in tar:
            parts = download.inside(member.name)
            if len(parts) != 3 or parts[0] != split or parts[2].startswith("._") or not member.isfile():
                continue  # folders, the ._ that macOS adds to archives, and whatever would lead out of the root
            name = "/".join(parts[1:])
            if name.casefold() in seen:
                raise ValueError(f"{archive} holds {name} twice: it is not the published archive; delete it, and the "
                                 "same command fetches it again")
            seen.add(name.casefold())
            if there.get(name) != member.size:
                download.copy(tar.extractfile(member), root / split / name)


def _finish(root: Path, split: str, lengths: dict[str, float]) -> None:
    """Note that all recordings of a split are there, and which are empty; ValueError where some are not."""
    there, archive = download.sizes(root / split), root / f"{split}.tar.gz"
    if gone := sorted(lengths.keys() - there.keys()):
        raise ValueError(f"{archive} lacks {len(gone):,} of the {len(lengths):,} recordings of {split}.json, the first "
                         f"is {gone[0]}: the two are not of one release; delete both and run the same command again")
    empty = sorted(name for name in lengths if there[name] <= HEADER)
    paths.write_json(root / f"{split}.done.json", {"recordings": len(lengths), "empty": empty})
    print(f"  {split}: {len(lengths):,} recordings in {root / split}, {len(empty):,} of them empty", flush=True)
    _compare({split: [name.partition("/")[0] for name in lengths]})


def _compare(species: Mapping[str, Sequence[str]]) -> None:
    """Say where splits have other counts than the published ones; species: of each recording of a split."""
    counts = {split: {"recordings": len(names), "species": len(set(names))} for split, names in species.items()}
    counts = {f"{what} of {split}": n for split, both in counts.items() for what, n in both.items()}
    download.compare("inatsounds", counts, COUNTS, "published, and in Liu et al. 2026")


def _named(root: Path, split: str) -> Iterator[tuple[str, dict, dict]]:
    """CATEGORY/NAME, the entry and the category of each recording of a split's annotations."""
    annotations = json.loads((root / f"{split}.json").read_bytes())
    categories = {category["id"]: category for category in annotations["categories"]}
    category_of = {a["audio_id"]: categories[a["category_id"]] for a in annotations["annotations"]}
    for entry in annotations["audio"]:
        if entry["id"] not in category_of:
            raise ValueError(f"{split}.json has no annotation for {entry['file_name']}: it is not the published file; "
                             "delete it and prepare again")
        # Probably SPLIT/CATEGORY/NAME, as its authors' code joins it to the root; unseen offline, so the end is used.
        *before, name = entry["file_name"].split("/")
        category = category_of[entry["id"]]
        yield f"{before[-1] if before and before[-1] != split else category['audio_dir_name']}/{name}", entry, category


def recordings(root: Path, place: str | Path) -> pd.DataFrame:
    """The table of the splits prepared in a root: label is the species; supercategory, common_name, evaluation (is it
    among the 1,212 species of val and test), latitude, longitude.

    No group: recordists span the splits, which are the published ones. Empty recordings are left out of train and kept
    in val and test with duration 0. place: the root as it was given, for the errors: ValueError where nothing is
    prepared or recordings are missing."""
    command = f"run python -m lib.sources inatsounds root={place} splits="
    done = [split for split in SPLITS if (root / f"{split}.done.json").exists()]
    if not done:
        raise ValueError(f"inatsounds:{place}: no split is prepared in {root}: {command}{USUAL}")
    table = pd.concat([_table(root, split, place, command) for split in done], ignore_index=True)
    _compare({split: table.loc[table["split"] == split, "label"].tolist() for split in done})
    empty, train = table.pop("empty"), table["split"] == "train"
    if empty.any():
        print(f"inatsounds: {(empty & train).sum()} empty recordings left out of train; "
              f"in val and test {(empty & ~train).sum()} are kept and count as silence")
    few = dict.fromkeys(("label", "supercategory", "common_name"), "category")  # a number a row, and a legend
    return table[~(empty & train)].reset_index(drop=True).astype(few).assign(source="inatsounds")


def _table(root: Path, split: str, place: str | Path, command: str) -> pd.DataFrame:
    """The recordings of one split; duration 0 and `empty` where there is no sample."""
    names, entries, categories = zip(*_named(root, split))
    there = {f"{file.parent.name}/{file.name}" for file in (root / split).glob("*/*")}
    if gone := [name for name in names if name not in there]:
        raise ValueError(f"inatsounds:{place}: {len(gone):,} of {len(names):,} recordings of {split} are missing, the "
                         f"first is {root / split / gone[0]}: put them back, or delete {split}.done.json and "
                         f"{command}{split}")
    table = pd.DataFrame({"file": [f"{root}/{split}/{name}" for name in names],
                          "label": [category["name"] for category in categories],
                          "supercategory": [category["supercategory"] for category in categories],
                          "common_name": [category["common_name"] or "" for category in categories], "split": split,
                          "evaluation": [bool(category["evaluation"]) for category in categories]})
    for column, key in (("duration_s", "duration"), ("latitude", "latitude"), ("longitude", "longitude")):
        table[column] = np.array([entry.get(key) for entry in entries], dtype=float)  # null becomes NaN
    table["empty"] = pd.Index(names).isin(json.loads((root / f"{split}.done.json").read_bytes())["empty"])
    table.loc[table["empty"], "duration_s"] = 0.0
    return table
