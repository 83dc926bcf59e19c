# %% [markdown]
# # 07 · Data curation: is less, but better, sound a better teacher?
#
# **Time**: `tiny` 16 minutes of one core of an AMD EPYC (AVX2, float32), by the sheet below, and 3 more for the selector's pretraining, which was there already; the selector is made once and kept · `smoke` under a minute · `small` not measured ·
# `paper` about four days on one A100 (selector 24 + 16 h, pretraining 24 h, finetuning twice 16 h: the paper's hours), `confidence_oof` 32 h more.
#
# You will
# 1. **score** every window of the train recordings: does it hold an animal?
# 2. **keep** the best half, and beside it a **control**: as many windows of every recording, chosen at random,
# 3. **check** the filter against the truth, which the synthetic recordings know,
# 4. **pretrain** on what is kept, **finetune** on everything and on what is kept, and train a small network without pretraining,
# 5. **compare** with Figures 4 and 5 of Liu et al. 2026.

# %% [markdown]
# ## The question
#
# A recording carries one label, *this species*, but most of it may be wind. Cut into windows, many hold no animal at all. A classifier then
# learns that wind is a frog, and a masked autoencoder spends its effort on guessing wind. Liu et al. (section 4.7) throw windows away, by two
# rules: keep those where a classifier is confident of the recording's species, or those that a masked autoencoder reconstructs badly.
#
# > **Predict before you read on.** Half of the windows are thrown away. Is the encoder that was pretrained on the better half better, worse or the
# > same? And against one that was pretrained on a *random* half?

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
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image, Markdown
from sklearn.metrics import precision_recall_curve

from lib import mel, metrics, plots, pretrain, recordings, runs, sources
from lib.course import exercises
from lib.explorers import curation
from lib.runs import cost, experiments, report, verdicts
from lib.sources import chorus
from lib.transfer import curate, finetune, mobilenet, reference, starts

plots.style()

# %% tags=["parameters"]
# none, confidence, confidence_oof, loss or energy
filter: str = "confidence"  # what windows are scored by
# empty: of a classifier that is trained here; birdnet: of BirdNET, where it is installed, on birds
teacher: str = ""  # whose confidence the filter of that name takes: empty or birdnet
# a share of the windows such as "50%", or every window with at least this score, such as 0.88
threshold: str = "50%"  # what is kept
# windows: as many of every recording as the filter keeps, at random; recordings: of as many
# recordings, these drawn too; none: the filter itself
control: str = "none"  # none, windows or recordings
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the training, the folds and the control
data_seed: int = 0  # of the synthetic recordings, and of the split of a folder that brings none
# this pool is curated; folder:PATH has one folder per class, or is a CSV
wildlife: str = "chorus"  # the pool with the species: chorus, inatsounds:ROOT or folder:PATH
# on this one the selector is pretrained
general: str = "chorus"  # the other pool: chorus, audioset:ROOT, esc50 or folder:PATH
# study: this repository's, see 04; audiomae: AdamW, layer decay; paper: Adam, as the first author's
# fork has it; lora: few weights
preset: str = "study"  # the recipe of finetuning: study, audiomae, paper or lora
# median: a frame is heard as it lies above what its band has in this clip; none: as in both papers
subtract: str = "median"  # taken off the log-mel where labels are learned: median or none
# a file of timm's weights of this size; of the first convolution the three colours are summed
proxy_weights: str = ""  # of MobileNetV3: hub, a local file, or empty for random weights
# main: this notebook in minutes; sweep: what the records use; none: random weights
budget: str = "main"  # pretraining clips: main, sweep or none
max_hours: float = 1.0  # a run that would take longer on this machine is refused

# %% [markdown]
# A parameter that makes no sense is refused here, before anything is computed.

# %%
value = curate.check(filter, threshold, control, teacher)
taught_by = reference.load(teacher) if teacher else None
setting = runs.scale(scale)
if proxy_weights:  # whether they can be had
    mobilenet.network(2, size=setting.proxy(seed).size, weights=proxy_weights)
clips = runs.clips(setting, budget)
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
run = runs.start("07_data_curation", pools, filter=filter, teacher=teacher, threshold=threshold,
                 control=control, scale=scale, seed=seed, data_seed=data_seed,
                 wildlife=wildlife, general=general, preset=preset, subtract=subtract,
                 proxy_weights=proxy_weights, budget=budget)
print(f"scale {setting.name}: filter {experiments.named(filter, teacher)}, threshold {threshold}, "
      f"control {control}; {clips:,} pretraining clips")

# %% [markdown]
# ## The windows
#
# Filters see the train split and nothing else: no val or test recording enters a filter, an out-of-fold model, or the numbers that specs are
# normalised by (those are constants of the front end, never fitted to what is kept). A test of this project writes down every file that is
# opened and fails if one of another split is among them.

# %%
front, table = mel.INAT, pools["wildlife"]
heard = runs.front(front, subtract)  # by classifiers: pretraining hears the log-mel as it is
labels = sorted(table.loc[table["split"] == "train", "label"].unique())
grid = curate.grid(table, front)
print(f"{len(grid):,} windows of {front.seconds:.2f} s, half overlapping, "
      f"in {grid['recording'].nunique()} train recordings of {len(labels)} species")
count = grid.groupby("recording").size().rename("windows per recording")
count.describe()[["min", "50%", "mean", "max"]].round(1)

# %% [markdown]
# ## What will be computed
#
# A sheet comes first because an estimate of seconds may save a day: a run that would take longer than `max_hours` is refused here, before it begins. First what makes the scores, then what is learnt
# from the windows they keep.

# %%
arch, recipe = setting.arch(), setting.pretraining(clips, seed, ratio=0.0)
labelled = setting.finetuning(preset, seed, pretrained=clips > 0)
train = table[table["split"] == "train"]
# what a scorer is pretrained on
told, rows = dataclasses.replace(recipe, clips=runs.clips(setting, "sweep")), []
if filter.startswith("confidence") and not teacher:
    # three, each on two thirds of the recordings, cost as much as two
    selectors = 2 if filter == "confidence_oof" else 1
    general_only = dataclasses.replace(told, ratio=np.inf)
    rows += [cost.pretraining(arch, front, general_only, what="selector: pretraining",
                              pools=pools.values()),
             cost.finetuning(arch, heard, labelled, train, what="selector: finetuning",
                             times=selectors)[0],
             cost.predicting(arch, heard, train, len(labels), what="selector: scores")]
if filter == "loss":
    rows += [cost.pretraining(setting.arch(norm_pixels=False), front, told,
                              what="scorer: pretraining", pools=pools.values()),
             cost.predicting(arch, front, train, what="scorer: four masks", times=4)]
rows += [cost.pretraining(arch, front, recipe),
         *cost.finetuning(arch, heard, labelled, table, times=1 if filter == "none" else 2)]
cost.sheet(rows, max_hours)

# %% [markdown]
# **See:** what a filter costs beside what it is to improve. Measured a moment ago from a few steps on random clips, on the machine in the corner. Scores that an earlier run left are
# read, and finetuning on the kept windows is shorter where recordings lose all of theirs, so it may be less; reading, a `teacher` and the small network at the end are not counted, so it may be more.
#
# ## Four scores
#
# With $p_w$ the class probabilities of window $w$, $y$ its recording's species, $m$ a random mask that hides 80 % of the patches:
#
# $$ \text{confidence}(w) = p_w(y), \qquad \text{loss}(w) = \frac1M \sum_{m=1}^{M} \overline{(\text{guess}_m - \text{spec}_w)^2}\Big|_{\text{hidden}},
# \qquad \text{energy}(w) = \sum_{n \in w} \Big(\frac{x_n}{\max |x|}\Big)^2 \tag{1} $$
#
# - **confidence** (Figure 4): the selector is a classifier trained on the full train split. It scores windows *that it was trained on*.
# - **confidence_oof**: the same out of fold. Three selectors, each scoring only recordings of groups (place, animal) that it has not met. What it says
#   is a judgement, not a memory.
#   With `teacher="birdnet"` the same filter runs with a second teacher: BirdNET, which learnt its species from other labels, says how sure it is of the recording's. It knows birds, and
#   none of `chorus`; that it never met these very recordings nobody can promise.
# - **loss** (Figure 5): needs no label. Windows that are *hard* to reconstruct are kept: an empty one should be simple. The target is the raw
#   spec: divided by its own standard deviation, a patch of silence is as hard as song.
# - **energy**: not in the paper; the first author's public fork has it, with a threshold of 200 for 3 s at 22.05 kHz. The recording is scaled to peak 1 first.
#
# The selector starts from a MAE that was pretrained on general sound only, so that even its starting point has never heard a recording that an
# out-of-fold selector judges. Selectors keep their last step: choosing by val would let val into the filter.
#
# > **Predict.** Which of the four finds calls best? Think of a cricket that never pauses, of a single frog in the rain, of a click of the microphone.

# %% tags=["predict"]
best = None  # "confidence", "confidence_oof", "loss" or "energy"

# %%
def score(name: str) -> pd.DataFrame:
    """The windows with their score.

    What was scored before, with the same recordings, seed and recipe, is read again."""
    told = runs.clips(setting, "sweep")
    if name == "confidence" and teacher:
        return curate.taught(taught_by, front, table)
    if name.startswith("confidence"):
        begin = starts.start("audioset_ssl", setting.arch(), setting.pretraining(told, seed),
                             pools, workers=setting.workers)
        return curate.confidence(begin.model, begin.model.arch, heard, table,
                                 labelled,
                                 out_of_fold=3 if name == "confidence_oof" else 0,
                                 workers=setting.workers)
    if name == "loss":
        raw = pretrain.pretrain(setting.arch(norm_pixels=False), front,
                                setting.pretraining(told, seed), table, pools["general"],
                                workers=setting.workers, reuse=True)
        return curate.reconstruction_loss(raw.model, front, table, seed=seed)
    return curate.energy(front, table) if name == "energy" else grid.assign(score=1.0)

# %%
scores = score(filter)
scores["score"].describe().round(3)

# %% [markdown]
# ## Keep and control
#
# `"50%"` keeps the best half. A number keeps every window with at least that score; the paper's numbers belong to its own selectors.
#
# A filter changes three things at once: *which recordings* are there, *which windows* of them, and *how many*. One control keeps as many windows in every recording, chosen
# without looking at the score: only the choice of windows differs. A second one (`control="recordings"`) draws the recordings as well, as many as the filter keeps: what lies between it and the filter is all that the score chose.

# %%
half = curate.keep(scores, "100%" if filter == "none" else threshold)
rng = np.random.default_rng([seed, 7])
kept = half
if control != "none":
    kept = curate.control(scores, half, rng, recordings=control == "recordings")

# %%
chosen = curate.curated(table, scores, kept)
everything = curate.curated(table, scores, curate.keep(scores, "100%"))
lost = set(labels) - set(chosen.loc[chosen["split"] == "train", "label"])
print(f"score >= {kept.threshold:.4g}: {kept.windows:.1%} of the windows, "
      f"{kept.per_recording:.1%} of a recording on average; "
      f"{kept.recordings} of {grid['recording'].nunique()} recordings stay, "
      f"{len(lost)} of {len(labels)} species lose all of theirs")
if kept.unscored:
    print(f"{kept.unscored} windows have no score "
          "(no selector has met their species) and stay")

# %% [markdown]
# **Checkpoint.** If this passes, filter and controls have the same size, the first control in every recording.

# %%
other = curate.control(scores, half, np.random.default_rng(1))
drawn = curate.control(scores, half, np.random.default_rng(1), recordings=True)
per_recording = [pd.Series(k.keep).groupby(scores["recording"]).sum() for k in (half, other)]
assert (per_recording[0] == per_recording[1]).all()
assert kept.windows == half.windows == drawn.windows and drawn.recordings >= half.recordings
free = pd.Series(half.keep).groupby(scores["recording"]).agg(lambda k: 0 < k.mean() < 1)
print(f"{free.mean():.0%} of the recordings keep a part of their windows: "
      "only there can filter and control differ")

# %% [markdown]
# A recording that keeps all of its windows, or none, is its own control: filter and control differ only in the others, and share the choice of *recordings*. On short recordings,
# whose windows overlap nearly whole, these are few: by energy, on `chorus` at `tiny` (data_seed 0), 21 % of 407. So a small difference between filter and this control does not say that
# the filter is useless. The second control draws the recordings too, and so has all that the score chose on the other side; the comparison with `none` adds what dropping whole recordings does (by energy 144 of them).
#
# ## What the scores look like
#
# On `chorus` the true boxes of all calls are known, so that each bar can say how many of its windows hold one. A window holds a call where at least 0.1 s of one,
# or half of it, lies inside.

# %%
truth = chorus.events(table) if wildlife.partition(":")[0] == "chorus" else None
calls = None if truth is None else curate.holds_call(grid, truth, front)
parts = {"windows": scores["score"]}
if calls is not None:
    parts = {"with a call": scores["score"][calls], "without": scores["score"][~calls]}
figure, ax = plt.subplots(figsize=(7, 2.8))
ax.hist(list(parts.values()), bins=40, stacked=True, label=list(parts))
ax.axvline(half.threshold, color="0.2", linestyle="--", label=f"threshold {half.threshold:.3g}")
ax.set(xlabel=f"score: {experiments.named(filter, teacher)}", ylabel="windows")
ax.legend(loc="upper center");

# %% [markdown]
# **See:** the scores of all train windows; right of the dashed line is what the filter keeps. A filter that finds empty windows has the second colour left of the
# line. Where `confidence` piles up at 1, the selector has learned its own training windows by heart, empty ones too; out of fold it cannot.
#
# The lowest and the highest, as pictures, each from another recording:

# %%
ranked = scores.dropna(subset="score").sort_values("score", kind="stable")
shown = pd.concat([ranked.drop_duplicates("recording").head(3),
                   ranked.drop_duplicates("recording", keep="last").tail(3)])
log_mel = mel.LogMel(front)
figure, axes = plt.subplots(2, 3, figsize=(11, 4.6), sharex=True, sharey=True)
source = recordings.Recordings(table[table["split"] == "train"].reset_index(drop=True), front)
waves = [source.read(w.recording, round(w.start_s * front.rate), front.samples)
         for w in shown.itertuples()]
for ax, window, wave in zip(axes.flat, shown.itertuples(), waves):
    plots.spec(ax, log_mel(wave[None], frames=front.frames), front, f"score {window.score:.4g}")
    if truth is not None:
        near = truth[(truth["file"] == window.file)
                     & (truth["start_s"] < window.start_s + front.seconds)
                     & (truth["end_s"] > window.start_s)]
        plots.boxes(ax, near[near["kind"] == "call"], front, window.start_s)
    ax.set(xlim=(0, front.seconds))
    ax.label_outer()

# %% [markdown]
# Above the three lowest, below the three highest; cyan boxes are the true calls of the labelled species. **See:** whether the upper row is empty. Then listen, the lowest first:

# %%
for wave in (waves[0], waves[-1]):
    display(plots.sound(wave, front.rate, seconds=2))

# %% [markdown]
# ## Explore: the curation browser
#
# Move the threshold and look at what lies just above and just below it. Besides this run's filter the browser has the energy filter, which costs nothing. On GitHub only
# this still picture shows; run the notebook to move it.

# %%
judged = {experiments.named(filter, teacher): scores} | {"energy": score("energy")}
browser = curation.Curation(judged, table, front, calls, truth)
view = browser.update(percent=50, which="just kept" if calls is None else "dropped with a call")
print(view.text)
Image(view.image)

# %% [markdown]
# What the browser shows: the scores, and three windows next to the threshold with score, species and truth (cyan: true calls, where they are known). And here it is:

# %%
browser

# %% [markdown]
# *The browser.* Keys: Tab moves between the controls, arrows change a value, the space bar presses *listen*. What to try: look at *dropped with a call*, the filter's misses,
# and step away from the threshold: are they faint, short, or masked by something else? Then at *kept without a call*: what did the filter hear there? At which share kept
# does the precision in the table leave the base rate?

# %% [markdown]
# ## How much a threshold keeps
#
# The share of windows, and the average share of a recording, are two different numbers: long recordings have more windows and lose more. In
# the paper 0.88 keeps about 50 % of all segments, but 55 % of a recording on average.

# %%
cuts = np.unique(scores["score"].dropna().quantile(np.linspace(0, 1, 41)))
curve = [curate.keep(scores, float(cut)) for cut in cuts]
figure, axes = plt.subplots(1, 3, figsize=(12, 3.2))
axes[0].plot(cuts, [100 * k.windows for k in curve], label="of all windows")
axes[0].plot(cuts, [100 * k.per_recording for k in curve], label="of a recording, average")
axes[0].axvline(half.threshold, color="0.2", linestyle="--")
axes[0].set(title=f"measured: {filter}", xlabel="threshold", ylabel="kept (%)", ylim=(0, 105))
for ax, experiment, place in zip(axes[1:], ("curation_confidence", "curation_reconstruction"),
                                 ("Figure 4", "Figure 5")):
    theirs = runs.reference(experiment).assign(setting=lambda t: t["setting"].astype(float))
    for metric, text in (("segments_dropped", "segments (middle table)"),
                         ("avg_drop_per_file", "of a recording, average"),
                         ("finetune_segments_dropped", "segments (right table)")):
        one = theirs[theirs["metric"] == metric]
        ax.plot(one["setting"], 100 - one["value"], "s--", label=text) if len(one) else None
    ax.set(title=f"paper: Liu et al. 2026, {place}", xlabel="threshold", ylim=(0, 105))
axes[1].plot([0.88, 0.88], [50, 55], "k*", label="the text: 0.88 keeps 50 and 55 %")
[ax.legend(fontsize="small") for ax in axes];

# %% [markdown]
# Left what this run measured, beside it the paper's numbers; the scores are not the same scores, compare shapes. **See:** the paper's Figure 5 has two curves for one thing: its
# middle table says that thresholds 0.06, 0.12, 0.25 drop 50, 75, 90 % of the segments, its right table 25, 50, 75 %. At least one is wrong.
#
# ## Does the filter find calls?
#
# On `chorus` a filter can be judged as what it is meant to be: a detector of calls. The base rate, the share of windows that hold one, is the precision of keeping at random.

# %%
found = {}
if calls is not None:
    found = curate.detector(scores, kept, calls)._asdict()
    ranking = scores["score"].fillna(scores["score"].max())
    precision, recall, _ = precision_recall_curve(calls, ranking)
    figure, ax = plt.subplots(figsize=(6.8, 3.4))
    ax.plot(100 * recall[:-1], 100 * precision[:-1], label=f"{filter}, AUC {found['auc']:.2f}")
    for name, one in {"the filter": half, "windows at random": other,
                      "recordings too": drawn}.items():
        at = curate.detector(scores, one, calls)
        ax.plot(100 * at.recall, 100 * at.precision, "o", label=f"{name}, {one.windows:.0%} kept")
    ax.axhline(100 * found["base_rate"], color="0.6", linestyle=":", label="base rate")
    ax.set(xlabel="recall: windows with a call that are kept (%)", ylabel="precision (%)",
           ylim=(min(50, 90 * precision.min()), 101))
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    found["auc"] = found["auc"] if control == "none" else None  # a control has no score of its own

# %% [markdown]
# Precision against recall over all thresholds, in the generator's world. **See:** a useful filter lies above the dotted line at once; the control's point lies close to it, not
# on it, because it follows the filter in *how many* windows of each recording stay.
#
# **Checkpoint.** If this passes, precision and recall are scikit-learn's.

# %%
from sklearn.metrics import precision_score, recall_score

if calls is not None:
    assert np.allclose([found["precision"], found["recall"]],
                       [precision_score(calls, kept.keep), recall_score(calls, kept.keep)])
    print({name: None if number is None else round(number, 3) for name, number in found.items()})

# %% [markdown]
# ## Pretraining on what is kept
#
# A fixed number of draws. Each draws a recording, then one of its kept windows: neither the budget nor the weight of a recording changes with the filter. The baseline
# `none` draws from *all* windows of the same grid (not from free crops as notebook 05 does), so that the choice of windows is the only difference.
#
# **Not the paper's arm.** The paper does not say what its curated models start from. Its 59.5 without a filter equals Table 3's AudioSet then iNatSounds (59.51), so it probably
# filtered *continued* pretraining; from random weights iNatSounds alone has 49.0 there. Ours starts from random weights: compare signs, not sizes.

# %%
print(pretrain.plan(arch, recipe, chosen, pools["general"]))
pretrained = pretrain.pretrain(arch, front, recipe, chosen, pools["general"],
                               workers=setting.workers, reuse=budget == "sweep")

# %%
figure, ax = plt.subplots(figsize=(5, 2.6))
plots.curve(ax, pretrained.log)

# %% [markdown]
# The loss against the clips seen. Do not compare it between filters: windows with more structure are harder to guess or easier, and neither makes a better encoder.
#
# ## Finetuning on everything, and on what is kept
#
# As in Figure 4, right: the same pretrained encoder learns the species once from all train windows and once from the kept ones. Val and test are never filtered.
#
# > **Predict.** The paper says that finetuning on the filtered windows is "always" better than on all of them. By how much, at a threshold of 0.90?

# %% tags=["predict"]
better = None  # in points of top-1, out of 100

# %%
def learn(part: pd.DataFrame, name: str) -> tuple[finetune.Finetuned, metrics.Evaluation]:
    """Finetune the pretrained encoder on a table; the head always has all species, also those that
    a filter lost."""
    tuned = finetune.finetune(pretrained.model, arch, heard, part, labelled, labels=labels,
                              workers=setting.workers, reuse=budget == "sweep", bar=name)
    return tuned, finetune.evaluate(tuned, heard, part, seed, workers=setting.workers)

# %%
tuned, full = learn(everything, "on all windows")
filtered = full if filter == "none" else learn(chosen, "on kept windows")[1]

# %%
theirs = runs.reference("curation_confidence", setting="0.90", split="val")
theirs = theirs.set_index("metric")["value"].astype(float)
gain = theirs["filtered_finetune_top1"] - theirs["full_finetune_top1"]
exercises.predicted("the paper's gain at 0.90", better, gain, "points")

# %% [markdown]
# ## A small network as a second judge
#
# Liu et al. also train a MobileNetV3 on what is kept, without any pretraining on sound: what are these windows worth as labelled examples? Here it starts from random weights and keeps its last
# step. Whether theirs does they do not say; 54.9 %, where a ViT-B from random weights has 38.0, is more like a start from ImageNet's pictures: `proxy_weights="hub"`. At `tiny` a MobileNetV3-large would take half an hour on a CPU, so it is timm's *small* one at half width and for 10 epochs only: the picture keeps its full size, the network and its
# training do not. Read its numbers as a comparison between arms.

# %%
small = setting.proxy(seed)
proxy = mobilenet.train(heard, chosen, small, labels, weights=proxy_weights,
                        workers=setting.workers)
judged = finetune.evaluate(proxy, heard, table, seed, workers=setting.workers)

# %%
arms = {"pretrained on kept, finetuned on all": full,
        "pretrained on kept, finetuned on kept": filtered,
        f"MobileNetV3 {small.size} on kept": judged}
for name, result in arms.items():
    val, test = (result.scores[split].top1 for split in ("val", "test"))
    print(f"{name}: top-1 test {test}, val {val}")
n = full.scores["test"]
print(f"{n.recordings} test recordings of {n.classes} classes, each guess among {n.chosen_from}")

# %% [markdown]
# ## The record
#
# What this run was and what came out, beside the paper's row that drops as much: for half of the windows 0.90 in Figure 4, and 0.12 in Figure 5 by its right table.

# %%
experiment = {"none": "curation_confidence", "confidence": "curation_confidence",
              "loss": "curation_reconstruction"}.get(experiments.named(filter, teacher))
shares = {"confidence": {"50%": "0.90"},
          "loss": {"75%": "0.06", "50%": "0.12", "25%": "0.25"}}.get(filter, {})
# a loss is in units of its own front end: only shares compare
number = filter == "confidence" and not str(threshold).endswith("%")
near = "0.00" if filter == "none" else f"{value:.2f}" if number else shares.get(str(threshold), "")
rows = runs.reference(experiment, setting=near) if experiment and control == "none" else []
rows = rows[rows["place"].str.endswith("right")].reset_index(drop=True) if len(rows) else rows
paper = None
if len(rows):
    paper = {"source": f"{rows['paper'][0]}, {rows['place'][0].rsplit(' ', 1)[0]}",
             "setting": near, "split": "val",
             **dict(zip(rows["metric"], rows["value"].astype(float)))}
split_scores = lambda result: {**result.scores["val"]._asdict(), "test": result.scores["test"]}
path = run.record({**split_scores(full), "filtered": split_scores(filtered),
                   "proxy": split_scores(judged),
                   "kept": {**kept.report(), "species": len(labels) - len(lost)},
                   "detector": found},
                  samples_seen=recipe.clips,
                  paper=paper, labels=tuned.labels, answers=full.answers,
                  answers_filtered=filtered.answers, answers_proxy=judged.answers,
                  recipes={"arch": arch, "pretrain": recipe, "finetune": labelled, "proxy": small})

# %% [markdown]
# ## All filters that have been run
#
# Every record of this notebook with the sweep's budget, beside the paper's.

# %%
def arms(table: pd.DataFrame) -> pd.DataFrame:
    """Records with the filter named after its teacher, and the arm: filter, control, none."""
    arm = table["control"].replace({"none": "filter"}).where(table["filter"] != "none", "none")
    return table.assign(arm=arm, filter=experiments.filters(table))


known = runs.records("07_data_curation")
swept = runs.beside(known, run)
swept = arms(swept) if len(swept) else swept
columns = {"windows": "kept.windows", "recording": "kept.per_recording",
           "recordings": "kept.recordings", "species": "kept.species",
           "precision": "detector.precision", "recall": "detector.recall",
           "AUC": "detector.auc", "base rate": "detector.base_rate"}
there = {name: column for name, column in columns.items()
         if column in swept and swept[column].notna().any()}  # of recordings the truth is not known
(swept.groupby(["filter", "threshold", "arm"])[list(there.values())].mean()
 .set_axis(list(there), axis=1).round(3) if len(swept) else print("no sweep records yet"))

# %% [markdown]
# What each filter keeps, and how well it detects calls (means over seeds).

# %%
judges = swept[swept["arm"] == "filter"] if "AUC" in there else []  # the truth is known
if len(judges):
    areas = judges.groupby("filter")["detector.auc"].mean()
    exercises.predicted(f"highest AUC among {', '.join(areas.index)}", best, areas.idxmax())

# %%
ARMS = {"filter": "the filter", "windows": "windows at random", "recordings": "recordings too"}


def filters(rows: pd.DataFrame) -> list[str]:
    """The filters that were run, in this notebook's order, each teacher's behind its own."""
    place = {name: i for i, name in enumerate(curate.FILTERS)}
    return sorted({*rows["filter"]} - {"none"}, key=lambda name: (place[name.split()[0]], name))


def panel(ax, rows: pd.DataFrame, column: str, title: str) -> None:
    """A dot per run, a bar at the mean of an arm; the grey band reaches from the lowest to the
    highest run without a filter."""
    rows = rows.assign(value=100 * rows[column])
    names = filters(rows)
    none = rows.loc[rows["arm"] == "none", "value"]
    if len(none):
        ax.axhspan(none.min(), none.max(), color="0.85")
        ax.axhline(none.mean(), color="0.4", linestyle=":", label="none")
    for k, (arm, words) in enumerate(ARMS.items()):
        for i, name in enumerate(names):
            one = rows.loc[(rows["arm"] == arm) & (rows["filter"] == name), "value"]
            x = i + 0.25 * (k - 1)
            ax.plot([x] * len(one), one, "o", color=f"C{k}", markersize=4,
                    label=words if i == 0 else None)
            ax.plot([x - 0.1, x + 0.1], [one.mean()] * 2, color=f"C{k}", linewidth=3)
    ax.set(title=title, ylim=(0, 1.1 * rows["value"].max()),
           xlim=(-0.5, max(1, len(names)) - 0.5))
    ticks = [re.sub("_| by ", "\n", name.replace("confidence", "conf.")) for name in names]
    ax.set_xticks(range(len(names)), ticks, fontsize="small")
    ax.title.set_size("small")


# %%
half_kept = (swept[(swept["filter"] == "none") | (swept["threshold"].astype(str) == "50%")]
             if len(swept) else swept)
figure, axes = plt.subplots(1, 5, figsize=(13, 3.6))
for ax, experiment, text in zip(axes, ("curation_confidence", "curation_reconstruction"),
                                ("Figure 4: confidence", "Figure 5: loss")):
    theirs = runs.reference(experiment, split="val")
    for i, (metric, name) in enumerate({"full_finetune_top1": "finetuned on all",
                                        "filtered_finetune_top1": "finetuned on kept",
                                        "mobilenetv3_top1": "MobileNetV3"}.items()):
        one = theirs[theirs["metric"] == metric]
        if len(one):
            ax.plot(one["setting"].astype(float), one["value"], "s--",
                    color=f"C{i + 2}", label=name)
    ax.set(title=f"paper: Liu et al. 2026\n{text}", xlabel="threshold",
           ylabel="top-1 on val (%)", ylim=(0, 65))
    ax.title.set_size("small")
kinds = {"test.top1.value": "finetuned on all", "filtered.test.top1.value": "finetuned on kept",
         "proxy.test.top1.value": "small MobileNetV3"}
for ax, (column, name) in zip(axes[2:], kinds.items()):
    (panel(ax, half_kept, column, f"measured, half kept:\n{name}")
     if len(half_kept) else ax.set_axis_off())
axes[0].legend(fontsize="small")
axes[2].legend(fontsize="small") if len(half_kept) else None
plots.save(figure, "07_data_curation") if setting.name != "smoke" and len(half_kept) else None

# %% [markdown]
# *Top-1, class average.* Left the paper's numbers on val against its own thresholds; then what this code measured on test, half of the windows kept: a dot is a run, a bar the mean over
# seeds, the grey band the runs without a filter. **See:** a filter's merit is its distance to the *control* beside it, not to the grey band.
#
# ## Is a difference larger than chance?
#
# Two arms are compared on the *same* test recordings and seeds. The interval, in points, is over other seeds and other species, crossed (of one seed: over species alone, and no answer). A row *differs*
# when its p is below 0.05 after Holm's correction over the table. *Smallest found* is the true difference that such a comparison finds with 80 % power.

# %%
def differences(records: pd.DataFrame) -> None:
    """Each filter against its controls and none, finetuned on everything and on what it keeps."""
    rows, arm = [], dict(list(records.groupby(["filter", "arm"]))) if len(records) else {}
    for name in filters(records) if len(records) else ():
        for against, base in (("windows at random", (name, "windows")),
                              ("recordings too", (name, "recordings")),
                              ("no filter", ("none", "none"))):
            if not {(name, "filter"), base} <= set(arm):
                continue
            for on, answers in (("all", "answers"), ("kept", "answers_filtered")):
                change = verdicts.between(arm[name, "filter"], arm[base], answers)
                if change:
                    rows.append({"filter": name, "against": against, "finetuned on": on,
                                 "change": change})
    if not rows:
        return print("no sweep records yet")
    shown = plots.table(verdicts.compared(rows)).format("{:+.1f}", subset=["change", "low", "high"])
    display(shown.format("{:.1f}", subset=["smallest found"]).hide())


differences(half_kept)

# %% [markdown]
# Rows of `chorus` hold in the generator's world; only rows of real recordings may carry a verdict about animals. Many rows are many chances to be wrong: of twenty comparisons without
# any truth, one has an interval without 0 by itself; Holm's correction is what it costs to allow for that.
#
# ## A teacher from elsewhere
#
# The selector above learns from a few hundred recordings which windows hold the animal. BirdNET has learnt from a great many labelled recordings of birds what each sounds like, and
# `teacher="birdnet"` asks it instead: how certain is it, in each window, of the species that the recording is labelled with? (BirdNET V2.4, Kahl et al. 2021, CC BY-NC-SA 4.0; the README says how to install it.) Here are the records of
# `papermill_runs/07_data_curation_teachers.sweep.json`, on xeno-canto recordings of birds with half of the windows kept: by the study's own selector and by BirdNET, and beside each as many windows of the same recordings at random.
#
# > **Predict.** BirdNET may well have heard these very recordings. What can its choice of windows carry over to a network that meets only the windows and their labels?

# %%
real = known[known["data.wildlife.name"].str.startswith("birds-")] if len(known) else known
if len(real):
    real = arms(real[real["budget"] == "sweep"])
    by_arm = real.groupby(["filter", "arm"])
    display((100 * by_arm[[*kinds]].mean()).rename(columns=kinds)
            .assign(seeds=by_arm["seed"].nunique()).round(1))

# %% [markdown]
# Top-1 on test in percent, class average, means over seeds; below, what lies between a filter and its control.

# %%
differences(real)

# %% [markdown]
# ## What was seen
#
# The paper's claims, what would hold them up (written before the runs), and what came out:

# %%
Markdown(report.answered("Figure 4", "Figure 5"))

# %% [markdown]
# - *The paper*: pretraining on curated windows is worse than on all of them (59.5 with everything; 54.9 and 54.8 at 0.50 and 0.90; 57.9, 55.7 and 52.2 by reconstruction loss). The
#   authors read this as "noisy, but more data is more beneficial". Without a control of equal size it cannot be told apart from the filter choosing *badly*.
# - **The filters find calls** (`tiny`, data_seed 0, mean over the three seeds of `papermill_runs/07_data_curation.sweep.json` that have been run; the table under *All filters*): of the half of the windows that confidence keeps 92.9 % hold one, AUC 0.926; of the half that loss keeps 78.9 %, AUC 0.760. As many windows at random in the
#   same recordings: 70.9 and 65.0 %; with the recordings drawn too: 64.1 and 62.6 %; of all windows 61.9 %. So three tenths of what confidence gains over the base rate is its choice of *recordings*, which only the second control takes away.
# - **A selector flatters itself on recordings that it has met.** By selectors that were trained without the recording (`confidence_oof`; `papermill_runs/07_data_curation_more.sweep.json`, one seed so far), AUC falls from 0.926 to 0.719 and what is kept holds a call in 76.6 % instead of 92.9 %: below reconstruction loss, which has seen no label. Energy has
#   0.670 and 71.7 %.
# - **Pretraining is not better by it, nor worse.** Finetuned on everything, test is 39.3 % without a filter, 39.4 by confidence and 39.6 by loss; four controls have 38.6 to 39.5. Confidence minus no filter is +0.1 [-1.7, +1.9] points, by the margin set before *no difference*, where the paper loses 4.7; loss +0.3 [-4.1, +4.8], undecided.
#   Neither can be told from its own controls. Nor, in the one seed of the other two (no verdict), out of fold: -0.5 [-3.3, +2.2]; energy: -2.0 [-5.0, +1.0]. That is what notebook 05 lets one expect: where pretraining itself gives too little to be seen, so does a better choice of what to pretrain on.
# - **Finetuning on the kept windows is not "always" better**: here it is lower in both filters, 37.3 % where everything gives 39.4 (confidence) and 33.8 where it gives 39.6 (loss; 136 of 407 recordings are gone with their labels). That is what half of the labels costs, and less than it costs at random:
#   with loss's controls it is 9.0 and 9.9 points below no filter, which Holm's correction lets stand, with loss itself 5.5.
# - **Labels on windows that hold the animal** are what the small MobileNet seems to ask for: 21.3 % on what confidence keeps, 15.9 and 16.2 on its controls, 15.7 on everything, after ten epochs, far from its end; but its seeds differ so much that all of it is undecided (+5.6 [-3.1, +14.2] over everything).
# - **A teacher that knows birds chooses better windows, perhaps** (`tiny`, birds, three seeds, 103 test recordings of 57 species). Finetuned on the half that BirdNET keeps, test is 36.4 %, on as many windows of the same recordings at random 30.4: +5.9 [+0.6, +11.3] points, which Holm's correction does not let stand; a true
#   difference below 7.6 would mostly be missed. In *pretraining* its choice is worth +3.4 [-11.0, +17.8]: nothing can be said. The own selector has 27.8 and 25.1 (one seed, no verdict); it has met two recordings of a species on average (552 of 262). Whoever has BirdNET for these species needs no network of ours (RESULTS.md, *Beside BirdNET*); what this asks is whether
#   better labels of windows help where labels are few, and they may.
#
# ## Contradictions in the paper
#
# - **Figure 5 says two things**: the same thresholds 0.06, 0.12, 0.25 drop 50, 75, 90 % of the segments in its middle table and 25, 50, 75 % in its right one. Its caption speaks of
#   "confidence scores" for a histogram of losses.
# - **0.88 or 0.90?** The text has 0.88 keep about 50 % of the segments and 55 % of a recording; Figure 4 has 0.90 drop 50 % and 45 %. Both can be true only if next to no window scores in between.
# - **"despite using only 25% of the original training data, the validation accuracy drops by just 1.5%"** (MobileNetV3, 0.95; points, 54.9 to 53.4): without a random quarter beside it
#   this may say that a quarter of *any* windows is enough.
# - **Which model is curated?** Its 59.5 without a filter is Table 3's AudioSet then iNatSounds (59.51), not pretraining from random weights (49.0).
# - **"Always yield higher accuracy"**, finetuning on filtered against full data: 56.1 against 54.9, and 54.9 against 54.8. Two comparisons, one of them a tenth of a point, no repeats.
#
# ## Exercises
#
# Fill in the function and run the cell: its last line tries it on numbers you have not seen and says whether it is right, or what to look at. The
# solutions are folded below.

# %%
from lib.course import exercises_07 as check

# %% [markdown]
# ### 1 · Two shares
#
# `keep` (W,) says which windows a filter keeps, `recording` (W,) which recording each belongs to. Return both numbers of the paper: the share of all windows that is kept,
# and the share of a recording's windows that is kept, on average over recordings.

# %% tags=["exercise"]
def two_shares(keep, recording):
    """(share of the windows, mean over recordings of their share)."""
    return None


check.two_shares(two_shares)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def two_shares(keep, recording):
#     return keep.mean(), np.mean([keep[recording == r].mean() for r in np.unique(recording)])
# ```
# Long recordings have more windows, and a recording that loses all of its windows counts with 0. On the scores of this notebook: `two_shares(half.keep, scores["recording"].to_numpy())`.
# </details>
#
# ### 2 · The threshold of a share
#
# Which score must a window reach, so that the best `share` of the windows is kept? Some windows have no score (NaN); they are not asked.

# %% tags=["exercise"]
def threshold_of(score, share):
    """The score from which on windows are kept."""
    return None


check.threshold_of(threshold_of)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def threshold_of(score, share):
#     return np.nanquantile(score, 1 - share)
# ```
# To keep the best quarter is to pass the *upper* quartile. At 50 % the mistake is invisible: both halves have one size, and only the AUC would tell.
# </details>
#
# ### 3 · A control of equal size
#
# Return another choice of windows, a bool (W,), at random: as many as the filter keeps, and as many *in every recording*.

# %% tags=["exercise"]
def at_random(keep, recording, rng):
    """A control for `keep`; rng is a numpy.random.Generator."""
    return None


check.at_random(at_random)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def at_random(keep, recording, rng):
#     chosen = np.zeros(len(keep), bool)
#     for r in np.unique(recording):
#         places = np.flatnonzero(recording == r)
#         chosen[rng.choice(places, keep[places].sum(), replace=False)] = True
#     return chosen
# ```
# It is `curate.control`. A control with the same total only would also exchange recordings, and with them species: the comparison would mix the two choices.
# </details>
#
# ### 4 · The area under the ROC curve
#
# Take one window with a call and one without: how often has the one with the call the higher score? Over all such pairs, and a tie counts one half. `calls` (W,) is True
# for a window with a call.

# %% tags=["exercise"]
def auc(score, calls):
    """The share of pairs that the score orders rightly."""
    return None


check.auc(auc)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def auc(score, calls):
#     more = score[calls][:, None] - score[~calls]
#     return (more > 0).mean() + (more == 0).mean() / 2
# ```
# It is scikit-learn's `roc_auc_score`, computed as Mann and Whitney would. Neither the threshold nor the base rate enters, which is why precision, which depends on both, stands
# beside it.
# </details>
#
# ### 5 · Energy, and a click
#
# The energy filter of equation (1): the recording is scaled to a largest absolute value of 1, then each window's score is the sum of its squares. `wave` (N,) is a tensor, `starts`
# the first samples of the windows, `length` their length.

# %% tags=["exercise"]
def energies(wave, starts, length):
    """The energy of each window, a list or a tensor."""
    return None


check.energies(energies)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def energies(wave, starts, length):
#     scaled = wave / wave.abs().max()
#     return [scaled[s : s + length].square().sum() for s in starts]
# ```
# Set one sample of a wave to ten times its peak and compute again: everything but the click's own window falls by a factor of 100, and under any threshold that was a number.
# The fork's 200 also belongs to 22.05 kHz and 3 s: at twice the rate the same sound has twice the energy.
# </details>
#
# ### 6 · To try: turn the filter round, or blind it
#
# No check: what comes out is yours to judge. Keep the *lowest* half by score, or run `filter = "confidence_oof"` and compare the histogram: where did the high scores go, and what
# happened to the AUC? With hardly an empty window, `wildlife = "chorus:empty=0"`, what is left to find?
#
# <details><summary>What to expect</summary>
#
# `half = curate.keep(scores.assign(score=-scores["score"]), threshold)` checks that a filter's direction is right: if both halves do equally well, the score orders nothing that
# matters. A selector that has not met the recording is rarely sure: the scores spread out, most of them low; being sure of a *species* is a different thing from hearing that
# something calls. Without empty windows the base rate is close to 1, any filter is as precise as chance, and what it throws away is data.
# </details>
#
# ## Quiz
#
# **Why must the control keep the same number of windows in *every* recording, not only overall?** <details><summary>Answer</summary>A filter that favours long or loud recordings changes how many
# windows each recording, and so each species, has. A control of the same total would differ in that too, and the comparison would mix the choice of recordings with the choice of windows.</details>
#
# **A selector's confidence on its own training windows is close to 1 nearly everywhere. Is it a good selector?** <details><summary>Answer</summary>That cannot be told from it: a
# classifier with enough weights remembers which background belongs to which recording. Out-of-fold scores separate judgement from memory.</details>
#
# **Why is the loss filter run with the raw target, when the MAE itself is pretrained with the normalised one?** <details><summary>Answer</summary>Normalised per patch, every target has variance 1 and noise,
# which cannot be guessed, has the highest loss of all. With raw targets a patch costs what it departs from the guess in dB: steady noise a few dB at
# any level, a call above its background tens.</details>
#
# ## What was not shown
#
# The paper's scale (`scale="paper"`), a proxy that was trained to the end, thresholds other than the half (`threshold="25%"` or a number: one more run each), and curation of the *general* pool. On real
# recordings the truth is unknown: there is no precision there, only the accuracy that comes out.
#
# ## Further reading
#
# - Liu et al. 2026, *Masked Autoencoders with Limited Data: Does It Work?*, [arXiv:2605.14031](https://arxiv.org/abs/2605.14031), section 4.7, Figures 4 and 5.
# - Chasmai et al. 2024, *The iNaturalist Sounds Dataset*, [arXiv:2506.00343](https://arxiv.org/abs/2506.00343).
# - Howard et al. 2019, *Searching for MobileNetV3*, [doi:10.1109/ICCV.2019.00140](https://doi.org/10.1109/ICCV.2019.00140).
# - Northcutt, Jiang and Chuang 2021, *Confident Learning: Estimating Uncertainty in Dataset Labels*, [doi:10.1613/jair.1.12125](https://doi.org/10.1613/jair.1.12125).
# - Sorscher et al. 2022, *Beyond Neural Scaling Laws: Beating Power Law Scaling via Data Pruning*, [arXiv:2206.14486](https://arxiv.org/abs/2206.14486).
