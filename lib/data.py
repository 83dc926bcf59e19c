"""What is drawn from recordings: clips of a fixed length, windows, and the mixing sampler.

Datasets yield waves; the front end turns them into specs on the device. Every draw has a number, and its randomness comes
from (seed, number) alone: results depend neither on the number of workers or processes nor on where an interrupted run took up again.
Of a table of millions of rows arrays are kept, and where it has `duration_s` no file is opened before it is drawn.
"""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info
from tqdm.auto import tqdm

from lib import audio, paths
from lib.mel import FrontEnd, LogMel, normalise

__all__ = ["Draw", "Batch", "Clips", "Windows", "Mixture", "loader"]

MEMORY = 1.5 * 2**30  # bytes that decoded recordings may take; above, they are read piece by piece
ATTEMPTS = 10  # recordings tried in the place of one that cannot be read, before the storage itself is taken to be gone


class Draw(NamedTuple):
    row: int  # of the table
    number: int  # of the draw in the whole run: its random crop follows from (seed, number)


class Share(list):
    """The draws of one process in one step, a list that knows its place: its first clip and the clips of all processes together."""

    def __init__(self, draws: Iterable[Draw], first: int, of: int) -> None:
        super().__init__(draws)
        self.first, self.of = first, of


class Batch(NamedTuple):
    x: torch.Tensor  # waves (B, N) float32, zero behind each clip's end; or specs (B, 1, T, M) where they were made ahead
    length: torch.Tensor  # (B,) true samples or frames; LogMel writes the pad value behind them
    row: torch.Tensor  # (B,) rows of the table
    files: list[str]  # for messages
    first: int = 0  # place of the first clip in the step's batch over all processes
    of: int = 0  # clips of that batch; 0: these are all
    unreadable: list[str] = []  # why files could not be read, in whose place others stand; `loader` tells and counts them

    def spec(self, log_mel: LogMel, device: torch.device | str = "cpu") -> torch.Tensor:
        """The batch as specs (B, 1, T, M) on a device: waves go through the front end there."""
        x = self.x.to(device, non_blocking=True)
        return x if x.ndim == 4 else log_mel(x, self.length, frames=log_mel.front.frames)

    def cut(self, size: int) -> list["Batch"]:
        """The batch in consecutive parts of at most `size` clips, each with its place in the whole."""
        return [Batch(*(part[i : i + size] for part in self[:4]), self.first + i, self.of or len(self.row), self.unreadable if i == 0 else [])
                for i in range(0, len(self.row), size)]


class Names:
    """Millions of file names in one block of bytes: a list of them would be copied into every worker process as it is read."""

    def __init__(self, names: Iterable[str]) -> None:
        self.block = "\0".join([*names, ""]).encode("utf-8", "surrogateescape")
        self.ends = np.flatnonzero(np.frombuffer(self.block, np.uint8) == 0)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> str:
        first = self.ends[row - 1] + 1 if row else 0
        return self.block[first : self.ends[row]].decode("utf-8", "surrogateescape")


class Waves:
    """Reads pieces of a table's recordings at one rate, as waves; the main process keeps them in memory as int16 while they fit."""

    def __init__(self, table: pd.DataFrame, front: FrontEnd) -> None:
        self.rate, self.need, self.hop = front.rate, front.samples, front.hop
        self.per_s = front.rate  # places a second
        self.files = Names(table["file"].tolist())
        times = table.reindex(columns=["start_s", "end_s", "duration_s"]).to_numpy(float, copy=True)  # (R, 3)
        for row in np.flatnonzero(np.isnan(times[:, 2])):
            times[row, 2] = audio.info(self.files[row]).duration_s
        self.start_s = np.nan_to_num(times[:, 0])
        self.seconds = np.fmin(times[:, 1], times[:, 2]) - self.start_s
        self.length = np.maximum(1, np.rint(self.seconds * self.rate).astype(np.int64))  # (R,) samples
        self.kept: dict[int, np.ndarray] | None = {} if 2 * self.length.sum() <= MEMORY else None
        self.silent = set(np.flatnonzero((self.start_s == 0) & (self.seconds == 0)).tolist())  # rows of recordings without any sample
        self.blank = torch.zeros(self.need)

    def read(self, row: int, first: int, count: int) -> torch.Tensor:
        """Samples first ... first + count of a recording, fewer at its end: (n,) float32."""
        if row in self.silent:
            return torch.zeros(min(count, int(self.length[row]) - first))
        if self.kept is None:
            count = min(count, int(self.length[row]) - first)  # a segment ends before its file does
            wave = audio.read(self.files[row], self.rate, self.start_s[row] + first / self.rate, (count + 64) / self.rate)
            return _exactly(wave, count)
        kept = self.kept.get(row)
        if kept is None:
            wave = _exactly(audio.read(self.files[row], self.rate, self.start_s[row], self.seconds[row]), int(self.length[row]))
            kept = (wave.clamp(-1, 1) * 32767).round().to(torch.int16).numpy()
            if get_worker_info() is None:
                self.kept[row] = kept
        return torch.from_numpy(kept[first : first + count]).float() / 32767


def _exactly(wave: torch.Tensor, count: int) -> torch.Tensor:
    """A wave of exactly so many samples: between two rates, rounding leaves one too many or one short, and a short one costs a frame."""
    return torch.nn.functional.pad(wave[:count], (0, max(0, count - len(wave))))


class Specs:
    """The same, as specs: the log-mel of a whole recording is made once and kept as float16, and pieces are cut from its frames.

    Where the front end costs as much as a small model (on a CPU) this makes training nearly twice as fast. Frames lie on the grid
    of the recording instead of the clip, which is the whole difference; a front end with centred frames has none such.
    """

    def __init__(self, waves: Waves, front: FrontEnd) -> None:
        self.waves, self.log_mel, self.need, self.hop = waves, LogMel(front), front.frames, 1
        self.files, self.silent, self.length = waves.files, waves.silent, np.maximum(1, _frames(waves.length, front))
        self.per_s = front.rate / front.hop
        self.blank = torch.full((front.frames, front.mels), normalise(front.pad, front))
        self.kept: dict[int, torch.Tensor] = {}

    def read(self, row: int, first: int, count: int) -> torch.Tensor:
        """Frames first ... first + count of a recording, fewer at its end: (n, M) float32, normalised."""
        kept = self.kept.get(row)
        if kept is None:
            kept = self.log_mel(self.waves.read(row, 0, int(self.waves.length[row]))[None])[0, 0].half()  # (frames, M)
            if get_worker_info() is None:
                self.kept[row] = kept
                (self.waves.kept or {}).pop(row, None)  # the spec takes its place: as many bytes again would lie idle
        return kept[first : first + count].float()


def _frames(samples: np.ndarray, front: FrontEnd) -> np.ndarray:
    """front.count of many recordings at once."""
    return np.where(samples < front.window, 0, 1 + (samples - (0 if front.centred else front.window)) // front.hop)


def _source(table: pd.DataFrame, front: FrontEnd, ahead: bool) -> Waves | Specs:
    """What to cut clips from: specs made ahead if asked, possible and small enough, else waves."""
    waves = Waves(table, front)
    size = 2 * front.mels * _frames(waves.length, front).sum()
    return Specs(waves, front) if ahead and not front.centred and size <= MEMORY else waves


class Cut(Dataset):
    """What Clips and Windows share: `dataset[one]` is (x, its length, row) or an AudioError, a list of them is a Batch without errors."""

    source: Waves | Specs

    def __getitems__(self, wanted: list) -> Batch | audio.AudioError:
        items, unreadable = [], []
        for one in wanted:
            try:
                items.append(self[one])
            except audio.AudioError as error:
                unreadable.append(str(error))
                try:
                    items.append(self._instead(one, unreadable))
                except audio.AudioError as last:
                    return last  # raised by the loader: a worker process would wrap it in its traceback
        x = self.source.blank.expand(len(items), *self.source.blank.shape).clone()  # (B, N) or (B, T, M)
        for i, (piece, n, _) in enumerate(items):
            x[i, :n] = piece
        length, row = (torch.tensor([item[k] for item in items], dtype=torch.int64) for k in (1, 2))
        return Batch(x[:, None] if x.ndim == 3 else x, length, row, [self.source.files[r] for r in row],
                     getattr(wanted, "first", 0), getattr(wanted, "of", 0), unreadable)


class Clips(Cut):
    """Random crops of the model's length: dataset[Draw(row, number)] -> (wave (N,), length, row).

    Rows where `join` is true are filled up with other recordings of the same class when they are shorter than a window (general
    clips: drums, spoken digits); others keep their true length and are padded by the front end. ahead: yield specs (T, M) made
    once per recording instead of waves, where that is possible. A row that has `kept` (a tuple of starts in seconds) gives one of
    those windows at random instead of a free crop: first the recording, then the window. In a batch, another recording of the same
    pool (those with the same `join`) stands in for one that cannot be read.
    """

    def __init__(self, table: pd.DataFrame, front: FrontEnd, seed: int, join: np.ndarray | None = None, ahead: bool = False) -> None:
        self.source, self.seed = _source(table, front, ahead), seed
        self.files = self.source.files
        self.join = np.zeros(len(table), bool) if join is None else join
        joined = np.flatnonzero(self.join)
        self.label = pd.factorize(table["label"])[0]  # (R,) numbers
        self.mates = joined[np.argsort(self.label[joined], kind="stable")]  # the rows to join, class by class
        self.first_mate = np.searchsorted(self.label[self.mates], np.arange(self.label.max(initial=-1) + 2))
        kept = [k if isinstance(k, tuple) else () for k in table["kept"]] if "kept" in table else []  # nothing (None or NaN): a free crop
        self.starts = np.rint(np.array([s for k in kept for s in k], float) * self.source.per_s).astype(np.int64)
        self.first_start = np.cumsum([0, *map(len, kept)]) if kept else np.zeros(len(table) + 1, np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, int, int]:
        rng, need, row = np.random.default_rng([self.seed, draw.number]), self.source.need, draw.row
        spare, starts = max(0, int(self.source.length[row]) - need), self.starts[self.first_start[row] : self.first_start[row + 1]]
        first = min(int(starts[int(rng.integers(len(starts)))]), spare) if len(starts) else int(rng.integers(spare + 1)) if spare else 0
        x = self.source.read(row, first, need)
        while self.join[row] and len(x) < need:
            mates = self.mates[self.first_mate[self.label[row]] : self.first_mate[self.label[row] + 1]]
            x = torch.cat([x, self.source.read(int(rng.choice(mates)), 0, need - len(x))])
        return x, len(x), row

    def _instead(self, draw: Draw, unreadable: list[str]) -> tuple[torch.Tensor, int, int]:
        pool = np.flatnonzero(self.join == self.join[draw.row])
        for attempt in range(ATTEMPTS):
            row = int(np.random.default_rng([self.seed, draw.number, attempt]).choice(pool))
            try:
                return self[Draw(row, draw.number)]
            except audio.AudioError as error:
                unreadable.append(str(error))
        raise audio.AudioError(f"{unreadable[0]}; nor could any of {ATTEMPTS} recordings drawn in its place be read")


class Windows(Cut):
    """Every window of every recording, half overlapping, the last aligned to the end: dataset[i] -> (wave, length, row).

    The end is that of the last whole frame, so that waves and specs made ahead are cut at the same places. A recording without any
    sample is a window of silence; in a batch, so is one that cannot be read. whole: that is an error, for numbers that are kept and
    read again when the file may be back.
    """

    def __init__(self, table: pd.DataFrame, front: FrontEnd, ahead: bool = False, whole: bool = False) -> None:
        self.source, self.whole = _source(table, front, ahead), whole
        self.files, step = self.source.files, front.frames // 2
        frames = self.source.length if self.source.hop == 1 else np.maximum(1, _frames(self.source.length, front))
        last = np.maximum(0, frames - front.frames)  # (R,) where the last window begins
        count = -(-last // step) + 1  # as audio.windows
        row = np.repeat(np.arange(len(table)), count)  # (W,)
        place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        self.places = np.stack([row, self.source.hop * np.minimum(place * step, last[row])], 1)  # (W, 2) row and first sample or frame
        self.start_s = self.places[:, 1] / self.source.per_s  # (W,) as `kept` wants them

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int, int]:
        row, first = self.places[i].tolist()
        x = self.source.read(row, first, self.source.need)
        return x, len(x), row

    def _instead(self, i: int, unreadable: list[str]) -> tuple[torch.Tensor, int, int]:
        if self.whole:
            raise audio.AudioError(unreadable[-1])
        self.source.silent.add(int(self.places[i][0]))
        return self[i]


class Mixture:
    """Batches of draws from two pools in a fixed ratio: `ratio` general clips for every wildlife clip.

    The number of samples does not depend on the ratio, and the counts are exact: 15:1 in a batch of 256 is 240 and 16; where a
    ratio does not divide the batch the remainder is carried, so that after any step the totals are right to half a clip. Each
    pool is gone through in random order, again and again. Rows of the general pool come after those of the wildlife pool.
    """

    def __init__(self, wildlife: int, general: int, ratio: float, batch: int, samples: int, seed: int) -> None:
        if not ratio >= 0:
            raise ValueError(f"a ratio is general clips per wildlife clip, 0 or more or inf, got {ratio:g}")
        self.share = 1.0 if ratio == float("inf") else ratio / (1 + ratio)  # of general clips
        for pool, size, needed in (("wildlife", wildlife, self.share < 1), ("general", general, self.share > 0)):
            if needed and not size:
                raise ValueError(f"ratio {ratio:g} draws from the {pool} pool, but it has no training recordings")
        if batch < 1 or samples < 1:
            raise ValueError(f"a mixture needs a batch and a number of samples of at least 1, got batch={batch}, samples={samples}")
        self.sizes, self.batch, self.samples, self.seed = (wildlife, general), batch, samples, seed
        self._orders: dict[int, tuple[int, np.ndarray]] = {}  # per pool: the pass it is in and that pass's order

    def __len__(self) -> int:
        return -(-self.samples // self.batch)

    def counts(self, step: int) -> tuple[int, int]:
        """How many wildlife and general clips the batch of this step holds."""
        first, last = (min(s * self.batch, self.samples) for s in (step, step + 1))
        general = self._general(last) - self._general(first)
        return last - first - general, general

    def _general(self, samples: int) -> int:
        return int(np.floor(samples * self.share + 0.5 + 1e-9))

    def _row(self, pool: int, k: int) -> int:
        """The k-th draw from a pool: place k % size in the order of pass k // size."""
        turn, place = divmod(k, self.sizes[pool])
        if pool not in self._orders or self._orders[pool][0] != turn:
            self._orders[pool] = turn, np.random.default_rng([self.seed, pool, turn]).permutation(self.sizes[pool])
        return int(self._orders[pool][1][place]) + pool * self.sizes[0]

    def batches(self, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Share]:
        """Process `rank` of `world`'s share of the batches from step `start` on: the same as if the earlier ones had been drawn.

        The shares of a step are consecutive parts of its batch and nearly equal. Each begins at an even place, because finetuning mixes
        clips 2 i and 2 i + 1. A step in which a process would have nothing to do is refused before the first.
        """
        if (last := min(self.batch, self.samples - (len(self) - 1) * self.batch)) < 2 * world - 1:
            raise ValueError(f"the last batch of this run holds {last} clips, too few for {world} processes: start fewer")
        for step in range(start, len(self)):
            first, (wild, gen) = step * self.batch, self.counts(step)
            general, of = self._general(first), wild + gen
            begin, end = (min(of, -(-(of * r // world) // 2) * 2) for r in (rank, rank + 1))
            rows = [self._row(0, first - general + i) if i < wild else self._row(1, general + i - wild) for i in range(begin, end)]
            yield Share([Draw(row, first + begin + i) for i, row in enumerate(rows)], begin, of)

    def __iter__(self) -> Iterator[Share]:
        return self.batches()


class Loader(DataLoader):
    """The DataLoader that `loader` makes: it tells and counts the files that could not be read, and says plainly when a worker was killed."""

    def __iter__(self) -> Iterator[Batch]:
        handler = signal.getsignal(signal.SIGCHLD) if self.num_workers and hasattr(signal, "SIGCHLD") else None
        batches, told, recordings = super().__iter__(), set(), len(self.dataset.files)
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)  # torch's own would raise in the midst of whatever runs when a worker dies
        while (batch := self._next(batches)) is not None:
            if isinstance(batch, audio.AudioError):
                raise batch
            for reason in batch.unreadable:
                if (file := reason.partition(": ")[0]) not in told:
                    told.add(file)
                    if len(told) > recordings // 100:
                        raise audio.AudioError(f"{reason}; {len(told)} of {recordings:,} recordings could not be read, and at most 1 % may be "
                                               "passed over: bring them back, or make the table anew without them")
                    tqdm.write(f"passed over: {reason}")
            yield batch

    def _next(self, batches: Iterator) -> Batch | audio.AudioError | None:
        try:
            return next(batches, None)
        except (RuntimeError, OSError, EOFError) as error:  # a worker that died leaves one of these behind
            dead = set(wait([w.sentinel for w in getattr(batches, "_workers", [])], timeout=2))  # its connections close a moment before it is dead
            gone = [w for w in getattr(batches, "_workers", []) if w.sentinel in dead]
            if not gone:
                raise
            gone[0].join()
            raise RuntimeError(f"a worker process that reads recordings was killed (exit code {gone[0].exitcode}), most often because memory ran out: "
                               f"take fewer than {self.num_workers} workers or a machine with more memory (in a container: more shared memory); "
                               "the same command goes on from the last saved step") from error


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _deaf(worker: int) -> None:
    """A worker leaves Ctrl-C, which reaches every process of a terminal, to the run: it saves first. SIGTERM ends it, as Python does with it at exit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def loader(dataset: Clips | Windows, batches, workers: int = 0) -> Loader:
    """The batches of a dataset for lists of draws (from Mixture.batches) or, for Windows, for that many windows at a time in order.

    workers: processes that read ahead, at most one a processor of this process's share of the machine; they change no number and keep nothing in memory. Every file that cannot
    be read is named once; above 1 % of the table's recordings (below 100: the first one) it is an AudioError. Each process counts its own.
    """
    processors = max(1, paths.processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    options = dict(batch_size=batches) if isinstance(batches, int) else dict(batch_sampler=batches)
    return Loader(dataset, collate_fn=_as_it_is, num_workers=min(workers, processors), worker_init_fn=_deaf, pin_memory=torch.cuda.is_available(),
                  generator=torch.Generator(), **options)  # its own: the global one stays as it is
