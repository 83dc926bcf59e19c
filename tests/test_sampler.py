"""The mixing sampler: exact counts, any start, every recording equally often, the shares of several processes."""

import numpy as np
import pytest

from lib.sampler import Mixture

INF = float("inf")


def drawn(mixture, wildlife):
    """Per batch: (wildlife, general) rows drawn."""
    return [(sum(d.row < wildlife for d in b), sum(d.row >= wildlife for d in b)) for b in mixture.batches()]


def test_fifteen_to_one_in_256_is_240_and_16():
    mixture = Mixture(50, 70, 15.0, 256, 256 * 8, 0)
    assert drawn(mixture, 50) == [(16, 240)] * 8 and all(mixture.counts(step) == (16, 240) for step in range(8))


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 3.0, 7.0, 15.0, INF, 0.3])
@pytest.mark.parametrize("batch", [32, 7, 1])
def test_totals_are_exact_to_one_clip_after_any_step(ratio, batch):
    samples = 1000
    mixture = Mixture(13, 29, ratio, batch, samples, 0)
    share = 1.0 if ratio == INF else ratio / (1 + ratio)
    counts = np.cumsum(drawn(mixture, 13), axis=0)
    assert len(counts) == len(mixture) == -(-samples // batch) and counts[-1].sum() == samples
    assert np.abs(counts[:, 1] - share * counts.sum(1)).max() <= 0.5 + 1e-6
    assert np.array_equal(np.cumsum([mixture.counts(step) for step in range(len(mixture))], axis=0), counts)
    assert [d.number for b in mixture for d in b] == list(range(samples))


@pytest.mark.parametrize("ratio", [0.0, 3.0, 0.7, INF])
def test_a_later_start_gives_the_tail(ratio):
    mixture = Mixture(5, 8, ratio, 6, 100, 4)
    whole = list(mixture.batches())
    assert len(whole[-1]) == 100 % 6
    for start in (0, 1, 9, 16, 17):
        assert list(mixture.batches(start)) == whole[start:]
        assert list(Mixture(5, 8, ratio, 6, 100, 4).batches(start)) == whole[start:]


def test_every_recording_is_drawn_equally_often_in_random_order():
    rows = [d.row for b in Mixture(7, 11, 2.0, 10, 500, 0) for d in b]
    counts = np.bincount(rows, minlength=18)
    assert np.ptp(counts[:7]) <= 1 and np.ptp(counts[7:]) <= 1 and counts[7:].sum() in (333, 334)
    wild = [r for r in rows if r < 7]
    passes = {tuple(wild[i : i + 7]) for i in range(0, 140, 7)}
    assert all(sorted(p) == list(range(7)) for p in passes) and len(passes) > 10


def test_the_seed_decides():
    a, b, c = (list(Mixture(9, 9, 1.0, 6, 60, seed).batches()) for seed in (0, 0, 1))
    assert a == b and a != c


@pytest.mark.parametrize("arguments, message", [
    ((0, 5, 1.0, 4, 8, 0), "ratio 1 draws from the wildlife pool, but it has no training recordings"),
    ((5, 0, INF, 4, 8, 0), "ratio inf draws from the general pool"),
    ((5, 5, 1.0, 0, 8, 0), "got batch=0, samples=8"),
    ((5, 5, 1.0, 4, 0, 0), "got batch=4, samples=0"),
    ((5, 5, -1.0, 4, 8, 0), "0 or more or inf, got -1"),
    ((5, 5, float("nan"), 4, 8, 0), "0 or more or inf, got nan"),
])
def test_errors_of_a_mixture(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mixture(*arguments)


def test_an_unused_pool_may_be_empty():
    assert len(list(Mixture(0, 3, INF, 4, 8, 0))) == len(list(Mixture(3, 0, 0.0, 4, 8, 0))) == 2


@pytest.mark.parametrize("batch, samples, world",
                         [(16, 150, 2), (16, 150, 3), (10, 95, 2), (10, 95, 3), (7, 40, 2), (32, 63, 16), (48, 96, 7)])
def test_the_shares_of_processes_are_the_batch(batch, samples, world):
    made = lambda: Mixture(13, 29, 3.0, batch, samples, 0)  # noqa: E731
    shares = list(zip(*(made().batches(1, rank, world) for rank in range(world)), strict=True))
    for step, (whole, parts) in enumerate(zip(made().batches(1), shares, strict=True), start=1):
        assert sum(parts, []) == whole and all(parts) and {draw.batch for draw in whole} == {len(whole)}
        assert [draw.place for draw in whole] == list(range(len(whole)))
        assert all(part[0].place % 2 == 0 for part in parts)  # clips 2 i and 2 i + 1 stay together
        assert max(map(len, parts)) - min(map(len, parts)) <= 3
        general = sum(draw.row >= 13 for part in parts for draw in part)
        assert (len(whole) - general, general) == made().counts(step)


def test_a_process_without_clips_is_refused():
    with pytest.raises(ValueError,
                       match="the last batch of this run holds 5 clips, too few for 4 processes: start fewer"):
        next(Mixture(13, 29, 3.0, 16, 101, 0).batches(0, 0, 4))
