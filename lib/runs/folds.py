"""Runs of the five folds of one folder (`folder:PATH?fold=0` ... 4) as one run that tests every recording once."""
import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from lib import metrics
from lib.runs import provenance
from lib.sources.tables import FOLDS

__all__ = ["merged"]


def merged(records: Iterable[dict]) -> list[dict]:
    """The records, with those of five folds that differ in nothing else joined into one; incomplete fives left out.

    What not all of the five have is left out. Answers are laid end to end, in the order of the folds, and top-1 and its
    interval are of all of them together; any other number is the mean of the five, without an interval."""
    whole, folded = [], {}
    for record in records:
        if "fold" in record["data"].get("wildlife", {}):
            folded.setdefault(_but_for_the_fold(record), {})[record["data"]["wildlife"]["fold"]] = record
        else:
            whole.append(record)
    fives = [five for five in folded.values() if set(five) == set(range(FOLDS))]
    return whole + [_joined([five[k] for k in range(FOLDS)]) for five in fives]


def _but_for_the_fold(record: dict) -> str:
    pools = {name: pool["hash"] for name, pool in record["data"].items()}
    values = {k: v for k, v in record["parameters"].items() if k not in pools}
    return f"{record['notebook']} {sorted(values.items(), key=str)} {sorted(pools.items())}"


def _joined(five: list[dict]) -> dict:
    if any(one.get("labels") != five[0].get("labels") for one in five):
        raise ValueError(f"{five[0]['notebook']}: the folds of {five[0]['name']} have different labels, so their "
                         "answers cannot be joined: run them again from one copy of the data")
    kept = {name: [one[name] for one in five] for name in five[0] if all(name in one for one in five)}
    joined = {name: _answers(parts) if name.startswith("answers") else _mean(parts) for name, parts in kept.items()}
    pool = re.sub(r"_fold_\d", "", five[0]["data"]["wildlife"]["name"])
    joined["data"]["wildlife"] |= {"name": pool, "fold": f"all {FOLDS}"}
    joined["parameters"] = {**five[0]["parameters"], "wildlife": pool}
    joined["name"] = re.sub(r"_fold_\d", "", five[0]["name"])
    joined["seconds"] = sum(one.get("seconds") or 0 for one in five)
    unfit = [one.get("git") for one in five if not provenance.publishable(one)]
    joined |= {"git": unfit[0]} if unfit else {}  # a fold of uncommitted code is enough
    for name, answers in joined.items():
        if name.startswith("answers"):
            _score(joined, name.removeprefix("answers").lstrip("_"), answers)
    return joined


def _answers(parts: list[dict]) -> dict:
    """Hits, targets and groups of each split, end to end; a group lies in one fold."""
    found = {}
    for split in [split for split in parts[0] if all(split in part for part in parts)]:
        lists = {key: np.concatenate([np.asarray(part[split][key]) for part in parts]) for key in parts[0][split]
                 if all(key in part[split] for part in parts)}
        if "groups" in lists:
            first = np.cumsum([0, *(1 + max(part[split]["groups"], default=0) for part in parts[:-1])])
            lists["groups"] += np.repeat(first, [len(part[split]["groups"]) for part in parts])
        found[split] = {key: values.tolist() for key, values in lists.items()}
    return found


def _score(record: dict, name: str, answers: dict) -> None:
    """Puts top-1 of all recordings where the record has it for these answers, in place of the folds' own scores."""
    place = record["metrics"] if not name else record["metrics"].get(name) or record.get("baselines", {}).get(name)
    whole = record.get("answers", {})
    for split in [split for split in answers if place is not None and split in whole]:
        part, known = answers[split], whole[split]
        top1 = _top1(tuple(part["hits"]), tuple(known["targets"]), tuple(known["groups"]))
        scores = place[split] if split in place else place
        scores |= {"top1": dict(zip(("value", "low", "high"), (None if np.isnan(v) else v for v in top1))),
                   "recordings": len(known["targets"]), "classes": len(set(known["targets"]))}
        scores.pop("recall", None)  # of the first fold


@lru_cache(maxsize=None)  # a page asks for the same records in several of its tables
def _top1(hits: tuple, targets: tuple, groups: tuple) -> metrics.Interval:
    return metrics.bootstrap(np.asarray(hits, float), np.asarray(targets), np.asarray(groups),
                             rng=np.random.default_rng(0))


def _mean(values: list) -> object:
    """Numbers become their mean, or None where a fold has none; mappings are gone through; of anything else the first
    is taken. An interval keeps its value alone: the mean of the folds' ends is no interval of all of them."""
    first = values[0]
    if any(value is None for value in values):
        return None
    if isinstance(first, dict):
        mean = {key: _mean([value[key] for value in values]) for key in first
                if all(isinstance(value, dict) and key in value for value in values)}
        return mean | {end: None for end in ("low", "high") if end in mean}
    if all(type(value) in (int, float) for value in values):
        return float(np.mean(values)) if len(set(values)) > 1 else first
    return first
