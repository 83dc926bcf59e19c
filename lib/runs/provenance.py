"""Where a record's numbers come from: the commit, the machine, the precision and the versions."""
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from lib import paths

__all__ = ["commit", "computed_with", "publishable"]

PACKAGES = ("torch", "torchaudio", "timm", "accelerate", "numpy")  # torchaudio need not be there
CODE = ("lib", ":(glob)notebooks/*.py", "requirements.txt")  # what a record's numbers come from


def commit() -> str | None:
    """The commit this ran from, with -dirty if code differs from it; None outside a repository or without git.

    Code is CODE: that a sweep writes records and notebooks keep their outputs does not make a tree dirty."""
    try:
        head, changed = (subprocess.run(["git", "--no-optional-locks", *words], cwd=paths.ROOT, capture_output=True,
                                        text=True, timeout=10)
                         for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", *CODE]))
    except (OSError, subprocess.TimeoutExpired):
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")


def computed_with() -> dict[str, object]:
    """What a run was computed with: the processor, the GPU if there is one, precision, threads and versions."""
    import torch  # here, so that the launcher starts at once

    from lib import training

    acc = training.accelerator()
    versions = {name: metadata.version(name) if find_spec(name) else None for name in PACKAGES}
    precision = "float32" if acc.mixed_precision == "no" else acc.mixed_precision
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"device": str(acc.device), "machine": {"processor": _processor(), "gpu": gpu, "precision": precision},
            "threads": torch.get_num_threads(), "versions": {"python": platform.python_version(), **versions}}


def _processor() -> str:
    """The model of the processor, as Linux names it, or what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"(?m)^model name\s*:\s*(.+)$", cpuinfo.read_text()) if cpuinfo.exists() else None
    return model[1] if model else platform.processor() or platform.machine()


def publishable(record: Mapping) -> bool:
    """Whether the README may show a record: not one that was made from code with uncommitted changes.

    Records that do not name their machine are older than this rule: they stay in until they are made again."""
    return "machine" not in record or not str(record["git"]).endswith("-dirty")
