"""The labelling desk and the map of sounds in plain Python: no answer is lost, and what comes out can be trained on."""
import warnings

import examples
import numpy as np
import pytest
from names import NASTY, Page

from lib import paths, plots, sources
from lib.explorers import labelling, soundmap

YES, NO, UNDO = ("yes", ""), ("no", ""), ("undo", "")


@pytest.fixture
def clips(tmp_path):
    return examples.clips(tmp_path / "sounds").head(4)


def press(desk, *answers) -> None:
    """As its widget would say them."""
    for kind, name in answers:
        desk.answers.said = [kind, name, desk.answers.said[2] + 1]


def test_every_answer_is_kept_at_once_and_the_desk_goes_on_where_it_was_left(clips, tmp_path):
    out = tmp_path / "sounds" / "answers.csv"
    desk = labelling.Labelling(clips, out, ["Aba", "Bebe"])
    assert "1 of 4: 0.wav, 0.0 to 3.0 s. Is it Aba? 0 of 4 are labelled" in desk.text.value and not out.exists()
    press(desk, YES)
    assert out.read_text(encoding="utf-8") == '"file","label","start_s","end_s"\n"0.wav","Aba",0.0,3.0\n'
    press(desk, NO, UNDO, ("other", "  Dada   dada "))
    assert desk.place.value == 3 and "<audio" in desk.sounds.value
    again = labelling.Labelling(clips, out)
    assert again.labels == ["Aba", "Dada dada", None, None] and again.place.value == 3
    press(again, ("other", "  "))
    assert "a label needs a name" in again.message.value and again.place.value == 3
    press(again, NO, YES)
    assert "all of them" in again.text.value and again.message.value == "" and again.place.value == 4
    press(again, *[UNDO] * 9)
    assert again.place.value == 1 and again.labels == [None] * 4 and not out.exists()


def test_the_answers_are_a_folder_of_recordings(clips, tmp_path):
    out = tmp_path / "sounds" / "metadata.csv"
    press(labelling.Labelling(clips.head(2), out), YES, ("other", "O'Neil, \"odd\"; & 青"))
    press(labelling.Labelling(clips.tail(2), out), YES, NO)  # the next round: the first one stays
    table = sources.recordings(f"folder:{out}", "wildlife")
    assert table["label"].tolist() == ["Aba", "O'Neil, \"odd\"; & 青", "Cici", "other"]
    assert table["file"].tolist() == clips["file"].tolist()
    assert (table["end_s"] - table["start_s"] == 3).all()
    away = tmp_path / "elsewhere" / "answers.csv"
    press(labelling.Labelling(clips.head(2), away), YES, YES)
    assert sources.recordings(f"folder:{away}", "wildlife")["file"].tolist() == clips["file"].head(2).tolist()


def test_answers_that_cannot_be_kept_say_so(clips, tmp_path, monkeypatch):
    desk = labelling.Labelling(clips, tmp_path / "answers.csv")
    with monkeypatch.context() as full:
        full.setattr(paths, "write_text", lambda *_: (_ for _ in ()).throw(OSError("no room")))
        press(desk, YES)
        assert "no room" in desk.message.value and desk.labels == [None] * 4 and desk.place.value == 1
    press(desk, YES)
    assert desk.labels[0] == "Aba" and desk.message.value == ""
    with pytest.raises(ValueError, match="there is no clip to label"):
        labelling.Labelling(clips.head(0), tmp_path / "answers.csv")


def test_a_file_of_answers_loses_nothing_to_the_desk(clips, tmp_path):
    out = tmp_path / "sounds" / "answers.csv"
    desk, other = labelling.Labelling(clips, out), labelling.Labelling(clips, out)
    press(desk, YES)
    press(other, NO, NO)  # it is open twice
    assert "answers.csv was changed by another program" in other.message.value and other.labels == [None] * 4
    out.write_text(text := out.read_text(encoding="utf-8") + '"9.wav","by hand",1,2\n')
    press(desk, YES, UNDO)
    assert out.read_text() == text and desk.labels == ["Aba", None, None, None]
    press(labelling.Labelling(clips, out), NO)
    assert out.read_text().splitlines()[1:] == ['"9.wav","by hand",1.0,2.0', '"0.wav","Aba",0.0,3.0',
                                                '"1.wav","other",0.0,3.0']
    for row, wrong in {"0.wav,Aba,test,hi": "columns that the desk would not keep .split, note.",
                       "0.wav,": "row 0 is not usable: file=.*, label=nothing",
                       "0.wav,Aba,x,1": "row 0 is not usable: start_s=x"}.items():
        columns = "file,label,split,note" if "hi" in row else "file,label,start_s,end_s"
        out.write_text(f"{columns}\n{row}\n")
        with pytest.raises(ValueError, match=wrong):
            labelling.Labelling(clips, out)


def test_a_name_that_begins_with_a_blank_is_read_again(clips, tmp_path):
    odd = tmp_path / "sounds" / " a.wav"
    paths.resolve(clips["file"][0]).rename(odd)
    mine, out = clips.head(1).assign(file=str(odd)), tmp_path / "sounds" / "answers.csv"
    press(labelling.Labelling(mine, out), YES)
    assert labelling.Labelling(mine, out).labels == ["Aba"]


def test_a_map_shows_what_is_alike(tmp_path):
    one = examples.of_soundmap(tmp_path)
    (row, itself), *others = one.around(6)
    assert row == 5 and itself == 1 and all(one.names[i] == one.names[5] and i != 5 for i, _ in others)
    view = one.update(6, "Bebe")
    assert view.numbers == {"neighbours of its species": 2} and "In colour: 4 clips of Bebe." in view.text
    assert one.points.lit == [1, 4, 7, 10] and one.points.near == [i for i, _ in others] and one.points.picked == [4]
    one.points.chosen = 2
    assert one.clip.value == 3 and "Clip 3 of 12" in one.text.value
    one.listen.click()
    assert one.sounds.value.count("<audio") == 3
    with pytest.raises(ValueError, match="got 12 clips, 11 vectors and 12 points"):
        soundmap.SoundMap(one.clips, one.x[1:], np.zeros((12, 2)))


def test_labels_and_names_are_text(clips, tmp_path):
    for name in NASTY[1:4]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a glyph that is not there
            desk = labelling.Labelling(clips.assign(label=name), tmp_path / f"{NASTY.index(name)}.csv", NASTY)
            one = soundmap.SoundMap(clips.assign(label=name), np.eye(4), np.eye(4)[:, :2])
            press(desk, YES)
            desk.place.value = 1
        for shown in (desk, one):
            page = Page(shown.text.value)
            assert page.only("p", "div", "table", "tr", "th", "td") and plots.plain(name) in page.text
