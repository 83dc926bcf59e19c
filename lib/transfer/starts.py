"""Where an encoder starts from: the six initialisations of Liu et al. 2026, Table 3, and the ready weights.

    python -m lib.transfer.starts     trains the ready weights again (90 minutes on two cores; goes on after Ctrl-C)

The ready weights are a MAE of `tiny` at the end of its budget curve (notebook 05), which lies in the repository so that
a laptop sees good reconstructions at once, and its twin with pixels as targets, whose guesses need no patch's true
level and spread. Both were pretrained like everything else, on the train split of chorus (tiny, data_seed 0) only: what
the notebooks look at and evaluate on are other recordings. What they know holds in the generator's world."""

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
import torch

from lib import checkpoints, mel, paths, pretrain, training
from lib.checkpoints import Card
from lib.mae import MAE, Arch
from lib.mel import FrontEnd
from lib.sources import tables
from lib.transfer import public

__all__ = ["NAMES", "words", "Start", "start", "earlier", "READY", "READY_PIXELS", "READY_LOG", "READY_ARCH",
           "READY_RECIPE", "load_ready", "train_ready"]

NAMES = ("random", "random+inat_ssl", "audioset_ssl", "audioset_ssl+inat_ssl", "imagenet_sl", "birdmae", "ready",
         "ready+inat_ssl")
WORDS = dict(zip(NAMES, ("random weights", "wildlife", "general sound", "general, then wildlife",
                         "ImageNet, with labels", "Bird-MAE", "ready weights", "ready, then wildlife")))
PUBLIC = {"audioset_ssl": "audiomae", "imagenet_sl": "imagenet", "birdmae": "birdmae"}

READY = paths.ROOT / "papermill_runs" / "ready" / "ready.safetensors"  # its card is ready.json
READY_PIXELS = READY.with_name("ready_pixels.safetensors")
READY_LOG = READY.with_name("log.csv")  # step, loss, lr, clips: the mean of every 100 steps
READY_ARCH = Arch(dim=128, depth=4, heads=2, decoder="plain", decoder_dim=64, decoder_depth=1, decoder_heads=1)  # 0.9 M
READY_RECIPE = pretrain.Recipe(clips=640_000, batch=32, lr=1e-3, mask_ratio=0.8, ratio=7, seed=0)


class Start(NamedTuple):
    model: MAE  # model.arch is its shape
    front: FrontEnd  # belongs to the weights
    samples: int  # clips drawn by pretraining here; 0 for weights from outside
    what: str  # one line: what it is, and whether it is the paper's or a stand-in


def words(name: str, weights: str = "") -> str:
    """An initialisation in words, for figures and tables: what was pretrained here in AudioMAE's place is a stand-in.
    """
    return WORDS[name] + (" (stand-in)" if name.startswith("audioset") and not weights else "")


def start(name: str, arch: Arch, recipe: pretrain.Recipe, pools: Mapping[str, pd.DataFrame], *, weights: str = "",
          workers: int = 0) -> Start:
    """The model of an initialisation, by its name in the paper's Table 3.

    random                  no training at all
    audioset_ssl            a MAE trained on sound of every kind: AudioMAE by `weights`; without it a STAND-IN, a MAE
                            pretrained here on the general pool
    imagenet_sl, birdmae    public weights only, there is no stand-in
    ready                   the weights in this repository, of `tiny`'s shape: no arm of the paper
    ...+inat_ssl            pretraining goes on, on the wildlife pool

    weights: "hub", or a local file; "" is the hub where there is no stand-in. Public weights bring their own size and
    front end. recipe: of a pretraining that happens here, but for its ratio; what was pretrained before is loaded."""
    if name not in NAMES:
        raise ValueError(f"init is {name!r}: it must be one of {', '.join(NAMES)}")
    first, _, further = name.partition("+")
    if weights and first in ("random", "ready"):
        raise ValueError(f"init={name} starts from {first} weights and takes no weights, got {weights!r}: leave "
                         "weights empty, or choose another init")
    model, front, samples, what = MAE(arch, training.generator(recipe.seed)), mel.INAT, 0, "random weights"
    if first == "ready":
        (model, card), samples = load_ready(), READY_RECIPE.clips
        front, what = card.front, f"the ready weights: {card.trained_on} (sha256 {card.sha256[:12]})"
    elif first == "audioset_ssl" and not weights:
        model, samples = _pretrained(model, front, recipe, math.inf, pools, None, workers), recipe.clips
        what = f"STAND-IN for AudioSet weights: a MAE pretrained here on {recipe.clips:,} clips of the general pool"
    elif first in PUBLIC:
        model, card = public.load(PUBLIC[first], weights or "hub", frames=front.frames)
        front, what = card.front, f"{card.name}, {card.trained_on} ({card.source}, sha256 {card.sha256[:12]})"
    if further:
        begin = None if first == "random" else model
        model, samples = _pretrained(model, front, recipe, 0.0, pools, begin, workers), samples + recipe.clips
        what += f", then pretrained on {recipe.clips:,} clips of the wildlife pool"
    return Start(model.eval(), front, samples, what)


def earlier(name: str, arch: Arch, recipe: pretrain.Recipe, pools: Mapping[str, pd.DataFrame], *,
            weights: str = "") -> tuple[int, MAE | None]:
    """What `start` will find of its own: how many of its pretrainings are still to be made (0 to 2), and its model
    where none is. Public weights are not looked for: there is no model, and what goes on from them is to be made."""
    first, _, further = name.partition("+")
    if weights or first in PUBLIC and first != "audioset_ssl":
        return int(bool(further)), None
    ratios = [math.inf] * (first == "audioset_ssl") + [0.0] * bool(further)
    model = load_ready()[0] if first == "ready" else None
    for place, ratio in enumerate(ratios if recipe.clips else ()):
        model = pretrain.earlier(arch, mel.INAT, replace(recipe, ratio=ratio), pools["wildlife"], pools["general"],
                                 model)
        if model is None:
            return len(ratios) - place, None
    return 0, model or MAE(arch, training.generator(recipe.seed)).eval()


def _pretrained(model: MAE, front: FrontEnd, recipe: pretrain.Recipe, ratio: float, pools: Mapping[str, pd.DataFrame],
                begin: MAE | None, workers: int) -> MAE:
    return pretrain.pretrain(model.arch, front, replace(recipe, ratio=ratio), pools["wildlife"], pools["general"],
                             start=begin, workers=workers, reuse=True).model


def load_ready(pixels: bool = False) -> tuple[MAE, Card]:
    """The ready weights in eval mode, or their twin with pixels as targets, and the card; ValueError where a file is
    missing or was changed."""
    return checkpoints.load(READY_PIXELS if pixels else READY)


def train_ready() -> None:
    """Pretrain the ready weights and their twin, and write them, their cards and the log. What was trained before is
    taken."""
    pools = [tables.recordings("chorus", pool, "tiny", 0) for pool in ("wildlife", "general")]
    recipe = READY_RECIPE
    about = (f"chorus (tiny, data_seed 0), train split only, {recipe.clips:,} clips, general : wildlife "
             f"{recipe.ratio:g} : 1, seed {recipe.seed}")
    for file, arch in ((READY, READY_ARCH), (READY_PIXELS, replace(READY_ARCH, norm_pixels=False))):
        print(pretrain.plan(arch, recipe, *pools), flush=True)
        done = pretrain.pretrain(arch, mel.INAT, recipe, *pools, reuse=True)
        card = Card(file.stem, arch, mel.INAT, about, "MIT, as the code", "python -m lib.transfer.starts")
        checkpoints.save(done.model.cpu(), card, READY.parent, torch.bfloat16)
        if file == READY:
            rows = done.log.groupby(done.log["step"] // 100)
            rows = rows.agg({"step": "max", "loss": "mean", "lr": "last", "clips": "sum"})
            paths.write_text(READY_LOG, rows.round({"loss": 5, "lr": 7}).to_csv(index=False))


if __name__ == "__main__":
    sys.exit(paths.command(train_ready, sys.argv[1:], __doc__))
