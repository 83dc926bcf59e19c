"""HEAR's tasks: folders of every official kind run end to end, the predictor is the kit's, errors say what to do."""

import io
import itertools
import json
import tarfile
from dataclasses import replace

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

    def forward(self, audio):
        self.calls.append(tuple(audio.shape))
        step = self.sample_rate // 10
        frames = audio.unfold(1, step, step)  # (B, n, step)
        bands = torch.fft.rfft(frames).abs()[..., 1:].unfold(-1, step // 24, step // 24).mean(-1)[..., :12]
        return (bands + 1e-3).log()[..., self.order]

    def times(self, samples):
        return 50 + 100 * torch.arange(10 * samples // self.sample_rate)


def write(folder, sounds, *, kind="scene", prediction="multiclass", mode="trainvaltest", evaluation=("top1_acc",),
          seconds=0.4, rates=(16_000,), **more):
    """A task folder of the official layout from {split: [(wave(rate), answer)]}."""
    for split, items in sounds.items():
        answers = {}
        for i, (wave, answer) in enumerate(items):
            answers[f"{split}{i}.wav"] = answer
            for rate in rates:
                audio.write(folder / str(rate) / split / f"{split}{i}.wav", wave(rate), rate)
        (folder / f"{split}.json").write_text(json.dumps(answers))
    vocabulary = pd.DataFrame({"idx": [1, 0, 2], "label": ["mid", "low", "high"]})
    vocabulary.to_csv(folder / "labelvocabulary.csv", index=False)
    about = dict(task_name="mini", version="v1", embedding_type=kind, prediction_type=prediction, split_mode=mode,
                 sample_duration=seconds, splits=list(sounds), evaluation=list(evaluation), **more)
    (folder / "task_metadata.json").write_text(json.dumps(about))
    return folder


def scene(labels, seed, seconds=0.4):
    """A tone for each label, over hiss."""
    def wave(rate):
        hiss = 1e-3 * torch.randn(round(seconds * rate), generator=torch.Generator().manual_seed(seed))
        off = 1 + 0.05 * (seed % 3 - 1)
        return sum((tone(HZ[label] * off, seconds, np.random.default_rng(seed), rate) for label in labels), hiss)
    return wave


def events(seed):
    """2 to 3 s of hiss with one or two tones of half a second -> a wave and its events."""
    rng = np.random.default_rng(seed)
    long_s, found = 2 + 0.1 * int(rng.integers(11)), []
    for start in rng.permutation([0.2, 1.1])[: rng.integers(1, 3)] + rng.uniform(0, 0.3):
        found.append({"label": list(HZ)[rng.integers(3)], "start": round(1000 * start, 1),
                      "end": round(1000 * start + 500, 1)})

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
        sounds = {s: [events(100 * k + i) for i in range(n)] for k, (s, n) in enumerate(zip(SPLITS, (14, 6, 6)))}
        post = {"event_postprocessing_grid": {"median_filter_ms": [0, 250], "min_duration": [0, 125]}}
        return write(folder, sounds, kind="event", prediction="multilabel", seconds=None,
                     evaluation=("event_onset_200ms_fms", "segment_1s_er"), evaluation_params=post)
    if which == "multilabel":  # of different lengths, some without a label
        sets = [c for r in range(4) for c in itertools.combinations(HZ, r)]
        sounds = {s: [(scene(c, 10 * k + i, 0.3 + 0.1 * (i % 3)), list(c)) for i, c in enumerate(sets * 3)]
                  for k, s in enumerate(SPLITS)}
        return write(folder, sounds, prediction="multilabel", seconds=None,
                     evaluation=("mAP", "top1_acc", "d_prime", "aucroc"))
    splits = SPLITS if which == "multiclass" else [f"fold{i:02d}" for i in range(4)]
    sounds = {s: [(scene([n], 10 * k + i), [n]) for i, n in enumerate(list(HZ) * 4)] for k, s in enumerate(splits)}
    mode = "trainvaltest" if which == "multiclass" else "presplit_kfold"
    return write(folder, sounds, mode=mode, evaluation=("top1_acc", "mAP"))


# ----------------------------------------------------------------------------------------------------------- end to end

@pytest.mark.parametrize("which", ["multiclass", "kfold", "multilabel", "event"])
def test_official_kinds_run_end_to_end(tmp_path, which):
    task = tasks.read(of_kind(tmp_path / "mini", which))
    assert task.labels == ("low", "mid", "high") and task.name == "mini"
    result = tasks.evaluate(task, Bands(), 0, options=replace(QUICK, epochs=50) if which == "event" else QUICK)
    assert result.score > 0.85, result
    assert set(result.scores) == set(task.scores) and result.score == result.scores[task.scores[0]]
    test = {f"{fold.test[0]}/{name}" for fold in task.folds for name in task.splits[fold.test[0]]}
    files, guesses, targets = result.answers
    assert set(files) == test and len(files) == len(guesses) == len(targets)
    assert len(result.folds) == len(task.folds) and len(result.tried) == QUICK.points + len(task.folds) - 1
    if which == "event":
        assert result.scores["segment_1s_er"] < 0.5 and result.folds["median_ms"][0] in (0, 250)
        assert scores.onset_f(guesses, targets) == pytest.approx(result.score)
    elif which != "kfold":
        assert scores.SCORES[task.scores[0]].of(guesses, targets) == pytest.approx(result.score)


def test_each_fold_is_tested_once_and_the_next_one_chooses(tmp_path):
    task = tasks.read(of_kind(tmp_path / "mini", "kfold"))
    assert [f.test[0] for f in task.folds] == ["fold00", "fold01", "fold02", "fold03"]
    assert task.folds[0] == Fold(("fold02", "fold03"), ("fold01",), ("fold00",))
    assert task.folds[3] == Fold(("fold01", "fold02"), ("fold00",), ("fold03",))


def test_a_wrong_answer_counts(tmp_path):
    """Labels without any relation to the sounds: nothing beats chance on test by much."""
    rng = np.random.default_rng(0)
    folder = write(tmp_path, {s: [(scene([], 100 * k + i), [list(HZ)[rng.integers(3)]]) for i in range(30)]
                              for k, s in enumerate(SPLITS)})
    assert tasks.evaluate(tasks.read(folder), Bands(), 0, options=QUICK).score < 0.6


# ----------------------------------------------------------------------------------------------------------- embeddings

def test_embeddings_are_kept_and_go_with_what_they_depend_on(tmp_path):
    folder = of_kind(tmp_path / "mini", "multiclass")
    task, model = tasks.read(folder), Bands()
    first = tasks.embed(task, model)
    seen = len(model.calls)
    again = tasks.embed(task, model)
    assert seen == 3 and len(model.calls) == seen  # one batch a split, then none
    assert all(torch.equal(first[s].x, again[s].x) for s in first) and first["train"].x.dtype == torch.float32
    other = Bands()
    other.order = other.order.flip(0)  # a weight
    assert torch.equal(tasks.embed(task, other)["test"].x, first["test"].x.flip(1))
    third = Bands()
    third.bands = 12  # a setting that is no weight
    tasks.embed(task, third)
    assert len(third.calls) == 3
    audio.write(folder / "16000" / "test" / "test0.wav", torch.zeros(6400), 16_000)  # a sound
    tasks.embed(task, model)
    assert len(model.calls) == 6


def test_embeddings_do_not_depend_on_the_batch(tmp_path, monkeypatch):
    task = tasks.read(of_kind(tmp_path / "mini", "multilabel"))
    together = tasks.embed(task, model := Bands())
    assert len({n for _, n in model.calls}) == 3  # no length was filled up
    monkeypatch.setattr(tasks, "PASS", 1)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "other"))
    alone = tasks.embed(task, Bands())
    assert all(torch.allclose(together[s].x, alone[s].x, atol=1e-6) for s in together)


def test_event_rows_have_their_times_and_labels(tmp_path):
    answers = [{"label": "high", "start": 150, "end": 250.0}, {"label": "low", "start": 240, "end": 260},
               {"label": "mid", "start": 960, "end": 999}]
    sounds = {"train": [(torch.zeros, answers)], "valid": [(torch.zeros, [])], "test": [(torch.zeros, [])]}
    task = tasks.read(write(tmp_path, sounds, kind="event", prediction="multilabel",
                            evaluation=("event_onset_200ms_fms",)))
    split = tasks.embed(task, Bands())["train"]
    assert split.times.tolist() == [50 + 100 * i for i in range(10)] and split.row.tolist() == [0] * 10
    assert split.y.nonzero().tolist() == [[1, 2], [2, 0], [2, 2]]  # with both ends; a call between two times has none
    assert split.truth == [[Event(2, 150, 250), Event(0, 240, 260), Event(1, 960, 999)]]


def test_the_next_higher_rate_is_read(tmp_path):
    task = tasks.read(of_kind(tmp_path / "a", "multiclass"))
    assert task.rate(16_000) == task.rate(8000) == task.rate(22_050) == 16_000
    sounds = {s: [(scene([n], 1), [n]) for n in HZ] for s in SPLITS}
    high = tasks.read(write(tmp_path / "b", sounds, rates=(22_050, 48_000)))
    assert high.rate(16_000) == 22_050 and high.rate(32_000) == 48_000
    assert tasks.embed(high, model := Bands())["test"].x.shape == (3, 12) and model.calls[0] == (3, 6400)


# ------------------------------------------------------------------------------------------------------------ predictor

def blobs(prediction, seed=0, count=240, width=20, classes=4, apart=0.6, splits=("train", "valid", "test")):
    rng = np.random.default_rng(seed)
    centre, out = apart * rng.standard_normal((classes, width)), {}
    for name in splits:
        y = np.eye(classes)[np.arange(count) % classes]
        if prediction == "multilabel":
            y = (rng.random((count, classes)) < 0.3).astype(float)
        x = y @ centre + rng.standard_normal((count, width))
        x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
        files = [f"{i}.wav" for i in range(count)]
        out[name] = Split(x, y, files, np.arange(count), np.zeros(count), [[]] * count)
    return out


ONE = [Fold(("train",), ("valid",), ("test",))]


def test_agrees_with_logistic_regression():
    """Classes around centres: the best separation is linear, so the network comes near it and not above it by much."""
    options = Options(points=3, hidden=64, batch=64, epochs=30, patience=4)
    splits = blobs("multiclass")
    train, test = splits["train"], splits["test"]
    known = LogisticRegression().fit(train.x, train.y.argmax(1)).score(test.x, test.y.argmax(1))
    score = predictor.evaluate(splits, ONE, "multiclass", ["top1_acc"], 0, options).score
    assert 0.8 < known < 0.99 and abs(score - known) < 0.06
    splits = blobs("multilabel")
    train, test = splits["train"], splits["test"]
    p = [LogisticRegression().fit(train.x, y).predict_proba(test.x)[:, 1] for y in train.y.T]
    known = average_precision_score(test.y, np.stack(p, 1), average="macro")
    score = predictor.evaluate(splits, ONE, "multilabel", ["mAP"], 0, options).score
    assert 0.7 < known < 0.99 and abs(score - known) < 0.06


def test_the_grid_is_the_kits():
    """The first eight that heareval 2021.1.3 tried, in its order; all sixteen are different."""
    u, n = "xavier_uniform_", "xavier_normal_"
    assert predictor.grid()[:8] == [
        Point(1, n, 1e-4), Point(2, u, 1e-3), Point(1, n, 1e-3), Point(1, n, 3.2e-4), Point(2, n, 3.2e-4),
        Point(2, u, 3.2e-4), Point(2, n, 3.2e-3), Point(2, u, 3.2e-3)]
    assert len(set(predictor.grid())) == 16 and Options() == Options(8, 1024, 0.1, 1024, 1024, 500, 3, 10, 20)


def test_the_network_is_the_kits():
    layers = predictor.network(7, 3, Point(2, "xavier_uniform_", 1e-3), Options(hidden=11))
    assert [type(m).__name__ for m in layers] == ["Linear", "BatchNorm1d", "Dropout", "ReLU"] * 2 + ["Linear"]
    assert layers[2].p == 0.1
    assert [tuple(p.shape) for p in layers.parameters() if p.ndim == 2] == [(11, 7), (11, 11), (3, 11)]
    first, second = (layers[i].weight.abs().max() for i in (0, 4))  # gain 1, then the square root of 2
    assert first <= (6 / 18) ** 0.5 < second <= (12 / 22) ** 0.5


def test_training_stops_early_and_keeps_its_best_look():
    options = Options(points=2, hidden=32, epochs=300, every=3, patience=4)
    result = predictor.evaluate(blobs("multiclass"), ONE, "multiclass", ["top1_acc"], 0, options)
    looks, best = result.tried["looks"], result.tried["epoch"] / 3
    assert ((looks == 100) | (looks - best == 4)).all() and (looks < 100).any()
    assert result.folds["valid"][0] == result.tried["valid"].max()


def test_the_grid_is_searched_on_the_first_fold_only():
    names = [f"fold{i:02d}" for i in range(3)]
    folds = [Fold((names[2 - i],), (names[(i + 1) % 3],), (names[i],)) for i in range(3)]
    splits = blobs("multiclass", count=60, splits=names)
    options = replace(QUICK, points=2, epochs=9, batch=16)
    result = predictor.evaluate(splits, folds, "multiclass", ["top1_acc"], 0, options)
    assert result.tried["fold"].tolist() == [0, 0, 1, 2]
    assert result.folds[["layers", "init", "lr"]].nunique().tolist() == [1, 1, 1]


def test_rows_are_shuffled_once_recording_by_recording():
    """The batches are those of every epoch, fold and seed; batch norm fails on one row, so no batch has one."""
    row = np.repeat(np.arange(20), [1 + i % 3 for i in range(20)])  # (39,)
    first, again = (torch.cat(predictor._batches(row, 16)).numpy() for _ in range(2))
    assert np.array_equal(first, again) and sorted(first) == list(range(39)) != list(first)
    assert (np.diff(row[first]) != 0).sum() == 19  # the rows of a recording stay together
    assert [len(batch) for batch in predictor._batches(np.arange(33), 16)] == [16, 17]
    assert [len(batch) for batch in predictor._batches(np.arange(32), 16)] == [16, 16]


@pytest.mark.parametrize("name", ["event_onset_200ms_fms", "segment_1s_er"])
def test_events_are_made_in_the_way_that_scores_best(name):
    """A guess of one column is wrong; without it the F-measure is higher and the error rate lower."""
    p = torch.zeros(10, 1)
    p[2:6] = p[8] = 0.9
    times = 250 + 500.0 * np.arange(10)
    split = Split(p, p.gt(0.5).float(), ["a.wav"], np.zeros(10, int), times, [[Event(0, 1250, 2750)]])
    model = torch.nn.Linear(1, 1)
    model.load_state_dict({"weight": torch.tensor([[20.0]]), "bias": torch.tensor([-10.0])})
    for posts in ([(0.0, 0.0), (0.0, 125.0)], [(0.0, 125.0), (0.0, 0.0)]):
        protocol = predictor._Protocol("multilabel", name, scores.SCORES[name].sign, posts, QUICK)
        assert predictor._look(model, split, protocol) == (float(scores.SCORES[name].sign > 0), (0.0, 125.0))


def test_repeats_exactly_and_touches_no_global_seed():
    splits, options = blobs("multiclass", count=60), replace(QUICK, points=2, epochs=12)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (predictor.evaluate(splits, ONE, "multiclass", ["top1_acc"], seed, options).answers.guesses
                       for seed in (0, 0, 1))
    assert np.array_equal(one, two) and not np.array_equal(one, other) and torch.equal(before, torch.get_rng_state())


# --------------------------------------------------------------------------------------------------------------- scores

TRUTH = [[Event(0, 100, 900), Event(0, 250, 1500), Event(1, 2000, 2400)], [], [Event(2, 500, 3100)],
         [Event(1, 0, 1000)]]
GUESS = [[Event(0, 80, 700), Event(0, 290, 1100), Event(0, 310, 400), Event(1, 2201, 2600)], [Event(1, 400, 800)],
         [Event(1, 500, 2000), Event(2, 700, 2900)], []]


def test_event_scores_are_those_of_sed_eval():
    """sed_eval 0.2.1, hear-eval-kit's settings: two right pairs need matching, one guess is 1 ms late, one in time."""
    assert scores.onset_f(GUESS, TRUTH) == pytest.approx(0.5)
    assert scores.segment_error(GUESS, TRUTH) == pytest.approx(0.625)
    assert scores.onset_f(TRUTH, TRUTH) == 1 and scores.segment_error(TRUTH, TRUTH) == 0
    assert scores.onset_f([[]] * 4, TRUTH) == 0 and scores.segment_error([[]] * 4, TRUTH) == 1


def test_scene_scores():
    targets = np.eye(24)[[0, 1, 13, 3]]
    p = np.eye(24)[[0, 13, 1, 4]]
    assert scores.top1(p, targets) == 0.25 and scores.chroma(p, targets) == 0.75
    rng = np.random.default_rng(0)
    targets, p = (rng.random((200, 3)) < 0.4).astype(float), rng.random((200, 3))
    assert scores.mean_ap(p, targets) == pytest.approx(average_precision_score(targets, p, average="macro"))
    assert scores.aucroc(p, targets) == pytest.approx(0.5, abs=0.1)
    assert scores.d_prime(p, targets) == pytest.approx(0, abs=0.4)
    absent = np.concatenate([targets, np.zeros((200, 1))], 1)  # a class that does not occur
    assert scores.mean_ap(np.concatenate([p, p[:, :1]], 1), absent) == scores.mean_ap(p, targets)
    assert np.isnan(scores.aucroc(p, 0 * targets)) and np.isnan(scores.d_prime(p, 0 * targets))


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
    for values, match in (({"split_mode": "new"}, "split by 'new'"),
                          ({"evaluation": ["f1"]}, "scored by 'f1'.*top1_acc"),
                          ({"evaluation": ["segment_1s_er"]}, "not known here for scene"),
                          ({"embedding_type": "event"}, "multiclass labels for event")):
        was = (folder / "task_metadata.json").read_text()
        with pytest.raises(ValueError, match=match):
            tasks.read(changed(folder, **values))
        (folder / "task_metadata.json").write_text(was)
    for answer, match in ((["cat"], "x.wav of test has the label 'cat'"),
                          (["low", "mid"], "x.wav of test has 2 labels")):
        was = (folder / "test.json").read_text()
        with pytest.raises(ValueError, match=match):
            tasks.read(changed(folder, "test.json", **{"x.wav": answer}))
        (folder / "test.json").write_text(was)
    with pytest.raises(audio.AudioError, match="x.wav: no such file"):
        tasks.embed(tasks.read(changed(folder, "test.json", **{"x.wav": ["low"]})), Bands())
    (folder / "valid.json").unlink()
    with pytest.raises(ValueError, match="no valid.json"):
        tasks.read(folder)


def test_errors_of_the_predictor(tmp_path):
    splits = blobs("multiclass", count=12)
    bad = replace(splits["valid"], x=splits["valid"].x.clone().index_fill_(0, torch.tensor([3]), torch.nan))
    with pytest.raises(ValueError, match="1 embeddings of valid.*3.wav"):
        predictor.evaluate(splits | {"valid": bad}, ONE, "multiclass", ["top1_acc"], 0, QUICK)
    with pytest.raises(ValueError, match="2 epochs with a look at valid every 3"):
        predictor.evaluate(splits, ONE, "multiclass", ["top1_acc"], 0, replace(QUICK, epochs=2))
    silent = replace(splits["valid"], y=0 * splits["valid"].y)
    with pytest.raises(ValueError, match="aucroc has no value on valid, 12 recordings of 0 labels"):
        predictor.evaluate(splits | {"valid": silent}, ONE, "multilabel", ["aucroc"], 0, QUICK)
    wide = Bands()
    wide.scene_embedding_size = 13
    with pytest.raises(ValueError, match="announces a size of 13"):
        tasks.embed(tasks.read(of_kind(tmp_path, "multiclass")), wide)


# ------------------------------------------------------------------------------------------------------------- archives

@pytest.fixture
def published(tmp_path, monkeypatch):
    """The miniature as Zenodo would serve it under the name of a task: a function that packs it with more members."""
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
    archive = "hear2021-beijing_opera-v1.0-hear2021-full-48000.tar.gz"
    assert fetched == [f"https://zenodo.org/records/6332517/files/{archive}"]


def test_fetch_refuses_what_is_not_the_archive(published):
    with pytest.raises(ValueError, match="no task 'maestro' here"):
        tasks.fetch("maestro", ".")
    root, _ = published()
    with pytest.raises(ValueError, match="gunshot_triangulation-v1.0-full is no HEAR task"):  # another task's archive
        tasks.fetch("gunshot", root)
    root, _ = published("../tasks/beijing_opera-v1.0-hear2021-full/../../../x")
    with pytest.raises(ValueError, match="not the published archive"):
        tasks.fetch("beijing_opera", root)
    root, _ = published(cut=5000)
    with pytest.raises(ValueError, match="cut off or damaged"):
        tasks.fetch("beijing_opera", root)


# -------------------------------------------------------------------------------------- folders that others have made

@pytest.mark.parametrize("file, text, said", [
    ("task_metadata.json", "[1]", "task_metadata.json is [1], it must be an object"),
    ("task_metadata.json", "{", "task_metadata.json is not JSON"),
    ("task_metadata.json", {"evaluation": "top1_acc"}, "evaluation of task_metadata.json is 'top1_acc'"),
    ("task_metadata.json", {"evaluation": []}, "evaluation of task_metadata.json is []"),
    ("task_metadata.json", {"splits": [1, 2]}, "splits of task_metadata.json is [1, 2]"),
    ("task_metadata.json", {"sample_duration": "4 s"}, "sample_duration of task_metadata.json is '4 s'"),
    ("task_metadata.json", {"embedding_type": None}, "embedding_type of task_metadata.json is None, it must be a text"),
    ("labelvocabulary.csv", "a,b\n1,2\n", "labelvocabulary.csv is no table of idx"),
    ("labelvocabulary.csv", "idx,label\nx,low\n", "labelvocabulary.csv is no table of idx"),
    ("labelvocabulary.csv", "", "labelvocabulary.csv is no table of idx"),
    ("test.json", "[]", "test.json is [], it must be an object, sounds with labels"),
    ("test.json", {"x.wav": "low"}, "x.wav of test.json has 'low', it must be a list of labels")])
def test_a_folder_of_another_shape_is_one_line(tmp_path, file, text, said):
    folder = of_kind(tmp_path / "mini", "multiclass")
    if isinstance(text, dict):
        changed(folder, file, **text)
    else:
        (folder / file).write_text(text)
    with pytest.raises(ValueError) as error:
        tasks.read(folder)
    assert said in str(error.value) and "mini" in str(error.value) and "\n" not in str(error.value)


def test_an_event_without_its_times_is_named(tmp_path):
    folder = of_kind(tmp_path / "mini", "event")
    with pytest.raises(ValueError, match="x.wav of .*json has .*it must be a list of {\"label\", \"start\", \"end\"}"):
        tasks.read(changed(folder, "test.json", **{"x.wav": [{"label": "low", "start": "0"}]}))
