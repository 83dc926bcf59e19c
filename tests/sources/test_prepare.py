"""The public data sets, as miniatures of their layouts: prepared from a server, killed, damaged, read as tables."""

import io
import json
import random
import shutil
import signal
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import layouts
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from filelock import FileLock

from lib import audio, paths, sources
from lib.sources import audioset, download, esc50, inatsounds, prepare


@pytest.fixture(scope="module")
def fork():
    """Starts processes that are as good as new, from one that has imported everything once."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["lib.sources.prepare", "lib.mae", "datasets"])
    return context


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return folder, layouts.published(folder)


@pytest.fixture
def site(archives, monkeypatch):
    """The miniature iNatSounds, served."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT", 0.001)
    with layouts.Site() as site:
        site.files |= {f"/2024/{name}": (archives[0] / name).read_bytes() for name in archives[1]}
        monkeypatch.setattr(inatsounds, "URL", f"{site.url}/2024")
        monkeypatch.setattr(inatsounds, "ARCHIVES", archives[1])
        yield site


# ----------------------------------------------------------------------------------------------------------- iNatSounds

def test_inatsounds_from_the_command_line(site, tmp_path, capsys):
    assert prepare.main(["inatsounds", f"root={tmp_path}", "splits=val"]) == 0
    said = capsys.readouterr().out
    for words in ("non-commercial", "GB in val.tar.gz", "at 100 Mbit/s", "GB are free at", "GB are needed",
                  "6 recordings", "1 of them empty"):
        assert words in said
    assert said.index("non-commercial") < said.index("GB in val.tar.gz") < said.index("GB are free at")
    assert said.index("GB are free at") < said.index("GB are needed")
    asked = len(site.asked)
    assert prepare.main(["inatsounds", "--root", str(tmp_path), "--splits", "val,test", "keep=false"]) == 0
    assert "val: already prepared" in capsys.readouterr().out and not [a for a in site.asked[asked:] if "val" in a[1]]
    assert (tmp_path / "val.tar.gz").exists() and not (tmp_path / "test.tar.gz").exists()
    assert set(prepare.recordings("inatsounds", tmp_path)["split"]) == {"val", "test"}


def test_inatsounds_table(site, tmp_path, capsys):
    prepare.prepare("inatsounds", tmp_path)
    capsys.readouterr()
    table = prepare.recordings("inatsounds", tmp_path)
    assert "1 empty recordings left out of train; in val and test 1 are kept" in capsys.readouterr().out
    assert table["split"].value_counts().to_dict() == {"train": 19, "val": 6, "test": 6} and "group" not in table
    known = {name: (common, above, evaluation) for name, common, above, evaluation, _ in layouts.SPECIES}
    for row in table.itertuples():
        assert (row.common_name, row.supercategory, row.evaluation) == known[row.label]
        length = 0.0 if row.duration_s == 0 else audio.info(row.file).duration_s
        assert row.duration_s == pytest.approx(length) and f"/{row.split}/" in row.file
    assert (table["duration_s"] == 0).sum() == 1
    evaluated = {name for name, _, _, evaluation, _ in layouts.SPECIES if evaluation}
    assert set(table[table["split"] != "train"]["label"]) == evaluated
    assert set(table["latitude"]) == {52.5, 53.5, 54.5, 55.5} and (table["longitude"] == 13.4).all()
    assert (table["source"] == "inatsounds").all()
    checked = sources.check(table, "inatsounds")
    assert len(checked) == len(table) and checked["label"].tolist() == table["label"].tolist()


def test_inatsounds_counts_are_compared_with_the_published(site, tmp_path, monkeypatch, capsys):
    """One line where a split is prepared and one where it is read; none where the counts are those."""
    prepare.prepare("inatsounds", tmp_path, splits="train,val")
    said = [line for line in capsys.readouterr().out.splitlines() if "instead of" in line]
    train = "20 recordings of train instead of 137,012, 5 species of train instead of 5,569"
    val = "6 recordings of val instead of 45,698, 3 species of val instead of 1,212"
    end = "(published, and in Liu et al. 2026): a part of it, or another release"
    assert said == [f"inatsounds: {counts} {end}" for counts in (train, val)]
    prepare.recordings("inatsounds", tmp_path)
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if "instead of" in line] == [f"inatsounds: {train}, {val} {end}"]
    monkeypatch.setattr(inatsounds, "COUNTS", inatsounds.COUNTS | {
        "recordings of train": 20, "species of train": 5, "recordings of val": 6, "species of val": 3})
    prepare.recordings("inatsounds", tmp_path)
    assert "instead of" not in capsys.readouterr().out


@pytest.mark.parametrize("form", ["{split}/{folder}/{name}", "{folder}/{name}", "{name}", "{split}/{name}"])
def test_inatsounds_names_of_files_in_any_form(tmp_path, form):
    layouts.published(tmp_path, train=1, held_out=1)
    for split in ("train", "val", "test"):
        with tarfile.open(tmp_path / f"{split}.json.tar.gz") as tar:
            told = json.load(tar.extractfile(f"{split}.json"))
        for entry in told["audio"]:
            _, folder, name = entry["file_name"].split("/")
            entry["file_name"] = form.format(split=split, folder=folder, name=name)
        layouts.packed(tmp_path / f"{split}.json.tar.gz", {f"./{split}.json": json.dumps(told).encode()})
    prepare.prepare("inatsounds", tmp_path)
    assert all(Path(f).is_file() for f in prepare.recordings("inatsounds", tmp_path)["file"])


def test_inatsounds_goes_on(site, tmp_path):
    """A part of an archive and some whole recordings are there: only the rest is sent and written."""
    prepare.prepare("inatsounds", tmp_path / "whole", splits="val")
    body = site.files["/2024/val.tar.gz"]
    (tmp_path / "val.tar.gz.part").write_bytes(body[:20_000])
    first = next((tmp_path / "whole" / "val").rglob("*.wav"))
    kept = tmp_path / first.relative_to(tmp_path / "whole")
    kept.parent.mkdir(parents=True)
    shutil.copy2(first, kept)
    written, before = kept.stat().st_mtime_ns, site.sent
    prepare.prepare("inatsounds", tmp_path, splits="val")
    assert site.sent - before == len(body) - 19_999 + len(site.files["/2024/val.json.tar.gz"])
    assert kept.stat().st_mtime_ns == written
    assert layouts.tree(tmp_path / "val") == layouts.tree(tmp_path / "whole" / "val")


def test_inatsounds_extracted_by_hand_is_not_fetched_again(site, archives, tmp_path):
    shutil.unpack_archive(archives[0] / "val.tar.gz", tmp_path)  # Debian's Python 3.11.2 has no tarfile filters
    prepare.prepare("inatsounds", tmp_path, splits="val")
    assert [a[1] for a in site.asked] == ["/2024/val.json.tar.gz"]
    assert len(prepare.recordings("inatsounds", tmp_path)) == 6
    (tmp_path / "val.done.json").unlink()
    cut = next(f for f in (tmp_path / "val").rglob("*.wav") if f.stat().st_size > 100)
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])  # an extraction that was ended
    prepare.prepare("inatsounds", tmp_path, splits="val")
    assert site.asked[-1][1] == "/2024/val.tar.gz" and cut.read_bytes() == whole


def test_inatsounds_killed_at_three_moments(site, archives, fork, tmp_path):
    """Kill -9 three times while it downloads and three times while it extracts: it ends as one quiet run does."""
    layouts.work(inatsounds.URL, archives[1], tmp_path / "quiet")
    rng, root, size = random.Random(0), tmp_path / "killed", len(site.files["/2024/val.tar.gz"])
    moments = [("val.tar.gz.part", bytes_) for bytes_ in sorted(rng.sample(range(1, size - 20_000), 3))]
    moments += [("wav", n) for n in (1, 3, 5)]
    for what, amount in moments:
        def when() -> bool:
            if what == "wav":
                return len(list(root.rglob(".*.wav.part"))) == 1 and len(list(root.rglob("[!.]*.wav"))) >= amount
            return (root / what).exists() and (root / what).stat().st_size >= amount
        site.pace = None if what == "wav" else size
        process = fork.Process(target=layouts.work, args=(inatsounds.URL, archives[1], root, 0.05))
        with layouts.killed(process, when):
            pass
        assert process.exitcode == -signal.SIGKILL, f"it ended before {what} held {amount}"
    with pytest.raises(ValueError, match="no split is prepared"):
        prepare.recordings("inatsounds", root)
    prepare.prepare("inatsounds", root, splits="val")
    assert layouts.tree(root) == layouts.tree(tmp_path / "quiet")
    begun = [asked for asked in site.asked if asked[1].endswith("val.tar.gz") and asked[2] is None]
    assert len(begun) == 2  # here and in the quiet root


def test_inatsounds_says_what_is_wrong(site, archives, tmp_path, monkeypatch):
    def error(match: str, kind: str = "inatsounds", **other) -> None:
        with pytest.raises((ValueError, download.FetchError), match=match) as caught:
            prepare.prepare(kind, **{"root": tmp_path, "splits": "val", **other})
        assert "\n" not in str(caught.value)
    error("no data set 'inatsound': use inatsounds, audioset, esc50", kind="inatsound")
    error("no split 'vol': use train, val, test", splits="val,vol")
    error("no option 'rate': it takes keep", rate=3)
    error("needs a folder: inatsounds:ROOT as the name of the data, or python -m lib.sources inatsounds root=ROOT",
          root="")
    match = "no split is prepared in .*: run python -m lib.sources inatsounds root=.* splits=train,val,test"
    with pytest.raises(ValueError, match=match):
        prepare.recordings("inatsounds", tmp_path)
    monkeypatch.setattr(inatsounds, "ARCHIVES",
                        archives[1] | {"val.tar.gz": archives[1]["val.tar.gz"]._replace(md5="0" * 32)})
    error(f"{site.url}/2024/val.tar.gz arrived with another md5")
    assert not (tmp_path / "val.tar.gz").exists() and not (tmp_path / "val").exists()
    monkeypatch.setattr(inatsounds, "ARCHIVES",
                        archives[1] | {"val.tar.gz": archives[1]["val.tar.gz"]._replace(size=1e18)})
    error("GB free and 1,000,000,000.0 GB are needed: make room")
    monkeypatch.setattr(inatsounds, "ARCHIVES", archives[1])
    (tmp_path / "val.tar.gz").write_bytes(site.files["/2024/val.tar.gz"][:-9_000])  # put there by hand
    error("val.tar.gz is cut off or damaged .*: delete it, and the same command fetches it again")
    shutil.copy2(archives[0] / "test.tar.gz", tmp_path / "val.tar.gz")
    error(r"val.tar.gz lacks \d of the 6 recordings of val.json, the first is .*: the two are not of one release; "
          "delete both")
    (tmp_path / "val.tar.gz").unlink()
    prepare.prepare("inatsounds", tmp_path, splits="val")
    gone = sorted((tmp_path / "val").rglob("*.wav"))
    for file in gone[:2]:
        file.unlink()
    match = r"2 of 6 recordings of val are missing, the first is .*\.wav: .*sources inatsounds root=.* splits=val$"
    with pytest.raises(ValueError, match=match):
        prepare.recordings("inatsounds", tmp_path)


@pytest.mark.parametrize("name, kind", [
    ("../evil.wav", None), ("val/a/../../../evil.wav", None), ("/evil.wav", None), ("val/../evil.wav", None),
    ("val/a/..\\..\\evil.wav", None), ("val/a/link.wav", tarfile.SYMTYPE), ("val/a/link.wav", tarfile.LNKTYPE),
    ("C:/a/evil.wav", None), ("val/a/C:evil.wav", None), ("val\\..\\evil.wav", None), ("\\evil\\evil.wav", None),
    ("val/a/pipe.wav", tarfile.FIFOTYPE), ("val/a/device.wav", tarfile.CHRTYPE)])
def test_nothing_is_written_outside(archives, tmp_path, name, kind):
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy2(archives[0] / "val.json.tar.gz", root)
    with tarfile.open(root / "val.tar.gz", "w:gz") as tar:
        about = tarfile.TarInfo(name)
        if kind:
            about.type, about.linkname = kind, "../../../evil.wav"
        tar.addfile(about)
    with pytest.raises(ValueError, match="val.tar.gz lacks 6 of the 6 recordings"):
        prepare.prepare("inatsounds", root, splits="val")
    assert not list(tmp_path.rglob("*evil*")) and not list(root.rglob("*.wav"))


@pytest.mark.parametrize("second", ["val/a/x.wav", "val/a/X.WAV", "./val/a/x.wav"])
def test_inatsounds_two_recordings_of_one_name_are_refused(archives, tmp_path, second):
    """The one that came last would be kept, or the first after a kill, or either on a disk of Windows."""
    shutil.copy2(archives[0] / "val.json.tar.gz", tmp_path)
    with tarfile.open(tmp_path / "val.tar.gz", "w:gz") as tar:
        for name, size in (("val/a/x.wav", 100), (second, 200)):
            about = tarfile.TarInfo(name)
            about.size = size
            tar.addfile(about, io.BytesIO(bytes(size)))
    with pytest.raises(ValueError, match="val.tar.gz holds a/[xX].(wav|WAV) twice: it is not the published archive"):
        prepare.prepare("inatsounds", tmp_path, splits="val")


def test_inatsounds_packed_by_windows_is_read(site, archives, tmp_path):
    prepare.prepare("inatsounds", tmp_path / "posix", splits="val")
    root = tmp_path / "windows"
    root.mkdir()
    with tarfile.open(archives[0] / "val.tar.gz") as posix, tarfile.open(root / "val.tar.gz", "w:gz") as tar:
        for member in posix:
            content = posix.extractfile(member) if member.isfile() else None
            member.name = member.name.replace("/", "\\")
            tar.addfile(member, content)
    prepare.prepare("inatsounds", root, splits="val")
    assert layouts.tree(root / "val") == layouts.tree(tmp_path / "posix" / "val")


@pytest.mark.parametrize("error, code, said", [(KeyboardInterrupt(), 130, "stopped; the same command goes on"),
                                               (OSError(28, "No space left"), 2, "left): make room, and the same")])
def test_an_interrupt_and_a_full_disk_are_one_line(site, tmp_path, monkeypatch, capsys, error, code, said):
    def stop(*_):
        raise error
    monkeypatch.setattr(inatsounds, "_extract", stop)
    assert prepare.main(["inatsounds", f"root={tmp_path}", "splits=val"]) == code
    assert said in capsys.readouterr().err.splitlines()[-1]


# ------------------------------------------------------------------------------------------------------------- AudioSet

def test_audioset(tmp_path, capsys):
    root = layouts.audioset(tmp_path)
    said = capsys.readouterr().out
    assert "YouTube" in said
    assert "bal_train: 12 clips, 1 of them cannot be used: named in manifest-bal_train.csv" in said
    table = prepare.recordings("audioset", root)
    assert table["split"].value_counts().to_dict() == {"train": 11, "test": 11}
    assert set(table["label"]) == {"Speech", "Music", "Gush"}
    assert len(sources.check(table)) == 22 and table["duration_s"].tolist() == pytest.approx([1.0] * 22, abs=1e-3)
    for file in table["file"]:
        about = soundfile.info(file)
        assert (about.format, about.subtype, about.samplerate, about.channels) == ("FLAC", "PCM_16", 22_050, 1)
        name = Path(file).stem
        assert Path(file).parent.name == name[:2]
    manifest = pd.read_csv(root / "manifest-bal_train.csv", keep_default_na=False)
    bad = manifest[manifest["problem"] != ""]
    assert manifest.columns.tolist() == audioset.MANIFEST and len(bad) == 1 and "decoded" in bad["problem"].iloc[0]
    assert manifest["labels"][0] == "/m/09x0r;/m/zzz" and manifest["human_labels"][0] == "Speech;Inside, small room"
    assert not (root / bad["file"].iloc[0]).exists() and not list(root.rglob(".*.part"))


def test_audioset_counts_are_compared_with_the_hub_s_and_the_paper_s(tmp_path, monkeypatch, capsys):
    root = layouts.audioset(tmp_path, splits=("bal_train",))
    part = ": a part of it, or another release"
    said = capsys.readouterr().out
    assert f"audioset: 12 clips of bal_train instead of 18,685 (by the card on the hub){part}" in said
    prepare.recordings("audioset", root)
    theirs = f"audioset: 11 clips of bal_train instead of 18,373 (usable, in the copy of Liu et al. 2026){part}\n"
    assert capsys.readouterr().out == theirs
    monkeypatch.setitem(audioset.IN_PAPER, "clips of bal_train", 11)
    prepare.recordings("audioset", root)
    assert not capsys.readouterr().out


def test_audioset_clips_are_what_was_in_the_shards(tmp_path):
    root = layouts.audioset(tmp_path, count=1, splits=("eval",), corrupt=False)
    from pyarrow import parquet
    rows = parquet.read_table(root / "data/eval/00.parquet").to_pylist()
    for row, file in zip(rows, prepare.recordings("audioset", root)["file"]):
        (root / "x.flac").write_bytes(row["audio"]["bytes"])
        torch.testing.assert_close(audio.read(file), audio.read(root / "x.flac", rate=22_050), atol=2 / 32_768, rtol=0)


def test_audioset_by_worker_processes_is_the_same(tmp_path):
    layouts.shards(tmp_path / "two", splits=("eval",))
    shutil.copytree(tmp_path / "two", tmp_path / "one")
    prepare.prepare("audioset", tmp_path / "two", splits="eval", workers=2)
    prepare.prepare("audioset", tmp_path / "one", splits="eval", workers=1)
    assert layouts.tree(tmp_path / "two") == layouts.tree(tmp_path / "one")


def test_audioset_a_shard_that_vanishes(tmp_path, monkeypatch):
    """It goes while the one before it is read: named, and missed until it is back. What was done is not done again."""
    root, second = layouts.shards(tmp_path / "root", splits=("bal_train",)), tmp_path / "root/data/bal_train/01.parquet"
    decode, calls = audioset._decode, []

    def vanishing(job):
        calls.append(Path(job.place).name)
        decode(job)
        second.rename(tmp_path / "away")
    monkeypatch.setattr(audioset, "_decode", vanishing)
    with pytest.raises(ValueError, match="the shard .*01.parquet is gone: put it back, and the same command goes on"):
        prepare.prepare("audioset", root, splits="balanced", workers=1)
    monkeypatch.setattr(audioset, "_decode", decode)
    with pytest.raises(ValueError, match="1 shards of bal_train that were there are gone, the first is .*01.parquet"):
        prepare.prepare("audioset", root, splits="balanced", workers=1)
    with pytest.raises(ValueError, match="no split is prepared in .* run python -m lib.sources audioset"):
        prepare.recordings("audioset", root)
    (tmp_path / "away").rename(second)
    monkeypatch.setattr(audioset, "_decode", lambda job: (calls.append(Path(job.place).name), decode(job)))
    prepare.prepare("audioset", root, splits="balanced", workers=1)
    assert calls == ["00.parquet", "01.parquet", "01.parquet"] and len(prepare.recordings("audioset", root)) == 11
    shutil.rmtree(root / "data")  # the shards are no longer needed
    before = layouts.tree(root)
    prepare.prepare("audioset", root, splits="balanced", workers=1)
    assert layouts.tree(root) == before


def test_audioset_from_another_place_than_the_root(tmp_path, monkeypatch):
    """As from the hub: the shards are listed and streamed from where URL points."""
    monkeypatch.setattr(audioset, "URL", f"file://{layouts.shards(tmp_path / 'hub', count=1, splits=('eval',))}")
    prepare.prepare("audioset", tmp_path / "root", splits=["eval"], workers=1)
    assert len(prepare.recordings("audioset", tmp_path / "root")) == 5 and not (tmp_path / "root" / "data").exists()
    monkeypatch.setattr(audioset, "URL", f"file://{tmp_path}/nowhere")
    with pytest.raises(ValueError, match="no shard in .*nowhere/data/bal_train"):
        prepare.prepare("audioset", tmp_path / "root", splits="balanced", workers=1)


def test_audioset_says_what_is_wrong(tmp_path):
    root = layouts.shards(tmp_path, count=1, splits=("eval",))
    shard = root / "data/eval/00.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError,
                       match="stopped in the shard .*00.parquet .*: put that right, or fetch the shard again"):
        prepare.prepare("audioset", root, splits="eval", workers=1)
    shard.write_bytes(whole)
    from pyarrow import parquet
    table = parquet.read_table(shard)
    rows = [row | {"audio": None} if i == 1 else row for i, row in enumerate(table.to_pylist())]
    parquet.write_table(table.from_pylist(rows, table.schema), shard)
    prepare.prepare("audioset", root, splits="eval", workers=1)
    said = pd.read_csv(root / "manifest-eval.csv", keep_default_na=False)["problem"]
    assert (said != "").sum() == 2 and "cannot be decoded" in said[1]  # besides the one that is cut off
    with pytest.raises(ValueError, match="holds clips of 22,050 Hz: rate=22050 goes on"):
        prepare.prepare("audioset", root, splits="eval", rate=16_000)


@pytest.mark.parametrize("name", [None, "", "../../evil", "a/b", "x" * 300, "käuz", "C:x", "nul\0"])
def test_audioset_an_id_that_is_no_file_name_is_one_bad_clip(tmp_path, name):
    job = audioset.Shard("", tmp_path / "part.csv", tmp_path / "root", "eval", 22_050)
    content = layouts.flac(500.0, 0.1, np.random.default_rng(0))
    row = audioset._row(job, {"video_id": name, "audio": {"bytes": content}, "labels": None, "human_labels": None})
    assert row[-1] == "its video_id is no file name" and not list(tmp_path.iterdir())


def test_audioset_whatever_a_decoder_raises_is_one_bad_clip(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a decoder\nfell over")

    monkeypatch.setattr(audio, "resample", fail)
    root = layouts.audioset(tmp_path, count=1, splits=("eval",), corrupt=False)
    said = pd.read_csv(root / "manifest-eval.csv", keep_default_na=False)["problem"]
    assert said.tolist() == ["RuntimeError: a decoder"] * 6


# --------------------------------------------------------------------------------------------------------------- ESC-50

def test_esc50_comes_into_the_cache_by_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(esc50, "CLIPS", 20)
    with layouts.Site() as site:
        site.told = site.ranges = False  # as GitHub sends archives
        site.files["/esc.zip"] = layouts.archive(tmp_path / "esc.zip").read_bytes()
        monkeypatch.setattr(esc50, "URL", f"{site.url}/esc.zip")
        with ThreadPoolExecutor(2) as both:  # as two runs come to it: one fetches, the other waits
            table, other = both.map(prepare.recordings, ["esc50", "esc50"])
        assert "CC BY-NC 3.0" in capsys.readouterr().out and len(site.asked) == 1 and other.equals(table)
        assert prepare.recordings("esc50", "").equals(table) and len(site.asked) == 1
    assert table["split"].value_counts().to_dict() == {"train": 12, "val": 3, "test": 5}
    assert table["group"].nunique() == 19
    assert set(table["label"]) == {"dog", "rain", "clock_tick", "crow"} and table["esc10"].sum() == 10
    assert len(sources.check(table)) == 20 and all(Path(f).parent.parent.name == "ESC-50-master" for f in table["file"])


def test_esc50_by_hand_and_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(esc50, "CLIPS", 20)
    with pytest.raises(ValueError, match="no meta/esc50.csv in .* run python -m lib.sources esc50 root="):
        prepare.recordings("esc50", tmp_path)
    layouts.archive(tmp_path / "ESC-50-master.zip", without="1-1000-A-0.wav")
    with pytest.raises(ValueError,
                       match="is not ESC-50: meta/esc50.csv names 20 clips of 20, and 1 of them are missing"):
        prepare.prepare("esc50", tmp_path)
    whole = layouts.archive(tmp_path / "ESC-50-master.zip").read_bytes()
    (tmp_path / "ESC-50-master.zip").write_bytes(whole[:-1000])
    with pytest.raises(ValueError, match="is cut off or damaged"):
        prepare.prepare("esc50", tmp_path)
    (tmp_path / "ESC-50-master.zip").write_bytes(whole)
    with zipfile.ZipFile(tmp_path / "ESC-50-master.zip") as packed:
        packed.extractall(tmp_path / "unpacked")
    (tmp_path / "by_hand").mkdir()
    next((tmp_path / "unpacked").iterdir()).rename(tmp_path / "by_hand" / "ESC-50")  # as git clone names it
    assert len(prepare.recordings("esc50", tmp_path / "by_hand")) == 20
    prepare.prepare("esc50", tmp_path, keep=False)
    table = prepare.recordings("esc50", tmp_path)
    assert not (tmp_path / "ESC-50-master.zip").exists() and len(table) == 20
    Path(table["file"][3]).unlink()
    with pytest.raises(ValueError, match="1 of 20 clips are missing, the first is .*wav: delete .*esc50.csv and run"):
        prepare.recordings("esc50", tmp_path)


@pytest.mark.parametrize("name", ["../../evil.wav", "/evil.wav", "..\\..\\evil.wav", "C:evil.wav", "..", "."])
def test_esc50_writes_nothing_outside(tmp_path, monkeypatch, name):
    monkeypatch.setattr(esc50, "CLIPS", 1)
    with zipfile.ZipFile(tmp_path / "ESC-50-master.zip", "w") as packed:
        packed.writestr("top/meta/esc50.csv", f"filename\n{name}\n")
        packed.writestr(f"top/audio/{name}", b"x")
    with pytest.raises(ValueError, match="is not ESC-50: .* 1 of them are missing"):
        prepare.prepare("esc50", tmp_path)
    assert not list(tmp_path.rglob("*.wav"))


def test_esc50_packed_by_windows_is_read_and_what_cannot_be_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(esc50, "CLIPS", 20)
    archive = layouts.archive(tmp_path / "posix.zip")
    with zipfile.ZipFile(archive) as posix, zipfile.ZipFile(tmp_path / "ESC-50-master.zip", "w") as packed:
        for member in posix.infolist():
            about = zipfile.ZipInfo("x")
            about.filename = member.filename.replace("/", "\\")
            packed.writestr(about, posix.read(member))
    prepare.prepare("esc50", tmp_path)
    assert len(prepare.recordings("esc50", tmp_path)) == 20
    (tmp_path / "other").mkdir()
    for rows in ("clip\n1.wav\n", "filename\n1.wav\n\n", "filename,fold\n1.wav\n,2\n"):
        with zipfile.ZipFile(tmp_path / "other" / "ESC-50-master.zip", "w") as packed:
            packed.writestr("top/meta/esc50.csv", rows)
        with pytest.raises(ValueError, match="ESC-50-master.zip is not ESC-50: meta/esc50.csv names . clips of 20"):
            prepare.prepare("esc50", tmp_path / "other")


# ------------------------------------------------------------------------------------------------------------------ all

def test_terms_and_command_line(tmp_path, capsys):
    for kind, words in dict(inatsounds="not passed on", audioset="CC BY 4.0", esc50="CC BY-NC 3.0").items():
        assert words in prepare.terms(kind) and "https://" in prepare.terms(kind)
    assert prepare.main(["help"]) == prepare.main([]) == 0 and capsys.readouterr().out.count("CC BY-NC 3.0") == 2
    for words in (["esc51"], ["esc50", "root"], ["esc50", "--root"], ["esc50", f"root={tmp_path}", "keep=no"],
                  ["audioset", f"root={tmp_path}", "rate=x"], ["audioset", f"root={tmp_path}", "kind=esc50"]):
        assert prepare.main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 6


def test_only_one_at_a_time(tmp_path):
    with FileLock(tmp_path / ".prepare.lock"), pytest.raises(ValueError, match="another process prepares"):
        prepare.prepare("esc50", tmp_path)


def test_a_root_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    assert prepare.main(["esc50", f"root={tmp_path / 'file'}"]) == 2
    assert capsys.readouterr().err.endswith("file cannot be written (File exists): a file has that name, move it "
                                            "away\n")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    with pytest.raises(PermissionError, match="denied.: set STUDY_CACHE to a folder that you can write to") as caught:
        prepare.recordings("esc50")
    assert "\n" not in str(caught.value)


def test_a_large_table_is_fast(tmp_path):
    """The whole of iNatSounds has 232,237 rows."""
    rows = 2_000
    categories = [dict(id=i, name=f"Species {i}", common_name=f"common {i}", supercategory="Aves",
                       audio_dir_name=f"{i:05d}_x", evaluation=i % 2)
                  for i in range(100)]
    told = dict(categories=categories, annotations=[dict(id=i, audio_id=i, category_id=i % 100) for i in range(rows)],
                audio=[dict(id=i, duration=12.0, file_name=f"train/{i % 100:05d}_x/{i}.wav", latitude=None,
                            longitude=1.5) for i in range(rows)])
    for i in range(100):
        (tmp_path / f"train/{i:05d}_x").mkdir(parents=True)
    for entry in told["audio"]:
        (tmp_path / entry["file_name"]).touch()
    (tmp_path / "train.json").write_text(json.dumps(told))
    (tmp_path / "train.done.json").write_text(json.dumps(dict(recordings=rows, empty=[])))
    begun = time.process_time()  # whatever else the machine does
    table = prepare.recordings("inatsounds", tmp_path)
    assert len(table) == rows and time.process_time() - begun < 5 and table["latitude"].isna().all()
    assert table.memory_usage(deep=True).sum() / rows < 400  # bytes a row
    assert str(table["file"][7]) == str(paths.resolve(tmp_path) / "train/00007_x/7.wav")
