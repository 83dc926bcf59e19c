# %% [markdown]
# # 06 · Label fraction: how many labelled recordings does a species need?
#
# **Time**: reading 6 minutes; running at `tiny` about 3 minutes on one core without bf16 (the sheet below measures yours), and once 4 for the pretraining · `smoke` under a minute · `small` not measured · `paper` up to 16 h on one A100 for the
# largest fraction, after 24 h for each pretraining (the paper's hours).
#
# You will
# 1. **thin out** the labels of the train split, nested and stratified, while everything else stays,
# 2. **finetune** on what is left and **draw** accuracy against labels,
# 3. **read** off how many labels pretraining is worth, and whether that is more than chance.

# %% [markdown]
# ## The question
#
# A recorder collects a year of sound in a year; an expert names the calls of an hour in a day. You can pay for a hundred labels. Pretraining needs none: does it make up for those you cannot
# pay for?
#
# > **Predict.** Two curves, accuracy against labelled recordings per species (1, 2, 4, 8, all): random weights, and an encoder pretrained on general sound and then on wildlife. Where is the gap
# > between them widest?

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
import pandas as pd
from IPython.display import Markdown

from lib import mel, plots, runs, sources
from lib.course import exercises
from lib.runs import cost, criteria, experiments, report, verdicts
from lib.transfer import baseline, finetune, probe, starts
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
# Here the subsets are
#
# - **stratified**: every species keeps at least one recording, or the accuracy would measure which species vanished;
# - **nested**: with one seed the 4 recordings of a species contain the 2, which contain the 1, so that a step of the curve adds labels and exchanges none;
# - **drawn anew for each seed**, so that the spread between seeds holds the luck of the draw.
#
# Pretraining always hears all recordings. (The paper "randomly subsamples the training data"; more it does not say.)
#
# > **Predict.** What share of the labelled recordings do 8 per species keep?

# %% tags=["predict"]
eight = None  # in per cent of train

# %%
def labelled(size, draw=seed):
    """The recordings of train that a fraction keeps."""
    return sources.subset(pools["wildlife"], size, draw).query("split == 'train'")


sizes = ["1", "2", "4", "8", "all"]
species = train["label"].value_counts().index
figure, ax = plt.subplots(figsize=(9, 3.2))
for size, shade in zip(sizes[::-1], np.linspace(0.85, 0.2, len(sizes))):
    one = labelled(size)["label"].value_counts().reindex(species)
    ax.bar(range(len(species)), one, color=plt.cm.viridis(1 - shade),
           label=f"{size}: {one.sum()} recordings")
ax.set(xlabel="species, by recordings in train", ylabel="labelled recordings")
ax.legend(title="per species", fontsize="small");

# %% [markdown]
# *Figure 1. What each fraction keeps of every species.* **See:** the long tail is all there is of some species: from 4 to 8 per species the rarest
# gain nothing, and "all" adds labels to common species only.

# %%
files = [set(labelled(size)["file"]) for size in sizes]
share = len(files[sizes.index("8")]) / len(train)
exercises.predicted("8 per species keep", eight, round(100 * share, 1), "%")
assert all(small <= large for small, large in zip(files, files[1:]))  # nested
assert all(labelled(size)["label"].nunique() == len(species) for size in sizes)  # stratified

# %% [markdown]
# ## One point of the curve
#
# "The same optimization settings" (paper, section 4.5) are read as the same epochs. With a quarter of the recordings training then takes a quarter of the steps, so that a gap at few labels
# can be a lack of labels or of steps; `equal_steps=True` tells them apart.

# %%
recipe = setting.finetuning(preset, seed, init != "random")
if equal_steps:
    steps = recipe.epochs * len(train) / min(recipe.batch, len(train))
    epochs = round(steps * min(recipe.batch, len(kept)) / len(kept))
    recipe = dataclasses.replace(recipe, epochs=epochs)
print(f"{recipe.epochs} epochs of {len(kept)} clips in batches of {min(recipe.batch, len(kept))}")

# %%
arch = cost.arch_of(init, setting, weights)
left, encoder = starts.earlier(init, setting.arch(), setting.pretraining(clips, seed), pools,
                               weights=weights)
cost.sheet([cost.starting(init, setting, clips, weights, left),
            *cost.finetuning(arch, runs.front(mel.INAT, subtract), recipe, part,
                             encoder=encoder if budget != "main" else None)], max_hours)

# %% [markdown]
# **See:** few labels save finetuning, never the pretraining and never the evaluation. (Measured a moment ago on the machine in the corner; above `max_hours` a run stops here.)

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
frozen = {}  # share of train: top-1 on test, of a frozen model whose features need no labels
for size in sizes if other else ():
    rest = sources.subset(pools["wildlife"], size, seed)
    heard = outside.features(other, rest)
    scores = probe.evaluate(probe.logistic(heard, "embedding"), heard, seed).scores
    frozen[(rest["split"] == "train").sum() / len(train)] = scores["test"].top1.value
    print(f"{other.name}, frozen, {size} per species: test top-1 {scores['test'].top1}")

# %%
path = run.record({**result.scores["val"]._asdict(), "test": result.scores["test"]},
                  samples_seen=begin.samples,
                  labels=tuned.labels, labelled=len(kept), labelled_share=len(kept) / len(train),
                  answers=result.answers, start=begin.what, finetuning_steps=len(tuned.log),
                  **({"frozen": list(frozen.items())} if other else {}),
                  recipes={"arch": begin.model.arch, "finetune": recipe})

# %% [markdown]
# ## The curve
#
# All that has been run. By the paper's text pretrained models "substantially outperform training from random initialization across all data fractions"; its Figure 3 has curves without numbers.

# %%
# with all labels a run is notebook 04's, the very same: it is taken from there
known = experiments.load(experiments.BY_PLACE["Figure 3"])
if len(known):
    known = known.fillna({"labelled_share": 1.0}).astype({"equal_steps": bool})
table = runs.beside(known, run) if len(known) else known
grown = table[~table["equal_steps"]] if len(table) else table
real = known[(known["data"] == criteria.PRIMARY) & (known["scale"] == setting.name)
             ] if len(known) else known
NAMES = {"random": "random weights", "random+inat_ssl": "wildlife",
         "audioset_ssl": "general sound", "audioset_ssl+inat_ssl": "general sound, then wildlife",
         "imagenet_sl": "ImageNet's pictures", "birdmae": "Bird-MAE",
         "ready": "ready weights", "ready+inat_ssl": "ready weights, then wildlife"}
if weights:
    NAMES |= {name: f"{words} ({weights})" for name, words in NAMES.items() if "audio" in name}
OPPONENTS = {"cnn": ("small CNN", "^"), "logistic": ("logistic regression", "v")}

# %%
def learning_curve(ax, rows: pd.DataFrame) -> None:
    """Random weights, and general sound then wildlife: mean and range over seeds; two opponents."""
    for init, color in (("random", "C0"), ("audioset_ssl+inat_ssl", "C1")):
        arm = 100 * (rows[rows["init"] == init].groupby("labelled_share")["test.top1.value"]
                     .agg(["mean", "min", "max"]))
        ax.plot(100 * arm.index, arm["mean"], "o-", color=color, label=NAMES[init])
        ax.fill_between(100 * arm.index, arm["min"], arm["max"], color=color, alpha=0.15, lw=0)
    for opponent, (words, marker) in OPPONENTS.items():
        column = f"baselines.{opponent}.test.top1.value"
        if column in rows and rows[column].notna().any():
            ax.plot(100, 100 * rows[column].mean(), marker, color="0.35", label=words)
    shares = sorted(set(rows["labelled_share"]))
    ax.set(xscale="log", xlabel="labelled recordings, of train")
    ax.set_xticks([100 * share for share in shares], [f"{share:.0%}" for share in shares])
    ax.minorticks_off()


figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for ax, rows in zip(axes, (grown, real)):
    if len(rows):
        learning_curve(ax, rows)
        ax.set_title(plots.label(rows["data"].iloc[0]))
if other:
    axes[0].plot(*100 * np.array(list(frozen.items())).T, "s--", color="C2",
                 label=f"{other.name}, frozen, this seed")
axes[0].set(ylabel="top-1 on test, class average (%)", ylim=(0, None))
if len(grown) or other:
    axes[0].legend(fontsize="small", loc="upper left")
if len(grown) and setting.name != "smoke":
    plots.save(figure, "06_label_fraction")

# %% [markdown]
# *Figure 2. Accuracy against labels: left the generator's world, right real birds.* Lines are means over seeds, bands reach from the lowest to the highest. *General sound* is a stand-in for AudioSet: an encoder
# pretrained here on the general pool. **See:** the two curves lie on each other; more labels raise both, and a small CNN from scratch with all labels stands above both.
# **Ask:** how many labels more would random weights need to reach the pretrained curve?
#
# Every start minus random weights, on the same recordings and seeds (a row *differs* when p is below 0.05 after Holm's correction):

# %%
def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Every start minus random weights at each size, in points."""
    found = []
    for size in [s for s in sizes if len(rows) and s in set(rows["fraction"])]:
        here = rows[rows["fraction"] == size]
        for name in [n for n in starts.NAMES[1:] if {n, "random"} <= set(here["init"])]:
            change = verdicts.between(here[here["init"] == name], here[here["init"] == "random"])
            found += [{"per species": size, "init": name, "change": change}] if change else []
    return verdicts.compared(found)


gained = [gains(grown), gains(real)]
figure, axes = plt.subplots(2, 1, figsize=(9, 6), height_ratios=[9, 6], sharex=True)
for ax, rows, title in zip(axes, gained, ("the generator's world", "real birds")):
    if len(rows):
        names = [f"{row[1]}: {NAMES[row.init]}" for row in rows.itertuples()]
        verdicts.forest(ax, rows, names, criteria.MARGIN)
    ax.set(title=title, xlabel="minus random weights (points of top-1)")
axes[0].set_xlabel("")
lines = {text: line for ax in axes for line, text in zip(*ax.get_legend_handles_labels())}
figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4);

# %% [markdown]
# *Figure 3. What a start adds to random weights, by labelled recordings per species (the number in front), with 95 % intervals over seeds and species.* **See:** every interval holds 0. Where it lies within the
# band the start makes *no difference*; the others are undecided. **Ask:** the paper's gap with all labels is 21 points. In which rows would you have seen it?

# %%
if len(gained[0]):
    curve = gained[0][gained[0]["init"] == "audioset_ssl+inat_ssl"].set_index("per species")
    top = curve["change"].idxmax()
    near = [size for size, row in curve.iterrows() if row["high"] >= curve["change"][top]]
    exercises.predicted("widest gap to random weights, in recordings per species, at", widest,
                        top, tied=near)

# %% [markdown]
# ## Labels or steps?
#
# At one recording per species the same number of steps as all labels would take, instead of the same epochs; top-1 on test in %:

# %%
longer = table[table["equal_steps"]] if len(table) else table
rows = []
if len(longer):
    beside = table["fraction"].isin(longer["fraction"]) & table["seed"].isin(longer["seed"])
    for (size, steps), arms in table[beside].groupby(["fraction", "equal_steps"]):
        random = arms[arms["init"] == "random"]
        for name, ours in arms[arms["init"] != "random"].groupby("init"):
            if change := verdicts.between(ours, random):
                both = {"random weights": random, NAMES[name]: ours}.items()
                rows.append({"trained for": f"as many {'steps' if steps else 'epochs'}",
                             "per species": size,
                             **{f"{n}: steps": f"{a['finetuning_steps'].mean():,.0f}"
                                for n, a in both},
                             **{f"{n}: top-1": f"{100 * a['test.top1.value'].mean():.1f}"
                                for n, a in both}, "gain [95 %]": str(change)})
plots.table(pd.DataFrame(rows)).hide() if rows else print("no records at equal steps yet")

# %% [markdown]
# **See:** ten times the steps change neither arm by more than a point: it is labels that are few, not steps.
#
# ## What was seen
#
# The paper's claims, what would hold them up (written before the runs), and what came out:

# %%
Markdown(report.answered("Figure 3", pools=(criteria.PRIMARY, verdicts.MADE)))

# %% [markdown]
# - **No gap is seen where labels are few**: with one labelled recording per species pretraining adds +1.2 [-1.0, +3.5] points in the generator's world and -1.5 [-5.7, +2.7] on birds, both undecided. Gains of 3.2 and 6.0 points would have been
#   found with 80 % power.
# - **Labels are worth much**: from one recording per species to all, random weights rise from 10.8 to 38.0 %, on birds from 11.2 to 29.4.
# - **Withdrawn**: our first table read here that pretraining was worth more than 143 labels. Its random weights stood behind a readout that they cannot learn with (notebook 04).
#
# ## Exercises
#
# Fill in the function and run the cell: its last line tries it on numbers you have not seen and says whether it is right, or what to look at.

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
# The order does not depend on `k`, only the cut does. `rng.choice(rows, k)` may draw entirely different rows for another `k`. It is what `sources.subset` does.
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
# `tiny` about 20 of the 33 species that are evaluated keep a label: no model can pass 61 %.
# </details>
#
# ### 3 · Pretraining in closed form
#
# A classifier for few labels that also listens to what nobody labelled. `x` (N, D) are features of the labelled recordings, `labels` (N,) their species, `unlabelled` (R, D) the features of *all* train recordings, `queries` (Q, D)
# what is asked. Return a species for each query.
#
# One way: find the directions in which the unlabelled recordings differ (their singular vectors), keep some of them, and make each as wide as the next. Then take the species whose mean points in the query's
# direction.

# %% tags=["exercise"]
def few_shot(x, labels, unlabelled, queries):
    """The species of every query, (Q,): names that stand in labels."""
    return None


check.few_shot(few_shot)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def few_shot(x, labels, unlabelled, queries):
#     mean, names = unlabelled.mean(0), np.unique(labels)
#     _, width, axes = np.linalg.svd(unlabelled - mean, full_matrices=False)
#     axes = axes[:60].T / width[:60]
#     x, queries = (x - mean) @ axes, (queries - mean) @ axes
#     centres = np.stack([x[labels == name].mean(0) for name in names])
#     centres /= np.linalg.norm(centres, axis=1, keepdims=True)
#     return names[(queries @ centres.T).argmax(1)]
# ```
# With one label per species it stands above the finetuned transformer, pretrained or not; with many it falls behind. So unlabelled recordings *can* be worth labels, and most where labels are fewest: what they
# give here is the shape of the differences between recordings. Try `axes[:20]` and `axes[:150]`, and `x` in the place of `unlabelled`.
# </details>

# %%
def top1(guesses: np.ndarray, truth: np.ndarray) -> float:
    """Class-averaged top-1 in per cent."""
    return 100 * np.mean([np.mean(guesses[truth == name] == name) for name in np.unique(truth)])


def nearest_mean(x, labels, unlabelled, queries):
    """The species whose mean is nearest, all features on one scale; the unlabelled are not used."""
    names, spread = np.unique(labels), x.std(0) + 1e-6
    centres = np.stack([x[labels == name].mean(0) for name in names]) / spread
    return names[np.square(queries[:, None] / spread - centres).sum(-1).argmin(1)]


known = baseline.statistics(mel.INAT, pools["wildlife"].query("split != 'unlabelled'"),
                            workers=setting.workers)
features, rows = known.kinds["mean, spread"], known.table
asked = (rows["split"] == "val").to_numpy()


def at(size: str, classify) -> float:
    """Top-1 on val with so many labels, mean of three draws."""
    found = []
    for draw in range(3):
        own = rows["file"].isin(labelled(size, draw)["file"]).to_numpy()
        guesses = classify(features[own], rows["label"][own].to_numpy(),
                           features[rows["split"] == "train"], features[asked])
        found.append(top1(np.asarray(guesses), rows["label"][asked].to_numpy()))
    return np.mean(found)


# %%
figure, ax = plt.subplots(figsize=(8, 3.8))
for init, color in (("random", "C0"), ("audioset_ssl+inat_ssl", "C1")) if len(grown) else ():
    arm = 100 * grown[grown["init"] == init].groupby("fraction")["top1.value"].mean()
    ax.plot(sizes, arm.reindex(sizes), "o-", color=color, label=f"finetuned: {NAMES[init]}")
ax.plot(sizes, [at(size, nearest_mean) for size in sizes], "s:", color="0.35",
        label="nearest mean of log-mel statistics")
if exercises.solved(few_shot):
    ax.plot(sizes, [at(size, few_shot) for size in sizes], "D-", color="C2", label="yours")
ax.set(xlabel="labelled recordings per species", ylabel="top-1 on val, class average (%)",
       ylim=(0, None))
ax.legend(fontsize="small");

# %% [markdown]
# *Figure 4. Accuracy on val against labels: the finetuned transformers of Figure 2, and the nearest mean of two numbers per mel band.* **See:** with one label the nearest mean is 3 points below the transformers, with all of them 30.
# (On val, because you will choose by it.) **Ask:** can yours pass the transformers where labels are few?
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
# `np.interp` would answer with its last point. The first version of this study had `np.inf` at 4 recordings per species, and it was an
# artefact: a random curve that is held down by its recipe makes every pretraining worth endless labels.
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
# **Where every arm is close to chance, does pretraining not matter?** <details><summary>Answer</summary>That cannot be said: near chance all arms are alike, whatever they would do with more labels. State the height
# together with the difference.</details>
#
# ## Further reading
#
# - Liu et al. 2026, *Masked Autoencoders with Limited Data: Does It Work?*, [arXiv:2605.14031](https://arxiv.org/abs/2605.14031), section 4.5 and Figure 3.
# - Chen et al. 2020, *Big Self-Supervised Models are Strong Semi-Supervised Learners*, [arXiv:2006.10029](https://arxiv.org/abs/2006.10029): the classic label-fraction protocol.
# - Cortes et al. 1993, *Learning Curves: Asymptotic Values and Rate of Convergence*: why such curves are close to power laws.
