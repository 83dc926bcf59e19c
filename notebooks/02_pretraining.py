# %% [markdown]
# # 02 · Pretraining: a masked autoencoder from ten lines of attention up
#
# | you are | read | minutes |
# |---|---|---|
# | a biologist who has never programmed | the question to Figure 2, the four words after it, the first paragraph of *A training loop of your own*, Figure 5, *The other target* up to the next prediction, Figures 7 to 9 with the text between them, *Better than what?*, the studio, the summary, the quiz; pass over all code and equations | 11 |
# | a programmer | all of it; the part on a frozen decoder is optional | 20 |
#
# **Time**: `tiny`, the size for a laptop, 10 minutes of one core of an AMD EPYC for four models, by the sheet below,
# and 3 for all else with a loop of your own; opened again it loads the four · `smoke` half a minute · `small` not
# measured · `paper` three times the pretraining of 05 (the main model and three variants; the paper gives 24 h on an
# A100 for one).
#
# You will
# 1. **look and listen** to what a trained model guesses, and say what such a guess is worth,
# 2. **build** attention in ten lines, the encoder in five and the decoder in six,
# 3. **train** with a loop of your own, and then with the library's,
# 4. **read** a reconstruction: what was borrowed, what was pasted, what was guessed,
# 5. **compare** it with guesses that need no network, on calls and on background.

# %% [markdown] tags=["slide"]
# ## The question
#
# A recorder has hung in a forest for a month. Somebody has labelled two hundred calls; nobody will ever listen to the
# rest. Can a network learn anything about calls from all those hours *without* a label?
#
# Hide four fifths of a spectrogram and let the network guess them. The sound itself is the answer key. Liu et al. 2026
# (section 3) do this to animal recordings, Niizumi et al. 2022 to everything that is on YouTube.

# %% [markdown] tags=["fragment"]
# > **Predict before you read on.** A field recording is wind and hiss with a call here and there. After training,
# > which will the network guess better: the calls, or the background between them? Write down one reason for each
# > answer.

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
pd.DataFrame([{"pool": name, "recordings": len(table),
               "to train on": (table["split"] == "train").sum(),
               "hours": round(table["duration_s"].sum() / 3600, 2)}
              for name, table in pools.items()]).set_index("pool")

# %% [markdown]
# Both pools are `chorus`, this project's synthetic sound world (notebook 00): its calls are simpler and its noise is
# cleaner than a forest's. Its use here is that the true box of every call is known.
# (How much sound others learn from: the table of 00, section 11.)
#
# ## First, a model that is trained already
#
# A small one lies in this repository. Recordings to show it: per group of animals the held-out one whose calls fill
# most of its first three seconds, and two general sounds. *Held out*: no model here trains on these.

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

# %% tags=["slide"]
pixels, card = starts.load_ready(pixels=True)
pixels.requires_grad_(False)  # it is trained: nothing here changes it
patch, grid = pixels.arch.patch, pixels.grid  # 16 frames x 16 mel bins; 32 columns of 8 rows
print(f"{sum(p.numel() for p in pixels.parameters()) / 1e6:.1f} M numbers; {card.trained_on}")

mask = patches.random_mask(len(specs), grid, mask_ratio, training.generator(seed, 3))
rows = [len(specs) - 2, 0]  # a general sound, a wild one
figure = plots.reconstruction(pixels, specs[rows], patches.Mask(*(view[rows] for view in mask)),
                              front, [names[i] for i in rows])
if setting.name != "smoke":
    plots.save(figure, "02_reconstruction")

# %% [markdown] tags=["fragment"]
# *Figure 1. Two recordings that the model has never met: the spectrogram, the fifth of it that the model is shown, its
# guess with the shown patches pasted in, and the error.* **See:** it saw slivers of three knocks and drew them from
# the lowest pitch to the highest; of the knock at 2.0 s nothing was visible, and it draws none. The bird's steady
# notes go on as bands; the short sliding ones are gone. **Ask:** what must it know about knocks?

# %% [markdown]
# Nothing in the guess is borrowed from the hidden truth: level, slope and lines are the model's own. Listen to it. A
# spectrogram has lost the phases of its sound, and turning it back (Griffin-Lim, notebook 01) costs something by
# itself; that is the second player.

# %% tags=["subslide"]
knock = rows[0]
wave = audio.read(examples["file"].iloc[knock], rate=front.rate, duration_s=3.0)
picture = pixels.picture(specs, pixels.decode(pixels.encode(specs, mask), mask), mask)
display(plots.sound(wave, front.rate, title=f"{names[knock]}, as recorded"),
        plots.sound(mel.to_wave(specs[knock, 0], front), front.rate,
                    title="its spectrogram turned back into sound, nothing hidden"),
        plots.sound(mel.to_wave(picture[knock, 0], front), front.rate,
                    title=f"the guess turned into sound: {mask_ratio:.0%} of it was hidden"))

# %% [markdown]
# ### What is such a guess worth?
#
# A picture persuades; a number needs something to compare with. Four guesses of a hidden patch that need no network:
#
# - **mean**: one value, the mean of all that is visible in the clip;
# - **nearest**: a copy of the nearest visible patch;
# - **row here**: the average of the visible patches in the same mel row of this clip (about six);
# - **row elsewhere**: the average patch of that mel row in 150 training recordings; it knows the usual noise and
#   nothing of this clip.
#
# > **Predict.** Put the four and the network in order, best first.

# %% tags=["predict"]
best_first = None  # a list of "network", "mean", "nearest", "row here" and "row elsewhere"

# %%
def nearest_visible(target, mask):
    places = torch.cartesian_prod(torch.arange(grid.t), torch.arange(grid.f)).float()  # (L, 2)
    which = torch.cdist(places.expand(len(target), -1, -1), places[mask.keep]).argmin(2)  # (N, L)
    return target.gather(1, mask.keep.gather(1, which)[..., None].expand_as(target))


def row_here(target, mask):
    visible = (~mask.hidden).unflatten(1, grid)[..., None]  # (N, t, f, 1)
    total = (target.unflatten(1, grid) * visible).sum(1, keepdim=True)  # (N, 1, f, P)
    mean = total / visible.sum(1, keepdim=True).clamp(min=1)  # (N, 1, f, P)
    return mean.expand(-1, grid.t, -1, -1).flatten(1, 2)


def mean_here(target, mask):
    visible = (~mask.hidden)[..., None]  # (N, L, 1)
    mean = (target * visible).mean((1, 2)) / visible.float().mean((1, 2))  # (N,)
    return mean[:, None, None].expand_as(target)


def row_elsewhere(model, target):
    usual = model.target(train).unflatten(1, grid).mean((0, 1))  # (f, P)
    return usual.expand(len(target), grid.t, -1, -1).flatten(1, 2)

# %% [markdown]
# They are measured on the hidden patches of every held-out recording, with the same masks for all, in three places:
# everywhere, on patches of which the box of a labelled call covers at least a quarter, and on patches outside all such
# boxes. (So unlabelled animals, in half of the recordings, count as background.)

# %%
def call_share(file):
    """The share of each patch of the first window that lies in the box of a labelled call: (L,)."""
    canvas, centres = torch.zeros(1, 1, front.frames, front.mels), mel.centres(front)
    for event in calls[calls["file"] == file].itertuples():
        rows = (centres >= event.low_hz) & (centres <= event.high_hz)
        begin, end = round(event.start_s / front.hop_s), round(event.end_s / front.hop_s)
        canvas[0, 0, begin:end, rows] = 1
    return patches.patchify(canvas, patch)[0].mean(-1)


def guessed(specs, mask):
    """Hidden patches that hold any sound, (N, L): the padding behind a short recording is no
    achievement."""
    return mask.hidden & (patches.patchify(specs, patch).var(-1) > 0)


fixed_specs = {"wildlife": first_window(wild["file"]), "general": first_window(world["file"])}
train = first_window(pools["wildlife"].query("split == 'train'")["file"].head(150))
drawn = patches.random_mask(len(wild), grid, mask_ratio, training.generator(7))
hidden = guessed(fixed_specs["wildlife"], drawn)
share = torch.stack([call_share(file) for file in wild["file"]])  # (N, L)
regions = {"all": hidden, "on calls": hidden & (share >= 0.25),
           "background": hidden & (share == 0)} if synthetic else {"all": hidden}
print({name: f"{int(where.sum()):,} hidden patches" for name, where in regions.items()})

# %% tags=["slide"]
@torch.no_grad()
def errors(model, specs, mask):
    """The squared error of every patch in the model's target units, hidden or not: (N, L)."""
    found = []
    for x, *part in zip(specs.split(32), *(view.split(32) for view in mask)):
        some = patches.Mask(*part)
        found.append(model.patch_errors(x, model.decode(model.encode(x, some), some)))
    return torch.cat(found)


def against_guesses(model):
    """Errors (N, L) of a model and of the four guesses on held-out wildlife, in its units."""
    x = fixed_specs["wildlife"]
    target = model.target(x)  # (N, L, P)
    guesses = {"row here": row_here(target, drawn), "row elsewhere": row_elsewhere(model, target),
               "mean": mean_here(target, drawn), "nearest": nearest_visible(target, drawn)}
    return {"network": errors(model, x, drawn)} | {name: (guess - target).square().mean(-1)
                                                   for name, guess in guesses.items()}


def in_regions(squared):
    return pd.DataFrame({name: {place: float(e[where].mean()) for place, where in regions.items()}
                         for name, e in squared.items()}).T


per_patch = against_guesses(pixels)
worth = in_regions(per_patch)
plots.table(worth).format("{:.3f}")

# %%
exercises.predicted("best first", best_first, worth["all"].sort_values().index.tolist())
lead = per_patch["row here"] - per_patch["network"]
total = lead[hidden].sum()
print("the network's lead over the row lies", {place: f"{float(lead[where].sum() / total):.0%}"
                                               for place, where in regions.items()})

# %% [markdown]
# **See** (`tiny`, `chorus`, one seed: no verdict): the errors are in the squared units of the spectrogram, as in 01.
# The usual noise of elsewhere (0.562) is worse than one value for this clip (0.272), since every recording has its own
# level. The one strong guess is the row of *this* clip, 0.130, and the network has 0.089: a third less. (The
# root times 17.86 is decibels: the network misses by 5 dB, on calls by 9; the row by 6 and 10.) Three quarters
# of that lead, too, is won on background patches: there are eight times as many. Most of what the model guesses well is
# the noise floor, the steady background of this recording. **Your first prediction**, first answer: the background is
# guessed better, by far, 0.069 against 0.232 on calls. In these units a loud patch has more to get wrong; a second
# answer follows below.
#
# ## The whole machine, before its parts

# %%
def box(ax, x, y, width, height, text, colour):
    ax.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="0.3"))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=11)


def tokens(ax, x, colours):
    for i, colour in enumerate(colours):
        low = 1.41 + 0.2 * (i - len(colours) / 2)
        ax.add_patch(Rectangle((x, low), 0.16, 0.16, facecolor=colour, edgecolor="0.3"))


def picture(ax, x, spec):
    shown = plt.get_cmap("magma").with_extremes(bad=plots.HIDDEN)
    ax.imshow(spec[0, 0].T, origin="lower", aspect="auto", cmap=shown,
              extent=(x, x + 1.5, 0.7, 2.1), vmin=-1, vmax=2.5)

# %% tags=["slide"]
sketch = patches.random_mask(1, grid, mask_ratio, training.generator(seed))
shown = plots.masked(specs[:1], sketch, patch)
answer = torch.where(shown.isnan(), specs[:1], torch.nan)
figure, ax = plt.subplots(figsize=(11, 3.4))
picture(ax, 0, specs[:1])
picture(ax, 2.0, shown)
tokens(ax, 3.85, ["C0"] * 3)
box(ax, 4.4, 0.75, 1.3, 1.3, "ENCODER\nsees only\nvisible patches", "#cfe0f3")
tokens(ax, 6.05, ["C0", "0.85", "0.85", "C0", "0.85", "0.85", "C0"])
box(ax, 6.6, 0.95, 1.15, 0.9, "DECODER\nsees all\nplaces", "#fde3cc")
tokens(ax, 8.1, ["0.85", "C1", "C1", "0.85", "C1", "C1", "0.85"])
picture(ax, 8.7, answer)
box(ax, 4.4, -0.35, 1.3, 0.4, "kept: 03 to 06", "#cfe0f3")
box(ax, 6.6, -0.35, 1.15, 0.4, "thrown away", "white")
for x, text in ((0, "log-mel 512 x 128"), (2.0, f"16 x 16 patches,\n{mask_ratio:.0%} hidden"),
                (3.6, "visible\ntokens"), (5.7, "latents +\nmask tokens"),
                (7.9, "guesses"), (8.7, "truth: loss on\nhidden patches only")):
    ax.text(x, 0.62, text, va="top", fontsize=11)
for x in (1.55, 3.55, 4.08, 5.75, 6.28, 7.8, 8.33):
    ax.annotate("", (x + 0.27, 1.4), (x, 1.4), arrowprops=dict(arrowstyle="-|>", color="0.3"))
for x in (5.05, 7.17):
    ax.annotate("", (x, 0.05), (x, 0.75 if x < 6 else 0.95),
                arrowprops=dict(arrowstyle="-|>", color="0.3"))
ax.set(xlim=(-0.1, 10.3), ylim=(-0.4, 2.2))
ax.axis("off")
if setting.name != "smoke":
    plots.save(figure, "mae_overview")

# %% [markdown] tags=["fragment"]
# *Figure 2. The masked autoencoder, our drawing after the overview figures of both papers.* **See:** the encoder is
# large but gets a fifth of the patches; the decoder gets all places but is small and is thrown away. Grey is what is
# hidden as far as the decoder, and after it what was visible and does not count. The encoder goes on to the species
# classifier (03 to 06).

# %% [markdown]
# Four words for what flows through it:
#
# - a **token** is a list of numbers that stands for one patch while it is worked on;
# - a **latent** is the token that the encoder hands out at the end: its description of that patch among the others;
# - the **class token** is one token more, which belongs to no patch and takes part in everything; the classifier of 04
#   may read it as the clip's summary;
# - the **mask token** is one learned list of numbers that the decoder puts wherever a patch is missing.
#
# ## Attention, on six patches
#
# Encoder and decoder are *transformers*: stacks of blocks, and in each block every token may take something over from
# every other. How it chooses from whom is **attention**. Three learned matrices make three lists of each token: what
# it looks for (the *query* $q$), what it offers to be found by (the *key* $k$), and what it gives (the *value* $v$).
# Where the query of one fits the key of another, their product is large. *Softmax* turns the products of one token
# with all into shares that add up to 1, and the token receives the values in these shares:
#
# $$ w_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt{d})}{\sum_m \exp(q_i \cdot k_m / \sqrt{d})}, \qquad \text{received}_i = \sum_j w_{ij}\, v_j \tag{1} $$
#
# Here on six patches of the bird above, with the first block of the trained encoder. It has two *heads*, which do this
# side by side with $d$ = 64 numbers each; this is the second.

# %% tags=["slide", "code"]
six = [(8, 3), (16, 3), (4, 4), (10, 4), (8, 6), (16, 0)]  # time column and mel row of each
place = [t * grid.f + f for t, f in six]
block = pixels.encoder.blocks[0]
x = pixels.encoder.patch_embed(specs[:1]) + pixels.encoder.pos_embed[:, 1:]  # (1, L, D)  tokens
x = block.norm1(x[0, place])  # (6, D)  six of them, each at a common scale
q, k, v = block.attn.qkv(x).chunk(3, dim=-1)  # (6, D) each
q, k, v = (part[:, -64:] for part in (q, k, v))  # (6, 64) each: the second head
score = q @ k.T / 64**0.5  # (6, 6)  how well what i looks for fits what j offers
weight = score.exp() / score.exp().sum(1, keepdim=True)  # (6, 6)  softmax: each row adds up to 1
received = weight @ v  # (6, 64)  what each takes over from all

# %% [markdown]
# **Checkpoint.** These lines are torch's own attention.

# %%
theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v)
assert torch.allclose(received, theirs, atol=1e-5)
assert torch.allclose(weight.sum(1), torch.ones(6))

# %% tags=["slide"]
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), width_ratios=(1.3, 1))
plots.spec(left, specs[0], front, f"{names[0]}: six of its 256 patches")
wide, high = patch[0] * front.hop_s, patch[1]
for n, (t, f) in enumerate(six, 1):
    left.add_patch(Rectangle((t * wide, f * high), wide, high, fill=False, edgecolor="w", lw=2))
    left.text((t + 1.3) * wide, (f + 0.5) * high, str(n), color="w", fontsize=13, va="center",
              weight="bold", bbox=dict(facecolor="k", alpha=0.5, edgecolor="none", pad=1.5))
right.imshow(weight, cmap="viridis", vmin=0, vmax=1)
for i, j in np.ndindex(6, 6):
    right.text(j, i, f"{weight[i, j]:.2f}", ha="center", va="center", fontsize=11,
               color="k" if weight[i, j] > 0.6 else "w")
right.set(xticks=range(6), xticklabels=range(1, 7), yticks=range(6), yticklabels=range(1, 7),
          xlabel="... from patch", ylabel="patch ... takes over", title="attention weights")
left.set_xlim(0, 20 * wide);

# %% [markdown] tags=["fragment"]
# *Figure 3. Six patches and how much each takes over from each.* **See:** patches 1 and 2 lie in one mel row and take
# nearly all from each other and themselves; 3 and 4, one row higher, take two thirds from their own row and most of
# the rest from the row below; 5 and 6 keep to themselves. Among these six the head looks along the row, where notebook
# 01 found the best neighbours; but patches of one row also look alike, and six patches do not tell the two apart.
# **Ask:** which weights would change most if patch 2 were moved to the row of patch 3?

# %% [markdown]
# What was received goes through one more matrix and is added to the token; then comes a small network of two layers on
# each token by itself. That is a block. What such weights show, and what they do not, is the subject of 10.
#
# ## The encoder in five lines
#
# $$ z = \mathrm{Norm}\big(\mathrm{Blocks}([\,c\,;\, (E x_i + p_i)_{i \in V}\,])\big) \tag{2} $$
#
# $x_i$ are the patches, $E$ one linear layer, $p_i$ a fixed code of the place, $V$ the visible patches, $c$ the class
# token; Norm brings every token to a common scale. The blocks are those of the stock vision transformer (ViT) of timm,
# a library of models for pictures.

# %%
arch = setting.arch(norm_pixels=norm_pixels)


def untrained():
    """A model to be trained by hand: a decoder of global attention, pixels as its target."""
    by_hand = dataclasses.replace(arch, decoder="plain", norm_pixels=False)
    return mae.MAE(by_hand, training.generator(seed))


model = untrained()
vit = model.encoder  # timm's
print(type(vit).__module__, type(vit).__name__, "|", grid, "|",
      f"{mask.keep.shape[1]} of {grid.t * grid.f} patches visible")

# %% tags=["slide", "code"]
def encode(vit, spec, mask):
    x = vit.patch_embed(spec) + vit.pos_embed[:, 1:]  # (B, L, D)   every patch, and where it is
    x = x.gather(1, mask.keep[..., None].expand(-1, -1, x.shape[-1]))  # (B, K, D)   those visible
    c = (vit.cls_token + vit.pos_embed[:, :1]).expand(len(x), -1, -1)  # (B, 1, D)
    x = vit.blocks(torch.cat([c, x], dim=1))  # (B, 1+K, D)
    return vit.norm(x)  # (B, 1+K, D)

# %%
with torch.no_grad():
    latent = encode(vit, specs, mask)
print(f"{specs[0].numel():,} pixels a clip -> {tuple(latent.shape[1:])} latent")

# %% [markdown]
# **Checkpoint.** Your five lines are the library's `encode`; and with nothing hidden they are timm's own forward pass. If this passes, go on.

# %%
everything = patches.mask_from_keep(torch.arange(grid.t * grid.f).expand(len(specs), -1),
                                    grid.t * grid.f)
with torch.no_grad():
    assert torch.allclose(encode(vit, specs, mask), model.encode(specs, mask), atol=1e-5)
    assert torch.equal(encode(vit, specs, everything), vit.forward_features(specs))

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
                        float((encode(vit, louder, mask) - latent).abs().max()))

# %% [markdown]
# <details><summary>Answer</summary>Not at all. Hidden patches are not zeroed or blurred, they are dropped before the
# first block, so the encoder cannot cheat.</details>
#
# That is also why an encoder at mask ratio 0.8 costs about a fifth of one that sees everything (01).
#
# ### Where is a patch?
#
# Attention knows no order: shuffle the tokens, and each still receives the same. So each place has a fixed code $p$ of
# sines and cosines, half of it for the mel row and half for the time, which is added to the token.

# %%
table = model.encoder.pos_embed[0, 1:]  # (L, D)
alike = torch.nn.functional.cosine_similarity(table[:, None], table[None], dim=-1)  # (L, L)
alike = alike.unflatten(1, grid)  # (L, t, f)
figure, axes = plt.subplots(1, 3, figsize=(11, 2.4), sharey=True)
for ax, (t, f) in zip(axes, ((3, 1), (16, 4), (28, 6))):
    image = ax.imshow(alike[t * grid.f + f].T, origin="lower", aspect="auto", cmap="viridis",
                      vmin=float(alike.min()), vmax=1)
    ax.plot(t, f, "wo", markerfacecolor="none")
    ax.set(xlabel="patch in time", title=f"the code of patch ({t}, {f})")
axes[0].set_ylabel("mel row")
figure.colorbar(image, ax=axes, label="cosine similarity");

# %% [markdown]
# *Figure 4. How similar the code of one place (circle) is to that of every other.* **See:** near is similar along both
# axes (1: the same direction, 0: unrelated), and the cross says that the two axes are coded apart. Nothing here is
# learned.
#
# ## The decoder in six lines
#
# The decoder gets the latents, puts the mask token wherever a patch is missing, adds places again, and guesses 256
# *pixels*, the values of the spectrogram in a patch.

# %%
def decode(model, latent, mask):
    x = model.decoder_embed(latent)  # (B, 1+K, d)
    blanks = model.mask_token.expand(len(x), int(mask.hidden[0].sum()), -1)  # (B, L-K, d)
    rest = torch.cat([x[:, 1:], blanks], dim=1)  # (B, L, d)   visible first, then blanks
    rest = rest.gather(1, mask.restore[..., None].expand_as(rest))  # (B, L, d)   back in place
    x = torch.cat([x[:, :1], rest], dim=1) + model.decoder_pos_embed  # (B, 1+L, d)
    return model.decoder_pred(model.decoder_norm(model.decoder_blocks(x)))[:, 1:]  # (B, L, pt*pf)


with torch.no_grad():
    guess = decode(model, latent, mask)
    assert torch.equal(guess, model.decode(latent, mask))
print(tuple(guess.shape))

# %% [markdown]
# This is the decoder with global attention, every token from every token. Liu et al. and AudioMAE use 16 blocks that
# attend within windows of 4 x 4 patches, every second one shifted by two patches along time (`mae.WindowBlock`; scale
# `paper`).
#
# ## The loss
#
# $$ \mathcal{L} = \frac{1}{|H|} \sum_{i \in H} \frac{1}{P} \lVert \hat{x}_i - x_i \rVert^2 \tag{3} $$
#
# over hidden patches $H$ only, $P = 256$ pixels each. Liu et al. print a *sum* over pixels; the public code they build
# on takes the *mean*, and so do we. Most papers, Liu et al. too, compare the guess not with the patch itself but with
# the patch in its own units, minus its mean $\mu_i$ and over its standard deviation $\sigma_i$, which comes below:
#
# $$ \tilde{x}_i = \frac{x_i - \mu_i}{\sqrt{\sigma_i^2 + 10^{-6}}} \tag{4} $$

# %%
def loss(spec, guess, mask, normalise=False):
    target = patches.patchify(spec, arch.patch)[mask.hidden]  # (B*(L-K), P)
    if normalise:
        mean, var = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
        target = (target - mean) / (var + 1e-6).sqrt()
    return (guess[mask.hidden] - target).square().mean()


for which in (False, True):
    assert torch.isclose(loss(specs, guess, mask, which), model.loss(specs, guess, mask, which))

# %% [markdown]
# ## A training loop of your own
#
# A network is a million adjustable numbers, its **weights**, random at first. (The attention weights above are shares,
# and computed.) The **gradient** says of each whether raising it a little would raise the loss or lower it, and how
# much. A **step** moves all of them a little downhill; training is many steps.
#
# All pieces are there: `encode`, `decode` and `loss` are yours. What is left is to draw clips and masks, to ask for
# the gradient, and to step: AdamW is the usual rule for how far each number goes (besides, it pulls each a little
# towards 0, the *weight decay*; here torch's default). Nothing below is the library's but the front end, the mask, and
# the layers that hold the weights.

# %% tags=["slide", "code"]
files = pd.concat([table[(table["split"] == "train") & (table["duration_s"] > 0)].head(200)
                   for table in pools.values()])["file"]
clips = first_window(files)  # (400, 1, T, M), half wildlife, half general
generator = training.generator(seed, 9)


def draw(batch=32):
    """Some clips (B, 1, T, M), and a new mask for each."""
    some = clips[torch.randint(len(clips), (batch,), generator=generator)]
    return some, patches.random_mask(batch, grid, mask_ratio, generator)


def train_by_hand(model, draw, steps, lr, normalise=False):
    """Train a model for some steps on what `draw` draws; returns the loss of each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
    losses = []
    for step in range(steps):
        spec, mask = draw()  # load
        guess = decode(model, encode(model.encoder, spec, mask), mask)  # guess
        value = loss(spec, guess, mask, normalise)  # compare
        value.backward()  # which way down
        optimizer.step()  # one step there
        optimizer.zero_grad()
        losses.append(value.item())
    return losses

# %%
def guess_of(model, spec, mask):
    """What a model guesses now, with the visible patches pasted: (B, 1, T, M)."""
    with torch.no_grad():
        guess = decode(model, encode(model.encoder, spec, mask), mask)
        return model.picture(spec, guess, mask)


steps = 10 if setting.name == "smoke" else 200
only = patches.Mask(*(view[knock : knock + 1] for view in mask))
before = guess_of(model, specs[knock : knock + 1], only)
losses = train_by_hand(model, draw, steps, lr=1e-3)
after = guess_of(model, specs[knock : knock + 1], only)
mine = model.eval()
print(f"{32 * steps:,} clips; loss {losses[0]:.2f} -> {np.mean(losses[-20:]):.2f} (last 20 steps)")

# %% tags=["slide"]
figure = plt.figure(figsize=(11, 5))
axes = figure.subplot_mosaic("LLLL;IMBA", height_ratios=(1, 1.1))
axes["L"].plot(losses)
axes["L"].set(xlabel="step", ylabel="loss", ylim=(0, None), title="your loop")
limits = tuple(np.quantile(specs[knock], [0.01, 0.998]))
shown = {"I": (specs[knock], names[knock]), "B": (before, "before training"),
         "M": (plots.masked(specs[knock : knock + 1], only, patch), "visible"),
         "A": (after, f"after {steps} steps")}
for name, (x, title) in shown.items():
    plots.spec(axes[name], x, front, title, limits)
    axes[name].set_ylabel("frequency (kHz)" if name == "I" else "")

# %% [markdown] tags=["fragment"]
# *Figure 5. The loss of your loop, and the guess for one held-out recording before and after.* **See:** before training
# the guess is noise; after a minute it is nearly one level everywhere, too loud between 1 and 5 kHz, where
# the pasted patches stand out dark. The knocks are not there (the bright
# slivers are the visible patches, pasted): Figure 1's model has seen a hundred times as many clips.

# %%
drawn_errors = errors(mine, fixed_specs["wildlife"], drawn)
plots.table(pd.concat([in_regions({"your loop": drawn_errors}),
                       worth.loc[["mean", "row here", "network"]]])).format("{:.3f}")

# %% [markdown]
# On held-out wildlife a minute of training ends between the mean of the clip and the average of the row; the ready
# model ("network") goes beyond both. (The loop's last steps had a loss of about 0.33 on both pools; everyday sound is
# louder and harder to guess in these units, as it was to copy in 01.)
#
# What the library adds to your loop (`lib/training.py`): a learning rate that rises and falls by a schedule, a smaller
# weight decay that leaves biases, norms, tokens and places alone, mixed precision (products in 16 bits where the
# processor is fast at it), saved states from which a stopped run goes on, the exact mixture of two pools, and several
# processes. The lines load, guess, compare, backward, step are the same.
#
# ## The other target
#
# He et al. 2022 found that a MAE gives better features if each target patch is in its own units (equation 4). Liu et
# al. train so, and so does the rest of this notebook.

# %%
raw, normalised = (patches.unpatchify(model.target(specs[:1], which), grid, arch.patch)
                   for which in (False, True))
figure, axes = plt.subplots(1, 2, figsize=(9, 2.5), sharey=True)
plots.spec(axes[0], raw, front, f"{names[0]}: raw target")
plots.spec(axes[1], normalised, front, "the same, every patch normalised")
axes[1].set_ylabel("");

# %% [markdown]
# *Figure 6. The two targets.* **See:** normalising takes each patch's level away and blows up what is inside it: a
# patch of faint hiss now counts as much as one with a call.

# %% [markdown]
# A normalised patch has mean 0 and variance 1, so a network that has learned **nothing but to draw a flat patch** has
# a loss of 1.0 (255/256, to be exact). Everything below 1.0 is structure inside patches that was guessed from the
# surroundings: 0.9 means that a tenth of the variance is explained.
#
# > **Predict.** Your loop, now on two clips only and with the *same* mask at every step: the loss falls well below 1.
# > Then the same clips with *another* mask: is the loss as low, in between, or about 1?

# %% tags=["predict"]
another = None  # the loss on the same two clips with another mask

# %%
few = clips[:2]
fixed = patches.random_mask(len(few), grid, mask_ratio, training.generator(seed, 1))
fresh = patches.random_mask(len(few), grid, mask_ratio, training.generator(seed, 2))
by_heart = untrained()
losses = train_by_hand(by_heart, lambda: (few, fixed), 10 if setting.name == "smoke" else 400,
                       lr=4e-3, normalise=True)
with torch.no_grad():
    guess = decode(by_heart, encode(by_heart.encoder, few, fresh), fresh)
    other = float(loss(few, guess, fresh, normalise=True))
print(f"the mask it trained on: {losses[0]:.2f} -> {losses[-1]:.2f}")
exercises.predicted("loss with another mask", another, round(other, 2), within=(0.95, 1.05))
assert losses[-1] < losses[0]

# %% [markdown]
# <details><summary>Answer</summary>About 1, although four fifths of these patches were hidden before too: the network does
# not even know *them* by heart. It has learned what to answer to two particular sets of visible patches, and nothing
# about sound.</details>
#
# So in real training every clip comes with a new crop and a new mask each time, and what counts is measured on
# recordings it has never met.
#
# ## Pretraining with the library

# %%
recipe = pretrain.Recipe(clips=setting.pretrain_clips, batch=setting.batch, lr=setting.lr,
                         mask_ratio=mask_ratio, ratio=1, seed=seed)
print(pretrain.plan(arch, recipe, *pools.values()))

# %% [markdown]
# What that takes on this machine: a run longer than `max_hours` is refused here, before it begins. Besides the main
# model three variants are trained for the end of this notebook.

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
# Half the clips are wildlife, half general (what the ratio does is notebook 05). What an earlier run left is loaded.

# %%
def score(model, ratio=mask_ratio):
    """The loss on the hidden patches of the held-out clips, per pool."""
    masks = {pool: patches.random_mask(len(x), grid, ratio, training.generator(7))
             for pool, x in fixed_specs.items()}
    return {pool: float(errors(model, x, masks[pool])[guessed(x, masks[pool])].mean())
            for pool, x in fixed_specs.items()}


start = score(mae.MAE(arch, training.generator(seed)).eval())

# %%
pretrained = pretrain.pretrain(arch, front, recipe, *pools.values(), workers=setting.workers,
                               reuse=True)
model = pretrained.model.cpu().eval()
end = score(model)
print("loaded from an earlier run" if pretrained.reused else "trained now")
print(f"held-out loss: wildlife {start['wildlife']:.3f} -> {end['wildlife']:.3f}, "
      f"general {start['general']:.3f} -> {end['general']:.3f}")

# %% tags=["slide"]
figure, ax = plt.subplots(figsize=(8, 3.2))
plots.curve(ax, pretrained.log, "training, both pools (mean of 20 steps)", smooth=20)
for i, (pool, value) in enumerate(end.items()):
    ax.plot([0, recipe.clips], [start[pool], value], "o", color=f"C{i + 1}",
            label=f"held-out {pool}, before and after")
ax.axhline(1, color="0.6", linestyle="--", label="guessing each patch's mean")
ax.legend();

# %% [markdown] tags=["fragment"]
# *Figure 7. The loss of the library's run against clips seen, in other units than Figure 5's: each patch minus its own
# mean, over its own spread.* **See:** an untrained network makes noise and pays
# 1.386; in the first 2,000 clips it learns to draw flat patches (1.0). Everything of interest happens below that line,
# slowly: 0.889 (wildlife) and 0.853 (general) on held-out clips at the end.

# %% [markdown]
# The training loss ends between the two held-out ones, so no gap between known and unknown clips is to be seen.
# In these units general sound is easier to guess, on pixels it was harder: loudness no longer counts, and perhaps more
# of it goes on unchanged for the whole clip.
#
# ## Reconstructions, and what is borrowed in them
#
# This model guesses the *inside* of each patch. To draw it, every hidden patch **borrows its level and spread from the
# truth**, two numbers of the answer, and visible patches are pasted.

# %% tags=["slide"]
plots.reconstruction(model, specs[knock : knock + 1], only, front, [names[knock]]);

# %% [markdown] tags=["fragment"]
# *Figure 8. The knocks by the library's model, level and spread of every hidden patch borrowed.* **See:** every knock
# is in its place, even the one at 2.0 s of which nothing was visible: the borrowed levels draw it. That is no guess.

# %% [markdown]
# Now the bird, and what was lent is taken away, one thing after the other.

# %% tags=["slide"]
one = patches.Mask(*(view[:1] for view in mask))
with torch.no_grad():
    guess = model.decode(model.encode(specs[:1], one), one)
# as if all had been hidden
unpasted = model.picture(specs[:1], guess, one._replace(hidden=torch.ones_like(one.hidden)))
panels = {"input": specs[:1], "pasted, level borrowed": model.picture(specs[:1], guess, one),
          "not pasted": unpasted,
          "not borrowed either": patches.unpatchify(guess, grid, arch.patch)}
figure, axes = plt.subplots(1, 4, figsize=(11, 2.5), sharey=True)
for ax, (title, x) in zip(axes, panels.items()):
    plots.spec(ax, x, front, title)
    ax.label_outer()

# %% [markdown] tags=["fragment"]
# *Figure 9. One recording, and its reconstruction undressed.* **See:** second, some patches are lighter where notes
# are; inside a guessed patch there is a smooth ramp, hardly ever the thin line of a note. Third, without pasting, the
# visible patches come out as noise. Right, without borrowing, the guess itself: a pattern of stripes for every mel row,
# almost the same at all times. What shows of the calls in the second picture is in the levels that were borrowed. A
# picture of
# a normalised-target MAE shows the *shape* it guessed, never the level.

# %%
squared = against_guesses(model)
error = squared["network"]
print(f"held-out wildlife, mean squared error: hidden patches {error[hidden].mean():.3f}, "
      f"visible patches {error[~drawn.hidden].mean():.3f}")

# %% [markdown]
# The loss never asks for visible patches, so nothing keeps the decoder from making noise there (1.251, worse than a
# flat patch).
#
# ### More and less hidden, longer trained

# %%
ratios = pd.DataFrame({f"{ratio:.0%} hidden": score(model, ratio) for ratio in (0.5, 0.8, 0.95)}).T
stored, card = starts.load_ready()
longer = {f"ready weights, {mask_ratio:.0%} hidden": score(stored)} if norm_pixels else {}
plots.table(pd.concat([ratios, pd.DataFrame(longer).T])).format("{:.3f}")

# %% [markdown]
# Between 50 % and 80 % hidden the loss hardly changes (0.883 and 0.889 on wildlife), at 95 % it does (0.928): two and a
# half times as many neighbours add almost nothing. Either little of a neighbour's inside is of use, or a model trained
# on 51 tokens cannot use 128; this does not tell the two apart. The ready weights (`starts.load_ready()`: the same
# shape, 27 times as many clips, seven times as much general sound as wildlife) reach 0.864 on wildlife and 0.679 on
# general sound; which of the two changes helped, this does not say.
#
# ## Better than what?
#
# The guesses without a network once more, now for the normalised target, where a flat patch is 1.

# %% tags=["slide"]
comparison = in_regions(squared)
plots.table(comparison).format("{:.3f}")

# %% [markdown] tags=["fragment"]
# **See** (`tiny`, `chorus`, one seed: no verdict): a copy of the nearest patch is the worst by far, 1.818: two patches
# of hiss have nothing to do with each other, so their variances add up. If a MAE were compared with copying only, it
# would look like magic. **Your first prediction**, second answer: in each patch's own units calls are guessed a little
# better, 0.867 against 0.892; the difference above was made by loudness. (The network is another one, but the row of
# this clip turns round too: 0.324 against 0.104 above, 0.973 against 1.046 here.) The *best* guess without a network
# has 0.973 on calls (row here) and 0.952 on background (row elsewhere), so in these units the network gains nearly
# twice as much on calls.

# %% [markdown]
# Which mel rows is it in?

# %%
rows = torch.arange(grid.t * grid.f) % grid.f  # (L,) the mel row of each patch
low = mel.centres(front)[:: arch.patch[1]] / 1000  # kHz at the lower edge of each row
figure, ax = plt.subplots(figsize=(9, 3.3))
for (place, where), colour in zip(list(regions.items())[1:] or regions.items(), ("C1", "C0")):
    for name, style in (("network", "o-"), ("row elsewhere", "o:")):
        ax.plot([float(squared[name][where & (rows == f)].mean()) for f in range(grid.f)],
                style, color=colour, label=f"{name}, {place}")
ax.axhline(1, color="0.6", linewidth=0.8)
ax.set_xticks(range(grid.f), [f"from\n{khz:.1f} kHz" for khz in low])
ax.set(xlabel="mel row", ylabel="squared error", ylim=(0.55, None))
ax.legend(loc="lower right", ncols=2);

# %% [markdown]
# *Figure 10. The error of the network (solid) and of the row's usual patch (dotted), per mel row.* **See:** on
# background most of what can be guessed lies in the lowest rows, where wind falls off steeply and every patch has the
# same slope; from 1.4 to 5.2 kHz hiss is hiss. On calls the network is below 1 in every row.
#
# ## Optional: a frozen decoder, and wildlife only
#
# Liu et al. (Table 3, right) show reconstructions of three models: (a) pretrained on general sound and continued on
# animals, (b) trained on animals only, (c) as (a) with the **decoder frozen** while it continues. Here the same three
# at a small budget: (a) and (c) continue on wildlife from the mixed model above, (b) starts from random weights and
# sees as many clips as the other two in all.
#
# > **Predict.** With the decoder frozen only the encoder can adapt. Will (c) be clearly worse on wildlife than (a)?

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

# %% [markdown]
# **See:** 6,000 more wildlife clips bring the loss on wildlife from 0.889 to 0.886 with all weights free and to 0.887
# with the decoder frozen: not clearly worse. Differences in the third decimal from one seed do not say whether (c) is
# closer to (a) or to where it started. (b) ends on wildlife behind where those two began (0.897) and is worse on
# general sound (0.915), which it never met. Liu et al. show pictures of the three and no numbers.
#
# ## Explore: the reconstruction studio
#
# Choose a recording or bring your own, choose a model and a mask, hide or show single patches, and listen. On GitHub
# only this still picture shows; run the notebook to move it, or `python -m lib.explorers.studio` for the studio alone.

# %%
models = {"ready, level guessed": (pixels, front), "ready, level borrowed": (stored, card.front),
          "trained here": (model, front),
          "untrained": (mae.MAE(arch, training.generator(seed)), front)}
sounds = {f"{i + 1}. {row.label}":
          base.Sound(audio.read(row.file, rate=front.rate, duration_s=3.0), front.rate,
                     calls[calls["file"] == row.file] if synthetic else None)
          for i, row in enumerate(examples.itertuples())}
explorer = reconstruction.Reconstruction(models, sounds)
view = explorer.update(recording=list(sounds)[1], model="ready, level guessed",
                       kind="time columns", ratio=0.5, seed=1)
print(view.text)
Image(view.image)

# %% [markdown]
# *Figure 11. What the studio shows: input (true calls framed where they are known), visible patches, reconstruction,
# error.* The sentence above it comes with every picture. Its second number draws each hidden patch flat at its *true*
# mean, which no honest guess knows; with half of the columns hidden the model does not reach it. And here it is:

# %%
explorer

# %% [markdown]
# *The studio.* Keys: Tab moves between the controls, arrows change a value, the space bar presses a button; on the
# patch grid the arrows move the frame and the space bar hides or shows the patch. What to try:
#
# - *time columns* against *mel rows* at the same ratio: which one breaks a call, and which one breaks a pulse train?
# - Hide every patch of one call by hand. Does it come back, and from what?
# - *level guessed* against *level borrowed*, on the same mask: which picture looks better, and which one is honest?
# - Upload a recording of yours, or whistle into the microphone. No model here has heard anything but `chorus`: where
#   does it fail first?
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

# %% [markdown]
# Liu et al. give no loss and no error for their reconstructions; what pretraining is *for* is accuracy, where they
# report 10.4 points of top-1 (the share of recordings whose first answer is right) between random weights and their own
# wildlife MAE (Table 3; 04 and 05).
#
# What was seen here, at `tiny` on `chorus` with one seed, **no verdict**:
#
# - attention is a weighted sum whose weights are found by comparing; a masked autoencoder is a stock transformer that
#   is given a fifth of its tokens, and a small decoder that is given blanks for the rest;
# - a model that guesses the level itself has a third less error than the average of the row,
#   three quarters of that on background patches;
# - with a normalised target a loss of 1 is a flat patch; after 24,000 clips held-out wildlife is at 0.889, the best
#   of the four guesses at 0.959: a loss needs a baseline;
# - a picture with pasted patches and borrowed levels looks far better than the guess.
#
# ## Exercises
#
# Fill in the function, run the cell: the last line tries it on a toy of your machine's making and says whether it is
# right, or what to look at.

# %%
from lib.course import exercises_02 as check

# %% [markdown]
# ### 1 · The loss, on hidden patches only
#
# Equation (3) when the target is already normalised. Several wrong versions train without an error message.

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
# The network guesses normalised patches. Make what Figure 8 shows: visible patches pasted, hidden ones guessed at the level and
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
# With a guess of 0 everywhere (`pasted(x, 0 * guess, hidden)`) the call is still there as a mosaic: so much of Figures 8 and 9 is borrowed.
# </details>
#
# ### 3 · One step of training
#
# The lines of your loop, as a function of its own, for any model that returns its loss.

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
# ### 5 · Beat the row
#
# On pixels the average of the row in this clip is the best of the four guesses without a network: 0.130, and 0.324 on
# calls. The network has 0.089 and 0.232. How far do you get without one? You may use all that is visible in a clip: a
# knock is loud in all rows at one moment, a steady note goes on.

# %% tags=["exercise"]
def my_guess(x, grid):
    """Guesses (B, L, P) for all patches x (B, L, P), time-major in grid = (t, f). Hidden patches
    of x are NaN; the visible ones are yours to use (torch.nanmean leaves NaN out)."""
    return None


check.my_guess(my_guess)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_guess(x, grid):
#     x = x.unflatten(1, grid)  # (B, t, f, P)
#     clip = x.nanmean((1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
#     row = x.nanmean(1, keepdim=True)  # (B, 1, f, P)
#     row = torch.where(row.isnan(), clip, row)
#     beyond = (x - row).nanmean((2, 3), keepdim=True).nan_to_num()  # (B, t, 1, 1)
#     return (row + 0.5 * beyond).flatten(1, 2)
# ```
# The row, and half of what this moment has beyond its rows: half, because one or two visible patches say little about
# a moment. It has 0.124, and 0.301 on calls; with each row's pattern averaged over its 16 frames as well one comes to
# 0.115. Any function that looks at visible patches only, and does better than one value for the clip, is right here;
# the figure says how far it came.
# </details>

# %%
bars = worth.rename({"network": "ready model"}).copy()
bars.loc["your loop"] = in_regions({"": drawn_errors}).iloc[0]
if exercises.solved(my_guess):
    x = patches.patchify(fixed_specs["wildlife"], patch)
    found = my_guess(x.masked_fill(drawn.hidden[..., None], torch.nan), grid)
    bars.loc["your guess"] = in_regions({"": (found - x).square().mean(-1)}).iloc[0]
ax = bars.sort_values("all").plot.barh(figsize=(8, 3.8), xlabel="squared error on hidden patches")
ax.invert_yaxis()

# %% [markdown]
# *Figure 12. The errors of guesses on pixels, everywhere, on calls and on background.* **See:** a minute of your loop
# ends behind the average of the row, the ready model ahead of it, and all are worst on calls. **Ask:** where does your
# guess stand, and on calls?
#
# ## Quiz
#
# <details><summary>The loss is 0.99 after an hour. Is the model broken?</summary>Not necessarily: 1.0 is a flat patch,
# and hiss cannot be
# guessed. Look at the error on calls, and at the row baseline.</details>
# <details><summary>Visible patches look worse than hidden ones when they are not pasted. Why?</summary>The loss never
# asked for them.</details>
# <details><summary>Two models with different mixing ratios have training losses 0.93 and 0.96. Which is
# better?</summary>Unknown: they were
# measured on different sounds. Compare on the same held-out clips and masks, and in the end on the task.</details>
# <details><summary>Why is the class token in the encoder if nothing trains it directly?</summary>It takes part in
# attention, and the ViT that is
# finetuned later expects one.</details>
#
# ## What was not shown
#
# That a lower reconstruction loss makes a better classifier (07 filters by it, 05 finetunes); structured masks in
# training (01, 10); larger models and real recordings (`folder:PATH`); more than one seed. To go on with your loop:
# train an `untrained()` one at mask ratios of 0.5, 0.8 and 0.95 each, and draw the three errors.

# %% [markdown]
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
