import numpy as np
import soundfile
from toys import ARCH, FRONT

from lib import training
from lib.checkpoints import Card
from lib.field import windows
from lib.mae import MAE
from lib.runs import hour
from lib.transfer import reference


def test_a_file_many_times_as_long_takes_no_more_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "PIECE", 4)
    model = reference.ours(MAE(ARCH, training.generator(0)), Card("toy", ARCH, FRONT, "nothing", "none", "a test"))
    rng, peaks = np.random.default_rng(0), []
    for seconds in (20, 20, 480):  # the first fills what is kept for all of them
        file = tmp_path / f"{seconds}.wav"
        soundfile.write(file, rng.normal(0, 0.1, seconds * 44_100).astype(np.float32), 44_100)
        with hour.Memory() as memory:
            at, scores = windows.answers(file, model, lambda x: x[:, :2], bar=None)
        peaks.append(memory.peak)
        assert abs(len(scores) - seconds / (model.samples // 2 / model.rate)) <= 2 and len(at) == len(scores)
    # What the allocator keeps after a thousand tests moves by 15 MB; one copy of what is longer, at the model's rate,
    # is 40 MB.
    assert peaks[2] - peaks[1] < 460 * model.rate * 4 * 2 / 3  # bytes of float32
