import hashlib

import pytest
import torch

from lib import patches
from lib.patches import Grid

GRID = Grid(6, 4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("patch", [(16, 16), (16, 8), (4, 16), (2, 32)])
def test_unpatchify_inverts_patchify(patch):
    spec = torch.randn(2, 1, 64, 32, generator=generator())
    x = patches.patchify(spec, patch)
    assert torch.equal(patches.unpatchify(x, patches.grid_of(64, 32, patch), patch), spec)


def test_tokens_and_pixels_are_time_major():
    spec = torch.zeros(1, 1, 8, 6)
    # frame 5 = second patch row of 4 frames, its frame 1; mel bin 1 = first patch of 3 bins, its bin 1
    spec[0, 0, 5, 1] = 1
    assert patches.patchify(spec, (4, 3)).nonzero().tolist() == [[0, 1 * 2 + 0, 1 * 3 + 1]]


def test_some_patches_are_those_rows_of_all():
    spec, ids = torch.randn(2, 1, 64, 32, generator=generator()), torch.tensor([[3, 0, 31], [7, 7, 1]])
    every = patches.patchify(spec, (8, 8))  # (B, L, 64)
    expected = torch.stack([every[b, ids[b]] for b in range(2)])
    assert torch.equal(patches.some(spec, (8, 8), ids), expected) and torch.equal(patches.rows(every, ids), expected)


MASKS = {"random": lambda g: patches.random_mask(3, GRID, 0.6, g), "time": lambda g: patches.time_mask(3, GRID, 0.5, g),
         "freq": lambda g: patches.freq_mask(3, GRID, 0.5, g),
         "2d": lambda g: patches.time_freq_mask(3, GRID, 0.5, 0.5, g),
         "vertical": lambda g: patches.vertical_mask(3, GRID), "horizontal": lambda g: patches.horizontal_mask(3, GRID),
         "chessboard": lambda g: patches.chessboard_mask(3, GRID),
         "only": lambda g: patches.only_visible(3, GRID, 2, g)}
HIDDEN = {"random": 14, "time": 12, "freq": 12, "2d": 18, "vertical": 12, "horizontal": 12, "chessboard": 12,
          "only": 22}


@pytest.mark.parametrize("kind", MASKS)
def test_the_three_views_of_a_mask_agree(kind):
    keep, restore, hidden = MASKS[kind](generator())
    assert hidden.sum(1).tolist() == [HIDDEN[kind]] * 3 and keep.shape[1] == 24 - HIDDEN[kind]
    assert not hidden.gather(1, keep).any()  # what is kept is not hidden
    rest = MASKS[kind](generator()).rest
    assert torch.equal(rest, hidden.nonzero()[:, 1].view(3, -1))  # the others, ascending
    tokens = torch.arange(24).expand(3, -1)
    shuffled = torch.cat([tokens.gather(1, keep), torch.full((3, HIDDEN[kind]), -1)], 1)  # visible first, then blanks
    # restore puts each back in its place
    assert torch.equal(shuffled.gather(1, restore), torch.where(hidden, -1, tokens))


def test_masks_hide_what_their_names_say():
    picture = {kind: make(generator()).hidden.view(3, *GRID)[0] for kind, make in MASKS.items()}
    assert all(len(set(row.tolist())) == 1 for row in picture["time"])  # a time is hidden at every mel row or at none
    assert all(len(set(column.tolist())) == 1 for column in picture["freq"].T)
    visible = ~picture["2d"]
    assert torch.equal(visible, visible.any(1, keepdim=True) & visible.any(0, keepdim=True))
    assert picture["vertical"][:, 0].tolist() == [False, True] * 3
    assert picture["horizontal"][0].tolist() == [False, True] * 2
    assert picture["chessboard"][:2, :2].tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("kind", ["random", "time", "freq", "2d", "only"])
def test_a_mask_repeats_per_seed_and_differs_between_seeds_and_clips(kind):
    a, b, c = (MASKS[kind](generator(seed)).hidden for seed in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert len({tuple(row.tolist()) for row in MASKS[kind](generator(5)).hidden}) > 1


def test_every_patch_is_hidden_at_the_stated_rate():
    rate = patches.random_mask(4000, GRID, 0.75, generator()).hidden.float().mean(0)  # (L,)
    assert (rate - 0.75).abs().max() < 0.04  # five standard errors


def test_rounding_keeps_one_patch_visible():
    assert patches.random_mask(1, Grid(5, 2), 0.9, generator()).keep.shape == (1, 1)  # int(10 * (1 - 0.9)) would be 0


@pytest.mark.parametrize("call, message", [
    (lambda: patches.patchify(torch.zeros(64, 32), (16, 16)), r"wants specs of shape \(B, 1, T, M\), got \(64, 32\)"),
    (lambda: patches.grid_of(100, 128, (16, 16)), "100 frames x 128 mels cannot be cut"),
    (lambda: patches.unpatchify(torch.zeros(1, 7, 256), Grid(2, 4), (16, 16)), "got 7 patches"),
    (lambda: patches.random_mask(1, GRID, 1.0, None), "got 1.0"),
    (lambda: patches.only_visible(1, GRID, 0, None), "got 0"),
    (lambda: patches.mask_from_keep(torch.tensor([[0, 24]]), 24), "each in 0..23"),
    (lambda: patches.mask_from_keep(torch.tensor([[3, 3]]), 24), "same patch twice"),
    (lambda: patches.mask_from_hidden(torch.eye(3, dtype=torch.bool).triu() | torch.ones(3, 3).tril(-1).bool()),
     "same number"),
])
def test_errors_say_what_was_got(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_random_mask_is_the_public_one(golden):
    T, card = golden("audiomae_swin")
    mask = patches.random_mask(2, Grid(64, 8), card["mask_ratio"], generator(card["mask_seed"]))
    assert torch.equal(mask.keep, T["ids_keep"]) and torch.equal(mask.restore, T["ids_restore"])
    assert torch.equal(mask.hidden, T["mask"].bool())
    from_keep = patches.mask_from_keep(T["ids_keep"], 512)
    assert torch.equal(from_keep.hidden, mask.hidden)


def test_two_dimensional_mask_is_the_public_one(golden):
    T, _ = golden("audiomae_plain")
    mask = patches.mask_from_keep(T["ids_keep_2d"], 512)
    assert torch.equal(mask.restore, T["ids_restore_2d"]) and torch.equal(mask.hidden, T["mask_2d"].bool())
    visible = (~mask.hidden).view(-1, 64, 8)
    # rows and columns, as time_freq_mask draws
    assert torch.equal(visible, visible.any(2, keepdim=True) & visible.any(1, keepdim=True))


def test_patchify_is_the_public_one(golden):
    T, card = golden("audiomae_swin")
    x = patches.patchify(T["input"], (16, 16))
    assert torch.equal(x[:, T["patch_rows"]], T["patches"])
    assert hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest() == card["sha256"]["patchify"]
