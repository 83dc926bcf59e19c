"""What the budget of pretraining buys: runs that differ in it alone, beside opponents without any."""
from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.runs import record, verdicts

__all__ = ["load", "figure", "compared", "markdown"]

OPPONENTS = {"cnn": "small CNN", "logistic": "logistic regression", "logistic_rise": "logistic regression, with rise"}
BASES = ("random weights", "logistic regression", "small CNN")
READ = {"finetuned": "answers", "frozen": "answers_frozen"}  # of an encoder, and where records keep the answers
TOP1 = "test.top1.value"


def load(preset: str = "study", subtract: str = "median", committed: bool = False) -> pd.DataFrame:
    """The records of notebook 05 at 7 : 1 of one recipe, for every number of clips.

    Without those of "main", which hold logistic regression alone, and of "sweep", which compares ratios. Of two runs of
    one seed that whose encoder was pretrained with it is taken, not the one whose encoder several seeds share."""
    table = record.records("05_mix_ratio", committed)
    if table.empty:
        return table
    chosen = table["ratio"].eq(7) & ~table["budget"].isin(["main", "sweep"])
    table = table[chosen & table["preset"].eq(preset) & table["subtract"].eq(subtract)]
    world = ["scale", "data_seed", "samples_seen", "seed", *(f"data.{pool}.hash" for pool in record.POOLS)]
    return table.sort_values("pretraining_seed", kind="stable").drop_duplicates(world).reset_index(drop=True)


def figure(runs: pd.DataFrame) -> Figure:
    """Left top-1 on test against the clips of pretraining, right what they add to random weights.

    runs: records of one scale and the same recordings, a row each (`record.beside`); 0 clips are random weights."""
    drawn, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    drawn.get_layout_engine().set(wspace=0.08)
    budgets = sorted(set(runs["samples_seen"])) if len(runs) else []
    place = {clips: i for i, clips in enumerate(budgets)}
    names = ["random\nweights" if clips == 0 else f"{clips / 1000:g}k" for clips in budgets]
    for ax in axes:
        ax.set_xticks(range(len(budgets)), names)
        ax.set_xlabel("clips of pretraining")
    if budgets:
        _scores(axes[0], runs, place)
        _gains(axes[1], runs, place)
    axes[0].set(ylabel="top-1 on test, class average (%)", ylim=(0, None))
    axes[1].set_ylabel("minus random weights (points)")
    return drawn


def _scores(ax: Axes, runs: pd.DataFrame, place: dict[int, int]) -> None:
    """Every run, the means over seeds, the frozen encoders, and a line for each opponent."""
    for name, column, style in (("finetuned", TOP1, "o-"), ("frozen, logistic regression", _top1("frozen"), "s--")):
        if column in runs and (runs[column].notna()).any():
            mean = 100 * runs.groupby("samples_seen")[column].mean().dropna()
            line, = ax.plot([place[clips] for clips in mean.index], mean, style, markersize=5, label=name)
            x = runs["samples_seen"].map(place) + 0.06 * (runs["seed"] - runs["seed"].mean())
            ax.plot(x, 100 * runs[column], ".", color=line.get_color(), alpha=0.5, markersize=4)
    for (name, words), style in zip(OPPONENTS.items(), (":", "-.", (0, (1, 4)))):
        if _top1(name) in runs:
            ax.axhline(100 * runs[_top1(name)].mean(), color="0.4", linestyle=style, label=words)
    ax.legend(fontsize="small", loc="lower right")


def _gains(ax: Axes, runs: pd.DataFrame, place: dict[int, int]) -> None:
    """The gains over random weights with their intervals, finetuned and frozen."""
    ax.axhline(0, color="0.6", linewidth=0.8)
    for shift, marker, (name, answers) in zip((-0.06, 0.06), "os", READ.items()):
        gains = [(clips, change) for clips, base, change in _changes(runs, answers) if base == "random weights"]
        value, low, high = (100 * pd.Series([getattr(c, k) for _, c in gains]) for k in ("value", "low", "high"))
        ax.errorbar([place[clips] + shift for clips, _ in gains], value, [value - low, high - value], fmt=marker,
                    markersize=5, capsize=2, label=name)
    ax.set_xlim(-0.5, len(place) - 0.5)
    ax.legend(fontsize="small")


def compared(runs: pd.DataFrame) -> pd.DataFrame:
    """Every budget minus random weights, logistic regression and, finetuned, the small CNN on test, in points:
    finetuned one family, frozen another.

    encoders: how many were pretrained (or drawn) for the seeds of a row; one says nothing of other pretrainings."""
    encoders = {clips: _encoders(arm) for clips, arm in runs.groupby("samples_seen")} if len(runs) else {}
    return pd.concat([verdicts.compared([{"read": read, "clips": f"{clips:,.0f}", "encoders": encoders[clips],
                                          "against": base, "change": change}
                                         for clips, base, change in _changes(runs, answers)])
                      for read, answers in READ.items()], ignore_index=True)


def markdown(committed: bool = False) -> str:
    """The curve as text, a table for every scale and pair of pools that has one; empty where none has."""
    table = load(committed=committed)
    worlds = table.groupby(["scale", "data_seed", "data.wildlife.hash", "data.general.hash"]) if len(table) else ()
    return "\n\n".join(_table(runs) for _, runs in worlds if runs["samples_seen"].nunique() > 1)


def _table(runs: pd.DataFrame) -> str:
    """One world's curve: a line for each budget, and one for each opponent."""
    def top1(column: str, arm: pd.DataFrame) -> str:
        values = 100 * arm[column].dropna().astype(float)
        lowest, highest = f"{values.min():.1f}", f"{values.max():.1f}"
        spread = f" ({lowest} to {highest})" if lowest != highest else ""
        return f"{values.mean():.1f}{spread}" if len(values) else "-"

    changes = {(read, clips, base): str(change) for read, answers in READ.items()
               for clips, base, change in _changes(runs, answers)}
    lines = [[f"{clips:,.0f} clips" if clips else "random weights", f"{_encoders(arm)}", f"{arm['seed'].nunique()}",
              top1(TOP1, arm), *[changes.get(("finetuned", clips, base), "-") for base in BASES],
              top1(_top1("frozen"), arm), changes.get(("frozen", clips, "random weights"), "-")]
             for clips, arm in runs.groupby("samples_seen")]
    lines += [[words, "-", f"{runs['seed'].nunique()}", top1(_top1(name), runs), *["-"] * 5]
              for name, words in OPPONENTS.items() if _top1(name) in runs]
    heads = ("pretraining", "encoders", "seeds", "finetuned (lowest to highest)", *[f"minus {base}" for base in BASES],
             "frozen", "minus random weights")
    names = " + ".join(dict.fromkeys(verdicts.quoted(runs.iloc[0][f"data.{pool}.name"]) for pool in record.POOLS))
    head = (f"**What pretraining buys** (notebook 05, {names}, {runs.iloc[0]['scale']}, 7 : 1): top-1 on test in "
            "percent, mean over seeds; differences in points with 95 % intervals over finetuning seeds and species, "
            "which of one encoder say nothing of other pretrainings")
    return f"{head}\n\n{verdicts.markdown(heads, lines)}"


def _changes(runs: pd.DataFrame, answers: str) -> Iterator[tuple[int, str, verdicts.Difference]]:
    """Clips, one of BASES, and the difference on test: random weights, of 0 clips, have no first of them, and the
    frozen no third."""
    if runs.empty or f"{answers}.test.hits" not in runs:
        return
    runs = runs[runs[f"{answers}.test.hits"].notna()]
    random = runs[runs["samples_seen"] == 0]
    for clips, arm in runs.groupby("samples_seen"):
        bases = [("random weights", random, answers)] if clips else []
        bases += [("logistic regression", arm, "answers_logistic")]
        bases += [("small CNN", arm, "answers_cnn")] if answers == READ["finetuned"] else []
        for base, theirs, column in bases:
            known = theirs[theirs[f"{column}.test.hits"].notna()] if f"{column}.test.hits" in theirs else theirs[:0]
            if change := verdicts.between(arm, known, answers, column):
                yield clips, base, change


def _encoders(arm: pd.DataFrame) -> int:
    """How many encoders the runs of a budget began from."""
    return arm["pretraining_seed"].where(arm["pretraining_seed"] >= 0, arm["seed"]).nunique()


def _top1(name: str) -> str:
    """The column of an opponent's top-1 on test."""
    return f"baselines.{name}.{TOP1}"
