"""The papers' own numbers (papermill_runs/reference_results.csv), to stand beside what was measured."""
from __future__ import annotations

from typing import TYPE_CHECKING

from lib import paths

if TYPE_CHECKING:  # imported where it is used, so that the launcher speaks at once
    import pandas as pd

__all__ = ["reference", "paper"]


def reference(experiment: str, **where: str) -> pd.DataFrame:
    """The papers' numbers of one experiment, e.g. reference("mix_ratio", split="val", metric="top1")."""
    import pandas as pd

    table = pd.read_csv(paths.ROOT / "papermill_runs" / "reference_results.csv", dtype={"setting": str})
    experiments = sorted(table["experiment"].unique())
    if experiment not in experiments:
        raise ValueError(f"the papers have no experiment {experiment!r}; there are {', '.join(experiments)}")
    table = table[table["experiment"] == experiment]
    for column, value in where.items():
        table = table[table[column] == str(value)]
    return table.reset_index(drop=True)


def paper(experiment: str, setting: float | str) -> dict[str, object] | None:
    """What a record keeps as `paper`: the source and the metrics on val of a setting; None if there is no such row."""
    text = f"{setting:g}" if isinstance(setting, (int, float)) else str(setting)
    rows = reference(experiment, setting=text, split="val")
    if rows.empty:
        return None
    first = rows.iloc[0]
    numbers = {row.metric: float(row.value) for row in rows[rows["place"] == first.place].itertuples()}
    return {"source": f"{first.paper}, {first.place}", "setting": text, "split": "val", **numbers}
