"""What the explorers share in plain Python, and all of them in a real browser: one server, one page, every control."""

import base64
import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import examples
import ipywidgets
import nbformat
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from lib import mel, paths, training
from lib.explorers import base
from lib.explorers.base import Sound


@pytest.fixture(scope="module")
def all_of_them(tmp_path_factory) -> dict:
    return examples.every(tmp_path_factory.mktemp("recordings"))


def tree(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from tree(child)


NAMES = ["reconstruction", "attentionmaps", "curation", "confusions", "frontends", "labelling", "soundmap"]


@pytest.mark.parametrize("name", NAMES)
def test_no_output_widget_and_every_control_has_a_name(all_of_them, name):
    every = list(tree(all_of_them[name].panel))
    assert not any(isinstance(one, ipywidgets.Output) for one in every)
    kinds = (ipywidgets.Dropdown, ipywidgets.IntSlider, ipywidgets.FloatSlider, ipywidgets.IntRangeSlider,
             ipywidgets.Button, ipywidgets.Checkbox, ipywidgets.FileUpload)
    controls = [one for one in every if isinstance(one, kinds)]
    assert all(one.description for one in controls) and len(controls) >= (2 if name == "labelling" else 3)
    assert all(one.continuous_update is False for one in every if hasattr(one, "continuous_update"))
    image = '<img style="max-width: 100%" alt="[^"<>]{40,}" src="data:image/jpeg;base64,'
    assert re.search(image, all_of_them[name].picture.value)


def test_a_problem_is_one_line_and_never_markup(all_of_them):
    one = all_of_them["reconstruction"]
    one.say("<script> & co")
    assert 'role="alert"' in one.message.value and "&lt;script&gt; &amp; co" in one.message.value
    one.say("")
    assert one.message.value == ""


def test_numbers_are_short():
    numbers = (float("nan"), 12_345, 0.123456, 12_345.6, 12.3456)
    assert [base._number(x) for x in numbers] == ["–", "12,345", "0.123", "12,346", "12.35"]


def test_spec_resamples_cuts_and_pads():
    wave = torch.randn(44_100, generator=training.generator(0))
    assert Sound(wave, 44_100).spec(mel.INAT).shape == (1, 1, mel.INAT.count(22_050), 128)
    x = Sound(wave, 44_100).spec(mel.INAT, 512)
    padded = x[0, 0, mel.INAT.count(22_050) :]
    assert x.shape == (1, 1, 512, 128) and (padded == mel.normalise(mel.INAT.pad, mel.INAT)).all()
    long = Sound(wave.repeat(4), 22_050)
    assert torch.equal(long.spec(mel.INAT, 512), mel.LogMel(mel.INAT)(long.wave[None])[:, :, :512])


def test_loudest():
    wave = torch.zeros(1000)
    wave[600:650] = 1
    assert 550 <= base.loudest(wave, 100, 10) <= 600
    assert base.loudest(wave, 2000, 10) == 0 and base.loudest(wave[:1], 100, 10) == 0


# ------------------------------------------------------------------------------------------------------------ browser

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update",
         "--autoplay-policy=no-user-gesture-required", "--use-fake-device-for-media-stream",
         "--use-fake-ui-for-media-stream"]
DURATIONS = """all => Promise.all(all.map(a => new Promise((done, fail) => {
    a.readyState ? done(a.duration) : (a.onloadedmetadata = () => done(a.duration), a.onerror = fail);
})))"""
PLAYED = """async a => {
    await a.play(); await new Promise(done => setTimeout(done, 400)); a.pause(); return a.currentTime;
}"""
SETUP = """
import sys, tempfile
from pathlib import Path
sys.path.insert(0, {tests!r})
import examples
made = examples.every(Path({folder!r}))
"""


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory) -> Iterator:
    """All explorers on one page, by a kernel behind Voila."""
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("voila")
    setup = SETUP.format(tests=str(Path(__file__).parents[1]), folder=str(folder))
    cells = [nbformat.v4.new_code_cell(cell) for cell in (setup, *(f"made[{name!r}]" for name in NAMES))]
    python = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=python), folder / "explorers.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voila", "explorers.ipynb", "--no-browser", "--Voila.ip=127.0.0.1",
               f"--port={port}"]
    settings = {**os.environ, "PYTHONPATH": str(paths.ROOT), "JUPYTER_CONFIG_DIR": str(folder / "config")}
    with open(folder / "voila.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}", server, folder / "voila.log")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1180, "height": 900}, permissions=["microphone"])
            page.set_default_timeout(120_000)
            page.goto(f"http://127.0.0.1:{port}", timeout=300_000)
            page.locator(".explorer.frontends img").wait_for(timeout=300_000)
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 180) -> None:
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


class Driven:
    """One explorer on the page."""

    def __init__(self, page, name: str) -> None:
        self.page, self.name, self.part, self.waited = page, name, page.locator(f".explorer.{name}"), {}
        self.picture, self.said = self.part.locator("img"), self.part.locator("p[role=status]").first

    def after(self, what: str, press: Callable[[], None]) -> str:
        """Press, wait until another picture is there, and give the sentence that came with it."""
        old, begun = self.picture.get_attribute("src"), time.monotonic()
        press()
        self.page.wait_for_function("([css, old]) => document.querySelector(css).src !== old",
                                    arg=[f".explorer.{self.name} img", old])
        self.waited[what] = round(time.monotonic() - begun, 2)
        kind, _, data = self.picture.get_attribute("src").partition(",")
        assert kind == "data:image/jpeg;base64" and Image.open(io.BytesIO(base64.b64decode(data))).width == 1210
        assert self.picture.evaluate("img => img.decode().then(() => img.naturalWidth > 0)")
        return self.said.inner_text()

    def key(self, slider: str, key: str = "ArrowRight") -> Callable[[], None]:
        def press():
            self.part.locator(".widget-slider").filter(has_text=slider).get_by_role("slider").first.focus()
            self.page.keyboard.press(key)

        return press

    def select(self, name: str, value: str) -> Callable[[], None]:
        return lambda: self.part.get_by_label(name, exact=True).select_option(value)

    def press(self, name: str) -> Callable[[], None]:
        """A button by keyboard."""
        def press():
            self.part.get_by_role("button", name=name).focus()
            self.page.keyboard.press("Space")

        return press

    def upload(self, name: str, content: bytes) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.part.get_by_role("button", name="upload a sound").click()
        chooser.value.set_files({"name": name, "mimeType": "audio/wav", "buffer": content})

    def listen(self, count: int) -> None:
        """Every player holds a sound that decodes, and the first one plays."""
        self.press("listen")()
        players = self.part.locator("audio")
        players.nth(count - 1).wait_for(state="attached")
        assert players.count() == count and all(players.nth(i).get_attribute("aria-label") for i in range(count))
        assert all(1 < seconds < 4 for seconds in players.evaluate_all(DURATIONS))
        assert players.first.evaluate(PLAYED) > 0

    def look(self, folder: Path) -> None:
        self.part.screenshot(path=folder / f"{self.name}.png")
        print(f"{self.name}: seconds from key to picture in the browser {self.waited}; screenshot {folder}")


def wav(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 44_100, format="WAV")
    return buffer.getvalue()


def test_reconstruction_in_a_browser(page, tmp_path):
    one = Driven(page, "reconstruction")
    assert "205 of 256 patches hidden (80%; random patches, seed 0)" in one.said.inner_text()
    assert "(82%; random patches, seed 0)" in one.after("slider", one.key("mask ratio"))
    assert "seed 1" in one.after("new mask", one.press("new mask"))
    assert ", 1 by hand" in one.after("click", lambda: one.part.locator("[data-patch='100']").click())
    page.keyboard.press("ArrowUp")  # the grid has the focus now
    assert "time column 13 of 32, mel row 6 of 8" in one.part.locator(".patchgrid-note").inner_text()
    assert ", 2 by hand" in one.after("space bar on the grid", lambda: page.keyboard.press("Space"))
    assert "by hand" not in one.after("undo clicks", one.press("undo clicks"))
    assert ", 1 by hand" in one.after("button", one.press("hide or show this patch"))
    assert "128 of 256 patches hidden (50%; chessboard)" in one.after("mask", one.select("mask", "chessboard"))
    assert "47 of 95 patches" in one.after("model", one.select("model", "other front end"))
    assert "Four spectrograms of chirps & <hiss>" in one.picture.get_attribute("alt")
    one.listen(4)
    one.after("model", one.select("model", "larger"))
    assert one.part.locator("audio").count() == 0
    one.look(tmp_path)


def test_own_sounds_in_a_browser(page, tmp_path):
    one = Driven(page, "reconstruction")
    chosen, alert = one.part.get_by_label("recording", exact=True), one.part.get_by_role("alert")
    noise = 0.1 * np.random.default_rng(0).normal(size=2 * 44_100)
    assert "mine.wav" in one.after("upload", lambda: one.upload("mine.wav", wav(noise)))
    assert chosen.input_value() == "mine.wav"
    for name, content, problem in (("text.wav", b"no sound at all", "no sound format"),
                                   ("still.wav", wav(0 * noise), "is silent"),
                                   ("click.wav", wav(noise[:2000]), "at least 0.3 s")):
        one.upload(name, content)
        alert.filter(has_text=f"{name}").wait_for()
        assert problem in alert.inner_text() and "Traceback" not in page.content()
        assert chosen.input_value() == "mine.wav"
    assert "microphone 1" in one.after("microphone", one.press("record 3 s"))  # Chromium's own fake device, which beeps
    assert chosen.input_value() == "microphone 1" and alert.count() == 0
    one.look(tmp_path)


def test_attention_maps_in_a_browser(page, tmp_path):
    one = Driven(page, "attentionmaps")
    assert "the patch in time column 2 and mel row 1" in one.after("slider", one.key("time column"))
    clicked = one.after("click", lambda: one.part.locator("[data-patch='100']").click())
    assert "the patch in time column 13 and mel row 5" in clicked
    moved = one.after("arrow on the grid", lambda: page.keyboard.press("ArrowUp"))
    assert "the patch in time column 13 and mel row 6" in moved
    assert "block 1 of 6" in one.after("block", one.select("block", "1"))
    assert "head 2" in one.after("head", one.select("head", "2"))
    assert "block 4 of 4, mean of heads" in one.after("model", one.select("model", "tiny"))
    one.listen(1)
    one.look(tmp_path)


def test_curation_in_a_browser(page, tmp_path):
    one = Driven(page, "curation")
    assert "12 windows kept, 12 dropped" in one.said.inner_text()
    assert "13 dropped" in one.after("slider", lambda: [one.key("windows kept", "ArrowLeft")() for _ in range(3)])
    assert "dropped with a call" in one.after("list", one.select("look at", "dropped with a call"))
    one.after("step", one.key("steps from it"))
    one.after("filter", one.select("filter", "bad"))
    one.listen(3)
    one.look(tmp_path)


def test_confusions_in_a_browser(page, tmp_path):
    one = Driven(page, "confusions")
    assert "Mistake 2 of 4: a recording of Cici was taken for Bebe" in one.after("slider", one.key("mistake"))
    assert "Mistake 1 of 2" in one.after("confusion", one.select("confusion", "Bebe taken for Aba (2)"))
    assert "probability 0.45" in one.after("order", one.select("order", "nearest to right first"))
    one.listen(3)
    one.look(tmp_path)


def test_front_ends_in_a_browser(page, tmp_path):
    one = Driven(page, "frontends")
    assert "513 frames x 136 mel bins" in one.after("slider", one.key("mel bins"))
    assert "catch no bin of the 512-point FFT" in one.after("FFT", one.select("FFT (points)", "512"))
    assert "456 frames" in one.after("hop", one.key("hop"))
    one.after("band", one.key("band (Hz)"))
    one.part.get_by_label("take the logarithm").focus()
    assert "in magnitude" in one.after("logarithm", lambda: page.keyboard.press("Space"))
    assert "16,000 Hz" in one.after("front end", one.select("begin from", "audiomae"))
    one.listen(2)
    one.look(tmp_path)


def test_labelling_in_a_browser(page, tmp_path):
    one = Driven(page, "labelling")
    assert "1 of 3: 0.wav, 0.0 to 3.0 s. Is it Aba? 0 of 3 are labelled" in one.said.inner_text()
    desk = one.part.locator(".answers")

    def ready(press: Callable[[], None]) -> Callable[[], None]:
        return lambda: [one.part.locator(".answers[aria-busy=false]").wait_for(), press()]

    def key(name: str) -> Callable[[], None]:
        return ready(lambda: page.keyboard.press(name))

    def click(name: str) -> Callable[[], None]:
        return ready(lambda: desk.get_by_role("button", name=name).click())

    desk.focus()
    assert "2 of 3" in one.after("y", key("y"))
    assert "3 of 3" in one.after("n", key("n"))  # the desk still has the keys
    key("o")()
    page.keyboard.type("$a$ <b>bold</b> yn")
    key("Enter")()
    one.part.get_by_text("3 of 3 are labelled, all of them").wait_for()
    assert "You said $a$ <b>bold</b> yn." in one.said.inner_text() and one.part.locator("b").count() == 0
    key("u")()
    one.part.get_by_text("2 of 3 are labelled").wait_for()
    click("use this name")()
    one.part.get_by_role("alert").filter(has_text="a label needs a name").wait_for()
    for place in ("2 of 3", "1 of 3"):
        assert place in one.after("undo", click("undo"))
    assert "2 of 3" in one.after("yes", click("yes, Aba"))
    players = one.part.locator("audio")
    players.first.wait_for(state="attached")
    assert players.count() == 1 and players.first.evaluate(PLAYED) > 0
    one.look(tmp_path)


def test_the_map_of_sounds_in_a_browser(page, tmp_path):
    one = Driven(page, "soundmap")
    assert "Clip 1 of 12 is of Aba. Most like it: Aba (cosine" in one.said.inner_text()
    assert "Clip 9 of 12 is of Cici" in one.after("click", lambda: one.part.locator("[data-point='8']").click())
    assert "Clip 3 of 12 is of Cici" in one.after("arrow", lambda: page.keyboard.press("ArrowDown"))
    assert "Clip 4 of 12 is of Aba" in one.after("slider", one.key("clip"))
    one.part.get_by_label("in colour", exact=True).select_option("Bebe")
    one.part.get_by_text("In colour: 4 clips of Bebe").wait_for()
    assert one.part.locator("circle[fill='#de8f05']").count() == 4 and one.part.locator("rect").count() == 1
    one.listen(3)
    one.look(tmp_path)
