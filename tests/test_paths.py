import errno
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from lib import paths, progress


def test_the_root_holds_the_library():
    assert (paths.ROOT / "lib" / "paths.py").is_file()


def test_every_file_of_the_repository_can_lie_on_windows_and_macos():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=paths.ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no repository of git")
    names = listed.stdout.split("\0")[:-1]
    assert len({name.casefold() for name in names}) == len(names)  # two names of one spelling are one file there
    assert max(map(len, names)) <= 180  # of the 260 that a whole path may have
    odd = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ](/|$)|(^|/)(con|prn|aux|nul|com\d|lpt\d)(\.|/|$)', re.IGNORECASE)
    assert [name for name in names if odd.search(name)] == []


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
    assert paths.command(run, ["/runs/seed=0/frog", "often=2"], "") == 0  # a run's folder, as the study names them
    assert capsys.readouterr().out == "/runs/seed=0/frog 2 0.5 False here\n"
    about = "One line.\n\n    how it is called"
    assert paths.command(run, ["help"], about) == 0 and paths.command(run, [], about) == 2
    assert capsys.readouterr().out == "    how it is called\n" * 2
    for words, said in ((["bad"], "that is no name"), (["frog", "often=many"], "often=many: use a whole number"),
                        (["frog", "loud=1"], "use true or false"), (["frog", "ofte=1"], "did you mean often?"),
                        (["frog", "often=1", "x"], "'x'")):
        assert paths.command(run, words, about) == 2
        got = capsys.readouterr()
        assert said in got.err and got.err.count("\n") == 1 and not got.out


# Names, disks and machines as they are

SYSTEM = st.binary(min_size=1, max_size=255).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
TEXT = st.text(st.characters(exclude_categories=()))


@given(name=SYSTEM.filter(lambda name: name not in (b".", b"..")), text=TEXT)
def test_any_name_the_system_takes_holds_any_text(name, text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / os.fsdecode(name)
        with paths.atomic(path) as temporary:
            assert len(os.fsencode(temporary.name)) <= 255 and paths.LEFT.fullmatch(temporary.name)
            assert temporary.name.endswith(path.suffix) or len(path.suffix) > 40
            temporary.write_text("half")
        paths.write_text(path, text)
        assert path.read_bytes().decode() == text.encode("utf-8", "backslashreplace").decode()
        assert [os.fsencode(p.name) for p in Path(folder).iterdir()] == [name]


@given(name=st.binary().map(os.fsdecode), text=st.text())
def test_json_gives_back_names_that_are_no_text(name, text):
    with tempfile.TemporaryDirectory() as folder:
        path = paths.write_json(Path(folder) / "x.json", {name: text, "name": name})
        assert json.loads(path.read_text(encoding="utf-8")) == {name: text, "name": name}


def test_what_a_kill_leaves_is_swept_and_nothing_else(tmp_path):
    left = [".a.0f0f0f0f.wav", ".0f0f0f0f.0f0f0f0f", f".{'x' * 241}.0f0f0f0f.txt", ".line\nfeed.0f0f0f0f.csv"]
    stays = [".a.b.wav", ".lock", "a.0f0f0f0f.wav", ".a.0f0f0f0f.tar.gz"]
    for name in (*left, *stays):
        (tmp_path / name).touch()
    with paths.locked(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(stays)


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_who_may_read_a_file_is_what_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        with paths.atomic(tmp_path / "a.safetensors") as temporary:
            save_file({"x": torch.zeros(1)}, temporary)  # makes a file for its owner alone
        paths.write_text(tmp_path / "a.txt", "")
        with paths.locked(tmp_path):
            pass
    finally:
        os.umask(before)
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o666 & ~umask}


def refusing(number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))
    return refuse


@pytest.mark.parametrize("number, advice", [(errno.EROFS, "take a folder that you can write to"),
                                            (errno.EACCES, "take a folder that you can write to"),
                                            (errno.ENOSPC, "make room, and the same command goes on")])
@pytest.mark.parametrize("method", ["mkdir", "touch", "write_text"])
def test_a_refusal_to_write_is_a_line_that_says_what_to_do(tmp_path, monkeypatch, number, advice, method):
    monkeypatch.setattr(Path, method, refusing(number))
    with pytest.raises(OSError) as caught:
        paths.write_text(tmp_path / "x.txt", "text")
    assert str(caught.value) == f"{tmp_path / 'x.txt'} cannot be written ({os.strerror(number)}): {advice}"
    assert caught.value.errno == number and type(caught.value) is type(OSError(number, ""))
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="set STUDY_CACHE to a folder that you can write to") as caught:
        paths.write_text(tmp_path / "x.txt", "text")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_folder_or_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "y").touch()
    with pytest.raises(IsADirectoryError, match="/x cannot be written .*: a folder has that name, move it away"):
        paths.write_text(tmp_path / "x", "")
    with pytest.raises(NotADirectoryError, match="/y/a/b.txt cannot be written|/y/a cannot be written"):
        paths.write_text(tmp_path / "y" / "a" / "b.txt", "")
    with pytest.raises(OSError, match="cannot be written .*: take a shorter name"):
        paths.write_text(tmp_path / ("x" * 256), "")
    with pytest.raises(FileNotFoundError, match="No such file or directory: 'elsewhere'"), paths.atomic(tmp_path / "z"):
        open("elsewhere")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x", "y"]


def test_a_lock_says_what_is_wrong_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    (tmp_path / ".lock").write_text("what a killed run left: 12345")
    with paths.locked(tmp_path):
        with pytest.raises(ValueError, match="^it is busy$"), paths.lock(tmp_path / ".lock", "it is busy"):
            pass
    monkeypatch.setattr(FileLock, "acquire", refusing(errno.EROFS))
    with pytest.raises(OSError, match=r"/\.lock cannot be written \(Read-only.*\): set STUDY_CACHE to a folder"):
        with paths.locked(tmp_path):
            pass


@pytest.mark.parametrize("home", ["/nonexistent", None])
def test_without_a_home_the_cache_asks_for_a_place(tmp_path, monkeypatch, home):
    """No folder named ~, and none in the place of all users: what another left there would be read."""
    monkeypatch.chdir(tmp_path)
    for name in ("STUDY_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home:
        monkeypatch.setenv("HOME", home)
    else:
        monkeypatch.setattr(os.path, "expanduser", str)  # as for a user whom the machine does not know
        with pytest.raises(ValueError, match="~/sounds: there is no home folder, write the whole path"):
            paths.resolve("~/sounds")
    with pytest.raises(OSError, match="no home folder for the cache .*: set STUDY_CACHE to a folder that you can"):
        paths.cache("a")
    assert not list(tmp_path.iterdir()) and not Path("/nonexistent").exists()
    paths.write_text(tmp_path / "x.txt", "")  # what is written elsewhere needs none


@pytest.mark.parametrize("name", ["~x.wav", "~nobody-here/x", "a/~", "~~"])
def test_a_name_that_begins_as_a_home_is_a_name(name):
    assert paths.resolve(name) == paths.ROOT / name


def test_what_a_terminal_cannot_show_ends_no_command(monkeypatch):
    raw = {name: io.BytesIO() for name in ("stdout", "stderr")}

    def narrow():
        for name, stream in raw.items():
            monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding="ascii", write_through=True))

    def run(name):
        print(name)
        progress.say(name)
        for _ in progress.bar([1], desc=name):
            pass
        raise ValueError(f"no such file: {name}\n")

    narrow()
    assert paths.command(run, ["Käuz\udcff"], "") == 2
    assert raw["stdout"].getvalue() == 2 * b"K\\xe4uz\\udcff\n"
    assert raw["stderr"].getvalue() == b"no such file: K\\xe4uz\\udcff\\n\n"
    narrow()
    progress.say("Käuz\udcff")  # outside of any command too


def test_a_stopped_command_says_what_becomes_of_its_work(capsys):
    def run():
        raise KeyboardInterrupt

    assert paths.command(run, [], "") == paths.command(run, [], "", "the same command begins anew") == 130
    assert capsys.readouterr().err == "stopped; the same command goes on\nstopped; the same command begins anew\n"
