"""What a newcomer reads first: links that lead somewhere, every notebook in the table, one version, licences that are
named."""
import re
import tomllib

import pytest
import yaml

from lib import paths
from lib.course import build

TEXTS = {name: (paths.ROOT / name).read_text(encoding="utf-8")
         for name in ("README.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "notebooks/TEACHING.md",
                      "papermill_runs/README.md")}


@pytest.mark.parametrize("name", [name for name in TEXTS if name.endswith(".md")])
def test_links_and_pictures_are_there(name):
    links = re.findall(r"\]\((?!https?://)([^)#]+)", TEXTS[name])
    folder = (paths.ROOT / name).parent
    assert links and not [link for link in links if not (folder / link).exists()]


@pytest.mark.parametrize("name", [name for name in TEXTS if name.endswith(".md")])
def test_places_linked_to_are_headings(name):
    folder = (paths.ROOT / name).parent
    for link, place in re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", TEXTS[name]):
        text = (folder / link if link else paths.ROOT / name).read_text(encoding="utf-8")
        heads = re.findall(r"^#+ (.+)$", text, re.M)
        assert place in [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads], f"{link}#{place}"


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= 150 and len(TEXTS["README.md"].encode()) <= 14_000


def test_every_notebook_has_a_row():
    table = TEXTS["README.md"].partition("## Notebooks")[2].partition("\n## ")[0]
    assert re.findall(r"\]\(notebooks/(\w+)\.ipynb\)", table) == sorted(py.stem for py in build.FOLDER.glob("*.py"))


def test_no_number_is_left_to_be_measured():
    assert "TO MEASURE" not in TEXTS["README.md"]


def test_the_two_commands_stand_alone():
    blocks = re.findall(r"```bash\n(python3 -m venv[^\n]*)\n```", TEXTS["README.md"])
    assert len(blocks) == 2 and "papermill notebooks/05_mix_ratio.ipynb" in blocks[0]
    assert blocks[1].endswith("&& pytest")


def test_citation_and_licence_agree_with_the_project():
    citation = yaml.safe_load(TEXTS["CITATION.cff"])
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (citation["cff-version"], citation["version"]) == ("1.2.0", project["version"])
    assert TEXTS["README.md"].startswith(f"# {citation['title']}\n")
    assert set(citation["license"]) == {"MIT", "CC-BY-4.0"} and "MIT License" in TEXTS["LICENSE"]
    assert "/licenses/by/4.0/" in TEXTS["LICENSE"]
