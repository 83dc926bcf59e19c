"""The site, the slides and the sheet: built from what is stored, and opened from their files in a real browser."""
import re
import sys
from pathlib import Path

import nbformat
import pytest

from lib import paths
from lib.course import build, handouts, site, slides

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDTHS = (1280, 390)
LOADED = re.compile(r"<(?:script|link|img|source|iframe)[^>]* (?:src|href)=\"https?:")
NARROW = "document.documentElement.scrollWidth <= innerWidth"
DURATION = """audio => new Promise((done, fail) => {
    audio.onerror = fail; audio.readyState ? done(audio.duration) : audio.onloadedmetadata = () => done(audio.duration);
})"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder of the real site, slides and sheet among it."""
    for name in ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_revealjs"):
        pytest.importorskip(name, reason=f"{name} is not installed: {slides.NEEDS}")
    folder = tmp_path_factory.mktemp("site")
    assert site.site(str(folder)) == 0, "Sphinx warns, see above"
    return folder


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def page(request, browser, built):
    """A page as wide as a laptop's and a telephone's window; nothing may be asked for outside the site's folder."""
    page = browser.new_page(viewport={"width": request.param, "height": 800})
    asked, wrong = [], []
    page.on("request", lambda one: asked.append(one.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    wrong = [error for error in wrong if error != "Failed to fetch"]  # summaries of what was found need a server
    page.close()
    assert [url for url in asked if not url.startswith((built.as_uri(), "data:"))] == [] == wrong


# In a browser -------------------------------------------------------------------------------------------------------

def test_a_lesson_can_be_read_and_heard(page, built):
    page.goto((built / "notebooks" / "01_masking.html").as_uri())
    lessons = [py.stem for py in sorted(build.FOLDER.glob("*.py"))]
    for name in lessons + ["TEACHING"]:
        assert page.locator(f'nav a[href$="{name}.html"], nav a[href="#"]').count()
    setup = page.locator("details.above-input").first
    assert "Set-up" in setup.locator("summary").inner_text() and not setup.locator("pre").is_visible()
    players = page.locator("audio")
    assert players.count() >= 4 and 1 < players.first.evaluate(DURATION) < 60
    assert page.locator("mjx-container svg").count() > 5
    assert all(len(text or "") > 20 for text in page.locator(".cell_output img").evaluate_all(
        "all => all.map(one => one.getAttribute('alt'))"))
    assert page.evaluate(NARROW)


@pytest.mark.parametrize("name", ["index", "papermill_runs/RESULTS", "notebooks/TEACHING",
                                  "notebooks/13_break_the_mae"])
def test_nothing_is_wider_than_the_window(page, built, name):
    page.goto((built / f"{name}.html").as_uri())
    assert page.locator("article h1").count() == 1 and page.evaluate(NARROW)


def test_the_search_finds_a_lesson(page, built):
    page.goto((built / "search.html").as_uri() + "?q=chessboard")
    found = page.locator("ul.search a", has_text="Masking")
    found.wait_for()
    found.click()
    assert page.url.partition("?")[0].endswith("01_masking.html")


def test_the_slides_show_pictures_and_keep_code_back(page, built):
    page.goto((built / "slides.html").as_uri())
    page.locator("h1").first.wait_for()
    assert page.evaluate(NARROW) and page.locator("section section").count() >= 8
    assert page.locator("img[alt]").count() >= 3 and not page.locator("img:not([alt])").count()
    if page.viewport_size["width"] == 390:  # all slides below each other
        assert page.locator("section section").nth(3).is_visible() and page.locator(".fragment").first.is_visible()
        return
    assert not page.locator(".fragment").first.is_visible()
    tall = page.evaluate("""() => Reveal.getSlides().filter(one => {
        const at = Reveal.getIndices(one); Reveal.slide(at.h, at.v); return one.scrollHeight > 721;
    }).map(one => one.innerText.trim().slice(0, 60))""")
    assert tall == [], "more than a slide holds: tag less of it, or begin a subslide"
    shown = page.evaluate("Reveal.getSlides().map(one => one.innerText)")
    assert len(shown) > 8 and any("def test_" in text for text in shown)
    assert not any("plt.subplots" in text for text in shown)


def test_the_90_minutes_are_one_printed_page(browser, built):
    page = browser.new_page()
    page.goto((built / "sheet.html").as_uri())
    assert page.locator("h2").all_inner_texts()[:2] != [] and page.locator(".line").count() > 40
    whole = page.pdf(prefer_css_page_size=True)
    page.evaluate("[...document.querySelectorAll('header, .page')].slice(2).forEach(one => one.remove())")
    path = page.pdf(prefer_css_page_size=True)
    page.close()
    count = [len(re.findall(rb"/Type\s*/Page\b", pdf)) for pdf in (path, whole)]
    assert count[0] == 1 < count[1], f"{count[0]} pages: fewer or shorter predictions in {', '.join(handouts.PATH)}"


def test_no_page_loads_anything_from_elsewhere(built):
    pages = [file for file in built.rglob("*.html") if "_static" not in file.parts]
    assert len(pages) > 20
    for file in pages:
        assert not LOADED.search(file.read_text(encoding="utf-8")), file.name


# Without one --------------------------------------------------------------------------------------------------------

def test_links_lead_to_pages_of_the_site():
    todo = []
    text = "[a](../lib/mae.py) [b](../lib) [c](01_masking.ipynb#x) [d](../README.md) [e](nowhere.md) [f](https://a.b/c)"
    assert site._linked(text, "notebooks/TEACHING.md", todo) == (
        "[a](../lib/mae.py.md) [b](../lib/__init__.py.md) [c](01_masking.ipynb#x) [d](../index.md) [e](nowhere.md) "
        "[f](https://a.b/c)")
    assert todo == ["lib/mae.py", "lib/__init__.py", "notebooks/01_masking.ipynb", "README.md"]


@pytest.mark.parametrize("command", ["site", "slides"])
def test_without_its_packages_one_line_says_what_to_install(command, monkeypatch, capsys, tmp_path):
    for name in ("sphinx", "nbconvert"):
        monkeypatch.setitem(sys.modules, name, None)
    assert build.main([command, f"out={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install -r notebooks/requirements-site.txt" in said
    assert not list(tmp_path.iterdir())


def test_what_both_lists_of_requirements_hold_they_hold_alike():
    ours, theirs = ({re.split(r"[<>=]", line)[0]: line for line in (paths.ROOT / name).read_text().splitlines()}
                    for name in ("notebooks/requirements-site.txt", "requirements.txt"))
    both = [name for name in ours if name in theirs and name.isidentifier()]
    assert len(both) >= 5 and [ours[name] for name in both] == [theirs[name] for name in both]


def cell(text, *tags, outputs=None):
    made = nbformat.v4.new_markdown_cell(text) if outputs is None else nbformat.v4.new_code_cell(text, outputs=outputs)
    made.metadata["tags"] = list(tags)
    return made


def test_a_slide_has_the_heading_above_it_and_ends_before_the_next():
    text = nbformat.v4.new_output("stream", text="seen")
    echo = nbformat.v4.new_output("execute_result", {"text/plain": "<Legend>"})
    figure = nbformat.v4.new_output("display_data", {"image/png": "AA==", "text/plain": "<Figure>"},
                                    metadata={"image/png": {"alt": "A \"line\""}})
    shown = slides._tagged(nbformat.v4.new_notebook(cells=[
        cell("# 07 · A title\n\nwords"), cell("told\n\n```python\n# no heading\n```\n\n## The loss"),
        cell("draw()", "slide", outputs=[text, echo]), cell("*Figure 1.*\n\n## Next", "fragment"),
        cell("## Own\n\nwords", "subslide"), cell("left out"),
        cell("# NBVAL_CHECK_OUTPUT\nf()", "subslide", "code", outputs=[text, figure])]))
    assert [(one.metadata.slideshow.slide_type, one.source) for one in shown] == [
        ("slide", "# 07 · A title"), ("slide", "## The loss"), ("-", "draw()"), ("fragment", "*Figure 1.*"),
        ("subslide", "## Own\n\nwords"), ("subslide", "## Own"), ("-", "f()")]
    assert [("outputs-only" in one.metadata.tags, one.outputs) for one in shown if one.cell_type == "code"] == [
        (True, [text]), (False, [figure])]
    assert figure.data == {"text/html": '<img alt="A &quot;line&quot;" src="data:image/png;base64,AA==">'}
    assert slides._tagged(nbformat.v4.new_notebook(cells=[cell("# Untagged")])) == []


def test_predictions_come_with_what_is_asked_for():
    found = handouts.predictions(nbformat.v4.new_notebook(cells=[
        cell("# 07 · A title"), cell("words\n\n> **Predict before you read on.** How\n> many?\n\nmore", "slide"),
        cell("few = None  # per cent\nmany = None  # of 128", "predict", outputs=[]),
        cell("> **Predict.** Which?\n\n> **Your diagnosis.** Why?\n\n> **Note.** Not this."),
        cell("# in per cent\nalone = None", "predict", outputs=[]), cell("other = None", outputs=[])]))
    assert found == [("How many?", ["per cent", "of 128"], True), ("Which?", [""], False),
                     ("**Your diagnosis.** Why?", ["in per cent"], False)]
    for title, first in (("# 00 · Without slides", True), ("# 03 · Without slides", False)):
        lesson = nbformat.v4.new_notebook(cells=[cell(title), cell("> **Predict.** Which?")])
        assert handouts.predictions(lesson) == [("Which?", [""], first)]


def test_words_are_those_of_the_prose(capsys):
    text = ("Two words, 3 more: $x = y$ [a link](http://a.b/c d)\n\n```python\nnot these\n```\n"
            "<details>nor\nthese</details>")
    assert handouts.words(nbformat.v4.new_notebook(cells=[cell(text), cell("print()", outputs=[])])) == 6
    handouts.times()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(list(build.FOLDER.glob("*.ipynb")))
    assert all(re.match(r"\d\d_\w+ +[1-9],?\d{3} +\d+ ", line) for line in lines[1:])
