# %% [markdown]
# # 11 · Results: the paper's tables beside what was measured
#
# **Time**: half a minute of one core of an Intel Xeon, at any scale. Nothing is trained here: this notebook reads the records that notebooks 03 to 10 left in `papermill_runs`, and
# no smoke runs.
#
# You will
# 1. **collect** every run into the tables and figures of both papers, with *paper* and *measured* side by side,
# 2. **read** a difference with its interval over other seeds and other species,
# 3. **tell** a verdict from a number that carries none,
# 4. **list** what has not been run, and where the paper contradicts itself.

# %% [markdown]
# ## The question
#
# The paper asks whether masked autoencoders work with limited data. Its tables have one run per row and no intervals (nor has the other paper,
# Niizumi et al. 2022).
# Ours have seeds and intervals, but small models and few recordings.
#
# > **Predict before you read on.** Of the paper's differences, how many have the same sign here? And of how many can this study say so, rather than
# *undecided*?

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
same_sign = None  # differences with the paper's sign here, in per cent of those the paper has too
decided = None  # those of them with a verdict that is not "undecided", in per cent

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from lib import plots, runs
from lib.course import exercises
from lib.runs import criteria, report, results, results_hear, verdicts

plots.style(photo=False)
tables = {experiment.place: experiment for experiment in results.EXPERIMENTS}

# %% [markdown]
# ## What there is
#
# Runs on record, by notebook:

# %%
names = list(dict.fromkeys(experiment.notebook for experiment in results.EXPERIMENTS))
stored = {name: runs.records(name) for name in names}
pd.DataFrame({name: {"runs": len(table), "seeds": table["seed"].nunique() if len(table) else 0,
                     "scales": ", ".join(sorted(set(table["scale"]))) if len(table) else "-",
                     "shows": ", ".join(p for p, e in tables.items() if e.notebook == name)}
              for name, table in stored.items()}).T

# %% [markdown]
# ## How to read a row
#
# The score is top-1 of whole recordings, averaged over the species that occur. The difference of an arm $a$ to an arm $b$ is taken on the same
# recordings, species by
# species, and over the seeds that both were run with:
#
# $$ \Delta = \frac1{S}\sum_{s}\frac1{C}\sum_{c}\frac1{|R_c|}\sum_{i \in R_c} \big(h^a_{s,i} - h^b_{s,i}\big), \qquad h = 1 \text{ for a hit, else }
# 0 \tag{1} $$
#
# One 95 % interval stands beside it. Write $d_{sc}$ for the inner bracket's mean, a number per seed and species. Both are drawn: another study would have other seeds and other
# species. So the mean of the table $d_{sc}$ is uncertain by
#
# $$ \mathrm{Var}(\Delta) = \frac{\sigma^2_\text{seed}}{S} + \frac{\sigma^2_\text{species}}{C} + \frac{\sigma^2_\text{cell}}{SC} \approx \frac{MS_\text{seed} + MS_\text{species} - MS_\text{rest}}{SC}, \tag{2} $$
#
# with the mean squares of a two-way analysis of variance, and the interval is $\Delta \pm t$ standard errors with Satterthwaite's degrees of freedom. Three seeds have two degrees of freedom of their
# own, so that where the seed matters $t$ is large. (Other recordings of the same species are part of it: how species differ contains how their recordings do. Of one seed the interval
# is over species only.) The interval of a *score* is another one: over groups of recordings (one place, one animal) of these very species.
#
# A **verdict** says whether the difference has the paper's sign: *same direction*, *opposite*, or *undecided*. It is given from three seeds on (of two, 2 to 8 % of pairs without any difference seem to have one), when p is below 0.05 after **Holm's correction**: the smallest p
# of the $m$ comparisons of a table on one pool is multiplied by $m$, the next by $m - 1$ and so on, which keeps the chance of *any* wrong verdict among them at 5 %. On `chorus`, the synthetic sound world,
# it begins with *in the generator's world*: it says nothing about animals.
#
# **Smallest found** is the true difference that such a comparison, before Holm's correction, finds with 80 % power: 1.43 half widths of the interval. (A true difference of one half width is found half of the time.) It can be
# stated before a run, from earlier seeds; the paper's smaller differences cannot be expected to be seen. With this code, 4,000 simulated studies each: no true difference is called one in 2 to 6 % of them; a true
# difference as large as an earlier study's *smallest found* is found in 65 to 73 % of studies with 3 seeds, 74 to 80 % with 5, 77 to 79 % with 10.
#
# > **Predict.** The paper's claim about continuing AudioMAE on iNatSounds rests on 0.9 points. How many recordings would it take to see that?

# %%
every = results.everything()
every["change"].notna().groupby(every["place"]).sum().rename("differences measured").to_frame()

# %% [markdown]
# ## Table 1: the data
#
# The paper compares what models were trained on (**its numbers**; AS: AudioSet, XC: Xeno-Canto, TSA: Tierstimmenarchiv) ...

# %%
card = [("AudioMAE", "AS", "-", "5.8k"), ("BirdSet", "XC", "~10k", "6.8k"),
        ("iNatSounds", "iNat", "5,569", "1.2k"),
        ("Perch 2.0", "XC, iNat, TSA, FSD50K", "14,597", "-"),
        ("AVES", "unannotated", "-", "360"), ("BirdMAE", "XC", "~10k", "6.8k"),
        ("AVEX", "XC, iNat, AS", "~15k", "-"), ("Liu et al.", "iNat, AS", "5,569", "1.2k")]
columns = ["method (paper)", "data", "species", "hours"]
pd.DataFrame(card, columns=columns).set_index("method (paper)")

# %% [markdown]
# ... and these are the pools behind our records, as the records state them:

# %%
results.pools().set_index("name")

# %% [markdown]
# **See:** the paper's hours are hundreds of times ours. `chorus` is made by a program; its classes are invented species. Any other name is a
# folder of recordings, with six hex digits of its table.
#
# ## Table 2: linear probing

# %%
Markdown(results.markdown(tables["Table 2"]))

# %% [markdown]
# In the paper frozen features with a linear layer reach 2 to 4 %, far below finetuning (38 to 64 %). It draws its conclusion about *features* from
# one kind of *readout*. Notebook 03
# varies the readout; what it recorded, in percent of test, mean over seeds:

# %%
climbed = results.readouts()
climbed.round(1) if len(climbed) else print("not run")

# %% [markdown]
# ## Table 3: six initialisations

# %%
Markdown(results.markdown(tables["Table 3"]))

# %% [markdown]
# A *stand-in* is a MAE pretrained here on the general pool, where the paper takes the released AudioMAE: its row tests
# the paper's *idea*, never AudioMAE. ImageNet and
# Bird-MAE weights have no stand-in (`init=birdmae weights=FILE`).
#
# ## Table 4: general against wildlife sound

# %%
Markdown(results.markdown(tables["Table 4"]))

# %% [markdown]
# The paper has val only, which stands beside our test. The row is the number of general clips per wildlife clip; `inf` is general only.
#
# ## Figure 3: fewer labels

# %%
fraction = every[(every["place"] == "Figure 3") & every["measured"].notna()]
fraction = fraction.drop_duplicates(["setting", "data"])
parts = fraction["setting"].str.split(", ", expand=True, n=1).reindex(columns=[0, 1])
fraction = fraction.assign(init=parts[0], size=parts[1].str.removesuffix(" per species"))
colours = {init: f"C{i}" for i, init in enumerate(dict.fromkeys(fraction["init"]))}
pools = [(data, world) for data, world in fraction.groupby("data", sort=False)
         if world["size"].nunique() > 1] or [("not run", fraction)]
figure, axes = plt.subplots(1, len(pools), figsize=(5 * len(pools), 3.4),
                            squeeze=False, sharey=True)
for ax, (data, world) in zip(axes[0], pools):
    sizes = list(dict.fromkeys(world["size"]))
    for i, (init, part) in enumerate(world.groupby("init", sort=False)):
        value = part["measured"].to_numpy(float)
        ends = np.abs(part[["measured_low", "measured_high"]].to_numpy(float).T - value)
        ax.errorbar([sizes.index(size) + 0.06 * i for size in part["size"]], value, ends, fmt="o-",
                    markersize=4, elinewidth=0.8, color=colours[init],
                    label=plots.label(init))
    ax.set(title=plots.label(data), xticks=range(len(sizes)), xticklabels=sizes,
           xlabel="labelled recordings per species")
axes[0, 0].set(ylabel="top-1 on test (%)", ylim=(0, None))
named = {name: line for ax in axes[0] for line, name in zip(*ax.get_legend_handles_labels())}
axes[0, 0].legend(named.values(), named, fontsize="small", loc="upper left") if named else None

# %% [markdown]
# *Figure 1. Accuracy against labels; the paper's Figure 3 has no numbers.* **See:** whether the lines keep their order from left to right, and how far the interval of one reaches into
# the next. Means over seeds, bars are 95 % intervals over
# recordings. The paper's text: pretrained models are better than random weights "across all data fractions", and AudioSet then iNatSounds is best
# "though the improvements ... are still modest". Equal steps (one size) are in the table below alone.

# %%
Markdown(results.markdown(tables["Figure 3"]))

# %% [markdown]
# ## Figures 4 and 5: curation
#
# Keep windows that a classifier is sure of (Figure 4), or windows that a masked autoencoder finds hard (Figure 5), and pretrain on these only. The
# paper finds both worse than no filter. It has no control that
# keeps *as many windows at random*; ours have one, because fewer windows alone may be what costs.

# %%
Markdown(results.markdown(tables["Figure 4"]))

# %%
Markdown(results.markdown(tables["Figure 5"]))

# %%
figure, axes = plt.subplots(2, 2, figsize=(11, 6), width_ratios=[1, 1.3])
for (place, experiment), row in zip([(p, tables[p]) for p in ("Figure 4", "Figure 5")], axes):
    theirs = runs.reference(experiment.reference, metric="full_finetune_top1")
    row[0].plot(theirs["setting"], theirs["value"], "s-", color="0.3")
    row[0].set(title=f"paper: {place}, right", xlabel="threshold",
               ylabel="top-1 on val (%)", ylim=(50, 62))
    ours = every[(every["place"] == place) & every["measured"].notna()]
    ours = ours.drop_duplicates(["setting", "data"])
    ours = ours[~ours["setting"].str.contains("MobileNetV3|on kept")]
    for y, one in enumerate(ours.itertuples()):
        low, high = one.measured - one.measured_low, one.measured_high - one.measured
        row[1].errorbar(one.measured, y, xerr=[[max(0, low)], [max(0, high)]], fmt="o", color="C0")
    worlds, names = ours["data"].map(plots.label), ours["setting"].map(plots.label)
    row[1].set(title=f"measured: {', '.join(worlds.unique()) or 'not run'}",
               xlabel="top-1 on test (%)")
    if worlds.nunique() > 1:
        names = worlds + ": " + names
    row[1].set(yticks=range(len(ours)), yticklabels=names)
    row[1].tick_params(axis="y", labelsize="small")
    row[1].invert_yaxis()

# %% [markdown]
# *Figure 2. Curation in the paper (ViT-B, one run a point) and here.* **See:** whether a filter falls below *no filter*, and whether it does so
# more than its control. Each panel has an axis of its own.
#
# What else notebook 07 recorded of every arm (the share kept, and how well the filter finds windows that hold a call), mean over seeds:

# %%
caught = results.detectors()
# what filters keep: for the list of contradictions below
kept = {f"{kind} {threshold}": f"{row['windows kept']:.0%}"
        for (world, kind, threshold, control), row in caught.iterrows()
        if control == "none" and kind != "none" and world == "chorus"}
caught.round(3).astype(object).fillna("-") if len(caught) else print("not run")

# %% [markdown]
# ## All differences at a glance

# %%
def panel(ax, part, worlds):
    """One of the paper's tables: for each difference the paper's as a diamond, and for each world
    ours with its interval, in the colour and the mark that `worlds` has, one below the other."""
    # in the order of the world that has most of them
    longest = part.groupby(["data", "scale"])["setting"].transform("size")
    ordered = part.iloc[np.argsort(-longest, kind="stable")]
    pairs = list(dict.fromkeys(zip(ordered["setting"], ordered["against"])))
    # what both sides share is named once
    heads, tails = zip(*(a.partition(", ")[::2] for a, _ in pairs))
    names = [f"{a} − {b.removesuffix(f', {t}').replace(h, 'the same')}"
             for (a, b), h, t in zip(pairs, heads, tails)]
    y, ticks = 0, []
    for pair in pairs:
        rows = part[(part["setting"] == pair[0]) & (part["against"] == pair[1])]
        ticks.append(y + (len(rows) - 1) / 2)
        ax.plot(rows["paper_change"].iloc[0], ticks[-1], "D", color="0.2", markersize=6,
                markerfacecolor="none")
        for row in sorted(rows.itertuples(), key=lambda r: [*worlds].index((r.data, r.scale))):
            colour, marker = worlds[row.data, row.scale]
            ax.plot([row.low, row.high], [y, y], color=colour, linewidth=2, alpha=0.5)
            ax.plot(row.change, y, marker, color=colour, markersize=4,
                    markerfacecolor="white" if row.seeds < 2 else None)
            y += 1
        y += 1  # a gap
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set(yticks=ticks, yticklabels=[plots.label(name, 100) for name in names], ylim=(y - 0.5, -1))
    ax.tick_params(axis="y", labelsize="small")

# %%
shown = every[every["change"].notna() & ~every["setting"].str.contains("at random")]
# the tables have the rest: labels at equal steps, and what is finetuned otherwise against controls
others = shown["setting"].str.contains("kept|MobileNetV3")
drawn = shown[~shown["data"].str.contains("equal_steps")
              & ~(others & shown["against"].str.contains("at random"))]
worlds = {world: (f"C{i}", "os^"[i // 10])  # there are ten colours
          for i, world in enumerate(dict.fromkeys(zip(drawn["data"], drawn["scale"])))}
groups = [(place, part) for place, part in drawn.groupby("place", sort=False)]
# in tenths of an inch: every dot has a line of its own, every difference a gap
heights = [len(part) + part.groupby(["setting", "against"]).ngroups + 1 for _, part in groups]
heights = heights or [10]
figure, axes = plt.subplots(len(heights), 1, figsize=(10, 2.5 + sum(heights) / 10),
                            squeeze=False, height_ratios=heights, sharex=True)
for ax, (place, part) in zip(axes[:, 0], groups):
    panel(ax, part, worlds)
    ax.set_title(f"{place}: {tables[place].question}", fontsize="small", loc="left")
if not groups:
    axes[0, 0].set(yticks=[], xticks=[], title="measured: not run")
axes[-1, 0].set(xlabel="difference of class-averaged top-1 on test (points)")
marks = [plt.Line2D([], [], marker="D", color="0.2", linestyle="", markerfacecolor="none",
                    label="paper: ViT-B, iNatSounds, no interval")]
for (data, scale), (colour, marker) in worlds.items():
    own = drawn[(drawn["data"] == data) & (drawn["scale"] == scale)]
    seeds = sorted({f"{n:.0f}" for n in own["seeds"]})
    marks.append(plt.Line2D([], [], marker=marker, color=colour,
                            label=f"measured: {plots.label(data)}, {scale}, seeds: "
                                  + " or ".join(seeds)))
figure.legend(handles=marks, loc="outside upper left", fontsize="small", ncols=2)
(plots.save(figure, "11_results") if runs.scale("auto").name != "smoke" and len(shown)
 else None)

# %% [markdown]
# *Figure 3. Every difference of the paper that was also measured here (the tables alone have labels at equal steps, and controls of what was finetuned on kept windows).* **See:** open diamonds are the paper's differences, dots are ours; the
# bar is the 95 % interval over other seeds and other species; an empty dot is one seed, and its bar is over species only. A dot on
# the diamond's side of 0 *leans* the paper's way; it *says* so only when the bar stays there too, by as much as Holm's correction asks. Rows without a diamond are comparisons that the
# paper does not make, or shows without a number.
#
# ## What was claimed, and what holds
#
# A verdict above only asks whether a difference has the paper's sign. Whether a *claim* holds was fixed before the runs: for each table the claim in one sentence, the two arms, and what their difference must be
# (`lib/runs/criteria.py`). A claim of a difference *holds* when p is below 0.05 after Holm's correction over the criteria of its table on one pool; a claim that something changes little holds when
# the whole interval lies within the margin; and a claimed difference whose interval lies within the margin is *no difference*. A null result is a result once the smallest difference that would have been found stands beside it.

# %%
print(f"margin: ±{criteria.MARGIN:g} points; verdicts about animals: {criteria.PRIMARY}")
Markdown(report.answered(*report.PLACES))

# %% [markdown]
# **See:** one row per claim and pool of recordings. Rows of `chorus` hold in the generator's world.
#
# ## Verdicts, counted

# %%
shown.groupby(["place", "verdict"]).size().rename("differences").to_frame()

# %%
both = shown.dropna(subset=["paper_change"])
agree = both["change"] * both["paper_change"] > 0
clear = both["verdict"].str.endswith(("same direction", "opposite"))
exercises.predicted(f"same sign as the paper, of {len(both)} differences", same_sign,
                    100 * agree.mean(), "%")
exercises.predicted("decided", decided, 100 * clear.mean(), "%")

# %% [markdown]
# **Checkpoint.** No verdict about animals comes from the generator, and none from a single seed. If this passes, go on.

# %%
said = shown["verdict"].isin(["same direction", "opposite"])
assert (not shown.loc[said, "data"].str.startswith(verdicts.MADE).any()
        and (shown.loc[said, "seeds"] >= 2).all())
assert (shown.loc[said, "holm"] < verdicts.LEVEL).all()
assert all(row.low * row.high > 0 for row in shown[said].itertuples())

# %% [markdown]
# ## Where the paper contradicts itself
#
# Found while its tables were copied; our own numbers beside them where they exist (test, mean over seeds).

# %%
def ours(place, start, column="measured", against=""):
    """Our numbers in rows whose label begins so; a difference from a base whose label begins so."""
    part = every.query("place == @place").dropna(subset=[column])
    if against:
        part = part[part["against"].fillna("").str.startswith(against)]
    part = part.drop_duplicates(["setting", "data", "scale"], keep="last")
    return "; ".join(f"{row[column]:.1f} ({row['data']}, {row['scale']}, seeds: {row['seeds']:.0f})"
                     for _, row in part.iterrows() if row["setting"].startswith(start)) or "not run"


# %%
known = (every["seeds"] > 1) & ~every["verdict"].str.contains("no interval")
ranges = every.loc[known, "power80"].dropna().astype(float)
contradictions = pd.DataFrame([
    ("best is AudioSet, then iNatSounds (59.51)",
     "Table 4 has AudioSet only at 60.2 and 15:1 at 60.1",
     f"general (a stand-in), then wildlife: {ours('Table 3', 'audioset_ssl+inat_ssl')}. "
     f"General only: {ours('Table 4', 'inf')}"),
    ("Fig. 5: thresholds 0.06, 0.12, 0.25 drop 50, 75, 90 %",
     "its right panel: 25, 50, 75 % at the same; its caption says confidence",
     f"windows kept: {'; '.join(map(': '.join, kept.items()))}" if kept else "not run"),
    ("further pretraining \"may even degrade\"",
     "Table 3: +0.86 on val, +0.56 on test, no row with a loss",
     ours("Table 3", "audioset_ssl+inat_ssl", "change", against="audioset_ssl")),
    ("differences of 0.1 to 0.9 points carry claims",
     "no seeds, repeats or intervals anywhere, in either paper",
     f"found with 80 % power, from two seeds on: {ranges.min():.1f} to {ranges.max():.1f} points"
     if len(ranges) else "not run"),
    ("linear probes say the features are poor (2 to 4 %)",
     "Bird-MAE's paper: up to 37 mAP points between readouts of the same features",
     f"linear probe: {ours('Table 2', 'audioset_ssl+inat_ssl')}; other readouts: below Table 2"),
], columns=["the paper says", "and also", "measured here"])
plots.table(contradictions).set_uuid("paper").hide(axis="index").set_properties(
    **{"text-align": "left", "vertical-align": "top", "white-space": "normal"})

# %% [markdown]
# **See:** none of these is a mistake that our numbers could prove; they are places where the paper's own numbers leave a claim open.
#
# ## What has not been run

# %%
missing = pd.concat([results.not_run(experiment).astype(object)
                     for experiment in results.EXPERIMENTS])
missing = missing[["place", "setting", "verdict"]].drop_duplicates()
missing.groupby(["place", "verdict"], sort=False)["setting"].agg(", ".join).to_frame()

# %% [markdown]
# ## The second paper: MSM-MAE
#
# Niizumi et al. 2022 compare nine designs on 15 tasks of HEAR with frozen features. Ours are five tasks made here after HEAR's (notebooks 08 and 09): the *direction* of a difference can be compared, in the generator's world. First the
# floors and the models, in percent:

# %%
Markdown(results_hear.markdown("Table 2"))

# %%
for place in results_hear.BASES:
    display(Markdown(results_hear.markdown(place)))

# %% [markdown]
# Task by task, where HEAR has the task after which ours was made, and the five-task mean:

# %%
designs = pd.concat([results_hear.rows(place) for place in results_hear.BASES], ignore_index=True)
designs = designs[designs["verdict"] != "not run"]
shown = {"paper_change": "paper", "change": "measured", "low": "low", "high": "high",
         "verdict": "verdict"}
if len(designs):
    tasks = designs.set_index(["place", "setting", "task"])[list(shown)].rename(columns=shown)
    display(plots.table(tasks).format("{:+.1f}", subset=list(shown.values())[:-1]))
else:
    print("not run")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.6))
means = designs[designs["task"] == "mean"].reset_index(drop=True) if len(designs) else designs
if len(means):
    left.errorbar(means["change"], means.index,
                  xerr=[means["change"] - means["low"], means["high"] - means["change"]],
                  fmt="o", label="measured: 5 tasks")
    left.plot(means["paper_change"], means.index, "D", color="0.2",
              markerfacecolor="none", label="paper: 15 tasks of HEAR")
    left.set(yticks=means.index, yticklabels=means["setting"] + " − " + means["against"],
             xlabel="difference of the mean score (points)")
    left.axvline(0, color="0.6", linewidth=0.8)
    left.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
floors = results_hear.ladder()
if len(floors):
    shades = ["0.6" if name in ("logmel", "untrained") else "C0" for name in floors.index]
    right.barh(floors.index.map(plots.label), floors["mean"], color=shades)
    right.set(xlabel="mean of five tasks (%)")
    right.invert_yaxis()
for ax, there in ((left, means), (right, floors)):
    None if len(there) else ax.set(title="not run", xticks=[], yticks=[])

# %% [markdown]
# *Figure 4. MSM-MAE: designs against the plain one (left), and every frozen model with its floors in grey (right).* **See:** left, which interval leaves 0, and whether on the paper's side. Right, which model reaches the grey bars: log-mel statistics without a network, and the encoder at random weights.

# %% [markdown]
# Its Figures 2 to 9 (reconstructions, attention maps) are notebook 10:

# %%
inside = runs.records("10_looking_inside")
seeds = sorted(set(inside["seed"])) if len(inside) else "-"
print(f"{len(inside)} records of 10_looking_inside, seeds {seeds}; "
      "Figure 9 (Vocal Imitation) is not run offline")

# %% [markdown]
# ## What was seen
#
# - **What does pretraining buy?** In the generator's world too little to be seen (notebook 05's curve, `tiny`, data_seed 0, five seeds): over random weights with the best recipe found for them, finetuned, +1.8 [-0.5, +4.0] points with 24,000 clips and, from one pretraining, +1.7 [-1.6, +5.0] with 640,000. All of them beat logistic
#   regression on two numbers a mel band, and a small CNN from scratch beats all of them.
# - **By which recipe?** With AudioMAE's recipe of finetuning general sound and then wildlife add +8.6 [+1.9, +15.3] points to random weights in the generator's world, with this study's +1.1 [-6.0, +8.2] (three seeds): but random weights have 16.6 % with the first and 38.0 with the second (notebook 04). Where a paper's random weights are low, look at their recipe first.
# - **On animals** only the rows of real recordings may say anything: *birds in five folds*, each of 496 recordings tested once. With five seeds of 24,000 clips wildlife itself is as good as random weights (+0.1 [-2.2, +2.4] points), general sound only as good as wildlife only (-0.4 [-2.6, +1.9])
#   and as seven to one (-0.3 [-1.9, +1.4]); the paper has +10.4, +11.2 and +0.8. All of them beat logistic regression, and a small CNN from scratch beats them, as in the generator's world. On frogs (101 field recordings, three seeds) the interval is wide: wildlife itself minus random weights -3.8 [-11.7, +4.1], general sound only -1.5 [-5.0, +2.1]. Nor do 440 recordings of 11 kinds of animals, one seed so far, show any gain: wildlife itself minus random weights -2.5 [-7.9, +2.9], no verdict. The rest stands in the table of claims above, and what has not been run is listed there too.
# - **With few labels** nothing more is seen. In the generator's world, at 1, 2, 4 and 8 labelled recordings per species +1.2 [-1.0, +3.5], +0.2 [-3.6, +4.0], -0.2 [-2.5, +2.0] and +0.3 [-7.0, +7.6] points; on birds, at 1 and 2, -1.5 [-5.7, +2.7] and -0.8 [-3.0, +1.4] (notebook 06, three seeds).
# - **Curation**, in the generator's world: pretraining on the half of the windows that a classifier is sure of is as good as on all (+0.1 [-1.7, +1.9] points, the paper -4.7), though 92.9 % of them hold a call and 61.9 % of all (notebook 07, three seeds).
# - **MSM-MAE**: strips lose, as the paper says (-6.1 [-11.5, -0.8], three seeds, the generator's world); a longer input and finer patches are undecided. All nine designs are below log-mel statistics without a network after their 12,000 clips, and the ready weights not clearly above them (notebooks 08 and 09).
# - The records of the first version are gone (notebook 04, "Why our first table was wrong"): what they measured was a readout that random weights cannot learn behind.
#
# ## Exercises
#
# Fill in the function and run the cell: its last line tries it on numbers you have not seen and says whether it is right, or what to look at. The
# solutions are folded below.

# %%
from lib.course import exercises_11 as check

# %% [markdown]
# ### 1 · What could be seen
#
# Which of the paper's differences are larger than the smallest one that is found here with 80 % power? Count them in a table such as `every`, with columns `paper_change` and `power80`, in
# points.

# %% tags=["exercise"]
def could_be_seen(every):
    """The number of rows whose paper's difference is larger than the smallest found."""
    return None


check.could_be_seen(could_be_seen)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def could_be_seen(every):
#     return (every["paper_change"].abs() > every["power80"]).sum()
# ```
# Try it: `could_be_seen(every)` of `every["paper_change"].notna().sum()`. Where the paper has no number the comparison is False by itself. That a difference *could* be seen does not
# say that it is there at this scale.
# </details>
#
# ### 2 · A verdict
#
# `change` is a difference, `p` its p-value after Holm's correction, `seeds` the number of seeds both arms share, `direction` the sign of the paper's difference, +1 or -1. Return
# `"no verdict"` (fewer than three seeds), `"undecided"`, `"same direction"` or `"opposite"`.

# %% tags=["exercise"]
def verdict(change, p, seeds, direction):
    """One of four texts."""
    return None


check.verdict(verdict)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def verdict(change, p, seeds, direction):
#     if seeds < 3:
#         return "no verdict"
#     if p >= 0.05:
#         return "undecided"
#     return "same direction" if change * direction > 0 else "opposite"
# ```
# `verdicts.verdict` also says where no interval can be had, and that a row of `chorus` holds in the generator's world. An interval over recordings alone would take the list of species as
# given: fine for a monitoring project with that list, too narrow for a claim about animal sound.
# </details>
#
# ### 3 · Draw groups
#
# Recordings of one pond, one night, one animal are alike. Return the mean of `hits` (R,) for *one* draw of the bootstrap over `groups` (R,): as many groups as there are, with
# replacement, each with all of its recordings.

# %% tags=["exercise"]
def group_draw(hits, groups, rng):
    """One resampled mean; rng is a numpy.random.Generator."""
    return None


check.group_draw(group_draw)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def group_draw(hits, groups, rng):
#     names = np.unique(groups)
#     return np.concatenate([hits[groups == g] for g in rng.choice(names, len(names))]).mean()
# ```
# Windows of a recording are even more alike than recordings of a pond. Drawing them instead makes the interval narrower, not the knowledge greater. `metrics.bootstrap` draws groups within
# each class, and where most classes have a single group it says that there is no interval.
# </details>
#
# ### 4 · How many species
#
# With `species` species the smallest difference found is `smallest` points. How many would it take to find `wanted` points, if the seed does not matter? A whole number.

# %% tags=["exercise"]
def species_needed(species, smallest, wanted):
    """The number of species in all."""
    return None


check.species_needed(species_needed)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def species_needed(species, smallest, wanted):
#     return int(np.ceil(species * (smallest / wanted) ** 2))
# ```
# Try it with the row of Table 3 that stands for the paper's 0.56 points: `row = every[(every["place"] == "Table 3") & (every["paper_change"].between(0, 1))].iloc[0]`, then
# `species_needed(33, row["power80"], 0.56)`. More recordings of the same species help only until what is left is how species differ, and equation (2) has a term that only more seeds make small.
# </details>
#
# ### 5 · Many comparisons
#
# m comparisons of arms that truly do not differ, independent of each other; each says *differs* with probability `level`. What is the chance that at least one of them does?

# %% tags=["exercise"]
def at_least_one(m, level):
    """A probability."""
    return None


check.at_least_one(at_least_one)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def at_least_one(m, level):
#     return 1 - (1 - level) ** m
# ```
# For twenty comparisons at 5 % it is 64 %. So one interval without 0 among many rows is no finding. Holm's correction brings the 64 % back to 5 %, for rows that share arms too, and its price is
# power: with many rows more of them stay undecided.
# </details>
#
# ### 6 · To try: another world
#
# No check: what comes out is yours to judge. Ask for the same tables at another scale: set `"scale": "small"` in `papermill_runs/05_mix_ratio.sweep.json`, start
# `python -m lib.runs sweep papermill_runs/05_mix_ratio.sweep.json`, then run this notebook again. And which verdicts would there be without Holm's correction?
#
# <details><summary>What to expect</summary>
#
# The new rows appear as a world of their own; arms are never compared across scales. For the second, `every[(every["seeds"] > 1) & (every["low"] * every["high"] > 0)]`:
# rows whose interval leaves 0 out. Those of them that are *undecided* are what the correction costs, and perhaps what it saves.
# </details>
#
# ## Quiz
#
# **An interval holds 0. Do the two arms do equally well?** <details><summary>Answer</summary>That is not known. It says that this many recordings,
# species and seeds cannot tell. Look at *smallest found*: a smaller difference will
# mostly be missed here, however real.</details>
#
# **Why pair by recording instead of comparing two intervals?** <details><summary>Answer</summary>Both arms find the same recordings easy. What they
# share cancels in the difference, so that the paired interval is narrower than
# either arm's own. Two intervals that overlap can hide a clear difference.</details>
#
# **The paper's difference is +10 and ours +3 with an interval above 0. Is that "same direction" or a failure to reproduce?**
# <details><summary>Answer</summary>The direction is reproduced, the size is not; nor could it be expected,
# with another model, other species and another number of labels. The verdict speaks of the direction only.</details>
#
# ## What was not shown
#
# Anything at the paper's scale; top-5, mAP and mF1 (they are in the records from notebook 03 on); the doubt about the *choice* of settings, which
# no interval here contains: every arm had one recipe.
#
# ## Further reading
#
# - Liu et al. 2026, *Masked Autoencoders with Limited Data: Does It Work?*, [arXiv:2605.14031](https://arxiv.org/abs/2605.14031).
# - Niizumi et al. 2022, *Masked Spectrogram Modeling using Masked Autoencoders for Learning General-purpose Audio Representation*, [PMLR
#   166](https://proceedings.mlr.press/v166/niizumi22a.html).
# - Efron and Tibshirani 1993, *An Introduction to the Bootstrap*, [doi:10.1201/9780429246593](https://doi.org/10.1201/9780429246593).
# - Bouthillier et al. 2021, *Accounting for Variance in Machine Learning Benchmarks*, [arXiv:2103.03098](https://arxiv.org/abs/2103.03098).
# - Agarwal et al. 2021, *Deep Reinforcement Learning at the Edge of the Statistical Precipice*,
#   [arXiv:2108.13264](https://arxiv.org/abs/2108.13264): few runs, and intervals all the same.
#
# There is no record: this notebook only reads them.
