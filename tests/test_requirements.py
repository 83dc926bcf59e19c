"""requirements.lock: versions that meet every requirement, one each on every system and Python."""
import re

import pytest
from packaging.requirements import Requirement

from lib import paths

SYSTEMS = {"linux": ("Linux", "posix", "x86_64"), "win32": ("Windows", "nt", "AMD64"),
           "darwin": ("Darwin", "posix", "arm64")}


def lines(name):
    """The lines of a list of requirements without comments."""
    text = (paths.ROOT / name).read_text(encoding="utf-8")
    return [line for line in (line.partition("#")[0].strip() for line in text.splitlines()) if line]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_meets_every_requirement_with_one_version_each(system, python):
    platform, os_name, machine = SYSTEMS[system]
    there = {"python_version": python, "python_full_version": f"{python}.7", "sys_platform": system, "os_name": os_name,
             "platform_system": platform, "platform_machine": machine}
    every = [one for one in map(Requirement, lines("requirements.lock"))
             if not one.marker or one.marker.evaluate(there)]
    locked = {one.name.lower().replace("_", "-"): str(one.specifier).removeprefix("==") for one in every}
    assert len(locked) == len(every) and all(re.fullmatch(r"[\w.]+", version) for version in locked.values())
    asked = [Requirement(line) for name in ("requirements.txt", ".ci/parity.txt") for line in lines(name)
             if not line.startswith("-")]
    unmet = [str(one) for one in asked
             if not one.specifier.contains(locked.get(one.name.lower().replace("_", "-"), "0"), prereleases=True)]
    assert unmet == []


def test_the_lock_says_how_it_is_made_and_names_no_folder_or_index_of_a_machine():
    text = (paths.ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "uv pip compile requirements.txt .ci/parity.txt --universal" in text.partition("\n\n")[0]
    assert not re.search(r"(?m)^-|://| @ |/tmp|/home", text)
