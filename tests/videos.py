"""Small videos for tests: a bright square that moves; turned, and with frames at times of their own."""

import os
import re
import struct

import numpy as np
import pytest

SIZE = (48, 64)  # (height, width) in pixels
SIDE = 8  # of the square


def corner(index):
    """(x, y) of the top left corner of the square in a frame."""
    return 4 * index % 56, 4 + 8 * (index // 14) % 36


def write(path, count=12, *, size=SIZE, codec="mp4v", rate=10):
    """Writes a video; returns the centres of the square [count, 2] in continuous pixels."""
    os.environ.setdefault(
        "OPENCV_FFMPEG_LOGLEVEL", "-8"
    )  # as `input_pipeline.storage.videos` does, before the first is opened
    cv2 = pytest.importorskip("cv2")
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, size[::-1])
    for index in range(count):
        frame, (x, y) = np.full((*size, 3), 20, np.uint8), corner(index)
        frame[y : y + SIDE, x : x + SIDE] = 255
        video.write(frame)
    video.release()
    return np.array([corner(index) for index in range(count)], float) + SIDE / 2


def turn(path, width=SIZE[1], height=SIZE[0], *, degrees=90):
    """Says in an MP4 file that it is to be shown turned clockwise: by the matrix of ISO/IEC 14496-12, section 6.2.2."""
    one, content = 1 << 16, bytearray(path.read_bytes())
    matrix = {
        90: (0, one, 0, -one, 0, 0, height * one, 0, 1 << 30),
        180: (-one, 0, 0, 0, -one, 0, width * one, height * one, 1 << 30),
        270: (0, -one, 0, one, 0, 0, 0, width * one, 1 << 30),
    }[degrees]
    place = content.find(b"tkhd") + 4 + 4 + 20 + 16  # of version 0
    content[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)


def damage(path, index):
    """Overwrites a frame of an AVI file of MJPG, so that it cannot be decoded, while those after it can."""
    content = bytearray(path.read_bytes())
    place = [found.start() for found in re.finditer(b"00dc", content)][index + 1]  # the first is in the header
    size = int.from_bytes(content[place + 4 : place + 8], "little")
    content[place + 8 : place + 8 + size] = bytes(size)
    path.write_bytes(content)


def forget_length(path):
    """Takes the duration out of a Matroska or WebM file, as browsers and cameras write them that do not know it yet."""
    content = bytearray(path.read_bytes())
    place = content.find(b"\x44\x89\x88")  # Duration, of eight bytes
    content[place : place + 11] = b"\xec\x89" + bytes(9)  # Void, as long
    path.write_bytes(content)


def spread(path, durations):
    """Gives each frame of an MP4 file, which all lasted as long, so many times that duration."""
    content = bytearray(path.read_bytes())
    place = content.find(b"stts")
    entries, count, ticks = struct.unpack(">3I", content[place + 8 : place + 20])
    assert entries == 1 and count == len(durations) and content.find(b"mdat") < place
    new = b"".join(struct.pack(">II", 1, duration * ticks) for duration in durations)
    content[place + 8 : place + 20] = struct.pack(">I", count) + new
    for name in (b"stts", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        start = content.find(name) - 4
        longer = struct.unpack(">I", content[start : start + 4])[0] + len(new) - 8
        content[start : start + 4] = struct.pack(">I", longer)
    path.write_bytes(content.replace(b"edts", b"free"))  # the list of edits would cut it to the old length
