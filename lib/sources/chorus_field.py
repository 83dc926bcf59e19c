"""The field of `chorus`: wind, rain, stream, hum, passing noise, places that answer, recorders.

What the animals of `chorus_voices` are heard in. All waves are float32 at 22,050 Hz. Every function draws from the
numpy generator it is given and from nothing else.
"""
from typing import NamedTuple

import numpy as np
from scipy import fft

from lib.sources.chorus_voices import RATE, add, slow, tone

__all__ = ["GRID", "Recorder", "recorder", "Site", "site", "bed", "room", "heard"]

GRID = np.geomspace(20, RATE / 2, 200)  # Hz on which spectra are described
LEAD = 1024                            # samples before a sound that a filter without delay may reach back


class Recorder(NamedTuple):
    """What one recorder does to all that it hears."""
    hiss_db: float
    mains_db: float
    colour: np.ndarray   # (200,) amplitude over GRID


class Site(NamedTuple):
    """What the recordings of one place share."""
    slope: float         # of the background's power over frequency
    stream_db: float
    rain_db: float
    wind_db: float
    recorder: Recorder


def _power(level_db):
    return 10 ** (level_db / 10)


def recorder(rng: np.random.Generator, difficulty: float = 1.0) -> Recorder:
    """Draw a recorder: its hiss, its mains hum, its high-pass and what it makes of each frequency."""
    knots = rng.normal(0, 1.5 + 2 * min(difficulty, 2), 8)
    colour = np.interp(np.log(GRID), np.linspace(np.log(20), np.log(RATE / 2), 8), knots)
    high_pass = np.log2(1 + (rng.choice([40, 80, 150]) / GRID) ** 4) * 3
    return Recorder(rng.uniform(-45, -16), rng.uniform(-5, 18) if rng.random() < 0.15 else -60,
                    10 ** ((colour - high_pass) / 20))


def site(rng: np.random.Generator, difficulty: float = 1.0) -> Site:
    """Draw a place: which noises it has, how loud they are, and a recorder."""
    return Site(rng.uniform(1.2, 4.0), rng.uniform(-18, 8) if rng.random() < 0.25 else -60,
                rng.uniform(-20, 2) if rng.random() < 0.2 else -60, rng.uniform(-5, 32), recorder(rng, difficulty))


def _noise(n, rng, gain):
    """Stationary noise with amplitude `gain` over GRID, (n,)."""
    bins = n // 2 + 1
    gain = np.interp(np.arange(bins) * (RATE / n), GRID, gain).astype(np.float32) * np.float32(np.sqrt(n / 2))
    pair = rng.standard_normal((bins, 2), dtype=np.float32) * gain[:, None]
    return fft.irfft(pair.view(np.complex64)[:, 0], n)


def bed(n: int, place: Site, rng: np.random.Generator) -> np.ndarray:
    """The field without animals: pink noise, hiss, stream, rain and drops, wind, what passes by, mains hum, handling.

    (n,) float32. It swells and sinks: a level measured in one second holds only roughly in the next."""
    vary = rng.normal(0, 3, 5)
    hump = np.exp(-(np.log2(GRID / 1800) / 1.6) ** 2)
    power = ((GRID / 1000) ** -(place.slope + 0.1 * vary[0]) + _power(place.stream_db + vary[1]) * hump
             + _power(place.rain_db + vary[2]) * (GRID / 3000) ** 0.5 + _power(place.recorder.hiss_db))
    wave = _noise(n, rng, np.sqrt(power))
    wave *= np.exp(rng.uniform(0.05, 0.4) * slow(n, rng, 0.7)).astype(np.float32)
    gust = np.exp(1.1 * slow(n, rng, 1.2) + 0.3 * slow(n, rng, 9)).astype(np.float32)
    wave += gust * _noise(n, rng, np.sqrt(_power(place.wind_db + vary[3])) / (1 + (GRID / 110) ** 2))
    if rng.random() < 0.25:                                # a car, an aeroplane, a gust in the leaves passes
        passing = np.sqrt(_power(rng.uniform(0, 12))) / (1 + (GRID / np.exp(rng.uniform(5.5, 8.3))) ** 2)
        away = (np.arange(n) / RATE - rng.uniform(0, n / RATE)) / rng.uniform(0.4, 2.5)
        wave += np.exp(-away ** 2 / 2).astype(np.float32) * _noise(n, rng, passing)
    if place.rain_db > -40:
        t = np.arange(160) / RATE
        for at in rng.integers(0, n, int(n / RATE * rng.uniform(5, 50))):
            add(wave, at, (rng.exponential(12) * np.exp(-t * rng.uniform(300, 1500))
                            * np.sin(2 * np.pi * rng.uniform(1500, 7000) * t)).astype(np.float32))
    if place.recorder.mains_db > -40:
        hum = tone(np.full(n, np.log2(50.0)), np.array([1, 0.5, 0.7, 0.2, 0.4, 0.1, 0.2]))
        wave += np.float32(10 ** (place.recorder.mains_db / 20)) * hum
    for _ in range(rng.poisson(n / RATE * 0.06)):          # someone touches the recorder
        m = int(rng.uniform(0.05, 0.3) * RATE)
        bump = np.cumsum(rng.standard_normal(m)) * np.exp(-np.arange(m) / m * 5) * np.minimum(1, np.arange(m) / 60)
        add(wave, rng.integers(0, n), (bump * rng.uniform(0.5, 3)).astype(np.float32))
    return wave


def room(rng: np.random.Generator, decay_s: float, wet: float) -> np.ndarray:
    """The impulse response of a place that answers: the sound, then a decaying noisy tail. At most 0.5 s, float32."""
    t = np.arange(int(min(2.5 * decay_s, 0.5) * RATE)) / RATE
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay_s)
    tail *= wet / (np.sqrt((tail ** 2).sum()) + 1e-9)
    tail[0] += 1
    return tail.astype(np.float32)


def heard(wave: np.ndarray, response: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A sound (N,) behind a room's impulse response (R,) and an amplitude over GRID (200,): (LEAD + N + R + LEAD,).

    The sound itself begins at sample LEAD: a colour has no delay, so that it reaches back as well."""
    n = LEAD + len(wave) + len(response) + LEAD
    size = fft.next_fast_len(n, real=True)
    f = np.arange(size // 2 + 1) * (RATE / size)
    spec = fft.rfft(wave.astype(np.float32), size) * fft.rfft(response, size)
    out = fft.irfft(spec * np.interp(f, GRID, colour).astype(np.float32), size)
    return np.roll(out, LEAD)[:n]
