"""What a sound file says about its own length, held against the bytes that are there.

libsndfile believes headers: of a cut AIFF, two joined MP3s or a WAV that lost its sizes it plays a part without a word.
`inspect` reads the structure of a file, not its samples. What is whole passes; what lacks something is refused; and
where only the header is wrong, because a recorder lost power or a program wrote to a pipe, it gives a right one.
"""

import io
import mmap
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from lib import mp3

__all__ = ["Incomplete", "Header", "Mended", "inspect"]

SLACK = 1024  # bytes that may be missing or left over: recorders count their header as samples, or fill a block
# about these are the sizes of a writer that could not go back to its header: sox, GStreamer, arecord, ffmpeg
NEVER = (0x7F000000, 0x7FFF0000, 0x7FFFF000, 0x7FFFFF00, 0x80000000, 0xFFFFF000, 2**32)
WRAP = 2**32  # a 32-bit size of a longer file begins again at 0
LAST = {b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"JUNK", b"junk", b"PAD ", b"wamd", b"guan", b"cue ", b"fact",
        b"smpl", b"inst", b"ANNO", b"NAME", b"AUTH", b"(c) ", b"info", b"free", b"_PMX", b"axml"}  # behind the samples
FIRST = {b"RIFF", b"RIFX", b"RF64", b"FORM", b"riff", b"caff", b".snd", b"fLaC"}  # what a file of its own begins with
GUESSED = "whose length the decoder only guesses: make a WAV of it (ffmpeg -i IN OUT.wav)"
PAGE = 65_307  # bytes of the longest Ogg page


class Incomplete(ValueError):
    """Part of the sound is missing, or more lies behind it than can be read; the message says what."""


class Header(NamedTuple):
    """The right beginning of a file: these bytes, then the file's own from `rest` on."""
    bytes: bytes
    rest: int


class Mended(io.RawIOBase):
    """An opened file, seen with another header."""

    def __init__(self, raw: BinaryIO, header: Header) -> None:
        self.raw, self.header, self.place = raw, header, 0
        self.size = len(header.bytes) + max(0, _size(raw) - header.rest)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = max(0, offset + (0, self.place, self.size)[whence])
        return self.place

    def readinto(self, buffer) -> int:
        view = memoryview(buffer).cast("B")
        part = self.header.bytes[self.place : self.place + len(view)]
        view[: len(part)] = part
        if not part:
            self.raw.seek(self.place - len(self.header.bytes) + self.header.rest)
        done = len(part) or self.raw.readinto(view)
        self.place += done
        return done

    def close(self) -> None:
        self.raw.close()
        super().close()


def inspect(raw: BinaryIO) -> Header | None:
    """The right header of an opened file whose own misleads, else None. Incomplete says what is missing.

    Not told apart from a whole one: an MP3 without a count of frames (Xing, Info, VBRI) that was cut; it ends with its
    last whole frame. What is no container of a known kind is left to the decoder."""
    size = _size(raw)
    if size == 0:
        raise Incomplete("is empty (0 bytes)")
    try:
        return _inspected(raw, size)
    except (struct.error, IndexError):
        raise Incomplete("cut off within its header") from None


def _inspected(raw: BinaryIO, size: int) -> Header | None:
    raw.seek(0)
    head = raw.read(16)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _wave(raw, size, Chunks(">4sI" if head[:4] == b"RIFX" else "<4sI"))
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(raw, size)
    if head[:4] == b"riff":
        return _w64(raw, size)
    if head[:4] == b"caff":
        return _caf(raw, size)
    if head[:4] in (b".snd", b"dns."):
        return _au(raw, size, ">" if head[:4] == b".snd" else "<")
    with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = mp3.behind_tags(content, 0)  # some FLAC files have them too
        if content[begin : begin + 4] == b"fLaC":
            return _flac(content, begin)
        if head[:4] == b"OggS":
            return _ogg(content, size)
        return _mp3(content)


def _size(raw: BinaryIO) -> int:
    return os.fstat(raw.fileno()).st_size


# --------------------------------------------------------------------------------- chunks: WAV, RF64, AIFF, W64 and CAF

class Chunks(NamedTuple):
    """How a family of containers writes its chunks: name and size, then so many bytes."""
    head: str  # for struct
    pad: int = 2  # chunks begin at multiples of it
    counts_head: bool = False  # the size counts name and size too

    def walk(self, raw: BinaryIO, place: int, size: int) -> Iterator[tuple[bytes, int, int]]:
        """Name, place of the content and announced bytes of each chunk, until one leads out of the file."""
        head = struct.calcsize(self.head)
        for _ in range(1000):  # in zeros chunks of no length would never end
            if place > size - head:
                return
            raw.seek(place)
            name, count = struct.unpack(self.head, raw.read(head))
            count -= head * self.counts_head
            yield name, place + head, count
            place += head + max(0, count)
            place += -place % self.pad

    def samples(self, raw: BinaryIO, first: int, name: bytes, size: int) -> tuple[int, int]:
        """Where the chunk of the samples begins, and how many bytes it announces."""
        for found, place, count in self.walk(raw, first, size):
            if found == name:
                return place, count
        raise Incomplete("has a header but no samples")

    def only(self, raw: BinaryIO, place: int, size: int) -> bool:
        """Whether no samples fill a file from a place on: chunks, of which the last may be cut, and a short rest.

        Some writers forget the padding of a chunk, others fill a block behind the last."""
        head, end, sure = struct.calcsize(self.head), place, False
        while end < size - head:
            for start in dict.fromkeys((end + -end % self.pad, end)):
                raw.seek(start)
                name, count = struct.unpack(self.head, raw.read(head).ljust(head, b"\0"))
                count -= head * self.counts_head
                known = name[:4] in LAST
                if count >= 0 and name[:4].strip(b"\0") and name[:4] not in FIRST and (known or start + count < size):
                    end, sure = start + head + count, sure or known
                    break
            else:
                break
        return size - 1 <= end or sure and (size - end <= SLACK or _blank(raw, end))


def _blank(raw: BinaryIO, place: int) -> bool:
    """Whether nothing was written from a place on: zeros, or the ones of an erased card."""
    raw.seek(place)
    fill = raw.read(1)
    while fill in (b"\0", b"\xff") and (block := raw.read(1 << 20)):
        if block.strip(fill):
            return False
    return fill in (b"\0", b"\xff", b"")


def _never(count: int) -> bool:
    """Whether a size says that it was never written."""
    return count == 0 or count > 2**61 or any(-64 <= count - never <= 8 for never in NEVER)


def _held(raw: BinaryIO, chunks: Chunks | None, place: int, count: int, size: int) -> int:
    """How many bytes of samples begin at a place that announces `count`: more where that was never written or wrapped.

    Incomplete where some are absent, or where more follow that are neither chunks nor padding."""
    there = size - place
    behind = there - count
    apart = chunks is not None and behind >= -1 and chunks.only(raw, place + count, size)
    if _never(count) and behind and not apart:
        return there
    if -behind > max(SLACK, min(place, 4 * SLACK)):
        raise Incomplete(f"cut off, {there:,} of {count:,} bytes of samples are there")
    if behind <= SLACK or apart:
        return min(count, there)
    if behind >= WRAP - SLACK:
        return min(there, count + WRAP * round(behind / WRAP))
    if _blank(raw, place + count):
        return count
    raw.seek(place + count)
    if raw.read(4) in FIRST:
        raise Incomplete(_joined(place + count))
    begin = max(place, place + count - SLACK)
    raw.seek(begin)
    near = raw.read(2 * SLACK)  # a size that is off by a few bytes
    if chunks and any(name in near and chunks.only(raw, begin + near.index(name), size) for name in LAST):
        return count
    raise Incomplete(f"its header counts {count:,} bytes of samples, and {behind:,} more follow that are none of its "
                     "chunks: if they are sound, have the header written anew (sox --ignore-length IN.wav OUT.wav)")


def _wave(raw: BinaryIO, size: int, chunks: Chunks) -> Header | None:
    form, long = b"", None
    for name, place, count in chunks.walk(raw, 12, size):
        if name == b"ds64" and count >= 24:
            raw.seek(place + 8)
            long = struct.unpack("<Q", raw.read(8))[0]
        elif name == b"fmt ":
            raw.seek(place)
            form = raw.read(min(count, 4096))
        elif name == b"data":
            break
    else:
        raise Incomplete("has a header but no samples")
    if long is not None and count in (0, 0xFFFFFFFF):
        count = long
    if form[:2] == b"\x55\x00":
        raise Incomplete(f"holds MP3 in a WAV, {GUESSED}")
    held = _held(raw, chunks, place, count, size)
    if held <= count:  # the decoder stops at the end of the file by itself
        return None
    if chunks.head[0] == ">":
        raise Incomplete("its header does not count its samples: have it written anew (sox --ignore-length)")
    if long is None and held == size - place < WRAP:
        return _with(raw, place - 4, struct.pack("<I", held))
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, held + 72 + len(form), held, 0, 0)
    return Header(b"RF64\xff\xff\xff\xffWAVE" + sizes + struct.pack("<4sI", b"fmt ", len(form)) + form
                  + b"data\xff\xff\xff\xff", place)


def _aiff(raw: BinaryIO, size: int) -> None:
    chunks = Chunks(">4sI")
    place, count = chunks.samples(raw, 12, b"SSND", size)
    if _held(raw, chunks, place, count, size) > count > 0:  # of 0 bytes the decoder takes all that is there
        raise Incomplete(f"is longer than the {count:,} bytes that its header can count: make a WAV of it")


def _w64(raw: BinaryIO, size: int) -> Header | None:
    chunks = Chunks("<16sQ", pad=8, counts_head=True)
    place, count = chunks.samples(raw, 40, b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", size)
    if count <= 0 < size - place:
        return _with(raw, place - 8, struct.pack("<Q", size - place + 24))
    _held(raw, chunks, place, count, size)
    return None


def _caf(raw: BinaryIO, size: int) -> Header | None:
    chunks = Chunks(">4sq", pad=1)
    place, count = chunks.samples(raw, 8, b"data", size)
    if count <= 0 < size - place:
        return _with(raw, place - 8, struct.pack(">q", size - place))
    _held(raw, chunks, place, count, size)
    return None


def _au(raw: BinaryIO, size: int, order: str) -> Header | None:
    raw.seek(4)
    place, count = struct.unpack(order + "2I", raw.read(8).ljust(8, b"\0"))
    if not 24 <= place <= size or _held(raw, None, place, count, size) <= count:
        return None
    return _with(raw, 8, struct.pack(order + "I", 0xFFFFFFFF))


def _with(raw: BinaryIO, place: int, field: bytes) -> Header:
    """The header with another value in one place."""
    raw.seek(0)
    return Header(raw.read(place) + field, place + len(field))


# --------------------------------------------------------------------------------------------------------- FLAC and Ogg

def _flac(content: mmap.mmap, begin: int) -> None:
    if not int.from_bytes(content[begin + 18 : begin + 26]) & (1 << 36) - 1:
        raise Incomplete("does not say how long it is, since it was written to a pipe: write it anew "
                         "(flac -d, then flac)")
    second = begin
    while (second := content.find(b"fLaC", second + 4)) > 0:
        if content[second + 4] & 0x7F == 0 and content[second + 5 : second + 8] == b"\x00\x00\x22":
            raise Incomplete(_joined(second))


def _joined(second: int) -> str:
    return f"a second recording begins at byte {second:,}: files were joined, take them apart"


def _ogg(content: mmap.mmap, size: int) -> None:
    last = content.rfind(b"OggS", max(0, size - PAGE - 700))  # version, flags, ..., number of segments at 26
    if last < 0 or size < last + 27 or not content[last + 5] & 4:  # 4 = last page of the stream
        raise Incomplete("cut off, its last Ogg page is missing (if it never had one: ffmpeg -i IN -c copy OUT)")
    segments = content[last + 26]
    if size < last + 27 + segments + sum(content[last + 27 : last + 27 + segments]):
        raise Incomplete("cut off within its last Ogg page")
    place = 0
    while content[place : place + 6] == b"OggS\x00\x02":  # 2 = first page of a stream: they all stand in front
        segments = content[place + 26]
        place += 27 + segments + sum(content[place + 27 : place + 27 + segments])
    if (second := content.find(b"OggS\x00\x02", place)) > 0:
        raise Incomplete(_joined(second))


def _mp3(content: mmap.mmap) -> Header | None:
    found = mp3.frames(content)
    if found is None:
        if mp3.layer_2(content):
            raise Incomplete(f"is MPEG layer II, {GUESSED}")
        return None
    if found.other >= 0:
        raise Incomplete(f"its frames are of two kinds from byte {found.other:,} on (rate or channels): files were "
                         "joined, take them apart")
    if found.told is not None and found.told > found.count + (not found.cut):  # some encoders count the one that tells
        raise Incomplete(f"cut off, {found.count:,} of {found.told:,} MP3 frames are there")
    return None if found.told == found.count else Header(mp3.info(found.head, found.count), found.first)
