"""The scores of HEAR's tasks by their official names, each a number from 0 to 1 (an error rate: from 0 up).

As hear-eval-kit computes them (heareval/score.py), its two event scores without sed_eval: the same numbers, by scipy's
matching. Events are made of probabilities as there (create_events_from_prediction).
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import median_filter
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

__all__ = ["Event", "Events", "events", "Score", "SCORES", "top1", "chroma", "mean_ap", "aucroc", "d_prime",
           "onset_counts", "onset_f", "segment_error"]


class Event(NamedTuple):
    label: int
    start: float  # ms
    end: float


Events = Sequence[Sequence[Event]]  # of each recording


def events(p: np.ndarray, times: np.ndarray, median_ms: float, shortest_ms: float) -> list[Event]:
    """One recording's probabilities (n, C) at times (n,) in ms -> events: smoothed, above 0.5, joined where adjacent.

    An event lasts from its first to its last time: one of a single column lasts 0 ms."""
    if len(times) > 1 and (width := round(median_ms / float(np.diff(times).mean()))):
        p = median_filter(p, size=(width, 1))
    found = []
    for label in range(p.shape[1]):
        edge = np.diff((p[:, label] > 0.5).astype(int), prepend=0, append=0)
        for first, last in zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1) - 1):
            if times[last] - times[first] >= shortest_ms:
                found.append(Event(label, float(times[first]), float(times[last])))
    return sorted(found, key=lambda e: e.start)


def top1(p: np.ndarray, targets: np.ndarray) -> float:
    """The share of recordings whose highest probability (R, C) is their label's (R, C one-hot)."""
    return float((p.argmax(1) == targets.argmax(1)).mean())


def chroma(p: np.ndarray, targets: np.ndarray) -> float:
    """As top1 of semitones in order, where a guess some octaves too high or low is right too."""
    return float((p.argmax(1) % 12 == targets.argmax(1) % 12).mean())


def mean_ap(p: np.ndarray, targets: np.ndarray) -> float:
    """Average precision of each class that occurs, averaged. The kit gives no number where one does not occur."""
    here = targets.any(0)
    return float(average_precision_score(targets[:, here], p[:, here], average="macro"))


def aucroc(p: np.ndarray, targets: np.ndarray) -> float:
    """Area under the ROC curve of each class that occurs and does not always, averaged; NaN if there is none."""
    return float(np.mean(_areas(p, targets)))


def d_prime(p: np.ndarray, targets: np.ndarray) -> float:
    """The distance of two normal distributions with that area, averaged; infinite where a class is told faultlessly."""
    return float(np.mean(norm.ppf(_areas(p, targets)) * math.sqrt(2)))


def _areas(p: np.ndarray, targets: np.ndarray) -> list[float]:
    areas = [roc_auc_score(y, guess) for y, guess in zip(targets.T, p.T) if y.any() and not y.all()]
    return areas or [math.nan]


def onset_counts(guessed: Sequence[Event], true: Sequence[Event], collar_ms: float = 200.0) -> tuple[int, int]:
    """Of one recording: how many guesses are right, and how many guesses and true events there are together.

    A guess is right if it begins within the collar of an event of its label. Each event takes one guess at most; as
    many pairs as possible are made (sed_eval's "optimal" matching, offsets not looked at)."""
    right = 0
    if guessed and true:
        (label, start), (name, at) = (np.array([[e.label, e.start / 1000] for e in some]).T for some in (true, guessed))
        meets = (label[:, None] == name) & (np.abs(start[:, None] - at) <= collar_ms / 1000)  # (true, guessed)
        right = int((maximum_bipartite_matching(csr_matrix(meets), perm_type="column") >= 0).sum())
    return right, len(guessed) + len(true)


def onset_f(guesses: Events, truth: Events, collar_ms: float = 200.0) -> float:
    """F-measure over the events of all recordings, of `onset_counts`."""
    counts = [onset_counts(guessed, true, collar_ms) for guessed, true in zip(guesses, truth, strict=True)]
    right, count = np.sum(counts, axis=0) if counts else (0, 0)
    return float(2 * right / count) if count else 0.0  # = 2PR / (P + R)


def segment_error(guesses: Events, truth: Events) -> float:
    """(Substitutions + deletions + insertions) / true (segment, label) pairs, in segments of 1 s; 1 is silence."""
    wrong, pairs = 0, 0
    for recording in zip(guesses, truth, strict=True):
        heard, there = ({(i, e.label) for e in some for i in range(int(e.start // 1000), math.ceil(e.end / 1000))}
                        for some in recording)  # (segment, label)
        most = Counter(i for i, _ in heard) | Counter(i for i, _ in there)  # of each segment the larger count
        wrong += most.total() - len(heard & there)
        pairs += len(there)
    return wrong / pairs if pairs else math.nan


class Score(NamedTuple):
    of: Callable[..., float]
    sign: int = 1  # -1 where lower is better
    events: bool = False  # of lists of events, not of probabilities


SCORES: Mapping[str, Score] = {
    "top1_acc": Score(top1), "pitch_acc": Score(top1), "chroma_acc": Score(chroma), "mAP": Score(mean_ap),
    "aucroc": Score(aucroc), "d_prime": Score(d_prime), "event_onset_200ms_fms": Score(onset_f, events=True),
    "segment_1s_er": Score(segment_error, sign=-1, events=True),
}
