"""A benchmark: clips per second of each part of a run alone, on the machine at hand. It says what limits.

    python -m lib.runs.benchmark scale=tiny           and each part's share of the arithmetic that the chip can do
    python -m lib.runs.benchmark scale=paper wildlife=inatsounds:ROOT general=audioset:ROOT seconds=20     for each part

Two known implementations are measured too, in turns with ours: librosa's front end and, where transformers is
installed and the scale's decoder is plain, its ViTMAE of the same size.
"""

import math
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from statistics import median

import librosa
import numpy as np
import pandas as pd
import torch
from timm.optim import param_groups_weight_decay

from lib import data, hardware, mel, paths, pretrain, sampler, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.runs import cost, pace, scales
from lib.runs.scales import Scale
from lib.sources import tables

__all__ = ["benchmark", "run"]


def benchmark(setting: Scale, wildlife: pd.DataFrame, general: pd.DataFrame, seconds: float = 10.0) -> pd.DataFrame:
    """Clips per second of each part of a scale's training apart, inputs ready; a row each, measured for so many
    seconds.

    `share` is the FLOP/s of a row over those of a large matrix product in the same precision on the same device,
    which is measured too: what a chip is said to reach, it reaches in nothing else. `ours` is how many times faster
    than a row our part of the same kind is.
    """
    front, acc = mel.INAT, hardware.accelerator()
    wild, gen = (t[t["split"] == "train"].reset_index(drop=True) for t in (wildlife, general))
    arch, recipe = setting.arch(), setting.pretraining(setting.pretrain_clips, 0, ratio=1.0)
    labelled, C = setting.finetuning("audiomae", 0, epochs=1), wild["label"].nunique()
    log_mel = LogMel(front).to(acc.device)
    waves = 0.05 * torch.randn(min(recipe.batch, 64), front.samples, generator=training.generator(0))
    ready = waves.to(acc.device)
    made, theirs = _in_turns(lambda: log_mel(ready), lambda: _librosa(front, waves.numpy()), seconds=seconds)
    workers = data.readers(setting.workers)
    rows = [{"part": f"reading ({workers} workers)", "clips": recipe.batch,
             "clips/s": _reading(wild, gen, front, recipe, workers, seconds)},
            {"part": "front end", "clips": len(waves), "clips/s": len(waves) / made}]
    size = 8192 if acc.device.type == "cuda" else 2048
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16, "float32": torch.float32}[hardware.precision()]
    square = torch.randn(size, size, generator=training.generator(0)).to(acc.device, kind)
    best = 2 * size**3 / median([cost.clock(lambda: square @ square) for _ in range(6)][1:])  # FLOP/s
    paces = {"pretraining step": (cost.pretraining_pace(arch, front, recipe, seconds), recipe.batch),
             "finetuning step": (cost.finetuning_pace(arch, front, labelled, C, seconds), labelled.batch),
             "evaluation windows": (cost.predicting_pace(arch, front, C, seconds), cost.PREDICTED)}
    for part, (found, batch) in paces.items():
        rate = 1 / (found.clip_s + found.step_s / batch)
        rows.append({"part": part, "clips": found.clips, "clips/s": rate, "GFLOP/clip": found.flop / 1e9,
                     "TFLOP/s": rate * found.flop / 1e12, "share": rate * found.flop / best,
                     "memory (GB)": (found.fixed + batch * found.activations) / 1e9,
                     "peak (GB)": found.peak / 1e9 or np.nan})
    rows.append({"part": "large matrix product", "TFLOP/s": best / 1e12, "share": 1.0})
    rows.append({"part": "librosa's front end", "clips": len(waves), "clips/s": len(waves) / theirs,
                 "ours": theirs / made})
    if arch.decoder == "plain" and find_spec("transformers"):
        made, theirs = _in_turns(*_steps(arch, front, recipe), seconds=seconds)
        rows.append({"part": "ViTMAE (transformers)", "clips": recipe.batch, "clips/s": recipe.batch / theirs,
                     "ours": theirs / made})
    return pd.DataFrame(rows).set_index("part")


def _in_turns(ours: Callable[[], object], theirs: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Median seconds of a call of each, in turns of half a second: other programs slow both alike.

    The first call of a turn does not count: threads that the other has left waiting (numpy's, after librosa) spin for
    a while and slow it."""
    took = [], []
    while len(took[0]) < 3 or sum(map(sum, took)) < seconds:
        for run, times in zip((ours, theirs), took):
            cost.clock(run)
            end = time.perf_counter() + 0.5
            times.append(cost.clock(run))
            while time.perf_counter() < end:
                times.append(cost.clock(run))
    return median(took[0]), median(took[1])


def _librosa(front: FrontEnd, waves: np.ndarray) -> None:
    """The log-mel of waves (B, N) as librosa makes it, of power instead of INAT's magnitude: one after the other."""
    for wave in waves:
        power = librosa.feature.melspectrogram(y=wave, sr=front.rate, n_fft=front.n_fft, hop_length=front.hop,
                                               win_length=front.window, center=False, n_mels=front.mels,
                                               fmin=front.low_hz, fmax=front.high_hz)
        librosa.power_to_db(power)


def _steps(arch: Arch, front: FrontEnd, recipe: pretrain.Recipe) -> tuple[Callable[[], None], Callable[[], None]]:
    """Whole pretraining steps on random specs: ours, and of Hugging Face's ViTMAE as it comes, with all sizes equal.

    ViTMAE wants square pictures: here as many pixels, in as many patches."""
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    acc, side = hardware.accelerator(), math.isqrt(arch.frames * arch.mels)
    config = ViTMAEConfig(
        image_size=side, patch_size=arch.patch[0], num_channels=1, hidden_size=arch.dim, num_hidden_layers=arch.depth,
        num_attention_heads=arch.heads, intermediate_size=4 * arch.dim, decoder_hidden_size=arch.decoder_dim,
        decoder_num_hidden_layers=arch.decoder_depth, decoder_num_attention_heads=arch.decoder_heads,
        decoder_intermediate_size=4 * arch.decoder_dim, mask_ratio=recipe.mask_ratio, layer_norm_eps=1e-6,
        norm_pix_loss=arch.norm_pixels, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    with torch.random.fork_rng(range(torch.cuda.device_count())):  # nobody else's numbers are touched
        model = MAE(arch, training.generator(0)).to(acc.device).train()
        other = ViTMAEForPreTraining(config).to(acc.device).train()
    batch = pace.clips(recipe.batch, front, ahead=True)
    optimizer, loss_of = pretrain.step_of(model, front, recipe)
    groups = param_groups_weight_decay(other, recipe.weight_decay)
    twin = torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, fused=optimizer.defaults["fused"])

    def step(optimizer: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]) -> None:
        with acc.autocast():
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    def ours() -> None:
        with hardware.quick_attention(model):
            step(optimizer, lambda: loss_of(model, batch, 0))

    def theirs() -> None:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            step(twin, lambda: other(batch.x.view(-1, 1, side, side)).loss)

    return ours, theirs


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
    table, acc = benchmark(setting, *recordings, seconds=seconds), hardware.accelerator()
    print(f"scale {setting.name} on {hardware.named()}, {paths.processors()} processors; each part alone")
    print(table.dropna(axis=1, how="all").map(cost.number).to_string(index_names=False))
    once = "; on a CPU reading and the front end work once per recording where that fits in memory"
    print(f"slowest part of pretraining: {table['clips/s'].iloc[:3].idxmin()}"
          + (once if acc.device.type == "cpu" else ""))


if __name__ == "__main__":
    sys.exit(paths.command(run, sys.argv[1:], __doc__, "the same command begins anew"))
