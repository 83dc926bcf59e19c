"""The mixing sampler: which recording each clip of each batch comes from, in exact counts of two pools."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

__all__ = ["Draw", "Mixture"]


class Draw(NamedTuple):
    row: int  # of the table
    number: int  # of the draw in the whole run: its random crop follows from (seed, number)
    place: int = 0  # in the batch of its step, over all processes
    batch: int = 0  # clips of that batch; 0: those drawn together


class Mixture:
    """Batches of draws from two pools in a fixed ratio: `ratio` general clips for every wildlife clip.

    The number of samples does not depend on the ratio, and the counts are exact: 15:1 in a batch of 256 is 240 and
    16; where a ratio does not divide the batch the remainder is carried, so that after any step the totals are right
    to half a clip. Each pool is gone through in random order, again and again. Rows of the general pool come after
    the wildlife's.
    """

    def __init__(self, wildlife: int, general: int, ratio: float, batch: int, samples: int, seed: int) -> None:
        if not ratio >= 0:
            raise ValueError(f"a ratio is general clips per wildlife clip, 0 or more or inf, got {ratio:g}")
        self.share = 1.0 if ratio == float("inf") else ratio / (1 + ratio)  # of general clips
        for pool, size, needed in (("wildlife", wildlife, self.share < 1), ("general", general, self.share > 0)):
            if needed and not size:
                raise ValueError(f"ratio {ratio:g} draws from the {pool} pool, but it has no training recordings")
        if batch < 1 or samples < 1:
            raise ValueError("a mixture needs a batch and a number of samples of at least 1, "
                             f"got batch={batch}, samples={samples}")
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
            order = np.random.default_rng([self.seed, pool, turn]).permutation(self.sizes[pool])
            self._orders[pool] = turn, order
        return int(self._orders[pool][1][place]) + pool * self.sizes[0]

    def batches(self, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[list[Draw]]:
        """Process `rank` of `world`'s share of the batches from step `start` on: as if the earlier ones had been drawn.

        The shares of a step are consecutive parts of its batch and nearly equal. Each begins at an even place, because
        finetuning mixes clips 2 i and 2 i + 1. A step that leaves a process without a clip is refused before the first.
        """
        last = min(self.batch, self.samples - (len(self) - 1) * self.batch)
        if last < 2 * world - 1:
            raise ValueError(f"the last batch of this run holds {last} clips, too few for {world} processes: "
                             "start fewer")
        for step in range(start, len(self)):
            first, (wild, gen) = step * self.batch, self.counts(step)
            general, of = self._general(first), wild + gen
            begin, end = (min(of, -(-(of * r // world) // 2) * 2) for r in (rank, rank + 1))
            rows = (self._row(0, first - general + i) if i < wild else self._row(1, general + i - wild)
                    for i in range(begin, end))
            yield [Draw(row, first + i, i, of) for i, row in enumerate(rows, begin)]

    def __iter__(self) -> Iterator[list[Draw]]:
        return self.batches()
