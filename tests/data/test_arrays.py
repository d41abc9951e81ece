"""Arrays of old files; pickles are taken apart, never run."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from harness.data.arrays import as_array, as_grey, pickled_buffers, read_idx
from harness.errors import HarnessError


def test_an_idx_file(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    header = bytes((0, 0, 8, 3)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    (tmp_path / "a.gz").write_bytes(gzip.compress(header + array.tobytes()))
    assert (read_idx(tmp_path / "a.gz") == array).all()
    (tmp_path / "b.gz").write_bytes(gzip.compress(header + array.tobytes()[:-1]))
    with pytest.raises(HarnessError, match="damaged"):
        read_idx(tmp_path / "b.gz")
    (tmp_path / "c.gz").write_bytes(gzip.compress(bytes((0, 0, 0x0D, 1)) + bytes(8)))
    with pytest.raises(HarnessError, match="not an IDX file"):
        read_idx(tmp_path / "c.gz")


@pytest.mark.parametrize("protocol", [3, 4])
def test_the_arrays_of_a_pickle_are_read_in_order(tmp_path: Path, protocol: int) -> None:
    pixels = np.random.default_rng(0).random((50, 8, 8)).astype("<f4")
    labels = np.arange(500, dtype="<i8")
    (tmp_path / "p.gz").write_bytes(gzip.compress(pickle.dumps((pixels, labels), protocol=protocol)))
    first, second = pickled_buffers(tmp_path / "p.gz")
    assert (as_array(first, "<f4", (50, 8, 8)) == pixels).all()
    assert (as_array(second, "<i8", (500,)) == labels).all()


def test_nothing_in_a_pickle_is_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "p.gz").write_bytes(gzip.compress(pickle.dumps((Bomb(), np.zeros(4096, np.uint8)))))
    (found,) = pickled_buffers(tmp_path / "p.gz")
    assert found == bytes(4096)
    assert not (tmp_path / "ran").exists()


def test_a_buffer_of_another_size_is_refused() -> None:
    with pytest.raises(HarnessError, match="no array of <f4"):
        as_array(bytes(10), "<f4", (2,))


def test_numbers_become_bytes_exactly() -> None:
    every = np.arange(256) / 256
    assert (as_grey(every, 256) == np.arange(256)).all()
    assert as_grey(np.array([-1.0, 2.0]), 255).tolist() == [0, 255]
