"""colab: the same set-up cell in every notebook, badges only with an address, and a notebook that comes without its
repository."""
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig

import pytest

from lib import paths
from lib.course import build, colab

TOY = "# %% [markdown]\n# # 09 · A toy\n#\n# Text.\n\n# %%\nx = 1\n"
ADDRESS = "https://github.com/owner/name"


# ------------------------------------------------------------------------------------------------- badges and the cell

@pytest.mark.parametrize("py", sorted(build.FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_every_notebook_is_dressed(py):
    text = py.read_text(encoding="utf-8")
    assert colab.dress(text, py.stem) == text, "run: python -m lib.course.build dress"
    cells = [cell for cell in build.source(py).cells if cell.cell_type == "code"]
    assert cells[0].metadata.jupyter.source_hidden and cells[0].metadata.cellView == "form"
    assert not any("@title Set-up" in cell.source for cell in cells[1:])


def test_the_cell_is_short_and_comes_before_the_imports():
    dressed = colab.dress(TOY, "09_toy", "")
    assert dressed.index("@title Set-up") < dressed.index("x = 1")
    assert len(colab.CELL.splitlines()) <= build.LONGEST


@pytest.mark.parametrize("url", ["", ADDRESS])
def test_dressed_twice_is_dressed_once_and_an_address_can_change(url):
    once = colab.dress(TOY, "09_toy", url)
    assert colab.dress(once, "09_toy", url) == once
    assert colab.dress(colab.dress(once, "09_toy", "https://github.com/x/y"), "09_toy", url) == once
    assert f'"STUDY_REPOSITORY", "{url}"' in once


def test_badges_only_with_an_address():
    assert colab.badges("09_toy", "") == "" and "[![" not in colab.dress(TOY, "09_toy", "")
    dressed = colab.dress(TOY, "09_toy", ADDRESS)
    title, line = dressed.splitlines()[1], dressed.splitlines()[3]
    assert title == "# # 09 · A toy" and line == f"# {colab.badges('09_toy', ADDRESS)}"
    assert "https://colab.research.google.com/github/owner/name/blob/main/notebooks/09_toy.ipynb" in line
    assert "https://mybinder.org/v2/gh/owner/name/main?urlpath=lab/tree/notebooks/09_toy.ipynb" in line
    assert colab.badges("x", ADDRESS + ".git") == colab.badges("x", ADDRESS + "/") == colab.badges("x", ADDRESS)


def test_errors_say_what_is_needed():
    with pytest.raises(ValueError, match="badges need https://github.com/OWNER/NAME"):
        colab.badges("x", "https://example.org/x")
    with pytest.raises(ValueError, match="09_x: needs a title cell"):
        colab.dress("# %%\n1\n", "09_x")


def test_the_dress_command_rewrites_what_is_not_dressed(tmp_path, monkeypatch, capsys):
    (tmp_path / "09_toy.py").write_text(TOY)
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    assert build.main(["dress"]) == 0 and "09_toy.py: set-up cell" in capsys.readouterr().out
    assert (tmp_path / "09_toy.py").read_text() == colab.dress(TOY, "09_toy")
    assert build.main(["dress"]) == 0 and not capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------ what is missing

REQUIRED = ("# a comment\ntorch>=2.6\ntimm>=1.0.31,<2  # models\nnumpy>=1.26\n"
            f"{colab.LATER}\nipykernel>=6.29\n-e .\n")


@pytest.mark.parametrize("have, absent", [
    (dict(torch="2.9.0+cu126", timm="1.0.31", numpy="2.0.2"), []),
    (dict(torch="2.9.0+cu126", numpy="1.25"), ["timm<2,>=1.0.31", "numpy>=1.26"]),
    (dict(torch="2.15.0", timm="1.2", numpy="2.1"), []),
    (dict(torch="2.5.1", timm="1.2", numpy="2.1"), []),  # older than our range: kept
    (dict(timm="1.2", numpy="2.1"), ["torch>=2.6"]),
])
def test_missing_never_asks_for_a_torch_that_is_there(have, absent):
    assert colab.missing(REQUIRED, have.get) == absent


def test_the_lists_of_requirements_are_the_ones_that_are_read():
    text = (paths.ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert colab.missing(text, {}.get)
    assert not any(name in str(colab.missing(text, {}.get)) for name in ("ipykernel", "jupyterlab", "-e", "torchaudio"))
    assert "-r ../requirements.txt" in (paths.ROOT / ".binder" / "requirements.txt").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------ a notebook without its repository

PIP = """import json, sys
asked = [open(a).read() if a.endswith('.txt') else a for a in sys.argv[1:]]
open(sys.argv[0].replace('__main__.py', 'asked.json'), 'w').write(json.dumps(asked))
"""  # a pip that only writes down what it was asked for, its constraints included
GOOGLE = {"google/__init__.py": "", "google/colab/__init__.py": "",
          "google/colab/output.py": "def enable_custom_widget_manager(): print('widgets are on')\n",
          "google/colab/drive.py": "def mount(folder): print('mounted', folder)\n"}


@pytest.fixture
def elsewhere(tmp_path):
    """run(code, colab=True, **environment) -> what an interpreter prints that has the libraries but neither lib nor a
    repository near it."""
    origin, outside = tmp_path / "origin", tmp_path / "content"
    outside.mkdir()
    shutil.copytree(paths.ROOT / "lib", origin / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(paths.ROOT / "requirements.txt", origin)
    text = (origin / "requirements.txt").read_text(encoding="utf-8")
    (origin / "requirements.txt").write_text(text.replace(colab.LATER,
                                                          f"no-such-package-of-this-study>=3\n{colab.LATER}"),
                                                          encoding="utf-8")
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@example.org",
                                                    "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=origin, check=True, stdout=subprocess.DEVNULL)
    for name, code in {"pip/__init__.py": "", "pip/__main__.py": PIP, **GOOGLE}.items():
        (tmp_path / "fake" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fake" / name).write_text(code)

    def run(code, in_colab=True, **environment):
        search = os.pathsep.join([str(tmp_path / "fake"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        nothing = "import importlib.util\nassert importlib.util.find_spec('lib') is None\n"
        code = nothing + "import google.colab\n" * in_colab + code
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "STUDY"))}
        # -S: no editable install
        return subprocess.run([sys.executable, "-S", "-c", code], cwd=outside, capture_output=True,
                              text=True, timeout=300,
                              env={**clean, "PYTHONPATH": search, **environment})

    run.fake, run.origin, run.outside = tmp_path / "fake", origin.as_uri(), outside
    return run


def cell(url=""):
    return colab.CELL.partition("\n")[2].replace('"URL"', f'"{url}"')


def test_as_in_colab_the_cell_alone_is_enough(elsewhere):
    after = ("import os, sys\nfrom lib import mel\n"
             "print('cache', os.environ.get('STUDY_CACHE'), '| at', os.getcwd(), '|', mel.INAT.rate)\n")
    done = elsewhere(cell(elsewhere.origin).replace("KEEP_ON_DRIVE = False", "KEEP_ON_DRIVE = True") + after)
    assert done.returncode == 0, done.stderr
    root = elsewhere.outside / "bioacoustic-mae"
    assert "widgets are on\nmounted /content/drive\n" in done.stdout
    assert f"cache /content/drive/MyDrive/bioacoustic-mae | at {root} | 22050" in done.stdout
    asked = (elsewhere.fake / "pip" / "asked.json").read_text()
    assert asked.count("no-such-package-of-this-study") == 1 and "timm" not in asked
    # as constraints: they stay
    assert all(f"{name}=={importlib.metadata.version(name)}" in asked for name in ("torch", "torchvision"))
    assert "\ntorch 2." in done.stdout and "lost with this session" not in done.stdout
    again = elsewhere(cell() + after)  # a restarted session finds the clone, without an address
    assert (again.returncode == 0 and f"cache None | at {root} | 22050" in again.stdout
            and "lost with this session" in again.stdout)


def test_an_address_may_come_from_the_environment_and_no_address_says_what_to_do(elsewhere):
    failed = elsewhere(cell(), in_colab=False)
    assert failed.returncode == 1 and failed.stderr.strip().splitlines()[-1] == (
        "ModuleNotFoundError: no lib here: open this notebook inside its repository, or set STUDY_REPOSITORY to its "
        "address")
    done = elsewhere(cell() + "from lib import patches", in_colab=False, STUDY_REPOSITORY=elsewhere.origin)
    assert done.returncode == 0 and "google" not in done.stdout, done.stderr


def test_inside_a_checkout_nothing_is_cloned_and_where_the_study_is_installed_nothing_is_said(elsewhere):
    here = "import os\nos.chdir({!r})\n".format(str(build.FOLDER))
    done = elsewhere(here + cell() + "from lib import paths\nprint(paths.ROOT)", in_colab=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(paths.ROOT)), done.stderr
    assert list(elsewhere.outside.iterdir()) == []
    code = cell() + "import sys\nassert 'torch' not in sys.modules"  # nor does it cost time
    done = subprocess.run([sys.executable, "-c", code], cwd=build.FOLDER, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_failing_pip_is_told_in_one_line(elsewhere):
    (elsewhere.fake / "pip" / "__main__.py").write_text("import sys\nsys.exit('ERROR: no network')\n")
    done = elsewhere(cell(elsewhere.origin))
    assert done.stderr.strip().splitlines()[-1] == (
        "RuntimeError: pip could not install no-such-package-of-this-study>=3: ERROR: no network")
