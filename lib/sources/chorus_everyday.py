"""Synthetic everyday sounds for `chorus`: speech-like, music-like, machines, impacts, weather, alarms, crowds.

The stand-in for AudioSet: rich textures that differ from clip to clip, not imitations of anything in particular. Noise
and backgrounds are made in another way than the field of the animals. All waves are float32 at 22,050 Hz; every
function draws from the numpy generator it is given and from nothing else.
"""
import numpy as np
from scipy import fft, signal

from lib.sources.chorus_voices import RATE, TOP_HZ, add, slow, tone

__all__ = ["FAMILIES", "everyday", "background"]


def _coloured(n, rng, fall, peaks=0):
    """White noise through an autoregressive filter, unit variance: a pole at `fall` (0 white ... 1 brown), `peaks`
    resonances somewhere between 80 Hz and 8 kHz."""
    poles = [fall]
    for _ in range(peaks):
        pole = rng.uniform(0.6, 0.97) * np.exp(2j * np.pi * np.exp(rng.uniform(np.log(80), np.log(8000))) / RATE)
        poles += [pole, pole.conjugate()]
    wave = signal.lfilter([1.0], np.poly(poles).real, rng.standard_normal(n + 2000))[2000:]
    return (wave / (wave.std() + 1e-9)).astype(np.float32)


def background(n: int, rng: np.random.Generator) -> np.ndarray:
    """What lies under everyday sound, about unit variance (n,): a room, a street or a tape."""
    kind = rng.choice(["room", "street", "tape"])
    if kind == "room":
        hum = tone(np.full(n, np.log2(rng.choice([50.0, 60.0]))), rng.uniform(0, 1, 8) ** 2)
        return _coloured(n, rng, rng.uniform(0.9, 0.99), 3) + np.float32(rng.uniform(0, 0.6)) * hum
    if kind == "street":
        swell = np.exp(0.7 * slow(n, rng, rng.uniform(0.1, 0.5))).astype(np.float32)
        return swell * _coloured(n, rng, rng.uniform(0.8, 0.97), 1)
    return _coloured(n, rng, rng.uniform(-0.2, 0.4)) + 0.2 * _coloured(n, rng, 0.995)


def _events(n, rng, per_s, wander=0.5):
    """Sample positions of events about `per_s` times a second."""
    step = RATE / per_s
    count = int(n / step) + 1
    return ((np.arange(count) + wander * rng.uniform(-0.5, 0.5, count)) * step).clip(0, n - 1).astype(int)


def _ring(hz, decay_s, weights):
    """A struck thing: damped partials at `hz`, each dying after about its own `decay_s`."""
    t = (np.arange(int(min(3 * max(decay_s), 2.0) * RATE)) / RATE).astype(np.float32)
    wave = np.zeros(len(t), np.float32)
    for f, d, w in zip(hz, decay_s, weights):
        if f < TOP_HZ:
            m = int(min(5 * d, 2.0) * RATE)
            wave[:m] += np.float32(w) * np.sin(np.float32(2 * np.pi * f) * t[:m]) * np.exp(t[:m] * np.float32(-1 / d))
    return wave * np.minimum(1, t * (RATE / 30))


def _shape(wave, gain):
    """Filter that changes with time: gain(frames, f (257,)) -> (frames, 257), by overlapping windows of 512."""
    n, hop = len(wave), 256
    padded = np.pad(wave, (hop, 2 * hop)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::hop]       # (F, 512)
    window = np.sin(np.pi * (np.arange(512) + 0.5) / 512).astype(np.float32)
    spec = fft.rfft(frames * window, axis=1) * gain(len(frames), np.arange(257) * (RATE / 512)).astype(np.float32)
    pieces = fft.irfft(spec, 512, axis=1) * window
    out = np.zeros(hop * (len(frames) + 1), np.float32)
    out[:-hop] += pieces[:, :hop].ravel()
    out[hop:] += pieces[:, hop:].ravel()
    return out[hop:hop + n]


def _talk(n, rng, sung=False):
    """Speech-like: pulses and breath through three moving formants, in syllables, words and breaths."""
    per_s = rng.uniform(1, 2.2) if sung else rng.uniform(3, 6)
    f0 = np.log2(rng.uniform(90, 280))
    steps = rng.choice([0, 2, 4, 5, 7, 9, 12], int(n / RATE * per_s) + 3) / 12
    late = np.arange(len(steps)) - 0.3 * (np.arange(len(steps)) % 2)
    line = np.interp(np.arange(n) * per_s / RATE, late, steps)
    octave = f0 + (line + 0.012 * np.sin(2 * np.pi * 5.5 * np.arange(n) / RATE) if sung else 0.18 * slow(n, rng, 3))
    phase = np.cumsum(np.exp2(octave)) / RATE
    pulses = np.diff(np.floor(phase), prepend=0).astype(np.float32) * 12
    breath = rng.standard_normal(n, dtype=np.float32)
    voiced = np.clip(0.9 + 0.7 * slow(n, rng, per_s * 1.5), 0, 1).astype(np.float32) if not sung else np.float32(0.97)
    size = rng.uniform(0.85, 1.2)

    def formants(frames, f):
        at = np.arange(frames) * per_s * 256 / RATE
        gain = np.full((frames, len(f)), 0.01)
        for low, high, wide, weight in ((280, 850, 80, 1.0), (850, 2300, 120, 0.6), (2300, 3200, 180, 0.35)):
            knots = rng.uniform(low, high, int(at[-1]) + 3) * size
            centre = np.interp(at + 0.3 * np.sin(2 * np.pi * at) / np.pi, np.arange(len(knots)), knots)
            gain += weight / (1 + ((f - centre[:, None]) / wide) ** 2)
        return gain

    def hiss(frames, f):
        return np.broadcast_to(0.25 / (1 + ((f - rng.uniform(4000, 7000)) / 1500) ** 2), (frames, len(f)))
    wave = _shape(pulses * voiced + 0.1 * breath * voiced, formants) + (1 - voiced) * _shape(breath, hiss)
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * per_s * np.arange(n) / RATE + slow(n, rng, 1))
    words = np.clip(1.2 + 1.5 * slow(n, rng, 1.1), 0.03, 1)
    return (wave * ((0.25 + 0.75 * beat) * words)).astype(np.float32)


def _babble(n, rng):
    one, two = _talk(n, rng), _talk(n, rng)
    return sum(np.roll(one if i % 2 else two, rng.integers(n))[::rng.choice([-1, 1])] * rng.uniform(0.3, 1)
               for i in range(9))


def _notes(n, rng, partials, decay, stretch=0.0, chord=1):
    """Music-like: notes of a scale on a beat."""
    wave = np.zeros(n, np.float32)
    root, scale = rng.uniform(80, 330), rng.permutation([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])[:6]
    for at in _events(n, rng, rng.uniform(0.6, 1.6) if chord > 1 else rng.uniform(2, 6), 0.05):
        for step in rng.choice(scale, chord, replace=False):
            f = root * 2 ** (step / 12) * rng.choice([1, 2, 2, 4])
            k = np.arange(1, partials + 1)
            weights = rng.uniform(0.4, 1) * k ** -rng.uniform(0.6, 1.6)
            add(wave, at, _ring(f * k * (1 + stretch * k), decay / k ** 0.5, weights))
    return wave


def _drums(n, rng):
    wave, per_s = np.zeros(n, np.float32), rng.uniform(1.5, 3.5)
    for i, at in enumerate(_events(n, rng, 2 * per_s, 0.02)):
        m = int(0.15 * RATE)
        burst = rng.standard_normal(m, dtype=np.float32)
        burst *= np.exp(-np.arange(m) / m * rng.uniform(5, 25)).astype(np.float32)
        if i % 4:
            add(wave, at, np.diff(burst, append=0) * rng.uniform(0.1, 0.5) + burst * (i % 4 == 2))
        else:
            add(wave, at, _ring([rng.uniform(50, 90), 180], [0.12, 0.05], [3, 1]))
    return wave


def _motor(n, rng, low, high, rough, drift):
    """Machine-like: many harmonics of a drifting speed, resonances, noise in the rhythm of the turns."""
    octave = np.log2(rng.uniform(low, high)) + drift * slow(n, rng, rng.uniform(0.2, 0.8))
    k = np.arange(1, int(min(45, 7000 / high)) + 1)
    hum = tone(octave, k ** -rng.uniform(0.3, 1.1) * rng.uniform(0.1, 1, len(k)))
    turn = 0.6 + 0.4 * np.sin(2 * np.pi * np.cumsum(np.exp2(octave)) / RATE / rng.choice([1, 2, 4]))
    return hum + (rough * turn).astype(np.float32) * _coloured(n, rng, rng.uniform(0.3, 0.95), 4)


def _struck(n, rng, per_s, low, high, decay, count):
    """Impact-like: a struck body again and again, with its own partials and a noisy contact."""
    wave, hz = np.zeros(n, np.float32), np.sort(np.exp(rng.uniform(np.log(low), np.log(high), count)))
    for at in _events(n, rng, per_s, 0.8):
        hit = _ring(hz * rng.normal(1, 0.03), decay * rng.uniform(0.4, 1.3, count), rng.uniform(0.2, 1, count))
        m = int(rng.uniform(0.004, 0.04) * RATE)
        hit[:m] += rng.standard_normal(m) * np.linspace(1, 0, m) * rng.uniform(0.5, 3)
        add(wave, at, hit * rng.uniform(0.3, 1))
    return wave


def _weather(n, rng, wind, rain, rumble):
    """Weather-like: wind is brown noise in gusts, rain is bright noise and drops, thunder rolls."""
    gusts = np.exp(0.9 * slow(n, rng, 0.8) + 0.4 * slow(n, rng, 5)).astype(np.float32)
    wave = np.float32(wind) * gusts * _coloured(n, rng, rng.uniform(0.97, 0.995))
    wave += np.float32(rain) * _coloured(n, rng, rng.uniform(-0.7, 0.0), 1)
    for at in rng.integers(0, n, int(rain * n / RATE * rng.uniform(10, 60))):
        m = int(rng.uniform(0.002, 0.012) * RATE)
        add(wave, at, (rng.standard_normal(m) * np.exp(-np.arange(m) / m * 4) * rng.exponential(5)).astype(np.float32))
    for at in rng.integers(0, n, 4 * rumble):
        m = int(rng.uniform(1.5, 4) * RATE)
        fades = np.exp(-np.arange(m) / m * 4 + 0.7 * slow(m, rng, 6)) * np.minimum(1, np.arange(m) / 800)
        add(wave, at, _coloured(m, rng, rng.uniform(0.98, 0.998)) * (6 * fades).astype(np.float32))
    return wave


def _alarm(n, rng, kind):
    t, per_s = np.arange(n) / RATE, rng.uniform(1.5, 5) if kind == "beeps" else rng.uniform(0.15, 2)
    f = np.log2(rng.uniform(600, 3200) if kind == "beeps" else rng.uniform(500, 1200))
    swing = np.sin(2 * np.pi * per_s * t)
    swing = np.tanh(swing * rng.choice([1, 8])) * rng.uniform(0.15, 0.5)
    if kind == "siren":
        return tone(f + swing, np.arange(1, 8) ** -rng.uniform(0.8, 2))
    on = np.clip((np.sin(2 * np.pi * per_s * t) + rng.uniform(-0.5, 0.5)) * 20, 0, 1)
    on *= np.sin(2 * np.pi * 0.31 * t + rng.uniform(0, 6)) > -0.7                 # now and then a pause
    soft = fft.irfft(fft.rfft(on.astype(np.float32)) * np.exp(-np.arange(n // 2 + 1) / n * RATE / 150), n)
    return soft * tone(f + 0.1 * (swing > 0) * rng.integers(0, 2), np.arange(1, 6) ** -rng.uniform(0.8, 2.5))


def _applause(n, rng):
    wave = rng.standard_normal(n, dtype=np.float32) * 0.1
    wave[rng.integers(0, n, 900)] += rng.exponential(6, 900)
    swell = (0.7 + 0.3 * np.clip(slow(n, rng, 0.5), -2, 2)).astype(np.float32)
    centre = rng.uniform(900, 2500)
    return swell * _shape(wave, lambda frames, f: np.tile(1 / (1 + ((f - centre) / centre) ** 2), (frames, 1)))


FAMILIES = {  # family -> {class: sound(n, rng)}
    "speech": {"talking": _talk, "two talkers": lambda n, g: _talk(n, g) + _talk(n, g) * g.uniform(0.3, 1),
               "singing": lambda n, g: _talk(n, g, sung=True)},
    "music": {"chords": lambda n, g: _notes(n, g, 7, g.uniform(0.4, 1.0), chord=3),
              "plucked": lambda n, g: _notes(n, g, 10, g.uniform(0.15, 0.5), g.uniform(0, 0.004)),
              "band": lambda n, g: _drums(n, g) * g.uniform(0.5, 1.5) + _notes(n, g, 7, 0.3)},
    "machine": {"engine": lambda n, g: _motor(n, g, 25, 110, 1.0, 0.25),
                "drill": lambda n, g: _motor(n, g, 150, 500, 1.5, 0.08),
                "fan": lambda n, g: _motor(n, g, 40, 180, 4.0, 0.005)},
    "impact": {"knocks": lambda n, g: _struck(n, g, g.uniform(1, 5), 90, 900, 0.05, 7),
               "glass": lambda n, g: _struck(n, g, g.uniform(0.8, 4), 1500, 9000, 0.12, 10),
               "footsteps": lambda n, g: _struck(n, g, g.uniform(1.5, 3), 60, 400, 0.03, 4)},
    "weather": {"rain": lambda n, g: _weather(n, g, 0.2, 1.0, 0),
                "thunder": lambda n, g: _weather(n, g, 0.4, 0.4, 1),
                "wind": lambda n, g: _weather(n, g, 2.0, 0.0, 0)},
    "alarm": {"beeps": lambda n, g: _alarm(n, g, "beeps"), "siren": lambda n, g: _alarm(n, g, "siren"),
              "bell": lambda n, g: _struck(n, g, g.uniform(0.5, 4), 400, 6000, 0.6, 9)},
    "crowd": {"babble": _babble, "applause": _applause,
              "cheering": lambda n, g: _babble(n, g) + 3 * _applause(n, g)},
}


def everyday(n: int, family: str, name: str, rng: np.random.Generator) -> np.ndarray:
    """A clip of one class, with some of another under it now and then. (n,) float32."""
    wave = FAMILIES[family][name](n, rng)
    wave = wave / (np.sqrt(np.mean(wave ** 2)) + 1e-6)
    if rng.random() < 0.35:                                 # real clips are seldom pure
        other = FAMILIES[rng.choice(list(FAMILIES))]
        second = other[rng.choice(list(other))](n, rng)
        wave = wave + second / (np.sqrt(np.mean(second ** 2)) + 1e-6) * rng.uniform(0.05, 0.5)
    return wave.astype(np.float32)
