"""Curation: score every window of the train split, keep the best, and compare with as many windows kept at random.

Liu et al. 2026, section 4.7, and the unpublished third filter of the first author's fork. Nothing here reads a val or
test recording: of a table only split == "train" is used. Scores are kept in the user's cache."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from lib import audio, data, hardware, patches, paths, progress, recordings, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.sources import chorus_recording, tables
from lib.transfer import finetune, reference
from lib.transfer.finetune import Finetuned
from lib.transfer.reference import Frozen

__all__ = ["FILTERS", "CONTROLS", "check", "grid", "confidence", "taught", "reconstruction_loss", "energy", "Kept",
           "keep", "control", "curated", "holds_call", "Detector", "detector"]

FILTERS = ("none", "confidence", "confidence_oof", "loss", "energy")
CONTROLS = ("none", "windows", "recordings")  # the filter itself; as many windows, of the same recordings or of others
VERSION = 1  # of the scores; raise it when the same inputs would be scored differently
RATIO = 0.8  # share of the patches that is hidden from a MAE whose loss is the score


def check(filter: str, threshold: str | float, control: str, teacher: str = "") -> float:
    """The threshold as a number, once the parameters make sense: a share "50%" becomes 0.5."""
    if filter not in FILTERS:
        raise ValueError(f"filter is {filter!r}: it must be one of {', '.join(FILTERS)}")
    if control not in CONTROLS:
        raise ValueError(f"control is {control!r}: it must be one of {', '.join(CONTROLS)}")
    if filter == "none" and control != "none":
        raise ValueError("control keeps as many windows at random as the filter keeps, and filter='none' keeps all: "
                         "choose a filter or control='none'")
    if teacher and filter != "confidence":
        raise ValueError(f"teacher={teacher} is confident in the place of a classifier that is trained here: it goes "
                         f"with filter='confidence', not {filter!r}")
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
        raise ValueError(f"threshold is {threshold!r}: it must be a score such as 0.88, or the share of windows to "
                         'keep, above "0%" up to "100%"')
    return value, share


def _train(table: pd.DataFrame) -> pd.DataFrame:
    train = table[table["split"] == "train"].reset_index(drop=True)
    if train.empty:
        raise ValueError(f"there is nothing to curate: none of the {len(table)} recordings is in the train split")
    return train


def grid(table: pd.DataFrame, front: FrontEnd) -> pd.DataFrame:
    """The windows of the train split, half overlapping: recording (its place among the train rows), file, start_s."""
    train = _train(table)
    windows = _windows(train, front)
    row = windows.places[:, 0]  # (W,)
    return pd.DataFrame({"recording": row, "file": train["file"].to_numpy()[row], "start_s": windows.start_s})


def _windows(table: pd.DataFrame, front: FrontEnd) -> data.Windows:
    """The windows as `finetune.window_logits` cuts them."""
    device = hardware.accelerator().device
    return data.Windows(table, front, ahead=device.type == "cpu", whole=True, device=device)


def _scored(name: str, what: tuple, train: pd.DataFrame, front: FrontEnd,
            compute: Callable[[], np.ndarray]) -> pd.DataFrame:
    """The grid with a column `score`, computed once: its file in the cache is named after all that it depends on."""
    windows = grid(train, front)
    rows = train.reindex(columns=["file", "label", "group", "start_s", "end_s", "duration_s"])
    key = paths.key(VERSION, name, *what, front, rows, paths.stamps(train["file"]),
                    windows["start_s"].round(4).tolist())
    file = paths.cache("scores") / f"{name}-{key}.csv"
    if not file.exists():
        scored = windows[["recording", "start_s"]].assign(score=compute())
        paths.write_text(file, scored.to_csv(index=False, na_rep="nan"))
    return windows.assign(score=pd.read_csv(file, converters={"score": float})["score"])


def confidence(encoder: MAE | None, arch: Arch, front: FrontEnd, table: pd.DataFrame, recipe: finetune.Recipe, *,
               out_of_fold: int = 0, workers: int = 0) -> pd.DataFrame:
    """The probability that a classifier gives to a window's own species: high where the animal can be heard (Fig. 4).

    out_of_fold = 0: as in the paper, by a selector trained on these very windows. 3: by three selectors, each trained
    without the recordings it scores and their groups; a species that a selector has never met has no score (NaN). No
    selector sees val. encoder: what they start from; out of fold it must not know the recordings."""
    recipe, train, count = replace(recipe, evaluate=0), _train(table), max(1, out_of_fold)

    def compute() -> np.ndarray:
        fold = tables.folds(train, count, recipe.seed) if out_of_fold else np.zeros(len(train), int)
        recording = grid(train, front)["recording"].to_numpy()
        score = np.full(len(recording), np.nan)
        for k in range(count):
            learn, judge = (train[fold != k], train[fold == k]) if out_of_fold else (train, train)
            if not judge.empty:
                bar = f"selector {k + 1}/{count}"
                tuned = finetune.finetune(encoder, arch, front, learn, recipe, workers=workers, bar=bar)
                score[np.isin(recording, np.flatnonzero(fold == k))] = _own_class(tuned, front, judge)
        return score

    name = "confidence_oof" if out_of_fold else "confidence"
    return _scored(name, (out_of_fold, arch, recipe, encoder), train, front, compute)


def _own_class(tuned: Finetuned, front: FrontEnd, table: pd.DataFrame) -> np.ndarray:
    """The softmax of each window's own class, (W,); NaN for a class that the model does not have."""
    number = table["label"].map({label: i for i, label in enumerate(tuned.labels)}).to_numpy(float)  # (R,)
    shares = []
    for logits, row in finetune.window_logits(tuned.model, front, table, bar="scoring", whole=True):
        own = number[row]  # (B,)
        share = logits.double().softmax(-1)[torch.arange(len(row)), torch.tensor(np.nan_to_num(own)).long()].numpy()
        shares.append(np.where(np.isnan(own), np.nan, share))
    return np.concatenate(shares)


def taught(teacher: Frozen, front: FrontEnd, table: pd.DataFrame) -> pd.DataFrame:
    """The certainty of a teacher from elsewhere, such as BirdNET, that a window holds its recording's species.

    It was never trained on these labels; what it was trained on may hold these recordings. It hears the same windows at
    its own rate, of a longer one every part that it can, and the highest counts. A species that it does not name has no
    score (NaN), so that its windows stay. ValueError where it names fewer than half of them."""
    train = _train(table)
    species = sorted(train["label"].unique())
    places = dict(zip(species, reference.named(teacher, species)))
    unknown = [label for label in species if places[label] < 0]
    if 2 * len(unknown) > len(species):
        raise ValueError(f"{teacher.name} names {len(species) - len(unknown)} of {len(species)} species of train, not "
                         f"{unknown[0]!r}: a teacher must name at least half, by scientific or common name")
    if unknown:
        print(f"{teacher.name} does not name {len(unknown)} of {len(species)} species ({', '.join(unknown[:3])}"
              f"{' ...' * (len(unknown) > 3)}): their windows stay")

    def compute() -> np.ndarray:
        windows = grid(train, front)
        bar = progress.bar(windows.groupby("recording", sort=True), desc=f"scores by {teacher.name}", unit="recording",
                           total=windows["recording"].nunique(), leave=False)
        return np.concatenate([_certainty(teacher, train.loc[row], places[train["label"][row]], front,
                                          own["start_s"].tolist()) for row, own in bar])

    return _scored("taught", (teacher.key,), train, front, compute)


def _certainty(teacher: Frozen, recording: pd.Series, place: int, front: FrontEnd, starts: list[float]) -> np.ndarray:
    """What a teacher says of one of its labels in the windows of a recording that begin at `starts`, (W,); NaN for -1.
    """
    if place < 0:
        return np.full(len(starts), np.nan)
    begin = np.nan_to_num(recording.get("start_s", 0.0))
    wave, found = audio.read(recording["file"], teacher.rate, begin), []  # what lies behind end_s is in no window
    for start in starts:
        window = wave[round(start * teacher.rate) :][: round(front.seconds * teacher.rate)]
        firsts = audio.windows(len(window), teacher.samples, teacher.samples // 2)
        parts = torch.stack([window[first : first + teacher.samples] for first in firsts])
        found.append(teacher.scores(parts)[:, place].max().item())
    return np.array(found)


def reconstruction_loss(model: MAE, front: FrontEnd, table: pd.DataFrame, *, masks: int = 4,
                        seed: int = 0) -> pd.DataFrame:
    """How badly a MAE guesses a window's hidden patches, mean over some masks: high where there is structure (Fig. 5).

    The mean squared error in units of the spec: the model must have been trained with the raw target, because a patch
    divided by its own std is as hard to guess in silence as in song. Patches that reach into padding do not count."""
    if model.arch.norm_pixels:
        raise ValueError("the reconstruction loss needs a MAE with the raw target: this one normalises every patch "
                         "(norm_pixels=True), which hides how loud it was; pretrain one with "
                         "mae.Arch(norm_pixels=False)")
    train, what = _train(table), (model.arch, model, masks, seed)

    def compute() -> np.ndarray:
        with hardware.on_device(model) as device:
            return _losses(model.eval(), device, front, train, masks, seed)

    return _scored("loss", what, train, front, compute)


@torch.no_grad()
def _losses(model: MAE, device: torch.device, front: FrontEnd, train: pd.DataFrame, masks: int,
            seed: int) -> np.ndarray:
    (t, f), (pt, _), log_mel, losses = model.grid, model.arch.patch, LogMel(front).to(device), []
    ends = torch.arange(1, t + 1, device=device).repeat_interleave(f) * pt  # (L,) the last frame of each patch
    windows = _windows(train, front)
    batches = progress.bar(data.loader(windows, 64), total=-(-len(windows) // 64), desc="reconstructing", unit="batch",
                           leave=False)
    for i, batch in enumerate(batches):
        spec = batch.spec(log_mel, device)  # (B, 1, T, M)
        inside = ends <= batch.frames(front).to(device)[:, None]  # (B, L)
        error, count = 0.0, 0.0
        for k in range(masks):
            mask = patches.random_mask(len(spec), model.grid, RATIO, training.generator(seed, 4, i, k)).to(device)
            counts = mask.hidden & inside  # (B, L)
            error = error + (model.patch_errors(spec, model.decode(model.encode(spec, mask), mask)) * counts).sum(1)
            count = count + counts.sum(1)
        losses.append((error / count).cpu())  # (B,)
    return torch.cat(losses).double().numpy()


def energy(front: FrontEnd, table: pd.DataFrame) -> pd.DataFrame:
    """The energy of each window of a recording scaled to peak 1: the first author's unpublished filter.

    (Wuao652/AudioMAE, data_filters/mp_energy_threshold.py.) The sum of squares grows with rate and window and depends
    on the loudest click of the recording: the 200 and more that it keeps belong to 22.05 kHz and 3 s."""
    train = _train(table)

    def compute() -> np.ndarray:
        waves, windows = recordings.Recordings(train, front), grid(train, front)
        peak = [waves.read(row, 0, n).abs().max().item() for row, n in enumerate(waves.length)]  # (R,)
        bar = progress.bar(list(zip(windows["recording"], windows["start_s"])), desc="energy", unit="window")
        pieces = ((row, waves.read(row, round(at * waves.per_s), waves.need)) for row, at in bar)
        return np.array([(x.double() / max(peak[row], 1e-9)).square().sum().item() for row, x in pieces])

    return _scored("energy", (), train, front, compute)


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
    """Keep the windows that score at least the threshold or, for "50%", what the best half does (ties with its last).

    A window without a score stays: a filter that cannot judge throws nothing away."""
    value, share = _threshold(threshold)
    score = scores["score"].to_numpy(float)
    ranked = np.sort(score[~np.isnan(score)])[::-1]
    if share and len(ranked):
        value = float(ranked[max(1, round(value * len(ranked))) - 1])
    chosen = (score >= value) | np.isnan(score)
    if not chosen.any():
        raise ValueError(f"threshold {threshold} keeps none of {len(score)} windows: their scores run from "
                         f'{ranked[-1]:.3g} to {ranked[0]:.3g}; choose a lower one, or a share such as "50%"')
    return _kept(scores, chosen, value)


def _kept(scores: pd.DataFrame, chosen: np.ndarray, threshold: float) -> Kept:
    share = pd.Series(chosen).groupby(scores["recording"].to_numpy()).mean()
    return Kept(chosen, threshold, float(chosen.mean()), float(share.mean()), int((share > 0).sum()),
                int(scores["score"].isna().sum()))


def control(scores: pd.DataFrame, kept: Kept, rng: np.random.Generator, recordings: bool = False) -> Kept:
    """As many windows as the filter keeps, at random: what the size of a filtered set does alone.

    As many of every recording: the filter's choice of recordings is the control's too. With `recordings` they are drawn
    as well: as many as the filter keeps (more where they hold too few windows), at least one window of each."""
    places = list(scores.groupby("recording", sort=True).indices.values())
    counts = [int(kept.keep[own].sum()) for own in places]
    if recordings:
        counts = _drawn_counts(np.array([len(own) for own in places]), sum(counts), kept.recordings, rng)
    chosen = np.zeros(len(kept.keep), bool)
    for own, count in zip(places, counts):
        chosen[rng.choice(own, count, replace=False)] = True
    return _kept(scores, chosen, kept.threshold)


def _drawn_counts(sizes: np.ndarray, windows: int, recordings: int, rng: np.random.Generator) -> np.ndarray:
    """How many windows (R,) each of so many recordings gives, drawn at random among those of `sizes` (R,) windows."""
    order = rng.permutation(len(sizes))
    enough = 1 + int(np.searchsorted(np.cumsum(sizes[order]), windows))
    drawn = order[: max(recordings, enough)]
    more = np.repeat(drawn, sizes[drawn] - 1)  # each window but the first of every recording
    taken = np.concatenate([drawn, rng.choice(more, windows - len(drawn), replace=False)])
    return np.bincount(taken, minlength=len(sizes))


def curated(table: pd.DataFrame, scores: pd.DataFrame, kept: Kept) -> pd.DataFrame:
    """The table with `kept`, the starts of each train recording's kept windows; one that lost all of them is left out.

    val and test stay as they are. A draw is then a recording and one of its kept windows (data.Clips): the number of
    draws and the weight of a recording do not depend on how many windows it keeps."""
    train = table["split"] == "train"
    files = dict(enumerate(table.loc[train, "file"]))
    if (scores["recording"].map(files) != scores["file"]).any():
        raise ValueError(f"these scores are of another table: they know {scores['recording'].max() + 1} train "
                         f"recordings, this one has {train.sum()}; score this very table")
    starts = scores[kept.keep].groupby("recording")["start_s"].agg(tuple)
    starts = pd.Series(starts.reindex(range(train.sum())).to_numpy(object), index=table.index[train])
    table = table.assign(kept=starts)[~train | starts.reindex(table.index).notna()]
    return tables.check(table.reset_index(drop=True), "the curated table")


class Detector(NamedTuple):
    precision: float  # share of the kept windows that hold a call
    recall: float  # share of the windows with a call that are kept
    auc: float  # of the score; 0.5 is a coin, NaN where all or no windows hold a call
    base_rate: float  # share of all windows that hold a call: the precision of keeping at random


def holds_call(windows: pd.DataFrame, events: pd.DataFrame, front: FrontEnd) -> np.ndarray:
    """Which windows (W,) of a grid hold a call of `chorus.events`, by the rule of chorus.empty_share."""
    calls = dict(list(events[events["kind"] == "call"].groupby("file")))
    holds = np.zeros(len(windows), bool)
    for file, places in windows.groupby("file").indices.items():
        if file in calls:
            starts, own = windows["start_s"].to_numpy()[places], calls[file]
            holds[places] = chorus_recording.holds_call(starts, own["start_s"], own["end_s"], front.seconds)
    return holds


def detector(scores: pd.DataFrame, kept: Kept, calls: np.ndarray) -> Detector:
    """The filter as a detector of calls, over the windows of the grid; windows without a score do not enter the AUC."""
    score = scores["score"].to_numpy(float)
    scored, hit = ~np.isnan(score), float((kept.keep & calls).sum())
    both = 0 < calls[scored].sum() < scored.sum()
    auc = float(roc_auc_score(calls[scored], score[scored])) if both else np.nan
    return Detector(hit / int(kept.keep.sum()), hit / max(1, int(calls.sum())), auc, float(calls.mean()))
