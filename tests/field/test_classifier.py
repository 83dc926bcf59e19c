import errno
import json
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from toys import ARCH, FRONT, mess, tone, tones

from lib import audio, checkpoints, data, mae, metrics, paths, training
from lib.checkpoints import Card
from lib.field import answers, calibration, classifier, detector
from lib.field import windows as pieces
from lib.field.classifier import Classifier
from lib.mae import MAE
from lib.sources import selections
from lib.transfer import finetune, readouts, reference

LABELS = ["high", "low", "mid"]


def toy(labels=LABELS, seed=0):
    model = finetune.classifier(MAE(ARCH, training.generator(seed)), ARCH, len(labels), training.generator(seed)).eval()
    # a fresh head says the same about everything
    torch.nn.init.normal_(model.head.weight, std=1.0, generator=training.generator(seed, 1))
    return Classifier(model, Card("toy", ARCH, FRONT, "tones", "none", "a test", labels=labels))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    table = tones(tmp_path_factory.mktemp("tones"))
    recipe = finetune.Recipe(epochs=25, batch=6, lr=3e-3, mixup=False, mask_mels=0, mask_frames=0, drop_path=0.0,
                             evaluate=1)
    tuned = finetune.finetune(MAE(ARCH, training.generator(0)), ARCH, FRONT, table, recipe, bar=None)
    return Classifier(tuned.model, replace(toy().card, labels=tuned.labels)), table


# Kept

def test_what_is_saved_says_the_same_when_loaded(tmp_path):
    known = toy()
    path = classifier.save(known.model, known.card, tmp_path)
    loaded = classifier.load(path)
    card = replace(known.card, sha256=loaded.card.sha256, chirp=loaded.card.chirp)
    assert classifier.load(path.with_suffix(".json")).card == loaded.card == card
    assert len(loaded.card.sha256) == 64 and len(loaded.card.chirp) == 3 and not loaded.model.training
    x = torch.randn(2, 1, FRONT.frames, FRONT.mels, generator=training.generator(2))
    assert torch.equal(loaded.model(x), known.model(x))
    assert {p.name for p in tmp_path.iterdir()} == {"toy.safetensors", "toy.json"}


def test_a_changed_or_foreign_file_is_refused(tmp_path):
    known = toy()
    path = classifier.save(known.model, known.card, tmp_path)
    with pytest.raises(ValueError, match="is a classifier of 3 species, not a MAE"):
        checkpoints.load(path)
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | {"labels": ["high", "low"]}))
    with pytest.raises(ValueError, match="toy.safetensors has 3 outputs, its card 2 labels"):
        classifier.load(path)
    path.with_suffix(".json").write_text(json.dumps(card | {"front": card["front"] | {"mean": 60.0}}))
    with pytest.raises(ValueError, match="other numbers on the chirp"):
        classifier.load(path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="it was changed or cut off"):
        classifier.load(path)
    other = checkpoints.save(MAE(ARCH, training.generator(0)), Card("mae", ARCH, FRONT, "", "", ""), tmp_path)
    with pytest.raises(ValueError, match="mae.safetensors is a MAE and names no species"):
        classifier.load(other)
    with pytest.raises(ValueError, match="has 3 outputs, its card 4 labels"):
        classifier.save(known.model, replace(known.card, labels=[*LABELS, "more"]), tmp_path)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Tones shorter than, just as long as, and longer than a window, and a MAE with its card."""
    root = tmp_path_factory.mktemp("three")
    table = pd.concat([tones(root / f"{seconds:.2f}", seconds=seconds, seed=k) for k, seconds in
                       enumerate((0.2, FRONT.seconds, 1.1))], ignore_index=True)
    return table, MAE(ARCH, training.generator(0)).eval(), toy().card


@pytest.mark.parametrize("kind", ["mean", "frequency", "spread", "embedding"])
def test_a_kept_detector_answers_exactly_as_what_was_evaluated_at_every_length(kind, three, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    table, *model = three
    name, features = next((name, one) for name, one in detector.hear(model, table).items() if kind in one.kinds)
    learnt, _ = detector.learn({name: replace(features, kinds={kind: features.kinds[kind]})}, (0.3,))
    rows, targets, groups = detector.windows(features, "val")
    told = calibration.calibrate(learnt.odds(features.kinds[kind][rows]), targets, groups)
    made, about = detector.detector(learnt, model)
    card = replace(model[1], labels=learnt.labels, calibration=told.numbers, **about)
    kept = classifier.load(classifier.save(made, card, tmp_path))
    said = classifier.predict(kept, "/", [file[1:] for file in table["file"]], bar=None)
    theirs = calibration.scores(learnt.odds(features.kinds[kind]), told.slope, told.offset)
    np.testing.assert_allclose(said.scores, theirs, atol=1e-4)
    assert said.windows["score"].to_numpy() == pytest.approx(said.scores.max(1))


def test_of_another_models_encoder_only_the_head_is_kept_and_other_weights_are_refused(three, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    theirs = replace(detector.logmel(FRONT), name="birdnet", key="one")
    monkeypatch.setattr(reference, "load", lambda name: theirs)
    learnt, _ = detector.learn({"birdnet": reference.features(theirs, three[0], bar=None)}, (0.3,))
    with pytest.raises(ValueError, match="train has recordings of high alone: a detector needs what it is not, too"):
        detector.learn({"birdnet": replace(reference.features(theirs, three[0], bar=None), labels=["high"])})
    made, about = detector.detector(learnt, theirs)
    path = classifier.save(made, card := replace(toy().card, labels=learnt.labels, **about), tmp_path)
    assert set(load_file(path)) == set(detector.HEAD)
    answers = classifier.predict(classifier.load(path), three[0]["file"].iloc[0], bar=None)
    assert len(classifier.write(answers, card, tmp_path / "out", 0.001)) == 3
    monkeypatch.setattr(reference, "load", lambda name: replace(theirs, key="two"))
    with pytest.raises(ValueError, match=r"trained on other weights of birdnet \(one\) than are here \(two\)"):
        classifier.load(path)


def test_a_classifier_that_was_kept_before_there_was_a_calibration_still_answers(tmp_path):
    """A frozen encoder with the mean of its patches and a softmax, and a card without the newer fields."""
    model = mae.vit(ARCH, num_classes=3, global_pool="avg", fc_norm=False).eval()
    path = classifier.save(model, toy().card, tmp_path)
    card = json.loads(path.with_suffix(".json").read_text())
    newer = ("encoder", "encoder_key", "calibration", "thresholds")
    path.with_suffix(".json").write_text(json.dumps({k: v for k, v in card.items() if k not in newer}))
    loaded = classifier.load(path)
    odds = torch.randn(2, 3, generator=training.generator(2))
    np.testing.assert_allclose(loaded.scores(odds), odds.softmax(-1), atol=1e-7)
    assert answers.thresholds(loaded.card).tolist() == [0.5] * 3


def test_two_species_at_once_are_both_found_and_noise_never(tmp_path):
    card = replace(toy().card, labels=["high", "low", "noise"], thresholds=[0.6, 0.7, 0.1])
    windows = pd.DataFrame({"file": "a.wav", "start_s": [0.0, 1.5], "end_s": [3.0, 4.5]})
    found = answers.found(windows, np.array([[0.8, 0.7, 0.9], [0.5, 0.9, 0.9]]), card)
    assert found[["label", "start_s", "end_s", "windows"]].to_numpy().tolist() == [["high", 0, 3, 1],
                                                                                  ["low", 0, 4.5, 2]]
    assert set(answers.found(windows, np.full((2, 3), 0.65), card, 0.65)["label"]) == {"high", "low"}


def test_low_rank_updates_are_refused(tmp_path):
    known = toy()
    readouts.low_rank(known.model, 2, training.generator(0))
    with pytest.raises(ValueError, match="LoRA's updates must be merged first"):
        classifier.save(known.model, known.card, tmp_path)


# Windows of a file

@pytest.mark.parametrize("samples", [100, 511, 512, 8_575, 8_576, 8_577, 8_704, 12_671, 12_672, 12_673, 22_050, 100_000,
                                     100_128, 111_111])
def test_windows_are_those_of_the_experiments(samples, tmp_path, monkeypatch):
    """At every length, and whether the pieces that are read are shorter or longer than the recording."""
    wave = 0.1 * torch.randn(samples, generator=training.generator(samples))
    file = audio.write(tmp_path / "a.wav", wave, FRONT.rate)
    ours = data.Windows(pd.DataFrame({"file": [str(file)], "label": "a", "split": "test"}), FRONT)
    theirs = [ours[i][0] for i in range(len(ours))]
    for seconds in (1, 2, 96):
        monkeypatch.setattr(pieces, "PIECE", seconds)
        starts, waves = zip(*pieces.windows(file, *toy().window))
        assert np.concatenate(starts).tolist() == ours.places[:, 1].tolist()
        got = [one for some in waves for one in some]
        assert len(got) == len(theirs)
        assert all(len(a) == len(b) and torch.allclose(a, b, atol=1e-4) for a, b in zip(got, theirs))


def test_answers_are_those_of_the_evaluation(trained):
    """The same probabilities as `finetune.predict` gives the same files, but for its half precision."""
    known, table = trained
    table = table[table["split"] == "test"].reset_index(drop=True)
    root, names = table["file"].str.rpartition("/")[0][0], [f.rpartition("/")[2] for f in table["file"]]
    answers = classifier.predict(known, root, names, bar=None)
    seen = finetune.predict(known.model, FRONT, table, known.card.labels, bar=None)
    assert answers.files["file"].tolist() == names and not answers.skipped
    assert answers.files["label"].tolist() == [known.card.labels[i] for i in seen.probabilities.argmax(1)]
    np.testing.assert_allclose(answers.files["score"], seen.probabilities.max(1), atol=0.01)
    # and it knows something
    assert metrics.class_average(metrics.topk_hits(seen.probabilities, seen.targets, 1), seen.targets) > 0.8
    assert len(answers.windows) == answers.files["windows"].sum() == 6 * 3


def test_any_rate_and_channels_are_heard_alike(trained, tmp_path):
    wave = tone(1500.0, 2.0, np.random.default_rng(0), 44_100).numpy()
    soundfile.write(tmp_path / "mono44.flac", wave, 44_100)
    soundfile.write(tmp_path / "stereo44.wav", np.stack([wave, wave], 1), 44_100)
    soundfile.write(tmp_path / "mono22.wav", tone(1500.0, 2.0, np.random.default_rng(0), 22_050).numpy(), 22_050)
    files = classifier.predict(trained[0], tmp_path, bar=None).files
    assert files["label"].eq("mid").all() and files["rate"].tolist() == [22_050, 44_100, 44_100]
    assert files["score"].std() < 0.02


def test_unusable_files_are_counted_and_named(tmp_path):
    root = mess(tmp_path / "mess")
    answers = classifier.predict(toy(), root, bar=None)
    reasons = dict(line.split(": ", 1) for line in answers.skipped)
    named = {"empty.wav": "is empty", "cut.wav": "cut off", "cut.flac": "decoded", "cut.ogg": "cut off",
             "text.wav": "no sound format", "nan.wav": "NaN",
             "zero.wav": "no samples", "gone.wav": "no such file", "loop.wav": "cannot be read",
             "silent.flac": "nothing but digital silence"}
    assert {f"{label}/{name}" for label in ("frog", "toad") for name in named} == set(reasons)
    assert all(named[file.split("/")[1]] in reason and str(root) not in reason for file, reason in reasons.items())
    assert len(answers.files) == 16 and set(answers.windows["file"]) == set(answers.files["file"])
    assert (answers.windows["end_s"] <= answers.windows["file"].map(answers.files.set_index("file")["duration_s"])
            + 1e-9).all()


def test_silence_within_a_recording_is_left_out(tmp_path):
    wave = tone(800, 4.0, np.random.default_rng(0))
    wave[22_050:66_150] = 0
    audio.write(tmp_path / "a.wav", wave, 22_050)
    windows = classifier.predict(toy(), tmp_path, bar=None).windows
    assert ((windows["start_s"] < 1) | (windows["end_s"] > 3)).all() and {0.0} < set(windows["start_s"])


def test_nothing_to_predict_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no such folder or sound file"):
        classifier.predict(toy(), tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no sounds in this folder or below it; looked for .aif"):
        classifier.predict(toy(), tmp_path)
    (tmp_path / "a.wav").touch()
    with pytest.raises(ValueError, match=r"none of 1 files can be used, the first: a.wav: is empty \(0 bytes\)"):
        classifier.predict(toy(), tmp_path, bar=None)


def test_answers_that_are_written_again_leave_no_selections_of_before(trained, tmp_path):
    known, table = trained
    answers = classifier.predict(known, Path(table["file"].iloc[-1]), bar=None)
    assert len(classifier.write(answers, known.card, tmp_path, 0.01))
    mine = paths.write_text(tmp_path / "audacity" / "mine.txt", "0\t1\tfrog\n")
    assert len(classifier.write(answers, known.card, tmp_path, 1.0)) == 0
    assert [path for path in tmp_path.rglob("*.txt") if path.name != "skipped.txt"] == [mine]


def test_a_box_in_raven_reaches_no_higher_than_birdnet_hears(tmp_path):
    card = replace(toy().card, arch=None, front=None, encoder="birdnet", encoder_key="k")
    windows = pd.DataFrame({"file": ["a.wav"], "start_s": 0.0, "end_s": 3.0, "label": card.labels[0], "score": 1.0,
                            "second": card.labels[1], "second_score": 0.0})
    files = windows.drop(columns=["start_s", "end_s"]).assign(duration_s=3.0, rate=96_000, windows=1)
    scores = np.eye(len(card.labels))[:1]
    classifier.write(answers.Answers(windows, files, [], scores), card, tmp_path, 0.5)
    assert "\t0.0\t24000.0\t" in (tmp_path / "raven" / "a.Table.1.selections.txt").read_text()


# The command line

def command(*words) -> int:
    return paths.command(classifier.answer, words, classifier.__doc__)


def test_the_command_writes_all_files(trained, tmp_path, capsys):
    known, table = trained
    model = classifier.save(known.model, known.card, tmp_path / "model")
    (new := tmp_path / "new" / "pond").mkdir(parents=True)
    for label in ("low", "high"):
        shutil.copy(table.loc[table["label"] == label, "file"].iloc[-1], new / f"{label}.wav")
    (new / "broken.wav").touch()
    assert command(str(model), str(tmp_path / "new"), f"out={tmp_path / 'out'}", "threshold=0.4") == 0
    said = ("2 files, 6 windows, 2 selections of 2 species with a score of 0.4 or more; 1 files skipped\n"
            "  pond/broken.wav: is empty")
    assert capsys.readouterr().out.startswith(said)
    written = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("[!.]*.*"))
    assert written == ["answers.json", "audacity/pond/high.txt", "audacity/pond/low.txt", "done.jsonl", "files.csv",
                       "raven/pond/high.Table.1.selections.txt",
                       "raven/pond/low.Table.1.selections.txt", "selections.csv", "skipped.txt", "windows.csv"]
    files = pd.read_csv(tmp_path / "out" / "files.csv")
    assert files[["file", "label"]].to_numpy().tolist() == [["pond/high.wav", "high"], ["pond/low.wav", "low"]]
    # the end of the last whole frame
    assert (tmp_path / "out" / "audacity" / "pond" / "low.txt").read_text() == "0.000000\t0.597914\tlow\n"


@pytest.mark.parametrize("words, said", [
    (["MODEL", "NEW"], "no out=DIR"), (["MODEL", "NEW", "out=OUT", "threshold=80"], "threshold is 80"),
    (["MODEL", "NEW", "out=OUT", "treshold=0.4"], "no 'treshold', did you mean threshold?"),
    (["MODEL", "NEW", "out"], "got 'out': it must be name=value"),
    (["none.safetensors", "NEW", "out=OUT"], "none.json is missing"),
    (["MODEL", "NEW/no", "out=OUT"], "no such folder or sound file")])
def test_a_mistake_is_one_line(words, said, tmp_path, capsys):
    known = toy()
    model = classifier.save(known.model, known.card, tmp_path)
    (tmp_path / "new").mkdir()
    audio.write(tmp_path / "new" / "a.wav", tone(800, 1.0, np.random.default_rng(0)), 22_050)
    put = {"MODEL": str(model), "NEW": str(tmp_path / "new"), "OUT": str(tmp_path / "out")}
    for name, path in put.items():
        words = [word.replace(name, path) for word in words]
    assert command(*words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


# A season

@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """A saved classifier, a folder of five recordings, and what an uninterrupted run says of them."""
    root = tmp_path_factory.mktemp("season")
    known, rng = toy(), np.random.default_rng(0)
    model = classifier.save(known.model, known.card, root)
    for name, hz in (("a.wav", 300), ("pond/b.wav", 1500), ("pond/c,\n\"c\".flac", 5000), ("x.wav", 400)):
        (root / "new" / name).parent.mkdir(parents=True, exist_ok=True)
        audio.write(root / "new" / name, tone(hz, 0.9, rng), 22_050)
    (root / "new" / "broken.wav").touch()
    assert command(str(model), str(root / "new"), f"out={root / 'out'}", "threshold=0.1") == 0
    return model, root / "new", root / "out"


def tree(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != ".lock"}


class Kill(BaseException):
    """No more than this is done: as kill -9, without its mess."""


@contextmanager
def killed(after: int, share: float):
    """Ends the command at a write, of which a share is still made; nothing is tidied up."""
    append, left = answers.Book._append, [after]
    with pytest.MonkeyPatch.context() as patch:
        def dying(self, name, text):
            if not left[0]:
                append(self, name, text[: int(share * len(text))])
                patch.setattr(answers.Book, "_cut", lambda book: None)
                raise Kill
            left[0] -= 1
            return append(self, name, text)

        patch.setattr(answers.Book, "_append", dying)
        yield


@settings(max_examples=8, deadline=None, derandomize=True)
@given(moments=st.lists(st.tuples(st.integers(0, 24), st.floats(0, 1)), min_size=1, max_size=3))
def test_killed_at_any_moment_the_same_command_ends_with_the_same_files(season, moments):
    model, new, whole = season
    known = classifier.load(model)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "load", lambda path: known)  # at once
        words = str(model), str(new), f"out={folder}/out", "threshold=0.1"
        for after, share in moments:
            with killed(after, share), suppress(Kill):
                command(*words)
        assert command(*words) == 0 and tree(Path(folder) / "out") == tree(whole)


def test_a_second_call_hears_nothing_again_and_says_the_same(season, monkeypatch, capsys):
    model, new, out = season
    monkeypatch.setattr(classifier, "hear", None)
    before = tree(out)
    assert command(str(model), str(new), f"out={out}", "threshold=0.1") == 0
    assert capsys.readouterr().out.startswith("4 files, 16 windows, ") and tree(out) == before


def test_the_command_writes_what_the_tables_of_predict_say(season, tmp_path):
    model, new, out = season
    known = classifier.load(model)
    said = classifier.predict(known, new, bar=None)
    found = classifier.write(said, known.card, tmp_path / "out", 0.1)
    ours, theirs = tree(out), tree(tmp_path / "out")
    assert len(found) and theirs == {name: ours[name] for name in ours if name not in (answers.WHOSE, answers.DONE)}
    for name, table in (("windows", said.windows), ("files", said.files), ("selections", found)):
        read = pd.read_csv(out / f"{name}.csv")
        assert read["file"].tolist() == table["file"].tolist() and read["label"].tolist() == table["label"].tolist()


@pytest.mark.parametrize("change, said", [
    ({"threshold": "0.2"}, "holds other answers (threshold 0.1 instead of 0.2): choose another out, or delete it"),
    ({"new": "new/pond"}, "holds other answers (folder "),
    ({"model": "other.safetensors"}, "holds other answers (model "),
    ({"answers.json": None}, "holds other answers (windows.csv, but no answers.json that says whose it is): "),
    ({"windows.csv": b""}, "windows.csv has 0 of the ")])
def test_answers_of_two_kinds_never_mix(season, tmp_path, capsys, change, said):
    root = shutil.copytree(season[1].parent, tmp_path / "season")
    whole = root / "out" / "answers.json"
    whole.write_text(whole.read_text().replace(str(season[1]), str(root / "new")))
    other = toy(seed=1)
    classifier.save(other.model, replace(other.card, name="other"), root)
    for name in change.keys() & {"answers.json", "windows.csv"}:
        (root / "out" / name).write_bytes(change[name]) if change[name] is not None else (root / "out" / name).unlink()
    before = tree(root / "out")
    assert command(str(root / change.get("model", "toy.safetensors")), str(root / change.get("new", "new")),
                   f"out={root / 'out'}", f"threshold={change.get('threshold', '0.1')}") == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert tree(root / "out") == before


def test_only_one_run_writes_into_a_folder(season, capsys):
    model, new, out = season
    with paths.lock(out / ".lock"):
        assert command(str(model), str(new), f"out={out}", "threshold=0.1") == 2
    assert "another run writes its answers there at this moment" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told_before_the_model_is_loaded(season, tmp_path, monkeypatch, capsys):
    model, new, _ = season
    monkeypatch.setattr(classifier, "load", None)
    (tmp_path / "file").touch()
    assert command(str(model), str(new), f"out={tmp_path / 'file'}") == 2
    monkeypatch.setattr(Path, "touch", refusing(errno.EROFS))
    assert command(str(model), str(new), f"out={tmp_path / 'out'}") == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("file cannot be written (File exists): a file has that name, move it away")
    assert second.endswith("(Read-only file system): take a folder that you can write to")


def refusing(number: int, after: int = 0):
    """A stand-in for a function of the system that refuses from a call on."""
    left = [after]

    def refuse(*_, **__):
        if not left[0]:
            raise OSError(number, os.strerror(number))
        left[0] -= 1
    return refuse


def test_a_disk_that_gets_full_is_one_line_and_the_same_command_goes_on(season, tmp_path, monkeypatch, capsys):
    model, new, whole = season
    words = str(model), str(new), f"out={tmp_path / 'out'}", "threshold=0.1"
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refusing(errno.ENOSPC, after=7))
        assert command(*words) == 2
    said = capsys.readouterr().err
    assert said.endswith("(No space left on device): make room, and the same command goes on\n")
    assert said.count("\n") == 1
    kept = (tmp_path / "out" / "done.jsonl").read_text().splitlines()
    assert len(kept) == 1 and len(pd.read_csv(tmp_path / "out" / "windows.csv")) == 4  # nothing of the next recording
    assert command(*words) == 0 and tree(tmp_path / "out") == tree(whole)


def test_whatever_a_decoder_raises_skips_one_file_and_is_named(season, tmp_path, monkeypatch, capsys):
    model, new, _ = season
    stream = audio.stream

    def failing(file, *how):
        if Path(file).name == "b.wav":
            raise RuntimeError("a decoder\nfell over")
        return stream(file, *how)

    monkeypatch.setattr(audio, "stream", failing)
    assert command(str(model), str(new), f"out={tmp_path / 'out'}") == 0
    said = (tmp_path / "out" / "skipped.txt").read_text().splitlines()
    assert said == ["broken.wav: is empty (0 bytes)",
                    "pond/b.wav: cannot be read (RuntimeError: a decoder\\nfell over)"]
    assert "3 files, 12 windows" in (out := capsys.readouterr().out) and "2 files skipped" in out


@pytest.mark.parametrize("error, code", [(KeyboardInterrupt(), 130), (MemoryError(), None),
                                         (OSError(errno.ENOSPC, "No space left on device"), 2)])
def test_what_is_no_fault_of_a_file_ends_the_run(season, tmp_path, monkeypatch, capsys, error, code):
    def failing(*_):
        raise error

    monkeypatch.setattr(audio, "stream", failing)
    words = str(season[0]), str(season[1]), f"out={tmp_path / 'out'}"
    if code is None:
        with pytest.raises(MemoryError):
            command(*words)
    else:
        assert command(*words) == code
    assert not (tmp_path / "out" / "skipped.txt").read_text()


def test_a_model_that_fails_is_no_fault_of_the_files(season, tmp_path, monkeypatch):
    def failing(*_):
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(classifier, "_asker", lambda _: failing)
    with pytest.raises(RuntimeError, match="CUDA error"):
        command(str(season[0]), str(season[1]), f"out={tmp_path / 'out'}")
    assert not (tmp_path / "out" / "skipped.txt").read_text()


def test_a_disk_of_recordings_that_is_pulled_out_is_no_season_of_bad_files(season, tmp_path, capsys, monkeypatch):
    new = shutil.copytree(season[1], tmp_path / "new")
    asker = classifier._asker

    def pulled(kept):
        ask = asker(kept)
        return lambda waves: (new.exists() and new.rename(tmp_path / "away"), ask(waves))[1]

    words = str(season[0]), str(new), f"out={tmp_path / 'out'}"
    with monkeypatch.context() as pulling:
        pulling.setattr(classifier, "_asker", pulled)
        assert command(*words) == 2
    assert "new is gone: bring it back, and the same command goes on" in capsys.readouterr().err
    (tmp_path / "away").rename(new)
    assert command(*words) == 0 and "4 files, 16 windows" in capsys.readouterr().out


NAMES = ["line\nfeed.wav", "return\r.wav", "tab\t.wav", 'quote".wav', "comma,.wav", "back\\slash.wav", "~nobody.wav",
         "~.wav", " blank .wav", "\x85\u2028.wav", "ü" * 123 + ".wav", "x" * 250 + ".wav", "bad\udcff.wav", "a.wav.wav"]


def test_no_name_ends_a_run_and_all_are_read_back(season, tmp_path, capsys):
    (tmp_path / "new").mkdir()
    for name in NAMES:
        shutil.copy(season[1] / "a.wav", tmp_path / "new" / name)
    assert command(str(season[0]), str(tmp_path / "new"), f"out={tmp_path / 'out'}", "threshold=0.01") == 0
    used = pd.read_csv(tmp_path / "out" / "files.csv")["file"].tolist()
    skipped = (tmp_path / "out" / "skipped.txt").read_text(encoding="utf-8").splitlines()
    assert skipped[0] == r"bad\udcff.wav: its name is no UTF-8: rename it" and len(used) == len(NAMES) - 1
    told = {name.encode("utf-8", "backslashreplace").decode() for name in NAMES}
    assert set(used) <= told and len(used) == len(set(used))
    tracks = [p for p in (tmp_path / "out" / "raven").rglob("*") if p.is_file()]
    assert len(tracks) == len(NAMES) - len(skipped) and all(p.stat().st_size for p in tracks)
    names = [*NAMES, "nul\0.wav", "gone.wav"]
    said = classifier.predict(classifier.load(season[0]), tmp_path / "new", names, bar=None)
    assert len(said.files) == len(used) and len(said.files) + len(said.skipped) == len(names)


def test_a_name_that_the_disk_of_the_answers_does_not_take_is_told(season, tmp_path, monkeypatch, capsys):
    tracks = selections.tracks

    def fat(rows, folder, name, *band):
        if name == "x":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return tracks(rows, folder, name, *band)

    monkeypatch.setattr(selections, "tracks", fat)
    assert command(str(season[0]), str(season[1]), f"out={tmp_path / 'out'}", "threshold=0.1") == 0
    said = (tmp_path / "out" / "skipped.txt").read_text().splitlines()
    assert said[1] == f"x.wav: its label files cannot have this name on the disk of {tmp_path / 'out'}"
    assert "x.wav" in pd.read_csv(tmp_path / "out" / "selections.csv")["file"].tolist()
