# %% [markdown]
# # 05 · Mixing ratio: how much general sound should a wildlife model hear?
#
# **Time**: reading 10 minutes; running at `tiny` about 9 minutes on one core without bf16 (the sheet below measures yours), half of that with it, and once 2 for the recordings · `smoke` under a minute · `small` an estimated ten minutes on a T4 ·
# `paper` about two days on one A100 (its 24 h of pretraining and 16 h of finetuning).
#
# You will
# 1. **mix** two pools of recordings in exact counts,
# 2. **pretrain** a masked autoencoder on the mixture, **finetune** it on species and **score** whole recordings,
# 3. **judge** whether one ratio is better than another, or only luckier.

# %% [markdown]
# ## The question
#
# You have a few hundred recordings of your animals, and for nothing any amount of other sound: speech, streets, music. A masked autoencoder learns from either without labels.
# Should it hear animals only, everything, or a mixture?
#
# Liu et al. pretrained with 0, 1, 3, 7, 15 and ∞ general clips per wildlife clip, the same number of samples each time, and finetuned on species. The more general sound,
# the better the species were told apart (their Table 4).
#
# > **Predict.** We do the same at a size for a laptop, and test on recordings of birds. Put *wildlife only*, *7 : 1* and *general only* in order, the best first.

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
order = None  # such as ["7 : 1", "wildlife only", "general only"]

# %%
import dataclasses
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from lib import audio, mel, metrics, plots, pretrain, runs, sampler, sources
from lib.course import exercises
from lib.runs import cost, criteria, curve, experiments, report, results, verdicts
from lib.transfer import baseline, finetune

plots.style()

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
# Offline both pools are `chorus`, this project's synthetic sound world. It shows that the machinery works and what costs what; it cannot show which ratio is best for real
# animals. A `chorus` number is a number *in the generator's world*; verdicts rest on real recordings.

# %%
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
run = runs.start("05_mix_ratio", pools, ratio=ratio, scale=scale, seed=seed, data_seed=data_seed,
                 wildlife=wildlife, general=general, preset=preset, subtract=subtract,
                 budget=budget, pretraining_seed=pretraining_seed)
for name, table in pools.items():
    counts = ", ".join(f"{n:,} {split}" for split, n in table["split"].value_counts().items())
    print(f"{name}: {counts} recordings of {table['label'].nunique()} classes, "
          f"{table['duration_s'].sum() / 3600:.1f} hours")

# %%
front = mel.INAT
log_mel = mel.LogMel(front)
figure, axes = plt.subplots(1, 2, figsize=(10, 3), sharey=True)
for ax, (name, table) in zip(axes, pools.items()):
    one = table[table["split"] == "train"].iloc[len(table) // 7]
    wave = audio.read(one["file"], rate=front.rate, duration_s=front.seconds)
    plots.spec(ax, log_mel(wave[None]), front, f"{name}: {plots.label(one['label'])}")
    ax.label_outer()
    display(plots.sound(wave, front.rate, title=f"{name}: {one['label']}"))

# %% [markdown]
# *Figure 1. One clip of each pool, to hear above and to see here.* **See:** left, an animal calls three times in an otherwise empty field; right, two people talk and nearly every
# patch holds structure. Liu et al. suspect that this density makes general sound the better teacher (their section 4.6).
#
# Only `train` recordings are drawn for pretraining. General clips shorter than the model's window are joined with others of their class; wildlife recordings keep their
# length, and silence fills the window:

# %%
padded = sources.padded_share(pools["wildlife"].query("split == 'train'"), front)
print(f"window: {front.frames} frames = {front.seconds:.2f} s; "
      f"padding fills {100 * padded:.1f} % of the wildlife windows")

# %% [markdown]
# ## A mixture with exact counts
#
# A batch of $B$ clips should hold a share $\rho = r / (1 + r)$ of general ones. That is rarely a whole number, so the remainder is carried: after $k$ batches there have been
#
# $$ n_\text{general}(k) = \lfloor k B \rho + \tfrac12 \rfloor \tag{1} $$
#
# general clips, and each batch holds the difference to the one before. The number of samples does not depend on $r$.
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
# ## What will be computed

# %%
arch = setting.arch()
first_seed = seed if pretraining_seed < 0 else pretraining_seed
recipe = setting.pretraining(clips, first_seed, ratio=share)
print(pretrain.plan(arch, recipe, pools["wildlife"], pools["general"]))

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
# **See:** the ratio is in none of these numbers: all ratios cost the same. They were measured a moment ago, from a few steps on random clips, on the machine in the corner; a run that would take
# longer than `max_hours` stops here.
#
# ## Pretraining
#
# The model hides 80 % of the patches of each clip and learns to guess them (notebook 02). Labels are not used.

# %%
pretrained = pretrain.pretrain(arch, front, recipe, pools["wildlife"], pools["general"],
                               workers=setting.workers, reuse=keep)
figure, ax = plt.subplots(figsize=(7, 3.2))
plots.curve(ax, pretrained.log)
ax.axhline(1, color="0.6", linestyle=":", label="guessing each patch's mean")
ax.legend();

# %% [markdown]
# *Figure 2. The loss while it pretrains.* **See:** it falls below 1.0, where a model stands that knows each patch's mean and nothing else: what lies below was guessed from the fifth left
# visible. **Ask:** general sound is easier to guess, so a mixture with more of it has the lower loss. Is its model the better one?
#
# > **Predict.** The finetuned model gets one random 3-second crop per recording and epoch, and is asked about whole recordings at the end. From
# > 0 (chance is about 3 %) to 100 %: what class-averaged accuracy do you expect?

# %% tags=["predict"]
expected = None  # your top-1 on test, in per cent

# %% [markdown]
# ## Finetuning, and one answer per recording
#
# The encoder keeps its weights, the decoder is dropped, and a linear head is added on the mean and the spread over time of each mel row's tokens (`preset="study"`, notebook 04). All of it
# learns the species; the best look at `val` is kept.

# %%
tuned = finetune.finetune(pretrained.model, arch, heard, pools["wildlife"], labelled,
                          workers=setting.workers, reuse=keep)
for look in tuned.looks.itertuples():
    print(f"after {look.step + 1} steps: {look.top1:.1%} of val")

# %% [markdown]
# Every window of a recording (half overlapping) gives class probabilities $p_w$; their mean is the recording's answer, restricted to the classes that occur in the split. The score is
# the mean over classes $c$ of the share of recordings that were right, so that a rare species counts as much as a common one:
#
# $$ \text{top-1} = \frac1C \sum_c \frac1{|R_c|} \sum_{i \in R_c} \Big[\arg\max_k \tfrac1{W_i} \sum_w p_{w,k} = c\Big] \tag{2} $$
#
# The interval draws groups of recordings (same place or animal) anew within each class.

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
top1 = scores["test"].top1
exercises.predicted("class-averaged top-1 on test", expected, 100 * top1.value, "%",
                    within=(100 * top1.low, 100 * top1.high))

# %% [markdown]
# **Checkpoint.** If this passes, the class average is scikit-learn's balanced accuracy.

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
# A number means little alone. **Logistic regression** sees two numbers per mel band, the mean and the standard deviation over time (with *rise* a third: how far the band lies above
# its median): no patch, no order in time. It learns from the same recordings and answers the same ones. What a model does not do better, it does not owe to its pretraining. (With another
# `budget` than `main` and `sweep`, a small CNN and the frozen encoder stand here too.)

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
pd.DataFrame(tops).T.rename({"logistic": "logistic regression",
                             "logistic_rise": "logistic regression, with rise"})

# %% [markdown]
# What this run was and what came out is kept as a record:

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
# ## Which ratio is best?
#
# One run says nothing of ratios. Here are all that have been run, several seeds each: on the generator's recordings, and on real *birds* (496 recordings of 57 species), *frogs* and
# *animals*, each recording tested once in five folds.

# %%
table = experiments.load(experiments.BY_PLACE["Table 4"])
swept = (table[(table["budget"] == "sweep") & (table["preset"] == preset)
               & (table["subtract"] == subtract)]
         if len(table) else table)
figure = results.mix_ratio(swept, runs.reference("mix_ratio", metric="top1"), run.name)
if setting.name != "smoke" and len(swept):
    plots.save(figure, "05_mix_ratio")

# %% [markdown]
# *Figure 3. Accuracy against the mixing ratio: first the paper's Table 4, then a panel for each pair of pools that was run here.* A dot is a run with its interval, the line joins the means,
# the dotted line is logistic regression; each panel has an axis of its own. **See:** the paper's curve rises by 11 points; ours lie flat, above logistic regression.
#
# Is any of this more than luck? Two ratios are compared on the *same* recordings and seeds: how much their difference varies from seed to seed and from species to species says how far its
# mean can be trusted (notebook 11). A row *differs* when p is below 0.05 after Holm's correction, which keeps the chance of *any* wrong row at 5 %.

# %%
def against_wildlife_only(group: pd.DataFrame) -> pd.DataFrame:
    """Each ratio minus ratio 0 for the runs of one pair of pools: paired by seed and recording."""
    arms = dict(list(group.groupby("ratio")))
    pairs = {r: verdicts.between(arms[r], arms[0]) for r in arms if r != 0 and 0 in arms}
    return verdicts.compared([{"ratio": r, "change": c} for r, c in pairs.items() if c])


groups = list(swept.groupby(["data", "scale"])) if len(swept) else []
compared = [against_wildlife_only(group).assign(data=data) for (data, _), group in groups]
compared = pd.concat(compared) if compared else swept
made = (compared["data"].str.startswith(verdicts.MADE) if len(compared) else [])

# %%
theirs = runs.reference("mix_ratio", metric="top1")
theirs = dict(zip(theirs["setting"].astype(float), theirs["value"]))


def named(row) -> str:
    """A comparison in a few words: the recordings and the ratio."""
    pool = row.data.replace(" in five folds + general", "").replace("chorus + chorus", "chorus +")
    ratio = "general only" if np.isinf(row.ratio) else f"{row.ratio:g} : 1"
    return f"{pool.removesuffix(' + chorus')}, {ratio}"


figure, axes = plt.subplots(1, 2, figsize=(10, 4.2))
halves = (compared[~made], compared[made]) if len(compared) else ()
for ax, part, title in zip(axes, halves, ("real recordings", "the generator's world")):
    verdicts.forest(ax, part, map(named, part.itertuples()), criteria.MARGIN)
    for place, row in enumerate(part.itertuples()):
        if row.data == criteria.PRIMARY:
            ax.plot(theirs[row.ratio] - theirs[0], place, "D", color="C1", label="the paper")
    ax.set(title=title, xlabel="minus wildlife only (points of top-1)")
lines = {text: line for ax in axes for line, text in zip(*ax.get_legend_handles_labels())}
figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=5, fontsize="small");

# %% [markdown]
# *Figure 4. What a share of general sound adds to wildlife only, in points of top-1 on test with 95 % intervals over seeds and species.* Grey band: too little to change which model anybody uses.
# **See:** no row differs; on birds both intervals lie far below the paper's gains (diamonds), and general only is within the band. With five seeds a true difference of 3 to 4 points would have been found there with 80 % power.
# **Ask:** which rows are too wide to say anything?

# %%
birds = swept[swept["data"] == criteria.PRIMARY] if len(swept) else swept
words = {0: "wildlife only", 7: "7 : 1", np.inf: "general only"}
if len(birds):
    arms = {words[r]: arm for r, arm in birds.groupby("ratio")}
    means = {name: arm["test.top1.value"].mean() for name, arm in arms.items()}
    pairs = verdicts.compared([{"pair": (a, b), "change": verdicts.between(arms[a], arms[b])}
                               for a, b in itertools.combinations(arms, 2)])
    exercises.predicted("on birds, best first", order, sorted(means, key=means.get, reverse=True),
                        tied=pairs.loc[pairs["answer"] != "differs", "pair"])

# %% [markdown]
# ## Does pretraining help at all?
#
# Before ratios can matter, pretraining itself must: against random weights that were finetuned as well as could be, and against opponents that were never pretrained. The same ratio, 7 : 1, at
# several budgets, five seeds each. (At 24,000 clips, the main job's, every seed has a pretraining of its own; at the others one encoder served all seeds, so that their intervals say
# nothing of other pretrainings.)

# %%
table = runs.beside(curve.load(preset, subtract), run, sweep=False)
figure = curve.figure(table)
if setting.name != "smoke" and len(table):
    plots.save(figure, "05_budget")

# %% [markdown]
# *Figure 5. Left: top-1 on test against the clips of pretraining; right: what pretraining adds to random weights, with 95 % intervals.* Dots are single finetunings, squares the same encoders
# frozen under a logistic regression, grey lines opponents without pretraining. **See:** every gain of the finetuned is above 0 and undecided; frozen encoders cannot be told from logistic
# regression without them; a small CNN from scratch stands 14 to 17 points above all of them. **Ask:** the paper draws 13.7 million clips. What would you expect of more?
#
# ## What was seen
#
# The paper's claims about ratios, what would hold them up (written before the runs), and what came out; all pools stand in `papermill_runs/RESULTS.md`:

# %%
Markdown(report.answered("Table 4", pools=(criteria.PRIMARY, verdicts.MADE)))

# %% [markdown]
# - **On birds** general only minus wildlife only is -0.4 [-2.6, +1.9] points, *no difference* by the margin set before; seven to one minus wildlife only is -0.1 [-3.0, +2.9], undecided. The paper has +11.2 and +10.4.
# - **In the generator's world** six means from 37.9 to 40.2 % stand in nearly the paper's order, and none can be told from another: so looks a table without intervals.
# - **One reason**: pretraining itself buys little here (+1.1 to +2.6 points over random weights, all undecided). Where nothing is gained, no mixture can gain more; the *null*, other species in the place of
#   general sound, changes as little (+0.4 [-1.5, +2.3]).
# - **Frogs and animals** decide nothing: too few field recordings, one seed.
#
# **At full scale** the same notebook runs by parameters alone: commands, data sets and costs stand in [papermill_runs](../papermill_runs/README.md#at-full-scale).
#
# ## Exercises
#
# Fill in the function and run the cell: its last line tries it on numbers you have not seen and says whether it is right, or what to look at.

# %%
from lib.course import exercises_05 as check

# %% [markdown]
# ### 1 · Exact counts
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
# ### 2 · A masked autoencoder in one line of algebra
#
# Average a recording over time, and one number per mel band is left. Hide four fifths of the bands and guess them from the others, each as a weighted sum (ridge regression): a masked autoencoder
# that trains in milliseconds, so that you can try every ratio. `train` (N, M) and `test` (K, M) are levels in dB, `hidden` (M,) is True for the bands that are hidden. Learn from `train`,
# and guess the hidden bands of `test`.

# %% tags=["exercise"]
def linear_guess(train, test, hidden):
    """The hidden bands of every recording of test, guessed from its visible ones: (K, hidden)."""
    return None


check.linear_guess(linear_guess)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# from sklearn.linear_model import Ridge
#
#
# def linear_guess(train, test, hidden):
#     return Ridge().fit(train[:, ~hidden], train[:, hidden]).predict(test[:, ~hidden])
# ```
# Your line is lowest at *wildlife only* and rises with every share of general sound; after *general only* it is no better than the nearest visible band. Guessing hidden wildlife is learnt from wildlife. That the
# species in Figure 3 do not follow says that guessing sound well and telling species apart are two things.
# </details>

# %%
def levels(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Mean level of each mel band in dB, a row a recording, and the split of each."""
    known = baseline.statistics(front, table, workers=setting.workers)
    return 10 / np.log(10) * known.kinds["mean, spread"][:, : front.mels], known.table["split"]


def error(guess, share: float) -> float:
    """Root mean square error on test of a guess that learned from 120 recordings, in dB."""
    errors = []
    for rng in map(np.random.default_rng, range(5)):
        n, k = len(sound), round(share * len(sound))
        train = np.concatenate([rng.permutation(sound)[:k], rng.permutation(animals)[: n - k]])
        hidden = rng.permutation(front.mels) < 0.8 * front.mels
        errors.append(np.mean((guess(train, asked, hidden) - asked[:, hidden]) ** 2))
    return np.mean(errors) ** 0.5


both, split = levels(pools["wildlife"].query("split != 'unlabelled'"))
animals, asked = both[split == "train"], both[split == "test"]
general_train = pools["general"].query("split == 'train'")
sound = levels(general_train.iloc[:: max(1, len(general_train) // 120)][:120])[0][: len(animals)]

# %%
def band_mean(train, test, hidden):
    """Each hidden band's mean over the training recordings."""
    return np.tile(train[:, hidden].mean(0), (len(test), 1))


def nearest_band(train, test, hidden):
    """What the nearest visible band of the same recording has."""
    seen = np.flatnonzero(~hidden)
    near = np.abs(np.subtract.outer(np.flatnonzero(hidden), seen)).argmin(1)
    return test[:, seen[near]]


guesses = {"each band's mean": band_mean, "the nearest visible band": nearest_band}
if exercises.solved(linear_guess):
    guesses["yours"] = linear_guess
steps = {"0": 0, "1": 1 / 2, "3": 3 / 4, "7": 7 / 8, "15": 15 / 16, "∞": 1}
figure, ax = plt.subplots(figsize=(7, 3.6))
for (name, guess), style in zip(guesses.items(), (":", "--", "o-")):
    ax.plot(range(len(steps)), [error(guess, part) for part in steps.values()], style, label=name)
ax.set_xticks(range(len(steps)), steps)
ax.set(xlabel="general recordings per wildlife recording", ylabel="error on wildlife (dB)",
       yscale="log")
ax.set_yticks([0.3, 0.5, 1, 2, 3], ["0.3", "0.5", "1", "2", "3"])
ax.minorticks_off()
ax.legend();

# %% [markdown]
# *Figure 6. The error of guessing hidden mel bands of wildlife recordings against the ratio in 120 training recordings.* **See:** each band's mean misses by about 3 dB, and by more the more of them are
# general sound; the nearest visible band needs no training, so no ratio matters to it. **Ask:** where does yours stand, and which ratio suits it?
#
# ### 3 · One draw of a paired interval
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
# The class average is linear in the hits, so that the difference can be resampled as one set of values. It asks about other recordings of these species; `verdicts.difference`
# asks about other species and other seeds (notebook 11).
# </details>
#
# ### 4 · What a half width finds
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
# A true difference of one half width is found in half of the studies, of 1.43 half widths in 80 %: this is *smallest found*. It depends on the number of species and seeds and not on
# how large the difference is, so that it can be stated before an experiment, from earlier seeds.
# </details>
#
# ### To try: kind or amount?
#
# Is it the *kind* of general sound that would help, or that there is more of it than the wildlife pool holds? Run `general = "chorus:other_species"`, wildlife of other species, at the same ratio.
#
# <details><summary>What to expect</summary>
#
# `python -m lib.runs 05_mix_ratio ratio=7 general=chorus:other_species budget=sweep` for several seeds, then Figure 4. If both pools do equally well, "general"
# was not what mattered.
# </details>
#
# ## Quiz
#
# **Why must the number of samples stay fixed when the ratio changes?** <details><summary>Answer</summary>Otherwise a mixture would also be longer
# training, and a gain could come from either.</details>
#
# **At ratio ∞ no wildlife is heard in pretraining. Where does the model learn about animals?** <details><summary>Answer</summary>Only in
# finetuning, from the labelled recordings. That it can still win (in the paper's Table 4) says that edges, textures and harmonics
# learned anywhere are useful here.</details>
#
# **Two seeds differ by 4 points, two ratios by 3. What do you conclude?** <details><summary>Answer</summary>Nothing yet. The paper shows one run per
# ratio without intervals; differences of a point or two carry claims there.</details>
#
# ## Further reading
#
# - Liu et al. 2026, *Masked Autoencoders with Limited Data: Does It Work?*, [arXiv:2605.14031](https://arxiv.org/abs/2605.14031), section 4.6 and Table 4. (Its text calls AudioSet followed by iNatSounds the best, 59.5, while
#   AudioSet alone has 60.2 in this table.)
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
