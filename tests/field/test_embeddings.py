"""Embeddings as one table: every window, whatever happens on the way, and what is near what."""
import errno
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from lib import audio, training
from lib.field import embeddings
from lib.transfer.reference import Frozen

RATE = 8000


def loudness(waves):
    """The mean square in each of four parts of a window (B, N), padded by silence: (B, 4)."""
    filled = torch.nn.functional.pad(waves, (0, RATE - waves.shape[1]))
    return filled.square().unflatten(1, (4, -1)).mean(-1)


MODEL = Frozen("toy", "nothing (made here; MIT)", RATE, RATE, 4, "abc", loudness)


@pytest.fixture
def folder(tmp_path):
    """Recordings of 250, 2.3 and 0.4 s in two folders, one cut off and one silent."""
    place = tmp_path / "sounds"
    for i, (name, seconds) in enumerate({"a/long.wav": 250, "a/b.flac": 2.3, "c.wav": 0.4}.items()):
        noise = torch.randn(round(seconds * RATE), generator=training.generator(i))
        audio.write(place / name, 0.1 * noise.clamp(-9, 9), RATE)
    (place / "cut.wav").write_bytes((place / "c.wav").read_bytes()[:2000])
    soundfile.write(place / "mute.wav", np.zeros(2 * RATE), RATE)
    return place


def test_every_window_of_every_recording_and_whose_they_are(folder, tmp_path):
    file = embeddings.write(MODEL, folder, tmp_path / "all.parquet")
    windows, vectors, about = embeddings.read(file)
    for name, rows in windows.groupby("file"):
        wave = audio.read(folder / name)
        firsts = audio.windows(len(wave), RATE, RATE // 2)
        assert rows["start_s"].tolist() == pytest.approx([first / RATE for first in firsts])
        assert rows["end_s"].max() == pytest.approx(len(wave) / RATE)
        want = torch.cat([loudness(wave[None, first : first + RATE]) for first in firsts])
        assert np.allclose(vectors[rows.index], want, rtol=1e-5)
    assert list(dict.fromkeys(windows["file"])) == ["a/b.flac", "a/long.wav", "c.wav"] and vectors.dtype == np.float32
    assert (about["model"], about["key"], about["window_s"], about["step_s"]) == ("toy", "abc", 1.0, 0.5)
    assert about["what"] == "nothing (made here; MIT)" and not (tmp_path / "all.parquet.parts").exists()
    assert [line.partition(":")[0] for line in about["skipped"]] == ["cut.wav", "mute.wav"]
    plain = pd.read_parquet(file)  # as anybody reads it
    assert plain.columns.tolist() == ["file", "start_s", "end_s", "vector"]
    assert np.array_equal(np.stack(plain["vector"]), vectors)


def test_a_stopped_run_goes_on_and_leaves_no_half_file(folder, tmp_path, monkeypatch):
    out, heard = tmp_path / "all.parquet", []

    def stopped(waves):
        heard.append(len(waves))
        if len(heard) == 3:  # within the long recording
            raise KeyboardInterrupt
        return loudness(waves)

    with pytest.raises(KeyboardInterrupt):
        embeddings.write(replace(MODEL, features=stopped), folder, out)
    assert not out.exists() and len(list((tmp_path / "all.parquet.parts").glob("*.parquet"))) == 1
    with pytest.raises(ValueError, match="holds other embeddings .key abc instead of def"):
        embeddings.write(replace(MODEL, key="def"), folder, out)
    heard.clear()
    seen = replace(MODEL, features=lambda waves: heard.append(len(waves)) or loudness(waves))
    embeddings.write(seen, folder, out)
    whole = embeddings.read(embeddings.write(MODEL, folder, tmp_path / "again.parquet"))
    assert np.array_equal(embeddings.read(out).vectors, whole.vectors)
    assert sum(heard) == len(whole.vectors) - 4  # what was done was not done again
    heard.clear()
    assert embeddings.write(seen, folder, out) == out and not heard  # it is there
    with pytest.raises(ValueError, match="holds other embeddings"):
        embeddings.write(replace(MODEL, key="def"), folder, out)


def test_what_cannot_be_written_or_read_says_so(folder, tmp_path):
    with pytest.raises(ValueError, match="none of 1 files can be used, the first: mute.wav: holds nothing but"):
        embeddings.write(MODEL, folder / "mute.wav", tmp_path / "one.parquet")
    with pytest.raises(ValueError, match="none of 1 files can be used, the first: cut.wav"):  # nothing was begun there
        embeddings.write(MODEL, folder / "cut.wav", tmp_path / "one.parquet")
    with pytest.raises(ValueError, match="must end in .parquet"):
        embeddings.write(MODEL, folder, tmp_path / "one.csv")
    pd.DataFrame({"file": ["a"]}).to_parquet(tmp_path / "other.parquet")
    for name in ("other.parquet", "none.parquet"):
        with pytest.raises(ValueError, match="holds no embeddings that"):
            embeddings.read(tmp_path / name)
    with pytest.raises(ValueError, match="got no out="):
        embeddings.embed(str(folder))


def test_a_file_on_which_a_decoder_falls_over_is_skipped_and_a_full_disk_is_not(folder, tmp_path, monkeypatch):
    stream, errors = audio.stream, {"b.flac": RuntimeError("a decoder\nfell over")}

    def failing(file, *rest):
        if file.name in errors:
            raise errors[file.name]
        return stream(file, *rest)

    monkeypatch.setattr(audio, "stream", failing)
    about = embeddings.read(embeddings.write(MODEL, folder, tmp_path / "all.parquet")).about
    assert about["skipped"][0] == "a/b.flac: cannot be read (RuntimeError: a decoder\\nfell over)"
    errors["b.flac"] = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        embeddings.write(MODEL, folder, tmp_path / "again.parquet")


def test_recordings_that_came_later_are_not_passed_over(folder, tmp_path):
    out = embeddings.write(MODEL, folder / "a", tmp_path / "all.parquet")
    (folder / "c.wav").rename(folder / "a" / "c.wav")
    with pytest.raises(ValueError, match="held then, now it holds others, or other sound"):
        embeddings.write(MODEL, folder / "a", out)
    (folder / "a" / "c.wav").unlink()
    assert embeddings.write(MODEL, folder / "a", out) == out


def test_the_command_line_writes_what_the_ready_weights_say(folder, tmp_path, capsys):
    for name in ("a/long.wav", "a/b.flac"):
        (folder / name).unlink()
    embeddings.embed(str(folder), out=str(tmp_path / "ready.parquet"))
    assert "1 windows of 2.99 s, 2048 numbers each, by ready; 2 files skipped" in capsys.readouterr().out
    assert "MIT" in embeddings.read(tmp_path / "ready.parquet").about["what"]


def test_other_sound_under_an_old_name_is_not_taken_for_heard(folder, tmp_path):
    out = tmp_path / "one.parquet"
    embeddings.write(MODEL, folder / "c.wav", out)
    audio.write(folder / "c.wav", audio.read(folder / "c.wav") / 2, RATE)
    with pytest.raises(ValueError, match="or other sound in them: choose another out, or delete"):
        embeddings.write(MODEL, folder / "c.wav", out)


def test_nearest_by_cosine_and_a_map_that_is_the_same_twice():
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(3), 20)
    x = 6 * np.eye(8)[label] + rng.normal(size=(60, 8))
    rows, cosines = embeddings.nearest(x, x[[5, 50]], 4)
    assert rows[:, 0].tolist() == [5, 50] and cosines[:, 0] == pytest.approx(1) and (np.diff(cosines) <= 0).all()
    assert (label[rows] == [[0], [2]]).all() and embeddings.nearest(x, x[:1], 99)[0].shape == (1, 60)
    points = embeddings.flat(x, 0)
    assert points.shape == (60, 2) and np.array_equal(points, embeddings.flat(x, 0))
    middle = np.stack([points[label == k].mean(0) for k in range(3)])
    near = ((points[:, None] - middle) ** 2).sum(-1).argmin(1)
    assert (near == label).mean() > 0.95 and embeddings.flat(x[:1], 0).tolist() == [[0, 0]]
    with pytest.raises(ValueError, match="takes too long, 5,000 at most"):
        embeddings.flat(np.zeros((5001, 2)), 0)
