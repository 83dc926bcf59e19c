"""Which module may import which: only from a strictly lower floor, so that a reader can start at the bottom."""
import ast
from pathlib import Path

import pytest

from lib import paths

FLOORS = [  # from the bottom
    {"paths", "patches", "voices", "exercises"},                  # needed by words too
    {"audio", "mel", "metrics", "scales", "everyday", "fetch", "disk", "script", "sweeps", "scores"},
    {"mae", "plots", "fit", "chorus", "record", "inatsounds", "audioset", "esc50"},
    {"sources", "checkpoints", "runs", "notebooks", "attention", "predictor", "tasks"},
    {"tables", "embed"},
    {"data", "hear"},
    {"pretrain", "finetune", "probe", "widgets"},
    {"ready"},
    {"curate", "cost", "designs"},
    {"inits", "bench", "frozen"},
    {"results"},
    {f"exercises_{n:02}" for n in range(14)},                     # checks of the notebooks' exercises
]
FLOOR = {module: level for level, modules in enumerate(FLOORS) for module in modules}
FILES = sorted(path for path in (paths.ROOT / "lib").glob("*.py") if path.stem != "__init__")


def imported(path: Path) -> set[str]:
    """The modules of lib that a file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("lib.")}
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "lib"):
            parts = (node.module or "").removeprefix("lib").strip(".").split(".")
            found |= {parts[0]} if parts[0] else {name.name for name in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_only_from_lower_floors(path):
    assert path.stem in FLOOR, f"{path.name} has no floor: name it in {Path(__file__).name}"
    wrong = {name for name in imported(path) if FLOOR.get(name, len(FLOORS)) >= FLOOR[path.stem]}
    assert not wrong, f"{path.stem} (floor {FLOOR[path.stem]}) imports {sorted(wrong)}, which stand beside or above it"


def test_sees_every_kind_of_import(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("import os\nimport lib.a\nfrom lib import b, c\nfrom lib.d import e\ndef f():\n    from . import g\n"
                    "    from .h import i\n")
    assert imported(file) == {"a", "b", "c", "d", "g", "h"}
