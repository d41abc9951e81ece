"""A safetensors file of several members, each a set of tensors with a JSON header and a digest of both.

Tensors are named ``<member>/<tensor>``; headers and digests stand in the file's metadata. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.store.errors import StoreError

if TYPE_CHECKING:
    import torch

Member = tuple[Mapping[str, "torch.Tensor"], Mapping[str, Any]]
"""Tensors by name, and the header."""

_METADATA = "harness"


class Damaged(Exception):
    """The file is missing, unreadable or holds other bytes than its digests say."""


def settle(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors as a file can hold them: on the CPU, contiguous, none sharing memory with another.

    Raises:
        StoreError: a value is no dense tensor.
    """
    import torch

    settled: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    values: Mapping[str, object] = tensors  # stages are other people's code: check what the annotation promises
    for name, tensor in values.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise StoreError(f"an artifact holds dense tensors only, but {name!r} is none")
        plain = tensor.detach().to("cpu").contiguous()
        place = plain.untyped_storage().data_ptr()
        if place in storages:
            plain = plain.clone()
        storages.add(place)
        settled[name] = plain
    return settled


def digest(tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> str:
    """Return the sha256 of contiguous CPU tensors (names, types, shapes, bytes) and of the header."""
    import torch

    total = hashlib.sha256(_text(header).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        if tensor.numel():  # an empty one may have a stride that no view of bytes can have
            total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def size(tensors: Mapping[str, torch.Tensor]) -> int:
    """Return the bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def write(path: Path, members: Mapping[str, Member], digests: Mapping[str, str]) -> None:
    """Write settled members into a new file.

    Raises:
        OSError: the disk does not take it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    flat = {f"{name}/{part}": tensor for name, (tensors, _) in members.items() for part, tensor in tensors.items()}
    index = {
        name: {"header": dict(header), "sha256": digests[name], "tensors": list(tensors)}
        for name, (tensors, header) in members.items()
    }
    try:
        save_file(flat, str(path), metadata={_METADATA: _text(index)})
    except SafetensorError as error:
        raise OSError(str(error)) from error


def read(path: Path, name: str, mapped: bool = False) -> tuple[dict[str, torch.Tensor], dict[str, Any], str]:
    """Read one member; return its tensors, its header and the digest of what was read.

    mapped: leave the tensors mapped to the file, for files on this node. Of a shared folder's they are copies: its
    deletion on another node would be fatal to who has it mapped.

    Raises:
        Damaged: the file is missing, cut short or not what was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            index = json.loads((file.metadata() or {})[_METADATA])
            entry = index[name]
            header, stated = dict(entry["header"]), str(entry["sha256"])
            found = {part: file.get_tensor(f"{name}/{part}") for part in entry["tensors"]}
            tensors = found if mapped else {part: tensor.clone() for part, tensor in found.items()}
    except FileNotFoundError:
        raise Damaged("the file is missing") from None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"the file cannot be read ({str(error).splitlines()[0] if str(error) else error!r})") from error
    measured = digest(tensors, header)
    if measured != stated:
        raise Damaged("its bytes do not match their sha256")
    return tensors, header, measured


def _text(value: Mapping[str, Any]) -> str:
    """Return canonical JSON.

    Raises:
        StoreError: the header holds what JSON cannot.
    """
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise StoreError(f"an artifact's header must be JSON: {error}") from error
