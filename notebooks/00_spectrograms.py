# %% [markdown]
# # 00 Spectrograms: from a wave to what a model sees
#
# Liu et al. 2026, section 4.2, and Niizumi et al. 2022, section 4.1. Everything later in this course, from masks to
# species, happens in the picture that this notebook makes out of a sound.
#
# | scale | what it reads | time of one core of an Intel Xeon (AVX-512) |
# |---|---|---|
# | `smoke` | 81 short recordings | under a minute |
# | `tiny` | 1,435 recordings, made at the first run (a minute), read from then on | a quarter of a minute |
# | `small`, `paper` | 2,671 recordings, made at the first run (two minutes) | not measured |
#
# No GPU is used.

# %% [markdown]
# ## Goals
#
# After this notebook you can
#
# 1. **describe** the two pools of recordings: species, lengths, long tail, splits, and how much of a "recording of a
#    species" is empty;
# 2. **compute** a log-mel by hand from a wave, and say what each step keeps and loses;
# 3. **predict** the number of frames of a clip, and which mel filters an FFT is too coarse for;
# 4. **tell apart** the front ends of four published models, and explain why a checkpoint must bring its own;
# 5. **turn** a log-mel back into sound and hear what was lost.

# %% [markdown]
# ## The question, and five predictions
#
# *What does a masked autoencoder see of an animal's call, and what can it no longer see?*
#
# Write down an answer to each **before** you run anything; each comes back where it is answered.
#
# - **P1** Of all 3-second windows of the wildlife recordings, in which share does the named species not call at all?
# - **P2** A clip of 3 s has 66,150 samples. Is its spectrogram (512 frames x 128 mel bands) much smaller, about
#   equal, or much larger?
# - **P3** An FFT over 512 samples at 22,050 Hz feeds 128 mel filters. How many of them catch no FFT bin at all?
# - **P4** A short clip is padded with zeros *after* the logarithm. Is the padding quieter than the clip, as loud, or
#   louder?
# - **P5** You turn a log-mel back into sound. What will you miss more: the pitch of the call, or its crispness?

# %% [markdown]
# Those with a number can be filled in here; the notebook comes back to them, and runs without them too.

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

# %% tags=["predict"]
p1 = None  # P1, per cent of the windows
p3 = None  # P3, filters out of 128

# %% [markdown]
# ## Set-up
#
# Every notebook begins with a folded set-up cell. It does nothing on a computer where the study is installed; in Colab it fetches the
# repository and what is missing.

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
from lib.sources import chorus, tables

plots.style()
plt.rcParams["figure.dpi"] = 72

# %% tags=["parameters"]
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # which clips are drawn for the histograms
data_seed: int = 0  # which synthetic world is made
# folder:PATH has one folder per species, or per class
wildlife: str = "chorus"  # the animal recordings: chorus, inatsounds:ROOT or folder:PATH
general: str = "chorus"  # everyday sounds: chorus, audioset:ROOT, esc50 or folder:PATH

# %% [markdown]
# **What will be computed.** Two tables of recordings, a log-mel step by step, the same recording through four front
# ends, histograms of a few hundred clips, and five sounds to listen to. (Players do not show on GitHub: open the
# notebook in JupyterLab or Colab.)

# %% [markdown]
# ## Where the spectrogram stands in the two papers
#
# Both papers train the same kind of model and ask different things of it. The diagram re-draws their overview figures
# (Figure 1 of each) as boxes; this notebook is the orange one.

# %%
def flow(ax, words, title, marked=1):
    """A row of boxes with arrows between them."""
    for i, word in enumerate(words):
        colour = "tab:orange" if i == marked else "0.93"
        box = dict(boxstyle="round,pad=0.5", fc=colour, ec="0.4")
        ax.text(i, 0, word, ha="center", va="center", fontsize=11, bbox=box)
        if i:
            ax.annotate("", (i - 0.37, 0), (i - 0.63, 0),
                        arrowprops=dict(arrowstyle="-|>", color="0.3"))
    ax.set(xlim=(-0.5, len(words) - 0.5), ylim=(-1, 1))
    ax.set_title(title, loc="left")
    ax.axis("off")


# %%
train_on = ["encoder\n(visible only)", "decoder\nguesses the\nhidden ones",
            "MSE on\nhidden patches"]
liu = ["iNatSounds,\nAudioSet\n(waves)", "log-mel\n512 x 128", "hide 80 % of\n16 x 16 patches",
       *train_on]
then = ["iNatSounds\nwith labels", "log-mel\n512 x 128", "all patches",
        "the same\nencoder", "classifier", "one species\nper recording"]
niizumi = ["AudioSet\n(waves)", "log-mel\nT x 80", "hide 75 % of\nthe patches", *train_on]
frozen = ["15 HEAR tasks", "log-mel\nT x 80", "all patches",
          "encoder,\nfrozen", "concatenate\na time column", "small classifier\nper task"]

figure, axes = plt.subplots(4, 1, figsize=(12, 5.2))
flow(axes[0], liu, "Liu et al. 2026: first pretrain without labels ...")
flow(axes[1], then, "... then finetune for 5,569 species, score 1,212")
flow(axes[2], niizumi, "Niizumi et al. 2022: pretrain on general sound ...")
flow(axes[3], frozen, "... then test the frozen features on speech, music and environment")

# %% [markdown]
# *Figure 1. Both papers in boxes, re-drawn after their overview figures.* **See:** every path passes through the
# log-mel. What it drops, no encoder can bring back; and an encoder only fits the log-mel it was trained with.

# %% [markdown]
# ## The data
#
# Two pools: **wildlife** (one labelled species per recording; the papers' iNatSounds) and **general** (everyday
# sounds; the papers' AudioSet). By default both are `chorus`, a synthetic stand-in made on your machine: invented
# species call in invented fields. What it shows holds **in the generator's world** only; its use is that everything
# about it is known, such as the true box of every call.

# %%
size = runs.scale(scale)
wild = sources.recordings(wildlife, "wildlife", size.chorus, data_seed)
world = sources.recordings(general, "general", size.chorus, data_seed)
print(f"scale {size.name}: {len(wild)} wildlife and {len(world)} general recordings")

# %% [markdown]
# A pool is a table with a row per recording. `file`, `label` and `split` are always there; here are a few rows, with
# the file's name only.

# %%
shown = [c for c in ("file", "label", "split", "duration_s", "taxon", "group") if c in wild]
few = wild.groupby("split", sort=False).head(2)[shown]
few.assign(file=[Path(file).name for file in few.file])

# %% [markdown]
# `group` says which recordings come from the same individual and place. A group never spans two splits: otherwise a
# model could pass the test by remembering the microphone.

# %%
def overview(table):
    counts = table.assign(hours=table.duration_s / 3600).groupby("split").agg(
        recordings=("file", "size"), labels=("label", "nunique"), hours=("hours", "sum"))
    return counts.round(2).reindex(["train", "val", "test"]).dropna().T


pd.concat({"wildlife": overview(wild), "general": overview(world)}).fillna(0)

# %% [markdown]
# As in iNatSounds, some species occur in train only, and evaluation is restricted to those that occur in val and
# test. The paper's numbers, beside ours and never mixed with them:

# %%
sizes = pd.DataFrame(columns=["recordings (train / val / test)", "labels", "chance, top-1"])
sizes.loc["paper: iNatSounds"] = ["137,012 / 45,698 / 49,527",
                                  "5,569 species, 1,212 evaluated", "0.08 %"]
sizes.loc["paper: AudioSet"] = ["1,880,019 clips for pretraining",
                                "527 event classes, not used", ""]
scored = wild[wild.split == "val"].label.nunique()
counted = " / ".join(str((wild.split == part).sum()) for part in ("train", "val", "test"))
sizes.loc["this run: wildlife"] = [counted, f"{wild.label.nunique()} labels, {scored} evaluated",
                                   f"{100 / max(scored, 1):.2f} %"]
sizes.loc["this run: general"] = [f"{(world.split == 'train').sum()} for pretraining",
                                  f"{world.label.nunique()} classes, not used", ""]
sizes

# %% [markdown]
# ### Long tail and durations

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.6))
train = wild[wild.split == "train"].label.value_counts()
evaluated = set(wild[wild.split == "val"].label)
left.bar(range(len(train)), train,
         color=["C0" if label in evaluated else "0.7" for label in train.index])
left.set(xlabel="species, commonest first", ylabel="train recordings",
         title="long tail in train (grey: not evaluated)")
right.hist([wild.duration_s, world.duration_s], bins=30, label=["wildlife", "general"],
           stacked=True)
right.axvline(mel.INAT.seconds, color="k", linestyle=":", label="one window of the model")
right.set(xlabel="seconds", ylabel="recordings", title="durations")
right.legend();

# %% [markdown]
# *Figure 2. Train recordings per species, and how long recordings are.* **See:** a few species have many times the
# recordings of the rarest, and a wildlife recording is anything from one window to several. So accuracy is averaged
# over classes (each species counts once, however common), and a recording's prediction is averaged over its windows.

# %% [markdown]
# ### What a recording of a species holds
#
# `chorus` keeps the true box of every call. We pick, per group of animals, the recording whose labelled calls fill
# most of its first three seconds. (With `folder:` data there are no boxes, and the first recording is taken.)

# %%
synthetic = set(wild.get("source", [])) == {"chorus"}
events = chorus.events(wild) if synthetic else pd.DataFrame(columns=chorus.EVENT_COLUMNS)
calls = events[events.kind == "call"]
# seconds of call in 0 ... 3 s of each file
inside = (calls.end_s.clip(upper=3) - calls.start_s.clip(upper=3)).groupby(calls.file).sum()
heard = wild[wild.duration_s > 0]  # iNatSounds holds a few recordings without a sample
species = heard.groupby(heard.get("taxon", heard.label)).label.first().head(4)
examples = heard.loc[[heard[heard.label == label].file.map(inside).fillna(0).idxmax()
                      for label in species]]
examples[["label", "duration_s"]]

# %%
front = mel.LogMel(mel.INAT)
figure, axes = plt.subplots(2, 2, figsize=(11, 4.6), sharex=True, sharey=True)
for ax, row in zip(axes.flat, examples.itertuples()):
    wave = audio.read(row.file, rate=22_050, duration_s=3.0)
    plots.spec(ax, front(wave[None], frames=512), mel.INAT, row.label)
    here = events[(events.file == row.file) & (events.start_s < 2.99)]
    plots.boxes(ax, here[here.kind == "call"], mel.INAT)
    plots.boxes(ax, here[here.kind != "call"], mel.INAT, edgecolor="white", linestyle=":")
    ax.set(xlim=(0, mel.INAT.seconds))
    ax.label_outer()

# %% [markdown]
# *Figure 3. Four recordings as the model will see them: time left to right, mel upwards.* **See:** cyan boxes are
# calls of the named species, dotted white ones belong to others that nobody labelled. Wind lies at the bottom, clicks
# and rain are vertical streaks.

# %%
plots.sound(audio.read(examples.iloc[0].file), mel.INAT.rate)

# %% [markdown]
# The first of the four. Now look back at your **P1**: in which share of windows does the labelled species not call?

# %%
if synthetic:
    print("windows of 3 s, step 1.5 s, without a call of the labelled species: "
          f"{chorus.empty_share(wild, events):.0%}")
    others = events[events.kind == "background"].file.nunique() / len(wild)
    print(f"recordings with a call of an unlabelled species: {others:.0%}")
    exercises.predicted("P1, windows without a call", p1,
                        round(100 * chorus.empty_share(wild, events)), "%")

# %% [markdown]
# In the generator's world this share is a parameter (`chorus:empty=0.6` makes more). In real recordings nobody knows
# it, and every window inherits the recording's label all the same: that is the *weak label* problem behind the
# curation experiments of notebook 07.
#
# ### General sound looks different

# %%
def sheet(table, title, generator):
    """Eight random recordings of a table as small spectrograms."""
    figure, axes = plt.subplots(2, 4, figsize=(11, 3.8), sharex=True, sharey=True)
    for ax, i in zip(axes.flat, torch.randperm(len(table), generator=generator)[:8].tolist()):
        wave = audio.read(table.file.iloc[i], rate=22_050, duration_s=3.0)
        plots.spec(ax, front(wave[None], frames=512), mel.INAT, table.label.iloc[i],
                   limits=(-2.5, 2))
        ax.label_outer()
        ax.title.set_size("small")
    figure.suptitle(title)


generator = torch.Generator().manual_seed(seed)
sheet(heard[heard.split == "train"], "wildlife", generator)

# %% [markdown]
# *Figure 4a. Eight random wildlife recordings, in one colour scale with Figure 4b.* **See:** mostly a field with
# something small in it.

# %%
sheet(world[world.split == "train"], "general", generator)

# %% [markdown]
# *Figure 4b. Eight random general recordings.* **See:** general sound fills the picture with harmonics that move
# together, beats, and noise of every width, and some of it (a fan, applause, rain) is so loud that it sits at the
# ceiling of +50 dB. Whether a model learns more about animals from this kind is the question of notebook 05.

# %% [markdown]
# ## Theory: six lines from wave to input
#
# A wave $x[n]$ is cut into frames of $N$ samples every $H$ samples, and each frame is faded in and out by a Hann
# window $w$:
#
# $$x_t[n] = w[n]\; x[tH + n], \qquad n = 0 \dots N-1 \tag{1}$$
#
# Each frame becomes a spectrum over $K \ge N$ points; where $K > N$, zeros fill up. That reads the same spectrum at
# more frequencies, it does not make it sharper:
#
# $$X_t[k] = \sum_n x_t[n]\, e^{-2\pi i k n / K} \tag{2}$$
#
# The mel scale spaces frequencies roughly as listeners do, evenly below 1 kHz and by ratio above. Triangles $h_m$
# stand at equal steps of it:
#
# $$\mathrm{mel}(f) = 1127 \ln(1 + f / 700) \tag{3}$$
#
# $$S_t[m] = \sum_k h_m[k] \cdot \tfrac{2}{\sum w}\, |X_t[k]| \cdot 2^{15} \tag{4}$$
#
# The factor makes a full sine read its amplitude, counted in steps of a 16-bit file. Loudness is heard by ratio, so a
# logarithm follows, limited to what is worth keeping, and last the constants of the front end:
#
# $$L_t[m] = \mathrm{clip}\big(20 \log_{10} \max(10^{-10}, S_t[m]),\; -50,\; 50\big) \; \text{dB} \tag{5}$$
#
# $$\mathrm{spec}_t[m] = \frac{L_t[m] - \mu}{d\,\sigma} \tag{6}$$
#
# Liu et al. give $N = 512$, $H = 128$ and 128 bands from 50 Hz to 11,025 Hz. They leave $K$, the mel formula, the
# logarithm and (6) open; these follow the generator that was once public with the data set ($K = 1024$).

# %% [markdown]
# ## A log-mel by hand
#
# One recording, three seconds.

# %%
wave = audio.read(examples.iloc[0].file, rate=22_050, duration_s=3.0)       # (N,)
print(tuple(wave.shape), f"samples, {len(wave) / 22_050:.2f} s, peak {wave.abs().max():.3f}")

# %% [markdown]
# **Frames**, equation (1). `unfold` makes overlapping frames without copying: each begins 128 samples after the one
# before.

# %%
frames = wave.unfold(0, 512, 128) * torch.hann_window(512)                  # (T, 512)
print(frames.shape, f"each {512 / 22.05:.1f} ms long, one every {128 / 22.05:.1f} ms")

# %%
loud = int(frames.abs().mean(dim=1).argmax())
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 2.8))
left.plot(torch.arange(len(wave)) / 22_050, wave, linewidth=0.4)
left.axvspan(loud * 128 / 22_050, (loud * 128 + 512) / 22_050, color="tab:orange")
left.set(xlabel="time (s)", ylabel="wave", title="three seconds")
right.plot(torch.arange(512) / 22.05, wave[loud * 128 : loud * 128 + 512], color="0.7")
right.plot(torch.arange(512) / 22.05, frames[loud], color="tab:orange")
right.set(xlabel="time in the frame (ms)",
          title=f"frame {loud}, the loudest: recorded (grey), windowed");

# %% [markdown]
# *Figure 5. The wave and one of its frames.* **See:** the window fades both ends to zero, so that the FFT does not
# meet a jump there.

# %% [markdown]
# **FFT**, equation (2), over 1,024 points: 513 bins, 21.5 Hz apart.

# %%
magnitude = torch.fft.rfft(frames, n=1024).abs()                            # (T, 513)
# a sine reads its amplitude in 16-bit steps
magnitude = magnitude * 2 / torch.hann_window(512).sum() * 2**15
print(magnitude.shape, f"bins of {22_050 / 1024:.1f} Hz")

# %% [markdown]
# **Mel**, equations (3) and (4): one matrix of triangles.

# %%
hz = torch.arange(513) * 22_050 / 1024                                      # (513,)
to_mel = lambda f: 1127 * torch.log1p(torch.as_tensor(f, dtype=torch.float64) / 700)
# 128 triangles share 130 edges
edge = torch.linspace(to_mel(50), to_mel(11_025), 130, dtype=torch.float64)
rise = (to_mel(hz)[:, None] - edge[:-2]) / (edge[1:-1] - edge[:-2])         # (513, 128)
fall = (edge[2:] - to_mel(hz)[:, None]) / (edge[2:] - edge[1:-1])
triangles = torch.minimum(rise, fall).clamp(min=0).float()
bands = magnitude @ triangles                                               # (T, 128)

# %% [markdown]
# **Checkpoint.** torchaudio's filters have the same feet and peaks, but their sides are straight over Hz, those above over mel: nearly the same. The study does
# without torchaudio; where it is not installed this says so.

# %%
try:
    from torchaudio.functional import melscale_fbanks
except (ImportError, OSError) as error:  # OSError: it was built for another torch
    print(f"no torchaudio here to compare with ({type(error).__name__})")
else:
    theirs = melscale_fbanks(513, 50.0, 11_025.0, 128, 22_050, mel_scale="htk")   # (513, 128)
    assert (theirs - triangles).abs().max() < 0.005
    print(f"torchaudio's weights differ by {(theirs - triangles).abs().max():.4f} at most")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 2.8))
left.plot(hz, triangles[:, ::8], linewidth=1)
left.set(xlabel="frequency (Hz)", ylabel="weight", title="every 8th mel filter")
right.plot(hz, magnitude[loud], color="0.7", linewidth=1, label="513 FFT bins")
right.plot(mel.centres(mel.INAT), bands[loud], color="tab:orange", label="128 mel bands")
right.set(xlabel="frequency (Hz)", ylabel="16-bit steps", title=f"frame {loud}", yscale="log")
right.legend();

# %% [markdown]
# *Figure 6. The filters, and one spectrum before and after them.* **See:** low filters are narrow, high ones wide.
# Wide ones add up more bins, so the mel curve rises above the bins, and it smooths away the finest ripples: detail
# that is gone for good.

# %% [markdown]
# **Decibels and constants**, equations (5) and (6).

# %%
decibel = (20 * torch.log10(bands.clamp(min=1e-10))).clamp(-50, 50)         # (T, 128)
by_hand = (decibel - mel.INAT.mean) / (mel.INAT.divisor * mel.INAT.std)
print(f"{decibel.min():.0f} to {decibel.max():.0f} dB; normalised {by_hand.min():.2f} to "
      f"{by_hand.max():.2f}; {(decibel >= 50).float().mean():.1%} of cells are cut at +50 dB")

# %% [markdown]
# **Checkpoint.** Your log-mel is the library's. If this passes, go on.

# %%
by_lib = mel.LogMel(mel.INAT)(wave[None])[0, 0]                             # (B, 1, T, M) -> (T, M)
assert by_lib.shape == by_hand.shape and (by_lib - by_hand).abs().max() < 0.01
print(f"largest difference {(by_lib - by_hand).abs().max():.1e}")

# %% [markdown]
# From here on it is imported. This is the part of it that computed equations (4) and (5) for a batch on any device:

# %%
plots.source(mel._inat)

# %% [markdown]
# ## How many frames?
#
# $$T = 1 + \lfloor (n - N) / H \rfloor \tag{7}$$
#
# **P2**: look at your answer, then run.

# %%
# NBVAL_CHECK_OUTPUT
for samples in (66_150, 65_920, 65_919):
    print(f"{samples:6,} samples, {samples / 22_050:.4f} s: {mel.INAT.count(samples)} frames")
print(f"3 s: 66,150 samples in, {512 * 128:,} numbers out")

# %% [markdown]
# About equal! A log-mel of this hop does not compress. It rearranges the sound so that what matters becomes local,
# and throws away phase.
#
# Three seconds give 513 frames; the model takes 512 (a multiple of the 16-frame patches). So its window is really
# 2.990 s, and a step of half of it, 256 frames, is 1.486 s, where the paper says 3 s and 1.5 s. A recording is
# covered like this, the last window aligned to its end:

# %%
# NBVAL_CHECK_OUTPUT
starts = audio.windows(samples=8 * 22_050, length=mel.INAT.samples, step=256 * mel.INAT.hop)
print([f"{start / 22_050:.2f} s" for start in starts])

# %% [markdown]
# ## 512 or 1,024 points?
#
# The paper says "window size 512" and nothing of the FFT. **P3**: how many of the 128 filters catch no bin of a
# 512-point FFT?

# %%
# NBVAL_CHECK_OUTPUT
banks = {points: mel.filters(replace(mel.INAT, n_fft=points)) for points in (512, 1024)}
for points, bank in banks.items():
    empty = (bank.sum(dim=0) == 0).nonzero()[:, 0].tolist()
    print(f"{points:5}-point FFT, bins {22_050 / points:.1f} Hz apart: "
          f"{len(empty)} of 128 filters empty {empty}")

# %%
exercises.predicted("P3, empty filters of 128", p3, int((banks[512].sum(dim=0) == 0).sum()))

# %%
figure, axes = plt.subplots(1, 2, figsize=(12, 2.8), sharey=True)
for ax, (points, bank) in zip(axes, banks.items()):
    bins = torch.arange(points // 2 + 1) * 22_050 / points
    ax.plot(bins, bank[:, :12], marker="o", markersize=3)
    ax.set(xlim=(40, 500), xlabel="frequency (Hz)",
           title=f"{points}-point FFT, the lowest 12 filters")
axes[0].set_ylabel("weight at the bins");

# %% [markdown]
# *Figure 7. The lowest filters as each FFT samples them.* **See:** with 512 points the bins (dots) are wider apart
# than the filters, most triangles hold one dot and two hold none. With 1,024 points none is empty. An empty band is a
# stripe of constant floor at the bottom of every spectrogram. The detail did not get finer, the window is still 512
# samples; the spectrum is only read at more places.

# %% [markdown]
# ## Four models, four front ends
#
# | | rate | window / hop | bands | logarithm of | mean, std, divisor | model's frames |
# |---|---|---|---|---|---|---|
# | `INAT` (Liu et al.) | 22,050 Hz | 23.2 / 5.8 ms | 128 | magnitude, dB, cut at ±50 | 15.69, 17.86, 1 | 512 = 3.0 s |
# | `AUDIOMAE` (Huang et al. 2022) | 16,000 Hz | 25 / 10 ms | 128 | power, pre-emphasised | -4.268, 4.569, 2 | 1,024 = 10.2 s |
# | `BIRDMAE` (Rauch et al. 2025) | 32,000 Hz | 25 / 10 ms | 128 | power, pre-emphasised | -7.2, 4.43, 2 | 512 = 5.1 s |
# | `MSM_MAE` (Niizumi et al.) | 16,000 Hz | 25 / 10 ms | 80 | power | -7.1, 4.2, 1 | 208 = 2.1 s |
#
# The `divisor` is a convention that AudioMAE and Bird-MAE took over from AST: $(x-\mu)/(2\sigma)$. MSM-MAE's own code
# normalises by the mean and std of the batch, so that a clip's features depend on its neighbours; we use the
# constants of its successor M2D instead.
#
# To see what each can see, one test sound: a tone that glides from 0.2 to 15 kHz, made at 32 kHz.

# %%
t = torch.arange(3 * 32_000, dtype=torch.float64) / 32_000                   # s
sweep = (0.01 * torch.sin(2 * torch.pi * (200 * t + (15_000 - 200) / 6 * t**2))).float()
fronts = [mel.INAT, mel.BIRDMAE, mel.AUDIOMAE, mel.MSM_MAE]
for one in fronts:
    print(f"{one.name:9} reads {one.low_hz:3.0f} to {one.high_hz:6.0f} Hz, "
          f"{1 / one.hop_s:.0f} frames a second")

# %%
figure, axes = plt.subplots(2, 4, figsize=(13, 5))
for column, one in zip(axes.T, fronts):
    recording = audio.read(examples.iloc[0].file, rate=one.rate, duration_s=3.0)
    glide = audio.resample(sweep, 32_000, one.rate)
    for ax, sound, what in zip(column, (glide, recording), ("glide", examples.label.iloc[0])):
        plots.spec(ax, mel.LogMel(one)(sound[None]), one, f"{one.name}: {what}")
        ax.title.set_size("small")
    column[0].set_xlabel("")

# %% [markdown]
# *Figure 8. One glide and one recording through the four front ends.* **See:** the glide, straight in Hz, bends on
# the mel axis, and it ends where the band ends: at 16 kHz the sound above 8 kHz is simply not there (8 kHz is half
# the rate). Bird-MAE's band reaches 16 kHz, but the recording has 22,050 samples a second, so everything above 11 kHz
# is black: raising a rate adds no sound. The height of the same call in the picture differs, so a patch means another
# thing to each model. (The faint falling
# lines in the first panel are leftovers of resampling.)

# %% [markdown]
# ### What 16 kHz takes from an animal
#
# `chorus` knows the top of every call's band (its upper harmonics count).

# %%
if synthetic:
    named = calls.merge(wild[["file", "taxon"]], on="file")
    tops = named.groupby("taxon").high_hz
    print(tops.agg(calls="size", median_top_hz="median",
                   above_8_kHz=lambda top: (top > 8000).mean()).round(2))

# %% [markdown]
# In the generator's world it is mostly upper harmonics that pass 8 kHz; the lowest tone of every call stays. Among
# real animals most bush-crickets and nearly all bats call above it altogether. A model released at 16 kHz never heard
# them, and finetuning cannot add what the front end removes.

# %% [markdown]
# ### A wrong rate is refused
#
# A wave of another rate would be read as a slower or faster, lower or higher sound, and no number would look wrong.
# So:

# %%
# NBVAL_CHECK_OUTPUT
try:
    mel.check_rate(mel.INAT, 44_100)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Padding: zero is not silence
#
# A clip shorter than the model's window must be filled up. **P4**: padding with 0 after the logarithm, before
# normalising. Quieter, as loud as the clip, or louder?

# %%
short = audio.read(examples.iloc[0].file, rate=16_000, duration_s=1.5)
silent = mel.LogMel(mel.AUDIOMAE)(short[None], frames=300)
zeros = mel.LogMel(replace(mel.AUDIOMAE, pad=0.0))(short[None], frames=300)
figure, axes = plt.subplots(1, 2, figsize=(12, 3), sharey=True)
titles = "padded with silence (ours)", "padded with 0 before normalising (AudioMAE's code)"
for ax, padded, title in zip(axes, (silent, zeros), titles):
    image = plots.spec(ax, padded, mel.AUDIOMAE, title, limits=(-1.3, 1.0))
figure.colorbar(image, ax=axes, label="what the model sees");

# %% [markdown]
# *Figure 9. One clip of 1.5 s, padded in two ways.* **See:** the zeros are louder than most of the clip. A logarithm
# of 0 means a power of 1, in AudioMAE's units louder than its average sound. The pad value is therefore part of a
# `FrontEnd`, given *before* normalising; when a published model is to be repeated exactly, its own pad value is put in
# with `replace`, as above.

# %%
# NBVAL_CHECK_OUTPUT
zero, silence = mel.normalise(0.0, mel.AUDIOMAE), mel.normalise(mel.AUDIOMAE.pad, mel.AUDIOMAE)
print(f"0 before normalising becomes {zero:+.3f}, true silence is {silence:+.3f}")

# %% [markdown]
# ## The constants belong to the front end
#
# `mean` and `std` were measured once, by those who trained the model, on their data and their logarithm. They are not
# fitted again to a new data set: a trained model would then see every sound at a loudness it has never met. Here 200
# clips of each pool:

# %%
def clips(table, rate, count=200):
    """Waves of up to 3 s of random recordings, zero-padded to one tensor, and their lengths."""
    table = table[table.duration_s > 0]
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))
    files = table.file.iloc[order[:count].tolist()]
    waves = [audio.read(file, rate=rate, duration_s=3.0) for file in files]
    return pad_sequence(waves, batch_first=True), torch.tensor([len(w) for w in waves])


def values(table, one):
    return mel.LogMel(one)(*clips(table, one.rate)).flatten()


# %%
seen = {one.name: values(wild, one) for one in fronts}
pools = {"wildlife": seen["inat"], "general": values(world, mel.INAT)}
def describe(x):
    top = (x == x.max()).float().mean()
    return {"mean": x.mean(), "std": x.std(), "lowest": x.min(), "highest": x.max(),
            "share at highest": top}


rows = {**seen, "inat, general pool": pools["general"]}
pd.DataFrame({name: describe(x) for name, x in rows.items()}).T.astype(float).round(2)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.2), sharey=True)
for ax, groups, title in ((left, seen, "wildlife through four front ends"),
                          (right, pools, "two pools through INAT")):
    for name, x in groups.items():
        ax.hist(x.numpy(), bins=np.linspace(-4, 3, 106), density=True, histtype="step",
                linewidth=1.5, label=name)
    ax.set(xlabel="normalised value", title=title)
    ax.legend()
left.set_ylabel("density");

# %% [markdown]
# *Figure 10. Normalised values of 200 clips.* **See:** only data like the training data come out with mean 0. The
# front ends with divisor 2 are narrower (std near 0.5 on their own data). The pools differ: general sound is louder.
# Normalising each pool to itself would hide that, and would change the input of a mixed batch with the mixing ratio;
# so the constants stay fixed in all experiments. INAT's right edge is sharp: +50 dB is the ceiling, about $10^{50/20}
# = 316$ of 32,768 steps in one band, which a close animal easily passes. The spikes at the left edges are the floor:
# silence, padding, and Bird-MAE's empty band above 11 kHz.

# %%
swapped = mel.normalise(mel.unnormalise(seen["inat"], mel.INAT), mel.AUDIOMAE)
print(f"INAT's decibels with AudioMAE's constants: mean {swapped.mean():+.2f}, "
      f"std {swapped.std():.2f}")

# %% [markdown]
# With another front end's constants the picture would still look fine to you, and would be far outside anything the
# model was trained on.

# %% [markdown]
# ## Back to sound
#
# A log-mel has lost the phase and what lies between two filters. `mel.to_wave` undoes (6) and (5), finds non-negative
# FFT bins that give the mel bands again, and lets Griffin and Lim's algorithm look for phases that fit overlapping
# frames. **P5**: what will you miss?

# %%
x = mel.LogMel(mel.INAT)(wave[None])                                         # (1, 1, 513, 128)
back = mel.to_wave(x[0, 0], mel.INAT)                                        # (N,)
again = mel.LogMel(mel.INAT)(back[None])
print(f"{len(wave):,} samples in, {len(back):,} back; correlation of the two log-mels "
      f"{torch.corrcoef(torch.stack([x.flatten(), again.flatten()]))[0, 1]:.3f}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 2.7))
plots.spec(axes[0], x, mel.INAT, "log-mel of the recording", limits=(-2, 2))
plots.spec(axes[1], again, mel.INAT, "log-mel of the sound made from it", limits=(-2, 2))
plots.spec(axes[2], (x - again).abs(), mel.INAT, "difference", limits=(0, 2), cmap="viridis")
for ax in axes[1:]:
    ax.set_ylabel("")

# %% [markdown]
# *Figure 11. There and back.* **See:** nearly the same picture. Ears are stricter: listen to the original,

# %%
plots.sound(wave, 22_050)

# %% [markdown]
# and to what its log-mel still knows:

# %%
plots.sound(back, 22_050)

# %% [markdown]
# The pitch is right, the crispness is gone: a watery sound, since phases are guessed, and a flatter one, since the
# loudest cells were cut at +50 dB and stand out less. This is the price of the *method*, not of a model. When a later
# notebook plays a reconstruction, play this round trip beside it.

# %%
at_16k = audio.read(examples.iloc[0].file, rate=16_000, duration_s=3.0)
plots.sound(mel.to_wave(mel.LogMel(mel.MSM_MAE)(at_16k[None])[0, 0], mel.MSM_MAE), 16_000)

# %% [markdown]
# The same through MSM-MAE's front end: 80 bands, 100 frames a second, nothing above 8 kHz.

# %% [markdown]
# ## Explore: the front-end explorer
#
# Everything of this notebook in one place: window, hop, FFT, mel bins, band and logarithm of a recording, with the shape that comes out. On GitHub only
# this still picture shows; run the notebook to move it.

# %%
sounds = {f"{i + 1}. {row.label}": base.Sound(audio.read(row.file,
                                                         duration_s=3.0), audio.info(row.file).rate)
          for i, row in enumerate(examples.itertuples())}
explorer = front_ends.FrontEnds(sounds)
view = explorer.update(n_fft=512)
print(view.text)
Image(view.image)

# %% [markdown]
# *Figure 12. What the explorer shows, here with an FFT of 512 points: a spectrogram in which empty filters are grey, and the lowest filters over the FFT's
# bins, crosses where a filter holds none.* And here it is:

# %%
explorer

# %% [markdown]
# *The explorer.* Keys: Tab moves between the controls, arrows change a value. What to try:
#
# - Make the window 64 samples, then 2,048: when do clicks melt together, when do the lines of a tone?
# - From 128 to 256 mel bins: how many filters are empty, and does a longer FFT fill them?
# - Take the logarithm away: what is left of the quiet calls?
# - `audiomae`, and a band that ends at 8 kHz: what of this animal does a model at 16 kHz not hear? Press *listen*.

# %%
assert again.shape == x.shape
assert torch.corrcoef(torch.stack([x.flatten(), again.flatten()]))[0, 1] > 0.9
assert mel.normalise(0.0, mel.AUDIOMAE) > 0 > mel.normalise(mel.AUDIOMAE.pad, mel.AUDIOMAE)
print("checkpoint passed")

# %% [markdown]
# ## Your own recordings
#
# Put them in one folder per species (or beside a `metadata.csv` with `file,label,split,group`) and set `wildlife =
# "folder:PATH"` in the parameters cell, for example `folder:~/frogs`. A relative path starts at the repository's
# folder. From a terminal:
#
#     papermill notebooks/00_spectrograms.ipynb out.ipynb -p wildlife folder:~/frogs
#
# Files that cannot be decoded are left out and named with the reason:

# %%
# NBVAL_CHECK_OUTPUT
print(tables.problem("no_such_recording.wav"))

# %% [markdown]
# ## Data card: what models of this kind were trained on
#
# Table 1 of Liu et al., **the paper's numbers** (its tick marks for self-supervised, supervised and pre-segmented
# training are left out). AS: AudioSet, XC: Xeno-Canto, TSA: Tierstimmenarchiv, SID: speaker identification on
# VoxCeleb.

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

# %% [markdown]
# **This run**, for comparison:

# %%
hours = lambda table: table.duration_s.sum() / 3600
print(f"wildlife {hours(wild):.2f} h, {wild.label.nunique()} labels; general {hours(world):.2f} h")
print(f"The paper's iNatSounds is {1200 / hours(wild):,.0f} times as long, "
      f"its AudioSet {5800 / hours(world):,.0f} times.")

# %% [markdown]
# The 1.2k hours in the paper's last row are iNatSounds alone, although AudioSet is named beside it. Hold on to the
# ratio: nothing that this course measures on `chorus` says how a model behaves on thousands of hours.

# %% [markdown]
# ## Summary
#
# - A log-mel is frames, FFT, triangles on the mel scale, a logarithm and two constants. You have built one and it
#   equals the library's.
# - Here it is not smaller than the wave (P2). It makes neighbours of what belongs together, which is what patches
#   will need.
# - What a paper leaves open (FFT length, logarithm, padding) changes the input: 2 empty bands (P3), padding louder
#   than the clip (P4).
# - A front end is part of a checkpoint: rate, band, constants, pad value. A wrong rate is refused.
# - A labelled recording is empty of its species in a good part of its windows (P1).
# - The way back to sound keeps the pitch and loses the crispness (P5); know that price before judging a
#   reconstruction.

# %% [markdown]
# ## Exercises
#
# Fill in the function, run the cell: the last line tries it on cases you have not seen and says whether it is right or
# what to look at. Solutions are folded below each.

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
# ### 2 · Empty filters
#
# How many mel filters of a front end catch no bin of its FFT? A function of any `FrontEnd`, without a list of cases.

# %% tags=["exercise"]
def empty_filters(front):
    """The number of mel filters of a FrontEnd that catch no FFT bin."""
    return None


check.empty_filters(empty_filters)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def empty_filters(front):
#     return int((mel.filters(front).sum(dim=0) == 0).sum())
# ```
# Try `empty_filters(replace(mel.INAT, mels=256))`: more bands of the same FFT are not more detail.
# </details>
#
# ### 3 · Ten times as loud
#
# Multiply a wave by a factor. By how much does the normalised spec of a front end with INAT's logarithm (equations 5 and
# 6) change, in cells that meet neither the floor nor the ceiling?

# %% tags=["exercise"]
def gain_shift(factor, front):
    """What a wave times `factor` adds to the normalised spec.

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
# A factor of 10 is +20 dB, so every cell grows by 20 / 17.86 = 1.12, except those that meet the ceiling of +50 dB. See
# where: `plots.spec(plt.gca(), mel.LogMel(mel.INAT)(10 * wave[None]) - x, mel.INAT)`. A gain is a shift in a log-mel:
# that is why mixing or "gain" augmentation is easy there.
# </details>
#
# ### 4 · The right silence
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
# Pad in the logarithm's own units, then normalise: one order of two steps, and the mistake of P4 cannot happen.
# </details>
#
# ### 5 · Two notes, 10 ms apart (an experiment)
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
# the hop does not help. `replace(mel.INAT, window=128, hop=32)` (6 ms) shows 10 ms, and pays with frequencies 4
# times as coarse.
# </details>

# %% [markdown]
# ## Quiz
#
# **A.** Why is `n_fft = 1024` not "twice the frequency resolution" here?
# <details><summary>Answer</summary>Because the window stays 512 samples. Zeros add points between, not information;
# two tones closer than about 2 bins of the 512-point FFT (86 Hz) still melt into one bump.</details>
#
# **B.** You finetune AudioMAE on your 44.1 kHz recordings. At which rate do you read them?
# <details><summary>Answer</summary>16 kHz, the rate of its front end, whatever your files have. You lose what lies
# above 8 kHz; if your species lives there, choose another model, not another rate.</details>
#
# **C.** Your data set is quieter than AudioSet. Should you refit `mean` and `std`?
# <details><summary>Answer</summary>With pretrained weights: no, keep the constants they were trained with. From
# scratch: one pair of constants, measured once on train, and then left alone, also when the mixture or the filter
# changes.</details>
#
# **D.** Which of these does a log-mel throw away: pitch, phase, loudness, the order of notes?
# <details><summary>Answer</summary>Phase. Pitch is kept to the width of a filter, loudness between floor and ceiling,
# order to the length of a window.</details>

# %% [markdown]
# ## What was not shown
#
# - Per-channel energy normalisation (PCEN), learnable front ends, and models that read the wave itself.
# - SpecAugment, mixing and gain as augmentation: they come with finetuning.
# - Real recordings: the default data are synthetic. Set `wildlife` to a folder of yours and read every figure again.
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
