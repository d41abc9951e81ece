"""Weights are read as tensors and nothing else, from the right files only."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness.backbones.optional import optional_module
from harness.backbones.packages import WeightsFile
from harness.backbones.pretrained import load_state, require, with_published
from harness.errors import HarnessError


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_both_formats_give_the_tensors(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}
    torch.save(tensors, tmp_path / "w.pth")
    save_file(tensors, str(tmp_path / "w.safetensors"))
    for name in ("w.pth", "w.safetensors"):
        found = load_state(tmp_path / name, sha(tmp_path / name))
        assert found.keys() == tensors.keys() and all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(HarnessError, match=r"w\.pth is not the published one"):
        load_state(path, "0" * 64)
    with pytest.raises(HarnessError, match="No such file"):
        require(tmp_path / "gone", "0" * 64)


class Trap:
    """Unpickled, it would leave a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"a": Trap(trace)}, tmp_path / "torch.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"a": Trap(trace)}, protocol=2))
    for path in tmp_path.glob("*.pth"):
        with pytest.raises(HarnessError, match="cannot be read as plain tensors"):
            load_state(path, sha(path))
    assert not trace.exists()


def test_only_tensors_by_name_are_weights(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(1), "epoch": 3}, path)
    with pytest.raises(HarnessError, match="something other than tensors"):
        load_state(path, sha(path))


def test_published_weights_must_fit() -> None:
    network = torch.nn.Sequential()
    network.add_module("body", torch.nn.Linear(2, 3))
    network.add_module("head", torch.nn.Linear(3, 4))
    body = {"body.weight": torch.full((3, 2), 7.0), "body.bias": torch.zeros(3)}
    head = network[1].weight.detach().clone()
    with_published(network, body)
    assert torch.equal(network[0].weight, body["body.weight"]) and torch.equal(network[1].weight, head)
    with pytest.raises(HarnessError, match=r"'head.weight' is missing"):
        with_published(network, body, head=True)
    with pytest.raises(HarnessError, match=r"of shape \(1, 2\), not of shape \(3, 2\)"):
        with_published(network, {**body, "body.weight": torch.zeros(1, 2)})


def test_a_package_that_was_not_fetched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    with pytest.raises(HarnessError, match="harness data fetch minilm"):
        WeightsFile("minilm", "x", "0" * 64).locate()


def test_absent_libraries_are_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match=r"^here needs the package 'no_such_library', which is not installed$"):
        optional_module("no_such_library", "here")
    (tmp_path / "half_there.py").write_text("import no_such_part\n", encoding="utf-8")
    (tmp_path / "broken_one.py").write_text("raise RuntimeError('operator missing')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HarnessError, match="'half_there', which needs 'no_such_part'"):
        optional_module("half_there", "here")
    with pytest.raises(HarnessError, match="fails to import here: operator missing"):
        optional_module("broken_one", "here")
