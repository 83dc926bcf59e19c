"""Checks of notebook 04's exercises: one answer a recording, the class average, mixing in power, LoRA, a line of one's
own before the head."""
import numpy as np
import torch

from lib import metrics
from lib.course.exercises import compare, exercise, generator, need, same

__all__ = ["one_answer", "class_average", "mix", "lora_weights", "behind"]


@exercise("for every recording: take the rows of `windows` where `recording` is its number, and their mean over "
          "windows (axis 0)")
def one_answer(attempt):
    rng = np.random.default_rng(0)
    for n, classes in ((4, 3), (6, 5)):
        recording = rng.permutation(np.repeat(np.arange(n), np.arange(n) + 1))  # 1, 2, 3 ... windows, in any order
        windows = rng.dirichlet(np.ones(classes), len(recording))  # (W, C)
        parts = [windows[recording == i] for i in range(n)]
        runs = np.split(windows, np.cumsum(np.bincount(recording))[:-1])
        compare(attempt(windows.copy(), recording.copy(), n), metrics.pool(windows, recording, n), {
            "this is a sum, no probability: divide by the recording's number of windows": [p.sum(0) for p in parts],
            "only one window of each recording was counted: see `np.add.at`": [p[-1] / len(p) for p in parts],
            "windows of a recording need not stand together: look at `recording`": [p.mean(0) for p in runs],
            "this is the maximum over windows; wanted is the mean": [p.max(0) for p in parts],
            "this is a vote: the share of windows whose highest class it is. Average the probabilities themselves":
                [np.bincount(p.argmax(1), minlength=classes) / len(p) for p in parts]})
    return "the most sure window and the least sure one now speak for the recording together."


@exercise("for each class that occurs in `targets`: the share of its recordings that were guessed right. Then the mean "
          "of these shares")
def class_average(attempt):
    rng = np.random.default_rng(1)
    for classes in (4, 7):
        targets = rng.choice(np.arange(1, classes), 60, p=rng.dirichlet(np.full(classes - 1, 3.0)))
        guesses = np.where(rng.random(60) < 0.6, targets, rng.integers(classes, size=60))
        guesses[0] = 0  # which never occurs
        hits, occurs = guesses == targets, np.unique(targets)
        shares = np.array([hits[targets == c].mean() for c in occurs])
        got, either = attempt(guesses.copy(), targets.copy()), np.union1d(targets, guesses)
        need(not np.isnan(float(got)), "0 / 0: go through the classes that occur in `targets`, and no others")
        compare(got, shares.mean(), {
            "this is the share of all recordings: common species count more. Make it a share per class": hits.mean(),
            "a class guessed but never a target counts as a zero: average over `targets`": shares.sum() / len(either),
            "this is precision, the share of those *guessed* as a class. Wanted is that of those that *are* the class":
                np.mean([hits[guesses == c].mean() for c in np.unique(guesses)])})
    return "a species with two recordings weighs as much as one with fifty; scikit-learn calls it balanced accuracy."


@exercise("from dB to power is 10 ** (x / 10): mix the powers in their shares, then go back with 10 * log10")
def mix(attempt):
    generator = torch.Generator().manual_seed(2)
    for share in (0.5, 0.2):
        a, b = 60 * torch.rand(2, 4, 3, generator=generator, dtype=torch.float64) - 60  # (4, 3) dB each
        one, other = 10 ** (a / 10), 10 ** (b / 10)
        power = share * one + (1 - share) * other
        compare(attempt(a.clone(), b.clone(), share), 10 * power.log10(), {
            "this is the mean of the dB values, pulled down into silence: mix powers": share * a + (1 - share) * b,
            "with 20 in place of 10 amplitudes are mixed; two sounds that do not know of each other add up in power":
                20 * (share * 10 ** (a / 20) + (1 - share) * 10 ** (b / 20)).log10(),
            "this is the mixed power itself; the model wants it in dB again": power,
            "these logarithms are natural; a dB is a tenth of the decimal one: 10 ** (x / 10) and 10 * log10":
                (share * a.exp() + (1 - share) * b.exp()).log(),
            "the shares are exchanged: `share` is the first clip's": 10 * ((1 - share) * one + share * other).log10()},
            "wanted is 10 * log10 of the mixed power: a sound loses 10 * log10(share) dB and no more, 3 at one half")
    return "where the other clip is silent a call loses 3 dB at one half, and keeps its shape."


@exercise("an update of rank r is the product of two small matrices, r x inputs and outputs x r: how many numbers do "
          "they hold, for one qkv layer?")
def lora_weights(attempt):
    for dim, blocks, rank in ((768, 12, 8), (128, 4, 2)):
        small = rank * dim
        compare(attempt(dim, blocks, rank), blocks * (small + 3 * small), {
            "this is the whole layer, which stays as it is: only two small matrices train": blocks * dim * 3 * dim,
            "only one of the two matrices is counted: dim numbers to rank, rank to the outputs": blocks * small,
            "the second matrix makes q, k and v at once: it has 3 * dim outputs": blocks * 2 * small,
            "q, k and v are one layer, and share the input matrix: it is counted three times": 3 * blocks * 2 * small,
            "this is one block; every block has its own": small + 3 * small})
    return f"a ViT-B has {12 * 8 * 4 * 768:,} of them at rank 8, 0.3 % of 86 million."


@exercise("`known.mean(0)` is what all windows share. What is left when it is taken off, and do all channels count "
          "alike?")
def behind(attempt):
    for seed in (0, 1):
        rng = generator(seed)
        known, x = _tokens(200, rng), _tokens(80, rng)
        given = torch.as_tensor(attempt(x.clone(), known.clone()))
        need(given.shape[:1] == (80,) and given.ndim == 2,
             f"80 windows gave shape {tuple(given.shape)}; wanted is one row of numbers a window")
        need(given.isfinite().all(), "some numbers are not finite: is there a division by 0?")
        need(same(attempt(x[:5].clone(), known.clone()), given[:5], 1e-3),
             "a window's numbers change with the windows beside it: take mean and spread from `known`")
        layer = torch.nn.functional.layer_norm(x, x.shape[1:])
        need(not same(given, layer), "a LayerNorm looks at one window at a time: what all share stays")
        need(given.std(0).max() > 1e-6, "every window has the same numbers: nothing of what sounds is left")
    batch = _rest((x - known.mean(0)) / known.std(0))
    return (f"of the power of made-up tokens {_rest(given.float()):.0%} is now the rest; {batch:.0%} behind a batch "
            f"norm, {_rest(layer):.0%} behind a LayerNorm.")


def _tokens(n: int, rng: torch.Generator) -> torch.Tensor:
    """Mean tokens (n, 32): one large vector that all share, how loud each is along another, and a little of its own."""
    shared, loud = torch.randn(2, 32, generator=torch.Generator().manual_seed(9))
    own = torch.randn(n, 32, generator=rng) * torch.linspace(0.02, 0.4, 32)
    return 5 * shared + torch.randn(n, 1, generator=rng) * loud + own


def _rest(x: torch.Tensor) -> float:
    """The share of the power that is neither common to all nor along the direction in which they differ most."""
    return (torch.linalg.svdvals(x - x.mean(0))[1:].square().sum() / x.square().sum()).item()
