# %% [markdown]
# # 14 · Long recordings: one hour, several species, and how good is it?
#
# **Time**: `tiny` 1 minute of one core of an AMD EPYC (AVX2) · `smoke` under half a minute · `small` and `paper` use the same ready weights and, with recordings of your own, take as long.
#
# You will
# 1. **hear** a recording of any length with a frozen encoder, in the memory of two minutes,
# 2. **score** several species at once, each by itself,
# 3. **turn** scores into events, and write them for Audacity and Raven,
# 4. **measure** the answers against what people marked: average precision of windows, precision and recall of events, with intervals,
# 5. **say** what windows of three seconds cannot do.

# %% [markdown]
# ## The question
#
# A recorder hung in a marsh for a night. Somebody has marked every call in some minutes of it. You have a classifier from short, clean recordings of
# single species. **How much of what was marked does it find, and how much of what it finds is there?** The score of notebook 12 does not answer this: it is
# about recordings that were made because an animal called. A night is mostly something else, and when it is not, several species call at once.
#
# > **Predict before you read on.** Below, eight species call in a soundscape with rain, engines and voices. A classifier gives each window a score for each
# > species. If it ranked windows at random, its average precision would be the share of windows that hold the species, about a tenth. What will it be?

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
# the mean average precision over species, in per cent
expected = None

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lib import audio, mel, paths, plots, runs, sources
from lib.course import exercises
from lib.field import events, picks, scoring, windows
from lib.runs import experiments
from lib.sources import chorus, chorus_soundscape, selections
from lib.transfer import reference

plots.style()

# %% tags=["parameters"]
# one folder per class, a folder with metadata.csv, or a CSV
wildlife: str = "chorus"  # what the species are learnt from: folder:PATH, or chorus
# ready: the weights in this repository; birdnet, audiomae:FILE, or a checkpoint's path
model: str = "ready"  # the frozen encoder
# empty: a synthetic soundscape is made
soundscape: str = ""  # a long recording of your own
truth: str = ""  # what is marked in it: its Raven table or Audacity track
minutes: float = 10.0  # of the synthetic soundscape; one at smoke
# 0: of each species its own, chosen on another night; with a soundscape of yours 0.5
threshold: float = 0.0  # the score from which on a window counts
gap_s: float = 1.5  # events of a species that lie no more than this apart are one
# empty: the user's cache
out: str = ""  # the folder for the answers
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the soundscape and the intervals
data_seed: int = 0  # of the synthetic recordings

# %% [markdown]
# ## What the species are learnt from
#
# Short recordings with one label each, as in notebook 12. Of the synthetic `chorus` eight species of eight genera are asked about here; the recordings of
# the others are taken as *other animals*.

# %%
if bool(soundscape) != bool(truth) or (wildlife != "chorus" and not soundscape):
    raise ValueError("your own recordings are scored with both soundscape= and truth= "
                     "(notebook 12 answers about recordings without a truth)")
setting = runs.scale(scale)
table = sources.recordings(wildlife, "wildlife", setting.chorus, data_seed)
asked = "test" if wildlife == "chorus" else "train"  # a soundscape of yours is its own test
species = sorted(table.loc[table["split"] == asked, "label"].unique())
if wildlife == "chorus":
    species = species[:: max(1, len(species) // 8)][:8]
learnt = table[(table["split"] == "train") & table["label"].isin(species)]
others = table[(table["split"] == "train") & ~table["label"].isin(species)]
learnt = pd.concat([learnt, others.sample(min(len(others), len(learnt)), random_state=seed)])
learnt = learnt.reset_index(drop=True)
if learnt["label"].nunique() < 2:
    raise ValueError(f"{wildlife} has {', '.join(species) or 'nothing'} alone in train: "
                     "a readout needs what it is not, too, such as a class noise")
run = runs.start("14_long_recordings", {"wildlife": table}, wildlife=wildlife, model=model,
                 soundscape=paths.resolve(soundscape).name if soundscape else "",
                 truth=paths.resolve(truth).name if truth else "", minutes=minutes,
                 threshold=threshold, gap_s=gap_s, scale=scale, seed=seed, data_seed=data_seed)
counted = learnt.loc[learnt["label"].isin(species), "label"].value_counts()
print(f"scale {setting.name}; {counted.sum()} recordings of {len(species)} species and "
      f"{len(learnt) - counted.sum()} of other animals")
plots.table(counted.rename("recordings").to_frame())

# %% [markdown]
# ## The night
#
# `chorus_soundscape` makes one place for any length of time. The animals are those of the *test* recordings in new calls, in bouts at random times, each
# at its own distance; weather, engines, bells and people come and go. It is made a minute at a time, so that an hour would take no more memory. Where every call begins and
# ends is known. Beside it a recording of another place, **without any animal**: what a user has in plenty. Its noises are of the same kinds as the night's, other ones
# of each; that is kinder than a real night (notebook 12 keeps the kinds apart).

# %%
place = paths.resolve(out) if out else paths.cache("long_recordings", run.name)
seconds = 60 * (min(1, minutes) if setting.name == "smoke" else minutes)
if soundscape:
    night, noises = paths.resolve(soundscape), None
    marked = selections.marked(truth, str(night), audio.info(night).duration_s)
else:
    night = place / "night.wav"
    made = chorus_soundscape.write(night, seconds, seed, species, size=setting.chorus,
                                   data_seed=data_seed)
    marked, noises = made[made["kind"] == "call"], made[made["kind"] == "noise"]
    empty = place / "empty.wav"
    chorus_soundscape.write(empty, min(180, seconds), seed + 1, size=setting.chorus,
                            data_seed=data_seed, bouts=0, noises=10)
about = audio.info(night)
if not set(species) & set(marked["label"]):
    raise ValueError(f"{truth} marks none of the species of {wildlife}: compare their names")
if unknown := sorted(set(marked["label"]) - set(species)):
    print(f"not in train, and not asked about: {plots.plain(', '.join(unknown))}")
print(f"{night.name}: {about.duration_s / 60:.1f} min, {len(marked)} calls of "
      f"{marked['label'].nunique()} species"
      + ("" if noises is None else f", {len(noises)} noises"))

# %%
long_s = 10.0 if setting.name == "smoke" else 30.0
first = min(long_s, max(0.0, about.duration_s - long_s))
wave = audio.read(night, 22_050, first, long_s)
front = mel.LogMel(mel.INAT)
figure, ax = plt.subplots(figsize=(10, 3.8))
plots.spec(ax, front(wave[None]), mel.INAT)
near = marked[(marked["end_s"] > first) & (marked["start_s"] < first + long_s)]
if "low_hz" in near:
    plots.boxes(ax, near, mel.INAT, first)
    here = noises[(noises["end_s"] > first) & (noises["start_s"] < first + long_s)]
    plots.boxes(ax, here, mel.INAT, first, edgecolor="white", linestyle=":")
calling = ", ".join(map(plots.label, near["label"].drop_duplicates()))
ax.set(xlim=(0, long_s), title=f"from {first:.0f} s on: {calling or 'nobody calls'}")
plots.sound(wave, 22_050, long_s, title=f"{long_s:.0f} s of the night, from {first:.0f} s on")

# %% [markdown]
# *Figure 1. Calls (boxes) and noises (dotted) of a short part of the night; its title names who calls.* **See:** species that call at the same time, calls of a tenth of a second, and calls so faint
# that only the box shows them. Nobody would mark the last; the scores below ask for them all the same.
#
# ## A readout for several species at once
#
# The frozen encoder gives a vector a window. Above it stands, **for each species, a logistic regression of its own**: this species or not. Its score is a sigmoid, so that two
# species of one window can both have a high one. A window counts as the species' where one of its calls is in it; the gaps between calls, other animals and the
# recording without animals are *not*.

# %%
frozen = reference.load(model)
known = reference.features(frozen, learnt)
boxes = learnt.reindex(columns=["file", "label", "start_s", "end_s", "duration_s"])
boxes = chorus.events(learnt) if wildlife == "chorus" else boxes.assign(
    start_s=boxes["start_s"].fillna(0), end_s=boxes["end_s"].fillna(boxes["duration_s"]))
cut = picks.windows(known, frozen)  # without stretches a label is of the whole recording
is_it = scoring.present(boxes, cut, species)  # (W, C)
x = known.kinds["embedding"]  # (W, D)
if not soundscape:
    _, silent = windows.answers(empty, frozen, lambda features: features)
    x, is_it = np.concatenate([x, silent]), np.pad(is_it, ((0, len(silent)), (0, 0)))
# C: 0.01, 0.1 and 1 were alike in five parts of train, by recordings; less is worse
readout = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=0.01)))
readout.fit(x, is_it)


def ask(some: np.ndarray) -> np.ndarray:
    """Features (n, D) -> scores (n, C); of one species scikit-learn says no and yes."""
    return readout.predict_proba(some)[:, -len(species):]


print(f"{x.shape[0]:,} windows of {frozen.seconds:.3g} s, {x.shape[1]:,} numbers each; "
      f"{(~is_it.any(1)).mean():.0%} hold none of the {len(species)} species")

# %% [markdown]
# ## Hear it
#
# `windows.answers` reads the file piece by piece, asks the encoder about every window (half overlapping) and keeps the scores alone: a window and a score for each
# species. `python -m lib.runs.hour` measures this for a whole hour, and BirdNET beside it.

# %%
begun = time.perf_counter()
at, scores = windows.answers(night, frozen, ask)
pace = about.duration_s / (time.perf_counter() - begun)
print(f"{len(at)} windows, {scores.shape[1]} scores each")

# %%
there = scoring.present(marked, at, species)  # (W, C) what is marked
shown = min(about.duration_s, 150)
figure, axes = plt.subplots(2, 1, figsize=(10, 5), sharex=True, layout="constrained")
names = [plots.label(name) for name in species]
part = at["start_s"] < shown
middle = (at["start_s"] + at["end_s"])[part] / 2
image = axes[0].pcolormesh(middle, np.arange(len(species)), scores[part].T, vmin=0, vmax=1,
                           cmap="magma", shading="nearest")
axes[0].set_yticks(range(len(species)), names)
axes[0].set_title("scores")
figure.colorbar(image, ax=axes[0], pad=0.01)
for row in marked[marked["label"].isin(species) & (marked["start_s"] < shown)].itertuples():
    axes[1].barh(species.index(row.label), row.end_s - row.start_s, left=row.start_s, color="0.3",
                 height=0.8)
if noises is not None:
    for row in noises[noises["start_s"] < shown].itertuples():
        axes[1].axvspan(row.start_s, row.end_s, color="C1", alpha=0.25, linewidth=0)
        axes[1].text(row.start_s, -0.9, row.label.removeprefix("noise:"), fontsize="small",
                     clip_on=True)
axes[1].set_yticks(range(len(species)), names)
axes[1].set(xlabel="time (s)", xlim=(0, shown), ylim=(-1, len(species)),
            title="what is there (grey) and what else sounds (orange)")
axes[1].set_anchor("W");

# %% [markdown]
# *Figure 2. The scores of every window and species, above what is there.* **See:** *Latrella* is found from 69 s on; *Trillia*, which calls at the same time, and *Grumella* hardly light up (low scores can still rank well: see the AP of *Grumella* below). A bright stretch without grey is a false alarm. **Ask:** which calls are missed: the faint, those in noise, or those in company?
#
# ## Average precision, species by species
#
# Sort all windows by their score for one species. Going down the list, take the precision each time a window that holds the species comes; their mean is the **average
# precision** (AP). It needs no threshold. The mean over the species that occur is BirdSet's **cmAP**. A species that never occurs has no AP, and is left out; BirdCLEF's *padded*
# cmAP is another measure, which counts it. Random scores have the share of windows as their AP.

# %%
ap = scoring.average_precision(there, scores)
each = pd.DataFrame({"species": species, "windows": there.sum(0), "by chance": there.mean(0),
                     "AP": ap})
plots.table(each.sort_values("AP", ascending=False)).format(
    {"by chance": "{:.1%}", "AP": "{:.1%}"}, na_rep="does not occur").hide()

# %%
minute = scoring.blocks(at, minutes=1)
cmap = scoring.cmap(there, scores, minute, np.random.default_rng(seed))
print(f"cmAP {cmap} over {int(there.any(0).sum())} species, {len(set(minute))} minutes drawn anew")
room = (100 * cmap.low, 100 * cmap.high) if cmap.low < cmap.high else None
exercises.predicted("mean average precision", expected, 100 * cmap.value, "%", within=room)

# %% [markdown]
# The interval draws *minutes* anew. They are of one place and one night, and a bout of calls may lie in two of them: it tells how much this number would change in other minutes
# of this night, **not** at another pond; and ten minutes tell their own spread badly. With several annotated recordings draw those (`scoring.blocks(table)`, without minutes).
#
# **Checkpoint.** cmAP is the mean of the table's column, and random scores come to the share of windows. If this passes, go on.

# %%
assert abs(cmap.value - np.nanmean(ap)) < 1e-12
guess = np.random.default_rng(0).random(scores.shape)
by_chance = np.nanmean(scoring.average_precision(there, guess))
print(f"random scores: {by_chance:.1%}, share of windows {there[:, there.any(0)].mean():.1%}")

# %% [markdown]
# ## Two at once
#
# A softmax shares one certainty among all species: its scores sum to one. Here the log odds of the same readout go once through a sigmoid each, once through a
# softmax. What is the mean score of a species that calls, alone in its window and with others?

# %%
odds = np.log(np.clip(scores, 1e-9, 1 - 1e-9) / np.clip(1 - scores, 1e-9, 1))
shared = np.exp(odds) / np.exp(odds).sum(1, keepdims=True)
company = {"alone": there.sum(1) == 1, "two or more call": there.sum(1) >= 2}
rows = {name: {"windows": which.sum(), **{kind: p[which][there[which]].mean() for kind, p in
                                          (("sigmoids", scores), ("softmax", shared))}}
        for name, which in company.items() if which.any()}
plots.table(pd.DataFrame(rows).T).format({"windows": "{:.0f}", "sigmoids": "{:.1%}",
                                          "softmax": "{:.1%}"})

# %% [markdown]
# Compare what each *loses* from the first line to the second, not its level. A softmax shares out its loss among the others, by design. A sigmoid loses where another call covers this one.
# At `tiny`, seed 0, both lose about a third: the covered calls cost more here than the form of the score.
#
# ## Thresholds
#
# A score is no probability here: the readout met far fewer calls among its windows than this night has, and other ones. Each species needs a threshold of its own, and it must be chosen on **another** recording than the one that is scored.
# So five minutes of another night, at another place, are marked too (the same animals call there, which is kinder than other animals would be); of each species the threshold is taken that gives its windows there the best F1. (Notebook 12 calibrates scores, and chooses for a wanted precision.)

# %%
thresholds = np.full(len(species), selections.checked(threshold or 0.5))
if not (threshold or soundscape):
    made = chorus_soundscape.write(place / "other.wav", min(300, seconds), seed + 2, species,
                                   size=setting.chorus, data_seed=data_seed)
    at_other, other = windows.answers(place / "other.wav", frozen, ask)
    held = scoring.present(made[made["kind"] == "call"], at_other, species)
    for c in range(len(species)):
        precision, recall, steps = precision_recall_curve(held[:, c], other[:, c])
        best = (2 * precision * recall / (precision + recall + 1e-9))[:-1].argmax()
        thresholds[c] = steps[best] if held[:, c].any() else np.nan  # never heard, never said
plots.table(pd.DataFrame({"species": species, "threshold": thresholds})).format(
    {"threshold": "{:.3f}"}, na_rep="none: it did not call").hide()

# %% [markdown]
# ## Events
#
# Windows of one species from the threshold on that overlap, touch, or lie no more than `gap_s` apart are one event. To compare with them, calls that lie no more than `gap_s` apart
# are joined too: nobody marks each note of a trill.
#
# Which event found which? *sed_eval*'s rule: the beginnings lie within a tolerance, the ends within that or half the true length. Each true event is paired with one found event at
# most, and so that there are **as many pairs as can be** (a bipartite matching). Precision is the share of found events in a pair, recall that of true ones.

# %%
true = scoring.joined(marked[marked["label"].isin(species)], gap_s)
found = events.merge(at["start_s"], at["end_s"], scores, species, thresholds, gap_s)
rule = scoring.near(1.5)
counts = scoring.compare(true, found, species, rule, minutes=1)
report = scoring.table(counts)
score = scoring.f1(counts, np.random.default_rng(seed))
touched = scoring.table(scoring.compare(true, found, species, scoring.overlapping(0.0)))
print(f"{len(found)} events found, {len(true)} there, {report.loc['all', 'right']:.0f} pairs; "
      f"F1 {score}, mean over species, tolerance 1.5 s")
print(f"if any overlap will do, {touched.loc['all', 'right']:.0f} pairs")
formats = {"precision": "{:.0%}", "recall": "{:.0%}", "f1": "{:.0%}"}
plots.table(report).format(formats, na_rep="none")

# %%
steps = np.linspace(-3, 3, 13)  # log odds that are added to every threshold
limits = [thresholds / (thresholds + (1 - thresholds) * np.exp(-step)) for step in steps]
rules = {"begins within 0.5 s": scoring.near(0.5), "within 1.5 s": rule,
         "within 3 s": scoring.near(3.0), "any overlap": scoring.overlapping(0.0)}
trials = [events.merge(at["start_s"], at["end_s"], scores, species, t, gap_s)
          for t in limits]
figure, axes = plt.subplots(1, 2, figsize=(10.5, 4))
for name, one in rules.items():
    total = [scoring.table(scoring.compare(true, trial, species, one)).loc["all"]
             for trial in trials]
    axes[0].plot(steps, [row["f1"] for row in total], marker=".", label=name)
    axes[1].plot([row["recall"] for row in total], [row["precision"] for row in total],
                 marker=".", label=name)
axes[0].axvline(0, color="0.6", linestyle=":")
axes[0].set(xlabel="log odds above the thresholds", ylabel="F1 of all events", ylim=(0, 1))
axes[1].set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# *Figure 3. F1 of events against threshold, and precision against recall, for four rules of what counts as found.* **See:** the same
# answers have an F1 of a twentieth or of six tenths, by the rule alone; an F1 without its rule says nothing. At 0 (dotted) are the thresholds of the other night. Where a curve is higher elsewhere, that is known only now, from the very recording that is scored.
#
# ## What windows of three seconds cannot do

# %%
lengths = pd.DataFrame({
    "events": [len(marked), len(true), len(found)],
    "median length (s)": [(t["end_s"] - t["start_s"]).median() for t in (marked, true, found)]},
    index=["calls", f"calls joined over {gap_s:g} s", "found"])
plots.table(lengths).format(precision=2)

# %% [markdown]
# Found events are multiples of half a window, and begin up to a window too early: a call of a tenth of a second makes two windows say yes, which is an event of four and a half seconds. So **calls cannot be counted**
# this way, and a strict tolerance mostly measures the window. A shorter step moves the ends in finer steps; it does not make them sharper. For calls themselves, cut within the found events, by energy in the species' band
# for instance.
#
# ## For Audacity and Raven

# %%
answers = found.assign(file=night.name)
written = selections.export(answers, place / "answers", (0.0, frozen.rate / 2),
                            {night.name: about.rate})
print(*(plots.plain(path.relative_to(place)) for path in written), sep="\n")
plots.table(found.head(8)).format(precision=3)

# %% [markdown]
# Several events of one time are several boxes; both programs show them above each other. **Your own**: mark a recording in Raven or Audacity, and
#
# ```
# python -m lib.runs 14_long_recordings wildlife=folder:~/sounds/species soundscape=~/night.wav truth=~/night.Table.1.selections.txt
# ```
#
# A whole folder with a label file beside each recording is scored the same way: `selections.annotations(folder)` gives the truth with a column `file`; add that column to windows and events, and
# `scoring` keeps recordings apart and draws whole recordings for its intervals.
#
# **Checkpoint.** What was written, read back and scored against itself, is perfect.

# %%
if len(found):
    for path in written[:2]:
        again = scoring.compare(selections.read(path), found, species, scoring.near(0.01))
        assert scoring.table(again).loc["all", "f1"] == 1

# %% [markdown]
# ## The record

# %%
path = run.record({"cmap": cmap, "f1": score, "chance": float(np.nanmean(there[:, there.any(0)])),
                   "f1_touching": float(touched.loc["all", "f1"]),
                   "precision": float(report.loc["all", "precision"]),
                   "recall": float(report.loc["all", "recall"])},
                  samples_seen=0, start=frozen.what, labels=species, tolerance_s=1.5,
                  species=each.to_dict("list"), times_faster_than_sound=round(pace, 1))

# %%
records = runs.records("14_long_recordings")
if len(records):
    columns = ["scale", "model", "seed", "cmap.value", "cmap.low", "cmap.high", "f1.value",
               "f1.low", "f1.high", "chance"]
    kept = records[columns].copy()
    kept.insert(0, "recordings", records.apply(experiments.pools_of, axis=1))
    kept.columns = [name.replace(".value", "").replace(".", ", ") for name in kept]
    display(plots.table(kept).format("{:.1%}", subset=list(kept)[4:], na_rep="no interval").hide())

# %% [markdown]
# ## Exercises
#
# Each cell is yours: write the function, run it, and the check answers with "Right" or a hint.

# %%
from lib.course import exercises_14 as check

# %% [markdown]
# ### 1 · Which windows hold a call?
#
# Windows and calls by their ends in seconds. A window holds a call where at least 0.1 s of it lies inside, or half of a call that is shorter than 0.2 s.

# %% tags=["exercise"]
def holds_call(window_start, window_end, call_start, call_end):
    """(W,), (W,), (n,), (n,) -> (W,) of bool."""
    return None


check.holds_call(holds_call)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def holds_call(window_start, window_end, call_start, call_end):
#     inside = (np.minimum(window_end[:, None], call_end)
#               - np.maximum(window_start[:, None], call_start))
#     return (inside >= np.minimum(0.1, (call_end - call_start) / 2)).any(1)
# ```
# What a window must answer for is a choice. BirdSet counts any overlap; then some windows hold a hundredth of a second of a call, and nobody could tell.
# </details>
#
# ### 2 · Average precision
#
# From the scores of windows (no two alike) and which of them hold the species.

# %% tags=["exercise"]
def average_precision(score, is_it):
    """The mean, over windows that hold the species, of the precision down to each."""
    return None


check.average_precision(average_precision)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def average_precision(score, is_it):
#     is_it = is_it[np.argsort(-score)]
#     precision = np.cumsum(is_it) / np.arange(1, len(is_it) + 1)
#     return precision[is_it].mean()
# ```
# Only the order of the scores enters. A calibrated score and one that is far too sure have the same AP.
# </details>
#
# ### 3 · Intersection over union
#
# Two events as `(start, end)`: the time that both cover, over the time that either covers.

# %% tags=["exercise"]
def iou(one, other):
    """From 0 (they do not meet) to 1 (they are the same)."""
    return None


check.iou(iou)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def iou(one, other):
#     both = max(0, min(one[1], other[1]) - max(one[0], other[0]))
#     return both / ((one[1] - one[0]) + (other[1] - other[0]) - both)
# ```
# A call of 0.1 s in an event of 4.5 s: 0.02, however well it was found.
# </details>
#
# ### 4 · As many pairs as can be
#
# `may[n, m]` is True where the true event `n` and the found event `m` may be a pair. Each may be in one pair only. How many pairs can there be? (`scipy.optimize.linear_sum_assignment` helps.)

# %% tags=["exercise"]
def most_pairs(may):
    """(n, m) of bool -> the largest number of pairs."""
    return None


check.most_pairs(most_pairs)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def most_pairs(may):
#     from scipy.optimize import linear_sum_assignment
#     return may[linear_sum_assignment(may, maximize=True)].sum()
# ```
# Taking for each true event the first free one can give fewer: the first may be the only one that the next could have had.
# </details>
#
# ### 5 · A hurried annotator
#
# Somebody marked only a part of the calls. Keep each row of the truth with the probability `share`, drawn with the generator `rng`.

# %% tags=["exercise"]
def hurried(truth, share, rng):
    """The rows of a truth table that were marked."""
    return None


check.hurried(hurried)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def hurried(truth, share, rng):
#     return truth[rng.random(len(truth)) < share]
# ```
# With your function the same answers are scored against less and less of the truth: the fewer calls were marked, the lower is precision, though not an answer has changed. Recall moves as well: where a call in the middle of a song was not marked, the song falls into
# several events, and a find is paired with one of them at most. *Low precision against a sparse annotation is no statement about the classifier.*
# </details>

# %%
def against(calls):
    """Precision and recall of the events found, any overlap, if these calls were all the truth."""
    there = scoring.joined(calls[calls["label"].isin(species)], gap_s)
    pairs = scoring.compare(there, found, species, scoring.overlapping(0.0))
    return scoring.table(pairs).reindex(["all"]).loc["all"]


shares = [1.0]
parts = [against(marked)]
if exercises.solved(hurried):
    shares = np.linspace(0.1, 1, 10)
    parts = [against(hurried(marked, share, np.random.default_rng(seed))) for share in shares]
figure, ax = plt.subplots(figsize=(8, 3.4))
for name, color in (("precision", "C0"), ("recall", "C1")):
    ax.axhline(against(marked)[name], color=color, linestyle=":")
    ax.plot(shares, [part[name] for part in parts], marker="o", color=color, label=name)
ax.set(xlabel="share of the calls that was marked", ylabel="share of events", xlim=(0, 1.05),
       ylim=(0, 1.02))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# *Figure 4. Precision and recall of the same answers, against what an annotator marked; dotted: against every call.* **See:** against all calls, if any overlap will do, the night's answers are better than any rule of Figure 3 with a tolerance says. **Ask:** how do both fall for an annotator who hurries, and whose fault is it?

# %% [markdown]
# ## Quiz
#
# **cmAP is 40 %, and the share of windows is 10 % for a common species and 0.5 % for a rare one. Are both as good?** <details><summary>Answer</summary>The mean hides it. Look at each AP beside its own chance: an
# AP of 20 % is twice chance for the one, forty times for the other.</details>
#
# **Two papers report an event F1 of 30 % and of 60 % on one data set. Which method is better?** <details><summary>Answer</summary>Unknown without tolerance, joining and matching: figure 3 has both numbers for one
# set of answers.</details>
#
# **You raise the threshold from 0.5 to 0.9. What becomes of AP, precision and recall?** <details><summary>Answer</summary>AP stays: it has no threshold. Recall falls or stays. Precision mostly rises, but need not: events
# break into parts, and of several parts of one true event only one is right.</details>
#
# **Why not a softmax over species and noise?** <details><summary>Answer</summary>When two species call, it must take from one what it gives to the other. For recordings of one species each, it is the better question.</details>
#
# ## What was not shown
#
# Frequency: two species of one time are told apart by their scores alone, and the boxes written for Raven span all that the model hears. Individuals and counts. Thresholds for a wanted precision, calibrated scores and a
# classifier that is kept: notebook 12. All of this is synthetic: the animals keep to rules that no real one keeps to, so the scores say how measuring works, not how good the encoder is on a real night.
#
# ## Further reading
#
# - Rauch et al. 2024, *BirdSet*, [arXiv:2403.10380](https://arxiv.org/abs/2403.10380): soundscapes, cmAP, and how far focal recordings are from them.
# - Mesaros, Heittola and Virtanen 2016, *Metrics for Polyphonic Sound Event Detection*, [doi:10.3390/app6060162](https://doi.org/10.3390/app6060162): events, tolerances, matching.
# - Kahl et al. 2021, *BirdNET*, [doi:10.1016/j.ecoinf.2021.101236](https://doi.org/10.1016/j.ecoinf.2021.101236): the reference that listens to three seconds too.
