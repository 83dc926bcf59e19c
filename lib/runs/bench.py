"""A benchmark: clips per second of each part of a run alone, on the machine at hand. It says what limits.

    python -m lib.runs.bench scale=tiny                               and each part's share of the arithmetic that the chip can do
    python -m lib.runs.bench scale=paper wildlife=inatsounds:ROOT general=audioset:ROOT seconds=20     to measure each part for
"""

import sys
import time
from collections.abc import Sequence
from itertools import islice
from statistics import median

import numpy as np
import pandas as pd
import torch

from lib import data, mel, paths, pretrain, training
from lib.mel import FrontEnd, LogMel
from lib.runs import cost
from lib.runs.scales import Scale, scale
from lib.sources import tables

__all__ = ["benchmark", "main"]


def benchmark(setting: Scale, wildlife: pd.DataFrame, general: pd.DataFrame, seconds: float = 10.0) -> pd.DataFrame:
    """Clips per second of each part of a scale's training apart, inputs ready; a row each, measured for so many seconds.

    `share` is the FLOP/s of a row over those of a large matrix product in the same precision on the same device, which is measured
    too: what a chip is said to reach, it reaches in nothing else.
    """
    front, acc = mel.INAT, training.accelerator()
    wild, gen = (t[t["split"] == "train"].reset_index(drop=True) for t in (wildlife, general))
    arch, recipe = setting.arch(), setting.pretraining(setting.pretrain_clips, 0, ratio=1.0)
    labelled, C = setting.finetuning("audiomae", 0, epochs=1), wild["label"].nunique()
    log_mel, waves = LogMel(front).to(acc.device), torch.randn(min(recipe.batch, 64), front.samples, generator=training.generator(0)).to(acc.device)
    made = median([cost.clock(log_mel, waves, acc.device) for _ in range(4)][1:])
    read, workers = _reading(wild, gen, front, recipe, setting.workers, seconds)
    rows = [{"part": f"reading ({workers} workers)", "clips": recipe.batch, "clips/s": read},
            {"part": "front end", "clips": len(waves), "clips/s": len(waves) / made}]
    size, dtype = 8192 if acc.device.type == "cuda" else 2048, torch.bfloat16 if acc.mixed_precision == "bf16" else torch.float32
    square = torch.ones(size, size, dtype=dtype, device=acc.device)
    best = 2 * size**3 / median([cost.clock(lambda x: x @ x, square, acc.device) for _ in range(6)][1:])  # FLOP/s
    parts = {"pretraining step": (cost.pretraining_pace(arch, front, recipe.mask_ratio, recipe.batch, seconds), recipe.batch),
             "finetuning step": (cost.finetuning_pace(arch, front, labelled, C, seconds), labelled.batch),
             "evaluation windows": (cost.predicting_pace(arch, front, C, seconds), cost.PREDICTED)}
    for part, (pace, batch) in parts.items():
        rate = 1 / (pace.clip_s + pace.step_s / batch)
        rows.append({"part": part, "clips": pace.clips, "clips/s": rate, "GFLOP/clip": pace.flop / 1e9, "TFLOP/s": rate * pace.flop / 1e12,
                     "share": rate * pace.flop / best, "memory (GB)": (pace.fixed + batch * pace.activations) / 1e9,
                     "peak (GB)": pace.peak / 1e9 or np.nan})
    return pd.DataFrame([*rows, {"part": "large matrix product", "TFLOP/s": best / 1e12, "share": 1.0}]).set_index("part")


def _reading(wild: pd.DataFrame, gen: pd.DataFrame, front: FrontEnd, recipe: pretrain.Recipe, workers: int, seconds: float) -> tuple[float, int]:
    """Clips per second of the loader alone, and its workers; from the files, as if no recording were kept in memory.

    Whole turns of the workers are timed, after a first: they begin together and hand over their batches nearly together.
    """
    both = pd.concat([wild, gen], ignore_index=True)
    clips = data.Clips(both, front, 0, join=np.arange(len(both)) >= len(wild))
    clips.source.kept = None
    loader = data.loader(clips, data.Mixture(len(wild), len(gen), recipe.ratio, recipe.batch, recipe.clips, 0).batches(), workers)
    batches, read = iter(loader), 0
    turn = lambda: sum(len(batch.row) for batch in islice(batches, max(1, loader.num_workers)))  # noqa: E731
    turn()
    begun = time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds and (more := turn()):
        read += more
    return read / took, loader.num_workers


def main(words: Sequence[str]) -> int:
    """The command line, see the top of this file. What goes wrong is one line and exit code 1."""
    options = {"scale": "auto", "wildlife": "chorus", "general": "chorus", "seconds": "10"}
    try:
        given = paths.pairs(words)
        if unknown := set(given) - set(options):
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(options)}, each as name=value")
        options |= given
        if not options["seconds"].replace(".", "", 1).isdigit():
            raise ValueError(f"seconds is {options['seconds']!r}: it must be a number, such as 10")
        setting = scale(options["scale"])
        pools = [tables.recordings(options[pool], pool, setting.chorus) for pool in ("wildlife", "general")]
        table = benchmark(setting, *pools, seconds=float(options["seconds"]))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    acc, slowest = training.accelerator(), table["clips/s"].iloc[:3].idxmin()
    threads = f"{acc.device.type}, {torch.get_num_threads()} of {paths.processors()} processors"
    chip = torch.cuda.get_device_name() if acc.device.type == "cuda" else threads
    print(f"scale {setting.name} on {chip}, {'float32' if acc.mixed_precision == 'no' else acc.mixed_precision}; each part alone")
    print(table.dropna(axis=1, how="all").map(lambda v: "" if np.isnan(v) else cost.number(v)).to_string(index_names=False))
    once = "; on a CPU reading and the front end work once per recording where that fits in memory" if acc.device.type == "cpu" else ""
    print(f"slowest part of pretraining: {slowest}{once}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
