"""Text encoders taken apart into layers, against the library's own forward pass, on a tiny random model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backbones.inputs import OFF_LENGTH, TextInput
from harness.backbones.layered import activations, features, forward_from
from harness.backbones.transformers_text import TransformersText, transformers_text
from harness.errors import HarnessError
from harness.training.networks import StackedNetwork, fresh, stack

transformers = pytest.importorskip("transformers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "sat", "on", "the", "mat", "ran", "far"]
TEXTS = ["a cat sat", "the dog ran far on the mat", "far"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights and a tokeniser of a few words, as the library writes them."""
    path = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
        max_position_embeddings=24, pad_token_id=0,
    )  # fmt: skip
    model = transformers.BertModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(path)
    (path / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    transformers.BertTokenizerFast(vocab_file=str(path / "vocab.txt")).save_pretrained(path)
    return path


def expected(folder: Path, pooling: str) -> torch.Tensor:
    """The library's own hidden states, pooled by hand."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    coded = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**coded).last_hidden_state
    if pooling == "first":
        return hidden[:, 0]
    return torch.stack([row[mask.bool()].mean(0) for row, mask in zip(hidden, coded["attention_mask"], strict=True)])


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_vectors_are_the_librarys_whatever_the_padding(folder: Path, pooling: Any) -> None:
    backbone = TransformersText(str(folder), pooling=pooling)
    for length in (9, 20):
        tokens = backbone.encode(TEXTS, length)
        network = backbone.build(3, (length,), torch.Generator())
        assert tokens.shape == (3, length)
        with torch.no_grad():
            torch.testing.assert_close(features(network, tokens), expected(folder, pooling), rtol=1e-4, atol=1e-5)


def test_unit_length(folder: Path) -> None:
    backbone = TransformersText(str(folder), unit_length=True)
    found = features(backbone.build(3, (9,), torch.Generator()), backbone.encode(TEXTS, 9))
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected(folder, "mean")), rtol=1e-4, atol=1e-5)


def test_layers_are_named_and_can_be_gone_on_from(folder: Path) -> None:
    backbone = TransformersText(str(folder))
    network = backbone.build(3, (9,), torch.Generator())
    tokens = backbone.encode(TEXTS, 9)
    assert backbone.layers == ("embeddings", "layer1", "layer2", "pool", "head")
    assert tuple(name for name, _ in network.named_children()) == backbone.layers
    for layer, outputs in activations(network, tokens, backbone.layers[:-1]).items():
        assert torch.equal(forward_from(network, layer, outputs), network(tokens))
    padded = activations(network, tokens, ["layer2"])["layer2"][0, 5:]
    assert torch.equal(padded, torch.zeros_like(padded)), "what is padding stays recognisable"


def test_is_its_parameters_and_runs_as_one_tensor_program(folder: Path) -> None:
    backbone = TransformersText(str(folder))
    tokens = backbone.encode(TEXTS, 9).float()
    members = [fresh(backbone, 3, (9,), torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    together = StackedNetwork(backbone, (9,), 3)(stack(members), torch.stack([tokens, tokens]))
    for place, parameters in enumerate(members):
        alone = torch.func.functional_call(backbone.build(3, (9,), torch.Generator()), parameters, (tokens,))
        torch.testing.assert_close(together[place], alone, rtol=1e-4, atol=1e-5)
    assert set(backbone.published()) == {name for name in members[0] if not name.startswith("head.")}


def test_identity_is_what_the_files_are_not_where(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "pytorch_model.bin").write_bytes(b"a pickle that nobody opens")
    assert transformers_text(str(copy)).identity() == transformers_text(str(folder)).identity()
    (copy / "vocab.txt").write_text("other", encoding="utf-8")
    assert transformers_text(str(copy)).identity() != transformers_text(str(folder)).identity()
    assert str(folder) not in json.dumps(transformers_text(str(folder)).identity())


def test_what_cannot_be_read_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no model folder"):
        transformers_text(str(tmp_path / "gone"))
    with pytest.raises(HarnessError, match="needs a revision"):
        transformers_text("someone/some-model")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(HarnessError, match="does not say num_hidden_layers"):
        _ = TransformersText(str(tmp_path)).layers
    (tmp_path / "config.json").write_text((folder / "config.json").read_text(), encoding="utf-8")
    with pytest.raises(HarnessError, match="cannot be loaded"):
        TransformersText(str(tmp_path)).build(2, (9,), torch.Generator())


def test_an_architecture_without_layers_is_refused(tmp_path: Path) -> None:
    config = transformers.DistilBertConfig(vocab_size=9, dim=8, n_layers=1, n_heads=2, hidden_dim=8)
    transformers.DistilBertModel(config).save_pretrained(tmp_path)
    with pytest.raises(HarnessError, match="not DistilBertModel"):
        TransformersText(str(tmp_path), length=9).build(2, (9,), torch.Generator())


def test_inputs_are_checked(folder: Path) -> None:
    backbone = TransformersText(str(folder))
    assert backbone.check((24,)) == () and backbone.check((25,)) == (OFF_LENGTH,)
    with pytest.raises(HarnessError, match="rows of token numbers"):
        TextInput(9).check("x", (3, 96, 96))
