"""What a run leaves behind: one JSON record, named after its parameters; and the papers' numbers to stand beside it."""
from __future__ import annotations

import ast
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from lib import paths
from lib.runs import provenance, shape, summary
from lib.runs.names import POOLS, base, name_of
from lib.runs.papers import paper, reference

if TYPE_CHECKING:  # each is imported where it is used, so that the launcher speaks at once
    import pandas as pd

    from lib.runs.scales import Scale

__all__ = ["VERSION", "Run", "start", "records", "recorded", "beside", "reference", "paper", "Recorded",
           "GRID", "POOLS", "notebook_path", "assigned", "defaults_of", "folder", "name_of", "base", "read"]

VERSION = 2  # of the results: raised when the same parameters would give other numbers; older records are left out
NOTEBOOKS = paths.ROOT / "notebooks"
SHOWN = ("panel", "max_hours", "root", "new", "out")  # parameters that change nothing that is measured
RECIPE = ("scale", "data_seed", "preset", "subtract", "proxy_weights")  # 04 alone compares values of one, preset
LATER = {"subtract": "none", "preset": "audiomae"}  # what runs did before there were these parameters
# what a notebook varies comes first in the name of a record
GRID = {"03_linear_probe": ("init",), "04_finetuning": ("init", "preset"), "05_mix_ratio": ("ratio",),
        "06_label_fraction": ("init", "fraction"), "07_data_curation": ("filter", "threshold", "control"),
        "08_design_choices": ("model",), "09_frozen_benchmark": ("model",),
        "12_your_recordings": ("method",), "14_long_recordings": ("model",), "15_what_to_label": ("model",)}


def notebook_path(notebook: str) -> Path:
    """A notebook by its path, its name, or the beginning of its name that no other has, such as "05"."""
    path = paths.resolve(notebook) if notebook.endswith(".ipynb") else NOTEBOOKS / f"{notebook}.ipynb"
    if path.is_file() or path.with_suffix(".py").is_file():
        return path
    names = sorted({p.stem for p in (*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("*.py"))})
    meant = [name for name in names if notebook and name.startswith(notebook)]
    if len(meant) == 1:
        return NOTEBOOKS / f"{meant[0]}.ipynb"
    if meant:
        raise ValueError(f"{notebook!r} is the beginning of {', '.join(meant)}: name one of them")
    near = paths.nearest(Path(notebook).stem, names)
    raise ValueError(f"there is no notebook {notebook!r}{near}; there are {', '.join(names)}")


def defaults_of(path: Path) -> dict[str, object]:
    """Names and default values of a notebook's `parameters` cell, read from the .py of the pair if there is one."""
    try:
        if path.with_suffix(".py").exists():
            cells = re.split(r"(?m)^# %%", path.with_suffix(".py").read_text(encoding="utf-8"))
            found = [c.partition("\n")[2] for c in cells if re.match(r".*tags=\[[^]]*[\"']parameters[\"']", c)]
        else:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            found = ["".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", [])]
        nodes = [node for node in ast.parse(found[0]).body if assigned(node)] if found else []
        defaults = {assigned(node): ast.literal_eval(node.value) for node in nodes}
    except (ValueError, SyntaxError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path.name} is no notebook whose parameters can be read ({error!r})") from None
    if not found:
        raise ValueError(f"{path.name} has no cell tagged `parameters`: it takes none and leaves no record")
    return defaults


def assigned(node: ast.stmt) -> str | None:
    """The name that a statement such as `ratio = 7` or `ratio: float = 7` gives a value, if it is one."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
        return None
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    return target.id if isinstance(target, ast.Name) else None


def folder(scale_name: str) -> Path:
    """Where records go: papermill_runs/, or STUDY_RUNS; those of `smoke` never into papermill_runs/."""
    if os.environ.get("STUDY_RUNS"):
        return paths.resolve(os.environ["STUDY_RUNS"])
    if scale_name == "smoke":
        return paths.cache("smoke")  # the user's own: in a machine's temporary folder others may have planted it
    return paths.ROOT / "papermill_runs"


def table_hash(table: pd.DataFrame, split: bool = True, settings: str = "") -> str:
    """Six hex digits of a recordings table, the same wherever its folder lies and in whatever order its rows are;
    without `split` the same for all folds of a folder. `settings` are a generator's: of them the table shows nothing,
    however different it sounds."""
    files, as_json = table["file"].tolist(), json.encoder.encode_basestring  # letters beyond ASCII as they are
    places = {os.path.split(file)[0] for file in files}  # once a folder: it takes time
    places = {place: os.path.dirname(Path(place, "x").as_posix()) for place in places}
    root = os.path.commonpath(places.values()) if places else ""
    inside = {place: os.path.relpath(f"{path}/x" if path else "x", root or ".")[:-1] for place, path in places.items()}
    names = (as_json(inside[place] + name) for place, name in map(os.path.split, files))
    known = ["label", *["split"] * split, "group", "start_s", "end_s", "duration_s"]
    known = [c for c in known if c in table]
    rows = sorted(f"[{', '.join(row)}]"
                  for row in zip(names, *(map(as_json, map(str, table[c].tolist())) for c in known)))
    return hashlib.sha256("\n".join([*rows, settings] if settings else rows).encode()).hexdigest()[:6]


def _data(values: Mapping[str, object], tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, object]]:
    data = {}
    for pool, table in tables.items():
        source = str(values.get(pool, pool))
        folder, _, fold = source.partition("?fold=")
        settings = base(source) if source.startswith("chorus:") and "=" in source else ""
        digest = table_hash(table, split=not fold, settings=settings)
        data[pool] = {"name": _pool(source, digest), "hash": digest, **({"fold": int(fold)} if fold else {}),
                      "recordings": len(table), "classes": int(table["label"].nunique()),
                      "per_split": {str(k): int(v) for k, v in table["split"].value_counts().sort_index().items()}}
        if "duration_s" in table:
            data[pool]["hours"] = round(float(table["duration_s"].sum()) / 3600, 3)
    return data


class Recorded(Exception):
    """Raised in a run of a sweep when its record is already there."""


@dataclass(frozen=True)
class Run:
    """A run that has begun. `record` ends it."""
    notebook: str
    name: str                 # follows from the parameters, so that a repeated run finds its record
    parameters: dict
    data: dict
    folder: Path
    begun: float = field(default_factory=time.monotonic)
    git: str | None = field(default_factory=provenance.commit)

    @property
    def place(self) -> str:
        """Where its record lies among those of all notebooks."""
        return f"{self.notebook}/{self.name}.json"

    def record(self, metrics: Mapping[str, object], *, samples_seen: int,
               paper: Mapping[str, object] | None = None, **more: object) -> Path:
        """Writes the record as strict JSON, complete or not at all, and prints its headline and where it lies.

        Of several processes only the main one does. `metrics` may hold numbers, arrays, `metrics.Scores` and mappings;
        `paper` is the reference number beside it; `more` is what else is kept (loss curves, checkpoint hashes ...)."""
        content = paths.plain({
            "notebook": self.notebook, "name": self.name, "version": VERSION, "parameters": self.parameters,
            "seed": self.parameters.get("seed"), "scale": self.parameters.get("scale"), "data": self.data,
            "metrics": metrics, "paper": paper, "samples_seen": samples_seen,
            "seconds": round(time.monotonic() - self.begun, 1),
            **provenance.computed_with(), "git": self.git,
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **more})
        path = self.folder / self.place
        if not paths.main_process():
            return path
        try:
            paths.write_json(path, content)
        except OSError as error:
            raise OSError(f"the record {path} could not be written ({error.strerror}): make room and run again, "
                          "what was pretrained is kept") from error
        print(summary.headline(content))
        smoke = content["scale"] == "smoke"
        passing = smoke and not os.environ.get("STUDY_RUNS")
        print(f"record: {self.place}" + (" (smoke: not kept)" if passing else ""))
        if not (smoke or provenance.publishable(content)):
            print("the code has uncommitted changes: the README leaves this record out; commit and run again")
        return path


def _taken(defaults: Mapping[str, object], values: Mapping[str, object]) -> tuple[Scale, dict[str, object]]:
    """The scale, and a notebook's parameters as a record keeps them; the pools are still named as they were given."""
    from lib.runs.scales import Scale, parse_ratio, scale

    taken = {k: paths.plain(values[k]) for k in defaults if k not in SHOWN}
    taken |= {k: Path(v).name for k, v in taken.items() if k.endswith("weights")}  # a file by its name, and no path
    asked = values.get("scale", "auto")
    chosen = asked if isinstance(asked, Scale) else scale(asked)
    if "scale" in defaults:
        taken["scale"] = chosen.name
    if "ratio" in defaults:
        taken["ratio"] = paths.plain(parse_ratio(values["ratio"]))
    return chosen, taken


def _whole(parameters: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """A record's parameters; those that its notebook got later had their defaults, or what LATER says."""
    known = {k: LATER.get(k, paths.plain(v)) for k, v in defaults.items() if k not in SHOWN}
    return {**known, **parameters}


def _pool(source: str, digest: str) -> str:
    return f"{base(source)}-{digest}" if ":" in source else source


def start(notebook: str, tables: Mapping[str, pd.DataFrame] | None = None, /, **parameters: object) -> Run:
    """Begins a run: call it once the recordings tables are made, before anything that takes time.

    `tables` are the recordings tables behind `wildlife` and `general`. `parameters` are those of the notebook's
    parameters cell, all of them but SHOWN. In a sweep it stops a run recorded already."""
    path = notebook_path(notebook)
    defaults = defaults_of(path)
    if unknown := [name for name in parameters if name not in defaults]:
        raise ValueError(f"{path.stem} has no parameter {unknown[0]!r}{paths.nearest(unknown[0], list(defaults))}; "
                         f"it has {', '.join(defaults)}")
    if missing := [name for name in defaults if name not in (*parameters, *SHOWN)]:
        raise ValueError(f"{path.stem}: a run is named after its parameters: give {', '.join(missing)} too")
    absent = {"train", "val", "test"} - set(tables["wildlife"]["split"]) if path.stem in GRID and tables else None
    if absent:
        raise ValueError(f"the wildlife pool has no recordings in {' and '.join(sorted(absent))}: an experiment learns "
                         "on train, chooses on val and scores both val and test; name them in a split column, or leave "
                         "that column out and `folder` makes the split")
    if len(tables or {}) > 1:
        _apart(tables["wildlife"], tables["general"])
    chosen, taken = _taken(defaults, parameters)
    data = _data(taken, tables or {})
    taken.update({pool: d["name"] for pool, d in data.items() if pool in taken})  # and no path
    name = name_of(path.stem, taken, defaults, data, GRID.get(path.stem, ()))
    run = Run(path.stem, name, taken, data, folder(chosen.name))
    old = read(run.folder / run.notebook / f"{name}.json") if os.environ.get("STUDY_SKIP_RECORDED") else None
    if old and old["version"] == VERSION and _whole(old["parameters"], defaults) == taken \
            and all(old["data"].get(pool, {}).get("hash") == d["hash"] for pool, d in data.items()):
        raise Recorded(name)
    if paths.main_process():
        _try(run.folder / run.place)
    return run


def _apart(wildlife: pd.DataFrame, general: pd.DataFrame) -> None:
    """ValueError where pretraining would hear in one pool what is asked about in the other."""
    asked = wildlife.loc[wildlife["split"].isin(["val", "test"]), "file"]
    heard = general.loc[general["split"].isin(["train", "unlabelled"]), "file"]
    if (both := asked[asked.isin(heard)]).any():
        raise ValueError(f"{both.nunique()} recordings of the wildlife pool's val and test are in train of the general "
                         f"pool ({both.iloc[0]}): what a model is asked about must not be what it has heard; take them "
                         "out of one pool")


def _try(path: Path) -> None:
    """OSError where a record could not be written: a run says so before its work, and not behind it."""
    trial = path.with_name(f".{path.stem}.{os.getpid():08d}{path.suffix}")  # as long as the name while writing
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
        reason = "a folder has its name" if path.is_dir() else ""
    except OSError as error:
        reason = error.strerror
    if reason:
        raise OSError(f"the record {path.name} could not be written in {path.parent} ({reason}): make that possible, "
                      "or set STUDY_RUNS to a folder of yours")


def read(path: Path) -> dict | None:
    """A record, or None where there is none; ValueError names the file, and the field that no record has like this."""
    if not path.exists():
        return None
    try:
        record = paths.read_json(path)
        shape.check(record, VERSION)
    except ValueError as error:
        raise ValueError(f"{path.name} in {path.parent.name} is not a run record ({error}): remove it") from None
    return record


def _records(folder: Path) -> list[dict]:
    """The records in a folder at this VERSION. Names that begin with a dot are what a kill while writing left."""
    found = [read(path) for path in sorted(folder.glob("*.json")) if not path.name.startswith(".")]
    return [record for record in found if record and record["version"] == VERSION]


def recorded(path: Path, points: Sequence[Mapping[str, object]]) -> list[dict | None]:
    """The record of each point of a notebook's grid, found by its parameters, or None.

    Whether the recordings of a folder have changed only the run itself sees."""
    defaults = defaults_of(path)
    asked = [_taken(defaults, {**defaults, **values}) for values in points]
    there = {chosen: _records(folder(chosen.name) / path.stem) for chosen in {chosen for chosen, _ in asked}}

    def same(old: dict, taken: dict) -> bool:
        pools = {p: _pool(str(taken[p]), data["hash"]) for p, data in old["data"].items() if p in taken}
        return _whole(old["parameters"], defaults) == {**taken, **pools}

    return [next((old for old in there[chosen] if same(old, taken)), None) for chosen, taken in asked]


def records(notebook: str, committed: bool = False) -> pd.DataFrame:
    """All records of a notebook at this VERSION, without `smoke`, a row each (five folds are one, `folds.merged`);
    nested values become `top1.low` etc.

    Parameters are columns of their own name, with infinity as a number, so that `table.sort_values("ratio")` works.
    With `committed` only those that the README may show (`provenance.publishable`)."""
    import pandas as pd

    from lib.runs import folds

    name, rows = Path(notebook).stem, []
    source = NOTEBOOKS / f"{name}.ipynb"
    defaults = defaults_of(source) if source.exists() else {}
    for record in folds.merged(_records(folder("") / name)):
        if record["scale"] != "smoke" and (provenance.publishable(record) or not committed):
            rest = {k: v for k, v in record.items() if k not in ("parameters", "metrics", "seed", "scale")}
            numbers = {k: math.inf if v == "inf" else v for k, v in _whole(record["parameters"], defaults).items()}
            rows.append({**numbers, **record["metrics"], **rest})
    return pd.json_normalize(rows) if rows else pd.DataFrame(columns=["notebook", "name"])


def beside(table: pd.DataFrame, run: Run, sweep: bool = True) -> pd.DataFrame:
    """The records that may be compared with a run, of its scale, its recipe and its very recordings: those of the
    sweep, or of every budget.

    Without any, those of the largest such set. Without `weights`: public weights bring a model of another size, so that
    their rows stand in 11 only."""
    if len(table):
        table = table[((table["budget"] == "sweep") | (not sweep)) & (table.get("weights", "") == "")]
    if table.empty:
        return table
    shared = [key for key in RECIPE if key in run.parameters and key in table]
    world = table[[*shared, *(f"data.{pool}.hash" for pool in run.data)]].astype(str).agg("|".join, axis=1)
    here = "|".join(str(value) for value in (*(run.parameters[key] for key in shared),
                                             *(d["hash"] for d in run.data.values())))
    return table[world == (here if (world == here).any() else world.mode()[0])].reset_index(drop=True)
