"""The curation browser in plain Python."""

import examples
import numpy as np
import pytest

from lib import mel
from lib.explorers import curation
from lib.transfer import curate


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return examples.of_curation(tmp_path_factory.mktemp("curation"))


@pytest.mark.parametrize("percent", [1, 30, 50, 100])
def test_counts_are_those_of_the_filter(one, percent):
    view, kept = one.update("bad", percent), curate.keep(one.scores["bad"], f"{percent}%")
    assert (view.numbers["kept"], view.numbers["dropped"]) == (int(kept.keep.sum()), int((~kept.keep).sum()))
    found = curate.detector(one.scores["bad"], kept, one.calls)
    assert view.numbers["kept ones with a call (%)"] == pytest.approx(100 * found.precision)
    assert view.numbers["calls kept (%)"] == pytest.approx(100 * found.recall)
    assert f"score {kept.threshold:.4g} and more" in view.text


@pytest.mark.parametrize("which", curation.LISTS)
def test_lists_run_away_from_the_threshold(one, which):
    kept, shown, many = one.chosen("bad", 40, which)
    side, call = curation.LISTS[which]
    assert (kept.keep[shown.index] == side).all() and (call is None or (one.calls[shown.index] == call).all())
    assert shown["far"].is_monotonic_increasing
    _, later, _ = one.chosen("bad", 40, which, 1)
    assert many <= curation.SHOWN or later.index[0] == shown.index[1]
    assert len(one.chosen("bad", 40, which, 10_000)[1]) == min(many, curation.SHOWN)  # the list's end, not behind it


def test_empty_list_and_no_truth(one, tmp_path):
    view = one.update("good", 100, "just dropped")
    assert view.numbers["dropped"] == 0 and "0 windows." in view.text and "no window" in view.alt
    assert one.hear(filter="good", percent=100, which="just dropped") == []
    table, _ = examples.recordings(tmp_path)
    blind = curation.Curation({"bad": curate.grid(table, mel.INAT).assign(score=np.arange(24.0))}, table, mel.INAT)
    assert blind.which.options == ("just kept", "just dropped") and "calls kept (%)" not in blind.update().numbers
    with pytest.raises(ValueError, match="need the true calls"):
        blind.update(which="kept without a call")


def test_windows_without_a_score_stay_and_are_not_listed(one):
    table = one.train.assign(split="train")
    scores = one.scores["bad"].assign(score=one.scores["bad"]["score"].where(one.scores["bad"].index > 3))
    blind = curation.Curation({"bad": scores}, table, mel.INAT)
    _, shown, many = blind.chosen("bad", 100)
    assert blind.update("bad", 100).numbers["kept"] == 24 and many == 20 and shown["score"].notna().all()


def test_other_table_is_refused(one):
    with pytest.raises(ValueError, match="are of another table"):
        curation.Curation(one.scores, one.train.iloc[::-1], mel.INAT)
    with pytest.raises(ValueError, match="calls says of 3 windows"):
        curation.Curation(one.scores, one.train, mel.INAT, one.calls[:3])


def test_controls(one):
    first = one.update(**one.choice())
    assert one.update(**one.choice()) == first
    one.place.value = 2
    assert one.update(**one.choice()).image != first.image
    one.percent.value = 30
    assert one.place.value == 0 and "7 windows kept" in one.text.value  # another threshold: from its beginning
    one.listen.click()
    assert one.sounds.value.count("<audio") == curation.SHOWN and "score " in one.sounds.value
    one.filter.value = "bad"
    assert one.sounds.value == ""
