"""all-MiniLM-L6-v2: what is known of it without its files, and with them that like sentences are near."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.backbones.inputs import OFF_LENGTH
from harness.backbones.layered import features
from harness.backbones.minilm import FILES, MiniLm, minilm
from harness.errors import HarnessError


def test_is_described_without_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    backbone = minilm()
    assert backbone.layers == ("embeddings", *(f"layer{n}" for n in range(1, 7)), "pool", "head")
    assert backbone.feature_width((64,)) == 384
    assert MiniLm().check((256,)) == () and MiniLm().check((300,)) == (OFF_LENGTH,)
    assert minilm(64).identity() != backbone.identity()
    with pytest.raises(HarnessError, match="harness data fetch minilm"):
        MiniLm().folder()


def test_a_changed_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in FILES:
        path = tmp_path / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    monkeypatch.setattr("harness.data.fetch.require", lambda name: tmp_path)
    with pytest.raises(HarnessError, match=r"config\.json is not the published one"):
        MiniLm().folder()


@pytest.mark.packaged
def test_like_sentences_are_near() -> None:
    pytest.importorskip("transformers")
    backbone = MiniLm()
    sentences = [
        "A cat sits on the mat.",
        "A kitten is lying on a rug.",
        "The stock market fell sharply today.",
        "Shares dropped on Wall Street.",
    ]
    network = backbone.build(2, (16,), torch.Generator())
    with torch.no_grad():
        vectors = features(network, backbone.encode(sentences, 16))
    near = vectors @ vectors.T
    torch.testing.assert_close(near.diagonal(), torch.ones(4))
    assert min(float(near[0, 1]), float(near[2, 3])) > 0.5, "the same said twice"
    assert float(near[:2, 2:].max()) < 0.2, "cats and shares"
    pooler = 384 * 384 + 384  # which sentences are not made with
    assert sum(parameter.numel() for parameter in network[:-1].parameters()) == 22_713_216 - pooler
