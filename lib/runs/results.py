"""All run records beside the first paper's numbers: rows for notebook 11 and for RESULTS.md (`report`).

Shares are in percent here, as in the paper, and differences in points. RESULTS.md shows runs of committed code only
(`provenance.publishable` has the rule), and `committed=True` asks for the same here."""
import math
from collections.abc import Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib import metrics, plots
from lib.runs import criteria, curve, experiments, record, verdicts
from lib.runs.experiments import BY_PLACE, CURATION, EXPERIMENTS, PUBLIC, TOP1, Experiment, Reading, load, published

__all__ = ["rows", "not_run", "opponents", "readouts", "detectors", "everything", "pools", "markdown", "text", "cell",
           "mix_ratio"]

COLUMNS = ["place", "setting", "against", "paper", "measured", "measured_low", "measured_high", "val", "paper_change",
           "change", "low", "high", "p", "holm", "power80", "seeds", "data", "scale", "verdict"]


def paper_split(experiment: Experiment) -> str:
    """The split of the paper's numbers beside ours, which are of test: test, or val where it has only that."""
    return "test" if experiment.place in ("Table 2", "Table 3") else "val"


def _compare(experiment: Experiment, world: pd.DataFrame, reading: Reading) -> Iterator[dict]:
    """The rows of one world: every arm, and every arm against each of its bases, paired by seed and recording.

    A row that compares two arms has the score of the seeds that both have."""
    first, stored, split = world.iloc[0], f"{reading.answers}.test", paper_split(experiment)
    targets, groups = (np.asarray(first[f"{stored}.{k}"]) for k in ("targets", "groups"))
    chosen = np.asarray(first[f"{reading.answers}.val.targets"])
    if any(list(other) != list(known) for known, part in ((targets, "test"), (chosen, "val"))
           for other in world[f"{reading.answers}.{part}.targets"]):
        raise ValueError(f"{experiment.notebook}: records of {first['data']}, {first['scale']} list their recordings "
                         "in different orders or numbers, so they cannot be paired: run them again from one copy of "
                         "the data")
    arms = dict(list(world.groupby("label", sort=False)))
    hits = {label: _by_seed(arm, f"{stored}.hits") for label, arm in arms.items()}  # a row per seed, (S, R)
    paper = {label: published(experiment, arm.iloc[0]["setting"], split, reading.metric,
                              str(arm.iloc[0].get("threshold", ""))) for label, arm in arms.items()}
    shared = {"place": experiment.place, "data": first["data"], "scale": first["scale"]}
    if experiment.place == "Table 2":
        chance = 1 / len(np.unique(targets))
        hits["chance"] = pd.DataFrame(chance, sorted(set(world["seed"])), range(len(targets)))
        paper["chance"] = published(experiment, "chance", split)
        yield {**shared, "setting": "chance", "paper": paper["chance"], "measured": 100 * chance,
               "verdict": "by definition"}
    for label, arm in arms.items():
        val = _by_seed(arm, f"{reading.answers}.val.hits")
        row = {**shared, "setting": label + reading.label, "paper": paper[label]}

        def scored(seeds: pd.Index) -> dict[str, float]:
            return {"seeds": len(seeds), "val": 100 * metrics.class_average(val.loc[seeds].mean().to_numpy(), chosen),
                    **_score(hits[label].loc[seeds].mean().to_numpy(), targets, groups)}

        bases, direction = arm.iloc[0]["bases"], arm.iloc[0]["direction"]
        pairs = {base: hits[label].index.intersection(hits[base].index) for base in bases if base in hits}
        pairs = {base: seeds for base, seeds in pairs.items() if len(seeds)}
        if not pairs:
            yield {**row, **scored(hits[label].index),
                   "verdict": "not run: what it is compared with" if bases else "reference"}
        for base, seeds in pairs.items():
            gain = paper[label] - paper[base]
            stated = direction if base == bases[0] and not reading.label else 0
            change = verdicts.difference(hits[label].loc[seeds], hits[base].loc[seeds], targets)
            yield {**row, **scored(seeds), "against": base + reading.label, "paper_change": gain, **_points(change),
                   "direction": stated if np.isnan(gain) else np.sign(gain)}


def _by_seed(arm: pd.DataFrame, column: str) -> pd.DataFrame:
    """The hits of an arm's runs: a row per seed, a column per recording."""
    column = arm.drop_duplicates("seed").set_index("seed").sort_index()[column]
    return pd.DataFrame(np.stack(column).astype(float), column.index)


def rows(experiment: Experiment, committed: bool = False) -> pd.DataFrame:
    """What has been run of one of the paper's tables, world by world (`_worlds` has their order).

    Scores and differences are of test, with val's score beside them; a world that compares nothing is left out. p is of
    a comparison alone; the verdicts rest on `holm`, Holm's over a world's comparisons of three seeds or more."""
    found = []
    for world in _worlds(load(experiment, committed)):
        readings = CURATION if "filter" in world else TOP1
        compared = [row for reading in readings if f"{reading.answers}.test.hits" in world
                    for row in _compare(experiment, world, reading)]
        found += _judged(compared) if any("change" in row for row in compared) else []
    return pd.DataFrame(found, columns=COLUMNS)


def _worlds(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The runs of each world: that of the verdicts about animals first, then the one with most runs."""
    worlds = [world for _, world in table.groupby("world")] if len(table) else []
    return sorted(worlds, key=lambda world: (world["data"].iloc[0] != criteria.PRIMARY, -len(world)))


def not_run(experiment: Experiment, committed: bool = False) -> pd.DataFrame:
    """The paper's rows that no record stands beside, with the reason where it is known."""
    table, found = load(experiment, committed), []
    done = {"chance", *table["setting"]} if len(table) else set()
    for setting in [s for s in experiment.settings if s not in done]:
        why = "not run" + (": needs the public weights" if setting in PUBLIC else "")
        paper = np.nan
        if experiment.place.startswith("Table"):
            paper = published(experiment, setting, paper_split(experiment))
        found.append({"place": experiment.place, "setting": setting, "paper": paper, "verdict": why})
    return pd.DataFrame(found, columns=COLUMNS)


def opponents(committed: bool = False) -> pd.DataFrame:
    """Models without pretraining beside every start of Table 3: the columns of `rows`, a family for every world."""
    every = []
    for world in _worlds(load(BY_PLACE["Table 3"], committed)):
        first, found = world.iloc[0], []
        shared = {"place": "Baselines", "data": first["data"], "scale": first["scale"]}
        recordings = [np.asarray(first[f"answers.test.{key}"]) for key in ("targets", "groups")]
        for name, words in curve.OPPONENTS.items():
            column = f"answers_{name}.test.hits"
            known = world[world[column].notna()] if column in world else world[:0]
            if known.empty:
                continue
            own = known.drop_duplicates("seed")
            found.append({**shared, "setting": words, "verdict": "reference", "seeds": len(own),
                          **_score(np.stack(own[column]).mean(axis=0), *recordings)})
            for label, arm in world.groupby("label", sort=False):
                change = verdicts.between(arm, own, "answers", f"answers_{name}")
                if change is None:  # no seed in common
                    continue
                hits = np.stack(arm.loc[arm["seed"].isin(own["seed"]), "answers.test.hits"])  # of the seeds of both
                found.append({**shared, "setting": label, "against": words, "seeds": change.seeds, "direction": 0,
                              **_score(hits.mean(axis=0), *recordings),
                              **_points(change)})
        every += _judged(found)
    return pd.DataFrame(every, columns=COLUMNS)


def _score(hits: np.ndarray, targets: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Top-1 on test of hits (R,) in percent, with its interval over recordings."""
    mean = metrics.bootstrap(hits, targets, groups, rng=np.random.default_rng(0))
    return {"measured": 100 * mean.value, "measured_low": 100 * mean.low, "measured_high": 100 * mean.high}


def _points(change: verdicts.Difference) -> dict[str, float]:
    return {"change": 100 * change.value, "low": 100 * change.low, "high": 100 * change.high, "p": change.p,
            "power80": 100 * change.power80 if change.seeds > 1 else np.nan}  # one seed says nothing of others


def _judged(rows: list[dict]) -> list[dict]:
    """The rows, those with a difference with Holm's p over all of them and a verdict."""
    family = [row for row in rows if "change" in row]
    adjusted = verdicts.holm([row["p"] for row in family], [row["seeds"] for row in family])
    for row, p in zip(family, adjusted):
        row |= {"holm": p, "verdict": verdicts.verdict(row["direction"], row["change"], p, row["seeds"], row["data"])}
    return rows


def readouts(committed: bool = False) -> pd.DataFrame:
    """The ladder of notebook 03: a row per readout, a column per encoder, test in percent, mean over seeds."""
    table = record.records("03_linear_probe", committed)
    steps = [{"encoder": f"{run['init']}, {run['scale']}", "readout": rung["rung"], "test": 100 * rung["test"]["value"]}
             for _, run in table.iterrows() for rung in run.get("ladder", ())]
    if not steps:
        return pd.DataFrame()
    found = pd.DataFrame(steps).groupby(["readout", "encoder"], sort=False)["test"].mean().unstack()
    return found[list(dict.fromkeys(step["encoder"] for step in steps))]


DETECTED = {"kept.windows": "windows kept", "kept.recordings": "recordings", "detector.precision": "precision",
            "detector.recall": "recall", "detector.auc": "AUC", "detector.base_rate": "base rate"}


def detectors(committed: bool = False) -> pd.DataFrame:
    """What each filter of 07 keeps and, where the true calls are known, how well it finds them: means over seeds, a row
    per filter, threshold and control; empty without records."""
    table = record.records("07_data_curation", committed)
    there = {column: name for column, name in DETECTED.items() if column in table}
    if not there:
        return pd.DataFrame()
    pools = table[["data.wildlife.name", "data.wildlife.hash"]].itertuples(index=False)
    arms = table.assign(**{"recordings of": [experiments.said(*pool) for pool in pools]},
                        **{column: table[column].astype(float) for column in there},
                        filter=experiments.filters(table)).groupby(
        ["recordings of", "filter", "threshold", "control"], sort=False)
    means = arms[list(there)].mean().rename(columns=there).assign(seeds=arms["seed"].nunique())
    return means.sort_index(level=0, sort_remaining=False, kind="stable")


def everything(experiments: Sequence[Experiment] = EXPERIMENTS, committed: bool = False) -> pd.DataFrame:
    """Every row of every table and figure with numbers, run or not."""
    tables = [table for e in experiments for table in (rows(e, committed=committed), not_run(e, committed))]
    tables = [table.astype(object) for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def pools() -> pd.DataFrame:
    """The data card of all records: a row per pool, with its size and the notebooks that used it."""
    found, card = [], ["name", "hash", "classes", "recordings", "hours"]
    for notebook in dict.fromkeys(e.notebook for e in EXPERIMENTS):
        table = record.records(notebook)
        for pool in record.POOLS:
            if f"data.{pool}.name" in table:
                cards = table[[f"data.{pool}.{k}" for k in card]].drop_duplicates().dropna()
                found += [[pool, *values, notebook[:2]] for values in cards.itertuples(index=False, name=None)]
    table = pd.DataFrame(found, columns=["pool", *card, "used in"])
    table["name"] = [experiments.said(name, digits) for name, digits in zip(table["name"], table["hash"])]
    return table.groupby(["pool", *card], sort=False)["used in"].agg(", ".join).reset_index()


HEADS = ("", "paper, {split}", "measured, test [95 %]", "val", "difference to", "paper's", "measured [95 %]",
         "smallest found", "data, scale, seeds", "verdict")
def cell(value: object, low: object = None, high: object = None, digits: int = 1, sign: str = "") -> str:
    """A number, with its interval where it has one; "-" where there is none."""
    number = "-" if pd.isna(value) else f"{float(value):{sign}.{digits}f}"
    return number if pd.isna(low) else f"{number} [{float(low):{sign}.{digits}f}, {float(high):{sign}.{digits}f}]"


def markdown(experiment: Experiment, committed: bool = False) -> str:
    """One of the paper's tables as text: paper beside measured."""
    table = everything((experiment,), committed)
    head = f"**{experiment.place}**, {experiment.question} (notebook {experiment.notebook})"
    if table["measured"].isna().all():
        return f"{head}: not run."
    digits = 2 if experiment.place in ("Table 2", "Table 3") else 1  # as the paper prints them
    return f"{head}\n\n{text(table, paper_split(experiment), digits)}"


def text(table: pd.DataFrame, split: str, digits: int = 1) -> str:
    """Rows as a table in markdown; split and digits are those of the paper's numbers."""
    lines = []
    for row in table.itertuples():
        measured = cell(row.measured, row.measured_low, row.measured_high)
        measured += " (no interval)" if pd.notna(row.seeds) and pd.isna(row.measured_low) else ""
        change = cell(row.change, row.low, row.high, sign="+")
        change += " (no interval)" if pd.notna(row.change) and pd.isna(row.low) else ""
        where = "-" if pd.isna(row.data) else verdicts.quoted(f"{row.data}, {row.scale}")
        where += "" if pd.isna(row.seeds) else f", {row.seeds:.0f}"
        against = "-" if pd.isna(row.against) else verdicts.quoted(row.against)
        lines.append([verdicts.quoted(row.setting), cell(row.paper, digits=digits), measured, cell(row.val), against,
                      cell(row.paper_change, digits=digits, sign="+"), change, cell(row.power80), where, row.verdict])
    return verdicts.markdown([head.format(split=split) for head in HEADS], lines)


def mix_ratio(table: pd.DataFrame, reference: pd.DataFrame, highlight: str = "") -> Figure:
    """Top-1 on test against the mixing ratio: the paper's Table 4, of val, then a panel per pair of pools and scale.

    table: records of 05_mix_ratio with a column `data`, as `experiments.load` has them. A dot is a run with its 95 %
    interval, a line joins the means over seeds, the dotted one is logistic regression. `highlight` names a record to
    circle. Every panel has its own axis: only the shape can be compared."""
    worlds = list(table.groupby(["data", "scale", "budget"], sort=False)) if len(table) else []
    height = math.ceil((1 + len(worlds)) / 4)
    width = math.ceil((1 + len(worlds)) / height)
    size = (2.75 * width, 3.1 * height)
    figure, axes = plt.subplots(height, width, figsize=size, squeeze=False, layout="constrained")
    axes, unused = np.split(axes.ravel(), [1 + len(worlds)])
    ratios = sorted({float(r) for r in reference["setting"]} | set(table["ratio"] if len(table) else ()))
    place = {r: i for i, r in enumerate(ratios)}
    paper = reference.assign(x=[place[float(r)] for r in reference["setting"]]).sort_values("x")
    axes[0].plot(paper["x"], paper["value"], "s-", color="0.3")
    axes[0].set(title="paper: Liu et al. 2026, Table 4\nViT-B, iNatSounds + AudioSet", ylabel="top-1 on val (%)")
    for n, (ax, ((data, scale, _), runs)) in enumerate(zip(axes[1:], worlds), 1):
        ax.set_ylabel("top-1 on test (%)" if n == 1 or n % width == 0 else "")
        _ratios_of(ax, runs, place, highlight)
        seen, seeds = runs["samples_seen"].iloc[0], runs["seed"].nunique()
        pools = "\n+ ".join(map(plots.label, data.split(" + ")))
        ax.set_title(f"{pools}\n{plots.label(scale)}, {int(seen):,} clips, seeds: {seeds}")
    for ax in unused:
        ax.remove()
    for ax in axes:
        ax.set_xticks(range(len(ratios)), ["∞" if np.isinf(r) else f"{r:g}" for r in ratios])
        ax.set(xlabel="general clips per wildlife clip", ylim=(0, 1.05 * ax.get_ylim()[1]))
        for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
            text.set_size("small")
        ax.tick_params(labelsize="small")
    return figure


def _ratios_of(ax: Axes, runs: pd.DataFrame, place: dict[float, int], highlight: str) -> None:
    """A panel of `mix_ratio`: place says where on the axis a ratio stands."""
    mean = 100 * runs.groupby("ratio")["test.top1.value"].mean()
    ax.plot([place[r] for r in mean.index], mean, color="C0", alpha=0.6)
    x = runs["ratio"].map(place) + 0.12 * (runs["seed"] - runs["seed"].mean())
    value, low, high = (100 * runs[f"test.top1.{k}"].astype(float) for k in ("value", "low", "high"))
    ax.errorbar(x, value, [(value - low).clip(lower=0), (high - value).clip(lower=0)], fmt="o", color="C0",
                markersize=4, elinewidth=0.8)
    circled = runs["name"] == highlight
    ax.plot(x[circled], value[circled], "o", color="C0", markersize=4, markeredgecolor="C3", markeredgewidth=2)
    if "baselines.logistic.test.top1.value" in runs:
        ax.axhline(100 * runs["baselines.logistic.test.top1.value"].mean(), color="0.4", linestyle=":")
