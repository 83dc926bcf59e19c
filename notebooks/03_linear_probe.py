# %% [markdown]
# # 03 · Linear probe: is it the features or the probe?
#
# **A question.** You have four hundred labelled recordings, and a network that has listened to much sound and never saw a label. Can it tell your species apart? And if it
# cannot, is that the network's fault, or that of the way you asked?
#
# The usual way to ask is a *linear probe*: the network is frozen, and one linear layer learns species from what it says of a window. You will
# 1. **freeze** an encoder,
# 2. **build** the standard probe, and see what its settings decide,
# 3. **climb** a ladder of readouts of the same features,
# 4. **ask the control**: a network that never learnt anything.
#
# **Time**: `tiny` 4 minutes of one core of an AMD EPYC (float32) once the two pretrained models are kept, and 7 more, by the sheet, to make them · `smoke` under a minute · `small` not measured · `paper` not measured; 24 h on an A100 for each pretraining (the paper's hours) unless `weights` are given.
#
# ## What the paper found
#
# Table 2 of Liu et al. probes three frozen encoders on the 1,212 species of iNatSounds. Bird-MAE has 2.5 % (top-1 on val, the paper's numbers), AudioMAE 3.6 %, the authors' own
# MAE 3.7 %; *finetuned*, they have 59 to 64 % (Table 3). So, the authors write, "the masked reconstruction objective alone does not produce linearly separable features
# suitable for fine-grained bioacoustic recognition". But a probe is features and a readout, and one readout was tried.
#
# > **Predict before you read on.** Four readouts of one frozen encoder: a linear layer on the class token, on the mean of the patches, attention over the patches, nearest neighbours.
# > How many points lie between the best and the worst?

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
apart = None  # points of top-1 on test between the best and the worst of these four

# %%
import dataclasses
import functools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from sklearn.decomposition import PCA

from lib import data, mel, metrics, plots, runs, sources, training
from lib.course import exercises
from lib.mae import MAE
from lib.runs import cost, experiments, report, verdicts
from lib.transfer import baseline, probe, starts
from lib.transfer import reference as outside

plots.style()

# %% tags=["parameters"]
# random, random+inat_ssl, audioset_ssl, audioset_ssl+inat_ssl, imagenet_sl or birdmae as in the
# paper's Table 3, or ready, the weights that lie in this repository, or
# ready+inat_ssl, which are those pretrained further
init: str = "audioset_ssl+inat_ssl"  # what the encoder starts from, ready or a row of Table 3
# auto: what the environment variable STUDY_SCALE says, else small with a CUDA GPU, else tiny
scale: str = "auto"  # smoke, tiny, small or paper
seed: int = 0  # of the training: weights, order, windows drawn
data_seed: int = 0  # of the synthetic recordings, and of the split of a folder that brings none
# folder:PATH has one folder per class, or is a CSV
wildlife: str = "chorus"  # the pool with the species: chorus, inatsounds:ROOT or folder:PATH
# AudioSet, or what stands in for it
general: str = "chorus"  # the other pool: chorus, audioset:ROOT, esc50 or folder:PATH
# empty means a stand-in for AudioSet, and the hub for imagenet_sl and birdmae
weights: str = ""  # public weights: hub, or a local file
# birdnet, ready, audiomae or a checkpoint: as lib.transfer.reference names it
reference: str = ""  # another frozen model, whose two rungs stand beside; empty for none
# median: a frame is heard as it lies above what its band has in this clip; none: as in both papers
subtract: str = "median"  # taken off the log-mel where labels are learned: median or none
# sweep is what the records use, also those of notebook 04; main is fewer
budget: str = "sweep"  # clips of each pretraining that happens here: sweep or main
max_hours: float = 1.0  # a run that would take longer on this machine is refused

# %%
setting = runs.scale(scale)
clips = runs.clips(setting, budget)
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
print(f"scale {setting.name}: {clips:,} clips for each pretraining")

# %%
run = runs.start("03_linear_probe", pools, init=init, scale=scale, seed=seed, data_seed=data_seed,
                 wildlife=wildlife, general=general, weights=weights, reference=reference,
                 subtract=subtract, budget=budget)
table = pools["wildlife"].reset_index(drop=True)
other = outside.load(reference) if reference else None

# %% [markdown]
# **The sheet**, measured just now on the machine in the corner; a longer run than `max_hours` is refused. The probes are not counted.

# %%
left, _ = starts.earlier(init, setting.arch(), setting.pretraining(clips, seed), pools,
                         weights=weights)
cost.sheet([cost.starting(init, setting, clips, weights, left),
            cost.predicting(cost.arch_of(init, setting, weights),
                            runs.front(mel.INAT, subtract), table,
                            what="encoding every window")], max_hours)

# %%
begin = starts.start(init, setting.arch(), setting.pretraining(clips, seed), pools,
                     weights=weights, workers=setting.workers)
front = runs.front(begin.front, subtract)
print(f"{init}: {begin.what}; front end {front.name}")

# %% [markdown]
# Offline, `audioset_ssl` is a **stand-in**: a MAE of this size pretrained on the general pool, not AudioMAE. `chorus` is this project's synthetic sound world: it shows how readouts differ, and
# not how well any of them does on real animals.
#
# ## What does the network say of a window?
#
# The encoder sees every window (half overlapping) with nothing hidden and without gradients, and answers with one class token and a grid of patch tokens. All is kept on the disk: another
# readout only reads.

# %%
before = [p.clone() for p in begin.model.parameters()]
known = probe.features(begin.model, front, table, workers=setting.workers)
size = (f"{known.tokens.nbytes / 1e6:.0f} MB of tokens {known.tokens.shape}"
        if known.tokens is not None else "tokens too large to keep")
print(f"{len(known.row):,} windows of {len(table):,} recordings; {size}, "
      f"{'read' if known.cached else 'computed'}")
print("numbers a window: " + ", ".join(f"{kind} {x.shape[1]:,}" for kind, x in known.kinds.items()))

# %% [markdown]
# **Four ways to make one vector of a window** with $t \times f$ patch tokens $z_{\tau, \phi} \in \mathbb{R}^D$:
#
# $$ z_\text{class}, \qquad z_\text{mean} = \frac{1}{tf} \sum_{\tau, \phi} z_{\tau, \phi}, \qquad
#    z_\text{freq} = \frac1t \sum_\tau \big[ z_{\tau, 1} ; z_{\tau, 2} ; \dots ; z_{\tau, f} \big] \in \mathbb{R}^{fD} \tag{1} $$
#
# Pretraining asked nothing of the class token. The mean forgets at which pitch something sounded. The third (MSM-MAE, Niizumi et al. 2022, Eq. 1) lays the mel
# rows end to end, so that each keeps its place. *Spread*, the fourth, adds each number's standard deviation over time.
#
# **Checkpoint.** Equation (1) by hand on one window, and the encoder as it was:

# %%
grid = known.grid
one = int(known.columns.argmax())  # the fullest window
z = known.take("tokens", np.array([one]))[0] if known.tokens is not None else None  # (L, D)
if z is not None:
    rows = z.unflatten(0, tuple(grid))[: int(known.columns[one])].mean(0)  # (f, D) mean over time
    assert np.allclose(rows.flatten(), known.kinds["frequency"][one], atol=5e-3)
    assert np.allclose(rows.mean(0), known.kinds["mean"][one], atol=5e-3)
assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, begin.model.parameters()))

# %% [markdown]
# Before anything is trained: the mean features of every recording along their two directions of greatest variance.

# %%
mean = pd.DataFrame(known.kinds["mean"]).groupby(known.row).mean().to_numpy()  # (R, D)
std = mean.std(0) + 1e-6
pca = PCA(2, random_state=0)
place = pca.fit_transform((mean - mean.mean(0)) / std)  # (R, 2)
label = table["label"]
kind = table.get("taxon", label.where(label.isin(label.value_counts().index[:6]), "others"))
figure, ax = plt.subplots(figsize=(8, 4))
sns.scatterplot(x=place[:, 0], y=place[:, 1], s=14, linewidth=0, ax=ax,
                hue=kind.map(plots.label, na_action="ignore").to_numpy())
shares = pca.explained_variance_ratio_
ax.set(xlabel=f"first component ({shares[0]:.0%} of the variance)",
       ylabel=f"second ({shares[1]:.0%} of the variance)")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# *Figure 1. Every recording by the two main directions of its mean features; colours are groups of animals, which played no part in drawing it.* **See:** birds, frogs, insects and
# mammals lie on top of each other. What varies most is not what tells animals apart, and a readout has to find smaller directions that do. **Ask:** what might the first direction be?
#
# ## How much do the settings of a probe decide?
#
# Liu et al. say "a standard linear probing protocol". The public one is MAE's (`main_linprobe.py`): BatchNorm without weights, one linear layer, 90 epochs,
#
# $$ \hat y = \mathrm{softmax}\big( W \, \tfrac{z - \mu}{\sqrt{\sigma^2 + \epsilon}} + b \big), \qquad \mu, \sigma \text{ from the train batches} \tag{2} $$
#
# Here SGD trains it, on **one random window of every recording** an epoch. The learning rate is chosen on val; test is looked at once, by the chosen one.

# %%
recipe = probe.Recipe(seed=seed)
counts = table["split"].value_counts()
print(f"{recipe.epochs} epochs of {counts['train']} recordings in batches of {recipe.batch}: "
      f"{recipe.epochs * max(1, counts['train'] // recipe.batch):,} steps for each of "
      f"{len(recipe.lrs)} learning rates; {len(known.labels)} classes")
plots.source(probe.linear)

# %% [markdown]
# > **Predict.** Start from the mean with BatchNorm. What costs most on val: the worst learning rate of the list, no BatchNorm, or the mean in place of the best vector?

# %% tags=["predict"]
costs_most = None  # "learning rate", "BatchNorm" or "vector"

# %%
ladder = {}
for kind in probe.KINDS:
    ladder[f"linear, {kind}"] = probe.train(f"linear, {kind}", known, kind, probe.linear, recipe)
    plain = functools.partial(probe.linear, batchnorm=False)
    name = f"linear, {kind}, no BatchNorm"
    ladder[name] = probe.train(name, known, kind, plain, recipe)

# %%
standard = ladder["linear, mean"]
results = {name: probe.evaluate(rung, known, seed) for name, rung in ladder.items()}
for split, s in results["linear, mean"].scores.items():
    print(f"the standard, linear on the mean, {split}: top-1 {s.top1}, top-5 {s.top5.value:.1%}; "
          f"{s.recordings} recordings of {s.classes} classes; learning rate {standard.chosen:g}")

# %%
answers = results["linear, mean"].answers
blind = {split: np.full((len(a["targets"]), len(known.labels)), 1 / len(known.labels))
         for split, a in answers.items()}
chance = {split: metrics.score(metrics.restrict(blind[split], np.unique(a["targets"])),
                               a["targets"], np.random.default_rng(seed))
          for split, a in answers.items()}
print("chance: top-1 {:.2%}, top-5 {:.2%} (the paper's: 0.08 and 0.41 %, 1 and 5 of 1,212)".format(
    chance["val"].top1.value, chance["val"].top5.value))

# %%
figure, axes = plt.subplots(2, 2, figsize=(9, 5.6), sharex=True, sharey=True)
for ax, kind in zip(axes.flat, probe.KINDS):
    for name, look in ((f"linear, {kind}", "o-"), (f"linear, {kind}, no BatchNorm", "s--")):
        ax.semilogx(ladder[name].sweep["value"], 100 * ladder[name].sweep["top1"], look,
                    label=name.split(", ")[-1].replace(kind, "BatchNorm"))
    ax.axhline(100 * chance["val"].top1.value, color="0.6", linestyle=":", label="chance")
    ax.set(title=f"{kind}: {known.kinds[kind].shape[1]:,} numbers")
    ax.label_outer()
ax.set(ylim=(0, None))
figure.supxlabel("learning rate", fontsize="medium")
figure.supylabel("top-1 on val (%)", fontsize="medium")
axes[0, 0].legend(loc="upper right", fontsize="small");

# %% [markdown]
# *Figure 2. Top-1 on val after the last step against the learning rate, for each vector, with and without BatchNorm.* **See:** the mean with BatchNorm has 26.5 % at its best rate and 10.2 points less at its worst; without BatchNorm
# it is near chance at the lowest rates, and needs far higher ones. For the two long vectors the best rate with BatchNorm is the lowest that was tried. **Ask:** which point of which curve would a paper
# report that tried one rate?

# %%
worst = standard.sweep.set_index("value")["top1"].idxmin()
slow = probe.train("worst rate", known, "mean", probe.linear,
                   dataclasses.replace(recipe, lrs=(worst,)))
results["worst rate"] = probe.evaluate(slow, known, seed)
best = max(probe.KINDS, key=lambda kind: results[f"linear, {kind}"].scores["val"].top1.value)
paid = {}
for what, better, worse in (("learning rate", "linear, mean", "worst rate"),
                            ("BatchNorm", "linear, mean", "linear, mean, no BatchNorm"),
                            ("vector", f"linear, {best}", "linear, mean")):
    a, b = (results[name].answers["val"] for name in (better, worse))
    paid[what] = verdicts.difference(a["hits"], b["hits"], a["targets"])
    print(f"{what}: {better} minus {worse}: {paid[what]} points on val")
most = max(paid, key=lambda what: paid[what].value)
exercises.predicted("what costs most", costs_most, most,
                    tied=[what for what in paid if paid[what].high > paid[most].low])

# %% [markdown]
# Why does BatchNorm matter? A linear layer learns fast along directions in which features vary much, and slowly along the others.

# %%
x = known.kinds["mean"][np.isin(known.row, table.index[table["split"] == "train"])]  # (W, D)
spread = {"as they come": x, "after BatchNorm": (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-6)}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
for name, values in spread.items():
    axes[0].semilogy(np.sort(values.std(0))[::-1], label=name)
    axes[1].semilogy(np.maximum(np.linalg.eigvalsh(np.cov(values.T))[::-1], 1e-9), label=name)
axes[0].set(title="each channel", xlabel="channel, sorted", ylabel="standard deviation")
axes[1].set(title="each principal direction", xlabel="direction, sorted", ylabel="variance")
axes[0].legend()
print(f"BatchNorm multiplies a typical channel by {np.median(1 / np.sqrt(x.var(0) + 1e-6)):.0f}")

# %% [markdown]
# *Figure 3. How much the mean features vary over the train windows: left by channel, right by principal direction.* **See:** BatchNorm makes all channels equal and multiplies small
# features up, which for plain SGD is a far larger learning rate. It leaves the slope on the right: directions that mix channels still differ by orders of magnitude, and 90 epochs do not
# learn the flat ones. (The last direction is empty: the encoder's final LayerNorm takes one away.)
#
# ## And if another readout asks?
#
# **Nearest neighbours** learn nothing: a window asks the $k$ train windows at the smallest angle. **Logistic regression** is (2) learnt from all windows at once to the end, a convex
# problem in which no learning rate can be to blame. With `reference="birdnet"` both also read BirdNET's embeddings, where its package is installed.

# %%
for kind in ("mean", "frequency", "spread"):
    ladder[f"k-NN, {kind}"] = probe.neighbours(known, kind)
    ladder[f"logistic regression, {kind}"] = probe.logistic(known, kind)
references = [name for name in ladder if name.startswith(("k-NN", "logistic"))]
results |= {name: probe.evaluate(ladder[name], known, seed) for name in references}
if other:  # the same two on what another frozen model says of the same recordings
    theirs = outside.features(other, table)
    for readout, learn in (("k-NN", probe.neighbours), ("logistic regression", probe.logistic)):
        ladder[f"{readout}, {other.name}"] = rung = learn(theirs, "embedding")
        results[f"{readout}, {other.name}"] = probe.evaluate(rung, theirs, seed)
print("; ".join(f"{name}: k or C {ladder[name].chosen:g}" for name in references))

# %% [markdown]
# A call fills a few patches of 256, and a mean dilutes it with all the rest. Two readouts may choose. **Attentive pooling** has one learned query that looks at all patches (CaiT,
# V-JEPA). The **prototypical probe** (Bird-MAE, Rauch et al. 2025) gives every class $J$ prototypes $p_{c,j}$, each of which looks for the one patch most like it:
#
# $$ s_{c,j} = \max_{\tau, \phi} \cos(z_{\tau,\phi}, p_{c,j}), \qquad \text{logit}_c = \sum_j w_{c,j}\, s_{c,j} + b_c, \quad w_{c,j} \ge 0. \tag{3} $$
#
# On BirdSet its authors report up to 37 points of mAP more than linear probes on the same frozen features (their number; `probe.Prototypes` says where ours differs).

# %%
tokens = probe.Recipe(**{**vars(probe.TOKENS), "seed": seed})
if known.tokens is not None:
    for name, readout in (("attentive pooling", probe.Attentive), ("prototypes", probe.Prototypes)):
        ladder[name] = probe.train(name, known, "tokens", readout, tokens)
        results[name] = probe.evaluate(ladder[name], known, seed)
        rates = zip(ladder[name].sweep["value"], ladder[name].sweep["top1"])
        print(f"{name}, val by learning rate: "
              + ", ".join(f"{top1:.1%} at {rate:g}" for rate, top1 in rates))

# %% [markdown]
# The top rungs let the encoder move: LoRA trains low-rank updates of its attention weights, finetuning all of it. Both are read from the records of notebook 04.

# %%
def recorded(preset: str) -> pd.Series | None:
    """The record of notebook 04 with the same start and data, or the same run of 05, if any."""
    past = experiments.load(experiments.BY_PLACE["Table 3"])
    shared = ("init", "scale", "seed", "data_seed", "weights", "budget")
    same = {**{k: run.parameters[k] for k in shared}, "preset": preset, "halved": False}
    same |= {f"data.{pool}.hash": d["hash"] for pool, d in run.data.items()}
    for column, value in same.items():
        past = past[past[column] == value] if column in past else past.iloc[:0]
    return past.iloc[-1] if len(past) else None


above = {}
for name, preset in (("LoRA", "lora"), ("finetuning", "study")):
    if (found := recorded(preset)) is not None:
        val, test = (metrics.Interval(*found[[f"{part}top1.{k}" for k in metrics.Interval._fields]]
                                      .astype(float)) for part in ("", "test."))
        hits = {s: np.asarray(found[f"answers.{s}.hits"]) for s in ("val", "test")}
        above[name] = {"val": val, "test": test, "hits": hits,
                       "trainable": found["trainable.weights"],  # not known of a run of 05
                       "from": f"record of {found['notebook'][:2]}"}
    else:
        print(f"{name}: no record yet: python -m lib.runs 04_finetuning init={init} "
              f"preset={preset} seed={seed} budget={budget}")

# %% [markdown]
# **The ladder**: every rung on the same recordings, gains paired with the standard protocol. One seed, so that the intervals are over other species only.

# %%
steps = {name: {**{s: v.top1 for s, v in results[name].scores.items()},
                "hits": {s: a["hits"] for s, a in results[name].answers.items()},
                "trainable": rung.trainable, "seconds": rung.seconds, "lr": rung.chosen,
                "from": "trained here"} for name, rung in ladder.items()} | above
targets = answers["test"]["targets"]
for step in steps.values():
    step["gain"] = verdicts.difference(step["hits"]["test"], answers["test"]["hits"], targets)
shown = pd.DataFrame([{"readout": name, "test": s["test"].value, "val": s["val"].value,
                       "gain on test": s["gain"].value, "low": s["gain"].low,
                       "high": s["gain"].high, "weights": s["trainable"]}
                      for name, s in steps.items()]).sort_values("test")
formats = {"val": "{:.1%}", "test": "{:.1%}", "weights": "{:,.0f}"}
formats |= dict.fromkeys(("gain on test", "low", "high"), "{:+.1%}")
plots.table(shown[::-1]).format(formats, na_rep="").hide(axis="index")

# %%
four = [name for name in ("linear, class", "linear, mean", "attentive pooling", "k-NN, mean")
        if name in steps]
best, worst = (pick(four, key=lambda name: steps[name]["test"].value) for pick in (max, min))
gap = verdicts.difference(steps[best]["hits"]["test"], steps[worst]["hits"]["test"], targets)
exercises.predicted(f"best of the four ({best}) minus worst ({worst})", apart,
                    round(100 * gap.value, 1), "points", within=(100 * gap.low, 100 * gap.high))

# %% [markdown]
# ## The control: what if the network never learnt anything?
#
# The same readouts of an encoder with *random weights*, and logistic regression on the log-mel itself (each band's mean and standard deviation, no network).

# %%
nothing = MAE(begin.model.arch, training.generator(seed))
untrained = baseline.frozen(nothing, front, table, seed, workers=setting.workers)
no_network = baseline.logistic(begin.front, table, seed, workers=setting.workers)
compared = []
for kind, result in untrained.items():
    name = f"logistic regression, {kind}"
    gain = verdicts.difference(steps[name]["hits"]["test"], result.answers["test"]["hits"], targets)
    compared.append({"logistic regression on": kind, "pretrained": steps[name]["test"].value,
                     "random weights": result.scores["test"].top1.value, "gain": gain.value,
                     "low": gain.low, "high": gain.high})
if compared:
    gain = verdicts.difference(steps["logistic regression, spread"]["hits"]["test"],
                               no_network["logistic"].answers["test"]["hits"], targets)
    print(f"no network: {no_network['logistic'].scores['test'].top1} on test; "
          f"pretrained, spread, minus no network: {gain} points")
    formats = {**dict.fromkeys(("pretrained", "random weights"), "{:.1%}"),
               **dict.fromkeys(("gain", "low", "high"), "{:+.1%}")}
    display(plots.table(pd.DataFrame(compared)).format(formats).hide(axis="index"))

# %%
figure, ax = plt.subplots(figsize=(9, 0.3 * len(shown) + 1.4))
for y, name in enumerate(shown["readout"]):
    value, low, high = (100 * v for v in steps[name]["test"])
    colour = "C1" if name == "linear, mean" else "C2" if name in above else "C0"
    ax.errorbar(value, y, xerr=[[max(0, value - low)], [max(0, high - value)]],
                fmt="o", color=colour, markersize=5, elinewidth=1)
    if (kind := name.removeprefix("logistic regression, ")) in untrained:
        ax.plot(100 * untrained[kind].scores["test"].top1.value, y, "kx", clip_on=False)
ax.axvline(100 * chance["val"].top1.value, color="0.6", linestyle=":")
if no_network:
    ax.axvline(100 * no_network["logistic"].scores["test"].top1.value, color="0.4", linestyle="--")
ax.set(yticks=range(len(shown)), yticklabels=shown["readout"], xlim=(0, None),
       xlabel="top-1 on test, class average (%)",
       title=f"frozen: {starts.words(init, weights)}, {setting.name}, seed {seed}");

# %% [markdown]
# *Figure 4. The readout ladder: dots with 95 % intervals are readouts of one encoder; orange is the standard protocol, green lets the encoder move; crosses are random weights, the dashed
# line has no network, the dotted line is chance.* **See:** the same features give 15.5 to 34.1 %. The standard protocol has 23.2; keeping the mel rows and their spread is
# worth 11 points more, letting the encoder move 18. And the control: random weights read by their rows and spread have 30.2, as much as no network at all. **Ask:** what would have to move for you to say that pretraining taught this encoder species?
#
# ## Where does a readout look?
#
# A probe that chooses can be asked what it chose: for one val window, the similarity of every patch to the best prototype of the true class.

# %%
if known.tokens is not None:
    val = table.index[table["split"] == "val"]
    recording = val[int(results["prototypes"].answers["val"]["hits"].argmax())]  # that it got right
    truth = known.labels.index(table["label"][recording])
    windows = np.flatnonzero(known.row == recording)
    surest = int(ladder["prototypes"].probabilities(windows)[:, truth].argmax())
    model = ladder["prototypes"].model
    with torch.no_grad():
        window = known.take("tokens", windows[[surest]]).to(model.bias.device)  # (1, L, D)
        found = model.similarity(window)[0, :, truth].cpu()  # (L, J)
    best = found[:, found.amax(0).argmax()].unflatten(0, tuple(grid))  # (t, f)

# %%
if known.tokens is not None:
    wave, length, _ = data.Windows(table.loc[[recording]], front)[surest]
    spec = mel.LogMel(front)(wave[None], torch.tensor([length]), frames=front.frames)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3))
    plots.spec(axes[0], spec, front, f"val: {table['label'][recording]}")
    image = axes[1].imshow(best.T, origin="lower", aspect="auto", cmap="viridis",
                           extent=(0, front.seconds, 0, grid.f))
    axes[1].set(title="cosine to its class's prototype", xlabel="time (s)", ylabel="row of patches")
    figure.colorbar(image, ax=axes[1], label="cosine")

# %% [markdown]
# *Figure 5. Left a window of a val recording that the prototypes got right, right the similarity of its patches to the nearest prototype of its class.* **See:** the brightest patches lie on the upper partials (5 to 6 kHz) of the song that sets in at
# 1.6 s; not on its loudest line at 2 kHz, and not on the bursts before it. **Ask:** in your own
# recordings, would it be the call, or the stream behind it?
#
# ## The record, and the paper's Table 2

# %%
rungs = [{"rung": name, "top1": step["val"],
          **{k: v for k, v in step.items() if k not in ("val", "hits")}}
         for name, step in steps.items()]
row = {"birdmae": "birdmae", "audioset_ssl": "audiomae", "audioset_ssl+inat_ssl": "ours"}.get(init)
scores = results["linear, mean"].scores
path = run.record({**scores["val"]._asdict(), "test": scores["test"],
                   "chance": chance["val"].top1.value, "chance5": chance["val"].top5.value},
                  samples_seen=begin.samples,
                  paper=row and runs.paper("linear_probe", row), labels=known.labels,
                  answers=answers, start=begin.what, ladder=rungs,
                  sweeps={name: rung.sweep.to_dict("list") for name, rung in ladder.items()},
                  recipes={"arch": begin.model.arch, "linear": recipe, "tokens": tokens})

# %% [markdown]
# The paper does not say which model "ours" is: a MAE from scratch on iNatSounds, or AudioMAE continued on it. We put it beside the second, a choice of ours. Here AudioSet is a stand-in.
# Chance differs, so compare the distance to chance.

# %%
names = {"chance": "chance", "birdmae": "birdmae", "audiomae": "audioset_ssl",
         "ours": "audioset_ssl+inat_ssl"}
theirs = runs.reference("linear_probe").drop_duplicates(["setting", "split", "metric"])
theirs = theirs.assign(init=theirs["setting"].map(names),
                       column=theirs["split"] + " " + theirs["metric"])
theirs = theirs.pivot(index="init", columns="column", values="value")
theirs = theirs.rename(columns=lambda name: f"paper: {name}")
past = runs.records("03_linear_probe")
past = runs.beside(past, run) if len(past) else past
columns = {"test.top1.value": "test top1", "test.top5.value": "test top5",
           "top1.value": "val top1", "top5.value": "val top5"}
if len(past):
    ours = 100 * past.groupby("init")[list(columns)].mean().rename(columns=columns)
    ours.loc["chance"] = [100 * past[c].mean() for c in ("chance", "chance5")] * 2
    theirs = theirs.join(ours.add_prefix(f"{setting.name}: "), how="outer")
    print(f"mean of {past['seed'].nunique()} seeds; all in percent")
order = [n for n in ("chance", *starts.NAMES) if n in theirs.index]
shown = theirs.loc[order].rename(index=lambda n: n if n == "chance" else starts.words(n, weights))
plots.table(shown.rename_axis(None)).format("{:.2f}", na_rep="not run")

# %%
if len(past):
    climbed = pd.DataFrame([{"init": starts.words(r["init"], weights), "rung": g["rung"],
                             "test": 100 * g["test"]["value"]}
                            for _, r in past.iterrows() for g in r["ladder"]])
    order = climbed.groupby("rung")["test"].mean().sort_values(ascending=False).index
    figure, ax = plt.subplots(figsize=(9, 0.32 * len(order) + 1.6))
    sns.pointplot(climbed, y="rung", x="test", hue="init", order=order, linestyle="none",
                  dodge=0.4 if climbed["init"].nunique() > 1 else False, markersize=4,
                  errorbar=lambda v: (v.min(), v.max()), err_kws={"linewidth": 1}, ax=ax)
    ax.set(xlabel=f"top-1 on test (%); mean and range over {past['seed'].nunique()} seeds",
           ylabel="", xlim=(0, None))
    ax.legend(title="", loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2)
else:
    print("no records yet: python -m lib.runs sweep papermill_runs/03_linear_probe.sweep.json")

# %% [markdown]
# *Figure 6. All records of this notebook at this scale, budget and data, a colour for each start.* **See:** down a colour the readout moves the same encoder by some 20 points; along a row the two starts are mostly
# a few points apart. A table with one readout ranks probes as much as encoders. (LoRA was recorded with one seed.) **Ask:** which row would you have put into a table with one row?
#
# ## What was seen
#
# The paper's claims, what would hold them up (written before the runs), and what came out:

# %%
Markdown(report.answered("Table 2"))

# %% [markdown]
# - **The readout decides.** The same frozen features have 15.5 to 34.1 % on test. The mean forgets pitch; rows laid end to end bring it back. Attention (26.3) and prototypes (20.7) do not.
# - **The control says what that means.** Behind the mean, pretraining adds +11.2 [+7.5, +15.0] points; with rows and spread +3.9 [+0.3, +7.5], and over no network at all +3.9 [-1.7, +9.5].
#   One seed; over five, notebook 05 has +1.3 [-1.7, +4.2] for its 24,000 clips.
# - **What this does not say**: that Table 2 would look better with another readout. It says that one readout cannot tell features from probes, and shows the experiment that could.
#
# ## Exercises
#
# Fill in the function and run the cell: the last line tries it on made-up features and says whether it is right, or what to look at.

# %%
from lib.course import exercises_03 as check

# %% [markdown]
# ### 1 · A vector that keeps the pitch
#
# Equation (1), the third: each time column's rows end to end, then the mean over time. The class token stands first and does not belong.

# %% tags=["exercise"]
def frequency_vector(tokens, grid):
    """Tokens (W, 1 + t*f, D), class token first, time-major -> (W, f*D); grid has .t and .f."""
    return None


check.frequency_vector(frequency_vector)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def frequency_vector(tokens, grid):
#     return tokens[:, 1:].unflatten(1, (grid.t, grid.f)).mean(1).flatten(1)
# ```
# The two orders of axes give the same shape, and one of them a vector in which pitch and time are mixed up.
# </details>
#
# ### 2 · The patch most like a prototype
#
# Equation (3) up to $s_{c,j}$, for any list of prototypes.

# %% tags=["exercise"]
def prototype_scores(z, prototypes):
    """Patches z (W, L, D), prototypes (J, D) -> (W, J): the largest cosine that each prototype
    finds among a window's patches."""
    return None


check.prototype_scores(prototype_scores)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# from torch.nn.functional import normalize
#
# def prototype_scores(z, prototypes):
#     return (normalize(z, dim=-1) @ normalize(prototypes, dim=-1).T).amax(1)
# ```
# Replace `amax` by `mean` and a call that fills 3 of 256 patches counts for 1 per cent.
# </details>
#
# ### 3 · Choose on val, report test
#
# A sweep over learning rates has left a table with the columns `lr`, `val` and `test`. Where training diverged, `val` is NaN. Which number goes into the paper?

# %% tags=["exercise"]
def chosen(sweep):
    """A DataFrame with lr, val and test, a row per learning rate -> the test score to report."""
    return None


check.chosen(chosen)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def chosen(sweep):
#     return sweep["test"][sweep["val"].idxmax()]
# ```
# pandas' `idxmax` passes over NaN; numpy's and torch's `argmax` choose it.
# </details>
#
# ### 4 · A rung of your own
#
# Make one vector of a window's patches, in a way that none of the above does, and see how high logistic regression climbs with it. Every vector that depends on its own window alone is
# right.

# %% tags=["exercise"]
def my_vector(z):
    """Patches z (W, t, f, D) of W windows -> (W, n), n numbers for each window."""
    return None


check.my_vector(my_vector)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_vector(z):
#     change = z.diff(dim=1).abs().mean(1)  # from one column to the next
#     return torch.cat([z.mean(1), z.std(1), change], 2).flatten(1)
# ```
# Besides mean and spread, how much every number changes from one time column to the next: 35.4 % on test, where mean and spread have 34.1. That lies well within the interval; with the
# maximum in the place of the change it is 34.1 again.
# </details>

# %%
bars = {kind: steps[f"logistic regression, {kind}"]["test"] for kind in probe.KINDS[1:]}
if exercises.solved(my_vector) and known.tokens is not None:
    parts = [known.take("tokens", some).unflatten(1, tuple(grid))
             for some in np.array_split(np.arange(len(known.row)), 50)]
    mine = torch.cat([torch.as_tensor(my_vector(z)).float() for z in parts]).numpy()
    mine = dataclasses.replace(known, kinds={"yours": mine})
    rung = probe.logistic(mine, "yours", Cs=(0.1, 1.0))
    bars["yours"] = probe.evaluate(rung, mine, seed).scores["test"].top1
figure, ax = plt.subplots(figsize=(8, 2.8))
for y, (name, interval) in enumerate(bars.items()):
    value, low, high = (100 * v for v in interval)
    ax.errorbar(value, y, xerr=[[max(0, value - low)], [max(0, high - value)]], fmt="o",
                color="C1" if name == "yours" else "C0")
ax.set(yticks=range(len(bars)), yticklabels=bars, ylim=(-0.5, len(bars) - 0.5), xlim=(0, None),
       xlabel="top-1 on test, logistic regression (%)");

# %% [markdown]
# *Figure 7. Logistic regression on three vectors of the same frozen patches, and in orange on yours.* **See:** the more of pitch, and of change in time, a vector keeps, the higher: 23.2, 29.3 and 34.1 %. **Ask:** does yours pass the spread by more than its interval? If you try
# ten vectors and keep the best on test, what have you measured?
#
# ## Quiz
#
# **A linear probe has 3 %, finetuning 58 %. Does it follow that the frozen features hold nothing about species?** <details><summary>Answer</summary>No. It follows that this
# readout, trained in this way, found nothing. And finetuning from *random* weights has 38 % in the paper's Table 3: a part of the 58 was learnt in finetuning.</details>
#
# **Why may k-NN be better with an encoder whose linear probe is worse?** <details><summary>Answer</summary>Neighbours need recordings of one species to lie near each other somewhere, in as
# many clumps as they like. A linear probe needs one plane per species.</details>
#
# ## What was not shown
#
# Table 2's own encoders and data (`init=birdmae weights=hub`, a GPU and hours); LARS at a batch of 16,384; features of earlier blocks. The paper names no part of its protocol and has no
# repeat: AudioMAE and "ours" differ by 0.02 points on val.
#
# ## Further reading
#
# - Liu et al. 2026, *Masked Autoencoders with Limited Data: Does It Work?*, [arXiv:2605.14031](https://arxiv.org/abs/2605.14031), section 4.3 and Table 2.
# - He et al. 2022, *Masked Autoencoders Are Scalable Vision Learners*, [doi:10.1109/CVPR52688.2022.01553](https://doi.org/10.1109/CVPR52688.2022.01553), appendix A on linear probing.
# - Rauch et al. 2025, *Can Masked Autoencoders Also Listen to Birds?* (Bird-MAE), [arXiv:2504.12880](https://arxiv.org/abs/2504.12880).
# - Niizumi et al. 2022, *Masked Spectrogram Modeling using Masked Autoencoders*, [arXiv:2204.12260](https://arxiv.org/abs/2204.12260), Eq. 1.
# - Touvron et al. 2021, *Going deeper with Image Transformers* (CaiT), [arXiv:2103.17239](https://arxiv.org/abs/2103.17239).
# - Bardes et al. 2024, *Revisiting Feature Prediction for Learning Visual Representations from Video* (V-JEPA), [arXiv:2404.08471](https://arxiv.org/abs/2404.08471).
# - Hu et al. 2021, *LoRA: Low-Rank Adaptation of Large Language Models*, [arXiv:2106.09685](https://arxiv.org/abs/2106.09685).
