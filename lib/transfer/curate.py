"""Curation: score every window of the train split, keep the best, and compare with as many windows kept at random.

Liu et al. 2026, section 4.7, and the unpublished third filter of the first author's fork. Nothing here reads a val or test
recording: every function takes the whole table and uses split == "train" alone. Scores are kept in the user's cache.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from tqdm.auto import tqdm

from lib import data, patches, paths, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.sources import chorus, tables
from lib.transfer import finetune, public
from lib.transfer.finetune import Finetuned

__all__ = ["FILTERS", "check", "grid", "confidence", "folds", "reconstruction_loss", "energy", "Kept", "keep", "control", "curated",
           "holds_call", "Detector", "detector", "Proxy", "proxy"]

FILTERS = ("none", "confidence", "confidence_oof", "loss", "energy")
VERSION = 1  # of the scores; raise it when the same inputs would be scored differently


def check(filter: str, threshold: str | float, control: bool) -> float:
    """The threshold as a number, once the three parameters make sense: a share "50%" becomes 0.5."""
    if filter not in FILTERS:
        raise ValueError(f"filter is {filter!r}: it must be one of {', '.join(FILTERS)}")
    if filter == "none" and control:
        raise ValueError("control keeps as many windows at random as the filter keeps, and filter='none' keeps all: choose a filter or control=False")
    return _threshold(threshold)[0]


def _threshold(threshold: str | float) -> tuple[float, bool]:
    """(value, whether it is a share of the windows)."""
    text = str(threshold).strip()
    share = text.endswith("%")
    try:
        value = float(text.removesuffix("%")) / (100 if share else 1)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or share and not 0 < value <= 1:
        raise ValueError(f'threshold is {threshold!r}: it must be a score such as 0.88, or the share of windows to keep, above "0%" up to "100%"')
    return value, share


# ---------------------------------------------------------------------------------------------------------------- scores

def _train(table: pd.DataFrame) -> pd.DataFrame:
    train = table[table["split"] == "train"].reset_index(drop=True)
    if train.empty:
        raise ValueError(f"there is nothing to curate: none of the {len(table)} recordings is in the train split")
    return train


def grid(table: pd.DataFrame, front: FrontEnd) -> pd.DataFrame:
    """The windows of the train split, half overlapping: recording (its place among the train rows), file, start_s; a row per window."""
    train = _train(table)
    windows = _windows(train, front)
    recording = [row for row, _ in windows.places]
    return pd.DataFrame({"recording": recording, "file": train["file"].to_numpy()[recording], "start_s": windows.start_s})


def _windows(table: pd.DataFrame, front: FrontEnd) -> data.Windows:
    return data.Windows(table, front, ahead=training.accelerator().device.type == "cpu", whole=True)  # as finetune.window_logits cuts them


def _scored(name: str, what: tuple, table: pd.DataFrame, front: FrontEnd, compute: Callable[[], np.ndarray]) -> pd.DataFrame:
    """The grid with a column `score`, computed once: its file in the cache is named after all that the scores depend on."""
    windows, train = grid(table, front), _train(table)
    used = train.reindex(columns=["file", "label", "group", "start_s", "end_s", "duration_s"])
    file = paths.cache("scores") / f"{name}-{paths.key(VERSION, name, *what, front, used, windows['start_s'].round(4).tolist())}.csv"
    if not file.exists():
        paths.write_text(file, windows[["recording", "start_s"]].assign(score=compute()).to_csv(index=False, na_rep="nan"))
    return windows.assign(score=pd.read_csv(file, converters={"score": float})["score"])


def confidence(encoder: MAE | None, arch: Arch, front: FrontEnd, table: pd.DataFrame, recipe: finetune.Recipe, *, out_of_fold: int = 0,
               workers: int = 0) -> pd.DataFrame:
    """The probability that a classifier gives to a window's own species: high where the animal can be heard (Liu et al. Fig. 4).

    out_of_fold = 0: as in the paper, by a selector that was trained on these very windows. 3: by three selectors, each trained without
    the recordings it scores nor any other of their groups; a species that a selector has never met has no score (NaN). No
    selector sees val: the last step is kept. encoder: what they start from; for out-of-fold scores it must not know the recordings.
    """
    recipe, train = replace(recipe, evaluate=0), _train(table)

    def compute() -> np.ndarray:
        fold = folds(train, out_of_fold, recipe.seed) if out_of_fold else np.zeros(len(train), int)
        recording = grid(train, front)["recording"].to_numpy()
        score = np.full(len(recording), np.nan)
        for k in range(max(1, out_of_fold)):
            learn, judge = (train[fold != k], train[fold == k]) if out_of_fold else (train, train)
            if not judge.empty:
                tuned = finetune.finetune(encoder, arch, front, learn, recipe, workers=workers, bar=f"selector {k + 1}/{max(1, out_of_fold)}")
                score[np.isin(recording, np.flatnonzero(fold == k))] = _own_class(tuned, front, judge)
        return score

    name = "confidence_oof" if out_of_fold else "confidence"
    return _scored(name, (out_of_fold, arch, recipe, encoder), train, front, compute)


def _own_class(tuned: Finetuned, front: FrontEnd, table: pd.DataFrame) -> np.ndarray:
    """The softmax of each window's own class, (W,); NaN for a class that the model does not have."""
    number, own = table["label"].map({label: i for i, label in enumerate(tuned.labels)}).to_numpy(float), []  # (R,)
    for logits, row in finetune.window_logits(tuned.model, front, table, bar=None, whole=True):
        mine = number[row]  # (B,)
        share = logits.double().softmax(-1)[torch.arange(len(row)), torch.tensor(np.nan_to_num(mine)).long()].numpy()
        own.append(np.where(np.isnan(mine), np.nan, share))
    return np.concatenate(own)


def folds(table: pd.DataFrame, k: int, seed: int) -> np.ndarray:
    """A fold 0 ... k - 1 for every recording, (R,): groups stay whole, and every class is spread over the folds as evenly as they allow."""
    if k < 2:
        raise ValueError(f"out of fold needs 2 folds or more, got {k}")
    unit = tables.units(table).astype(str)
    fold, rng = {}, np.random.default_rng(seed)
    for _, units in unit.groupby(table["label"].to_numpy(), sort=True):
        free = [u for u in sorted(units.unique()) if u not in fold]  # a group that spans classes keeps its first fold
        first = rng.integers(k)  # so that the rare classes do not all begin in fold 0
        fold |= {free[i]: int(first + j) % k for j, i in enumerate(rng.permutation(len(free)))}
    return unit.map(fold).to_numpy()


@torch.no_grad()
def reconstruction_loss(model: MAE, front: FrontEnd, table: pd.DataFrame, *, masks: int = 4, mask_ratio: float = 0.8,
                        seed: int = 0) -> pd.DataFrame:
    """How badly a MAE guesses the hidden patches of each window, the mean over several masks: high where there is structure (Fig. 5).

    The mean squared error over hidden patches, in units of the spec: the model must have been trained with the raw target
    (norm_pixels=False), because a patch divided by its own std is as hard to guess in silence as in song. Patches that reach
    into the padding behind a short recording do not count.
    """
    if model.arch.norm_pixels:
        raise ValueError("the reconstruction loss needs a MAE with the raw target: this one normalises every patch (norm_pixels=True), "
                         "which hides how loud it was; pretrain one with mae.Arch(norm_pixels=False)")
    train = _train(table)

    def compute() -> np.ndarray:
        device = training.accelerator().device
        mae, log_mel, windows = model.eval().to(device), LogMel(front).to(device), _windows(train, front)
        score = []
        for i, piece in enumerate(tqdm(data.loader(windows, 64), desc="reconstructing", leave=False)):
            spec, B = piece.spec(log_mel, device), len(piece.row)
            heard = spec.new_tensor([n if piece.x.ndim == 4 else front.count(int(n)) for n in piece.length])  # (B,) frames
            ends = torch.arange(1, model.grid.t + 1, device=device).repeat_interleave(model.grid.f) * model.arch.patch[0]  # (L,) last frames
            inside, error, count = ends <= heard[:, None], 0.0, 0.0  # (B, L)
            for k in range(masks):
                mask = patches.random_mask(B, model.grid, mask_ratio, training.generator(seed, 4, i, k)).to(device)
                use = mask.hidden & inside
                error = error + (mae.patch_errors(spec, mae.decode(mae.encode(spec, mask), mask)) * use).sum(1)
                count = count + use.sum(1)
            score.append((error / count).cpu())  # (B,)
        return torch.cat(score).double().numpy()

    return _scored("loss", (model.arch, model, masks, mask_ratio, seed), train, front, compute)


def energy(front: FrontEnd, table: pd.DataFrame) -> pd.DataFrame:
    """The sum of squares of each window of a recording scaled to peak 1: the first author's unpublished filter, which keeps 200 and more.

    (Wuao652/AudioMAE, data_filters/mp_energy_threshold.py.) The number grows with the sample rate and the window, and it depends on the
    loudest click of the recording: 200 belongs to 22.05 kHz and 3 s.
    """
    train = _train(table)

    def compute() -> np.ndarray:
        waves, windows = data.Recordings(train, front), grid(train, front)
        peak = [waves.read(row, 0, n).abs().max().item() for row, n in enumerate(waves.length)]  # (R,)
        pieces = (waves.read(row, round(at * waves.per_s), waves.need) for row, at in zip(windows["recording"], windows["start_s"]))
        return np.array([(x.double() / max(peak[row], 1e-9)).square().sum().item() for row, x in zip(windows["recording"], pieces)])

    return _scored("energy", (), train, front, compute)


# ------------------------------------------------------------------------------------------------------------------ keep

class Kept(NamedTuple):
    keep: np.ndarray  # (W,) bool
    threshold: float  # the score from which on windows are kept
    windows: float  # the share of windows that is kept
    per_recording: float  # the mean over recordings of their kept share
    recordings: int  # with at least one kept window
    unscored: int  # windows without a score, which stay

    def report(self) -> dict[str, float]:
        """What a record keeps."""
        return {"windows": self.windows, "per_recording": self.per_recording, "recordings": self.recordings}


def keep(scores: pd.DataFrame, threshold: str | float) -> Kept:
    """Keep the windows that score at least the threshold, or, for "50%", at least what the best half does (ties with the last stay).

    A window without a score stays: a filter that cannot judge throws nothing away.
    """
    value, share = _threshold(threshold)
    score = scores["score"].to_numpy(float)
    known = np.sort(score[~np.isnan(score)])[::-1]
    if share and len(known):
        value = float(known[max(1, round(value * len(known))) - 1])
    kept = (score >= value) | np.isnan(score)
    if not kept.any():
        raise ValueError(f"threshold {threshold} keeps none of {len(score)} windows: their scores run from {known[-1]:.3g} to {known[0]:.3g}; "
                         'choose a lower one, or a share such as "50%"')
    return _kept(scores, kept, value)


def _kept(scores: pd.DataFrame, kept: np.ndarray, threshold: float) -> Kept:
    share = pd.Series(kept).groupby(scores["recording"].to_numpy()).mean()
    return Kept(kept, threshold, float(kept.mean()), float(share.mean()), int((share > 0).sum()), int(scores["score"].isna().sum()))


def control(scores: pd.DataFrame, kept: Kept, rng: np.random.Generator) -> Kept:
    """As many windows of every recording as the filter keeps, chosen at random: what the size of a filtered set does without any choice."""
    chosen = np.zeros(len(kept.keep), bool)
    for places in scores.groupby("recording", sort=True).indices.values():
        chosen[rng.choice(places, int(kept.keep[places].sum()), replace=False)] = True
    return _kept(scores, chosen, kept.threshold)


def curated(table: pd.DataFrame, scores: pd.DataFrame, kept: Kept) -> pd.DataFrame:
    """The table with `kept`, the starts of the kept windows of each train recording; those that lost all of them are left out.

    val and test stay as they are. A draw is then a recording and one of its kept windows (data.Clips), so that the number of draws
    and the weight of a recording do not depend on how many windows it keeps.
    """
    train = table["split"] == "train"
    files = dict(enumerate(table.loc[train, "file"]))
    if (scores["recording"].map(files) != scores["file"]).any():
        raise ValueError(f"these scores are of another table: they know {scores['recording'].max() + 1} train recordings, "
                         f"this one has {train.sum()}; score this very table")
    starts = scores[kept.keep].groupby("recording")["start_s"].agg(tuple)
    column = pd.Series([None] * len(table), index=table.index, dtype=object)
    column[train] = starts.reindex(range(train.sum())).to_numpy(dtype=object)
    table = table.assign(kept=column)
    return tables.check(table[~train | table["kept"].map(lambda k: isinstance(k, tuple))].reset_index(drop=True), "the curated table")


# -------------------------------------------------------------------------------------------- against the generator's truth

class Detector(NamedTuple):
    precision: float  # share of the kept windows that hold a call
    recall: float  # share of the windows with a call that are kept
    auc: float  # of the score; 0.5 is a coin, NaN where all or no windows hold a call
    base_rate: float  # share of all windows that hold a call: the precision of keeping at random


def holds_call(windows: pd.DataFrame, events: pd.DataFrame, front: FrontEnd) -> np.ndarray:
    """Which windows of a grid hold a labelled call, by the rule of chorus.empty_share: bool (W,). events: chorus.events of the table."""
    calls = dict(list(events[events["kind"] == "call"].groupby("file")))
    holds = np.zeros(len(windows), bool)
    for file, places in windows.groupby("file").indices.items():
        if file in calls:
            holds[places] = chorus.holds_call(windows["start_s"].to_numpy()[places], calls[file]["start_s"], calls[file]["end_s"], front.seconds)
    return holds


def detector(scores: pd.DataFrame, kept: Kept, calls: np.ndarray) -> Detector:
    """The filter as a detector of calls, over the windows of the grid; windows without a score do not enter the AUC."""
    score = scores["score"].to_numpy(float)
    known, hit = ~np.isnan(score), float((kept.keep & calls).sum())
    both = known.any() and 0 < calls[known].sum() < known.sum()
    auc = float(roc_auc_score(calls[known], score[known])) if both else np.nan
    return Detector(hit / int(kept.keep.sum()), hit / max(1, int(calls.sum())), auc, float(calls.mean()))


# ----------------------------------------------------------------------------------------------------------------- proxy

@dataclass(frozen=True)
class Proxy:
    """A small convolutional network that says what a filtered set is worth without any pretraining (Liu et al. Fig. 4 and 5, middle).

    The defaults are those of iNatSounds' public code (cvl-umass/iNatSounds, src/params.py), which the paper builds on.
    """

    size: str = "large_100"  # of timm's mobilenetv3; random weights
    epochs: int = 50
    batch: int = 128
    lr: float = 0.05
    weight_decay: float = 1e-5
    warmup: float = 0.1  # share of the steps
    seed: int = 0


def proxy(front: FrontEnd, table: pd.DataFrame, recipe: Proxy, labels: list[str], *, workers: int = 0) -> Finetuned:
    """Train the proxy on the kept windows of split == "train", with a class for each of `labels`.

    The last step is kept, val is not looked at. Of several processes each has the whole batch, for batch norm."""
    train, acc = _train(table), training.accelerator()
    number = {label: i for i, label in enumerate(labels)}
    targets = torch.tensor([number[label] for label in train["label"]])  # (R,)
    seed = training.generator(recipe.seed, 5).initial_seed()
    model = public.mobilenet(len(labels), seed=seed, size=recipe.size).to(memory_format=torch.channels_last)
    mixture = data.Mixture(len(train), 0, 0.0, min(recipe.batch, len(train)), recipe.epochs * len(train), recipe.seed)
    clips = data.Clips(train, front, recipe.seed, ahead=acc.device.type == "cpu")
    log_mel = LogMel(front).to(acc.device)
    optimizer = torch.optim.SGD(model.parameters(), recipe.lr, momentum=0.9, nesterov=True,
                                weight_decay=recipe.weight_decay)

    def batches(start: int) -> Iterable[data.Batch]:
        return data.loader(clips, mixture.batches(start), workers)

    def loss_of(model: nn.Module, batch: data.Batch, step: int) -> torch.Tensor:
        logits = model(batch.spec(log_mel, acc.device))  # (B, C)
        loss = nn.functional.cross_entropy(logits, targets[batch.row].to(acc.device))
        return loss / acc.num_processes  # fit adds the processes up

    log = pd.DataFrame(training.fit(model, optimizer, batches, loss_of, steps=len(mixture), seed=recipe.seed,
                                    warmup=round(recipe.warmup * len(mixture)), bar="proxy"))
    trained = sum(p.numel() for p in model.parameters())
    return Finetuned(model.eval(), labels, log, pd.DataFrame(columns=["step", "top1"]), mixture.samples, trained)
