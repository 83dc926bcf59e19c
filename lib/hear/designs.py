"""The nine models of MSM-MAE's Table 1 (Niizumi et al. 2022): five input durations, four other ways to cut patches.

Everything else is the same in all nine: encoder, decoder, front end, mask ratio and target, so that two of them differ
in the design only. At the scale `paper` they are the paper's; else the scale gives sizes, durations and patches stay.
"""

from dataclasses import replace
from typing import NamedTuple

from lib import mel, patches, pretrain
from lib.mae import Arch
from lib.mel import FrontEnd
from lib.patches import Grid

__all__ = ["Design", "DESIGNS", "CLIPS", "design", "recipe"]


class Design(NamedTuple):
    """One row of Table 1. Our order is time before mel; the paper writes patches mel x time, and so do the names."""

    frames: int  # T, of 10 ms
    patch: tuple[int, int]  # (pt, pf): frames x mel bins
    tables: dict[str, str]  # the paper's table -> the setting's name there (reference_results.csv)

    @property
    def grid(self) -> Grid:
        return patches.grid_of(self.frames, mel.MSM_MAE.mels, self.patch)


BEST = "Table 2", "Table 3", "Table 4"  # the two models that stand beside the baselines

DESIGNS = {
    "96": Design(96, (16, 16), {"Table 5": "MSM-MAE-96"}),
    "208": Design(208, (16, 16), {"Table 5": "MSM-MAE-208", "Table 6": "MSM-MAE-208 (16x16)"}),
    "304": Design(304, (16, 16), {"Table 5": "MSM-MAE-304", "Table 7": "MSM-MAE-304 (16x16, patches)"}),
    "400": Design(400, (16, 16), {"Table 5": "MSM-MAE-400"}),
    "512": Design(512, (16, 16), dict.fromkeys((*BEST, "Table 5"), "MSM-MAE-512")),
    "200_16x8": Design(200, (8, 16), {"Table 6": "MSM-MAE-200 (16x8)"}),
    "200_16x4": Design(200, (4, 16), dict.fromkeys((*BEST, "Table 6"), "MSM-MAE-200 (16x4)")),
    "208_8x16": Design(208, (16, 8), {"Table 6": "MSM-MAE-208 (8x16)"}),
    "304_80x4": Design(304, (4, 80), {"Table 7": "MSM-MAE-304 (80x4, strips)"}),  # one patch over all mel bins
}
CLIPS = 100 * 1_963_807  # the paper's own draws: 100 epochs of AudioSet's balanced and unbalanced train sets


def design(name: str, base: Arch) -> tuple[Arch, FrontEnd]:
    """The model of that name with the sizes of `base`, and its front end; ValueError for a name not in Table 1.

    The target is the spectrogram itself, not normalised per patch: the authors found that better (section 4.1.1). The
    decoder has global attention and 2-D positions; the public checkpoints bring a 1-D table, which stays as saved."""
    if name not in DESIGNS:
        raise ValueError(f"there is no design {name!r}: use {', '.join(DESIGNS)} "
                         "(frames, then the patch as mel bins x frames)")
    frames, patch, _ = DESIGNS[name]
    front = replace(mel.MSM_MAE, frames=frames)
    return replace(base, frames=frames, mels=front.mels, patch=patch, decoder="plain", norm_pixels=False), front


def recipe(base: pretrain.Recipe, **changes) -> pretrain.Recipe:
    """How the paper pretrains: mask 0.75, weight decay 0.05, a tenth of warm-up; batch and rate are those of `base`.

    `changes` are fields of `pretrain.Recipe`. The ratio is 1 unless changed: the paper trains on AudioSet, which holds
    animals among sounds of every kind, so both pools together stand in for it; at the scale `paper`, whose general pool
    is AudioSet, it is inf. Counts are rounded: 8 of 30 and 24 of 95 patches are visible, in the public code, which
    truncates, 7 and 23."""
    return replace(base, **dict(mask_ratio=0.75, weight_decay=0.05, ratio=1.0) | changes)
