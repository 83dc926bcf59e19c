"""The explorers show the names of recordings, species, models and files as text, whatever they hold."""
import io
import warnings

import examples
import numpy as np
import pytest
import soundfile
from names import NASTY, NO_UTF8, Page

from lib import mel, paths, plots
from lib.audio import AudioError
from lib.explorers import attention_maps, curation, front_ends, ownsound, reconstruction
from lib.explorers.base import View

MADE = ("p", "b", "img", "table", "tr", "th", "td", "div", "figure", "figcaption", "audio")


def shows(one, *names: str, heard: bool = False) -> None:
    """These names are on its page, and nothing else than it makes, after a problem was said and sounds were made."""
    one.say(" ".join(NASTY))
    one.listen.click() if heard else None
    found = [Page(widget.value) for widget in (one.picture, one.text, one.sounds, one.message)]
    assert all(page.only(*MADE) for page in found)
    picture, = [about for tag, about in found[0].tags if tag == "img"]
    for name in map(plots.plain, names):
        assert name in picture["alt"] + found[1].text + found[2].text
    assert found[3].text == f"Note: {plots.plain(' '.join(NASTY))}"


@pytest.mark.parametrize("first", range(0, len(NASTY), 4))
def test_species_may_be_called_anything(first, tmp_path, monkeypatch):
    names = sorted([*NASTY, *NASTY][first : first + 3])
    monkeypatch.setattr(examples, "LABELS", names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that is not there
        one, other = examples.of_confusions(tmp_path), examples.of_curation(tmp_path)
    shows(one, one.labels[0], one.labels[1], heard=True)
    assert [text.get_text().removesuffix(" (truth)") for text in one.ax.texts] == [
        plots.label(one.labels[k]) for k in np.argsort(-one.p[1], kind="stable")]
    assert plots.plain(f"{names[1]} taken for {names[0]} (2)") in [shown for shown, _ in one.pair.options]
    shows(other, heard=True)


def test_recordings_models_and_filters_may_be_called_anything(tmp_path):
    sound, model = examples.sounds()["rumble"], examples.models()["tiny"]
    made = examples.of_curation(tmp_path)
    for name in (NASTY[0], NASTY[3], NO_UTF8):
        shows(attention_maps.AttentionMaps({name: model}, {name: sound}), name)
        shows(front_ends.FrontEnds({name: sound}), name)
    one = reconstruction.Reconstruction({name: model for name in NASTY}, {"first": sound})
    for name in (*NASTY, NO_UTF8):
        one.add(name, sound)  # as an uploaded file
        shows(one, name)
    assert one.recording.options[-1] == (r"fr\udcffg", NO_UTF8) and one.recording.value == NO_UTF8
    other = curation.Curation({NASTY[3]: made.scores["bad"]}, made.train.assign(split="train"), mel.INAT)
    shows(other, NASTY[3])
    assert other.ax.get_xlabel() == r"score by \$a\$ \$b"


def test_the_numbers_beside_a_picture_may_be_called_anything(tmp_path, monkeypatch):
    one = examples.of_confusions(tmp_path)
    monkeypatch.setattr(one, "update", lambda **_: View(b"", "", "", dict.fromkeys(NASTY, 1.0)))
    one.show()
    assert Page(one.text.value).cells[: len(NASTY)] == [*map(plots.plain, NASTY)]


@pytest.mark.parametrize("name", [*NASTY, "sound." + "x" * 300, "sound.\0", f"sound.{NO_UTF8}", "a/b.wav/"])
def test_a_file_may_be_called_anything_when_it_is_uploaded(name):
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(0).normal(size=22_050), 22_050, format="WAV")
    assert len(ownsound.read(name, file.getvalue(), 3.0).wave) == 22_050
    said = []
    own = ownsound.OwnSound(3.0, lambda *_: None, said.append)
    own._uploaded({"new": ({"name": name, "content": b"no sound"},)})
    assert said[0].startswith(paths.line(name))
    with pytest.raises(AudioError):
        ownsound.read(name, b"", 3.0)
