"""From an encoder's patches to the classes: readouts, and the classifier that has one on top of a stock timm ViT.

Behind each stands a batch norm without weights. A LayerNorm behind the mean (AudioMAE's `fc_norm`) looks at one clip at
a time: what all clips share stays, and so does how loud each is, along one direction. What is left of the mean tokens'
power beside the two, for random weights of `tiny` on val of chorus (data_seed 1): 10 % behind a LayerNorm and 27 %
behind a batch norm; with each band's median taken off the log-mel 0.4 % and 56 %. A head learns from that rest."""
from collections.abc import Mapping
from functools import partial

import torch
from timm.layers import AttentionPoolLatent
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lib import mae, patches
from lib.mae import Arch

__all__ = ["READOUTS", "Mean", "Frequency", "Queries", "Classifier", "classifier", "named", "low_rank"]


class Mean(nn.Module):
    """The mean of the patches: (B, f, n, D), n of each mel row in any order -> (B, D)."""

    def __init__(self, dim: int, rows: int) -> None:
        super().__init__()
        self.width = dim

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.mean((1, 2))


class Frequency(nn.Module):
    """MSM-MAE's frequency vector with its spread: of every mel row the mean and the standard deviation over time.

    (B, f, n, D) -> (B, 2*f*D)."""

    def __init__(self, dim: int, rows: int) -> None:
        super().__init__()
        self.width = 2 * rows * dim

    def forward(self, tokens: Tensor) -> Tensor:
        spread = (tokens.var(2, unbiased=False) + 1e-6).sqrt()
        return torch.cat([tokens.mean(2), spread], 2).flatten(1)


class Queries(nn.Module):
    """Attentive pooling with eight learned queries (timm's AttentionPoolLatent without its MLP), laid end to end.

    (B, f, n, D) -> (B, 8*D). Each looks at all patches for what it has learned to look for."""

    def __init__(self, dim: int, rows: int, count: int = 8) -> None:
        super().__init__()
        self.pool = AttentionPoolLatent(dim, num_heads=max(1, dim // 64), latent_len=count, pool_type="",
                                        out_features=0)
        self.width = count * dim

    def forward(self, tokens: Tensor) -> Tensor:
        return self.pool(tokens.flatten(1, 2)).flatten(1)


READOUTS = {"mean": Mean, "frequency": Frequency, "queries": Queries}


class Classifier(VisionTransformer):
    """timm's ViT with a readout, a batch norm and a linear head in the place of its own head: specs (B, 1, T, M) ->
    logits (B, C).

    What is behind the tokens is computed in float32. In training a share of the patches is left out, the same number
    of every mel row; batch statistics are those of the clips that go through the model at once (a part of a batch, a
    process's share: one clip alone is normed as in evaluation), and in evaluation those of the last steps."""

    def __init__(self, arch: Arch, readout: str, classes: int, drop_patches: float, **options) -> None:
        super().__init__(**options)
        self.arch, self.dropped = arch, drop_patches
        self.readout = READOUTS[readout](arch.dim, arch.grid.f)
        self.readout_norm = nn.BatchNorm1d(self.readout.width, affine=False)
        self.head = nn.Linear(self.readout.width, classes)
        nn.init.zeros_(self.head.bias)
        self.num_classes = classes

    def tokens(self, spec: Tensor) -> Tensor:
        """The encoded patches by mel rows: (B, f, n, D), where n = t unless patches are left out."""
        (t, f), cls = self.arch.grid, self.cls_token + self.pos_embed[:, :1]
        if self.training and self.dropped:
            n = max(1, round(t * (1 - self.dropped)))
            columns = torch.rand(len(spec), f, t, device=spec.device).argsort(-1)[..., :n]
            place = (columns * f + torch.arange(f, device=spec.device)[:, None]).flatten(1)  # (B, f*n), row by row
            x = self.patch_embed.project(patches.some(spec, self.arch.patch, place)) + self.pos_embed[0, 1:][place]
        else:
            x = self.patch_embed(spec) + self.pos_embed[:, 1:]
        x = torch.cat([cls.expand(len(x), -1, -1), x], 1)
        x = self.norm(self.blocks(self.norm_pre(x)))[:, 1:]
        return x.unflatten(1, (f, n)) if self.training and self.dropped else x.unflatten(1, (t, f)).transpose(1, 2)

    def forward(self, spec: Tensor) -> Tensor:
        """Logits (B, C)."""
        tokens = self.tokens(spec)
        self.readout_norm.train(self.training and len(spec) > 1)
        with torch.autocast(spec.device.type, enabled=False):
            return self.head(self.readout_norm(self.readout(tokens.float())))


def named(state: Mapping[str, Tensor], arch: Arch) -> str:
    """Which readout a classifier's tensors belong to."""
    if "readout_norm.running_mean" not in state:
        return "fc_norm"
    if "readout.pool.latent" in state:
        return "queries"
    return "mean" if state["head.weight"].shape[1] == arch.dim else "frequency"


def classifier(arch: Arch, readout: str, classes: int, generator: torch.Generator | None = None, drop_path: float = 0.0,
               drop_patches: float = 0.0) -> VisionTransformer:
    """A classifier without the encoder's weights: readout "fc_norm" is the stock ViT with the mean of its patches, a
    LayerNorm and a linear head, as AudioMAE finetunes; else one of READOUTS."""
    if readout == "fc_norm":
        return mae.vit(arch, num_classes=classes, global_pool="avg", drop_path_rate=drop_path,
                       patch_drop_rate=drop_patches)
    if readout not in READOUTS:
        raise ValueError(f"readout is {readout!r}: it must be fc_norm or one of {', '.join(READOUTS)}")
    seed = torch.randint(2**31, (), generator=generator).item() if generator else 0
    with torch.random.fork_rng():  # timm draws from the global generator
        torch.manual_seed(seed)
        return mae.vit(arch, partial(Classifier, arch, readout, classes, drop_patches), drop_path_rate=drop_path)


def low_rank(model: VisionTransformer, rank: int, generator: torch.Generator) -> None:
    """Freeze the encoder and give every attention layer a trainable update of a low rank (LoRA); what is behind the
    encoder stays trainable."""
    from peft import LoraConfig, inject_adapter_in_model  # here: it takes seconds to import

    with torch.random.fork_rng():  # peft draws from the global generator
        torch.manual_seed(generator.initial_seed())
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["qkv"]), model)
    for name, weights in model.named_parameters():
        if name.startswith(("fc_norm.", "readout.", "head.")):
            weights.requires_grad_(True)
