"""Checks of notebook 13's exercises: the learner writes a test, and it is tried on a healthy part and on broken ones.
An attempt takes a part and returns True when it is as it should be. Each broken part stands in public code or is a turn
of hand that passes the obvious test; the hint says what the attempt did not try. In the last the learner writes the
part, and it is tried by such tests."""
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from lib import metrics, patches, training
from lib.course.exercises import exercise, need, yes
from lib.mae import MAE, Arch

__all__ = ["keeps_the_right_number", "is_time_major", "averages_over_targets", "can_start_anywhere", "is_blind",
           "filled"]

SMALL = Arch(frames=64, mels=32, patch=(8, 8), dim=16, depth=1, heads=2, decoder="plain", decoder_dim=8,
             decoder_depth=1, decoder_heads=2)


def _judge(attempt: Callable, healthy: Callable, broken: Mapping[str, Callable], refused: str) -> None:
    """Ends the check unless the attempt says yes to the healthy part and no to the broken ones; keys are the hints."""
    need(yes(attempt(healthy)), f"your test refuses a healthy part. {refused}")
    for hint, part in broken.items():
        need(not yes(attempt(part)), hint)


@exercise("call `visible` with a number of patches and a ratio whose answer you know by heart, such as 10 and 0.9, and "
          "compare")
def keeps_the_right_number(attempt):
    _judge(attempt, lambda L, ratio: L - min(round(ratio * L), L - 1), {
        "it passes the number *hidden*: at 0.5 nobody can tell the two apart": lambda L, ratio: round(ratio * L),
        "it passes int(L * (1 - ratio)) of public MAEs. Try 10 patches and 0.9": lambda L, ratio: int(L * (1 - ratio)),
    }, "Of 10 patches at 0.9 one stays visible, of 256 at 0.75 there are 64.")
    return "int() truncates: 10 * (1 - 0.9) is 0.9999999999999998."


def _patchify(order: tuple[int, ...]) -> Callable:
    def patchify(spec: Tensor, patch: tuple[int, int]) -> Tensor:
        (B, _, T, M), (pt, pf) = spec.shape, patch
        return spec.reshape(B, T // pt, pt, M // pf, pf).permute(0, *order).reshape(B, -1, pt * pf)
    return patchify


@exercise("make a spec whose pixels you can tell apart: torch.arange(32.).view(1, 1, 8, 4) is 8 frames of 4 mels. "
          "Which pixels belong into token 1 of 4 x 2 patches?")
def is_time_major(attempt):
    _judge(attempt, patches.patchify, {
        "it passes a part whose *tokens* run through time first: look at token 1 too": _patchify((3, 1, 2, 4)),
        "it passes a part with mel-major *pixels in a patch*: compare them in their order": _patchify((1, 3, 4, 2)),
    }, "Token 1 stands at time 0 and mel row 1; inside it the mel bins of the first frame come first.")
    return "a round trip through the part's own inverse would have passed all three."


@exercise("three arrays of your own, as long as you like, are enough: which hits, which targets, which guesses? Give "
          "one class more recordings than another")
def averages_over_targets(attempt):
    _judge(attempt, lambda hits, targets, guessed: metrics.class_average(hits, targets), {
        "it passes torchmetrics' macro, where a class only guessed counts as a zero: guess a class that is no target":
            lambda hits, targets, guessed:
                metrics.class_average(hits, targets) * len({*targets}) / len({*targets, *guessed}),
        "it passes the plain share of hits: let one class be rarer": lambda hits, targets, guessed: np.mean(hits),
    }, "It is the mean of the classes' recalls, over the classes that occur in the targets.")
    return "in a long tail the plain share is the accuracy on the common species."


@exercise("draw often, `draw(10, 8, rng)` some hundred times, and collect the starts in a set. Which ones should be in "
          "it?")
def can_start_anywhere(attempt):
    _judge(attempt, lambda length, crop, rng: int(rng.integers(length - crop + 1)), {
        "it passes a part that always begins at 0: ask for the starts that must occur": lambda length, crop, rng: 0,
        "it passes randint(length - crop), as in MSM-MAE's and iNatSounds' code: the last start never comes":
            lambda length, crop, rng: int(rng.integers(length - crop)),
        "it passes a part that may begin too late, so that the crop is too short: none missing, and none too many":
            lambda length, crop, rng: int(rng.integers(length - crop + 2)),
    }, "A crop of 8 in 10 begins at 0, 1 or 2. Draw often enough that none is missed by chance.")
    return "the end of a recording is where the animal is still calling as the recorder is switched off."


def _encoders() -> list[Callable]:
    """encode(spec, mask) -> (B, K, D): healthy; one that hides too late; one that leaks each hidden patch's level."""
    model = MAE(SMALL, training.generator(0)).eval()

    def late(spec: Tensor, mask: patches.Mask) -> Tensor:
        return model.encode(spec)[:, 1:].gather(1, mask.keep[..., None].expand(-1, -1, SMALL.dim))

    def level(spec: Tensor, mask: patches.Mask) -> Tensor:
        x = patches.patchify(spec, SMALL.patch)
        x = torch.where(mask.hidden[..., None], x.mean(-1, keepdim=True), x)
        return late(patches.unpatchify(x, model.grid, SMALL.patch), mask)

    return [torch.no_grad()(part) for part in (lambda spec, mask: model.encode(spec, mask)[:, 1:], late, level)]


@exercise("take a random spec, change its hidden patches only (patchify, torch.where with mask.hidden[..., None], "
          "unpatchify) and compare the two latents")
def is_blind(attempt):
    healthy, late, level = _encoders()
    _judge(attempt, healthy, {
        "it passes an encoder that attends to everything and drops patches at the end: change *hidden* pixels": late,
        "it passes an encoder that knows the mean of each hidden patch: change the level, not only the order": level,
    }, "When only hidden pixels change, the latent of the visible patches stays the same; compare with torch.equal or "
       "allclose, and change nothing visible.")
    return "AudioMAE's 2-D mask fails a test like this one on grids of more than 999 patches."


@exercise("`x[:, :, torch.arange(frames) % x.shape[2]]` is the sound again and again; torch.cat puts anything "
          "behind it")
def filled(attempt):
    for (N, _, T, M), frames in (((3, 1, 20, 4), 50), ((2, 1, 16, 8), 40)):
        x = -0.1 - torch.rand(N, 1, T, M, generator=training.generator(N)) - torch.arange(N).view(-1, 1, 1, 1)
        got = torch.as_tensor(attempt(x.clone(), frames))
        need(got.shape == (N, 1, frames, M), f"of specs {(N, 1, T, M)} and {frames} frames came {tuple(got.shape)}, "
             f"needed is {(N, 1, frames, M)}")
        need(torch.equal(got[:, :, :T], x), "the sound itself comes first and stays as it is")
        alone = torch.cat([torch.as_tensor(attempt(one[None].clone(), frames)) for one in x])
        need(torch.allclose(got, alone), "a clip alone is padded otherwise than in company: take nothing from the "
             "batch, only from the clip itself")
        louder = got[:, :, T:].amax((1, 2, 3)) > x.amax((1, 2, 3)) + 1e-6
        need(not louder.any(), "the padding is louder than the clip, as in run 4: 0 is silence in a wave, not here")
    return "the sound as it came, nothing louder behind it, and each clip for itself. How far it gets is drawn below."
