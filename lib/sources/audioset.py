"""AudioSet: 10 s excerpts of YouTube videos in 527 classes, from https://huggingface.co/datasets/agkphysics/AudioSet.

Published: data/SPLIT/NN.parquet with video_id, audio.bytes (FLAC), labels (MIDs) and human_labels (names); 2.4 TB in
all, about 26 GB of it bal_train. Prepared: ROOT/clips/SPLIT/XX/ID.flac and ROOT/manifest-SPLIT.csv, shard by shard,
from ROOT/data/SPLIT/*.parquet or else streamed from the hub. Labels and packaging are CC BY 4.0, the sounds for
research only, see TERMS.
"""

import io
import json
import re
import tempfile
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import fsspec
import numpy as np
import pandas as pd
import soundfile
import torch

from lib import audio, paths
from lib.sources import download, processes

__all__ = ["TERMS", "SPLITS", "SAID", "USUAL", "OPTIONS", "prepare", "recordings"]

TERMS = """AudioSet (agkphysics/AudioSet on the Hugging Face hub): https://huggingface.co/datasets/agkphysics/AudioSet:
labels and packaging CC BY 4.0; the sounds are excerpts of YouTube videos, whose rights stay with their makers: for
research, not to be passed on."""
SPLITS = {"bal_train": "train", "unbal_train": "train", "eval": "test"}  # its own name of a split -> ours
SAID = {"balanced": "bal_train", "balanced_train": "bal_train", "unbalanced": "unbal_train",
        "unbalanced_train": "unbal_train"}
USUAL = "bal_train,eval"       # what is prepared when no splits are named
OPTIONS = ("rate", "workers")  # what else can be said, of those of sources.prepare

URL = "hf://datasets/agkphysics/AudioSet"
CLIP = 1.39e6   # bytes of one clip in the shards: 26.0 GB / 18,685
KEPT = 0.58 * 441_000 / 22_050  # bytes of a clip as 16-bit FLAC for each Hz of the rate, on 165 s of everyday sounds
CLIPS_S = 40.0  # a second that one CPU decodes, resamples and writes, measured on noise of 48 kHz and 24 bit
ON_HUB = {"clips of bal_train": 18_685, "clips of unbal_train": 1_738_788, "clips of eval": 17_142}  # by its card
IN_PAPER = {"clips of bal_train": 18_373, "clips of unbal_train": 1_861_646, "clips of eval": 17_148}  # usable ones
MANIFEST = ["video_id", "file", "label", "labels", "human_labels", "duration_s", "problem"]


class Shard(NamedTuple):
    """What a worker needs to know to prepare one shard."""
    place: str  # of the parquet file
    part: Path  # of the manifest that it writes when it is done
    root: Path
    split: str
    rate: int


def prepare(root: Path, splits: list[str], rate: int, workers: int) -> None:
    """Decode the shards of these splits into clips of `rate` Hz, in so many processes (0: one for each CPU).

    What cannot be decoded is counted and named in the manifest. ValueError names a shard that is missing or damaged."""
    jobs, size, lines = [], 0, []
    for split in splits:
        shards = _shards(root, split, rate)
        parts = {place: root / "manifest" / split / f"{Path(place).stem}.csv" for place in shards}
        todo = [Shard(place, part, root, split, rate) for place, part in parts.items() if not part.exists()]
        jobs += todo
        size += sum(shards[job.place] for job in todo)
        lines.append(f"{split}: {len(shards):,} shards, {sum(shards.values()) / 1e9:,.2f} GB; "
                     f"{len(shards) - len(todo):,} of them are done")
    workers = max(1, min(len(jobs), workers or paths.processors()))
    lines.append(f"each clip becomes 16-bit FLAC, mono, {rate:,} Hz: about {KEPT * rate / 1e3:,.0f} kB for 10 s "
                 f"instead of {CLIP / 1e3:,.0f} kB; {workers} workers")
    remote = any("://" in job.place for job in jobs)
    download.plan(root, lines, size if remote else 0, size / CLIP / CLIPS_S / workers)
    download.room(root, size / CLIP * KEPT * rate)
    try:
        processes.run(_decode, jobs, workers, desc="decoding AudioSet", unit="shard", disable=not jobs)
    except BrokenProcessPool:
        raise ValueError("audioset: a worker process was killed, perhaps for its memory: the same command goes on, "
                         "workers=1 takes the least") from None
    for split in splits:
        _join(root, split)


def _join(root: Path, split: str) -> None:
    """Write the manifest of a split from those of its shards, and say what cannot be used."""
    manifest = root / f"manifest-{split}.csv"
    with download.whole(manifest) as whole, open(whole, "wb") as out:
        for i, part in enumerate(sorted((root / "manifest" / split).glob("*.csv"))):
            out.writelines(part.read_bytes().splitlines(True)[min(i, 1):])  # one header
    problems = pd.read_csv(manifest, usecols=["problem"], keep_default_na=False)["problem"]
    print(f"  {split}: {len(problems):,} clips, {(problems != '').sum():,} of them cannot be used: "
          f"named in {manifest.name}", flush=True)
    download.compare("audioset", {f"clips of {split}": len(problems)}, ON_HUB, "by the card on the hub")


def _shards(root: Path, split: str, rate: int) -> dict[str, int]:
    """Place -> bytes of each shard of a split.

    Those seen once are noted: one that vanished since is missed by name, not passed over."""
    note, local = root / "manifest" / split / "shards.json", root / "data" / split
    noted = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {"rate": rate, "shards": []}
    if noted["rate"] != rate:
        raise ValueError(f"{root / 'clips' / split} holds clips of {noted['rate']:,} Hz: rate={noted['rate']} goes on "
                         "with them, another rate needs another root")
    done = {name for name in noted["shards"] if (note.parent / f"{Path(name).stem}.csv").exists()}
    if not local.is_dir() and done and len(done) == len(noted["shards"]):
        return dict.fromkeys(noted["shards"], 0)  # prepared: the hub need not be asked
    found = _listed(root, split)
    if gone := sorted(set(noted["shards"]) - set(found) - done):
        raise ValueError(f"audioset: {len(gone)} shards of {split} that were there are gone, the first is "
                         f"{local / gone[0]}: put them back, and the same command goes on (or delete {note} to do "
                         "without)")
    if not found and not done:
        raise ValueError(f"audioset: no shard in {local if local.is_dir() else f'{URL}/data/{split}'}: "
                         "*.parquet was looked for")
    names = sorted(set(noted["shards"]) | set(found))
    if names != noted["shards"]:
        paths.write_json(note, {"rate": rate, "shards": names})
    return dict(sorted(found.values()))


def _listed(root: Path, split: str) -> dict[str, tuple[str, int]]:
    """Name -> place and bytes of the shards that lie in the root or else on the hub."""
    local = (root / "data" / split).is_dir()
    try:
        files, base = fsspec.core.url_to_fs(str(root) if local else URL)
        found = files.glob(f"{base}/data/{split}/*.parquet", detail=True)
    except download.FAILURES as error:
        raise ValueError(f"the shards of {URL} cannot be listed ({_first(error)}): check the connection, "
                         f"or put them into {root}/data/{split}") from None
    return {Path(path).name: (path if local else files.unstrip_protocol(path), int(about["size"]))
            for path, about in found.items()}


def _decode(job: Shard) -> None:
    """Write a shard's clips, then its part of the manifest, which says that it is done."""
    import datasets
    try:
        with tempfile.TemporaryDirectory() as locks:  # the library leaves a lock file in its cache for every shard
            stream = datasets.load_dataset("parquet", data_files=[job.place], split="train", streaming=True,
                                           cache_dir=locks)
            rows = [_row(job, clip) for clip in stream.cast_column("audio", datasets.Audio(decode=False))]
    except FileNotFoundError:
        raise ValueError(f"audioset: the shard {job.place} is gone: put it back, and the same command goes on"
                         ) from None
    except (*download.FAILURES, ValueError, datasets.exceptions.DatasetsError) as error:  # pyarrow's are ValueErrors
        raise ValueError(f"audioset: stopped in the shard {job.place} ({_first(error)}): put that right, or fetch the "
                         "shard again where it is damaged, and the same command goes on") from None
    with download.whole(job.part) as part:
        pd.DataFrame(rows, columns=MANIFEST).to_csv(part, index=False)


def _row(job: Shard, clip: dict) -> list:
    """Write a clip and give its line of the manifest, with the problem where it cannot be used."""
    name, labels, human = clip["video_id"] or "", list(clip["labels"] or []), list(clip["human_labels"] or [])
    file, seconds, problem = f"clips/{job.split}/{name[:2]}/{name}.flac", 0.0, ""
    try:
        seconds = _clip((clip["audio"] or {}).get("bytes"), name, job.root / file, job.rate)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # whatever a decoder raises is a fault of the clip
        problem = str(error) if isinstance(error, audio.AudioError) else f"{type(error).__name__}: {_first(error)}"
    label = [*human, *labels, "unlabelled"][0]
    return [name, file, label, ";".join(labels), ";".join(human), f"{seconds:.3f}", problem]


def _clip(content: bytes | None, name: str, file: Path, rate: int) -> float:
    """Decode a clip and write it as 16-bit FLAC, mono, at a rate: its seconds. AudioError says why that cannot be."""
    if not re.fullmatch(r"[\w-]{1,64}", name, re.ASCII):
        raise audio.AudioError("its video_id is no file name")
    try:
        with soundfile.SoundFile(io.BytesIO(content or b"")) as sound:
            frames, own_rate = sound.frames, sound.samplerate
            samples = sound.read(dtype="float32", always_2d=True)                       # (N, channels)
    except soundfile.LibsndfileError as error:
        raise audio.AudioError(f"cannot be decoded ({_first(error)})") from None
    if len(samples) < frames:
        raise audio.AudioError(f"{len(samples):,} of {frames:,} samples decoded")
    if not len(samples) or not np.isfinite(samples).all():
        raise audio.AudioError("holds no sample, or NaN")
    wave = torch.from_numpy(samples.mean(axis=1))                                       # (N,)
    wave = wave if own_rate == rate else audio.resample(wave, own_rate, rate)
    encoded = io.BytesIO()  # in memory first, so that a full disk is an OSError and not one of libsndfile's
    soundfile.write(encoded, wave.clamp(-1, 1).numpy(), rate, subtype="PCM_16", format="FLAC")
    with download.whole(file) as part:
        part.write_bytes(encoded.getbuffer())
    return len(wave) / rate


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def recordings(root: Path, place: str | Path) -> pd.DataFrame:
    """The table of the splits prepared in a root: label is the first of a clip's labels by its name.

    The manifest has all labels, with their MIDs. bal_train and unbal_train are train, eval is test. Liu et al. count
    more usable clips than the hub's copy has in all, so theirs is another (Niizumi et al. had 1,963,807 of train): one
    line says how many there are here and there. place: the root as it was given, for the error: ValueError where
    nothing is prepared."""
    tables, counts = [], {}
    for published, split in SPLITS.items():
        if (root / f"manifest-{published}.csv").exists():
            table = pd.read_csv(root / f"manifest-{published}.csv", usecols=["file", "label", "duration_s", "problem"],
                                keep_default_na=False,
                                dtype={"label": "category", "problem": "category", "duration_s": float})
            table = table[table["problem"] == ""]
            counts[f"clips of {published}"] = len(table)
            tables.append(table.assign(file=f"{root}/" + table["file"], split=split))
    if not tables:
        raise ValueError(f"audioset:{place}: no split is prepared in {root}: run python -m lib.sources audioset "
                         f"root={place} splits={USUAL}")
    download.compare("audioset", counts, IN_PAPER, "usable, in the copy of Liu et al. 2026")
    table = pd.concat(tables, ignore_index=True).astype({"label": "category"})  # a number a row, and a legend
    return table[["file", "label", "split", "duration_s"]].assign(source="audioset")
