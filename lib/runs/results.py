"""All run records beside the numbers of the two papers: rows for notebook 11, and the results section of the README.

    python -m lib.runs.results      writes that section anew, from the records and nothing else

Shares are in percent here, as in the paper, and differences in points. The README shows runs of committed code only
(`provenance.publishable` has the rule), and `committed=True` asks for the same here."""
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib import metrics, paths
from lib.runs import curve, record, results_hear, verdicts
from lib.runs.experiments import CURATION, EXPERIMENTS, PUBLIC, TOP1, Experiment, Reading, load, published

__all__ = ["rows", "not_run", "everything", "pools", "markdown", "section", "write_readme", "mix_ratio"]

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
COLUMNS = ["place", "setting", "against", "paper", "measured", "measured_low", "measured_high", "val", "paper_change",
           "change", "low", "high", "p", "power80", "seeds", "data", "scale", "verdict"]


def paper_split(experiment: Experiment) -> str:
    """The split of the paper's numbers beside ours, which are of test: test, or val where it has only that."""
    return "test" if experiment.place in ("Table 2", "Table 3") else "val"


def _compare(experiment: Experiment, world: pd.DataFrame, reading: Reading) -> Iterator[dict]:
    """The rows of one world: every arm, and every arm against each of its bases, paired by seed and recording."""
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
        mean = metrics.bootstrap(hits[label].to_numpy().mean(axis=0), targets, groups, rng=np.random.default_rng(0))
        val = _by_seed(arm, f"{reading.answers}.val.hits").to_numpy().mean(axis=0)
        row = {**shared, "setting": label + reading.label, "seeds": len(hits[label]), "paper": paper[label],
               "val": 100 * metrics.class_average(val, chosen),
               "measured": 100 * mean.value, "measured_low": 100 * mean.low, "measured_high": 100 * mean.high}
        bases, direction = arm.iloc[0]["bases"], arm.iloc[0]["direction"]
        pairs = {base: hits[label].index.intersection(hits[base].index) for base in bases if base in hits}
        pairs = {base: seeds for base, seeds in pairs.items() if len(seeds)}
        if not pairs:
            yield {**row, "verdict": "not run: what it is compared with" if bases else "reference"}
        for base, seeds in pairs.items():
            gain = paper[label] - paper[base]
            stated = direction if base == bases[0] and not reading.label else 0
            change = verdicts.difference(hits[label].loc[seeds], hits[base].loc[seeds], targets)
            yield {**row, "against": base + reading.label, "paper_change": gain, "seeds": len(seeds),
                   "change": 100 * change.value, "low": 100 * change.low, "high": 100 * change.high, "p": change.p,
                   "power80": 100 * change.power80, "direction": stated if np.isnan(gain) else np.sign(gain)}


def _by_seed(arm: pd.DataFrame, column: str) -> pd.DataFrame:
    """The hits of an arm's runs: a row per seed, a column per recording."""
    column = arm.drop_duplicates("seed").set_index("seed").sort_index()[column]
    return pd.DataFrame(np.stack(column).astype(float), column.index)


def rows(experiment: Experiment, committed: bool = False) -> pd.DataFrame:
    """What has been run of one of the paper's tables, the world with most runs first.

    Scores and differences are of test, with val's score beside them; a world that compares nothing is left out. The
    verdicts rest on Holm's p-values over all comparisons of the table that have two seeds."""
    table, found = load(experiment, committed), []
    worlds = [world for _, world in table.groupby("world")] if len(table) else []
    for world in sorted(worlds, key=len, reverse=True):
        readings = CURATION if "filter" in world else TOP1
        compared = [row for reading in readings if f"{reading.answers}.test.hits" in world
                    for row in _compare(experiment, world, reading)]
        found += compared if any("change" in row for row in compared) else []
    family = [row for row in found if "change" in row]
    adjusted = verdicts.holm([row["p"] if row["seeds"] > 1 else np.nan for row in family])
    for row, p in zip(family, adjusted):
        row |= {"p": p, "verdict": verdicts.verdict(row["direction"], row["change"], p, row["seeds"], row["data"])}
    return pd.DataFrame(found, columns=COLUMNS)


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
    return table.groupby(["pool", *card], sort=False)["used in"].agg(", ".join).reset_index()


# README --------------------------------------------------------------------------------------------------------------

HEADS = ("", "paper, {split}", "measured, test [95 %]", "val", "difference to", "paper's", "measured [95 %]",
         "smallest found", "data, scale, seeds", "verdict")
INTRO = """<!-- written by: python -m lib.runs.results -->

Class-averaged top-1 on test, in percent; *val*, which chose the checkpoint and the settings, stands beside it. \
*Paper*: Liu et al. 2026, ViT-B on iNatSounds, one run each, no intervals;
where it has no test numbers, its val. *Measured*: this code, mean over seeds. The 95 % interval of a score is over \
recordings of these species (*no interval* where most species have a single group of
recordings); that of a difference is over other seeds and other species, crossed, or of one seed over species alone. \
*Smallest found*: a true difference of that many points is found with 80 % power (1.43 half widths).
A verdict needs two seeds and p < 0.05 by Holm's correction over all comparisons of its table, so that an interval can \
leave 0 out and the verdict be undecided. Compare directions, not heights: species, recordings and the size of the
model differ. `chorus` is a generator's world and says nothing about animals; a *stand-in* for AudioSet weights was \
pretrained here on the general pool."""

SECOND = """The second paper, Niizumi et al. 2022 (*MSM-MAE*): scores in percent on five tasks that are made here \
after HEAR's, test recordings. Differences are
paired, with 95 % intervals over other seeds and other recordings, crossed; *smallest found* and Holm's correction as \
above; it is all of the generator's world."""


def _cell(value: object, low: object = None, high: object = None, digits: int = 1, sign: str = "") -> str:
    number = "-" if pd.isna(value) else f"{float(value):{sign}.{digits}f}"
    return number if pd.isna(low) else f"{number} [{float(low):{sign}.{digits}f}, {float(high):{sign}.{digits}f}]"


def markdown(experiment: Experiment, committed: bool = False) -> str:
    """One of the paper's tables as text: paper beside measured."""
    table = everything((experiment,), committed)
    head = f"**{experiment.place}**, {experiment.question} (notebook {experiment.notebook})"
    if table["measured"].isna().all():
        return f"{head}: not run."
    digits = 2 if experiment.place in ("Table 2", "Table 3") else 1  # as the paper prints them
    lines = []
    for row in table.itertuples():
        measured = _cell(row.measured, row.measured_low, row.measured_high)
        measured += " (no interval)" if pd.notna(row.seeds) and pd.isna(row.measured_low) else ""
        change = _cell(row.change, row.low, row.high, sign="+")
        change += " (no interval)" if pd.notna(row.change) and pd.isna(row.low) else ""
        where = "-" if pd.isna(row.data) else f"{row.data}, {row.scale}"
        where += "" if pd.isna(row.seeds) else f", {row.seeds:.0f}"
        lines.append([row.setting, _cell(row.paper, digits=digits), measured, _cell(row.val),
                      "-" if pd.isna(row.against) else row.against, _cell(row.paper_change, digits=digits, sign="+"),
                      change, _cell(row.power80), where, row.verdict])
    heads = [head.format(split=paper_split(experiment)) for head in HEADS]
    return f"{head}\n\n{verdicts.markdown(heads, lines)}"


def section() -> str:
    """The README's text between the markers, without them."""
    notebooks = dict.fromkeys([*(e.notebook for e in EXPERIMENTS), *results_hear.NOTEBOOKS])
    first = [_folded(markdown(experiment, committed=True)) for experiment in EXPERIMENTS]
    second = [_folded(results_hear.markdown(place, committed=True)) for place in ("Table 2", *results_hear.BASES)]
    pictures = [f"![Drawn by the notebook of that name](figures/{name}.png)" for name in ("11_results", *notebooks)
                if (paths.ROOT / "figures" / f"{name}.png").exists()]
    buys = [text for text in [curve.markdown(committed=True)] if text]
    return "\n\n".join([INTRO, *_uncommitted(notebooks), *buys, *first, SECOND, *second, *pictures])


def _uncommitted(notebooks: Iterable[str]) -> list[str]:
    """A paragraph on the runs that are older than the rule and were made from a tree with uncommitted changes."""
    commits = [str(commit) for name in notebooks for commit in record.records(name, committed=True).get("git", ())]
    dirty = sum(commit.endswith("-dirty") for commit in commits)
    text = (f"{dirty} of the {len(commits)} runs behind these tables were made from a tree with uncommitted changes: "
            f"they are of version {record.VERSION} of the results and will be made again.")
    return [text] if dirty else []


def _folded(text: str) -> str:
    """A table behind its heading, to be opened with a click; a heading alone stays as it is."""
    head, _, body = text.partition("\n\n")
    return f"<details><summary>{head.replace('**', '')}</summary>\n\n{body}\n\n</details>" if body else text


def write_readme(path: str = "README.md") -> bool:
    """Puts `section` between the markers of the README; True if that changed anything."""
    file = paths.resolve(path)
    old = file.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end or old.count(BEGIN) != 1 or old.count(END) != 1:
        raise ValueError(f"{file.name} must hold {BEGIN} and, below it, {END}, once each: "
                         "put them where the results belong")
    new = f"{before}{begin}\n{section()}\n{end}{after}"
    if new != old:
        paths.write_text(file, new)
    return new != old


def mix_ratio(table: pd.DataFrame, reference: pd.DataFrame, highlight: str = "") -> Figure:
    """Top-1 on test against the mixing ratio: the paper's Table 4, of val, then a panel per pair of pools and scale.

    table: records of 05_mix_ratio with a column `data`; a dot is a run with its 95 % interval, a line joins the means
    over seeds. `highlight` names a record to circle. Every panel has its own axis: only the shape can be compared."""
    worlds = list(table.groupby(["data", "scale", "budget"], sort=False)) if len(table) else []
    width = 1 + len(worlds)
    figure, axes = plt.subplots(1, width, figsize=(3.4 * width, 3.4), squeeze=False)
    ratios = sorted({float(r) for r in reference["setting"]} | set(table["ratio"] if len(table) else ()))
    place = {r: i for i, r in enumerate(ratios)}
    paper = reference.assign(x=[place[float(r)] for r in reference["setting"]]).sort_values("x")
    axes[0, 0].plot(paper["x"], paper["value"], "s-", color="0.3")
    axes[0, 0].set(title="paper: Liu et al. 2026, Table 4\nViT-B, iNatSounds + AudioSet",
                   ylabel="top-1 on val, class average (%)")
    axes[0, 1].set_ylabel("top-1 on test, class average (%)") if worlds else None
    for ax, ((data, scale, _), runs) in zip(axes[0, 1:], worlds):
        mean = 100 * runs.groupby("ratio")["test.top1.value"].mean()
        ax.plot([place[r] for r in mean.index], mean, color="C0", alpha=0.6)
        x = runs["ratio"].map(place) + 0.12 * (runs["seed"] - runs["seed"].mean())
        value, low, high = (100 * runs[f"test.top1.{k}"].astype(float) for k in ("value", "low", "high"))
        ax.errorbar(x, value, [(value - low).clip(lower=0), (high - value).clip(lower=0)], fmt="o", color="C0",
                    markersize=4, elinewidth=0.8)
        circled = runs["name"] == highlight
        ax.plot(x[circled], value[circled], "o", color="C0", markersize=4, markeredgecolor="C3", markeredgewidth=2)
        seen, seeds = runs["samples_seen"].iloc[0], runs["seed"].nunique()
        ax.set_title(f"measured: {data.replace(' + ', chr(10) + '+ ')}\n{scale}, {int(seen):,} clips, seeds: {seeds}")
    names = {0: "wildlife\nonly", np.inf: "general\nonly"}
    for ax in axes[0]:
        ax.set_xticks(range(len(ratios)), [names.get(r, f"{r:g}:1") for r in ratios])
        ax.set(xlabel="general : wildlife", ylim=(0, 1.05 * ax.get_ylim()[1]))
        ax.title.set_size("small")
        ax.tick_params(axis="x", labelsize="small")
    return figure


def main() -> None:
    """The command line, see the top of this file."""
    if os.environ.get("STUDY_RUNS"):
        raise ValueError("STUDY_RUNS is set, and the README shows the records of papermill_runs/ only: unset it")
    print("README.md:", "results written anew" if write_readme() else "results are up to date")


if __name__ == "__main__":
    sys.exit(paths.command(main, sys.argv[1:], __doc__))
