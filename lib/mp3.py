"""The frames of an MP3 file, counted: it has no header that must say how long it is, and often none that does.

Layer III of MPEG 1, 2 and 2.5 (ISO/IEC 11172-3 and 13818-3). Sizes follow from the four bytes that begin each frame;
nothing is decoded. An hour takes a quarter of a second.
"""

import struct
from mmap import mmap
from typing import NamedTuple

__all__ = ["Frames", "frames", "length", "info"]

KBIT = {3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # of MPEG 1, then of 2 and 2.5
        2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by MPEG's two bits
OTHERS = {b"fLaC", b"RIFF", b"OggS", b"FORM"}  # what may stand behind a tag instead of frames


class Frames(NamedTuple):
    first: int  # where the first frame with sound begins
    head: bytes  # its first four bytes
    told: int | None  # how many there are by the file's own header (Xing, Info, VBRI), -1 where it does not say
    count: int  # how many there are; one that is cut is left out
    other: int  # where frames of another rate or number of channels begin, -1 where none do


def frames(content: mmap) -> Frames | None:
    """Counts the frames of an opened file, between and behind tags or damage too; None where there are none."""
    begin = _behind_tags(content, 0)
    place = begin if length(content[begin : begin + 4]) else _next(content, begin)
    if place < 0 or content[begin : begin + 4] in OTHERS:
        return None
    head, told, size = content[place : place + 4], _told(content, place), len(content)
    if told is not None:
        place += length(head)
    first, same, count = place, _kind(head), 0
    known: dict[bytes, int] = {}
    while 0 <= place <= size - 4:
        four = content[place : place + 4]
        if four not in known:
            known[four] = length(four)
        if known[four]:
            if _kind(four) != same:
                return Frames(first, head, told, count, place)
            place += known[four]
            count += place <= size
        else:
            tags = _behind_tags(content, place)
            place = tags if tags > place else _next(content, place + 1)
    return Frames(first, head, told, count, -1)


def length(head: bytes) -> int:
    """Bytes of the frame that begins with these four; 0 where none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:  # 11 bits of sync, then layer III
        return 0
    version, kbit, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or not 0 < kbit < 15 or rate == 3:
        return 0
    kbit = KBIT[3 if version == 3 else 2][kbit - 1]
    return (144 if version == 3 else 72) * 1000 * kbit // RATES[version][rate] + (head[2] >> 1 & 1)


def info(head: bytes, count: int) -> bytes:
    """A frame without sound that tells how many follow, as LAME writes it; head: the first four bytes of theirs."""
    head = bytes([0xFF, head[1] | 1, head[2] & 0x0C | 0x90, head[3]])  # no checksum; 128 kbit/s, of MPEG 2 80
    return (head + bytes(_side(head)) + struct.pack(">4sII", b"Info", 1, count)).ljust(length(head), b"\0")


def _kind(head: bytes) -> tuple[int, int, bool]:
    return head[1] & 0x18, head[2] & 0x0C, head[3] >> 6 == 3  # version, rate, mono


def _side(head: bytes) -> int:
    """Bytes of side information behind the head."""
    mono = head[3] >> 6 == 3
    return (17 if mono else 32) if head[1] & 0x18 == 0x18 else (9 if mono else 17)


def _told(content: mmap, place: int) -> int | None:
    head = content[place : place + 200]
    told = head[4 + _side(head) :]
    if told[:4] in (b"Xing", b"Info"):
        return int.from_bytes(told[8:12]) if told[7] & 1 else -1
    return int.from_bytes(head[50:54]) if head[36:40] == b"VBRI" else None


def _behind_tags(content: mmap, place: int) -> int:
    """The place behind ID3v2 tags, which are 10 bytes and what they announce in 7 bits a byte."""
    while content[place : place + 3] == b"ID3" and place + 10 <= len(content):
        a, b, c, d = content[place + 6 : place + 10]
        place += 10 + (a << 21 | b << 14 | c << 7 | d) + 10 * (content[place + 5] >> 4 & 1)
    return place


def _next(content: mmap, place: int) -> int:
    """Where frames go on behind something else: two in a row, of which the second may be cut; -1 where none do."""
    while (place := content.find(b"\xff", place)) >= 0:
        count = length(content[place : place + 4])
        if count and (place + count >= len(content) - 4 or length(content[place + count : place + count + 4])):
            return place
        place += 1
    return -1
