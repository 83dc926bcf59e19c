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
LEADING = 1 << 17  # bytes of something else, behind which frames are looked for
OTHERS = {b"fLaC", b"RIFF", b"OggS", b"FORM"}  # what may stand behind a tag instead of frames


class Frames(NamedTuple):
    first: int  # where the first frame with sound begins
    head: bytes  # its first four bytes
    told: int | None  # how many there are by the file's own header (Xing, Info, VBRI), -1 where it does not say
    count: int  # how many there are; one that is cut is left out
    cut: bool  # whether the last one is
    other: int  # where frames of another rate or number of channels begin, -1 where none do


def frames(content: mmap) -> Frames | None:
    """Counts the frames of an opened file, between and behind tags or damage too; None where there are none."""
    begin = behind_tags(content, 0)
    if content[begin : begin + 4] in OTHERS:
        return None
    place = begin if _row(content, begin, 2) else _next(content, begin, None, begin + LEADING)
    if place < 0:
        return None
    head, told, size = content[place : place + 4], _told(content, place), len(content)
    if told is not None:
        place += length(head)
    first, same, count, cut = place, _kind(head), 0, False
    known: dict[bytes, int] = {}
    while 0 <= place <= size - 4:
        four = content[place : place + 4]
        if four not in known:
            known[four] = length(four) if _kind(four) == same else 0
        if known[four]:
            place += known[four]
            cut = place > size
            count += not cut
        elif (tags := behind_tags(content, place)) > place:
            place = tags
        elif _row(content, place, 3):
            return Frames(first, head, told, count, cut, place)
        else:
            place = _next(content, place + 1, same, size)
    return Frames(first, head, told, count, cut, -1)


def layer_2(content: mmap) -> bool:
    """Whether a file begins with MPEG audio of layer II, whose frames are not counted here."""
    begin = behind_tags(content, 0)
    return begin + 1 < len(content) and content[begin] == 0xFF and content[begin + 1] & 0xE6 == 0xE4


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


def _kind(head: bytes) -> tuple[int, int, bool] | None:
    return (head[1] & 0x18, head[2] & 0x0C, head[3] >> 6 == 3) if len(head) == 4 else None  # version, rate, mono


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


def behind_tags(content: mmap, place: int) -> int:
    """The place behind ID3v2 and APE tags, where some stand: each tells its length, ID3 in 7 bits a byte."""
    while True:
        head = content[place : place + 32]
        if head[:3] == b"ID3" and len(head) >= 10:
            a, b, c, d = head[6:10]
            place += 10 + (a << 21 | b << 14 | c << 7 | d) + 10 * (head[5] >> 4 & 1)
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            place += 32 + int.from_bytes(head[12:16], "little") * (head[23] >> 5 & 1)  # nothing behind its foot
        else:
            return place


def _row(content: mmap, place: int, count: int) -> bool:
    """Whether so many frames of one kind stand in a row from a place on; the last may be cut."""
    kind = _kind(content[place : place + 4])
    for _ in range(count):
        head = content[place : place + 4]
        if not length(head) or _kind(head) != kind:
            return False
        place += length(head)
    return True


def _next(content: mmap, place: int, kind: tuple | None, end: int) -> int:
    """Where frames go on behind something else, before `end`: of the kind known before two in a row, which may end with
    the file, of another three; -1 where none do."""
    while (place := content.find(b"\xff", place, end)) >= 0:
        head = content[place : place + 4]
        if size := length(head):
            near = _kind(head) == kind and (_row(content, place, 2) or place + size > len(content) - 4)
            if near or _row(content, place, 3):
                return place
        place += 1
    return -1
