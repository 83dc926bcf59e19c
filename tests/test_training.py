"""The loop: resumes bit for bit, even when killed; follows its schedule; leaves nobody else's state changed."""

import copy
import io
import math
import os
import random
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from timm.optim import param_groups_layer_decay
from torch import nn
from toys import ARCH

from lib import hardware, mae, paths, training
from lib.data import Batch

STEPS = 20


def batch_of(x: torch.Tensor, files: list[str] = []) -> Batch:
    return Batch(x.to(hardware.accelerator().device), torch.ones(len(x)), torch.arange(len(x)), files, 0, len(x))


def network() -> nn.Module:
    """With dropout, so that a resumed run must repeat its random numbers too."""
    model = nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Dropout(0.5), nn.Linear(32, 1))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3, generator=training.generator(parameter.numel()))
    return model


def batches(start: int):
    for step in count(start):
        yield batch_of(torch.randn(8, 6, generator=training.generator(7, step)), [f"/some/where/clip{step}.wav"])


def loss_of(model, batch, step):
    return (model(batch.x)[:, 0] - batch.x.sum(1)).square().mean()


def train(folder=None, steps=STEPS, model=None, stop=None, optimizer=None, **options):
    """(log, weights); stop: break out of the loop after that step."""
    model = model or network()
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=1e-2)
    log = []
    for record in training.fit(model, optimizer, batches, options.pop("loss_of", loss_of), steps=steps, seed=3,
                               warmup=4, folder=folder, **options):
        log.append(record)
        if record["step"] == stop:
            break
    return log, {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a) and a.keys() == b.keys()


@pytest.fixture
def every_third(monkeypatch):
    """A clock that ticks once at a look: every third step is saved."""
    monkeypatch.setattr(training, "SAVE_EVERY_S", 2.5)
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=count().__next__))


def test_interrupted_and_taken_up_again_is_the_same_run(tmp_path, every_third):
    whole, weights = train(tmp_path / "whole")
    assert [r["step"] for r in whole] == list(range(STEPS)) and len({r["loss"] for r in whole}) == STEPS
    for stop in (1, 4, 5, 11):  # before the first save, between two, at one, later
        train(tmp_path / "parts", stop=stop)
        saved = [int(p.stem[6:]) for p in (tmp_path / "parts").glob("state-*.pt")]
        assert len(saved) == (stop > 1) and all(stop - 2 <= n <= stop + 1 for n in saved)
    log, resumed = train(tmp_path / "parts")
    assert log == whole and same(resumed, weights)
    assert (tmp_path / "parts" / "log.jsonl").read_text() == (tmp_path / "whole" / "log.jsonl").read_text()
    log, free = train(None)  # a folder changes nothing
    assert log == whole and same(free, weights)
    again, final = train(tmp_path / "parts")  # a finished run trains no more
    assert again == whole and same(final, weights) and (tmp_path / "parts" / f"state-{STEPS}.pt").exists()


def test_dropout_is_repeated_per_step_and_differs_between_steps():
    still = lambda model, batch, step: (model(torch.ones(64, 6, device=batch.x.device)).square().mean())  # noqa: E731
    frozen = lambda: torch.optim.SGD(network().parameters(), lr=0.0)  # noqa: E731  (of another network: nothing learns)
    a, b = (train(loss_of=still, optimizer=frozen())[0] for _ in range(2))
    assert a == b and len({r["loss"] for r in a}) > STEPS // 2


KILLED = 150
VICTIMS = """
import os, sys, test_training
from pathlib import Path
for _ in range(3):  # one import for all; nothing has run before the fork
    victim = os.fork()
    if not victim:
        test_training.training.SAVE_EVERY_S = 0
        test_training.train(Path(sys.argv[1]), steps=test_training.KILLED)
        os._exit(0)
    print(victim, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]), flush=True)
"""


def test_killed_at_any_moment_and_taken_up_again_is_the_same_run(tmp_path):
    whole, weights = train(tmp_path / "whole", steps=KILLED)
    folder, moment = tmp_path / "killed", random.Random(0)
    log = folder / "log.jsonl"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(paths.ROOT), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", VICTIMS, str(folder)], env=environment, stdout=subprocess.PIPE,
                          text=True) as parent:
        for lines in (5, 40, 80):
            victim, until = int(parent.stdout.readline()), time.monotonic() + 60
            while time.monotonic() < until and not (log.exists() and log.read_bytes().count(b"\n") >= lines):
                time.sleep(0.001)
            time.sleep(moment.uniform(0, 0.03))  # anywhere between two saves, or within one
            os.kill(victim, signal.SIGKILL)
            assert int(parent.stdout.readline()) == -signal.SIGKILL
    assert not (folder / f"state-{KILLED}.pt").exists()
    resumed, final = train(folder, steps=KILLED)
    assert resumed == whole and same(final,
                                     weights) and log.read_text() == (tmp_path / "whole" / "log.jsonl").read_text()


def test_a_half_written_state_is_ignored(tmp_path, every_third):
    whole, weights = train()
    for stop in (None, 10):
        folder = tmp_path / str(stop)
        folder.mkdir()
        if stop:
            train(folder, stop=stop)
            with open(folder / "log.jsonl", "a") as file:
                file.write('{"step": 10, "lo')
        (folder / ".state-11.0f0f0f0f.pt").write_bytes(b"half")  # what a kill leaves of `paths.atomic`
        log, final = train(folder)
        assert log == whole and same(final,
                                     weights) and [p.name for p in folder.glob("*state*")] == [f"state-{STEPS}.pt"]


def test_a_damaged_state_is_named(tmp_path):
    train(tmp_path)
    (tmp_path / f"state-{STEPS}.pt").write_bytes(b"no state")
    with pytest.raises(ValueError, match=rf"state-{STEPS}.pt is damaged: remove it, and the run begins anew"):
        train(tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:-4], lambda data: b"", lambda data: b"no weights"])
def test_weights_that_were_damaged_are_named(tmp_path, damage):
    file, model = tmp_path / "weights.safetensors", torch.nn.Linear(3, 2)
    training.save_weights(model, file)
    training.load_weights(model, file)
    for other, wrong in ((model, damage(file.read_bytes())), (torch.nn.Linear(5, 2), file.read_bytes())):
        file.write_bytes(wrong)
        with pytest.raises(ValueError, match="weights.safetensors does not load .*: remove it") as error:
            training.load_weights(other, file)
        assert "\n" not in str(error.value)
        training.save_weights(model, file)


def test_ctrl_c_goes_through_and_the_run_goes_on_from_the_last_state(tmp_path, every_third):
    whole, weights = train()

    def interrupted(model, batch, step):
        if step == 10:
            raise KeyboardInterrupt
        return loss_of(model, batch, step)

    model = network()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, model=model, loss_of=interrupted)
    assert is_plain(model) and list(tmp_path.glob("state-*.pt"))
    log, resumed = train(tmp_path)
    assert log == whole and same(resumed, weights)


@pytest.mark.parametrize("written", [1, 2, 3, 6, 20])
def test_ctrl_c_in_the_middle_of_saving_goes_through(tmp_path, every_third, monkeypatch, written):
    """torch turns what its writer raises into a RuntimeError, which was taken for a full disk."""
    whole, weights = train()
    real, writes = torch.save, []

    class File(io.BytesIO):
        def write(self, data):
            writes.append(len(data))
            if len(writes) == written:
                raise KeyboardInterrupt
            return super().write(data)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", lambda state, file: real(state, File()))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    assert len(writes) >= written and not list(tmp_path.glob("*state*"))
    log, resumed = train(tmp_path)
    assert log == whole and same(resumed, weights)


def test_a_full_disk_stops_only_the_last_save(tmp_path, every_third, monkeypatch, capsys):
    whole, weights = train()
    real, full = torch.save, [False]
    monkeypatch.setattr(torch, "save", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left on device"))
                        if full[0] else real(*a))
    model, log = network(), []
    for record in training.fit(model, torch.optim.AdamW(model.parameters(), lr=1e-2), batches, loss_of, steps=STEPS,
                               seed=3, warmup=4, folder=tmp_path):
        log.append(record)
        full[0] = 5 <= record["step"] < 13
    assert log == whole and "could not be saved" in capsys.readouterr().out
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == STEPS
    full[0] = True
    with pytest.raises(OSError, match="the state after step 20 could not be saved .*No space left.*free some space"):
        train(tmp_path / "other")
    assert not list((tmp_path / "other").glob("*state*"))
    train(tmp_path / "third", stop=15)
    full[0] = False
    assert train(tmp_path / "third")[0] == whole


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 1))


def test_parts_of_a_batch_make_the_same_step():
    def run(micro_batch):
        with torch.random.fork_rng():
            model = plain()
        optimizer, seen = torch.optim.AdamW(model.parameters(), lr=1e-2), set()

        def loss(model, batch, step):
            seen.add((batch.first, len(batch.x), batch.of))
            return loss_of(model, batch, step)

        log = list(training.fit(model, optimizer, batches, loss, steps=30, seed=3, micro_batch=micro_batch))
        return [r["loss"] for r in log], model.state_dict(), seen

    (whole, a, one), (parts, b, three) = run(0), run(3)
    assert one == {(0, 8, 8)} and three == {(0, 3, 8), (3, 3, 8), (6, 2, 8)}
    np.testing.assert_allclose(whole, parts, rtol=1e-5 if hardware.accelerator().mixed_precision == "no" else 2e-2)
    assert not same(a, b) and all(torch.allclose(a[k], b[k], atol=0.02) for k in a)  # to rounding


def test_a_log_without_a_state_starts_anew(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 0, "loss": 9.0}\n')
    assert train(tmp_path)[0] == train()[0] and len((tmp_path / "log.jsonl").read_text().splitlines()) == STEPS


def test_nobody_elses_random_numbers_are_touched(tmp_path, monkeypatch):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    monkeypatch.setattr(training, "SAVE_EVERY_S", 0)
    first, second = network(), network()
    torch.manual_seed(5)
    before = states()
    train(tmp_path, model=first, stop=7)
    assert states() == before
    torch.manual_seed(6), np.random.seed(6), random.seed(6)
    before = states()
    train(tmp_path, model=second)  # resumes: the states of the first process are not brought back
    assert states() == before


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_step_and_files(bad):
    def spoiled(model, batch, step):
        return loss_of(model, batch, step) * (bad if step == 6 else 1.0)

    model = network()
    with pytest.raises(training.NonFiniteLoss,
                       match=rf"the loss is {bad} in step 6 of {STEPS} \(learning rate .*clip6.wav") as error:
        train(model=model, loss_of=spoiled)
    assert "/some/where" not in str(error.value)
    assert is_plain(model)
    if hardware.accelerator().device.type != "cuda":  # there it is known some steps later, when it has done its harm
        assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("capability, mixed", [((6, 1), "no"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_gpu_trains_in_what_it_multiplies_natively(capability, mixed, monkeypatch):
    """A T4 (7.5) says that it supports bf16, which it emulates; a GTX 1080 (6.1) has no tensor cores."""
    asked = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *a: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *a: "Tesla")
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda how: asked.update(float32=how))
    monkeypatch.setattr(hardware, "Accelerator", lambda **how: asked.update(how))
    hardware.accelerator()
    assert asked["mixed_precision"] == mixed and asked["float32"] == "high"
    assert hardware.named() == f"Tesla, {mixed.replace('no', 'float32')}"


@pytest.mark.parametrize("flag, mps, precise", [(True, False, "bf16"), (False, False, "float32"),
                                                (True, True, "float32")])
def test_without_cuda_only_a_processor_that_has_bf16_uses_it(flag, mps, precise, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: flag)
    assert hardware.precision() == precise and hardware.named().endswith(precise) != mps
    assert ("nothing here was tested on one" in hardware.named()) == mps


@pytest.fixture
def like_a_t4(monkeypatch):
    """What accelerate sets up on a T4, on this CPU: autocast to fp16 and scaled gradients."""
    usual, state = hardware.accelerator, AcceleratorState._shared_state
    if usual().device.type == "cuda":
        pytest.skip("has a GPU of its own")
    before = state["_mixed_precision"]

    def accelerator():
        state["_mixed_precision"] = before
        acc = usual()
        state["_mixed_precision"], acc.native_amp = "fp16", True
        acc.scaler = torch.amp.GradScaler("cpu")
        return acc

    monkeypatch.setattr(hardware, "accelerator", accelerator)
    yield
    state["_mixed_precision"] = before


@pytest.mark.parametrize("clip_grad", [None, 1.0])
@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_overflows_in_fp16_is_skipped_and_counted(clip_grad, fused, like_a_t4, tmp_path, every_third,
                                                              capsys):
    def large(model, batch, step):
        out = model(batch.x)
        assert out.dtype == torch.float32  # as accelerate hands it over
        return loss_of(model, batch, step) * 10

    def run(folder, stop=None):
        model = network()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=fused)
        return train(folder, model=model, optimizer=optimizer, loss_of=large, clip_grad=clip_grad, stop=stop)

    log, weights = run(tmp_path / "whole")
    skipped = [r["skipped"] for r in log]
    assert skipped[0] and 0 < sum(skipped) < 10 and len(log) == STEPS
    assert log[-1]["loss"] < log[0]["loss"] and all(w.isfinite().all() for w in weights.values())
    assert f"{sum(skipped)} of {STEPS} steps were skipped" in capsys.readouterr().out
    run(tmp_path / "parts", stop=11)  # the scale is a part of the state
    resumed, final = run(tmp_path / "parts")
    assert resumed == log and same(final, weights)


def test_a_loss_that_is_no_number_is_no_overflow(like_a_t4):
    with pytest.raises(training.NonFiniteLoss, match=r"the loss is nan in step \d+ of 40 .*clip\d+.wav"):
        train(steps=40, loss_of=lambda model, batch, step: loss_of(model, batch, step) * math.nan)


def is_plain(model) -> bool:
    return model.forward.__func__ is type(model).forward and "_original_forward" not in vars(model)


def test_the_model_comes_back_plain(tmp_path):
    for stop in (None, 3):
        model = network()
        train(model=model, stop=stop)
        assert is_plain(model)
        twin = copy.deepcopy(model).eval()
        twin[0].weight.data.zero_()
        assert not torch.equal(twin(torch.ones(1, 6)), model.eval()(torch.ones(1, 6)))  # a copy runs on its own weights
    vit = mae.vit(ARCH, num_classes=2, global_pool="avg")
    fused = [m.fused_attn for m in vit.modules() if hasattr(m, "fused_attn")]
    optimizer, mean = torch.optim.SGD(vit.parameters(), lr=0.1), lambda model, batch, step: model(batch.x).mean()
    list(training.fit(vit, optimizer, lambda start: [batch_of(torch.ones(2, 1, 64, 32))], mean, steps=1, seed=0))
    assert [m.fused_attn for m in vit.modules() if hasattr(m, "fused_attn")] == fused and is_plain(vit)


def test_stopping_early_leaves_a_model_that_trains_on():
    model = network()
    log, first = train(model=model, stop=5)
    assert len(log) == 6
    log, second = train(model=model, stop=5)
    assert len(log) == 6 and not same(first, second)


def test_the_schedule_acts_on_every_layer_s_group():
    model = mae.vit(ARCH, num_classes=3, global_pool="avg", depth=3)
    groups = param_groups_layer_decay(model, 1e-4, no_weight_decay_list=model.no_weight_decay(), layer_decay=0.5)
    optimizer, seen, peak, low, warmup, steps = torch.optim.AdamW(groups, lr=1e-2), [], 1e-2, 1e-4, 5, 15
    names = {id(p): name for name, p in model.named_parameters()}

    def look(model, batch, step):
        seen.append({names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]})
        return model(batch.x).square().mean()

    run = training.fit(model, optimizer, lambda start: [batch_of(torch.ones(2, 1, 64, 32))] * steps, look, steps=steps,
                       seed=0, warmup=warmup, lr_min=low)
    log = list(run)
    for step, (record, lr) in enumerate(zip(log, seen, strict=True)):
        wave = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
        expected = peak * step / warmup if step < warmup else low + (peak - low) * wave
        assert record["lr"] == pytest.approx(expected) == lr["head.weight"]
        for name, scale in (("patch_embed.proj.weight", 0.5**4), ("blocks.0.attn.qkv.weight", 0.5**3),
                            ("blocks.2.attn.qkv.weight", 0.5)):
            assert lr[name] == pytest.approx(expected * scale), f"{name} in step {step}"
    top = seen[warmup]
    assert top["blocks.0.attn.qkv.weight"] < top["blocks.2.attn.qkv.weight"] < top["head.weight"] == peak


def test_gradients_are_clipped_to_the_norm_asked_for():
    def moved(clip):
        model = nn.Linear(6, 1)
        before = model.weight.detach().clone()
        train(model=model, steps=5, stop=1, pauses={1}, optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
              clip_grad=clip, loss_of=lambda model, batch, step: model(batch.x).mean())
        return (model.weight.detach() - before).norm()

    assert moved(0.1) <= 0.1 * 0.25 + 1e-6 < moved(None)  # step 0 has lr 0, step 1 a quarter of 1.0


def test_generators_depend_on_every_number():
    first = [torch.rand(1, generator=training.generator(*seeds)).item()
             for seeds in ((0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0))]
    assert len(set(first)) == 6 and torch.rand(1, generator=training.generator(0, 1)).item() == first[3]
