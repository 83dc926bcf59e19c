"""Public data sets, each in a module of its own: prepared once, then read as a table by `sources.recordings`.

    python -m lib.sources                                            what there is, with its terms
    python -m lib.sources inatsounds root=ROOT splits=train,val,test keep=false     (no keep: the archives stay)
    python -m lib.sources audioset root=ROOT splits=balanced,eval rate=22050 workers=8      (also unbalanced: 2.4 TB)
    python -m lib.sources esc50 root=ROOT

From a notebook: prepare.prepare("inatsounds", root, splits=["val"]). Files, sizes, disk space, terms and a time are
printed first; nothing is asked. After Ctrl-C or a kill at any moment the same command goes on, and ends with the same
files; only the archive of ESC-50 is fetched from its beginning again, since GitHub does not resume. A relative ROOT
starts at the repository, wherever the command is called: its folder DATA is ignored by git. Nothing of a data set is
copied into the repository's own folders or into an output.
"""

import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pandas as pd

from lib import paths
from lib.sources import audioset, esc50, inatsounds

__all__ = ["NAMES", "terms", "prepare", "recordings"]

MODULES = {"inatsounds": inatsounds, "audioset": audioset, "esc50": esc50}
NAMES = tuple(MODULES)


def terms(kind: str) -> str:
    """Where a source comes from, its licence and its terms. Nothing of it is shipped with this repository."""
    return _module(kind).TERMS


def prepare(kind: str, /, root: str | Path = "", splits: str | Sequence[str] = "", keep: bool = True,
            rate: int = 22_050, workers: int = 0) -> None:
    """Fetch a data set into a folder, in the form that `recordings` reads; what is there already is not done again.

    root: the folder (esc50: the cache, when left out). splits: some of the source's own. keep=False deletes each
    archive after it was extracted; rate (Hz) and workers (0: one for each CPU) are AudioSet's. ValueError names what is
    missing (disk space, a shard, a good archive) and what to do; download.FetchError a failed download."""
    module, folder = _module(kind), _root(kind, root)
    named = [s for s in (splits.split(",") if isinstance(splits, str) else splits) if s] or module.USUAL.split(",")
    chosen = [audioset.SAID.get(s, s) for s in named]
    if wrong := [s for s in chosen if s not in module.SPLITS]:
        raise ValueError(f"{kind} has no split {wrong[0]!r}: use {', '.join(module.SPLITS)}")
    options, usual = dict(keep=keep, rate=rate, workers=workers), inspect.signature(prepare).parameters
    if wrong := [o for o, value in options.items() if o not in module.OPTIONS and value != usual[o].default]:
        raise ValueError(f"{kind} has no option {wrong[0]!r}: it takes {', '.join(module.OPTIONS)}")
    print(terms(kind), flush=True)
    busy = f"{kind}: another process prepares {folder} at this moment: wait for it"
    with paths.lock(folder / ".prepare.lock", busy), paths.explained(folder):
        module.prepare(folder, [s for s in module.SPLITS if s in chosen], **{o: options[o] for o in module.OPTIONS})


def recordings(kind: str, place: str | Path = "") -> pd.DataFrame:
    """The table of a prepared data set: file, label, split, duration_s, source and what else it knows (see its module).

    Splits that were not prepared are absent. ESC-50 without a place is fetched into the cache. ValueError where nothing
    is prepared, or where files are missing (those of AudioSet are not looked for: its manifest lists two million)."""
    module, folder = _module(kind), _root(kind, place)
    if module is esc50 and not str(place).strip() and not esc50.home(folder):
        with paths.lock(folder / ".fetch.lock"):  # of several runs at once one fetches and the others wait
            if not esc50.home(folder):
                prepare("esc50")
    return module.recordings(folder, place)


def _module(kind: str) -> ModuleType:
    if kind not in MODULES:
        raise ValueError(f"there is no data set {kind!r}: use {', '.join(NAMES)}")
    return MODULES[kind]


def _root(kind: str, place: str | Path) -> Path:
    if str(place).strip():
        return paths.resolve(place)
    if kind != "esc50":
        raise ValueError(f"{kind} needs a folder: {kind}:ROOT as the name of the data, "
                         f"or python -m lib.sources {kind} root=ROOT")
    return paths.cache("esc50")


def main(words: Sequence[str]) -> int:
    """The command line, see the top of this file. What goes wrong is one line and exit code 2."""
    if not words or words[0] in ("help", "-h", "--help"):
        print(__doc__, *map(terms, NAMES), sep="\n")
        return 0
    words = re.sub(r"\0--(\w+)[\0=]", "\0\\1=", "\0".join(words)).split("\0")  # --name value is name=value
    if stray := [word for word in words[1:] if "=" not in word]:
        print(f"got {stray[0]!r}: it must be name=value, without blanks around the =", file=sys.stderr)
        return 2
    return paths.command(prepare, words, __doc__)
