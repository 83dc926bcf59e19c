"""What each table of the papers claims, and what would have to be measured for it to hold: written before the runs.

The end point is everywhere the score on test of `tiny` models with five seeds: class-averaged top-1 of whole
recordings, for the second paper the mean of five tasks. Of every pool on which a table was run its criteria are one
family, and their p-values are Holm's; a claim of no difference counts in the family and is judged by its interval. The
verdicts about animals are those of PRIMARY; other pools stand beside it.

Stated before the runs of version 2: with five seeds notebook 05's curve finds differences of 3.2 to 4.7 points on
chorus with 80 % power. On birds (496 recordings of 57 species, five folds) two arms that disagree on a third of the
recordings should be told apart from 3 to 7 points on: the less, the more of the disagreement is the seeds'."""
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.runs import verdicts

__all__ = ["Criterion", "CRITERIA", "PRIMARY", "MARGIN", "judged"]

PRIMARY = "birds in five folds + general"  # real recordings, each of them tested once
MARGIN = 3.0       # points: a smaller difference would not change which model anybody uses


@dataclass(frozen=True)
class Criterion:
    place: str      # of the paper, as in `experiments` and `results_hear`
    claim: str      # in one sentence
    setting: str    # the arm ...
    against: str    # ... and what it is compared with
    direction: int  # the claim's sign of the difference; 0: smaller than MARGIN

    @property
    def success(self) -> str:
        """What holds the claim up."""
        arms = f"{self.setting} minus {self.against}"
        return (f"{arms}: 95 % interval within ±{MARGIN:g} points" if not self.direction else
                f"{arms}: {'above' if self.direction > 0 else 'below'} 0, p < {verdicts.LEVEL:g} after Holm")


BOTH, GENERAL, OWN = "audioset_ssl+inat_ssl (stand-in)", "audioset_ssl (stand-in)", "random+inat_ssl"
CRITERIA = (
    Criterion("Table 2", "A linear probe reads something of the species from features nobody labelled",
              BOTH, "chance", +1),
    Criterion("Table 2", "Going on with wildlife changes little for the probe", BOTH, GENERAL, 0),
    Criterion("Table 3", "Pretraining on the wildlife itself beats random weights", OWN, "random", +1),
    Criterion("Table 3", "Pretraining on general sound beats pretraining on the wildlife itself", GENERAL, OWN, +1),
    Criterion("Table 3", "Going on with wildlife after general sound changes little", BOTH, GENERAL, 0),
    Criterion("Table 3", "So it does at equal clips, half of them general and half wildlife",
              f"{BOTH}, 12,000 clips each", GENERAL, 0),
    Criterion("Table 4", "Seven general clips a wildlife clip beat wildlife only", "7", "0", +1),
    Criterion("Table 4", "General sound only beats wildlife only", "inf", "0", +1),
    Criterion("Table 4", "General sound only is as good as seven to one", "inf", "7", 0),
    *(Criterion("Figure 3", f"Pretraining beats random weights with {size} labelled recordings a species",
                f"{BOTH}, {size} per species", f"random, {size} per species", +1) for size in (1, 2, 4)),
    Criterion("Figure 3", "Pretraining beats random weights with all labels", f"{BOTH}, all per species",
              "random, all per species", +1),
    Criterion("Figure 4", "Pretraining only on windows that a classifier is sure of costs accuracy",
              "confidence 50%", "no filter", -1),
    Criterion("Figure 5", "Pretraining only on windows that are hard to guess costs accuracy",
              "loss 50%", "no filter", -1),
    Criterion("Baselines", "A finetuned pretrained encoder beats logistic regression on two numbers a mel band",
              BOTH, "logistic regression", +1),
    Criterion("Baselines", "A finetuned pretrained encoder beats a small CNN trained from scratch",
              BOTH, "small CNN", +1),
    Criterion("Table 5", "A longer input is better", "512", "208", +1),
    Criterion("Table 6", "Patches a quarter as long are better", "200_16x4", "208", +1),
    Criterion("Table 7", "Strips over all frequencies are worse than patches", "304_80x4", "304", -1),
)
ASKED = ["place", "claim", "setting", "against", "direction"]            # of a criterion ...
SHOWN = ["data", "scale", "seeds", "change", "low", "high", "p", "power80"]  # ... and of the row that answers it


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """The criteria that rows of `results.rows` and `results_hear.rows` answer, with a verdict each: place, claim,
    criterion, data, scale, seeds, change, low, high, power80, verdict; in points.

    "holds": as the criterion says. "opposite": p < LEVEL the other way or, of a claim of no difference, an interval
    wholly beyond MARGIN. "no difference": a claimed difference whose interval lies within MARGIN. Else "undecided"; of
    fewer than `verdicts.FEWEST` seeds there is no verdict."""
    found = []
    for criterion in CRITERIA:
        asked = {key: getattr(criterion, key) for key in ASKED}
        same = rows[(rows["place"] == criterion.place) & (rows["setting"] == criterion.setting)
                    & (rows["against"] == criterion.against) & rows["change"].notna()]
        found += [{**asked, "criterion": criterion.success, **row[SHOWN].to_dict()} for _, row in same.iterrows()]
    table = pd.DataFrame(found, columns=[*ASKED, "criterion", *SHOWN])
    families = table.groupby(["place", "data", "scale"], sort=False)
    parts = [part.assign(verdict=_verdicts(part)) for _, part in families]
    return pd.concat(parts, ignore_index=True) if parts else table.assign(verdict=[])


def _verdicts(family: pd.DataFrame) -> list[str]:
    adjusted = verdicts.holm(family["p"], family["seeds"])
    return [_verdict(row, p) for row, p in zip(family.itertuples(), adjusted)]


def _verdict(row: pd.Series, p: float) -> str:
    if np.isnan(p):
        return "no verdict: few seeds, or no interval"
    within, beyond = -MARGIN < row.low and row.high < MARGIN, row.low > MARGIN or row.high < -MARGIN
    if not row.direction:
        return "holds" if within else "opposite" if beyond else "undecided"
    if p < verdicts.LEVEL:
        return "holds" if np.sign(row.change) == row.direction else "opposite"
    return "no difference" if within else "undecided"
