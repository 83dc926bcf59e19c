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
from lib.runs import record, results_hear, verdicts
from lib.runs.experiments import CURATION, EXPERIMENTS, PUBLIC, TOP1, Experiment, Reading, load, published

__all__ = ["rows", "not_run", "everything", "pools", "markdown", "section", "write_readme", "mix_ratio"]

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
COLUMNS = ["place", "setting", "against", "split", "paper", "measured", "measured_low", "measured_high", "paper_change",
           "change", "low", "high", "low_species", "high_species", "detectable", "seeds", "data", "scale", "verdict"]


def _compare(experiment: Experiment, world: pd.DataFrame, split: str, reading: Reading) -> Iterator[dict]:
    """The rows of one world: every arm, and every arm against each of its bases, paired by seed and recording."""
    first, stored = world.iloc[0], f"{reading.answers}.{split}"
    targets, groups = (np.asarray(first[f"{stored}.{k}"]) for k in ("targets", "groups"))
    if any(list(other) != list(targets) for other in world[f"{stored}.targets"]):
        raise ValueError(f"{experiment.notebook}: records of {first['data']}, {first['scale']} list their recordings "
                         "in different orders or numbers, so they cannot be paired: run them again from one copy of "
                         "the data")
    arms = dict(list(world.groupby("label", sort=False)))
    hits = {label: _by_seed(arm, f"{stored}.hits") for label, arm in arms.items()}  # a row per seed, (S, R)
    paper = {label: published(experiment, arm.iloc[0]["setting"], split, reading.metric,
                              str(arm.iloc[0].get("threshold", ""))) for label, arm in arms.items()}
    shared = {"place": experiment.place, "split": split, "data": first["data"], "scale": first["scale"]}
    if experiment.place == "Table 2":
        chance = 1 / len(np.unique(targets))
        hits["chance"] = pd.DataFrame(chance, sorted(set(world["seed"])), range(len(targets)))
        paper["chance"] = published(experiment, "chance", split)
        yield {**shared, "setting": "chance", "paper": paper["chance"], "measured": 100 * chance,
               "verdict": "by definition"}
    for label, arm in arms.items():
        mean = metrics.bootstrap(hits[label].to_numpy().mean(axis=0), targets, groups, rng=np.random.default_rng(0))
        row = {**shared, "setting": label + reading.label, "seeds": len(hits[label]), "paper": paper[label],
               "measured": 100 * mean.value, "measured_low": 100 * mean.low, "measured_high": 100 * mean.high}
        bases, direction = arm.iloc[0]["bases"], arm.iloc[0]["direction"]
        pairs = {base: hits[label].index.intersection(hits[base].index) for base in bases if base in hits}
        pairs = {base: seeds for base, seeds in pairs.items() if len(seeds)}
        if not pairs:
            yield {**row, "verdict": "not run: what it is compared with" if bases else "reference"}
        for base, seeds in pairs.items():
            gain = paper[label] - paper[base]
            stated = direction if base == bases[0] and not reading.label else 0
            yield {**row, "against": base + reading.label, "paper_change": gain, "seeds": len(seeds),
                   **_change(hits[label].loc[seeds], hits[base].loc[seeds], targets, groups, first["data"],
                             stated if np.isnan(gain) else np.sign(gain))}


def _by_seed(arm: pd.DataFrame, column: str) -> pd.DataFrame:
    """The hits of an arm's runs: a row per seed, a column per recording."""
    column = arm.drop_duplicates("seed").set_index("seed").sort_index()[column]
    return pd.DataFrame(np.stack(column).astype(float), column.index)


def _change(ours: pd.DataFrame, base: pd.DataFrame, targets: np.ndarray, groups: np.ndarray, data: str,
            direction: float) -> dict[str, object]:
    """The difference of two arms, (S, R) hits each, in points; its intervals, what could be seen, and the verdict."""
    both = ours.to_numpy(), base.to_numpy(), targets, groups
    change, species = (verdicts.across_seeds(*both, over=over, rng=np.random.default_rng(0))
                       for over in ("groups", "classes"))
    least = verdicts.smallest_detectable(*both, rng=np.random.default_rng(0))
    alone = (pd.Series(groups).groupby(targets).nunique() == 1).mean() > 0.5  # one group a class hides its doubt
    return {"change": 100 * change.value, "low": 100 * change.low, "high": 100 * change.high,
            "low_species": 100 * species.low, "high_species": 100 * species.high, "detectable": 100 * least,
            "verdict": verdicts.verdict(direction, [change, species], len(ours), str(data), alone)}


def rows(experiment: Experiment, splits: Sequence[str] = ("val", "test"), committed: bool = False) -> pd.DataFrame:
    """What has been run of one of the paper's tables, the world with most runs first.

    A world that compares nothing is left out."""
    table, found = load(experiment, committed), []
    worlds = [world for _, world in table.groupby("world")] if len(table) else []
    for world in sorted(worlds, key=len, reverse=True):
        readings = CURATION if "filter" in world else TOP1
        compared = [row for split in splits for reading in readings if f"{reading.answers}.val.hits" in world
                    for row in _compare(experiment, world, split, reading)]
        found += compared if any("change" in row for row in compared) else []
    return pd.DataFrame(found, columns=COLUMNS)


def not_run(experiment: Experiment, committed: bool = False) -> pd.DataFrame:
    """The paper's rows that no record stands beside, with the reason where it is known."""
    table, found = load(experiment, committed), []
    done = {"chance", *table["setting"]} if len(table) else set()
    for setting in [s for s in experiment.settings if s not in done]:
        for split in ("val", "test") if experiment.place in ("Table 2", "Table 3") else ("val",):
            why = "not run" + (": needs the public weights" if setting in PUBLIC else "")
            paper = published(experiment, setting, split) if experiment.place.startswith("Table") else np.nan
            found.append({"place": experiment.place, "setting": setting, "split": split, "paper": paper,
                          "verdict": why})
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

HEADS = ("", "paper", "measured [95 %]", "difference to", "paper", "measured [recordings] [species]", "detectable",
         "data, scale, seeds", "verdict")
INTRO = """<!-- written by: python -m lib.runs.results -->

![Differences in the paper and here, table by table](figures/11_results.png)

Class-averaged top-1 on val, in percent. *Paper*: Liu et al. 2026, ViT-B on iNatSounds, one run each, no intervals. \
*Measured*: this code, mean over
seeds, with 95 % intervals over recordings and, for differences, over species too; *detectable* is the smallest \
difference that could be seen. Compare
directions, not heights: species, recordings and the size of the model differ. A verdict needs two seeds and both \
intervals on one side of 0. `chorus`
is a generator's world and says nothing about animals; a *stand-in* for AudioSet weights was pretrained here on the \
general pool."""

SECOND = """The second paper, Niizumi et al. 2022 (*MSM-MAE*): scores in percent on five tasks that are made here \
after HEAR's, test recordings. Differences are
paired by seed and recording, with 95 % intervals over both; it is all of the generator's world."""


def _cell(value: object, low: object = None, high: object = None, digits: int = 1, sign: str = "") -> str:
    number = "-" if pd.isna(value) else f"{float(value):{sign}.{digits}f}"
    return number if pd.isna(low) else f"{number} [{float(low):{sign}.{digits}f}, {float(high):{sign}.{digits}f}]"


def markdown(experiment: Experiment, split: str = "val", committed: bool = False) -> str:
    """One of the paper's tables as text: paper beside measured."""
    table = everything((experiment,), committed).query("split == @split")
    head = f"**{experiment.place}**, {experiment.question} (notebook {experiment.notebook})"
    if table["measured"].isna().all():
        return f"{head}: not run."
    digits = 2 if experiment.place in ("Table 2", "Table 3") else 1  # as the paper prints them
    lines = []
    for row in table.itertuples():
        change = _cell(row.change, row.low, row.high, sign="+")
        change += "" if pd.isna(row.change) else f" [{row.low_species:+.1f}, {row.high_species:+.1f}]"
        measured = _cell(row.measured, row.measured_low, row.measured_high)
        against = "-" if pd.isna(row.against) else row.against
        where = "-" if pd.isna(row.data) else f"{row.data}, {row.scale}"
        where += "" if pd.isna(row.seeds) else f", {row.seeds:.0f}"
        paper_change = _cell(row.paper_change, digits=digits, sign="+")
        lines.append([row.setting, _cell(row.paper, digits=digits), measured, against, paper_change, change,
                      _cell(row.detectable), where, row.verdict])
    return f"{head}\n\n{verdicts.markdown(HEADS, lines)}"


def section() -> str:
    """The README's text between the markers, without them."""
    notebooks = dict.fromkeys([*(e.notebook for e in EXPERIMENTS), *results_hear.NOTEBOOKS])
    first = [_folded(markdown(experiment, committed=True)) for experiment in EXPERIMENTS]
    second = [_folded(results_hear.markdown(place, committed=True)) for place in ("Table 2", *results_hear.BASES)]
    pictures = [f"![Drawn by the notebook of that name](figures/{name}.png)" for name in notebooks
                if (paths.ROOT / "figures" / f"{name}.png").exists()]
    return "\n\n".join([INTRO, *_uncommitted(notebooks), *first, SECOND, *second, *pictures])


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
    """Top-1 on val against the mixing ratio: first the paper's Table 4, then a panel per pair of pools and scale.

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
    for ax, ((data, scale, _), runs) in zip(axes[0, 1:], worlds):
        mean = 100 * runs.groupby("ratio")["top1.value"].mean()
        ax.plot([place[r] for r in mean.index], mean, color="C0", alpha=0.6)
        x = runs["ratio"].map(place) + 0.12 * (runs["seed"] - runs["seed"].mean())
        value, low, high = (100 * runs[f"top1.{k}"] for k in ("value", "low", "high"))
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
