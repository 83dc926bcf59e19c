"""What is cut from recordings: clips of a fixed length and windows, in batches; what cannot be read is passed over.

Datasets yield waves; the front end turns them into specs on the device. Every draw has a number, and its randomness
comes from (seed, number) alone: results depend neither on the number of workers or processes nor on where an
interrupted run took up again. Of a table of millions of rows arrays are kept, and where it has `duration_s` no file is
opened before it is drawn.
"""

import os
import signal
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info
from tqdm.auto import tqdm

from lib import audio, paths
from lib.mel import FrontEnd, LogMel, normalise
from lib.sampler import Draw

__all__ = ["USED", "Batch", "Recordings", "Clips", "Windows", "loader", "readers"]

USED = ("file", "label", "start_s", "end_s", "duration_s", "kept")  # the columns that clips and their order follow from
MEMORY = 1.5 * 2**30  # bytes that decoded recordings may take; above, they are read piece by piece
ATTEMPTS = 10  # recordings tried in the place of one that cannot be read, before the storage itself is taken to be gone


class Batch(NamedTuple):
    x: torch.Tensor  # waves (B, N) float32, zero behind each clip's end; or specs (B, 1, T, M) that were made ahead
    length: torch.Tensor  # (B,) true samples or frames; LogMel writes the pad value behind them
    row: torch.Tensor  # (B,) rows of the table
    files: list[str]  # for messages
    first: int  # place of the first clip in the step's batch over all processes
    of: int  # clips of that whole batch, of which this process or part has len(x)
    unreadable: list[str] = []  # why files could not be read, in whose place others stand; `loader` counts them

    @property
    def share(self) -> float:
        """The part of the step's batch that these clips are: what their mean loss counts for."""
        return len(self.x) / self.of

    def spec(self, log_mel: LogMel, device: torch.device | str = "cpu") -> torch.Tensor:
        """The batch as specs (B, 1, T, M) on a device: waves go through the front end there."""
        x = self.x.to(device, non_blocking=True)
        return x if x.ndim == 4 else log_mel(x, self.length, frames=log_mel.front.frames)

    def parts(self, size: int) -> list["Batch"]:
        """The batch in consecutive parts of at most `size` clips, each with its place in the whole; 0: as it is."""
        if not 0 < size < len(self.x):
            return [self]
        return [Batch(*(field[i : i + size] for field in self[:4]), self.first + i, self.of)
                for i in range(0, len(self.x), size)]


class Recordings:
    """Pieces of a table's recordings, in memory while they fit: waves as int16 or, ahead, specs as float16.

    ahead: the log-mel of a whole recording is made once, and pieces are cut from its frames. Where the front end
    costs as much as a small model (on a CPU) this makes training nearly twice as fast. Frames then lie on the grid of
    the recording instead of the clip, which is the whole difference; a front end with centred frames always reads
    waves.
    """

    def __init__(self, table: pd.DataFrame, front: FrontEnd, ahead: bool = False) -> None:
        self.front = front
        self.names = np.array([os.fsencode(name) for name in table["file"]], bytes)  # one block, shared with workers
        times = table.reindex(columns=["start_s", "end_s", "duration_s"]).to_numpy(float, copy=True)  # (R, 3)
        for row in np.flatnonzero(np.isnan(times[:, 2])):
            times[row, 2] = audio.info(self.file(row)).duration_s
        self.start_s = np.nan_to_num(times[:, 0])
        self.seconds = np.fmin(times[:, 1], times[:, 2]) - self.start_s
        self.samples = np.maximum(1, np.rint(self.seconds * front.rate).astype(np.int64))  # (R,)
        self.silent = set(np.flatnonzero((self.start_s == 0) & (self.seconds == 0)).tolist())  # rows without any sample
        frames = _frames(self.samples, front)  # (R,)
        ahead = ahead and not front.centred and 2 * front.mels * frames.sum() <= MEMORY
        self.log_mel = LogMel(front) if ahead else None
        self.need = front.frames if ahead else front.samples  # of a clip
        self.length = np.maximum(1, frames) if ahead else self.samples  # (R,) frames or samples
        self.per_s = front.rate / front.hop if ahead else front.rate
        pad = normalise(front.pad, front)
        self.blank = torch.full((front.frames, front.mels), pad) if ahead else torch.zeros(front.samples)
        self.decoded: dict[int, torch.Tensor] | None = {} if ahead or 2 * self.samples.sum() <= MEMORY else None

    def __len__(self) -> int:
        return len(self.names)

    def file(self, row: int) -> str:
        return os.fsdecode(self.names[row])

    def read(self, row: int, first: int, count: int) -> torch.Tensor:
        """Places first ... first + count of a recording, fewer at its end: samples (n,) or frames (n, M), float32."""
        if self.decoded is None:
            return self._wave(row, first, min(count, int(self.length[row]) - first))
        whole = self.decoded.get(row)
        if whole is None:
            whole = (self._wave(row).clamp(-1, 1) * 32767).round().to(torch.int16)
            if self.log_mel is not None:
                whole = self.log_mel((whole.float() / 32767)[None])[0, 0].half()  # (frames, M)
            if get_worker_info() is None:
                self.decoded[row] = whole
        piece = whole[first : first + count]
        return piece.float() / 32767 if piece.dtype == torch.int16 else piece.float()

    def _wave(self, row: int, first: int = 0, count: int | None = None) -> torch.Tensor:
        """Samples from the file, the whole recording or exactly `count`: rounding between rates may leave one short."""
        rate, whole = self.front.rate, count is None
        count = int(self.samples[row]) if whole else count
        if row in self.silent:
            return torch.zeros(count)
        seconds = self.seconds[row] if whole else (count + 64) / rate
        wave = audio.read(self.file(row), rate, self.start_s[row] + first / rate, seconds)[:count]
        return torch.nn.functional.pad(wave, (0, count - len(wave)))


def _frames(samples: np.ndarray, front: FrontEnd) -> np.ndarray:
    """front.count of many recordings at once."""
    window = 0 if front.centred else front.window
    return np.where(samples < front.window, 0, 1 + (samples - window) // front.hop)


class Pieces(Dataset):
    """What Clips and Windows share: `dataset[one]` is (x, its length, row) or an AudioError; of a list of them, a
    Batch."""

    source: Recordings

    def __len__(self) -> int:
        return len(self.source)

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
        files = [self.source.file(r) for r in row.tolist()]
        return Batch(x[:, None] if x.ndim == 3 else x, length, row, files, 0, len(items), unreadable)


class Clips(Pieces):
    """Random crops of the model's length: dataset[Draw(row, number)] -> (wave (N,), length, row).

    Rows where `join` is true are filled up with other recordings of the same class when they are shorter than a
    window (general clips: drums, spoken digits); others keep their true length and are padded by the front end.
    ahead: yield specs (T, M) made once per recording instead of waves, where that is possible. A row that has `kept`
    (a tuple of starts in seconds) gives one of those windows at random instead of a free crop: first the recording,
    then the window. In a batch, another recording of the same pool (those with the same `join`) stands in for one
    that cannot be read.
    """

    def __init__(self, table: pd.DataFrame, front: FrontEnd, seed: int, join: np.ndarray | None = None,
                 ahead: bool = False) -> None:
        self.source, self.seed = Recordings(table, front, ahead), seed
        self.join = np.zeros(len(table), bool) if join is None else join
        joined = np.flatnonzero(self.join)
        self.label = pd.factorize(table["label"])[0]  # (R,) numbers
        self.mates = joined[np.argsort(self.label[joined], kind="stable")]  # the rows to join, class by class
        self.first_mate = np.searchsorted(self.label[self.mates], np.arange(self.label.max(initial=-1) + 2))
        kept = table["kept"] if "kept" in table else [None] * len(table)
        kept = [k if isinstance(k, tuple) else () for k in kept]  # None or NaN: a free crop
        self.starts = np.rint(np.array([s for k in kept for s in k], float) * self.source.per_s).astype(np.int64)
        self.first_start = np.cumsum([0, *map(len, kept)])

    def __getitems__(self, draws: list[Draw]) -> Batch | audio.AudioError:
        batch = super().__getitems__(draws)
        first, of = draws[0].place, draws[0].batch
        return batch._replace(first=first, of=of) if of and isinstance(batch, Batch) else batch

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, int, int]:
        rng, need, row = np.random.default_rng([self.seed, draw.number]), self.source.need, draw.row
        x = self.source.read(row, self._begin(row, rng), need)
        while self.join[row] and len(x) < need:
            mates = self.mates[self.first_mate[self.label[row]] : self.first_mate[self.label[row] + 1]]
            x = torch.cat([x, self.source.read(int(rng.choice(mates)), 0, need - len(x))])
        return x, len(x), row

    def _begin(self, row: int, rng: np.random.Generator) -> int:
        """Where the crop begins: at one of the kept windows, or anywhere that leaves a whole window."""
        spare = max(0, int(self.source.length[row]) - self.source.need)
        starts = self.starts[self.first_start[row] : self.first_start[row + 1]]
        if len(starts):
            return min(int(starts[int(rng.integers(len(starts)))]), spare)
        return int(rng.integers(spare + 1)) if spare else 0

    def _instead(self, draw: Draw, unreadable: list[str]) -> tuple[torch.Tensor, int, int]:
        pool = np.flatnonzero(self.join == self.join[draw.row])
        for attempt in range(ATTEMPTS):
            row = int(np.random.default_rng([self.seed, draw.number, attempt]).choice(pool))
            try:
                return self[Draw(row, draw.number)]
            except audio.AudioError as error:
                unreadable.append(str(error))
        raise audio.AudioError(f"{unreadable[0]}; nor could any of {ATTEMPTS} recordings drawn in its place be read")


class Windows(Pieces):
    """Every window of every recording, half overlapping, the last aligned to the end: dataset[i] -> (wave, length,
    row).

    The end is that of the last whole frame, so that waves and specs made ahead are cut at the same places. A recording
    without any sample is a window of silence; in a batch, so is one that cannot be read. whole: that is an error, for
    numbers that are kept and read again when the file may be back.
    """

    def __init__(self, table: pd.DataFrame, front: FrontEnd, ahead: bool = False, whole: bool = False) -> None:
        self.source, self.whole = Recordings(table, front, ahead), whole
        frames, hop = np.maximum(1, _frames(self.source.samples, front)), 1 if self.source.log_mel else front.hop
        step, last = front.frames // 2, np.maximum(0, frames - front.frames)  # (R,) where the last window begins
        count = -(-last // step) + 1  # as audio.windows
        row = np.repeat(np.arange(len(table)), count)  # (W,)
        number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)  # of the window in its recording
        first = hop * np.minimum(number * step, last[row])  # (W,) sample or frame
        self.places = np.stack([row, first], 1)  # (W, 2)
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


def loader(dataset: Clips | Windows, batches: Iterable[list[Draw]] | int, workers: int = 0) -> Iterator[Batch]:
    """The batches of a dataset for lists of draws (from Mixture.batches) or, for Windows, so many windows at a time.

    workers: processes that read ahead (`readers` says how many there will be); they change no
    number and keep nothing in memory. Every file that cannot be read is named once; above 1 % of the table's
    recordings (below 100: the first one) it is an AudioError. Each process counts its own.
    """
    order = {"batch_size": batches} if isinstance(batches, int) else {"batch_sampler": batches}
    missed, recordings = set(), len(dataset.source)
    for batch in DataLoader(dataset, collate_fn=_as_it_is, num_workers=readers(workers), worker_init_fn=_deaf,
                            pin_memory=torch.cuda.is_available(), generator=torch.Generator(), **order):
        if isinstance(batch, audio.AudioError):
            raise batch
        for reason in batch.unreadable:
            file = reason.partition(": ")[0]
            if file in missed:
                continue
            missed.add(file)
            if len(missed) > recordings // 100:
                raise audio.AudioError(f"{reason}; {len(missed)} of {recordings:,} recordings could not be read, and "
                                       "at most 1 % may be passed over: bring them back, or make the table anew "
                                       "without "
                                       "them")
            tqdm.write(f"passed over: {reason}")
        yield batch


def readers(workers: int) -> int:
    """So many loader processes, but at most one a processor of this process's share of the machine."""
    return min(workers, max(1, paths.processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _deaf(worker: int) -> None:
    """A worker leaves Ctrl-C, which reaches every process of a terminal, to the run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
