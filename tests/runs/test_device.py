"""The device's command: its checks pass on the device that is here and notice a wrong one; a part that fails, hangs or
is late leaves the rest as it is; a sweep makes whole seeds while the time lasts."""
import itertools
import json
import signal
import time

import pandas as pd
import pytest
from toys import tones

from lib import checkpoints, mel, paths
from lib.hear import designs
from lib.runs import correctness, device, rates, record, scales

SMOKE = scales.SCALES["smoke"]


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    return [tones(tmp_path_factory.mktemp(name), seconds=3.2, seed=seed) for seed, name in enumerate("wg")]


@pytest.fixture
def report(tmp_path):
    return device.Report(tmp_path / "out", 100.0)


def written(report):
    return (report.folder / "report.md").read_text(), json.loads((report.folder / "report.json").read_text())["found"]


# --------------------------------------------------------------------------------------------------------------- checks

@pytest.mark.parametrize("check", correctness.CHECKS, ids=lambda check: check.__name__)
def test_this_device_computes_as_a_cpu_does(check, pools, monkeypatch):
    some = {name: designs.DESIGNS[name] for name in ("208", "304_80x4")}
    monkeypatch.setattr(designs, "DESIGNS", some)
    found = check(SMOKE, pools)
    assert not len(found) or found["ok"].all(), found[~found["ok"]].to_string()
    assert len(found) or check in (correctness.overflow, correctness.syncs)  # which need CUDA


def test_a_device_that_computes_otherwise_is_noticed(pools, monkeypatch, report):
    real, turn = correctness.LogMel, itertools.count()

    def wrong(front):  # the first of two
        log_mel, broken = real(front), next(turn) % 2 == 0
        return lambda *given, **named: log_mel(*given, **named) + 0.01 * broken

    monkeypatch.setattr(correctness, "LogMel", wrong)
    report.part("front ends", lambda: correctness.front_ends(SMOKE, pools), 10)
    fronts = [mel.INAT, mel.AUDIOMAE, mel.BIRDMAE, mel.MSM_MAE]
    assert sorted(report.troubles) == sorted(f"front ends: {front.name}" for front in fronts)
    text, found = written(report)
    assert "0 of 4 within what is allowed" in text and [row["ok"] for row in found["front ends"]] == [False] * 4


def test_an_interrupted_training_that_goes_another_way_is_noticed(pools, monkeypatch):
    real = correctness.training.States.resume
    monkeypatch.setattr(correctness.training.States, "resume", lambda *given: (lambda found: (
        found if not found[0] else (found[0] - 1, found[1][:-1])))(real(*given)))  # a step is made twice
    found = correctness.resuming(SMOKE, pools)
    assert found.set_index("what")["ok"].to_dict() == {
        f"{kind}: {what}": what == "made twice" for kind in ("pretraining", "finetuning")
        for what in ("made twice", "stopped and resumed, weights", "stopped and resumed, losses")}


# ---------------------------------------------------------------------------------------------------------------- rates

@pytest.mark.parametrize("kind", rates.KINDS)
def test_a_profile_says_in_eleven_lines_what_limits(kind):
    lines = rates.kernels(SMOKE, kind, steps=1).splitlines()
    assert len(lines) == 11 and "limit" in lines[0] and all("%" in line and " ms  " in line for line in lines[1:])


def test_a_pace_counts_the_clips_of_all_steps(monkeypatch):
    calls = []
    monkeypatch.setattr(rates.cost, "clock", lambda run: (run(), 0.5)[1])
    assert rates.pace(lambda: calls.append(1), 16, 2.0) == 4 * 16 / 0.5 and len(calls) == 1 + 1 + 4


# ---------------------------------------------------------------------------------------------------------------- parts

def test_what_a_part_raises_is_a_block_and_the_next_goes_on(report, capsys):
    report.part("one", lambda: 1 / 0, 10)
    report.part("two", lambda: pd.DataFrame({"clips/s": [1234.5, 0.001]}), 10)
    text, found = written(report)
    assert "ZeroDivisionError: division by zero" in text and report.troubles == ["one: ZeroDivisionError"]
    assert found["two"] == [{"clips/s": 1234.5}, {"clips/s": 0.001}] and "1,23" in text and "1.0e-03" in text
    assert capsys.readouterr().out == text


def test_where_there_is_no_alarm_as_on_windows_a_part_is_not_cut_short(report, monkeypatch):
    monkeypatch.delattr(signal, "SIGALRM")
    report.part("long", lambda: "well", 10)
    assert written(report)[1] == {"long": "well"} and not report.troubles


def test_a_part_that_hangs_is_stopped_and_leaves_what_it_had(report):
    def hangs():
        yield "half of it"
        try:
            time.sleep(60)
        except Exception:  # what catches mistakes does not catch this
            yield "caught"

    begun = time.monotonic()
    report.part("long", hangs, 1.0)
    report.part("next", lambda: "well", 10)
    text, found = written(report)
    assert time.monotonic() - begun < 5 and not report.troubles
    assert found == {"long": "half of it", "next": "well"} and "stopped after 1 s, its share of the time" in text


def test_ctrl_c_is_no_late_part(report):
    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report.part("one", stopped, 10)


def test_a_part_without_time_is_left_out(report):
    report.part("late", lambda: pytest.fail("was begun"), report.left(0.0))
    assert "left out: what came before took its time" in (report.folder / "report.md").read_text()
    assert not report.troubles


def test_a_second_call_goes_on_with_what_the_first_has_not_done(report):
    report.part("one", lambda: "found", 10)
    report.part("two", lambda: 1 / 0, 10)
    again = device.Report(report.folder, 100.0)
    again.part("one", lambda: pytest.fail("was done"), 10)
    again.part("two", lambda: "found now", 10)
    again.part("three", lambda: "as ever", 10, once=False)
    last = device.Report(report.folder, 100.0)
    last.part("three", lambda: "changes", 10, once=False)
    text, found = written(last)
    assert "done by a call before" in text and found == {"one": "found", "two": "found now", "three": "changes"}
    assert last.done == ["one", "two", "three"] and not again.troubles


def test_weights_have_cards_and_those_of_an_earlier_call_stay(report, pools, monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    *_, table = device._weights(report, SMOKE, pools, 1.0)
    assert table["weights"].tolist() == ["ready.safetensors", "ready_pixels.safetensors"]
    for name, normed in (("ready", True), ("ready_pixels", False)):
        model, card = checkpoints.load(report.folder / "weights" / f"{name}.safetensors")
        assert model.arch.norm_pixels is normed and f"{table['clips'][1 - normed]:,} clips" in card.trained_on
    assert list(device._weights(report, SMOKE, pools, 100.0)) == []


# ---------------------------------------------------------------------------------------------------------------- sweep

@pytest.fixture
def sweep(report, pools, monkeypatch):
    """sweep(seconds a run, seconds in all, names that fail) -> what was begun, as (seed, value), and the last table."""
    def made(each, whole, failing=()):
        now, begun = [0.0], []

        def script(path, values):
            begun.append((values["seed"], values.get("ratio", values.get("init"))))
            now[0] += each
            return int(begun[-1][1] in failing)

        monkeypatch.setattr(device.launch, "script", script)
        monkeypatch.setattr(device.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(device.record, "recorded", lambda path, points: [
            points[0].get("ratio") == 0 or points[0]["seed"] == 0])
        monkeypatch.setattr(device, "_expected", lambda *_: each)
        report.begun, report.seconds = 0.0, whole + device.RESERVE_S
        *_, table = device._sweep(report, SMOKE, pools)
        return begun, table
    return made


def test_a_sweep_makes_whole_seeds_while_the_time_lasts(sweep, report):
    order = [value for _, _, value in device.ARMS if value != 0]  # that one is recorded, and so is seed 0
    begun, table = sweep(10, 250)
    assert begun == [(1 + n // len(order), order[n % len(order)]) for n in range(24)]  # the 25th would end too late
    assert len(table) == 24 and table["seconds"].eq(10).all() and not report.troubles


def test_an_arm_that_failed_is_not_tried_again(sweep, report):
    begun, table = sweep(10, 250, failing=(7, "random"))
    assert begun.count((1, 7)) == begun.count((1, "random")) == 1 and (2, 7) not in begun and (3, "inf") in begun
    assert len(report.troubles) == 2 and (table[""] != "").sum() == 2


def test_the_arms_are_what_the_notebooks_take():
    for notebook, name, value in device.ARMS:
        defaults = record.defaults_of(record.notebook_path(notebook))
        words = {"scale": "small", "budget": "sweep", "max_hours": "inf", "seed": 0, name: value}
        assert words.keys() <= defaults.keys()
        device.launch._check(notebook, words)


@pytest.mark.parametrize("words, said", [([], "out=DIR"), (["out=x", "minutes=0"], "minutes=8"),
                                         (["out=x", "scale=smoky"], "'smoky'")])
def test_the_command_line_says_what_it_needs(words, said, capsys):
    assert paths.command(device.run, words, device.__doc__) == 2 and said in capsys.readouterr().err
