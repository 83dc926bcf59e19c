from pathlib import Path

import pytest

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
