"""The reconstruction studio as one page in a browser, with the ready weights: nothing is trained.

    python -m lib.explorers.studio [FILE ...] [port=8866] [open=true]

Its sounds are made on the spot (a minute at the first time), or they are yours: FILE is any sound file, of whose first
two minutes the loudest three seconds are taken. The page needs no network and stays on this computer; Ctrl-C ends it.
It is a notebook of two cells behind Voila, and `page` is the second, for a notebook of one's own."""
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lib import mae, mel, paths, training
from lib.explorers import base, ownsound
from lib.explorers.base import Sound
from lib.explorers.patchgrid import Models
from lib.explorers.reconstruction import Reconstruction
from lib.sources import chorus, tables
from lib.transfer import starts

__all__ = ["page"]

ABOUT = """# The reconstruction studio

A masked autoencoder sees the coloured patches of a spectrogram and guesses the grey ones. Choose a sound, a model and a
mask, click patches to hide or show them, and listen. *Level guessed*: all of a hidden patch is the model's own guess.
*Level borrowed*: it guesses the pattern, and each patch's mean and spread are taken from the truth. Both models were
trained on synthetic sounds only; upload a recording of yours and see where they fail."""

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def page(files: Sequence[str] = ()) -> Reconstruction:
    """The studio with the ready weights, their twin with pixels as targets and an untrained model of their shape.

    files: sound files to look at, else test recordings of `chorus` at its smallest size. ValueError where one of them
    cannot be read."""
    own = {file.name: ownsound.excerpt(file, file.name, mel.INAT.seconds) for file in map(Path, files)}
    return Reconstruction(_models(), own or _made())


def _models() -> Models:
    (ready, card), (pixels, _) = starts.load_ready(), starts.load_ready(pixels=True)
    untrained = mae.MAE(ready.arch, training.generator(0)).eval()
    return {"ready, level guessed": (pixels, card.front), "ready, level borrowed": (ready, card.front),
            "untrained": (untrained, card.front)}


def _made() -> dict[str, Sound]:
    table = tables.recordings("chorus", "wildlife", "smoke", 0)
    events, table = chorus.events(table), table[table["split"] == "test"]
    called = base.Excerpts(table, mel.INAT, events)
    starts_s = events[events["kind"] == "call"].groupby("file")["start_s"].min()
    begins = (table["file"].map(starts_s).fillna(0) - 0.3).clip(lower=0)  # just before the first call
    places = enumerate(zip(table["label"], begins))
    return {f"{row + 1}. {name}": called.at(row, begin) for row, (name, begin) in places}


def main(*files: str, port: int = 8866, open: bool = True) -> None:
    """The command line, see the top of this file."""
    from voila.app import Voila  # here: a notebook that asks for `page` needs no server

    files = [str(paths.resolve(file)) for file in files]
    if missing := [file for file in files if not Path(file).is_file()]:
        raise ValueError(f"{missing[0]}: no such file; give sound files, or none for sounds that are made here")
    with tempfile.TemporaryDirectory() as folder:
        cell = f"from lib.explorers import studio\nstudio.page({files!r})"
        notebook = Path(folder) / "studio.ipynb"
        nbformat.write(new_notebook(cells=[new_markdown_cell(ABOUT), new_code_cell(cell)], metadata=PYTHON), notebook)
        print(f"the studio will be at http://localhost:{port} in half a minute; Ctrl-C ends it", flush=True)
        show = [] if open else ["--no-browser"]
        Voila.launch_instance([str(notebook), f"--port={port}", "--Voila.ip=127.0.0.1", "--theme=light", *show])


if __name__ == "__main__":
    sys.exit(paths.command(main, sys.argv[1:], __doc__, "the same command opens it again"))
