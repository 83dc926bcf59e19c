# %% [markdown]
# # 02 · Pretraining: a masked autoencoder from the five-line encoder up
#
# **Time**: `tiny` 4.2 minutes of one core of an Intel Xeon (AVX-512 bf16) for its four models, by the sheet below (all of it 6 beside another program); opened again it loads them · `smoke` half a minute · `small` not measured ·
# `paper` three times the pretraining of 05 (the main model and three variants; the paper gives 24 h on an A100 for one).
#
# You will
# 1. **build** the encoder from five lines around a stock vision transformer, and the decoder from six,
# 2. **write** the loss, and say what the values 1.0 and 0.9 of it mean,
# 3. **train** it, first by hand on two clips, then with the library on a mixture of wildlife and general sound,
# 4. **read** a reconstruction: what was borrowed, what was pasted, what was guessed, and how it sounds,
# 5. **compare** it with guesses that need no network, on calls and on background, and with a decoder that was kept frozen.

# %% [markdown]
# ## The question
#
# Hide four fifths of a spectrogram and let a network guess the rest. Nobody labels anything; the sound itself is the answer key. Liu et al. 2026
# (section 3) do this to animal recordings, Niizumi et al. 2022 to everything that is on YouTube.
#
# > **Predict before you read on.** A field recording is wind and hiss with a call here and there. After training, which will the network guess
# > better: the calls, or the background between them? Write down one reason for each answer.

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
from IPython.display import Image
from matplotlib.patches import Rectangle

from lib import audio, mae, mel, patches, plots, pretrain, runs, sources, training
from lib.course import exercises
from lib.explorers import base, reconstruction
from lib.runs import cost
from lib.sources import chorus
from lib.transfer import starts

plots.style()
plt.rcParams["figure.dpi"] = 66  # many spectrograms: at 100 dpi this file would be twice as large

# %% tags=["parameters"]
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the training: weights, order, crops and masks
data_seed: int = 0  # of the synthetic recordings, and of the split of a folder that brings none
# folder:PATH has one folder per class, or is a CSV
wildlife: str = "chorus"  # the animal recordings: chorus, inatsounds:ROOT or folder:PATH
general: str = "chorus"  # everyday sounds: chorus, audioset:ROOT, esc50 or folder:PATH
# 0.8 is Liu et al., 0.75 Niizumi et al.
mask_ratio: float = 0.8  # share of patches hidden in training
# False: the target is the log-mel itself
norm_pixels: bool = True  # the target is each patch minus its mean over its std
max_hours: float = 1.0  # a run that would take longer on this machine is refused

# %%
setting = runs.scale(scale)
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
run = runs.start("02_pretraining", pools, scale=scale, seed=seed, data_seed=data_seed,
                 wildlife=wildlife, general=general, mask_ratio=mask_ratio, norm_pixels=norm_pixels)
pd.DataFrame({name: {**table["split"].value_counts(),
                     "hours": round(table["duration_s"].sum() / 3600, 2)}
              for name, table in pools.items()})

# %% [markdown]
# Offline both pools are `chorus`, this project's synthetic sound world (notebook 00). What it shows about reconstruction holds in the generator's
# world: its calls are simpler and its noise is cleaner than a forest's. Its use here is that the true box of every call is known.
#
# How much sound others learn from (the papers' numbers, Liu et al. Table 1; empty: not given), beside the hours in the table above:
#
# | model or data | recordings of | species | hours |
# |---|---|---|---|
# | AudioMAE | AudioSet | | 5,800 |
# | BirdSet | Xeno-Canto | about 10,000 | 6,800 |
# | iNatSounds | iNaturalist | 5,569 | 1,200 |
# | Perch 2.0 | | 14,597 | |
# | AVES | | | 360 |
# | Bird-MAE | Xeno-Canto | about 10,000 | 6,800 |
# | AVEX | | about 15,000 | |
# | Liu et al. | iNatSounds (and AudioSet) | 5,569 | 1,200 |
#
# ## The whole machine, before its parts

# %%
front = mel.INAT
log_mel = mel.LogMel(front)
synthetic = set(pools["wildlife"].get("source", [])) == {"chorus"}
events = (chorus.events(pools["wildlife"])
          if synthetic else pd.DataFrame(columns=chorus.EVENT_COLUMNS))
calls = events[events["kind"] == "call"]


def first_window(files):
    """The first three seconds of each file as specs (N, 1, T, M)."""
    waves = [audio.read(file, rate=front.rate, duration_s=front.seconds + 0.01) for file in files]
    return torch.cat([log_mel(wave[None, : front.samples], frames=front.frames) for wave in waves])


# %% [markdown]
# Recordings to look at: per group of animals, the held-out recording whose calls fill most of its first three seconds, and two general sounds.
# No model below ever trains on these.

# %%
def held_out(table):
    """The val recordings, 300 at most; with a folder too small for a split, its last ones (and
    then they are not held out)."""
    table = table[table["duration_s"] > 0]  # iNatSounds holds a few recordings without a sample
    val = table[table["split"] == "val"]
    return val.sample(300, random_state=0) if len(val) > 300 else val if len(val) else table.tail(8)


wild, world = (held_out(table) for table in pools.values())
called_s = calls["end_s"].clip(upper=3) - calls["start_s"].clip(upper=3)
inside = called_s.groupby(calls["file"]).sum()
filled = wild["file"].map(inside).fillna(0)
best = filled.groupby(wild.get("taxon", wild["label"])).idxmax().head(4)
examples = pd.concat([wild.loc[best], world.iloc[[0, len(world) // 2]]])
names = examples["label"].tolist()
specs = first_window(examples["file"])
print(tuple(specs.shape), names)

# %%
def box(ax, x, y, width, height, text, colour):
    ax.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="0.3"))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=12)


def tokens(ax, x, colours):
    for i, colour in enumerate(colours):
        ax.add_patch(Rectangle((x, 0.7 + 0.2 * i), 0.16, 0.16, facecolor=colour, edgecolor="0.3"))


def picture(ax, x, spec):
    shown = plt.get_cmap("magma").with_extremes(bad=plots.HIDDEN)
    ax.imshow(spec[0, 0].T, origin="lower", aspect="auto", cmap=shown,
              extent=(x, x + 1.5, 0.7, 2.1), vmin=-1, vmax=2.5)


# %%
sketch = patches.random_mask(1, mae.Arch().grid, mask_ratio, training.generator(seed))
figure, ax = plt.subplots(figsize=(13, 2.9))
picture(ax, 0, specs[:1])
picture(ax, 2.1, plots.masked(specs[:1], sketch, (16, 16)))
tokens(ax, 4.25, ["C0"] * 2)
box(ax, 4.8, 0.7, 1.3, 1.4, "ENCODER\nsees only\nvisible patches", "#cfe0f3")
tokens(ax, 6.45, ["C0", "0.85", "0.85", "C0", "0.85", "0.85", "0.85"])
box(ax, 7.0, 0.95, 1.1, 0.9, "DECODER\nsees all\npositions", "#fde3cc")
tokens(ax, 8.5, ["C1"] * 7)
picture(ax, 9.1, specs[:1])
for x, text in ((0, "log-mel 512 x 128"), (2.1, f"16 x 16 patches,\n{mask_ratio:.0%} hidden"),
                (4.05, "visible\ntokens"), (6.2, "latents +\nmask tokens"),
                (8.3, "guesses"), (9.1, "target: loss on\nhidden patches only")):
    ax.text(x, 0.58, text, va="top", fontsize=12)
for x in (1.8, 3.85, 4.6, 6.28, 6.82, 8.3, 8.9):
    ax.annotate("", (x + 0.15, 1.4), (x - 0.12, 1.4),
                arrowprops=dict(arrowstyle="-|>", color="0.3"))
ax.set(xlim=(-0.1, 10.8), ylim=(0.05, 2.25))
ax.axis("off")
plots.save(figure, "mae_overview") if setting.name != "smoke" else None

# %% [markdown]
# *Figure 1. The masked autoencoder, our drawing after the overview figures of both papers.* **See:** the encoder is large but gets a fifth of the
# tokens; the decoder gets all of them but is small and is thrown away after pretraining. What goes on to the species classifier (notebooks 03
# to 06) is the encoder.
#
# ## The encoder in five lines
#
# $$ z = \mathrm{Blocks}\big([\,c;\; (E x_i + p_i)_{i \in V}\,]\big) \tag{1} $$
#
# $x_i$ are the patches, $E$ one linear layer, $p_i$ a fixed code of the place, $V$ the visible patches, $c$ an extra *class token*. The
# transformer is timm's, as it comes.

# %%
arch = setting.arch(norm_pixels=norm_pixels)
# untrained, with a decoder of global attention
model = mae.MAE(dataclasses.replace(arch, decoder="plain"), training.generator(seed)).eval()
vit, grid = model.encoder, model.grid
mask = patches.random_mask(len(specs), grid, mask_ratio, training.generator(seed))
print(type(vit).__module__, type(vit).__name__, "|", grid, "|",
      f"{mask.keep.shape[1]} of {grid.t * grid.f} patches visible")

# %%
def encode(spec, mask):
    x = vit.patch_embed(spec) + vit.pos_embed[:, 1:]  # (B, L, D)   every patch, and where it is
    x = x.gather(1, mask.keep[..., None].expand(-1, -1, x.shape[-1]))  # (B, K, D)   those visible
    c = (vit.cls_token + vit.pos_embed[:, :1]).expand(len(x), -1, -1)  # (B, 1, D)
    x = vit.blocks(torch.cat([c, x], dim=1))  # (B, 1+K, D)
    return vit.norm(x)  # (B, 1+K, D)


# %%
with torch.no_grad():
    latent = encode(specs, mask)
print(f"{specs[0].numel():,} pixels a clip -> {tuple(latent.shape[1:])} latent")

# %% [markdown]
# **Checkpoint.** Your five lines are the library's `encode`; and with nothing hidden they are timm's own forward pass. If this passes, go on.

# %%
everything = patches.mask_from_keep(torch.arange(grid.t * grid.f).expand(len(specs), -1),
                                    grid.t * grid.f)
with torch.no_grad():
    assert torch.allclose(encode(specs, mask), model.encode(specs, mask), atol=1e-5)
    assert torch.equal(encode(specs, everything), vit.forward_features(specs))

# %% [markdown]
# > **Predict.** Multiply every *hidden* pixel by 100. How far does the latent move?

# %% tags=["predict"]
moves = None  # the largest change of a number in the latent, whose variance is 1

# %%
louder = patches.patchify(specs, arch.patch)
louder = torch.where(mask.hidden[..., None], 100 * louder, louder)
louder = patches.unpatchify(louder, grid, arch.patch)
with torch.no_grad():
    exercises.predicted("largest change of the latent", moves,
                        float((encode(louder, mask) - latent).abs().max()))

# %% [markdown]
# Not at all. Hidden patches are not zeroed or blurred, they are never computed: that is what makes an encoder at mask ratio 0.8 about four times
# cheaper than one that sees everything, and why it cannot cheat.
#
# ### Where is a patch?
#
# A transformer has no order. The table $p$ gives each place a fixed code of sines and cosines, half of it for the mel row and half for the time.

# %%
table = model.encoder.pos_embed[0, 1:]  # (L, D)
alike = torch.nn.functional.cosine_similarity(table[:, None], table[None], dim=-1)  # (L, L)
alike = alike.unflatten(1, grid)  # (L, t, f)
figure, axes = plt.subplots(1, 3, figsize=(12, 2.3), sharey=True)
for ax, (t, f) in zip(axes, ((3, 1), (16, 4), (28, 6))):
    image = ax.imshow(alike[t * grid.f + f].T, origin="lower", aspect="auto", cmap="viridis",
                      vmin=0, vmax=1)
    ax.plot(t, f, "wo", markerfacecolor="none")
    ax.set(xlabel="patch in time", title=f"the code of patch ({t}, {f})")
axes[0].set_ylabel("mel row")
figure.colorbar(image, ax=axes, label="cosine similarity");

# %% [markdown]
# *Figure 2. How similar the code of one place (circle) is to that of every other.* **See:** near is similar along both axes, and the cross says that
# the two axes are coded apart. Nothing here is learned.
#
# ## The decoder in six lines
#
# The decoder gets the latents, puts one learned *mask token* wherever a patch is missing, adds places again, and guesses 256 pixels per patch.

# %%
def decode(latent, mask):
    x = model.decoder_embed(latent)  # (B, 1+K, d)
    blanks = model.mask_token.expand(len(x), int(mask.hidden[0].sum()), -1)  # (B, L-K, d)
    rest = torch.cat([x[:, 1:], blanks], dim=1)  # (B, L, d)   visible first, then blanks
    rest = rest.gather(1, mask.restore[..., None].expand_as(rest))  # (B, L, d)   back in place
    x = torch.cat([x[:, :1], rest], dim=1) + model.decoder_pos_embed  # (B, 1+L, d)
    return model.decoder_pred(model.decoder_norm(model.decoder_blocks(x)))[:, 1:]  # (B, L, pt*pf)


with torch.no_grad():
    guess = decode(latent, mask)
    assert torch.equal(guess, model.decode(latent, mask))
print(tuple(guess.shape))

# %% [markdown]
# This is the decoder with global attention. Liu et al. and AudioMAE use 16 blocks that attend within windows of 4 x 4 patches, every second one
# shifted by two patches along time (`mae.WindowBlock`; scale `paper`).
#
# ## The loss
#
# $$ \mathcal{L} = \frac{1}{|H|} \sum_{i \in H} \frac{1}{P} \lVert \hat{x}_i - \tilde{x}_i \rVert^2, \qquad
# \tilde{x}_i = \frac{x_i - \mu_i}{\sqrt{\sigma_i^2 + 10^{-6}}} \tag{2} $$
#
# over hidden patches $H$ only, $P = 256$ pixels each. Liu et al. print a *sum* over pixels; the public code they build on takes the *mean*, and so do
# we (a factor of 256, which AdamW does not notice). $\mu_i$ and $\sigma_i$ are the patch's own.

# %%
def loss(spec, guess, mask):
    target = patches.patchify(spec, arch.patch)[mask.hidden]  # (B*(L-K), P)
    if norm_pixels:
        mean, var = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
        target = (target - mean) / (var + 1e-6).sqrt()
    return (guess[mask.hidden] - target).square().mean()


print(f"untrained: {loss(specs, guess, mask):.3f}; "
      f"a guess of 0 everywhere: {loss(specs, torch.zeros_like(guess), mask):.3f}")
assert torch.isclose(loss(specs, guess, mask), model.loss(specs, guess, mask))

# %% [markdown]
# A normalised patch has mean 0 and variance 1, so a network that has learned **nothing but "predict the mean"** has a loss of 1.0 (255/256, to be
# exact: the variance is the unbiased one). Everything below 1.0 is structure that was guessed from the surroundings, and 0.9 means that a tenth
# of the variance inside hidden patches is explained. (With `norm_pixels=False` the scale is another: then the level counts too.)

# %%
raw, normalised = (patches.unpatchify(model.target(specs[:1], which), grid, arch.patch)
                   for which in (False, True))
figure, axes = plt.subplots(1, 2, figsize=(12, 2.9), sharey=True)
plots.spec(axes[0], raw, front, f"{names[0]}: raw target")
plots.spec(axes[1], normalised, front, "the same, every patch normalised")
axes[1].set_ylabel("");

# %% [markdown]
# *Figure 3. The two targets.* **See:** normalising takes each patch's level away and blows up what is inside it. A patch of faint hiss now counts as
# much as one with a call, and the hiss is loud. He et al. 2022 and Liu et al. train on the right one (it gives better features); Niizumi et al.
# on the left one, and Liu et al. too where they want pictures to look at.
#
# ## Training by hand
#
# Two clips, one mask each, five lines a step.

# %%
few = first_window(pools["wildlife"].query("split == 'train'")["file"].head(2))
fixed = patches.random_mask(len(few), grid, mask_ratio, training.generator(seed, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.95))
losses = []
for step in range(10 if setting.name == "smoke" else 400):
    guess = decode(encode(few, fixed), fixed)
    value = loss(few, guess, fixed)
    value.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(value.item())

# %% [markdown]
# > **Predict.** The loss on these two clips with these masks falls well below 1. Now the *same clips* with *another mask*: is the loss as low, in
# > between, or about 1?

# %% tags=["predict"]
another = None  # the loss on the same two clips with another mask

# %%
fresh = patches.random_mask(len(few), grid, mask_ratio, training.generator(seed, 2))
with torch.no_grad():
    other = float(loss(few, decode(encode(few, fresh), fresh), fresh))
exercises.predicted("loss with another mask", another, round(other, 2))
figure, ax = plt.subplots(figsize=(6, 2.8))
ax.plot(losses, label="the mask it trained on")
ax.plot(len(losses), other, "o", color="C3", label="another mask, same clips")
ax.axhline(1, color="0.6", linestyle=":", label="guessing each patch's mean")
ax.set(xlabel="step", ylabel="loss", ylim=(0, None),
       title=f"two clips: {losses[0]:.2f} -> {losses[-1]:.2f}; another mask: {other:.2f}")
ax.legend(loc="lower left")
assert losses[-1] < losses[0]

# %% [markdown]
# *Figure 4. Memorising two clips.* **See:** at `tiny` the loss goes from 1.4 to about 0.5, and with another mask the very same clips are back at
# about 1. The network has learned these patches by heart, hiss included, and nothing about sound. So in real training every clip comes with a
# new crop and a new mask each time, and what counts is measured on recordings it has never met.
#
# ## What will be computed

# %%
recipe = pretrain.Recipe(clips=setting.pretrain_clips, batch=setting.batch, lr=setting.lr,
                         mask_ratio=mask_ratio, ratio=1, seed=seed)
print(pretrain.plan(arch, recipe, *pools.values()))

# %% [markdown]
# And what that takes on this machine. A sheet comes first because an estimate of seconds may save a day: a run that would take longer than `max_hours` is
# refused here, before it begins.

# %%
# for the end of this notebook: two that go on from the model, at half the rate, and one that sees
# as many clips in all
more = dataclasses.replace(recipe, clips=max(2 * setting.batch, recipe.clips // 4), ratio=0,
                           lr=setting.lr / 2)
frozen = dataclasses.replace(more, freeze_decoder=True)
whole = dataclasses.replace(recipe, clips=recipe.clips + more.clips, ratio=0)
earlier = pretrain.earlier(arch, front, recipe, *pools.values())
from_it = dict(pools=pools.values() if earlier else None, start=earlier)
cost.sheet([cost.pretraining(arch, front, recipe, pools=pools.values()),
            cost.pretraining(arch, front, more, what="(a) continued", **from_it),
            cost.pretraining(arch, front, whole, what="(b) wildlife only", pools=pools.values()),
            cost.pretraining(arch, front, frozen, what="(c) decoder frozen", **from_it)], max_hours)

# %% [markdown]
# **See:** which row takes the time. Measured a moment ago from a few steps on random clips, on the machine in the corner. What an earlier run left is loaded; reading is not
# counted, so it may be more. FLOP are those of the forward pass times three.
#
# Half the clips are wildlife, half general (what the ratio does is notebook 05). Every draw is a new random crop with
# a new random mask. The loop reads as the one above, load, loss, backward, step, with a schedule and mixed precision
# around them, and it yields a record for every step. What saves its state, so that a run that is stopped goes on where
# it was, stands beside it in `lib/training.py`.

# %%
plots.source(training.fit)

# %% [markdown]
# Fixed clips and masks to measure on: the first window of every held-out recording, the same masks whatever the model.

# %%
@torch.no_grad()
def errors(model, specs, mask):
    """The squared error of every patch in the model's target units, hidden or not: (N, L)."""
    found = []
    for x, *part in zip(specs.split(32), *(view.split(32) for view in mask)):
        some = patches.Mask(*part)
        found.append(model.patch_errors(x, model.decode(model.encode(x, some), some)))
    return torch.cat(found)


def guessed(specs, mask):
    """Hidden patches that hold any sound, (N, L): the padding behind a short recording is no
    achievement."""
    return mask.hidden & (patches.patchify(specs, arch.patch).var(-1) > 0)


def score(model, ratio=mask_ratio):
    """The loss on the hidden patches of the held-out clips, per pool."""
    masks = {pool: patches.random_mask(len(x), grid, ratio, training.generator(7))
             for pool, x in fixed_specs.items()}
    return {pool: float(errors(model, x, masks[pool])[guessed(x, masks[pool])].mean())
            for pool, x in fixed_specs.items()}


fixed_specs = {"wildlife": first_window(wild["file"]), "general": first_window(world["file"])}
start = score(mae.MAE(arch, training.generator(seed)).eval())
print({pool: len(x) for pool, x in fixed_specs.items()}, "clips; before training:",
      {pool: round(v, 3) for pool, v in start.items()})

# %% [markdown]
# ## Pretraining

# %%
pretrained = pretrain.pretrain(arch, front, recipe, *pools.values(), workers=setting.workers,
                               reuse=True)
model = pretrained.model.cpu().eval()
end = score(model)
print("loaded from an earlier run" if pretrained.reused else "trained now")
print(f"held-out loss: wildlife {start['wildlife']:.3f} -> {end['wildlife']:.3f}, "
      f"general {start['general']:.3f} -> {end['general']:.3f}")

# %%
figure, ax = plt.subplots(figsize=(7, 3.2))
plots.curve(ax, pretrained.log, "training, both pools (mean of 20 steps)", smooth=20)
for i, (pool, value) in enumerate(end.items()):
    ax.plot([0, recipe.clips], [start[pool], value], "o", color=f"C{i + 1}",
            label=f"held-out {pool}, before and after")
ax.axhline(1, color="0.6", linestyle="--", label="guessing each patch's mean")
ax.legend(fontsize="small");

# %% [markdown]
# *Figure 5. The loss against clips seen.* **See** (`tiny`, `chorus`, data_seed 0, seed 0): an untrained network makes noise and pays 1.386. In the
# first 2,000 clips it learns to keep quiet (loss 1.0, the mean of each patch). Everything of interest happens below that line, slowly: on held-out clips 0.889 (wildlife) and 0.852 (general) at the end, with the training loss between the two. Training and held-out agree, so nothing was memorised; general
# sound is easier to guess because more of it goes on unchanged for the whole clip.
#
# ## Reconstructions
#
# Input, what the encoder sees, the reconstruction with visible patches pasted, and the error: three held-out wildlife recordings and a general one.

# %%
mask = patches.random_mask(len(specs), grid, mask_ratio, training.generator(seed, 3))
rows = [0, 1, 2, len(specs) - 1]
plots.reconstruction(model, specs[rows], patches.Mask(*(view[rows] for view in mask)),
                     front, [names[i] for i in rows]);

# %% [markdown]
# *Figure 6. Held-out recordings at the mask ratio of training.* **See:** from a distance every call is in its place. Look closer: inside a
# guessed patch there is a smooth gradient, hardly ever the thin line of a note, and the patches can be counted. The losses above the error
# pictures say the same: of what is inside the animals' hidden patches a seventh or less was guessed. The talkers' harmonics go on
# for three seconds, and are guessed no better (0.85). The error is largest on the calls.
#
# ### More and less hidden

# %%
for ratio in (0.5, 0.95):
    drawn = patches.random_mask(1, grid, ratio, training.generator(seed, 4))
    figure = plots.reconstruction(model, specs[:1], drawn, front, names[:1])

# %% [markdown]
# *Figure 7. One recording with 50 % and with 95 % hidden.* Over all held-out clips:

# %%
ratios = pd.DataFrame({f"{ratio:.0%} hidden": score(model, ratio) for ratio in (0.5, 0.8, 0.95)}).T
plots.table(ratios).format("{:.3f}")

# %% [markdown]
# **See** (`tiny`, seed 0): between 50 % and 80 % hidden the loss hardly changes (0.884 and 0.889 on wildlife), at 95 % it does (0.935), although
# the model has only ever seen 80 %. So little of a neighbour's inside is used that two and a half times as many neighbours add almost nothing; Liu et al.
# and Niizumi et al. train much longer.
#
# ### Longer: the ready weights
#
# A small MAE lies in this repository (`lib.transfer.starts`: of this notebook's shape, trained by the same `pretrain.pretrain` on the train split of `chorus`), so that the explorers, and whoever has no hour to spare, can look at a model that has seen more. It is loaded;
# `python -m lib.transfer.starts` trains it anew.

# %%
stored, card = starts.load_ready()
print(f"{sum(p.numel() for p in stored.parameters()) / 1e6:.1f} M parameters, "
      f"{starts.READY.stat().st_size / 1e6:.1f} MB; {card.trained_on}")
figure, ax = plt.subplots(figsize=(7, 3))
log = pd.read_csv(starts.READY_LOG)
ax.plot(log["clips"].cumsum(), log["loss"],
        label=f"ready weights, general : wildlife {starts.READY_RECIPE.ratio:g} : 1")
plots.curve(ax, pretrained.log, "this notebook's model, 1 : 1", smooth=100)
ax.set(ylim=(0.65, 1.1))
ax.legend(fontsize="small");

# %% [markdown]
# *Figure 8. The training losses of both models against clips seen (running means over 100 steps).* The mixtures differ, so the heights do not compare; on the same held-out clips and masks they do:

# %%
longer = score(stored) if norm_pixels else {}
plots.table(pd.DataFrame({"this notebook's": end, "ready": longer}).T).format("{:.3f}")

# %%
some = patches.Mask(*(view[rows[:2]] for view in mask))
plots.reconstruction(stored, specs[rows[:2]], some, front, [names[i] for i in rows[:2]]);

# %% [markdown]
# *Figure 9. The first two recordings of Figure 6 with the same masks, by the ready weights.* **See** (`chorus`, data_seed 0, one seed): by eye they can hardly be told from Figure 6. In numbers, 0.864 on held-out wildlife instead of 0.889, and 0.679
# instead of 0.852 on general sound. The ready model has the same shape, saw 27 times as many clips and seven times as much general sound as wildlife; which of the two helped, this does not say. Figure 8 says that after 100,000 clips the loss
# falls slowly for as long as the learning rate is high, and once more as it goes to zero.
#
# ### What was borrowed, what was pasted
#
# Three things make a picture of a normalised-target MAE look better than its guess, and none is visible in it. Here they are taken away one by one.

# %%
one = patches.Mask(*(view[:1] for view in mask))
with torch.no_grad():
    guess = model.decode(model.encode(specs[:1], one), one)
# as if all had been hidden
unpasted = model.picture(specs[:1], guess, one._replace(hidden=torch.ones_like(one.hidden)))
panels = {"as shown above": model.picture(specs[:1], guess, one),
          "visible patches not pasted": unpasted,
          "nor the level borrowed: what came out": patches.unpatchify(guess, grid, arch.patch)}
figure, axes = plt.subplots(1, 3, figsize=(13, 2.9), sharey=True)
for ax, (title, x) in zip(axes, panels.items()):
    plots.spec(ax, x, front, title)
    ax.label_outer()

# %% [markdown]
# *Figure 10. One reconstruction, undressed.* **See:** middle, without pasting, the visible patches come out as noise. Right, without borrowing each
# patch's mean and std, the guess itself: a pattern of stripes for every mel row, almost the same at all times. The rhythm of the calls in the left
# picture is in the levels that were borrowed from the answer. A picture of a normalised-target MAE shows the *shape* it guessed, never the level.

# %%
drawn = patches.random_mask(len(wild), grid, mask_ratio, training.generator(7))
error = errors(model, fixed_specs["wildlife"], drawn)
hidden = guessed(fixed_specs["wildlife"], drawn)
print(f"held-out wildlife, mean squared error: hidden patches {error[hidden].mean():.3f}, "
      f"visible patches {error[~drawn.hidden].mean():.3f}")

# %% [markdown]
# The loss never asks for visible patches, so nothing keeps the decoder from making noise there (at `tiny` 1.241, worse than saying nothing at all).
# This is why people who do not paste report that a MAE is "worse on what it can see".
#
# ## Better than what?
#
# A loss means little without guesses that need no network. Four:
#
# - **mean**: every hidden patch is flat (its mean; with the normalised target, 0);
# - **nearest**: a copy of the nearest visible patch;
# - **row here**: the average of the visible patches in the same mel row of the same clip (about six of them);
# - **row elsewhere**: the average patch of that mel row in 150 training recordings, which knows the usual shape of the noise floor and nothing
#   of this clip.
#
# > **Predict.** Put the four and the network in order, best first. Is any of them above 1?

# %%
def mean_patch(target, mask):
    return target.mean(-1, keepdim=True).expand_as(target)


def nearest_visible(target, mask):
    places = torch.cartesian_prod(torch.arange(grid.t), torch.arange(grid.f)).float()  # (L, 2)
    which = torch.cdist(places.expand(len(target), -1, -1), places[mask.keep]).argmin(2)  # (N, L)
    return target.gather(1, mask.keep.gather(1, which)[..., None].expand_as(target))


def row_here(target, mask):
    visible = (~mask.hidden).unflatten(1, grid)[..., None]  # (N, t, f, 1)
    total = (target.unflatten(1, grid) * visible).sum(1, keepdim=True)  # (N, 1, f, P)
    mean = total / visible.sum(1, keepdim=True).clamp(min=1)  # (N, 1, f, P)
    return mean.expand(-1, grid.t, -1, -1).flatten(1, 2)


train = first_window(pools["wildlife"].query("split == 'train'")["file"].head(150))
usual = model.target(train).unflatten(1, grid).mean((0, 1))  # (f, P)


def row_elsewhere(target, mask):
    return usual.expand(len(target), grid.t, -1, -1).flatten(1, 2)


# %% [markdown]
# And two places to look at: patches that a call of the labelled species fills to at least a quarter, and patches that no call touches
# (background, which may hold an unlabelled animal).

# %%
def call_share(file):
    """The share of each patch of the first window that lies in the box of a labelled call: (L,)."""
    canvas, centres = torch.zeros(1, 1, front.frames, front.mels), mel.centres(front)
    for event in calls[calls["file"] == file].itertuples():
        rows = (centres >= event.low_hz) & (centres <= event.high_hz)
        begin, end = round(event.start_s / front.hop_s), round(event.end_s / front.hop_s)
        canvas[0, 0, begin:end, rows] = 1
    return patches.patchify(canvas, arch.patch)[0].mean(-1)


share = torch.stack([call_share(file) for file in wild["file"]])  # (N, L)
regions = {"all": hidden, "on calls": hidden & (share >= 0.25),
           "background": hidden & (share == 0)} if synthetic else {"all": hidden}
print({name: f"{int(where.sum()):,} hidden patches" for name, where in regions.items()})
if not synthetic:
    print("no boxes of calls are known for this data: "
          "the split into calls and background is skipped")

# %%
target = model.target(fixed_specs["wildlife"])  # (N, L, P)
guesses = {"mean": mean_patch, "nearest": nearest_visible, "row here": row_here,
           "row elsewhere": row_elsewhere}
squared = {"network": error} | {name: (make(target, drawn) - target).square().mean(-1)
                                for name, make in guesses.items()}
comparison = pd.DataFrame({name: {place: float(e[where].mean()) for place, where in regions.items()}
                           for name, e in squared.items()}).T
plots.table(comparison).format("{:.3f}")

# %% [markdown]
# **See** (`tiny`, `chorus`, seed 0, one seed: no verdict): the network (0.889) is better than the best simple guess, the usual patch of the row
# (0.959), and that one better than the mean (0.996). Copying is the worst by far: two patches of hiss have nothing to do with each other, so
# their variances add up (1.818). Averaging six neighbours still adds a sixth of that noise (1.037). If a MAE were compared with copying only, it
# would look like magic.
#
# **Your first prediction**: calls 0.867, background 0.893, so neither by much. But the row's usual patch has 1.007 on calls and 0.952 on the background:
# what the network knows beyond the noise floor's shape is worth two to three times as much on calls as on background. Which mel rows is it in?

# %%
rows = torch.arange(grid.t * grid.f) % grid.f  # (L,) the mel row of each patch
low = mel.centres(front)[:: arch.patch[1]] / 1000  # kHz at the lower edge of each row
figure, ax = plt.subplots(figsize=(7.5, 3))
for (place, where), colour in zip(list(regions.items())[1:] or regions.items(), ("C3", "C0")):
    for name, style in (("network", "o-"), ("row elsewhere", "o:")):
        ax.plot([float(squared[name][where & (rows == f)].mean()) for f in range(grid.f)],
                style, color=colour, label=f"{name}, {place}")
ax.axhline(1, color="0.6", linewidth=0.8)
ax.set_xticks(range(grid.f), [f"from\n{khz:.1f} kHz" for khz in low])
ax.set(xlabel="mel row", ylabel="squared error")
ax.legend(fontsize="small");

# %% [markdown]
# *Figure 11. The error of the network (solid) and of the row's usual patch (dotted), per mel row.* **See:** on background most of what can be
# guessed lies in the lowest rows, where wind falls off steeply and every patch has the same slope; from 1.4 to 3.5 kHz hiss is hiss. On calls
# the network is below 1 in every row, while the usual patch of the row is hardly better than the mean anywhere but in the lowest.

# %%
level = (patches.patchify(fixed_specs["wildlife"], arch.patch).var(-1)
         if norm_pixels else torch.ones_like(error))
print("in units of the log-mel (borrowed std put back):",
      {place: round(float((error * level)[where].mean()), 3) for place, where in regions.items()})

# %% [markdown]
# Calls vary more, so in these units the error on them is about four times that on background: that is what the error pictures show.
#
# ## A frozen decoder, and wildlife only
#
# Liu et al. (Table 3, right) show reconstructions of three models: (a) pretrained on general sound and continued on animals, (b) trained on
# animals only, (c) as (a) with the **decoder frozen** while it continues. Here the same three at a small budget: (a) and (c) continue on
# wildlife from the mixed model above, (b) starts from random weights and sees as many clips as the other two in all.
#
# > **Predict.** With the decoder frozen only the encoder can adapt. Will (c) end close to (a), or close to where it started?

# %%
three = {}
for name, plan, begin in (("(a) continued", more, model), ("(b) wildlife only", whole, None),
                          ("(c) decoder frozen", frozen, model)):
    three[name] = pretrain.pretrain(arch, front, plan, *pools.values(), start=begin,
                                    workers=setting.workers, reuse=True).model.cpu().eval()

# %%
scores = {"start of (a) and (c)": {"clips": recipe.clips, **end}}
scores |= {name: {"clips": whole.clips, **score(one_of)} for name, one_of in three.items()}
compared = pd.DataFrame(scores).T.astype({"clips": int})
plots.table(compared).format({"clips": "{:,}", "wildlife": "{:.3f}", "general": "{:.3f}"})

# %%
third = three["(c) decoder frozen"]
same = all(torch.equal(weight, third.state_dict()[name])
           for name, weight in model.named_parameters() if "decoder" in name)
moved = any(not torch.equal(a, b)
            for a, b in zip(model.encoder.parameters(), third.encoder.parameters()))
assert same and moved
print("(c): the decoder is untouched, the encoder has moved")

# %%
chosen = [0, 1]
some = patches.random_mask(len(specs), grid, mask_ratio, training.generator(seed, 3))
figure, axes = plt.subplots(len(chosen), 5, figsize=(13, 2.4 * len(chosen)),
                            sharex=True, sharey=True)
for row, i in zip(axes, chosen):
    x, m = specs[i : i + 1], patches.Mask(*(view[i : i + 1] for view in some))
    limits = tuple(np.quantile(x, [0.01, 0.998]))
    with torch.no_grad():
        shown = {names[i]: x, "masked": plots.masked(x, m, arch.patch)}
        shown |= {name: net.picture(x, net.decode(net.encode(x, m), m), m)
                  for name, net in three.items()}
    for ax, (title, part) in zip(row, shown.items()):
        plots.spec(ax, part, front, title, limits)
        ax.title.set_size("small")
        ax.label_outer()

# %% [markdown]
# *Figure 12. Input, masked input and the three models, as in Liu et al. Table 3 (right).* **See:** by eye
# the three are the same picture. By number (table above), 6,000 more wildlife clips bring the loss on wildlife from 0.889 to 0.886 with all weights free and to 0.887
# with the decoder frozen: the encoder alone does most of it. Wildlife only ends on wildlife behind where those two began (0.902) and is worse on general sound (0.938 against 0.852),
# which it never met. These are differences in the third decimal from one seed: **no verdict**. Liu et al. show such pictures and no numbers.
#
# ## Listen
#
# From a log-mel back to sound: undo the logarithm and the mel filters, guess the phases (Griffin-Lim, notebook 00). The round trip of the *original*
# comes first after the recording itself, so that you hear what the method alone costs.

# %%
loud = 0
wave = audio.read(examples["file"].iloc[loud], rate=front.rate, duration_s=3.0)
print(f"{names[loud]}, as recorded")
plots.sound(wave, front.rate)

# %%
print("its log-mel turned back into sound: nothing was hidden")
plots.sound(mel.to_wave(specs[loud, 0], front), front.rate)

# %%
with torch.no_grad():
    rebuilt = model.picture(specs, model.decode(model.encode(specs, mask), mask), mask)
print(f"the reconstruction turned into sound: {mask_ratio:.0%} of the patches guessed, "
      "their level borrowed")
plots.sound(mel.to_wave(rebuilt[loud, 0], front), front.rate)

# %%
floor = specs[loud].min()
its_mask = patches.Mask(*(view[loud : loud + 1] for view in mask))
masked = plots.masked(specs[loud : loud + 1], its_mask, arch.patch).nan_to_num(floor.item())
print("for comparison, only the visible patches, the rest silent")
plots.sound(mel.to_wave(masked[0, 0], front), front.rate)

# %% [markdown]
# Listen for two things. **Rhythm and pitch band**: the reconstruction keeps them, to the length and width of a patch (93 ms, 16 mel bands),
# because each patch's level was borrowed. **The note itself**: between the visible patches the call turns into a band of hiss, because no line
# was guessed inside the patch. The second player says what Griffin-Lim alone costs; only what is missing beyond that is the network's fault.
#
# ## Explore: the reconstruction studio
#
# Choose a recording or bring your own, choose a model and a mask, hide or show single patches, and listen. Three models are there: the one trained in this
# notebook, the project's ready weights (pretrained for longer on the train split of `chorus`), and one that was never trained. On GitHub only this still picture
# shows; run the notebook to move it.

# %%
stored, card = starts.load_ready()
models = {"trained here": (model, front), "ready weights": (stored, card.front),
          "untrained": (mae.MAE(arch, training.generator(seed)), front)}
sounds = {f"{i + 1}. {row.label}":
          base.Sound(audio.read(row.file, rate=front.rate, duration_s=3.0), front.rate,
                     calls[calls["file"] == row.file] if synthetic else None)
          for i, row in enumerate(examples.itertuples())}
explorer = reconstruction.Reconstruction(models, sounds)
view = explorer.update(recording=list(sounds)[1], model="ready weights", kind="time columns",
                       ratio=0.5, seed=1)
print(view.text)
Image(view.image)

# %% [markdown]
# *Figure 13. What the studio shows: input (true calls framed where they are known), visible patches, reconstruction, error.* The sentence and the table with the
# error by region come with every picture. And here it is:

# %%
explorer

# %% [markdown]
# *The studio.* Keys: Tab moves between the controls, arrows change a value, the space bar presses a button; on the patch grid the arrows move the frame and the space bar
# hides or shows the patch. What to try:
#
# - *time columns* against *mel rows* at the same ratio: which one breaks a call, and which one breaks a pulse train?
# - Hide every patch of one call by hand. Does it come back, and from what?
# - Show a single patch in the middle of a hidden call: how far does it help?
# - *ready weights* against *untrained*, on the same mask: which rows of the table change, calls or background?
# - Upload a recording of yours, or whistle into the microphone. No model here has heard anything but `chorus`: where does it fail first?
#
# ## Summary

# %%
paper = {"model": "ViT-B 768 x 12", "decoder": "16 window blocks of 512",
         "clips": "100 epochs x 137,012 (our reading)", "mask ratio": "0.8",
         "target": "normalised patches", "held-out loss": "not given"}
here = {"model": f"ViT {arch.dim} x {arch.depth}",
        "decoder": f"{arch.decoder_depth} {arch.decoder} block(s) of {arch.decoder_dim}",
        "clips": f"{recipe.clips:,}", "mask ratio": f"{mask_ratio:g}",
        "target": "normalised patches" if norm_pixels else "raw patches",
        "held-out loss": f"wildlife {end['wildlife']:.3f}, general {end['general']:.3f}"}
pd.DataFrame({"paper: Liu et al. 2026": paper,
              f"this run: {setting.name}, {' + '.join(d['name'] for d in run.data.values())}, "
              f"seed {seed}": here})

# %%
published = runs.reference("finetune", split="test", metric="top1")
columns = ["paper", "place", "setting", "split", "metric", "value"]
published[published["setting"].str.contains("random|inat")][columns]

# %% [markdown]
# Liu et al. give no loss and no error for their reconstructions, only pictures (Fig. 2, Table 3 right); what pretraining is *for* is the table
# above: 10.4 points of top-1 between random weights and their own wildlife MAE.
#
# What was seen here, at `tiny` on `chorus` (data_seed 0) with one seed, **no verdict**:
#
# - a masked autoencoder is a stock ViT that is given a fifth of its tokens, and a small decoder that is given blanks for the rest;
# - a loss of 1 is silence; after 24,000 clips held-out wildlife is at 0.889 and general sound at 0.852;
# - the usual patch of a mel row, without any network, already reaches 0.959, and copying a neighbour 1.818: a loss needs a baseline;
# - calls are guessed a little better than background (0.867 and 0.893), and much of what was learned about background is the slope of the lowest rows;
# - a picture with pasted patches and borrowed levels looks far better than the guess.
#
# ## Exercises
#
# Fill in the function, run the cell: the last line tries it on a toy of your machine's making and says whether it is right, or what to look at.

# %%
from lib.course import exercises_02 as check

# %% [markdown]
# ### 1 · The loss, on hidden patches only
#
# Equation (2) when the target is already normalised. Several wrong versions train without an error message.

# %% tags=["exercise"]
def masked_loss(guess, target, hidden):
    """The mean squared error over hidden patches; guess, target (B, L, P), hidden (B, L) bool."""
    return None


check.masked_loss(masked_loss)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def masked_loss(guess, target, hidden):
#     return (guess - target)[hidden].square().mean()
# ```
# `(error * hidden).mean()` looks alike and is smaller by the mask ratio: a model trained with 0.75 would then seem better than one with 0.8.
# </details>
#
# ### 2 · A picture from a guess
#
# The network guesses normalised patches. Make what the figures above show: visible patches pasted, hidden ones guessed at the level and
# spread of the true patch.

# %% tags=["exercise"]
def pasted(x, guess, hidden):
    """Raw patches x (B, L, P), normalised guesses (B, L, P), hidden (B, L) bool -> patches to
    look at (B, L, P)."""
    return None


check.pasted(pasted)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def pasted(x, guess, hidden):
#     guessed = guess * (x.var(-1, keepdim=True) + 1e-6).sqrt() + x.mean(-1, keepdim=True)
#     return torch.where(hidden[..., None], guessed, x)
# ```
# With a guess of 0 everywhere (`pasted(x, 0 * guess, hidden)`) the call is still there as a mosaic: so much of every picture in this notebook is borrowed.
# </details>
#
# ### 3 · One step of training
#
# The five lines that were in the loop above, as a function of its own.

# %% tags=["exercise"]
def train_step(model, optimizer, spec, mask):
    """One step down the loss of `model(spec, mask)`; returns that loss as a number."""
    return None


check.train_step(train_step)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def train_step(model, optimizer, spec, mask):
#     optimizer.zero_grad()
#     value = model(spec, mask).loss
#     value.backward()
#     optimizer.step()
#     return value.item()
# ```
# Without `zero_grad` every step goes along the sum of all gradients since the first.
# </details>
#
# ### 4 · Freeze the decoder
#
# Variant (c) continues with a decoder that stays as it is. Freeze it, whatever its blocks are.

# %% tags=["exercise"]
def freeze_decoder(model):
    """Everything in a mae.MAE but its encoder stops learning; returns the model."""
    return None


check.freeze_decoder(freeze_decoder)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def freeze_decoder(model):
#     for name, parameter in model.named_parameters():
#         if not name.startswith("encoder."):
#             parameter.requires_grad_(False)
#     return model
# ```
# The mask token is the decoder's: it fills the holes that the encoder never sees. To go on: freeze a decoder that was *never* trained
# (`pretrain.Recipe(..., freeze_decoder=True)` without `start`). Does the loss fall below 1? The output layer is part of what is frozen, so only a random mixture
# of patches can be reached; the published variant froze a *pretrained* decoder.
# </details>
#
# ### 5 · Equal clips, unequal animals
#
# (a) and (b) saw equally many clips. Did they see equally many *wildlife* clips? `ratio` is general clips per wildlife clip; 0 is wildlife only, `inf` general only.

# %% tags=["exercise"]
def wildlife_clips(clips, ratio):
    """How many of so many clips are wildlife."""
    return None


check.wildlife_clips(wildlife_clips)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def wildlife_clips(clips, ratio):
#     return clips / (1 + ratio)
# ```
# At `tiny`, (a) saw 24,000 clips at ratio 1 and 6,000 at ratio 0: 18,000 wildlife clips; (b) 30,000. Equal clips answers "what to do with my computing time", equal
# wildlife clips "does general sound add anything to what I have".
# </details>
#
# ### 6 · Another target (a run of your own, not checked)
#
# Train with `norm_pixels=False` (`papermill notebooks/02_pretraining.ipynb out.ipynb -p norm_pixels False`). Which picture looks better, and why is the loss
# not comparable?
#
# <details><summary>Solution</summary>The level no longer has to be borrowed and is guessed, so the picture is true to what came out, but smooth. The loss is in units of
# the log-mel's variance, most of which is level between patches, so it is much lower.</details>
#
# ## Quiz
#
# <details><summary>The loss is 0.99 after an hour. Is the model broken?</summary>Not necessarily: 1.0 is the mean of each patch, and hiss cannot be
# guessed. Look at the error on calls, and at the row baseline.</details>
# <details><summary>Visible patches look worse than hidden ones when they are not pasted. Why?</summary>The loss never asked for them.</details>
# <details><summary>Two models with different mixing ratios have training losses 0.93 and 0.96. Which is better?</summary>Unknown: they were
# measured on different sounds. Compare on the same held-out clips and masks, and in the end on the task.</details>
# <details><summary>Why is the class token in the encoder if nothing trains it directly?</summary>It takes part in attention, and the ViT that is
# finetuned later expects one.</details>
#
# ## What was not shown
#
# That a lower reconstruction loss makes a better classifier (notebook 07 filters by it, notebook 05 finetunes); structured masks in training
# (01, 10); larger models and real recordings (`folder:PATH`); more than one seed.
#
# ## Further reading
#
# - He, Chen, Xie, Li, Dollár, Girshick 2022, *Masked Autoencoders Are Scalable Vision Learners*, CVPR, doi:10.1109/CVPR52688.2022.01553
# - Huang, Xu, Li, Baevski, Auli, Galuba, Metze, Feichtenhofer 2022, *Masked Autoencoders that Listen*, NeurIPS, arXiv:2207.06405
# - Niizumi, Takeuchi, Ohishi, Harada, Kashino 2022, *Masked Spectrogram Modeling using Masked Autoencoders for Learning General-purpose Audio
#   Representation*, PMLR 166, arXiv:2204.12260
# - Liu et al. 2026, *Masked Autoencoders with Limited Data: Does It Work?*, arXiv:2605.14031
# - Dosovitskiy et al. 2021, *An Image is Worth 16x16 Words*, ICLR, arXiv:2010.11929
# - Griffin, Lim 1984, *Signal estimation from modified short-time Fourier transform*, IEEE Trans. ASSP 32(2), doi:10.1109/TASSP.1984.1164317
#
# ## The record

# %%
path = run.record({"loss": end, "loss_start": start, "ratios": ratios.T.to_dict(),
                   "baselines": comparison.T.to_dict(), "three": scores},
                  samples_seen=recipe.clips + 2 * more.clips + whole.clips,
                  reused=pretrained.reused,
                  verdict="no verdict: one seed",
                  recipes={"arch": arch, "pretrain": recipe, "continued": more,
                           "wildlife_only": whole},
                  held_out={pool: len(x) for pool, x in fixed_specs.items()})
