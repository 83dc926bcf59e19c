# %% [markdown]
# # 08 · Design choices: how long, how fine, patches or strips?
#
# **Optional**: for those who will choose a front end of their own, or read Niizumi et al. 2022 closely. No later lesson needs it.
#
# **Time**: `tiny` 2 minutes of one core of an Intel Xeon (AVX-512 bf16) for the design 208, the tasks' recordings included; other designs train for 14 s (96) to 66 s (200_16x4) in place of its 20 ·
# `smoke` under a minute · `small` not measured · `paper` days on one GPU, not measured.
#
# You will
# 1. **cut** one sound in nine ways, and **pretrain** one of them,
# 2. **measure** its frozen features on five tasks,
# 3. **compare** the nine with intervals, beside the paper and beside what they cost.

# %% [markdown]
# ## The question
#
# A cricket repeats its pulse many times a second; a thrush's phrase lasts three seconds. How long a piece of sound should a model hear at once, and how finely should it be cut, so that it can tell
# species, count callers, and say when a call began?
#
# Niizumi et al. 2022 try nine designs, one run each: longer input helps, they report, finer time where time matters, and patches beat strips over all frequencies.
#
# > **Predict.** Five tasks: telling species, counting callers, naming a pitch, naming a scene, saying when calls (events) begin. With which will patches of 40 ms in place of 160 ms help most? With
# > which will strips (no cut in frequency) hurt most?

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
helped = None  # "species", "counting", "pitch", "scene" or "events"
hurt = None  # the same five

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from scipy.ndimage import distance_transform_edt

from lib import audio, mel, patches, plots, runs, sources, training
from lib.course import exercises
from lib.hear import api, designs, frozen, offline, tasks
from lib.runs import cost, report, results, results_hear, verdicts

plots.style()

# %% tags=["parameters"]
# named by its frames and, unless 16 x 16, its patch (mel x frames); lib.hear.designs has all nine
model: str = "208"  # the design of Table 1
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the pretraining and of the predictors on top
# also of the split of a folder that brings none
data_seed: int = 0  # of the synthetic recordings and tasks
# folder:PATH has one folder per class, or is a CSV
# the pretraining is half of each pool; at paper all of it is the general one, as in the paper
wildlife: str = "chorus"  # the animal recordings: chorus, inatsounds:ROOT or folder:PATH
general: str = "chorus"  # everyday sounds: chorus, audioset:ROOT, esc50 or folder:PATH
# half as many as in other notebooks, since there are nine designs; at paper the paper's 196 M
budget: str = "main"  # clips of the pretraining: main, sweep or none
max_hours: float = 1.0  # a run that would take longer on this machine is refused

# %%
setting = runs.scale(scale)
model = str(model)  # papermill turns 208 into a number
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
arch, front = setting.msm_mae(model)
run = runs.start("08_design_choices", pools, model=model, scale=scale, seed=seed,
                 data_seed=data_seed, wildlife=wildlife, general=general, budget=budget)

# %% [markdown]
# ## Nine ways to cut a sound
#
# All nine hear 16 kHz through 80 mel bins, a frame every 10 ms; only length and patch differ. `200_16x4` hears 200 frames in patches of 16 mel bins x 4 frames (the paper's order); without a patch in
# the name it is 16 x 16.

# %%
longest = pools["wildlife"].query("split == 'val'").nlargest(1, "duration_s").iloc[0]
wave = audio.read(longest["file"], rate=front.rate, duration_s=5.2)
plots.sound(wave, front.rate, seconds=5.2, at=front.rate, title=f"{longest['label']}, 5 seconds")

# %%
whole = dataclasses.replace(front, frames=512)
spec = mel.LogMel(whole)(wave[None], frames=512)  # (1, 1, 512, 80)
figure, axes = plt.subplots(3, 3, figsize=(11, 6.6), sharex=True, sharey=True)
for ax, (name, d) in zip(axes.flat, designs.DESIGNS.items()):
    plots.spec(ax, spec, front, f"{name}: {d.grid.t * d.grid.f} patches")
    for x in np.arange(0, d.frames + 1, d.patch[0]) * front.hop_s:
        ax.plot([x, x], [0, front.mels], color="white", linewidth=0.5)
    for y in range(0, front.mels + 1, d.patch[1]):
        ax.plot([0, d.frames * front.hop_s], [y, y], color="white", linewidth=0.5)
    ax.axvspan(d.frames * front.hop_s, 5.12, color=plots.HIDDEN, alpha=0.85, linewidth=0)
    ax.label_outer()

# %% [markdown]
# *Figure 1. One held-out recording as each design gets it, cut by white lines; grey is what a design does not hear at once.* **See:** `96` hears one second, `512` five. A patch of `200_16x4` is a
# quarter as long as one of `208`; a strip of `304_80x4` holds all 80 mel bins. **Ask:** in which design does a patch hold one note?

# %%
def bill(name):
    """What a design costs: in pretraining per clip, and in use per second of sound."""
    own, ear = setting.msm_mae(name)
    train = cost.pretraining(own, ear, setting.msm_recipe(setting.pretrain_clips, seed))
    use = cost.predicting_pace(own, ear, 0)
    return {"s heard a clip": ear.seconds,
            "patches a second": designs.DESIGNS[name].grid.t * own.grid.f / ear.seconds,
            "pretraining GFLOP a clip": train.flop / train.clips / 1e9,
            "pretraining clips/s": train.clips_per_s,
            "in use GFLOP a second of sound": use.flop / 1e9 / ear.seconds,
            "in use s of sound/s": ear.seconds / use.clip_s}


price = bill(model)
print(f"{model}: " + ", ".join(f"{what} {value:.3g}" for what, value in price.items()))

# %% [markdown]
# ## What will be computed

# %%
recipe = setting.msm_recipe(runs.clips(setting, budget) // 2, seed)
print(f"{recipe.clips:,} clips of {front.seconds:.2f} s = "
      f"{recipe.clips * front.seconds / 3600:,.1f} h of sound, "
      f"{recipe.ratio:g} general : 1 wildlife")
cost.sheet([cost.pretraining(arch, front, recipe, what=f"pretraining {model}",
                             pools=pools.values())], max_hours)

# %%
net = frozen.model(model, arch, front, recipe, pools, workers=setting.workers)
print(net.what)

# %% [markdown]
# ## From patches to features
#
# A column of the grid is a moment. Its $N_F$ patch embeddings, laid end to end, are the feature of that moment (the paper's Eq. 1), and their mean over time is that of the whole recording:
#
# $$ z'_t = [\,z_{t,1};\, z_{t,2};\, \dots;\, z_{t,N_F}\,] \in \mathbb{R}^{N_F D}, \qquad z' = \frac1{N_T}\sum_t z'_t \tag{1} $$
#
# Longer sounds are cut into pieces of the model's length, encoded one by one and joined.

# %%
with torch.no_grad():
    piece = mel.LogMel(front)(wave[None], frames=front.frames)  # (1, 1, T, 80) one window
    tokens = net.embedder.model.encode(piece)[:, 1:]  # (1, L, D) without the class token
    by_hand = tokens.unflatten(1, tuple(arch.grid)).flatten(2)  # (1, N_T, N_F * D)
    assert torch.equal(by_hand, api.columns(net.embedder.model, piece, 0.0))
over_time, when = api.get_timestamp_embeddings(wave[None], net.embedder)
print(f"one window: {tuple(by_hand.shape)}; "
      f"{len(wave) / front.rate:.1f} s of sound: {tuple(over_time.shape)}, "
      f"moments {when[0, 0]:.0f}, {when[0, 1]:.0f} ... {when[0, -1]:.0f} ms")

# %% [markdown]
# **Checkpoint.** If this passes, three lines are the library's `api.columns`.
#
# ## What are these features good for?
#
# The paper's 15 tasks (HEAR) cannot be had offline; these five are made here, each after one of them. On the frozen features a small network is trained, chosen on valid and scored on test (notebook 09
# has the protocol).

# %%
row = [tasks.read(offline.make(name, setting.name, data_seed)) for name in offline.NAMES]
answers = frozen.evaluate(net.embedder, row, seed, setting.predictor)
pd.DataFrame({t.name: {"after HEAR's": results_hear.PAPER.get(t.name, "DCASE 2016"),
                       "classes": len(t.labels), "recordings": answers[t.name]["recordings"],
                       "score": t.scores[0],
                       "measured (%)": results.cell(*(100 * answers[t.name][k]
                                                      for k in ("score", "low", "high")))}
              for t in row}).T

# %% [markdown]
# **See:** the intervals of `counting` and `pitch` are more than 15 points wide: one run says little.
#
# ## The record

# %%
mean = float(np.mean([a["score"] for a in answers.values()]))
loss = None if net.log is None or net.log.empty else float(net.log["loss"].tail(50).mean())
path = run.record({"mean": mean, "loss": loss}, samples_seen=net.samples,
                  tasks=answers, costs=price,
                  recipes={"arch": arch, "pretrain": recipe, "predictor": setting.predictor})
print(f"mean of five tasks: {mean:.1%}")

# %% [markdown]
# ## What does a design gain?
#
# By the records: each design that has been run against the plain one of its table in the paper.

# %%
table = results_hear.runs()
table = (table[table["model"].isin(designs.DESIGNS) & (table["budget"] != "none")]
         if len(table) else table)
places = {"Table 5": "512", "Table 6": "200_16x4 208_8x16", "Table 7": "304_80x4"}
each = pd.concat([results_hear.rows(place) for place in places])
each = each[each["verdict"] != "not run"]

# %%
def gains(ax, name, title):
    """What a design has over the first of its table, task by task: the paper's differences as
    diamonds, ours as dots with intervals, filled where p < 0.05 after Holm's correction."""
    part = each[each["setting"] == name].reset_index(drop=True)
    ax.axvline(0, color="0.6", linewidth=0.8)
    for told, look in ((True, "C0"), (False, "white")):
        own = part[(part["holm"] < verdicts.LEVEL) == told]
        ax.errorbar(own["change"], own.index, fmt="o", color="C0", markerfacecolor=look,
                    xerr=[own["change"] - own["low"], own["high"] - own["change"]])
    ax.plot(part["paper_change"], part.index, "D", color="0.2", markersize=4)
    ax.set(title=title, xlabel=f"{name} − {part['against'][0]} (points)",
           yticks=part.index, yticklabels=part["task"].map(plots.label))
    ax.set_ylim(len(part) - 0.5, -0.5)


# %%
said = {"512": "longer: 5 s, not 2", "200_16x4": "finer in time: 40 ms",
        "208_8x16": "finer in frequency", "304_80x4": "strips, not patches"}
figure, axes = plt.subplots(1, 4, figsize=(11, 3.4), sharey=True)
for ax, (name, title) in zip(axes, said.items()):
    if name in set(each.get("setting", [])):
        gains(ax, name, title)
if setting.name != "smoke":
    plots.save(figure, "08_design_choices")

# %% [markdown]
# *Figure 2. What four designs gain, task by task: dots are ours with 95 % intervals over seeds and recordings, filled where a difference is told (Holm's correction); diamonds are the paper's, on the
# tasks after which ours were made.* **See:** strips lose on species, scenes, events and the mean; finer mel rows help species. All else is undecided. **Ask:** how often does a diamond lie outside our
# interval?

# %%
if len(each):
    each["pair"] = each["setting"] + " − " + each["against"]
    each["text"] = [results.cell(one.change, one.low, one.high, sign="+")
                    + " *" * (one.holm < verdicts.LEVEL) for one in each.itertuples()]
    display(each.pivot(index="pair", columns="task", values="text")
            .loc[each["pair"].unique(), each["task"].unique()])

# %% [markdown]
# The same for all eight, in points; a star where a difference is told. For your predictions, what the intervals do not tell from the best is right too:

# %%
def most(name, way):
    """The task that gains (way 1) or loses (-1) most, and all that its change may be reached by."""
    own = each[(each["setting"] == name) & (each["task"] != "mean")].set_index("task")
    best = (way * own["change"]).idxmax()
    reach = way * own["high" if way > 0 else "low"]
    return best, list(own.index[reach >= way * own.loc[best, "change"]])


if {"200_16x4", "304_80x4"} <= set(each.get("setting", [])):  # these designs have been run
    best, tied = most("200_16x4", 1)
    exercises.predicted("patches of 40 ms help most with", helped, best, tied=tied)
    best, tied = most("304_80x4", -1)
    exercises.predicted("strips hurt most with", hurt, best, tied=tied)

# %% [markdown]
# ## What does it cost?

# %%
scores = (table.set_index(["model", "seed"])[[f"tasks.{name}.score" for name in offline.NAMES]]
          .mean(axis=1) if len(table) else pd.Series(dtype=float))
prices = (table.groupby("model")[[c for c in table if c.startswith("costs.")]].mean()
          .rename(columns=lambda c: c.removeprefix("costs.")) if len(table) else pd.DataFrame())
prices = prices.reindex([m for m in designs.DESIGNS if m in prices.index])
floors = results_hear.ladder().get("mean", pd.Series(dtype=float))

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
for ax, column in zip(axes, ("pretraining GFLOP a clip", "in use GFLOP a second of sound")):
    ax.set(xlabel=column.replace(" GFLOP", ": GFLOP"))
    if len(prices):
        bars = ax.barh(prices.index, prices[column], color="0.7")
        ax.bar_label(bars, fmt="%.2f", padding=2, fontsize=10)
        ax.margins(x=0.2)
for name in prices.index:
    own = 100 * scores.loc[name]
    axes[2].errorbar(own.mean(), name, fmt="o", color="C0",
                     xerr=[[own.mean() - own.min()], [own.max() - own.mean()]])
for name, style in (("untrained", "--"), ("logmel", ":")):
    if name in floors:
        axes[2].axvline(floors[name], color="C1", linestyle=style)
axes[2].set(xlabel="mean of five tasks (%)", title="dashed: untrained, dotted: logmel")
axes[0].invert_yaxis()

# %% [markdown]
# *Figure 3. What a design costs, and its mean over the five tasks from the lowest to the highest seed; orange lines are two models without pretraining (notebook 09).* **See:** the duration sets the price
# of a clip, the *patch* that of a second. All nine lie below both orange lines: 12,000 clips teach less than they take away. **Ask:** all saw as many clips; who would gain at equal cost?
#
# ## What was seen
#
# The paper's claims, with criteria written before the runs:

# %%
Markdown(report.answered("Table 5", "Table 6", "Table 7"))

# %% [markdown]
# By the records kept with this course (`tiny`, `chorus`, three seeds, 12,000 clips, a sixteen-thousandth of the paper's draws):
#
# - **Strips lose**, -6.1 [-11.5, -0.8] points on the mean; the paper has -0.8 on its fifteen tasks.
# - **Longer input** is undecided, +0.2 [-4.0, +4.4]; the paper's +2.1 is inside.
# - **Finer time** is undecided, -1.4 [-4.8, +1.9]. In timing events, where it should help, it points down.
# - **Finer frequency** tells species better, +3.9 [+2.3, +5.5], in a world whose species differ in pitch.
#
# These are nine ways to *begin* learning; with more clips the order may change. And they are of the generator's world: no row says anything about animals.
#
# ## Exercises
#
# Fill in the function and run the cell: its last line tries it.

# %%
from lib.course import exercises_08 as check

# %% [markdown]
# ### 1 · The price of a second
#
# A design hears `frames` frames of 10 ms and cuts them into patches of `high` mel bins x `wide` frames, of 80 mel bins. How many patches does one *second of sound* cost?

# %% tags=["exercise"]
def patches_a_second(frames, high, wide):
    """Patches per second of sound."""
    return None


check.patches_a_second(patches_a_second)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def patches_a_second(frames, high, wide):
#     return (frames // wide) * (80 // high) / (frames * 0.01)
# ```
# The duration cancels, the patch stays. (Attention grows with the square of the patches of a clip, but at these sizes the linear layers cost more.)
# </details>
#
# ### 2 · A design of your own
#
# Return a design that hears at least `seconds` with at most `most` patches: its frames of 10 ms, and its patch as `high` mel bins x `wide` frames. No frame and none of the 80 mel bins may be left over.
# All that keeps this is right; the figure shows how easily a hidden patch of it is copied from the nearest visible one.

# %% tags=["exercise"]
def own_design(seconds, most):
    """(frames, high, wide)"""
    return None


check.own_design(own_design)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def own_design(seconds, most):
#     high, wide = 16, 8
#     while (columns := -(-round(100 * seconds) // wide)) * (80 // high) > most:
#         wide *= 2
#     return columns * wide, high, wide
# ```
# It doubles the width until the clip is cheap enough. For the figure that gives `208` itself.
# </details>

# %%
def copied(frames, patch):
    """The squared error of copying, for every hidden pixel, the nearest visible one of its clip."""
    grid, errors = patches.grid_of(frames, front.mels, patch), []
    for k, x in enumerate(some[:, 0, :frames]):
        mask = patches.random_mask(1, grid, 0.75, training.generator(seed, k))
        hidden = mask.hidden[0].unflatten(0, tuple(grid)).repeat_interleave(patch[0], 0)
        hidden = hidden.repeat_interleave(patch[1], 1).numpy()  # (frames, 80)
        t, f = distance_transform_edt(hidden, return_distances=False, return_indices=True)
        errors.append((x[t, f] - x)[hidden].square().mean())
    return float(np.mean(errors))


held = pools["general"].query("split == 'val'").head(24)
cuts = [audio.read(file, rate=front.rate, duration_s=5.2) for file in held["file"]]
some = torch.cat([mel.LogMel(whole)(cut[None], frames=512) for cut in cuts])  # (24, 1, 512, 80)

# %%
copies = {name: copied(d.frames, d.patch) for name, d in designs.DESIGNS.items()}
if exercises.solved(own_design):
    frames, high, wide = own_design(2.0, 100)
    copies["yours"] = copied(frames, (wide, high))
figure, ax = plt.subplots(figsize=(9, 3.6))
bars = ax.barh(list(copies), list(copies.values()), color=["C0"] * 9 + ["C1"])
ax.bar_label(bars, fmt="%.2f", padding=2)
ax.margins(x=0.08)
ax.set(xlabel="error of copying the nearest visible pixel (normalised log-mel, squared)")
ax.invert_yaxis()

# %% [markdown]
# *Figure 4. How far copying gets: 24 held-out everyday sounds, 75 % of the patches hidden, each hidden pixel takes the value of the nearest visible one.* **See:** with strips copying
# errs half as much as with patches of 160 ms x 16 bins, with patches of 40 ms six tenths as much: where the cut is fine in time, what is hidden stands next to what is shown. These two also have the lowest means in Figure 3. A task that
# copying solves teaches little, which would be a reason; two designs are no proof. **Ask:** is yours harder to copy than `208`?
#
# ### 3 · Features over time
#
# Equation (1) for tokens (B, L, D) without the class token, time-major: the patches of a column laid end to end, lowest mel row first. `grid.t` columns, `grid.f` mel rows.

# %% tags=["exercise"]
def features(tokens, grid):
    """(B, L, D) -> (B, columns, mel rows * D)."""
    return None


check.features(features)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def features(tokens, grid):
#     return tokens.unflatten(1, (grid.t, grid.f)).flatten(2)
# ```
# Averaging over mel rows instead would forget at which pitch something was.
# </details>
#
# ### 4 · An F-measure that can be drawn anew
#
# For every recording: `right` guesses, all `guessed` events, all `true` events, counts (R,) each. Return the F-measure of the whole test set, in which every event counts alike.

# %% tags=["exercise"]
def f_measure(right, guessed, true):
    """A number between 0 and 1."""
    return None


check.f_measure(f_measure)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def f_measure(right, guessed, true):
#     return 2 * right.sum() / (guessed.sum() + true.sum())
# ```
# The mean over recordings is another number, and 0 / 0 in a silent one. To draw recordings anew, draw their counts and divide once.
# </details>
#
# ### 5 · To try: train it
#
# No check: add your design to `lib.hear.designs.DESIGNS`, such as `"208_80x16": Design(208, (16, 80), {})`, and run `model = "208_80x16"`. On which task does it lose most against `208`, and in how many
# things besides the cut does it differ?
#
# ## Quiz
#
# **Two designs have pretraining losses 0.18 and 0.21. Which features are better?** <details><summary>Answer</summary>That cannot be said: a small patch has its neighbours closer, so that it is easier to
# guess (Figure 4). The loss compares models of one design only.</details>
#
# **A strip model is never asked how one part of the spectrum follows from another. What does it learn from instead?** <details><summary>Answer</summary>From time only: what stands before and after. It is
# the mask "time columns" of notebook 01, always.</details>
#
# ## What was not shown
#
# The paper's models and HEAR's tasks; designs at equal compute; longer training; patches that overlap. The decoder's positions are 2-D here, 1-D in the published models.
#
# ## Further reading
#
# - Niizumi, Takeuchi, Ohishi, Harada, Kashino 2022, *Masked Spectrogram Modeling using Masked Autoencoders for Learning General-purpose Audio Representation*, [PMLR 166](https://proceedings.mlr.press/v166/niizumi22a.html), sections 4.3 and 4.4.
# - Gong, Lai, Chung, Glass 2022, *SSAST: Self-Supervised Audio Spectrogram Transformer*, AAAI, [arXiv:2110.09784](https://arxiv.org/abs/2110.09784): patches against frames.
# - Turian et al. 2022, *HEAR: Holistic Evaluation of Audio Representations*, [PMLR 176](https://proceedings.mlr.press/v176/turian22a.html).
