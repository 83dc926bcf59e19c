"""MobileNetV3: what a filtered set is worth without pretraining (Liu et al. 2026, Figures 4 and 5, middle)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import timm
import torch
from timm.models import load_pretrained
from torch import nn

from lib import checkpoints, data, hardware, sampler, training
from lib.mel import FrontEnd, LogMel
from lib.sources import download
from lib.transfer.finetune import Finetuned

__all__ = ["Recipe", "network", "train"]


@dataclass(frozen=True)
class Recipe:
    """How to train it: the defaults are those of iNatSounds' public code (cvl-umass/iNatSounds, src/params.py)."""

    size: str = "large_100"  # of timm's mobilenetv3
    epochs: int = 50
    batch: int = 128
    lr: float = 0.05
    weight_decay: float = 1e-5
    warmup: float = 0.1  # share of the steps
    seed: int = 0


def network(classes: int, *, seed: int = 0, size: str = "large_100", weights: str = "") -> nn.Module:
    """timm's MobileNetV3 (Howard et al. 2019): specs (B, 1, T, M) -> logits (B, C), its weights drawn by the seed.

    weights: "hub" has all but the head start from timm's ImageNet weights of this size, the path of a file from those
    in it. The three colours of the first convolution are summed to one channel."""
    with torch.random.fork_rng(devices=[]):  # timm draws from the global generator
        torch.manual_seed(seed)
        model = timm.create_model(f"mobilenetv3_{size}", in_chans=1, num_classes=classes)
    if weights:
        _from_imagenet(model, weights)
    return model


def _from_imagenet(model: nn.Module, weights: str) -> None:
    """Give a network of timm's the weights of the hub or of a file, its head aside; ValueError where that fails."""
    about = model.pretrained_cfg
    name, page = about["architecture"], f"https://huggingface.co/{about['hf_hub_id']}"
    state = None if weights == "hub" else checkpoints.read(weights)
    body = {key for key in model.state_dict() if not key.startswith(about["classifier"])}
    try:
        if state and not body <= state.keys():
            raise RuntimeError
        load_pretrained(model, about | {"state_dict": state}, num_classes=0, in_chans=1)  # no head of so many classes
    except download.FAILURES as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ValueError(f"ImageNet weights of {name} could not be fetched from the hub ({reason}): check the "
                         f"connection, or download model.safetensors from {page} and give its path") from None
    except RuntimeError:  # timm's, where a tensor has another shape
        raise ValueError(f"{Path(weights).name} holds no weights of timm's {name}: its file is model.safetensors from "
                         f"{page}") from None


def train(front: FrontEnd, table: pd.DataFrame, recipe: Recipe, labels: list[str], *, weights: str = "",
          workers: int = 0) -> Finetuned:
    """Train one on the kept windows of split == "train", with a class for each of `labels`.

    weights: what it starts from (`network`). The last step is kept, val is not looked at. Of several processes each
    has the whole batch, for batch norm."""
    learnt, acc = table[table["split"] == "train"].reset_index(drop=True), hardware.accelerator()
    number = {label: i for i, label in enumerate(labels)}
    targets = torch.tensor([number[label] for label in learnt["label"]])  # (R,)
    seed = training.generator(recipe.seed, 5).initial_seed()
    model = network(len(labels), seed=seed, size=recipe.size, weights=weights)
    model = model.to(memory_format=torch.channels_last)
    mixture = sampler.Mixture(len(learnt), 0, 0.0, min(recipe.batch, len(learnt)), recipe.epochs * len(learnt),
                              recipe.seed)
    clips = data.Clips(learnt, front, recipe.seed, ahead=acc.device.type == "cpu", device=acc.device)
    log_mel = LogMel(front).to(acc.device)
    optimizer = torch.optim.SGD(model.parameters(), recipe.lr, momentum=0.9, nesterov=True,
                                weight_decay=recipe.weight_decay)

    def batches(start: int) -> Iterable[data.Batch]:
        return data.loader(clips, mixture.batches(start), workers)

    def loss_of(model: nn.Module, batch: data.Batch, step: int) -> torch.Tensor:
        logits = model(batch.spec(log_mel, acc.device))  # (B, C)
        loss = nn.functional.cross_entropy(logits, targets[batch.row].to(acc.device, non_blocking=True))
        return loss / acc.num_processes  # fit adds the processes up

    log = pd.DataFrame(training.fit(model, optimizer, batches, loss_of, steps=len(mixture), seed=recipe.seed,
                                    warmup=round(recipe.warmup * len(mixture)), bar="proxy"))
    trained = sum(p.numel() for p in model.parameters())
    return Finetuned(model.eval(), labels, log, pd.DataFrame(columns=["step", "top1"]), mixture.samples, trained)
