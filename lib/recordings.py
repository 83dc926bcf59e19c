"""The recordings of a table, decoded once where they fit in memory, and pieces of them.

What training draws from is kept by the process in one tensor on the device that computes: epochs, looks at val and the
runs of a sweep decode nothing twice, and a batch is cut there by index. What does not fit is read from its file piece
by piece.
"""

import os
from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple

import joblib
import numpy as np
import pandas as pd
import torch

from lib import audio, paths, progress
from lib.mel import FrontEnd, LogMel, normalise

__all__ = ["Recordings", "Resident", "Piece"]

MEMORY = 1.5 * 2**30  # bytes that decoded recordings may take in a computer's memory ...
QUIET = 2.0**-8  # a peak that leaves fewer than 128 steps of 16 bits to either side: such a recording is kept louder
SHARE = 0.25  # ... and the part of a GPU's that they may take there
_residents: OrderedDict[str, "Resident"] = OrderedDict()  # those kept by this process, the last used at the end


class Piece(NamedTuple):
    """A part of a recording, in samples or in frames."""

    row: int  # of the table
    first: int
    count: int


class Recordings:
    """Pieces of a table's recordings: waves as int16 or, ahead, log-mels as float16; `resident` is all of them at once.

    ahead: the log-mel of a whole recording is made once, and pieces are cut from its frames. Where the front end
    costs as much as a small model (on a CPU) this makes training nearly twice as fast. Frames then lie on the grid of
    the recording instead of the clip, which is the whole difference; a front end with centred frames always reads
    waves. device: where they are to be kept.
    """

    def __init__(self, table: pd.DataFrame, front: FrontEnd, ahead: bool = False,
                 device: torch.device | str = "cpu") -> None:
        self.front = front
        self.device = torch.device(device if torch.device(device).type == "cuda" else "cpu")
        self.names = np.array([os.fsencode(name) for name in table["file"]], bytes)  # one block, shared with workers
        times = table.reindex(columns=["start_s", "end_s", "duration_s"]).to_numpy(float, copy=True)  # (R, 3)
        for row in np.flatnonzero(np.isnan(times[:, 2])):
            times[row, 2] = audio.info(self.file(row)).duration_s
        self.start_s = np.nan_to_num(times[:, 0])
        self.seconds = np.fmin(times[:, 1], times[:, 2]) - self.start_s
        self.samples = np.maximum(1, np.rint(self.seconds * front.rate).astype(np.int64))  # (R,)
        self.silent = set(np.flatnonzero((self.start_s == 0) & (self.seconds == 0)).tolist())  # rows without any sample
        frames, room = frames_of(self.samples, front), _room(self.device)  # (R,)
        ahead = ahead and not front.centred and 2 * front.mels * frames.sum() <= room
        self.log_mel = LogMel(replace(front, subtract="")) if ahead else None  # `Batch.spec` subtracts: clip by clip
        self.need = front.frames if ahead else front.samples  # of a clip
        self.length = np.maximum(1, frames) if ahead else self.samples  # (R,) frames or samples
        self.per_s = front.rate / front.hop if ahead else front.rate
        self.pad = normalise(front.pad, front) if ahead else 0.0  # what stands behind a recording's end
        self.louder: dict[int, float] = {}  # row: how many times as loud a quiet recording is kept
        self.decoded: dict[int, torch.Tensor] | None = {} if ahead or 2 * self.samples.sum() <= room else None

    def __len__(self) -> int:
        return len(self.names)

    def file(self, row: int) -> str:
        return os.fsdecode(self.names[row])

    def read(self, row: int, first: int, count: int) -> torch.Tensor:
        """Places first ... first + count of a recording, fewer at its end: samples (n,) or frames (n, M), float32."""
        if self.decoded is None:
            return self._wave(row, first, min(count, int(self.length[row]) - first))
        if row not in self.decoded:
            self.decoded[row] = self.whole(row)
        return as_float(self.decoded[row][first : first + count]) / self.louder.get(row, 1)

    def whole(self, row: int) -> torch.Tensor:
        """A recording as it is kept: samples (n,) int16 or, ahead, frames (n, M) float16. AudioError."""
        wave = self._wave(row)
        peak = wave.abs().max().item()
        if self.log_mel and 0 < peak < QUIET:
            return self.log_mel(wave[None])[0, 0].half()
        if 0 < peak < QUIET:
            self.louder[row] = 0.5 / peak
        return self._kept(wave * self.louder.get(row, 1))

    def silence(self, row: int) -> torch.Tensor:
        """What is kept in the place of a recording that cannot be read."""
        return self._kept(torch.zeros(int(self.samples[row])))

    def _kept(self, wave: torch.Tensor) -> torch.Tensor:
        samples = (wave.clamp(-1, 1) * 32767).round().to(torch.int16)
        return samples if self.log_mel is None else self.log_mel(as_float(samples)[None])[0, 0].half()

    def resident(self) -> "Resident | None":
        """All of the recordings on the device, decoded by an earlier call or now; None where they do not fit."""
        if self.decoded is None:
            return None
        key = self._key()
        if key not in _residents:
            held = sum(kept.flat.nbytes for kept in _residents.values())
            while _residents and held + Resident.size(self) > _room(self.device):
                held -= _residents.popitem(last=False)[1].flat.nbytes
            _residents[key] = Resident(self)
        _residents.move_to_end(key)
        return _residents[key]

    def _key(self) -> str:
        """Names what `resident` holds: which parts of which files, as they are now, and in which form."""
        files = [self.file(row) for row in range(len(self))]
        form = self.log_mel is not None, self.need, str(self.device), sorted(self.silent)
        return paths.key(self.front, form, files, paths.stamps(files), self.start_s, self.samples)

    def _wave(self, row: int, first: int = 0, count: int | None = None) -> torch.Tensor:
        """Samples from the file, the whole recording or exactly `count`: rounding between rates may leave one short."""
        rate, whole = self.front.rate, count is None
        count = int(self.samples[row]) if whole else count
        if row in self.silent:
            return torch.zeros(count)
        seconds = self.seconds[row] if whole else (count + 64) / rate
        wave = audio.read(self.file(row), rate, self.start_s[row] + first / rate, seconds)[:count]
        return torch.nn.functional.pad(wave, (0, count - len(wave)))


class Resident:
    """Recordings end to end in one tensor on their device."""

    def __init__(self, source: Recordings) -> None:
        shape, kind = ((source.front.mels,), torch.float16) if source.log_mel else ((), torch.int16)
        self.offset = np.cumsum([0, *source.length])  # (R + 1,) where each recording begins
        self.louder = source.louder
        flat = torch.empty(max(source.need, self.offset[-1]), *shape, dtype=kind)
        self.unreadable: dict[int, str] = {}  # row: why; silence stands in its place

        def whole(row: int) -> torch.Tensor:
            try:
                return source.whole(row)
            except audio.AudioError as error:
                self.unreadable[row] = str(error)
                return source.silence(row)

        rows = range(len(source))
        threads = 1 if source.log_mel else paths.processors()  # a log-mel is made by all threads
        decoded = joblib.Parallel(threads, backend="threading", return_as="generator")(
            joblib.delayed(whole)(row) for row in rows)
        bar = progress.bar(decoded, total=len(source), desc="decoding recordings", unit="file", leave=False)
        for row, x in zip(rows, bar):
            flat[self.offset[row] : self.offset[row] + len(x)] = x
        self.flat, self.need = flat.to(source.device), source.need

    @staticmethod
    def size(source: Recordings) -> int:
        """Bytes that a table's recordings take."""
        return 2 * max(source.need, int(source.length.sum())) * (source.front.mels if source.log_mel else 1)

    def cut(self, clips: list[list[Piece]], pad: float) -> torch.Tensor:
        """Clips of consecutive pieces -> (B, N) or (B, T, M) float32 on the device, `pad` behind their ends."""
        lengths = [sum(piece.count for piece in pieces) for pieces in clips]
        parts = []
        for pieces, n in zip(clips, lengths):
            firsts = [int(self.offset[piece.row]) + piece.first for piece in pieces]
            parts += [self.flat[first : first + piece.count] for first, piece in zip(firsts, pieces)]
            parts += [self.flat[: self.need - n]]  # anything
        x = as_float(torch.cat(parts).unflatten(0, (len(clips), self.need)))  # (B, N) or (B, T, M)
        for clip, pieces in zip(x, clips):
            place = 0
            for piece in pieces if self.louder else ():
                clip[place : place + piece.count] /= self.louder.get(piece.row, 1)
                place += piece.count
        if min(lengths) < self.need:
            ends = torch.tensor(lengths).to(x.device, non_blocking=True)[:, None]  # (B, 1)
            behind = torch.arange(self.need, device=x.device) >= ends  # (B, N)
            x.masked_fill_(behind.view(*behind.shape, *(1,) * (x.ndim - 2)), pad)
        return x


def as_float(x: torch.Tensor) -> torch.Tensor:
    """What is kept, as float32: samples in [-1, 1] or frames."""
    return x.float() / 32767 if x.dtype == torch.int16 else x.float()


def frames_of(samples: np.ndarray, front: FrontEnd) -> np.ndarray:
    """front.count of many recordings at once."""
    window = 0 if front.centred else front.window
    return np.where(samples < front.window, 0, 1 + (samples - window) // front.hop)


def _room(device: torch.device) -> float:
    """Bytes that decoded recordings may take on a device."""
    if device.type == "cuda":
        return SHARE * torch.cuda.get_device_properties(device).total_memory
    return MEMORY
