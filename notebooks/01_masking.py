# %% [markdown]
# # 01 · Masking: what is left to hear when four fifths are hidden?
#
# | you are | read | minutes |
# |---|---|---|
# | a biologist who has never programmed | the question, Figures 1 to 5 and their captions, the first paragraph of *Other masks*, *What is left to hear*, the five guesses, Figure 6 and the four points after it, the first two rows of *What we saw*, quiz 3 and 4; pass over all code and equations | 8 |
# | a programmer | all of it | 17 |
#
# **Time**: `tiny`, the size for a laptop, half a minute of one core of an AMD EPYC · `smoke`, `small` and `paper` the
# same, with a larger encoder in the last measurement. The synthetic recordings are made once and kept: a minute more at
# the first run (`tiny`).
#
# You will
# 1. **cut** a spectrogram into patches and **number** them,
# 2. **draw** a random mask in five lines and **undo** the shuffle it makes,
# 3. **compare** masks by eye, by ear, and by how many calls they hide,
# 4. **measure** how far copying from the neighbours gets, the bar that a trained model has to clear,
# 5. **say** what masking saves.
#
# Read 00 first if "log-mel" or "mel band" is new to you. Nothing is trained here; 02 does that.

# %% [markdown] tags=["slide"]
# ## The question
#
# A lorry passes while a bird sings. For half a second you hear only the lorry, and yet you could whistle what the bird
# sang meanwhile. From what do you know it? From the phrase before, from the overtones that were not covered, from a
# thousand other songs. Whoever can fill such gaps has learned something about songs, and nobody had to tell them which
# species it was.

# %% [markdown]
# A *masked autoencoder* (MAE) is a network that is trained on nothing but such gaps, made on purpose:
#
# 1. **cut** the spectrogram of a few seconds of sound into patches,
# 2. **hide** most of them, at random,
# 3. an **encoder** looks at the visible ones only and describes each by a list of numbers,
# 4. a small **decoder** gets these lists, and blanks for the hidden patches, and **guesses** what was there,
# 5. the guesses are compared with the truth, which is known: the **loss** is their error on the hidden patches, and
#    both networks are changed a little to make it smaller.
#
# Then the decoder is thrown away, and the encoder is what a classifier of species starts from. He et al. 2022 did this
# to pictures, AudioMAE (Huang et al. 2022) to sound. Of the two papers that this course re-creates, Liu et al. 2026
# hide 80 % of the patches and Niizumi et al. 2022 hide 75 %.
#
# This notebook is about steps 1 and 2. What is hidden decides what has to be learned: a gap that is easy to fill
# teaches little, and one that swallows the whole call leaves nothing to learn the call from.

# %% [markdown] tags=["slide"]
# > **Predict before you read on.** Three masks hide the same 75 % of three seconds of sound: random patches, whole
# > moments, or whole frequency bands. Under which of them do most calls disappear *without a trace*? And under which
# > is a hidden patch easiest to guess from its surroundings? Write down an order for each; the notebook comes back to
# > both, and runs without them too.

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
calls_lost = None  # from most to fewest calls lost, a list of "random", "time", "frequency"
hard_to_copy = None  # from the largest to the smallest error of the best copy, the same three

# %%
import itertools
import math
import time

import matplotlib.pyplot as plt
import pandas as pd
import torch

from lib import audio, mae, mel, patches, plots, runs, sources
from lib.course import exercises
from lib.sources import chorus

plots.style()

# %% tags=["parameters"]
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the masks and of the choice of recordings
data_seed: int = 0  # of the synthetic recordings, and of the split of a folder that brings none
# folder:PATH has one folder per class, or is a CSV
wildlife: str = "chorus"  # the pool with the animals: chorus, inatsounds:ROOT or folder:PATH
general: str = "chorus"  # the everyday sounds: chorus, audioset:ROOT, esc50 or folder:PATH

# %% [markdown]
# ## What will be computed
#
# There are two pools of recordings: *wildlife*, the animals that we care about, and *general*, everyday sounds, of
# which the world has many more. The first three seconds of up to 64 recordings per pool (8 at `smoke`) become *specs*,
# log-mel spectrograms of 512 frames x 128 mel bins, as in 00. Everything else is drawing masks on them. Numbers in the
# text are of `tiny`, `seed=0` and `data_seed=0` on `chorus`, this project's synthetic sound world, where the true box
# of every call is known.

# %%
setting = runs.scale(scale)
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
count = 8 if setting.name == "smoke" else 64
chosen = {name: table.sample(min(count, len(table)), random_state=seed).reset_index(drop=True)
          for name, table in pools.items()}
pd.DataFrame([{"pool": name, "recordings": len(pools[name]), "used here": len(table),
               "classes": pools[name]["label"].nunique(),
               "hours": round(pools[name]["duration_s"].sum() / 3600, 2)}
              for name, table in chosen.items()]).set_index("pool")

# %%
front = mel.INAT
log_mel = mel.LogMel(front)
specs = {}
for name, table in chosen.items():
    waves = [audio.read(file, front.rate, 0.0, front.seconds)[: front.samples]
             for file in table["file"]]
    lengths = torch.tensor([len(wave) for wave in waves])
    batch = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)  # (B, N)
    specs[name] = log_mel(batch, lengths, frames=front.frames)  # (B, 1, T, M)
    print(f"{name}: {tuple(specs[name].shape)}, mean {specs[name].mean():.2f}, "
          f"std {specs[name].std():.2f}")

# %% [markdown]
# One recording accompanies us: the one whose sound stands out most above the median of each of its own mel bands. (A
# spec is normalised: 0 is the usual level, 1 unit is 17.86 dB.)

# %%
above = specs["wildlife"] - specs["wildlife"].median(dim=2, keepdim=True).values  # (B, 1, T, M)
best = int((above - 1).clamp(min=0).mean(dim=(1, 2, 3)).argmax())
spec = specs["wildlife"][best : best + 1]  # (1, 1, T, M)
wave = audio.read(chosen["wildlife"]["file"][best], front.rate, 0.0, front.seconds)
print(chosen["wildlife"]["label"][best], tuple(spec.shape))
plots.sound(wave, front.rate, title="the recording that accompanies us")

# %% [markdown]
# ## Patches
#
# The network that will guess, a transformer, reads a sequence of *tokens*: pieces of input, each a list of numbers.
# Here a token is a patch. A spec $(T, M)$ becomes a sequence by cutting it into patches of $p_t$ frames by $p_f$ mel
# bins:
#
# $$ L = t f, \qquad t = T / p_t, \qquad f = M / p_f \tag{1} $$
#
# Tokens run *time-major*: the patch at time column $a$ and mel row $b$ is token
#
# $$ i = a f + b \tag{2} $$
#
# so the first $f$ tokens are the first moment, from the lowest band to the highest. Other code numbers differently
# (MSM-MAE runs along time first), and mixing the two up gives no error message.
#
# Cutting is two lines: split both axes, then bring the two patch counts to the front. On numbers small enough to read:

# %%
# NBVAL_CHECK_OUTPUT
toy = torch.arange(24).reshape(1, 1, 4, 6)  # (1, 1, T=4, M=6): rows are frames here
x = toy.reshape(1, 2, 2, 3, 2)  # (1, t, pt, f, pf): 4 frames = 2 columns of 2, 6 bins = 3 rows of 2
x = x.permute(0, 1, 3, 2, 4)  # (1, t, f, pt, pf)
x = x.reshape(1, 6, 4)  # (1, L, pt*pf)
print(toy[0, 0], x[0], sep="\n")

# %% [markdown]
# Token 0 holds 0, 1, 6, 7: two frames of the lowest two bins. Token 1 is the next two bins at the *same* time. On the
# real thing, with the patch of both papers' main models, 16 frames x 16 bins:

# %%
# NBVAL_CHECK_OUTPUT
patch = (16, 16)
grid = patches.grid_of(front.frames, front.mels, patch)
x = spec.reshape(1, grid.t, 16, grid.f, 16).permute(0, 1, 3, 2, 4).reshape(1, grid.t * grid.f, 256)
print(grid, "->", tuple(x.shape), "| equal to patches.patchify:",
      torch.equal(x, patches.patchify(spec, patch)))
print(f"a patch is {1000 * 16 * front.hop_s:.0f} ms x 16 mel bins; back again:",
      torch.equal(patches.unpatchify(x, grid, patch), spec))

# %% [markdown]
# > **Predict.** The grid is 32 columns of 8 rows. Which number has the patch in time column 3, mel row 5, both counted
# > from 0?

# %%
# NBVAL_CHECK_OUTPUT
L = grid.t * grid.f
column, row = 3, 5
i = column * grid.f + row
print(f"token {i}; and back: column {i // grid.f}, row {i % grid.f}")

# %% tags=["slide"]
def draw_grid(ax):
    """Patch borders over a plots.spec, and each patch's token number."""
    wide, high = patch[0] * front.hop_s, patch[1]
    ax.vlines([a * wide for a in range(1, grid.t)], 0, front.mels, color="w", linewidth=0.4)
    ax.hlines([b * high for b in range(1, grid.f)], 0, front.frames * front.hop_s,
              color="w", linewidth=0.4)
    for i in range(L):
        place = (i // grid.f + 0.5) * wide, (i % grid.f + 0.5) * high
        ax.text(*place, str(i), color="w", fontsize=10, ha="center", va="center", clip_on=True,
                bbox=dict(facecolor="k", alpha=0.5, edgecolor="none", pad=1))


figure, ax = plt.subplots(figsize=(11, 3.8))
plots.spec(ax, spec, front, "tokens 0 to 127 of 256, in the order the model counts them")
draw_grid(ax)
ax.set_xlim(0, 16 * patch[0] * front.hop_s);

# %% [markdown] tags=["fragment"]
# *Figure 1. The first half of the recording, cut into patches, each with its token number.* **See:** numbers grow
# upwards first, then to the right. This call covers eight or nine columns, each of its two strokes about four; a click
# or a short syllable would fit into one.

# %% [markdown]
# ## A random mask in five lines
#
# Draw a number for every patch, sort, keep the smallest. The share hidden is the *mask ratio* $r$; $H =
# \mathrm{round}(rL)$ patches are hidden and $K = L - H$ stay. This is the public MAE's own recipe (He et al. 2022).

# %% tags=["slide", "code"]
# NBVAL_CHECK_OUTPUT
ratio = 0.75
K = L - round(ratio * L)
noise = torch.rand(1, L, generator=torch.Generator().manual_seed(seed))  # (1, L)
order = noise.argsort(1)  # (1, L): patches from the smallest noise to the largest
keep = order[:, :K]  # (1, K): what the encoder will see, in this order
restore = order.argsort(1)  # (1, L): where each patch went
hidden = restore >= K  # (1, L): True = hidden
print(f"{L} patches, {K} visible, {int(hidden.sum())} hidden; the first five the encoder sees: "
      f"{keep[0, :5].tolist()}")

# %%
# NBVAL_CHECK_OUTPUT
mask = patches.random_mask(1, grid, ratio, torch.Generator().manual_seed(seed))
print("the same as patches.random_mask:",
      all(torch.equal(a, b) for a, b in zip(mask, (keep, restore, hidden))))

# %% [markdown]
# Masks are made *outside* the model, with a generator of random numbers that is passed in. So a mask can be drawn,
# looked at, replayed and edited, and a run can be repeated to the bit.
#
# ### Why `restore`?
#
# The encoder receives $K$ tokens in a random order and never learns about the rest. The decoder must put them back.
# `restore` is the inverse of the permutation `order`:
#
# $$ \mathrm{order}[\mathrm{restore}[i]] = i \qquad\Longleftrightarrow\qquad \mathrm{restore} = \mathrm{argsort}(\mathrm{order}) \tag{3} $$
#
# so the decoder lines up `[visible..., blanks...]` and picks position `restore[i]` for patch $i$.

# %%
# NBVAL_CHECK_OUTPUT
letters, places = list("MASKED"), torch.tensor([4, 0, 5, 2, 1, 3])
back = places.argsort()
shuffled = [letters[j] for j in places]
print("shuffled:", "".join(shuffled), "| restored:", "".join(shuffled[j] for j in back),
      "| restore =", back.tolist())

# %% [markdown]
# The same game with patches: what the encoder gets, what the decoder would see without `restore`, and with it.

# %%
tokens = patches.patchify(spec, patch)  # (1, L, P)
seen = tokens.gather(1, mask.keep[..., None].expand(-1, -1, 256))  # (1, K, P): all the encoder gets
blanks = torch.full((1, L - K, 256), torch.nan)
lined_up = torch.cat([seen, blanks], 1)  # (1, L, P): [visible..., hidden...]
in_place = lined_up.gather(1, mask.restore[..., None].expand(-1, -1, 256))  # (1, L, P)

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 2.9), sharey=True)
limits = tuple(spec.quantile(torch.tensor([0.01, 0.998])).tolist())
for ax, x, title in zip(axes, (tokens, lined_up, in_place),
                        ("input", "[visible..., blanks...]", "after restore")):
    plots.spec(ax, patches.unpatchify(x, grid, patch), front, title, limits)
    ax.set_ylabel("frequency (kHz)" if ax is axes[0] else "")

# %% [markdown]
# *Figure 2. The recording, its visible patches in the order of the encoder, and the same patches put back.* **See:**
# in the middle stand 64 visible tokens, then blanks (grey), and the axes mean nothing any more; a model without
# `restore` would be asked to paint the right picture from the middle one.
#
# **Checkpoint.** If this passes, your mask is one the model can use.

# %%
assert torch.equal(order.gather(1, restore), torch.arange(L)[None])  # equation (3)
assert torch.equal(in_place.isnan().all(-1), mask.hidden)
assert torch.equal(in_place[~mask.hidden], tokens[~mask.hidden])
assert int(plots.masked(spec, mask, patch).isnan().sum()) == (L - K) * 256

# %% [markdown]
# ### A trap in one character
#
# > **Predict.** Much public code counts the visible patches as `int(L * (1 - ratio))`. With 10 patches and a ratio of
# > 0.9, how many stay visible?

# %%
# NBVAL_CHECK_OUTPUT
for n, r in ((10, 0.9), (100, 0.9), (10, 0.7), (256, 0.8)):
    print(f"{n} patches, ratio {r}: int() keeps {int(n * (1 - r))}, "
          f"rounding keeps {n - round(r * n)}   ({n * (1 - r)!r})")

# %% [markdown]
# <details><summary>Answer</summary>None: 1 - 0.9 is a little less than 0.1 for a computer, and `int` cuts.</details>
#
# Counts are rounded here, and at least one patch always stays.
#
# ## Other masks
#
# Random is not the only choice. SpecAugment, which makes speech recognisers sturdier, hides whole moments or whole
# bands; AudioMAE offers both at once ("2-D"); Niizumi et al. use three patterns to look into a trained model (their
# Fig. 3). The drawn masks below hide 75 % (the 2-D one half of the columns and half of the rows), the patterns 50 %.

# %%
DRAWN = {"random": lambda B, r, g: patches.random_mask(B, grid, r, g),
         "time": lambda B, r, g: patches.time_mask(B, grid, r, g),
         "frequency": lambda B, r, g: patches.freq_mask(B, grid, r, g),
         "2-D": lambda B, r, g: patches.time_freq_mask(B, grid, 1 - (1 - r) ** 0.5,
                                                       1 - (1 - r) ** 0.5, g)}
PATTERNS = {"vertical": patches.vertical_mask, "horizontal": patches.horizontal_mask,
            "chessboard": patches.chessboard_mask}


def masks(B):
    """Every kind of mask for B clips, drawn anew from the seed."""
    drawn = {f"{name} 75 %": make(B, 0.75, torch.Generator().manual_seed(seed))
             for name, make in DRAWN.items()}
    half = {"random 50 %": patches.random_mask(B, grid, 0.5, torch.Generator().manual_seed(seed))}
    return drawn | half | {f"{name} 50 %": make(B, grid) for name, make in PATTERNS.items()}

# %% tags=["slide"]
figure, axes = plt.subplots(2, 4, figsize=(11, 4.6), sharex=True, sharey=True)
for ax, (name, drawn) in zip(axes.flat, masks(1).items()):
    plots.spec(ax, plots.masked(spec, drawn, patch), front, name, limits)
    ax.set(xlabel="time (s)" if ax in axes[1] else "",
           ylabel="frequency (kHz)" if ax in axes[:, 0] else "")

# %% [markdown] tags=["fragment"]
# *Figure 3. Eight masks on the same recording; grey is hidden.* **See:** above, 64 of 256 patches are visible each
# time, but in very different places: a time mask shows whole moments or nothing, a frequency mask whole bands or
# nothing. Below, half is visible, and none of the three regular patterns leaves a hidden patch without a visible
# neighbour.

# %% [markdown] tags=["slide"]
# ## What is left to hear
#
# > **Predict.** Which will you recognise more easily: the call behind a random mask or behind a time mask of the same
# > ratio?
#
# A spec has lost the phase and blurred the frequencies; `mel.to_wave` has to invent them (Griffin and Lim's
# algorithm). So the fair comparison for a masked sound is not the recording but **the unmasked spectrogram turned back
# into sound**. Hidden patches are silent.

# %% tags=["fragment"]
silence = mel.normalise(front.pad, front)
heard = {"the spectrogram, unmasked": spec}
for name in ("random 75 %", "time 75 %", "frequency 75 %"):
    heard[name] = plots.masked(spec, masks(1)[name], patch).nan_to_num(silence)
for name, x in heard.items():
    sound = mel.to_wave(x[0, 0], front)
    # dB, where the encoder sees something
    error = front.std * (log_mel(sound[None], frames=front.frames) - x)[x != silence]
    off = f"its spectrogram {error.square().mean().sqrt():.1f} dB (rms) off"
    display(plots.sound(sound, front.rate, title=f"{name}, turned into sound: {off}"))

# %% [markdown]
# The number over each player says what the inversion costs: turned into a spectrogram again, the unmasked sound is 1.8
# dB off. What you miss beyond that is the mask's doing. In this draw the random mask keeps a bit of every note, in
# some band and for a tenth of a second. The time mask plays one moment of the call exactly as it was, two tenths of a
# second, and of the rest nothing. The frequency mask keeps two rows: the fall and the rise are there in the lower
# overtones, most of the fundamental and everything higher is gone. Which of them you recognise more easily only your
# ears can say; for counting whole calls, see below.
#
# ### How much is too much?
#
# Niizumi et al. (Sec. 4.5.3, Fig. 4) go from 0.40 to 0.99 and report that *their trained model* reconstructs well up
# to 0.75, the ratio it was trained at, and noticeably worse above. Here are such ratios without any model.

# %% tags=["slide"]
figure, axes = plt.subplots(1, 4, figsize=(11, 2.6), sharex=True, sharey=True)
for ax, r in zip(axes, (0.6, 0.8, 0.95, 0.99)):
    drawn = patches.random_mask(1, grid, r, torch.Generator().manual_seed(seed))
    plots.spec(ax, plots.masked(spec, drawn, patch), front,
               f"{r:.0%}: {drawn.keep.shape[1]} visible", limits)
    ax.label_outer()

# %% [markdown] tags=["fragment"]
# *Figure 4. One draw at four mask ratios; a patch visible on the right was visible on the left.* **See:** at 80 % the
# eye still joins the traces to a call; at 95 % it sees a few spots; at 99 % three patches are left.

# %% [markdown] tags=["slide"]
# ## How many calls survive?
#
# Pictures persuade; counting is better. A call that covers $n$ patches, in $c$ columns and $m$ rows, is hidden
# *completely* with probability
#
# $$ P_\text{random} = \binom{L-n}{K} \Big/ \binom{L}{K} \approx r^{\,n}, \qquad
#    P_\text{time} \approx r^{\,c}, \qquad P_\text{frequency} \approx r^{\,m} \tag{4} $$
#
# A random mask has to hit all $n = c\,m$ patches; a time mask only $c$ columns; a frequency mask only $m$ rows, and a
# call rarely has many rows.

# %%
# NBVAL_CHECK_OUTPUT
def gone(total, visible, n):
    return math.comb(total - n, visible) / math.comb(total, visible)


print("hidden completely at 75 %    random     time  frequency")
for what, c, m in (("chip, 1 x 1 patch", 1, 1), ("chirp, 2 x 2", 2, 2),
                   ("trill, 6 x 1", 6, 1), ("song, 9 x 3", 9, 3)):
    print(f"{what:25s} {gone(256, 64, c * m):9.2%} {gone(32, 8, c):8.2%} {gone(8, 2, m):10.2%}")

# %% [markdown]
# A sound shorter than a patch has no advantage from any mask: one token carries all of it and it is lost in 75 % of
# draws. The more patches a sound covers, the surer random masks leave a trace; for a trill in one row they are no
# better than time masks. Now the true boxes of `chorus`, on many drawn masks:

# %%
table = pools["wildlife"]
if (table["source"] == "chorus").all():
    calls = chorus.events(table).query("kind == 'call' and start_s < @front.seconds - 0.1")
else:
    print("this pool has no true boxes: 500 made-up calls of 0.1 to 1 s "
          "in 1 to 3 mel rows stand in")
    u = torch.rand(500, 4, generator=torch.Generator().manual_seed(seed)).numpy()
    low = (u[:, 2] * 6).astype(int) * 16
    calls = pd.DataFrame({"file": "", "start_s": 2 * u[:, 0],
                          "end_s": 2 * u[:, 0] + 0.1 + 0.9 * u[:, 1],
                          "low_hz": mel.centres(front)[low],
                          "high_hz": mel.centres(front)[low + 16 * (u[:, 3] * 3).astype(int)]})
seconds = (calls["end_s"].clip(upper=front.seconds) - calls["start_s"])
print(f"{len(calls)} calls begin in the first {front.seconds:.2f} s; "
      f"the middle 80 % last {seconds.quantile(0.1):.2f} to {seconds.quantile(0.9):.2f} s")

# %% [markdown]
# Each box becomes a small boolean picture on the grid: the patches it touches.

# %%
column_s = patch[0] * front.hop_s
first, last = (torch.tensor((calls[c] / column_s).to_numpy()) for c in ("start_s", "end_s"))
hz = torch.tensor(calls[["low_hz", "high_hz"]].to_numpy(), dtype=torch.float32).contiguous()
bands = torch.searchsorted(mel.centres(front), hz).clamp(max=front.mels - 1)  # (N, 2)
rows = (bands // patch[1])[..., None]  # (N, 2, 1)
a, b = torch.arange(grid.t), torch.arange(grid.f)
in_time = (a >= first.floor()[:, None]) & (a < last.ceil()[:, None])  # (N, t)
cells = in_time[:, :, None] & ((b >= rows[:, 0]) & (b <= rows[:, 1]))[:, None]  # (N, t, f)
print(f"a call touches {int(cells.sum((1, 2)).median())} patches: "
      f"{int(in_time.sum(1).median())} columns and "
      f"{int(cells.any(1).sum(1).median())} rows (medians)")

# %%
def survival(cells, visible):
    """Calls (N, t, f) under drawn masks (R, t, f): share hidden completely, and the mean longest
    stretch without a trace in seconds."""
    seen = torch.einsum("ntf,rtf->nrt", cells.float(), visible.float()) > 0  # (N, R, t)
    blind = cells.any(2)[:, None] & ~seen  # (N, R, t): inside the call, nothing visible
    run = longest = torch.zeros(blind.shape[:2])
    for moment in blind.unbind(2):
        run = (run + 1) * moment
        longest = torch.maximum(longest, run)
    return float((~seen.any(2)).float().mean()), float(longest.mean()) * column_s


rows = []
for (kind, make), r in itertools.product(DRAWN.items(),
                                         (0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)):
    hidden = make(100, r, torch.Generator().manual_seed(seed)).hidden  # (100, L)
    lost, gap = survival(cells, ~hidden.view(-1, *grid))
    rows.append({"mask": kind, "ratio": r, "hidden": float(hidden.float().mean()),
                 "calls lost": lost, "longest gap (s)": gap})
survived = pd.DataFrame(rows)

# %%
at = survived[survived["ratio"].isin((0.5, 0.75, 0.9))]
wide = at.pivot(index="mask", columns="ratio", values="calls lost").loc[list(DRAWN)]
wide.columns = [f"ratio {r:g}" for r in wide.columns]
display(plots.table(wide).format("{:.1%}").set_caption("calls without a visible patch"))
at_75 = at[at["ratio"] == 0.75].set_index("mask")
print("longest gap inside a call at 75 %, in seconds:",
      at_75["longest gap (s)"].round(2).to_dict())

# %%
lost = at_75["calls lost"].drop("2-D").sort_values(ascending=False)
exercises.predicted("calls lost at 75 %", calls_lost, lost.index.tolist())

# %% tags=["slide"]
figure, axes = plt.subplots(1, 2, figsize=(11, 3.4))
for ax, what in zip(axes, ("calls lost", "longest gap (s)")):
    for (kind, line), marker in zip(survived.groupby("mask", sort=False), "os^D"):
        ax.plot(line["hidden"], line[what], marker=marker, label=kind)
    ax.set(xlabel="share of patches hidden",
           ylabel={"calls lost": "calls without a visible patch"}.get(
               what, "longest gap inside a call (s)"))
axes[0].yaxis.set_major_formatter("{x:.0%}")
axes[0].legend();

# %% [markdown] tags=["fragment"]
# *Figure 5. The share of calls without any visible patch (left) and the longest stretch inside a call of which nothing
# is visible (right), against the share of patches hidden.* **See:** at 75 % **random masks lose 0.6 % of the calls,
# 2-D masks 7.6 %, time masks 8.8 %, frequency masks 29.9 %**; the longest gap is 0.18 s under random and 0.44 s under
# time masks.

# %% [markdown]
# So a high ratio alone does not erase animals; a high ratio of *whole lines* does, above all of whole bands, because
# an animal uses few of them. (1,331 calls, 100 masks each. The axis is the share really hidden: 8 rows allow a
# frequency mask to hide 75 % or 87.5 %, so in the last column of the table it hides 87.5 %.)
#
# Two limits. A box is not a call: a visible patch in its corner may show nothing of the animal, so these are lower
# bounds. And calls in `chorus` are long, nine columns in the median: for a chip of 50 ms the first line of equation
# (4)'s table holds, not the curves.
#
# **Checkpoint.** If this passes, equation (4) and the counting agree for random masks.

# %%
theory = sum(gone(L, 64, int(n)) for n in cells.sum((1, 2))) / len(cells)
measured = float(survived.query("mask == 'random' and ratio == 0.75")["calls lost"].iloc[0])
assert abs(theory - measured) < 0.02, (theory, measured)
print(f"calls hidden completely by random masks at 75 %: equation (4) says {theory:.1%}, "
      f"counted {measured:.1%}")

# %% [markdown] tags=["slide"]
# ## How well do the neighbours know?
#
# A hidden patch that its neighbours give away teaches a model to copy. So before any training: how far does *copying*
# get? Five guesses for a hidden patch, each the mean of some visible patches of the same clip:
#
# $$ \hat x_i = \frac{1}{|N_i|}\sum_{j \in N_i} x_j , \qquad N_i = \text{the visible } j \text{ with the smallest } d(i, j) \tag{5} $$
#
# * **all**: $d = 0$, the mean of everything visible; **same row**: the mean of what is visible in the same mel row;
# * **nearest in time**: $d = |a_i - a_j|$ within the row; **nearest in frequency**: $d = |b_i - b_j|$ within the
#   column;
# * **nearest**: $d = |a_i - a_j| + |b_i - b_j|$, whichever way. Ties are averaged; where nothing qualifies, "all"
#   stands in.
#
# > **Predict.** At 50 %, order *vertical*, *horizontal* and *chessboard* by the error of the best of these guesses.
# > Niizumi et al. found that their trained model does best on the chessboard.

# %%
def distances(grid):
    """The five neighbourhoods of equation (5), each (L, L); inf = never used."""
    a, b = (x.flatten().float()
            for x in torch.meshgrid(torch.arange(grid.t), torch.arange(grid.f), indexing="ij"))
    dt, df = (a[:, None] - a).abs(), (b[:, None] - b).abs()
    zero = torch.zeros_like(dt)
    return {"all": zero, "same row": zero.masked_fill(df > 0, torch.inf),
            "nearest in time": dt.masked_fill(df > 0, torch.inf),
            "nearest in frequency": df.masked_fill(dt > 0, torch.inf), "nearest": dt + df}


def copy(x, hidden, distance):
    """Patches (B, L, P) guessed from the visible ones of the same clip by equation (5)."""
    d = distance.expand(len(x), -1, -1).masked_fill(hidden[:, None], torch.inf)  # (B, L, L)
    weight = ((d == d.amin(-1, keepdim=True)) & d.isfinite()).float()
    weight = torch.where(weight.any(-1, keepdim=True), weight, (~hidden)[:, None].float())
    return weight / weight.sum(-1, keepdim=True) @ x  # (B, L, P)

# %%
def copies_of(specs):
    """The squared error of every guess under every mask, (B,) each: the mean over the hidden
    patches of a clip."""
    x, near = patches.patchify(specs, patch), distances(grid)
    errors = {}
    for name, drawn in masks(len(x)).items():
        off = {guess: (copy(x, drawn.hidden, d) - x)[drawn.hidden] for guess, d in near.items()}
        errors[name] = {guess: e.square().view(len(x), -1).mean(1) for guess, e in off.items()}
    return errors


copies = {pool: copies_of(x) for pool, x in specs.items()}
means = {pool: pd.DataFrame({name: {guess: float(error.mean()) for guess, error in line.items()}
                             for name, line in found.items()}).T for pool, found in copies.items()}

# %% tags=["slide"]
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), sharey=True)
for ax, (name, errors) in zip(axes, means.items()):
    bars = ax.barh(range(len(errors)), errors.min(axis=1), color=["C0"] * 4 + ["C1"] * 4)
    said = errors.min(axis=1).map("{:.3f}: ".format) + errors.idxmin(axis=1)
    ax.bar_label(bars, said, padding=3, fontsize=10)
    ax.set_yticks(range(len(errors)), errors.index)
    ax.set(xlabel="squared error of the best copy (1 = 17.86² dB²)", title=name,
           xlim=(0, 1.6 * errors.min(axis=1).max()))
axes[0].invert_yaxis()

# %% [markdown] tags=["fragment"]
# *Figure 6. The error of the best of the five guesses, and which one it was; blue: 75 % hidden, orange: 50 %.*
# **See:** frequency masks are the hard ones in both pools, 0.32 against 0.11 for random masks in wildlife and 1.12
# against 0.34 in general sound. **Ask:** why is the same row the best neighbour
# under every random and time mask?

# %%
def tied(a, b):
    """Whether the 95 % interval of the mean difference over the clips holds 0."""
    difference = a - b
    return bool(difference.mean().abs() < 1.96 * difference.std() / len(difference) ** 0.5)


best = {kind: min(copies["wildlife"][f"{kind} 75 %"].values(), key=torch.mean)
        for kind in ("random", "time", "frequency")}
order_of = sorted(best, key=lambda kind: -best[kind].mean())
exercises.predicted("error of the best copy in wildlife", hard_to_copy, order_of,
                    tied=[pair for pair in itertools.combinations(best, 2)
                          if tied(best[pair[0]], best[pair[1]])])

# %% [markdown]
# * **A band tells little about another band**; the level of a band at one moment tells a lot about the next. That is
#   why frequency masks are hard. The mean of a row also averages its hiss away, which a single neighbour hands on.
# * **Random and time masks look equally hard in wildlife**, although time masks lost fifteen times as many calls. The
#   mean error is mostly about the background, which the mean of the row already knows. It hardly notices a missing
#   animal.
# * **The chessboard is easiest where sound is rich**: 0.23 in general, against 0.28 (vertical) and 0.47 (horizontal).
#   That is the order Niizumi et al. saw in their trained model's errors (Fig. 3), and here *nothing was trained*.
# * So much of the order of masks is there before any learning. What a model has learned is the distance between its
#   error and these numbers.
#
# ## Where nothing calls
#
# Liu et al. filter for segments that are *hard* to reconstruct, since empty ones "should be easier" (Sec. 4.7). Here
# it matters what a guess is compared with, its *target*. AudioMAE and Liu et al. normalise each target patch by its
# own mean and standard deviation; Niizumi et al. do not.
#
# > **Predict.** Copying from the same row at 75 % random: is the error larger in clips with a call or in clips
# > without? And once every patch is normalised by itself, so that a flat guess has the error 1?

# %%
def own_units(x):
    """Each patch minus its mean, over its standard deviation: (B, L, P)."""
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-6).sqrt()


x = patches.patchify(specs["wildlife"], patch)
hidden = masks(len(x))["random 75 %"].hidden
marked = chosen["wildlife"]["file"].isin(calls["file"])
calling = marked.map({True: "a call", False: "no call marked"})
rows = []
for target, y in (("as it is", x), ("each patch normalised", own_units(x))):
    for guess in ("same row", "nearest in time"):
        error = (copy(y, hidden, distances(grid)[guess]) - y).square().mean(-1)  # (B, L)
        clip = pd.Series((error * hidden).sum(1) / hidden.sum(1))  # (B,)
        rows.append({"target": target, "guess": guess, **clip.groupby(calling).mean()})
print(calling.value_counts().to_dict())
plots.table(pd.DataFrame(rows).set_index(["target", "guess"])).format("{:.2f}")

# %% [markdown]
# As it is, the spec is **much easier to copy where no call is marked**, 0.07 against 0.12: a model trained on it lowers
# its loss by painting even background. With every patch normalised by itself **the difference is gone**, 1.03 (18 clips
# without a call) and 1.01 (46 with): noise brought to the size of a call is as hard as the call, and copying it is
# worse than a flat guess. So with a normalised target an *empty* segment costs as much as one with a call, and a filter
# that keeps high losses need not drop it (07 looks into that).
#
# ## Patches or strips?
#
# Speech models cut time only: a token is a strip of all frequencies. A strip of 2 frames x 128 bins has as many pixels
# as our patch, and 3 s have as many tokens, so nothing but the shape differs. For which does the
# best copy come closer?

# %%
rows = []
for pool, x in specs.items():
    for name, shape in (("patches 16 x 16", (16, 16)), ("strips 2 x 128", (2, 128))):
        where = patches.grid_of(front.frames, front.mels, shape)
        drawn = patches.random_mask(len(x), where, 0.75, torch.Generator().manual_seed(seed))
        y, near = patches.patchify(x, shape), distances(where)
        off = {g: float((copy(y, drawn.hidden, near[g]) - y)[drawn.hidden].square().mean())
               for g in ("all", "same row", "nearest")}
        rows.append({"pool": pool, "token": name, **off})
plots.table(pd.DataFrame(rows).set_index(["pool", "token"])).format("{:.3f}")

# %% [markdown]
# Strips are easier to copy. In general sound the nearest one is best, 0.183 against 0.339 for a row of patches: it is a
# few hundredths of a second away and shows all bands. In wildlife a mean is best for both, and a mean of 64 strips holds
# less hiss than one of a row's 8 patches (0.095 against 0.107), so there much of the difference may be averaging. An
# easier task can be solved with less understanding, which fits Niizumi et al.'s finding that patches give the better
# features (the encoder's numbers, used as measurements) on 11 of 15 tasks (Table 7). It does not prove the reason, and
# four tasks went the other way. 08 trains both.
#
# ## What masking saves
#
# A transformer block of width $D$ on $n$ tokens costs about
#
# $$ 12\, n D^2 + 2\, n^2 D \tag{6} $$
#
# multiplications: the linear layers, which treat every token by itself, grow with $n$; attention, in which every token
# looks at every other (02 builds it), with its square. The encoder of a MAE sees only the visible patches and the
# *class token*, an additional one that belongs to no patch and can speak for the whole clip.

# %% tags=["slide"]
# NBVAL_CHECK_OUTPUT
def cost(n, D):
    """Equation (6)."""
    return 12 * n * D**2 + 2 * n**2 * D


print("hidden  tokens   attention   a block of 128-d   of 768-d (ViT-B)")
for r in (0.0, 0.5, 0.75, 0.8, 0.9):
    n = 1 + 256 - round(r * 256)
    print(f"{r:6.0%} {n:7d} {n**2 / 257**2:11.1%} {cost(n, 128) / cost(257, 128):18.1%} "
          f"{cost(n, 768) / cost(257, 768):18.1%}")

# %%
arch = setting.arch(decoder="plain", decoder_dim=16, decoder_depth=1, decoder_heads=2)
model = mae.MAE(arch, torch.Generator().manual_seed(seed)).eval()
clips = specs["general"][:8]
few = patches.random_mask(len(clips), grid, 0.8, torch.Generator().manual_seed(seed))
spent = {}
with torch.no_grad():
    for name, m in (("all", None), ("visible", few)) * 4:
        start = time.perf_counter()
        model.encode(clips, m)
        spent[name] = min(spent.get(name, math.inf), time.perf_counter() - start)
print(f"encoding a fifth of the patches is about {spent['all'] / spent['visible']:.0f} times "
      f"as fast on this machine ({arch.dim}-d, {arch.depth} blocks)")

# %% [markdown] tags=["fragment"]
# At 80 % the encoder has a fifth of the tokens, and a block costs a fifth (768-d, ViT-B, the size of both papers'
# networks) or a sixth (128-d, ours) of what it costs on all of them; attention itself a twenty-fifth. The measured
# speed-up depends on machine, batch and load, so it is printed rounded. The decoder does see all patches, which is why
# it is kept small.

# %% [markdown]
# ## What we saw, and what the papers say
#
# | | here (`chorus`, `tiny`, **no model**) | the paper (**its** data, its trained model) |
# |---|---|---|
# | calls hidden completely at 75 % | random 0.6 %, 2-D 7.6 %, time 8.8 %, frequency 29.9 % | not measured |
# | pattern at 50 % | best copy, general: chessboard 0.23, vertical 0.28, horizontal 0.47 | Niizumi et al. Fig. 3: chessboard has the smallest errors (pictures, no numbers) |
# | empty clips | raw error 0.07 against 0.12 with a call; normalised per patch 1.03 and 1.01 | Liu et al. Sec. 4.7: empty segments "should be easier to reconstruct"; the filter built on this did not help |
# | patches or strips | strips easier to copy | Niizumi et al. Table 7: patches better on 11 of 15 tasks |
#
# Neither paper reports seeds or intervals, and this notebook draws one set of 64 recordings: read differences of tens
# of per cent, not third digits.
#
# ## Exercises
#
# Fill in the function and run the cell: its last line tries it on masks and numbers you have not seen and says whether
# it is right, or what to look at. The solutions are folded below each.

# %%
from lib.course import exercises_01 as check

# %% [markdown]
# ### 1 · The share that is hidden
#
# Write the mask ratio of a `patches.Mask` as a function.

# %% tags=["exercise"]
def hidden_share(mask):
    """The share of patches that a mask hides: a number between 0 and 1."""
    return None


check.hidden_share(hidden_share)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def hidden_share(mask):
#     return mask.hidden.float().mean()
# ```
# Measured on the mask, not taken from the argument: `hidden_share(patches.freq_mask(1, grid, 0.8, torch.Generator()))` is 0.75, because 8 rows
# allow nothing closer.
# </details>
#
# ### 2 · Hide 80 % on two axes
#
# `patches.time_freq_mask` hides a share of the columns and a share of the rows. Which share, the same on both axes, hides `ratio` of the patches?

# %% tags=["exercise"]
def both_axes(ratio):
    """The share of columns and of rows to hide so that `ratio` of the patches is hidden."""
    return None


check.both_axes(both_axes)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def both_axes(ratio):
#     return 1 - (1 - ratio) ** 0.5
# ```
# Visible is what is visible on both axes: $1 - r = (1 - r_t)(1 - r_f)$. With 0.8 and 0.8 only 6 x 2 = 12 of 256 patches stay: 95.3 % hidden. Equal
# ratios of $1 - \sqrt{0.2} = 0.553$ give 18 columns and 4 rows hidden, 78.1 %; 0.6 and 0.5 come closer: 79.7 %.
# </details>
#
# ### 3 · Back in place
#
# The decoder lines up `[visible..., blanks...]`. Put the line back in the order of the picture, for a whole batch: every clip has its own mask.

# %% tags=["exercise"]
def unshuffle(line, restore):
    """Tokens (B, L, P) in the order [visible..., hidden...] -> (B, L, P) in the order of the
    picture; restore is (B, L)."""
    return None


check.unshuffle(unshuffle)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def unshuffle(line, restore):
#     return line.gather(1, restore[..., None].expand(-1, -1, line.shape[-1]))
# ```
# `gather` wants an index as wide as what it picks, hence `expand`. With `scatter`, or with `order` in place of `restore`, the shapes are the same and
# the picture is not: no error message will tell you.
# </details>
#
# ### 4 · One long gap (an experiment)
#
# Hide `columns` *consecutive* time columns, at a place drawn anew for every clip.

# %% tags=["exercise"]
def long_gap(B, grid, columns, generator):
    """A bool picture (B, t, f), True = hidden: one gap of `columns` columns per clip, at a place
    drawn with the generator."""
    return None


check.long_gap(long_gap)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def long_gap(B, grid, columns, generator):
#     start = torch.randint(0, grid.t - columns + 1, (B, 1), generator=generator)  # (B, 1)
#     a = torch.arange(grid.t)
#     return ((a >= start) & (a < start + columns))[:, :, None].expand(-1, -1, grid.f)
# ```
# The figure then has a point far above the curve of time masks: 37 % of the calls are lost under one gap of 24
# columns, against 8.8 % under 24 scattered ones. `patches.mask_from_hidden` makes a mask of your picture, if you want
# to see or hear it.
# </details>

# %%
figure, ax = plt.subplots(figsize=(7, 3.4))
for (kind, line), marker in zip(survived.groupby("mask", sort=False), "os^D"):
    ax.plot(line["hidden"], line["calls lost"], marker=marker, label=kind)
if exercises.solved(long_gap):
    gap = long_gap(100, grid, 24, torch.Generator().manual_seed(seed))
    share, _ = survival(cells, ~gap)
    ax.plot(24 / grid.t, share, "k*", markersize=14, label=f"your gap: {share:.0%}")
ax.set(xlabel="share of patches hidden", ylabel="calls without a visible patch")
ax.yaxis.set_major_formatter("{x:.0%}")
ax.legend();

# %% [markdown]
# *Figure 7. The share of calls lost under each mask, and under your gap once it is right.* **See:** 24 scattered
# columns of 32 lose 8.8 %. **Ask:** where does one long gap of 24 columns stand, and which of the two is closer to
# what a lorry does?
#
# ### 5 · When copying hurts
#
# With each patch normalised, two patches of correlation $\rho$ differ by $2(1 - \rho)$ in the mean square, so a copy
# is worse than a flat guess for $\rho < 1/2$. Shrinking helps: which factor $c$ makes $\sum (x - c\,\hat x)^2$
# smallest?

# %% tags=["exercise"]
def best_factor(x, copied):
    """The number c for which c * copied is closest to x, in the mean square.

    Both are tensors of one shape."""
    return None


check.best_factor(best_factor)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def best_factor(x, copied):
#     return (x * copied).sum() / copied.square().sum()
# ```
# $c = \langle x \hat x\rangle / \langle \hat x^2\rangle$; for normalised patches and a single neighbour $c = \rho$, with the error $1 - \rho^2$. A copy that knows
# little is best used with little weight.
# </details>
#
# ### 6 · Ten seconds
#
# AudioMAE takes 1,024 frames: 512 patches. What share of its unmasked cost does a block have (equation 6) when a ratio of the patches is hidden?

# %% tags=["exercise"]
def block_share(count, dim, ratio):
    """The cost of a block of width `dim` on the visible of `count` patches and the class token,
    over its cost on all."""
    return None


check.block_share(block_share)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def block_share(count, dim, ratio):
#     cost = lambda n: 12 * n * dim**2 + 2 * n**2 * dim
#     return cost(1 + count - round(ratio * count)) / cost(1 + count)
# ```
# At 80 % 102 patches stay, 103 tokens against 513: 18.5 %. Twice the patches cost 2.10 times as much as our 256; attention's share grows with length,
# and with it what masking saves.
# </details>
#
# ## Quiz
#
# 1. *In a time-major 32 x 8 grid, which patches are next to token 100?*
# <details><summary>Answer</summary>99 and 101 in frequency (the same column: 100 = 12 x 8 + 4), 92 and 108 in time.</details>
#
# 2. *What breaks if the decoder forgets `restore`?*
# <details><summary>Answer</summary>Every token gets another patch's position, and the loss compares
# guesses with the targets of other places. It trains without an error message. How much it loses depends on the decoder: next to nothing with global
# attention, twice the error with local windows (measured in 13), which makes it a fault that a test must find.</details>
#
# 3. *Your clips hold clicks of 20 ms. Does a frequency mask lose more of them than a random mask of the same ratio?*
# <details><summary>Answer</summary>If a click fills one patch: no, any mask hides it with probability r. A click is
# broad-band, though: if it covers all 8 rows of one column, a frequency mask never loses it, a time mask does with probability r, and a random
# mask with about r to the eighth.</details>
#
# 4. *A trained model's error is 0.30 under chessboard masks and 0.45 under horizontal ones. Has it understood time better than frequency?*
# <details><summary>Answer</summary>Not shown. Copying has that order as well. Compare each with the best copy under the same mask first.</details>
#
# 5. *Why is a per-patch-normalised loss of 1.0 the number to beat?*
# <details><summary>Answer</summary>The target then has mean 0 and variance 1 in every patch; guessing 0 everywhere,
# which needs no knowledge, has the error 1 (less where patches are digitally silent).</details>
#
# ## What was not shown
#
# * **A model.** Whether a trained MAE beats these copies, and where: 02 and 10. Reconstructions under the patterned and extreme masks of Niizumi et
#   al. are in 10.
# * **Which mask trains best.** Hard to fill is not the same as good to learn from. AudioMAE reports that unstructured random masks were best for
#   *pretraining* and structured ones of low ratio useful in *finetuning*; we did not test that.
# * **Overlapping patches**, masks that follow the sound's energy, and masks in latent space.
# * **Real calls with true boxes.** The shares of lost calls are from the generator's world. What `chorus` cannot show is how short, faint and crowded
#   real calls are.
#
# ## Further reading
#
# * He, Chen, Xie, Li, Dollár, Girshick: *Masked Autoencoders Are Scalable Vision Learners*. CVPR 2022. doi:10.1109/CVPR52688.2022.01553
# * Huang et al.: *Masked Autoencoders that Listen* (AudioMAE). NeurIPS 2022. doi:10.48550/arXiv.2207.06405
# * Niizumi, Takeuchi, Ohishi, Harada, Kashino: *Masked Spectrogram Modeling using Masked Autoencoders for Learning General-purpose Audio
#   Representation* (MSM-MAE). HEAR 2021, PMLR 166, 2022. doi:10.48550/arXiv.2204.12260
# * Liu, Chasmai, Maji, Van Horn: *Masked Autoencoders with Limited Data: Does It Work? A Fine-Grained Bioacoustics Case Study*. 2026.
#   doi:10.48550/arXiv.2605.14031
# * Park et al.: *SpecAugment*. Interspeech 2019. doi:10.21437/Interspeech.2019-2680 (time and frequency masks as augmentation)
# * Griffin, Lim: *Signal Estimation from Modified Short-Time Fourier Transform*. IEEE TASSP 32, 1984. doi:10.1109/TASSP.1984.1164317
# * Piczak: *ESC: Dataset for Environmental Sound Classification*. ACM Multimedia 2015. doi:10.1145/2733373.2806390
