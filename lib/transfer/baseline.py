"""What a model has to beat: logistic regression on statistics of the log-mel, without any network."""
import numpy as np
import pandas as pd
import torch

from lib import data, hardware, metrics, progress
from lib.mel import FrontEnd, LogMel
from lib.patches import Grid
from lib.transfer import probe

__all__ = ["MOST", "statistics", "logistic"]

MOST = 20_000  # train recordings: scikit-learn would take hours for those of iNatSounds


def statistics(front: FrontEnd, table: pd.DataFrame, *, workers: int = 0,
               bar: str | None = "log-mel statistics") -> probe.Features:
    """Mean and standard deviation over time of every mel band, a row a recording: kind "statistics" (R, 2*M).

    Frames are those of the windows that a model is asked about, padding left out."""
    table, device = table.reset_index(drop=True), hardware.accelerator().device
    windows = data.Windows(table, front, ahead=device.type == "cpu", device=device)
    log_mel, total = LogMel(front).to(device), torch.zeros(len(table), 2, front.mels, dtype=torch.float64)
    frames, place = torch.zeros(len(table), dtype=torch.float64), torch.arange(front.frames)
    batches = data.loader(windows, 64, workers)
    for batch in progress.bar(batches, total=-(-len(windows) // 64), desc=bar, unit="batch", leave=False):
        spec = batch.spec(log_mel, device)[:, 0].cpu().double()  # (B, T, M)
        n = batch.frames(front).clamp(1, front.frames)
        spec = spec * (place < n[:, None])[..., None]
        total.index_add_(0, batch.row.cpu(), torch.stack([spec.sum(1), spec.square().sum(1)], 1))
        frames.index_add_(0, batch.row.cpu(), n.double())
    mean, square = (total / frames[:, None, None]).unbind(1)  # (R, M) each
    x = torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], 1).float().numpy()
    labels, R = sorted(table.loc[table["split"] == "train", "label"].unique()), len(table)
    return probe.Features(table, np.arange(R), np.ones(R, int), {"statistics": x}, None, Grid(1, 1), labels, False)


def logistic(front: FrontEnd, table: pd.DataFrame, seed: int, *, workers: int = 0) -> metrics.Evaluation | None:
    """Fitted on train, C chosen on val, asked about val and test as every model; None above MOST train recordings."""
    if (table["split"] == "train").sum() > MOST:
        return None
    known = statistics(front, table, workers=workers)
    return probe.evaluate(probe.logistic(known, "statistics"), known, seed)
