"""What the runs of 08 to 10 say beside the second paper's Tables 2 to 7 and its section 4.5 (Niizumi et al. 2022).

Paired differences, a ladder of models, what is seen inside one, and the tables as text."""
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib.hear import designs
from lib.runs import record, verdicts

__all__ = ["BASES", "NOTEBOOKS", "TITLES", "runs", "arms", "differences", "ladder", "rows", "markdown", "inside"]

NOTEBOOKS = ("08_design_choices", "09_frozen_benchmark")
PAPER = {  # HEAR's name of a task, or ours of the one made after it -> its name in the paper's tables
    "gunshot": "Gunshot", "fsd50k": "FSD50K", "esc50": "ESC-50", "beehive_fold0": "Beehive", "beehive_fold1": "Beehive",
    "vox_lingua": "Lingua10", "vocal_imitation": "VoImit", "crema_d": "CRM-D", "speech_commands": "SPC",
    "libricount": "LbCount", "gtzan_music_speech": "GTZ-M/S", "gtzan": "GTZAN", "nsynth_pitch": "NSPitch",
    "mridangam_tonic": "Mrd-Ton", "mridangam_stroke": "Mrd-Stk", "beijing_opera": "Beijing",
    "species": "SPC", "counting": "LbCount", "pitch": "NSPitch", "scene": "ESC-50"}
BASES = {"Table 5": "208", "Table 6": "208", "Table 7": "304"}  # the design each table's others are compared with here
# Section 4.5, Figures 2 to 8: a statement, what the paper rests it on, and which numbers of a record of 10 answer it.
INSIDE = (
    ('"the stationary sounds are easy to reconstruct"', "one of three sounds, Fig. 2",
     "rank correlation of error and stationarity {correlations.error at 75 %, random.stationarity.value:+.2f}"),
    ('"For all the sounds, the errors show lighter color on the chessboard mask"', "three sounds, Fig. 3",
     "lowest in {patterns.wildlife model C chessboard.lowest in:.0%} of wildlife, "
     "{patterns.general model C chessboard.lowest in:.0%} of general; a guess that copies neighbours: "
     "{patterns.wildlife copy C chessboard.lowest in:.0%} and {patterns.general copy C chessboard.lowest in:.0%}"),
    ('"harmonic structures are reconstructed more easily than noises" under the horizontal mask',
     "two of three sounds, Fig. 3",
     "rank correlation of harmonicity with the error's ratio to that under the vertical mask "
     "{correlations.E_B / E_A.harmonicity.value:+.2f}, of copying "
     "{correlations.E_B / E_A of copying.harmonicity.value:+.2f}"),
    ('"succeeds entirely up to 0.75, whereas it degrades noticeably"', "Fig. 4",
     "error of hidden patches {visible.hidden.57:.3f} at 40 %, {visible.hidden.24:.3f} at 75 %, "
     "{visible.hidden.1:.3f} with one patch visible"),
    ('one patch gives "a frequency pattern similar to the average of the original"', "Fig. 4",
     "squared distance {one_patch.to its own average:.3f} to its own average, {one_patch.to the usual spectrum:.3f} to "
     "the usual spectrum, {one_patch.own average to the usual:.3f} between the two"),
    ('attention "reflects the repetition"', "six sounds, Fig. 5 and 6",
     "period right in {period.attention.right:.0%}, by chance {period.attention.right by chance:.0%}, untrained "
     "{period.attention, untrained.right:.0%}, by the input's level {period.level of the reference's row.right:.0%}"),
    ('"coarse segmentation of similar sounds"', "two of six sounds",
     "AUC of other calls {to_calls.attention.AUC:.2f}, untrained {to_calls.attention, untrained.AUC:.2f}, by similar "
     "content {to_calls.similar content.AUC:.2f}, by loudness {to_calls.loudness.AUC:.2f}"))
TITLES = {"Table 5": "input duration", "Table 6": "patch size", "Table 7": "patches against strips"}


def runs(committed: bool = False) -> pd.DataFrame:
    """The records of 08 and of 09's own tasks, a row each: a design measured by both counts once. `committed` as
    `record.records`."""
    table = pd.concat([record.records(name, committed) for name in NOTEBOOKS], ignore_index=True)
    if table.empty:
        return table
    if "benchmark" in table:  # of 09; 08 has no other
        table = table[table["benchmark"].fillna("offline") == "offline"]
    pools = [c for c in table if c.startswith("data.") and c.endswith(".hash")]
    return table.drop_duplicates(["model", "seed", "scale", "budget", "data_seed", *pools]).reset_index(drop=True)


def arms(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Model -> its runs by seed, of the largest set of runs that may be compared: one scale, budget and data."""
    if table.empty:
        return {}
    shared = ["scale", "budget", "data_seed", *(c for c in table if c.startswith("data.") and c.endswith(".name"))]
    world = table[shared].astype(str).agg("|".join, axis=1)
    largest = table[world == world.mode()[0]]
    return {name: arm.set_index("seed").sort_index() for name, arm in largest.groupby("model", sort=False)}


def _counted(arm: pd.DataFrame, seeds: Sequence[int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    counts = {}
    for name in [c.split(".")[1] for c in arm if c.startswith("tasks.") and c.endswith(".right")]:
        right, of = (arm.loc[seeds, f"tasks.{name}.{k}"].tolist() for k in ("right", "of"))
        if all(isinstance(row, list) for row in right + of):
            counts[name] = np.array(right), np.array(of)
    return counts


def differences(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, verdicts.Difference]:
    """Of each task that two models' runs have, and of "mean", their average, the score of a minus that of b.

    a, b: rows of `runs` by seed; the seeds that both have count. Seeds and test recordings are crossed, as seeds and
    classes elsewhere; the tasks are these five, not drawn."""
    shared = a.index.intersection(b.index)
    ours, theirs = _counted(a, shared), _counted(b, shared)
    sizes = {name: (ours[name][0].shape, theirs[name][0].shape) for name in ours if name in theirs}
    for name, (mine, other) in sizes.items():
        if mine != other:
            raise ValueError(f"{name}: one model has counts {mine} (seeds, recordings), the other {other}: they cannot "
                             "be paired")
    gains = {name: _per_recording(*ours[name]) - _per_recording(*theirs[name]) for name in sizes}
    found = {name: verdicts.crossed(gain) for name, gain in gains.items()}
    if found:
        total, middle = sum(g.shape[1] for g in gains.values()), np.mean([d.value for d in found.values()])
        shares = [(g - g.mean()) * total / (len(gains) * g.shape[1]) for g in gains.values()]  # each task counts alike
        found["mean"] = verdicts.crossed(middle + np.hstack(shares))
    return found


def _per_recording(right: np.ndarray, of: np.ndarray) -> np.ndarray:
    """(S, R) counts -> (S, R) numbers whose mean over recordings is the score right / of, to first order for each."""
    average = of.mean(axis=1, keepdims=True).clip(1e-9)
    score = right.mean(axis=1, keepdims=True) / average
    return score + (right - score * of) / average


def ladder(committed: bool = False) -> pd.DataFrame:
    """The score of every model and task, in percent, mean over seeds, with the mean over tasks; no network first."""
    models = arms(runs(committed))
    known = ["logmel", "untrained", *designs.DESIGNS, "ready"]
    order = [name for name in known if name in models] + sorted(set(models) - set(known))
    if not order:
        return pd.DataFrame()
    table = pd.DataFrame({name: {c.split(".")[1]: 100 * models[name][c].mean() for c in models[name]
                                 if c.startswith("tasks.") and c.endswith(".score")} for name in order}).T
    return table.assign(mean=table.mean(axis=1), seeds=[len(models[name]) for name in order])


def rows(place: str, committed: bool = False) -> pd.DataFrame:
    """Table 5, 6 or 7: each design against the table's first here (`BASES`), task by task and on average.

    The paper's difference stands beside ours; shares in percent, differences in points. The paper's number is of the
    HEAR task after which ours was made; "mean" is over its 15 tasks and over our five. p is of a comparison
    alone; the verdicts rest on `holm`, Holm's: the means are one family, the tasks another."""
    models, base, found = arms(runs(committed)), BASES[place], []
    settings = {name: design.tables[place] for name, design in designs.DESIGNS.items() if place in design.tables}
    published = record.reference("hear").query("place == @place")
    published = published.assign(task=published["metric"].str.split(":").str[0])
    published = published.pivot_table(index="setting", columns="task", values="value")
    published["mean"] = published.mean(axis=1)
    gains = published - published.loc[settings[base]]
    for name in [n for n in settings if n != base]:
        row = {"place": place, "setting": name, "against": base}
        if name in models and base in models:
            found += _against(row, models[name], models[base], gains.loc[settings[name]])
        else:
            found.append({**row, "task": "mean", "verdict": "not run"})
    for means in (True, False):
        family = [row for row in found if "change" in row and (row["task"] == "mean") == means]
        adjusted = verdicts.holm([row["p"] for row in family], [row["seeds"] for row in family])
        for row, p in zip(family, adjusted):
            direction = np.nan_to_num(np.sign(row["paper_change"]))
            row |= {"holm": p, "verdict": verdicts.verdict(direction, row["change"], p, row["seeds"], verdicts.MADE)}
    return pd.DataFrame(found)


def _against(row: Mapping[str, str], arm: pd.DataFrame, base: pd.DataFrame, gains: pd.Series) -> list[dict]:
    """The rows of one design, a task each: its difference from the base here, and in the paper."""
    seeds = len(arm.index.intersection(base.index))
    return [{**row, "task": task, "paper_change": gains.get(PAPER.get(task, task), np.nan),
             "change": 100 * change.value, "low": 100 * change.low, "high": 100 * change.high, "p": change.p,
             "power80": 100 * change.power80, "seeds": seeds, "scale": arm.iloc[0]["scale"]}
            for task, change in differences(arm, base).items()]


def markdown(place: str, committed: bool = False) -> str:
    """One of Tables 5 to 7 as text: the average over tasks of each design against the first, paper beside measured.

    "Table 2" is the ladder of all models, to be read against its floors: the paper's numbers are of other tasks."""
    if place == "Table 2":
        return _ladder_text(ladder(committed))
    lines = []
    for row in rows(place, committed).query("task == 'mean'").itertuples():
        measured = ["-"] * 4
        if row.verdict != "not run":
            ends = "(no interval)" if np.isnan(row.low) else f"[{row.low:+.1f}, {row.high:+.1f}]"
            measured = [f"{row.paper_change:+.1f}", f"{row.change:+.1f} {ends}", f"{row.power80:.1f}",
                        f"{row.scale}, {row.seeds:.0f}"]
        lines.append([row.setting, row.against, *measured, row.verdict])
    columns = ["design", "against", "paper: mean of 15 HEAR tasks", "measured: mean of 5 tasks [95 %]",
               "smallest found", "scale, seeds", "verdict"]
    return (f"**{place}** of Niizumi et al. 2022, {TITLES[place]} (notebook 08_design_choices)\n\n"
            f"{verdicts.markdown(columns, lines)}")


def _ladder_text(table: pd.DataFrame) -> str:
    head = ("**Tables 2 to 4** of Niizumi et al. 2022, frozen features: five tasks made here in place of HEAR's "
            "(notebook 09_frozen_benchmark)")
    if table.empty:
        return f"{head}: not run."
    lines = [[verdicts.quoted(name), *(f"{score:.1f}" for score in scores), f"{seeds:.0f}"]
             for name, *scores, seeds in table.itertuples(name=None)]
    heard = "Our networks heard most clips of `scene` in pretraining, without their labels; the notebook counts them."
    return f"{head}. {heard}\n\n{verdicts.markdown(['model', *map(verdicts.quoted, table)], lines)}"


def inside(committed: bool = False) -> str:
    """What section 4.5 states and what notebook 10 measures of it, as text: the mean over seeds, of several with the
    lowest and the highest in brackets. Of the paper's model, pretrained here, in the largest set of equal runs."""
    head = "**Section 4.5** of Niizumi et al. 2022: looking inside MSM-MAE-304 (notebook 10_looking_inside)"
    table = record.records("10_looking_inside", committed)
    if len(table):
        table = table[(table["model"] == "304") & (table["weights"] == "")]
    models = arms(table)
    if not models:
        return f"{head}: not run."
    (arm,) = models.values()

    def number(asked: re.Match) -> str:
        column, form = asked.groups()
        if column not in arm:
            return "-"
        values = [f"{value:{form}}" for value in (arm[column].mean(), arm[column].min(), arm[column].max())]
        return values[0] + (f" ({values[1]} to {values[2]})" if len(arm) > 1 else "")

    lines = [[statement, evidence, re.sub(r"\{(.+?):([^{}]+)\}", number, measured)]
             for statement, evidence, measured in INSIDE]
    columns = ["statement", "the paper's evidence", f"measured: {arm['scale'].iloc[0]}, seeds: {len(arm)}"]
    return f"{head}\n\n{verdicts.markdown(columns, lines)}"
