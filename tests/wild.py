"""JSON as it may come from outside: any value, and a good one with some places changed at random."""
import copy
import json
from pathlib import Path

from hypothesis import strategies as st

WORDS = st.sampled_from(["", "22050", "inf", "a\nb", "\x00", "../x", "\ud800", "蛙" * 100, "x" * 5000])
NUMBERS = st.sampled_from([0, -1, 1, 2, 3, 7, 10**9, 2**31, 2**63, 10**30, 10**400, 0.5, 1e-300, 1e300, -0.0,
                           float("nan"), float("inf")])
SIMPLE = st.none() | st.booleans() | NUMBERS | WORDS | st.integers(-5, 5000) | st.floats() | st.text(max_size=5)
NAMES = st.text(max_size=5) | st.sampled_from(["name", "hash", "val", "test", "hits", "seed"])
VALUES = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
                      max_leaves=8)


def _places(value: object, place: tuple = ()) -> list[tuple]:
    inside = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [place, *(deeper for key, part in inside for deeper in _places(part, (*place, key)))]


@st.composite
def mutations(draw: st.DrawFn, whole: object) -> object:
    """A value with one to three of its places, or one within them, replaced, left out or joined by another."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(_places(value))) or [None]
        if last is None:
            value = draw(st.just(value) | VALUES)
            continue
        inside = value
        for key in way:
            inside = inside[key]
        kind = draw(st.sampled_from(["replace", "replace", "replace", "leave out", "add"]))
        if kind == "leave out":
            del inside[last]
        elif kind == "add" and isinstance(inside, dict):
            inside[draw(st.text(max_size=8))] = draw(VALUES)
        else:
            inside[last] = draw(VALUES)
    return value


def write(file: Path, value: object) -> Path:
    """A value as JSON, NaN and Infinity as Python writes them."""
    file.write_text(json.dumps(value), encoding="utf-8")
    return file


def one_line(error: Exception, *names: str) -> str:
    """What an error says, which must be one line of a ValueError that has these names."""
    text = str(error)
    assert type(error) is ValueError and "\n" not in text and all(name in text for name in names), repr(error)
    return text
