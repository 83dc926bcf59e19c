"""Frozen features on a row of tasks: what notebooks 08 and 09 measure, and how two models are compared on it (Niizumi et al. 2022, Tables 2 to 7).

A task's number is HEAR's own. Behind it stand counts of every test recording, right over possible, so that recordings can be drawn anew:
a hit or none of 1 where the score is an accuracy, and of events 2 x right guesses of guesses + true events, the F-measure's two parts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib import mel, metrics, pretrain, training
from lib.hear import api, designs, scores, tasks
from lib.runs import record
from lib.transfer import ready
from lib.hear.api import Embedder
from lib.hear.tasks import Task
from lib.mae import MAE
from lib.mel import LogMel, MelSpec
from lib.metrics import Interval
from lib.hear.predictor import Options, Result
from lib.runs.scales import Scale

__all__ = ["PAPER", "LogMelColumns", "Model", "model", "counts", "evaluate", "interval", "difference", "runs", "paired", "ladder", "rows", "markdown"]

PAPER = {  # HEAR's name of a task, or ours of the one made after it -> its name in the paper's tables
    "gunshot": "Gunshot", "fsd50k": "FSD50K", "esc50": "ESC-50", "beehive_fold0": "Beehive", "beehive_fold1": "Beehive", "vox_lingua": "Lingua10",
    "vocal_imitation": "VoImit", "crema_d": "CRM-D", "speech_commands": "SPC", "libricount": "LbCount", "gtzan_music_speech": "GTZ-M/S",
    "gtzan": "GTZAN", "nsynth_pitch": "NSPitch", "mridangam_tonic": "Mrd-Ton", "mridangam_stroke": "Mrd-Stk", "beijing_opera": "Beijing",
    "species": "SPC", "counting": "LbCount", "pitch": "NSPitch", "scene": "ESC-50"}
ACCURACIES = ("top1_acc", "pitch_acc")
BASES = {"Table 5": "208", "Table 6": "208", "Table 7": "304"}  # the design that each table's others are compared with here
TITLES = {"Table 5": "input duration", "Table 6": "patch size", "Table 7": "patches against strips"}
DRAWS = 2000


class LogMelColumns(nn.Module):
    """No network at all: mean and standard deviation of every mel band over columns of 16 frames, behind the interface of `embed`.

    Waves (B, N) at sample_rate -> (B, n, 2*M). What a model does not do better than this, it has not learned."""

    WIDE = 16  # frames a column, as the paper's models have

    def __init__(self, front: MelSpec = mel.MSM_MAE) -> None:
        super().__init__()
        self.front, self.log_mel, self.sample_rate = front, LogMel(front), front.rate
        self.timestamp_embedding_size = self.scene_embedding_size = 2 * front.mels

    def forward(self, audio: Tensor) -> Tensor:
        x = self.log_mel(audio)[:, 0]  # (B, frames, M)
        x = x[:, : max(1, x.shape[1] // self.WIDE) * self.WIDE]
        parts = x.unfold(1, min(self.WIDE, x.shape[1]), self.WIDE)  # (B, n, M, 16)
        return torch.cat([parts.mean(-1), parts.std(-1, unbiased=False)], -1)

    def times(self, samples: int) -> Tensor:
        """The middle of each column in ms (n,)."""
        frames = 1 + samples // self.front.hop
        n, wide = max(1, frames // self.WIDE), min(self.WIDE, frames)
        at = (torch.arange(n) * self.WIDE + (wide - 1) / 2) * self.front.hop
        return at.clamp(max=samples).mul(1000 / self.front.rate)


class Model(NamedTuple):
    embedder: nn.Module  # behind HEAR's interface
    samples: int  # clips drawn by pretraining here
    what: str  # one line
    log: pd.DataFrame | None  # of the pretraining, where it happened here


def model(name: str, setting: Scale, pools: Mapping[str, pd.DataFrame], *, clips: int, seed: int, workers: int = 0) -> Model:
    """A frozen model by its name: "logmel" (no network), "untrained" (the design "208" at random weights), "ready" (the weights that lie in this
    repository), a design of Table 1 such as "512" (pretrained here on both pools 1 : 1, or loaded if it was), or whatever `api.load_model`
    takes: public weights such as "msm_mae", or the path of a checkpoint."""
    if name == "logmel":
        return Model(LogMelColumns(), 0, "mean and std of 80 mel bands, no network", None)
    if name == "untrained":
        arch, front = designs.design("208", setting)
        return Model(Embedder(MAE(arch, training.generator(seed)), front), 0, "MSM-MAE-208 at random weights", None)
    if name == "ready":
        net, card = ready.load()
        return Model(Embedder(net, card.front), 0, f"{card.name}, {card.trained_on} (sha256 {card.sha256[:12]})", None)
    if name in designs.DESIGNS:
        arch, front = designs.design(name, setting)
        done = pretrain.pretrain(arch, front, designs.recipe(setting, clips, seed), *pools.values(), workers=workers, reuse=True)
        return Model(Embedder(done.model, front), clips, f"MSM-MAE-{name}, pretrained here on {clips:,} clips", done.log)
    loaded = api.load_model(name)
    return Model(loaded, 0, f"{name}: {loaded.front.name} front end", None)


# ------------------------------------------------------------------------------------------------------------- measuring

def counts(result: Result, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
    """What each test recording has right and could have (R,) each, in the order of the answers; None where a score is no such share (mAP, AUC)."""
    guesses, targets = result.answers.guesses, result.answers.targets
    if metric in ACCURACIES:
        return (guesses.argmax(1) == targets.argmax(1)).astype(int), np.ones(len(targets), int)
    if metric == "event_onset_200ms_fms":
        right, of = np.array([scores.onset_counts(guessed, true) for guessed, true in zip(guesses, targets)]).T
        return 2 * right, of
    return None


def evaluate(embedder: nn.Module, chosen: Sequence[Task], seed: int, options: Options) -> dict[str, dict]:
    """HEAR's number of every task, as a record keeps it: score, its name, its 95 % interval over test recordings, and what stands behind it.

    The interval draws the recordings of all folds together; low and high are None for a score that is no share of right answers."""
    found = {}
    for task in chosen:
        result, metric = tasks.evaluate(task, embedder, seed, options=options), task.scores[0]
        own = counts(result, metric)
        around = interval(*(x[None] for x in own), rng=np.random.default_rng(seed)) if own else None
        found[task.name] = {
            "score": result.score, "metric": metric, "low": around and around.low, "high": around and around.high, "scores": result.scores,
            "recordings": len(result.answers.files), "classes": len(task.labels), "trainings": len(result.tried),
            "chosen": result.folds.iloc[0][["layers", "init", "lr", "epoch"]].to_dict(),
            "right": own and own[0].tolist(), "of": own and own[1].tolist()}
    return found


def interval(right: np.ndarray, of: np.ndarray, *, rng: np.random.Generator) -> Interval:
    """The score of a task, counts (S, R) of S seeds, with its 95 % interval over seeds and recordings."""
    nothing = {"task": (np.zeros_like(right), np.ones_like(of))}
    return difference({"task": (right, of)}, nothing, rng=rng)["task"]


def difference(a: Mapping[str, tuple], b: Mapping[str, tuple], *, rng: np.random.Generator) -> dict[str, Interval]:
    """Of each task the score of model a minus that of b, and "mean", their average over the tasks that both have.

    a, b: task -> counts right and of, (S, R) each, of the same seeds and recordings. Each draw takes S seeds, for all tasks, and of
    every task R recordings, for both models."""
    names = [name for name in a if name in b]
    if wrong := [n for n in names if np.shape(a[n][0]) != np.shape(b[n][0])]:
        raise ValueError(f"{wrong[0]}: one model has counts {np.shape(a[wrong[0]][0])} (seeds, recordings), the other {np.shape(b[wrong[0]][0])}: "
                         "they cannot be paired")
    if not names:
        return {}
    S = len(a[names[0]][0])
    seeds, found = rng.integers(S, size=(DRAWS, S)), {}
    for name in names:
        (right_a, of_a), (right_b, of_b) = ([np.asarray(x, float) for x in side[name]] for side in (a, b))
        R = right_a.shape[1]
        drawn = np.vstack([np.ones(R), rng.multinomial(R, np.full(R, 1 / R), size=DRAWS)])  # (1 + draws, R); the first is the sample itself
        per_seed = _ratio(drawn @ right_a.T, drawn @ of_a.T) - _ratio(drawn @ right_b.T, drawn @ of_b.T)  # (1 + draws, S)
        found[name] = np.append(per_seed[0].mean(), np.take_along_axis(per_seed[1:], seeds, 1).mean(1))
    found["mean"] = np.mean(list(found.values()), axis=0)
    return {name: Interval(float(x[0]), *map(float, np.quantile(x[1:], [0.025, 0.975]))) for name, x in found.items()}


def _ratio(right: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.divide(right, of, out=np.zeros_like(right), where=of > 0)  # no event there and none guessed: 0, as the kit says


# ------------------------------------------------------------------------------------------------------- paper and records

def runs() -> pd.DataFrame:
    """The records of 08 and 09, a row each: a design measured by both counts once."""
    table = pd.concat([record.records(name) for name in ("08_design_choices", "09_frozen_benchmark")], ignore_index=True)
    if table.empty:
        return table
    pools = [c for c in table if c.startswith("data.") and c.endswith(".hash")]
    return table.drop_duplicates(["model", "seed", "scale", "budget", "data_seed", *pools], keep="first").reset_index(drop=True)


def _arms(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Model -> its runs by seed, of the largest set of runs that may be compared: one scale, budget and data."""
    if table.empty:
        return {}
    world = table[["scale", "budget", "data_seed", *(c for c in table if c.startswith("data.") and c.endswith(".name"))]].astype(str).agg("|".join, axis=1)
    table = table[world == world.mode()[0]]
    return {name: part.set_index("seed").sort_index() for name, part in table.groupby("model", sort=False)}


def _counted(arm: pd.DataFrame, seeds: Sequence[int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    names = [c.split(".")[1] for c in arm if c.startswith("tasks.") and c.endswith(".right")]
    both = {name: [arm.loc[seeds, f"tasks.{name}.{k}"].tolist() for k in ("right", "of")] for name in names}
    return {name: (np.array(right), np.array(of)) for name, (right, of) in both.items() if all(isinstance(x, list) for x in right)}


def paired(a: pd.DataFrame, b: pd.DataFrame) -> tuple[dict[str, tuple], dict[str, tuple]]:
    """The counts of two models' runs (rows by seed, of `runs`), for `difference`: of the seeds that both have."""
    seeds = a.index.intersection(b.index)
    return _counted(a, seeds), _counted(b, seeds)


def ladder() -> pd.DataFrame:
    """The score of every model and task, in percent, mean over seeds, with "mean" over the tasks and the number of seeds; no network first."""
    arms = _arms(runs())
    order = [name for name in ("logmel", "untrained", *designs.DESIGNS, "ready") if name in arms] + sorted(set(arms) - {"logmel", "untrained", "ready", *designs.DESIGNS})
    of = {name: {c.split(".")[1]: 100 * arms[name][c].mean() for c in arms[name] if c.startswith("tasks.") and c.endswith(".score")} for name in order}
    table = pd.DataFrame(of).T
    return table.assign(mean=table.mean(axis=1), seeds=[len(arms[name]) for name in order]) if order else table


def rows(place: str) -> pd.DataFrame:
    """Table 5, 6 or 7: each design against the table's first here (`BASES`), task by task and on average, the paper's difference beside ours.

    Shares in percent, differences in points. The paper's number is of the HEAR task after which ours was made; "mean" is over its 15 tasks
    and over our five."""
    arms, base, found = _arms(runs()), BASES[place], []
    published = record.reference("hear")
    published = published[published["place"] == place].assign(task=lambda t: t["metric"].str.split(":").str[0])
    theirs = published.pivot_table(index="setting", columns="task", values="value")
    theirs["mean"] = theirs.mean(axis=1)
    name_of = {name: design.tables[place] for name, design in designs.DESIGNS.items() if place in design.tables}
    for name in [n for n in name_of if n != base]:
        if name not in arms or base not in arms:
            found.append({"place": place, "setting": name, "against": base, "task": "mean", "verdict": "not run"})
            continue
        scale, seeds = arms[name].iloc[0]["scale"], arms[name].index.intersection(arms[base].index)
        for task, change in difference(*paired(arms[name], arms[base]), rng=np.random.default_rng(0)).items():
            like = PAPER.get(task, task)
            paper = theirs.loc[name_of[name], like] - theirs.loc[name_of[base], like] if like in theirs else np.nan
            found.append({"place": place, "setting": name, "against": base, "task": task, "paper_change": paper, "change": 100 * change.value,
                          "low": 100 * change.low, "high": 100 * change.high, "seeds": len(seeds), "scale": scale,
                          "verdict": metrics.verdict(np.nan_to_num(np.sign(paper)), [change], len(seeds), metrics.MADE)})
    return pd.DataFrame(found)


def markdown(place: str) -> str:
    """One of Tables 5 to 7 as text, the average over tasks of each design against the first, paper beside measured; "Table 2" is the ladder of
    all models, to be read against its floors, since the paper's numbers (its Tables 2 to 4) are of other tasks."""
    if place == "Table 2":
        table = ladder()
        lines = ["**Tables 2 to 4** of Niizumi et al. 2022, frozen features: five tasks made here in place of HEAR's (notebook 09_frozen_benchmark)"]
        if table.empty:
            return f"{lines[0]}: not run."
        lines += ["", f"| model | {' | '.join(table)} |", "|" + " --- |" * (1 + len(table.columns))]
        return "\n".join(lines + [f"| {name} | {' | '.join([*(f'{x:.1f}' for x in row[:-1]), f'{row[-1]:.0f}'])} |" for name, *row in table.itertuples(name=None)])
    table = rows(place)
    lines = [f"**{place}** of Niizumi et al. 2022, {TITLES[place]} (notebook 08_design_choices)", "",
             "| design | against | paper: mean of 15 HEAR tasks | measured: mean of 5 tasks [95 %] | scale, seeds | verdict |", "|" + " --- |" * 6]
    for row in table[table["task"] == "mean"].itertuples():
        done = row.verdict != "not run"
        ours = f"{row.change:+.1f} [{row.low:+.1f}, {row.high:+.1f}]" if done else "-"
        lines.append(f"| {row.setting} | {row.against} | {f'{row.paper_change:+.1f}' if done else '-'} | {ours} | "
                     f"{f'{row.scale}, {row.seeds:.0f}' if done else '-'} | {row.verdict} |")
    return "\n".join(lines)
