"""Checks of notebook 01's exercises: patches and masks."""

import torch

from lib import patches
from lib.exercises import compare, exercise, need
from lib.patches import Grid

__all__ = ["hidden_share"]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@exercise("a mask has `mask.hidden`, True where a patch is hidden. What is the mean of trues and falses?")
def hidden_share(attempt):
    for ratio in (0.3, 0.75, 0.8):
        mask = patches.random_mask(3, Grid(32, 8), ratio, _generator(1))
        hidden = float(mask.hidden.float().mean())
        compare(attempt(mask), hidden, {
            "this is the share that is *visible*; in `mask.hidden`, True means hidden": 1 - hidden,
            "this is a count; divide it by the number of patches": int(mask.hidden.sum()),
            "this adds up the clips of the batch; a share is between 0 and 1: divide by clips times patches": 3 * hidden})
    return "the field calls this the mask ratio."
