# %% [markdown]
# # 06 · Label fraction: how many labelled recordings does a species need?
#
# **Time**: `tiny` one minute of one core of an Intel Xeon (AVX-512 bf16) at fraction 4, by the sheet below, which finds the pretrained model there; 3 without it · `smoke` under a minute · `small` not measured ·
# `paper` up to 16 h on one A100 for the largest fraction, after 24 h for each pretraining (the paper's hours).
#
# You will
# 1. **thin out** the labels of the train split, nested and stratified, while everything else stays,
# 2. **finetune** one initialisation on what is left, at the same number of epochs or of steps,
# 3. **draw** accuracy against labels for every initialisation that has been run (Figure 3 of Liu et al. 2026),
# 4. **read** off how many labels pretraining is worth, and whether that is more than chance.

# %% [markdown]
# ## The question
#
# Labels are what bioacoustics is short of: a recorder collects a year of sound in a year, an expert names the calls of an hour in a day. Pretraining needs no labels. So its
# worth should be largest where labels are fewest.
#
# > **Predict before you read on.** Sketch two curves, accuracy against recordings per species (1, 2, 4, 8, all): random weights and a pretrained encoder. Where is the gap
# > widest: at 1, in the middle, at all?

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
widest = None  # "1", "2", "4", "8" or "all"

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

from lib import mel, plots, runs, sources
from lib.course import exercises
from lib.runs import cost, criteria, experiments, report, verdicts
from lib.transfer import finetune, probe, starts
from lib.transfer import reference as outside

plots.style(photo=False)

# %% tags=["parameters"]
# random, random+inat_ssl, audioset_ssl, audioset_ssl+inat_ssl, imagenet_sl or birdmae as in the
# paper's Figure 3, or ready, the weights that lie in this repository, or
# ready+inat_ssl, which are those pretrained further
init: str = "random+inat_ssl"  # what the encoder starts from, ready or a row of Figure 3
# recordings per species such as "4", a share such as "10%", or "all"
fraction: str = "4"  # what is kept of train
# False: as many epochs as for all labels, as in the paper; True: as many steps
equal_steps: bool = False  # train for as many steps as with all labels
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the training and of which recordings are kept
data_seed: int = 0  # of the synthetic recordings, and of the split of a folder that brings none
# folder:PATH has one folder per class, or is a CSV
wildlife: str = "chorus"  # the pool with the species: chorus, inatsounds:ROOT or folder:PATH
# AudioSet, or what stands in for it
general: str = "chorus"  # the other pool: chorus, audioset:ROOT, esc50 or folder:PATH
# empty means a stand-in for AudioSet, and the hub for imagenet_sl and birdmae
weights: str = ""  # public weights: hub, or a local file
# birdnet, ready, audiomae or a checkpoint: as lib.transfer.reference names it
reference: str = ""  # a frozen model whose curve is drawn beside; empty for none
# study: this repository's, see 04; audiomae: AdamW, layer decay; paper: Adam, as the first author's
# fork has it; lora: few weights
preset: str = "study"  # the recipe of finetuning: study, audiomae, paper or lora
# median: a frame is heard as it lies above what its band has in this clip; none: as in both papers
subtract: str = "median"  # taken off the log-mel where labels are learned: median or none
# sweep is what the records use
budget: str = "main"  # clips of each pretraining that happens here: main, sweep or a number
max_hours: float = 1.0  # a run that would take longer on this machine is refused

# %%
fraction = str(fraction)  # papermill turns 4 into a number
setting = runs.scale(scale)
clips = runs.clips(setting, budget)
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
part = sources.subset(pools["wildlife"], fraction, seed)
run = runs.start("06_label_fraction", pools, init=init, fraction=fraction, equal_steps=equal_steps,
                 scale=scale, seed=seed, data_seed=data_seed, wildlife=wildlife, general=general,
                 weights=weights, reference=reference, preset=preset, subtract=subtract,
                 budget=budget)
other = outside.load(reference) if reference else None
train, kept = (t[t["split"] == "train"] for t in (pools["wildlife"], part))
print(f"{fraction}: {len(kept)} of {len(train)} labelled recordings "
      f"of {kept['label'].nunique()} species ({len(kept) / len(train):.0%})")

# %% [markdown]
# ## Which labels are kept
#
# The paper "randomly subsamples the training data"; whether per species, nested, or repeated it does not say. Here the subsets are
#
# - **stratified**: every species keeps at least one recording, or the accuracy would measure which species vanished;
# - **nested**: with one seed the 4 recordings of a species contain the 2, which contain the 1. A curve then shows labels being *added*, and its steps are
#   less noisy than those between unrelated draws;
# - **drawn anew for each seed**, so that the spread between seeds holds the luck of the draw.
#
# Pretraining always sees all recordings: they need no labels.
#
# > **Predict.** The line above says what one fraction keeps. What share of the labelled recordings do 8 per species keep?

# %% tags=["predict"]
eight = None  # in per cent of train

# %%
plots.source(sources.subset)

# %%
def labelled(size):
    """The recordings of train that a fraction keeps."""
    return sources.subset(pools["wildlife"], size, seed).query("split == 'train'")


sizes = ["1", "2", "4", "8", "all"]
order = train["label"].value_counts().index
figure, ax = plt.subplots(figsize=(9, 2.8))
for size, shade in zip(sizes[::-1], np.linspace(0.85, 0.2, len(sizes))):
    one = labelled(size)["label"].value_counts().reindex(order)
    ax.bar(range(len(order)), one, color=plt.cm.viridis(1 - shade),
           label=f"{size}: {one.sum()} recordings")
ax.set(xlabel="species, by recordings in train", ylabel="labelled recordings",
       title="what each fraction keeps")
ax.legend(title="per species", fontsize="small");

# %% [markdown]
# *Figure 1. What each fraction keeps of every species.* **See:** the long tail is all train data has for some species: from 4 to 8 per species the rare ones
# gain nothing, and "all" adds labels to common species only.

# %%
files = [set(labelled(size)["file"]) for size in sizes]
share = len(files[sizes.index("8")]) / len(train)
exercises.predicted("8 per species keep", eight, 100 * share, "%")
assert all(small <= large for small, large in zip(files, files[1:]))  # nested
assert all(labelled(size)["label"].nunique() == len(order) for size in sizes)  # stratified

# %% [markdown]
# ## Finetuning on it
#
# > **Predict.** With a quarter of the recordings and the *same epochs*, training takes a quarter of the steps. Would you rather keep the steps equal?
#
# "The same optimization settings" (paper, section 4.5) are read as the same epochs. That gives small fractions fewer steps too, so that a gap at few labels can be a lack of
# labels or of steps; `equal_steps=True` tells them apart.

# %%
recipe = setting.finetuning(preset, seed, init != "random")
if equal_steps:
    steps = recipe.epochs * len(train) / min(recipe.batch, len(train))
    epochs = round(steps * min(recipe.batch, len(kept)) / len(kept))
    recipe = dataclasses.replace(recipe, epochs=epochs)
print(f"{recipe.epochs} epochs of {len(kept)} clips in batches of {min(recipe.batch, len(kept))}")

# %% [markdown]
# **What will be computed.** A sheet comes first because an estimate of seconds may save a day: a run that would take longer than `max_hours` is refused here, before it begins.

# %%
arch = cost.arch_of(init, setting, weights)
left, encoder = starts.earlier(init, setting.arch(), setting.pretraining(clips, seed), pools,
                               weights=weights)
cost.sheet([cost.starting(init, setting, clips, weights, left),
            *cost.finetuning(arch, runs.front(mel.INAT, subtract), recipe, part,
                             encoder=encoder if budget != "main" else None)], max_hours)

# %% [markdown]
# **See:** what few labels save: finetuning, never the pretraining and never the evaluation. Measured a moment ago from a few steps on random clips, on the machine in the corner. What an earlier run left is
# loaded; reading is not counted, so it may be more. With `reference="birdnet"`, on birds, a third arm stands beside the finetuned one: logistic regression on what that frozen model says of the
# same recordings, C chosen on val. It needs no more than its features, so that all sizes are asked at once.

# %%
begin = starts.start(init, setting.arch(), setting.pretraining(clips, seed), pools,
                     weights=weights, workers=setting.workers)
front = runs.front(begin.front, subtract)
print(f"{init}: {begin.what}; front end {front.name}")

# %%
tuned = finetune.finetune(begin.model, begin.model.arch, front, part, recipe,
                          workers=setting.workers, reuse=budget != "main")
result = finetune.evaluate(tuned, front, part, seed, workers=setting.workers)
for split, s in result.scores.items():
    print(f"{split}: top-1 {s.top1}, "
          f"top-5 {s.top5.value:.1%}; {s.recordings} recordings of {s.classes} classes, "
          f"each guess among {s.chosen_from}")
frozen = {}  # share of train: top-1 on test
for size in sizes if other else ():
    rest = sources.subset(pools["wildlife"], size, seed)
    heard = outside.features(other, rest)
    scores = probe.evaluate(probe.logistic(heard, "embedding"), heard, seed).scores
    frozen[(rest["split"] == "train").sum() / len(train)] = scores["test"].top1.value
    print(f"{other.name}, frozen, {size} per species: test top-1 {scores['test'].top1}")

# %% [markdown]
# ## The record

# %%
path = run.record({**result.scores["val"]._asdict(), "test": result.scores["test"]},
                  samples_seen=begin.samples,
                  labels=tuned.labels, labelled=len(kept), labelled_share=len(kept) / len(train),
                  answers=result.answers, start=begin.what, finetuning_steps=len(tuned.log),
                  **({"frozen": list(frozen.items())} if other else {}),
                  recipes={"arch": begin.model.arch, "finetune": recipe})

# %% [markdown]
# ## All that has been run
#
# The paper's Figure 3 shows curves without numbers, so there are no paper's points to draw here; its text says that pretrained models "substantially outperform training from
# random initialization across all data fractions", that iNat-SSL lies between random and AS-SSL, and that AS-SSL + iNat-SSL is the best, by a modest margin.

# %%
# with all labels a run is notebook 04's, the very same: it is taken from there
known = experiments.load(experiments.BY_PLACE["Figure 3"])
if len(known):
    known = known.fillna({"labelled_share": 1.0}).astype({"equal_steps": bool})
table = runs.beside(known, run) if len(known) else known
grown = table[~table["equal_steps"]] if len(table) else table
real = known[(known["data"] == criteria.PRIMARY) & (known["scale"] == setting.name)
             ] if len(known) else known

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True)
for ax, part in zip(axes, (grown, real)):
    for i, name in enumerate(n for n in starts.NAMES if len(part) and n in set(part["init"])):
        arm = (part[part["init"] == name].groupby("labelled_share")["test.top1.value"]
               .agg(["mean", "min", "max"]))
        ax.plot(100 * arm.index, 100 * arm["mean"], "o-", color=f"C{i}", label=name)
        ax.fill_between(100 * arm.index, 100 * arm["min"], 100 * arm["max"],
                        color=f"C{i}", alpha=0.15, linewidth=0)
    ax.set(xscale="log", xlabel="labelled recordings, of train",
           title=plots.label(part["data"].iloc[0]) if len(part) else "not run")
    shares = sorted(set(part["labelled_share"])) if len(part) else []
    ax.set_xticks([100 * share for share in shares], [f"{share:.0%}" for share in shares])
    ax.minorticks_off()
if other:
    axes[0].plot(*100 * np.array(list(frozen.items())).T, "s--", color="0.3",
                 label=f"{other.name}, frozen, this seed")
    axes[0].set_xticks([100 * share for share in frozen], [f"{share:.0%}" for share in frozen])
axes[0].set(ylabel="top-1 on test, class average (%)", ylim=(0, None))
if len(grown) or other:
    axes[0].legend(fontsize="small")
if len(grown):
    plots.save(figure, "06_label_fraction") if setting.name != "smoke" else None

# %% [markdown]
# *Figure 2. Accuracy against labels, every initialisation that has been run: left on the recordings of the run above, right on real birds, in five folds that test each recording once. Lines are means over seeds, bands reach
# from the lowest to the highest seed.* Empty as long as there are no records of the sweep.
#
# The gain over random weights at each size on test, in points; the interval is over other seeds and other species, crossed. A row *differs* when its p is below 0.05 after Holm's correction over the table:

# %%
rows = []
for size in [s for s in sizes if len(grown) and s in set(grown["fraction"])]:
    here = grown[grown["fraction"] == size]
    for name in [n for n in starts.NAMES[1:] if {n, "random"} <= set(here["init"])]:
        change = verdicts.between(here[here["init"] == name], here[here["init"] == "random"])
        rows += [{"per species": size, "init": name, "change": change}] if change else []
gained = verdicts.compared(rows)
(plots.table(gained).format("{:+.1f}", subset=["change", "low", "high"], na_rep="")
 .format("{:.1f}", subset=["smallest found"], na_rep="") if rows else print("no sweep records yet"))

# %% [markdown]
# The prediction of the first page, over all starts and sizes:

# %%
if rows:
    gains = gained.groupby("per species")["change"].mean()
    exercises.predicted("widest gap to random weights, mean over starts, at", widest,
                        gains.idxmax())

# %% [markdown]
# And at one size the same number of steps as all labels would take, instead of the same epochs; test top-1 in %, over the seeds that have both:

# %%
longer = table[table["equal_steps"]] if len(table) else table
if len(longer):
    beside = table["fraction"].isin(longer["fraction"]) & table["seed"].isin(longer["seed"])
    rows = []
    for (size, steps), arms in table[beside].groupby(["fraction", "equal_steps"]):
        random = arms[arms["init"] == "random"]
        for name, ours in arms[arms["init"] != "random"].groupby("init"):
            if change := verdicts.between(ours, random):
                both = {"random": random, name: ours}.items()
                rows.append({"per species": size, "equal": "steps" if steps else "epochs",
                             **{f"steps, {n}": a["finetuning_steps"].mean() for n, a in both},
                             **{n: 100 * a["test.top1.value"].mean() for n, a in both},
                             "change": change})
    if rows:
        longer = verdicts.compared(rows)
        display(plots.table(longer).format("{:.1f}", subset=longer.select_dtypes("float").columns)
                .format("{:,.0f}", subset=longer.filter(like="steps,").columns)
                .format("{:+.1f}", subset=["change", "low", "high"]).hide())

# %% [markdown]
# ## What was seen
#
# The paper's claims, what would hold them up (written before the runs), and what came out:

# %%
Markdown(report.answered("Figure 3"))

# %% [markdown]
# At `tiny`, `chorus`, data_seed 0, three of the sweep's five seeds, equal epochs:
#
# - **No gap where labels are few.** General sound and then wildlife minus random weights is +1.2 [-1.0, +3.5] points with one labelled recording per species, +0.2 [-3.6, +4.0] with two, -0.2 [-2.5, +2.0] with four and +0.3 [-7.0, +7.6] with eight. The paper's curves "substantially outperform" random weights at all fractions; a
#   gap as wide as theirs with all labels (21 points) would have been seen at every size here: 3.2 to 5.5 points are found with 80 % power, 10.4 with eight, where the seeds differ most.
# - **Labels are worth much**: random weights have 10.8 % with one recording per species, 18.7 with two, 29.1 with four and 36.0 with eight. So there was much to gain, and pretraining at this size is worth few labels, if any.
# - The first version of this study had a table here, from which it read that pretraining without labels was worth more than 143 labels. It is withdrawn: its random weights stood behind a readout that they cannot
#   learn with, so that they had 9 % with *all* labels (notebook 04, "Why our first table was wrong").
# - **On real birds** (496 recordings of 57 species, each tested once in five folds; three seeds) it is the same: -1.5 [-5.7, +2.7] points with one labelled recording per species, -0.8 [-3.0, +1.4] with two, which is *no difference* by the margin set before, and -0.7 [-3.8, +2.5] with all (five seeds). Random weights
#   have 11.2, 18.3 and 29.4 %. Few labels are where pretraining should pay first; with 24,000 clips of each pool in small encoders it does not: with two labels a gain of 3.1 points would have been found with 80 % power, with one 6.0.
# - **It is labels that are few, not steps.** With one recording per species and the steps that all labels would take, ten times as many (`papermill_runs/06_label_fraction_steps.sweep.json`), random weights have 10.6 % instead of 10.8, and pretraining adds +0.5 [-4.0, +5.1] points instead of +1.2 [-1.0, +3.5].
#
# ## Exercises
#
# Fill in the function and run the cell: its last line tries it on numbers you have not seen and says whether it is right, or what to look at. The
# solutions are folded below.

# %%
from lib.course import exercises_06 as check

# %% [markdown]
# ### 1 · Nested and stratified
#
# Which recordings keep their label? `labels` (R,) names the species of every train recording. Return the row numbers of `k` recordings of every species (all, where it
# has fewer), drawn at random from the seed, so that with one seed the rows for a small `k` are among those for a larger one.

# %% tags=["exercise"]
def kept_rows(labels, k, seed):
    """Row numbers of the recordings that keep their label."""
    return None


check.kept_rows(kept_rows)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def kept_rows(labels, k, seed):
#     rng = np.random.default_rng(seed)
#     rows = [np.flatnonzero(labels == name) for name in np.unique(labels)]
#     return np.concatenate([rng.permutation(own)[:k] for own in rows])
# ```
# The order does not depend on `k`, only the cut does. `rng.choice(rows, k)` may draw entirely different rows for another `k`.
# </details>
#
# ### 2 · The ceiling of missing labels
#
# Suppose the subset is drawn from all recordings at once, without regard to species. `kept` holds the labels of what was kept, `evaluated` the labels of the val
# recordings. A species without any label is never guessed right: what is the highest class-averaged top-1 that *any* model can have?

# %% tags=["exercise"]
def ceiling(kept, evaluated):
    """The largest possible class average, from 0 to 1."""
    return None


check.ceiling(ceiling)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def ceiling(kept, evaluated):
#     return np.isin(np.unique(evaluated), kept).mean()
# ```
# Try it: `ceiling(train["label"].sample(frac=0.1, random_state=0), pools["wildlife"].query("split == 'val'")["label"])`. With 10 % of the 407 recordings of `chorus` at
# `tiny` about 24 of 40 species keep a label on average, 20 of the 33 that are evaluated: no model can pass 61 %.
# </details>
#
# ### 3 · Equal epochs or equal steps
#
# An epoch over n recordings in batches of `batch` takes n / batch steps, or one step where n is smaller than a batch (the batch shrinks to n). How many epochs of the
# `kept` recordings take as many steps as `epochs` epochs of `everything`? Round at the end.

# %% tags=["exercise"]
def epochs_for_equal_steps(epochs, everything, kept, batch):
    """A whole number of epochs."""
    return None


check.epochs_for_equal_steps(epochs_for_equal_steps)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def epochs_for_equal_steps(epochs, everything, kept, batch):
#     steps = epochs * everything / min(batch, everything)
#     return round(steps * min(batch, kept) / kept)
# ```
# It is the line behind `equal_steps=True`. Equal *clips* would be `epochs * everything / kept`, which is the same only as long as a batch is full.
# </details>
#
# ### 4 · What pretraining is worth in labels
#
# Read the horizontal distance off Figure 2. `sizes` are numbers of labelled recordings, `random` and `pretrained` the accuracies there, both rising. How many more labels do
# random weights need to be as good as the pretrained encoder is with `sizes[i]`? Straight lines between the points; `np.inf` where the random curve never gets there.

# %% tags=["exercise"]
def labels_worth(sizes, random, pretrained, i):
    """Labelled recordings that pretraining saves at sizes[i]."""
    return None


check.labels_worth(labels_worth)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def labels_worth(sizes, random, pretrained, i):
#     if pretrained[i] > random[-1]:
#         return np.inf
#     return np.interp(pretrained[i], random, sizes) - sizes[i]
# ```
# `np.interp` would answer with its last point. If a label costs two minutes of an expert, 250 labels are more than 8 hours. The first version of this study had `np.inf` at 4 recordings per species, and it was an
# artefact: a random curve that is held down by its recipe makes every pretraining worth endless labels.
# </details>
#
# ### 5 · How many seeds
#
# The same point was run with several seeds; `values` are their accuracies in per cent. How many seeds must a mean have for its standard error to be at most `target`
# points? Estimate the spread from the sample (`ddof=1`); a whole number, at least 1.

# %% tags=["exercise"]
def seeds_needed(values, target):
    """The smallest number of seeds."""
    return None


check.seeds_needed(seeds_needed)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def seeds_needed(values, target):
#     return max(1, int(np.ceil(np.var(values, ddof=1) / target**2)))
# ```
# Three seeds know their own spread badly. And near chance seeds differ little because nothing was learnt: state the spread together with the height.
# </details>
#
# ### 6 · To try: labels or steps?
#
# No check: what comes out is yours to judge. Run one point with `equal_steps=True`, for random weights and for another start. Does it change their order?
#
# <details><summary>What to expect</summary>
#
# `python -m lib.runs 06_label_fraction fraction=4 equal_steps=true init=random budget=sweep`, and the same for another `init`. `papermill_runs/06_label_fraction_steps.sweep.json` describes
# it with one per species and five seeds; its rows would stand in the table above.
# </details>
#
# ## Quiz
#
# **Why nested subsets?** <details><summary>Answer</summary>The step from 2 to 4 then adds two recordings to the same two. With unrelated draws the step would also exchange the first two,
# and the curve could even fall.</details>
#
# **Is "10 % of the labels" the same as "10 % of the data"?** <details><summary>Answer</summary>Not here: pretraining hears every recording of the train split without its label. In a project with
# few recordings *and* few labels the gain can be smaller.</details>
#
# **Where every arm is close to chance, does pretraining not matter?** <details><summary>Answer</summary>That cannot be said. With one recording per species and equal epochs there
# are few labels *and* few steps (75 at `tiny`), and the two look alike; the rows at equal steps are there to tell them apart.</details>
#
# ## What was not shown
#
# ImageNet weights (the paper's IN-SL curve: `init=imagenet_sl weights=hub`), percentages of 137,012 recordings at `scale="paper"`, other ways to choose what to label than
# chance. The paper gives no fractions, seeds or numbers for its Figure 3.
#
# ## Further reading
#
# - Liu et al. 2026, *Masked Autoencoders with Limited Data: Does It Work?*, [arXiv:2605.14031](https://arxiv.org/abs/2605.14031), section 4.5 and Figure 3.
# - Chen et al. 2020, *Big Self-Supervised Models are Strong Semi-Supervised Learners*, [arXiv:2006.10029](https://arxiv.org/abs/2006.10029): the classic label-fraction protocol.
# - Cortes et al. 1993, *Learning Curves: Asymptotic Values and Rate of Convergence*: why such curves are close to power laws.
