"""Where an encoder starts from: the six initialisations of Liu et al. 2026, Table 3, and the ready weights, behind one call."""

import math
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from lib import mel, pretrain, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd
from lib.transfer import public, ready

__all__ = ["NAMES", "Start", "start"]

NAMES = ("random", "random+inat_ssl", "audioset_ssl", "audioset_ssl+inat_ssl", "imagenet_sl", "birdmae",  # as in reference_results.csv
         "ready")
PUBLIC = {"audioset_ssl": "audiomae", "imagenet_sl": "imagenet", "birdmae": "birdmae"}


class Start(NamedTuple):
    model: MAE  # model.arch is its shape
    front: FrontEnd  # belongs to the weights
    samples: int  # clips drawn by pretraining here; 0 for weights from outside
    what: str  # one line: what it is, and whether it is the paper's or a stand-in


def start(name: str, arch: Arch, recipe: pretrain.Recipe, pools: dict[str, pd.DataFrame], *, weights: str = "", workers: int = 0) -> Start:
    """The model of an initialisation, by its name in the paper's Table 3.

    random                  no training at all
    audioset_ssl            a MAE trained on sound of every kind: AudioMAE by `weights`; without it a STAND-IN, a MAE pretrained here on the
                            general pool
    imagenet_sl, birdmae    public weights only, there is no stand-in
    ready                   the weights that lie in this repository (`lib.transfer.ready`), larger than the others at `tiny`: no arm of the paper
    ...+inat_ssl            pretraining goes on, on the wildlife pool

    weights: "hub", or a local file; "" is the hub where there is no stand-in. Public weights bring their own size and front end.
    recipe: of each pretraining that happens here; it sets the ratio itself. What was pretrained before with the same recipe and data is loaded.
    """
    if name not in NAMES:
        raise ValueError(f"init is {name!r}: it must be one of {', '.join(NAMES)}")
    first, _, further = name.partition("+")
    if weights and first in ("random", "ready"):
        raise ValueError(f"init={name} starts from {first} weights and takes no weights, got {weights!r}: leave weights empty, or choose another init")
    if name == "ready":
        model, card = ready.load()
        return Start(model, card.front, ready.RECIPE.clips, f"the ready weights: {card.trained_on} (sha256 {card.sha256[:12]})")
    model, front, samples, what = MAE(arch, training.generator(recipe.seed)), mel.INAT, 0, "random weights"
    if first == "audioset_ssl" and not weights:
        model, samples = _pretrained(model, front, replace(recipe, ratio=math.inf), pools, None, workers), recipe.clips
        what = f"STAND-IN for AudioSet weights: a MAE pretrained here on {recipe.clips:,} clips of the general pool"
    elif first in PUBLIC:
        model, card = public.load(PUBLIC[first], weights or "hub", frames=front.frames)
        front, what = card.front, f"{card.name}, {card.trained_on} ({card.source}, sha256 {card.sha256[:12]})"
    if further:
        begin = None if first == "random" else model
        model, samples = _pretrained(model, front, replace(recipe, ratio=0.0), pools, begin, workers), samples + recipe.clips
        what += f", then pretrained on {recipe.clips:,} clips of the wildlife pool"
    return Start(model.eval(), front, samples, what)


def _pretrained(model: MAE, front: FrontEnd, recipe: pretrain.Recipe, pools: dict[str, pd.DataFrame], begin: MAE | None, workers: int) -> MAE:
    return pretrain.pretrain(model.arch, front, recipe, pools["wildlife"], pools["general"], start=begin, workers=workers, reuse=True).model
