"""Synthetic animal voices for `chorus`.

Nothing here knows of files or labels. A call is first *planned* (a few numbers: notes, heights, loudness) and then
*sung* (samples). All waves are float32 at 22,050 Hz.
Every function draws from the numpy generator it is given and from nothing else.
"""
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

__all__ = ["RATE", "Note", "Voice", "Call", "Genus", "GENERA", "plan", "sing", "short_call", "add", "slow", "tone"]

RATE = 22_050
TOP_HZ = 10_500                         # nothing is synthesised above: half the rate is 11,025 Hz
X = np.linspace(0, 1, 9)                # a note's pitch is drawn through nine points


class Note(NamedTuple):
    """One syllable, relative to its voice's pitch."""
    ratio: float = 1.0   # height over the voice's pitch
    sweep: float = 0.0   # octaves from start to end
    bend: float = 0.0    # octaves by which the middle lies above the straight line
    long_s: float = 0.2
    gap_s: float = 0.1   # silence after it


@dataclass(frozen=True)
class Voice:
    """How one species (or one individual of it) calls."""
    pitch_hz: float = 3000.0
    notes: tuple[Note, ...] = (Note(),)
    order: tuple[int, ...] = (0,)          # the notes' order in a phrase: siblings may differ in this alone
    repeats: tuple[int, int] = (1, 1)      # phrases per call, fewest and most
    rate: float = 1.0                      # > 1: the same phrase sung faster
    pause_s: float = 0.5                   # typical silence between calls
    sweep: float = 0.0                     # added to every note
    bend: float = 0.0
    harmonics: int = 2
    tilt: float = 2.5                      # harmonic k has weight k ** -tilt
    formant_hz: float = 0.0                # 0: none; else the harmonics near it are louder
    pulse_hz: float = 0.0                  # amplitude pulses per second, 0: none
    sharp: float = 1.0                     # how short the pulses are
    rough: float = 0.0                     # share of noise in the tone
    rough_hz: float = 400.0                # and its bandwidth
    attack: float = 0.2                    # share of a note in which it swells


class Call(NamedTuple):
    """A planned call: break points in time, log2 pitch and loudness, and the band of its strong harmonics."""
    t: np.ndarray        # (P,) s from the call's start
    octave: np.ndarray   # (P,) log2 Hz
    loud: np.ndarray     # (P,) 0-1
    weights: np.ndarray  # (K,) of the harmonics
    long_s: float
    low_hz: float
    high_hz: float


def plan(voice: Voice, rng: np.random.Generator) -> Call:
    """Draw one call of a voice: notes, lengths and pitches vary a little from call to call."""
    phrase = [voice.notes[i] for i in voice.order] * int(rng.integers(voice.repeats[0], voice.repeats[1] + 1))
    ratio, sweep, bend, long_s, gap_s = np.array(phrase).T                      # each (N,)
    tempo = voice.rate * np.exp(rng.normal(0, 0.02))
    long_s = long_s / tempo * np.exp(rng.normal(0, 0.05, len(phrase)))
    gap_s = gap_s / tempo * np.exp(rng.normal(0, 0.05, len(phrase)))
    start = np.concatenate([[0], np.cumsum(long_s + gap_s)[:-1]])
    pitch = np.log2(voice.pitch_hz * ratio) + rng.normal(0, 0.012, len(phrase)) + rng.normal(0, 0.015)
    curve = (sweep + voice.sweep)[:, None] * (X - 0.5) + (bend + voice.bend)[:, None] * 4 * X * (1 - X)
    octave = pitch[:, None] + curve                                             # (N, 9)
    swell = np.clip(np.minimum(X / max(voice.attack, 0.01), (1 - X) / 0.25), 0, 1)
    loud = swell * np.exp(rng.normal(0, 0.15, (len(phrase), 1))).clip(0.6, 1.4)
    k = np.arange(1, voice.harmonics + 1)
    weights = k ** -voice.tilt
    if voice.formant_hz:
        weights = weights * (0.25 + 3 * np.exp(-(np.log2(k * voice.pitch_hz / voice.formant_hz) / 0.35) ** 2))
    weights = weights / np.sqrt((weights ** 2).sum())
    strong = k[weights >= 0.15 * weights.max()]
    around = voice.rough_hz * (voice.rough > 0.3) + 2 * voice.pulse_hz + 40
    low = 2 ** octave.min() * strong[0] - around
    high = 2 ** octave.max() * strong[-1] + around
    return Call((start[:, None] + X * long_s[:, None]).ravel(), octave.ravel(), loud.ravel(), weights,
                float(start[-1] + long_s[-1]), float(max(low, 30)), float(min(max(high, low + 100), RATE / 2)))


def slow(n: int, rng: np.random.Generator, hz: float) -> np.ndarray:
    """A slow random curve of unit variance: n samples, changing about `hz` times a second."""
    knots = rng.standard_normal(int(n / RATE * hz) + 3)
    return np.interp(np.arange(n) * (hz / RATE), np.arange(len(knots)), knots)


def tone(octave: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Harmonics of a gliding pitch: octave (N,) log2 Hz, weights (K,) -> (N,) float32."""
    f = np.exp2(octave)
    phase = (2 * np.pi * np.cumsum(f) / RATE % (2 * np.pi)).astype(np.float32)
    wave = np.zeros(len(f), np.float32)
    for k, weight in enumerate(weights, 1):
        if weight > 0.003 and k * f.min() < TOP_HZ:
            wave += np.float32(weight) * np.sin(k * phase) * (k * f < TOP_HZ)
    return wave


def sing(call: Call, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """The samples of a planned call, root mean square 1."""
    n = int(call.long_s * RATE) + 1
    t = np.arange(n) / RATE
    wave = tone(np.interp(t, call.t, call.octave), call.weights)
    if voice.rough:
        wave *= (1 - voice.rough) + voice.rough * slow(n, rng, voice.rough_hz).astype(np.float32)
    if voice.pulse_hz:
        turns = np.cumsum(voice.pulse_hz * (1 + 0.03 * slow(n, rng, 8))) / RATE
        wave *= (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32) ** voice.sharp
    wave *= np.sin(0.5 * np.pi * np.interp(t, call.t, call.loud / call.loud.max())) ** 2
    return wave / (np.sqrt(np.mean(wave ** 2)) + 1e-6)


def add(wave: np.ndarray, at: float, piece: np.ndarray) -> None:
    """Add a piece at sample `at`, cut to the wave."""
    at = max(int(at), 0)
    piece = piece[:len(wave) - at]
    wave[at:at + len(piece)] += piece


def short_call(voice: Voice, rng: np.random.Generator) -> Voice:
    """Draw a second type of call for the species with this voice: short notes, near its pitch, of its own shape."""
    note = Note(sweep=rng.uniform(-1.0, 1.0), bend=rng.uniform(-0.5, 0.5), long_s=float(np.exp(rng.uniform(-3, -1.1))),
                gap_s=float(np.exp(rng.uniform(-3, -1.2))))
    pulses = float(np.exp(rng.uniform(2.7, 4.4))) if rng.random() < 0.4 and note.long_s > 0.12 else 0.0
    return Voice(pitch_hz=float(np.clip(voice.pitch_hz * np.exp(rng.uniform(-0.5, 0.5)), 120, 7000)), notes=(note,),
                 repeats=(1, int(rng.integers(2, 6))), pause_s=rng.uniform(0.3, 1.2), harmonics=voice.harmonics,
                 tilt=voice.tilt, formant_hz=voice.formant_hz, pulse_hz=pulses, rough=voice.rough,
                 rough_hz=voice.rough_hz, attack=rng.uniform(0.1, 0.4))


# ---- the animals

class Genus(NamedTuple):
    """Two to four sibling species that share a voice but for one fine thing."""
    name: str
    taxon: str
    pitch_hz: tuple[float, float]   # drawn once per genus: bands overlap between genera on purpose
    voice: Voice
    siblings: tuple[dict, ...]      # what each species changes in the genus' voice


GENERA = (
    Genus("Tinnula", "birds", (2400, 3300), Voice(notes=(Note(long_s=0.22, gap_s=0.12),), repeats=(2, 4)),
          (dict(sweep=0.5), dict(sweep=-0.5), dict(bend=0.3), dict(bend=-0.3))),
    Genus("Trillia", "birds", (2600, 4000),
          Voice(notes=(Note(sweep=-0.15, long_s=0.04, gap_s=0.035),), repeats=(10, 18)),
          (dict(rate=0.8), dict(rate=1.15), dict(rate=1.65))),
    Genus("Cantora", "birds", (2400, 3600),
          Voice(notes=(Note(1.15, long_s=0.18, gap_s=0.05), Note(0.85, long_s=0.18, gap_s=0.05)), repeats=(2, 3),
                harmonics=3),
          (dict(order=(0, 1, 1)), dict(order=(1, 0, 0)), dict(order=(0, 1)))),
    Genus("Stridor", "birds", (3000, 4800),
          Voice(notes=(Note(sweep=-0.1, long_s=0.45, gap_s=0.1),), repeats=(1, 2), tilt=1.5, sharp=1.5, rough=0.2),
          (dict(pulse_hz=38.0), dict(pulse_hz=58.0), dict(pulse_hz=88.0))),
    Genus("Melodia", "birds", (2600, 3800),
          Voice(notes=(Note(0.8, 0.3, 0, 0.12, 0.05), Note(1.2, -0.5, 0, 0.1, 0.05), Note(1.0, 0, 0.25, 0.16, 0.05))),
          (dict(order=(0, 1, 2, 1)), dict(order=(1, 2, 0, 1)))),
    Genus("Pulsator", "frogs", (1300, 2300),
          Voice(notes=(Note(sweep=0.1, long_s=0.7),), harmonics=3, sharp=2.0, attack=0.4),
          (dict(pulse_hz=14.0), dict(pulse_hz=20.0), dict(pulse_hz=29.0))),
    Genus("Grumella", "frogs", (140, 240),
          Voice(notes=(Note(sweep=-0.1, long_s=0.2, gap_s=0.1),), repeats=(2, 5), harmonics=16, tilt=0.4, rough=0.2),
          (dict(formant_hz=800.0), dict(formant_hz=1250.0), dict(formant_hz=800.0, rate=1.6))),
    Genus("Pipilla", "frogs", (1800, 2700),
          Voice(notes=(Note(long_s=0.09, gap_s=0.16),), repeats=(3, 7), tilt=2.0),
          (dict(sweep=0.35), dict(sweep=-0.35), dict(sweep=0.35, rate=1.6))),
    Genus("Crepita", "insects", (3200, 4600),
          Voice(notes=(Note(long_s=1.6),), sharp=1.5, pause_s=0.4, attack=0.15),
          (dict(pulse_hz=22.0), dict(pulse_hz=33.0), dict(pulse_hz=50.0))),
    Genus("Gryllina", "insects", (3200, 4800),
          Voice(notes=(Note(long_s=0.03, gap_s=0.02), Note(long_s=0.03, gap_s=0.22)), repeats=(3, 6), tilt=3.0),
          (dict(order=(0, 1)), dict(order=(0, 0, 1)), dict(order=(0, 0, 0, 0, 1)))),
    Genus("Stridata", "insects", (4800, 6500),
          Voice(notes=(Note(long_s=1.4),), harmonics=1, rough=1.0, rough_hz=1800, sharp=1.5, pause_s=0.4),
          (dict(pulse_hz=8.0), dict(pulse_hz=13.0))),
    Genus("Latrella", "mammals", (380, 600),
          Voice(notes=(Note(bend=0.15, long_s=0.13, gap_s=0.2),), repeats=(2, 5), harmonics=10, tilt=0.8,
                formant_hz=1400.0, rough=0.25),
          (dict(sweep=-0.5), dict(sweep=0.4), dict(sweep=-0.5, rate=1.6))),
    Genus("Ululina", "mammals", (550, 900),
          Voice(notes=(Note(1, 0.7, 0, 0.4, 0.01), Note(1, -0.7, 0, 0.4, 0.01)), harmonics=6, tilt=1.3, attack=0.3),
          (dict(order=(0, 1)), dict(order=(1, 0)), dict(order=(0, 0)))),
    Genus("Clamosa", "mammals", (2300, 3400),
          Voice(notes=(Note(long_s=0.06, gap_s=0.06),), repeats=(5, 10), harmonics=3, tilt=1.2),
          (dict(sweep=0.6), dict(sweep=-0.6))),
)
