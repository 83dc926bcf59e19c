# %% [markdown]
# # 00 Spectrograms: a call as a picture
#
# *You have recorded a pond for a whole season. Nobody can listen to all of it. What would a computer have to look at to
# find the frog, and what of the frog can it not see?*
#
# It looks at a picture of the sound, a **spectrogram**. This notebook begins with one pure tone and ends with the
# pictures that published **models** see (neural networks: programs that learn from many examples). Everything later in
# this course happens inside such a picture.
#
# | you are | read | minutes |
# |---|---|---|
# | a biologist who has never programmed | sections 1 to 6, 8, 9 up to *The stripes at the bottom*, and 10: figures and sounds; pass over all code | 12 |
# | a programmer who knows no acoustics | all of it | 18 |
# | short of time | Figures 1, 4, 5 and 9 with their captions | 4 |
#
# To run a cell, click into it and press Shift and Enter; the first three only prepare. All of them together take less
# than a minute on one core, and a minute more the first time, when the recordings are made. No GPU is used. Sounds do
# not show on GitHub: open the notebook in JupyterLab or Colab.

# %% [markdown]
# ## Goals
#
# After this notebook you can
#
# 1. **read** a spectrogram: its axes, a tone, a glide, a click;
# 2. **choose** a window, and say what a longer one gains and loses;
# 3. **compute** by hand, from a wave, what a model sees (programmers);
# 4. **say** how much of a "recording of a species" is empty of it;
# 5. **tell apart** what four published models see, and why one cannot read another's picture;
# 6. **hear** what such a picture has lost.
#
# Six predictions, **P1** to **P6**, stand just before the cell that answers them. Write yours down first.

# %% cellView="form" jupyter={"source_hidden": true}
# @title Set-up: run it once. Where the study is installed it does nothing.
import os
import subprocess
import sys
from pathlib import Path

KEEP_ON_DRIVE = False  # in Colab: True keeps recordings and trained models on your Google Drive
REPOSITORY = os.environ.get("STUDY_REPOSITORY", "")

try:
    from lib.course import colab
except ImportError:  # this notebook came without its repository, as in Colab
    near = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "bioacoustic-mae"]
    root = next((folder for folder in near if (folder / "lib/course/colab.py").is_file()), None)
    if root is None and not REPOSITORY:
        raise ModuleNotFoundError("no lib here: open this notebook inside its repository, "
                                  "or set STUDY_REPOSITORY to its address") from None
    if root is None:
        root = near[-1]
        subprocess.run(["git", "clone", "-q", "--depth", "1", REPOSITORY, str(root)], check=True)
    os.chdir(root)
    sys.path.insert(0, str(root))  # not an editable install: a running kernel would not see it
    sys.modules.pop("lib", None)  # another folder of that name
    from lib.course import colab

colab.prepare(KEEP_ON_DRIVE)

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Image
from torch.nn.utils.rnn import pad_sequence

from lib import audio, mel, plots, runs, sources
from lib.course import exercises
from lib.explorers import base, front_ends
from lib.sources import chorus, chorus_voices, tables

plots.style()

# %% tags=["parameters"]
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # which clips are drawn for the histograms
data_seed: int = 0  # which synthetic world is made
# folder:PATH has one folder per species, or per class
wildlife: str = "chorus"  # the animal recordings: chorus, inatsounds:ROOT or folder:PATH
general: str = "chorus"  # everyday sounds: chorus, audioset:ROOT, esc50 or folder:PATH

# %% [markdown]
# ## 1 · A pure tone
#
# Sound is air pressure that goes up and down. How often it does so in a second is its **frequency**, in **hertz**
# (Hz); we hear it as pitch. A microphone measures the pressure at equal steps of time: each measurement is a
# **sample**, their number in a second is the **sampling rate**, and the row of all samples is the **wave**. Here the
# rate is 22,050 Hz, and the wave swings 1,000 times a second:

# %%
RATE = 22_050
seconds = torch.arange(2 * RATE) / RATE                                     # (N,)
tone = 0.1 * torch.sin(2 * torch.pi * 1000 * seconds)
plots.sound(tone, RATE, title="a pure tone of 1,000 Hz")

# %% [markdown]
# How does a computer find the 1,000? It takes a short piece of the wave, a **frame** of 512 samples, and fades both
# ends to zero, since a hard edge would add a click. The fading curve is the **window** (a Hann window, after Julius von
# Hann). The **FFT** (fast Fourier transform) then says how much of each frequency is in the frame, its **magnitude**.
# It answers for a ladder of frequencies, the FFT's **bins**, evenly from 0 to half the sampling rate. Higher it cannot
# go, since a swing needs two samples; this half is called the **Nyquist frequency**. One frame makes one column of the
# picture. The next frame begins 128 samples later, which is the **hop**.

# %%
def spectrogram(wave, window=512, hop=128):
    """How much of each frequency sounds in each frame: (frames, window / 2 + 1)."""
    fade = torch.hann_window(window)
    frames = wave.unfold(0, window, hop) * fade                             # (frames, window)
    return torch.fft.rfft(frames).abs() * 2 / fade.sum()


def picture(ax, x, window=512, hop=128, title="", limits=(None, None)):
    """One column a frame: time to the right, frequency upwards, bright where much of it sounds."""
    begin = (window - hop) / 2 / RATE  # a column stands in the middle of its frame
    ax.imshow(x.T, origin="lower", aspect="auto", cmap="magma", vmin=limits[0], vmax=limits[1],
              extent=(begin, begin + len(x) * hop / RATE, 0, RATE / 2000))
    ax.set(xlabel="time (s)", ylabel="frequency (kHz)", title=title)
    ax.locator_params(axis="y", integer=True, nbins=6)


x = spectrogram(tone)
print(f"{len(tone):,} samples make {x.shape[0]} frames of {x.shape[1]} bins; "
      f"a frame lasts {512 / RATE * 1000:.1f} ms, a hop {128 / RATE * 1000:.1f} ms, "
      f"bins are {RATE / 512:.1f} Hz apart")

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.5, 2.8))
ms, start = 1000 * seconds[:800], 144
left.plot(ms, tone[:800], color="0.75")
left.plot(ms[start:start + 512], tone[start:start + 512] * torch.hann_window(512), color="C1")
left.set(xlabel="time (ms)", ylabel="pressure", title="1. cut a frame, fade its ends")
middle.plot(torch.arange(70) * RATE / 512 / 1000, x[1, :70], "o-", color="C1", markersize=3)
middle.set(xlabel="frequency (kHz)", ylabel="magnitude", title="2. the FFT of that frame")
picture(right, x, title="3. a column for each frame")
right.set(ylim=(0, 4));

# %% [markdown]
# *Figure 1. From a tone to its spectrogram: the wave with one faded frame in orange, the magnitude of each FFT bin of
# that frame, and all frames side by side.* **See:** the FFT peaks at 1 kHz, three bins wide; in the spectrogram time
# runs to the right, frequency (in kHz, thousands of hertz) upwards, bright means much, and a tone that never changes is
# a level line.

# %% [markdown]
# ## 2 · Two tones and a glide
#
# Two tones at once, then a glide, a tone whose frequency climbs from 0.5 to 8 kHz:

# %%
two = (tone + 0.1 * torch.sin(2 * torch.pi * 1500 * seconds)) / 2
climb = 500 * seconds + (8000 - 500) / 4 * seconds**2                       # turns since the start
glide = 0.1 * torch.sin(2 * torch.pi * climb)
plots.sound(two, RATE, title="two tones at once, 1,000 and 1,500 Hz")

# %%
plots.sound(glide, RATE, title="a glide from 500 to 8,000 Hz")

# %%
figure, axes = plt.subplots(2, 2, figsize=(9, 3.6))
for (left, right), sound, name, top in ((axes[0], two, "two tones", 4),
                                        (axes[1], glide, "a glide", 10)):
    left.plot(1000 * seconds[:600], sound[:600], linewidth=1)
    left.set(xlabel="time (ms)", ylabel="pressure", title=f"{name}: 27 ms of the wave")
    picture(right, spectrogram(sound), title=f"{name}: spectrogram")
    right.set(ylim=(0, top))

# %% [markdown]
# *Figure 2. Two tones, and a glide, each as a wave and as a spectrogram.* **See:** the wave of two tones is a tangle,
# the spectrogram shows two lines; a glide is a slope. What sounds together is taken apart by pitch.

# %% [markdown]
# ## 3 · A call, a field recording, and decibels
#
# Now an animal. The recordings of this course come from `chorus`, a synthetic sound world made on your computer:
# invented species call in invented fields. What it shows holds **in the generator's world** only; its use is that we
# know when exactly each animal calls. Here the bird *Tinnula alba* sings alone:

# %%
voices = {genus.name: genus.voice for genus in chorus_voices.GENERA}


def sung(voice, loud=0.03):
    """One call of a voice, without any field around it."""
    rng = np.random.default_rng(1)
    return loud * torch.from_numpy(chorus_voices.sing(chorus_voices.plan(voice, rng), voice, rng))


call = sung(replace(voices["Tinnula"], sweep=0.5)).float()
plots.sound(call, RATE, title="a call of Tinnula alba, alone")

# %% [markdown]
# And now in a field, with wind and neighbours:

# %%
size = runs.scale(scale)
wild = sources.recordings(wildlife, "wildlife", size.chorus, data_seed)
world = sources.recordings(general, "general", size.chorus, data_seed)
synthetic = set(wild.get("source", [])) == {"chorus"}
events = chorus.events(wild) if synthetic else pd.DataFrame(columns=chorus.EVENT_COLUMNS)
calls = events[events.kind == "call"]
inside = (calls.end_s.clip(upper=3) - calls.start_s.clip(upper=3)).groupby(calls.file).sum()
heard = wild[wild.duration_s > 0]  # iNatSounds holds a few recordings without a sample
species = heard.groupby(heard.get("taxon", heard.label)).label.first().head(4)
examples = heard.loc[[heard[heard.label == label].file.map(inside).fillna(0).idxmax()
                      for label in species]]

# %%
wave = audio.read(examples.file.iloc[0], rate=RATE, duration_s=3.0)         # (N,)
plots.sound(wave, RATE, title=f"a field recording with {examples.label.iloc[0]}")

# %% [markdown]
# The wave of a near animal can be a thousand times as large as that of a far one which we still hear. Drawn as it is,
# the faint one vanishes. Ears work by ratio, and so does the **decibel** (dB), $20 \log_{10}$ of the magnitude: ten
# times as much is 20 dB more, a hundred times 40 dB. It needs a zero: here 0 dB is the smallest step that a sound file
# of 16 bits can hold.

# %%
def decibels(x):
    """Magnitudes of a wave in [-1, 1] in dB over one step of a 16-bit file."""
    return 20 * torch.log10((x * 2**15).clamp(min=1e-10))


figure, axes = plt.subplots(2, 3, figsize=(9, 4.2))
for row, sound, name in zip(axes, (call, wave), ("call alone", "field recording")):
    x = spectrogram(sound)
    row[0].plot(torch.arange(len(sound)) / RATE, sound, linewidth=0.4)
    row[0].set(xlabel="time (s)", ylabel="pressure", title=f"{name}: wave")
    picture(row[1], x, title="magnitude")
    picture(row[2], decibels(x), title="the same in decibels", limits=(-20, 45))
    row[2].set_ylabel("")

# %% [markdown]
# *Figure 3. A call alone, and a recording with such calls in a field: wave, magnitudes, decibels.* **See:** the bird
# sings rising strokes; above each lies a fainter one at twice the frequency, a **harmonic** (or overtone; the lowest
# line is the *fundamental*). As magnitudes, nearly all of the field recording is black; in decibels wind (low), calls
# and a neighbour are all there. **Ask:** which strokes belong to the bird you heard alone? (Figure 8 frames them, and
# the neighbour.)

# %% [markdown]
# ## 4 · How long a window?
#
# The frames above have 512 samples. Why? In the next sound a frog croaks: its throat gives about 140 pulses a second,
# which is also a stack of harmonics, tones at 140 Hz and at two, three, four ... times that. Then come two clicks, 10 ms
# apart. We look through windows of 64, 512 and 2,048 samples.
#
# > **Predict, P1.** Two clicks 10 ms apart, seen through windows of 64, 512 and 2,048 samples at 22,050 Hz: which shows
# > them as two?

# %% tags=["predict"]
p1 = None  # 64, 512 or 2048

# %%
frog = sung(replace(voices["Grumella"], pitch_hz=140.0, formant_hz=800.0, repeats=(1, 1))).float()
quiet = torch.zeros(int(0.1 * RATE))
both = torch.cat([quiet, frog, quiet, quiet, quiet])
clicks = len(frog) + 2 * len(quiet) + torch.tensor([0, RATE // 100])        # two samples
both[clicks] = 0.5
plots.sound(both, RATE, title="a croak, then two clicks 10 ms apart")

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), sharey=True)
for ax, window in zip(axes, (64, 512, 2048)):
    x = decibels(spectrogram(both, window, hop=8))
    title = f"{window:,} samples, {1000 * window / RATE:.0f} ms"
    picture(ax, x, window, 8, title, (15, 55))
    ax.set(xlim=(0.06, 0.54), ylim=(0, 2.5))
    ax.label_outer()

# %% [markdown]
# *Figure 4. One sound through a short, a middle and a long window.* **See:** the short window shows *when*: two clicks,
# and in the croak the single pulses of the frog's throat, but no pitch. The long one shows *which pitch*, the harmonics
# as lines, and smears the clicks into one. 512 samples are a compromise. Both at once cannot be had: a window of $L$
# seconds tells apart moments about $L / 2$ apart, and frequencies about $2 / L$ Hz apart.

# %%
shown = []
for window in (64, 512, 2048):
    level = spectrogram(both, window, hop=1).mean(dim=1)
    on, between = level[clicks[0] - window // 2], level[clicks.sum() // 2 - window // 2]
    print(f"window {window:5,}: between the clicks {between / on:.2f} of the level on the first")
    shown += [str(window)] if between < on / 2 else []
exercises.predicted("P1, windows that show two clicks", p1, " and ".join(shown))

# %% [markdown]
# ## 5 · Mel: pitch as ears hear it
#
# From 200 to 400 Hz is an octave; so is 4,000 to 8,000. On an axis of hertz the second is twenty times as long. The
# **mel** scale (from *melody*) is about even below 1 kHz and by ratio above, as people judge pitch. To get there,
# neighbouring bins are added up by triangles of equal width in mel, the **mel filters**, and each filter gives one
# **mel band** (or *mel bin*, as code and papers often say), a row of the picture:

# %%
few = replace(mel.INAT, mels=8)  # eight wide filters for the eye; the course uses 128
middles, rows = mel.centres(few).numpy(), np.arange(128) + 0.5
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 3.2))
picture(left, decibels(spectrogram(wave)), title="257 bins, even in hertz", limits=(-20, 45))
left.hlines(middles / 1000, 0, 3, color="white", linewidth=0.8)
middle.plot(mel.filters(few), torch.arange(513) * RATE / 1024 / 1000)
middle.set(xlabel="weight", ylim=(0, RATE / 2000), title="mel filters, here only 8")
plots.spec(right, mel.LogMel(mel.INAT)(wave[None]), mel.INAT, "128 bands, even in mel")
right.hlines(np.interp(middles, mel.centres(mel.INAT), rows), 0, 3, color="white", linewidth=0.8);

# %% [markdown]
# *Figure 5. One recording on an axis of hertz, mel filters, and the same recording in mel bands; white lines lie at the
# middles of the eight filters.* **See:** low filters are narrow, high ones wide. Below about 3 kHz mel opens up; above,
# it presses together. It does not follow the ears of a frog or a bat: it is a choice to keep fine steps at low pitch
# and coarse ones at high pitch.

# %% [markdown]
# Decibels of mel bands are a **log-mel**. It is what nearly every model of this field is given.
#
# ## 6 · Explore
#
# Everything so far with controls. On GitHub only this still picture shows; run the notebook to move it.

# %%
sounds = {f"{i + 1}. {row.label}": base.Sound(audio.read(row.file, duration_s=3.0),
                                              audio.info(row.file).rate)
          for i, row in enumerate(examples.itertuples())}
sounds["croak and clicks"] = base.Sound(both, RATE)
explorer = front_ends.FrontEnds(sounds)
view = explorer.update("croak and clicks", window=128, hop=32)
print(view.text)
Image(view.image)

# %% [markdown]
# *Figure 6. The explorer, here with the sound of Figure 4 and a window of 128 samples: the log-mel, and the lowest mel
# filters over the FFT's bins (dots).* **See:** a window of 6 ms keeps the two clicks apart also in a log-mel. And here
# it is:

# %%
explorer

# %% [markdown]
# *The explorer.* Keys: Tab moves between the controls, arrows change a value. Try:
#
# - The window from 64 to 2,048 samples: when do the clicks melt together, when do harmonics appear?
# - Take the logarithm away: what is left of the quiet calls?
# - A range that ends at 8 kHz, then *listen*: what of the animal is gone?

# %% [markdown]
# ## 7 · A log-mel by hand
#
# *For programmers; others go on with section 8.* The field recording again, with the numbers of Liu et al. 2026: frames
# of $N = 512$ samples, a hop of $H = 128$, 128 bands from 50 to 11,025 Hz. The paper leaves the FFT's length $K$, the
# mel formula and the logarithm open; these follow code that was once public with its data set ($K = 1024$).
#
# **Frames**, faded by the window $w$: $x_t[n] = w[n]\, x[tH + n]$ (1).

# %%
frames = wave.unfold(0, 512, 128) * torch.hann_window(512)                  # (T, 512)

# %% [markdown]
# **FFT** over $K \ge N$ points, zeros fill up: $X_t[k] = \sum_n x_t[n]\, e^{-2\pi i k n / K}$ (2). The factor makes a
# full sine read its amplitude in 16-bit steps.

# %%
magnitude = torch.fft.rfft(frames, n=1024).abs()                            # (T, 513)
magnitude = magnitude * 2 / torch.hann_window(512).sum() * 2**15
print(magnitude.shape, f"bins {RATE / 1024:.1f} Hz apart")

# %% [markdown]
# **Mel filters** $h_m$ at equal steps of $\mathrm{mel}(f) = 1127 \ln(1 + f / 700)$ (3); the bands are
# $S_t[m] = \sum_k h_m[k]\, |X_t[k]|$ (4).

# %%
hz = torch.arange(513) * RATE / 1024                                        # (513,)
def to_mel(f):
    return 1127 * torch.log1p(torch.as_tensor(f, dtype=torch.float64) / 700)


# 128 triangles share 130 edges
edge = torch.linspace(to_mel(50), to_mel(11_025), 130, dtype=torch.float64)
rise = (to_mel(hz)[:, None] - edge[:-2]) / (edge[1:-1] - edge[:-2])         # (513, 128)
fall = (edge[2:] - to_mel(hz)[:, None]) / (edge[2:] - edge[1:-1])
triangles = torch.minimum(rise, fall).clamp(min=0).float()
bands = magnitude @ triangles                                               # (T, 128)

# %% [markdown]
# torchaudio's filters, where it is installed, have the same feet and peaks; their sides are straight over Hz, ours over
# mel.

# %%
try:
    from torchaudio.functional import melscale_fbanks
except (ImportError, OSError) as error:  # OSError: it was built for another torch
    print(f"no torchaudio here to compare with ({type(error).__name__})")
else:
    theirs = melscale_fbanks(513, 50.0, 11_025.0, 128, 22_050, mel_scale="htk")   # (513, 128)
    assert (theirs - triangles).abs().max() < 0.005
    print(f"torchaudio's weights differ by {(theirs - triangles).abs().max():.4f} at most")

# %% [markdown]
# **Decibels**, cut to what is worth keeping, $L_t[m] = \mathrm{clip}(20 \log_{10} S_t[m], -50, 50)$ (5), and the
# model's **constants**, a mean, a spread and a divisor: $\mathrm{spec} = (L - \mu) / (d\, \sigma)$ (6).

# %%
log_mel = (20 * torch.log10(bands.clamp(min=1e-10))).clamp(-50, 50)         # (T, 128)
by_hand = (log_mel - mel.INAT.mean) / (mel.INAT.divisor * mel.INAT.std)
print(f"{log_mel.min():.0f} to {log_mel.max():.0f} dB; normalised {by_hand.min():.2f} to "
      f"{by_hand.max():.2f}; {(log_mel >= 50).float().mean():.1%} of cells are cut at +50 dB")

# %% [markdown]
# **Checkpoint.** Your log-mel is the library's; from here on it is imported.

# %%
by_lib = mel.LogMel(mel.INAT)(wave[None])[0, 0]                             # (B, 1, T, M) -> (T, M)
assert by_lib.shape == by_hand.shape and (by_lib - by_hand).abs().max() < 0.01
print(f"largest difference {(by_lib - by_hand).abs().max():.1e}")

# %% [markdown]
# A clip of $n$ samples has $T = 1 + \lfloor (n - N) / H \rfloor$ (7) frames.
#
# > **Predict, P2.** A clip of 3 s has 66,150 samples. Its log-mel has a frame every 128 samples, and a frame has 128
# > numbers. Are these much fewer numbers than samples, about as many, or many more?

# %% tags=["predict"]
p2 = None  # "much fewer", "about as many" or "many more"

# %%
# NBVAL_CHECK_OUTPUT
for samples in (66_150, 65_920, 65_919):
    print(f"{samples:6,} samples, {samples / 22_050:.4f} s: {mel.INAT.count(samples)} frames")
print(f"3 s: 66,150 samples in, {512 * 128:,} numbers out")

# %%
ratio = 512 * 128 / 66_150
exercises.predicted("P2, numbers in a log-mel", p2,
                    "much fewer" if ratio < 0.5 else "about as many" if ratio < 2 else "many more")

# %% [markdown]
# <details><summary>Answer to P2</summary>About as many: a log-mel of this hop does not compress, it makes neighbours of
# what belongs together.</details>
#
# Three seconds give 513 frames; the model takes 512, a multiple of 16, which notebook 01 needs. So its window of "3 s"
# is 2.990 s. Longer recordings are covered like this, the last window aligned to the end:

# %%
# NBVAL_CHECK_OUTPUT
starts = audio.windows(samples=8 * 22_050, length=mel.INAT.samples, step=256 * mel.INAT.hop)
print(f"{mel.INAT.seconds:.3f} s from", [f"{start / 22_050:.2f} s" for start in starts])

# %% [markdown]
# ## 8 · The recordings of this course
#
# There are two pools: **wildlife**, with one named species per recording (the papers' iNatSounds), and **general**,
# everyday sounds (the papers' AudioSet). A model hears 3 s at a time, and these are called a **window** too: of the
# recording this time, not of a frame. A pool is a table with a row per recording:

# %%
columns = [c for c in ("file", "label", "split", "duration_s", "taxon", "group") if c in wild]
heads = wild.groupby("split", sort=False).head(1)[columns]
heads.assign(file=[Path(file).name for file in heads.file]).round(1).set_index("file")

# %% [markdown]
# Models learn from `train`; choices are made on `val`, results are read from `test`. `group` names the individual and
# place, and never spans two splits: otherwise a model could pass the test by remembering the microphone. Species that
# occur in `train` only are not *evaluated*. In the synthetic world `test` is twice as large as `train`: labels cost
# nothing there, and many test recordings make short intervals.

# %%
def counts(table):
    return " / ".join(f"{(table.split == part).sum():,}" for part in ("train", "val", "test"))


scored = wild[wild.split == "val"].label.nunique()
sizes = pd.DataFrame([
    ("paper: iNatSounds", "137,012 / 45,698 / 49,527", "5,569 species, 1,212 evaluated"),
    ("paper: AudioSet", "1,880,019 for pretraining", "527 classes, not used"),
    ("here: wildlife", counts(wild), f"{wild.label.nunique()} species, {scored} evaluated"),
    ("here: general", counts(world), f"{world.label.nunique()} classes, not used"),
], columns=["pool", "recordings (train / val / test)", "labels"])
sizes.set_index("pool")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.1))
train = wild[wild.split == "train"].label.value_counts()
evaluated = set(wild[wild.split == "val"].label)
left.bar(range(len(train)), train,
         color=["C0" if label in evaluated else "0.7" for label in train.index])
left.set(xlabel="species, commonest first", ylabel="recordings in train",
         title="a long tail (grey: not evaluated)")
right.hist([wild.duration_s, world.duration_s], bins=30, label=["wildlife", "general"],
           stacked=True)
right.axvline(mel.INAT.seconds, color="k", linestyle=":", label="one window")
right.set(xlabel="length (s)", ylabel="recordings", title="lengths")
right.legend();

# %% [markdown]
# *Figure 7. Recordings per species in train, and how long recordings are.* **See:** few species are common and many are
# rare, a *long tail*; the commonest has eight times the recordings of the rarest. So accuracy is averaged over species,
# each counts once. Recordings last from one window to several, so a recording's answer is averaged over its windows.

# %%
log_mel_of = mel.LogMel(mel.INAT)
drawn = torch.randperm(len(world), generator=torch.Generator().manual_seed(seed + 1))[:4].tolist()
figure, axes = plt.subplots(2, 4, figsize=(9, 3.7), sharex=True, sharey=True)
for ax, row in zip(axes.flat, [*examples.itertuples(), *world.iloc[drawn].itertuples()]):
    sound = audio.read(row.file, rate=RATE, duration_s=3.0)
    plots.spec(ax, log_mel_of(sound[None], frames=512), mel.INAT, row.label, limits=(-2.5, 2))
    here = events[(events.file == row.file) & (events.start_s < 2.99)]
    plots.boxes(ax, here[here.kind == "call"], mel.INAT)
    plots.boxes(ax, here[here.kind != "call"], mel.INAT, edgecolor="white", linestyle=":")
    ax.set(xlim=(0, mel.INAT.seconds))
    ax.label_outer()

# %% [markdown]
# *Figure 8. Four wildlife recordings (above) and four everyday sounds (below) as log-mels in one colour scale.*
# **See:** cyan boxes hold calls of the named species, dotted white ones calls of others that nobody labelled; a box
# reaches from the lowest to the highest overtone, and in the second and third picture the call is the bright dashes on
# its lower edge, the overtones too faint to see. Wind lies
# at the bottom. Everyday sound is fuller: music and beeps are stacks of lines, applause is many vertical streaks.

# %% [markdown]
# > **Predict, P3.** These four were picked because the animal calls longest in them. Cut all wildlife recordings into
# > windows of 3 s: in how many per cent of them does the named species not call at all?

# %% tags=["predict"]
p3 = None  # per cent of the windows

# %%
if synthetic:
    share = 100 * chorus.empty_share(wild, events)                          # per cent
    chance = 200 * np.sqrt(share / 100 * (1 - share / 100) / len(wild))
    exercises.predicted("P3, windows without a call", p3, round(share), "%",
                        within=(round(share - chance), round(share + chance)))
    others = events[events.kind == "background"].file.nunique() / len(wild)
    print(f"recordings with a call of an unlabelled species: {others:.0%}")

# %% [markdown]
# (Another draw of as many recordings would differ by so much.) In real recordings nobody knows this share, and yet every
# window inherits the recording's label: the *weak label* problem of notebook 07.

# %% [markdown]
# ## 9 · Four models, four front ends
#
# Whatever turns a wave into a model's input is its **front end**. Here are those of four published models:
#
# | | sampling rate | window / hop | bands | logarithm of | mean, spread, divisor | model's frames |
# |---|---|---|---|---|---|---|
# | `inat` (Liu et al. 2026) | 22,050 Hz | 23.2 / 5.8 ms | 128 | magnitude, dB, cut at ±50 | 15.69, 17.86, 1 | 512 = 3.0 s |
# | `birdmae` (Rauch et al. 2025) | 32,000 Hz | 25 / 10 ms | 128 | power | -7.2, 4.43, 2 | 512 = 5.1 s |
# | `audiomae` (Huang et al. 2022) | 16,000 Hz | 25 / 10 ms | 128 | power | -4.268, 4.569, 2 | 1,024 = 10.2 s |
# | `msm_mae` (Niizumi et al. 2022) | 16,000 Hz | 25 / 10 ms | 80 | power | -7.1, 4.2, 1 | 208 = 2.1 s |
#
# The last step takes off the mean and divides by spread and divisor, so that values lie around 0: they are
# *normalised*. (Power is magnitude squared. AudioMAE and Bird-MAE first raise high frequencies. MSM-MAE's constants are
# those of its successor M2D.) A wave holds frequencies up to half its sampling rate and no more (section 1). Here are a
# glide from 0.2 to 15 kHz and the field recording.

# %%
t = torch.arange(3 * 32_000, dtype=torch.float64) / 32_000                   # s
sweep = (0.01 * torch.sin(2 * torch.pi * (200 * t + (15_000 - 200) / 6 * t**2))).float()
fronts = [mel.INAT, mel.BIRDMAE, mel.AUDIOMAE, mel.MSM_MAE]
figure, axes = plt.subplots(2, 4, figsize=(9, 4.1))
for column, one in zip(axes.T, fronts):
    recording = audio.read(examples.file.iloc[0], rate=one.rate, duration_s=3.0)
    swept = audio.resample(sweep, 32_000, one.rate)
    for ax, sound, what in zip(column, (swept, recording), ("glide", "field")):
        plots.spec(ax, mel.LogMel(one)(sound[None]), one, f"{one.name}: {what}")
    column[0].set_xlabel("")
for ax in axes[:, 1:].flat:
    ax.set_ylabel("")
axes[1, 2].annotate("stripes", (1.5, 6), (1.8, 26), color="white",
                    arrowprops=dict(arrowstyle="->", color="white"))

# %% [markdown]
# *Figure 9. One glide and one recording through the four front ends.* **See:** the glide, straight in hertz, bends on
# the mel axis and ends where the front end ends: at a rate of 16 kHz there is nothing above 8 kHz. Bird-MAE reaches 16
# kHz, but the recording was made at 22,050 Hz and is black above 11 kHz: raising a rate adds no sound. The same call
# stands at another height in each picture, so a model cannot read another's. (The falling lines in the first panel are
# leftovers of resampling; the stripes are explained below.)

# %%
if synthetic:
    tops = calls.merge(wild[["file", "taxon"]], on="file").groupby("taxon").high_hz
    for group, top in tops:
        print(f"{group}: {len(top):,} calls, {(top > 8000).mean():.0%} reach above 8 kHz")

# %% [markdown]
# A model at 16 kHz cannot hear these upper parts, and nearly all real bats and most bush-crickets call above 8 kHz
# altogether: no training adds what the front end removes. A wave of the wrong rate would be read as a slower and lower
# sound, and no number would look wrong. So it is refused:

# %%
# NBVAL_CHECK_OUTPUT
try:
    mel.check_rate(mel.INAT, 44_100)
except ValueError as error:
    print(error)

# %% [markdown]
# ### The stripes at the bottom
#
# *This and the next two parts are for programmers; others go on with section 10.* At the bottom of AudioMAE's pictures
# run dark stripes, through every sound. Where filters are narrower than the step between two FFT bins, one may hold no
# bin: its band is **empty**. (An FFT may have more points than a frame has samples; zeros fill up, and there are more
# bins. `inat` takes 1,024 points.)
#
# > **Predict, P4.** An FFT over 512 samples at 22,050 Hz feeds the 128 filters of `inat`. How many of them hold no bin?

# %% tags=["predict"]
p4 = None  # filters out of 128

# %%
# NBVAL_CHECK_OUTPUT
coarse = replace(mel.INAT, name="inat, 512 points", n_fft=512)
weights = {one.name: mel.filters(one).sum(dim=0) for one in (coarse, *fronts)}
for name, weight in weights.items():
    usual = weight[:16].max()
    print(f"{name}: empty {(weight == 0).nonzero()[:, 0].tolist()}, nearly empty "
          f"{((weight > 0) & (weight < 0.1 * usual)).nonzero()[:, 0].tolist()}")

# %%
exercises.predicted("P4, empty filters of 128", p4, int((weights[coarse.name] == 0).sum()))

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3))
for ax, one in zip(axes, (coarse, mel.AUDIOMAE)):
    low, weight = mel.filters(one)[:24, :12], weights[one.name][:12]
    ax.plot(torch.arange(24) * one.rate / one.n_fft, low, marker="o", markersize=3, linewidth=1)
    for found, sign, word in ((weight == 0, "kx", "empty"),
                              ((weight > 0) & (weight < 0.1), "k^", "nearly empty")):
        middles = mel.centres(one)[:12][found]
        ax.plot(middles, 0 * middles, sign, markersize=8, markeredgewidth=2, label=word)
    ax.set(xlim=(20, 320), ylim=(-0.05, 1.3), xlabel="frequency (Hz)", ylabel="weight",
           title=f"lowest of {one.name}")
    ax.legend(ncols=2, loc="upper center", handletextpad=0.2, columnspacing=1)
recording = audio.read(examples.file.iloc[0], rate=16_000, duration_s=3.0)
lowest = mel.LogMel(mel.AUDIOMAE)(recording[None])[0, 0, :, :12]            # (T, 12)
axes[2].imshow(lowest.T, origin="lower", aspect="auto", cmap="magma", extent=(0, 3, -0.5, 11.5))
axes[2].plot([0.1], [3], "wx", markersize=8, markeredgewidth=2)
axes[2].plot([0.1] * 3, [1, 5, 7], "w^", markersize=7)
axes[2].set(xlabel="time (s)", ylabel="mel band", title="their bands in the recording");

# %% [markdown]
# *Figure 10. The lowest filters as the FFT samples them (dots), for `inat` with an FFT of 512 points and for AudioMAE,
# and AudioMAE's lowest bands.* **See:** the dark stripes are these filters. AudioMAE's number 3 is empty and says
# nothing about any sound; 1, 5 and 7 catch a bin with the foot of their triangle only, a faint copy of their neighbour.
# With an FFT of 1,024 points `inat` has no such filter. The detail is no finer for it: the window is still 512 samples.

# %% [markdown]
# ### Padding
#
# A clip shorter than the model's window must be filled up.
#
# > **Predict, P5.** AudioMAE's code fills a short clip with 0 after the logarithm, before normalising. Is that quieter
# > than the clip, as loud, or louder?

# %% tags=["predict"]
p5 = None  # "quieter", "as loud" or "louder"

# %%
short = audio.read(examples.file.iloc[0], rate=16_000, duration_s=1.5)
silent = mel.LogMel(mel.AUDIOMAE)(short[None], frames=300)
zeros = mel.LogMel(replace(mel.AUDIOMAE, pad=0.0))(short[None], frames=300)
clip, filled = float(zeros[..., :140, :].mean()), float(zeros[..., 160:, :].mean())
true = mel.normalise(mel.AUDIOMAE.pad, mel.AUDIOMAE)
print(f"the clip's mean {clip:+.2f}, 0 becomes {filled:+.2f}, true silence is {true:+.2f}")
verdict = "quieter" if filled < clip - 0.1 else "louder" if filled > clip + 0.1 else "as loud"
exercises.predicted("P5, zeros beside the clip", p5, verdict)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9.5, 2.6), sharey=True)
titles = "filled with silence (ours)", "filled with 0 (AudioMAE's code)"
for ax, padded, title in zip(axes, (silent, zeros), titles):
    image = plots.spec(ax, padded, mel.AUDIOMAE, title, limits=(-1.3, 1.0))
    ax.label_outer()
figure.colorbar(image, ax=axes, label="what the model sees");

# %% [markdown]
# *Figure 11. One clip of 1.5 s, filled up to 3 s in two ways.* **See:** zeros are louder than most of the clip. The
# logarithm is 0 where the power is 1, which is loud in AudioMAE's units. So the pad value belongs to the front end.

# %% [markdown]
# ### The constants belong to the model
#
# Mean and spread were measured once, on the data the model was trained with. Fitted again, they would show it every
# sound at a loudness it has never met. Here are 200 clips of each pool:

# %%
def clips(table, rate, count=200):
    """Waves of up to 3 s of random recordings, zero-padded to one tensor, and their lengths."""
    table = table[table.duration_s > 0]
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))
    files = table.file.iloc[order[:count].tolist()]
    waves = [audio.read(file, rate=rate, duration_s=3.0) for file in files]
    return pad_sequence(waves, batch_first=True), torch.tensor([len(w) for w in waves])


seen = {one.name: mel.LogMel(one)(*clips(wild, one.rate)).flatten() for one in fronts}
pools = {"wildlife": seen["inat"],
         "general": mel.LogMel(mel.INAT)(*clips(world, RATE)).flatten()}

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.2), sharey=True)
for ax, groups, title in ((left, seen, "wildlife through four front ends"),
                          (right, pools, "two pools through inat")):
    for name, x in groups.items():
        ax.hist(x.numpy(), bins=np.linspace(-4, 3, 106), density=True, histtype="step",
                linewidth=1.5, label=f"{name}: mean {x.mean():+.2f}, spread {x.std():.2f}")
    ax.set(xlabel="normalised value", title=title, ylim=(0, 2.9))
    ax.legend(loc="upper left")
left.set_ylabel("density")
for name, x in pools.items():
    print(f"{name} through inat: {(x == x.max()).float().mean():.1%} of cells are cut at +50 dB")

# %% [markdown]
# *Figure 12. What the models see of 200 clips, as a distribution of values.* **See:** none has mean 0, since `chorus` is
# not what the constants were measured on. General sound spreads wider and is cut at +50 dB more often, the sharp peak at
# the right; normalising each pool to itself would hide that. So the constants stay fixed in all experiments. Peaks at
# the left are silence, filling, and Bird-MAE's empty bands above 11 kHz.

# %% [markdown]
# ## 10 · Back to sound
#
# A log-mel has lost what lies between two filters, and the **phase**, which says where in its swing each tone begins.
# `mel.to_wave` undoes the decibels, finds FFT bins that give the same mel bands, and guesses phases that fit
# overlapping frames (Griffin and Lim's method).
#
# > **Predict, P6.** What will you miss more: the pitch of the call, or its crispness?

# %%
x = mel.LogMel(mel.INAT)(wave[None])                                        # (1, 1, 513, 128)
back = mel.to_wave(x[0, 0], mel.INAT)                                       # (N,)
again = mel.LogMel(mel.INAT)(back[None])
print(f"{len(wave):,} samples in, {len(back):,} back; correlation of the two log-mels "
      f"{torch.corrcoef(torch.stack([x.flatten(), again.flatten()]))[0, 1]:.3f}")
plots.sound(wave, RATE, title="the recording")

# %%
plots.sound(back, RATE, title="what its log-mel still knows (inat)")

# %%
at_16k = audio.read(examples.file.iloc[0], rate=16_000, duration_s=3.0)
poor = mel.to_wave(mel.LogMel(mel.MSM_MAE)(at_16k[None])[0, 0], mel.MSM_MAE)
plots.sound(poor, 16_000, title="the same through MSM-MAE: 80 bands, nothing above 8 kHz")

# %% [markdown]
# <details><summary>Answer to P6</summary>The two log-mels are nearly the same; the ear is stricter. The pitch is right,
# the crispness is gone: a watery sound, since phases are guessed.</details>
#
# This is the price of the picture, not of a model. When a later notebook plays what a model guessed, play this beside
# it.

# %%
assert again.shape == x.shape
assert torch.corrcoef(torch.stack([x.flatten(), again.flatten()]))[0, 1] > 0.9
assert filled > clip > true
print("checkpoint passed")

# %% [markdown]
# ## 11 · Where the spectrogram stands in the two papers
#
# Both papers train a masked autoencoder. A spectrogram is cut into patches (little squares) and most are hidden. An
# **encoder** makes numbers of the visible ones, a **decoder** guesses the hidden ones from these; that is
# *pretraining*, and it needs no names of species. *Finetuning* then trains the encoder on with names. Notebooks 01 and
# 02 show how; this notebook is the orange box.

# %%
def flow(ax, words, title, marked=1):
    """A row of boxes with arrows between them."""
    for i, word in enumerate(words):
        colour = "C1" if i == marked else "0.93"
        box = dict(boxstyle="round,pad=0.4", fc=colour, ec="0.4")
        ax.text(i, 0, word, ha="center", va="center", fontsize=9.5, bbox=box)
        if i:
            ax.annotate("", (i - 0.39, 0), (i - 0.61, 0),
                        arrowprops=dict(arrowstyle="-|>", color="0.3"))
    ax.set(xlim=(-0.5, len(words) - 0.5), ylim=(-1, 1))
    ax.set_title(title, loc="left")
    ax.axis("off")


# %%
train_on = ["encoder\n(visible only)", "decoder\nguesses the\nhidden ones",
            "squared error\non hidden\npatches"]
liu = ["iNatSounds,\nAudioSet\n(waves)", "log-mel\n512 x 128", "hide 80 % of\n16 x 16 patches",
       *train_on]
then = ["iNatSounds\nwith labels", "log-mel\n512 x 128", "all patches",
        "the same\nencoder", "classifier", "one species\nper recording"]
niizumi = ["AudioSet\n(waves)", "log-mel\nT x 80", "hide 75 % of\nthe patches", *train_on]
frozen = ["15 HEAR tasks", "log-mel\nT x 80", "all patches",
          "encoder,\nfrozen", "concatenate\na time column", "small classifier\nper task"]
figure, axes = plt.subplots(4, 1, figsize=(9.5, 4.2))
flow(axes[0], liu, "Liu et al. 2026: pretrain without labels ...")
flow(axes[1], then, "... then finetune for 5,569 species, score 1,212")
flow(axes[2], niizumi, "Niizumi et al. 2022: pretrain on general sound ...")
flow(axes[3], frozen, "... then test the frozen encoder on speech, music and environment")

# %% [markdown]
# *Figure 13. Both papers in boxes, re-drawn after their overview figures.* **See:** every path passes through the
# log-mel. What it drops, no encoder can bring back; and an encoder only fits the log-mel that it was trained with.

# %% [markdown]
# What such models were trained on, by Table 1 of Liu et al. Of animals there are collections of recordings (iNat:
# iNaturalist, XC: Xeno-Canto, TSA: Tierstimmenarchiv) and tests (BirdSet, BEANS); of everything else AS (AudioSet),
# FSD50K and ESC-50 (everyday sounds), SPC (spoken commands), SID (who speaks):

# %%
card = pd.DataFrame([
    ("AudioMAE", "AS", "general", "", "5.8k", "AS, ESC-50, SPC, SID"),
    ("BirdSet", "XC", "bio", "~10k", "6.8k", "BirdSet"),
    ("iNatSounds", "iNat", "bio", "5,569", "1.2k", "iNat"),
    ("Perch 2.0", "XC, iNat, TSA, FSD50K", "mixed", "14,597", "", "BirdSet, BEANS"),
    ("AVES", "unannotated bio", "bio", "-", "360", "BEANS"),
    ("BirdMAE", "XC", "bio", "~10k", "6.8k", "BirdSet"),
    ("AVEX", "XC, iNat, AS", "mixed", "~15k", "", "BirdSet, BEANS"),
    ("Liu et al.", "iNat, AS", "mixed", "5,569", "1.2k", "iNat"),
], columns=["method (paper)", "pretraining data", "domain", "species", "audio (h)", "evaluated on"])
card.set_index("method (paper)")

# %%
def hours(table):
    return table.duration_s.sum() / 3600


print(f"this run: wildlife {hours(wild):.2f} h, {wild.label.nunique()} labels; "
      f"general {hours(world):.2f} h")
print(f"The paper's iNatSounds is {1200 / hours(wild):,.0f} times as long, "
      f"its AudioSet {5800 / hours(world):,.0f} times.")

# %% [markdown]
# (The 1.2k hours in the last row are iNatSounds alone.) What this course measures on `chorus` says nothing about
# thousands of hours.

# %% [markdown]
# ## Summary
#
# - A spectrogram is an FFT of each faded frame. A short window shows when, a long one which pitch.
# - A log-mel adds mel filters and a logarithm, and has about as many numbers as the wave.
# - A recording of a species is empty of it in a good part of its windows.
# - A front end is part of a model. Small choices change the picture: empty bands, filling that is louder than the clip.
# - The way back to sound keeps the pitch and loses the crispness.

# %% [markdown]
# ## Exercises
#
# Fill in the function, run the cell: the last line tries it on cases you have not seen. Solutions are folded below each.
# Who does not program goes on with the quiz.

# %%
from lib.course import exercises_00 as check

# %% [markdown]
# ### 1 · How many frames?
#
# Equation (7) as a function, for both kinds of frames: those that lie inside the wave, and MSM-MAE's centred ones,
# which stand at every multiple of the hop from sample 0 on (the ends are reflected).

# %% tags=["exercise"]
def frames_of(samples, window, hop, centred):
    """The number of frames of a wave; window and hop in samples.

    A wave shorter than the window has none."""
    return None


check.frames_of(frames_of)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def frames_of(samples, window, hop, centred):
#     if samples < window:
#         return 0
#     return 1 + (samples if centred else samples - window) // hop
# ```
# 2 s are 32,000 samples at 16 kHz: 1 + 32,000 / 160 = 201 centred frames, and 1 + (32,000 - 400) // 160 = 198 inside.
# `mel.MSM_MAE.count` and `mel.AUDIOMAE.count` say the same.
# </details>
#
# ### 2 · Ten times as loud
#
# Multiply a wave by a factor. By how much does the normalised log-mel of a front end with the decibels of `inat`
# (equations 5 and 6) change, in cells that meet neither -50 nor +50 dB?

# %% tags=["exercise"]
def gain_shift(factor, front):
    """What a wave times `factor` adds to the normalised log-mel.

    `front` has INAT's decibels, a `divisor` and a `std`."""
    return None


check.gain_shift(gain_shift)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# import math
#
# def gain_shift(factor, front):
#     return 20 * math.log10(factor) / (front.divisor * front.std)
# ```
# A factor of 10 is +20 dB, so every cell grows by 20 / 17.86 = 1.12, except those that are cut. A gain is a shift in a
# log-mel: that is why mixing or "gain" augmentation is easy there.
# </details>
#
# ### 3 · The right silence
#
# A log-mel (not yet normalised) is shorter than the model's input. Normalise it and fill it up at the end.

# %% tags=["exercise"]
def padded(log_mel, front, frames):
    """A log-mel (T, M) in the front end's logarithm -> what the model sees, (frames, M).

    The end is filled with nothing."""
    return None


check.padded(padded)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def padded(log_mel, front, frames):
#     nothing = torch.full((frames - len(log_mel), front.mels), front.pad)
#     return mel.normalise(torch.cat([log_mel, nothing]), front)
# ```
# Pad in the logarithm's own units, then normalise: one order of two steps, and the mistake of P5 cannot happen.
# </details>
#
# ### 4 · Two clicks (an experiment)
#
# Can a front end show the gap between two short sounds? Find out instead of calculating: put two clicks into a second
# of silence, look at their log-mel and answer True if there is a frame between them that holds neither.

# %% tags=["exercise"]
def shows_gap(front, gap_s):
    """Whether the log-mel of two clicks `gap_s` seconds apart falls between them."""
    return None


check.shows_gap(shows_gap)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def shows_gap(front, gap_s):
#     wave = torch.zeros(1, front.rate)
#     first = front.rate // 2
#     wave[0, [first, first + round(gap_s * front.rate)]] = 0.01
#     level = mel.LogMel(front)(wave)[0, 0].mean(dim=1)              # (T,) the mean over the bands
#     loud = level > (level.max() + level.min()) / 2
#     begin, end = loud.nonzero()[[0, -1], 0]
#     return not bool(loud[begin : end + 1].all())
# ```
# `[shows_gap(one, 0.010) for one in fronts]` is four times False: a window of 23 or 25 ms holds both clicks at once, and
# the hop does not help.
# </details>
#
# ### 5 · A window of your own
#
# Two clicks and two tones in one sound, and one window that shows both pairs as pairs: between the clicks, and between
# the tones, the magnitude shall fall below half. Measured for a Hann window of $L$ seconds: clicks must be at least
# $0.57 L$ seconds apart for that, tones $2.3 / L$ Hz. Not every sound has such a window.

# %% tags=["exercise"]
def window_for(gap_s, spacing_hz, rate):
    """The length in samples of a window that separates clicks `gap_s` seconds apart and tones
    `spacing_hz` apart; 0 where no window does both."""
    return None


check.window_for(window_for)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def window_for(gap_s, spacing_hz, rate):
#     shortest, longest = 2.3 / spacing_hz, gap_s / 0.57             # seconds
#     return round((shortest * longest) ** 0.5 * rate) if shortest < longest else 0
# ```
# The tones ask for a long window, the clicks for a short one; anything between will do, here the geometric mean. There
# is none where gap times spacing is below about 1.3: the uncertainty relation. In the figure it shows two lines and two
# bars.
# </details>

# %%
swell = torch.sin(torch.pi * seconds[:RATE]) ** 0.5                         # no click at the ends
tones = [torch.sin(2 * torch.pi * f * seconds[:RATE]) for f in (1980, 2020)]
pair = torch.cat([0.05 * swell * sum(tones), torch.zeros(RATE)])
pair[[int(1.48 * RATE), int(1.52 * RATE)]] = 8.0                            # 40 ms apart
windows = {"512 samples": 512, "4,096 samples": 4096}
if exercises.solved(window_for):
    windows["yours"] = window_for(0.040, 40, RATE)
figure, axes = plt.subplots(1, len(windows), figsize=(3.2 * len(windows), 3), sharey=True)
for ax, (name, window) in zip(axes, windows.items()):
    picture(ax, decibels(spectrogram(pair, window, hop=32)), window, 32, name, (40, 64))
    ax.set(xlim=(0.1, 1.9))
    ax.label_outer()
ax.set(ylim=(1.6, 2.4), yticks=(1.6, 1.8, 2, 2.2, 2.4));

# %% [markdown]
# *Figure 14. Two tones 40 Hz apart, then two clicks 40 ms apart.* **See:** 512 samples separate the clicks and not the
# tones, 4,096 the tones and not the clicks. **Ask:** what does yours separate?

# %% [markdown]
# ## Quiz
#
# **A.** A bat calls at 45 kHz. You record at 44,100 Hz. What does the spectrogram show?
# <details><summary>Answer</summary>Nothing of the call: a wave holds frequencies up to half its rate, 22,050 Hz.
# </details>
#
# **B.** Why does an FFT of 1,024 points not show twice the detail here?
# <details><summary>Answer</summary>Because the window stays 512 samples. Zeros add points between, not information;
# two tones closer than about 2 bins of the 512-point FFT (86 Hz) still melt into one bump.</details>
#
# **C.** You finetune AudioMAE on your 44.1 kHz recordings. At which rate do you read them?
# <details><summary>Answer</summary>16 kHz, the rate of its front end, whatever your files have. You lose what lies
# above 8 kHz; if your species lives there, choose another model, not another rate.</details>
#
# **D.** Your data set is quieter than AudioSet. Should you refit mean and spread?
# <details><summary>Answer</summary>With pretrained weights: no, keep the constants they were trained with. From
# scratch: one pair of constants, measured once on train, and then left alone.</details>
#
# **E.** Which of these does a log-mel throw away: pitch, phase, loudness, the order of notes?
# <details><summary>Answer</summary>Phase. Pitch is kept to the width of a filter, loudness between floor and ceiling,
# order to the length of a window.</details>

# %% [markdown]
# ## Your own recordings
#
# Put them in one folder per species (or beside a `metadata.csv` with `file,label,split,group`) and set `wildlife =
# "folder:PATH"` in the parameters cell, for example `folder:~/frogs`. Files that cannot be decoded are left out and
# named with the reason:

# %%
# NBVAL_CHECK_OUTPUT
print(tables.problem("no_such_recording.wav"))

# %% [markdown]
# ## What was not shown
#
# - Per-channel energy normalisation (PCEN), learnable front ends, and models that read the wave itself.
# - Whether the front end chosen here is better than another. Neither paper varies it.
#
# ## Further reading
#
# - Liu, Chasmai, Maji, Van Horn 2026, *Masked Autoencoders with Limited Data: Does It Work?*
#   [doi:10.48550/arXiv.2605.14031](https://doi.org/10.48550/arXiv.2605.14031)
# - Niizumi et al. 2022, *Masked Spectrogram Modeling using Masked Autoencoders*, PMLR 166.
#   [doi:10.48550/arXiv.2204.12260](https://doi.org/10.48550/arXiv.2204.12260)
# - Huang et al. 2022, *Masked Autoencoders that Listen* (AudioMAE).
#   [doi:10.48550/arXiv.2207.06405](https://doi.org/10.48550/arXiv.2207.06405)
# - Rauch et al. 2025, *Can Masked Autoencoders Also Listen to Birds?* (Bird-MAE).
#   [doi:10.48550/arXiv.2504.12880](https://doi.org/10.48550/arXiv.2504.12880)
# - Chasmai et al. 2024, *The iNaturalist Sounds Dataset*.
#   [doi:10.48550/arXiv.2506.00343](https://doi.org/10.48550/arXiv.2506.00343)
# - Gemmeke et al. 2017, *Audio Set*. [doi:10.1109/ICASSP.2017.7952261](https://doi.org/10.1109/ICASSP.2017.7952261)
# - Stevens, Volkmann, Newman 1937, the mel scale. [doi:10.1121/1.1915893](https://doi.org/10.1121/1.1915893)
# - Griffin, Lim 1984, signals from modified spectra.
#   [doi:10.1109/TASSP.1984.1164317](https://doi.org/10.1109/TASSP.1984.1164317)
#
# **Next:** `01_masking` cuts this picture into patches and hides most of them.
