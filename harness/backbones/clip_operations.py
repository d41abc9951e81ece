"""Floating-point operations of CLIP's towers, counted from their sizes alone: what a plan can say before anything runs.

A multiplication and an addition are two. Counted are the matrix products, which are nearly all: of a block of width d
on L tokens, with queries, keys, values, output and a four times wider middle layer, 24 d^2 L + 4 L^2 d. The last block
counts whole, though less of it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.backbones.base import Backbone
from harness.backbones.clip import ClipFolder, TinyClip

NAME_TOKENS: Final = 5
"""Tokens that a class name is taken to have; start, full stop and end come on top."""
FRAME_TOKENS: Final = 3


@dataclass(frozen=True)
class Towers:
    """Sizes of both towers: width, blocks; pixels and patch of pictures; the middle layers as multiples of widths."""

    vision_width: int
    vision_blocks: int
    pixels: int
    patch: int
    text_width: int
    text_blocks: int
    joint: int
    vision_middle: float = 4.0
    text_middle: float = 4.0

    @property
    def patches(self) -> int:
        """Patches of a picture."""
        return (self.pixels // self.patch) ** 2

    def picture(self, more: int = 0) -> float:
        """Operations of encoding one picture with ``more`` tokens beside its patches."""
        embedded = 2 * self.patches * 3 * self.patch**2 * self.vision_width
        tokens = 1 + self.patches + more
        blocks = self.vision_blocks * _block(self.vision_width, tokens, self.vision_middle)
        return embedded + blocks + 2 * self.vision_width * self.joint

    def text(self, context: int = 0) -> float:
        """Operations of encoding one class name of ordinary length among ``context`` further tokens."""
        tokens = FRAME_TOKENS + NAME_TOKENS + context
        return self.text_blocks * _block(self.text_width, tokens, self.text_middle) + 2 * self.text_width * self.joint


def _block(width: int, tokens: int, middle: float) -> float:
    return (8 + 4 * middle) * width**2 * tokens + 4 * tokens**2 * width


KNOWN: Final[Mapping[str, Towers]] = {
    "openai/clip-vit-base-patch32": Towers(768, 12, 224, 32, 512, 12, 512),
    "openai/clip-vit-base-patch16": Towers(768, 12, 224, 16, 512, 12, 512),
    "openai/clip-vit-large-patch14": Towers(1024, 24, 224, 14, 768, 12, 768),
}


def towers_of(backbone: Backbone) -> Towers | None:
    """Return the sizes of a vision-language model; None where they are not known without fetching it."""
    if isinstance(backbone, TinyClip):
        return Towers(
            backbone.width, backbone.depth, backbone.resolution, backbone.patch, backbone.text_width,
            backbone.text_depth, backbone.joint,
        )  # fmt: skip
    if not isinstance(backbone, ClipFolder):
        return None
    if backbone.model in KNOWN:
        return KNOWN[backbone.model]
    return _configured(backbone.config) if backbone.place.local else None


def _configured(config: Mapping[str, Any]) -> Towers:
    """Sizes from a config file, with the library's defaults for what it leaves out."""
    vision, text = (config.get(f"{name}_config") or {} for name in ("vision", "text"))
    widths = int(vision.get("hidden_size", 768)), int(text.get("hidden_size", 512))
    return Towers(
        widths[0],
        int(vision.get("num_hidden_layers", 12)),
        int(vision.get("image_size", 224)),
        int(vision.get("patch_size", 32)),
        widths[1],
        int(text.get("num_hidden_layers", 12)),
        int(config.get("projection_dim", 512)),
        int(vision.get("intermediate_size", 3072)) / widths[0],
        int(text.get("intermediate_size", 2048)) / widths[1],
    )
