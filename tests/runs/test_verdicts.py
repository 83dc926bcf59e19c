import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from names import NASTY, NO_UTF8, Page
from scipy import stats
from scipy.special import softmax

from lib import metrics, plots
from lib.runs import verdicts


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_forest_shows_every_row_under_its_answer():
    rows = pd.DataFrame({"change": [1.0, -2.0, 0.5, 4.0], "low": [0.5, -5.0, np.nan, 3.0],
                         "high": [1.5, 1.0, np.nan, 5.0], "answer": ["differs", "undecided", "few seeds", "differs"]})
    ax = Figure().subplots()
    verdicts.forest(ax, rows, ["a", "b$", "c", "d"], margin=3)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", r"b\$", "c", "d"] and ax.yaxis_inverted()
    band, *marks = ax.get_legend_handles_labels()[1]
    assert band == "within ±3 points" and marks == ["differs", "undecided", "few seeds"]
    points = {line.get_label(): line for line in ax.containers}
    assert points["differs"][0].get_xydata().tolist() == [[1, 0], [4, 3]]
    assert points["undecided"][0].get_markerfacecolor() == "white"


def test_restricting_as_published_leaves_hidden_classes_a_little():
    logits, kept = rng().normal(size=(4, 6)), [1, 4, 5]
    out = verdicts.restrict_as_published(logits, kept)
    mask = np.isin(np.arange(6), kept) * 1.0
    published = logits * mask + logits.min() * (1 - mask)           # the published line
    assert np.allclose(out, softmax(published, axis=1))
    ours = metrics.restrict(softmax(logits, axis=1), kept)
    assert (out[:, 0] > 0).all()
    assert np.allclose(out[:, kept] / out[:, kept].sum(1, keepdims=True), ours[:, kept])    # one window: same ranking
    assert not np.allclose(out[:1], verdicts.restrict_as_published(logits[:1], kept))  # and it depends on the batch
    with pytest.raises(ValueError, match="within 0 .. 5"):
        verdicts.restrict_as_published(logits, [6])
    with pytest.raises(ValueError, match="1 of them not finite"):
        verdicts.restrict_as_published(np.array([[1., -np.inf]]), [0])


def simulated(generator, seeds, effect=0.0, seed=.02, species=.07, cell=.05, classes=33, each=24):
    """Hits of two arms (S, R) and the targets: a is better by `effect` on average over seeds and species, but by how
    much varies by these standard deviations; species and recordings are easy or hard for both arms alike."""
    easy = generator.uniform(.3, .6, (classes, 1)) + generator.uniform(-.15, .15, (classes, each))
    arms = [generator.random((seeds, classes, each)) < easy + more + (
        seed * generator.normal(size=(seeds, 1, 1)) + species * generator.normal(size=(classes, 1))
        + cell * generator.normal(size=(seeds, classes, 1))) / np.sqrt(2) for more in (effect, 0)]
    return *(arm.reshape(seeds, -1).astype(float) for arm in arms), np.repeat(np.arange(classes), each)


def rates(seeds, worlds, **spread):
    """How often a difference is found where there is none, and where it is what an earlier pair said: its power80."""
    wrong = found = 0
    for world in range(worlds):
        generator = rng([seeds, world])
        earlier = verdicts.difference(*simulated(generator, seeds, **spread))
        wrong += earlier.p < verdicts.LEVEL
        later = verdicts.difference(*simulated(generator, seeds, earlier.power80, **spread))
        found += later.low > 0
    return wrong / worlds, found / worlds


@pytest.mark.parametrize("seeds, power", [(3, .7), (5, .78), (10, .8)])
def test_errors_and_power_are_as_stated(seeds, power):
    error, found = rates(seeds, 500)
    assert .01 < error < .08 and found == pytest.approx(power, abs=.06)  # three standard errors


def test_a_difference_is_that_of_the_class_averages_and_paired():
    generator = rng(2)
    a, b, targets = simulated(generator, 3, .1)
    found = verdicts.difference(a, b, targets)
    by_seed = [metrics.class_average(x, targets) - metrics.class_average(y, targets) for x, y in zip(a, b)]
    assert found.value == pytest.approx(np.mean(by_seed)) and found.low < found.value < found.high
    other = verdicts.difference(b, a, targets)
    assert (other.value, other.low, other.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert other.p == pytest.approx(found.p)
    alike = b.copy()
    alike[:, :20] = 0                                               # the same answers but for twenty recordings
    paired, single = verdicts.difference(b, alike, targets), metrics.bootstrap(b[0], targets, rng=rng())
    assert paired.high - paired.low < single.high - single.low
    with pytest.raises(ValueError, match="same seeds and recordings"):
        verdicts.difference(a, b[:2], targets)


def test_one_seed_is_the_paired_t_over_species():
    a, b, targets = simulated(rng(3), 1, .05)
    found = verdicts.difference(a[0], b[0], targets)
    theirs = stats.ttest_1samp(metrics.per_class_recall(a[0] - b[0], targets).share, 0)
    assert found.df == 32 and found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(.95)))


def test_seeds_or_species_alone_give_their_own_t():
    by_seed, by_class = rng(4).normal(size=(5, 1)), rng(5).normal(size=(1, 30))
    for gain, own in ((by_seed + np.zeros((5, 30)), by_seed), (by_class + np.zeros((5, 30)), by_class)):
        found, theirs = verdicts.crossed(gain), stats.ttest_1samp(own.ravel(), 0)
        assert found.df == pytest.approx(own.size - 1) and found.p == pytest.approx(theirs.pvalue)


def test_doubt_about_seeds_widens_and_more_seeds_narrow():
    gain = rng(6).normal(0, .1, (10, 40))
    few, many = verdicts.crossed(gain[:3]), verdicts.crossed(gain)
    apart = verdicts.crossed(gain[:3] + np.array([[-.2], [0], [.2]]))
    assert many.high - many.low < few.high - few.low < apart.high - apart.low
    assert apart.value == pytest.approx(few.value) and apart.df < 4


@pytest.mark.parametrize("gain", [np.zeros((3, 9)), np.full((2, 9), .2), rng().random((3, 1))])
def test_where_no_interval_can_be_had_there_is_none(gain):
    found = verdicts.crossed(gain)
    assert found.value == pytest.approx(gain.mean()) and np.isnan(found[1:5]).all() and np.isnan(found.power80)
    assert str(found).endswith(" (no interval)")
    assert verdicts.verdict(1, found.value, found.p, 3, "frogs") == "no interval, no verdict"


def test_a_difference_reads_in_points():
    found = verdicts.Difference(.032, -.01, .074, 5, .1, 3)
    assert str(found) == "+3.2 [-1.0, +7.4]" and found.power80 == pytest.approx(.042 * 1.4294, rel=1e-3)


def test_holm_is_that_of_the_textbook_and_keeps_gaps():
    assert verdicts.holm([.01, .04, .03, .005]) == pytest.approx([.03, .06, .06, .02])
    assert verdicts.holm([.01, np.nan, .9]) == pytest.approx([.02, np.nan, .9], nan_ok=True)
    assert len(verdicts.holm([])) == 0
    wrong = [(verdicts.holm(generator.random(8)) < verdicts.LEVEL).any() for generator in map(rng, range(2000))]
    assert np.mean(wrong) == pytest.approx(.05, abs=.015)           # of families, not of rows


def test_a_table_of_comparisons_is_a_family():
    a, b, targets = simulated(rng(8), 3, .3)
    none = np.zeros(len(targets))
    pairs = {"large": (a, b), "none": (b, b[::-1]), "single": (a[:1], b[:1]), "same": (a, a), "no hit": (none, none)}
    table = verdicts.compared([{"arm": name, "change": verdicts.difference(*pair, targets)}
                               for name, pair in pairs.items()]).set_index("arm")
    assert table["answer"].tolist() == ["differs", "undecided", "few seeds", "no interval", "few seeds"]
    assert table.loc["large", "change"] == pytest.approx(30, abs=8) and table["seeds"].tolist() == [3, 3, 1, 3, 1]
    likely = verdicts.Difference(.05, .01, .09, 9, .03, 3)          # alone it differs, among eight it does not
    assert [set(verdicts.compared([{"change": likely}] * n)["answer"]) for n in (1, 8)] == [{"differs"}, {"undecided"}]
    assert verdicts.compared([]).empty


def test_records_are_paired_by_seed():
    a, b, targets = simulated(rng(9), 3, .1)
    ours, base = (pd.DataFrame({"seed": seeds, "answers.test.hits": list(hits), "answers.test.targets": [targets] * 3})
                  for seeds, hits in (([2, 0, 1], a[[2, 0, 1]]), ([1, 2, 7], b)))
    assert verdicts.between(ours, base) == verdicts.difference(a[1:], b[:2], targets)
    assert verdicts.between(ours[ours["seed"] == 0], base) is None
    ours["answers_cnn.test.hits"] = ours["answers.test.hits"].to_list()[::-1]
    paired = verdicts.between(base, ours, theirs="answers_cnn")
    assert paired == verdicts.difference(b[:2], a[[2, 1]], targets)


@pytest.mark.parametrize("direction, value, p, said", [
    (1, 2, .01, "same direction"), (-1, 2, .01, "opposite"), (1, 2, .05, "undecided"),
    (0, 2, .01, "higher, the paper does not say"),
    (0, -2, .01, "lower, the paper does not say"), (-1, -2, .01, "same direction"), (1, 0, 1, "undecided")])
def test_verdict(direction, value, p, said):
    assert verdicts.verdict(direction, value, p, 3, "frogs-1a2b3c") == said
    for made in ("chorus", "chorus_empty_0.6-1a2b3c", "chorus + chorus_other_species-1a2b3c"):
        assert verdicts.verdict(direction, value, p, 3, made) == f"in the generator's world: {said}"
    assert verdicts.verdict(direction, value, p, 2, "frogs") == "few seeds, no verdict"


def read(markdown: str) -> Page:
    """What a reader of a table gets from it, and from the text after it."""
    page = Page(MarkdownIt("gfm-like", {"linkify": False}).render(markdown))
    assert page.only("table", "thead", "tbody", "tr", "th", "td", "p", "span", "strong")
    return page


def cells(*names: str) -> list[str]:
    text = verdicts.markdown(["name", "**next**"], [[verdicts.quoted(name), "**right**"] for name in names])
    return read(text).cells[2:]


@pytest.mark.parametrize("name", [*NASTY, NO_UTF8])
def test_a_name_is_text_in_markdown_and_stays_in_its_cell(name):
    assert cells(name, "other") == [plots.plain(name).strip(), "right", "other", "right"]


@given(st.text(st.characters(exclude_categories=())) | st.text("\\`*_[]()<>&|$~#!a1 -.:\n"))
def test_any_text_is_text_in_markdown(text):
    assert cells(text)[0] == plots.plain(text).strip()


def test_markdown_of_harmless_names_stays_as_it_is():
    for name in ("audioset_ssl+inat_ssl (stand-in)", "chorus empty 0.2 + chorus, tiny, seeds: 3", "confidence 50%"):
        assert verdicts.quoted(name) == name


def test_math_in_a_name_is_parted_by_tags():
    assert verdicts.quoted("$a$") == "<span>&#36;</span>a<span>&#36;</span>"  # Jupyter looks for it in the page's text
