"""HEAR's tasks (Turian et al. 2022) as folders of the official layout: read, embedded once, and scored by the predictor.

TASK/task_metadata.json, labelvocabulary.csv, SPLIT.json ({"a.wav": ["dog"]}, or for events {"a.wav": [{"label", "start", "end"} in ms]})
and RATE/SPLIT/a.wav; splits are train, valid, test or fold00, fold01, ... `fetch` gets a published one, `lib.hear.offline` makes some of the
same layout offline.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import nn
from tqdm.auto import tqdm

import lib.hear.api as interface
from lib import audio, paths
from lib.hear import predictor
from lib.hear.predictor import Fold, Options, Result, Split
from lib.hear.scores import SCORES, Event
from lib.sources import download

__all__ = ["TASKS", "TERMS", "UNVERIFIED", "fetch", "Task", "read", "embed", "evaluate"]

TERMS = """https://zenodo.org/records/6332517: the tasks of HEAR 2021 at 48 kHz, made from public data sets: the licence of each is that of its
data set, see there before you use or pass it on."""
URL = "https://zenodo.org/records/6332517/files/hear2021-{}-48000.tar.gz"
TASKS = {  # the names that Niizumi et al. 2022 use in their tables, as in HEAR -> the archive and the folder within
    "gunshot": "gunshot_triangulation-v1.0-full", "fsd50k": "fsd50k-v1.0-full", "esc50": "esc50-v2.0.0-full",
    "beehive_fold0": "beehive_states_fold0-v2-full", "beehive_fold1": "beehive_states_fold1-v2-full",
    "vox_lingua": "vox_lingua_top10-hear2021-full", "vocal_imitation": "vocal_imitation-v1.1.3-full", "crema_d": "tfds_crema_d-1.0.0-full",
    "speech_commands": "speech_commands-v0.0.2-full", "libricount": "libricount-v1.0.0-hear2021-full",
    "gtzan_music_speech": "tfds_gtzan_music_speech-1.0.0-full", "gtzan": "tfds_gtzan-1.0.0-full", "nsynth_pitch": "nsynth_pitch-v2.2.3-50h",
    "mridangam_tonic": "mridangam_tonic-v1.5-full", "mridangam_stroke": "mridangam_stroke-v1.5-full",
    "beijing_opera": "beijing_opera-v1.0-hear2021-full", "dcase2016": "dcase2016_task2-hear2021-full",  # the last is not in their tables
}
MD5 = {"beehive_fold0": "f9e045f9b2ddf5643edc1143304c80aa", "beehive_fold1": "8bced7ce8336bf23fd61c61f04aee109"}
UNVERIFIED = ("gunshot", "vox_lingua", "gtzan_music_speech")  # their archives' names follow the pattern of the others, and were seen nowhere
PASS = 84 * 16_000  # samples embedded at once, as in hear-eval-kit
VERSION = 1         # of the kept embeddings


# ---------------------------------------------------------------------------------------------------------------- folders

@dataclass(frozen=True)
class Task:
    folder: Path
    name: str
    kind: str                 # "scene" (one answer a recording) or "event" (answers over time)
    prediction: str           # "multiclass" or "multilabel"
    seconds: float | None     # of every recording, or None where they differ
    labels: tuple[str, ...]   # (C,) in the order of the vocabulary
    splits: Mapping[str, Mapping[str, list]]  # name -> file -> its labels, or its events {"label", "start", "end"}
    folds: tuple[Fold, ...]   # one for train, valid and test; k for k folds
    scores: tuple[str, ...]   # of `scores.SCORES`; the first chooses on valid, and is the task's number
    post: Mapping[str, list[float]] | None  # what is tried to make events of probabilities, where the task says so

    def rate(self, wanted: int) -> int:
        """The rate of the files to read for a model of `wanted` Hz: its own, else the next above (`embed` resamples), else the highest."""
        rates = sorted(int(f.name) for f in self.folder.iterdir() if f.name.isdigit() and f.is_dir())
        if not rates:
            raise ValueError(f"{self.folder} has no sounds: it needs a folder named after its rate, such as {wanted}, with a folder for each split")
        return next((r for r in rates if r >= wanted), rates[-1])


def read(folder: str | Path) -> Task:
    """A task folder, checked; ValueError names what is missing or wrong in it."""
    folder = paths.resolve(folder)
    if not (folder / "task_metadata.json").exists():
        inside = sorted(f.parent.name for f in [*folder.glob("*/task_metadata.json"), *folder.glob("tasks/*/task_metadata.json")])
        raise ValueError(f"{folder} is no HEAR task: it has no task_metadata.json" + (f"; it holds the tasks {', '.join(inside)}" if inside else
                         "; fetch one with hear.fetch, or make one with tasks.make"))
    told = json.loads((folder / "task_metadata.json").read_text(encoding="utf-8"))
    vocabulary = pd.read_csv(folder / "labelvocabulary.csv", dtype=str, keep_default_na=False)
    labels = tuple(vocabulary.assign(idx=vocabulary["idx"].astype(int)).sort_values("idx")["label"])
    kind, prediction, folds = told["embedding_type"], told["prediction_type"], _folds(told, folder)
    if (kind, prediction) not in (("scene", "multiclass"), ("scene", "multilabel"), ("event", "multilabel")):
        raise ValueError(f"{folder.name} has {prediction} labels for {kind} embeddings: scenes of both kinds and multilabel events can be read")
    splits = {}
    for name in sorted({split for fold in folds for part in fold for split in part}):
        if not (file := folder / f"{name}.json").exists():
            raise ValueError(f"{folder.name} has no {name}.json, though its metadata name the split {name}")
        splits[name] = json.loads(file.read_text(encoding="utf-8"))
        for sound, answer in splits[name].items():
            said = [str(a["label"] if kind == "event" else a) for a in answer]
            if unknown := set(said) - set(labels):
                raise ValueError(f"{folder.name}: {sound} of {name} has the label {min(unknown)!r}, which labelvocabulary.csv does not have")
            if prediction == "multiclass" and len(said) != 1:
                raise ValueError(f"{folder.name}: {sound} of {name} has {len(said)} labels; a multiclass task needs one for each recording")
    scores = tuple(s for s in told["evaluation"] if s in SCORES and SCORES[s].events == (kind == "event"))
    if not scores or told["evaluation"][0] != scores[0]:
        raise ValueError(f"{folder.name} is to be scored by {told['evaluation'][0]!r}, which is not known here for {kind} tasks: "
                         f"{', '.join(n for n, s in SCORES.items() if s.events == (kind == 'event'))} are")
    return Task(folder, told["task_name"], kind, prediction, told["sample_duration"], labels, splits, folds, scores,
                (told.get("evaluation_params") or {}).get("event_postprocessing_grid"))


def _folds(told: Mapping, folder: Path) -> tuple[Fold, ...]:
    """Of k folds each is test once, the next one valid, the others train."""
    names, k = sorted(told["splits"]), len(told["splits"])
    if told["split_mode"] == "trainvaltest":
        return (Fold(("train",), ("valid",), ("test",)),)
    if told["split_mode"] not in ("new_split_kfold", "presplit_kfold") or k < 3:
        raise ValueError(f"{folder.name} is split by {told['split_mode']!r} into {k}: needs trainvaltest, or new_split_kfold or presplit_kfold "
                         "with three folds or more")
    parts = [(names[i], names[(i + 1) % k]) for i in range(k)]
    return tuple(Fold(tuple(n for n in names if n not in part), part[1:], part[:1]) for part in parts)


# ------------------------------------------------------------------------------------------------------------- embeddings

def embed(task: Task, model: nn.Module, *, api: ModuleType = interface, bar: str | None = "embedding") -> dict[str, Split]:
    """The embeddings and answers of each split. What a model says is kept in the cache, split by split; a second call only reads.

    api: a module with HEAR's get_scene_embeddings and get_timestamp_embeddings for this model. Recordings of one length go through it
    together, others alone: nothing is padded. AudioError names a recording that cannot be read.
    """
    rate = task.rate(model.sample_rate)
    folder = paths.cache("hear", _key(task, model, rate, api))
    out = {}
    with FileLock(folder / ".lock"):
        for split, answers in task.splits.items():
            if not (file := folder / f"{split}.npz").exists():
                arrays = _embed(task, split, rate, model, api, bar)
                with paths.atomic(file) as part:
                    np.savez(part, **arrays)
            with np.load(file) as kept:
                x, row, times = kept["x"], kept["row"], kept["times"]
            truth = [[Event(task.labels.index(str(e["label"])), e["start"], e["end"]) for e in a if task.kind == "event"] for a in answers.values()]
            out[split] = Split(torch.from_numpy(x), _targets(task, list(answers.values()), truth, row, times), list(answers), row, times, truth)
    return out


def _embed(task: Task, split: str, rate: int, model: nn.Module, api: ModuleType, bar: str | None) -> dict[str, np.ndarray]:
    """x (n, D), the recording of each row (n,) and its time in ms (n,): a scene's is 0."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    size, xs, times, waves = model.scene_embedding_size if task.kind == "scene" else model.timestamp_embedding_size, [], [], []

    def through() -> None:
        batch = torch.stack(waves).to(device)
        x, at = (api.get_scene_embeddings(batch, model)[:, None], None) if task.kind == "scene" else api.get_timestamp_embeddings(batch, model)
        if x.shape[0] != len(batch) or x.shape[2] != size or (at is not None and at.shape != x.shape[:2]):
            raise ValueError(f"{api.__name__} gave embeddings {tuple(x.shape)} for {len(batch)} recordings; its model announces a size of {size}")
        xs.extend(x.float().cpu().numpy())
        times.extend(np.zeros((len(x), 1)) if at is None else at.double().cpu().numpy())
        waves.clear()

    for name in tqdm(task.splits[split], desc=f"{bar} {task.name} {split}", disable=bar is None, leave=False):
        wave = audio.read(task.folder / str(rate) / split / name, rate=model.sample_rate)
        if waves and (len(wave) != len(waves[0]) or (len(waves) + 1) * len(wave) > PASS):
            through()
        waves.append(wave)
    if waves:
        through()
    row = np.repeat(np.arange(len(xs)), [len(x) for x in xs])
    return {"x": np.concatenate(xs) if xs else np.zeros((0, size), np.float32), "row": row, "times": np.concatenate(times) if xs else np.zeros(0)}


def _targets(task: Task, answers: list[list], truth: list[list[Event]], row: np.ndarray, times: np.ndarray) -> torch.Tensor:
    """What each row (n,) is to say: (n, C). A time within an event, its ends included, has the event's label."""
    y = torch.zeros(len(row), len(task.labels))
    if task.kind == "event":
        for recording, events in enumerate(truth):
            for event in events:
                y[(row == recording) & (times >= event.start) & (times < event.end + 1e-4), event.label] = 1
    else:
        place = {label: i for i, label in enumerate(task.labels)}
        for r, labels in enumerate(answers):
            y[r, [place[str(label)] for label in labels]] = 1
    return y


def _key(task: Task, model: nn.Module, rate: int, api: ModuleType) -> str:
    """A name that changes when anything does that the embeddings depend on: weights, settings of any part of the model, sounds."""
    known = sha256(f"{VERSION} {api.__name__} {task.kind} {rate} {model.sample_rate}".encode())
    for name, module in model.named_modules():
        settings = {k: v for k, v in sorted(vars(module).items()) if k[0] != "_" and (type(v) in (int, float, str) or is_dataclass(v))}
        known.update(f"{name} {type(module).__name__} {settings}".encode())
    for name, x in sorted(model.state_dict().items()):
        known.update(name.encode() + x.detach().cpu().float().contiguous().numpy().tobytes())
    for split, answers in task.splits.items():
        place = task.folder / str(rate) / split
        there = {e.name: e.stat() for e in os.scandir(place)} if place.is_dir() else {}
        known.update(json.dumps([split, [(n, there[n].st_size, there[n].st_mtime_ns) if n in there else n for n in answers]]).encode())
    return f"{task.name}-{known.hexdigest()[:16]}"


def evaluate(task: Task, model: nn.Module, seed: int, *, options: Options = Options(), api: ModuleType = interface,
             bar: str | None = "predictor") -> Result:
    """HEAR's number for a frozen model on a task: embed it, then `predictor.evaluate`. seed: of the predictor's weights and dropout."""
    splits = embed(task, model, api=api, bar=bar and "embedding")
    return predictor.evaluate(splits, task.folds, task.prediction, task.scores, seed, options, post=task.post, bar=bar and f"{bar} {task.name}")


# --------------------------------------------------------------------------------------------------------------- archives

def fetch(name: str, root: str | Path) -> Path:
    """Fetch and extract one of TASKS (48 kHz, up to tens of GB) into ROOT/tasks/FOLDER, and return that folder for `read`.

    What is there is not done again; a killed fetch goes on. ValueError where an archive is not what it should be or the disk is
    too small, fetch.FetchError where it cannot be had.
    """
    if name not in TASKS:
        raise ValueError(f"HEAR has no task {name!r} here: there are {', '.join(TASKS)}")
    root = paths.resolve(root)
    folder, note, archive = root / "tasks" / TASKS[name], root / f"{TASKS[name]}.done", root / f"hear2021-{TASKS[name]}-48000.tar.gz"
    if not note.exists():
        print(TERMS, flush=True)
        download.url(URL.format(TASKS[name]), archive, digest=MD5.get(name, ""))
        download.room(root, 1.5 * download.size(archive))  # of 16-bit WAV
        with download.opened(archive) as tar:
            for member in tar:
                _, _, inside = str(PurePosixPath("/", member.name)).partition("/tasks/")
                if member.isdir() or PurePosixPath(member.name).name.startswith("._") or not inside.startswith(f"{folder.name}/"):
                    continue  # the last: what may lie beside the task
                if not member.isfile() or ".." in member.name.split("/"):
                    raise ValueError(f"{archive} holds {member.name!r}, which is no file of tasks/{folder.name}, and was not extracted further: "
                                     "it is not the published archive; delete it and try again")
                if download.size(file := root / "tasks" / inside) != member.size:
                    download.copy(tar.extractfile(member), file)
        read(folder)
        with download.whole(note) as part:
            part.touch()
    return folder
