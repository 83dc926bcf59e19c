"""HEAR's tasks (Turian et al. 2022) as folders of the official layout: read, embedded once, scored by the predictor.

TASK/task_metadata.json, labelvocabulary.csv, SPLIT.json ({"a.wav": ["dog"]}, or for events {"a.wav": [{"label",
"start", "end"} in ms]}) and RATE/SPLIT/a.wav; splits are train, valid, test or fold00, fold01, ... `fetch` gets a
published one, `lib.hear.offline` makes some of the same layout offline.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path, PurePosixPath
from reprlib import repr as short
from types import NoneType

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib import audio, hardware, paths, progress
from lib.hear import api, predictor
from lib.hear.predictor import Fold, Options, Result, Split
from lib.hear.scores import SCORES, Event
from lib.sources import download

__all__ = ["TASKS", "TERMS", "fetch", "Task", "read", "embed", "evaluate"]

TERMS = """https://zenodo.org/records/6332517: the tasks of HEAR 2021 at 48 kHz, made from public data sets: the licence
of each is that of its data set, see there before you use or pass it on."""
URL = "https://zenodo.org/records/6332517/files/hear2021-{}-48000.tar.gz"
# The names in HEAR and in the tables of Niizumi et al. 2022 (but dcase2016) -> the archive and the folder within.
# Those of gunshot, vox_lingua and gtzan_music_speech follow the pattern of the others, and were seen nowhere.
TASKS = {
    "gunshot": "gunshot_triangulation-v1.0-full", "fsd50k": "fsd50k-v1.0-full", "esc50": "esc50-v2.0.0-full",
    "beehive_fold0": "beehive_states_fold0-v2-full", "beehive_fold1": "beehive_states_fold1-v2-full",
    "vox_lingua": "vox_lingua_top10-hear2021-full", "vocal_imitation": "vocal_imitation-v1.1.3-full",
    "crema_d": "tfds_crema_d-1.0.0-full", "speech_commands": "speech_commands-v0.0.2-full",
    "libricount": "libricount-v1.0.0-hear2021-full", "gtzan_music_speech": "tfds_gtzan_music_speech-1.0.0-full",
    "gtzan": "tfds_gtzan-1.0.0-full", "nsynth_pitch": "nsynth_pitch-v2.2.3-50h",
    "mridangam_tonic": "mridangam_tonic-v1.5-full", "mridangam_stroke": "mridangam_stroke-v1.5-full",
    "beijing_opera": "beijing_opera-v1.0-hear2021-full", "dcase2016": "dcase2016_task2-hear2021-full"}
MD5 = {"beehive_fold0": "f9e045f9b2ddf5643edc1143304c80aa", "beehive_fold1": "8bced7ce8336bf23fd61c61f04aee109"}
PASS = 84 * 16_000  # samples embedded at once, as in hear-eval-kit
VERSION = 2         # of the kept embeddings
METADATA = {"task_name": [str], "embedding_type": [str], "prediction_type": [str], "split_mode": [str],
            "splits": [list], "evaluation": [list], "sample_duration": [int, float, NoneType],
            "evaluation_params": [dict, NoneType]}  # what is read of a task's metadata
WORDS = {str: "a text", list: "a list of texts", int: "a whole number", float: "a number", dict: "an object",
         NoneType: "null"}


# ------------------------------------------------------------------------------------------------------------- folders

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
        """Of the files to read for a model of `wanted` Hz: that rate, else the next above, else the highest."""
        rates = sorted(int(f.name) for f in self.folder.iterdir() if f.name.isdigit() and f.is_dir())
        if not rates:
            raise ValueError(f"{self.folder} has no sounds: it needs a folder named after its rate, such as {wanted}, "
                             "with a folder for each split")
        return next((r for r in rates if r >= wanted), rates[-1])


def read(folder: str | Path) -> Task:
    """A task folder, checked; ValueError names what is missing or wrong in it."""
    folder = paths.resolve(folder)
    if not (folder / "task_metadata.json").exists():
        inside = sorted(f.parent.name for deep in ("*", "tasks/*") for f in folder.glob(f"{deep}/task_metadata.json"))
        advice = f"it holds the tasks {', '.join(inside)}" if inside else "see tasks.fetch and offline.make"
        raise ValueError(f"{folder} is no HEAR task: it has no task_metadata.json; {advice}")
    about, labels = _about(folder), _vocabulary(folder)
    kind, prediction, folds = about["embedding_type"], about["prediction_type"], _folds(about, folder)
    if (kind, prediction) not in (("scene", "multiclass"), ("scene", "multilabel"), ("event", "multilabel")):
        raise ValueError(f"{folder.name} has {prediction} labels for {kind} embeddings: "
                         "scenes of both kinds and multilabel events can be read")
    usable = [name for name, score in SCORES.items() if score.events == (kind == "event")]
    scores = tuple(name for name in about["evaluation"] if name in usable)
    if not scores or about["evaluation"][0] != scores[0]:
        raise ValueError(f"{folder.name} is to be scored by {about['evaluation'][0]!r}, which is not known here for "
                         f"{kind} tasks: {', '.join(usable)} are")
    names = sorted({split for fold in folds for part in fold for split in part})
    splits = {name: _answers(folder, name, kind, prediction, labels) for name in names}
    return Task(folder, about["task_name"], kind, prediction, about.get("sample_duration"), labels, splits, folds,
                scores, (about.get("evaluation_params") or {}).get("event_postprocessing_grid"))


def _about(folder: Path) -> dict:
    """A task's metadata, with the fields that are read of it, each of its kind."""
    about = paths.read_json(folder / "task_metadata.json")
    if not isinstance(about, dict):
        raise ValueError(f"{folder.name}: task_metadata.json is {short(about)}, it must be an object")
    for name, kinds in METADATA.items():
        value = about.get(name)
        if type(value) not in kinds or isinstance(value, list) and not (value and all(type(v) is str for v in value)):
            needed = " or ".join(WORDS[kind] for kind in kinds)
            raise ValueError(f"{folder.name}: {name} of task_metadata.json is {short(value)}, it must be {needed}")
    return about


def _vocabulary(folder: Path) -> tuple[str, ...]:
    try:
        table = pd.read_csv(folder / "labelvocabulary.csv", dtype=str, keep_default_na=False)
        return tuple(table.assign(idx=table["idx"].astype(int)).sort_values("idx")["label"])
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{folder.name}: labelvocabulary.csv is no table of idx, a whole number, and label ({reason})"
                         ) from None


def _answers(folder: Path, split: str, kind: str, prediction: str, labels: Sequence[str]) -> dict[str, list]:
    if not (file := folder / f"{split}.json").exists():
        raise ValueError(f"{folder.name} has no {split}.json, though its metadata name the split {split}")
    answers = paths.read_json(file)
    if not isinstance(answers, dict):
        raise ValueError(f"{folder.name}: {file.name} is {short(answers)}, it must be an object, sounds with labels")
    for sound, answer in answers.items():
        if not isinstance(answer, list) or kind == "event" and not all(map(_is_event, answer)):
            needed = 'a list of {"label", "start", "end"} with times in ms' if kind == "event" else "a list of labels"
            raise ValueError(f"{folder.name}: {sound} of {file.name} has {short(answer)}, it must be {needed}")
        names = [str(a["label"] if kind == "event" else a) for a in answer]
        if unknown := set(names) - set(labels):
            raise ValueError(f"{folder.name}: {sound} of {split} has the label {min(unknown)!r}, which "
                             "labelvocabulary.csv does not have")
        if prediction == "multiclass" and len(names) != 1:
            raise ValueError(f"{folder.name}: {sound} of {split} has {len(names)} labels; a multiclass task needs one "
                             "for each recording")
    return answers


def _is_event(answer: object) -> bool:
    return isinstance(answer, dict) and "label" in answer and all(type(answer.get(k)) in (int, float)
                                                                  for k in ("start", "end"))


def _folds(about: Mapping, folder: Path) -> tuple[Fold, ...]:
    """Of k folds each is test once, the next one valid, the others train."""
    names, k, mode = sorted(about["splits"]), len(about["splits"]), about["split_mode"]
    if mode == "trainvaltest":
        return (Fold(("train",), ("valid",), ("test",)),)
    if mode not in ("new_split_kfold", "presplit_kfold") or k < 3:
        raise ValueError(f"{folder.name} is split by {mode!r} into {k}: needs trainvaltest, or new_split_kfold or "
                         "presplit_kfold with three folds or more")
    held_out = [(names[i], names[(i + 1) % k]) for i in range(k)]
    return tuple(Fold(tuple(n for n in names if n not in (test, valid)), (valid,), (test,)) for test, valid in held_out)


# ---------------------------------------------------------------------------------------------------------- embeddings

def embed(task: Task, model: nn.Module) -> dict[str, Split]:
    """The embeddings and answers of each split. They are kept in the cache, split by split; a second call only reads.

    model: any module that `api` can ask. Recordings of one length go through it together, others alone: nothing is
    padded. AudioError names a recording that cannot be read."""
    rate, found = task.rate(model.sample_rate), {}
    with paths.locked(paths.cache("hear", _key(task, model, rate))) as folder:
        for split, answers in task.splits.items():
            file = folder / f"{split}.npz"
            if not file.exists():
                sounds = [task.folder / str(rate) / split / name for name in answers]
                bar = progress.bar(sounds, desc=f"embedding {task.name} {split}", unit="recording", leave=False)
                with paths.atomic(file) as temporary, hardware.on_device(model) as device:
                    np.savez(temporary, **_embed(bar, task.kind, model, device))
            with np.load(file) as stored:
                x, row, times = stored["x"], stored["row"], stored["times"]
            truth = [[Event(task.labels.index(str(e["label"])), e["start"], e["end"]) for e in answer
                      if task.kind == "event"] for answer in answers.values()]
            y = _targets(task, list(answers.values()), truth, row, times)
            found[split] = Split(torch.from_numpy(x), y, list(answers), row, times, truth)
    return found


def _embed(files: Iterable[Path], kind: str, model: nn.Module, device: torch.device) -> dict[str, np.ndarray]:
    """x (n, D), the recording of each row (n,) and its time in ms (n,): a scene's is 0."""
    size = model.scene_embedding_size if kind == "scene" else model.timestamp_embedding_size
    xs, times = [np.zeros((0, size), np.float32)], [np.zeros(0)]  # after this, one of each recording
    for waves in _batches(audio.read(file, rate=model.sample_rate) for file in files):  # (B, N)
        if kind == "scene":
            x, at = api.get_scene_embeddings(waves.to(device), model)[:, None], torch.zeros(len(waves), 1)  # (B, 1, D)
        else:
            x, at = api.get_timestamp_embeddings(waves.to(device), model)  # (B, n, D), (B, n)
        if x.shape != (len(waves), at.shape[1], size):
            raise ValueError(f"{type(model).__name__} gave embeddings {tuple(x.shape)} for {len(waves)} recordings; "
                             f"it announces a size of {size}")
        xs += list(x.float().cpu().numpy())
        times += list(at.cpu().double().numpy())
    row = np.repeat(np.arange(len(xs) - 1), [len(x) for x in xs[1:]])
    return {"x": np.concatenate(xs), "row": row, "times": np.concatenate(times)}


def _batches(waves: Iterable[Tensor]) -> Iterator[Tensor]:
    """Neighbours of one length together, (B, N), of PASS samples at most."""
    batch = []
    for wave in waves:
        if batch and (len(wave) != len(batch[0]) or (len(batch) + 1) * len(wave) > PASS):
            yield torch.stack(batch)
            batch = []
        batch.append(wave)
    if batch:
        yield torch.stack(batch)


def _targets(task: Task, answers: list[list], truth: list[list[Event]], row: np.ndarray, times: np.ndarray) -> Tensor:
    """What each row (n,) is to say: (n, C). A time within an event, its ends included, has the event's label."""
    y = torch.zeros(len(row), len(task.labels))
    for recording, answer in enumerate(answers):
        if task.kind == "scene":
            y[recording, [task.labels.index(str(label)) for label in answer]] = 1
        for event in truth[recording]:
            y[(row == recording) & (times >= event.start) & (times < event.end + 1e-4), event.label] = 1
    return y


def _key(task: Task, model: nn.Module, rate: int) -> str:
    """A name that changes when anything does that the embeddings depend on: the model, its settings, the sounds."""
    settings = [(name, type(module).__name__, attribute, value) for name, module in model.named_modules()
                for attribute, value in vars(module).items()
                if attribute[0] != "_" and (type(value) in (int, float, str) or is_dataclass(value))]
    files = [task.folder / str(rate) / split / name for split, answers in task.splits.items() for name in answers]
    sounds = [(f.parent.name, f.name, *stamp) for f, stamp in zip(files, paths.stamps(files)) if stamp]
    return f"{task.name}-{paths.key(VERSION, task.kind, rate, model.sample_rate, settings, model, sounds)}"


def evaluate(task: Task, model: nn.Module, seed: int, *, options: Options = Options()) -> Result:
    """HEAR's number for a frozen model on a task: embed it, then `predictor.evaluate`, whose draws have the seed."""
    return predictor.evaluate(embed(task, model), task.folds, task.prediction, task.scores, seed, options,
                              post=task.post, bar=task.name)


# ------------------------------------------------------------------------------------------------------------ archives

def fetch(name: str, root: str | Path) -> Path:
    """Fetch one of TASKS (48 kHz, up to tens of GB) and extract it: the folder ROOT/tasks/FOLDER, for `read`.

    What is there is not done again; a killed fetch goes on. ValueError where an archive is not what it should be or the
    disk is too small, download.FetchError where it cannot be had."""
    if name not in TASKS:
        raise ValueError(f"HEAR has no task {name!r} here: there are {', '.join(TASKS)}")
    root, stem = paths.resolve(root), TASKS[name]
    folder, note, archive = root / "tasks" / stem, root / f"{stem}.done", root / f"hear2021-{stem}-48000.tar.gz"
    if not note.exists():
        print(TERMS, flush=True)
        download.url(URL.format(stem), archive, digest=MD5.get(name, ""))
        download.room(root, 1.5 * download.size(archive))  # of 16-bit WAV
        with download.opened(archive) as tar:
            for member in tar:
                path = PurePosixPath("/", member.name)
                _, _, inside = str(path).partition("/tasks/")
                if member.isdir() or path.name.startswith("._") or not inside.startswith(f"{stem}/"):
                    continue  # the last: what may lie beside the task
                if not member.isfile() or ".." in path.parts:
                    raise ValueError(f"{archive} holds {member.name!r}, which is no file of tasks/{stem}, and was not "
                                     "extracted further: it is not the published archive; delete it and try again")
                if download.size(file := root / "tasks" / inside) != member.size:
                    download.copy(tar.extractfile(member), file)
        read(folder)
        with download.whole(note) as part:
            part.touch()
    return folder
