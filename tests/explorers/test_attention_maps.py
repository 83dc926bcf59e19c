"""The attention explorer in plain Python."""

import examples
import pytest
import torch

from lib import attention
from lib.explorers import attention_maps


@pytest.fixture(scope="module")
def one():
    return attention_maps.AttentionMaps(examples.models(), examples.sounds())


def test_shares_are_attentions(one):
    view, scene = one.update("rumble", "tiny", layer=2, head=1, patch=(5, 3)), one.scene("rumble", "tiny")
    row = attention.maps(scene.model, scene.x, 2)[0, 1, 1 + 5 * 8 + 3]  # (1 + L,)
    seen = row[1:].unflatten(0, (32, 8))
    assert view.numbers["class token"] == pytest.approx(float(row[0]), abs=1e-6)
    assert view.numbers["itself"] == pytest.approx(float(seen[5, 3]), abs=1e-6)
    assert view.numbers["rest of its mel row"] == pytest.approx(float(seen[:, 3].sum() - seen[5, 3]), abs=1e-5)
    assert sum(list(view.numbers.values())[:5]) == pytest.approx(1, abs=1e-5)
    assert 1 <= view.numbers["patches it spreads over"] <= 256.01
    assert "block 3 of 4, head 2: the patch in time column 6 and mel row 4" in view.text


def test_mean_of_heads_is_the_papers(one):
    scene = one.scene(model="larger")
    seen = attention.from_patch(attention.maps(scene.model, scene.x), scene.model.grid, (0, 7))[0]
    view = one.update(patch=(0, 7))
    assert view.numbers["itself"] == pytest.approx(float(seen[0, 7]), abs=1e-6) and "mean of heads" in view.text
    assert 0 < view.numbers["on calls"] < 1 and "on calls" not in one.update("rumble").numbers


def test_same_arguments_same_view(one):
    first = one.update(layer=0, patch=(3, 3))
    one.update("rumble", "other front end", head=1)
    assert one.update(layer=0, patch=(3, 3)) == first
    assert one.update(layer=1, patch=(3, 3)).image != first.image
    assert one.update(layer=0, patch=(4, 3)).image != first.image


@pytest.mark.parametrize("bad, message", [({"head": 9}, "head is 9, this model has 4 heads a block"),
                                          ({"layer": 6}, "this encoder has 6 blocks"),
                                          ({"patch": (32, 0)}, "32 columns and 8 mel rows")])
def test_errors_name_what_is_there(one, bad, message):
    with pytest.raises(ValueError, match=message):
        one.update(**bad)


def test_controls(one):
    seen = [one.picture.value]
    one.grid.cursor = [9, 4]
    assert one.picture.value not in seen
    seen.append(one.picture.value)
    for control, value in ((one.column, 3), (one.layer, 0), (one.head, 2), (one.model, "other front end"),
                           (one.recording, "rumble")):
        control.value = value
        assert one.picture.value not in seen
        seen.append(one.picture.value)
    shown = {"recording": "rumble", "model": "other front end", "layer": 3, "head": None, "patch": (2, 4)}
    assert one.choice() == shown
    one.column.value = 19
    one.model.value = "tiny"
    one.column.value = 32
    one.model.value = "other front end"  # whose grid is narrower: the frame stays on it
    assert one.choice()["patch"] == (18, 4) and one.column.max == 19
    one.listen.click()
    assert one.sounds.value.count("<audio") == 1


def test_kept_maps_are_of_what_is_shown(one):
    one.update("rumble", "tiny")
    scene = one.scene("chirps & <hiss>", "tiny")
    assert torch.equal(one.attend(scene, -1), attention.maps(scene.model, scene.x))
