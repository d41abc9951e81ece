"""The two towers of CLIP (Radford et al. 2021), driven by embeddings instead of pictures and token numbers.

The modules are those of the transformers library's `CLIPModel`; what is written here is the order in which they are
called, so that prompts can enter: among the tokens of a text, and beside the patches of a picture in every block.
Nothing is computed across rows: texts and pictures of many trials may lie in one tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Model = Any
"""A `CLIPModel`."""


def depth(tower: Any) -> int:
    """Return the number of blocks of a tower."""
    return len(tower.encoder.layers)


def picture_tokens(model: Model, pictures: Tensor) -> Tensor:
    """Return what enters the first block for pictures [n, 3, s, s]: class and patch embeddings [n, 1 + patches, width].

    This does not depend on prompts, so it is computed once for a picture.
    """
    import torch

    vision = model.vision_model
    patches = vision.embeddings.patch_embedding(pictures).flatten(2).transpose(1, 2)
    first = vision.embeddings.class_embedding.expand(len(pictures), 1, -1)
    placed = torch.cat([first, patches], dim=1) + vision.embeddings.position_embedding.weight
    tokens: Tensor = vision.pre_layrnorm(placed)
    return tokens


def encode_picture_tokens(model: Model, tokens: Tensor, prompts: Tensor | None = None) -> Tensor:
    """Return the embeddings [n, joint] of pictures given by :func:`picture_tokens`.

    prompts: [n, blocks, m, width] are put behind the class token, at block 0 and, in place of what became of the ones
    before, at each further block that there are prompts for (VPT, Jia et al. 2022: one block is shallow, all is deep).
    """
    import torch

    vision = model.vision_model
    blocks = vision.encoder.layers
    hidden = tokens
    if prompts is not None:
        hidden = torch.cat([tokens[:, :1], prompts[:, 0], tokens[:, 1:]], dim=1)
    for number, block in enumerate(blocks):
        if prompts is not None and 0 < number < prompts.shape[1]:
            hidden = torch.cat([hidden[:, :1], prompts[:, number], hidden[:, 1 + prompts.shape[2] :]], dim=1)
        last = number == len(blocks) - 1
        hidden = _block(block, hidden, asking=hidden[:, :1] if last else None)
    embedded: Tensor = model.visual_projection(vision.post_layernorm(hidden[:, 0]))
    return embedded


def encode_text_embeddings(model: Model, embeddings: Tensor, ends: Tensor) -> Tensor:
    """Return the embeddings [n, joint] of texts given by token embeddings [n, length, width], without positions.

    ends: position [n] of the token that ends each text; what lies behind it has no influence.
    """
    import torch

    text = _text_tower(model)
    hidden = embeddings + text.embeddings.position_embedding.weight[: embeddings.shape[1]]
    blocks = text.encoder.layers
    for block in blocks[:-1]:
        hidden = _block(block, hidden, causal=True)
    rows = torch.arange(len(hidden), device=hidden.device)
    seen = torch.arange(hidden.shape[1], device=hidden.device) <= ends[:, None]
    last = _block(blocks[-1], hidden, asking=hidden[rows, ends].unsqueeze(1), seen=seen[:, None, None])
    embedded: Tensor = model.text_projection(text.final_layer_norm(last[:, 0]))
    return embedded


def encode_text_with_shared_prefix(model: Model, prefix: Tensor, rest: Tensor, ends: Tensor) -> Tensor:
    """Return what :func:`encode_text_embeddings` gives for texts that begin alike: the beginning is computed once.

    prefix: [m, p, width]; rest: [m, classes, length, width]; ends: [classes], counted from the start of `rest`.
    Attention is causal, so tokens of the prefix see no text's own part: their keys and values serve all texts.
    Returns [m, classes, joint].
    """
    import torch

    text = _text_tower(model)
    positions = text.embeddings.position_embedding.weight
    members, classes, length = rest.shape[:3]
    common = prefix.shape[1]
    shared = prefix + positions[:common]
    own = (rest + positions[common : common + length]).flatten(0, 1)
    behind = torch.ones(length, common, dtype=torch.bool, device=rest.device)
    seen = torch.cat([behind, behind.new_ones(length, length).tril()], dim=1)
    places = ends.repeat(members)
    rows = torch.arange(len(own), device=own.device)
    blocks = text.encoder.layers
    for block in blocks[:-1]:
        before = _keys_and_values(block, shared, classes)
        own = _block(block, own, before=before, seen=seen)
        shared = _block(block, shared, causal=True)
    before = _keys_and_values(blocks[-1], shared, classes)
    asked = own[rows, places].unsqueeze(1)
    last = _block(blocks[-1], own, asking=asked, before=before, seen=seen[places][:, None, None])
    embedded: Tensor = model.text_projection(text.final_layer_norm(last[:, 0]))
    return embedded.view(members, classes, -1)


def token_embeddings(model: Model, tokens: Tensor) -> Tensor:
    """Return the embeddings of token numbers [...]: [..., width], without positions."""
    embedded: Tensor = _text_tower(model).embeddings.token_embedding(tokens)
    return embedded


def _text_tower(model: Model) -> Any:
    return getattr(model.text_model, "text_model", model.text_model)


def _block(
    block: Any,
    hidden: Tensor,
    *,
    causal: bool = False,
    asking: Tensor | None = None,
    before: tuple[Tensor, Tensor] | None = None,
    seen: Tensor | None = None,
) -> Tensor:
    """Run one block on hidden [n, length, width].

    asking: the rows [n, k, width] whose outputs are wanted, when these are fewer: nothing else of the last block is
    ever read.  before: keys and values of tokens in front.  seen: which keys each query may look at.
    """
    import torch

    attention = block.self_attn
    normed = block.layer_norm1(hidden)
    wanted = hidden if asking is None else asking
    queries = _heads(attention, attention.q_proj(normed if asking is None else block.layer_norm1(asking)))
    keys, values = _heads(attention, attention.k_proj(normed)), _heads(attention, attention.v_proj(normed))
    if before is not None:
        keys, values = torch.cat([before[0], keys], dim=2), torch.cat([before[1], values], dim=2)
    mixed = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen, is_causal=causal)
    after = wanted + attention.out_proj(mixed.transpose(1, 2).flatten(2))
    result: Tensor = after + block.mlp(block.layer_norm2(after))
    return result


def _heads(attention: Any, projected: Tensor) -> Tensor:
    return projected.reshape(*projected.shape[:2], attention.num_heads, -1).transpose(1, 2)


def _keys_and_values(block: Any, shared: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """Keys and values of the shared tokens [m, p, width], each repeated for `times` texts: [m * times, heads, p, _]."""
    attention = block.self_attn
    normed = block.layer_norm1(shared)
    both: Sequence[Tensor] = (attention.k_proj(normed), attention.v_proj(normed))
    keys, values = (_heads(attention, one).unsqueeze(1).expand(-1, times, -1, -1, -1).flatten(0, 1) for one in both)
    return keys, values
