# %% [markdown]
# # 05 · Mixing ratio: how much general sound should a wildlife model hear?
#
# **Time**: `tiny` 3 minutes of one core of an Intel Xeon (AVX-512 bf16), by the sheet below; from the first line to the last 4 minutes on two cores alone, and once 2 for the recordings · `smoke` under a minute · `small` made for ten
# minutes on a T4, which is an estimate (README) · `paper` about two days on one A100 (24 h pretraining and 16 h finetuning are the paper's numbers).
#
# You will
# 1. **mix** two pools of recordings in exact proportions while the number of samples stays fixed,
# 2. **pretrain** a masked autoencoder on the mixture and **finetune** it on species,
# 3. **score** whole recordings, one answer each, and average over classes,
# 4. **compare** every ratio that has been run with Table 4 of Liu et al. 2026,
# 5. **judge** whether a difference is larger than what chance makes at this size.

# %% [markdown]
# ## The question
#
# Liu et al. pretrain masked autoencoders on iNatSounds (animals) and AudioSet (everything that is on YouTube), in the ratios 0, 1, 3, 7, 15 and
# ∞ general clips per wildlife clip, always with the same number of samples. Then each is finetuned on the species of iNatSounds.
#
# > **Predict before you read on.** The test is about animals. Which ratio gives the best species classifier, and why? Write down an
# > order for *wildlife only*, *7 : 1* and *general only*.

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
from IPython.display import Markdown

from lib import audio, mel, metrics, plots, pretrain, runs, sampler, sources
from lib.course import exercises
from lib.runs import cost, curve, experiments, report, results, verdicts
from lib.transfer import baseline, finetune

plots.style(photo=False)

# %% tags=["parameters"]
# 0 is wildlife only; general only is the string "inf" (papermill: -r ratio inf)
ratio: float = 7  # general clips per wildlife clip
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the training: weights, order, crops and masks
data_seed: int = 0  # of the synthetic recordings, and of the split of a folder that brings none
# folder:PATH has one folder per class, or is a CSV
wildlife: str = "chorus"  # the pool with the species: chorus, inatsounds:ROOT or folder:PATH
# chorus:other_species is a null
general: str = "chorus"  # the other pool: chorus, audioset:ROOT, esc50 or folder:PATH
# study: this repository's, see 04; audiomae: AdamW, layer decay; paper: Adam, as the first author's
# fork has it; lora: few weights
preset: str = "study"  # the recipe of finetuning: study, audiomae, paper or lora
# median: a frame is heard as it lies above what its band has in this clip; none: as in both papers
subtract: str = "median"  # taken off the log-mel where labels are learned: median or none
# main: this notebook in minutes; sweep: what the records use; none: random weights
budget: str = "main"  # pretraining clips: main, sweep, none or a number
# 0 with several seeds: one encoder, finetuned several times
pretraining_seed: int = -1  # of the pretraining alone; -1: that of the training
max_hours: float = 1.0  # a run that would take longer on this machine is refused

# %% [markdown]
# A parameter that makes no sense is refused here, before anything is computed.

# %%
share = runs.parse_ratio(ratio)
setting = runs.scale(scale)
clips = runs.clips(setting, budget)
print(f"scale {setting.name}: {clips:,} pretraining clips, {share:g} general : 1 wildlife")

# %% [markdown]
# ## Two pools
#
# Offline both pools are `chorus`, this project's synthetic sound world. **What `chorus` can show**: that the machinery works, what costs what,
# and what happens in a world where the truth is known. **What it cannot show**: that a ratio is best for real animals. Verdicts in this
# notebook therefore rest on real recordings only; a `chorus` number is a number *in the generator's world*.

# %%
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
run = runs.start("05_mix_ratio", pools, ratio=ratio, scale=scale, seed=seed, data_seed=data_seed,
                 wildlife=wildlife, general=general, preset=preset, subtract=subtract,
                 budget=budget, pretraining_seed=pretraining_seed)
pd.DataFrame({name: {**table["split"].value_counts(), "classes": table["label"].nunique(),
                     "hours": round(table["duration_s"].sum() / 3600, 2)}
              for name, table in pools.items()})

# %% [markdown]
# One clip of each, to see and to hear: an animal in its field, and everyday sound.

# %%
front = mel.INAT
log_mel = mel.LogMel(front)
figure, axes = plt.subplots(1, 2, figsize=(10, 2.6), sharey=True)
for ax, (name, table) in zip(axes, pools.items()):
    one = table[table["split"] == "train"].iloc[len(table) // 7]
    wave = audio.read(one["file"], rate=front.rate, duration_s=front.seconds)
    plots.spec(ax, log_mel(wave[None]), front, f"{name}: {one['label']}")
    ax.label_outer()
    display(plots.sound(wave, front.rate))

# %% [markdown]
# Left a recording that must be told from those of its sibling species, right a general clip: denser, with structure nearly everywhere. Liu et al.
# suspect that this density is why general sound makes a better teacher (their section 4.6).
#
# Only `train` recordings of either pool are ever drawn for pretraining. General clips that are shorter than the model's window are joined with
# others of their class until it is full; wildlife recordings keep their length and the rest of the window is the front end's silence.

# %%
padded = sources.padded_share(pools["wildlife"].query("split == 'train'"), front)
print(f"window: {front.frames} frames = {front.seconds:.2f} s; "
      f"padding fills {100 * padded:.1f} % of the wildlife windows")

# %% [markdown]
# ## A mixture with exact counts
#
# A batch of $B$ clips should hold a share $\rho = r / (1 + r)$ of general ones. That is rarely a whole number, so the remainder is carried: after
# $k$ batches
#
# $$ n_\text{general}(k) = \lfloor k B \rho + \tfrac12 \rfloor \tag{1} $$
#
# and each batch holds the difference to the one before. The total is right to half a clip after every step, and the number of samples does
# not depend on $r$.
#
# > **Predict.** Batches of 32 at 15 : 1 hold 30 and 2. How many general clips do the first four batches of 32 at 2 : 1 hold together?

# %% tags=["predict"]
general_clips = None  # your number, of 128

# %%
# NBVAL_CHECK_OUTPUT
for r in (15, 2):
    mixture = sampler.Mixture(wildlife=100, general=100, ratio=r, batch=32, samples=128, seed=0)
    print(f"{r}:1", [mixture.counts(step)[::-1] for step in range(len(mixture))],
          "(general, wildlife)")

# %%
exercises.predicted("general clips in four batches of 32 at 2:1", general_clips,
                    sum(mixture.counts(step)[1] for step in range(4)), "clips")

# %% [markdown]
# At 2 : 1 a batch holds 21 or 22 general clips, and four of them hold 85 of 128: two thirds, to a third of a clip.
#
# ## What will be computed

# %%
arch = setting.arch()
first_seed = seed if pretraining_seed < 0 else pretraining_seed
recipe = setting.pretraining(clips, first_seed, ratio=share)
print(pretrain.plan(arch, recipe, pools["wildlife"], pools["general"]))

# %% [markdown]
# And what that takes on this machine. A sheet comes first because an estimate of seconds may save a day: a run that would take longer than `max_hours` is refused here, before
# it begins.

# %%
labelled, known = setting.finetuning(preset, seed, pretrained=clips > 0), None
heard = runs.front(front, subtract)  # by the classifier: pretraining hears the log-mel as it is
keep = budget != "main"  # the main job trains anew, a sweep's models are kept
if keep:
    known = pools["wildlife"], pools["general"]
encoder = pretrain.earlier(arch, front, recipe, *known) if known else None
costs = [cost.pretraining(arch, front, recipe, pools=known),
         *cost.finetuning(arch, heard, labelled, pools["wildlife"], encoder=encoder)]
sheet = cost.sheet(costs, max_hours)
print(f"about {sheet.loc['total', 'time']} on this machine")
sheet

# %% [markdown]
# **See:** that the ratio is in none of these numbers: all ratios cost the same. (What a comparison of them can find is known before it, too: at `tiny`, five seeds a side, 3 to 5 points with 80 % power, by the runs so far; one seed says nothing of others.) Measured a moment ago from a few steps on random clips, on the machine in the corner. With
# another budget than "main" what an earlier run left is loaded; reading is not counted (`python -m lib.runs.benchmark` measures it), so it may be more. FLOP are those of the forward pass times three.
#
# ## Pretraining
#
# The model hides 80 % of the patches of each clip and learns to guess them (notebook 02). Labels are not used.

# %%
pretrained = pretrain.pretrain(arch, front, recipe, pools["wildlife"], pools["general"],
                               workers=setting.workers, reuse=keep)
figure, ax = plt.subplots(figsize=(6, 3))
plots.curve(ax, pretrained.log)
ax.axhline(1, color="0.6", linestyle=":", label="guessing each patch's mean")
ax.legend();

# %% [markdown]
# The loss against the clips seen. 1.0 is what a model reaches that knows only each patch's mean (the target has variance 1); everything below is
# structure that was guessed from the 20 % left visible. Do not compare this curve between ratios: a mixture that is easier to guess, not
# a better model, has the lower loss.
#
# > **Predict.** The finetuned model gets one random 3-second crop per recording and epoch, and is asked about whole recordings at the end. From
# > 0 (chance is about 3 %) to 100 %: what class-averaged accuracy do you expect?

# %% tags=["predict"]
expected = None  # your top-1 on test, in per cent

# %% [markdown]
# ## Finetuning
#
# The encoder keeps its weights, the decoder is dropped, a linear head is added, and all of it learns the species. With `preset="study"` the head is given the mean and the spread over time of each mel row's
# tokens, behind a batch norm (how that was found: notebook 04); with `audiomae` and `paper`, the mean of all patch tokens behind a LayerNorm.
# The best look at `val` is kept.

# %%
tuned = finetune.finetune(pretrained.model, arch, heard, pools["wildlife"], labelled,
                          workers=setting.workers, reuse=keep)
tuned.looks.assign(top1=tuned.looks["top1"].map("{:.1%}".format))

# %% [markdown]
# ## One answer per recording
#
# Every window of a recording (half overlapping) gives class probabilities $p_w$; their mean is the recording's answer, restricted to the classes
# that occur in the split. The score is the mean over classes $c$ of the share of recordings that were right:
#
# $$ \text{top-1} = \frac1C \sum_c \frac1{|R_c|} \sum_{i \in R_c} \Big[\arg\max_k \tfrac1{W_i} \sum_w p_{w,k} = c\Big] \tag{2} $$
#
# so that a rare species counts as much as a common one. Intervals draw groups of recordings (same place or animal) anew within each class.
# A class with a single group has nothing to draw from: where that is so for more than half of them, there is no interval.

# %%
scores, answers = {}, {}
for split in ("val", "test"):
    part = pools["wildlife"].query("split == @split")
    a = finetune.predict(tuned.model, heard, part, tuned.labels, workers=setting.workers,
                         bar=f"answering {split}")
    s = metrics.score(a.probabilities, a.targets, np.random.default_rng(seed), a.groups)
    print(f"{split}: top-1 {s.top1}, "
          f"top-5 {s.top5.value:.1%}, {s.recordings} recordings of {s.classes} classes, "
          f"each guess among {s.chosen_from}; "
          f"{metrics.single_groups(a.targets, a.groups):.0%} of the classes have a single group")
    answers[split], scores[split] = a, s

# %%
exercises.predicted("class-averaged top-1 on test", expected, 100 * scores["test"].top1.value, "%")

# %% [markdown]
# **Checkpoint.** If this passes, the evaluation is what the text says: the class average is scikit-learn's balanced accuracy.

# %%
from sklearn.metrics import balanced_accuracy_score

p = answers["val"].probabilities
# ties count as shares here, and not in scikit-learn
tied = (p == p.max(1, keepdims=True)).sum(1) > 1
balanced = balanced_accuracy_score(answers["val"].targets, p.argmax(1))
assert abs(balanced - scores["val"].top1.value) < 1e-9 or tied.any()
assert not scores["val"].top1.low > scores["val"].top1.value

# %% [markdown]
# ## And without pretraining?
#
# A number means little alone. **Chance** is one in as many species as the guess chooses from. **Logistic regression** sees two numbers per mel band, the mean
# and the standard deviation over a recording's frames: no patch, no order in time; with *rise*, a third: how far the band lies above its median, on average. A **small CNN** of 0.2 M weights learns from
# scratch, each band's median taken off. **Frozen** is the encoder that was pretrained above, before finetuning: logistic regression on its mean token, on the mean of each mel row of patches, and on that with its spread over time.
# All learn from the same `train` recordings and answer the same recordings with the same class average (`lib/transfer/baseline.py`). What a model does not do better than these, it does not owe to its pretraining.
#
# The main job and the sweep over ratios have logistic regression alone: the others take three minutes of two cores, and are computed with every other budget. *What does the budget buy?*, below, has them all, and notebook 04 the small CNN.

# %%
opponents = baseline.logistic(front, pools["wildlife"], seed, workers=setting.workers)
frozen = {}  # by readout, the one with the most numbers last
if budget not in ("main", "sweep"):  # three minutes more on two cores: these do without
    opponents["cnn"] = baseline.cnn(front, pools["wildlife"], seed, steps=setting.cnn_steps,
                                    workers=setting.workers)
    frozen = baseline.frozen(pretrained.model, heard, pools["wildlife"], seed,
                             workers=setting.workers)
named = {**opponents, **{f"frozen: {kind}": e for kind, e in frozen.items()}}
tops = {name: {split: str(s.top1) for split, s in e.scores.items()} for name, e in named.items()}
tops["finetuned"] = {split: str(s.top1) for split, s in scores.items()}
tops["chance"] = {split: f"{1 / s.chosen_from:.1%}" for split, s in scores.items()}
pd.DataFrame(tops).T

# %% [markdown]
# ## The record
#
# What this run was and what came out, beside the paper's row. Its name follows from the parameters.

# %%
paper = runs.paper("mix_ratio", share) if clips else runs.paper("finetune", "random")
hits = {split: metrics.topk_hits(a.probabilities, a.targets, 1) for split, a in answers.items()}
kept = dict(opponents)
if frozen:
    kept["frozen"] = list(frozen.values())[-1]
path = run.record({**scores["val"]._asdict(), "test": scores["test"],
                   "loss": pretrained.log["loss"].tail(100).mean()},
                  samples_seen=recipe.clips,
                  paper=paper, padded_share=padded, labels=tuned.labels,
                  **baseline.recorded(kept),
                  recipes={"arch": arch, "pretrain": dataclasses.replace(recipe, ratio=0),
                           "finetune": labelled},
                  answers={s: {"hits": hits[s].round(3), "targets": a.targets, "groups": a.groups}
                           for s, a in answers.items()})

# %% [markdown]
# ## All ratios that have been run
#
# The records of `papermill_runs/05_mix_ratio`, one line per pool, all of this run's preset, beside Table 4. The paper's axis is its own: 1,212 species of
# iNatSounds, a ViT-B and 13.7 million draws are not this experiment. Runs of wildlife only hear no general pool, so they stand beside every pool that was mixed in.

# %%
table = experiments.load(experiments.BY_PLACE["Table 4"])
swept = (table[(table["budget"] == "sweep") & (table["preset"] == preset)
               & (table["subtract"] == subtract)]
         if len(table) else table)
figure = results.mix_ratio(swept, runs.reference("mix_ratio", metric="top1"), run.name)
plots.save(figure, "05_mix_ratio") if setting.name != "smoke" and len(swept) else None

# %% [markdown]
# Left, the paper's Table 4, which is of val; beside it what this code measured, on test, one panel per pair of pools. A dot is a run (its bar the 95 % interval over
# recordings), the line joins the means over seeds. Each panel has an axis of its own, because the tasks differ: compare shapes, not heights.
#
# ## Is a difference larger than chance?
#
# Two ratios are compared on the *same* test recordings and seeds. The 95 % interval, in points, is over other seeds and other species, crossed: how much the difference
# varies from seed to seed and from species to species says how far its mean can be trusted (notebook 11). A row *differs* when its p is below 0.05 after Holm's
# correction, which keeps the chance of *any* wrong row of the table at 5 %. *Smallest found* is the true difference that such a comparison finds with 80 % power.

# %%
def against_wildlife_only(group: pd.DataFrame) -> pd.DataFrame:
    """Each ratio minus ratio 0 for the runs of one pair of pools: paired by seed and recording."""
    arms = dict(list(group.groupby("ratio")))
    pairs = {r: verdicts.between(arms[r], arms[0]) for r in arms if r != 0 and 0 in arms}
    return verdicts.compared([{"ratio": r, "change": c} for r, c in pairs.items() if c])


compared = swept.groupby(["data", "scale"]).apply(against_wildlife_only) if len(swept) else swept
(display(plots.table(compared).format("{:+.1f}", subset=["change", "low", "high"])
         .format("{:.1f}", subset=["smallest found"]).format("{:g}", subset=["ratio"]))
 if len(compared) else print("no sweep records yet"))

# %% [markdown]
# Rows of `chorus` hold in the generator's world; only rows of real recordings may carry a verdict about animals.
#
# ## What does the budget buy?
#
# Before a comparison of ratios means anything, pretraining itself must help: against random weights that were finetuned as well as could be, and against opponents without pretraining. The same ratio at
# several budgets, five seeds each. At 24,000 clips, which is the main job's budget, every seed has a pretraining of its own (`papermill_runs/05_mix_ratio_seeds.sweep.json`, random weights too); at the others one
# encoder was pretrained and finetuned with five seeds (`05_mix_ratio_budget.sweep.json`).

# %%
table = runs.beside(curve.load(preset, subtract), run, sweep=False)
figure = curve.figure(table)
plots.save(figure, "05_budget") if setting.name != "smoke" and len(table) else None

# %% [markdown]
# *Left: top-1 on test against the clips of pretraining; a dot is a finetuning, the line their mean; squares are the same encoders frozen. Right: what pretraining adds to random weights, in points, with its
# 95 % interval over seeds and species.* The thin grey lines are opponents that were never pretrained. Where one encoder served all seeds, the interval
# says nothing of other pretrainings.

# %%
compared = curve.compared(table)
(display(plots.table(compared).format("{:+.1f}", subset=["change", "low", "high"])
         .format("{:.1f}", subset=["smallest found"]).hide()) if len(compared)
 else print("no records of budgets yet"))

# %% [markdown]
# ## What was seen

# %%
display(Markdown(curve.markdown()))
Markdown(report.answered("Table 4"))

# %% [markdown]
# The first table is the curve in numbers; the second has the paper's claims about ratios, what would hold them up (written before the runs), and what came out.
#
# - **Pretraining buys little here, and whether anything cannot be told.** Over random weights with the best recipe found for them, finetuned: +1.1 [-1.2, +3.5] with 10,000 clips, +1.8 [-0.5, +4.0] with 24,000, +2.6 [-0.0, +5.2] with 160,000, +1.7 [-1.6, +5.0] with 640,000. All are
#   undecided; a true gain of 3.2 to 4.7 points would have been found with 80 % power at five seeds. All four are above 0, and more clips are not more gain: where the curve would leave 0 behind nobody can read off it. 640,000 clips are 43 minutes of two cores (at the pace of its last thousand steps); the paper draws 13.7 million.
# - **Frozen, the same.** An encoder that was never trained has 31.1 with the mel rows' mean and spread, 640,000 clips have 31.8; one encoder of 160,000 has 35.1, one of 10,000 28.0 (+4.0 [+0.2, +7.9] and -3.1 [-7.2, +1.1], undecided after Holm's correction).
#   None of them can be told from logistic regression on the log-mel (-2.1 to +4.9).
# - **Logistic regression on 256 numbers is beaten by every finetuned transformer**, random weights included: +7.8 [+2.1, +13.5], and +8.9 to +10.4 after pretraining. **A small CNN from scratch beats all of them**, by 14 to 17 points (the narrowest -14.3 [-19.0, -9.7]), in two minutes of two cores. Why, was not
#   measured; one guess is that a transformer that cuts time into pieces of 93 ms before it looks must first learn what a convolution knows.
# - At 24,000 each of the five seeds has a pretraining of its own; at the other budgets there was one, finetuned five times, so that their intervals do not hold over other pretrainings (*encoders* in the table).
# - **The ratios** that have been run stand in the figure and in the table of claims; on *birds* each of 496 recordings of 57 species is tested once, in five folds (`wildlife="folder:../shared/real_audio/birds?fold=0"` and so on). With five seeds it makes no difference there what was heard: -0.1 [-3.0, +2.9] points for seven to one over wildlife only, -0.4 [-2.6, +1.9] for general only; the paper has +10.4 and +11.2. The paper's Table 4: 49.0, 53.8, 57.5, 59.4, 60.1 and 60.2 from wildlife only to general only
#   (ViT-B, iNatSounds + AudioSet, one run each). In the generator's world, three seeds, ours are in nearly that order, 38.3, 37.9, 38.9, 39.2, 40.2 and 39.8, and none differs from wildlife only: at the most +1.9 [-2.0, +5.8], where a true difference of 2.6 to 5.5 points would be found with 80 % power. An order of six means that cannot be told
#   apart is what a table without intervals looks like.
# - **On frogs** (367 pieces of 101 field recordings, 17 species, five folds, three seeds) seven to one minus wildlife only is -0.5 [-7.8, +6.8] points, and a true difference below 10.4 would mostly be missed; general only minus wildlife only +2.4 [-3.9, +8.6]: with so few field recordings nothing is decided. They have 22.5, 23.0 and 25.3 %, random weights 26.4 and a small CNN 32.0 (five seeds each), logistic regression 19.3.
# - **On animals** (440 recordings of 11 kinds, five folds; one seed so far, so that there is no verdict and the intervals are over kinds alone) it looks as it does on birds: wildlife only has 60.5 %, seven to one +1.1 [-1.9, +4.2] and general only +2.0 [-1.4, +5.5] points more; random weights 65.5 % and a small CNN 76.8 (five seeds each; with the one seed of both,
#   wildlife only minus random weights is -2.5 [-7.9, +2.9]), logistic regression 51.4.
# - **The null**: where the general sound is animals of *other species* (`general=chorus:other_species`, three seeds), seven to one minus wildlife only is +0.4 [-1.5, +2.3] points and general only minus wildlife only +0.6 [-2.7, +3.9]. What kind of sound is mixed in makes no visible difference here, because
#   pretraining itself makes none: a null can only tell sounds apart where something is gained.
# - **Empty windows** could be why general sound helps: it has few, wildlife has many. In the generator's world their share is a parameter (`wildlife=chorus:empty=0.2`). With 20, 40 and 60 % of them, three seeds each, wildlife only has 43.6, 38.3 and 36.7 % (the labelled recordings are emptier too), and seven to one adds +1.8 [+0.1, +3.4], +0.9 [-1.4, +3.2] and
#   +1.8 [-2.7, +6.3] points: all undecided after Holm's correction, none growing with the emptiness. The first seed alone had four points at 60 %; two more took them back.
# - **The loss is no judge**: it falls with the share of general sound, because general sound is easier to guess.
#
# ## At full scale
#
# The papers' setting is a matter of parameters (relative paths start at the repository; git ignores `DATA/`). Once, the recordings (each command first prints size, terms and time; licences differ, read them; AudioSet's unbalanced part is 2.4 TB):
#
# ```
# python -m lib.sources inatsounds root=DATA/inatsounds splits=train,val,test
# python -m lib.sources audioset root=DATA/audioset splits=balanced,unbalanced,eval
# ```
#
# Does reading keep up with the model here, and what limits?
#
# ```
# python -m lib.runs.benchmark scale=paper \
#     wildlife=inatsounds:DATA/inatsounds general=audioset:DATA/audioset
# ```
#
# Then one point of the grid, here on four GPUs (the same batch whatever their number; stopped at any moment, the same command goes on), and this notebook with the same parameters, which loads what
# the processes left and shows it:
#
# ```
# accelerate launch --multi_gpu --num_processes 4 -m lib.runs 05_mix_ratio \
#     ratio=7 scale=paper budget=sweep preset=audiomae subtract=none max_hours=60 \
#     wildlife=inatsounds:DATA/inatsounds general=audioset:DATA/audioset
# papermill notebooks/05_mix_ratio.ipynb ratio_7.ipynb \
#     -p ratio 7 -p scale paper -p budget sweep -p preset audiomae -p subtract none \
#     -p max_hours 60 \
#     -p wildlife inatsounds:DATA/inatsounds -p general audioset:DATA/audioset
# ```
#
# `max_hours` must allow what the sheet says for one process and without those models: it does not look whether they are there. All points, several seeds: a file such as
# `papermill_runs/05_mix_ratio.sweep.json` with `scale`, `preset`, `subtract`, `max_hours` and both pools in its `fixed`. (Without `preset` and `subtract` it is this repository's recipe, which was found at `tiny` and is no paper's.)
#
# What it costs: the paper states about 24 h of pretraining and 16 h of finetuning on one A100, for one row of Table 4. By the sheet such a row is 1,440 PFLOP of pretraining and 949 PFLOP of finetuning
# (without val and test), and was 104 days on two CPU cores in bf16, where it is refused. The paper's 24 h would then be 17 TFLOP/s, a twentieth of what that chip can do in bf16: if so,
# arithmetic was not what it waited for. What limits on a machine at hand `python -m lib.runs.benchmark` says. No GPU has run this scale yet.
#
# ## Exercises
#
# Fill in the function and run the cell: its last line tries it on numbers you have not seen and says whether it is right, or what to look at. The
# solutions are folded below.

# %%
from lib.course import exercises_05 as check

# %% [markdown]
# ### 1 · From a ratio to a share
#
# Of all clips in a batch, which share is general at a ratio of `ratio` general clips per wildlife clip? `ratio` is a float, and may be `float("inf")`.

# %% tags=["exercise"]
def general_share(ratio):
    """The share of general clips, from 0 to 1."""
    return None


check.general_share(general_share)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def general_share(ratio):
#     return 1 - 1 / (1 + ratio)
# ```
# `ratio / (1 + ratio)` is the same for every number, and `inf / inf` for general only.
# </details>
#
# ### 2 · Exact counts
#
# Equation (1): how many general clips does the batch of this step (0, 1, 2 ...) hold, when the share does not divide the batch? What is left over is carried into
# the next one.

# %% tags=["exercise"]
def general_in_batch(step, batch, share):
    """The number of general clips in the batch of one step."""
    return None


check.general_in_batch(general_in_batch)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def general_in_batch(step, batch, share):
#     before, after = (int(np.floor(k * batch * share + 0.5)) for k in (step, step + 1))
#     return after - before
# ```
# Rounding every batch for itself would make 2 : 1 in batches of 32 into 21 general and 11 wildlife clips for ever, 1.9 : 1.
# </details>
#
# ### 3 · The smallest batch that is always exact
#
# A study compares several ratios, `r` general clips to 1. Which is the smallest batch that holds every one of them exactly? `ratios` is a list of whole numbers.

# %% tags=["exercise"]
def smallest_batch(ratios):
    """The smallest number of clips in a batch that needs no rounding."""
    return None


check.smallest_batch(smallest_batch)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def smallest_batch(ratios):
#     return np.lcm.reduce([r + 1 for r in ratios])
# ```
# `r : 1` is a pattern of r + 1 clips. For the paper's 1, 3, 7 and 15 it is 16, so that every batch of `lib/runs/scales.py` (16, 32, 256) holds each of them exactly. A ratio of
# 0.5 is 1 : 2 and needs a multiple of 3.
# </details>
#
# ### 4 · One draw of a paired interval
#
# Two arms answered the same recordings: `a` and `b` (R,) are 1 for a hit, `targets` (R,) the species. Return the difference a - b of class averages for *one* draw of
# the bootstrap: within each species as many recordings as it has, drawn with replacement, the same ones for both arms.

# %% tags=["exercise"]
def paired_draw(a, b, targets, rng):
    """One resampled difference of class averages; rng is a numpy.random.Generator."""
    return None


check.paired_draw(paired_draw)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def paired_draw(a, b, targets, rng):
#     by_class = [(a - b)[targets == c] for c in np.unique(targets)]
#     return np.mean([rng.choice(d, len(d)).mean() for d in by_class])
# ```
# The class average is linear in the hits, so that the difference can be resampled as one set of values. It asks about other recordings of these species. `verdicts.difference`
# asks about other species and other seeds, and needs no draws for it (notebook 11).
# </details>
#
# ### 5 · What a half width finds
#
# A comparison has an interval that reaches `half` points to either side. If the true difference is `true`, how often will the measured one come out above `half`, so
# that its interval leaves 0 out? Measured differences scatter round the true one like a normal distribution, and `half` is 1.96 of its standard deviations.

# %% tags=["exercise"]
def share_found(true, half):
    """How often a true difference is found: a share from 0 to 1."""
    return None


check.share_found(share_found)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# from scipy.stats import norm
#
#
# def share_found(true, half):
#     return norm.sf(half, true, half / 1.96)
# ```
# A true difference of one half width is found in half of the studies; of 1.43 half widths in 80 %. The second is what *smallest found* says. It depends on the number of
# species and seeds, not on how large the difference is; so it can be stated before an experiment, from earlier seeds.
# </details>
#
# ### 6 · To try: kind or amount?
#
# No check: what comes out is yours to judge. Is it the *kind* of general sound that helps, or that there is more sound than the wildlife pool holds? Run
# `general = "chorus:other_species"`, where the general pool is wildlife of other species, at the same ratio. Then make a wildlife pool without empty windows,
# `wildlife = "chorus:empty=0"`, and repeat ratio 0.
#
# <details><summary>What to expect</summary>
#
# `python -m lib.runs 05_mix_ratio ratio=7 general=chorus:other_species budget=sweep` for several seeds, then the table above. If both pools do equally well, "general"
# was not what mattered. With `ratio=0 wildlife=chorus:empty=0` the labelled recordings change too, because they are the same pool: a fair comparison finetunes both encoders on
# the same recordings.
# </details>
#
# ## Quiz
#
# **Why must the number of samples stay fixed when the ratio changes?** <details><summary>Answer</summary>Otherwise a mixture would also be longer
# training, and a gain could come from either. With a fixed number, more general clips means fewer wildlife clips: the comparison is between
# kinds of sound, not amounts of work.</details>
#
# **At ratio ∞ no wildlife is heard in pretraining. Where does the model learn about animals?** <details><summary>Answer</summary>Only in
# finetuning, from the labelled recordings. That it can still win (it does in the paper's Table 4) says that edges, textures and harmonics
# learned anywhere are useful here.</details>
#
# **Two seeds differ by 4 points, two ratios by 3. What do you conclude?** <details><summary>Answer</summary>Nothing yet. The paper shows one run per
# ratio without intervals; differences of a point or two carry claims there.</details>
#
# ## What was not shown
#
# The paper's scale (`scale="paper"`: ViT-B, 13.7 million draws, iNatSounds and AudioSet); the other end of the story, continuing from released
# AudioSet weights (Table 3); and whether curation of the wildlife pool changes the picture (Figures 4 and 5). The paper also contradicts itself here: its text calls
# AudioSet followed by iNatSounds the best (59.5), while AudioSet alone, in this table, has 60.2.
#
# ## Further reading
#
# - Liu et al. 2026, *Masked Autoencoders with Limited Data: Does It Work?*, [arXiv:2605.14031](https://arxiv.org/abs/2605.14031), section 4.6 and Table 4.
# - He et al. 2022, *Masked Autoencoders Are Scalable Vision Learners*, [doi:10.1109/CVPR52688.2022.01553](https://doi.org/10.1109/CVPR52688.2022.01553).
# - Huang et al. 2022, *Masked Autoencoders that Listen* (AudioMAE), [arXiv:2207.06405](https://arxiv.org/abs/2207.06405).
# - Chasmai et al. 2024, *The iNaturalist Sounds Dataset*, [arXiv:2506.00343](https://arxiv.org/abs/2506.00343).
# - Rauch et al. 2025, *Can Masked Autoencoders Also Listen to Birds?* (Bird-MAE), [arXiv:2504.12880](https://arxiv.org/abs/2504.12880).

# %% [markdown]
# ## This run in one sentence
#
# `val` has chosen (the best look, the setting of the logistic regression); `test` has chosen nothing and is the result. The paper has this row on `val` only.

# %%
print(runs.closing(wildlife, scores["test"],
                   {name: e.scores["test"] for name, e in opponents.items()}, paper))
print(f"record: {run.place}")
