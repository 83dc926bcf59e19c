"""The explorers: their logic in plain Python, and one of them in a real browser, moved by keyboard."""

import base64
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import ipywidgets
import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from lib import fit, mae, mel, widgets

ARCH = mae.Arch(dim=32, depth=1, heads=2, decoder="plain", decoder_dim=16, decoder_depth=1, decoder_heads=2)


@pytest.fixture(scope="module")
def explorer():
    specs = torch.randn(2, 1, ARCH.frames, ARCH.mels, generator=fit.generator(1))
    return widgets.Reconstruction(mae.MAE(ARCH, fit.generator(0)), specs, mel.INAT, ["a <b> & \"c\"", "d"])


# ------------------------------------------------------------------------------------------------------------- update

def test_same_arguments_same_view(explorer):
    first = explorer.update(0, "random patches", 0.8, 3)
    explorer.update(1, "chessboard", 0.5, 0)  # what was drawn before leaves no trace
    assert explorer.update(0, "random patches", 0.8, 3) == first
    assert explorer.update(0, "random patches", 0.8, 4).image != first.image
    assert explorer.update(1, "random patches", 0.8, 3).loss != first.loss
    picture = Image.open(io.BytesIO(first.image))
    assert picture.format == "JPEG" and picture.width > 800


def test_loss_is_the_models(explorer):
    view, x = explorer.update(1, "time columns", 0.5, 2), explorer.specs[1:2]
    mask = widgets.MASKS["time columns"](1, explorer.model.grid, 0.5, fit.generator(2))
    with torch.no_grad():
        assert view.loss == pytest.approx(float(explorer.model(x, mask).loss), rel=1e-5)
    assert view.flat == pytest.approx(255 / 256, abs=1e-3)
    assert "128 of 256 patches hidden (50%; time columns, seed 2)" in view.text and f"{view.loss:.3f}" in view.text


@pytest.mark.parametrize("kind", widgets.MASKS)
@pytest.mark.parametrize("ratio", [0.1, 0.98])
def test_every_mask_at_both_ends_of_the_slider(explorer, kind, ratio):
    view = explorer.update(0, kind, ratio, 0)
    assert np.isfinite(view.loss) and view.alt
    if kind in widgets.PATTERNS:
        assert "128 of 256" in view.text and "seed" not in view.text


def test_a_mask_that_hides_nothing_says_so(explorer):
    view = explorer.update(0, "mel rows", 0.0, 0)
    assert "0 of 256 patches hidden" in view.text and "nan" not in view.text


def test_errors_name_what_is_needed(explorer):
    with pytest.raises(ValueError, match="unknown mask 'diagonal': choose one of random patches"):
        explorer.update(0, "diagonal")
    with pytest.raises(ValueError, match="2 names"):
        widgets.Reconstruction(explorer.model, explorer.specs[:1], mel.INAT, ["a", "b"])
    with pytest.raises(ValueError, match="64 frames x 128 mels, the model wants 512 x 128"):
        widgets.Reconstruction(explorer.model, explorer.specs[:, :, :64], mel.INAT, ["a", "b"])


# ----------------------------------------------------------------------------------------------------------- controls

def tree(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from tree(child)


def test_controls_change_the_picture_without_an_output_widget(explorer):
    every = list(tree(explorer.panel))
    assert not any(isinstance(one, ipywidgets.Output) for one in every)
    assert all(one.description for one in every if isinstance(one, (ipywidgets.Dropdown, ipywidgets.FloatSlider, ipywidgets.Button)))
    assert explorer.ratio.continuous_update is False
    seen = [explorer.picture.value]
    for change in (lambda: setattr(explorer.ratio, "value", 0.5), explorer.button.click, lambda: setattr(explorer.recording, "value", 1),
                   lambda: setattr(explorer.kind, "value", "chessboard")):
        change()
        assert explorer.picture.value not in seen
        seen.append(explorer.picture.value)
    assert explorer.ratio.disabled and explorer.button.disabled  # a pattern has no ratio
    explorer.kind.value = "mel rows"
    assert not explorer.ratio.disabled
    explorer.recording.value = 0
    assert "a &lt;b&gt; &amp; &quot;c&quot;" in explorer.text.value and 'alt="Four spectrograms of a &lt;b&gt;' in explorer.picture.value


# ------------------------------------------------------------------------------------------------------------ browser

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
NOTEBOOK = """
import torch
from lib import fit, mae, mel, widgets
arch = mae.Arch(dim=128, depth=4, heads=4, decoder="plain", decoder_dim=64, decoder_depth=1, decoder_heads=4)  # the scale tiny
specs = torch.randn(2, 1, arch.frames, arch.mels, generator=fit.generator(1))
widgets.Reconstruction(mae.MAE(arch, fit.generator(0)), specs, mel.INAT, ["first", "second"])
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    if os.environ.get("STUDY_NO_BROWSER"):
        pytest.skip("STUDY_NO_BROWSER is set: the explorer was not tried in a browser")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.fail("no chromium: apt-get install chromium (or set STUDY_NO_BROWSER=1 to leave this test out)", pytrace=False)
    return found


@contextmanager
def shown(code: str, chromium: str, folder: Path):
    """A page that shows the last line of this code, run by a kernel behind Voila."""
    from playwright.sync_api import sync_playwright

    python = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=python), folder / "explorer.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voila", "explorer.ipynb", "--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}"]
    settings = {**os.environ, "PYTHONPATH": str(Path(widgets.__file__).parents[1]), "JUPYTER_CONFIG_DIR": str(folder / "config")}
    with open(folder / "voila.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}", server, folder / "voila.log")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1100, "height": 620})
            page.set_default_timeout(60_000)
            page.goto(f"http://127.0.0.1:{port}", timeout=120_000)
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/static/", timeout=2).close()
            return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"Voila did not start: {log.read_text(encoding='utf-8')[-800:]}", pytrace=False)


def test_moves_by_keyboard_in_a_browser(chromium, tmp_path):
    with shown(NOTEBOOK, chromium, tmp_path) as page:
        waited = drive(page)
        page.screenshot(path=tmp_path / "explorer.png")
    print("seconds from key to picture:", waited)


def drive(page) -> dict[str, float]:
    """Every control once, by key where a key does it; seconds from key to picture."""
    picture, said = page.locator("img[alt^='Four spectrograms']"), page.get_by_role("status")
    picture.wait_for(timeout=120_000)
    assert "205 of 256 patches hidden (80%; random patches, seed 0)" in said.inner_text()
    waited = {}

    def after(name: str, press) -> str:
        """Press, wait until another picture is there, and check that the sentence followed."""
        source, text, begun = picture.get_attribute("src"), said.inner_text(), time.monotonic()
        press()
        page.wait_for_function("old => document.querySelector(\"img[alt^='Four']\").src !== old", arg=source)
        waited[name] = round(time.monotonic() - begun, 2)
        assert said.inner_text() != text
        return said.inner_text()

    slider = page.get_by_role("slider")
    slider.focus()
    assert "(82%; random patches, seed 0)" in after("slider", lambda: page.keyboard.press("ArrowRight"))
    page.get_by_role("button", name="new mask").focus()
    assert "seed 1" in after("new mask", lambda: page.keyboard.press("Space"))
    page.get_by_label("recording").focus()
    assert "second:" in after("recording", lambda: page.keyboard.press("ArrowDown"))
    assert "128 of 256 patches hidden (50%; chessboard)" in after("mask", lambda: page.get_by_label("mask", exact=True).select_option("chessboard"))
    assert "Four spectrograms of second" in picture.get_attribute("alt")
    kind, _, data = picture.get_attribute("src").partition(",")
    assert kind == "data:image/jpeg;base64" and Image.open(io.BytesIO(base64.b64decode(data))).width > 800
    assert picture.evaluate("img => img.complete && img.naturalWidth > 0")
    return waited
