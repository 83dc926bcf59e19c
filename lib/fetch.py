"""Fetching a published file: once, with a bar, going on where a killed run stopped, and checked by its sha256."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, HTTPError
from huggingface_hub.file_download import http_get

__all__ = ["FAILURES", "hub", "url", "sha256"]

FAILURES = (OSError, HTTPError)  # what a fetch raises: the second is whatever the client of the hub raises, also without an answer


def hub(repository: str, names: Sequence[str], folder: Path) -> Path:
    """The first of these files that a repository of the Hugging Face hub has, as folder/COMMIT/NAME. Raises one of FAILURES."""
    for name in names:
        try:  # a mirror is read at the call, so that it can be set in a notebook
            about = get_hf_file_metadata(hf_hub_url(repository, name, endpoint=os.environ.get("HF_ENDPOINT", "").rstrip("/") or None))
        except EntryNotFoundError:
            if name == names[-1]:
                raise
            continue
        known = about.etag if len(about.etag or "") == 64 else ""  # a large file's etag is its sha256
        return url(about.location, folder / (about.commit_hash or "main") / name, about.size, known)
    raise ValueError(f"no name of a file in {repository} was given")


def url(place: str, path: Path, size: int | None = None, digest: str = "") -> Path:
    """Fetch a URL to `path`, whole or not at all; what a killed run left in NAME.part goes on (hf_hub_download would begin anew).

    Two runs do not mix: the second waits and finds the file. digest: the sha256 it must have. Raises one of FAILURES.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{part}.lock"):
        if path.exists():  # another run was faster
            return path
        with open(part, "ab") as opened:
            http_get(place, opened, resume_size=opened.tell(), expected_size=size, displayed_filename=path.name)
        if digest and sha256(part) != digest:
            part.unlink()
            raise OSError("the file arrived with another sha256 than announced and was removed; try again")
        os.replace(part, path)
    return path


def sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
