"""All run records beside the numbers of the two papers: rows for notebook 11, and the results section of the README.

    python -m lib.runs.results      writes that section anew, from the records and nothing else

Shares are in percent here, as in the paper, and differences in points. A *world* is what arms must share to be compared:
the recordings, the scale, the size of the encoder and every parameter that the experiment does not vary."""
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib import metrics, paths
from lib.metrics import MADE, verdict
from lib.runs import record, results_hear

__all__ = ["MADE", "Experiment", "EXPERIMENTS", "Arm", "arm_of", "load", "verdict", "rows", "not_run", "everything", "pools", "markdown", "section",
           "write_readme"]

PUBLIC = ("birdmae", "imagenet_sl")           # initialisations that exist as public weights only
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
USUAL = {"budget": "sweep", "data_seed": 0, "preset": "audiomae", "equal_steps": False}  # arms share these; these values need no mention
COLUMNS = ["place", "setting", "against", "split", "paper", "measured", "measured_low", "measured_high", "paper_change", "change", "low", "high",
           "low_species", "high_species", "detectable", "seeds", "data", "scale", "verdict"]


@dataclass(frozen=True)
class Experiment:
    place: str                   # in the paper
    notebook: str
    reference: str               # its name in reference_results.csv; "" where the paper has a picture without numbers
    question: str
    settings: tuple[str, ...]    # the paper's rows, to say which have not been run


INITS = ("random", "random+inat_ssl", "audioset_ssl", "audioset_ssl+inat_ssl", "imagenet_sl", "birdmae")
EXPERIMENTS = (
    Experiment("Table 2", "03_linear_probe", "linear_probe", "linear probe on frozen features", ("chance", "birdmae", "audiomae", "ours")),
    Experiment("Table 3", "04_finetuning", "finetune", "finetuning from six initialisations", INITS),
    Experiment("Table 4", "05_mix_ratio", "mix_ratio", "general clips per wildlife clip in pretraining", ("0", "1", "3", "7", "15", "inf")),
    Experiment("Figure 3", "06_label_fraction", "", "finetuning on a part of the labels", INITS[:-1]),
    Experiment("Figure 4", "07_data_curation", "curation_confidence", "pretraining on windows a classifier is sure of", ("none", "confidence")),
    Experiment("Figure 5", "07_data_curation", "curation_reconstruction", "pretraining on windows that are hard to guess", ("none", "loss")))


class Arm(NamedTuple):
    setting: str             # the paper's name for it
    label: str               # the same and what sets it apart here: a stand-in, a number of recordings, a control
    bases: tuple[str, ...]   # labels of the arms it is compared with
    direction: int = 0       # what the paper's text says where it has no number: +1 better than the base, -1 worse


def arm_of(experiment: Experiment, run: pd.Series) -> Arm | None:
    """Which row of the paper's table a record belongs to; None if to none of this table."""
    if experiment.place in ("Figure 4", "Figure 5"):
        kind, label = str(run["filter"]), f"{run['filter']} {run['threshold']}"
        if kind == "none":
            return Arm("none", "no filter", ())
        if kind not in (("confidence", "confidence_oof") if experiment.place == "Figure 4" else ("loss", "energy")):
            return None
        chance = f"{label}, as many at random"
        if run["control"]:
            return Arm(f"{kind}, at random", chance, ("no filter",))
        return Arm(kind, label, ("no filter", chance), -int(kind in experiment.settings))
    if experiment.place == "Table 4":
        return Arm(f"{run['ratio']:g}", f"{run['ratio']:g}", () if run["ratio"] == 0 else ("0",))
    init, own = str(run["init"]), f" ({run['weights']})" if run.get("weights") else " (stand-in)" if str(run["init"]).startswith("audioset") else ""
    further = (f"audioset_ssl{own}",) if init == "audioset_ssl+inat_ssl" else ()
    if experiment.place == "Table 2":
        return Arm({"audioset_ssl": "audiomae", "audioset_ssl+inat_ssl": "ours"}.get(init, init), init + own, ("chance", *further))
    if experiment.place == "Figure 3":
        size = f", {run['fraction']}" + ("" if "%" in str(run["fraction"]) else " per species")
        return Arm(init, init + own + size, () if init == "random" else (f"random{size}",), 1)
    return Arm(init, init + own, () if init == "random" else ("random", *further))


def load(experiment: Experiment) -> pd.DataFrame:
    """Its records in the paper's order, with the columns setting, label, bases, direction, data and world; empty if there are none."""
    table = record.records(experiment.notebook)
    if experiment.place == "Figure 3" and len(table):  # its point with all labels is notebook 04's run, the very same
        whole = record.records("04_finetuning")
        whole = whole[(whole["preset"] == "audiomae") & whole["data.wildlife.name"].isin(table["data.wildlife.name"])] if len(whole) else whole
        table = pd.concat([table, whole.drop(columns="preset", errors="ignore").assign(fraction="all", equal_steps=False)], ignore_index=True)
    found = [(i, arm_of(experiment, run)) for i, run in table.iterrows()]
    found = [(i, arm) for i, arm in found if arm]
    table = table.loc[[i for i, _ in found]].reset_index(drop=True)
    if table.empty:
        return table
    table[list(Arm._fields)] = pd.DataFrame([arm for _, arm in found], columns=Arm._fields)
    unusual = [", ".join(f"{k}={run[k]}" for k, v in USUAL.items() if k in run and run[k] != v) for _, run in table.iterrows()]
    names = [pair if pair[0] != pair[-1] else pair[:1] for pair in table.filter(regex=r"^data\.\w+\.name$").itertuples(index=False, name=None)]
    table["data"] = [" + ".join(map(str, name)) + (f" ({more})" if more else "") for name, more in zip(names, unusual)]
    order = {name: i for i, name in enumerate(experiment.settings)}
    size = [str(f).rstrip("%").replace("all", "100").zfill(6) for f in table["fraction"]] if "fraction" in table else ""
    table = table.assign(size=size, order=[order.get(s.removesuffix(", at random"), len(order)) for s in table["setting"]])
    table = table.sort_values(["size", "order", "label"], kind="stable")
    shared = ["data", "scale", *table.filter(regex=r"^data\.\w+\.hash$|^recipes\.arch\.(dim|depth)$")]  # public weights bring a size of their own
    table["world"] = table[shared].astype(str).agg("|".join, axis=1)
    return table


class Reading(NamedTuple):
    answers: str  # where a record keeps the answers
    metric: str   # what the paper calls it in reference_results.csv
    label: str    # what is added to an arm's label


TOP1 = (Reading("answers", "top1", ""),)
CURATION = (Reading("answers", "full_finetune_top1", ""), Reading("answers_filtered", "filtered_finetune_top1", ", finetuned on kept"),
            Reading("answers_proxy", "mobilenetv3_top1", ", MobileNetV3"))


def _paper(experiment: Experiment, setting: str, split: str, metric: str = "top1", threshold: str = "") -> float:
    """The paper's number for one of its settings, in percent; NaN where it has none. A threshold "50%" is a share kept.

    A loss is in units of its own front end: only shares can be compared there."""
    if not experiment.reference or setting not in experiment.settings or setting == "loss" and "%" not in threshold:
        return np.nan
    table = record.reference(experiment.reference, split=split)
    if metric != "top1":
        dropped = table[table["metric"].isin(["finetune_segments_dropped", "segments_dropped"])]  # Figure 5 has both, and they differ
        dropped = dropped[dropped["metric"] == (dropped["metric"].max() if metric == "mobilenetv3_top1" else dropped["metric"].min())]
        share = {f"{100 - row.value:g}%": row.setting for row in dropped.itertuples()}
        metric = "full_finetune_top1" if setting == "none" and metric.startswith("filtered") else metric  # no filter: the same model
        setting = "0.00" if setting == "none" else share.get(threshold) or (threshold if "%" in threshold else f"{float(threshold):.2f}")
    found = table[(table["setting"] == setting) & (table["metric"] == metric)]["value"]
    return float(found.iloc[0]) if len(found) else np.nan


def _compare(experiment: Experiment, world: pd.DataFrame, split: str, reading: Reading) -> Iterator[dict]:
    """The rows of one world: every arm, and every arm against each of its bases, paired by seed and recording."""
    arms = {label: group.drop_duplicates("seed").set_index("seed").sort_index() for label, group in world.groupby("label", sort=False)}
    first, stored = world.iloc[0], f"{reading.answers}.{split}"
    targets, groups = (np.asarray(first[f"{stored}.{k}"]) for k in ("targets", "groups"))
    if any(list(other) != list(targets) for other in world[f"{stored}.targets"]):
        raise ValueError(f"{experiment.notebook}: records of {first['data']}, {first['scale']} list their recordings in different orders or numbers, "
                         "so they cannot be paired: run them again from one copy of the data")
    alone = (pd.Series(groups).groupby(targets).nunique() == 1).mean() > 0.5  # one group a class: its doubt is invisible
    chance = 1 / len(np.unique(targets))
    shared = {"place": experiment.place, "split": split, "data": first["data"], "scale": first["scale"]}

    def hits(label: str, seeds: pd.Index) -> np.ndarray:
        one = np.full(len(targets), chance)
        return np.stack([np.asarray(arms[label].loc[s, f"{stored}.hits"], float) if label in arms else one for s in seeds])  # (S, R)

    def paper(label: str) -> float:
        one = arms[label].iloc[0] if label in arms else {"setting": label}
        return _paper(experiment, one["setting"], split, reading.metric, str(one.get("threshold", "")))

    if experiment.place == "Table 2":
        yield {**shared, "setting": "chance", "paper": paper("chance"), "measured": 100 * chance, "verdict": "by definition"}
    for label, arm in arms.items():
        own = metrics.bootstrap(hits(label, arm.index).mean(axis=0), targets, groups, rng=np.random.default_rng(0))
        row = {**shared, "setting": label + reading.label, "seeds": len(arm), "paper": paper(label), "measured": 100 * own.value,
               "measured_low": 100 * own.low, "measured_high": 100 * own.high}
        wanted = arm.iloc[0]["bases"]
        pairs = {b: arm.index.intersection(arms[b].index) if b in arms else arm.index for b in wanted if b in arms or b == "chance"}
        pairs = {base: seeds for base, seeds in pairs.items() if len(seeds)}
        if not pairs:
            yield {**row, "verdict": "not run: what it is compared with" if wanted else "reference"}
        for base, seeds in pairs.items():
            both = hits(label, seeds), hits(base, seeds), targets, groups
            change, species = (metrics.across_seeds(*both, over=over, rng=np.random.default_rng(0)) for over in ("groups", "classes"))
            theirs = paper(label) - paper(base)
            direction = np.sign(theirs) if np.isfinite(theirs) else arm.iloc[0]["direction"] * (base == wanted[0]) * (reading.label == "")
            numbers = {"change": change.value, "low": change.low, "high": change.high, "low_species": species.low, "high_species": species.high,
                       "detectable": metrics.smallest_detectable(*both, rng=np.random.default_rng(0))}
            yield {**row, "against": base + reading.label, "paper_change": theirs, "seeds": len(seeds), **{k: 100 * v for k, v in numbers.items()},
                   "verdict": verdict(direction, [change, species], len(seeds), str(first["data"]), alone)}


def rows(experiment: Experiment, splits: tuple[str, ...] = ("val", "test")) -> pd.DataFrame:
    """What has been run of one of the paper's tables, the world with most runs first. A world that compares nothing is left out."""
    table, found = load(experiment), []
    for _, world in sorted(table.groupby("world"), key=lambda world: -len(world[1])) if len(table) else ():
        readings = [r for r in (CURATION if "filter" in world else TOP1) if f"{r.answers}.val.hits" in world]
        compared = [row for split in splits for reading in readings for row in _compare(experiment, world, split, reading)]
        found += compared if any("change" in row for row in compared) else []
    return pd.DataFrame(found, columns=COLUMNS)


def not_run(experiment: Experiment) -> pd.DataFrame:
    """The paper's rows that no record stands beside, with the reason where it is known."""
    table, found = load(experiment), []
    done = set(table["setting"]) if len(table) else set()
    for setting in [s for s in experiment.settings if s not in done | ({"chance"} if done else set())]:
        for split in ("val", "test") if experiment.place in ("Table 2", "Table 3") else ("val",):
            why = "not run" + (": needs the public weights" if setting in PUBLIC else "")
            paper = _paper(experiment, setting, split) if experiment.place.startswith("Table") else np.nan
            found.append({"place": experiment.place, "setting": setting, "split": split, "paper": paper, "verdict": why})
    return pd.DataFrame(found, columns=COLUMNS)


def everything(experiments: Sequence[Experiment] = EXPERIMENTS) -> pd.DataFrame:
    """Every row of every table and figure with numbers, run or not."""
    parts = [part for e in experiments for part in (rows(e), not_run(e)) if len(part)]
    return pd.concat([part.astype(object) for part in parts], ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def pools() -> pd.DataFrame:
    """The data card of all records: a row per pool, with its size and the notebooks that used it."""
    found = []
    for notebook in dict.fromkeys(e.notebook for e in EXPERIMENTS):
        table = record.records(notebook)
        for pool in record.POOLS:
            if f"data.{pool}.name" in table:
                part = table[[f"data.{pool}.{k}" for k in ("name", "hash", "classes", "recordings", "hours")]].drop_duplicates()
                found += [[pool, *values, notebook[:2]] for values in part.dropna().itertuples(index=False, name=None)]
    table = pd.DataFrame(found, columns=["pool", "name", "hash", "classes", "recordings", "hours", "used in"])
    return table.groupby(list(table.columns[:-1]), sort=False)["used in"].agg(", ".join).reset_index()


# README ---------------------------------------------------------------------------------------------------------------

HEADS = ("", "paper", "measured [95 %]", "difference to", "paper", "measured [recordings] [species]", "detectable",
         "data, scale, seeds", "verdict")
INTRO = """<!-- written by: python -m lib.runs.results -->

![Differences in the paper and here, table by table](figures/11_results.png)

Class-averaged top-1 on val, in percent. *Paper*: Liu et al. 2026, ViT-B on iNatSounds, one run each, no intervals. *Measured*: this code, mean over
seeds, with 95 % intervals over recordings and, for differences, over species too; *detectable* is the smallest difference that could be seen. Compare
directions, not heights: species, recordings and the size of the model differ. A verdict needs two seeds and both intervals on one side of 0. `chorus`
is a generator's world and says nothing about animals; a *stand-in* for AudioSet weights was pretrained here on the general pool."""

SECOND = """The second paper, Niizumi et al. 2022 (*MSM-MAE*): scores in percent on five tasks that are made here after HEAR's, test recordings. Differences are
paired by seed and recording, with 95 % intervals over both; it is all of the generator's world."""


def _cell(value: object, low: object = None, high: object = None, digits: int = 1, sign: str = "") -> str:
    number = "-" if pd.isna(value) else f"{float(value):{sign}.{digits}f}"
    return number if pd.isna(low) else f"{number} [{float(low):{sign}.{digits}f}, {float(high):{sign}.{digits}f}]"


def markdown(experiment: Experiment, split: str = "val") -> str:
    """One of the paper's tables as text: paper beside measured."""
    table = everything((experiment,)).query("split == @split")
    head = f"**{experiment.place}**, {experiment.question} (notebook {experiment.notebook})"
    if table["measured"].isna().all():
        return f"{head}: not run."
    digits = 2 if experiment.place in ("Table 2", "Table 3") else 1  # as the paper prints them
    lines = [HEADS, ["---"] * len(HEADS)]
    for row in table.itertuples():
        change = _cell(row.change, row.low, row.high, sign="+")
        change += "" if pd.isna(row.change) else f" [{row.low_species:+.1f}, {row.high_species:+.1f}]"
        where = "-" if pd.isna(row.data) else f"{row.data}, {row.scale}" + ("" if pd.isna(row.seeds) else f", {row.seeds:.0f}")
        own, base = _cell(row.measured, row.measured_low, row.measured_high), "-" if pd.isna(row.against) else row.against
        theirs = [_cell(row.paper, digits=digits), _cell(row.paper_change, digits=digits, sign="+")]
        lines.append([row.setting, theirs[0], own, base, theirs[1], change, _cell(row.detectable), where, row.verdict])
    return "\n".join([head, "", *(f"| {' | '.join(line)} |" for line in lines)])


def section() -> str:
    """The README's text between the markers, without them."""
    pictures = [f"figures/{notebook}.png" for notebook in (*dict.fromkeys(e.notebook for e in EXPERIMENTS), "08_design_choices", "09_frozen_benchmark")]
    shown = [f"![Drawn by the notebook of that name]({picture})" for picture in pictures if (paths.ROOT / picture).exists()]
    second = [_folded(results_hear.markdown(place)) for place in ("Table 2", *results_hear.BASES)]
    return "\n\n".join([INTRO, *(_folded(markdown(experiment)) for experiment in EXPERIMENTS), SECOND, *second, *shown])


def _folded(text: str) -> str:
    """A table behind its heading, to be opened with a click; a heading alone stays as it is."""
    head, _, body = text.partition("\n\n")
    return f"<details><summary>{head.replace('**', '')}</summary>\n\n{body}\n\n</details>" if body else text


def write_readme(path: str = "README.md") -> bool:
    """Puts `section` between the markers of the README; True if that changed anything."""
    file = paths.resolve(path)
    old = file.read_text(encoding="utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(BEGIN) > old.index(END):
        raise ValueError(f"{file.name} must hold {BEGIN} and, below it, {END}, once each: put them where the results belong")
    new = old.partition(BEGIN)[0] + f"{BEGIN}\n{section()}\n{END}" + old.partition(END)[2]
    if new != old:
        paths.write_text(file, new)
    return new != old


if __name__ == "__main__":
    try:
        print("README.md:", "results written anew" if write_readme() else "results are up to date")
    except ValueError as error:
        sys.exit(str(error))


def mix_ratio(table: pd.DataFrame, reference: pd.DataFrame, highlight: str = "") -> Figure:
    """Top-1 on val against the mixing ratio: the paper's Table 4 in the first panel, then a panel per pair of pools and scale.

    table: records of 05_mix_ratio with a column `data`; a dot is a run with its 95 % interval, a line joins the means over seeds.
    `highlight` is the name of a record to circle. Every panel has its own axis: only the shape can be compared.
    """
    runs = list(table.groupby(["data", "scale", "budget"], sort=False)) if len(table) else []
    figure, axes = plt.subplots(1, 1 + len(runs), figsize=(3.4 * (1 + len(runs)), 3.4), squeeze=False)
    ratios = sorted({float(r) for r in reference["setting"]} | set(table["ratio"] if len(table) else ()))
    place = {r: i for i, r in enumerate(ratios)}
    paper = reference.assign(x=[place[float(r)] for r in reference["setting"]]).sort_values("x")
    axes[0, 0].plot(paper["x"], paper["value"], "s-", color="0.3")
    axes[0, 0].set(title="paper: Liu et al. 2026, Table 4\nViT-B, iNatSounds + AudioSet", ylabel="top-1 on val, class average (%)")
    for ax, ((name, scale, budget), group) in zip(axes[0, 1:], runs):
        mean = 100 * group.groupby("ratio")["top1.value"].mean()
        ax.plot([place[r] for r in mean.index], mean, color="C0", alpha=0.6)
        for row in group.itertuples():
            record = group.loc[row.Index]
            x = place[record["ratio"]] + 0.12 * (record["seed"] - group["seed"].mean())
            value, low, high = (100 * record[f"top1.{k}"] for k in ("value", "low", "high"))
            ax.errorbar(x, value, [[max(0, value - low)], [max(0, high - value)]], fmt="o", color="C0", markersize=4, elinewidth=0.8,
                        markeredgecolor="C3" if record["name"] == highlight else "C0", markeredgewidth=2 if record["name"] == highlight else 1)
        ax.set_title(f"measured: {name.replace(' + ', chr(10) + '+ ')}\n{scale}, {int(group['samples_seen'].iloc[0]):,} clips, seeds: {group['seed'].nunique()}")
    for ax in axes[0]:
        ax.set_xticks(range(len(ratios)), ["wildlife\nonly" if r == 0 else "general\nonly" if np.isinf(r) else f"{r:g}:1" for r in ratios])
        ax.set(xlabel="general : wildlife", ylim=(0, 1.05 * ax.get_ylim()[1]))
        ax.title.set_size("small")
        ax.tick_params(axis="x", labelsize="small")
    return figure
