"""AudioSet: 10 s excerpts of YouTube videos in 527 classes, as copied to https://huggingface.co/datasets/agkphysics/AudioSet.

Published: data/SPLIT/NN.parquet with video_id, audio.bytes (FLAC), labels (MIDs) and human_labels (names); 2.4 TB in
all, about 26 GB of it bal_train. Prepared: ROOT/clips/SPLIT/XX/ID.flac and ROOT/manifest-SPLIT.csv, shard by shard, from
ROOT/data/SPLIT/*.parquet or else streamed from the hub. Labels and packaging are CC BY 4.0, the sounds for research only, see TERMS.
"""

import csv
import io
import json
import os
import re
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import NamedTuple

import fsspec
import numpy as np
import pandas as pd
import soundfile
import torch
from tqdm.auto import tqdm

from lib import audio, paths
from lib.sources import download

__all__ = ["TITLE", "TERMS", "SPLITS", "SAID", "USUAL", "OPTIONS", "prepare", "recordings"]

TITLE = "AudioSet (agkphysics/AudioSet on the Hugging Face hub)"
TERMS = """https://huggingface.co/datasets/agkphysics/AudioSet: labels and packaging
CC BY 4.0; the sounds are excerpts of YouTube videos, whose rights stay with their makers: for research, not to be passed on."""
SPLITS = {"bal_train": "train", "unbal_train": "train", "eval": "test"}  # its own name of a split -> ours
SAID = {"balanced": "bal_train", "balanced_train": "bal_train", "unbalanced": "unbal_train", "unbalanced_train": "unbal_train"}
USUAL = "bal_train,eval"                  # what is prepared when no splits are named
OPTIONS = {"rate": 22_050, "workers": 0}  # what else can be said, and the defaults: Hz of the clips; processes, 0 for one on each CPU

URL = "hf://datasets/agkphysics/AudioSet"
CLIP = 1.39e6      # bytes of one clip in the shards: 26.0 GB / 18,685
KEPT = 0.58 * 441_000 / 22_050  # bytes of a clip as 16-bit FLAC and for each Hz of the rate, measured on 165 s of everyday sounds
CLIPS_S = 40.0     # a second that one CPU decodes, resamples and writes, measured on noise of 48 kHz and 24 bit
MANIFEST = ["video_id", "file", "label", "labels", "human_labels", "duration_s", "problem"]


class Shard(NamedTuple):
    """What a worker needs to know to prepare one shard."""
    place: str  # of the parquet file
    part: Path  # of the manifest that it writes when it is done
    root: Path
    split: str
    rate: int


def prepare(root: Path, splits: list[str], rate: int, workers: int) -> None:
    """Decode the shards of these splits; what cannot be decoded is counted and named in the manifest. ValueError names a shard that is
    missing or damaged."""
    jobs, size, lines = [], 0.0, []
    for split in splits:
        sizes = _shards(root, split, rate)
        todo = [Shard(place, root / "manifest" / split / f"{Path(place).stem}.csv", root, split, rate) for place in sizes]
        left = [job for job in todo if not job.part.exists()]
        jobs += left
        size += sum(sizes[job.place] for job in left)
        lines.append(f"{split}: {len(todo):,} shards, {sum(sizes.values()) / 1e9:,.2f} GB; {len(todo) - len(left):,} of them are done")
    workers = min(len(jobs), workers or paths.processors())
    hub = any("://" in job.place for job in jobs)
    lines.append(f"each clip becomes 16-bit FLAC, mono, {rate:,} Hz: about {KEPT * rate / 1e3:,.0f} kB for 10 s instead of {CLIP / 1e3:,.0f} kB; "
                 f"{workers} workers")
    download.plan(root, lines, size if hub else 0.0, size / CLIP / CLIPS_S / max(1, workers))
    download.room(root, size / CLIP * KEPT * rate)
    _run(jobs, workers)
    for split in splits:
        parts = sorted((root / "manifest" / split).glob("*.csv"))
        with download.whole(root / f"manifest-{split}.csv") as whole, open(whole, "wb") as out:
            for i, part in enumerate(parts):
                with open(part, "rb") as rows:
                    out.writelines(rows if i == 0 else list(rows)[1:])  # one header
        problems = pd.read_csv(root / f"manifest-{split}.csv", usecols=["problem"], keep_default_na=False)["problem"]
        print(f"  {split}: {len(problems):,} clips, {(problems != '').sum():,} of them cannot be used: named in manifest-{split}.csv", flush=True)


def _shards(root: Path, split: str, rate: int) -> dict[str, int]:
    """Place -> bytes of each shard of a split. Those seen once are noted: one that vanished since is missed by name, not passed over."""
    note = root / "manifest" / split / "shards.json"
    known = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {"rate": rate, "shards": []}
    if known["rate"] != rate:
        raise ValueError(f"{root / 'clips' / split} holds clips of {known['rate']:,} Hz: rate={known['rate']} goes on with them, "
                         "another rate needs another root")
    done = {n for n in known["shards"] if (note.parent / f"{Path(n).stem}.csv").exists()}
    local = (root / "data" / split).is_dir()
    if not local and known["shards"] and len(done) == len(known["shards"]):
        return dict.fromkeys(known["shards"], 0)  # prepared: the hub need not be asked
    try:
        files, base = fsspec.core.url_to_fs(str(root) if local else URL)
        found = {Path(path).name: (path if local else files.unstrip_protocol(path), int(about["size"]))
                 for path, about in files.glob(f"{base}/data/{split}/*.parquet", detail=True).items()}
    except download.FAILURES as error:
        raise ValueError(f"the shards of {URL} cannot be listed ({_first(error)}): check the connection, "
                         f"or put them into {root}/data/{split}") from None
    if gone := sorted(set(known["shards"]) - set(found) - done):
        raise ValueError(f"audioset: {len(gone)} shards of {split} that were there are gone, the first is {root / 'data' / split / gone[0]}: "
                         f"put them back, and the same command goes on (or delete {note} to do without)")
    if not found and not done:
        raise ValueError(f"audioset: no shard in {root / 'data' / split if local else f'{URL}/data/{split}'}: *.parquet was looked for")
    names = sorted(set(known["shards"]) | set(found))
    if names != known["shards"]:
        with download.whole(note) as part:
            part.write_text(json.dumps({"rate": rate, "shards": names}) + "\n", encoding="utf-8")
    return dict(sorted(found.values()))


def _run(jobs: list[Shard], workers: int) -> None:
    """All shards, each whole in one process; the first error ends it, after the shards that are being read."""
    with tqdm(total=len(jobs), desc="decoding AudioSet", unit="shard", disable=not jobs) as bar:
        if workers < 2:
            for job in jobs:
                _decode(job)
                bar.update()
            return
        try:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start) as pool:
                try:
                    for done in as_completed([pool.submit(_decode, job) for job in jobs]):
                        done.result()
                        bar.update()
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        except BrokenProcessPool:
            raise ValueError("audioset: a worker process was killed, perhaps for its memory: the same command goes on, "
                             "workers=1 takes the least") from None


def _start() -> None:
    """A worker: one thread, and its end is that of the process that started it, even where that is killed."""
    torch.set_num_threads(1)
    threading.Thread(target=lambda: (parent_process().join(), os._exit(1)), daemon=True).start()


def _decode(job: Shard) -> None:
    """Write a shard's clips, then its part of the manifest, which says that it is done."""
    import datasets
    rows = []
    try:
        with tempfile.TemporaryDirectory() as locks:  # the library leaves a lock file in its cache for every shard
            stream = datasets.load_dataset("parquet", data_files=[job.place], split="train", streaming=True, cache_dir=locks)
            for clip in stream.cast_column("audio", datasets.Audio(decode=False)):
                name, labels, said = clip["video_id"], list(clip["labels"] or []), list(clip["human_labels"] or [])
                file, seconds, problem = f"clips/{job.split}/{name[:2]}/{name}.flac", 0.0, ""
                try:
                    seconds = _clip((clip["audio"] or {}).get("bytes"), name, job.root / file, job.rate)
                except audio.AudioError as error:
                    problem = str(error)
                rows.append([name, file, (said + labels + ["unlabelled"])[0], ";".join(labels), ";".join(said), f"{seconds:.3f}", problem])
    except FileNotFoundError:
        raise ValueError(f"audioset: the shard {job.place} is gone: put it back, and the same command goes on") from None
    except (*download.FAILURES, ValueError, datasets.exceptions.DatasetsError) as error:  # pyarrow's errors are ValueErrors
        raise ValueError(f"audioset: stopped in the shard {job.place} ({_first(error)}): put that right, or fetch the shard again where it is "
                         "damaged, and the same command goes on") from None
    with download.whole(job.part) as part, open(part, "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([MANIFEST, *rows])


def _clip(content: bytes | None, name: str, file: Path, rate: int) -> float:
    """Decode a clip and write it as 16-bit FLAC, mono, at a rate: its seconds; AudioError with the reason where that cannot be."""
    if not re.fullmatch(r"[\w-]+", name):
        raise audio.AudioError("its video_id is no file name")
    try:
        with soundfile.SoundFile(io.BytesIO(content or b"")) as sound:
            frames, own = sound.frames, sound.samplerate
            samples = sound.read(dtype="float32", always_2d=True)                       # (N, channels)
    except soundfile.LibsndfileError as error:
        raise audio.AudioError(f"cannot be decoded ({_first(error)})") from None
    if not len(samples) or len(samples) < frames or not np.isfinite(samples).all():
        raise audio.AudioError(f"{len(samples):,} of {frames:,} samples decoded" if len(samples) < frames else "holds no sample, or NaN")
    wave = torch.from_numpy(samples.mean(axis=1))                                       # (N,)
    wave = wave if own == rate else audio.resample(wave, own, rate)
    soundfile.write(encoded := io.BytesIO(), wave.clamp(-1, 1).numpy(), rate, subtype="PCM_16", format="FLAC")
    with download.whole(file) as part:
        part.write_bytes(encoded.getbuffer())
    return len(wave) / rate


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def recordings(root: Path, place: str | Path) -> pd.DataFrame:
    """The table of the splits prepared in a root: label is the first of a clip's labels by its name (the manifest has all, with their MIDs).

    bal_train and unbal_train are train, eval is test. The hub's copy has 18,685 + 1,738,788 and 17,142 clips by its card, Liu et al.
    counted 18,373 + 1,861,646 and 17,148 in theirs: it is another copy. place: the root as it was given, for the error: ValueError where
    nothing is prepared.
    """
    tables = []
    for own, split in SPLITS.items():
        if (root / f"manifest-{own}.csv").exists():
            table = pd.read_csv(root / f"manifest-{own}.csv", usecols=["file", "label", "duration_s", "problem"], keep_default_na=False,
                                dtype={"label": "category", "problem": "category", "duration_s": float})
            table = table[table["problem"] == ""].drop(columns="problem")
            tables.append(table.assign(file=f"{root}/" + table["file"], split=split))
    if not tables:
        raise ValueError(f"audioset:{place}: no split is prepared in {root}: run python -m lib.sources audioset root={place} splits={USUAL}")
    table = pd.concat(tables, ignore_index=True).astype({"label": "category"})  # a number a row, and a legend
    return table[["file", "label", "split", "duration_s"]].assign(source="audioset")
