"""What a sweep file describes: the points of a grid, each of which is a run."""
import itertools
import math
import re
from collections import Counter
from pathlib import Path
from reprlib import repr as short
from typing import NamedTuple

from lib import paths
from lib.runs import names

__all__ = ["Point", "points"]

MOST = 10_000  # points of a grid: the largest here has 75, and more than these are a mistake


class Point(NamedTuple):
    notebook: str
    name: str    # what the grid says of it
    words: dict  # its parameters, those that are fixed among them

    @property
    def log(self) -> Path:
        """What its run prints, attempt after attempt; two descriptions with the same point share it."""
        name = names.safe(re.sub(r"[^\w=.,+-]", "_", self.name), 150) + "-" + paths.key(self.notebook, self.words)[:6]
        return paths.cache("logs", Path(self.notebook).stem) / f"{name}.log"


def points(file: str) -> list[Point]:
    """What a sweep file describes, in the order in which it is run; the last name of the grid changes fastest.

    ValueError is one line that names the file and what in it is wrong."""
    path = paths.resolve(file)
    if not path.is_file():
        raise ValueError(f"there is no sweep description {file}")
    plan = paths.read_json(path)
    if not isinstance(plan, dict) or not {"notebook", "grid"} <= set(plan):
        raise ValueError(f"{file} must hold notebook and grid (and may hold fixed), it holds {short(plan)}")
    if unknown := sorted(set(plan) - {"notebook", "grid", "fixed"}):
        raise ValueError(f"{file} holds {short(unknown[0])}: it may hold notebook, grid and fixed")
    notebook, grid, fixed = plan["notebook"], plan["grid"], plan.get("fixed", {})
    if not isinstance(notebook, str) or not notebook.isprintable() or not notebook:
        raise ValueError(f"{file}: notebook is {short(notebook)}: it must be the name of one")
    if not grid or not isinstance(grid, dict) or not isinstance(fixed, dict):
        raise ValueError(f"{file}: grid and fixed must be objects, names with values, and grid must hold a name")
    if both := sorted(grid.keys() & fixed.keys()):
        raise ValueError(f"{file}: {short(both[0])} is both in grid and in fixed: it must be in one of them")
    if strange := [name for name in (*grid, *fixed) if not name.isidentifier()]:
        raise ValueError(f"{file}: {short(strange[0])} is no name of a parameter")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"{file}: {name} of its grid is {short(values)}: it must be a list of values, as [0, 7]")
    for name, value in [*((n, v) for n, values in grid.items() for v in values), *fixed.items()]:
        fits = isinstance(value, bool) or (isinstance(value, (int, float)) and abs(value) < 1e15)  # no NaN is
        if not fits and not (isinstance(value, str) and value.isprintable()):
            raise ValueError(f"{file}: {name} has the value {short(value)}: it must be a number, a text in one "
                             "line, true or false")
    if (count := math.prod(map(len, grid.values()))) > MOST:
        raise ValueError(f"{file}: its grid has {count:,} points, more than {MOST:,}: make it smaller")
    for name, values in grid.items():
        (word, times), = Counter(str(paths.plain(value)) for value in values).most_common(1)
        if times > 1:
            raise ValueError(f"{file}: {name} of its grid has {short(word)} {times} times: once is enough")
    every = [dict(zip(grid, values)) for values in itertools.product(*grid.values())]
    return [Point(notebook, ",".join(f"{name}={value}" for name, value in words.items()), {**fixed, **words})
            for words in every]
