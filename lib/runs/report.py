"""What has come out, for people: papermill_runs/RESULTS.md with everything, and five sentences of it in the README.

    python -m lib.runs.report      writes both anew, from the records of committed code and nothing else"""
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from lib import paths
from lib.runs import criteria, curve, experiments, launch, record, references, results, results_hear, verdicts

__all__ = ["PAGE", "PLACES", "page", "sentences", "judged", "answered", "sweeps", "write"]

PAGE = paths.ROOT / "papermill_runs" / "RESULTS.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
WRITTEN = "<!-- written by: python -m lib.runs.report -->"
CAPTIONS = {  # figures/NAME.png, drawn by notebooks, in the order of the page
    "04_finetuning": "Top-1 on test by what the encoder started from: the paper's Table 3, and this code's runs.",
    "05_mix_ratio": "Top-1 on test against the mixing ratio: the paper's Table 4, and a panel for every pair of pools.",
    "05_budget": "Top-1 on test against the clips of pretraining, and what pretraining adds to random weights.",
    "06_label_fraction": "Top-1 on test against the share of labels that is left, by start; right, real birds.",
    "07_data_curation": "What pretraining on chosen windows does, beside as many windows at random.",
    "08_design_choices": "The designs of MSM-MAE, task by task.",
    "09_frozen_benchmark": "Frozen models on five tasks made after HEAR's.",
    "11_results": "Every difference of the papers that was measured here."}

INTRO = """Class-averaged top-1 on test, in percent; *val*, which chose the checkpoint and the settings, stands beside \
it. *Paper*: Liu et al. 2026, ViT-B on iNatSounds, one run each, no intervals; where it has no test numbers, its val. \
*Measured*: this code, mean over seeds. The 95 % interval of a score is over recordings of these species (*no \
interval* where most species have a single group of recordings); that of a difference is over other seeds and other \
species, crossed, or of one seed over species alone. *Smallest found*: a true difference of that many points is found \
with 80 % power (1.43 half widths) by five seeds and more, of three in about 70 %, and less often after Holm's \
correction; one seed says nothing of others and has none.

A verdict needs three seeds and p < 0.05 by Holm's correction over all comparisons of its table on one pool, so that \
an interval can leave 0 out and the verdict be undecided. In the papers' tables it is about the direction alone; that \
a difference is too small to matter only the claims say (*no difference*). Compare directions, not heights: species, \
recordings and the size of the model differ.

**Pools.** *chorus* is this project's synthetic sound world: a generator's world, which says nothing about animals. \
*birds* are xeno-canto recordings (57 species tested, 203 more heard unlabelled in pretraining), *frogs* and *animals* \
two smaller sets, *general* everyday sounds, digits and instruments. *In five folds*: whole groups of recordings are \
tested once each, so that a run here is five trainings; 267 of the birds' 496 are by recordists who are in train too, \
at another place or time. A *stand-in* for AudioSet weights was pretrained here on the general pool. Runs of \
wildlife only heard no general pool and stand beside each that others heard; *chorus other species* is the null; \
*chorus empty 0.2* and *0.6* have that share of windows without a call, where *chorus* has 0.4."""

SECOND = """Niizumi et al. 2022 (*MSM-MAE*): scores in percent on five tasks that are made here after HEAR's, on \
test recordings. Differences are paired, with 95 % intervals over other seeds and other recordings, crossed; \
*smallest found* and Holm's correction as above; it is all of the generator's world."""

PLACES = tuple(dict.fromkeys(one.place for one in criteria.CRITERIA))


def judged(committed: bool = False, places: Collection[str] = PLACES) -> pd.DataFrame:
    """The criteria (`criteria.CRITERIA`) of some tables on every pool on which their arms were run."""
    tables = [results.rows(one, committed) for one in experiments.EXPERIMENTS if one.place in places]
    tables += [results.opponents(committed)] if "Baselines" in places else []
    for place in [place for place in results_hear.BASES if place in places]:
        table = results_hear.rows(place, committed)
        tables += [table[table["task"] == "mean"].assign(data=verdicts.MADE)] if "change" in table else []
    tables = [table.astype(object) for table in tables if len(table)]
    return criteria.judged(pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=results.COLUMNS))


def answered(*places: str, pools: Collection[str] = ()) -> str:
    """The criteria of some tables with their verdicts, as a table in markdown: what a notebook ends with.

    pools: the names of those to show, all of them where none is given."""
    known = judged(places=places)
    known = known[known["data"].isin(pools)] if pools else known
    asked = [one.claim for one in criteria.CRITERIA if one.place in places and one.claim not in set(known["claim"])]
    missing = f"\n\nNot run: {'; '.join(asked)}." if asked else ""
    return (_table(known) if len(known) else "") + missing


def page(known: pd.DataFrame) -> str:
    """RESULTS.md; known: what was `judged` of committed code."""
    parts = ["# Results", WRITTEN, INTRO, "## What was claimed, and what holds", _criteria(known),
             "## Models without pretraining", _opponents(), *_references(),
             "## What pretraining buys", curve.markdown(committed=True),
             "## Liu et al. 2026", *(results.markdown(one, committed=True) for one in experiments.EXPERIMENTS),
             _readouts(), _detectors(),
             "## Niizumi et al. 2022", SECOND,
             *(results_hear.markdown(place, committed=True) for place in ("Table 2", *results_hear.BASES)),
             results_hear.inside(committed=True),
             "## Where this differs from the papers", _deviations(), "## Recordings", _pools(),
             "## Runs", _sweeps(), "## Plots", *_pictures()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _criteria(table: pd.DataFrame) -> str:
    """The criteria with their verdicts, and how to read them."""
    head = ("Claims and criteria were written and committed before their runs: `lib/runs/criteria.py`, commit d3a782e, "
            "that of equal clips in 1b9681c. (The median had been chosen with 103 of the birds' recordings in sight: "
            f"search_median.csv.) Verdicts about animals are those on *{criteria.PRIMARY}*. *holds*: as the criterion "
            f"says; *opposite*: the other way; *no difference*: of a claimed one, an interval within "
            f"±{criteria.MARGIN:g} points; p is Holm's over the criteria of one table on one pool. Claims "
            "that two arms are alike need an interval within the margin, which is narrow for five seeds: even of two "
            "equal arms most stay undecided.")
    return f"{head}\n\n{_table(table)}"


def _table(known: pd.DataFrame) -> str:
    heads = ("claim", "criterion", "on", "measured [95 %]", "smallest found", "verdict")
    lines = [[f"{row.place}: {row.claim}", row.criterion,
              verdicts.quoted(f"{row.data}, {row.scale}, seeds: {row.seeds:.0f}"),
              results.cell(row.change, row.low, row.high, sign="+"), results.cell(row.power80), f"**{row.verdict}**"]
             for row in known.itertuples()]
    return verdicts.markdown(heads, lines)


def _opponents() -> str:
    """A line for every model of a pool: its score, and what lies between it and each model without pretraining."""
    table, names = results.opponents(committed=True), list(curve.OPPONENTS.values())
    lines = []
    for (data, scale), world in table.groupby(["data", "scale"], sort=False):
        for label, rows in world.groupby("setting", sort=False):
            first = rows.iloc[0]
            against = rows.dropna(subset=["against"]).set_index("against")
            minus = [results.cell(*against.loc[name, ["change", "low", "high"]], sign="+")
                     if name in against.index else "-" for name in names]
            lines.append([verdicts.quoted(f"{data}, {scale}"), verdicts.quoted(label), f"{first['seeds']:.0f}",
                          results.cell(*first[["measured", "measured_low", "measured_high"]]), *minus])
    heads = ("recordings", "model", "seeds", "test [95 %]", *(f"minus {name}" for name in names))
    return verdicts.markdown(heads, lines) if lines else "Not run."


def _references() -> list[str]:
    known = references.markdown(committed=True)
    return ["## Beside BirdNET", known] if known else []


def _readouts() -> str:
    table = results.readouts(committed=True)
    if table.empty:
        return ""
    head = "**Readouts of the same frozen features** (notebook 03): test in percent, mean over seeds"
    lines = [[name, *map(results.cell, row)] for name, *row in table.itertuples(name=None)]
    return f"{head}\n\n{verdicts.markdown(['', *map(verdicts.quoted, table)], lines)}"


def _detectors() -> str:
    table = results.detectors(committed=True)
    if table.empty:
        return ""
    head = ("**What the filters of notebook 07 keep**, and how well they find windows that hold a call (true boxes of "
            "chorus); a control of the same size keeps windows at random")
    return f"{head}\n\n{_whole(table.round(3).round({'recordings': 1}).reset_index())}"


def _deviations() -> str:
    table = pd.read_csv(PAGE.with_name("deviations.csv"), dtype=str, keep_default_na=False)
    return verdicts.markdown(list(table), table.to_numpy().tolist())  # written as Markdown


def _pools() -> str:
    return _whole(results.pools().round(2))


def _whole(table: pd.DataFrame) -> str:
    """A table of plain text in markdown; "-" for what is missing."""
    cells = table.astype(object).map(lambda value: "-" if pd.isna(value) else verdicts.quoted(value))
    return verdicts.markdown(list(table), cells.to_numpy().tolist())


def sweeps() -> pd.DataFrame:
    """Every description of runs in papermill_runs: its points, how many are recorded, their hours and machines."""
    found = []
    for file in sorted(PAGE.parent.glob("*.sweep.json")):
        points = launch.points(str(file))
        path = record.notebook_path(points[0].notebook)
        runs = record.recorded(path, [point.words for point in points])
        made = [run for run in runs if run]
        found.append({"runs": file.name.removesuffix(".sweep.json"), "notebook": path.stem[:2], "points": len(points),
                      "recorded": len(made), "seeds": len({run["seed"] for run in made}),
                      "hours": sum(run["seconds"] for run in made) / 3600,
                      "computed on": "; ".join(sorted({_machine(run) for run in made})) or "-"})
    return pd.DataFrame(found)


def _machine(run: dict) -> str:
    machine = run["machine"]
    return f"{machine['gpu'] or machine['processor']}, {machine['precision']}, torch {run['versions']['torch']}"


def _sweeps() -> str:
    table = sweeps()
    total = f"{table['recorded'].sum()} of {table['points'].sum()} points, {table['hours'].sum():.0f} hours"
    return (f"{total} of one thread or more, beside other programs; a point of two descriptions counts in both. "
            "What is missing is made by `python -m lib.runs sweep papermill_runs/NAME.sweep.json`.\n\n"
            f"{_whole(table.round(1))}")


def _pictures() -> Iterator[str]:
    for name, caption in CAPTIONS.items():
        if (paths.ROOT / "figures" / f"{name}.png").exists():
            yield f"![{caption}](../figures/{name}.png)\n\n*{caption}*"


# README --------------------------------------------------------------------------------------------------------------

def sentences(known: pd.DataFrame) -> list[str]:
    """Five sentences for the README: numbers and verdicts as `judged` of committed code, two gains from its records."""
    real, made = (known[known["data"] == name] for name in (criteria.PRIMARY, verdicts.MADE))
    both, own, general = criteria.BOTH, criteria.OWN, criteria.GENERAL
    starts = _said(real, "Table 3", (own, "random"), (general, own), (both, general))
    few = _said(real, "Figure 3", (f"{both}, 1 per species", "random, 1 per species"))
    ratios = _said(real, "Table 4", ("7", "0"), ("inf", "0"), ("inf", "7"))
    beside = _said(real, "Baselines", (both, "logistic regression"), (both, "small CNN"))
    chorus = [*_said(made, "Table 3", (own, "random")), *_said(made, "Table 4", ("7", "0")),
              *_said(made, "Baselines", (both, "small CNN"))]
    recipes = _by_recipe("study", "audiomae")
    curated = [*_said(made, "Figure 4", ("confidence 50%", "no filter")),
               *_said(made, "Figure 5", ("loss 50%", "no filter"))]
    return [
        f"**Does pretraining help, on birds?** Pretrained on the wildlife itself minus random weights {starts[0]}; "
        f"general sound minus the wildlife itself {starts[1]}; going on with wildlife after general sound {starts[2]}; "
        f"with one labelled recording a species, general sound and then wildlife minus random weights {few[0]}.",
        f"**Which mixture?** Seven general clips a wildlife clip minus wildlife only {ratios[0]}; general only minus "
        f"wildlife only {ratios[1]}, minus seven to one {ratios[2]}.",
        f"**Beside models without pretraining**, the pretrained transformer minus logistic regression {beside[0]}; "
        f"minus a small CNN from scratch {beside[1]}.",
        f"**In the generator's world**: wildlife minus random weights {chorus[0]}; seven to one minus wildlife only "
        f"{chorus[1]}; the pretrained transformer minus the small CNN {chorus[2]}, minus random weights {recipes[0]} "
        f"with this study's recipe of finetuning and {recipes[1]} with AudioMAE's (notebook 04).",
        f"**Curation, in the generator's world**: half of the windows by a classifier's confidence minus all of them "
        f"{curated[0]}; the half that is hard to guess {curated[1]}."]


def _said(table: pd.DataFrame, place: str, *pairs: tuple[str, str]) -> list[str]:
    """Differences with their intervals and the verdicts on the papers' claims; "not run" where there is none."""
    found = table[table["place"] == place].drop_duplicates(["setting", "against"]).set_index(["setting", "against"])
    return [f"{results.cell(*found.loc[pair, ['change', 'low', 'high']], sign='+')} ({found.loc[pair, 'verdict']})"
            if pair in found.index else "not run" for pair in pairs]


def _by_recipe(*presets: str) -> list[str]:
    """General sound and then wildlife minus random weights in the generator's world, finetuned by some recipes."""
    table = results.rows(experiments.BY_PLACE["Table 3"], committed=True)
    asked = table[(table["setting"] == criteria.BOTH) & (table["against"] == "random")]
    found = asked.drop_duplicates("data").set_index("data")[["change", "low", "high"]]
    worlds = [verdicts.MADE + (f" (preset={preset})" if preset != experiments.USUAL["preset"] else "")
              for preset in presets]
    return [results.cell(*found.loc[world], sign="+") if world in found.index else "not run" for world in worlds]


def write(readme: str | Path = "README.md", target: Path = PAGE) -> list[str]:
    """Writes the page, and the sentences between the README's markers; the names of the files that changed."""
    file = paths.resolve(readme)
    old = file.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end or old.count(BEGIN) != 1 or old.count(END) != 1:
        raise ValueError(f"{file.name} must hold {BEGIN} and, below it, {END}, once each: "
                         "put them where the results belong")
    known = judged(committed=True)
    listed = "\n".join(f"- {sentence}" for sentence in sentences(known))
    new = {file: f"{before}{begin}\n{WRITTEN}\n\n{listed}\n{end}{after}", target: page(known)}
    changed = [f for f, text in new.items() if not f.exists() or f.read_text(encoding="utf-8") != text]
    for f in changed:
        paths.write_text(f, new[f])
    return [f.name for f in changed]


def main() -> None:
    """The command line, see the top of this file."""
    if os.environ.get("STUDY_RUNS"):
        raise ValueError("STUDY_RUNS is set, and the report shows the records of papermill_runs/ only: unset it")
    print("written anew:", ", ".join(write()) or "nothing, all is up to date")


if __name__ == "__main__":
    sys.exit(paths.command(main, sys.argv[1:], __doc__, "the same command begins anew"))
