"""What a scale means: one table from a test of seconds to the papers' own settings."""
import math
import os
from dataclasses import dataclass

__all__ = ["Scale", "SCALES", "scale", "clips", "parse_ratio"]


@dataclass(frozen=True)
class Scale:
    name: str
    dim: int              # encoder width
    depth: int            # encoder blocks
    heads: int
    decoder_kind: str     # "plain" (global attention) or "window" (shifted windows, as in AudioMAE)
    decoder_dim: int
    decoder_depth: int
    decoder_heads: int
    batch: int            # pretraining clips per step; all divide by 16, so that 15:1 is exact in every batch
    lr: float             # of pretraining, at this batch
    pretrain_clips: int   # drawn in the main job
    sweep_clips: int      # drawn in one run of a sweep: more, because a sweep is what verdicts rest on
    finetune_epochs: int
    finetune_batch: int
    finetune_lr: float    # at this batch
    mixup: bool           # in finetuning; with so few clips as at tiny it only slows learning down (measured)
    drop_patches: float   # share of patches left out of a finetuning clip: 0.75 makes it four times faster on a CPU
    chorus: str           # size of the synthetic data
    workers: int          # loader processes
    patch: tuple[int, int] = (16, 16)  # frames x mel bins, as in both papers' main models


SCALES = {s.name: s for s in (
    # Seconds: only shows that every line runs. Its numbers mean nothing and its records are not kept.
    Scale("smoke", dim=32, depth=1, heads=2, decoder_kind="plain", decoder_dim=16, decoder_depth=1, decoder_heads=2,
          batch=16, lr=1e-3, pretrain_clips=64, sweep_clips=64, finetune_epochs=1, finetune_batch=16, finetune_lr=1e-3,
          mixup=False, drop_patches=0.75, chorus="smoke", workers=0),
    # Two CPU cores, minutes: 2.4-2.6 times faster than 192-d x 6, which buys clips, and clips are what helps here.
    Scale("tiny", dim=128, depth=4, heads=2, decoder_kind="plain", decoder_dim=64, decoder_depth=1, decoder_heads=1,
          batch=32, lr=1e-3, pretrain_clips=24_000, sweep_clips=40_000, finetune_epochs=60, finetune_batch=32,
          finetune_lr=1e-3, mixup=False, drop_patches=0.75, chorus="tiny", workers=0),
    # One GPU, minutes: ViT-S, with the papers' kind of decoder.
    Scale("small", dim=384, depth=12, heads=6, decoder_kind="window", decoder_dim=256, decoder_depth=4, decoder_heads=8,
          batch=256, lr=1e-3, pretrain_clips=2_000_000, sweep_clips=2_000_000, finetune_epochs=30, finetune_batch=128,
          finetune_lr=5e-4, mixup=True, drop_patches=0.0, chorus="small", workers=8),
    # Liu et al. 2026: ViT-B, 16 window blocks of 512, batch 256; 100 epochs of 137,012 draws whatever the mix.
    Scale("paper", dim=768, depth=12, heads=12, decoder_kind="window", decoder_dim=512, decoder_depth=16, decoder_heads=16,
          batch=256, lr=1e-3, pretrain_clips=100 * 137_012, sweep_clips=100 * 137_012, finetune_epochs=50,
          finetune_batch=256, finetune_lr=1e-3, mixup=True, drop_patches=0.0, chorus="small", workers=12),
)}


def scale(name: str = "auto") -> Scale:
    """The scale of that name. "auto" is what STUDY_SCALE says, else "tiny"; a name given outright always wins."""
    asked, source = (name, "scale") if name != "auto" else (os.environ.get("STUDY_SCALE") or "tiny", "STUDY_SCALE")
    if asked not in SCALES:
        raise ValueError(f"{source} is {asked!r}: it must be one of {', '.join(SCALES)}"
                         + (" or auto" if source == "scale" else ""))
    return SCALES[asked]


def clips(scale: Scale, budget: str) -> int:
    """How many clips pretraining draws: "none" (random weights), the "main" job's, or those of one run of a "sweep"."""
    budgets = {"none": 0, "main": scale.pretrain_clips, "sweep": scale.sweep_clips}
    if budget not in budgets:
        raise ValueError(f"budget is {budget!r}: it must be one of {', '.join(budgets)}")
    return budgets[budget]


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
