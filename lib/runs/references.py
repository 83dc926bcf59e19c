"""Our models beside BirdNET on the same recordings: papermill_runs/references.csv, and its table in RESULTS.md.

    python -m lib.runs.references pools=../shared/real_audio    40 minutes of one core; what was encoded is kept

A row per recording that is tested in one of five folds: what it is, and whether each frozen model names it rightly, 1
or 0. Models that are trained from scratch or finetuned have records of the same folds (notebooks 04 and 05), which are
read where the table is made."""
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lib import metrics, paths, progress, sources
from lib.runs import experiments, provenance, record, results, verdicts
from lib.sources import tables
from lib.transfer import probe, reference
from lib.transfer.reference import Frozen

__all__ = ["FILE", "measure", "own_scores", "table", "markdown"]

FILE = paths.ROOT / "papermill_runs" / "references.csv"
POOLS = ("birds", "frogs", "animals")
VERSION = 1  # of what is kept of a fold: raised when the same models and recordings would give other numbers
NEWER = 800_000  # xeno-canto's number of about May 2023: BirdNET V2.4 came out in that year
OWN, EMBEDDING, READY = "BirdNET, its own scores", "BirdNET, frozen", "ready weights, frozen"
FROZEN = (OWN, EMBEDDING, READY)
KNOWN = 0.5  # of the tested species must be named by a model whose own scores are asked

HEAD = """BirdNET V2.4 (Kahl et al. 2021; CC BY-NC-SA 4.0) is trained on labelled bird recordings, xeno-canto's among \
them: most of these recordings, those of the test folds too, it may have heard, with their species. That is no fault \
of BirdNET and no fair comparison; *new* are recordings with a number above 800,000, uploaded from about May 2023 on, \
the year in which V2.4 came out: it is less likely to have heard them. *Its own scores* learn nothing here: the \
highest or the mean of its windows, by which is better on val, among the tested species; of those that it does not \
name it gets none right. The pools hold 22,050 samples a second, so that it hears nothing above 11 kHz; its windows \
are of 3 s at 48,000, as it was made for, and zeros fill up a shorter recording. *Frozen* is logistic regression on \
what a model says of each window of the train folds, C chosen on val. The others are means over seeds, from the \
records of notebooks 04 and 05; *finetuned* is the start or ratio that is best on val, where over five folds val \
holds the recordings of test, so that this choice flatters it a little. Class-averaged top-1 on test in percent; \
*minus BirdNET* is paired with BirdNET, frozen, over species and, where there are any, seeds. AudioMAE and Bird-MAE \
are not measured: their weights are on the hub, which was not within reach."""


def measure(pools: str = "../shared/real_audio") -> None:
    """Asks the frozen models about the pools in a folder (birds, frogs, animals), and writes the file."""
    begun, found = provenance.commit(), []
    models = [reference.load("birdnet"), reference.load("ready")]
    for pool in POOLS:
        found.append(_pool(pool, f"folder:{pools}/{pool}", *models).assign(commit=begun, processor=paths.processor()))
        paths.write_text(FILE, pd.concat(found, ignore_index=True).to_csv(index=False))
        print(f"{FILE.name}: {sum(map(len, found)):,} recordings, {pool} are in")


def _pool(pool: str, name: str, birdnet: Frozen, ready: Frozen) -> pd.DataFrame:
    """The recordings of a pool, tested once each."""
    folds = [sources.recordings(f"{name}?fold={k}", "wildlife") for k in range(tables.FOLDS)]
    asked = folds[0][folds[0]["split"] != "unlabelled"]
    for model in (birdnet, ready):  # all of them before the first fold, with one bar
        reference.features(model, asked, bar=f"{pool}: {model.name}")
    parts = [_fold(fold[fold["split"] != "unlabelled"], birdnet, ready).assign(fold=k)
             for k, fold in enumerate(progress.bar(folds, desc=f"{pool}: regressions", unit="fold", leave=False))]
    digest = record.table_hash(folds[0], split=False)
    return pd.concat(parts, ignore_index=True).assign(pool=pool, hash=digest)


def _fold(asked: pd.DataFrame, birdnet: Frozen, ready: Frozen) -> pd.DataFrame:
    """The test recordings of one fold, in the order of the table; computed once."""
    used = asked.reindex(columns=["file", "label", "split", "group", "start_s", "end_s", "duration_s"])
    key = paths.key(VERSION, birdnet.key, ready.key, used, paths.stamps(used["file"]))
    file = paths.cache("references") / f"{key}.csv"
    if not file.exists():
        paths.write_text(file, _tested(asked, birdnet, ready).to_csv(index=False))
    return pd.read_csv(file, dtype={"file": str, "group": str})


def _tested(asked: pd.DataFrame, birdnet: Frozen, ready: Frozen) -> pd.DataFrame:
    """What each model makes of the test recordings of one fold."""
    heard, seen = (reference.features(model, asked, bar=None) for model in (birdnet, ready))
    rows = heard.table[heard.table["split"] == "test"]
    number = rows["file"].str.extract(r"XC(\d+)\.\w+$")[0].astype(float)  # of xeno-canto, by which files are named
    found = pd.DataFrame({"file": [Path(file).name for file in rows["file"]], "species": rows["label"],
                          "group": tables.units(rows), "new": (number > NEWER).astype(int)})
    places = reference.named(birdnet, heard.labels)
    evaluations = {EMBEDDING: probe.evaluate(probe.logistic(heard, "embedding"), heard, 0),
                   READY: probe.evaluate(probe.logistic(seen, "embedding"), seen, 0)}
    if (places >= 0).mean() >= KNOWN:
        evaluations[OWN] = own_scores(heard, places, 0)
    return found.assign(**{name: evaluations[name].answers["test"]["hits"] for name in FROZEN if name in evaluations})


def own_scores(heard: probe.Features, places: np.ndarray, seed: int) -> metrics.Evaluation:
    """A model's own certainty of the labels, at `places` (C,) of its scores, -1 where it does not name one.

    A recording has the highest or the mean of its windows, whichever is better on val; only the species of a split can
    be guessed there, as for every model here. seed: of the intervals' draws."""
    certain = np.where(places >= 0, heard.kinds["scores"][:, places], 0)  # (W, C)
    tried = [metrics.evaluation({split: _pooled(heard, certain, split, how) for split in ("val", "test")}, seed)
             for how in ("max", "mean")]
    return max(tried, key=lambda one: one.scores["val"].top1.value)


def _pooled(heard: probe.Features, certain: np.ndarray, split: str,
            how: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (R, C), targets (R,) and groups (R,) of a split, as `probe.recordings` gives them."""
    rows = heard.table[heard.table["split"] == split]
    targets, windows = np.searchsorted(heard.labels, rows["label"]), np.flatnonzero(np.isin(heard.row, rows.index))
    shown = np.where(np.isin(np.arange(len(heard.labels)), targets), certain[windows], -np.inf)
    return (metrics.pool(shown, np.searchsorted(rows.index, heard.row[windows]), len(rows), how), targets,
            pd.factorize(tables.units(rows))[0])


# ----------------------------------------------------------------------------------------------------------- the table

def table(file: Path, committed: bool = False) -> pd.DataFrame:
    """A row per pool, part (all or new) and model: its score and what lies between it and BirdNET, frozen, in points.

    committed: only what came from committed code."""
    known = pd.read_csv(file, dtype={"file": str, "group": str}) if file.exists() else pd.DataFrame({"commit": []})
    if committed and known["commit"].astype(str).str.endswith("-dirty").any() or known.empty:
        return pd.DataFrame()
    found, runs = [], _recorded(committed)
    for pool, rows in known.groupby("pool", sort=False):
        hits = {name: rows[name].to_numpy(float)[None] for name in FROZEN if rows[name].notna().all()}
        hits |= dict(_trained(runs, rows))
        for part, chosen in (("all", np.ones(len(rows), bool)), ("new", rows["new"].to_numpy(bool))):
            if chosen.sum() >= 2:
                found += [{"pool": pool, "part": part, "model": name, **_row(rows[chosen], x[:, chosen],
                                                                           hits[EMBEDDING][:, chosen])}
                          for name, x in hits.items()]
    return pd.DataFrame(found)


def _recorded(committed: bool) -> pd.DataFrame:
    """The records of notebooks 04 and 05 that may be compared, with the label of their start or ratio."""
    starts, ratios = (experiments.load(experiments.BY_PLACE[place], committed) for place in ("Table 3", "Table 4"))
    ratios = ratios.assign(label="pretrained at ratio " + ratios["label"]) if len(ratios) else ratios
    starts = starts.assign(label=starts["label"].replace("random", "random weights")) if len(starts) else starts
    runs = pd.concat([starts, ratios], ignore_index=True)
    if runs.empty:
        return runs
    usual = runs["budget"].eq("sweep") & runs["preset"].eq("study") & runs["subtract"].eq("median")
    return runs[usual]


def _trained(runs: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """The hits (S, R) of the recorded models of a pool: without pretraining, and finetuned from the best start."""
    own = runs[runs["data.wildlife.hash"].eq(rows["hash"].iloc[0])] if len(runs) else runs
    if own.empty:
        return
    best = own.groupby("label")["top1.value"].mean().idxmax()  # on val
    for name, answers, arm in (("log-mel statistics", "answers_logistic", own), ("small CNN", "answers_cnn", own),
                               (f"finetuned ({best})", "answers", own[own["label"] == best])):
        if f"{answers}.test.hits" in arm and len(arm := arm.dropna(subset=f"{answers}.test.hits")):
            yield name, _by_seed(arm, answers, rows)


def _by_seed(arm: pd.DataFrame, answers: str, rows: pd.DataFrame) -> np.ndarray:
    """Hits (S, R) of an arm's runs, a row per seed, one where they do not depend on it; ValueError where their
    recordings are others than the file's."""
    arm = arm.drop_duplicates("seed").sort_values("seed")
    first = arm.iloc[0]
    if [first["labels"][target] for target in first["answers.test.targets"]] != rows["species"].tolist():
        raise ValueError(f"{FILE.name} and the records list other recordings of {rows['pool'].iloc[0]}: measure again "
                         "from one copy of the data")
    hits = np.stack(arm[f"{answers}.test.hits"]).astype(float)
    return hits[:1] if (hits == hits[0]).all() else hits


def _row(rows: pd.DataFrame, hits: np.ndarray, birdnet: np.ndarray) -> dict[str, float]:
    """The score of hits (S, R) with its interval over groups, and the paired difference to BirdNET's (1, R)."""
    targets, groups = (pd.factorize(rows[name])[0] for name in ("species", "group"))
    top1 = metrics.bootstrap(hits.mean(0), targets, groups, rng=np.random.default_rng(0))
    change = verdicts.difference(hits, np.repeat(birdnet, len(hits), 0), targets)
    return {"recordings": len(rows), "species": rows["species"].nunique(), "seeds": len(hits),
            "top1": 100 * top1.value, "top1_low": 100 * top1.low, "top1_high": 100 * top1.high,
            "change": 100 * change.value, "low": 100 * change.low, "high": 100 * change.high}


def markdown(committed: bool = False) -> str:
    """The table for RESULTS.md; nothing where it was not measured."""
    known = table(FILE, committed)
    if known.empty:
        return ""
    lines = [[row.pool, row.part, f"{row.recordings} of {row.species}", verdicts.quoted(row.model), f"{row.seeds}",
              results.cell(row.top1, row.top1_low, row.top1_high),
              "-" if row.model == EMBEDDING else results.cell(row.change, row.low, row.high, sign="+")]
             for row in known.itertuples()]
    heads = ("pool", "part", "recordings, species", "model", "seeds", "test [95 %]", "minus BirdNET [95 %]")
    return f"{HEAD}\n\n{verdicts.markdown(heads, lines)}"


if __name__ == "__main__":
    sys.exit(paths.command(measure, sys.argv[1:], __doc__))
