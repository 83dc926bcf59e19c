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

from lib import mel, pretrain, training
from lib.hear import api, designs, scores, tasks
from lib.hear.api import Embedder
from lib.hear.predictor import Options, Result
from lib.hear.tasks import Task
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.metrics import Interval
from lib.transfer import starts

__all__ = ["LogMelColumns", "Model", "model", "counts", "evaluate", "interval", "difference"]

ACCURACIES = ("top1_acc", "pitch_acc")
DRAWS = 2000


class LogMelColumns(nn.Module):
    """No network at all: mean and standard deviation of every mel band over columns of 16 frames, behind the interface of `embed`.

    Waves (B, N) at sample_rate -> (B, n, 2*M). What a model does not do better than this, it has not learned."""

    WIDE = 16  # frames a column, as the paper's models have

    def __init__(self, front: FrontEnd = mel.MSM_MAE) -> None:
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


def model(name: str, arch: Arch, front: FrontEnd, recipe: pretrain.Recipe, pools: Mapping[str, pd.DataFrame], *, workers: int = 0) -> Model:
    """A frozen model by its name: "logmel" (no network), "untrained" (arch at random weights), "ready" (the weights that lie in this
    repository), a design of Table 1 such as "512" (arch pretrained here on both pools by the recipe, or loaded if it was), or whatever
    `api.load_model` takes: public weights such as "msm_mae", or the path of a checkpoint."""
    if name == "logmel":
        return Model(LogMelColumns(), 0, "mean and std of 80 mel bands, no network", None)
    if name == "untrained":
        return Model(Embedder(MAE(arch, training.generator(recipe.seed)), front), 0, "MSM-MAE-208 at random weights", None)
    if name == "ready":
        net, card = starts.load_ready()
        return Model(Embedder(net, card.front), 0, f"{card.name}, {card.trained_on} (sha256 {card.sha256[:12]})", None)
    if name in designs.DESIGNS:
        done = pretrain.pretrain(arch, front, recipe, *pools.values(), workers=workers, reuse=True)
        return Model(Embedder(done.model, front), recipe.clips, f"MSM-MAE-{name}, pretrained here on {recipe.clips:,} clips", done.log)
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
