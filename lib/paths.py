"""Where things are: the repository root, the user's cache, and how a file is written so that it is whole or absent."""
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

__all__ = ["ROOT", "cache", "resolve", "atomic", "write_text", "write_json"]

ROOT = Path(__file__).resolve().parent.parent  # the folder that holds lib/, notebooks/ and papermill_runs/


def cache(*parts: str) -> Path:
    """A folder for what can be made again (made if missing). The environment variable STUDY_CACHE moves it."""
    chosen = os.environ.get("STUDY_CACHE")
    base = resolve(chosen) if chosen else user_cache_path("bioacoustic-mae")
    folder = base.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def resolve(path: str | Path) -> Path:
    """A path as a person wrote it, made absolute: `~` is expanded, a relative path starts at the repository root."""
    path = Path(path).expanduser()
    return path if path.is_absolute() else ROOT / path


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; at success it replaces `path`, at any error it is removed.

    The temporary name keeps the suffix, because soundfile and matplotlib choose the format by it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Writes a complete UTF-8 file with Unix line ends, or nothing."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def write_json(path: str | Path, value: object, indent: int | None = 1) -> Path:
    """Writes strict JSON: NaN and Infinity are refused (a record stores infinity as the string "inf")."""
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: not strict JSON ({error}); replace NaN by null and infinity by \"inf\"") from error
    return write_text(path, text + "\n")
