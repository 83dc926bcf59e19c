"""Who sees a bar and who sees lines, and what the lines say."""
import io
import sys

import pytest
from jupyter_client.manager import start_new_kernel
from tqdm import auto

from lib import paths, progress


class Clock:
    """Time as a test tells it."""
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.std, "time", clock)
    return clock


def said(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_soon_then_every_ten_seconds_and_one_at_the_end(clock, capsys):
    with progress.bar(total=750, desc="pretraining", unit="step") as bar:
        for step in range(750):
            clock.now += 0.25
            bar.update()
            bar.set_postfix(loss=f"{1 - step / 1000:.2f}")  # a refresh is no line
    lines = said(capsys)
    assert lines[0] == "pretraining: step 8 of 750, loss 0.99, 3.1 min left"
    assert lines[1] == "pretraining: step 48 of 750, loss 0.95, 2.9 min left"
    assert lines[-1] == "pretraining: step 750 of 750, loss 0.25, done in 3.1 min"
    assert len(lines) == 20  # after 2, 12, 22 ... 182 s, and at the end, after 187.5


def test_a_resumed_run_counts_from_where_it_was(clock, capsys):
    with progress.bar(total=300, desc="pretraining", unit="step", initial=200) as bar:
        for _ in range(100):
            clock.now += 1
            bar.update()
    lines = said(capsys)
    assert lines[0] == "pretraining: step 202 of 300"
    assert lines[1] == "pretraining: step 212 of 300, 88 s left"
    assert lines[-1] == "pretraining: step 300 of 300, done in 100 s"


def test_short_work_is_silent(clock, capsys):
    for _ in progress.bar(range(10), desc="looking"):
        clock.now += 0.1
    assert said(capsys) == []


def test_what_was_stopped_is_not_done(clock, capsys):
    with pytest.raises(KeyboardInterrupt), progress.bar(total=10, desc="pretraining") as bar:
        clock.now += 5
        bar.update()
        raise KeyboardInterrupt
    assert said(capsys) == ["pretraining: 1 of 10, 45 s left"]


def test_bytes_are_counted_in_megabytes_and_the_file_stays_open(clock, capsys):
    file = io.BytesIO(bytes(30_000_000))
    with progress.wrapped(file, "read", total=30_000_000, desc="reading") as counted:
        while counted.read(1_000_000):
            clock.now += 0.25
    assert said(capsys) == ["reading: 9.0 of 30.0 MB, 5 s left", "reading: 30.0 of 30.0 MB, done in 8 s"]
    assert not file.closed


def test_other_lines_may_stand_between(clock, capsys):
    with progress.bar(total=3, desc="reading", unit="file") as bar:
        for _ in range(3):
            clock.now += 8
            bar.update()
            progress.say("passed over: a.wav")
    seen = capsys.readouterr()
    assert seen.out.splitlines() == ["passed over: a.wav"] * 3
    assert seen.err.splitlines() == ["reading: file 1 of 3, 16 s left", "reading: file 3 of 3, done in 24 s"]


@pytest.mark.parametrize("options", [{"disable": True}, {"desc": None}])
def test_can_be_silenced(clock, capsys, options):
    for _ in progress.bar(range(3), **{"desc": "looking"} | options):
        clock.now += 100
    assert said(capsys) == []


def test_the_variable_of_tqdm_silences(clock, capsys, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    for _ in progress.bar(range(3), desc="looking"):
        clock.now += 100
    assert said(capsys) == []


def test_a_terminal_sees_a_bar(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(progress.bar(total=1, disable=True), auto.tqdm)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert isinstance(progress.bar(total=1, disable=True), progress.Lines)


def test_a_kernel_sees_a_bar_where_it_can_ask_somebody():
    manager, client = start_new_kernel(cwd=str(paths.ROOT))
    try:
        seen = {}
        for somebody in (True, False):
            client.execute_interactive("from lib import progress\nprint(progress.bar(total=1).__class__.__name__)",
                                       allow_stdin=somebody, timeout=60, stdin_hook=lambda message: None,
                                       output_hook=lambda m: seen.setdefault(somebody, []).append(m["content"]))
        names = {somebody: [c["text"].strip() for c in contents if c.get("name") == "stdout"]
                 for somebody, contents in seen.items()}
        assert names == {True: ["tqdm"], False: ["Lines"]}
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("seconds, text", [(0.4, "0 s"), (99, "99 s"), (150, "2.5 min"), (3000, "50 min"),
                                           (9000, "2.5 hours")])
def test_duration(seconds, text):
    assert progress.duration(seconds) == text
