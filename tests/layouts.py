"""Miniatures of the public data sets, in exactly the layouts they are published in, and a server that serves them.

    published(folder)       iNatSounds' six archives          inatsounds(root), audioset(root): prepared, no network
    shards(root)            AudioSet's parquet shards         archive(file): ESC-50's zip
"""

import csv
import hashlib
import io
import json
import os
import signal
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import soundfile
from toys import tone

from lib.sources import download, prepare
from lib.sources import inatsounds as inat

SPECIES = [  # name, common name, supercategory, evaluation, pitch: the last two occur in train only
    ("Notopsalta sericea", "Clay Bank Cicada", "Insecta", 1, 4800.0), ("Strix varia", "Barred Owl", "Aves", 1, 350.0),
    ("Hyla arborea", "European Tree Frog", "Amphibia", 1, 1500.0),
    ("Sciurus carolinensis", "Eastern Gray Squirrel", "Mammalia", 0, 2600.0),
    ("Gekko gecko", "Tokay Gecko", "Reptilia", 0, 900.0)]
CLASSES = [("Speech", "/m/09x0r", 500.0), ("Music", "/m/04rlf", 1100.0), ("Gush", "/t/dd00088", 3000.0)]
PEAK = 30  # the tones of toys are quiet; within 16 bit these are heard


def flac(hz: float, seconds: float, rng: np.random.Generator, rate: int = 48_000, kind: str = "FLAC",
         bits: str = "PCM_24") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, (tone(hz, seconds, rng, rate).numpy() * PEAK).clip(-1, 1), rate, subtype=bits, format=kind)
    return out.getvalue()


# ----------------------------------------------------------------------------------------------------------- iNatSounds

def published(folder: Path, train: int = 4, held_out: int = 2, seconds: float = 0.6, species: int = 5,
              empty: bool = True) -> dict[str, inat.Archive]:
    """Write train, val and test as .tar.gz and .json.tar.gz -> their sizes and md5s, as in `inatsounds.ARCHIVES`.

    train, held_out: recordings of a species in train, in val and in test. empty: one recording of train and of val is a
    mere header.
    """
    rng, number = np.random.default_rng(0), 0
    folder.mkdir(parents=True, exist_ok=True)
    categories = [dict(id=i, name=name, common_name=common, supercategory=above, kingdom="Animalia", phylum="Chordata",
                       order="Order",
                       family="Family", genus=name.split()[0], specific_epithet=name.split()[1],
                       audio_dir_name=f"{i:05d}_Animalia_{above}_{name.replace(' ', '_')}", evaluation=evaluation,
                       **{"class": above})
                  for i, (name, common, above, evaluation, _) in enumerate(SPECIES[:species])]
    for split in ("train", "val", "test"):
        told = dict(info=dict(year=2024, version="1", description="a miniature", contributor="", url="",
                              date_created=""), audio=[],
                    categories=categories, annotations=[],
                    licenses=[dict(id=1, name="CC0", url="https://creativecommons.org/publicdomain/zero/1.0/")])
        files = {}
        for category, (*_, hz) in zip(categories, SPECIES):
            for i in range(train if split == "train" else held_out * category["evaluation"]):
                silent = empty and i == 0 and category["id"] == 0 and split != "test"
                length = 0.0 if silent else seconds * rng.uniform(0.8, 1.6)
                name = f"{split}/{category['audio_dir_name']}/{rng.bytes(4).hex()}-0000-4000-8000-{number:012d}.wav"
                files[name] = flac(hz * rng.uniform(0.9, 1.1), length, rng, 22_050, "WAV", "PCM_16")
                told["audio"].append(dict(id=number, duration=round(length * 22_050) / 22_050, file_name=name,
                                          license=1, rights_holder="nobody",
                                          date="2020-05-01", latitude=52.5 + i, longitude=13.4,
                                          location_uncertainty=[None, float("nan"), 12][i % 3]))
                told["annotations"].append(dict(id=number, audio_id=number, category_id=category["id"]))
                number += 1
        packed(folder / f"{split}.tar.gz", files)
        packed(folder / f"{split}.json.tar.gz", {f"{split}.json": json.dumps(told).encode()})
    return {f.name: inat.Archive(f.stat().st_size, hashlib.md5(f.read_bytes()).hexdigest())
            for f in sorted(folder.glob("*.tar.gz"))}


def packed(file: Path, files: dict[str, bytes]) -> Path:
    """A .tar.gz with the folders of the files in front of them, as tar writes it."""
    with tarfile.open(file, "w:gz", compresslevel=1) as tar:
        seen = set()
        for name, content in files.items():
            for folder in [str(f) for f in Path(name).parents][-2::-1]:
                if folder not in seen and folder not in (".", "/"):
                    seen.add(folder)
                    made = tarfile.TarInfo(folder)
                    made.type = tarfile.DIRTYPE
                    tar.addfile(made)
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return file


def inatsounds(root: Path, **sizes) -> Path:
    """A prepared root. The archives lie where a download would put them: nothing is fetched; they go in the end."""
    published(root, **sizes)
    prepare.prepare("inatsounds", root, keep=False)
    return root


# ------------------------------------------------------------------------------------------------------------- AudioSet

def shards(root: Path, count: int = 2, clips: int = 6, seconds: float = 1.0,
           splits: tuple[str, ...] = ("bal_train", "eval"),
           corrupt: bool = True) -> Path:
    """ROOT/data/SPLIT/NN.parquet with `clips` clips each, 48 kHz (the fourth 44.1 kHz, in stereo); the last clip of the
    first shard is cut off."""
    import pyarrow as pa
    from pyarrow import parquet
    rng = np.random.default_rng(1)
    for split in splits:
        for shard in range(count):
            rows = []
            for i in range(clips):
                name, mid, hz = CLASSES[i % len(CLASSES)]
                content = flac(hz * rng.uniform(0.9, 1.1), seconds, rng, 44_100 if i == 3 else 48_000)
                if i == 3:
                    samples = soundfile.read(io.BytesIO(content))[0]
                    soundfile.write(out := io.BytesIO(), np.stack([samples, samples], 1), 44_100, subtype="PCM_24",
                                    format="FLAC")
                    content = out.getvalue()
                if corrupt and shard == 0 and i == clips - 1:
                    content = content[: len(content) // 2]
                video = f"{'-_aB'[i % 4]}{split[0]}{shard:02d}{i:04d}xyz"
                rows.append(dict(video_id=video, audio=dict(bytes=content, path=f"audio/{split}/{video}.flac"),
                                 labels=[mid, "/m/zzz"],
                                 human_labels=[name, "Inside, small room"]))
            file = root / "data" / split / f"{shard:02d}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            types = pa.schema([("video_id", pa.string()),
                               ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
                               ("labels", pa.list_(pa.string())), ("human_labels", pa.list_(pa.string()))])
            parquet.write_table(pa.Table.from_pylist(rows, types), file)
    return root


def audioset(root: Path, **sizes) -> Path:
    """A prepared root, from shards in it."""
    prepare.prepare("audioset", shards(root, **sizes), splits=sizes.get("splits", ("bal_train", "eval")), workers=1)
    return root


# --------------------------------------------------------------------------------------------------------------- ESC-50

def archive(file: Path, clips: int = 20, without: str = "") -> Path:
    """ESC-50 as GitHub packs it: four categories in five folds, the first of fold 4 and of 5 from one Freesound clip;
    `without`: a file that is left out."""
    rng, rows = np.random.default_rng(2), []
    file.parent.mkdir(parents=True, exist_ok=True)
    top = "ESC-50-33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(f"{top}/LICENSE", "a miniature\n")
        for i in range(clips):
            fold, target = 1 + i % 5, (i // 5) % 4
            name = f"{fold}-{1000 + i // 2}-{'AB'[i % 2]}-{target}.wav"
            clip = "209698" if i in (3, 4) else f"{fold}{1000 + i}"
            rows.append([name, fold, target, ["dog", "rain", "clock_tick", "crow"][target], str(target < 2), clip,
                         "AB"[i % 2]])
            if name != without:
                packed.writestr(f"{top}/audio/{name}", flac(400.0 * (1 + target), 0.5, rng, 44_100, "WAV", "PCM_16"))
        head = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
        csv.writer(out := io.StringIO()).writerows([head, *rows])
        packed.writestr(f"{top}/meta/esc50.csv", out.getvalue())
    return file


# --------------------------------------------------------------------------------------------------------------- server

class Site:
    """A server on this machine, while the `with` lasts: site.files[path] = bytes are its files.

    cuts: the bytes after which the coming answers end; then whole ones. refuse: a status for everything. ranges: does
    it resume. told: does it say a length. pace: bytes a second, or None. asked: (method, path, Range);
    sent: bytes of all answers.
    """

    def __init__(self) -> None:
        self.files, self.cuts, self.asked, self.sent = {}, [], [], 0
        self.refuse, self.ranges, self.told, self.pace = 0, True, True, None

    def __enter__(self) -> "Site":
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Answer, self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs=dict(poll_interval=0.01), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()


class Answer(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *given) -> None:
        self.site = site
        super().__init__(*given)

    def do_GET(self) -> None:
        site, asked = self.site, self.headers.get("Range")
        site.asked.append((self.command, self.path, asked))
        body = site.files.get(self.path)
        if site.refuse or body is None:
            self.send_response(site.refuse or 404)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        first = int(asked[6:-1]) if asked and site.ranges else 0
        if first >= len(body) > 0:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            if site.told:
                self.send_header("Content-Range", f"bytes */{len(body)}")
            return self.end_headers()
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        if site.told or self.command == "HEAD":
            self.send_header("Content-Length", str(len(body) - first))
        self.end_headers()
        if self.command == "GET":
            self.send(body[first : first + site.cuts.pop(0)] if site.cuts else body[first:])

    do_HEAD = do_GET

    def send(self, body: bytes) -> None:
        step = max(1, int(self.site.pace / 200)) if self.site.pace else 1 << 16
        for i in range(0, len(body), step):
            try:
                self.wfile.write(body[i : i + step])
            except OSError:  # the asking process was killed
                return
            self.site.sent += len(body[i : i + step])
            if self.site.pace:
                time.sleep(step / self.site.pace)

    def log_message(self, *_) -> None:
        pass


# ---------------------------------------------------------------------------------------------------------------- kills

def tree(root: Path) -> str:
    """One hash of the names and contents of all files below a folder, locks aside."""
    found = hashlib.sha256()
    for file in sorted(f for f in root.rglob("*") if f.is_file() and not f.name.endswith(".lock")):
        found.update(f"{file.relative_to(root)} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def work(place: str, files: dict[str, inat.Archive], root: Path, pause_s: float = 0.0) -> None:
    """What a process to be killed does: prepare iNatSounds' val from a Site, with a pause in every file it writes."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    inat.URL, inat.ARCHIVES = place, files
    if pause_s:
        def slowly(source, path: Path) -> None:
            with download.whole(path) as part, open(part, "wb") as out:
                content = source.read()
                out.write(content[: len(content) // 2])
                out.flush()
                time.sleep(pause_s)
                out.write(content[len(content) // 2 :])
        download.copy = slowly
    prepare.prepare("inatsounds", root, splits="val")


@contextmanager
def killed(process, when) -> Iterator[None]:
    """Run a process and kill it (-9) as soon as `when()` holds."""
    process.start()
    yield
    while process.is_alive() and not when():
        time.sleep(0.001)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
