"""Which table of the first paper each experiment answers, which row a record belongs to, and the paper's numbers.

A *world* is what arms must share to be compared: the recordings, the scale, the size of the encoder and every parameter
that the experiment does not vary."""
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.runs import record

__all__ = ["PUBLIC", "Experiment", "EXPERIMENTS", "BY_PLACE", "Arm", "arm_of", "named", "load", "pools_of", "said",
           "Reading", "TOP1", "CURATION", "published"]

PUBLIC = ("birdmae", "imagenet_sl")  # initialisations that exist as public weights only
USUAL = {"budget": "sweep", "data_seed": 0, "preset": "study", "subtract": "median",  # values that need no mention
         "equal_steps": False, "proxy_weights": "", "pretraining_seed": -1}


@dataclass(frozen=True)
class Experiment:
    place: str                   # in the paper
    notebook: str
    reference: str               # its name in reference_results.csv; "" where the paper has a picture without numbers
    question: str
    settings: tuple[str, ...]    # the paper's rows, to say which have not been run


INITS = ("random", "random+inat_ssl", "audioset_ssl", "audioset_ssl+inat_ssl", "imagenet_sl", "birdmae")
EXPERIMENTS = (
    Experiment("Table 2", "03_linear_probe", "linear_probe", "linear probe on frozen features",
               ("chance", "birdmae", "audiomae", "ours")),
    Experiment("Table 3", "04_finetuning", "finetune", "finetuning from six initialisations", INITS),
    Experiment("Table 4", "05_mix_ratio", "mix_ratio", "general clips per wildlife clip in pretraining",
               ("0", "1", "3", "7", "15", "inf")),
    Experiment("Figure 3", "06_label_fraction", "", "finetuning on a part of the labels", INITS[:-1]),
    Experiment("Figure 4", "07_data_curation", "curation_confidence", "pretraining on windows a classifier is sure of",
               ("none", "confidence")),
    Experiment("Figure 5", "07_data_curation", "curation_reconstruction",
               "pretraining on windows that are hard to guess", ("none", "loss")))

BY_PLACE = {experiment.place: experiment for experiment in EXPERIMENTS}


class Arm(NamedTuple):
    setting: str             # the paper's name for it
    label: str               # the same and what sets it apart here: a stand-in, a number of recordings, a control
    bases: tuple[str, ...]   # labels of the arms it is compared with
    direction: int = 0       # what the paper's text says where it has no number: +1 better than the base, -1 worse


def arm_of(experiment: Experiment, run: pd.Series) -> Arm | None:
    """Which row of the paper's table a record belongs to; None if to none of this table."""
    if experiment.place == "Table 4":
        bases = {0: (), math.inf: ("0", "7")}.get(run["ratio"], ("0",))
        return Arm(f"{run['ratio']:g}", f"{run['ratio']:g}", bases)
    if experiment.place in ("Figure 4", "Figure 5"):
        return _curated(experiment, run)
    init, origin = str(run["init"]), ""
    if run.get("weights"):
        origin = f" ({run['weights']})"
    elif init.startswith("audioset"):
        origin = " (stand-in)"
    further = {"audioset_ssl+inat_ssl": (f"audioset_ssl{origin}",), "audioset_ssl": ("random+inat_ssl",),
               "ready+inat_ssl": ("ready",)}.get(init, ())
    if experiment.place == "Table 2":
        setting = {"audioset_ssl": "audiomae", "audioset_ssl+inat_ssl": "ours"}.get(init, init)
        return Arm(setting, init + origin, ("chance", *further) if init == "audioset_ssl+inat_ssl" else ("chance",))
    if experiment.place == "Figure 3":
        size = f", {run['fraction']}" + ("" if "%" in str(run["fraction"]) else " per species")
        return Arm(init, init + origin + size, () if init == "random" else (f"random{size}",), 1)
    return Arm(init, init + origin + _halved(run), () if init == "random" else ("random", *further))


def _halved(run: pd.Series) -> str:
    """What is added to the label of two pretrainings that together draw what one pretraining of a sweep does."""
    halved = run["init"] == "audioset_ssl+inat_ssl" and str(run["budget"]).isdecimal()
    return f", {int(run['budget']):,} clips each" if halved else ""


def named(filter: str, teacher: str) -> str:
    """A filter of 07 beside others: with its teacher where that is from elsewhere, of which the paper has no number."""
    return f"{filter} by {teacher}" if teacher else filter


def filters(runs: pd.DataFrame) -> list[str]:
    """The filter of each run of 07 as `named` says; runs from before there were teachers have none."""
    return [named(*pair) for pair in zip(runs["filter"], runs.get("teacher", [""] * len(runs)))]


def _curated(experiment: Experiment, run: pd.Series) -> Arm | None:
    """The arm of a run of 07: no filter, a filter, or the filter's control."""
    kind, setting = str(run["filter"]), named(str(run["filter"]), str(run.get("teacher", "")))
    label = f"{setting} {run['threshold']}"
    if kind == "none":
        return Arm("none", "no filter", ())
    if kind not in (("confidence", "confidence_oof") if experiment.place == "Figure 4" else ("loss", "energy")):
        return None
    chance = {"windows": f"{label}, windows at random", "recordings": f"{label}, recordings at random"}
    if run["control"] != "none":
        return Arm(f"{setting}, at random", chance[run["control"]], ("no filter",))
    return Arm(setting, label, ("no filter", *chance.values()), -int(setting in experiment.settings))


def load(experiment: Experiment, committed: bool = False) -> pd.DataFrame:
    """Its records in the paper's order, with the columns of `Arm`, data and world; empty if there are none.

    Those of Table 3 say whether they are "halved": two pretrainings with the clips of one between them."""
    table = record.records(experiment.notebook, committed)
    if experiment.place == "Table 4" and len(table):
        table = _wildlife_only(table)
    if experiment.place == "Table 3":
        table = _with_ratios(table, committed)
    if experiment.place == "Figure 3" and len(table):  # its point with all labels is notebook 04's run, the very same
        whole = _with_ratios(record.records("04_finetuning", committed), committed)
        if len(whole):
            same = whole["data.wildlife.name"].isin(table["data.wildlife.name"])
            whole = whole[same & whole["preset"].isin(table["preset"]) & whole["subtract"].isin(table["subtract"])]
        whole = whole.assign(fraction="all", equal_steps=False)
        table = pd.concat([table, whole], ignore_index=True)
    arms = [arm_of(experiment, run) for _, run in table.iterrows()]
    table = table[[arm is not None for arm in arms]].reset_index(drop=True).copy()  # in one piece, or pandas warns
    if table.empty:
        return table
    table[list(Arm._fields)] = pd.DataFrame([arm for arm in arms if arm], columns=Arm._fields)
    if experiment.place == "Table 3":  # an arm of the sweep's world
        table["halved"] = [bool(_halved(run)) for _, run in table.iterrows()]
        table.loc[table["halved"], "budget"] = "sweep"
    table["data"] = [_data(run) for _, run in table.iterrows()]
    places = {name: place for place, name in enumerate(experiment.settings)}
    size = ""
    if "fraction" in table:
        size = [str(f).rstrip("%").replace("all", "100").zfill(6) for f in table["fraction"]]
    order = [places.get(s.removesuffix(", at random"), len(places)) for s in table["setting"]]
    table = table.assign(size=size, order=order).sort_values(["size", "order", "label"], kind="stable")
    shared = table.filter(regex=r"^data\.\w+\.hash$|^recipes\.arch\.(dim|depth)$")  # public weights have their own size
    table["world"] = table[["data", "scale", *shared]].astype(str).agg("|".join, axis=1)
    several = table.groupby(["data", "scale"])["world"].transform("nunique") > 1  # other recordings of the same name
    table.loc[several, "data"] += " (" + table.loc[several, "data.wildlife.hash"].astype(str).str[:6] + ")"
    return table


def _wildlife_only(table: pd.DataFrame) -> pd.DataFrame:
    """Runs of 05 with those of wildlife only beside every general pool that others of the same settings heard: they
    heard none, so which one they name is nothing that was measured."""
    settings = [c for c in ("data.wildlife.name", "data.wildlife.hash", "scale", *USUAL) if c in table]
    general = [c for c in table if c.startswith("data.general.")]
    alone = table[table["ratio"] == 0].drop(columns=general)
    pools = table[[*settings, *general]].drop_duplicates([*settings, "data.general.hash"])
    every = pd.concat([table, alone.merge(pools, on=settings)], ignore_index=True)
    again = every.duplicated([*settings, "ratio", "seed", "data.general.hash"]) & (every.index >= len(table))
    return every[~again].reset_index(drop=True)


def _with_ratios(table: pd.DataFrame, committed: bool) -> pd.DataFrame:
    """Runs of 04, and those of 05 that are the same: wildlife only is random+inat_ssl, general only audioset_ssl."""
    ratios = record.records("05_mix_ratio", committed)
    if ratios.empty:
        return table
    same = ratios["ratio"].isin([0, math.inf]) & ratios["samples_seen"].gt(0) & ratios["pretraining_seed"].lt(0)
    ratios = ratios[same]
    ratios = ratios.assign(init=np.where(ratios["ratio"] == 0, "random+inat_ssl", "audioset_ssl"), weights="")
    both = pd.concat([table, ratios], ignore_index=True)
    same = ("init", "weights", "seed", "scale", "preset", "subtract", "budget", "data_seed")
    hashes = (f"data.{pool}.{key}" for pool in record.POOLS for key in ("name", "hash"))
    return both.drop_duplicates([column for column in (*same, *hashes) if column in both]).reset_index(drop=True)


def pools_of(run: pd.Series) -> str:
    """The names of a run's pools as a person says them: without the digits of their tables, "birds in five folds"."""
    names = []
    for pool in record.POOLS:
        if isinstance(name := run.get(f"data.{pool}.name"), str):
            folded = " in five folds" if str(run.get(f"data.{pool}.fold", "")).startswith("all") else ""
            names.append(said(name, run[f"data.{pool}.hash"]) + folded)
    return " + ".join(dict.fromkeys(names))


def said(name: str, digits: str) -> str:
    """A pool's name without the digits of its table."""
    return name.removesuffix(f"-{digits}").replace("_", " ")


def _data(run: pd.Series) -> str:
    """The names of a run's pools, and its parameters that are not the usual ones."""
    unusual = ", ".join(f"{k}={run[k]}" for k, v in USUAL.items() if pd.notna(run.get(k)) and run[k] != v)
    return pools_of(run) + (f" ({unusual})" if unusual else "")


class Reading(NamedTuple):
    answers: str  # where a record keeps the answers
    metric: str   # what the paper calls it in reference_results.csv
    label: str    # what is added to an arm's label


TOP1 = (Reading("answers", "top1", ""),)
CURATION = (Reading("answers", "full_finetune_top1", ""),
            Reading("answers_filtered", "filtered_finetune_top1", ", finetuned on kept"),
            Reading("answers_proxy", "mobilenetv3_top1", ", MobileNetV3"))


def published(experiment: Experiment, setting: str, split: str, metric: str = "top1", threshold: str = "") -> float:
    """The paper's number for one of its settings, in percent; NaN where it has none. A threshold "50%" is a share kept.

    A loss is in units of its own front end: only shares can be compared there."""
    if not experiment.reference or setting not in experiment.settings or setting == "loss" and "%" not in threshold:
        return np.nan
    table = record.reference(experiment.reference, split=split)
    if metric != "top1" and setting == "none":
        setting, metric = "0.00", metric.replace("filtered", "full")  # without a filter it is the same model
    elif metric != "top1":
        setting = _published_threshold(table, metric, threshold)
    found = table[(table["setting"] == setting) & (table["metric"] == metric)]["value"]
    return float(found.iloc[0]) if len(found) else np.nan


def _published_threshold(table: pd.DataFrame, metric: str, threshold: str) -> str:
    """The paper's threshold that keeps the share that ours keeps, or the same threshold."""
    if "%" not in threshold:
        return f"{float(threshold):.2f}"
    dropped = table[table["metric"].isin(["finetune_segments_dropped", "segments_dropped"])]
    names = dropped["metric"]  # Figure 5 has both, and they differ
    dropped = dropped[names == (names.max() if metric == "mobilenetv3_top1" else names.min())]
    shares = {f"{100 - row.value:g}%": row.setting for row in dropped.itertuples()}
    return shares.get(threshold, threshold)
