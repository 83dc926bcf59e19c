# %% [markdown]
# # 03 · Linear probe: is it the features or the probe?
#
# **Time**: `tiny` 4 minutes of one core of an Intel Xeon (AVX-512 bf16) for one pretraining (the other was kept) and the features, by the sheet below, and 2 for the probes; all of it 9 beside another program · `smoke` under a minute ·
# `small` not measured · `paper` not measured; 24 h on an A100 for each pretraining (the paper's hours) unless `weights` are given.
#
# You will
# 1. **freeze** an encoder and keep what it says about every window of every recording,
# 2. **build** the standard linear probe, and see what its BatchNorm and its learning rate decide,
# 3. **climb** a ladder of readouts on the very same features: nearest neighbours, logistic regression, attentive pooling, prototypes,
# 4. **place** LoRA and full finetuning above them,
# 5. **judge** what the 2 to 4 % of Liu et al.'s Table 2 say about the features, and what about the probe.

# %% [markdown]
# ## The question
#
# Table 2 of the paper freezes three encoders and trains a linear classifier on each. On the 1,212 species of iNatSounds Bird-MAE has 2.5 % (top-1 on val, the paper's
# numbers), AudioMAE 3.6 %, the authors' own MAE 3.7 %. The same encoders, *finetuned*, have 59 to 64 % (Table 3). The authors write that this suggests "that the
# masked reconstruction objective alone does not produce linearly separable features suitable for fine-grained bioacoustic recognition". But a probe is two things, features and a readout, and only one readout was tried.
#
# > **Predict before you read on.** Take frozen features of one encoder and these readouts: a linear layer on the class token, on the mean of the patches, attention
# > over the patches, nearest neighbours. How far apart will the best and the worst be: less than 2 points, about 10, more than 20?
# > The notebook comes back to your number where all of them have been tried, and runs without it too.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from sklearn.decomposition import PCA

from lib import data, mel, metrics, plots, runs, sources
from lib.course import exercises
from lib.runs import cost, experiments, report, verdicts
from lib.transfer import probe, starts
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
print(f"scale {setting.name}: {clips:,} clips for each pretraining")

# %%
pools = {"wildlife": sources.recordings(wildlife, "wildlife", setting.chorus, data_seed),
         "general": sources.recordings(general, "general", setting.chorus, data_seed)}
run = runs.start("03_linear_probe", pools, init=init, scale=scale, seed=seed, data_seed=data_seed,
                 wildlife=wildlife, general=general, weights=weights, reference=reference,
                 subtract=subtract, budget=budget)
table = pools["wildlife"].reset_index(drop=True)
other = outside.load(reference) if reference else None

# %% [markdown]
# ## What will be computed
#
# A sheet comes first because an estimate of seconds may save a day: a run that would take longer than `max_hours` is refused here, before it begins.

# %%
left, _ = starts.earlier(init, setting.arch(), setting.pretraining(clips, seed), pools,
                         weights=weights)
cost.sheet([cost.starting(init, setting, clips, weights, left),
            cost.predicting(cost.arch_of(init, setting, weights),
                            runs.front(mel.INAT, subtract), table,
                            what="encoding every window")], max_hours)

# %% [markdown]
# **See:** that the encoder speaks only once. Measured a moment ago from a few steps on random clips, on the machine in the corner. Features that an
# earlier run left are loaded, so it may be less; reading and the probes are not counted, nor limited by `max_hours`, so it may be more.

# %%
begin = starts.start(init, setting.arch(), setting.pretraining(clips, seed), pools,
                     weights=weights, workers=setting.workers)
front = runs.front(begin.front, subtract)
print(f"{init}: {begin.what}; front end {front.name}")

# %% [markdown]
# Offline, `audioset_ssl` is a **stand-in**: a MAE of this size pretrained on the general pool, not AudioMAE. `chorus` is this project's synthetic sound world: it can
# show how readouts differ on features whose origin is known, and it cannot show how well any of them does on real animals.
#
# ## Frozen features, once
#
# The encoder sees every window (half overlapping) with nothing hidden, in float32 and without gradients. Its answer to a window is one class token and a grid of
# patch tokens. All of it is kept on the disk, named after the weights and the recordings: a second run, or another readout, only reads.

# %%
before = [p.clone() for p in begin.model.parameters()]
known = probe.features(begin.model, front, table, workers=setting.workers)
size = (f"{known.tokens.nbytes / 1e6:.0f} MB of tokens {known.tokens.shape}"
        if known.tokens is not None else "tokens too large to keep")
print(f"{len(known.row):,} windows of {len(table):,} recordings; {size}, "
      f"{'read' if known.cached else 'computed'}")
pd.DataFrame({kind: {"numbers a window": x.shape[1]} for kind, x in known.kinds.items()})

# %% [markdown]
# **Four ways to make one vector of a window** with $t \times f$ patch tokens $z_{\tau, \phi} \in \mathbb{R}^D$:
#
# $$ z_\text{class}, \qquad z_\text{mean} = \frac{1}{tf} \sum_{\tau, \phi} z_{\tau, \phi}, \qquad
#    z_\text{freq} = \frac1t \sum_\tau \big[ z_{\tau, 1} ; z_{\tau, 2} ; \dots ; z_{\tau, f} \big] \in \mathbb{R}^{fD} \tag{1} $$
#
# The class token was never asked for anything in pretraining (except in `imagenet_sl`, where it was the classifier's input). The mean forgets at which pitch something sounded. The last (MSM-MAE, Niizumi et al. 2022, Eq. 1) lays
# the mel rows end to end, so that each keeps its place, and averages over time only; *spread* is that with each number's standard deviation over time beside it (the readout of the `study` recipe in notebook 04).
#
# **Checkpoint.** The lines below are (1), by hand, on one window. If they pass, the kept features are what the text says, and the encoder is as it was.

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
# ## A look at the features
#
# Before anything is trained: the mean features of every recording, standardised, along their two directions of greatest variance.

# %%
mean = pd.DataFrame(known.kinds["mean"]).groupby(known.row).mean().to_numpy()  # (R, D)
std = mean.std(0) + 1e-6
pca = PCA(2, random_state=0)
place = pca.fit_transform((mean - mean.mean(0)) / std)  # (R, 2)
label = table["label"]
kind = table.get("taxon", label.where(label.isin(label.value_counts().index[:6]), "others"))
figure, ax = plt.subplots(figsize=(6.2, 3.8))
sns.scatterplot(x=place[:, 0], y=place[:, 1], s=14, linewidth=0, ax=ax,
                hue=kind.map(plots.label, na_action="ignore").to_numpy())
shares = pca.explained_variance_ratio_
ax.set(xlabel=f"first component ({shares[0]:.0%} of the variance)",
       ylabel=f"second ({shares[1]:.0%})")
ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# *Figure 1. Every recording, by the two main directions of its mean features; colours are taxa (no label was used to draw it).* **See:** whether kinds of animals lie
# together (in a folder without a `taxon` column: the six largest classes). What varies most is seldom what tells species apart: loudness, background and how full a window is come first. A readout has to find the small
# directions that matter.
#
# ## The standard protocol
#
# Liu et al. name only "a standard linear probing protocol". The public one is MAE's (`main_linprobe.py`): BatchNorm without weights of its own, one linear
# layer with weights from $N(0, 0.01)$, 90 epochs, a cosine schedule after a warm-up of a tenth, no weight decay. AudioMAE ships no probing code at all. Here:
#
# $$ \hat y = \mathrm{softmax}\big( W \, \tfrac{z - \mu}{\sqrt{\sigma^2 + \epsilon}} + b \big), \qquad \mu, \sigma \text{ from the train batches} \tag{2} $$
#
# trained by SGD with momentum 0.9 (MAE takes LARS, for batches of 16,384). An epoch draws **one random window of every recording**, as finetuning does. The learning
# rate is swept and chosen on val only; test is looked at once, by the chosen one.

# %%
recipe = probe.Recipe(seed=seed)
counts = table["split"].value_counts()
print(f"{recipe.epochs} epochs of {counts['train']} recordings in batches of {recipe.batch}: "
      f"{recipe.epochs * max(1, counts['train'] // recipe.batch):,} steps for each of "
      f"{len(recipe.lrs)} learning rates; {len(known.labels)} classes")
plots.source(probe.linear)

# %% [markdown]
# > **Predict.** Which part of it matters most for the result: BatchNorm, the learning rate, or which of the four vectors is read?

# %%
ladder = {}
for kind in probe.KINDS:
    ladder[f"linear, {kind}"] = probe.train(f"linear, {kind}", known, kind, probe.linear, recipe)
    plain = lambda *sizes: probe.linear(*sizes, batchnorm=False)  # noqa: E731
    name = f"linear, {kind}, no BatchNorm"
    ladder[name] = probe.train(name, known, kind, plain, recipe)
standard = ladder["linear, mean"]
results = {name: probe.evaluate(rung, known, seed) for name, rung in ladder.items()}

# %% [markdown]
# `linear, mean` is this notebook's standard protocol; its numbers are what the record states beside Table 2.

# %%
for split, s in results["linear, mean"].scores.items():
    print(f"{split}: top-1 {s.top1}, "
          f"top-5 {s.top5.value:.1%}; {s.recordings} recordings of {s.classes} classes, "
          f"each guess among {s.chosen_from}; learning rate {standard.chosen:g}")

# %% [markdown]
# And what chance is, measured the same way: a guess that gives every class the same probability.

# %%
answers = results["linear, mean"].answers
blind = {split: np.full((len(a["targets"]), len(known.labels)), 1 / len(known.labels))
         for split, a in answers.items()}
chance = {split: metrics.score(metrics.restrict(blind[split], np.unique(a["targets"])),
                               a["targets"], np.random.default_rng(seed))
          for split, a in answers.items()}
print(f"chance: top-1 {chance['val'].top1.value:.2%}, top-5 {chance['val'].top5.value:.2%} "
      "(the paper's: 0.08 and 0.41 %, 1 and 5 of 1,212)")
assert abs(chance["val"].top1.value - 1 / chance["val"].chosen_from) < 1e-9

# %% [markdown]
# ## What the learning rate and BatchNorm decide

# %%
figure, axes = plt.subplots(1, 4, figsize=(12, 3), sharey=True)
for ax, kind in zip(axes, probe.KINDS):
    for name, look in ((f"linear, {kind}", "o-"), (f"linear, {kind}, no BatchNorm", "s--")):
        ax.semilogx(ladder[name].sweep["value"], 100 * ladder[name].sweep["top1"], look,
                    label=name.split(", ")[-1].replace(kind, "BatchNorm"))
    ax.axhline(100 * chance["val"].top1.value, color="0.6", linestyle=":", label="chance")
    ax.set(title=f"{kind}: {known.kinds[kind].shape[1]} numbers", xlabel="learning rate")
axes[0].set(ylabel="top-1 on val (%)", ylim=(0, None))
axes[0].legend(fontsize="small");

# %% [markdown]
# *Figure 2. Top-1 on val after the last step against the learning rate, for each vector, with and without BatchNorm.* **See:** how far apart two points of one curve
# are: at `tiny` (general + wildlife stand-in, `chorus`, seed 0) the mean with BatchNorm is at 26.5 % at its best and nine points lower at its worst, without it at 19.3 % and near chance. A paper that reports one
# learning rate reports one point of such a curve. The frequency vector, 33.3 and 31.8 % at its best, forgives more rates.
#
# Why BatchNorm matters: a linear layer learns fast along directions in which features vary much and slowly along the others, and the mean that all windows share is one
# more direction that tells nothing.

# %%
x = known.kinds["mean"][np.isin(known.row, table.index[table["split"] == "train"])]  # (W, D)
spread = {"as they come": x, "after BatchNorm": (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-6)}
figure, axes = plt.subplots(1, 2, figsize=(9, 3))
for name, values in spread.items():
    axes[0].semilogy(np.sort(values.std(0))[::-1], label=name)
    axes[1].semilogy(np.maximum(np.linalg.eigvalsh(np.cov(values.T))[::-1], 1e-9), label=name)
axes[0].set(title="standard deviation of every channel", xlabel="channel, sorted")
axes[1].set(title="variance along every principal direction", xlabel="direction, sorted")
axes[0].legend(fontsize="small")
print(f"|mean| / std of a channel, median: {np.median(np.abs(x.mean(0)) / (x.std(0) + 1e-9)):.1f}; "
      f"BatchNorm multiplies a typical channel by {np.median(1 / np.sqrt(x.var(0) + 1e-6)):.1f}")

# %% [markdown]
# *Figure 3. The scales of the mean features over the train windows: left per channel, right along principal directions.* **See:** BatchNorm makes all channels
# equal, and multiplies small features up (the factor is printed above): for plain SGD that is first of all a far larger learning rate. It leaves the right panel's slope:
# directions that mix channels still differ by orders of magnitude, and a linear probe that stops after 90 epochs has not learnt the flat ones. (The last direction is
# empty: the encoder's final LayerNorm takes one away.)
#
# ## Two readouts with nothing to tune
#
# **Nearest neighbours** learns nothing: a window asks the $k$ train windows at the smallest angle. **Logistic regression** is the same linear classifier as (2), but learnt from
# all windows at once (each recording with the same weight), with a penalty, until the gradient is all but 0: a convex problem, and no learning rate can be to blame.
#
# With `reference="birdnet"`, on recordings of birds, the same two readouts stand on BirdNET's embeddings as well: what a model that learnt its species from labels has to say (its package is not among the requirements; the error says what to install).

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
        references.append(f"{readout}, {other.name}")
pd.DataFrame({name: {"chosen k or C": ladder[name].chosen,
                     **{split: f"{s.top1.value:.1%}" for split, s in results[name].scores.items()}}
              for name in references}).T

# %% [markdown]
# ## Readouts that choose where to look
#
# A call fills a few patches of 256; a mean dilutes it with everything else. Two readouts may choose. **Attentive pooling** has one learned query that looks at all
# patches (the class attention of CaiT, the attentive probe of V-JEPA). The **prototypical probe** is Bird-MAE's (Rauch et al. 2025): every class has $J$ prototypes
# $p_{c,j}$, and each looks for the one patch most like it,
#
# $$ s_{c,j} = \max_{\tau, \phi} \cos(z_{\tau,\phi}, p_{c,j}), \qquad \text{logit}_c = \sum_j w_{c,j}\, s_{c,j} + b_c, \quad w_{c,j} \ge 0. \tag{3} $$
#
# On BirdSet its authors report up to 37 points of mAP more than linear probes on the same frozen features (their number). Ours differs from theirs in what its docstring says.
#
# > **Predict.** Prototypes look at single patches and forget where they were. For which animals should that be enough?

# %%
tokens = probe.Recipe(**{**vars(probe.TOKENS), "seed": seed})
if known.tokens is not None:
    for name, readout in (("attentive pooling", probe.Attentive), ("prototypes", probe.Prototypes)):
        ladder[name] = probe.train(name, known, "tokens", readout, tokens)
        results[name] = probe.evaluate(ladder[name], known, seed)
        rung, s = ladder[name], results[name].scores
        print(f"{name}: val {s['val'].top1.value:.1%}, test {s['test'].top1.value:.1%}, "
              f"{rung.trainable:,} weights, {rung.seconds:.0f} s, learning rates "
              f"{rung.sweep['value'].tolist()} gave "
              f"{rung.sweep['top1'].map('{:.1%}'.format).tolist()}")

# %% [markdown]
# ## The top rungs: let the encoder move
#
# LoRA trains low-rank updates of the attention weights, finetuning everything (notebook 04). They are notebook 04's runs, with the same start, seed, scale and data: where it
# left a record, its numbers are the top of the ladder.

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
# ## The ladder
#
# Every rung on the same recordings; the gain over the standard protocol is paired. It is one seed, so that its interval is over other species only.

# %%
steps = {name: {**{s: v.top1 for s, v in results[name].scores.items()},
                "hits": {s: a["hits"] for s, a in results[name].answers.items()},
                "trainable": rung.trainable, "seconds": rung.seconds, "lr": rung.chosen,
                "from": "trained here"} for name, rung in ladder.items()} | above
for step in steps.values():
    step["gain"] = verdicts.difference(step["hits"]["test"], answers["test"]["hits"],
                                       answers["test"]["targets"])
shown = pd.DataFrame([{"rung": name, "test": s["test"].value, "val": s["val"].value,
                       "gain on test": s["gain"].value, "low": s["gain"].low,
                       "high": s["gain"].high, "weights": s["trainable"],
                       "seconds": s.get("seconds", np.nan), "from": s["from"]}
                      for name, s in steps.items()]).sort_values("test")
formats = {"val": "{:.1%}", "test": "{:.1%}", "weights": "{:,.0f}", "seconds": "{:.0f}"}
formats |= dict.fromkeys(("gain on test", "low", "high"), "{:+.1%}")
plots.table(shown).format(formats, na_rep="").hide(axis="index")

# %%
four = [100 * steps[name]["test"].value
        for name in ("linear, class", "linear, mean", "attentive pooling", "k-NN, mean")
        if name in steps]
exercises.predicted("best minus worst of the four readouts on test", apart,
                    round(max(four) - min(four), 1), "points")

# %%
figure, ax = plt.subplots(figsize=(8, 0.3 * len(shown) + 1))
for y, name in enumerate(shown["rung"]):
    value, low, high = (100 * v for v in steps[name]["test"])
    colour = "C3" if name == "linear, mean" else "C2" if name in above else "C0"
    ax.errorbar(value, y, xerr=[[max(0, value - low)], [max(0, high - value)]],
                fmt="o", color=colour, markersize=5, elinewidth=1)
    ax.plot(100 * steps[name]["val"].value, y, "D", color=colour, markersize=4,
            fillstyle="none", clip_on=False)
ax.axvline(100 * chance["val"].top1.value, color="0.6", linestyle=":")
ax.set(yticks=range(len(shown)), yticklabels=shown["rung"], xlim=(0, None),
       xlabel="top-1, class average (%): dot test with its 95 % interval, diamond val",
       title=f"{init}, {plots.label(run.data['wildlife']['name'])}, {setting.name}, seed {seed}");

# %% [markdown]
# *Figure 4. The readout ladder: one encoder, one set of recordings. Orange is the standard protocol, green lets the encoder move, the dotted line is chance.* **See:**
# how much of the way from chance to finetuning is made without touching the encoder, and how much of it the standard protocol makes. What lies between the orange dot and
# the best blue one is the probe's doing; what lies between that one and green is what no readout tried here could get out of these features.
#
# ### Where a prototype looks
#
# A probe that chooses can be asked what it chose: for one val window, the similarity of every patch to the best prototype of the true class.

# %%
if known.tokens is not None:
    val = table.index[table["split"] == "val"]
    # the first recording that it got right
    recording = val[int(results["prototypes"].answers["val"]["hits"].argmax())]
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
    figure, axes = plt.subplots(1, 2, figsize=(10, 2.8))
    plots.spec(axes[0], spec, front, f"val: {table['label'][recording]}")
    image = axes[1].imshow(best.T, origin="lower", aspect="auto", cmap="viridis",
                           extent=(0, front.seconds, 0, grid.f))
    axes[1].set(title="cosine of every patch to its class's prototype",
                xlabel="time (s)", ylabel="mel row")
    figure.colorbar(image, ax=axes[1])

# %% [markdown]
# *Figure 5. Left a window of a val recording (one that the prototypes got right, if any), right the similarity of its patches to the nearest prototype of its class.* **See:** whether
# the brightest patch lies on a call or on the background: a readout can be right for a wrong reason, and this one can be asked.
#
# ## The record

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
# ## Table 2, the paper's and what was measured here
#
# The paper does not say which of its models "ours" is; its text ("even when pretraining is conducted on iNatSounds itself") leaves two readings open, a MAE from scratch on
# iNatSounds or AudioMAE continued on it. We put it beside `audioset_ssl+inat_ssl`, a choice of ours. Offline both `audioset_ssl` rows are stand-ins, never AudioMAE. All percentages are class averages; every guess is among the classes of its own task, so that chance differs.

# %%
names = {"chance": "chance", "birdmae": "birdmae", "audiomae": "audioset_ssl",
         "ours": "audioset_ssl+inat_ssl"}
theirs = runs.reference("linear_probe").drop_duplicates(["setting", "split", "metric"])
theirs = theirs.assign(init=theirs["setting"].map(names),
                       column=theirs["split"] + " " + theirs["metric"])
theirs = theirs.pivot(index="init", columns="column", values="value")
theirs.columns = [f"paper: {c}" for c in theirs.columns]
past = runs.records("03_linear_probe")
past = runs.beside(past, run) if len(past) else past
columns = {"test.top1.value": "test top1", "test.top5.value": "test top5",
           "top1.value": "val top1", "top5.value": "val top5"}
if len(past):
    ours = 100 * past.groupby("init")[list(columns)].mean().rename(columns=columns)
    ours.loc["chance"] = [100 * past[c].mean() for c in ("chance", "chance5")] * 2
    seeds = past.groupby("init")["seed"].nunique().rename("seeds")
    theirs = theirs.join(ours.add_prefix(f"{setting.name}: "), how="outer").join(seeds)
order = [n for n in ("chance", *starts.NAMES) if n in theirs.index]
whole = ["seeds"] if "seeds" in theirs else []
plots.table(theirs.loc[order]).format("{:.2f}", na_rep="").format("{:.0f}", subset=whole, na_rep="")

# %% [markdown]
# ## Every ladder that has been climbed

# %%
if len(past):
    climbed = pd.DataFrame([{"init": r["init"], "seed": r["seed"], "rung": g["rung"],
                             "test": 100 * g["test"]["value"]}
                            for _, r in past.iterrows() for g in r["ladder"]])
    order = climbed.groupby("rung")["test"].mean().sort_values(ascending=False).index
    figure, ax = plt.subplots(figsize=(9, 0.32 * len(order) + 1))
    sns.pointplot(climbed, y="rung", x="test", hue="init", order=order,
                  hue_order=[n for n in starts.NAMES if n in set(climbed["init"])],
                  linestyle="none", dodge=0.4 if climbed["init"].nunique() > 1 else False,
                  markersize=4, errorbar=lambda v: (v.min(), v.max()),
                  err_kws={"linewidth": 1}, ax=ax)
    ax.set(xlabel="top-1 on test, class average (%); mean and range over seeds",
           ylabel="", xlim=(0, None))
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
else:
    print("no records yet: python -m lib.runs sweep papermill_runs/03_linear_probe.sweep.json")

# %% [markdown]
# *Figure 6. All records of this notebook at this scale, budget and data: a dot is the mean over seeds, its bar their range.* **See:** two questions in one picture. Along a row:
# do the initialisations keep their order whatever the readout? Down a colour: how far does the readout alone move the same encoder? If the second distance is the
# larger one, a table with a single readout ranks probes as much as encoders.
#
# ## What was seen
#
# The paper's claims, what would hold them up (written before the runs), and what came out:

# %%
Markdown(report.answered("Table 2"))

# %% [markdown]
# The ladder of one run, above (`tiny`, encoder 128-d x 4, 24,000 clips of general sound and then 24,000 of wildlife, `chorus`, data_seed 0, seed 0; 264 val and 792 test recordings of 33 species, chance 3 %; heard above each band's median):
#
# - **Here the probe decides.** The same frozen features give 14.1 % on test by nearest neighbours on the mean, 22.5 by the standard protocol, and a third of all recordings by a linear layer on the mel rows with their spread over time. The mean throws away at which pitch something sounded; rows laid end to end bring it back. A learned query over the
#   patches (24.0) and prototypes (23.2) do not.
# - **BatchNorm is a setting like any other**: on the mean it helps (22.5 with it, 18.2 without), on the rows it matters little once the learning rate is chosen for each (30.7 and 29.0). Logistic regression on all windows at once has 21.8 on the mean and 27.9 on the rows.
# - **But look at what never learned anything**: an encoder with random weights has 31.1 on test by logistic regression on each mel row's mean and spread (notebook 05, mean of five seeds), and logistic regression on the log-mel itself 30.2. What pretraining adds to a frozen encoder cannot be told from nothing in notebook 05's curve.
# - One seed, and the interval is over species alone: **no verdict** in the ladder; the claims above have as many seeds as stand beside them. The rates were chosen on val from 8 (linear) or 3 (tokens) values; for both token readouts the best lies at the edge of the list, so these rungs may be too low.
# - **What this does not say**: that Table 2 would look better with another readout. Finetuning has little to learn from here (407 recordings), on iNatSounds it has 137,012; one seed; the generator's
#   world. It says that Table 2 alone cannot tell features from probes, and shows the experiment that could.
#
# ## Exercises
#
# Fill in the function, run the cell: the last line tries it on small made-up features and says whether it is right, or what to look at.

# %%
from lib.course import exercises_03 as check

# %% [markdown]
# ### 1 · A frozen BatchNorm
#
# What equation (2) does to test features once training is over.

# %% tags=["exercise"]
def standardise(train, test):
    """Features (n, D) and (m, D) -> the test features (m, D), every channel standardised."""
    return None


check.standardise(standardise)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def standardise(train, test):
#     return (test - train.mean(0)) / train.std(0)
# ```
# In PyTorch this is what `model.eval()` is for; forget it, and a recording's score depends on which others are in its batch.
# </details>
#
# ### 2 · A vector that keeps the pitch
#
# Equation (1), the last one: each time column's rows end to end, then the mean over time. The class token stands first and does not belong.

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
# The two orders of axes give the same shape when you then average over the other one, and a vector in which pitch and time are mixed up. Compare
# `known.kinds["frequency"]`.
# </details>
#
# ### 3 · The patch most like a prototype
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
# ### 4 · Choose on val, report test
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
# ### 5 · How large is a linear probe?
#
# Count the weights, biases included, of a linear layer on the mean of the patches and of one on the frequency vector.

# %% tags=["exercise"]
def probe_weights(dim, rows, classes):
    """Weights of the linear probe on (the mean, the frequency vector) for an encoder of width
    `dim` with so many mel rows."""
    return None


check.probe_weights(probe_weights)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def probe_weights(dim, rows, classes):
#     return (dim + 1) * classes, (rows * dim + 1) * classes
# ```
# At ViT-B ($D = 768$, $f = 8$) and 5,569 classes: 4.3 million; 34 million, more than a third of the encoder. Prototypes with $J = 20$: $20 \cdot 769 \cdot 5569 + 5569 = 86$
# million, as many as the encoder has. A probe's size depends on the number of classes; of LoRA's weights only the head does, and at 5,569 classes it is 14 times the updates.
# </details>
#
# ### 6 · Separable, or found? (a run of your own, not checked)
#
# Give `probe.train` the `recipe` of the standard protocol with ten times as many epochs (`dataclasses.replace`). Does `linear, mean, no BatchNorm` catch up with the one that has
# BatchNorm? What does that say about the word "separable"?
#
# <details><summary>Solution</summary>
#
# `probe.train("longer", known, "mean", plain, dataclasses.replace(recipe, epochs=900))`, after `import dataclasses`. Without BatchNorm more steps help along the flat directions
# of Figure 3. Whether classes can be separated by a plane is a property of the features; whether 90 epochs of SGD find that plane is one of the optimiser.
# </details>
#
# ## Quiz
#
# **A linear probe has 3 %, finetuning 58 %. Does it follow that the frozen features hold nothing about species?** <details><summary>Answer</summary>No. It follows that this
# readout, trained in this way, found nothing. Another readout of the same features may; only when many fail does the suspicion fall on the features. And finetuning
# from *random* weights has 38 % in the paper's Table 3: a part of the 58 was learnt in finetuning.</details>
#
# **Why is the learning rate chosen on val and not on test?** <details><summary>Answer</summary>The best of eight noisy numbers is too good on the recordings it was chosen on. Val pays that
# price, and test, looked at once, does not. With a few hundred recordings the difference is visible.</details>
#
# **Why may k-NN be better with an encoder whose linear probe is worse?** <details><summary>Answer</summary>Neighbours need recordings of one species to lie near each other somewhere, in as
# many separate clumps as they like. A linear probe needs one plane per species.</details>
#
# **The class token was never trained for anything. Why is it not random?** <details><summary>Answer</summary>It attends to the patches in every block, and patches attend to it; the encoder
# may use it as a place to keep what is common to the clip, because that lowers the loss.</details>
#
# ## What was not shown
#
# Table 2's own encoders and data (AudioMAE and Bird-MAE at ViT-B on iNatSounds: `init=birdmae weights=hub`, a GPU and hours); LARS at a batch of 16,384; features of earlier blocks; a
# probe with augmentation, which frozen features do not allow. Contradictions of the paper that stand beside these numbers: (i) Table 2 finds 2 to 4 %, while Bird-MAE's
# authors report up to 37 points of mAP between two probes on the same frozen features; the readout, not the features, may be the cause, and the paper never varies it. (ii) Neither
# optimiser, learning rate, epochs, token nor BatchNorm of "the standard protocol" is named, and AudioMAE, whose protocol it would be, ships none. (iii) No row has a repeat or an
# interval; the difference between AudioMAE and "ours" on val is 0.02 points.
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
