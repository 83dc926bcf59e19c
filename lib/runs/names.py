"""Names of runs and of their files: what a person reads of a run, short enough and without what a disk refuses."""
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lib import paths

__all__ = ["POOLS", "base", "name_of", "safe"]

POOLS = ("wildlife", "general")  # the parameters that name data
MOST = 200  # bytes of a name: file systems take 255, and a suffix and the name while writing are to fit too
REFUSED = '<>:"|?*\\/'  # by Windows or everywhere


def safe(name: str, most: int = MOST) -> str:
    """A name as part of a file's name on any system: letters that one refuses are replaced, and it is at most `most`
    bytes long. What was changed by more than / and : ends in eight digits, so that no two become one."""
    kept = "".join("_" if c in REFUSED or not c.isprintable() else c for c in name)
    kept = re.sub(r"^(\.+|$)", "_", kept)
    if kept == re.sub("[/:]", "_", name) and len(kept.encode()) <= most:
        return kept
    digits = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept.encode()[:most - 9].decode(errors='ignore')}-{digits}"


def base(source: str) -> str:
    """The part of a data name that is no place on a disk, at most 150 bytes.

    `chorus:empty=0.6` -> `chorus_empty_0.6`, `folder:~/sounds/frogs/` -> `frogs`, and with `?fold=2` `frogs_fold_2`."""
    source, asked, fold = str(source).partition("?fold=")
    kind, _, place = source.partition(":")
    name = source
    if place and kind != "chorus":
        path = Path(place.rstrip("/\\").replace("\\", "/"))
        if path.name == "metadata.csv":
            path = path.parent
        elif path.suffix == ".csv":
            path = path.with_suffix("")
        name = path.name or kind
    return safe(re.sub(r"[^\w.-]+", "_", name), 150) + (f"_fold_{safe(fold, 20)}" if asked else "")


def name_of(notebook: str, values: Mapping[str, object], defaults: Mapping[str, object], data: Mapping[str, Mapping],
            grid: Sequence[str]) -> str:
    """A record's name: what the notebook varies, seed, scale and data; then what differs from its default."""
    first = (*grid, "seed", "scale")
    named = {k: values[k] for k in first if k in values}
    if data:
        named["data"] = "+".join(dict.fromkeys(str(pool["name"]) for pool in data.values()))
    named |= {k: v for k, v in values.items()
              if k not in (*first, *(pool for pool in POOLS if pool in data)) and v != paths.plain(defaults.get(k))}
    return safe(",".join(f"{k}={v}" for k, v in named.items()) or notebook)
