"""A run in a sentence: what is printed of its record, and what a person reads last."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the launcher speaks before torch is imported
    from lib.metrics import Scores

__all__ = ["headline", "closing"]


def headline(record: Mapping) -> str:
    """One line: which run, its top-1 with interval on test, where it has one, and on val, and the paper's number."""
    from lib.metrics import Interval

    metrics, found = record["metrics"], []
    for split, scores in (("test", metrics.get("test")), ("val", metrics)):
        top1 = scores.get("top1") if isinstance(scores, Mapping) else None
        if isinstance(top1, Mapping):  # an Interval; JSON has no NaN
            found.append(f"{Interval(*(math.nan if v is None else v for v in top1.values()))} on {split}")
        elif top1 is not None:
            found.append(f"{100 * top1:.1f} % on {split}")
    text = f"{record['notebook']} {record['name']}:"
    if found:
        text += f" class-averaged top-1 {', '.join(found)}"
    if record.get("paper"):
        numbers = [f"{k} {v:g}" for k, v in record["paper"].items() if isinstance(v, (int, float))]
        text += f"; paper ({record['paper']['source']}, {record['paper']['split']}): {', '.join(numbers)}"
    return text


def closing(wildlife: str, test: Scores, opponents: Mapping[str, Scores], paper: Mapping | None) -> str:
    """How the main job ends, in one sentence: what is right on test, what chance and its opponents have there, and the
    paper's row, which is of other species. wildlife: the name of the pool."""
    text = (f"{test.top1} of the test recordings are right, averaged over {test.classes} species; "
            f"chance is {100 / test.chosen_from:.1f} %")
    for name, words in (("logistic", "logistic regression on the log-mel's mean and spread"), ("cnn", "a small CNN")):
        if name in opponents:
            text += f", {words} has {opponents[name].top1}"
    if paper:
        text += f"; the paper's row ({paper['source']}, species of its own, {paper['split']}) is {paper['top1']:g} %"
    if wildlife.startswith("chorus"):
        text += "; chorus is a generator's world and says nothing about animals"
    return text
