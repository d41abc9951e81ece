"""Backbones that come with weights: what they expect, where the weights are, and how they are read.

Weights are read from files whose sha256 is known, as safetensors or by torch's `weights_only` reader, which builds
tensors and nothing else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backbones.base import HEAD, Backbone, file_sha256
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Pretrained(Backbone):
    """A backbone whose initial weights were trained by someone else; a source that is `untrained` means these."""

    @abstractmethod
    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """Return the flags that rows measured on such inputs bear; none when they are what the network expects.

        Costs nothing and reads no file. Raises HarnessError for inputs that the network is not to be used on.
        """

    @abstractmethod
    def published(self) -> Mapping[str, Tensor]:
        """Return the published weights under the names of this network's parameters, its own head too if it has one.

        Raises HarnessError when the files are not there or are not the ones that were published.
        """

    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose code makes this backbone."""
        return (type(self).__module__, __name__)


def load_state(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file or of a torch file with nothing but tensors in it.

    Raises HarnessError when the file is missing, has another sha256, or holds anything else.
    """
    require(path, sha256)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(str(path))
    import torch

    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise HarnessError(f"the weights {path.name} cannot be read as plain tensors: {error}") from error
    if not isinstance(state, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise HarnessError(f"the weights {path.name} hold something other than tensors by name")
    return dict(state)


def require(path: Path, sha256: str) -> None:
    """Raise HarnessError unless the file at `path` has this sha256."""
    found = file_sha256(str(path))
    if found != sha256:
        raise HarnessError(f"the file {path.name} is not the published one: its sha256 is {found}, not {sha256}")


def with_published(
    network: torch.nn.Sequential, published: Mapping[str, Tensor], *, head: bool = False
) -> torch.nn.Sequential:
    """Put published weights into a network in place and return it; the head's too when `head` says so.

    Raises HarnessError when a parameter is missing among them or has another shape.
    """
    import torch

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith(f"{HEAD}.") and not head:
                continue
            tensor = published.get(name)
            if tensor is None or tensor.shape != parameter.shape:
                found = "missing" if tensor is None else f"of shape {tuple(tensor.shape)}"
                raise HarnessError(f"the published weight {name!r} is {found}, not of shape {tuple(parameter.shape)}")
            parameter.copy_(tensor)
    return network
