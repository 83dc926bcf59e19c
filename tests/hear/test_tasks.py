"""HEAR's tasks: folders of every official kind run end to end, the predictor is the kit's and agrees with scikit-learn, errors say what to do."""

import io
import itertools
import json
import tarfile
from dataclasses import replace
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from toys import tone

from lib import audio
from lib.hear import predictor, scores, tasks
from lib.hear.predictor import Fold, Options, Point, Split
from lib.hear.scores import Event

QUICK = Options(points=3, hidden=64, batch=64, epochs=120, every_events=5, patience=30)
HZ = {"low": 300.0, "mid": 1500.0, "high": 5000.0}
SPLITS = ("train", "valid", "test")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


class Bands(torch.nn.Module):
    """A model of HEAR's interface: how loud 12 bands are in every 100 ms, in a random order."""

    def __init__(self, rate: int = 16_000) -> None:
        super().__init__()
        self.sample_rate, self.scene_embedding_size, self.timestamp_embedding_size, self.calls = rate, 12, 12, []
        self.register_buffer("order", torch.arange(12))


api = ModuleType("toy")


def _timestamps(audio, model):
    model.calls.append(tuple(audio.shape))
    step = model.sample_rate // 10
    frames = audio.unfold(1, step, step)  # (B, n, step)
    bands = torch.fft.rfft(frames).abs()[..., 1:].unfold(-1, step // 24, step // 24).mean(-1)[..., :12]
    return (bands + 1e-3).log()[..., model.order], 50 + 100 * torch.arange(frames.shape[1]).expand(len(audio), -1)


api.get_timestamp_embeddings = _timestamps
api.get_scene_embeddings = lambda audio, model: _timestamps(audio, model)[0].mean(1)


def write(folder, sounds, *, kind="scene", prediction="multiclass", mode="trainvaltest", evaluation=("top1_acc",), seconds=0.4, rates=(16_000,),
          **more):
    """A task folder of the official layout from {split: [(wave(rate), answer)]}."""
    for split, items in sounds.items():
        answers = {}
        for i, (wave, answer) in enumerate(items):
            answers[f"{split}{i}.wav"] = answer
            for rate in rates:
                audio.write(folder / str(rate) / split / f"{split}{i}.wav", wave(rate), rate)
        (folder / f"{split}.json").write_text(json.dumps(answers))
    pd.DataFrame({"idx": [1, 0, 2], "label": ["mid", "low", "high"]}).to_csv(folder / "labelvocabulary.csv", index=False)
    about = dict(task_name="mini", version="v1", embedding_type=kind, prediction_type=prediction, split_mode=mode, sample_duration=seconds,
                 splits=list(sounds), evaluation=list(evaluation), **more)
    (folder / "task_metadata.json").write_text(json.dumps(about))
    return folder


def scene(labels, seed, seconds=0.4):
    """A tone for each label, over hiss."""
    def wave(rate):
        hiss = 1e-3 * torch.randn(round(seconds * rate), generator=torch.Generator().manual_seed(seed))
        return sum((tone(HZ[n] * (1 + 0.05 * (seed % 3 - 1)), seconds, np.random.default_rng(seed), rate) for n in labels), hiss)
    return wave


def events(seed):
    """2 to 3 s of hiss with one or two tones of half a second -> a wave and its events."""
    rng = np.random.default_rng(seed)
    long_s, found = 2 + 0.1 * int(rng.integers(11)), []
    for start in rng.permutation([0.2, 1.1])[: rng.integers(1, 3)] + rng.uniform(0, 0.3):
        found.append({"label": list(HZ)[rng.integers(3)], "start": round(1000 * start, 1), "end": round(1000 * start + 500, 1)})

    def wave(rate):
        out = 1e-3 * torch.randn(round(long_s * rate), generator=torch.Generator().manual_seed(seed))
        for e in found:
            first = round(e["start"] * rate / 1000)
            out[first : first + rate // 2] += tone(HZ[e["label"]], 0.5, np.random.default_rng(seed), rate)
        return out
    return wave, found


def of_kind(folder, which):
    """A miniature of each official kind."""
    if which == "event":
        return write(folder, {s: [events(100 * k + i) for i in range(n)] for k, (s, n) in enumerate([("train", 14), ("valid", 6), ("test", 6)])},
                     kind="event", prediction="multilabel", seconds=None, evaluation=("event_onset_200ms_fms", "segment_1s_er"),
                     evaluation_params={"event_postprocessing_grid": {"median_filter_ms": [0, 250], "min_duration": [0, 125]}})
    if which == "multilabel":  # of different lengths, some without a label
        sets = [c for r in range(4) for c in itertools.combinations(HZ, r)]
        sounds = {s: [(scene(c, 10 * k + i, 0.3 + 0.1 * (i % 3)), list(c)) for i, c in enumerate(sets * 3)] for k, s in enumerate(SPLITS)}
        return write(folder, sounds, prediction="multilabel", seconds=None, evaluation=("mAP", "top1_acc", "d_prime", "aucroc"))
    splits = SPLITS if which == "multiclass" else [f"fold{i:02d}" for i in range(4)]
    return write(folder, {s: [(scene([n], 10 * k + i), [n]) for i, n in enumerate(list(HZ) * 4)] for k, s in enumerate(splits)},
                 mode={"multiclass": "trainvaltest"}.get(which, "presplit_kfold"), evaluation=("top1_acc", "mAP"))


# ----------------------------------------------------------------------------------------------------------- end to end

@pytest.mark.parametrize("which", ["multiclass", "kfold", "multilabel", "event"])
def test_official_kinds_run_end_to_end(tmp_path, which):
    task = tasks.read(of_kind(tmp_path / "mini", which))
    assert task.labels == ("low", "mid", "high") and task.name == "mini"
    result = tasks.evaluate(task, Bands(), 0, options=replace(QUICK, epochs=50) if which == "event" else QUICK, api=api, bar=None)
    assert result.score > 0.85, result
    assert set(result.scores) == set(task.scores) and result.score == result.scores[task.scores[0]]
    test = {f"{fold.test[0]}/{name}" for fold in task.folds for name in task.splits[fold.test[0]]}
    assert set(result.answers.files) == test and len(result.answers.files) == len(result.answers.guesses) == len(result.answers.targets)
    assert len(result.folds) == len(task.folds) and len(result.tried) == QUICK.points + len(task.folds) - 1
    if which == "event":
        assert result.scores["segment_1s_er"] < 0.5 and result.folds["median_ms"][0] in (0, 250)
        assert scores.onset_f(result.answers.guesses, result.answers.targets) == pytest.approx(result.score)
    elif which != "kfold":
        assert scores.SCORES[task.scores[0]].of(result.answers.guesses, result.answers.targets) == pytest.approx(result.score)


def test_each_fold_is_tested_once_and_the_next_one_chooses(tmp_path):
    task = tasks.read(of_kind(tmp_path / "mini", "kfold"))
    assert [f.test[0] for f in task.folds] == ["fold00", "fold01", "fold02", "fold03"]
    assert task.folds[0] == Fold(("fold02", "fold03"), ("fold01",), ("fold00",))
    assert task.folds[3] == Fold(("fold01", "fold02"), ("fold00",), ("fold03",))


def test_a_wrong_answer_counts(tmp_path):
    """Labels without any relation to the sounds: nothing beats chance on test by much."""
    rng = np.random.default_rng(0)
    folder = write(tmp_path, {s: [(scene([], 100 * k + i), [list(HZ)[rng.integers(3)]]) for i in range(30)] for k, s in enumerate(SPLITS)})
    assert tasks.evaluate(tasks.read(folder), Bands(), 0, options=QUICK, api=api, bar=None).score < 0.6


# ----------------------------------------------------------------------------------------------------------- embeddings

def test_embeddings_are_kept_and_go_with_what_they_depend_on(tmp_path):
    folder = of_kind(tmp_path / "mini", "multiclass")
    task, model = tasks.read(folder), Bands()
    first = tasks.embed(task, model, api=api, bar=None)
    seen = len(model.calls)
    again = tasks.embed(task, model, api=api, bar=None)
    assert seen == 3 and len(model.calls) == seen  # one batch a split, then none
    assert all(torch.equal(first[s].x, again[s].x) for s in first) and first["train"].x.dtype == torch.float32
    other = Bands()
    other.order = other.order.flip(0)  # a weight
    assert torch.equal(tasks.embed(task, other, api=api, bar=None)["test"].x, first["test"].x.flip(1))
    third = Bands()
    third.bands = 12  # a setting that is no weight
    tasks.embed(task, third, api=api, bar=None)
    assert len(third.calls) == 3
    audio.write(folder / "16000" / "test" / "test0.wav", torch.zeros(6400), 16_000)  # a sound
    tasks.embed(task, model, api=api, bar=None)
    assert len(model.calls) == 6


def test_embeddings_do_not_depend_on_the_batch(tmp_path, monkeypatch):
    task = tasks.read(of_kind(tmp_path / "mini", "multilabel"))
    together = tasks.embed(task, model := Bands(), api=api, bar=None)
    assert {len(shape) for shape in model.calls} == {2} and len({n for _, n in model.calls}) == 3  # no length was filled up
    monkeypatch.setattr(tasks, "PASS", 1)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "other"))
    alone = tasks.embed(task, Bands(), api=api, bar=None)
    assert all(torch.allclose(together[s].x, alone[s].x, atol=1e-6) for s in together)


def test_event_rows_have_their_times_and_labels(tmp_path):
    wave = lambda rate: torch.zeros(rate)  # noqa: E731
    answers = [{"label": "high", "start": 150, "end": 250.0}, {"label": "low", "start": 240, "end": 260}, {"label": "mid", "start": 960, "end": 999}]
    task = tasks.read(write(tmp_path, {"train": [(wave, answers)], "valid": [(wave, [])], "test": [(wave, [])]}, kind="event", prediction="multilabel",
                           evaluation=("event_onset_200ms_fms",)))
    split = tasks.embed(task, Bands(), api=api, bar=None)["train"]
    assert split.times.tolist() == [50 + 100 * i for i in range(10)] and split.row.tolist() == [0] * 10
    assert split.y.nonzero().tolist() == [[1, 2], [2, 0], [2, 2]]  # both ends belong to it; a call between two times is heard by none
    assert split.truth == [[Event(2, 150, 250), Event(0, 240, 260), Event(1, 960, 999)]]


def test_the_next_higher_rate_is_read(tmp_path):
    task = tasks.read(of_kind(tmp_path / "a", "multiclass"))
    assert task.rate(16_000) == task.rate(8000) == task.rate(22_050) == 16_000
    high = tasks.read(write(tmp_path / "b", {s: [(scene([n], 1), [n]) for n in HZ] for s in ("train", "valid", "test")}, rates=(22_050, 48_000)))
    assert high.rate(16_000) == 22_050 and high.rate(32_000) == 48_000
    assert tasks.embed(high, model := Bands(), api=api, bar=None)["test"].x.shape == (3, 12) and model.calls[0] == (3, 6400)


# ------------------------------------------------------------------------------------------------------------ predictor

def blobs(prediction, seed=0, count=240, width=20, classes=4, apart=0.6, splits=("train", "valid", "test")):
    rng = np.random.default_rng(seed)
    centre, out = apart * rng.standard_normal((classes, width)), {}
    for name in splits:
        y = np.eye(classes)[np.arange(count) % classes] if prediction == "multiclass" else (rng.random((count, classes)) < 0.3).astype(float)
        x = y @ centre + rng.standard_normal((count, width))
        out[name] = Split(torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32), [f"{i}.wav" for i in range(count)],
                          np.arange(count), np.zeros(count), [[]] * count)
    return out


ONE = [Fold(("train",), ("valid",), ("test",))]


@pytest.mark.parametrize("as_published", [True, False])
def test_agrees_with_logistic_regression(as_published):
    """Classes around centres: the best separation is linear, so the network comes near it and not above it by much."""
    options = Options(points=3, hidden=64, batch=64, epochs=30, patience=4, as_published=as_published)
    splits = blobs("multiclass")
    known = LogisticRegression().fit(splits["train"].x, splits["train"].y.argmax(1)).score(splits["test"].x, splits["test"].y.argmax(1))
    assert 0.8 < known < 0.99 and abs(predictor.evaluate(splits, ONE, "multiclass", ["top1_acc"], 0, options, bar=None).score - known) < 0.06
    splits = blobs("multilabel")
    asked = [LogisticRegression().fit(splits["train"].x, y).predict_proba(splits["test"].x)[:, 1] for y in splits["train"].y.T]
    known = average_precision_score(splits["test"].y, np.stack(asked, 1), average="macro")
    assert 0.7 < known < 0.99 and abs(predictor.evaluate(splits, ONE, "multilabel", ["mAP"], 0, options, bar=None).score - known) < 0.06


def test_the_grid_is_the_kits():
    """The first eight that heareval 2021.1.3 tried, in its order; all sixteen are different."""
    u, n = "xavier_uniform_", "xavier_normal_"
    assert predictor.grid()[:8] == [Point(1, n, 1e-4), Point(2, u, 1e-3), Point(1, n, 1e-3), Point(1, n, 3.2e-4), Point(2, n, 3.2e-4),
                                    Point(2, u, 3.2e-4), Point(2, n, 3.2e-3), Point(2, u, 3.2e-3)]
    assert len(set(predictor.grid())) == 16 and Options() == Options(8, 1024, 0.1, 1024, 1024, 500, 3, 10, 20, True)


def test_the_network_is_the_kits():
    layers = predictor.network(7, 3, Point(2, "xavier_uniform_", 1e-3), Options(hidden=11))
    assert [type(m).__name__ for m in layers] == ["Linear", "BatchNorm1d", "Dropout", "ReLU"] * 2 + ["Linear"] and layers[2].p == 0.1
    assert [tuple(p.shape) for p in layers.parameters() if p.ndim == 2] == [(11, 7), (11, 11), (3, 11)]
    assert layers[0].weight.abs().max() <= (6 / 18) ** 0.5 < layers[4].weight.abs().max() <= (12 / 22) ** 0.5  # gain 1, then the square root of 2


def test_training_stops_early_and_keeps_its_best_look():
    options = Options(points=2, hidden=32, epochs=300, every=3, patience=4)
    result = predictor.evaluate(blobs("multiclass"), ONE, "multiclass", ["top1_acc"], 0, options, bar=None)
    looks, best = result.tried["looks"], result.tried["epoch"] / 3
    assert ((looks == 100) | (looks - best == 4)).all() and (looks < 100).any() and result.folds["valid"][0] == result.tried["valid"].max()


def test_the_quirks_are_one_option(monkeypatch):
    """As published the grid is searched on the first fold only, and the order of the batches never changes."""
    seen, real = [], predictor._batches
    monkeypatch.setattr(predictor, "_batches", lambda order, size: seen.append(tuple(order.tolist())) or real(order, size))
    names = [f"fold{i:02d}" for i in range(3)]
    folds = [Fold((names[2 - i],), (names[(i + 1) % 3],), (names[i],)) for i in range(3)]
    splits = blobs("multiclass", count=60, splits=names)
    options = replace(QUICK, points=2, epochs=9, batch=16)
    kit = predictor.evaluate(splits, folds, "multiclass", ["top1_acc"], 0, options, bar=None)
    assert len(seen) == 4 * 9 and len(set(seen)) == 1 and sorted(seen[0]) == list(range(60)) != list(seen[0])  # one order, for all folds and epochs
    mended = predictor.evaluate(splits, folds, "multiclass", ["top1_acc"], 0, replace(options, as_published=False), bar=None)
    assert len(set(seen[36:])) == 6 * 9
    assert kit.tried["fold"].tolist() == [0, 0, 1, 2] and mended.tried["fold"].tolist() == [0, 0, 1, 1, 2, 2]
    assert kit.folds[["layers", "init", "lr"]].nunique().tolist() == [1, 1, 1]
    assert [len(b) for b in predictor._batches(torch.arange(33), 16)] == [16, 17]  # batch norm fails on one row
    assert not np.array_equal(kit.answers.guesses, mended.answers.guesses)


def test_repeats_exactly_and_touches_no_global_seed():
    splits, options = blobs("multiclass", count=60), replace(QUICK, points=2, epochs=12)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (predictor.evaluate(splits, ONE, "multiclass", ["top1_acc"], seed, options, bar=None).answers.guesses for seed in (0, 0, 1))
    assert np.array_equal(one, two) and not np.array_equal(one, other) and torch.equal(before, torch.get_rng_state())


# --------------------------------------------------------------------------------------------------------------- scores

TRUTH = [[Event(0, 100, 900), Event(0, 250, 1500), Event(1, 2000, 2400)], [], [Event(2, 500, 3100)], [Event(1, 0, 1000)]]
GUESS = [[Event(0, 80, 700), Event(0, 290, 1100), Event(0, 310, 400), Event(1, 2201, 2600)], [Event(1, 400, 800)],
         [Event(1, 500, 2000), Event(2, 700, 2900)], []]


def test_event_scores_are_those_of_sed_eval():
    """Numbers of sed_eval 0.2.1 with hear-eval-kit's settings: two right pairs need matching, one guess is 1 ms too late, one exactly in time."""
    assert scores.onset_f(GUESS, TRUTH) == pytest.approx(0.5) and scores.segment_error(GUESS, TRUTH) == pytest.approx(0.625)
    assert scores.onset_f(TRUTH, TRUTH) == 1 and scores.segment_error(TRUTH, TRUTH) == 0
    assert scores.onset_f([[]] * 4, TRUTH) == 0 and scores.segment_error([[]] * 4, TRUTH) == 1


def test_scene_scores():
    targets = np.eye(24)[[0, 1, 13, 3]]
    p = np.eye(24)[[0, 13, 1, 4]]
    assert scores.top1(p, targets) == 0.25 and scores.chroma(p, targets) == 0.75
    rng = np.random.default_rng(0)
    targets, p = (rng.random((200, 3)) < 0.4).astype(float), rng.random((200, 3))
    assert scores.mean_ap(p, targets) == pytest.approx(average_precision_score(targets, p, average="macro"))
    assert scores.aucroc(p, targets) == pytest.approx(0.5, abs=0.1) and scores.d_prime(p, targets) == pytest.approx(0, abs=0.4)
    absent = np.concatenate([targets, np.zeros((200, 1))], 1)  # a class that does not occur
    assert scores.mean_ap(np.concatenate([p, p[:, :1]], 1), absent) == scores.mean_ap(p, targets) and np.isnan(scores.aucroc(p, 0 * targets))


def test_events_are_joined_smoothed_and_sifted():
    times = 80 + 160.0 * np.arange(8)
    p = np.array([[0.9, 0.9, 0.1, 0.1, 0.6, 0.1, 0.5, 0.9]]).T
    assert scores.events(p, times, 0, 0) == [Event(0, 80, 240), Event(0, 720, 720), Event(0, 1200, 1200)]
    assert scores.events(p, times, 0, 125) == [Event(0, 80, 240)]
    assert scores.events(p, times, 480, 0) == [Event(0, 80, 240), Event(0, 1200, 1200)]
    assert scores.events(p[:1], times[:1], 250, 0) == [Event(0, 80, 80)] and scores.events(0 * p, times, 0, 0) == []


# --------------------------------------------------------------------------------------------------------------- errors

def changed(folder, file="task_metadata.json", **values):
    told = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(told | values))
    return folder


def test_errors_of_a_folder(tmp_path):
    folder = of_kind(tmp_path / "tasks" / "mini", "multiclass")
    with pytest.raises(ValueError, match="no HEAR task.*holds the tasks mini"):
        tasks.read(tmp_path)
    for values, match in (({"split_mode": "new"}, "split by 'new'"), ({"evaluation": ["f1"]}, "scored by 'f1'.*top1_acc"),
                          ({"evaluation": ["segment_1s_er"]}, "not known here for scene"),
                          ({"embedding_type": "event"}, "multiclass labels for event")):
        was = (folder / "task_metadata.json").read_text()
        with pytest.raises(ValueError, match=match):
            tasks.read(changed(folder, **values))
        (folder / "task_metadata.json").write_text(was)
    for answer, match in ((["cat"], "x.wav of test has the label 'cat'"), (["low", "mid"], "x.wav of test has 2 labels")):
        was = (folder / "test.json").read_text()
        with pytest.raises(ValueError, match=match):
            tasks.read(changed(folder, "test.json", **{"x.wav": answer}))
        (folder / "test.json").write_text(was)
    with pytest.raises(audio.AudioError, match="x.wav: no such file"):
        tasks.embed(tasks.read(changed(folder, "test.json", **{"x.wav": ["low"]})), Bands(), api=api, bar=None)
    (folder / "valid.json").unlink()
    with pytest.raises(ValueError, match="no valid.json"):
        tasks.read(folder)


def test_errors_of_the_predictor(tmp_path):
    splits = blobs("multiclass", count=12)
    bad = replace(splits["valid"], x=splits["valid"].x.clone().index_fill_(0, torch.tensor([3]), torch.nan))
    with pytest.raises(ValueError, match="1 embeddings of valid.*3.wav"):
        predictor.evaluate(splits | {"valid": bad}, ONE, "multiclass", ["top1_acc"], 0, QUICK, bar=None)
    with pytest.raises(ValueError, match="2 epochs with a look at valid every 3"):
        predictor.evaluate(splits, ONE, "multiclass", ["top1_acc"], 0, replace(QUICK, epochs=2), bar=None)
    silent = replace(splits["valid"], y=0 * splits["valid"].y)
    with pytest.raises(ValueError, match="aucroc has no value on valid, 12 recordings of 0 labels"):
        predictor.evaluate(splits | {"valid": silent}, ONE, "multilabel", ["aucroc"], 0, QUICK, bar=None)
    wide = Bands()
    wide.scene_embedding_size = 13
    with pytest.raises(ValueError, match="announces a size of 13"):
        tasks.embed(tasks.read(of_kind(tmp_path, "multiclass")), wide, api=api, bar=None)


# -------------------------------------------------------------------------------------------------------------- archives

@pytest.fixture
def published(tmp_path, monkeypatch):
    """The miniature as Zenodo would serve it under the name of a task; returns a function that packs it with more members."""
    stem = tasks.TASKS["beijing_opera"]
    source = of_kind(tmp_path / "source" / "tasks" / stem, "kfold").parent.parent
    fetched = []

    def pack(*more, cut=None):
        def url(place, path, size=None, digest=""):
            fetched.append(place)
            with tarfile.open(path, "w:gz") as tar:
                for file in sorted(source.rglob("*.*")):
                    tar.add(file, file.relative_to(source))
                for name in more:
                    tar.addfile(tarfile.TarInfo(name), io.BytesIO())
            path.write_bytes(path.read_bytes()[:cut])
            return path
        path = tmp_path / "root"
        path.mkdir(exist_ok=True)
        monkeypatch.setattr(tasks.download, "url", url)
        return path, fetched
    return pack


def test_fetch_extracts_an_archive_once(published):
    root, fetched = published("tasks/._mac", "README.md", "tasks/other/x.wav")
    folder = tasks.fetch("beijing_opera", root)
    assert len(tasks.read(folder).folds) == 4 and len(list(folder.rglob("*.wav"))) == 48
    assert tasks.fetch("beijing_opera", root) == folder and not (root / "tasks" / "other").exists()
    assert fetched == ["https://zenodo.org/records/6332517/files/hear2021-beijing_opera-v1.0-hear2021-full-48000.tar.gz"]


def test_fetch_refuses_what_is_not_the_archive(published):
    with pytest.raises(ValueError, match="no task 'maestro' here"):
        tasks.fetch("maestro", ".")
    root, _ = published()
    with pytest.raises(ValueError, match="gunshot_triangulation-v1.0-full is no HEAR task"):  # an archive of another task
        tasks.fetch("gunshot", root)
    root, _ = published("../tasks/beijing_opera-v1.0-hear2021-full/../../../x")
    with pytest.raises(ValueError, match="not the published archive"):
        tasks.fetch("beijing_opera", root)
    root, _ = published(cut=5000)
    with pytest.raises(ValueError, match="cut off or damaged"):
        tasks.fetch("beijing_opera", root)
