"""Embeddings of recordings as one table for any program: a row a window, from any frozen model of `reference.load`.

    python -m lib.field.embeddings FOLDER out=FILE.parquet model=ready

writes file, start_s, end_s and vector (float32, all of one length), and which model it was as the file's metadata.
Windows overlap by half, those of digital silence are left out. It works recording by recording, in memory that does not
grow with them; stopped at any moment, the same command goes on. A relative path starts at the repository.

pandas: `pd.read_parquet(FILE)`; R: `arrow::read_parquet(FILE)`; DuckDB: `SELECT file, start_s, vector FROM 'FILE'`.
"""
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from pyarrow import parquet
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from lib import audio, paths, progress
from lib.field import classifier, windows
from lib.transfer import reference
from lib.transfer.reference import Frozen

__all__ = ["Embeddings", "write", "read", "nearest", "flat", "embed"]

BATCH = 64  # windows that a model hears at a time
ROWS = 10_000  # of a row group of the finished file: what is in memory while it is joined
MOST = 5000  # points of a t-SNE, which takes a minute there and grows faster than they do
ABOUT = b"embeddings"  # under which the file's metadata says whose vectors they are


class Embeddings(NamedTuple):
    """The windows of W places and what a model says about them."""
    windows: pd.DataFrame  # (W) file, start_s, end_s; files are relative to the folder
    vectors: np.ndarray  # (W, D) float32
    about: dict  # model, what (with its licence), key, rate, window_s, step_s, width, folder, recordings, skipped


# -------------------------------------------------------------------------------------------------------------- written

def write(model: Frozen, place: str | Path, out: str | Path, *, bar: str | None = "embedding") -> Path:
    """Write the windows of all sounds of a folder, or of one sound, as a parquet file; returns it.

    Until all are done each recording's windows lie in OUT.parts beside it. What cannot be read is named in the
    metadata as `skipped`, and tried again by the next call if this one is stopped. ValueError where OUT or its parts
    are of another model or folder."""
    (folder, names), file = classifier.sounds(place), paths.resolve(out)
    if file.suffix != ".parquet":
        raise ValueError(f"out is {out}: it must end in .parquet")
    whose = {"model": model.name, "what": model.what, "key": model.key, "rate": model.rate,
             "window_s": model.seconds, "step_s": model.samples // 2 / model.rate, "width": model.width,
             "folder": str(paths.resolve(place))}
    stamps = paths.stamps([str(folder / name) for name in names])
    recordings = paths.key([paths.line(name) for name in names], stamps)
    parts = file.with_name(f"{file.name}.parts")
    with paths.lock(parts / ".lock", f"{file}: another run writes it at this moment: wait, or choose another out"):
        if not _same(file, parts, whose, recordings):
            paths.write_json(parts / "whose.json", whose)
            paths.sweep(parts.glob(".*.parquet"))
            heard = {name: _part(parts, name, stamp) for name, stamp in zip(names, stamps)}
            skipped = _hear(model, folder, heard, bar)
            done = [part for part in heard.values() if part.exists()]
            if not done:
                raise ValueError(f"none of {len(names)} files can be used, the first: {skipped[0]}")
            _join(done, file, _schema(whose | {"recordings": recordings, "skipped": skipped}))
    shutil.rmtree(parts)
    return file


def _same(file: Path, parts: Path, whose: dict, recordings: str) -> bool:
    """Whether the finished file is there already; ValueError where it, or its parts, are others' than `whose`."""
    begun = any(parts.glob("*.parquet"))
    about = _about(file) if file.exists() else paths.read_json(parts / "whose.json") if begun else whose
    if other := [f"{name} {about.get(name)} instead of {value}" for name, value in whose.items()
                 if about.get(name) != value]:
        raise ValueError(f"{file} holds other embeddings ({other[0]}): choose another out, or delete it and "
                         f"{parts.name}")
    if about.get("recordings", recordings) != recordings:
        raise ValueError(f"{file} is of the recordings that {whose['folder']} held then, now it holds others, or other "
                         "sound in them: choose another out, or delete it")
    return file.exists()


def _hear(model: Frozen, folder: Path, parts: Mapping[str, Path], bar: str | None) -> list[str]:
    """Write the part of each recording that has none; a line for each that cannot be used."""
    left, skipped = [name for name, part in parts.items() if not part.exists()], []
    schema = _schema({}, model.width)
    for name in progress.bar(left, total=len(parts), initial=len(parts) - len(left), desc=bar, unit="file",
                             leave=False):
        try:
            with paths.atomic(parts[name]) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
                for table in _tables(model, folder / name, name, schema):
                    writer.write_table(table)
        except audio.AudioError as error:
            skipped.append(windows.reason(error, folder, name))
    return skipped


def _tables(model: Frozen, file: Path, name: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """A recording's windows and their vectors, some at a time; AudioError where there is nothing to hear."""
    for about, start, waves in windows.loud(file, model.rate, model.samples, model.samples // 2):
        x = torch.cat([model.features(some) for some in waves.split(BATCH)]).numpy().astype(np.float32)  # (W, D)
        end = np.minimum(start / model.rate + model.seconds, about.duration_s)
        vector = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), model.width)
        columns = [pa.array([paths.line(name)] * len(x)), pa.array(start / model.rate), pa.array(end), vector]
        yield pa.Table.from_arrays(columns, schema=schema)


def _part(parts: Path, name: str, stamp: tuple[int, int] | None) -> Path:
    return parts / f"{paths.key(paths.line(name), stamp)}.parquet"


def _schema(about: dict, width: int = 0) -> pa.Schema:
    fields = {"file": pa.string(), "start_s": pa.float64(), "end_s": pa.float64(),
              "vector": pa.list_(pa.float32(), width or about["width"])}
    return pa.schema(list(fields.items()), {ABOUT: json.dumps(about).encode()})


def _join(parts: Sequence[Path], file: Path, schema: pa.Schema) -> None:
    """The parts as one file, in their order: a few row groups, each of some recordings."""
    with paths.atomic(file) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        held, rows = [], 0
        for part in progress.bar(parts, desc="joining", unit="file", leave=False):
            for batch in parquet.ParquetFile(part).iter_batches(ROWS):
                held, rows = [*held, batch], rows + len(batch)
                if rows >= ROWS:
                    writer.write_table(pa.Table.from_batches(held).cast(schema))
                    held, rows = [], 0
        if held:
            writer.write_table(pa.Table.from_batches(held).cast(schema))


# ----------------------------------------------------------------------------------------------------------------- read

def read(file: str | Path) -> Embeddings:
    """What `write` has written; ValueError where it is something else."""
    path = paths.resolve(file)
    about = _about(path)
    table = parquet.read_table(path)
    vectors = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, about["width"])
    return Embeddings(table.select(["file", "start_s", "end_s"]).to_pandas(), vectors, about)


def _about(path: Path) -> dict:
    try:
        return json.loads(parquet.read_schema(path).metadata[ABOUT])
    except (OSError, TypeError, KeyError, pa.ArrowInvalid):
        raise ValueError(f"{path}: holds no embeddings that `python -m lib.field.embeddings` has written") from None


def nearest(vectors: np.ndarray, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of vectors (N, D) most like each of the queries (Q, D): rows (Q, k), most alike first, and cosines.

    By the cosine of the vectors as they are: give both on one scale, such as `picks.standard` makes. A query that is
    one of the vectors finds itself first."""
    search = NearestNeighbors(n_neighbors=min(k, len(vectors)), metric="cosine").fit(vectors)
    distance, rows = search.kneighbors(np.atleast_2d(query))
    return rows, 1 - distance


def flat(x: np.ndarray, seed: int) -> np.ndarray:
    """Vectors (N, D) as points of a map (N, 2) that keeps which are near each other; far is no distance.

    scikit-learn's t-SNE of 50 principal components, of MOST vectors at most; fewer than five lie as the first two of
    these put them."""
    if len(x) > MOST:
        raise ValueError(f"a t-SNE of {len(x):,} points takes too long, {MOST:,} at most: draw some")
    if len(x) < 2:
        return np.zeros((len(x), 2))
    x = PCA(min(50, *x.shape), random_state=seed).fit_transform(x)
    if len(x) < 5:
        return x[:, :2]
    return TSNE(perplexity=min(30, (len(x) - 1) / 3), random_state=seed).fit_transform(x)


def embed(folder: str, *, out: str = "", model: str = "ready") -> None:
    """The command line, see the top of this file."""
    if not out:
        raise ValueError("got no out=FILE.parquet: it is called as FOLDER out=FILE.parquet model=ready")
    file = write(reference.load(model), folder, out)
    about, rows = _about(file), parquet.read_metadata(file).num_rows
    print(f"{file}: {rows:,} windows of {about['window_s']:.2f} s, {about['width']} numbers each, by "
          f"{about['model']}; {len(about['skipped'])} files skipped", *about["skipped"], sep="\n  ")


if __name__ == "__main__":
    sys.exit(paths.command(embed, sys.argv[1:], __doc__))
