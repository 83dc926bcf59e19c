# %% [markdown]
# # 12 · Your recordings: from a folder to a species table, a Raven file and a plan
#
# **Time**: `tiny` 2 minutes of one core of an Intel Xeon (AVX-512 bf16) · `smoke` under a minute · `small` and `paper` use the same ready weights and, with recordings of your own, take as long.
#
# You will
# 1. **turn** a folder of recordings, or labels made in Audacity or Raven, into the table that everything here works on, and read its warnings,
# 2. **train** a classifier from weights that were pretrained without labels, and keep it with its card,
# 3. **read** a species table: precision, recall and how little a handful of recordings says,
# 4. **predict** on new files of any length, and open the answers in Audacity or Raven,
# 5. **plan** how many more recordings to label, with an interval, or learn that the pilot cannot say.

# %% [markdown]
# ## The question
#
# A drawer full of recordings and a few hundred labels: is that enough to let a program go through the rest? And if not, how many more labels would
# it take?
#
# > **Predict before you read on.** If ten labelled recordings per species give 50 % right answers, how many will give 80 %? Write down a number,
# > and how far off you may be.

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
# per cent of the test recordings, averaged over species, that a classifier on the ready weights
# will name rightly
expected = None

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from lib import audio, checkpoints, metrics, paths, plots, runs, sources
from lib.course import exercises
from lib.field import classifier, planner, species
from lib.runs import cost, experiments, record
from lib.sources import selections
from lib.transfer import baseline, finetune, probe, starts

plots.style()

# %% tags=["parameters"]
# one folder per class, a folder with metadata.csv, or a CSV
wildlife: str = "chorus"  # your recordings: folder:PATH, or chorus
# frozen: the encoder stays as it is and a readout learns, seconds; finetune: all weights, minutes
method: str = "frozen"  # how to train: frozen or finetune
threshold: float = 0.5  # the score from which on a window counts as a find
target: float = 0.8  # the accuracy to plan for: class-averaged top-1
# group (animal, place, long recording) or recording (a row of the table)
unit: str = "group"  # what the plan counts as one label: group or recording
# empty: one long recording is joined from test
new: str = ""  # a folder of new recordings to predict
# empty: the user's cache
out: str = ""  # the folder for the classifier and its answers
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the training, the pilot and the intervals
data_seed: int = 0  # of the synthetic recordings, and of the split of a folder that brings none
max_hours: float = 1.0  # a run that would take longer on this machine is refused

# %% [markdown]
# ## From a folder to a table
#
# One folder per class is enough: `frogs/Rana temporaria/a.wav`. Or a `metadata.csv` in the folder, with `file,label` and, better, `group`: the
# animal, place or night
# that a recording belongs to. Recordings of one group are never split over train, val and test, because a classifier that has met a place
# recognises the place.
#
# People who annotate have a third way. `selections.annotations(folder)` reads what Audacity (*File > Export > Export Labels*, saved as `REC.txt`
# beside
# `REC.wav`) and Raven (`REC.Table.1.selections.txt`) wrote, and gives the table of labelled stretches; saved as `metadata.csv` it is read like any
# other. Here on a toy of one recording:

# %%
pond = paths.cache("your_recordings", "toy")
hiss = 0.01 * torch.randn(5 * 22_050, generator=torch.Generator().manual_seed(0))
audio.write(pond / "pond.wav", hiss, 22_050)
paths.write_text(pond / "pond.txt",
                 "0.5\t2.25\tRana temporaria\n3.0\t4.5\tBufo bufo\n4.9\t4.9\tBufo bufo\n")
selections.annotations(pond)

# %% [markdown]
# A label without a length (a point) has no sound to learn from; it is left out, and named. Now the recordings of this run:

# %%
setting, band = runs.scale(scale), selections.checked(threshold)
table = sources.recordings(wildlife, "wildlife", setting.chorus, data_seed)
run = runs.start("12_your_recordings", {"wildlife": table}, wildlife=wildlife, method=method,
                 threshold=threshold, target=target, unit=unit, scale=scale, seed=seed,
                 data_seed=data_seed)
counts = species.counts(table)
print(f"scale {setting.name}; {len(table)} recordings of {len(counts)} species in "
      f"{sources.units(table).nunique()} groups, {table['duration_s'].sum() / 3600:.2f} h")
plots.table(counts.head(12)).format({"minutes": "{:.1f}"})

# %% [markdown]
# The twelve commonest species. *Groups* are what counts: ten pieces of one frog are one frog. What to know before training on this table:

# %%
encoder, about = starts.load_ready()
warned = species.warnings(table, about.front)
print("\n".join(f"- {warning}" for warning in warned) or "nothing to warn of")

# %% [markdown]
# Warnings are no errors. The run goes on, and each of them will be seen again below, in a score that is too low, too high or too uncertain.
#
# ## What will be computed
#
# The encoder is that of the ready weights (`lib/transfer/starts.py`): pretrained without any label on the synthetic chorus. It looks once at every window of
# every recording, and its
# answers are kept. With `method = "frozen"` that is nearly all: the readout is a logistic regression. `finetune` trains all weights, and costs as
# many looks again per epoch.

# %%
recipe, heard = setting.finetuning("study", seed), about.front
if method == "finetune":  # above the median, as the study finetunes (notebook 04)
    heard = runs.front(about.front, "median")
rows = [cost.predicting(encoder.arch, about.front, table, what="features")]
if method == "finetune":
    rows += cost.finetuning(encoder.arch, heard, recipe, table)
cost.sheet(rows, max_hours)

# %% [markdown]
# ## Train

# %%
if method not in ("frozen", "finetune"):
    raise ValueError(f"method is {method!r}: it must be frozen or finetune")
known = probe.features(encoder, about.front, table, workers=setting.workers)
if method == "frozen":
    readout = probe.logistic(known, "mean", Cs=(0.003, 0.01, 0.1, 1.0))
    model, labels = classifier.frozen(encoder, readout, known.labels), known.labels
    result = probe.evaluate(readout, known, seed)
    print(f"logistic regression on {encoder.arch.dim} numbers a window; "
          f"C = {readout.chosen:g} of {readout.sweep['value'].tolist()} was best on val")
else:
    tuned = finetune.finetune(encoder, encoder.arch, heard, table, recipe,
                              workers=setting.workers)
    model, labels = tuned.model, tuned.labels
    result = finetune.evaluate(tuned, heard, table, seed, workers=setting.workers)
for split, s in result.scores.items():
    print(f"{split}: top-1 {s.top1}, "
          f"{s.recordings} recordings of {s.classes} species, each guess among {s.chosen_from}")
exercises.predicted("right answers on test", expected, 100 * result.scores["test"].top1.value, "%")

# %%
for name, opponent in baseline.logistic(about.front, table, seed,
                                        workers=setting.workers).items():
    print(f"no network, {name}: test top-1 {opponent.scores['test'].top1}")

# %% [markdown]
# The last two lines are logistic regression on each mel band's mean and spread, and with its rise above the median (notebook 05). If the classifier is no better than these, it does not owe its answers to the encoder, and `method = "finetune"` is worth its minutes.
#
# A guess that knows nothing would have one over the number of species. The interval is over groups; a species that has a single group in a split
# adds no
# width to it, so where most do, there is no interval. The species table says so one by one.
#
# ## The species table
#
# *Recall*: of the recordings of this species, the share that was named so. *Precision*: of the recordings named so, the share that was right. A
# survey that counts calls
# needs precision; one that must not miss a rare species needs recall.

# %%
part = table[table["split"] == "test"]
if method == "frozen":
    p, targets, groups = probe.recordings(readout.probabilities, known, "test")
    seen = finetune.Predictions(p, targets, groups, np.unique(targets))
else:
    seen = finetune.predict(model, heard, part, labels, workers=setting.workers)
report = species.scores(seen, labels)
shares = {c: "{:.0%}" for c in report if c.startswith(("recall", "precision"))}
plots.table(report.sort_values("recall", ascending=False)).format(shares, na_rep="none named")

# %%
order = report.sort_values("recall")
height = np.arange(len(order))
figure, axes = plt.subplots(1, 2, figsize=(10, 0.22 * len(order) + 1.2), sharey=True)
for ax, what in zip(axes, ("recall", "precision")):
    ax.hlines(height, order[f"{what}_low"], order[f"{what}_high"], color="0.7", linewidth=4)
    ax.plot(order[what], height, "o", color="C0", markersize=5)
    ax.set(xlabel=what, xlim=(-0.03, 1.03), ylim=(-0.7, len(order) - 0.3))
names = [f"{plots.label(name)} ({n} in {g})"
         for name, n, g in zip(order.index, order["n"], order["groups"])]
axes[0].set_yticks(height, names, fontsize="small")
axes[0].set_title("test: recordings in groups after each name");

# %% [markdown]
# *Figure 1. Recall and precision of every species on test, with 95 % intervals (grey).* **See:** how long the grey bars are. They are Wilson's,
# with the number of *groups* as the
# number of trials: of one group that was named right, all that can be said is that the recall is likely above a fifth. No dot on the right: nothing
# was named so.
#
# **Checkpoint.** The mean recall of the table is the test score above. If this passes, go on.

# %%
assert abs(report["recall"].mean() - result.scores["test"].top1.value) < 0.01

# %% [markdown]
# ## How sure must it be?
#
# A classifier names one of its species for *every* sound, also for rain. The score tells how sure it is; below the threshold an answer is not
# counted. What that costs, on val:

# %%
if method == "frozen":
    p, targets, _ = probe.recordings(readout.probabilities, known, "val")
else:
    val = table[table["split"] == "val"]
    p, targets, *_ = finetune.predict(model, heard, val, labels, workers=setting.workers)
score, right = p.max(1), p.argmax(1) == targets
steps = np.unique([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, band])
right_of = [right[score >= t].mean() if (score >= t).any() else np.nan for t in steps]
sure = pd.DataFrame({"threshold": steps, "answered": [(score >= t).mean() for t in steps],
                     "right of these": right_of})
formats = {"threshold": "{:.2g}", "answered": "{:.0%}", "right of these": "{:.0%}"}
plots.table(sure).format(formats, na_rep="none").hide()

# %% [markdown]
# Recordings here, windows below: a single window is less certain than the mean of several. None of it speaks about sounds that are no species of
# the table. **If yours hold rain,
# cars or people, give them a class of their own**, a folder `other` beside the species; the classifier then has a name for what is none.
#
# ## Keep it
#
# Weights as safetensors and a card as JSON: species, front end, what it was trained on, how well it did, sha256. Another machine needs these two
# files and this library.

# %%
folder = paths.resolve(out) if out else paths.cache("your_recordings", run.name)
test = result.scores["test"]
said = (f"{run.data['wildlife']['name']}, {counts['train'].sum()} recordings of {len(labels)} "
        f"species, {method}, seed {seed}, from the ready weights (sha256 {about.sha256[:12]}); "
        f"test top-1 {test.top1} "
        f"on {test.recordings} recordings")
card = checkpoints.Card("classifier", encoder.arch, heard, said,
                        "that of your recordings", "notebook 12", labels=labels)
kept = classifier.save(model, card, folder)
loaded = classifier.load(kept)
print(f"{kept.name} {kept.stat().st_size / 1e6:.1f} MB, sha256 {loaded.card.sha256[:12]}; "
      f"its card says:\n{plots.plain(loaded.card.trained_on)}")

# %% [markdown]
# ## New files
#
# Where `new` is empty, a long recording is made: recordings from test one after the other, with pauses, and beside it two files that are no use, as
# happens on real cards.

# %%
if not new:
    place, wave, truth = paths.cache("your_recordings", run.name, "new"), [torch.zeros(0)], []
    one_each = part.drop_duplicates("label")
    for row in one_each.sample(min(10, len(one_each)), random_state=seed).itertuples():
        begin = sum(map(len, wave)) / about.front.rate
        generator = torch.Generator().manual_seed(row.Index)
        pause = 1e-4 * torch.randn(2 * about.front.rate, generator=generator)
        wave += [audio.read(row.file, about.front.rate)[: 8 * about.front.rate], pause]
        truth.append((row.label, begin, begin + len(wave[-2]) / about.front.rate))
    audio.write(place / "night" / "long.flac", torch.cat(wave).clamp(-1, 1), about.front.rate)
    paths.write_text(place / "night" / "empty.wav", "")
    audio.write(place / "night" / "muted.wav", torch.zeros(3 * about.front.rate), about.front.rate)
answers = classifier.predict(loaded, new or place)
print(f"{len(answers.files)} files, {len(answers.windows)} windows; "
      f"skipped {len(answers.skipped)}:", *map(plots.plain, answers.skipped), sep="\n- ")
plots.table(answers.windows.head(6)).format(precision=2)

# %% [markdown]
# Every file is read once, piece by piece: one of a whole day takes as little memory as one of a minute. Windows of one species that follow each
# other, each with a score of at
# least the threshold, become one **selection**:

# %%
found = classifier.write(answers, loaded.card, folder / "answers", band)
written = sorted(str(p.relative_to(folder)) for p in (folder / "answers").rglob("*.*"))
print(*map(plots.plain, written[:12]), sep="\n")
plots.table(found.head(10)).format(precision=2)

# %% [markdown]
# `windows.csv`, `files.csv` and `selections.csv` are for a spreadsheet or R. In Audacity: open the sound, *File > Import > Labels*, take the `.txt`
# under `audacity/`. In Raven: open the sound, *File > Open
# Selection Table*, take the one under `raven/`. So they look:

# %%
tracks = sorted((folder / "answers" / "audacity").rglob("*.txt"))[:1]
tables = sorted((folder / "answers" / "raven").rglob("*.txt"))[:1]
for path in (*tracks, *tables) if len(found) else ():  # nothing found, nothing to compare
    print(plots.plain(path.name), *path.read_text(encoding="utf-8").split("\n")[:4], "", sep="\n")

# %% [markdown]
# **Checkpoint.** Both files, read back by the function that reads yours, are the same selections. If this passes, go on.

# %%
for path in (*tracks, *tables) if len(found) else ():  # nothing found, nothing to compare
    own = found[found["file"] == found["file"].iloc[0]].reset_index(drop=True)
    back = selections.read(path)
    assert back["label"].tolist() == own["label"].tolist()
    assert np.allclose(back[["start_s", "end_s"]], own[["start_s", "end_s"]], atol=1e-6)

# %%
if not new:
    figure, ax = plt.subplots(figsize=(12, 3.6))
    names = dict.fromkeys([*(name for name, *_ in truth), *answers.windows["label"]])
    rank = {name: i for i, name in enumerate(names)}
    for name, begin, end in truth:
        ax.barh(rank[name], end - begin, left=begin, color="0.8", height=0.9)
    middle = (answers.windows["start_s"] + answers.windows["end_s"]) / 2
    ax.scatter(middle, answers.windows["label"].map(rank), color="C0", alpha=0.6, linewidth=0,
               s=3 + 40 * answers.windows["score"] ** 2)
    for row in found.itertuples():
        ax.hlines(rank[row.label], row.start_s, row.end_s, color="C3", linewidth=2.5)
    ax.set(xlabel="time (s)",
           title="long.flac: grey is the truth, dots are windows (larger: surer), "
                 f"red are selections from {band:g} on")
    ax.set_yticks(list(rank.values()), map(plots.label, rank), fontsize="small")

# %% [markdown]
# *Figure 2. The long recording: what is in it (grey), what each window was taken for (dots, larger for a higher score) and what became a selection
# (red).* **See:** dots outside grey are mistakes; most are small.
# Windows that lie across a pause hear half of two things. Red outside grey is what a threshold was meant to prevent; move it and look again.
#
# ## How many labels does it take?
#
# A **pilot**: learn from 1, 2, 3 ... labels of every species, ask about others, twenty times with other draws. The error then falls along
#
# $$ \mathrm{error}(n) = a\,n^{-b} + c \tag{1} $$
#
# with a floor $c$ that no number of labels of this kind removes. Solved for the target accuracy $t$ it gives the number of labels:
#
# $$ n = \left(\frac{a}{1 - t - c}\right)^{1/b} \tag{2} $$
#
# The interval comes from a bootstrap over draws and, within species, groups; each sample gets a law of its own. **To be quick, the pilot does not
# finetune**: it reads the frozen features above by
# logistic regression, one vector a recording. So it plans for that readout; a better method needs fewer. Splits do not matter here, since nothing
# is chosen.

# %%
trial = planner.pilot(known, unit=unit, seed=seed)
law = planner.curve(trial, seed)
plan = planner.needed(law, target)
print(plan.text)
print(f"law: error = {law.law[0]:.2f} n^-{law.law[1]:.2f} + {law.law[2]:.2f}; "
      f"{len(trial.labels)} species"
      + (f"; left out, too few {unit}s: {plots.plain(', '.join(trial.left_out))}"
         if trial.left_out else ""))
steps = pd.DataFrame({f"{unit}s per species": law.sizes,
                      "top-1": [f"{1 - e.value:.1%}" for e in law.error],
                      "95 %": [f"{1 - e.high:.1%} to {1 - e.low:.1%}" for e in law.error]})
plots.table(steps).hide()

# %%
figure, ax = plt.subplots(figsize=(7, 4))
planner.plan(ax, planner.summary(trial, law, target))
ax.set_title(f"{plots.label(run.data['wildlife']['name'])}: {plan.verdict}");

# %% [markdown]
# *Figure 3. The pilot, the power law through it, and where it leads; beyond the last dot (grey) nothing was measured.* **See:** how fast the band
# opens to the right. Where it does not cross the
# target within ten times the pilot, there is no honest number, and the text above says "cannot be said": label some more, and run the pilot again.
#
# **Checkpoint.** The law's own number solves equation (2).

# %%
if np.isfinite(plan.labels) and plan.labels > 1:
    assert abs(planner.power_law(plan.labels, *law.law) - (1 - target)) < 1e-6

# %% [markdown]
# ## The record

# %%
path = run.record({**result.scores["val"]._asdict(), "test": result.scores["test"]},
                  samples_seen=0, labels=labels, answers=result.answers,
                  start=f"ready weights, sha256 {about.sha256[:12]}", warnings=warned,
                  species=report.reset_index().to_dict("list"),
                  thresholds=sure.to_dict("list"), pilot=planner.summary(trial, law, target))

# %%
records = runs.records("12_your_recordings")
if len(records):
    shown = records[["scale", "method", "seed", "top1.value", "test.top1.value", "test.top1.low",
                     "test.top1.high", "pilot.unit", "pilot.answer.verdict"]].copy()
    shown.insert(0, "recordings", records.apply(experiments.pools_of, axis=1))
    display(plots.table(shown).format("{:.1%}", subset=[c for c in shown if "top1" in c],
                               na_rep="no interval").hide())

# %% [markdown]
# ## Real frogs
#
# The same notebook on 367 recordings of 17 species of frogs and toads, cut from 101 field recordings (the groups), at `tiny`. The recordings are
# not part of this repository; the record is.
# `python -m lib.runs 12_your_recordings wildlife=folder:PATH` does it with yours.

# %%
real = records[records["data.wildlife.name"].str.startswith("frogs")
               & records["method"].eq("frozen")] if len(records) else records
stored = paths.ROOT / "papermill_runs" / "12_your_recordings"
frogs = record.read(stored / f"{real['name'].iloc[0]}.json") if len(real) else None
if frogs:
    for split, a in frogs["answers"].items():
        known = [np.asarray(a[k]) for k in ("hits", "targets", "groups")]
        print(f"{split}: top-1 {metrics.bootstrap(*known, rng=np.random.default_rng(0))}")
    print(frogs["start"])
    print(*(f"- {warning}" for warning in frogs["warnings"]), frogs["pilot"]["answer"]["text"],
          sep="\n")
    each = pd.DataFrame(frogs["species"]).set_index("species")
    display(plots.table(each).format(shares, na_rep="none named"))
else:
    print("no record of them here")

# %%
if frogs:
    figure, ax = plt.subplots(figsize=(7, 4))
    planner.plan(ax, frogs["pilot"])
    ax.set_title(f"frogs: {frogs['pilot']['answer']['verdict']}")

# %% [markdown]
# *Figure 4. The planner's curve of the frogs, in field recordings per species.* **See:** it rises from one to four recordings and is still far below
# the target; what follows is a guess of which the band shows a part.
#
# What the record says (`tiny`, seed 0, one run, the ready weights, frozen): 18.5 % on test, among 17 species; logistic regression without any network had 14.1 % in
# the same run. (On `chorus`, above, it is the other way round: 15.2 against 30.2 %. The mean token is a poor readout, see notebook 03.) **This is no classifier to work
# with.** Eleven species were never named rightly, and six were never named at all; on val no recording had a score of 0.5. The encoder had never heard a real
# sound: it was pretrained on synthetic ones. Nothing of this has an interval (val has 32.2 %): 9 of the 17 species have one group of recordings in test, 14 in val. The species table
# is honest about it, with bars that span most of its width. Finetuned (`method=finetune`, in the table of records above) the same weights have 23.1 % on test and 29.4 % on val,
# which one run without an interval cannot tell from 18.5 and 32.2. In five folds, each piece tested once, and with three seeds, encoders pretrained on the frogs themselves have 23.0 % [16.8, 29.3] (notebook 05): wide still.
#
# The planner does not give a number for 80 %: four sizes, and an interval from 1,400 field recordings per species to no end. What it does say is
# useful: **with these features, as far as four
# sizes tell, more labels alone are not the way**. Weights that have heard real animals are to be tried first; then a new pilot.

# %% [markdown]
# ## Exercises
#
# Each cell is yours: write the function, run it, and the check answers with "Right" or a hint.

# %%
from lib.course import exercises_12 as check

# %% [markdown]
# ### 1 · From windows to selections
#
# Windows of one species, in order, with their `start` and `end` in seconds; some overlap or touch, some are apart. Return the selections as
# `[[start, end], ...]`.

# %% tags=["exercise"]
def selection_ends(start, end):
    """Joins windows that overlap or touch: (W,), (W,) -> a list of [start, end]."""
    return None


check.selection_ends(selection_ends)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def selection_ends(start, end):
#     out = []
#     for a, b in zip(start, end):
#         if out and a <= out[-1][1]:
#             out[-1][1] = b
#         else:
#             out.append([a, b])
#     return out
# ```
# `selections.merge` does it for a whole table, and parts species and files as well.
# </details>
#
# ### 2 · Precision
#
# From the guesses and the truth of recordings (numbers of species), the precision of one species.

# %% tags=["exercise"]
def precision(guess, target, species):
    """The share of right ones among the recordings named `species`."""
    return None


check.precision(precision)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def precision(guess, target, species):
#     named = guess == species
#     return (target[named] == species).mean() if named.any() else np.nan
# ```
# Recall divides the same right ones by the recordings *of* the species.
# </details>
#
# ### 3 · Groups stay together
#
# Hold out a share of the groups: a True for each row that is held out. Draw with the generator `rng`.

# %% tags=["exercise"]
def split_groups(group, share, rng):
    """Which rows are held out, (R,) of bool, so that no group is on both sides."""
    return None


check.split_groups(split_groups)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def split_groups(group, share, rng):
#     names = np.unique(group)
#     return np.isin(group, rng.permutation(names)[: round(share * len(names))])
# ```
# A random split of rows puts pieces of the same frog on both sides, and the score tells how well frogs are remembered.
# </details>
#
# ### 4 · Turn the law round
#
# Equation (2), with the case in which there is no answer.

# %% tags=["exercise"]
def labels_needed(a, b, c, target):
    """Labels per species at which a n^-b + c has come down to 1 - target."""
    return None


check.labels_needed(labels_needed)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def labels_needed(a, b, c, target):
#     return (a / (1 - target - c)) ** (1 / b) if c < 1 - target else np.inf
# ```
# The nearer the floor is to the allowed error, the more a small change of $c$ moves the answer: this is why intervals of such plans are wide.
# </details>
#
# ### 5 · A rare species in a long night
#
# A share `present` of all windows holds the species; a classifier finds a share `recall` of those, and names the species in a share `false` of the
# others. Which share of its finds is true?

# %% tags=["exercise"]
def true_share(present, recall, false):
    """The precision on new recordings, where the species is as rare as it is."""
    return None


check.true_share(true_share)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def true_share(present, recall, false):
#     return present * recall / (present * recall + (1 - present) * false)
# ```
# One window in a hundred, 90 % recall, 5 % false alarms: 15 % of the finds are true. The precision of the species table holds for a test set in
# which species are about as common
# as in it; in the field it must be measured anew, by listening to some of the finds.
# </details>

# %% [markdown]
# ## Quiz
#
# **Your test score is 95 %, on recordings of the same five ponds as train. What will it be at a sixth?** <details><summary>Answer</summary>Unknown,
# and most likely lower. Give the pond
# as `group`, so that whole ponds are held out, and the score is about new ponds.</details>
#
# **A species has 3 test recordings, all right. What is its recall?** <details><summary>Answer</summary>Between 44 % and 100 % if the three are
# independent (Wilson), between 21 % and 100 % if
# they are of one animal. "100 %" is what was seen, not what is known.</details>
#
# **The planner says "cannot be said". Is it broken?** <details><summary>Answer</summary>No. A power law has three numbers; with four noisy points
# very different laws fit as well, and some never reach the
# target. More labels in the pilot narrow it; a number now would be a guess in disguise.</details>
#
# **The classifier finds 40 selections of a species that nobody has heard there for years.** <details><summary>Answer</summary>Listen to them first
# (exercise 5). A rare species' finds are mostly false alarms of
# the many windows without it.</details>
#
# ## What was not shown
#
# Several species at once: the softmax shares one certainty among them, so a chorus of three halves each score. Counting animals. Locating calls in
# frequency: Raven's boxes here span all that the model
# hears. Detection in long soundscapes scored against labels: the scores above are of recordings that hold a labelled species. Other readouts in the
# pilot: a finetuned model has a curve of its own.
# Raven and Audacity themselves were not run here; the files follow their documented formats and are read back.
#
# ## Further reading
#
# - Figueroa et al. 2012, *Predicting sample size required for classification performance*,
#   [doi:10.1186/1472-6947-12-8](https://doi.org/10.1186/1472-6947-12-8): the planner's idea.
# - Viering and Loog 2021, *The Shape of Learning Curves: a Review*, [arXiv:2103.10948](https://arxiv.org/abs/2103.10948): when a power law holds,
#   and when not.
# - Hestness et al. 2017, *Deep Learning Scaling is Predictable, Empirically*, [arXiv:1712.00409](https://arxiv.org/abs/1712.00409).
# - Wilson 1927, *Probable Inference, the Law of Succession, and Statistical Inference*,
#   [doi:10.1080/01621459.1927.10502953](https://doi.org/10.1080/01621459.1927.10502953).
# - Audacity's manual, [Importing and Exporting Labels](https://manual.audacityteam.org/man/importing_and_exporting_labels.html); the Raven Pro
#   user's manual (Cornell Lab of Ornithology).
