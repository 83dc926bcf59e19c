"""Numbers in the prose of the lessons that show results: each stands in an output above or below, a record's page, a
search's table or the papers' numbers; what is none of these is a constant that is listed here."""
import json
import re

import nbformat
import pandas as pd
import pytest

from lib import paths
from lib.course import build

NOTEBOOKS = [py.stem for py in sorted(build.FOLDER.glob("*.py")) if "02" <= py.stem[:2] != "13"]
PAGES = ("RESULTS.md", "reference_results.csv", "search_finetuning.csv", "search_pretext.csv", "search_median.csv",
         "first_table.csv")
CONSTANTS = {"2.4": "TB of AudioSet", "13.7": "millions of draws at `paper`", "22.05": "kHz",
             "17.86": "dB, `inat`'s spread", "4.5": "a section of the paper",
             "3.6": "the paper's 3.63 and 3.65, rounded",
             "1.5": "points, in a sentence quoted from the paper", "0.004": "0.875 - 0.871",
             "0.18": "a loss of 08's quiz", "0.21": "the other one"}
NUMBER = re.compile(r"(?<![\w.,/-])[+−-]?(\d+\.\d+)(?![\w.]*\d)")
NO_PROSE = re.compile(r"\$\$.*?\$\$|\$[^$]*\$|```.*?```|`[^`]*`|\]\([^)]*\)|<details>.*?</details>"
                      r"|^## Further reading.*", re.DOTALL | re.MULTILINE)


def shown(notebook) -> set[str]:
    """Every decimal in a notebook's code and outputs, pictures left out."""
    found = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            texts = [cell.source, *(output.get("text", "") for output in cell.outputs)]
            texts += [json.dumps(text) for output in cell.outputs for kind, text in output.get("data", {}).items()
                      if kind.startswith("text")]
            found |= {number for text in texts for number in re.findall(r"\d+\.\d+", text)}
    return found


def measured(name: str) -> list[float]:
    """Every number that the notebook's own run at `tiny` recorded."""
    file = paths.ROOT / "papermill_runs" / name / "seed=0,scale=tiny,data=chorus.json"
    metrics = json.loads(file.read_text(encoding="utf-8"))["metrics"] if file.exists() else {}
    return [value for value in pd.json_normalize(metrics).to_numpy().ravel() if isinstance(value, float)]


def prose(text: str) -> str:
    """What a reader takes for measured: without formulae, code, links, folded solutions and references."""
    return NO_PROSE.sub(" ", text)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_number_in_prose_is_in_an_output_or_a_record(name):
    notebook = nbformat.read(build.FOLDER / f"{name}.ipynb", 4)
    texts = [(paths.ROOT / "papermill_runs" / page).read_text(encoding="utf-8") for page in PAGES]
    known = shown(notebook) | {number for text in texts for number in re.findall(r"\d+\.\d+", text)} | set(CONSTANTS)
    known |= {f"{abs(value):.3f}" for value in measured(name)}
    known |= {f"{100 * float(share):.1f}" for share in known if float(share) < 1}  # printed as 0.919
    stray = [(number, cell.source[:60]) for cell in notebook.cells if cell.cell_type == "markdown"
             for number in NUMBER.findall(prose(cell.source)) if number not in known]
    assert not stray, "write what an output or a record says, or name the number's source here"


def test_a_wrong_number_is_found():
    assert NUMBER.findall(prose("it is +1.8 [-0.5, +4.0] points, `0.3` and $0.4$; see [7.5](2604.01234)")) == [
        "1.8", "0.5", "4.0", "7.5"]



@pytest.mark.parametrize("name", NOTEBOOKS)
def test_stored_verdicts_are_those_of_the_committed_records(name):
    """A run writes its record before its notebook draws all of them: built on another processor, it would show its own
    in place of the committed one, and say otherwise than RESULTS.md."""
    notebook = nbformat.read(build.FOLDER / f"{name}.ipynb", 4)
    tables = [output["data"]["text/markdown"] for cell in notebook.cells if cell.cell_type == "code"
              for output in cell.outputs if "text/markdown" in output.get("data", {})]
    results = (paths.ROOT / "papermill_runs" / "RESULTS.md").read_text(encoding="utf-8").splitlines()
    for line in "\n".join(tables).splitlines():
        assert not line.startswith(("| Table ", "| Figure ")) or line in results, line
