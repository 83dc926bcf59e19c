"""Notebooks opened where nothing is installed: the badges that lead there, the set-up cell, and what it asks for.

    python -m lib.course.build dress        writes the set-up cell and the badges into every notebooks/*.py

Only the standard library and `packaging` are imported here: in Colab this runs before anything is installed."""
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["URL", "CELL", "badges", "dress", "missing", "prepare"]

URL = ""  # the public address, https://github.com/OWNER/NAME; while it is empty there are no badges, no clone
ROOT = Path(__file__).resolve().parents[2]
LATER = "# Not needed inside a running notebook"  # below this line of requirements.txt a notebook installs nothing
TORCH = ("torch", "torchaudio", "torchvision")  # a working set is never replaced: Colab's fits its GPU driver
DRIVE = "/content/drive"

CELL = '''# %% cellView="form" jupyter={"source_hidden": true}
# @title Set-up: run it once. Where the study is installed it does nothing.
import os
import subprocess
import sys
from pathlib import Path

KEEP_ON_DRIVE = False  # in Colab: True keeps recordings and trained models on your Google Drive
REPOSITORY = os.environ.get("STUDY_REPOSITORY", "URL")

try:
    from lib.course import colab
except ImportError:  # this notebook came without its repository, as in Colab
    near = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "bioacoustic-mae"]
    root = next((folder for folder in near if (folder / "lib/course/colab.py").is_file()), None)
    if root is None and not REPOSITORY:
        raise ModuleNotFoundError("no lib here: open this notebook inside its repository, "
                                  "or set STUDY_REPOSITORY to its address") from None
    if root is None:
        root = near[-1]
        subprocess.run(["git", "clone", "-q", "--depth", "1", REPOSITORY, str(root)], check=True)
    os.chdir(root)
    sys.path.insert(0, str(root))  # not an editable install: a running kernel would not see it
    sys.modules.pop("lib", None)  # another folder of that name
    from lib.course import colab

colab.prepare(KEEP_ON_DRIVE)

'''


# What every notebook begins with --------------------------------------------------------------------------------------

def badges(name: str, url: str = "") -> str:
    """Colab's and Binder's badge for notebooks/NAME.ipynb, as Markdown; nothing for an empty address."""
    if not url:
        return ""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", url)
    if not found:
        raise ValueError(f"{url}: badges need https://github.com/OWNER/NAME, which Colab and Binder can open")
    colab = f"https://colab.research.google.com/github/{found[1]}/blob/main/notebooks/{name}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{found[1]}/main?urlpath=lab/tree/notebooks/{name}.ipynb"
    return (f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}) "
            f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})")


def dress(text: str, name: str, url: str | None = None) -> str:
    """The text of notebooks/NAME.py with badges below its title and the set-up cell as its first code cell.

    A jupytext header goes: JupyterLab saves none (notebooks/jupytext.toml). Dressed text stays as it is."""
    url = URL if url is None else url
    cells = re.split(r"(?m)^(?=# %%)", re.sub(r"\A# ---\n(?:#.*\n)+?# ---\n+", "", text))
    title = next((i for i, cell in enumerate(cells) if re.match(r"# %% \[markdown\]\n# # .+\n", cell)), None)
    code = [i for i, cell in enumerate(cells) if re.match(r"# %%(?! \[(?:markdown|raw)\])", cell)]
    if title is None or not code:
        raise ValueError(f"{name}: needs a title cell, which begins with `# # `, and a code cell")
    bare = re.sub(r"(?m)^#\n# \[!\[Open in Colab\].*\n", "", cells[title])
    head, line, rest = bare.split("\n", 2)
    cells[title] = "\n".join([head, line, *(["#", f"# {badges(name, url)}"] if url else []), rest])
    if "# @title Set-up" in cells[code[0]]:
        del cells[code[0]]
    cells.insert(code[0], CELL.replace('"URL"', f'"{url}"'))
    return "".join(cells)


# What the set-up cell asks for ----------------------------------------------------------------------------------------

def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing(text: str, version=_version) -> list[str]:
    """The requirements (lines of requirements.txt up to LATER) that `version(name)`, None where absent, does not meet.

    A torch that is there is kept whatever its version."""
    lines = [line.partition("#")[0].strip() for line in text.partition(LATER)[0].splitlines()]
    wanted = [(one, version(one.name)) for one in [Requirement(line) for line in lines if line]]
    return [str(one) for one, have in wanted
            if not have or one.name != "torch" and not one.specifier.contains(have, prereleases=True)]


def _install(absent: list[str]) -> None:
    """pip, told to leave torch and its relatives as they are, except for one that is asked for."""
    asked = {Requirement(line).name for line in absent}
    kept = [f"{name}=={_version(name)}" for name in TORCH if _version(name) and name not in asked]
    print(f"installing {', '.join(absent)}" + (f"; {', '.join(kept)} stay" if kept else ""))
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8", newline="\n")
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                               "--constraint", str(constraints), *absent], capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise RuntimeError(f"pip could not install {', '.join(absent)}: {why}")
    importlib.invalidate_caches()


def prepare(keep_on_drive: bool = False) -> None:
    """Nothing where the study is installed. Elsewhere installs what is missing; in Colab also switches its widgets on,
    names the device, and on request keeps the cache on Google Drive (Colab asks for permission)."""
    colab = "google.colab" in sys.modules
    if _version("bioacoustic-mae") and not colab:
        return
    absent = missing((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    if absent:
        _install(absent)
    if not colab:
        return
    from google.colab import output

    output.enable_custom_widget_manager()
    if keep_on_drive:
        from google.colab import drive

        drive.mount(DRIVE)
        os.environ["STUDY_CACHE"] = f"{DRIVE}/MyDrive/bioacoustic-mae"
    import torch

    device = "no GPU (enough for `tiny`; Runtime > Change runtime type lends one)"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    cache = "on your Drive" if keep_on_drive else "lost with this session"
    print(f"torch {torch.__version__}, {device}; the cache is {cache}")
