"""What a scale means: one table from a test of seconds to the papers' own settings."""
from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

import torch

from lib import mel, pretrain
from lib.hear import designs, predictor
from lib.mae import Arch
from lib.mel import FrontEnd
from lib.transfer import finetune, mobilenet, starts

__all__ = ["Scale", "SCALES", "PRESETS", "scale", "clips", "front", "parse_ratio"]


# What the recipes of finetuning differ in; lr is a factor on the scale's rate, which is 1e-3 at batch 256 for `paper`.
# Ours, by a search on data_seed 1 (notebook 04): what few labelled recordings are enough for.
STUDY = dict(lr=1.0, layer_decay=1.0, drop_path=0.0, readout="frequency", mixup=False)
PRESETS = {
    "study": STUDY,
    "audiomae": dict(lr=1.0),  # AudioMAE's main_finetune_as.py: AdamW with layer decay
    # the first author's fork
    "paper": dict(lr=0.1, lr_min=0.1, optimizer="Adam", weight_decay=1e-5, layer_decay=1.0, drop_path=0.0,
                  clip_grad=None),
    "lora": STUDY | dict(lora=8),  # few weights to train and to keep, at the same steps
}
FROM_RANDOM = 2  # times as many epochs in our recipe for random weights: val of data_seed 1 chose for each start


@dataclass(frozen=True)
class Scale:
    name: str
    model: Arch           # encoder and decoder; patches of 16 x 16 on 512 x 128, as in both papers' main models
    batch: int            # pretraining clips per step; all divide by 16, so that 15:1 is exact in every batch
    lr: float             # of pretraining, at this batch
    pretrain_clips: int   # drawn in the main job
    sweep_clips: int      # drawn in one run of a sweep
    finetune_epochs: int
    finetune_batch: int
    finetune_lr: float    # at this batch
    mixup: bool           # in the published recipes; with so few clips as at tiny it only slows learning (measured)
    drop_patches: float   # share of patches left out of a finetuning clip: 0.75 makes it four times faster on a CPU
    chorus: str           # size of the synthetic data
    workers: int          # loader processes
    cnn_steps: int = 590  # of the small CNN that learns beside our models
    micro_batch: int = 0  # clips that go through a model at once in training; 0: the whole batch

    def arch(self, **changes) -> Arch:
        """The model of this scale; `changes` are fields of `mae.Arch`, such as norm_pixels=False."""
        return replace(self.model, **changes)

    def pretraining(self, clips: int, seed: int, **changes) -> pretrain.Recipe:
        """How this scale pretrains; `changes` are fields of `pretrain.Recipe`, such as ratio=7."""
        return pretrain.Recipe(**dict(clips=clips, batch=self.batch, micro_batch=self.micro_batch, lr=self.lr,
                                      seed=seed) | changes)

    def finetuning(self, preset: str, seed: int, pretrained: bool = True, **changes) -> finetune.Recipe:
        """A recipe at this scale: "study" is ours, which gives random weights twice the epochs, "audiomae" and "paper"
        (Liu et al., as far as their fork shows) are published, "lora" trains few weights; `changes` are fields of
        `finetune.Recipe`."""
        if preset not in PRESETS:
            raise ValueError(f"preset is {preset!r}: it must be one of {', '.join(PRESETS)}")
        known = PRESETS[preset]
        lr = known["lr"] * self.finetune_lr
        rates = {"lr": lr, "lr_min": known.get("lr_min", 0.0) * lr or finetune.Recipe.lr_min}
        longer = FROM_RANDOM if preset == "study" and not pretrained else 1
        own = dict(epochs=longer * self.finetune_epochs, batch=self.finetune_batch, micro_batch=self.micro_batch,
                   mixup=self.mixup, drop_patches=self.drop_patches, seed=seed)
        return finetune.Recipe(**own | known | rates | changes)

    def proxy(self, seed: int) -> mobilenet.Recipe:
        """The proxy network of 07. On a CPU MobileNetV3-large takes 11 clips a second, so `tiny` has the small one of
        half width, at 45."""
        if self.name in ("smoke", "tiny"):
            return mobilenet.Recipe("small_050", epochs=1 if self.name == "smoke" else 10, batch=16, lr=0.02, seed=seed)
        return mobilenet.Recipe(epochs=50, seed=seed)

    def msm_mae(self, name: str) -> tuple[Arch, FrontEnd]:
        """A design of MSM-MAE's Table 1 (`designs.DESIGNS`) at this scale; at `paper` with its own decoder of 384-d x 4
        with 6 heads."""
        decoder = dict(decoder_dim=384, decoder_depth=4, decoder_heads=6) if self.name == "paper" else {}
        return designs.design(name, self.arch(**decoder))

    def msm_recipe(self, clips: int, seed: int, **changes) -> pretrain.Recipe:
        """How MSM-MAE pretrains (`designs.recipe`). At `paper` whatever `clips` is, but 0, it is what the paper does:
        196 M draws from the general pool alone, AudioSet, at 6e-4 and batch 512."""
        paper = dict(clips=designs.CLIPS * bool(clips), batch=512, lr=6e-4, ratio=math.inf)
        own = paper if self.name == "paper" else {"clips": clips}
        return designs.recipe(self.pretraining(seed=seed, **own), **own | changes)

    @property
    def predictor(self) -> predictor.Options:
        """How HEAR's predictor is chosen and trained: the kit's own way, with less where two CPU cores must do."""
        if self.name == "smoke":
            return predictor.Options(points=2, hidden=32, epochs=6, every_events=3, patience=2)
        if self.name == "tiny":
            return predictor.Options(points=3, hidden=256, epochs=150, batch=256, every_events=5, patience=4)
        return predictor.Options()


SCALES = {s.name: s for s in (
    # Seconds: only shows that every line runs. Its numbers mean nothing and its records are not kept.
    Scale("smoke", Arch(dim=32, depth=1, heads=2, decoder="plain", decoder_dim=16, decoder_depth=1, decoder_heads=2),
          batch=16, lr=1e-3, pretrain_clips=64, sweep_clips=64, finetune_epochs=1, finetune_batch=16, finetune_lr=1e-3,
          mixup=False, drop_patches=0.75, chorus="smoke", workers=0, cnn_steps=20),
    # Two CPU cores, minutes: 2.4-2.6 times faster than 192-d x 6, which buys clips. A sweep draws no more than the main
    # job: from 10,000 to 640,000 clips notebook 05's curve is flat, and what verdicts need is seeds.
    Scale("tiny", starts.READY_ARCH, batch=32, lr=1e-3, pretrain_clips=24_000, sweep_clips=24_000, finetune_epochs=60,
          finetune_batch=32, finetune_lr=1e-3, mixup=False, drop_patches=0.75, chorus="tiny", workers=0),
    # A free Colab T4, about ten minutes (an estimate; README has the sum): 1,200 steps of pretraining and 2,038 of
    # finetuning. Rates are tiny's times the root of the ratio of the batches, as fits Adam; the linear rule would give
    # 8e-3, and in 64 steps of tiny's model at batch 256 the loss ended at 0.990, 0.989 and 0.988 with 2e-3, 4e-3 and
    # 8e-3.
    Scale("small", Arch(dim=256, depth=6, heads=4, decoder="plain", decoder_dim=96, decoder_depth=2, decoder_heads=2),
          batch=256, lr=2.8e-3, pretrain_clips=1_200 * 256, sweep_clips=4_800 * 256,
          finetune_epochs=160, finetune_batch=64, finetune_lr=1.4e-3, mixup=False, drop_patches=0.0, chorus="small",
          workers=8),
    # Liu et al. 2026: ViT-B, 16 window blocks of 512, batch 256; 100 epochs of 137,012 draws whatever the mix.
    Scale("paper", Arch(), batch=256, lr=1e-3, pretrain_clips=100 * 137_012, sweep_clips=100 * 137_012,
          finetune_epochs=50, finetune_batch=256, finetune_lr=1e-3, mixup=True, drop_patches=0.0, chorus="small",
          workers=12, micro_batch=128),
)}


def scale(name: str = "auto") -> Scale:
    """The scale of that name; one given outright always wins. "auto" is what STUDY_SCALE says, else "small" where torch
    finds a CUDA GPU, else "tiny"."""
    if name == "auto":
        asked = os.environ.get("STUDY_SCALE") or ("small" if torch.cuda.is_available() else "tiny")
    else:
        asked = name
    if asked not in SCALES:
        source = "STUDY_SCALE" if name == "auto" else "scale"
        raise ValueError(f"{source} is {asked!r}: it must be one of {', '.join(SCALES)}"
                         + (" or auto" if source == "scale" else ""))
    return SCALES[asked]


def clips(scale: Scale, budget: str | int) -> int:
    """How many clips pretraining draws: "none" (random weights), the "main" job's, those of one run of a "sweep", or a
    number of them."""
    budgets = {"none": 0, "main": scale.pretrain_clips, "sweep": scale.sweep_clips}
    if budget in budgets:
        return budgets[budget]
    if not str(budget).isdecimal():
        raise ValueError(f"budget is {budget!r}: it must be one of {', '.join(budgets)}, or a number of clips")
    return int(budget)


def front(encoder: FrontEnd, subtract: str) -> FrontEnd:
    """Through which front end labels are learned: the encoder's own ("none"), or with each band's median over a clip
    taken off ("median"). An encoder that was pretrained above the median keeps its own."""
    if subtract not in ("median", "none"):
        raise ValueError(f"subtract is {subtract!r}: it must be median or none")
    return mel.above_median(encoder) if subtract == "median" and not encoder.subtract else encoder


def parse_ratio(value: float | int | str) -> float:
    """General clips per wildlife clip as a float: 0 is wildlife only, "inf" general only. Text is read as a number."""
    try:
        ratio = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        ratio = math.nan
    if not ratio >= 0:
        raise ValueError(f"ratio is {value!r}: it must be a number from 0 (wildlife only) up, such as 0.5 or 7, "
                         "or inf (general only)")
    return ratio
