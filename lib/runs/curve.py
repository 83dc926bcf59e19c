"""What the budget of pretraining buys: runs that differ in it alone, beside opponents without any."""
from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.runs import record, verdicts

__all__ = ["load", "figure", "compared", "markdown"]

OPPONENTS = {"cnn": "small CNN", "logistic": "logistic regression"}
READ = {"finetuned": "answers", "frozen": "answers_frozen"}  # of an encoder, and where records keep the answers
TOP1 = "test.top1.value"


def load(preset: str = "study", subtract: str = "median", committed: bool = False) -> pd.DataFrame:
    """The records of notebook 05 at 7 : 1 of one recipe, for every number of clips.

    Without those of "main", which hold logistic regression alone, and of "sweep", which compares ratios."""
    table = record.records("05_mix_ratio", committed)
    if table.empty:
        return table
    chosen = table["ratio"].eq(7) & ~table["budget"].isin(["main", "sweep"])
    return table[chosen & table["preset"].eq(preset) & table["subtract"].eq(subtract)].reset_index(drop=True)


def figure(runs: pd.DataFrame) -> Figure:
    """Left top-1 on test against the clips of pretraining, right what they add to random weights.

    runs: records of one scale and the same recordings, a row each (`record.beside`); 0 clips are random weights."""
    drawn, axes = plt.subplots(1, 2, figsize=(10, 3.4))
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
    for (name, words), color in zip(OPPONENTS.items(), ("0.2", "0.5")):
        if _top1(name) in runs:
            ax.axhline(100 * runs[_top1(name)].mean(), color=color, linestyle=":", label=words)
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
    """Every budget minus random weights and minus logistic regression on test, in points: finetuned one family, frozen
    another."""
    return pd.concat([verdicts.compared([{"read": read, "clips": f"{clips:,.0f}", "against": base, "change": change}
                                         for clips, base, change in _changes(runs, answers)])
                      for read, answers in READ.items()], ignore_index=True)


def markdown(committed: bool = False) -> str:
    """The curve as text, a table for every scale and pair of pools that has one; empty where none has."""
    table = load(committed=committed)
    worlds = table.groupby(["scale", "data.wildlife.hash", "data.general.hash"]) if len(table) else ()
    return "\n\n".join(_table(runs) for _, runs in worlds if runs["samples_seen"].nunique() > 1)


def _table(runs: pd.DataFrame) -> str:
    """One world's curve: a line for each budget, and one for each opponent."""
    def top1(column: str, arm: pd.DataFrame) -> str:
        values = 100 * arm[column].dropna().astype(float)
        return f"{values.mean():.1f} ({values.min():.1f} to {values.max():.1f})" if len(values) else "-"

    changes = {(read, clips, base): str(change) for read, answers in READ.items()
               for clips, base, change in _changes(runs, answers)}
    lines = [[f"{clips:,.0f} clips" if clips else "random weights", f"{arm['seed'].nunique()}", top1(TOP1, arm),
              *[changes.get(("finetuned", clips, base), "-") for base in ("random weights", "logistic regression")],
              top1(_top1("frozen"), arm), changes.get(("frozen", clips, "random weights"), "-")]
             for clips, arm in runs.groupby("samples_seen")]
    lines += [[words, f"{runs['seed'].nunique()}", top1(_top1(name), runs), "-", "-", "-", "-"]
              for name, words in OPPONENTS.items() if _top1(name) in runs]
    heads = ("pretraining", "seeds", "finetuned (lowest to highest)", "minus random weights",
             "minus logistic regression", "frozen", "minus random weights")
    names = " + ".join(dict.fromkeys(str(runs.iloc[0][f"data.{pool}.name"]) for pool in record.POOLS))
    head = (f"**What pretraining buys** (notebook 05, {names}, {runs.iloc[0]['scale']}, 7 : 1): top-1 on test in "
            "percent, mean over seeds; differences in points with 95 % intervals over seeds and species")
    return f"{head}\n\n{verdicts.markdown(heads, lines)}"


def _changes(runs: pd.DataFrame, answers: str) -> Iterator[tuple[int, str, verdicts.Difference]]:
    """Clips, what they are compared with, and the difference on test; random weights, of 0 clips, with the second."""
    if runs.empty or f"{answers}.test.hits" not in runs:
        return
    runs = runs[runs[f"{answers}.test.hits"].notna()]
    random = runs[runs["samples_seen"] == 0]
    for clips, arm in runs.groupby("samples_seen"):
        bases = [("random weights", random, answers)] if clips else []
        for base, theirs, column in (*bases, ("logistic regression", arm, "answers_logistic")):
            if change := verdicts.between(arm, theirs, answers, column):
                yield clips, base, change


def _top1(name: str) -> str:
    """The column of an opponent's top-1 on test."""
    return f"baselines.{name}.{TOP1}"
