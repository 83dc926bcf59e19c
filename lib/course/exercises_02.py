"""Checks of notebook 02's exercises: the loss, the picture, a step of training, the frozen decoder, a guess
without a network."""
import copy

import torch

from lib import patches
from lib.course.exercises import compare, exercise, generator, need
from lib.mae import MAE, Arch

__all__ = ["masked_loss", "pasted", "train_step", "freeze_decoder", "my_guess"]

TOY = dict(frames=32, mels=32, dim=16, depth=1, heads=2, decoder_dim=16, decoder_depth=1, decoder_heads=2)


@exercise("`hidden` picks rows: `guess[hidden]` are the guesses of hidden patches only, (number hidden, P). Then the "
          "mean of the squared differences")
def masked_loss(attempt):
    for seed in (0, 1):
        guess, target = (torch.randn(3, 12, 5, generator=generator(10 * seed + k)) for k in (1, 2))
        hidden = patches.random_mask(3, patches.Grid(4, 3), 0.75, generator(seed)).hidden
        error = (guess - target).square().mean(-1)  # (B, L)
        compare(attempt(guess.clone(), target.clone(), hidden.clone()), error[hidden].mean(), {
            "this is the mean over all patches: visible ones, which the encoder saw, must not count": error.mean(),
            "this is the loss on the *visible* patches; True in `hidden` means hidden": error[~hidden].mean(),
            "visible patches still count below the fraction line: divide by the number hidden": (error * hidden).mean(),
            "this sums over the pixels of a patch; equation (3) divides by P": 5 * error[hidden].mean(),
            "this sums over the hidden patches; equation (3) divides by their number": error[hidden].sum(),
            "squared, not absolute, differences": (guess - target).abs().mean(-1)[hidden].mean()})
    return "a network could bring the visible part down without having understood anything."


@exercise("three steps: the guess times each target patch's std plus its mean; then `torch.where(hidden[..., None], "
          "guessed, given)`")
def pasted(attempt):
    for seed in (0, 1):
        spread = 0.5 + torch.rand(2, 12, 1, generator=generator(seed + 5))
        x = torch.randn(2, 12, 64, generator=generator(seed)) * spread
        x = x + torch.randn(2, 12, 1, generator=generator(seed + 6))
        guess = torch.randn(2, 12, 64, generator=generator(seed + 7))
        hidden = patches.random_mask(2, patches.Grid(4, 3), 0.5, generator(seed)).hidden
        mean, std, at = x.mean(-1, keepdim=True), x.std(-1, keepdim=True), hidden[..., None]
        right = guess * std + mean
        compare(attempt(x.clone(), guess.clone(), hidden.clone()), right.where(at, x), {
            "the guess is in the units of a normalised patch: give it the target's std and mean": guess.where(at, x),
            "this pastes the wrong way round: visible patches are given, hidden ones guessed": x.where(at, right),
            "visible patches show the guess too; nothing was ever asked of it there, so paste the input": right,
            "the guess has the level, but not the spread: times the std, plus the mean": (guess + mean).where(at, x),
            "the guess has the spread, but not the level: times the std, plus the mean": (guess * std).where(at, x),
            "this multiplies by the variance; times the std is right": (guess * std**2 + mean).where(at, x),
            "one mean and std for all: each was normalised by its own": (guess * x.std() + x.mean()).where(at, x)},
            "hidden patches: guess times std plus mean of the target patch; visible ones: the input", tolerance=5e-3)
    return "an honest caption says that each hidden patch borrowed two numbers of the answer."


@exercise("five lines: the old gradients to zero, `value = model(spec, mask).loss`, `value.backward()`, a step of the "
          "optimizer, return `value.item()`")
def train_step(attempt):
    start, steps = MAE(Arch(**TOY, decoder="plain"), generator(0)), 3
    specs = torch.randn(steps, 2, 1, 32, 32, generator=generator(1))
    masks = [patches.random_mask(2, start.grid, 0.5, generator(k)) for k in range(steps)]

    def after(how):
        """Losses, and all weights after three steps made in the manner `how`."""
        model = copy.deepcopy(start)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = [how(model, optimizer, spec, mask) for spec, mask in zip(specs, masks)]
        return losses, torch.cat([p.detach().flatten() for p in model.parameters()])

    def step(model, optimizer, spec, mask, forget=False, early=False):
        if early:
            optimizer.step()
        if not forget:
            optimizer.zero_grad()
        value = model(spec, mask).loss
        value.backward()
        if not early:
            optimizer.step()
        return value.item()

    untouched = after(lambda model, optimizer, spec, mask: model(spec, mask).loss.item())[1]
    added, late = (after(how)[1] for how in (lambda *a: step(*a, forget=True), lambda *a: step(*a, early=True)))
    (losses, weights), right = after(attempt), after(step)
    compare(weights, right[1], {
        "the weights have not moved: `optimizer.step()` comes after `backward()`, no zeros between the two": untouched,
        "gradients of earlier steps are still there and add up: call `optimizer.zero_grad()` in every step": added,
        "the weights lag a step behind: `backward()` makes the gradient that `step()` uses, so it comes first": late},
        "the weights have moved, but not by one SGD step per call down the loss of that call", tolerance=1e-5)
    compare(losses, right[0], {}, "the weights are right; return the loss of the step as a number, `value.item()`")
    return "all that `training.fit` adds is a schedule, mixed precision and saved states."


@exercise("go through `model.named_parameters()` and call `requires_grad_(False)` where the name says that it is not "
          "the encoder's; return the model")
def freeze_decoder(attempt):
    for kind in ("plain", "window"):
        model = MAE(Arch(**(TOY | {"frames": 64, "mels": 64}), decoder=kind), generator(0))
        before = {name for name, p in model.named_parameters() if p.requires_grad}
        result = attempt(model)
        need(result is model, "return the model that came in, frozen")
        trains = {name for name, p in result.named_parameters() if p.requires_grad}
        encoder = {name for name in before if name.startswith("encoder.")}
        left, frozen = sorted(trains - encoder), " and ".join(sorted(encoder - trains)[:2])
        need(encoder & trains or not trains, "the wrong half: the encoder stands still and the decoder trains")
        need(encoder <= trains, f"the encoder must go on learning, and {frozen} are frozen")
        need(left != ["mask_token"], "one weight of the decoder's is left: the mask token, which it puts where a patch "
             "is missing. Its name does not begin with `decoder`")
        tables = [name for name in left if name.startswith("encoder.")]
        need(not tables, f"{' and '.join(tables)} did not train before and must not now: its table is fixed")
        need(not left, f"these still train: {', '.join(sorted({name.split('.')[0] for name in left}))}. The decoder is "
             "everything that is not the encoder")
    return "that is variant (c) of the paper: whatever adapts now is in the encoder."


@exercise("`x.unflatten(1, grid)` is (B, t, f, P): `nanmean` over axis 1 is the row's average over what is visible. A "
          "row of which nothing is visible needs another value")
def my_guess(attempt):
    errors, plain = [], []
    for seed, grid in ((0, patches.Grid(12, 4)), (1, patches.Grid(16, 3))):
        truth = _toy(seed, grid)  # (B, L, P)
        hidden = patches.random_mask(len(truth), grid, 0.8, generator(seed)).hidden
        hidden[0] |= torch.arange(grid.t * grid.f) % grid.f == 0  # a row without a visible patch
        x = truth.masked_fill(hidden[..., None], torch.nan)
        guess = attempt(x.clone(), grid)
        need(isinstance(guess, torch.Tensor) and guess.shape == x.shape,
             f"a guess for every patch of every clip is wanted, {tuple(x.shape)}: `expand` repeats a row's average "
             "over the moments, `flatten(1, 2)` makes one axis of moments and rows again")
        need(guess[hidden].isnan().float().mean() < 0.5, "the hidden patches have come into your averages and made "
             "them NaN: `nanmean` leaves them out")
        need(not guess[hidden].isnan().any(), "a row of the first clip has no visible patch, and its "
             "average is NaN: take the clip's average there, as `torch.where(row.isnan(), clip, row)` does")
        clip = x.nanmean((1, 2), keepdim=True)  # (B, 1, 1)
        errors.append(float((guess - truth)[hidden].square().mean()))
        plain.append(float((clip - truth)[hidden].square().mean()))
        need(errors[-1] < 0.99 * plain[-1], f"the error on a toy is {errors[-1]:.2f}; one value for each clip, its "
             f"average, has {plain[-1]:.2f}: rows differ, so keep them apart")
    return (f"on two toys the error is {errors[0]:.2f} and {errors[1]:.2f}, where one value for each clip has "
            f"{plain[0]:.2f} and {plain[1]:.2f}. Its place among the real ones is in the figure.")


def _toy(seed, grid):
    """Patches (6, L, 8) of clips whose rows have levels, with a few moments that are loud in all rows."""
    rng = generator(seed + 20)
    row, moment = torch.randn(6, 1, grid.f, 1, generator=rng), torch.rand(6, grid.t, 1, 1, generator=rng) < 0.2
    noise = 0.3 * torch.randn(6, grid.t, grid.f, 8, generator=rng)
    return (row + 1.5 * moment + noise).flatten(1, 2)
