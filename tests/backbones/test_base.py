"""Backbones and checkpoints know what they are before anything is built or read."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest

from harness.backbones.base import Checkpoint, Untrained, backbone, file_sha256
from harness.backbones.small import Mlp, SmallCnn, mlp
from harness.errors import HarnessError
from harness.registry import BACKBONES


def test_identity_is_name_version_and_options() -> None:
    assert Mlp(hidden=32).identity() == {"backbone": "mlp", "version": 1, "options": {"hidden": 32, "depth": 2}}
    assert Mlp(hidden=32) != Mlp(hidden=33)
    assert Mlp().modules() == ("harness.backbones.small",)
    assert str(SmallCnn()) == "small_cnn"
    assert pickle.loads(pickle.dumps(Mlp(hidden=7))) == Mlp(hidden=7)  # noqa: S301  (its own bytes)


def test_registered_backbones_take_options() -> None:
    entry = BACKBONES.get("mlp")
    assert entry is mlp
    assert {name: known.default for name, known in entry.parameters.items()} == {"hidden": 64, "depth": 2}
    assert entry(hidden=5) == Mlp(hidden=5)
    assert entry.summary.startswith("A perceptron")


def test_a_backbone_of_ones_own_is_registered() -> None:
    @backbone("tiny")
    def tiny(width: int = 3) -> Mlp:
        """A small one."""
        return Mlp(hidden=width, depth=1)

    try:
        assert BACKBONES.get("tiny")(width=4).layers == ("hidden1", "head")
    finally:
        BACKBONES._entries.pop("tiny")


@pytest.mark.parametrize(
    "given", [{}, {"name": "hub/net", "revision": "1", "path": "x"}, {"path": "x", "artifact": "0" * 32}]
)
def test_a_checkpoint_is_named_in_one_way(given: dict[str, str]) -> None:
    with pytest.raises(HarnessError, match="exactly one of"):
        Checkpoint(**given)


def test_a_hub_checkpoint_is_pinned() -> None:
    with pytest.raises(HarnessError, match="'hub/net' needs a revision"):
        Checkpoint(name="hub/net")
    named = Checkpoint(name="hub/net", revision="abc")
    assert named.identity() == {"checkpoint": "hub", "name": "hub/net", "revision": "abc"}
    assert str(named) == "hub/net@abc"


def test_a_file_is_known_by_its_bytes_wherever_it_lies(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.safetensors").write_bytes(b"weights")
    first, second = (Checkpoint(path=str(tmp_path / folder / "w.safetensors")) for folder in ("one", "two"))
    assert first.identity() == second.identity()
    assert first.identity()["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert str(tmp_path) not in str(first.identity())


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"nowhere.safetensors: No such file"):
        Checkpoint(path=str(tmp_path / "nowhere.safetensors"))


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"first")
    before = file_sha256(str(path))
    path.write_bytes(b"second, longer")
    assert file_sha256(str(path)) == hashlib.sha256(b"second, longer").hexdigest() != before


def test_other_sources_know_themselves() -> None:
    assert Untrained() == Untrained() and str(Untrained()) == "untrained"
    assert Checkpoint(artifact="ab" * 16).identity() == {"checkpoint": "artifact", "key": "ab" * 16}
