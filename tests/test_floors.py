"""Which part of the house may import which: only what stands below it, so that a reader can start at the bottom."""
import ast
from pathlib import Path

import pytest

from lib import paths

HEART = ["progress", "paths", "mp3", "container", "audio", "mel", "patches", "mae", "sampler", "recordings", "data",
         "hardware", "training", "pretrain", "checkpoints", "metrics", "attention", "plots"]
FLOORS = [{"heart"}, {"sources"}, {"transfer"}, {"field"}, {"hear", "explorers"}, {"runs"}, {"course"}, {"notebooks"}]
FLOOR = {part: level for level, parts in enumerate(FLOORS) for part in parts}
FILES = [path.relative_to(paths.ROOT) for path in sorted((paths.ROOT / "lib").rglob("*.py")) if path != paths.ROOT
         / "lib" / "__init__.py"]


def imported(path: Path) -> set[str]:
    """The modules below lib that a file imports, dotted, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.removeprefix("lib.") for name in node.names if name.name.startswith("lib.")}
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lib":
            inside = node.module.removeprefix("lib").strip(".")
            found |= {f"{inside}.{name.name}".strip(".") for name in node.names}
    return found


def part(module: str) -> str:
    """The wing of a dotted module, or the heart."""
    first = module.split(".")[0]
    return first if first in FLOOR else "heart"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_only_from_below(path):
    own = ".".join(path.with_suffix("").parts[1:])
    floor = FLOOR[part(own)]
    for module in imported(paths.ROOT / path):
        name = module.split(".")[0]
        if part(own) == part(module) == "heart":
            assert HEART.index(name) < HEART.index(own), f"{own} imports {name}, which comes after it in the heart"
        elif part(own) != part(module):
            assert FLOOR[part(module)] < floor, f"{path} imports {module}, which stands beside or above it"


def test_the_heart_is_flat_and_small():
    assert sorted(p.stem for p in (paths.ROOT / "lib").glob("*.py") if p.stem != "__init__") == sorted(HEART)
    assert sorted(p.name for p in (paths.ROOT / "lib").iterdir()
                  if (p / "__init__.py").exists()) == sorted(set(FLOOR) - {"heart", "notebooks"})


def test_no_circle_within_a_wing():
    for wing in sorted(set(FLOOR) - {"heart", "notebooks"}):
        needs = {p.stem: {m.split(".")[1] for m in imported(p) if m.startswith(f"{wing}.")} - {p.stem}
                 for p in (paths.ROOT / "lib" / wing).glob("*.py") if not p.stem.startswith("__")}
        while free := {name for name, below in needs.items() if not below & set(needs)}:
            needs = {name: below for name, below in needs.items() if name not in free}
        assert not needs, f"{wing}: {needs} import each other"


def test_sees_every_kind_of_import(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("import os\nimport lib.a\nfrom lib import b, c\nfrom lib.d import e\ndef f():\n    from lib.g.h "
                    "import i\n")
    assert imported(file) == {"a", "b", "c", "d.e", "g.h.i"}
