"""All of a file or a refusal by name: headers that mislead, files that were cut or joined, jumps within them."""
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib import audio, mp3, paths
from lib.sources import tables

FAULTS = paths.ROOT.parent / "shared" / "faults"
RATE = 22_050
NOISE = (0.3 * np.random.default_rng(0).uniform(-1, 1, 2 * RATE)).astype("float32")  # 2 s, of which no format is exact
CONTAINERS = {"WAV": "PCM_16", "RF64": "PCM_16", "W64": "PCM_16", "CAF": "PCM_16", "AIFF": "PCM_16", "AU": "PCM_16",
              "FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}


def sound(file: Path, form: str = "WAV", subtype: str = "", wave=NOISE, rate: int = RATE, **more) -> Path:
    soundfile.write(file, wave, rate, format=form, subtype=subtype or CONTAINERS[form], **more)
    return file


def sizes(file: Path, *fields: tuple[int, str, int]) -> Path:
    """Other values in a header: place, struct format, value."""
    content = bytearray(file.read_bytes())
    for place, kind, value in fields:
        struct.pack_into(kind, content, place, value)
    file.write_bytes(content)
    return file


def bare_mp3(file: Path, wave=NOISE, rate: int = RATE, **more) -> Path:
    """An MP3 as a pipe gets it, without the frame that tells how many there are."""
    content = sound(file, "MP3", wave=wave, rate=rate, **more).read_bytes()
    file.write_bytes(content[mp3.length(content) :])
    return file


def whole(file, samples: int) -> None:
    """The file is read to its last sample, by every way, and the check agrees."""
    assert tables.problem(file) is None
    assert audio.info(file).frames == len(audio.read(file)) == sum(map(len, audio.stream(file, RATE, 1))) == samples


@pytest.mark.parametrize("claimed", [0, 1, 44, 1000, 0x7F000008, 0x7FFF0000, 0x7FFFF000, 0x7FFFFFDB, 0x80000000,
                                     0xFFFFF000, 0xFFFFFFDB, 0xFFFFFFFF], ids=hex)
def test_a_wav_whose_sizes_are_absent_or_a_little_too_large_is_read_to_its_end(claimed, tmp_path):
    true = 2 * len(NOISE)
    count = true + claimed if 0 < claimed <= 1000 else claimed
    file = sizes(sound(tmp_path / "a.wav"), (4, "<I", min(count + 36, 0xFFFFFFFF)), (40, "<I", count))
    whole(file, len(NOISE))
    np.testing.assert_allclose(audio.read(file), NOISE, atol=1e-4)


@pytest.mark.parametrize("form, fields", [
    ("RF64", [(20, "<Q", 0), (28, "<Q", 0)]), ("AU", [(8, ">I", 0xFFFFFFFF)]), ("AU", [(8, ">I", 0)]),
    ("W64", "data"), ("CAF", "data"), ("AIFF", "SSND")])
def test_other_containers_without_sizes_are_read_to_their_end(form, fields, tmp_path):
    file = sound(tmp_path / "a", form)
    if isinstance(fields, str):
        place = file.read_bytes().index(fields.encode()) + (16 if form == "W64" else 4)
        kind, value = {"W64": ("<Q", 0), "CAF": (">q", -1), "AIFF": (">I", 0)}[form]
        fields = [(place, kind, value)]
    if form == "RF64":
        begin = file.read_bytes().index(b"ds64") + 8
        fields = [(begin, "<Q", 0), (begin + 8, "<Q", 0)]
    whole(sizes(file, *fields), len(NOISE))


def test_a_wav_of_more_than_4_gb_whose_sizes_wrapped_is_read_to_its_end(tmp_path):
    """Its samples are 2**32 + 2 s; it is sparse on the disk."""
    file = sound(tmp_path / "long.wav", wave=NOISE[:0])
    count = 2**32 + 4 * RATE
    sizes(file, (4, "<I", (count + 36) % 2**32), (40, "<I", count % 2**32))
    with open(file, "r+b") as out:
        out.truncate(44 + count)
        out.seek(44 + 2**32)
        out.write((NOISE * 32767).astype("<i2").tobytes())
    assert audio.info(file).frames == count // 2
    end = audio.read(file, None, 2**31 / RATE)
    np.testing.assert_allclose(end, NOISE, atol=1e-4)


@pytest.mark.parametrize("form", CONTAINERS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_was_cut_is_refused_in_every_container(form, share, tmp_path):
    file = sound(tmp_path / "a", form)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(audio.AudioError, match=f"{file}: (cut off|.*cut off or damaged)"):
        audio.read(file)
    assert "cut off" in tables.problem(file)


@pytest.mark.parametrize("form", sorted({*CONTAINERS} - {"MP3", "RF64", "W64", "CAF"}))
def test_two_files_joined_are_refused_where_only_the_first_would_be_heard(form, tmp_path):
    first, second = sound(tmp_path / "a", form).read_bytes(), sound(tmp_path / "b", form, wave=NOISE[::-1]).read_bytes()
    for content in (first + second, first + first):  # streams of one number too
        (tmp_path / "ab").write_bytes(content)
        with pytest.raises(audio.AudioError, match=f"ab: a second recording begins at byte {len(first):,}: .* apart"):
            audio.read(tmp_path / "ab")


def test_a_long_header_is_no_licence_to_lose_as_much_sound(tmp_path):
    content = sound(tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[:36] + chunk(b"JUNK", bytes(200_000)) + content[36:-50_000])
    with pytest.raises(audio.AudioError, match="cut off, 38,200 of 88,200 bytes of samples are there"):
        audio.read(tmp_path / "a.wav")


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


@pytest.mark.parametrize("behind, said", [
    (chunk(b"LIST", b"INFOICMT" + struct.pack("<I", 4000) + b"x" * 4000), None),
    (chunk(b"guan", b"x" * 3001) + chunk(b"wamd", b"y" * 10), None), (chunk(b"bext", b"z" * 9000)[:5000], None),
    (b"\0" * 50_000, None), (b"\xff" * 5000, None), (b"\x9f" * 900, None),
    (chunk(b"iXML", b"x" * 5000) + b"\n\n\n", None), (chunk(b"guan", b"x" * 2700) + b"\0" * 480, None),
    (chunk(b"iXML", b"x" * 5000) + b"TAG" + b"y" * 125, None), (b"\0\0" + chunk(b"LIST", b"x" * 5000), None),
    (b"".join(name + struct.pack("<I", 1501) + b"x" * 1501 for name in (b"abcd", b"LIST", b"efgh")), None),
    (chunk(b"\xe9xyz", b"x" * 3000), None),
    (b"\x9f" * 50_000, "header counts 88,200 bytes of samples, and 50,000 more follow")],
    ids=["list", "chunks", "cut chunk", "reserved", "erased", "block", "lines", "sector", "tag", "near", "no padding",
         "vendor", "junk"])
def test_what_may_stand_behind_the_samples_of_a_wav(behind, said, tmp_path):
    file = sound(tmp_path / "a.wav")
    file.write_bytes(file.read_bytes() + behind)
    if said:
        with pytest.raises(audio.AudioError, match=said):
            audio.read(file)
    else:
        whole(file, len(NOISE))


# ------------------------------------------------------------------------------------------------------------ MP3, FLAC

@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_without_a_count_of_frames_is_read_to_its_end(rate, mode, channels, tmp_path):
    wave = np.stack([np.concatenate([0.001 * NOISE, NOISE, NOISE])] * channels, 1)  # so that variable rates vary
    file = bare_mp3(tmp_path / "a.mp3", wave, rate, bitrate_mode=mode, compression_level=0.5)
    samples = len(audio.read(file))
    assert len(wave) <= samples < len(wave) + 4 * 1152
    assert tables.problem(file) is None and audio.info(file).frames == samples


def test_tags_around_and_within_an_mp3_are_no_frames(tmp_path):
    frames = bare_mp3(tmp_path / "a.mp3").read_bytes()
    samples = len(audio.read(tmp_path / "a.mp3"))
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"\xff\xfb\x90\x00" * 64  # of 256 bytes that look like frames
    (tmp_path / "b.mp3").write_bytes(tag + frames + tag + frames + b"TAG" + b"\xff" * 125)
    whole(tmp_path / "b.mp3", 2 * samples + 529)  # the delay of the decoder is taken off once


def test_joined_mp3_files_are_read_whole_and_of_two_kinds_refused(tmp_path):
    first = sound(tmp_path / "a.mp3", "MP3").read_bytes()
    (tmp_path / "ab.mp3").write_bytes(first + first)
    assert audio.info(tmp_path / "ab.mp3").frames >= 2 * len(NOISE) and tables.problem(tmp_path / "ab.mp3") is None
    other = sound(tmp_path / "b.mp3", "MP3", wave=np.stack([NOISE, NOISE], 1)).read_bytes()
    (tmp_path / "ab.mp3").write_bytes(first + other)
    with pytest.raises(audio.AudioError, match=f"two kinds from byte {len(first):,} on .* joined, take them apart"):
        audio.read(tmp_path / "ab.mp3")


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "ULAW", "DOUBLE"])
def test_a_wav_of_any_coding_without_sizes_is_read_to_its_end(subtype, tmp_path):
    file = sound(tmp_path / "a.wav", subtype=subtype)
    samples = len(audio.read(file))
    sizes(file, (file.read_bytes().index(b"data") + 4, "<I", 0))
    whole(file, samples)


def test_an_mp3_that_was_cut_within_its_last_frame_is_refused_where_it_tells_its_length(tmp_path):
    file = sound(tmp_path / "a.mp3", "MP3")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(audio.AudioError, match="cut off, .* MP3 frames are there"):
        audio.read(file)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_tag_holds_it_is_no_frame(seed, tmp_path):
    noise = np.random.default_rng(seed).bytes(60_000)
    file = sound(tmp_path / "a.mp3", "MP3")
    samples = len(audio.read(file))
    foot = struct.pack("<8s4I8x", b"APETAGEX", 2000, len(noise) + 32, 1, 0)
    head = struct.pack("<8s4I8x", b"APETAGEX", 2000, len(noise) + 32, 1, 1 << 29)
    file.write_bytes(file.read_bytes() + head + noise + foot)
    whole(file, samples)
    file.write_bytes(bare_mp3(tmp_path / "b.mp3").read_bytes() + noise)
    assert len(audio.read(file)) == len(audio.read(tmp_path / "b.mp3"))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000])
def test_parts_of_an_mp3_of_few_bits_are_those_of_the_whole(rate, tmp_path):
    """The parts of a frame may lie in many frames before it; soundfile's jump after each read would lose them."""
    wave = np.tile(NOISE, 8) * np.repeat(np.linspace(0, 1, 16), RATE)
    file = bare_mp3(tmp_path / "a.mp3", wave, rate, bitrate_mode="CONSTANT", compression_level=0.99)
    whole = audio.read(file)
    torch.testing.assert_close(torch.cat(list(audio.stream(file, rate, 1))), whole, rtol=0, atol=1e-6)
    for first in range(0, len(whole) - 2000, 7919):
        part = audio.read(file, None, first / rate, 2000 / rate)
        torch.testing.assert_close(part, whole[first : first + 2000], rtol=0, atol=1e-6)


def test_what_stands_behind_a_tag_is_looked_at_too(tmp_path):
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    file = sound(tmp_path / "a.flac", "FLAC")
    content = tag + file.read_bytes()
    file.write_bytes(content)
    whole(file, len(NOISE))
    file.write_bytes(content + content[len(tag) :])
    with pytest.raises(audio.AudioError, match="a second recording begins"):
        audio.read(file)


def test_sound_whose_length_the_decoder_guesses_is_refused(tmp_path):
    (tmp_path / "a.mp3").write_bytes((b"\xff\xfd\x90\x00" + bytes(480)) * 50)  # layer II
    with pytest.raises(audio.AudioError, match="a.mp3: is MPEG layer II, .* make a WAV of it"):
        audio.read(tmp_path / "a.mp3")
    file = sizes(sound(tmp_path / "b.wav"), (20, "<H", 0x55))
    with pytest.raises(audio.AudioError, match="b.wav: holds MP3 in a WAV"):
        audio.read(file)


def test_a_flac_of_unknown_length_is_refused(tmp_path):
    file = sizes(sound(tmp_path / "a.flac", "FLAC"), (21, ">B", 0x70), (22, ">I", 0))
    with pytest.raises(audio.AudioError, match="a.flac: does not say how long it is.*write it anew"):
        audio.info(file)


# ------------------------------------------------------------------------------------------------------ jumps and names

KINDS = sorted((form, subtype) for form in soundfile.available_formats().keys() - {"RAW"}
               for subtype in soundfile.available_subtypes(form)
               if not subtype.startswith(("DWVW", "MPEG")) or (form, subtype) == ("MP3", "MPEG_LAYER_III"))


@pytest.mark.parametrize("form, subtype", KINDS)
def test_a_part_holds_the_samples_of_the_whole_file(form, subtype, tmp_path):
    rate = 48_000 if subtype == "OPUS" else RATE
    file = sound(tmp_path / "a", form, subtype, rate=rate)
    wave, rate = audio.read(file), audio.info(file).rate
    joined = torch.cat(list(audio.stream(file, rate, 1)))
    torch.testing.assert_close(joined, wave, rtol=0, atol=1e-6)
    for start in np.linspace(0, (len(wave) - 500) / rate, 6):
        first = round(float(start) * rate)
        part = audio.read(file, None, float(start), 500 / rate)
        torch.testing.assert_close(part, wave[first : first + 500], rtol=0, atol=1e-6)


def test_a_pipe_named_like_a_sound_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    assert "is a pipe or device, not a sound file" in tables.problem(tmp_path / "pipe.wav")


@pytest.mark.parametrize("name, said", [("a\0b.wav", "no name of a file"), ("x" * 300 + ".wav", "name too long"),
                                        (os.fsdecode(b"caf\xe9.wav"), r"caf\\udce9.wav: its name is no UTF-8"),
                                        ("a\nb.wav", r"a\\nb.wav: no such file"), ("rec.M4A", "make a WAV or FLAC")])
def test_names_that_cannot_be_used_are_one_line(name, said, tmp_path):
    if name.endswith("M4A"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypM4A " + bytes(200))
    reason = tables.problem(tmp_path / name)
    assert reason.isprintable()
    with pytest.raises(audio.AudioError, match=f"(?i){said}"):
        audio.read(tmp_path / name)


# ----------------------------------------------------------------------------------------------------------- properties

@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    made = {form: sound(folder / form, form, wave=NOISE[: RATE // 2]).read_bytes() for form in CONTAINERS}
    return made | {"bare MP3": bare_mp3(folder / "bare", NOISE[: RATE // 2]).read_bytes(), "other": folder}


@given(form=st.sampled_from([*CONTAINERS, "bare MP3"]), data=st.data())
def test_whatever_becomes_of_a_file_check_and_reader_agree(files, form, data):
    content = bytearray(files[form])
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.one_of(st.integers(0, 80), st.integers(0, len(content) - 5)))
        content[place : place + 4] = data.draw(st.binary(min_size=4, max_size=4))
    content = content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))]
    content += data.draw(st.one_of(st.just(b""), st.binary(max_size=3000), st.just(files[form])))
    file = files["other"] / f"x{data.draw(st.integers(0, 9**9))}"
    file.write_bytes(content)
    try:
        wave, reason = audio.read(file), ""
    except audio.AudioError as error:
        reason = str(error)
    assert (tables.problem(file) is None) == (reason == "") and reason.startswith(str(file) if reason else "")
    if not reason:
        assert audio.info(file).frames == len(wave)
        try:
            half = audio.read(file, None, len(wave) // 2 / audio.info(file).rate)
        except audio.AudioError as error:  # a FLAC with damaged block sizes decodes, but cannot be searched
            assert form == "FLAC" and error.args[0].startswith(str(file))
        else:
            assert len(half) == len(wave) - len(wave) // 2
    file.unlink()


@given(riff=st.integers(0, 2**32 - 1), count=st.one_of(st.integers(0, 2**32 - 1), st.integers(20_000, 24_000)),
       behind=st.sampled_from([b"", chunk(b"LIST", b"x" * 77), chunk(b"id3 ", b"y" * 5001)]))
def test_whatever_sizes_a_wav_claims_nothing_of_it_is_lost_in_silence(files, riff, count, behind):
    content = bytearray(files["WAV"] + behind)
    struct.pack_into("<I", content, 4, riff)
    struct.pack_into("<I", content, 40, count)
    file = files["other"] / f"y{riff}_{count}"
    file.write_bytes(content)
    try:
        assert len(audio.read(file)) >= RATE // 2 - 512  # what fills a block at most
    except audio.AudioError as error:
        assert file.name in str(error)
    file.unlink()


# --------------------------------------------------------------------------------------------------------------- faults

@pytest.mark.skipif(not FAULTS.exists(), reason="no faults beside the repository")
@pytest.mark.parametrize("name, seconds, rate", [
    ("mp3_no_xing.mp3", 20.02, 44_100), ("mp3_piped.mp3", 4.04, 44_100), ("size_0.wav", 4.0, RATE),
    ("fl005.wav", 4.0, RATE), ("gsm.wav", 4.0, 8_000), ("quiet_float.wav", 1.0, RATE), ("rate_47999.wav", 1.0, 47_999)])
def test_faults_that_are_whole(name, seconds, rate):
    about = audio.info(FAULTS / name)
    assert about.rate == rate and about.duration_s == pytest.approx(seconds, abs=0.01)
    assert tables.problem(FAULTS / name) is None
    wave = audio.read(FAULTS / name, RATE)
    assert len(wave) == pytest.approx(seconds * RATE, abs=250) and wave.std() > 0
    tone = np.abs(np.fft.rfft(wave.numpy() * np.hanning(len(wave))))
    assert tone.argmax() * RATE / len(wave) == pytest.approx(1000, abs=2)


@pytest.mark.skipif(not FAULTS.exists(), reason="no faults beside the repository")
@pytest.mark.parametrize("name, said", [("ogg_chained.ogg", "a second recording begins"), ("cut_aiff.aif", "cut off"),
                                        ("m4a.m4a", ".m4a cannot be read here: make a WAV or FLAC of it")])
def test_faults_that_are_refused_by_name(name, said):
    with pytest.raises(audio.AudioError, match=f"{name}: {said}"):
        audio.read(FAULTS / name)
    assert said in tables.problem(FAULTS / name)
