"""What a model has to beat, one call each, on any pool: statistics of the log-mel, a small CNN, a frozen encoder.

All learn from the same train recordings, choose on val and answer val and test recording by recording, as every model
here does: what comes out is a `metrics.Evaluation`."""
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib import data, hardware, mel, metrics, paths, progress, sampler, training
from lib.mae import MAE
from lib.mel import FrontEnd, LogMel
from lib.patches import Grid
from lib.transfer import finetune, probe

__all__ = ["MOST", "STATISTICS", "statistics", "logistic", "frozen", "Cnn", "cnn", "recorded"]

VERSION = 1  # of what is kept: raised when the same data and settings would give other numbers or weights
MOST = 20_000  # train recordings: scikit-learn would take hours for those of iNatSounds
STATISTICS = ("mean, spread", "mean, spread, rise")  # the feature sets of logistic regression


def statistics(front: FrontEnd, table: pd.DataFrame, *, workers: int = 0,
               bar: str | None = "log-mel statistics") -> probe.Features:
    """Numbers of every mel band over time, a row a recording, for each of STATISTICS: (R, 2*M) and (R, 3*M).

    Mean and standard deviation; the rise is how far the band lies above its own median of a window, on average, what
    lies below it counted as 0. Frames are those of the windows that a model is asked about, padding left out. A second
    call reads what the first has written."""
    table = table.reset_index(drop=True)
    key = paths.key(VERSION, front, table.reindex(columns=["file", "start_s", "end_s", "duration_s"]),
                    paths.stamps(table["file"]))
    file = paths.cache("baselines") / f"statistics-{key}.npy"
    if not file.exists():
        with paths.atomic(file) as temporary, open(temporary, "wb") as place:
            np.save(place, _statistics(front, table, workers, bar))
    known = np.load(file)  # (R, 3, M)
    kinds = {name: known[:, :k].reshape(len(table), -1) for name, k in zip(STATISTICS, (2, 3))}
    labels, R = sorted(table.loc[table["split"] == "train", "label"].unique()), len(table)
    return probe.Features(table, np.arange(R), np.ones(R, int), kinds, None, Grid(1, 1), labels, False)


def _statistics(front: FrontEnd, table: pd.DataFrame, workers: int, bar: str | None) -> np.ndarray:
    """Mean, standard deviation and rise, (R, 3, M) float32."""
    device = hardware.accelerator().device
    windows = data.Windows(table, front, ahead=device.type == "cpu", device=device)
    log_mel, above = LogMel(front).to(device), LogMel(mel.above_median(front))
    total = torch.zeros(len(table), 3, front.mels, dtype=torch.float64)
    frames, place = torch.zeros(len(table), dtype=torch.float64), torch.arange(front.frames)
    batches = data.loader(windows, 64, workers)
    for batch in progress.bar(batches, total=-(-len(windows) // 64), desc=bar, unit="batch", leave=False):
        spec = batch.spec(log_mel, device)[:, 0].cpu()  # (B, T, M)
        n = batch.frames(front).clamp(1, front.frames)
        rise = above.subtracted(spec, n.tolist()).clamp(min=0).double()
        spec = spec.double() * (place < n[:, None])[..., None]
        total.index_add_(0, batch.row.cpu(), torch.stack([spec.sum(1), spec.square().sum(1), rise.sum(1)], 1))
        frames.index_add_(0, batch.row.cpu(), n.double())
    mean, square, rise = (total / frames[:, None, None]).unbind(1)  # (R, M) each
    return torch.stack([mean, (square - mean.square()).clamp(min=0).sqrt(), rise], 1).float().numpy()


def logistic(front: FrontEnd, table: pd.DataFrame, seed: int, *,
             workers: int = 0) -> dict[str, metrics.Evaluation]:
    """Logistic regression on each of STATISTICS, "logistic" and "logistic_rise", C chosen on val; none above MOST train
    recordings.

    seed: of the intervals' draws; the regression has none."""
    if (table["split"] == "train").sum() > MOST:
        return {}
    known = statistics(front, table[table["split"] != "unlabelled"], workers=workers)
    return {name: probe.evaluate(probe.logistic(known, kind), known, seed)
            for name, kind in zip(("logistic", "logistic_rise"), STATISTICS)}


def frozen(encoder: MAE, front: FrontEnd, table: pd.DataFrame, seed: int, *,
           workers: int = 0) -> dict[str, metrics.Evaluation]:
    """Logistic regression on what an encoder says while it learns nothing: on the mean token, MSM-MAE's frequency
    vector, and that vector with its spread over time. None above MOST train recordings.

    An untrained encoder, `MAE(arch, training.generator(seed))`, says how much of that is the readout's."""
    if (table["split"] == "train").sum() > MOST:
        return {}
    known = probe.features(encoder.eval(), front, table[table["split"] != "unlabelled"], workers=workers, tokens=False)
    return {kind: probe.evaluate(probe.logistic(known, kind), known, seed) for kind in probe.KINDS[1:]}


class Cnn(nn.Module):
    """A small convolutional network over specs (B, 1, T, M): five convolutions, the mean and the maximum over time of
    each row that is left of the mel axis, one linear layer. 0.2 M weights at 128 mels and 40 classes."""

    def __init__(self, mels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        widths, layers = (1, width, 2 * width, 2 * width, 4 * width, 4 * width), []
        for i, (before, after) in enumerate(zip(widths, widths[1:])):
            layers += [nn.Conv2d(before, after, 3, stride=1 if i else 2, padding=1, bias=False), nn.BatchNorm2d(after),
                       nn.ReLU(), nn.MaxPool2d(2) if i else nn.Identity()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * widths[-1] * (mels // 32), classes)

    def forward(self, spec: Tensor) -> Tensor:
        x = self.body[0](spec).contiguous(memory_format=torch.channels_last)  # 1.5 times as fast on a CPU
        x = self.body[1:](x)  # (B, width, T / 32, M / 32)
        return self.head(torch.cat([x.mean(2), x.amax(2)], 1).flatten(1))


def cnn(front: FrontEnd, table: pd.DataFrame, seed: int, *, steps: int = 590, batch: int = 32, lr: float = 2e-3,
        workers: int = 0, bar: str = "small CNN") -> metrics.Evaluation:
    """A small CNN trained from scratch on random crops, each band's median taken off, asked as every model here.

    AdamW, a warm-up of a tenth of the steps, then a cosine; nothing is chosen on val. An interrupted run goes on where
    it was, and one that is done is loaded."""
    front, train = mel.above_median(front), table[table["split"] == "train"].reset_index(drop=True)
    labels, acc = sorted(train["label"].unique()), hardware.accelerator()
    with torch.random.fork_rng():  # torch's layers draw from the global generator
        torch.manual_seed(training.generator(seed, 1).initial_seed())
        model = Cnn(front.mels, len(labels))
    log_mel = LogMel(front).to(acc.device)
    targets = torch.tensor([labels.index(label) for label in train["label"]])  # (R,)
    mixture = sampler.Mixture(len(train), 0, 0.0, min(batch, len(train)), steps * min(batch, len(train)), seed)
    clips = data.Clips(train, front, seed, ahead=acc.device.type == "cpu", device=acc.device)

    def batches(start: int) -> Iterable[data.Batch]:
        return data.loader(clips, mixture.batches(start, acc.process_index, acc.num_processes), workers)

    def loss_of(model: nn.Module, batch: data.Batch, step: int) -> Tensor:
        target = targets[batch.row.cpu()].to(acc.device, non_blocking=True)
        return nn.functional.cross_entropy(model(batch.spec(log_mel, acc.device)).float(), target)

    def run() -> Iterable[dict]:
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
        for _ in training.fit(model, optimizer, batches, loss_of, steps=len(mixture), seed=seed,
                              warmup=len(mixture) // 10, folder=folder, bar=bar):
            pass

    key = paths.key(VERSION, front, seed, steps, batch, lr, data.key(train))
    folder = paths.cache("baselines", f"cnn-{key}")
    training.kept(folder, model, run, reuse=True, leave=True)
    seen = {split: finetune.predict(model.eval(), front, table[table["split"] == split], labels, workers=workers)[:3]
            for split in ("val", "test")}
    return metrics.evaluation(seen, seed)


def recorded(evaluations: Mapping[str, metrics.Evaluation]) -> dict[str, dict]:
    """What a record keeps of them: "baselines", the scores by name, and "answers_NAME", hits per split to be paired."""
    return {"baselines": {name: e.scores for name, e in evaluations.items()},
            **{f"answers_{name}": {split: {"hits": answers["hits"]} for split, answers in e.answers.items()}
               for name, e in evaluations.items()}}
