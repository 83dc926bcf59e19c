"""One recording of `chorus`: planned, sung in its field, and the boxes of what can be heard in it.

A plan says which animal calls when; `render` makes the samples; `boxes` measures every call as it reaches the recorder:
behind air, room and recorder, against the field that it is heard in.
"""
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from scipy import fft

from lib import paths
from lib.sources import chorus_everyday, chorus_field, chorus_voices
from lib.sources.chorus_field import LEAD
from lib.sources.chorus_voices import GENERA, RATE, Call, Voice

__all__ = ["BOX", "TRIM", "Job", "Plan", "Piece", "Rendered", "vary", "individual", "repertoire", "plan", "in_band",
           "render", "boxes", "empty", "holds_call", "write"]

BOX = ["start_s", "end_s", "low_hz", "high_hz", "inner_start_s", "inner_end_s", "inner_low_hz", "inner_high_hz",
       "label", "kind"]
TRIM = 0.0025  # share of a call's energy that the outer box leaves out at each of its four sides
FRAME, HOP = 512, 128  # of the spectra in which a call is compared with the field


class Job(NamedTuple):
    """Everything a worker needs to know to make one file."""
    key: tuple[int, ...]   # what all draws of this pool begin with
    pool: str
    mean_s: float          # wildlife recordings last 3 s and more, on average about this, and at most longest_s
    longest_s: float
    general_s: float       # how long a clip of another pool lasts
    empty: float
    difficulty: float
    index: int
    row: dict              # label, true (species), group, taxon, voice, second (voice), recordist (number, -1 none)
    file: str


class Plan(NamedTuple):
    samples: int
    calls: list            # of (start_s, Call, Voice, gain_db)
    others: list           # the same, for unlabelled animals
    place: chorus_field.Site
    level_db: float        # of the whole recording, root mean square
    rng: np.random.Generator


class Piece(NamedTuple):
    """One call as the recorder hears it."""
    at: int                # the sample of the recording at which `wave` begins
    wave: np.ndarray       # (n,) cut to the recording
    label: str             # the species; "" for an unlabelled animal
    kind: str              # "call" or "background"


class Rendered(NamedTuple):
    wave: np.ndarray       # (N,) the recording, at its level
    field: np.ndarray      # (N,) all but the animals, on the scale of the pieces
    pieces: list[Piece]


def vary(voice: Voice, rng: np.random.Generator, much: bool) -> Voice:
    """A species is never exactly the rule; those of `other_species` and of the background (much) are far from it."""
    wide = 0.3 if much else 0.02
    pitch, rate, pulse, pause = np.exp(rng.normal(0, (max(wide, 0.06), wide, wide, wide)))
    return replace(voice, pitch_hz=float(np.clip(voice.pitch_hz * pitch, 120, 7000)), rate=voice.rate * rate,
                   pulse_hz=voice.pulse_hz * pulse, pause_s=voice.pause_s * pause,
                   sweep=voice.sweep + rng.normal(0, wide), bend=voice.bend + rng.normal(0, wide / 2))


def individual(voices: Iterable[Voice | None], rng: np.random.Generator, difficulty: float = 1.0) -> list[Voice]:
    """Draw one animal of a species: how far all of the species' voices (None: it has no second) are off in it."""
    hard = np.sqrt(difficulty)
    pitch, rate, tilt, bend = rng.normal(0, [0.04 * hard, 0.035 * hard, 0.3 * hard, 0.04 * hard])
    return [replace(voice, pitch_hz=voice.pitch_hz * np.exp(pitch), rate=voice.rate * np.exp(rate),
                    tilt=voice.tilt + tilt, pulse_hz=voice.pulse_hz * np.exp(rate), bend=voice.bend + bend)
            for voice in voices if voice]


def repertoire(voices: list[Voice], rng: np.random.Generator) -> list[Voice]:
    """Which of an animal's types of call it sings for a while: the one, the other or both."""
    which = rng.choice(3, p=[0.55, 0.15, 0.3])
    return voices if len(voices) == 1 or which == 2 else voices[which:which + 1]


def plan(job: Job) -> Plan:
    """When which animal calls: everything about a recording that needs no samples."""
    rng = np.random.default_rng([*job.key, job.index])
    shared = np.random.default_rng([*job.key, *job.row["group"].encode()])        # the animal and its place
    place = chorus_field.site(shared, job.difficulty)
    if job.pool == "general":
        others = _strangers(job.general_s, 1, rng, (-10, 14)) if rng.random() < 0.08 else []
        return Plan(int(job.general_s * RATE), [], others, place, rng.uniform(-50, -22), rng)
    long_s = 3 + rng.exponential(job.mean_s - 3)
    if job.longest_s > 8 and rng.random() < 0.06:
        long_s = rng.uniform(8, job.longest_s)            # the long tail of durations
    long_s = job.general_s if job.pool == "other_species" else min(long_s, job.longest_s)
    voices = repertoire(individual((job.row["voice"], job.row["second"]), shared, job.difficulty), rng)
    calls = _layout(long_s, voices, job.empty, rng)
    others, level_db = _strangers(long_s, rng.poisson(0.7 * job.difficulty), rng, (-8, 12)), rng.uniform(-50, -28)
    if job.row["recordist"] >= 0:
        own = np.random.default_rng([*job.key, 10 ** 7, job.row["recordist"]])
        place = place._replace(recorder=chorus_field.recorder(own, job.difficulty))
        level_db = own.uniform(-48, -30) + rng.normal(0, 2)
    return Plan(int(long_s * RATE), calls, others, place, level_db, rng)


def _strangers(long_s, count, rng, gains_db):
    """Calls of animals that nobody labelled."""
    calls = []
    for _ in range(count):
        genus = GENERA[rng.integers(len(GENERA))]
        stranger = vary(replace(genus.voice, pitch_hz=rng.uniform(*genus.pitch_hz), **genus.siblings[0]), rng, True)
        calls += _layout(long_s, [stranger], rng.uniform(0, 0.8), rng, rng.uniform(*gains_db))
    return calls


def _layout(long_s, voices, share, rng, gain_db=0.0):
    """Place calls so that about `share` of the 3 s windows hold none: the best of 24 random runs of calls."""
    planned, at, starts, sung = [], 0.0, [], []
    while at < long_s and len(planned) < 60:
        sung.append(voices[rng.integers(len(voices))])
        planned.append(chorus_voices.plan(sung[-1], rng))
        starts.append(at)
        at += planned[-1].long_s + sung[-1].pause_s * rng.uniform(0.5, 1.8)
        at += rng.uniform(1, 4) if rng.random() < 0.15 else 0
    starts = np.array(starts)
    ends = starts + [call.long_s for call in planned]
    fits = max(int(np.sum(ends <= long_s)), 1)
    aim, runs = share * rng.uniform(0.7, 1.7), []
    for _ in range(24):
        count = int(rng.integers(1, fits + 1))
        space = max(long_s - ends[count - 1], 0.0)
        shift = space * np.clip(rng.uniform(-0.4, 1.4), 0, 1)
        runs.append((abs(empty(starts[:count] + shift, ends[:count] + shift, long_s).mean() - aim), count, shift))
    _, count, shift = min(runs, key=lambda run: run[0])
    return [(float(starts[i] + shift), planned[i], sung[i], gain_db + rng.normal(0, 2.5)) for i in range(count)]


def empty(start: np.ndarray, end: np.ndarray, long_s: float, window_s: float = 3.0, step_s: float = 1.5) -> np.ndarray:
    """Which windows of a recording hold no call: bool (W,). The last window is aligned to the recording's end."""
    at = np.arange(0, max(long_s - window_s, 0) + 1e-6, step_s)
    at = np.append(at, long_s - window_s) if long_s - window_s > at[-1] + 1e-3 else at
    return ~holds_call(at, start, np.minimum(np.asarray(end), long_s), window_s)


def holds_call(at: np.ndarray, start: np.ndarray, end: np.ndarray, window_s: float = 3.0) -> np.ndarray:
    """Which windows of a recording, from `at` (W,) s on, hold one of its calls, start ... end (calls,) s: bool (W,).

    A call counts where at least 0.1 s, or half, of it lies inside."""
    start, end = np.asarray(start)[:, None], np.asarray(end)[:, None]
    inside = np.minimum(end, np.asarray(at) + window_s) - np.maximum(start, at)         # (calls, W) s
    return (inside >= np.minimum(0.1, 0.5 * (end - start))).any(0)


def in_band(field: np.ndarray) -> Callable[[Call], float]:
    """How loud a field (N,) is within the band of a call, root mean square."""
    size = fft.next_fast_len(len(field), real=True)
    f, power = np.arange(size // 2 + 1) * (RATE / size), np.abs(fft.rfft(field, size)) ** 2
    return lambda call: np.sqrt(power[(f >= call.low_hz) & (f <= call.high_hz)].sum() * 2 / size / len(field))


def render(job: Job) -> Rendered:
    """Sing the plan in the field, through air, room and recorder."""
    n, calls, others, place, level_db, rng = plan(job)
    colour, dry = place.recorder.colour, np.ones(1, np.float32)
    if job.pool == "general":
        falls = np.minimum(1, (chorus_field.GRID + 1) / 700) ** -rng.uniform(0, 0.5)    # most fall off upwards
        falls = falls * np.maximum(1, chorus_field.GRID / 700) ** -rng.uniform(0, 1.2)
        wave = chorus_everyday.everyday(n, job.row["taxon"], job.row["label"], rng)
        wave = chorus_field.heard(wave, chorus_field.room(rng, rng.uniform(0.05, 0.4), rng.uniform(0.0, 0.4)), falls)
        quiet = wave[LEAD:LEAD + n] + chorus_everyday.background(n, rng) * np.float32(10 ** rng.uniform(-3, -1.6))
        snr = 0.0
    else:
        quiet = chorus_field.bed(n, place, rng)
        snr = rng.uniform(0, 42) - 6 * (job.difficulty - 1)                             # dB in the call's own band
    near = chorus_field.room(rng, rng.uniform(0.05, 0.5), rng.uniform(0, 0.6))
    far = chorus_field.room(rng, 0.6, 0.8)
    air = colour * np.exp(-rng.uniform(0, 0.8) * (chorus_field.GRID / 8000) ** 2)       # distance eats the high notes
    loud = in_band(quiet)
    field = chorus_field.heard(quiet, dry, colour)[LEAD:LEAD + n]
    wave, pieces = field.copy(), []
    for kind, label, group, response, shape in (("call", job.row["true"], calls, near, air),
                                                ("background", "", others, far, colour)):
        for start_s, call, voice, gain_db in group:
            gain = loud(call) * 10 ** ((snr * (kind == "call") + gain_db) / 20)
            sung = chorus_field.heard(chorus_voices.sing(call, voice, rng) * np.float32(gain), response, shape)
            at = int(start_s * RATE) - LEAD
            sung, at = sung[max(-at, 0):][:n - max(at, 0)], max(at, 0)
            wave[at:at + len(sung)] += sung
            pieces.append(Piece(at, sung, label, kind))
    wave = wave * (10 ** (level_db / 20) / (np.sqrt(np.mean(wave ** 2)) + 1e-9))
    return Rendered(wave * min(1.0, 0.9 / (np.abs(wave).max() + 1e-9)), field, pieces)


def boxes(rendered: Rendered) -> list[tuple]:
    """Every call's row of BOX: an outer box with all but TRIM of its energy at each side, and within it an inner one.

    The inner box holds what can be heard: the cells of the spectrogram in which the call has more power than the field
    has on average in that band, from 0.25 s before to 0.25 s behind it; of a call that never has, its strongest."""
    found, around = [], RATE // 4
    for at, wave, label, kind in rendered.pieces:
        energy = np.cumsum(wave.astype(float) ** 2)
        first, last = np.searchsorted(energy, np.array([TRIM, 1 - TRIM]) * energy[-1])
        spectrum = np.cumsum(np.abs(fft.rfft(wave.astype(float))) ** 2)
        low, high = np.searchsorted(spectrum, np.array([TRIM, 1 - TRIM]) * spectrum[-1]) * (RATE / len(wave))
        outer = (at + first) / RATE, (at + last + 1) / RATE, low, high
        call = _spectra(np.pad(wave, FRAME))                                            # (F, bins)
        here = rendered.field[max(at + first - around, 0):at + last + around]
        heard = call > _spectra(np.pad(here, (0, max(0, FRAME - len(here))))).mean(0)
        heard |= call == call.max()
        frames, bins = np.flatnonzero(heard.any(1)), np.flatnonzero(heard.any(0))
        middle = at - FRAME / 2                                                         # of frame 0: padded by FRAME
        inner = ((middle + frames[0] * HOP - HOP / 2) / RATE, (middle + frames[-1] * HOP + HOP / 2) / RATE,
                 (bins[0] - 0.5) * RATE / FRAME, (bins[-1] + 0.5) * RATE / FRAME)
        inner = [float(np.clip(x, *outer[i // 2 * 2:i // 2 * 2 + 2])) for i, x in enumerate(inner)]
        found.append((*np.round(outer[:2], 4).tolist(), *np.round(outer[2:]).tolist(), *np.round(inner[:2], 4).tolist(),
                      *np.round(inner[2:]).tolist(), label, kind))
    return found


_WINDOW = np.hanning(FRAME + 1)[:-1].astype(np.float32)


def _spectra(wave):
    """Power of a wave's frames: (N,) -> (F, FRAME / 2 + 1)."""
    frames = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float32), FRAME)[::HOP]
    return np.abs(fft.rfft(frames * _WINDOW, axis=1)) ** 2


def write(job: Job) -> None:
    """Make one file, and before it, beside it, the rows of its boxes."""
    rendered = render(job)
    try:
        paths.write_json(Path(job.file).with_suffix(".json"), boxes(rendered))
        with paths.atomic(job.file) as temporary:
            soundfile.write(temporary, rendered.wave, RATE, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError) as error:   # the latter says no more than "System error."
        raise OSError(f"{job.file} could not be written ({error}): free some space, and the same call goes on"
                      ) from None
