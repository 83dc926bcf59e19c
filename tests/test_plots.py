"""plots: axes say what they show, grey is exactly what is hidden, players are short; nothing here looks at pixels."""
import inspect
import io
import re
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from names import NASTY, NO_UTF8, Page

from lib import mel, patches, paths, plots
from lib.field import planner
from lib.mae import MAE, Arch

FRONT, PATCH = mel.INAT, (16, 16)
ANY = st.text(st.characters(exclude_categories=()))  # surrogates too
TABLE = ("style", "table", "thead", "tbody", "tr", "th", "td")


@pytest.fixture(autouse=True)
def no_window():
    matplotlib.use("Agg")
    yield
    plt.close("all")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def spec():
    return torch.randn(2, 1, 64, 128, generator=generator())


def drawn(spec):
    return patches.random_mask(len(spec), patches.grid_of(*spec.shape[2:], PATCH), 0.75, generator())


def test_a_spec_runs_to_the_right_and_upwards(spec):
    figure, ax = plt.subplots()
    image = plots.spec(ax, spec[0], FRONT, "a title", (-2, 3))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("time (s)", "frequency (kHz)", "a title")
    assert image.get_extent() == [0, pytest.approx(64 * FRONT.hop_s), 0, 128] and image.get_clim() == (-2, 3)
    # rows are mel bins, the lowest at the bottom
    assert image.origin == "lower" and np.array_equal(image.get_array(), spec[0, 0].T)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0.5", "1", "2", "4", "8"]
    for khz, place in zip((0.5, 1, 2, 4, 8), ax.get_yticks()):
        assert mel.centres(FRONT)[int(place)] == pytest.approx(1000 * khz, rel=0.05)


@pytest.mark.parametrize("shape", [(64, 128), (1, 64, 128), (1, 1, 64, 128)])
def test_a_spec_may_come_with_its_batch_axes(shape):
    x = torch.randn(shape, generator=generator())
    image = plots.spec(plt.subplots()[1], x, FRONT)
    assert image.get_array().shape == (128, 64)
    assert np.allclose(image.get_clim(), np.quantile(x.numpy(), [0.01, 0.998]))


def test_masked_is_nan_exactly_where_hidden(spec):
    mask = drawn(spec)
    seen = plots.masked(spec, mask, PATCH)
    assert seen.shape == spec.shape
    assert torch.equal(patches.patchify(seen, PATCH).isnan(), mask.hidden[..., None].expand(-1, -1, 256))
    assert torch.equal(seen[~seen.isnan()], spec[~seen.isnan()]) and not spec.isnan().any()  # the input is left alone


def test_hidden_is_drawn_in_one_grey(spec):
    image = plots.spec(plt.subplots()[1], plots.masked(spec, drawn(spec), PATCH)[0], FRONT)
    assert np.allclose(image.cmap.get_bad(), matplotlib.colors.to_rgba(plots.HIDDEN))
    assert image.get_array().mask.mean() == 0.75


def test_boxes_stand_at_their_seconds_and_frequencies(spec):
    ax = plt.subplots()[1]
    plots.spec(ax, spec[0], FRONT)
    events = pd.DataFrame({"start_s": [1.1], "end_s": [1.3], "low_hz": [1000], "high_hz": [4000]})
    plots.boxes(ax, events, FRONT, offset_s=1.0)
    (box,) = ax.patches
    assert box.get_x() == pytest.approx(0.1) and box.get_width() == pytest.approx(0.2)
    centres = mel.centres(FRONT)
    assert centres[int(box.get_y())] == pytest.approx(1000, rel=0.05)
    assert centres[int(box.get_y() + box.get_height() - 1)] == pytest.approx(4000, rel=0.05)


def test_a_reconstruction_has_four_labelled_panels_a_row(spec):
    arch = Arch(frames=64, dim=16, depth=1, heads=2, decoder="plain", decoder_dim=16, decoder_depth=1, decoder_heads=2)
    mask = drawn(spec)
    figure = plots.reconstruction(MAE(arch, generator()).eval(), spec, mask, FRONT, names=["first", "second"])
    titles = [ax.get_title() for ax in figure.axes]
    assert len(titles) == 8 and (titles[0], titles[4]) == ("first", "second")
    assert titles[1] == titles[5] == "8 of 32 patches visible"
    assert "borrowed" in titles[2] and titles[3].startswith("|error|; loss ")
    picture, error = figure.axes[2].images[0].get_array(), figure.axes[3].images[0].get_array()
    hidden = patches.unpatchify(mask.hidden[..., None].float().expand(-1, -1, 256), patches.grid_of(64, 128, PATCH),
                                PATCH)[0, 0].T.bool()
    assert np.allclose(picture[~hidden], spec[0, 0].T[~hidden]) and not error[~hidden].any() and error[hidden].all()


def test_a_curve_counts_clips_and_smooths():
    ax = plt.subplots()[1]
    plots.curve(ax, pd.DataFrame({"clips": [32, 32, 16], "loss": [3.0, 1.0, 2.0]}), "mine", smooth=2)
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [32, 64, 80] and line.get_ydata().tolist() == [3.0, 2.0, 1.5]
    assert (line.get_label(), ax.get_xlabel(), ax.get_ylabel()) == ("mine", "clips seen", "loss")


def decoded(player):
    return soundfile.read(io.BytesIO(player.data))


@pytest.mark.parametrize("rate", [22_050, 32_000])
def test_a_player_is_short_small_and_level(rate):
    wave = 0.01 * torch.sin(2 * torch.pi * 440 * torch.arange(5 * rate) / rate)
    player = plots.sound(wave, rate, seconds=2.0)
    heard, at = decoded(player)
    assert at == 22_050 and 1.9 < len(heard) / at < 2.15  # MP3 adds a frame or two
    assert abs(heard).max() == pytest.approx(0.7, abs=0.1)
    assert player.mimetype == "audio/mpeg" and len(player.data) < 60_000
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() * at / len(heard) == pytest.approx(440, abs=2)


def test_a_player_of_silence_or_less_than_asked():
    heard, at = decoded(plots.sound(torch.zeros(22_050), 22_050))
    assert not np.isnan(heard).any() and abs(heard).max() < 1e-3 and len(heard) / at < 1.2


def test_source_is_the_function_itself():
    assert plots.source(patches.random_mask).data == inspect.getsource(patches.random_mask)


@pytest.mark.parametrize("py", sorted([*(paths.ROOT / "notebooks").glob("*.py"), *(paths.ROOT / "lib").rglob("*.py")]),
                         ids=lambda path: path.stem)
def test_figures_stay_readable_when_projected(py):
    text = py.read_text(encoding="utf-8")
    assert "x-small" not in text, "the smallest text of a figure is `small`"
    assert all(float(size) >= 9
               for size in re.findall(r"(?:fontsize|labelsize|set_fontsize\(|set_size\()=?([\d.]+)", text))
    assert all(float(width) <= 14 for width in re.findall(r"figsize=\(([\d.]+)(?=,)",
                                                          text)), "a wider figure is shrunk, and its text with it"


def test_stored_figures_have_a_sensible_size():
    for png in (paths.ROOT / "figures").glob("*.png"):
        assert png.stat().st_size < 600_000 and max(plt.imread(png).shape) <= 2200, png.name


def test_save_writes_under_figures_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setattr(plots.paths, "ROOT", tmp_path)
    plots.save(plt.subplots()[0], "one")
    assert [f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*.png")] == ["figures/one.png"]


def test_a_plan_is_drawn_as_it_was_recorded():
    pilot = {"unit": "group", "sizes": [1, 2, 4],
             "error": [{"value": e, "low": e - 0.05, "high": e + 0.1} for e in (0.6, 0.4, 0.3)], "law": [0.5, 1.0, 0.1],
             "fan": {"n": [1, 10, 40], "low": [0.3, 0.6, 0.7], "high": [0.5, 0.9, 0.95]}, "target": 0.8}
    figure, ax = plt.subplots()
    planner.plan(ax, pilot)
    law = next(line for line in ax.lines if line.get_label() == "power law")
    np.testing.assert_allclose(law.get_ydata(), 1 - np.array([0.6, 0.15, 0.1125]))
    points = ax.containers[0]
    np.testing.assert_allclose(points[0].get_ydata(), [0.4, 0.6, 0.7])
    np.testing.assert_allclose([segment[:, 1] for segment in points[2][0].get_segments()],
                               [[0.3, 0.45], [0.5, 0.65], [0.6, 0.75]])
    plt.close(figure)


# Names are text -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [*NASTY, NO_UTF8])
def test_a_name_is_text_wherever_it_stands_in_a_table_and_however_that_is_formatted(name):
    index = pd.MultiIndex.from_arrays([pd.Index([name], dtype=object), [0.5]], names=[name, "i"])
    columns = pd.Index(["n", name, "list"], name=name, dtype=object)
    frame = pd.DataFrame([[1.25, name, [name]]], index, columns, dtype=object)
    table = plots.table(frame).format({"n": "{:.1f}"}).format("{}", subset=["list"]).hide(level=1)
    page, shown = Page(table.to_html()), plots.plain(name)
    assert page.only(*TABLE) and page.cells.count(shown) == 5 and "1.2" in page.cells
    assert plots.plain([name]) in page.cells
    ignored = "mathjax_ignore" in dict(page.tags)["table"].get("class", "")  # Jupyter sets $a$ in a table
    assert ignored == bool({"$", "\\"} & {*shown, *plots.plain([name])})


@given(ANY, ANY)
def test_any_text_is_text_in_a_table(one, other):
    frame = pd.DataFrame([[one], [other]], pd.Index([other, one], dtype=object), ["a"], dtype=object)
    page = Page(plots.table(frame).to_html())
    assert page.only(*TABLE)
    assert page.cells[2:] == [plots.plain(text) for text in (other, one, one, other)]


def test_numbers_and_what_is_missing_stay_in_a_table():
    frame = pd.DataFrame({"share": [0.125, np.nan], "<n>": pd.Series([1, None], dtype=object), "yes": [True, False]})
    table = plots.table(frame).format({"share": "{:.1%}", "&lt;n&gt;": "{:d}"}, na_rep="none")
    assert Page(table.to_html()).cells[1:] == ["share", "<n>", "yes", "0", "12.5%", "1", "True", "1", "none", "none",
                                               "False"]
    assert Page(plots.table(pd.DataFrame()).to_html()).cells == []


@given(ANY)
def test_any_text_is_text_between_tags_and_in_an_attribute(text):
    page = Page(f'<p title="{plots.escaped(text)}">{plots.escaped(text)}</p>')
    assert page.tags == [("p", {"title": plots.plain(text)})] and page.text == plots.plain(text)


@given(ANY)
def test_plain_is_one_line_of_utf8_that_loses_nothing_printable(text):
    line = plots.plain(text)
    assert len(line.encode().decode().splitlines()) <= 1 and plots.plain(line) == line
    assert "".join(filter(str.isprintable, text)) in line or any(not c.isprintable() for c in text)


def test_what_is_no_utf8_is_shown_with_a_backslash():
    assert plots.plain(NO_UTF8) == plots.label(NO_UTF8) == plots.escaped(NO_UTF8) == r"fr\udcffg"
    assert plots.label("青蛙") == r"\u9752\u86d9"  # without a glyph; a box would be the same for both


FIGURE = FigureCanvasAgg(Figure(figsize=(4, 0.5), dpi=50, layout="none"))


def pixels(text: str, **look) -> np.ndarray:
    note = FIGURE.figure.text(0, 0.3, text, **look)
    FIGURE.draw()
    note.remove()
    return np.asarray(FIGURE.buffer_rgba()).copy()


@given(st.text("$\\_{}^%&#ab 1<|", max_size=12))
@example(r"$\frac$ $x")
@example(r"a\$b$")
def test_a_label_is_drawn_as_the_text_it_is(text):
    shown = f" {text}" if text.startswith("_") else text
    assert (pixels(plots.label(text)) == pixels(shown, parse_math=False)).all()


@given(ANY)
@example("$" * 300)
@example("\0")
def test_any_text_can_be_a_label_without_a_warning(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels(plots.label(text))
    assert len(plots.label(text).replace(r"\$", "$")) <= plots.LONGEST + 1


@pytest.mark.parametrize("name", [*NASTY, NO_UTF8])
def test_a_name_is_drawn_in_titles_ticks_legends_and_notes(name, spec):
    figure, axes = plt.subplots(1, 2, figsize=(6, 3))
    image = plots.spec(axes[0], spec[0], FRONT, name)
    label = plots.label(name)
    assert image.axes.get_title() == label and "\n" not in label
    axes[1].plot([0, 1], label=label)
    axes[1].set_xticks([0.5], [label])
    axes[1].annotate(label, (0, 0))
    legend = axes[1].legend()
    assert [text.get_text() for text in legend.get_texts()] == [label]  # also of what begins with _
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()


def test_a_long_name_keeps_its_begin_and_its_end():
    label = plots.label("Rana " + "x" * 300 + " 7")
    assert len(label) == plots.LONGEST and label.startswith("Rana x") and "…" in label and label.endswith("x 7")
    assert len(plots.label("x" * 300, 100)) == 100 and plots.label("x" * 60) == "x" * 60


def test_a_title_of_a_spec_may_have_several_lines(spec):
    image = plots.spec(plt.subplots()[1], spec[0], FRONT, ["one\ntwo", "$3"])
    assert image.axes.get_title() == "one two\n\\$3"
