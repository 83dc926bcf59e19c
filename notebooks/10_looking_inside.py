# %% [markdown]
# # 10 · Looking inside: what a masked autoencoder fills in, and where it looks
#
# **Time**: `tiny` 2 minutes of one core of an Intel Xeon (AVX-512 bf16) for its models, by the sheet below (all of it 6 beside another program) · `smoke` under a minute · `small` not measured ·
# `paper` the paper's ViT-B with 196 M draws: days on one GPU, not measured. Opened again it loads what it trained before.
#
# You will
# 1. **reconstruct** held-out sounds under random, patterned and extreme masks, down to a single visible patch,
# 2. **measure** what the paper only shows: whether tones are guessed along frequency and steady sounds along time,
# 3. **compute** the attention of the last block, to the bit as the model does, and draw it for chosen patches,
# 4. **test** whether attention comes back with the rhythm of an animal's calls, against controls that know nothing,
# 5. **listen** to every guess beside the sound it replaces.

# %% [markdown]
# ## The question
#
# Niizumi et al. 2022 (section 4.5, Figures 2 to 9) look inside their MSM-MAE and report what they see: harmonic and steady sounds are easy to
# reconstruct, the chessboard is the easiest pattern, one visible patch still gives the average spectrum, and attention repeats where the sound does.
# They show three or six sounds for each and no numbers over many. Here every picture comes with a number over all held-out recordings, and with a
# guess or a model that has learned nothing.
#
# > **Predict before you read on.** Half the patches are hidden, in stripes: (A) every second time column, so that a hidden patch has neighbours
# > along time; (B) every second mel row, with neighbours along frequency; (C) like a chessboard, with both. Which is easiest for a steady wind,
# > which for a trumpet? And will the model attend from one call of an animal to the next?

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
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Image, Markdown
from matplotlib.patches import Rectangle
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from lib import attention, audio, mae, mel, patches, plots, pretrain, runs, sources, training
from lib.course import exercises
from lib.explorers import attention_maps, base
from lib.runs import cost, results_hear
from lib.sources import chorus
from lib.transfer import public, starts

plots.style()
plt.rcParams["figure.dpi"] = 72  # many spectrograms: at 100 dpi this file would be twice as large

# %% tags=["parameters"]
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the training and of the masks
data_seed: int = 0  # of the synthetic recordings, and of the split of a folder that brings none
# folder:PATH has one folder per class, or is a CSV
wildlife: str = "chorus"  # the animal recordings: chorus, inatsounds:ROOT or folder:PATH
general: str = "chorus"  # everyday sounds: chorus, audioset:ROOT, esc50 or folder:PATH
# lib.hear.designs names all nine; the paper looks into 304
model: str = "304"  # the design of Table 1 to look into
# hub or a file; empty pretrains here
weights: str = ""  # public MSM-MAE weights in place of our own model
# further designs for the last reconstructions; empty leaves them out
appendix: str = "96 512 200_16x8 200_16x4 208_8x16 304_80x4"  # further designs
# main: the further designs get a quarter; sweep: all get as many
budget: str = "main"  # pretraining clips: main or sweep
max_hours: float = 1.0  # a run that would take longer on this machine is refused

# %%
setting = runs.scale(scale)
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
run = runs.start("10_looking_inside", pools, scale=scale, seed=seed, data_seed=data_seed,
                 wildlife=wildlife, general=general, model=model, weights=weights,
                 appendix=appendix, budget=budget)
arch, front = setting.msm_mae(model)
if arch.grid.f < 3:
    raise ValueError(f"model {model} has {arch.grid.f} mel rows: every second row cannot be "
                     "hidden, choose one with at least 3")
pd.DataFrame({name: {**table["split"].value_counts(),
                     "hours": round(table["duration_s"].sum() / 3600, 2)}
              for name, table in pools.items()})

# %% [markdown]
# Offline both pools are `chorus`, this project's synthetic sound world (notebook 00). **What it can show** here: everything that is known exactly,
# such as when each call begins. **What it cannot**: that a forest is like it. Its numbers hold in the generator's world.
#
# The model is MSM-MAE: the machine of notebook 02 (its Figure 1 is redrawn from the overview figures of both papers, so the flow diagram is not
# repeated), with 16 kHz, 80 mel bins, frames every 10 ms, and as target the log-mel itself. So a guess has its level: nothing in the pictures below
# is borrowed from the answer, except the visible patches, which are pasted.
#
# ## What will be computed

# %%
clips = runs.clips(setting, budget)
recipe = setting.msm_recipe(clips, seed)
quarter = max(2 * recipe.batch, recipe.clips // 4) if clips else 0
shorter = recipe if budget == "sweep" else dataclasses.replace(recipe, clips=quarter)
print(pretrain.plan(arch, recipe, *pools.values()))

# %%
others = [name for name in appendix.split() if name != model and not weights]
chosen = ([] if weights else [(model, recipe)]) + [(name, shorter) for name in others]
cost.sheet([cost.pretraining(*setting.msm_mae(name), plan, what=f"design {name}",
                             pools=pools.values()) for name, plan in chosen], max_hours)

# %% [markdown]
# **See:** how the number of patches decides about time. Measured a moment ago from a few steps on random clips, on the machine in the corner. What an
# earlier run left is loaded; reading is not counted, so it may be more.

# %%
if weights:
    net, card = public.load("msm_mae", weights)
    arch, front = net.arch, card.front
else:
    pretrained = pretrain.pretrain(arch, front, recipe, *pools.values(), workers=setting.workers,
                                   reuse=True)
    net = pretrained.model.cpu().eval()

# %%
untrained = mae.MAE(arch, training.generator(seed)).eval()  # a control for all that follows
grid, L, step_s = arch.grid, arch.grid.t * arch.grid.f, arch.patch[0] * front.hop_s
print(f"{front.seconds:.2f} s are {grid.t} columns x {grid.f} mel rows = {L} patches of "
      f"{1000 * step_s:.0f} ms x {arch.patch[1]} mel bins")

# %%
figure, ax = plt.subplots(figsize=(6, 2.8))
if not weights and len(pretrained.log):
    plots.curve(ax, pretrained.log, smooth=20)
title = f"MSM-MAE-{model}, {recipe.clips:,} clips, mask ratio {recipe.mask_ratio:g}"
ax.set(ylim=(0, None), title="public weights: no curve" if weights else title);

# %% [markdown]
# *Figure 1. The training loss, in units of the normalised log-mel: 1 there is 4.2 in natural logarithm, or 18.2 dB.* **See:** unlike in 02 the level
# is part of the target, so the first steps, in which the model learns how loud things usually are, take most of the loss away. What remains at the
# end includes the fine grain of every hiss, which nobody can guess: the power of noise in one FFT bin has a standard deviation of 5.6 dB, which is
# 0.09 in these squared units, or less where a mel filter adds several bins.
#
# ## Held-out sounds, and two numbers for each
#
# One window per recording that the model has never seen. Where the true calls are known, the window that most calls begin in.

# %%
synthetic = set(pools["wildlife"].get("source", [])) == {"chorus"}
events = (chorus.events(pools["wildlife"])
          if synthetic else pd.DataFrame(columns=chorus.EVENT_COLUMNS))
calls = {file: boxes for file, boxes in events[events["kind"] == "call"].groupby("file")}


def busiest(row):
    """Where the window begins that the most calls start in, a tenth of a second ahead of one of
    them."""
    starts = calls[row.file]["start_s"].to_numpy() if row.file in calls else np.zeros(0)
    at = np.clip([0.0, *(starts - 0.1)], 0, max(0.0, row.duration_s - front.seconds))
    return at[np.argmax([((starts >= x) & (starts < x + front.seconds - 0.1)).sum() for x in at])]


# %%
def held_out(table, name, most=600):
    """Recordings of val and test that fill most of the window; with fewer than 8 of them the
    pool's last ones (then not held out)."""
    some = table[(table["split"] != "train")
                 & (table["duration_s"] >= min(front.seconds - 0.1, table["duration_s"].median()))]
    some = some if len(some) >= 8 else table.tail(8)
    some = some.sample(most, random_state=0) if len(some) > most else some
    return some.assign(pool=name, at_s=[busiest(row) for row in some.itertuples()],
                       group=some["group"] if "group" in some else some["file"])


def heard(table, front=front):
    """The window of each recording: waves, and specs (N, 1, T, M)."""
    waves = [audio.read(row.file, front.rate, row.at_s, front.seconds + 0.01)[: front.samples]
             for row in table.itertuples()]
    lengths = torch.tensor([len(wave) for wave in waves])
    padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    return waves, mel.LogMel(front)(padded, lengths, frames=front.frames)


# %%
table = pd.concat([held_out(pool, name) for name, pool in pools.items()], ignore_index=True)
waves, specs = heard(table)
print(table["pool"].value_counts().to_dict(), tuple(specs.shape))

# %% [markdown]
# The paper speaks of *harmonic structures* and *stationary sounds*. Two definitions make that countable. **Harmonicity**: each 64 ms frame's power
# spectrum $|X|^2$ is flattened (divided by its mean over 1 kHz), turned into an autocorrelation, and its highest peak between the lags of 4 kHz and
# 100 Hz is taken, averaged over the loudest quarter of the frames (after Boersma 1993):
#
# $$ h = \max_{\tau} \frac{r(\tau)}{r(0)}, \qquad r = \mathcal F^{-1}\Big[\frac{|X|^2}{\overline{|X|^2}}\Big] \tag{1} $$
#
# **Stationarity**: the share of a spec's variance that its own average spectrum explains, after averaging over each patch's 160 ms:
#
# $$ s = \mathrm{Var}_m\big[\mathrm{mean}_t\, x_{tm}\big] \,/\, \mathrm{Var}_{tm}\big[x_{tm}\big] \tag{2} $$

# %%
def harmonicity(wave):
    """Equation (1) of a wave (N,) at 16 kHz: about 0.1 for noise, towards 1 for a harmonic series
    that fills the band."""
    spectrum = torch.stft(wave, 1024, 512, window=torch.hann_window(1024), return_complex=True)
    power = spectrum.abs().square().T  # (n, 513)
    # the mean over 1 kHz around each bin, (n, 513)
    local = torch.nn.functional.avg_pool1d(power[None], 65, 1, 32, count_include_pad=False)[0]
    r = torch.fft.irfft(power / local.clamp(min=1e-12))  # (n, 1024)
    loud = power[:, 20:].sum(1)  # (n,) above 300 Hz
    peak = r[:, 4:161].amax(1) / r[:, 0].clamp(min=1e-12)  # (n,)
    return float(peak[loud >= loud.quantile(0.75)].mean())


def stationarity(specs):
    """Equation (2) of specs (N, 1, T, M): 1 where nothing changes in time."""
    x = specs[:, 0].unflatten(1, (grid.t, -1)).mean(2)  # (N, t, M)
    return x.mean(1).var(1, unbiased=False) / x.var((1, 2), unbiased=False).clamp(min=1e-12)


# %%
# NBVAL_CHECK_OUTPUT
noise = torch.randn(48_000, generator=training.generator(0))
series = sum(torch.sin(2 * torch.pi * 220 * k * torch.arange(48_000) / 16_000)
             for k in range(1, 36))
for name, wave in (("noise", noise), ("a harmonic series", series), ("both", series + 5 * noise)):
    print(f"harmonicity of {name}: {harmonicity(wave):.2f}")
steady = torch.linspace(-1, 1, 80).expand(1, 1, front.frames, 80)
rising = torch.linspace(-1, 1, front.frames)[:, None].expand(1, 1, -1, 80)
print(f"stationarity: a spectrum that stays {stationarity(steady)[0]:.2f}, "
      f"noise that swells {stationarity(rising)[0]:.2f}")
assert harmonicity(noise) < 0.3 < 0.7 < harmonicity(series)

# %%
table["harmonicity"] = [harmonicity(wave) for wave in waves]
table["stationarity"] = stationarity(specs).numpy()
kind = "taxon" if "taxon" in table else "pool"
by_kind = table.groupby(list(dict.fromkeys(["pool", kind])))[["harmonicity", "stationarity"]]
by_kind.median().round(2).T

# %% [markdown]
# Rank correlation of the two over the recordings, so that one is not read as the other; intervals draw groups of recordings (same place or animal).

# %%
def correlation(x, y, draws=300):
    """Spearman's rank correlation with its 95 % interval over groups of recordings."""
    x, y, groups = np.asarray(x), np.asarray(y), pd.factorize(table["group"])[0]
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(groups == g) for g in range(groups.max() + 1)]
    chosen = (np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])
              for _ in range(draws))
    low, high = np.nanquantile([spearmanr(x[c], y[c])[0] for c in chosen], [0.025, 0.975])
    return {"value": float(spearmanr(x, y)[0]), "low": float(low), "high": float(high)}


def said(c):
    return f"{c['value']:+.2f} [{c['low']:+.2f}, {c['high']:+.2f}]"


# %%
print("harmonicity and stationarity:",
      said(correlation(table["harmonicity"], table["stationarity"])))

# %% [markdown]
# Six sounds to look at: of the general pool the most harmonic, the most stationary, and the one that is least of both (as the paper's trumpet, wind
# and laughter); of the wildlife pool those with the most calls in the window, one per group of animals.

# %%
def calls_within(row):
    """How many calls begin in the window."""
    starts = calls[row.file]["start_s"] if row.file in calls else pd.Series(dtype=float)
    return int(((starts >= row.at_s) & (starts < row.at_s + front.seconds - 0.1)).sum())


table["calls"] = [calls_within(row) for row in table.itertuples()]

# %%
world, wild = table[table["pool"] == "general"], table[table["pool"] == "wildlife"]
tone = world["harmonicity"].idxmax()
wind = world["stationarity"].drop(tone).idxmax()
event = (world["harmonicity"].rank() + world["stationarity"].rank()).drop([tone, wind]).idxmin()
busy = wild.sort_values(["calls", "harmonicity"], ascending=False)
# one of each group first
repeated = busy.duplicated(kind if kind == "taxon" else "label").sort_values(kind="stable")
six = [tone, wind, event, *repeated.index[:3]]
names = [(table["label"][i], f"h {table['harmonicity'][i]:.2f}",
          f"s {table['stationarity'][i]:.2f}") for i in six]
columns = ["label", "pool", "calls", "harmonicity", "stationarity"]
table.loc[six, columns].round(2).reset_index(drop=True)

# %% [markdown]
# ## Reconstructions under random masks
#
# > **Predict.** Three sounds, three draws of the mask each. Does the error depend more on the sound or on the draw?

# %% tags=["predict"]
depends_on = None  # "sound" or "draw"

# %%
@torch.no_grad()
def guessed(model, x, mask):
    """The squared error of every patch (N, L), hidden or not, and the picture (N, 1, T, M) with
    visible patches pasted."""
    errors, pictures = [], []
    for some, *part in zip(x.split(32), *(view.split(32) for view in mask)):
        drawn = patches.Mask(*part)
        guess = model.decode(model.encode(some, drawn), drawn)
        errors.append(model.patch_errors(some, guess))
        pictures.append(model.picture(some, guess, drawn))
    return torch.cat(errors), torch.cat(pictures)


def boxed(ax, hidden, arch, front):
    """White frames around the visible patches of one clip, hidden (L,)."""
    wide, high = arch.patch[0] * front.hop_s, arch.patch[1]
    for i in (~hidden).nonzero()[:, 0].tolist():
        ax.add_patch(Rectangle((i // arch.grid.f * wide, i % arch.grid.f * high), wide, high,
                               fill=False, edgecolor="w", linewidth=0.7))


# %%
def panel(chosen, masks, error=True):
    """Input, then for every mask the reconstruction with its visible patches framed, and its
    error; a row for each chosen recording."""
    x, titles, wide = specs[chosen], [names[six.index(i)] for i in chosen], 1 + error
    figure, axes = plt.subplots(len(x), 1 + wide * len(masks), figsize=(10.8, 1.5 * len(x) + 0.3),
                                sharex=True, sharey=True, squeeze=False)
    limits = [tuple(one.quantile(torch.tensor([0.01, 0.998])).tolist()) for one in x]
    for i, row in enumerate(axes):
        plots.spec(row[0], x[i], front, titles[i], limits[i])
    for j, (name, mask) in enumerate(masks.items()):
        errors, pictures = guessed(net, x, mask)
        for i, row in enumerate(axes):
            wrong, ax = (pictures[i] - x[i]).abs(), row[1 + wide * j]
            hidden = errors[i][mask.hidden[i]].mean()
            title = [name, f"MSE {wrong.square().mean():.2f}", f"hidden {hidden:.2f}"]
            plots.spec(ax, pictures[i], front, title, limits[i])
            boxed(ax, mask.hidden[i], arch, front)
            if error:
                plots.spec(row[2 + wide * j], wrong, front, "|error|", (0, 1.5), "gray_r")
    for ax in axes.flat:
        ax.set_ylabel("kHz")
        ax.label_outer()
        ax.title.set_size("small")
    return figure


# %%
def draw(k):
    return lambda B: patches.random_mask(B, grid, 0.75, training.generator(seed, k))


draws = {f"draw {k + 1}": draw(k) for k in range(3)}
panel(six[:3], {name: make(3) for name, make in draws.items()});

# %% [markdown]
# *Figure 2 (the paper's Fig. 2). Three sounds, 75 % hidden, three draws; white frames are the patches the encoder saw, and dark is a large error.*
# The first MSE is that of the whole picture, visible patches pasted (as in the paper), the second that of the hidden patches. **See:** where the
# error is dark: at onsets that no visible patch gave away, or along tones that no visible patch held. In the steady sound look at columns without any
# frame: is their spectrum there?

# %%
hides = {name: make(len(specs)) for name, make in draws.items()}
# to guess the padding behind a short recording is no achievement, (N, L)
audible = patches.patchify(specs, arch.patch).var(-1) > 0


def mean_over(errors, where):
    """The mean error of each recording over some of its patches: (N,)."""
    return (errors * (where & audible)).sum(1) / (where & audible).sum(1).clamp(min=1)


# %%
loss = {name: mean_over(guessed(net, specs, mask)[0], mask.hidden) for name, mask in hides.items()}
several = torch.stack(list(loss.values()))  # (3, N)
table["random"] = several.mean(0).numpy()
between_sounds, between_draws = several.mean(0).std(), several.std(0).mean()
print(f"hidden patches at 75 %: mean error {several.mean():.3f}; standard deviation "
      f"between sounds {between_sounds:.3f}, between draws of one sound {between_draws:.3f}")
exercises.predicted("the error depends more on the", depends_on,
                    "sound" if between_sounds > between_draws else "draw")

# %% [markdown]
# **See:** which of the two is larger answers the prediction. Listen: the recording, its log-mel turned back into sound (for the first: what
# Griffin and Lim's algorithm alone costs), and the first reconstruction.

# %%
def listen(x):
    """A spec (1, T, M) as sound."""
    display(plots.sound(mel.to_wave(x[0], front), front.rate, at=front.rate))


# %%
_, pictures = guessed(net, specs[six[:3]], draws["draw 1"](3))
for i, picture in zip(six[:3], pictures):
    print(f"{table['label'][i]}: as recorded"
          + (", through the log-mel" if i == six[0] else "") + ", with 75 % guessed")
    display(plots.sound(waves[i], front.rate, at=front.rate))
    if i == six[0]:
        listen(specs[i])
    listen(picture)

# %% [markdown]
# ## Patterned masks
#
# Half the patches are hidden, in three patterns (the paper's Fig. 3).

# %%
PATTERNS = {"A vertical": patches.vertical_mask, "B horizontal": patches.horizontal_mask,
            "C chessboard": patches.chessboard_mask}
panel(six[:3], {name: make(3, grid) for name, make in PATTERNS.items()});

# %% [markdown]
# *Figure 3 (the paper's Fig. 3). The same sounds behind three patterns: in A hidden patches have visible neighbours along time, in B along frequency,
# in C both.* **See:** compare the error pictures of one row. The paper finds C lightest for all its sounds, and B lighter for its trumpet than for
# its laughter. Mind that "one half" is not the same for all: of five mel rows B hides two, 40 %, of 19 columns A hides nine, 47 %, and C 49 %. So
# only the second number, over the hidden patches, can be compared, and even that is over other patches each time.

# %%
i = six[0]
for name, make in PATTERNS.items():
    print(f"{table['label'][i]}: {name}")
    listen(guessed(net, specs[[i]], make(1, grid))[1][0])

# %% [markdown]
# ### The same over all recordings
#
# A pattern hides other patches than the next one, so the comparison needs care. Each pattern is also used *the other way round*, so that every patch
# is guessed exactly once under each; and patches at the border, which lack a neighbour, are left out. The three errors of a recording then differ in
# nothing but what was visible:
#
# $$ E_P = \frac1{|I|}\sum_{i \in I} e_i(P), \qquad \text{time : frequency : chessboard} = E_A : E_B : E_C \tag{3} $$
#
# The reference is a guess without any network, the mean of the visible direct neighbours (notebook 01).

# %%
inside = torch.zeros(tuple(grid), dtype=torch.bool)
inside[1:-1, 1:-1] = True


def every_patch(errors_of, make):
    """The error of each patch at the one of the two masks that hides it: (N, L)."""
    mask = make(len(specs), grid)
    other = patches.mask_from_hidden(~mask.hidden)
    return torch.where(mask.hidden, errors_of(mask), errors_of(other))


def copied(mask):
    """The error of guessing each patch as the mean of its visible direct neighbours: (N, L)."""
    x = patches.patchify(specs, arch.patch)  # (N, L, P)
    near = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])[None, None]
    seen = (~mask.hidden[:1]).float().unflatten(1, tuple(grid))[:, None]  # (1, 1, t, f)
    maps = x.transpose(1, 2).unflatten(2, tuple(grid)) * seen  # (N, P, t, f)
    total = torch.nn.functional.conv2d(maps.flatten(0, 1)[:, None], near, padding=1)
    count = torch.nn.functional.conv2d(seen, near, padding=1).clamp(min=1)
    guess = (total / count).view(len(x), -1, L).transpose(1, 2)
    return (guess - x).square().mean(-1)


# %%
where = inside.flatten().expand(len(specs), -1)
for name, make in PATTERNS.items():
    for who, errors_of in (("model", lambda mask: guessed(net, specs, mask)[0]), ("copy", copied)):
        table[f"{name[0]} {who}"] = mean_over(every_patch(errors_of, make), where).numpy()

# %%
def summary(part, who):
    """Per pattern: the mean error, its ratio to C, and how often it is the lowest of the three."""
    found = part[[f"{p[0]} {who}" for p in PATTERNS]].set_axis(list(PATTERNS), axis=1)
    lowest = found.idxmin(axis=1).value_counts(normalize=True)
    return pd.DataFrame({"error": found.mean(),
                         "ratio to C": found.div(found["C chessboard"], axis=0).median(),
                         "lowest in": lowest.reindex(found.columns).fillna(0)})


both = {(pool, who): summary(part, who) for pool, part in table.groupby("pool")
        for who in ("model", "copy")}
patterns = pd.concat(both, names=["pool", "guess", "pattern"])
plots.table(patterns).format({"error": "{:.3f}", "ratio to C": "{:.2f}", "lowest in": "{:.0%}"})

# %% [markdown]
# **See:** the ratio to C is the median over recordings, "lowest in" the share of recordings for which a pattern is the easiest. If copying has the
# same order as the model, the order is a property of sound and of the number of neighbours, and only the distance between the two was learned.
#
# > **Predict.** Over recordings: does the ratio frequency : time ($E_B / E_A$) fall or rise with harmonicity? And with stationarity?

# %%
ratios = {f"E_{a} / E_{b}": table[f"{a} model"] / table[f"{b} model"]
          for a, b in ("AC", "BC", "BA")}
ratios |= {"E_B / E_A of copying": table["B copy"] / table["A copy"],
           "error at 75 %, random": table["random"]}
measures = ("harmonicity", "stationarity")
found = {name: {m: correlation(table[m], ratio) for m in measures}
         for name, ratio in ratios.items()}
pd.DataFrame({name: {m: said(c) for m, c in row.items()} for name, row in found.items()}).T

# %%
figure, axes = plt.subplots(1, 2, figsize=(10.8, 3.4), sharey=True)
for ax, measure in zip(axes, measures):
    for (pool, part), colour in zip(table.groupby("pool"), ("C1", "C0")):
        ax.plot(part[measure], np.log2(part["B model"] / part["A model"]), "o", markersize=3,
                alpha=0.6, color=colour, label=pool)
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel=measure, title=said(found["E_B / E_A"][measure]))
axes[0].set_ylabel("log2 of E_B / E_A")
axes[1].legend()
plots.save(figure, "10_ratios") if setting.name != "smoke" else None

# %% [markdown]
# *Figure 4. What the paper's Figure 3 suggests, over all held-out recordings: a dot is a recording, above 0 its patches are easier to guess (at 1:
# with half the error) from before and after than from above and below. In the titles the rank correlation with its 95 % interval.* **See:** the sign
# of each. The paper's two statements are that steady sounds are easy along time (the ratio rises with stationarity) and that harmonic sounds are easy
# along frequency (the ratio falls with harmonicity). A tone that lasts is both harmonic and steady, which is why the two measures' own correlation
# stands above. The row *of copying* says how much of it holds without any model.
#
# ## Down to a single visible patch
#
# The paper's Fig. 4 goes from 40 % hidden to one visible patch of 95.

# %%
few = [10, 5, 2, 1]
shown = {f"{r:.0%} hidden": patches.random_mask(3, grid, r, training.generator(seed))
         for r in (0.4, 0.6, 0.75, 0.8)}
shown |= {f"{n} visible": patches.only_visible(3, grid, n, training.generator(seed)) for n in few}
panel(six[:3], shown, error=False);

# %% [markdown]
# *Figure 5 (the paper's Fig. 4). More and more hidden; the patches seen are nested from left to right, white frames around them.* **See:** up to
# which ratio the events are in their places, and what a single patch brings back: near it, and far from it.

# %%
print(f"{table['label'][six[0]]}: guessed from 10 patches, then from one")
for n in (10, 1):
    drawn = patches.only_visible(1, grid, n, training.generator(seed))
    listen(guessed(net, specs[[six[0]]], drawn)[1][0])

# %% [markdown]
# In numbers, beside two guesses that need no network: **the usual spectrum**, the average over training recordings of both pools, which knows nothing
# of this sound, and **its own average spectrum**, which knows everything but the time.

# %%
train = [pool[pool["split"] == "train"] for pool in pools.values()]
train = pd.concat([pool.sample(min(100, len(pool)), random_state=0) for pool in train])
usual = heard(train.assign(at_s=0.0))[1].mean((0, 1, 2))  # (M,)
own = specs.mean(2, keepdim=True)  # (N, 1, 1, M)
simple = {"the usual spectrum": usual.expand_as(specs),
          "its own average spectrum": own.expand_as(specs)}
bars = {name: float((guess - specs).square().mean()) for name, guess in simple.items()}
visible = sorted({L - round(r * L) for r in (0.2, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)}
                 | set(few))
curve = {}
for n in visible:
    twice = [patches.only_visible(len(specs), grid, n, training.generator(seed, n, k))
             for k in range(2)]
    # (N, L) each, 0 where visible
    curve[n] = [guessed(net, specs, mask)[0] * mask.hidden for mask in twice]
whole = pd.Series({n: float(torch.stack(e).mean()) for n, e in curve.items()})
hidden_only = whole * L / (L - whole.index)

# %%
lone = [patches.only_visible(len(specs), grid, 1, training.generator(seed, 1, k)) for k in range(2)]
near, average = [], simple["its own average spectrum"]
for mask, e in zip(lone, curve[1]):
    # the patch that was seen, (N, 2)
    there = torch.stack([mask.keep[:, 0] // grid.f, mask.keep[:, 0] % grid.f], 1)
    places = torch.stack([torch.arange(L) // grid.f, torch.arange(L) % grid.f], 1)  # (L, 2)
    apart = (places - there[:, None]).abs()  # (N, L, 2)
    flat = patches.patchify(average - specs, arch.patch).square().mean(-1)  # (N, L)
    parts = {"columns": apart[..., 0], "same row": apart[..., 1] == 0, "model": e, "own": flat}
    near.append(pd.DataFrame({name: x.flatten() for name, x in parts.items()}))
near = pd.concat(near).query("model > 0 and own > 0")
by_distance = near.groupby(["same row", "columns"])[["model", "own"]].mean()

# %%
figure, axes = plt.subplots(1, 2, figsize=(10.8, 3.2))
axes[0].plot(whole.index, whole, "o-", label="model, whole picture (as in the paper)")
axes[0].plot(hidden_only.index, hidden_only, "s--", color="C0", markersize=4,
             label="model, hidden patches only")
for (name, value), colour in zip(bars.items(), ("C3", "C2")):
    axes[0].axhline(value, color=colour, linestyle=":", label=name)
axes[0].axvline(L - round(0.75 * L), color="0.8")
axes[0].set(xscale="log", xlabel=f"visible patches of {L} (grey: the training's)",
            ylabel="mean squared error", ylim=(0, None))
axes[0].legend(fontsize="small")
for same, colour in ((True, "C0"), (False, "C1")):
    line, rows = by_distance.loc[same], "same mel row" if same else "other mel rows"
    axes[1].plot(line.index * step_s, line["model"] / line["own"], "o-",
                 color=colour, markersize=4, label=rows)
axes[1].axhline(1, color="C2", linestyle=":", label="its own average spectrum")
axes[1].set(xlabel="distance in time from the one visible patch (s)",
            ylabel="error over that of the\nown average spectrum")
axes[1].legend(fontsize="small");

# %% [markdown]
# *Figure 6. Left the mean squared error against the number of visible patches, all held-out recordings, two draws. Right, with a single visible
# patch, the error at a distance from it, relative to what the sound's own average spectrum would make at the same places.* **See:** the paper reads
# its pictures as "succeeds up to 0.75, then degrades noticeably". Is there a bend at the grey line, or does the error of the hidden patches rise all
# along? (The whole picture's error falls with every pasted patch, whatever the model does.) Below the red line the model knows more than what is
# usual; right, below 1 it knows when.

# %%
# the guesses' average spectrum
alone = torch.stack([guessed(net, specs, mask)[1] for mask in lone]).mean((0, 3))  # (N, 1, M)
distance = {"to its own average": float((alone - own[:, :, 0]).square().mean()),
            "to the usual spectrum": float((alone - usual).square().mean()),
            "own average to the usual": float((own[:, :, 0] - usual).square().mean())}
print("average spectrum guessed from one patch, squared distance:",
      {k: round(v, 3) for k, v in distance.items()})

# %% [markdown]
# The paper sees "a frequency pattern similar to the average of the original spectrogram" in the picture of one patch. If that is learned *of this
# sound*, the first number is smaller than the third, which is what a model would have that always paints the usual spectrum.
#
# ## Other durations and patches
#
# The paper's Figures 7 and 8: the same with other designs of its Table 1, each with its own model. Unless `budget="sweep"` these have seen a quarter
# of the clips.

# %%
further = {model: (net, front)}
for name in others:
    shape, its_front = setting.msm_mae(name)
    begun = pretrain.pretrain(shape, its_front, shorter, *pools.values(),
                              workers=setting.workers, reuse=True)
    further[name] = begun.model.cpu().eval(), its_front

# %%
figure, axes = plt.subplots(2 * 2, len(further), figsize=(10.8, 5.2), sharey=True, squeeze=False)
for (name, (one, its_front)), column in zip(further.items(), axes.T):
    _, x = heard(table.loc[six[:2]], its_front)
    mask = patches.random_mask(2, one.grid, 0.75, training.generator(seed))
    _, pictures = guessed(one, x, mask)
    for i in range(2):
        limits = tuple(x[i].quantile(torch.tensor([0.01, 0.998])).tolist())
        wrong = (pictures[i] - x[i]).square().mean()
        plots.spec(column[2 * i], x[i], its_front,
                   [name.replace("_", " "), names[i][0]], limits)
        plots.spec(column[2 * i + 1], pictures[i], its_front, f"MSE {wrong:.3f}", limits)
        boxed(column[2 * i + 1], mask.hidden[i], one.arch, its_front)
for ax in axes.flat:
    ax.set_ylabel("kHz")
    ax.label_outer()
    ax.title.set_size("small")

# %% [markdown]
# *Figure 7 (the paper's Fig. 7 and 8). Two sounds, input above reconstruction, 75 % hidden; the first column is the model of this notebook, a name is
# frames and patch as mel bins x frames.* **See:** with patches of 4 frames onsets are cut finer; strips over all 80 bins show whole moments or
# nothing, so that every gap must be filled from before and after. MSE between designs compares different gaps and durations: notebook 08 is to compare
# what the features are good for.

# %%
sizes = {}
for name, (one, its_front) in further.items():
    _, x = heard(table, its_front)
    mask = patches.random_mask(len(x), one.grid, 0.75, training.generator(seed))
    filled = patches.patchify(x, one.arch.patch).var(-1) > 0
    error = guessed(one, x, mask)[0][mask.hidden & filled].mean()
    sizes[name] = {"patches": one.grid.t * one.grid.f, "clips": shorter.clips,
                   "error on hidden": float(error)}
sizes[model]["clips"] = 0 if weights else recipe.clips
formats = {"patches": "{:.0f}", "clips": "{:,.0f}", "error on hidden": "{:.3f}"}
plots.table(pd.DataFrame(sizes).T).format(formats)

# %% [markdown]
# ## Attention
#
# In the last block patch $i$ mixes what the patches $j$ hold with the weights of equation (4), one set a head. The biases of $q$ and $k$ are learned,
# and are part of it.
#
# $$ A_{ij} = \mathrm{softmax}_j\big(q_i^\top k_j / \sqrt{d}\big), \qquad q = W_q z + b_q, \quad k = W_k z + b_k \tag{4} $$
#
# timm computes this within one fused call that never shows $A$. A hook on the layer that makes $q$, $k$ and $v$ gets them as the model used them:

# %%
block, made = net.encoder.blocks[-1].attn, {}
hooks = [block.qkv.register_forward_hook(lambda m, x, y: made.update(qkv=y)),
         block.register_forward_hook(lambda m, x, y: made.update(out=y))]
with torch.no_grad():
    net.encode(specs[six])  # nothing hidden
    for hook in hooks:
        hook.remove()
    qkv = made["qkv"].unflatten(-1, (3, block.num_heads, -1))  # (6, 1+L, 3, heads, d)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (6, heads, 1+L, d)
    A = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)  # (6, heads, 1+L, 1+L)
    mixed = block.proj((A @ v).transpose(1, 2).flatten(2))  # (6, 1+L, D) heads side by side
print(tuple(A.shape),
      f"largest difference to what the block put out: {(mixed - made['out']).abs().max():.1e}")

# %% [markdown]
# **Checkpoint.** If this passes, the maps below are those the model used: each row sums to 1, times the values they are the block's output, and they
# are the library's.

# %%
assert torch.allclose(A.sum(-1), torch.ones(())) and torch.allclose(mixed, made["out"], atol=1e-4)
assert torch.allclose(A, attention.maps(net, specs[six]), atol=1e-6)

# %% [markdown]
# > **Predict.** A key bias $b_k$ adds the same number $q_i^\top b_k$ to a whole row. What does it change? (MSM-MAE's public code has none.)

# %%
with torch.no_grad():
    before, D = block.qkv.bias.clone(), arch.dim
    block.qkv.bias[D : 2 * D] += 1.0
    moved = float((attention.maps(net, specs[six]) - A).abs().max())
    block.qkv.bias.copy_(before)
print(f"with 1 added to every key bias the maps change by {moved:.0e}; "
      f"the learned biases are {float(before.abs().mean()):.3f} on average")

# %% [markdown]
# Nothing but rounding: softmax does not see what all have in common.
#
# ### Where it goes, on average

# %%
def goes(maps):
    """The shares of a patch's attention, averaged over patches, heads and recordings."""
    m = maps[:, :, 1:].mean((0, 1))  # (L, 1+L)
    column, row, inner = torch.arange(L) // grid.f, torch.arange(L) % grid.f, m[:, 1:]
    same_t, same_f = column[:, None] == column, row[:, None] == row
    me = torch.eye(L, dtype=torch.bool)
    cuts = {"itself": me, "same moment": same_t & ~me, "same mel row": same_f & ~me,
            "elsewhere": ~same_t & ~same_f}
    between = {name: float((inner * cut).sum(1).mean()) for name, cut in cuts.items()}
    return {"class token": float(m[:, 0].mean())} | between


# %%
some = specs[:64]
shares = {"all alike": goes(torch.full((1, 1, 1 + L, 1 + L), 1 / (1 + L))),
          "untrained": goes(attention.maps(untrained, some))}
shares |= {f"block {b + 1}" + (" (last)" if b == arch.depth - 1 else ""):
           goes(attention.maps(net, some, b)) for b in range(arch.depth)}
plots.table(pd.DataFrame(shares).T).format("{:.1%}")

# %% [markdown]
# **See:** the first row is what attention would be if nothing mattered. Whatever is far above it was learned: to look along time (same mel row),
# along frequency (same moment), at oneself, or at the class token, a place where the encoder may put what it does not need elsewhere.
#
# ### Attention of chosen patches
#
# The paper's references are (2, 7), (1, 12), (0, 1) and (1, 7), as (mel row, column); we count rows from the lowest, which the paper does not say,
# and write time first.

# %%
references = [(round(t * (grid.t - 1) / 18), round(f * (grid.f - 1) / 4))
              for t, f in ((7, 2), (12, 1), (1, 0), (7, 1))]
maps = attention.maps(net, specs[six])  # (6, heads, 1+L, 1+L)


def looks(references):
    """Each of the six sounds with the attention of two patches, red frames around them."""
    figure, axes = plt.subplots(3, 6, figsize=(10.8, 4.6), sharex=True, sharey=True)
    for i, cells in enumerate(axes.reshape(6, 3)):
        plots.spec(cells[0], specs[six[i]], front, names[i][0])
        if table["file"][six[i]] in calls:
            plots.boxes(cells[0], calls[table["file"][six[i]]], front, table["at_s"][six[i]],
                        linewidth=0.8)
        for ax, (t, f) in zip(cells[1:], references):
            seen = attention.from_patch(maps, grid, (t, f))[i]  # (t, f)
            top = float(seen.flatten().quantile(0.98))
            big = seen.repeat_interleave(arch.patch[0], 0).repeat_interleave(arch.patch[1], 1)
            plots.spec(ax, big, front, [f"from column {t},", f"row {f}"], (0, top), "viridis")
            ax.add_patch(Rectangle((t * step_s, f * arch.patch[1]), step_s, arch.patch[1],
                                   fill=False, edgecolor="r", linewidth=1.5))
    for ax in axes.flat:
        ax.set(xlim=(0, grid.t * step_s), ylabel="kHz")
        ax.label_outer()
        ax.title.set_size("small")
    return figure


# %%
figure = looks(references[:2])
plots.save(figure, "10_attention") if setting.name != "smoke" else None

# %% [markdown]
# *Figure 8 (the paper's Fig. 5). Six sounds (calls framed where they are known), and how two patches (red) spread their attention in the last block,
# averaged over heads; each map from 0 to its own 98 % quantile.* **See:** whether the bright places are where the sound of the red patch comes back,
# or simply near it, or always at the same places whatever the sound.

# %%
looks(references[2:]);

# %% [markdown]
# *Figure 9 (the paper's Fig. 6). The same for two other patches.* **See:** the lowest row often holds wind or hum: does its attention run along time,
# as the paper sees for its wind?
#
# Listen: the three animals, and for the first sound and the first animal the fifth of the patches that the first reference attends to most, with the
# rest silent.

# %%
for i in six[3:]:
    print(f"{table['label'][i]}, as recorded")
    display(plots.sound(waves[i], front.rate, at=front.rate))

# %%
t, f = references[0]
for n in (0, 3):
    best = attention.from_patch(maps, grid, (t, f))[n].flatten().topk(L // 5).indices
    kept = plots.masked(specs[[six[n]]], patches.mask_from_keep(best[None], L), arch.patch)
    kept = kept.nan_to_num(mel.normalise(front.pad, front))
    print(f"{table['label'][six[n]]}: what the patch in column {t}, row {f} attends to")
    listen(kept[0])

# %% [markdown]
# ### Explore: the attention explorer
#
# Any patch, any block, any head: this notebook's model, the same untrained, and the project's ready weights (another front end, another grid, per-patch-normalised target).
# On GitHub only this still picture shows; run the notebook to move it.

# %%
def excerpt(i):
    """One of the sounds at its own rate, with the true calls where they are known."""
    row = table.loc[i]
    rate, boxes = audio.info(row["file"]).rate, calls.get(row["file"])
    if boxes is not None:
        boxes = boxes.assign(start_s=boxes["start_s"] - row["at_s"],
                             end_s=boxes["end_s"] - row["at_s"]).query("end_s > 0")
    wave = audio.read(row["file"], start_s=row["at_s"], duration_s=front.seconds + 0.5)
    return base.Sound(wave, rate, boxes)


stored, card = starts.load_ready()
models = {"this notebook's": (net, front), "the same, untrained": (untrained, front),
          "ready weights": (stored, card.front)}
sounds = {f"{n + 1}. {table['label'][i]}": excerpt(i) for n, i in enumerate(six)}

# %%
explorer = attention_maps.AttentionMaps(models, sounds)
view = explorer.update(recording=list(sounds)[3], patch=references[0])
print(view.text)
Image(view.image)

# %% [markdown]
# What the explorer shows: the chosen patch (white frame), how it spreads its attention, and what the average patch attends to, in the same colours; with every picture comes a
# table of shares. **See:** a map that looks like the average says more about the sound than about the patch. And here it is:

# %%
explorer

# %% [markdown]
# *The explorer.* Keys: Tab moves between the controls, arrows change a value; on the grid the arrows move the patch. What to try: put the frame on a call, then beside it:
# does the map change? Go through the heads of the last block: is there one that keeps to the patch's own mel row while the mean does not? Compare *untrained* with *ready
# weights*: how many patches does a patch spread its attention over, before and after training?
#
# ## Does attention keep time?
#
# "The self-attention map reflects the repetition or continuation in the input sounds" (section 4.5.4). In `chorus` the true time of every call is
# known, so that this can be tested. For each held-out recording with at least two calls in the window: the reference is the loudest patch of the
# middle call, the **truth** is the (median) time from one call's start to the next, and the **answer** is the first high peak of the autocorrelation
# of the reference's attention map along time (`attention.period`):
#
# $$ r(k) = \frac{1}{t-k} \sum_{a,b} (A_{a,b} - \bar A_b)(A_{a+k,b} - \bar A_b) \tag{5} $$
#
# > **Predict.** An untrained model has the same architecture and positions. How many of its answers will be right, if a shuffled answer is right in about one
# > case of eight?

# %% tags=["predict"]
untrained_right = None  # in per cent

# %%
centres = mel.centres(front)


def box_share(event, at_s):
    """The share of each patch that lies in a call's box: (t, f)."""
    canvas = torch.zeros(1, 1, front.frames, front.mels)
    first, last = (max(0, round((s - at_s) / front.hop_s)) for s in (event.start_s, event.end_s))
    canvas[0, 0, first:last, (centres >= event.low_hz) & (centres <= event.high_hz)] = 1
    return patches.patchify(canvas, arch.patch)[0].mean(-1).unflatten(0, tuple(grid))


# %%
level = patches.patchify(specs, arch.patch).mean(-1).unflatten(1, tuple(grid))  # (N, t, f)
rhythms = []
for i, row in table[table["file"].isin(calls)].iterrows():
    within = calls[row["file"]].query("@row.at_s <= start_s < @row.at_s + @front.seconds - 0.1")
    within = within.sort_values("start_s")
    on_patches = [box_share(event, row["at_s"]) for event in within.itertuples()]
    on_patches = [share for share in on_patches if share.max() >= 0.25]
    if len(on_patches) >= 2 and len(on_patches) == len(within):
        middle = len(on_patches) // 2
        loudest = int((level[i] - 100 * (on_patches[middle] < 0.25)).argmax())
        rhythms.append({"row": i, "truth": within["start_s"].diff().median(),
                        "reference": (loudest // grid.f, loudest % grid.f),
                        "boxes": torch.stack(on_patches), "middle": middle})
print(f"{len(rhythms)} recordings with two calls or more in {front.seconds:.1f} s"
      + ("" if synthetic else ": no true calls are known, this is skipped"))

# %%
if rhythms:
    truth = np.array([r["truth"] for r in rhythms])
    looked = {}
    for who, one in (("attention", net), ("attention, untrained", untrained)):
        each = [attention.from_patch(attention.maps(one, specs[[r["row"]]]), grid, r["reference"])
                for r in rhythms]
        looked[who] = torch.cat(each)  # (n, t, f)
    own_row = [level[r["row"], :, r["reference"][1], None] for r in rhythms]
    own_row = torch.stack(own_row)  # (n, t, 1)
    reached = truth <= 2 * grid.t // 3 * step_s  # longer intervals are beyond the longest lag
    answers = {who: attention.period(x[reached], step_s).seconds.numpy()
               for who, x in (looked | {"level of the reference's row": own_row}).items()}
    print(f"{reached.sum()} of the intervals are within the longest lag "
          f"of {2 * grid.t // 3 * step_s:.2f} s")

# %%
def judged(answer, truth, draws=2000):
    """How often an answer is within one column of the truth, against pairing answers and truths at
    random; and the rank correlation."""
    rng, there = np.random.default_rng(0), ~np.isnan(answer)
    right = np.abs(answer - truth) <= step_s  # NaN, no period found, is wrong
    chance = np.array([np.mean(np.abs(answer - rng.permutation(truth)) <= step_s)
                       for _ in range(draws)])
    ranks = spearmanr(answer[there], truth[there])[0] if there.sum() > 2 else np.nan
    return {"a period found": there.mean(), "right": right.mean(), "right by chance": chance.mean(),
            "p": (1 + np.sum(chance >= right.mean())) / (1 + draws), "rank correlation": ranks}


# %%
found_by = {who: judged(x, truth[reached]) for who, x in answers.items()} if rhythms else {}
periods = pd.DataFrame(found_by).T
percent = dict.fromkeys(("a period found", "right", "right by chance"), "{:.0%}")
percent |= {"p": "{:.3f}", "rank correlation": "{:+.2f}"}
plots.table(periods).format(percent) if rhythms else None

# %%
if rhythms:
    exercises.predicted("right answers of the untrained model", untrained_right,
                        100 * periods.loc["attention, untrained", "right"], "%")

# %%
if rhythms:
    figure, axes = plt.subplots(1, len(answers), figsize=(10.8, 3.4), sharex=True, sharey=True)
    for ax, (who, answer) in zip(axes, answers.items()):
        ax.plot([0.3, 2], [0.3, 2], color="0.7", linewidth=0.8)
        ax.plot(truth[reached], answer, "o", markersize=4, alpha=0.6)
        ax.set(xlabel="true interval between calls (s)",
               title=f"{who}: {periods.loc[who, 'right']:.0%} right")
    axes[0].set_ylabel("period found (s)")
    plots.save(figure, "10_periods") if setting.name != "smoke" else None

# %% [markdown]
# *Figure 10. The period of the attention map against the true interval between calls; a dot is a recording, the line is where the two agree.*
# **See:** four numbers belong together. "Right" means within one column (160 ms) and includes recordings in which no period was found as wrong; "by
# chance" pairs the same answers with the wrong recordings, so that a method that always says the usual interval gains nothing. The level of the
# reference's mel row needs no model: attention that keeps time only as well as that has read the rhythm from the loudness. Recordings whose interval
# is longer than the longest lag, two thirds of the window, are left out.
#
# ### From call to call
#
# A more direct question: does a call look at *the other calls*? Among the patches in the mel rows that calls touch, without the reference's own call,
# how well does attention tell those on another call from those on none? The area under the ROC curve (AUC) is 0.5 for a map that knows nothing. Four
# controls: the untrained model, nearness in time, similarity of the patch contents, and mere loudness.

# %%
def tells_calls(r, maps):
    """AUC per kind of map for one recording, or None where there is nothing to tell apart."""
    boxes = r["boxes"]
    own, on = boxes[r["middle"]] > 0, (boxes >= 0.25).any(0)
    rows = on.any(0)[None].expand(tuple(grid))
    # a patch is on a call or touches none
    asked = rows & ~own.any(1)[:, None] & ((boxes.amax(0) == 0) | on)
    if not (asked & on).any() or not (asked & ~on).any():
        return None
    return {name: roc_auc_score(on[asked], x[asked]) for name, x in maps.items()}


def controls(r):
    i, (t, f) = r["row"], r["reference"]
    x = patches.patchify(specs[[i]], arch.patch)[0]  # (L, P)
    alike = -(x - x[t * grid.f + f]).square().mean(-1).unflatten(0, tuple(grid))
    near = -(torch.arange(grid.t) - t).abs().float()[:, None].expand(tuple(grid))
    return {"nearness in time": near, "similar content": alike, "loudness": level[i]}


# %%
if rhythms:
    told = [(r["row"], tells_calls(r, {who: x[n] for who, x in looked.items()} | controls(r)))
            for n, r in enumerate(rhythms)]
    auc = pd.DataFrame([a for _, a in told if a], index=[i for i, a in told if a])
    rng, groups = np.random.default_rng(0), table.loc[auc.index, "group"].to_numpy()
    members = [np.flatnonzero(groups == g) for g in dict.fromkeys(groups)]
    redraw = [np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])
              for _ in range(1000)]
    low, high = np.quantile([auc.to_numpy()[c].mean(0) for c in redraw], [0.025, 0.975], axis=0)
    to_calls = pd.DataFrame({"AUC": auc.mean(), "low": low, "high": high,
                             "above 0.5 in": (auc > 0.5).mean()})
    display(plots.table(to_calls).format("{:.2f}").format("{:.0%}", subset=["above 0.5 in"])
            .set_caption(f"{len(auc)} recordings"))

# %% [markdown]
# **See:** whether attention beats the untrained model (did it learn to?) and the similarity of contents and loudness (did it learn *more* than to
# look at what is loud or alike?).
#
# ## The record

# %%
metrics = {"random": {"error": float(several.mean()), "between_sounds": float(between_sounds),
                      "between_draws": float(between_draws)},
           "patterns": {f"{pool} {who} {p}": dict(row)
                        for (pool, who, p), row in patterns.iterrows()},
           "correlations": found,
           "visible": {"whole": whole.to_dict(), "hidden": hidden_only.to_dict(), **bars},
           "one_patch": distance, "designs": sizes, "attention": shares}
if rhythms:
    metrics |= {"period": periods.T.to_dict(), "to_calls": to_calls.T.to_dict()}
path = run.record(metrics, samples_seen=0 if weights else recipe.clips,
                  verdict="no verdict: one seed",
                  recipes={"arch": arch, "front": front, "pretrain": None if weights else recipe,
                           "appendix": shorter},
                  held_out=table["pool"].value_counts().to_dict())

# %% [markdown]
# ## What the paper says, and what was measured
#
# Each statement beside the numbers of the runs that are recorded (`chorus`, data_seed 0; mean over seeds, in brackets the lowest and the highest). None has a verdict: the paper gives no number to compare with.

# %%
Markdown(results_hear.inside())

# %% [markdown]
# - **What held**: steady sounds are easier to guess, by far the strongest of these relations. The chessboard has the lowest error in most recordings; but so it has for a guess that only copies
#   neighbours, and vertical stripes are as good on average (ratio 1.00): it is easy because every hidden patch has neighbours along time, whatever the model.
# - **What did not, at this size**: that guessing along frequency costs less where tones are harmonic cannot be seen (the interval holds 0; for copying it costs more). Up to 75 % hidden a hidden patch is guessed as well as at 40 %; the error of the whole picture grows because more of it is guessed. From one patch the model
#   gives something nearer to the usual spectrum of all sounds than to the sound's own.
# - **Attention** comes back with the calls in 24 % of the recordings, mean of five seeds; that is more often than chance (13 %), hardly more than in untrained models (20 %), from 9 to 42 % by the seed, and not as often as the loudness of the picture itself (53 %). Where it looks is the seed's too: the AUC of other calls is 0.50 on
#   average, from 0.36 to 0.68, where mere similarity of content has 0.63. **The first seed alone told a story**: 42 against 11 %, and an AUC of 0.36; this page had it as "true of its rhythm and not of its places" until the other four were run. "Reflects the repetition" cannot be seen at this size.
#
# ## Exercises
#
# Fill in the function and run the cell: its last line tries it on numbers you have not seen and says whether it is right, or what to look at. The
# solutions are folded below.

# %%
from lib.course import exercises_10 as check

# %% [markdown]
# ### 1 · Whose error?
#
# `errors` (B, L) is the squared error of every patch, `hidden` (B, L) is True where it was hidden. Return the mean error of what the model was trained to guess.

# %% tags=["exercise"]
def hidden_error(errors, hidden):
    """The mean over hidden patches, of all clips together."""
    return None


check.hidden_error(hidden_error)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def hidden_error(errors, hidden):
#     return errors[hidden].mean()
# ```
# With visible patches pasted, the whole picture's error is this times the share hidden: it falls from 75 % to 40 % even if the model guesses no better. And visible patches
# were never trained to be reproduced.
# </details>
#
# ### 2 · The row of a patch
#
# Attention maps are (heads, 1 + L, 1 + L), the class token first, then the patches time-major. In which row does the patch in column `t` and mel row `f` look around?
# `grid.t` and `grid.f` are the numbers of columns and mel rows.

# %% tags=["exercise"]
def token_of(t, f, grid):
    """The number of a patch's token in the maps."""
    return None


check.token_of(token_of)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def token_of(t, f, grid):
#     return 1 + t * grid.f + f
# ```
# `attention.from_patch` uses it. Mel-major, as in MSM-MAE's own code, it would be `1 + f * grid.t + t`; a map from the wrong row looks just as plausible.
# </details>
#
# ### 3 · Attention
#
# Equation (4), from queries and keys (heads, n, d) to maps (heads, n, n): row i says how token i mixes what the others hold.

# %% tags=["exercise"]
def attend(q, k):
    """Attention maps whose rows sum to 1."""
    return None


check.attend(attend)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def attend(q, k):
#     return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
# ```
# The softmax runs over what is looked at. Over the other axis every key would be shared out over the queries, and the picture would hardly look different.
# </details>
#
# ### 4 · What comes back
#
# Equation (5) for one row: `x` (n,) is a curve over time. Return its autocorrelation for lags 0 ... n - 1: mean off, products of columns that lie k apart, divided by how many there
# are, and all divided by that of lag 0. (The double sum over mel rows falls away.)

# %% tags=["exercise"]
def repeats(x):
    """The autocorrelation (n,), 1 at lag 0."""
    return None


check.repeats(repeats)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def repeats(x):
#     y, n = x - x.mean(), len(x)
#     r = torch.stack([(y[: n - k] * y[k:]).mean() for k in range(n)])
#     return r / r[0]
# ```
# The mean over n - k products is the division by the overlap. Try `repeats(level[six[3]].mean(1))`: how alike the first animal's loudness is to itself, a column of 160 ms a step.
# </details>
#
# ### 5 · Right by chance
#
# Method and truth: `answers` (n,) are periods in seconds, NaN where none was found, `truths` (n,) the true intervals. An answer is right within `tolerance` seconds. How often
# would the *same answers* be right for a recording picked at random? Take every answer with every truth; no answer is wrong.

# %% tags=["exercise"]
def by_chance(answers, truths, tolerance):
    """The share of all n x n pairs that are close."""
    return None


check.by_chance(by_chance)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def by_chance(answers, truths, tolerance):
#     return (np.abs(answers[:, None] - truths) <= tolerance).mean()
# ```
# Comparing with NaN is False, so it is wrong by itself. It is the mean of what shuffling the truths gives in `judged`, which also says how unlikely the measured share is.
# </details>
#
# ### 6 · To try: another layer, another asker
#
# No check: what comes out is yours to judge. Use the first block in place of the last for Figures 8 and 10 (`attention.maps(net, x, layer=0)`). Which of the two is nearer to
# "similar content"? Then take the reference of the call test from the background in place of a call: what should the AUC be, and what is it?
#
# <details><summary>What to expect</summary>
#
# An early block has seen little but the patches themselves and their places, so that its queries and keys can hardly compare more than content and position. For the background
# take `loudest` from the patches that no box touches. If attention groups like with like, a background patch looks at background: below 0.5. If it looks at what is loud whoever
# asks, it stays above.
# </details>
#
# ## Quiz
#
# **The chessboard has the lowest error. Did the model learn to use four neighbours?** <details><summary>Answer</summary>Not from that alone: the mean
# of four neighbours without any model has the same advantage over two. What was learned is the distance between the model's error and the
# copy's.</details>
#
# **Why is each pattern also used the other way round?** <details><summary>Answer</summary>Otherwise A and B are compared on different patches: with
# every second row hidden, the lowest row, which holds the wind, is always visible.</details>
#
# **An attention map is bright on the other calls. What else could explain it?** <details><summary>Answer</summary>Calls are loud, near, and in the
# same mel row. Each of these is a control above; and an untrained model has positions and contents too.</details>
#
# **The whole picture's MSE falls from 75 % to 40 % hidden. Does the model guess better?** <details><summary>Answer</summary>Perhaps not: more patches
# are pasted, whose error is 0. Look at the hidden patches only.</details>
#
# ## What was not shown
#
# Notebook 02's studio takes this model too: `reconstruction.Reconstruction(models, sounds)` with the two dictionaries of the attention explorer, after `from lib.explorers import reconstruction`.
#
# The paper's own model and sounds (`weights=hub` loads its 2-second model where the network allows; its 3-second one was never published). Its Fig.
# 9, reconstructions of Vocal Imitation: that data set is not offline, **not run**; `general=folder:PATH` draws it. The decoder's attention; heads
# one by one are in the explorer only, without numbers: an average hides a head that keeps time among others that do not. Whether attention *explains* what a model does is disputed (Jain and
# Wallace 2019): a map says what is mixed, not what matters for the guess. More than one seed; real recordings.
#
# ## Further reading
#
# - Niizumi, Takeuchi, Ohishi, Harada, Kashino 2022, *Masked Spectrogram Modeling using Masked Autoencoders for Learning General-purpose Audio
#   Representation*, PMLR 166, section 4.5, [arXiv:2204.12260](https://arxiv.org/abs/2204.12260).
# - He et al. 2022, *Masked Autoencoders Are Scalable Vision Learners*,
#   [doi:10.1109/CVPR52688.2022.01553](https://doi.org/10.1109/CVPR52688.2022.01553).
# - Caron et al. 2021, *Emerging Properties in Self-Supervised Vision Transformers*,
#   [doi:10.1109/ICCV48922.2021.00951](https://doi.org/10.1109/ICCV48922.2021.00951): attention maps as segmentation.
# - Jain and Wallace 2019, *Attention is not Explanation*, [doi:10.18653/v1/N19-1357](https://doi.org/10.18653/v1/N19-1357).
# - Boersma 1993, *Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound*, Proceedings of the
#   Institute of Phonetic Sciences 17, 97-110.
# - Griffin and Lim 1984, *Signal estimation from modified short-time Fourier transform*,
#   [doi:10.1109/TASSP.1984.1164317](https://doi.org/10.1109/TASSP.1984.1164317).
