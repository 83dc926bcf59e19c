import base64
import io
import json
import re
import shutil

import nbformat
import pytest
from PIL import Image

from lib import paths
from lib.course import build

NOTEBOOKS = sorted(build.FOLDER.glob("*.ipynb"))
SOURCES = sorted(build.FOLDER.glob("*.py"))

TOY = '''# %% [markdown]
# # A toy

# %% tags=["parameters"]
# 0 is wildlife only.
ratio: float = 7  # general clips per wildlife clip

# %%
import time
from lib import progress
for _ in progress.bar(range(3), desc="long enough for a line"):
    time.sleep(1)

# %%
# NBVAL_CHECK_OUTPUT
print(ratio)

# %%
object()

# %%
# the same text twice
1

# %%
# the same text twice
1
'''


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    py = tmp_path_factory.mktemp("toy") / "05_toy.py"
    py.write_text(TOY)
    build.build(py, timeout=120)
    return py


# What there is

@pytest.mark.parametrize("py", SOURCES, ids=lambda path: path.stem)
def test_pair_agrees(py):
    assert py.with_suffix(".ipynb").exists(), f"build it: python -m lib.course.build build {py.stem}"
    assert not build.pair(py, py.with_suffix(".ipynb"))


@pytest.mark.parametrize("py", SOURCES, ids=lambda path: path.stem)
def test_names_in_a_table_are_text_since_every_styled_table_is_of_plots(py):
    code = "\n".join(cell.source for cell in build.source(py).cells if cell.cell_type == "code")
    assert not re.search(r"(?<!\bplots)\.(style\b|to_html\()", code), "plots.table(frame) for frame.style"


@pytest.mark.parametrize("ipynb", NOTEBOOKS, ids=lambda path: path.stem)
def test_lint(ipynb):
    assert ipynb.with_suffix(".py").exists(), f"{ipynb.name} has no .py, which is the source"
    assert not build.lint(ipynb)


@pytest.mark.parametrize("ipynb", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_and_the_launcher_see_the_same_parameters(ipynb):
    import papermill

    from lib.runs import record
    seen = papermill.inspect_notebook(str(ipynb))
    if not seen:
        assert not build.EXPERIMENT.match(ipynb.name)
        return
    assert list(seen) == list(record.defaults_of(ipynb))
    assert all(p["help"] and p["inferred_type_name"] in ("bool", "int", "float", "str") for p in seen.values())
    if build.EXPERIMENT.match(ipynb.name):
        assert (paths.ROOT / "papermill_runs" / ipynb.stem).is_dir(), "papermill makes no folder: keep a file in it"


@pytest.fixture
def lab(tmp_path):
    """The pairs as JupyterLab opens them: its contents manager over a copy of notebooks/, with a folder beside it."""
    from jupyter_server.services.contents.largefilemanager import LargeFileManager
    from jupytext.sync_contentsmanager import build_sync_jupytext_contents_manager_class
    shutil.copytree(build.FOLDER, tmp_path / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (tmp_path / "elsewhere").mkdir()
    return lambda at="": build_sync_jupytext_contents_manager_class(LargeFileManager)(root_dir=str(tmp_path / at))


@pytest.mark.parametrize("py", SOURCES, ids=lambda path: path.stem)
def test_saving_in_jupyterlab_leaves_the_source_as_it_is(py, lab, tmp_path):
    name = f"notebooks/{py.stem}.ipynb"
    lab().save({"type": "notebook", "content": lab().get(name, type="notebook")["content"]}, name)
    assert (tmp_path / "notebooks" / py.name).read_bytes() == py.read_bytes(), "run: python -m lib.course.build dress"


@pytest.fixture
def empty():
    content = nbformat.v4.new_notebook(cells=[code("1")], metadata={"kernelspec": build.KERNEL})
    return {"type": "notebook", "content": content}


@pytest.mark.parametrize("at", ["", "notebooks"])
def test_jupyterlab_pairs_a_notebook_of_this_folder(at, lab, empty, tmp_path):
    lab(at).save(empty, f"{'' if at else 'notebooks/'}new.ipynb")
    assert (tmp_path / "notebooks" / "new.py").read_text() == "# %%\n1\n"


@pytest.mark.parametrize("name", ["other.ipynb", "elsewhere/other.ipynb"])
def test_a_notebook_elsewhere_gets_no_twin(name, lab, empty, tmp_path):
    lab().save(empty, name)
    assert (tmp_path / name).exists() and not list(tmp_path.rglob("other.py"))


# The builder and the checks

def test_a_build_is_clean_and_repeatable(toy):
    ipynb = toy.with_suffix(".ipynb")
    first = ipynb.read_bytes()
    stored = json.loads(first)
    assert build.pair(toy, ipynb) == [] == build.lint(ipynb)
    assert b"execute_time" not in first and b"widget" not in first and b"it/s" not in first.replace(b"3.1it/s", b"", 1)
    assert [c["execution_count"] for c in stored["cells"] if c["cell_type"] == "code"] == [1, 2, 3, 4, 5, 6]
    assert (stored["cells"][2]["outputs"] == []
            and stored["cells"][4]["outputs"][0]["data"]["text/plain"] == ["<object>"])
    assert len({c["id"] for c in stored["cells"]}) == len(stored["cells"])
    assert stored["metadata"].keys() == {"kernelspec", "language_info"}
    build.build(toy, timeout=120)
    assert ipynb.read_bytes() == first


def test_ids_stay_when_another_cell_changes(toy, tmp_path):
    other = tmp_path / "05_toy.py"
    other.write_text(TOY.replace("# # A toy", "# # Another"))
    same = [a.id == b.id for a, b in zip(build.source(toy).cells, build.source(other).cells)]
    assert same == [False, True, True, True, True, True, True]


CHANGED = TOY.replace("print(ratio)", "from lib import paths, plots\nplots.source(paths.processes)").replace("# # A",
                                                                                                             "# # Our")


def test_a_patch_follows_the_source_keeps_outputs_and_shows_the_library_as_it_is_now(toy, tmp_path):
    py, ipynb = tmp_path / "05_toy.py", tmp_path / "05_toy.ipynb"
    py.write_text(CHANGED)
    build.build(py, timeout=120)
    built = ipynb.read_bytes()
    assert build.patch(py) == 0 and ipynb.read_bytes() == built
    stale = json.loads(built)
    stale["cells"][3]["outputs"][0]["data"]["text/html"] = "as it was before"
    ipynb.write_text(json.dumps(stale).replace("WORLD_SIZE", "OLD"))
    py.write_text(CHANGED.replace("# the same text twice\n1", "# another comment\n1", 1))
    assert build.patch(py) == 1 and build.pair(py, ipynb) == []
    assert b"WORLD_SIZE" in ipynb.read_bytes() and b"OLD" not in ipynb.read_bytes()
    assert ipynb.read_bytes().count(b"another comment") == 1
    outputs = [[cell.get("outputs") for cell in json.loads(text)["cells"]] for text in (built, ipynb.read_bytes())]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("changed", [TOY + "\n# %%\n2\n", TOY[:-len("# %%\n# the same text twice\n1\n")],
                                     TOY.replace("# %%\nobject()", "# %% [markdown]\n# object()")])
def test_a_patch_refuses_other_cells(changed, toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    (tmp_path / "05_toy.py").write_text(changed)
    shutil.copy(toy.with_suffix(".ipynb"), tmp_path)
    assert build.main(["patch", "05_toy"]) == 2
    assert "run it with python -m lib.course.build build 05_toy" in capsys.readouterr().err
    assert (tmp_path / "05_toy.ipynb").read_bytes() == toy.with_suffix(".ipynb").read_bytes()


def test_the_command_line(toy, monkeypatch, capsys):
    monkeypatch.setattr(build, "FOLDER", toy.parent)
    monkeypatch.setattr(build, "build", lambda *given: print(given) or toy.with_suffix(".ipynb"))
    assert build.main(["build", "05_toy", "scale=tiny", "timeout=60"]) == 0
    assert "05_toy.py'), 'tiny', 60)" in (out := capsys.readouterr().out) and "1 notebooks, nothing to mend" in out
    for words, told in [(["check", "6_toy"], "6_toy.py: not in notebooks/, which has 05_toy"),
                        (["clean"], "patch [NAME"),
                        ([], "patch [NAME"), (["build", "05_toy", "timeout=soon"], "use a whole number"),
                        (["check", "scale=tiny"], "there is no 'scale'")]:
        assert build.main(words) == 2 and told in capsys.readouterr().err
    assert build.main(["build"]) == 2


def test_a_failing_build_leaves_what_was_there(toy, tmp_path):
    py = tmp_path / "05_toy.py"
    py.write_text(TOY + "\n# %%\nraise ValueError('no')\n")
    py.with_suffix(".ipynb").write_text("old")
    with pytest.raises(Exception, match="no"):
        build.build(py, timeout=120)
    assert py.with_suffix(".ipynb").read_text() == "old"


def test_pair_sees_any_difference(toy, tmp_path):
    py = tmp_path / "05_toy.py"
    for changed, said in [(TOY.replace("print(ratio)", "print(ratio + 1)"), "cell 3"),
                          (TOY.replace(' tags=["parameters"]', ""), "cell 1"),
                          (TOY + "\n# %%\n2\n", "has 7 cells, 05_toy.py 8"),
                          (TOY.replace("%% [markdown]\n", "%%\n", 1), "cell 0")]:
        py.write_text(changed)
        assert said in build.pair(py, toy.with_suffix(".ipynb"))[0]


def code(source="1", outputs=(), count=1, **metadata):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=count, metadata=metadata)


def picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (4, 3)).save(file, format="png", dpi=(110, 110))
    return base64.b64encode(file.getvalue()).decode()


def show(**data):
    return nbformat.v4.new_output("display_data", {k.replace("_", "/", 1): v for k, v in data.items()})


@pytest.mark.parametrize("cells, said", [
    ([code("open('/Users/me/x.wav')")], "a path of one machine: /Users/m"),
    ([code(outputs=[nbformat.v4.new_output("stream", text="saved C:\\Users\\x")])], "a path of one machine"),
    ([code("\n".join(["x = 1"] * 31))], "31 lines, at most 30"),
    ([code("x = 1\n" + "x" * 101 + "\n" + "y" * 102)], "cell 0: 2 lines wider than 100 columns, the first: xxx"),
    ([code("\n".join(["x = 1"] * 9))], "median code cell has 9 lines"),
    ([code(outputs=[nbformat.v4.new_output("error", ename="E", evalue="e", traceback=[])])], "an error is stored"),
    ([code(outputs=[nbformat.v4.new_output("stream", name="stderr", text="FutureWarning: x")])], "a warning"),
    ([code(outputs=[show(**{build.WIDGET: {}})])], "a widget is stored"),
    ([code("# NBVAL_CHECK_OUTPUT\nx")], "checks nothing"),
    ([code(count=None)], "never executed"),
    ([code(execution={"iopub.status.busy": "2026"})], "execution times"),
    ([code(outputs=[show(image_png="AAAA")])], "a figure without a sentence"),
    ([code(outputs=[show(image_png="AAAA")]), nbformat.v4.new_markdown_cell("What to see.")], "a figure without an alt "
     "text"),
    *[([code(f"# a longer comment = fine\nx: int = 3  # right\n{line}", tags=["parameters"])],
       "parameters, line 3: not")
      for line in ("x = 1  # without a type", "x: int = 1", "x: int = 1  # where a = b", "x: int = 1.5  # no integer",
                   "x: list = [1]  # no plain literal", "x: bool = 1  # no bool", "x: str = '#'  # papermill cuts it "
                   "here",
                   "x: float = float('inf')  # a call", "x: int = (\n    1)  # two lines",
                   "x: int = True  # no integer")],
])
def test_lint_finds(cells, said, tmp_path):
    path = tmp_path / "00_x.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": build.KERNEL}), path)
    found = build.lint(path)
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize("caption, told", [
    ("*Figure 3. Four recordings as the model sees them: time to the right.* **See:** cyan boxes.",
     "Four recordings as the model sees them: time to the right."),
    ("*Figure 2 (the paper's Fig. 2). Three sounds, of which 75 % are hidden, in `three` draws.* More.",
     "Three sounds, of which 75 % are hidden, in three draws."),
    ("**See:** the scores of all [train windows](x.html) of the pool; right of the line\nis what stays. More.\n\nAnd "
     "more.",
     "The scores of all train windows of the pool; right of the line is what stays."),
    ("Left: the input. Right: what Liu et al. Fig. 2 show of the same input. More.",
     "Left: the input. Right: what Liu et al. Fig. 2 show of the same input."),
    ("Short.", "Short."), ("", "")])
def test_the_alt_text_is_the_captions_first_sentence(caption, told):
    assert build.alt(caption) == told


def test_figures_get_their_alt_text_where_a_converter_finds_it():
    from nbconvert import HTMLExporter
    caption = nbformat.v4.new_markdown_cell("Two \"dots\" <on> a line that goes up and up and up. More.")
    cells = [code(outputs=[show(image_png="AAAA"), show(image_jpeg="AAAA")]), caption]
    notebook = build.tidy(nbformat.v4.new_notebook(cells=cells))
    html = HTMLExporter(template_name="classic").from_notebook_node(notebook)[0]
    assert html.count("a line that goes up and up and up.") == 3  # two figures and the caption
    assert html.count("<img alt=") == 2


def test_folding_is_kept_and_compared(toy, tmp_path):
    py = tmp_path / "05_toy.py"
    py.write_text(TOY.replace("# %%\nobject()", '# %% cellView="form" jupyter={"source_hidden": true}\nobject()'))
    assert "cell 4" in build.pair(py, toy.with_suffix(".ipynb"))[0]
    assert build.tidy(build.source(py)).cells[4].metadata == {"cellView": "form", "jupyter": {"source_hidden": True}}


def test_lint_of_a_whole_file(tmp_path):
    path = tmp_path / "05_x.ipynb"
    parameters = ('ratio: float = 1  # a ratio, e.g. 7\nfilter: str = "50 %"  # what stays\n# of the draws\nseed: int '
                  '= -1  # a seed\n'
                  'rate: float = 1e-4  # a rate\npanel: bool = True  # also the panel')
    cells = [code(parameters, tags=["parameters"]), code(outputs=[show(image_png=picture(), text_html="/x")]),
             nbformat.v4.new_markdown_cell("What to see. Data from folder:/nowhere and https://example.org/Users/x are "
                                           "no such paths.")]
    cells[1].outputs[0].metadata["image/png"] = {"overlapping": [], "smallest_pt": 9.0}
    notebook = build.tidy(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": build.KERNEL}))
    build.write(notebook, path)
    assert build.lint(path) == []
    path.write_text(path.read_text().replace('"execution_count": 1', '"execution_count": Infinity'))
    assert "Infinity is not JSON" in build.lint(path)[0]
    notebook.metadata.update(kernelspec={"name": "py311", "display_name": "x"}, widgets={})
    notebook.cells[0].metadata = {}
    notebook.cells.append(nbformat.v4.new_markdown_cell("x" * build.BYTES))
    build.write(notebook, path)
    found = "\n".join(build.lint(path))
    assert all(s in found for s in ("needs python3", "metadata.widgets", "0 cells tagged", "bytes, at most"))
