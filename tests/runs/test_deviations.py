"""The table of all that differs from the two papers says what is there: its files, their parts and its numbers."""
import re

import pandas as pd
import pytest

from lib import paths

TABLE = pd.read_csv(paths.ROOT / "papermill_runs" / "deviations.csv", dtype=str, keep_default_na=False)
PLACE = re.compile(r"(?:lib|notebooks|papermill_runs)/[\w/]+(?:\.(?:py|csv|ipynb))?")


def named(row: int) -> str:
    return TABLE["what"][row]


def test_a_table_that_can_be_rendered():
    assert list(TABLE) == ["paper", "what", "theirs", "here at paper", "here at tiny", "declared in", "effect measured"]
    assert set(TABLE["paper"]) == {"liu2026", "niizumi2022"} and not TABLE.duplicated(["paper", "what"]).any()
    cells = TABLE.stack()
    assert (cells == cells.str.strip()).all() and cells.ne("").all() and not cells.str.contains(r"[|\n]").any()


@pytest.mark.parametrize("row", TABLE.index, ids=named)
def test_it_is_declared_where_the_table_says(row):
    """FILE: WORDS, more of them after a semicolon: the words stand in the file."""
    for place in TABLE["declared in"][row].split("; "):
        file, _, words = place.partition(": ")
        assert words and words in (paths.ROOT / file).read_text(encoding="utf-8"), place


@pytest.mark.parametrize("row", TABLE.index, ids=named)
def test_an_effect_is_a_number_of_the_repository(row):
    """Before the file that is named stand numbers that it holds; folders of records are only looked for."""
    effect = TABLE["effect measured"][row]
    if effect.startswith("not measured"):
        return
    place = PLACE.search(effect)
    file = paths.ROOT / place[0]
    numbers = re.findall(r"(?<![\d.])\d+\.\d+", effect[: place.start()])
    assert file.exists() and numbers
    text = file.read_text(encoding="utf-8") if file.is_file() else " ".join(numbers)
    missing = [number for number in numbers if not re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", text)]
    assert not missing
