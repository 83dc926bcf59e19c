"""What the tests share: the golden outputs of the public implementations, where `../shared` lies beside the project."""

import json
import os
import shutil

import pytest
import torch
from hypothesis import settings
from safetensors.torch import load_file

from lib import paths

SHARED = paths.ROOT.parent / "shared"

# properties: a hundred examples in the suite, always the same; pytest --hypothesis-profile=many FILE for thousands
settings.register_profile("suite", max_examples=100, deadline=None, derandomize=True, database=None)
settings.register_profile("many", max_examples=5000, deadline=None)
settings.load_profile("suite")


@pytest.fixture
def golden():
    """golden(name) -> (tensors as float32, card): skips only when the folder is absent."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("../shared/golden is not there")

    def load(name: str) -> tuple[dict[str, torch.Tensor], dict]:
        path = SHARED / "golden" / name
        tensors = load_file(path.with_suffix(".safetensors"))
        tensors = {k: v.float() / 32768 if v.dtype == torch.int16 else v.float() if v.is_floating_point() else v for k,
                   v in tensors.items()}
        return tensors, json.loads(path.with_suffix(".json").read_text())

    return load


@pytest.fixture
def torchaudio():
    """The reference for filters and resampling; lib does without, because there is none for a torch above 2.11."""
    return pytest.importorskip("torchaudio", reason="torchaudio is not installed: pip install -r .ci/parity.txt")


@pytest.fixture
def golden_keys() -> dict:
    """Names and shapes of the published full-size checkpoints: skips only when the folder is absent."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("../shared/golden is not there")
    return json.loads((SHARED / "golden" / "KEYS.json").read_text())


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium for playwright; its tests are skipped by name only where STUDY_NO_BROWSER says so."""
    if os.environ.get("STUDY_NO_BROWSER"):
        pytest.skip("STUDY_NO_BROWSER is set: nothing was tried in a browser")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.fail("no chromium: apt-get install chromium (or set STUDY_NO_BROWSER=1 to leave this test out)",
                    pytrace=False)
    return found
