"""What is cut from recordings: clips of a fixed length and windows, in batches; what cannot be read is passed over.

Datasets yield waves; the front end turns them into specs on the device. Every draw has a number, and its randomness
comes from (seed, number) alone: results depend neither on where recordings are kept, nor on the number of workers or
processes, nor on where an interrupted run took up again. Of a table of millions of rows arrays are kept, and where it
has `duration_s` no file is opened before it is drawn.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from lib import audio, paths, progress
from lib.mel import FrontEnd, LogMel
from lib.patches import Mask
from lib.recordings import Piece, Recordings, Resident, frames_of
from lib.sampler import Draw

__all__ = ["HEARD", "Batch", "Clips", "Windows", "key", "loader", "prefetch", "readers"]

HEARD = ("train", "unlabelled")  # the splits that pretraining draws from
USED = ("file", "label", "start_s", "end_s", "duration_s", "kept")  # the columns that clips and their order follow from
ATTEMPTS = 10  # recordings tried in the place of one that cannot be read, before the storage itself is taken to be gone


def key(table: pd.DataFrame) -> str:
    """What a training on these recordings depends on, as a part of the name under which it is kept: their order, the
    columns that clips follow from, and size and time of change of each file, for one may be replaced by another."""
    return paths.key(table.reindex(columns=USED), paths.stamps(table["file"]))


class Batch(NamedTuple):
    x: torch.Tensor  # waves (B, N) float32, zero behind each clip's end; or specs (B, 1, T, M) that were made ahead;
    # of recordings that are kept on a device it is there
    length: torch.Tensor  # (B,) true samples or frames; LogMel writes the pad value behind them
    row: torch.Tensor  # (B,) rows of the table
    files: list[str]  # for messages
    first: int  # place of the first clip in the step's batch over all processes
    of: int  # clips of that whole batch, of which this process or part has len(x)
    unreadable: list[str] = []  # why files could not be read, in whose place others stand; `loader` counts them
    mask: Mask | None = None  # of these clips, where it was drawn ahead of the step

    @property
    def share(self) -> float:
        """The part of the step's batch that these clips are: what their mean loss counts for."""
        return len(self.x) / self.of

    def spec(self, log_mel: LogMel, device: torch.device | str = "cpu") -> torch.Tensor:
        """The batch as specs (B, 1, T, M) on a device: waves go through the front end there."""
        x = self.x.to(device, non_blocking=True)
        if x.ndim == 4:
            return log_mel.subtracted(x, self.length.tolist()) if log_mel.front.subtract else x
        return log_mel(x, self.length, frames=log_mel.front.frames)

    def frames(self, front: FrontEnd) -> torch.Tensor:
        """The true frames of each clip (B,), on the host; 0 for a wave shorter than a window."""
        return self.length if self.x.ndim == 4 else torch.tensor([front.count(int(n)) for n in self.length])

    def parts(self, size: int) -> list["Batch"]:
        """The batch in consecutive parts of at most `size` clips, each with its place in the whole; 0: as it is."""
        if not 0 < size < len(self.x):
            return [self]
        return [Batch(*(field[i : i + size] for field in self[:4]), self.first + i, self.of,
                      mask=self.mask and self.mask.part(i, size)) for i in range(0, len(self.x), size)]


class Pieces(Dataset):
    """What Clips and Windows share: `dataset[one]` is (x, its length, row) or an AudioError; of a list, a Batch.

    A subclass says of which pieces an item consists (`pieces`), and of which in their place if they cannot be read."""

    source: Recordings

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, one: Draw | int) -> tuple[torch.Tensor, int, int]:
        pieces = self.pieces(one)
        x = torch.cat([self.source.read(*piece) for piece in pieces])
        return x, len(x), pieces[0].row

    def __getitems__(self, wanted: list) -> Batch | audio.AudioError:
        """A batch read from the files, or from what was read of them before."""
        items, unreadable = self._readable(wanted, self.__getitem__)
        if not items:
            return unreadable  # raised by the loader: a worker process would wrap it in its traceback
        shape = (self.source.need, *items[0][0].shape[1:])
        x = torch.full((len(items), *shape), self.source.pad)  # (B, N) or (B, T, M)
        for i, (piece, n, _) in enumerate(items):
            x[i, :n] = piece
        return self._batch(wanted, x, [n for _, n, _ in items], [row for *_, row in items], unreadable)

    def cut(self, resident: Resident, wanted: list) -> Batch | audio.AudioError:
        """The same batch, cut on the device where all recordings are."""
        def readable(one: Draw | int) -> list[Piece]:
            pieces = self.pieces(one)
            for row in {piece.row for piece in pieces} & resident.unreadable.keys() - self.source.silent:
                raise audio.AudioError(resident.unreadable[row])
            return pieces

        clips, unreadable = self._readable(wanted, readable)
        if not clips:
            return unreadable
        x = resident.cut(clips, self.source.pad)
        lengths = [sum(piece.count for piece in pieces) for pieces in clips]
        return self._batch(wanted, x, lengths, [pieces[0].row for pieces in clips], unreadable)

    def _readable(self, wanted: list, take: Callable) -> tuple[list, list[str] | audio.AudioError]:
        """take(one) of every one, or of what stands in its place, and why some could not be read."""
        items, unreadable = [], []
        for one in wanted:
            try:
                items.append(take(one))
            except audio.AudioError as error:
                unreadable.append(str(error))
                try:
                    items.append(self._instead(one, take, unreadable))
                except audio.AudioError as last:
                    return [], last
        return items, unreadable

    def _batch(self, wanted: list, x: torch.Tensor, length: list[int], row: list[int], unreadable: list[str]) -> Batch:
        files = [self.source.file(r) for r in row]
        return Batch(x[:, None] if x.ndim == 3 else x, torch.tensor(length), torch.tensor(row), files, 0, len(x),
                     unreadable)


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
                 ahead: bool = False, device: torch.device | str = "cpu") -> None:
        self.source, self.seed = Recordings(table, front, ahead, device), seed
        self.join = np.zeros(len(table), bool) if join is None else join
        joined = np.flatnonzero(self.join)
        self.label = pd.factorize(table["label"])[0]  # (R,) numbers
        self.mates = joined[np.argsort(self.label[joined], kind="stable")]  # the rows to join, class by class
        self.first_mate = np.searchsorted(self.label[self.mates], np.arange(self.label.max(initial=-1) + 2))
        kept = table["kept"] if "kept" in table else [None] * len(table)
        kept = [k if isinstance(k, tuple) else () for k in kept]  # None or NaN: a free crop
        self.starts = np.rint(np.array([s for k in kept for s in k], float) * self.source.per_s).astype(np.int64)
        self.first_start = np.cumsum([0, *map(len, kept)])

    def pieces(self, draw: Draw) -> list[Piece]:
        """The crop of a draw and what it is filled up with."""
        rng, left, row = np.random.default_rng([self.seed, draw.number]), self.source.need, draw.row
        first = self._begin(row, rng)
        found = [Piece(row, first, min(left, int(self.source.length[row]) - first))]
        while (left := left - found[-1].count) and self.join[row]:
            mates = self.mates[self.first_mate[self.label[row]] : self.first_mate[self.label[row] + 1]]
            mate = int(rng.choice(mates))
            found.append(Piece(mate, 0, min(left, int(self.source.length[mate]))))
        return found

    def _batch(self, wanted: list[Draw], *rest) -> Batch:
        batch, (first, of) = super()._batch(wanted, *rest), wanted[0][2:]
        return batch._replace(first=first, of=of) if of else batch

    def _begin(self, row: int, rng: np.random.Generator) -> int:
        """Where the crop begins: at one of the kept windows, or anywhere that leaves a whole window."""
        spare = max(0, int(self.source.length[row]) - self.source.need)
        starts = self.starts[self.first_start[row] : self.first_start[row + 1]]
        if len(starts):
            return min(int(starts[int(rng.integers(len(starts)))]), spare)
        return int(rng.integers(spare + 1)) if spare else 0

    def _instead(self, draw: Draw, take: Callable, unreadable: list[str]) -> object:
        pool = np.flatnonzero(self.join == self.join[draw.row])
        for attempt in range(ATTEMPTS):
            row = int(np.random.default_rng([self.seed, draw.number, attempt]).choice(pool))
            try:
                return take(Draw(row, draw.number))
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

    def __init__(self, table: pd.DataFrame, front: FrontEnd, ahead: bool = False, whole: bool = False,
                 device: torch.device | str = "cpu") -> None:
        self.source, self.whole = Recordings(table, front, ahead, device), whole
        frames = np.maximum(1, frames_of(self.source.samples, front))  # (R,)
        hop = 1 if self.source.log_mel else front.hop
        step, last = front.frames // 2, np.maximum(0, frames - front.frames)  # (R,) where the last window begins
        count = -(-last // step) + 1  # as audio.windows
        row = np.repeat(np.arange(len(table)), count)  # (W,)
        number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)  # of the window in its recording
        first = hop * np.minimum(number * step, last[row])  # (W,) sample or frame
        self.places = np.stack([row, first], 1)  # (W, 2)
        self.start_s = self.places[:, 1] / self.source.per_s  # (W,) as `kept` wants them

    def __len__(self) -> int:
        return len(self.places)

    def pieces(self, i: int) -> list[Piece]:
        """The one piece that a window is."""
        row, first = self.places[i].tolist()
        return [Piece(row, first, min(self.source.need, int(self.source.length[row]) - first))]

    def _instead(self, i: int, take: Callable, unreadable: list[str]) -> object:
        if self.whole:
            raise audio.AudioError(unreadable[-1])
        self.source.silent.add(int(self.places[i][0]))
        return take(i)


def loader(dataset: Clips | Windows, batches: Iterable[list[Draw]] | int, workers: int = 0) -> Iterator[Batch]:
    """The batches of a dataset for lists of draws (from Mixture.batches) or, for Windows, so many windows at a time.

    Where its recordings fit in memory they are decoded first, and batches are cut from them on their device. Else
    `workers` processes read ahead from the files (`readers` says how many there will be). Either way the clips are the
    same. Every file that cannot be read is named once; above 1 % of the table's recordings (below 100: the first one)
    it is an AudioError. Each process counts its own.
    """
    missed, count = set(), len(dataset.source)
    for batch in _batches(dataset, batches, workers):
        if isinstance(batch, audio.AudioError):
            raise batch
        for reason in batch.unreadable:
            file = reason.partition(": ")[0]
            if file in missed:
                continue
            missed.add(file)
            if len(missed) > count // 100:
                raise audio.AudioError(
                    f"{reason}; {len(missed)} of {count:,} recordings could not be read, and at most 1 % may be passed "
                    "over: bring them back, or make the table anew without them")
            progress.say(f"passed over: {reason}")
        yield batch


def _batches(dataset: Clips | Windows, batches: Iterable[list[Draw]] | int, workers: int) -> Iterable[Batch]:
    resident = dataset.source.resident()
    if resident is None:
        order = {"batch_size": batches} if isinstance(batches, int) else {"batch_sampler": batches}
        return DataLoader(dataset, collate_fn=_as_it_is, num_workers=readers(workers), worker_init_fn=_deaf,
                          pin_memory=torch.cuda.is_available(), generator=torch.Generator(), **order)
    if isinstance(batches, int):
        every, size = range(len(dataset)), batches
        batches = (list(every[i : i + size]) for i in range(0, len(every), size))
    return (dataset.cut(resident, wanted) for wanted in batches)


def prefetch(batches: Iterable[Batch], steps: int = 2) -> Iterator[Batch]:
    """The same batches, prepared so many steps ahead by a thread: a GPU does not wait for what a CPU draws."""
    batches = iter(batches)
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, batches, None) for _ in range(steps))
        while (batch := coming.popleft().result()) is not None:
            coming.append(thread.submit(next, batches, None))
            yield batch


def readers(workers: int) -> int:
    """So many loader processes, but at most one a processor of this process's share of the machine."""
    return min(workers, max(1, paths.processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _deaf(worker: int) -> None:
    """A worker leaves Ctrl-C, which reaches every process of a terminal, to the run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
