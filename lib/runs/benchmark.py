"""A benchmark: clips per second of each part of a run alone, on the machine at hand. It says what limits.

    python -m lib.runs.benchmark scale=tiny           and each part's share of the arithmetic that the chip can do
    python -m lib.runs.benchmark scale=paper wildlife=inatsounds:ROOT general=audioset:ROOT seconds=20     for each part
"""

import sys
import time
from itertools import islice
from statistics import median

import numpy as np
import pandas as pd
import torch

from lib import data, mel, paths, pretrain, sampler, training
from lib.mel import FrontEnd, LogMel
from lib.runs import cost, scales
from lib.runs.scales import Scale
from lib.sources import tables

__all__ = ["benchmark", "run"]


def benchmark(setting: Scale, wildlife: pd.DataFrame, general: pd.DataFrame, seconds: float = 10.0) -> pd.DataFrame:
    """Clips per second of each part of a scale's training apart, inputs ready; a row each, measured for so many
    seconds.

    `share` is the FLOP/s of a row over those of a large matrix product in the same precision on the same device,
    which is measured too: what a chip is said to reach, it reaches in nothing else.
    """
    front, acc = mel.INAT, training.accelerator()
    wild, gen = (t[t["split"] == "train"].reset_index(drop=True) for t in (wildlife, general))
    arch, recipe = setting.arch(), setting.pretraining(setting.pretrain_clips, 0, ratio=1.0)
    labelled, C = setting.finetuning("audiomae", 0, epochs=1), wild["label"].nunique()
    log_mel = LogMel(front).to(acc.device)
    waves = torch.randn(min(recipe.batch, 64), front.samples, generator=training.generator(0)).to(acc.device)
    made = median([cost.clock(lambda: log_mel(waves)) for _ in range(4)][1:])
    workers = data.readers(setting.workers)
    rows = [{"part": f"reading ({workers} workers)", "clips": recipe.batch,
             "clips/s": _reading(wild, gen, front, recipe, workers, seconds)},
            {"part": "front end", "clips": len(waves), "clips/s": len(waves) / made}]
    on_gpu, bf16 = acc.device.type == "cuda", acc.mixed_precision == "bf16"
    size = 8192 if on_gpu else 2048
    square = torch.randn(size, size, generator=training.generator(0))
    square = square.to(acc.device, torch.bfloat16 if bf16 else torch.float32)
    best = 2 * size**3 / median([cost.clock(lambda: square @ square) for _ in range(6)][1:])  # FLOP/s
    paces = {"pretraining step": (cost.pretraining_pace(arch, front, recipe, seconds), recipe.batch),
             "finetuning step": (cost.finetuning_pace(arch, front, labelled, C, seconds), labelled.batch),
             "evaluation windows": (cost.predicting_pace(arch, front, C, seconds), cost.PREDICTED)}
    for part, (pace, batch) in paces.items():
        rate = 1 / (pace.clip_s + pace.step_s / batch)
        rows.append({"part": part, "clips": pace.clips, "clips/s": rate, "GFLOP/clip": pace.flop / 1e9,
                     "TFLOP/s": rate * pace.flop / 1e12, "share": rate * pace.flop / best,
                     "memory (GB)": (pace.fixed + batch * pace.activations) / 1e9,
                     "peak (GB)": pace.peak / 1e9 or np.nan})
    product = {"part": "large matrix product", "TFLOP/s": best / 1e12, "share": 1.0}
    return pd.DataFrame([*rows, product]).set_index("part")


def _reading(wild: pd.DataFrame, gen: pd.DataFrame, front: FrontEnd, recipe: pretrain.Recipe, workers: int,
             seconds: float) -> float:
    """Clips per second of the loader alone, from the files, as if no recording were kept in memory.

    Whole turns of the workers are timed, after a first: they begin together and hand over their batches nearly
    together.
    """
    both = pd.concat([wild, gen], ignore_index=True)
    clips = data.Clips(both, front, 0, join=np.arange(len(both)) >= len(wild))
    clips.source.decoded = None
    mixture = sampler.Mixture(len(wild), len(gen), recipe.ratio, recipe.batch, recipe.clips, 0)
    batches, turn, read, took = iter(data.loader(clips, mixture.batches(), workers)), max(1, workers), 0, 0.0
    list(islice(batches, turn))
    begun = time.perf_counter()
    while took < seconds and (turned := list(islice(batches, turn))):
        read, took = read + sum(len(batch.row) for batch in turned), time.perf_counter() - begun
    return read / took


def run(scale: str = "auto", wildlife: str = "chorus", general: str = "chorus", seconds: float = 10.0) -> None:
    """Print the benchmark of a scale on two pools, and the slowest part of pretraining."""
    setting = scales.scale(scale)
    pools = {"wildlife": wildlife, "general": general}
    recordings = [tables.recordings(name, pool, setting.chorus) for pool, name in pools.items()]
    table, acc = benchmark(setting, *recordings, seconds=seconds), training.accelerator()
    threads = f"{acc.device.type}, {torch.get_num_threads()} of {paths.processors()} processors"
    chip = torch.cuda.get_device_name() if acc.device.type == "cuda" else threads
    precision = "float32" if acc.mixed_precision == "no" else acc.mixed_precision
    print(f"scale {setting.name} on {chip}, {precision}; each part alone")
    print(table.dropna(axis=1, how="all").map(cost.number).to_string(index_names=False))
    once = "; on a CPU reading and the front end work once per recording where that fits in memory"
    print(f"slowest part of pretraining: {table['clips/s'].iloc[:3].idxmin()}"
          + (once if acc.device.type == "cpu" else ""))


if __name__ == "__main__":
    sys.exit(paths.command(run, sys.argv[1:], __doc__))
