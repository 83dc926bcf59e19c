"""Where things are, files that are whole or absent, the key of a result, and how a command line is read."""
import codecs
import errno
import hashlib
import inspect
import json
import math
import os
import platform
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from lib import progress

__all__ = ["ROOT", "cache", "resolve", "explained", "atomic", "write_text", "read_text", "write_json", "read_json",
           "lock", "locked", "sweep", "line", "plain", "key", "sha256", "digest", "processor", "processors",
           "processes", "main_process", "pairs", "nearest", "command"]

ROOT = Path(__file__).resolve().parent.parent  # the folder that holds lib/, notebooks/ and papermill_runs/
BLOCK = 1 << 20  # bytes hashed at a time
NAME = 255  # bytes that the name of a file may have
GIVEN = re.compile(r"[A-Za-z_]\w*=")  # how a name=value begins
LEFT = re.compile(r"\..*\.[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)  # the names that `atomic` gives
FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or what a user may have of it
LATER = {"later": True}  # metadata of a dataclass's field that came when results were kept already, see `plain`
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
ADVICE = {**dict.fromkeys(FULL, "make room, and the same command goes on"),
          **dict.fromkeys(CLOSED, "take a folder that you can write to" if os.name == "posix" else
                          "close the program that has it open (as a spreadsheet), or take another folder"),
          errno.EISDIR: "a folder has that name, move it away", errno.EEXIST: "a file has that name, move it away",
          errno.ENOTDIR: "a file has the name of a folder, move it away", errno.ENAMETOOLONG: "take a shorter name"}


def cache(*parts: str) -> Path:
    """A folder for what can be made again (made if missing). The environment variable STUDY_CACHE moves it.

    OSError where it cannot be made, or where there is no home folder: a new folder each time would never be found
    again, and one that is found again in a folder of all users could be another's."""
    folder = _cache().joinpath(*parts)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _cache() -> Path:
    if chosen := os.environ.get("STUDY_CACHE"):
        return resolve(chosen)
    home = Path(os.path.expanduser("~"))
    with suppress(RuntimeError):  # platformdirs raises it where there is no home, or gives a folder named ~
        base = user_cache_path("bioacoustic-mae")
        if base.is_absolute() and (home not in base.parents or home.is_dir()):
            return base
    raise OSError(f"there is no home folder for the cache (it would be {home}): set STUDY_CACHE to a folder that you "
                  "can write to")


def resolve(path: str | Path) -> Path:
    """A path as a person wrote it, made absolute: `~` is expanded, a relative path starts at the repository root.

    `~NAME` is the home of a user of that name, or a plain name where there is none. ValueError for `~` without one."""
    path = Path(path)
    try:
        path = path.expanduser()
    except RuntimeError:
        if path.parts[0] == "~":
            raise ValueError(f"{path}: there is no home folder, write the whole path") from None
    return path if path.is_absolute() else ROOT / path


# ------------------------------------------------------------------------------------------------------ files and locks

@contextmanager
def explained(*places: Path) -> Iterator[None]:
    """Within, the system's refusal to write one of these files or folders is a line that says what to do.

    It stays an OSError of its kind, with its errno; other errors pass as they are."""
    try:
        yield
    except OSError as error:
        advice, named = ADVICE.get(error.errno), isinstance(error.filename, (str, bytes))
        file = Path(os.fsdecode(error.filename)) if named else places[0]
        near = any(file == place or file in place.parents or place in file.parents for place in places)
        if not advice or not error.strerror or not near:  # without the system's words it is told already
            raise
        file = places[0] if file in places else file
        with suppress(OSError, ValueError):  # without a cache it lies elsewhere
            if error.errno in FULL + CLOSED and (_cache() == file or _cache() in file.parents
                                                 or file in _cache().parents):
                advice = "make room, or " * (error.errno in FULL) + "set STUDY_CACHE to a folder that you can write to"
        told = type(error)(f"{file} cannot be written ({error.strerror}): {advice}")
        told.errno = error.errno
        raise told from None


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; at success it replaces `path`, at any error it is removed.

    The temporary name keeps the suffix, because soundfile and matplotlib choose the format by it, and is a new one each
    time, because two runs may write the same figure at once. Who may read and write the file is what the umask says:
    safetensors makes files for their owner alone. OSError says what to do where `path` cannot be written."""
    path = Path(path)
    suffix = path.suffix if len(os.fsencode(path.suffix)) < NAME // 2 else ""  # so long it is no format
    end = f".{secrets.token_hex(4)}{suffix}"
    stem = os.fsencode(path.stem)[: NAME - 1 - len(os.fsencode(end))].decode("utf-8", "ignore")
    temporary = path.with_name(f".{stem}{end}")
    with explained(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            if temporary.stat().st_mode != mode:
                temporary.chmod(mode)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Writes a complete UTF-8 file with Unix line ends, or nothing. What UTF-8 cannot hold (of a file's name that was
    none) is written with a backslash."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return Path(path)


def read_text(path: str | Path) -> str:
    """The text of a file that somebody's program wrote: UTF-8 or, with its mark, UTF-16; else cp1252, as older Windows
    programs write. Line ends stay as they are; ValueError where it is none of these."""
    content = Path(path).read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError(f"{Path(path).name}: is text neither in UTF-8 nor in {'whole UTF-16' if marked else 'cp1252'}: "
                     "save it as UTF-8")


def write_json(path: str | Path, value: object) -> Path:
    """Writes strict JSON: NaN and Infinity are refused (`plain` turns them into null and the string "inf")."""
    try:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: not strict JSON ({error}); replace NaN by null and infinity by \"inf\"") from error
    return write_text(path, text + "\n")


def read_json(file: str | Path) -> object:
    """What a JSON file from outside holds; ValueError is one line that names it, where it cannot be read or is not
    strict JSON: NaN and Infinity are refused, and a name that stands twice in one object."""
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{path.name} is no file in {path.parent}")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_refused, object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        reason = "its letters are not UTF-8" if isinstance(error, UnicodeError) else getattr(error, "strerror", error)
        raise ValueError(f"{path} is not JSON: {reason}") from None


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON: use null or \"inf\"")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(found := dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in found if names.count(name) > 1)!r} stands twice in one object")
    return found


@contextmanager
def lock(file: Path, busy: str = "") -> Iterator[None]:
    """One run at a time holds the lock of this file (made if missing): a second waits, or gets a ValueError with the
    words of `busy`. A kill leaves no lock, whatever lies there."""
    held = FileLock(file, timeout=0 if busy else -1)
    try:
        with explained(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            held.acquire()
    except Timeout:
        raise ValueError(busy) from None
    try:
        yield
    finally:
        held.release()


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """A folder (made if missing) that one run at a time works in; a second waits. What a kill left half-made goes."""
    with lock(folder / ".lock"):
        sweep(folder.glob(".*"))
        yield folder


def sweep(files: Iterable[Path]) -> None:
    """Removes those of these files that have a temporary name of `atomic`: for the run that is alone with them."""
    for file in files:
        if LEFT.fullmatch(file.name):
            file.unlink(missing_ok=True)


def line(text: str) -> str:
    """A text as one line that any terminal and file can hold: what does not print in it (names of files may hold it) is
    written as \\n, \\x07 or, of a name that is no UTF-8, \\udce9."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# --------------------------------------------------------------------------------------------------------------- hashes

def plain(value: object) -> object:
    """Numpy and torch values, dataclasses and NamedTuples as JSON: infinity is the string "inf", NaN is null.

    A field that is `LATER` is left out at its default, so that what was named before it came keeps its name."""
    if is_dataclass(value) and not isinstance(value, type):
        said = {f: getattr(value, f.name) for f in fields(value)}
        return plain({f.name: x for f, x in said.items() if f.metadata != LATER or x != f.default})
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(plain(name)): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)  # ratio=7 and ratio=7.0 are one run
    return value  # what JSON does not know is refused when it is written


def key(*parts: object) -> str:
    """16 hex digits that change when any of the parts does: the name under which a result is kept.

    A part is what `plain` takes, a pandas table (all its columns count, its index does not), a torch module (all its
    weights) or a tensor or array (all its numbers)."""
    known = hashlib.sha256()
    for part in parts:
        for block in _blocks(part):
            known.update(f"{len(block)}:".encode() + block)
    return known.hexdigest()[:16]


def stamps(files: Iterable[str | Path]) -> list[tuple[int, int] | None]:
    """The size and the time of change (ns) of each file as it is now, None for a missing one: part of the `key` of what
    is kept of its sound, since a recording may be replaced by another of its name and length."""
    known = {}
    for file in set(files):
        with suppress(OSError):
            about = os.stat(file)
            known[file] = about.st_size, about.st_mtime_ns
    return [known.get(file) for file in files]


def _blocks(part: object) -> Iterator[bytes]:
    if hasattr(part, "columns"):
        from pandas.util import hash_pandas_object  # here, so that the launcher starts at once

        yield repr(list(part.columns)).encode()
        yield hash_pandas_object(part.astype(str), index=False).to_numpy().tobytes()
    elif hasattr(part, "state_dict"):
        for name, weights in sorted(part.state_dict().items()):
            yield name.encode()
            yield from _blocks(weights)
    elif hasattr(part, "detach"):
        yield from _blocks(part.detach().cpu().float().contiguous().numpy())
    elif hasattr(part, "tobytes"):
        yield f"{part.dtype} {part.shape}".encode()
        yield part.tobytes()
    else:
        yield json.dumps(plain(part), allow_nan=False).encode()


def sha256(file: Path) -> str:
    """The sha256 of a file, 64 hex digits."""
    return digest(file, "sha256")


def digest(file: Path, kind: str) -> str:
    """The hash of a file by hashlib's name of its kind, with a bar where it takes long."""
    with open(file, "rb") as opened:
        total = os.fstat(opened.fileno()).st_size
        with progress.wrapped(opened, "read", total=total, desc=f"{kind} of {file.name}", leave=False,
                              disable=total < 100 * BLOCK) as read:
            found = hashlib.new(kind)
            while block := read.read(BLOCK):
                found.update(block)
    return found.hexdigest()


# ------------------------------------------------------------------------------------------ processes and command lines

def processor() -> str:
    """The model of the processor, as Linux names it, or what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"(?m)^model name\s*:\s*(.+)$", cpuinfo.read_text()) if cpuinfo.exists() else None
    return model[1] if model else platform.processor() or platform.machine()


def processors() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes() -> int:
    """How many processes share this run, over all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def main_process() -> bool:
    """Whether this process is the one that prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def pairs(words: Sequence[str]) -> dict[str, str]:
    """The name=value words of a command line; ValueError names one that is none."""
    if wrong := [word for word in words if not GIVEN.match(word)]:
        raise ValueError(f"got {wrong[0]!r}: it must be name=value, without blanks around the =")
    found = [tuple(word.split("=", 1)) for word in words]
    names = [name for name, _ in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is given twice: once is enough")
    return dict(found)


def nearest(name: str, names: Sequence[str]) -> str:
    """", did you mean X?" for the most similar of the names, or nothing where none is."""
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f", did you mean {near[0]}?" if near else ""


def command(function: Callable[..., int | None], words: Sequence[str], about: str,
            stopped: str = "the same command goes on") -> int:
    """Calls a function by the words of a command line and gives the exit status: 0, what it returns, 2 for a mistake.

    Words are its positional arguments up to the first name=value (a path may hold a = too), which are its others, read
    as the type of the parameter's default (bool, int, float, else text); a function with **more takes any name, as
    text. Without a word that it needs, or for "help", `about` is printed from its second paragraph on. A ValueError or
    OSError is one line; Ctrl-C gives 130, and says by `stopped` what becomes of the work. What the terminal cannot show
    is printed with a backslash."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # those of a notebook have no encoding
            stream.reconfigure(errors="backslashreplace")
    signature = inspect.signature(function)
    places = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in places if p.default is p.empty]
    many = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    most = len(words) if many else len(places)
    first = next((n for n, word in enumerate(words) if GIVEN.match(word) or n == most), len(words))
    if {"help", "-h", "--help"} & set(words[:1]) or first < len(needed):
        print(about.partition("\n\n")[2])
        return 0 if words and words[0] in ("help", "-h", "--help") else 2
    try:
        given = {name: _typed(signature, name, text) for name, text in pairs(words[first:]).items()}
        return function(*words[:first], **given) or 0
    except (ValueError, OSError) as error:
        print(line(str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; {stopped}", file=sys.stderr)
        return 130


def _typed(signature: inspect.Signature, name: str, text: str) -> object:
    """A word's value as the type of the default of the parameter of that name; ValueError names what does not fit."""
    known = {key: p for key, p in signature.parameters.items() if p.kind is not p.POSITIONAL_ONLY}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
    if name not in known and open_ended:
        return text
    if name not in known:
        raise ValueError(f"there is no {name!r}{nearest(name, list(known))}; there are {', '.join(known)}")
    kind, wanted = type(known[name].default), "a number"
    try:
        if kind is bool:
            wanted = "true or false"
            return {"true": True, "false": False}[text.lower()]
        if kind is int:
            wanted = "a whole number"
        return kind(text) if kind in (int, float) else text
    except (ValueError, KeyError):
        raise ValueError(f"{name}={text}: use {wanted}") from None
