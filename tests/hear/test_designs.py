"""The nine designs: they are Table 1, at every scale, and a model of each pretrains."""

import pandas as pd
import pytest
import torch
from toys import tones

from lib import mel, patches, paths, pretrain, training
from lib.hear import designs
from lib.mae import MAE
from lib.runs.scales import SCALES, scale
from lib.transfer import public

TABLE_1 = {  # patches in all, along frequency, along time; the patch as frequency x time
    "96": (30, 5, 6, 16, 16), "208": (65, 5, 13, 16, 16), "304": (95, 5, 19, 16, 16), "400": (125, 5, 25, 16, 16),
    "512": (160, 5, 32, 16, 16), "200_16x8": (125, 5, 25, 16, 8), "200_16x4": (250, 5, 50, 16, 4),
    "208_8x16": (130, 10, 13, 8, 16), "304_80x4": (76, 1, 76, 80, 4)}


@pytest.mark.parametrize("size", SCALES)
def test_the_designs_are_table_1_at_every_scale(size):
    assert list(designs.DESIGNS) == list(TABLE_1)
    for name, (total, f, t, height, width) in TABLE_1.items():
        arch, front = scale(size).msm_mae(name)
        assert arch.grid == designs.DESIGNS[name].grid == (t, f) and t * f == total and arch.patch == (width, height)
        assert front.frames == arch.frames and (front.name, front.rate, front.mels) == ("msm_mae", 16_000, 80)
        assert int(name.split("_")[0]) == arch.frames and name.partition("_")[2] in ("", f"{height}x{width}")


def test_at_paper_scale_it_is_the_paper_s(golden_keys):
    arch, _ = scale("paper").msm_mae("208")
    assert (arch.dim, arch.depth, arch.heads, arch.decoder, arch.norm_pixels) == (768, 12, 12, "plain", False)
    assert (arch.decoder_dim, arch.decoder_depth, arch.decoder_heads) == (384, 4, 6)
    with torch.device("meta"):
        keys = {k: torch.zeros(shape) for k, shape in golden_keys["msm_mae_base_80x208p16x16"]["keys"].items()}
        published = public.convert(keys, "msm_mae", grid=(13, 5), heads=12, decoder_heads=6).arch
    assert published == arch  # the published file has these very shapes


def test_the_recipe():
    paper, tiny = (scale(s).msm_recipe(1000, 3) for s in ("paper", "tiny"))
    for recipe in (paper, tiny):
        assert (recipe.mask_ratio, recipe.weight_decay, recipe.warmup) == (0.75, 0.05, 0.1)
        assert recipe.betas == (0.9, 0.95) and recipe.seed == 3
    assert (paper.batch, paper.lr) == (512, 6e-4) and (tiny.batch, tiny.lr) == (scale("tiny").batch, scale("tiny").lr)
    assert (paper.clips, paper.ratio) == (196_380_700, float("inf"))  # 100 epochs of AudioSet alone, whatever is asked
    assert (tiny.clips, tiny.ratio) == (1000, 1.0) and scale("paper").msm_recipe(0, 0).clips == 0
    assert scale("paper").msm_recipe(1, 0, ratio=1.0).ratio == 1.0
    visible = [patches.random_mask(1, design.grid, 0.75, training.generator(0)).keep.shape[1]
               for design in designs.DESIGNS.values()]
    assert visible == [8, 16, 24, 31, 40, 31, 62, 32, 19]  # public code: 7 and 23 for the first and third, it truncates


def test_the_paper_s_numbers_are_found_under_every_name():
    table = pd.read_csv(paths.ROOT / "papermill_runs" / "reference_results.csv", dtype=str)
    ours = table[(table["paper"] == "niizumi2022") & table["setting"].str.startswith("MSM-MAE")]
    named = {(place, setting) for d in designs.DESIGNS.values() for place, setting in d.tables.items()}
    assert named == set(zip(ours["place"], ours["setting"]))


def test_the_published_decoder_s_positions_stay_one_line(golden, capsys):
    """Its table is 1-D, counted mel first; each of our tokens keeps its patch's row. The golden one is off by 0.05."""
    stored, _ = golden("msm_mae")
    weights = {k.removeprefix("weights."): v for k, v in stored.items() if k.startswith("weights.")}
    model = public.convert(weights, "msm_mae", grid=(13, 5), heads=3, decoder_heads=3)
    place = (torch.arange(5) * 13 + torch.arange(13)[:, None]).flatten()  # (L,) of our token i in their line
    angle = place[:, None] / 10000 ** (torch.arange(0, 24, 2) / 24)  # (L, d/2)
    line = torch.stack([angle.sin(), angle.cos()], 2).flatten(1)  # (L, d) sine and cosine in turn
    assert (model.decoder_pos_embed[0, 1:] - line).square().mean().sqrt() < 0.06
    assert (MAE(model.arch).decoder_pos_embed[0, 1:] - line).square().mean().sqrt() > 0.5  # ours is 2-D


@pytest.mark.parametrize("name", ["96", "200_16x4", "304_80x4"])
def test_a_model_of_each_kind_pretrains(tmp_path, monkeypatch, name):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    small = scale("smoke")
    pools = tones(tmp_path / "w", 3, 0, 0, seconds=1.0, seed=1), tones(tmp_path / "g", 3, 0, 0, seconds=3.5, seed=2)
    first, again, other = (pretrain.pretrain(*small.msm_mae(name), small.msm_recipe(64, seed), *pools)
                           for seed in (0, 0, 1))
    pixels = first.model.target(torch.randn(1, 1, first.model.arch.frames, mel.MSM_MAE.mels))
    assert pixels.std() > 0.9 and len(first.log) == 4 and first.log["loss"].iloc[-1] < first.log["loss"].iloc[0]
    assert torch.equal(first.model.decoder_pred.weight, again.model.decoder_pred.weight)
    assert not torch.equal(first.model.decoder_pred.weight, other.model.decoder_pred.weight)


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="no design '208_16x8': use 96, 208, .*304_80x4 .frames, then the patch"):
        scale("tiny").msm_mae("208_16x8")
