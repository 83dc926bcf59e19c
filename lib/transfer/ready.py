"""The ready weights: one small MAE that lies in the repository, so that a laptop sees good reconstructions without training anything.

    python -m lib.transfer.ready        trains it again (about an hour on one core; goes on after Ctrl-C) and writes it over the stored one

It was pretrained by the same `pretrain.pretrain` as everything else, on the train split of chorus (tiny, data_seed 0) only: the recordings
that the notebooks look at and evaluate on are others. What it knows holds in the generator's world.
"""

import sys

import torch

from lib import checkpoints, mel, paths, pretrain
from lib.checkpoints import Card
from lib.mae import MAE, Arch
from lib.sources import tables

__all__ = ["FILE", "LOG", "ARCH", "RECIPE", "load", "train"]

FILE = paths.ROOT / "papermill_runs" / "ready" / "ready.safetensors"  # its card is ready.json
LOG = FILE.with_name("log.csv")  # step, loss, lr, clips: the mean of every 20 steps
ARCH = Arch(dim=256, depth=6, heads=4, decoder="plain", decoder_dim=96, decoder_depth=2, decoder_heads=2)  # 5.2 M parameters, 10 MB as bfloat16
RECIPE = pretrain.Recipe(clips=144_000, batch=32, lr=1e-3, mask_ratio=0.8, ratio=3, seed=0)  # six times the main job of `tiny`
EVERY = 20  # steps a row of the log


def load() -> tuple[MAE, Card]:
    """The stored model in eval mode, and its card; ValueError where it is missing or was changed."""
    return checkpoints.load(FILE)


def train() -> None:
    """Pretrain by ARCH and RECIPE, and write weights, card and log. What was trained before with the same recipe and data is taken."""
    pools = {pool: tables.recordings("chorus", pool, "tiny", 0) for pool in ("wildlife", "general")}
    print(pretrain.plan(ARCH, RECIPE, *pools.values()), flush=True)
    done = pretrain.pretrain(ARCH, mel.INAT, RECIPE, *pools.values(), reuse=True)
    about = f"chorus (tiny, data_seed 0), train split only, {RECIPE.clips:,} clips, general : wildlife {RECIPE.ratio:g} : 1, seed {RECIPE.seed}"
    card = Card(FILE.stem, ARCH, mel.INAT, about, "MIT, as the code", "python -m lib.transfer.ready")
    checkpoints.save(done.model.cpu(), card, FILE.parent, torch.bfloat16)
    rows = done.log.groupby(done.log["step"] // EVERY).agg({"step": "max", "loss": "mean", "lr": "last", "clips": "sum"})
    paths.write_text(LOG, rows.round({"loss": 5, "lr": 7}).to_csv(index=False))


if __name__ == "__main__":
    sys.exit(train())
