"""Frozen features on a row of tasks: what notebooks 08 and 09 measure.

After Niizumi et al. 2022, Tables 2 to 7. A task's number is HEAR's own. Behind it stand counts of every test recording,
right over possible, so that recordings can be drawn anew: a hit or none of 1 where the score is an accuracy, and of
events 2 x right guesses of guesses + true events, the F-measure's two parts.
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

__all__ = ["LogMelColumns", "Model", "model", "counts", "evaluate", "interval"]

ACCURACIES = ("top1_acc", "pitch_acc")
DRAWS = 2000


class LogMelColumns(nn.Module):
    """No network: mean and standard deviation of every mel band over columns of 16 frames, for the functions of `api`.

    Waves (B, N) at sample_rate -> (B, n, 2*M). What a model does not do better than this, it has not learned."""

    WIDE = 16  # frames a column, as the paper's models have

    def __init__(self) -> None:
        super().__init__()
        self.front, self.log_mel, self.sample_rate = mel.MSM_MAE, LogMel(mel.MSM_MAE), mel.MSM_MAE.rate
        self.timestamp_embedding_size = self.scene_embedding_size = 2 * mel.MSM_MAE.mels

    def forward(self, audio: Tensor) -> Tensor:
        x = self.log_mel(audio)[:, 0]  # (B, frames, M)
        columns = x.unfold(1, min(self.WIDE, x.shape[1]), self.WIDE)  # (B, n, M, 16)
        return torch.cat([columns.mean(-1), columns.std(-1, unbiased=False)], -1)

    def times(self, samples: int) -> Tensor:
        """The middle of each column in ms (n,)."""
        frames = 1 + samples // self.front.hop
        first = torch.arange(max(1, frames // self.WIDE)) * self.WIDE  # (n,) frame of each column
        at = (first + (min(self.WIDE, frames) - 1) / 2) * self.front.hop  # (n,) samples
        return at.clamp(max=samples).mul(1000 / self.front.rate)


class Model(NamedTuple):
    embedder: nn.Module  # behind HEAR's interface
    samples: int  # clips drawn by pretraining here
    what: str  # one line
    log: pd.DataFrame | None  # of the pretraining, where it happened here


def model(name: str, arch: Arch, front: FrontEnd, recipe: pretrain.Recipe, pools: Mapping[str, pd.DataFrame], *,
          workers: int = 0) -> Model:
    """A frozen model by its name: "logmel" (no network), "untrained" (arch at random weights), "ready" (the weights in
    this repository), a design of Table 1 such as "512" (arch pretrained here on both pools by the recipe, or loaded if
    it was), or what `api.load_model` takes: public weights such as "msm_mae", "birdnet", the path of a checkpoint."""
    if name == "logmel":
        return Model(LogMelColumns(), 0, "mean and std of 80 mel bands, no network", None)
    if name == "untrained":
        untrained = Embedder(MAE(arch, training.generator(recipe.seed)), front)
        return Model(untrained, 0, "MSM-MAE-208 at random weights", None)
    if name == "ready":
        net, card = starts.load_ready()
        what = f"{card.name}, {card.trained_on} (sha256 {card.sha256[:12]})"
        return Model(Embedder(net, card.front), 0, what, None)
    if name in designs.DESIGNS:
        done = pretrain.pretrain(arch, front, recipe, *pools.values(), workers=workers, reuse=True)
        what = f"MSM-MAE-{name}, pretrained here on {recipe.clips:,} clips"
        return Model(Embedder(done.model, front), recipe.clips, what, done.log)
    loaded = api.load_model(name)
    what = f"{loaded.front.name} front end" if isinstance(loaded, Embedder) else loaded.what
    return Model(loaded, 0, f"{name}: {what}", None)


def counts(result: Result, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
    """What each test recording has right and could have, (R,) each; None where a score is no such share (mAP, AUC)."""
    guesses, targets = result.answers.guesses, result.answers.targets
    if metric in ACCURACIES:
        return (guesses.argmax(1) == targets.argmax(1)).astype(int), np.ones(len(targets), int)
    if metric == "event_onset_200ms_fms":
        right, of = np.array([scores.onset_counts(guessed, true) for guessed, true in zip(guesses, targets)]).T
        return 2 * right, of
    return None


def evaluate(embedder: nn.Module, chosen: Sequence[Task], seed: int, options: Options) -> dict[str, dict]:
    """HEAR's number of every task, as a record keeps it: score, its name, its 95 % interval, and what stands behind it.

    The interval draws the test recordings of all folds together; a score that is no share of right ones has none."""
    found = {}
    for task in chosen:
        result, metric = tasks.evaluate(task, embedder, seed, options=options), task.scores[0]
        found[task.name] = {
            "score": result.score, "metric": metric, "low": None, "high": None, "scores": result.scores,
            "recordings": len(result.answers.files), "classes": len(task.labels), "trainings": len(result.tried),
            "chosen": result.folds.iloc[0][["layers", "init", "lr", "epoch"]].to_dict(), "right": None, "of": None}
        if counted := counts(result, metric):
            right, of = counted
            around = interval(right, of, rng=np.random.default_rng(seed))
            found[task.name] |= {"low": around.low, "high": around.high, "right": right.tolist(), "of": of.tolist()}
    return found


def interval(right: np.ndarray, of: np.ndarray, *, rng: np.random.Generator) -> Interval:
    """The score of one run on a task, counts (R,) of its test recordings, with its 95 % interval over recordings.

    Right over possible, where recordings are drawn anew; 0 without any event or guess, as in HEAR. Two models are
    compared by `results_hear.differences`, over seeds and recordings."""
    R = len(right)
    drawn = rng.multinomial(R, np.full(R, 1 / R), size=DRAWS)
    times = np.vstack([np.ones(R), drawn])  # (1 + draws, R) how often each counts; at first once, the sample itself
    right, of = times @ np.asarray(right, float), times @ np.asarray(of, float)
    score = np.divide(right, of, out=np.zeros_like(right), where=of > 0)
    return Interval(float(score[0]), *map(float, np.quantile(score[1:], [0.025, 0.975])))
