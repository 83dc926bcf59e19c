"""The reconstruction studio in plain Python: what `update` answers, and what its controls do without a browser."""

import io

import examples
import numpy as np
import pytest
import torch
from PIL import Image

from lib import mae, mel, training
from lib.explorers import reconstruction
from lib.explorers.base import Sound

ARCH = mae.Arch(dim=32, depth=1, heads=2, decoder="plain", decoder_dim=16, decoder_depth=1, decoder_heads=2)


@pytest.fixture(scope="module")
def one():
    return made()


def made() -> reconstruction.Reconstruction:
    models = {"small": (mae.MAE(ARCH, training.generator(0)), mel.INAT),
              "other": (mae.MAE(examples.SHORT, training.generator(2)), mel.MSM_MAE)}
    return reconstruction.Reconstruction(models, examples.sounds())


# ------------------------------------------------------------------------------------------------------------- update

def test_same_arguments_same_view(one):
    first = one.update(seed=3)
    one.update("rumble", "other", "chessboard", 0.5)  # what was drawn before, with other axes, leaves no trace
    assert one.update(seed=3) == first
    assert one.update(seed=4).image != first.image
    picture = Image.open(io.BytesIO(first.image))
    assert picture.format == "JPEG" and picture.width == 1210


def test_errors_are_the_models(one):
    view, scene = one.update("rumble", kind="time columns", ratio=0.5, seed=2), one.scene("rumble")
    mask = reconstruction.MASKS["time columns"](1, scene.model.grid, 0.5, training.generator(2))
    with torch.no_grad():
        assert view.numbers["all hidden"] == pytest.approx(float(scene.model(scene.x, mask).loss), rel=1e-5)
    assert view.numbers["guess of the mean"] == pytest.approx(255 / 256, abs=1e-3)
    assert "128 of 256 patches hidden (50%; time columns, seed 2)" in view.text
    assert f"{view.numbers['all hidden']:.3f}" in view.text
    thirds = [value for name, value in view.numbers.items() if "kHz" in name]
    rows = [3 / 8, 3 / 8, 2 / 8]  # of 8 mel rows
    assert np.dot(thirds, rows) == pytest.approx(view.numbers["all hidden"], rel=1e-5)


def test_regions_are_those_of_the_boxes(one):
    """Calls and background by a count of pixels that knows nothing of the code: a patch is 16 frames x 16 mels."""
    scene, view = one.scene(), one.update(kind="chessboard")
    hidden = reconstruction.PATTERNS["chessboard"](1, scene.model.grid).hidden[0]
    guess = one._guess("", "", kind="chessboard")[2]
    errors, centres = scene.model.patch_errors(scene.x, guess)[0], mel.centres(mel.INAT)
    share = np.zeros((32, 8))
    for call in scene.sound.calls.itertuples():
        for t in range(round(call.start_s * 22_050 / 128), round(call.end_s * 22_050 / 128)):
            for m in np.flatnonzero((centres >= call.low_hz) & (centres <= call.high_hz)) if t < 512 else ():
                share[t // 16, m // 16] += 1 / 256
    share = torch.from_numpy(share).flatten()
    assert view.numbers["on calls"] == pytest.approx(float(errors[hidden & (share >= 0.25)].mean()), rel=1e-5)
    assert view.numbers["background"] == pytest.approx(float(errors[hidden & (share == 0)].mean()), rel=1e-5)
    assert "on calls" not in one.update("rumble").numbers


def test_single_patches_by_hand(one):
    grid = one.scene().model.grid
    drawn, turned = (reconstruction.drawn(grid, seed=1, flips=flips).hidden[0] for flips in ((), (0, 17)))
    assert (drawn != turned).nonzero()[:, 0].tolist() == [0, 17]
    assert ", 2 by hand)" in one.update(seed=1, flips=(0, 17)).text


@pytest.mark.parametrize("kind", [*reconstruction.MASKS, *reconstruction.PATTERNS])
@pytest.mark.parametrize("ratio", [0.1, 0.98])
def test_every_mask_at_both_ends_of_the_slider(one, kind, ratio):
    view = one.update(kind=kind, ratio=ratio)
    assert np.isfinite(view.numbers["all hidden"]) and view.alt
    if kind in reconstruction.PATTERNS:
        assert "128 of 256" in view.text and "seed" not in view.text


def test_a_mask_that_hides_nothing_says_so(one):
    view = one.update(kind="mel rows", ratio=0.0)
    assert "0 of 256 patches hidden" in view.text and "nan" not in view.text


def test_hears_four_sounds_of_the_same_length(one):
    heard = dict(one.hear("rumble", kind="chessboard"))
    assert list(heard) == ["recording", "the input's log-mel", "visible patches only", "reconstruction"]
    assert [len(sound.wave) / sound.rate for sound in heard.values()] == pytest.approx([3, 3, 3, 3], abs=0.02)
    assert all(torch.isfinite(sound.wave).all() for sound in heard.values())
    assert (heard["visible patches only"].wave - heard["the input's log-mel"].wave).abs().max() > 0.01


def test_errors_name_what_is_needed(one):
    with pytest.raises(ValueError, match="unknown mask 'diagonal': choose one of random patches"):
        one.update(kind="diagonal")
    with pytest.raises(ValueError, match="no recording 'x': choose one of chirps"):
        one.update("x")
    with pytest.raises(ValueError, match="0 models and 2 sounds"):
        reconstruction.Reconstruction({}, examples.sounds())
    with pytest.raises(ValueError, match="'m' takes 128 mels, its front end msm_mae makes 80"):
        reconstruction.Reconstruction({"m": (one.models["small"][0], mel.MSM_MAE)}, examples.sounds())


# ----------------------------------------------------------------------------------------------------------- controls

def test_every_control_changes_the_picture():
    one = made()
    seen = [one.picture.value]
    for change in (lambda: setattr(one.ratio, "value", 0.5), one.again.click,
                   lambda: setattr(one.recording, "value", "rumble"), one.one.click,
                   lambda: setattr(one.kind, "value", "chessboard"), lambda: setattr(one.model, "value", "other"),
                   lambda: one.flip(3)):
        change()
        assert one.picture.value not in seen
        seen.append(one.picture.value)
    assert one.ratio.disabled and one.again.disabled  # a pattern has no ratio
    assert one.grid.size == [19, 5] and one.column.max == 19 and one.grid.changed == [3]
    one.back.click()
    assert one.grid.changed == [] and one.picture.value == seen[6]
    one.recording.value = "chirps & <hiss>"
    assert "chirps &amp; &lt;hiss&gt;" in one.text.value
    assert 'alt="Four spectrograms of chirps &amp; &lt;hiss&gt;' in one.picture.value


def test_grid_and_sliders_are_one():
    one = made()
    one.grid.cursor = [4, 2]
    assert (one.column.value, one.mel_row.value) == (5, 3)
    one.mel_row.value = 8
    assert one.grid.cursor == [4, 7]
    before = set(one.grid.hidden)
    one.one.click()
    assert before ^ set(one.grid.hidden) == {4 * 8 + 7}
    one.grid.click = [39, 1]  # a click in the browser on the same patch
    assert set(one.grid.hidden) == before


def test_the_last_visible_patch_stays():
    one = made()
    visible = sorted(set(range(256)) - set(one.grid.hidden))
    one.flips = set(visible[1:])
    one.flip(visible[0])
    assert "last visible patch" in one.message.value and len(one.flips) == len(visible) - 1
    one.flip(0 if visible[0] != 0 else 1)
    assert one.message.value == ""


def test_listening_is_asked_for():
    one = made()
    assert one.sounds.value == ""
    one.listen.click()
    assert one.sounds.value.count("<audio controls aria-label=") == 4 and "data:audio/mpeg;base64," in one.sounds.value
    one.ratio.value = 0.5
    assert one.sounds.value == ""  # it belonged to another picture


def test_a_sound_of_ones_own():
    one = made()
    one.add("mine", Sound(0.1 * torch.randn(44_100, generator=training.generator(5)), 44_100))
    assert one.recording.value == "mine" and one.text.value.count("mine, small: 205 of 256") == 1
