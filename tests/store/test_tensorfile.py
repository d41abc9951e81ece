"""The digest of an artifact, computed a second time by hand, and what a file says of itself."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.store import StoreError, tensorfile


def by_hand(arrays: dict[str, np.ndarray], header: dict) -> str:
    """sha256 of the header's sorted JSON, then name, type, shape and bytes of each array in order of name."""
    text = json.dumps(header, sort_keys=True, ensure_ascii=False).encode()
    for name in sorted(arrays):
        kind = {"float32": "torch.float32", "int64": "torch.int64", "uint8": "torch.uint8"}[arrays[name].dtype.name]
        text += f"\0{name}\0{kind}\0{arrays[name].shape}\0".encode() + arrays[name].tobytes()
    return hashlib.sha256(text).hexdigest()


ARRAYS = st.dictionaries(
    st.text("abü/. ", min_size=1, max_size=3),
    st.tuples(
        st.sampled_from([np.float32, np.int64, np.uint8]),
        st.lists(st.integers(0, 3), max_size=3).map(tuple),
        st.integers(0, 100),
    ).map(lambda drawn: np.random.default_rng(drawn[2]).integers(0, 9, drawn[1]).astype(drawn[0])),
    max_size=3,
)
HEADERS = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3) | st.none(), max_size=3)


@settings(max_examples=40, deadline=None)
@given(ARRAYS, HEADERS)
def test_digest_and_size(arrays: dict[str, np.ndarray], header: dict) -> None:
    tensors = tensorfile.settle({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    assert tensorfile.digest(tensors, header) == by_hand(arrays, header)
    assert tensorfile.size(tensors) == sum(array.nbytes for array in arrays.values())


def test_settled_tensors_share_no_memory_and_need_no_gradient() -> None:
    base = torch.arange(6.0, requires_grad=True)
    settled = tensorfile.settle({"a": base, "b": base, "c": base.view(2, 3).T, "d": base[2:]})
    places = {tensor.untyped_storage().data_ptr() for tensor in settled.values()}
    assert len(places) == 4
    for tensor in settled.values():
        assert tensor.is_contiguous() and not tensor.requires_grad and tensor.device.type == "cpu"
    assert settled["c"].tolist() == [[0, 3], [1, 4], [2, 5]] and settled["d"].tolist() == [2, 3, 4, 5]
    with pytest.raises(StoreError, match="dense tensors only, but 'x' is none"):
        tensorfile.settle({"x": np.ones(2)})  # type: ignore[dict-item]  # wrong on purpose


def test_an_empty_array_of_any_stride_can_be_kept(tmp_path: Path) -> None:
    given_ = {"a": torch.from_numpy(np.array([], np.float32)), "b": torch.zeros(3, 0).expand(3, 0), "c": torch.ones(1)}
    tensors = tensorfile.settle(given_)
    tensorfile.write(tmp_path / "f", {"k": (tensors, {})}, {"k": tensorfile.digest(tensors, {})})
    found = tensorfile.read(tmp_path / "f", "k")[0]
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {"a": (0,), "b": (3, 0), "c": (1,)}


def write(path: Path, name: str = "k", header: dict | None = None) -> dict[str, torch.Tensor]:
    tensors = {"w": torch.arange(4.0), "deep/er": torch.ones(2, 2)}
    header = header or {}
    tensorfile.write(path, {name: (tensors, header)}, {name: tensorfile.digest(tensors, header)})
    return tensors


def test_the_file_is_plain_safetensors(tmp_path: Path) -> None:
    """The format is eight bytes of length, a JSON header, and the bytes of the tensors."""
    path = tmp_path / "f"
    write(path, header={"of": "ü"})
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    described = json.loads(content[8 : 8 + length])
    begin, end = described["k/w"]["data_offsets"]
    data = content[8 + length :]
    assert np.frombuffer(data[begin:end], "<f4").tolist() == [0, 1, 2, 3]
    assert set(described) == {"__metadata__", "k/w", "k/deep/er"}
    index = json.loads(described["__metadata__"]["harness"])
    assert index["k"]["header"] == {"of": "ü"} and index["k"]["tensors"] == ["w", "deep/er"]


def test_reading_gives_back_what_was_written_and_its_digest(tmp_path: Path) -> None:
    tensors = write(tmp_path / "f", header={"a": [1]})
    found, header, digest = tensorfile.read(tmp_path / "f", "k")
    assert list(found) == list(tensors) and all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert header == {"a": [1]} and digest == tensorfile.digest(tensors, {"a": [1]})


@pytest.mark.parametrize("damage", ["missing", "folder", "empty", "text", "other member", "no metadata", "bytes"])
def test_all_damage_is_one_kind_of_error(tmp_path: Path, damage: str) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "f"
    write(path)
    name = "k"
    if damage == "missing":
        path.unlink()
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("no tensors at all")
    elif damage == "other member":
        name = "z"
    elif damage == "no metadata":
        save_file({"k/w": torch.ones(1)}, str(path))
    else:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(tensorfile.Damaged) as caught:
        tensorfile.read(path, name)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(("the file ", "its bytes do not match"))


def test_a_folder_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write(tmp_path / "nowhere" / "f")
