import base64
import io

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from PIL import Image

from lib.course import build, figures

TOY = '''# %%
from lib import plots
plots.style()

# %%
import matplotlib.pyplot as plt
figure, ax = plt.subplots(figsize=(5, 3))
ax.plot([1, 2])
ax.text(0.5, 1.5, "first of two texts")
ax.text(0.5, 1.5, "second of two texts");

# %% [markdown]
# *Figure 3b. A line with two texts over each other.* **See:** nothing.

# %%
figure, ax = plt.subplots(figsize=(5, 3))
ax.set(xlabel="time (s)", ylabel="loss");

# %% [markdown]
# *Figure 4. Empty axes.* **See:** that nothing overlaps.
'''


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    py = tmp_path_factory.mktemp("toy") / "00_toy.py"
    py.write_text(TOY)
    return build.build(py, timeout=120)


def figure(dpi=110, **look):
    made = plt.figure(figsize=(5, 3), dpi=dpi, layout="constrained", **look)
    return made, made.subplots()


# Texts of a live figure

def test_texts_that_lie_over_each_other_are_named_and_neighbours_are_not():
    made, ax = figure()
    ax.set(xlabel="time (s)", ylabel="frequency (kHz)", title="a title")
    assert figures.texts(made)["overlapping"] == []
    ax.text(0.5, 0.5, "one")
    ax.text(0.5, 0.52, "two")
    assert figures.texts(made)["overlapping"] == ["one | two"]


def test_a_hidden_text_and_ticks_beyond_the_axis_do_not_count():
    made, ax = figure()
    ax.text(0.5, 0.5, "one")
    ax.text(0.5, 0.5, "two", visible=False)
    ax.set_xticks([0, 0.5, 5, 5.001], ["a", "b", "far away", "far away too"])
    ax.set_xlim(0, 1)
    assert figures.texts(made)["overlapping"] == []


@pytest.mark.parametrize("angle", (30, 45, 60, 135))
def test_turned_names_of_ticks_stand_beside_each_other_though_their_boxes_do_not(angle):
    made, ax = figure()
    names = [f"a species of a long name {i}" for i in range(8)]
    ax.set_xticks(range(8), names, rotation=angle)
    assert figures.texts(made)["overlapping"] == []
    ax.set_xticks(range(8), names, rotation=0)
    assert len(figures.texts(made)["overlapping"]) >= 7


def test_a_size_is_that_at_900_pixels():
    for wide, points in ((5, 10 * 110 / 96), (16, 10 * 110 / 96 * 900 / 1760)):
        made, ax = figure()
        made.set_size_inches(wide, 3)
        ax.axis("off")
        ax.text(0.5, 0.5, "text", fontsize=10)
        assert figures.texts(made)["smallest_pt"] == pytest.approx(points, abs=0.06)
    assert figures.texts(plt.figure())["smallest_pt"] is None


# Stored notebooks

def test_a_build_stores_what_it_saw_and_check_says_it(toy):
    found = build.lint(toy)
    assert [line for line in found if "first of two texts | second of two texts" in line]
    shown = [output for cell in nbformat.read(toy, as_version=4).cells for output in cell.get("outputs", [])
             if "image/jpeg" in output.get("data", {})]
    seen = [output.metadata["image/jpeg"] for output in shown]
    assert [len(about["overlapping"]) for about in seen] == [1, 0]
    assert all(about["smallest_pt"] >= 8 and about["alt"] for about in seen)
    assert not [line for line in found if "cell 3:" in line], "the figure without an overlap is in order"


def test_figures_for_lectures_have_the_notebooks_and_the_captions_name(toy, tmp_path):
    files = build.export(toy.with_suffix(".py"), tmp_path, timeout=120)
    assert [file.name for file in files] == ["00_toy_figure_03b.png", "00_toy_figure_04.png"]
    for file in files:
        with Image.open(file) as picture:
            assert round(picture.info["dpi"][0]) == figures.LECTURE and picture.width > 900
            assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def image(dpi, **about):
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, format="png", dpi=(dpi, dpi))
    return new_output("display_data", {"image/png": base64.b64encode(file.getvalue()).decode()},
                      metadata={"image/png": about})


@pytest.mark.parametrize("output, words", [
    (image(72, overlapping=[], smallest_pt=9), "72 dots an inch"), (image(110), "not looked at"),
    (image(110, overlapping=["a | b"], smallest_pt=9), "a | b"),
    (image(110, overlapping=[], smallest_pt=7.2), "7.2 points"),
    (image(110, overlapping=[], smallest_pt=8.0), ""), (image(200, overlapping=[], smallest_pt=None), "")])
def test_a_stored_picture(output, words):
    found = figures.lint_image(output, "image/png")
    assert len(found) == bool(words) and words in " ".join(found)


def test_tables_with_nan_decimals_of_counts_and_six_digits():
    frame = ("<table><thead><tr><th></th><th>recordings</th><th>hours</th></tr></thead><tbody>"
             "<tr><th>train</th><td>{}</td><td>{}</td></tr></tbody></table>")
    for recordings, hours in (("407.00", "1"), ("407", "NaN"), ("407", "+nan"), ("407", "nan %"), ("407", "1.000000")):
        assert figures.lint_tables(frame.format(recordings, hours)), (recordings, hours)
    for recordings, hours in (("407", "1.50"), ("1,407", ""), ("2", "–"), ("2", "Nandu"), ("none", "0.00025")):
        assert not figures.lint_tables(frame.format(recordings, hours)), (recordings, hours)


def test_lectures_figures_of_one_caption_are_counted(tmp_path):
    (tmp_path / "shots").mkdir()
    cells = []
    for number in range(3):
        (tmp_path / f"shots/{number}.png").write_bytes(b"")
        cells.append(new_output("display_data", {"image/png": ""}, metadata={"image/png": {"number": number}}))
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell("", outputs=cells[:2]), new_markdown_cell("*Figure 2.*"),
                                               new_code_cell("", outputs=cells[2:])])
    files = figures.collect(notebook, "x", tmp_path / "shots", tmp_path / "out")
    assert [file.name for file in files] == ["x_figure_02.png", "x_figure_02_2.png", "x_figure_after_2.png"]


def test_the_picture_of_an_explorer_is_in_a_lectures_set(tmp_path):
    shown = image(96)  # it is a result of its cell, and has no number
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell("", outputs=[shown]), new_markdown_cell("*Figure 6.*"),
                                               new_code_cell("", outputs=[shown]), new_markdown_cell("no caption")])
    file, = figures.collect(notebook, "x", tmp_path, tmp_path / "out")
    with Image.open(file) as picture:
        assert file.name == "x_figure_06.png" and picture.size == (40, 30)
