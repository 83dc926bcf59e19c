# %% [markdown]
# # 15 · What to label next, and what sounds alike
#
# **Time**: `tiny` 3 minutes of one core, most of it for hearing all recordings once; opened again it reads what it heard · `smoke` under a minute · `small` and `paper` use the same model and take as long.
#
# You will
# 1. **draw** a map on which recordings that a model hears as alike lie together, and test whether neighbours are of one species,
# 2. **pick** the next clips to label by four rules, and see on the map where each of them goes,
# 3. **measure** what a rule saves against labelling at random, with an interval, or that nothing can be told,
# 4. **label** picks by ear, with a key for each answer, and get a table that a classifier can learn from,
# 5. **write** the embeddings of a folder as one file for R, pandas or DuckDB.

# %% [markdown]
# ## The question
#
# You have ten thousand clips and an afternoon: you can listen to a hundred. **Which hundred?** Any hundred will do, if you draw them at random. A cleverer
# choice should teach a classifier more with the same hundred. Three ideas:
#
# - **uncertain**: what the classifier cannot decide, between two species (*margin*) or among all (*entropy*);
# - **diverse**: what is unlike anything that you have heard so far;
# - **both**: of the uncertain clips those that are unlike each other.
#
# All of them are in use, and papers report savings. Do they save *you* anything? That depends on your recordings and your model, and it can be
# tested before the afternoon, on recordings that are labelled already.
#
# > **Predict before you read on.** Random picks against the best of these rules, for the same accuracy: how many of 100 labels will the rule save?

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
saving = None  # labels of 100 that the best rule saves, on average over the seeds below

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image

from lib import metrics, paths, plots, runs, sources
from lib.course import exercises
from lib.explorers import labelling, soundmap
from lib.field import embeddings, picks, species
from lib.runs import verdicts
from lib.sources import selections, tables
from lib.transfer import reference

plots.style()

# %% tags=["parameters"]
# labelled recordings, to try the rules on: one folder per class, a folder with metadata.csv, a CSV
wildlife: str = "chorus"  # your recordings: folder:PATH, or chorus
# ready are the weights that lie in this repository
model: str = "ready"  # whose embeddings: ready, birdnet or the path of a checkpoint
rules: str = "margin,entropy,diverse,both"  # against random: any of these, with commas
# empty: ten sizes from a twentieth to a half of train
sizes: str = ""  # numbers of labels of the curve, such as 20,40,80
seeds: int = 5  # first drawings that every rule begins with
clips: int = 12  # picks to label by ear at the end
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the map and the intervals; the first of the seeds
data_seed: int = 0  # of the synthetic recordings, and of the split of a folder that brings none

# %%
setting, chosen = runs.scale(scale), [rule.strip() for rule in rules.split(",")]
table = sources.recordings(wildlife, "wildlife", setting.chorus, data_seed)
run = runs.start("15_what_to_label", {"wildlife": table}, wildlife=wildlife, model=model,
                 rules=rules, sizes=sizes, seeds=seeds, clips=clips, scale=scale, seed=seed,
                 data_seed=data_seed)
# species that nobody asks about at the end would only take labels away
table = table[table["label"].isin(table.loc[table["split"] == "test", "label"])]
table = table.reset_index(drop=True)
if table.loc[table["split"] == "train", "label"].nunique() < 2:
    raise ValueError(f"{wildlife}: fewer than two species are both in train and in test; rules are "
                     "compared on two or more, of three recordings (or groups) each")
is_train = (table["split"] == "train").to_numpy()
print(f"scale {setting.name}; {is_train.sum()} recordings of train, "
      f"{(table['split'] == 'test').sum()} of test, {table['label'].nunique()} species")

# %% [markdown]
# ## What a model hears
#
# A frozen model turns a window of sound into a list of numbers, an **embedding**; nothing is learnt here. `model` may be ours or another
# (`lib/transfer/reference.py`). Each recording is the mean of its windows; all numbers are put on one scale, and the 256 directions with most
# variance are kept (`picks.standard`). No label enters any of this. The sounds of test do, for the scale and the directions: who has all clips from
# the start can do so, and it is the same for every rule; for a score on clips that come later fit both on train.

# %%
frozen = reference.load(model)
print(f"{frozen.name}: windows of {frozen.seconds:.2f} s at {frozen.rate:,} Hz, "
      f"{frozen.width:,} numbers each")
known = reference.features(frozen, table)
x = picks.standard(picks.vectors(known, "embedding"))  # (R, D)
print(f"{len(known.row):,} windows of {len(table)} recordings, "
      f"now {x.shape[1]} numbers a recording")

# %% [markdown]
# ## The map
#
# 256 directions do not fit on paper. t-SNE draws points so that *neighbours* stay neighbours; how far apart distant groups lie, and how large a
# group is, means nothing (exercise 2 draws a false island). The four commonest species in colour:

# %%
pool = np.flatnonzero(is_train)
if len(pool) > embeddings.MOST:  # of more the map would take too long
    pool = np.sort(np.random.default_rng(seed).choice(pool, embeddings.MOST, replace=False))
points = embeddings.flat(x[pool], seed)
figure, ax = plt.subplots(figsize=(9, 4.6))
ax.scatter(*points.T, s=9, color="0.75", label="other species")
for name in table["label"][pool].value_counts().index[:4]:
    own = points[(table["label"][pool] == name).to_numpy()]
    ax.scatter(*own.T, s=18, label=plots.label(name, 30))
ax.set(xticks=[], yticks=[], title="train: a point a recording")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# *Figure 1. The recordings of train as the model hears them.* **See:** no colour is an island: to these weights a species is not the main thing that recordings share. A species in several islands would have
# several calls, or places: a model does not know which of these you care about.
#
# ## What sounds alike
#
# A map flatters the eye. A number: take each recording's nearest neighbour *from another group* (another animal or place; its own would be no surprise).
# How often is it of the same species?

# %% tags=["predict"]
alike = None  # in per cent of the recordings

# %%
near, _ = embeddings.nearest(x[pool], x[pool], 50)  # (R, 50), itself among them
group = pd.factorize(tables.units(table))[0][pool]
label = table["label"].to_numpy()[pool]
other = group[near] != group[:, None]
first = near[np.arange(len(near)), other.argmax(1)]
counted = other.any(1)
same = 100 * (label[first] == label)[counted].mean()
by_chance = 100 * np.mean([(label[group != g] == name).mean() for g, name in zip(group, label)])
room = species.wilson(same / 100, len(set(group[counted])))  # a trial a group
exercises.predicted("nearest neighbour is of the same species", alike, same, "%",
                    within=tuple(100 * end for end in room))
print(f"by chance: {by_chance:.1f} %")

# %% [markdown]
# The explorer: click a point, or walk with the arrows, and hear the clip and the two most like it. On GitHub only this still picture shows.

# %%
places = picks.windows(known, frozen)
begins = np.flatnonzero(~pd.Series(known.row).duplicated())[pool]  # the first window of each
explorer = soundmap.SoundMap(places.loc[begins], x[pool], points)
view = explorer.update(1)
print(view.text)
Image(view.image)

# %% [markdown]
# *Figure 2. A clip and the two that the model hears as most like it, each from its first window.* **See:** neither is of the same species; the last has a call of harmonics too, the middle one shares only the background. And the map to walk on:

# %%
explorer

# %% [markdown]
# *The map.* What to try: put a species in colour, click one of its points far from the others, and listen: another call,
# another place, or a wrong label? A click takes the nearest point; the keys are Tab, arrows and space.
#
# ## The rules
#
# $$ \mathrm{margin}(x) = p_1(x) - p_2(x), \qquad \mathrm{entropy}(x) = -\sum_c p_c(x) \log p_c(x) \tag{1} $$
#
# with $p_1 \ge p_2$ the two largest of a classifier's probabilities; small margins and large entropies are uncertain. *Diverse* is **greedy k-centre**: again and again the clip that is furthest from all
# that is labelled or picked,
#
# $$ \mathrm{next} = \arg\max_x \; \min_{c \in \mathrm{labelled}} \lVert x - c \rVert . \tag{2} $$
#
# *Both* takes, of the four times as many clips with the smallest margins, those that (2) spreads. Here each rule picks from the same beginning:

# %%
names = np.unique(table["label"][is_train])
targets = np.searchsorted(names, label)
stages = [int(n) for n in sizes.split(",")] if sizes else picks.steps(is_train.sum())
if len(stages) < 2:
    raise ValueError(f"sizes are {stages}, of {is_train.sum()} recordings in train: rules are "
                     "compared at two sizes or more, so label more, or give sizes such as 2,4")
begun = picks.choose("random", stages[0], x[pool], [], np.random.default_rng(seed))
beginner = picks.learn(x[pool][begun], targets[begun])
p = picks.ask(beginner, x[pool], len(names))
figure, axes = plt.subplots(2, 2, figsize=(9, 5.6))
for ax, rule in zip(axes.flat, ("random", "margin", "diverse", "both")):
    got = picks.choose(rule, stages[0], x[pool], begun, np.random.default_rng(seed), p=p)
    ax.scatter(*points.T, s=6, color="0.8")
    ax.scatter(*points[begun].T, s=22, color="k", marker="x", label="labelled")
    ax.scatter(*points[got].T, s=26, color="C1", label="next")
    ax.set(xticks=[], yticks=[],
           title=f"{rule}: {len(set(targets[got]) - set(targets[begun]))} new species")
axes[0, 0].legend(loc="upper left");

# %% [markdown]
# *Figure 3. The labelled recordings (crosses) and what each rule would label next (orange).* **See:** *diverse* goes to the rim, where a map has its oddities: rare species, and also wind, clipping and voices.
# *Margin* stays where the classifier is torn; with so few labels that may be anywhere.
#
# ## Does it save labels?
#
# The whole afternoon, in a minute: a listener starts with a few recordings at random, a logistic regression learns, a rule picks the next, the
# listener (the labels of train) answers, and so on. The score is on test, which no rule ever sees. Five beginnings, the same for every rule, so
# that rules differ in nothing but their picks.

# %%
curves = pd.concat([picks.simulate(x, table, rule, stages, seed + k)
                    for rule in dict.fromkeys(["random", *chosen]) for k in range(seeds)],
                   ignore_index=True)
shown = 100 * curves.pivot_table(index="labels", columns="rule", values="top1", sort=False)
plots.table(shown).format("{:.1f}")

# %%
asked = np.unique(table.loc[table["split"] == "test", "label"], return_inverse=True)[1]
figure, (ax, gain) = plt.subplots(1, 2, figsize=(11, 4))
held = []  # whether each interval holds zero
for i, rule in enumerate(shown):
    ax.plot(shown[rule], "o-", color="k" if rule == "random" else f"C{i}", markersize=4, label=rule)
    if rule != "random":
        more = picks.recalls(curves, asked, rule) - picks.recalls(curves, asked, "random")
        at = [verdicts.crossed(more[:, k]) for k in range(1, len(stages))]
        value, low, high = (100 * np.array([getattr(c, end) for c in at])
                            for end in ("value", "low", "high"))
        held += [*(low * high <= 0)]
        place = np.array(stages[1:]) + (i - 2) * 0.012 * stages[-1]
        gain.errorbar(place, value, [value - low, high - value], fmt="o", color=f"C{i}",
                      markersize=4, linewidth=1)
gain.axhline(0, color="k", linewidth=0.8)
gain.set(xlabel="labelled recordings", ylabel="minus random (points)")
ax.set(xlabel="labelled recordings", ylabel="top-1 on test, class average (%)", ylim=(0, None),
       title=f"{plots.label(run.data['wildlife']['name'])}, {plots.label(model, 30)}")
ax.legend(fontsize="small")
print(f"{sum(held)} of {len(held)} intervals hold zero")

# %% [markdown]
# *Figure 4. Left: what a listener's classifier is right about, against the labels given, mean over the beginnings. Right: each rule minus random picks, with 95 % intervals over other beginnings and other species.* **See:**
# every interval holds zero (the count is printed). They are not corrected for being many: of 36 about two would miss zero by luck. A single beginning, or the left panel alone, would have named a winner.
#
# Two numbers sum it up. **The gain**: the class-averaged top-1 of a rule minus that of random picks, mean over all sizes but the first, with an interval over
# other beginnings *and* other species; the rules are one family, and Holm's correction holds over it. **The saving**: where the rule reaches what random
# picks have with all their labels.

# %%
rows, savings = [], {}
for rule in chosen:
    ours, base = (picks.recalls(curves, asked, name)[:, 1:].mean(1) for name in (rule, "random"))
    rows.append({"rule": rule, "change": verdicts.crossed(ours - base)})
    savings[rule] = picks.saved(curves, asked, rule, np.random.default_rng(seed))
compared = verdicts.compared(rows)
print(*(saved.text for saved in savings.values()), sep="\n")
plots.table(compared).format("{:+.1f}", subset=["change", "low", "high"], na_rep="").format(
    "{:.1f}", subset=["smallest found"], na_rep="").hide()

# %% [markdown]
# **See:** the column *answer* first. *Undecided* is a result: with these recordings and this model the rule may help or harm by up to the ends of its interval, and a gain of *smallest found* or more would have shown in four cases of five, were it the only rule.
# A rule whose saving runs from *not reached* to some number has saved nothing that you could plan with.

# %%
best = max(savings.values(), key=lambda saved: saved.labels)
value, *room = (max(0.0, 100 * labels / stages[-1]) for labels in best[:3])
exercises.predicted("labels of 100 that the best rule saves", saving, value, within=tuple(room))

# %% [markdown]
# **Checkpoint.** Every rule began with the same labels. If this passes, go on.

# %%
assert curves[curves["labels"] == stages[0]].groupby("seed")["top1"].nunique().eq(1).all()

# %% [markdown]
# ## The afternoon
#
# Now picks to listen to: *windows*, with a start and an end, one from each recording. Imagine that only the crosses of Figure 3 are labelled; a classifier learns from their windows, and its guess stands beside each pick.

# %%
inside = np.flatnonzero(is_train[known.row])  # windows of train
windows = places.loc[inside].reset_index(drop=True)
w = picks.standard(known.kinds["embedding"][inside])
heard = np.flatnonzero(np.isin(known.row[inside], pool[begun]))
kinds = np.searchsorted(names, windows["label"])
p = picks.ask(picks.learn(w[heard], kinds[heard]), w, len(names))
got = picks.choose("both", clips, w, heard, np.random.default_rng(seed), p=p,
                   groups=known.row[inside])
todo = windows.loc[got, ["file", "start_s", "end_s"]].assign(label=names[p[got].argmax(1)],
                                                            score=p[got].max(1), windows=1)
shown = todo.assign(file=[paths.Path(file).name for file in todo["file"]],
                    truth=windows["label"][got])
plots.table(shown.drop(columns="windows").head(6)).format(precision=2).hide()

# %% [markdown]
# The desk: play a clip (p), then **y** (the guess is right), **n** (none of these species), or type another name (**o**); **u** takes the last answer
# back. Every answer is in the file at once, and the desk goes on there when you run the cell again.

# %%
folder = paths.cache("what_to_label", run.name)
desk = labelling.Labelling(todo, folder / "labels.csv", list(names))
view = desk.update(1)
print(view.text)
Image(view.image)

# %% [markdown]
# *Figure 5. The first pick.* **See:** a short falling call of six harmonics, and clicks. **Ask:** would you agree with the guess? On GitHub only this still picture shows; the desk itself:

# %%
desk

# %% [markdown]
# *The desk.* `labels.csv` is `file,label,start_s,end_s`: notebook 12 learns from it with
# `wildlife=folder:.../labels.csv`. Rather in Audacity or Raven? The picks as their files:

# %%
base = os.path.commonpath([Path(file).parent for file in todo["file"]])
files = selections.export(todo.assign(file=[os.path.relpath(f, base) for f in todo["file"]]),
                          folder / "picks", (0.0, frozen.rate / 2))
print(*sorted(plots.plain(file.relative_to(folder)) for file in files)[:4], "...", sep="\n")

# %% [markdown]
# **Checkpoint.** What was exported, read back, are the picks.

# %%
back = pd.read_csv(folder / "picks" / "selections.csv")
assert np.allclose(back["start_s"], todo["start_s"], atol=1e-4) and len(back) == len(todo)

# %% [markdown]
# ## Embeddings out
#
# Your own unlabelled folder needs no table and no split. One command writes every window of every sound in it, in memory that does not grow with the
# folder; stopped, it goes on:
#
# `python -m lib.field.embeddings FOLDER out=FILE.parquet model=ready`
#
# In R `arrow::read_parquet(FILE)`, in pandas `pd.read_parquet(FILE)`. Here one recording of this run, and the checkpoint that it says the same:

# %%
(folder / "one.parquet").unlink(missing_ok=True)  # of an earlier run, maybe of other sound
file = embeddings.write(frozen, table["file"][0], folder / "one.parquet")
one = embeddings.read(file)
print({name: one.about[name] for name in ("model", "key", "window_s", "step_s", "width")})
assert np.allclose(one.vectors[0], known.kinds["embedding"][known.row == 0][0], atol=1e-3)

# %% [markdown]
# With such a file the picks are two lines: `x = picks.standard(one.vectors)` and
# `picks.choose("diverse", 100, x, [], rng, groups=one.windows["file"])`; then the desk.
#
# ## The record

# %%
last = curves[(curves["rule"] == "random") & (curves["labels"] == stages[-1])]["top1"]
path = run.record({"test": {"top1": last.mean()}, "neighbours": same / 100,
                   "by_chance": by_chance / 100,
                   "rules": compared.to_dict("list"),
                   "saved": {rule: saved._asdict() for rule, saved in savings.items()}},
                  samples_seen=0, key=frozen.key, sizes=stages,
                  curves=curves.drop(columns="hits").round(4).to_dict("list"))

# %%
records = runs.records("15_what_to_label")
if len(records):
    columns = {"data.wildlife.name": "recordings", "model": "model", "scale": "scale",
               "test.top1": "random, at the end"}
    columns |= {f"rules.{name}": name for name in ("rule", "change", "low", "high", "answer")}
    kept = records[list(columns)].rename(columns=columns).explode(list(columns.values())[4:])
    points_of = {name: "{:+.1f}" for name in ("change", "low", "high")}
    points_of["random, at the end"] = "{:.1%}"
    display(plots.table(kept).format(points_of, na_rep="").hide())

# %% [markdown]
# ## What was seen
#
# On 496 recordings of 57 species of real birds, 294 of them in train, from 15 to 147 labels, five beginnings:
#
# - **With our ready weights no rule can be told from random**: margin -1.8 [-4.1, +0.5] points, entropy -0.6 [-3.4, +2.1], diverse +0.9 [-3.0, +4.8], both -0.2 [-3.5, +3.0]; random picks end at 11.9 %.
# - **With BirdNET's embeddings every rule beats random**: margin +7.4 [+2.4, +12.4], entropy +9.9 [+4.7, +15.0], diverse +6.2 [+0.2, +12.3], both +10.6 [+5.5, +15.8]; random picks end at 79.6 %, which *entropy* reaches with 55 labels fewer (16 to 70).
# - The nearest neighbour from another group is of the same species in 78 % with BirdNET's, in 16 % with ours, by chance in 1.3 %.
#
# So a rule is worth what the embedding is worth: **first a model that hears your animals, then a rule**. BirdNET has most likely heard some of these very recordings (they are from xeno-canto), and some species have nearly all of theirs from one recordist: a part of such numbers may be the
# microphone. For a species that it never met, measure first.

# %% [markdown]
# ## Exercises
#
# Each cell is yours: write the function, run it, and the check answers with "Right" or a hint.

# %%
from lib.course import exercises_15 as check

# %% [markdown]
# ### 1 · The margin
#
# From probabilities (N, C), the numbers of the `n` least certain clips by equation (1), the least certain first.

# %% tags=["exercise"]
def least_certain(p, n):
    """The rows with the smallest difference between the two largest probabilities."""
    return None


check.least_certain(least_certain)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def least_certain(p, n):
#     two = np.sort(p, axis=1)[:, -2:]
#     return np.argsort(two[:, 1] - two[:, 0], kind="stable")[:n]
# ```
# The largest probability alone says something else: 0.5 against 0.49 is a coin, 0.5 against ten times 0.05 is not.
# </details>
#
# ### 2 · How much of a neighbourhood is the species
#
# A map can show an island where there is none. The honest number: among each clip's `k` nearest others (Euclidean), the share of its own label, averaged
# over clips.

# %% tags=["exercise"]
def purity(x, label, k):
    """The mean share of the k nearest other rows of x (N, D) that have the row's own label."""
    return None


check.purity(purity)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def purity(x, label, k):
#     away = ((x[:, None] - x) ** 2).sum(-1)
#     np.fill_diagonal(away, np.inf)
#     near = np.argsort(away, axis=1)[:, :k]
#     return (label[near] == label[:, None]).mean()
# ```
# Without the infinity every clip would be its own nearest neighbour, and right.
# </details>
#
# ### 3 · Greedy k-centre
#
# Equation (2): the next `n` rows of `x`, beginning from the rows that are `labelled`.

# %% tags=["exercise"]
def k_centre(x, labelled, n):
    """n rows, each the furthest from all that are labelled or picked before it."""
    return None


check.k_centre(k_centre)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def k_centre(x, labelled, n):
#     centres = list(labelled)
#     for _ in range(n):
#         away = ((x[:, None] - x[centres]) ** 2).sum(-1).min(1)
#         centres.append(int(away.argmax()))
#     return centres[len(labelled):]
# ```
# Each pick becomes a centre: without that, all n would sit in the same far corner.
# </details>
#
# ### 4 · How many labels are saved
#
# Two rising curves over the same `sizes`. At how many labels does the rule reach what random picks have at the end, and how many fewer is that than all? 0 where it never does.

# %% tags=["exercise"]
def labels_saved(sizes, rule, random):
    """sizes[-1] less the labels at which `rule` (K,) first has random[-1], by a straight line."""
    return None


check.labels_saved(labels_saved)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def labels_saved(sizes, rule, random):
#     if rule[-1] < random[-1]:
#         return 0.0
#     return sizes[-1] - np.interp(random[-1], rule, sizes)
# ```
# A rule can be ahead in the middle and save nothing at the end, and the other way round: say which of them is meant before looking.
# </details>
#
# ### 5 · A rule of your own
#
# Change one thing and end in a figure. `my_rule(p, x, labelled)` scores every clip: the highest are picked. Its first line may be
# `1 - margin`; add something: how crowded the place is, how far from what is labelled. The check tries it on a small world in which a third
# of the clips are noise; then draw its curve beside Figure 4 by labelling in a loop (below).

# %% tags=["exercise"]
def my_rule(p, x, labelled):
    """A score a clip (N,), the higher the sooner: uncertain clips that many others are near to."""
    return None


check.my_rule(my_rule)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_rule(p, x, labelled):
#     two = np.sort(p, axis=1)[:, -2:]
#     away = np.sqrt(((x[:, None] - x) ** 2).sum(-1))
#     crowd = np.exp(-away / np.median(away)).mean(1)
#     return (1 - (two[:, 1] - two[:, 0])) * crowd
# ```
# Uncertainty times density (Settles and Craven 2008): an odd clip that nothing resembles teaches about nothing else.
# </details>

# %%
def curve_of(score, seed):
    """Class-averaged top-1 on test (%) at every size when the highest scores are labelled next."""
    at, found = np.flatnonzero(is_train), []
    have = np.random.default_rng(seed).permutation(len(at))[: stages[0]]
    for size in stages:
        if size > len(have):
            s = np.asarray(score(q[at], x[at], have), float)
            s[have] = -np.inf
            have = np.append(have, np.argsort(-s)[: size - len(have)])
        q = picks.ask(picks.learn(x[at[have]], y[at[have]]), x, len(every))
        found.append(100 * metrics.class_average(q[ask].argmax(1) == y[ask], y[ask]))
    return found


every, y = np.unique(table["label"], return_inverse=True)
ask = np.flatnonzero(table["split"] == "test")
figure, ax = plt.subplots(figsize=(8, 3.8))
random = curves[curves["rule"] == "random"]
for _, one in random.groupby("seed"):
    ax.plot(one["labels"], 100 * one["top1"], color="0.75", linewidth=1)
ax.plot(100 * random.groupby("labels")["top1"].mean(), "ko-", label="random, mean")
if exercises.solved(my_rule):
    mine = np.mean([curve_of(my_rule, seed + k) for k in range(seeds)], axis=0)
    ax.plot(stages, mine, "o-", color="C1", label="your rule, mean")
ax.set(xlabel="labelled recordings", ylabel="top-1 on test\n(class average, %)")
ax.legend(loc="upper left");

# %% [markdown]
# *Figure 6. Random picks, a grey line a beginning, and their mean.* **See:** one beginning differs from the next by more than any rule of Figure 4 gains. **Ask:** does your rule lie above the mean by more than the intervals on the right of Figure 4 are long?
#
# ## Quiz
#
# **A rule saves 40 labels with one beginning and costs 30 with another. What do you report?** <details><summary>Answer</summary>The mean difference with its
# interval over beginnings, and that it is undecided if that holds 0. The first one alone is an anecdote.</details>
#
# **Why must random picks begin with the same recordings as the rule?** <details><summary>Answer</summary>The luck of the first few labels is larger than most rules' gains. Paired, it
# cancels.</details>
#
# **You label by a rule, then estimate how common each species is from these labels. What goes wrong?** <details><summary>Answer</summary>The rule chose them: the odd and the doubtful
# are too many. Keep a part drawn at random for estimating, and for testing.</details>
#
# **On the map a species has three islands. Are there three call types?** <details><summary>Answer</summary>Perhaps; or three places, three recorders, three distances. Listen to one clip of each, and
# compare groups.</details>
#
# ## What was not shown
#
# A real heap: this one holds nothing but the species that are asked about at the end, as if somebody had sorted out all others, wind and voices, to which *diverse* goes first. Listening costs the same for every clip here; in truth a doubtful clip takes longer. The listener never errs. One label a recording, where a clip may hold several species. Gradient embeddings (BADGE), which weigh
# uncertainty and diversity in one distance, and models that learn during the afternoon: the encoder stays frozen. Stopping rules.
#
# ## Further reading
#
# - Settles 2009, *Active Learning Literature Survey*, [University of Wisconsin, Computer Sciences 1648](https://burrsettles.com/pub/settles.activelearning.pdf): uncertainty sampling and its relatives.
# - Sener and Savarese 2018, *Active Learning for Convolutional Neural Networks: A Core-Set Approach*, [arXiv:1708.00489](https://arxiv.org/abs/1708.00489): greedy k-centre.
# - Ash et al. 2020, *Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds* (BADGE), [arXiv:1906.03671](https://arxiv.org/abs/1906.03671).
# - Kath, Serafini, Campos, Gouvêa and Sonntag 2024, *Leveraging transfer learning and active learning for data annotation in passive acoustic monitoring of wildlife*,
#   [doi:10.1016/j.ecoinf.2024.102710](https://doi.org/10.1016/j.ecoinf.2024.102710): active learning in bioacoustics.
# - van der Maaten and Hinton 2008, *Visualizing Data using t-SNE*, JMLR 9, 2579-2605; Wattenberg, Viégas and Johnson 2016, *How to Use t-SNE Effectively*,
#   [doi:10.23915/distill.00002](https://doi.org/10.23915/distill.00002).
