"""Artifact files: what comes back is what went in, or an error that names the file."""

from __future__ import annotations

import multiprocessing
import pickle
import struct
from pathlib import Path

import pytest
import torch

from harness.store import ArtifactDamaged, ArtifactRef, ArtifactStore, StoreError, StoreWriteError, artifacts
from tests.store.samples import key_of


@pytest.fixture
def files(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"layer.weight": torch.randn(4, 3, generator=generator), "layer.bias": torch.randn(4, generator=generator)}


def on_disk(files: ArtifactStore) -> list[Path]:
    return sorted(path for path in files.root.rglob("*") if path.is_file())


def test_every_kind_of_tensor_comes_back_bit_for_bit(files: ArtifactStore) -> None:
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    given = {
        "bfloat16": torch.tensor([1.5, float("nan"), float("inf")], dtype=torch.bfloat16),
        "half": torch.tensor([-0.0, 6e-8], dtype=torch.float16),
        "double": torch.tensor(0.1, dtype=torch.float64),
        "bool": torch.tensor([True, False]),
        "long": torch.tensor([2**62]),
        "empty": torch.zeros(0, 5),
        "transposed": base.T,
        "same memory": base,
        "a row of it": base[1],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "größe/ü": torch.ones(1, dtype=torch.uint8),
    }
    header = {"größe": [1, 2.5, None], "n": {"x": "y"}}
    back, head = files.get(files.put(key_of("a"), given, header))
    assert head == header and set(back) == set(given)
    for name, tensor in given.items():
        assert back[name].dtype == tensor.dtype and back[name].shape == tensor.shape
        ours, theirs = (t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (back[name], tensor))
        assert torch.equal(ours, theirs), name


def test_small_ones_share_a_file_and_are_read_alone(files: ArtifactStore, monkeypatch) -> None:
    monkeypatch.setattr(artifacts, "PACK_LIMIT", 1000)
    batch = {key_of(i): (tensors(i), {"i": i}) for i in range(5)} | {key_of("big"): ({"w": torch.zeros(1000)}, {})}
    refs = files.put_many(batch)
    assert list(refs) == list(batch)
    assert len({ref.location for ref in refs.values()}) == 2 == len(on_disk(files))
    for key, (given, header) in batch.items():
        back, head = files.get(refs[key])
        assert (
            head == header and all(torch.equal(back[name], given[name]) for name in given) and len(back) == len(given)
        )
        assert refs[key].name == key and refs[key].nbytes == sum(4 * t.numel() for t in given.values())


def test_names_follow_content(files: ArtifactStore) -> None:
    first = files.put(key_of("a"), tensors(0), {"h": 1})
    assert files.put(key_of("a"), dict(reversed(tensors(0).items())), {"h": 1}) == first
    assert len(on_disk(files)) == 1
    others = [files.put(key_of("a"), tensors(1), {"h": 1}), files.put(key_of("a"), tensors(0), {"h": 2})]
    others.append(files.put(key_of("a"), {"x": tensors(0)["layer.bias"], "layer.weight": tensors(0)["layer.weight"]}))
    others.append(files.put(key_of("a"), {name: t.double() for name, t in tensors(0).items()}, {"h": 1}))
    assert len({ref.sha256 for ref in (first, *others)}) == 5
    assert files.put(key_of("b"), tensors(0), {"h": 1}).sha256 == first.sha256


def publish(root: Path, answers) -> None:
    torch.set_num_threads(1)
    store = ArtifactStore(root)
    answers.put([store.put(key_of(i), {"w": torch.full((5000,), float(i))}) for i in range(20)])


def test_workers_that_publish_the_same_at_once(files: ArtifactStore) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    workers = [context.Process(target=publish, args=(files.root, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    one, other = (answers.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    assert one == other and len(on_disk(files)) == 20
    assert all(files.get(ref)[0]["w"][0] == i for i, ref in enumerate(one))


def damaged(files: ArtifactStore, ref: ArtifactRef) -> str:
    with pytest.raises(ArtifactDamaged) as caught:
        files.get(ref)
    message = str(caught.value)
    assert str(files.path(ref)) in message and ref.name in message and caught.value.key == ref.name
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # Ray's transport, not a file
    assert str(again) == message
    return message


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
def test_a_file_cut_short(files: ArtifactStore, keep: float) -> None:
    ref = files.put(key_of("a"), tensors(), {"h": "x" * 100})
    path = files.path(ref)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    damaged(files, ref)
    assert files.put(key_of("a"), tensors(), {"h": "x" * 100}) == ref  # publishing again heals it
    files.get(ref)


def test_every_flipped_byte_is_noticed(files: ArtifactStore) -> None:
    ref = files.put(key_of("a"), tensors(), {"h": 1.5})
    path = files.path(ref)
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            back, header = files.get(ref)
        except ArtifactDamaged:
            continue
        # Only padding of the header may differ unnoticed: what is returned is still what was stored.
        assert at < 8 + length and header == {"h": 1.5}
        assert all(torch.equal(back[name], tensor) for name, tensor in tensors().items())
    path.write_bytes(whole)
    files.get(ref)


def test_missing_files_members_and_other_content(files: ArtifactStore) -> None:
    ref = files.put(key_of("a"), tensors())
    other = ArtifactRef(ref.location, key_of("b"), ref.sha256, ref.nbytes)
    damaged(files, other)
    assert "another artifact" in damaged(files, ArtifactRef(ref.location, ref.name, "0" * 64, ref.nbytes))
    files.path(ref).unlink()
    assert "missing" in damaged(files, ref)


def test_no_pickle_is_ever_read(files: ArtifactStore) -> None:
    ref = files.put(key_of("a"), tensors())
    torch.save({"w": torch.ones(1)}, files.path(ref))
    damaged(files, ref)


def test_what_is_no_artifact_is_refused(files: ArtifactStore) -> None:
    with pytest.raises(StoreError, match="dense"):
        files.put(key_of("a"), {"s": torch.eye(3).to_sparse()})
    with pytest.raises(StoreError, match="dense"):
        files.put(key_of("a"), {"s": [1.0]})  # type: ignore[dict-item]  # wrong on purpose
    with pytest.raises(StoreError, match="JSON"):
        files.put(key_of("a"), tensors(), {"h": object()})
    assert on_disk(files) == []


def test_a_disk_that_fails_leaves_no_partial_file(files: ArtifactStore, monkeypatch) -> None:
    from harness.store import tensorfile

    def fail(path: Path, *more) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensorfile, "write", fail)
    with pytest.raises(StoreWriteError, match="No space left"):
        files.put(key_of("a"), tensors())
    assert on_disk(files) == []


def test_a_file_system_without_hard_links(files: ArtifactStore, monkeypatch) -> None:
    import os

    def refuse(*arguments) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    ref = files.put(key_of("a"), tensors())
    assert torch.equal(files.get(ref)[0]["layer.bias"], tensors()["layer.bias"]) and len(on_disk(files)) == 1
