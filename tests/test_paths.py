import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lib import paths


def test_the_root_holds_the_library():
    assert (paths.ROOT / "lib" / "paths.py").is_file()


def test_paths_start_at_the_root_and_home_is_expanded(monkeypatch):
    monkeypatch.chdir("/")
    assert paths.resolve("../sounds") == paths.ROOT / "../sounds"
    assert paths.resolve("~/sounds") == Path.home() / "sounds"
    assert paths.resolve(paths.ROOT) == paths.ROOT


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    assert paths.cache("a", "b") == tmp_path / "a" / "b" and (tmp_path / "a" / "b").is_dir()


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "new" / "x.wav"
    with pytest.raises(RuntimeError), paths.atomic(path) as temporary:
        assert temporary.suffix == ".wav" and temporary.parent == path.parent
        temporary.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    paths.write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), paths.atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and len(list(path.parent.iterdir())) == 1


def test_a_text_is_read_in_the_encodings_that_programs_write(tmp_path):
    file = tmp_path / "t.txt"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        file.write_bytes("Été\r\nx\ry".encode(encoding))
        assert paths.read_text(file) == "Été\r\nx\ry"
    for content in (b"\x81\xff", b"\xff\xfea\0b"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="t.txt: is text neither in UTF-8 nor in .*: save it as UTF-8"):
            paths.read_text(file)
    assert paths.write_text(file, "caf\udce9").read_text("utf-8") == "caf\\udce9"


def test_a_key_changes_with_any_part_and_with_nothing_else():
    table = pd.DataFrame({"file": ["a", "b"], "label": ["x", "y"]})
    layer = torch.nn.Linear(2, 2)
    parts = [dict(a=1, b=[2.0, math.inf]), table, layer, np.arange(3), "text", None]
    first = paths.key(*parts)
    assert len(first) == 16
    assert first == paths.key(*parts) == paths.key(parts[0], table.set_index(pd.Index([7, 8])), *parts[2:])
    others = [dict(a=1, b=[2.0, 3]), table.iloc[::-1], torch.nn.Linear(2, 2), np.arange(3.0), "tex", 0]
    keys = [paths.key(*parts[:i], other, *parts[i + 1:]) for i, other in enumerate(others)]
    assert len({first, *keys}) == len(parts) + 1
    assert paths.key("ab", "c") != paths.key("a", "bc")


def test_a_command_line_is_read_by_the_signature(capsys):
    def run(name, often=1, share=0.5, loud=False, out="here"):
        if name == "bad":
            raise ValueError("that is no name")
        print(name, often, share, loud, out)

    assert paths.command(run, ["frog", "often=3", "loud=true", "share=0.25"], "") == 0
    assert capsys.readouterr().out == "frog 3 0.25 True here\n"
    about = "One line.\n\n    how it is called"
    assert paths.command(run, ["help"], about) == 0 and paths.command(run, [], about) == 2
    assert capsys.readouterr().out == "    how it is called\n" * 2
    for words, said in ((["bad"], "that is no name"), (["frog", "often=many"], "often=many: use a whole number"),
                        (["frog", "loud=1"], "use true or false"), (["frog", "ofte=1"], "did you mean often?"),
                        (["frog", "often=1", "x"], "'x'")):
        assert paths.command(run, words, about) == 2
        got = capsys.readouterr()
        assert said in got.err and got.err.count("\n") == 1 and not got.out
