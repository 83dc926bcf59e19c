"""What importing lib sets before torch is loaded, and what no module of it does."""
import os
import re
import subprocess
import sys

import pytest

from lib import paths

LIB = "from lib import paths; import torch"


def shown(code: str, **environment: str) -> str:
    """What OpenMP says about itself in a fresh process that runs this code."""
    fresh = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "THP_"))}
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True,
                          env=fresh | {"OMP_DISPLAY_ENV": "verbose", "PYTHONPATH": str(paths.ROOT)} | environment)
    return done.stdout + done.stderr


def test_threads_that_wait_leave_the_processor_to_others_unless_told_otherwise():
    usual = shown(LIB)
    if "GOMP_SPINCOUNT" not in usual:
        pytest.skip("torch brings another OpenMP")
    assert "GOMP_SPINCOUNT = '4000'" in usual
    assert "GOMP_SPINCOUNT = '50'" in shown(LIB, GOMP_SPINCOUNT="50")


@pytest.mark.parametrize("notebook", sorted((paths.ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_imports_lib_before_anything_that_loads_torch(notebook):
    first = re.search(r"(?m)^ *(?:from|import) (lib|torch|timm|accelerate)\b", notebook.read_text("utf-8"))
    assert first[1] == "lib"


def having(pattern: str, *folders: str) -> list[str]:
    """The files below these folders that hold this pattern."""
    files = [file for folder in folders for file in sorted((paths.ROOT / folder).rglob("*.py"))]
    return [str(file.relative_to(paths.ROOT)) for file in files if re.search(pattern, file.read_text("utf-8"))]


def test_nothing_here_needs_torchaudio_which_newer_torches_have_none_of():
    assert having(r"(?m)^(?:import|from) torchaudio\b", "lib", "notebooks") == []
    # within a try, to compare: notebook 00 says so where there is none
    assert having(r"(?m)^ +(?:import|from) torchaudio\b", "lib", "notebooks") == ["notebooks/00_spectrograms.py"]


def test_no_system_chooses_the_line_ends_of_what_is_written():
    assert having(r"(?<!paths)\.write_text\((?!.*newline=)", "lib") == []
