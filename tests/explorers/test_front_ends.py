"""The front-end explorer in plain Python."""

import warnings

import examples
import pytest

from lib import mel
from lib.explorers import front_ends


@pytest.fixture(scope="module")
def one():
    return front_ends.FrontEnds(examples.sounds())


@pytest.mark.parametrize("front", [mel.INAT, mel.AUDIOMAE, mel.BIRDMAE, mel.MSM_MAE], ids=lambda front: front.name)
def test_published_front_ends_are_themselves(one, front):
    assert front_ends.changed(front.name) == front
    numbers = one.update("rumble", front=front.name).numbers
    assert numbers["frames"] == front.count(numbers["samples in"])
    assert numbers["mel bins"] == front.mels and numbers["empty filters"] == front.empty


def test_the_papers_empty_filters(one):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # known, so not warned about
        view = one.update(n_fft=512)
    assert view.numbers["empty filters"] == 2
    assert "2 of 128 mel filters catch no bin of the 512-point FFT (grey: numbers 0, 5 from below)" in view.text
    assert one.update().numbers["empty filters"] == 0


@pytest.mark.parametrize("change", [{"window": 128}, {"hop": 256}, {"n_fft": 4096}, {"mels": 40}, {"log": False},
                                    {"band": (1000, 5000)}, {"front": "birdmae"}])
def test_every_number_changes_the_picture(one, change):
    view = one.update(**change)
    assert view.image != one.update().image and view == one.update(**change)


def test_shape_follows_window_and_hop(one):
    numbers = one.update("rumble", window=1024, hop=256, mels=64).numbers  # 3 s
    assert numbers["frames"] == 1 + (3 * 22_050 - 1024) // 256 and numbers["numbers out"] == 64 * numbers["frames"]
    assert numbers["window (ms)"] == pytest.approx(46.44, abs=0.01)
    assert numbers["FFT bins every (Hz)"] == pytest.approx(21.53, abs=0.01)


def test_an_fft_shorter_than_its_window_is_said(one):
    view = one.update(window=2048, n_fft=512)
    assert "2,048 is used" in view.text and view.numbers["FFT bins every (Hz)"] == pytest.approx(22_050 / 2048)


def test_a_band_without_width_is_refused(one):
    message = "the band is 4000 to 12000 Hz: it must lie between 0 and half the rate, 11025 Hz"
    with pytest.raises(ValueError, match=message):
        one.update(band=(4000, 12_000))


def test_controls(one):
    one.front.value = "msm_mae"
    assert front_ends.changed(**{k: v for k, v in one.choice().items() if k not in ("recording", "log")}) == mel.MSM_MAE
    one.front.value = "birdmae"
    assert one.band.max == 16_000 and "32,000 Hz" in one.text.value
    one.band.value = (3000, 3000)
    assert one.band.value == (3000, 3100)
    one.band.value = (16_000, 16_000)
    assert one.band.value == (15_900, 16_000)
    one.front.value = "inat"
    assert one.choice()["band"] == (50, 11_025) and "513 frames x 128 mel bins" in one.text.value
    one.listen.click()
    assert one.sounds.value.count("<audio") == 2
    one.log.value = False
    assert "in magnitude" in one.text.value and one.sounds.value == ""
    one.log.value = True
