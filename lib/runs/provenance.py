"""Where a record's numbers come from: the commit, the machine, the precision and the versions."""
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata

from lib import paths

__all__ = ["commit", "computed_with", "publishable"]

PACKAGES = ("torch", "timm", "accelerate", "numpy")
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

    from lib import hardware

    acc = hardware.accelerator()
    versions = {name: metadata.version(name) for name in PACKAGES}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    machine = {"processor": paths.processor(), "gpu": gpu, "precision": hardware.precision()}
    return {"device": str(acc.device), "machine": machine, "threads": torch.get_num_threads(),
            "versions": {"python": platform.python_version(), **versions}}


def publishable(record: Mapping) -> bool:
    """Whether the README may show a record: not one that was made from code with uncommitted changes.

    Records that do not name their machine are older than this rule: they stay in until they are made again."""
    return "machine" not in record or not str(record.get("git")).endswith("-dirty")
