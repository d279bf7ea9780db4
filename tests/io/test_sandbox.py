"""A decoder that dies, hangs or asks for too much takes nothing with it."""

from __future__ import annotations

import functools
import os
import signal
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom.data import get_testdata_file

from medvlp.io import ReadError, read_image
from medvlp.io.errors import FormatError
from medvlp.io.picture import read_picture
from medvlp.io.process_pool import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the sandbox is for POSIX systems")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


@pytest.fixture
def png(tmp_path: Path) -> bytes:
    Picture.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "x.png")
    return (tmp_path / "x.png").read_bytes()


def child_of(sandbox: Sandbox) -> int:
    return sandbox._pool._alive[0].process.pid


@pytest.mark.parametrize("name", ["693_J2KI.dcm", "SC_rgb_jpeg.dcm", "MR_small_RLE.dcm", "examples_jpeg2k.dcm"])
def test_isolated_reading_gives_the_same_image(name: str) -> None:
    path = str(get_testdata_file(name))
    here, there = read_image(path), read_image(path, isolated=True)
    np.testing.assert_array_equal(here.array, there.array)
    assert here.steps == there.steps


def test_isolated_pictures_and_their_refusals_are_the_same(tmp_path: Path, png: bytes) -> None:
    np.testing.assert_array_equal(
        read_image(tmp_path / "x.png").array, read_image(tmp_path / "x.png", isolated=True).array
    )
    (tmp_path / "cut.png").write_bytes(png[:45])
    with pytest.raises(ReadError, match="cut short"):
        read_image(tmp_path / "cut.png", isolated=True)


def test_one_child_serves_many_calls(sandbox: Sandbox, png: bytes) -> None:
    image = sandbox.call(read_picture, png, None)
    first = child_of(sandbox)
    sandbox.call(read_picture, png, None)
    assert (image.array.shape, image.source, child_of(sandbox)) == ((8, 8), "png", first)


def test_a_crash_is_a_refusal_and_the_next_call_works(sandbox: Sandbox, png: bytes) -> None:
    sandbox.call(read_picture, png, None)
    os.kill(child_of(sandbox), signal.SIGSEGV)
    with pytest.raises(FormatError, match="the decoder crashed"):
        sandbox.call(read_picture, png, None)
    assert sandbox.call(read_picture, png, None).array.shape == (8, 8)


def test_an_exception_that_no_decoder_should_raise_is_a_refusal(sandbox: Sandbox, png: bytes) -> None:
    with pytest.raises(FormatError, match=r"cannot be read: TypeError"):
        sandbox.call(read_picture)
    with pytest.raises(FormatError, match=r"crashed \(exit status 3\)"):
        sandbox.call(os._exit, 3)
    assert sandbox.call(read_picture, png, None).array.shape == (8, 8)


def test_a_result_that_would_run_code_is_refused(sandbox: Sandbox, png: bytes) -> None:
    with pytest.raises(FormatError, match="no readable result"):
        sandbox.call(functools.partial, print)
    assert sandbox.call(read_picture, png, None).array.shape == (8, 8)


def test_a_hang_is_a_refusal() -> None:
    impatient = Sandbox(timeout=0.2)
    with pytest.raises(FormatError, match=r"took longer than 0.2 s"):
        impatient.call(time.sleep, 60)
    assert not impatient._pool._alive


def test_work_without_end_is_stopped_and_said(sandbox: Sandbox, png: bytes) -> None:
    """The child's own timer counts processor time and sends SIGPROF; here the test sends it."""
    sandbox.call(read_picture, png, None)
    os.kill(child_of(sandbox), signal.SIGPROF)
    with pytest.raises(FormatError, match="worked too long"):
        sandbox.call(read_picture, png, None)
    assert sandbox.call(read_picture, png, None).array.shape == (8, 8)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone changes the limits of a running process")
def test_memory_is_limited(sandbox: Sandbox, png: bytes) -> None:
    import resource

    sandbox.call(read_picture, png, None)
    assert resource.prlimit(child_of(sandbox), resource.RLIMIT_DATA) == (2 << 30, 2 << 30)
    resource.prlimit(child_of(sandbox), resource.RLIMIT_DATA, (200 << 20, 200 << 20))
    with pytest.raises(FormatError, match=r"needs more|crashed|damaged"):
        sandbox.call(read_picture, _png_of(5000), None)


def _png_of(side: int) -> bytes:
    """A small 16-bit RGBA PNG that inflates to `side * side * 8` bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0))
    deflater = zlib.compressobj(9)
    row = bytes(side * 8 + 1)
    packed = b"".join(deflater.compress(row) for _ in range(side)) + deflater.flush()
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
