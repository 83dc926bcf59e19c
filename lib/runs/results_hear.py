"""What the runs of 08 and 09 say beside the second paper's Tables 2 to 7 (Niizumi et al. 2022): paired differences, a ladder of models, the tables as text."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib import metrics
from lib.hear import designs
from lib.hear.frozen import difference
from lib.runs import record

__all__ = ["BASES", "TITLES", "runs", "paired", "ladder", "rows", "markdown"]

PAPER = {  # HEAR's name of a task, or ours of the one made after it -> its name in the paper's tables
    "gunshot": "Gunshot", "fsd50k": "FSD50K", "esc50": "ESC-50", "beehive_fold0": "Beehive", "beehive_fold1": "Beehive", "vox_lingua": "Lingua10",
    "vocal_imitation": "VoImit", "crema_d": "CRM-D", "speech_commands": "SPC", "libricount": "LbCount", "gtzan_music_speech": "GTZ-M/S",
    "gtzan": "GTZAN", "nsynth_pitch": "NSPitch", "mridangam_tonic": "Mrd-Ton", "mridangam_stroke": "Mrd-Stk", "beijing_opera": "Beijing",
    "species": "SPC", "counting": "LbCount", "pitch": "NSPitch", "scene": "ESC-50"}
BASES = {"Table 5": "208", "Table 6": "208", "Table 7": "304"}  # the design that each table's others are compared with here
TITLES = {"Table 5": "input duration", "Table 6": "patch size", "Table 7": "patches against strips"}


def runs() -> pd.DataFrame:
    """The records of 08 and 09, a row each: a design measured by both counts once."""
    table = pd.concat([record.records(name) for name in ("08_design_choices", "09_frozen_benchmark")], ignore_index=True)
    if table.empty:
        return table
    pools = [c for c in table if c.startswith("data.") and c.endswith(".hash")]
    return table.drop_duplicates(["model", "seed", "scale", "budget", "data_seed", *pools], keep="first").reset_index(drop=True)


def _arms(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Model -> its runs by seed, of the largest set of runs that may be compared: one scale, budget and data."""
    if table.empty:
        return {}
    world = table[["scale", "budget", "data_seed", *(c for c in table if c.startswith("data.") and c.endswith(".name"))]].astype(str).agg("|".join, axis=1)
    table = table[world == world.mode()[0]]
    return {name: part.set_index("seed").sort_index() for name, part in table.groupby("model", sort=False)}


def _counted(arm: pd.DataFrame, seeds: Sequence[int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    names = [c.split(".")[1] for c in arm if c.startswith("tasks.") and c.endswith(".right")]
    both = {name: [arm.loc[seeds, f"tasks.{name}.{k}"].tolist() for k in ("right", "of")] for name in names}
    return {name: (np.array(right), np.array(of)) for name, (right, of) in both.items() if all(isinstance(x, list) for x in right)}


def paired(a: pd.DataFrame, b: pd.DataFrame) -> tuple[dict[str, tuple], dict[str, tuple]]:
    """The counts of two models' runs (rows by seed, of `runs`), for `difference`: of the seeds that both have."""
    seeds = a.index.intersection(b.index)
    return _counted(a, seeds), _counted(b, seeds)


def ladder() -> pd.DataFrame:
    """The score of every model and task, in percent, mean over seeds, with "mean" over the tasks and the number of seeds; no network first."""
    arms = _arms(runs())
    order = [name for name in ("logmel", "untrained", *designs.DESIGNS, "ready") if name in arms] + sorted(set(arms) - {"logmel", "untrained", "ready", *designs.DESIGNS})
    of = {name: {c.split(".")[1]: 100 * arms[name][c].mean() for c in arms[name] if c.startswith("tasks.") and c.endswith(".score")} for name in order}
    table = pd.DataFrame(of).T
    return table.assign(mean=table.mean(axis=1), seeds=[len(arms[name]) for name in order]) if order else table


def rows(place: str) -> pd.DataFrame:
    """Table 5, 6 or 7: each design against the table's first here (`BASES`), task by task and on average, the paper's difference beside ours.

    Shares in percent, differences in points. The paper's number is of the HEAR task after which ours was made; "mean" is over its 15 tasks
    and over our five."""
    arms, base, found = _arms(runs()), BASES[place], []
    published = record.reference("hear")
    published = published[published["place"] == place].assign(task=lambda t: t["metric"].str.split(":").str[0])
    theirs = published.pivot_table(index="setting", columns="task", values="value")
    theirs["mean"] = theirs.mean(axis=1)
    name_of = {name: design.tables[place] for name, design in designs.DESIGNS.items() if place in design.tables}
    for name in [n for n in name_of if n != base]:
        if name not in arms or base not in arms:
            found.append({"place": place, "setting": name, "against": base, "task": "mean", "verdict": "not run"})
            continue
        scale, seeds = arms[name].iloc[0]["scale"], arms[name].index.intersection(arms[base].index)
        for task, change in difference(*paired(arms[name], arms[base]), rng=np.random.default_rng(0)).items():
            like = PAPER.get(task, task)
            paper = theirs.loc[name_of[name], like] - theirs.loc[name_of[base], like] if like in theirs else np.nan
            found.append({"place": place, "setting": name, "against": base, "task": task, "paper_change": paper, "change": 100 * change.value,
                          "low": 100 * change.low, "high": 100 * change.high, "seeds": len(seeds), "scale": scale,
                          "verdict": metrics.verdict(np.nan_to_num(np.sign(paper)), [change], len(seeds), metrics.MADE)})
    return pd.DataFrame(found)


def markdown(place: str) -> str:
    """One of Tables 5 to 7 as text, the average over tasks of each design against the first, paper beside measured; "Table 2" is the ladder of
    all models, to be read against its floors, since the paper's numbers (its Tables 2 to 4) are of other tasks."""
    if place == "Table 2":
        table = ladder()
        lines = ["**Tables 2 to 4** of Niizumi et al. 2022, frozen features: five tasks made here in place of HEAR's (notebook 09_frozen_benchmark)"]
        if table.empty:
            return f"{lines[0]}: not run."
        lines += ["", f"| model | {' | '.join(table)} |", "|" + " --- |" * (1 + len(table.columns))]
        return "\n".join(lines + [f"| {name} | {' | '.join([*(f'{x:.1f}' for x in row[:-1]), f'{row[-1]:.0f}'])} |" for name, *row in table.itertuples(name=None)])
    table = rows(place)
    lines = [f"**{place}** of Niizumi et al. 2022, {TITLES[place]} (notebook 08_design_choices)", "",
             "| design | against | paper: mean of 15 HEAR tasks | measured: mean of 5 tasks [95 %] | scale, seeds | verdict |", "|" + " --- |" * 6]
    for row in table[table["task"] == "mean"].itertuples():
        done = row.verdict != "not run"
        ours = f"{row.change:+.1f} [{row.low:+.1f}, {row.high:+.1f}]" if done else "-"
        lines.append(f"| {row.setting} | {row.against} | {f'{row.paper_change:+.1f}' if done else '-'} | {ours} | "
                     f"{f'{row.scale}, {row.seeds:.0f}' if done else '-'} | {row.verdict} |")
    return "\n".join(lines)
