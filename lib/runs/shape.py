"""The shape of a record: what those who read one rely on, checked where it is read."""
from collections.abc import Iterator, Sequence
from reprlib import repr as short
from types import NoneType

__all__ = ["check"]

NEEDED = {"notebook": str, "name": str, "scale": str, "parameters": dict, "data": dict, "metrics": dict}
MORE = {"seed": [int, NoneType], "samples_seen": [int, float, NoneType], "seconds": [int, float, NoneType],
        "git": [str, NoneType], "machine": [dict], "labels": [list, NoneType], "baselines": [dict],
        "paper": [dict, NoneType]}  # what not every record has
SIMPLE = [str, int, float, bool, NoneType]
ANSWERS = {"hits": [int, float, bool], "targets": [int], "groups": [int]}
WORDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number", float: "a number",
         bool: "true or false", NoneType: "null"}


def check(record: object, version: int) -> None:
    """ValueError names the first field that no record of this version has like this. Of a record of another version,
    which is left out, only the version is looked at."""
    for name, value, kinds in _relied_on(record, version):
        if type(value) not in kinds:
            raise ValueError(f"{name} is {short(value)}, it must be {' or '.join(WORDS[kind] for kind in kinds)}")


def _relied_on(record: object, version: int) -> Iterator[tuple[str, object, Sequence[type]]]:
    """Name, value and kinds of each field; what lies inside another comes after it."""
    yield "all of it", record, [dict]
    yield "version", record.get("version"), [int]
    if record["version"] != version:
        return
    yield from ((name, record.get(name), [kind]) for name, kind in NEEDED.items())
    yield from ((name, record[name], kinds) for name, kinds in MORE.items() if name in record)
    yield from ((f"parameters.{name}", value, SIMPLE) for name, value in record["parameters"].items())
    for pool, about in record["data"].items():
        yield f"data.{pool}", about, [dict]
        yield from ((f"data.{pool}.{name}", about.get(name), [str]) for name in ("name", "hash"))
        yield f"data.{pool}.fold", about.get("fold", 0), [int]
    places = {"answers": record["metrics"], **{f"answers_{name}": scores for where in ("baselines", "metrics")
                                               for name, scores in record.get(where, {}).items()}}
    counts = {}  # all answers about a split are about the same recordings
    for name in [name for name in record if name.startswith("answers")]:
        yield f"the scores of {name}", places.get(name, {}), [dict]
        yield name, record[name], [dict]
        for split, part in record[name].items():
            yield f"the scores of {name}.{split}", places.get(name, {}).get(split, {}), [dict]
            yield f"{name}.{split}", part, [dict]
            for key in ANSWERS if name == "answers" else ["hits"]:
                yield f"{name}.{split}.{key}", part.get(key), [list]
            for key, values in part.items():
                yield f"{name}.{split}.{key}", values, [list]
                kinds = ANSWERS.get(key, SIMPLE)
                yield f"a value of {name}.{split}.{key}", next((v for v in values if type(v) not in kinds), 0), kinds
                if len(values) != counts.setdefault(split, len(values)):
                    raise ValueError(f"{name}.{split}.{key} holds {len(values)} values, not {counts[split]} as others")
