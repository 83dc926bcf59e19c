"""A notebook as a plain script, in each of the processes that accelerate or torchrun started: papermill drives one kernel only.

    accelerate launch --multi_gpu --num_processes 2 -m lib.runs 05_mix_ratio ratio=7 scale=paper"""
import ast
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from types import ModuleType

from lib import paths

__all__ = ["execute", "place", "tell"]


def execute(notebook: Path, values: Mapping[str, object]) -> None:
    """Runs an .ipynb's code cells in this process, with `values` in place of those of its `parameters` cell.

    No notebook is written. What is printed, and the tables that are displayed or a cell ends with, appear from the main process only."""
    os.environ["MPLBACKEND"] = "agg"
    if not paths.main_process():
        os.environ["TQDM_DISABLE"] = "1"
    import pandas as pd  # here, so that the launcher starts at once, and tqdm sees that it is to be quiet
    import torch

    if not torch.cuda.is_available():  # without it accelerate takes each of several processes on CPUs for a single one
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    space = ModuleType("cells")
    sys.modules["cells"] = space  # where dataclasses and pickle look for what a cell defines

    def display(*shown: object, **how: object) -> None:
        for table in (one for one in shown if isinstance(one, pd.DataFrame)):
            print(table.to_string())

    space.display = display
    cells = [c for c in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    with nullcontext() if paths.main_process() else open(os.devnull, "w") as null, redirect_stdout(null or sys.stdout):
        for n, cell in enumerate(cells, 1):
            where = f"{notebook.stem}, code cell {n}"
            code = ast.parse("".join(cell["source"]), where)
            last = [code.body.pop().value] if code.body and isinstance(code.body[-1], ast.Expr) else []
            exec(compile(code, where, "exec"), space.__dict__)
            for value in last:  # what a notebook shows below its cell
                display(eval(compile(ast.Expression(value), where, "eval"), space.__dict__))
            if "parameters" in cell["metadata"].get("tags", []):
                space.__dict__.update(values)
            if "matplotlib.pyplot" in sys.modules:
                sys.modules["matplotlib.pyplot"].close("all")  # as a notebook does after each cell
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def place(error: BaseException) -> str:
    """Where among the notebook's cells and this project's modules an error came from; a plain script leaves no notebook to look it up in.

    Nothing for a ValueError that a module of this project raises: it says what to do."""
    frames, lib = traceback.extract_tb(error.__traceback__), str(paths.ROOT / "lib")
    if type(error) is ValueError and frames[-1].filename.startswith(lib):
        return ""
    own = [f for f in frames if ", code cell " in f.filename or f.filename.startswith(lib)]
    where = f"{own[-1].filename.removeprefix(f'{paths.ROOT}/')}, line {own[-1].lineno}; " if own else ""
    return f" ({where}process {os.environ['RANK']} of {paths.processes()})"


def tell(line: str) -> None:
    """Prints a line on stderr. Of several processes on a machine only the first to fail does: the others end because of it."""
    if "TORCHELASTIC_ERROR_FILE" in os.environ:  # one a process, in a folder that lives as long as they do
        file = Path(os.environ["TORCHELASTIC_ERROR_FILE"])
        try:
            (file.parent.parent / "told").touch(exist_ok=False)
        except FileExistsError:
            return
        # what torchrun's closing report calls the root cause
        file.write_text(json.dumps({"message": {"message": line, "extraInfo": {"timestamp": str(int(time.time()))}}}), encoding="utf-8")
    print(line, file=sys.stderr, flush=True)
