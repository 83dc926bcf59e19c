"""Typical mistakes in notebook 13's exercises, and words of the hint that each must get."""
import numpy as np
import torch

from lib import patches


def one_token(patchify):
    x = torch.arange(32.0).view(1, 1, 8, 4)
    return torch.equal(patchify(x, (4, 2))[0, 0], x[0, 0, :4, :2].flatten()) and patchify(x, (4, 2)).shape == (1, 4, 8)


def set_of_pixels(patchify):
    x = torch.arange(32.0).view(1, 1, 8, 4)
    return set(patchify(x, (4, 2))[0, 1].tolist()) == set(x[0, 0, :4, 2:].flatten().tolist())


def blind_to(change):
    def is_blind(encode):
        spec = torch.randn(2, 1, 64, 32, generator=torch.Generator().manual_seed(0))
        mask = patches.mask_from_keep(torch.tensor([[0, 5], [3, 9]]), 32)
        x = patches.patchify(spec, (8, 8))
        other = patches.unpatchify(change(x, mask.hidden[..., None]), patches.Grid(8, 4), (8, 8))
        return torch.allclose(encode(spec, mask), encode(other, mask), atol=1e-4)
    return is_blind


def starts(n):
    def drawn(draw):
        return {draw(10, 8, rng) for rng in [np.random.default_rng(0)] for _ in range(n)}
    return drawn


def padded(value):
    """A padding of value(x), a number or one for each clip, behind the sound."""
    def filled(x, frames):
        behind = torch.zeros(len(x), 1, frames - x.shape[2], x.shape[3]) + value(x)
        return torch.cat([x, behind], 2)
    return filled


MISTAKES = {
    "keeps_the_right_number": [(lambda visible: visible(256, 0.5) == 128, "at 0.5 nobody can tell"),
                               (lambda visible: visible(256, 0.75) == 64, "Try 10 patches")],
    "is_time_major": [(one_token, "look at token 1"), (set_of_pixels, "in their order")],
    "averages_over_targets": [
        (lambda average: average(np.array([1, 0, 1]), np.array([0, 0, 1]), np.array([0, 1, 1])) == 0.75,
         "class that is no target"),
        (lambda average: average(np.array([1, 0, 1, 1]), np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])) == 0.75,
         "let one class be rarer")],
    "can_start_anywhere": [(lambda draw: max(starts(300)(draw)) <= 2, "always begins at 0"),
                           (lambda draw: len(starts(300)(draw)) > 1 and 0 in starts(300)(draw),
                            "the last start never comes"),
                           (lambda draw: {0, 1, 2} <= starts(300)(draw), "none too many")],
    "is_blind": [(blind_to(lambda x, hidden: x), "attends to everything"),
                 (blind_to(lambda x, hidden: torch.where(hidden, x.flip(-1), x)), "the mean of each hidden patch")],
    "filled": [(padded(lambda x: 0.0), "louder than the clip"), (padded(lambda x: x.min()), "in company"),
               (lambda x, frames: torch.nn.functional.interpolate(x, (frames, x.shape[3])), "comes first")],
}
