"""What a backbone and a checkpoint are, and the decorator that registers a backbone.

Making a `Backbone` builds nothing: it is a name and options. `build` makes the network.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, ParamSpec, cast

from harness.errors import HarnessError
from harness.registry import BACKBONES
from harness.signatures import Parameter, parameters_of, summary_of

if TYPE_CHECKING:
    import torch

HEAD: Final = "head"
"""Name of the last layer: the linear map from features to classes."""


class Backbone(ABC):
    """A network family with its options fixed.

    A concrete backbone is a frozen dataclass: its fields are its options, `name` and `version` are class variables. A
    version is raised when the same options give another network.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @property
    def options(self) -> Mapping[str, Any]:
        """The options by name."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(cast(Any, self))}

    @property
    @abstractmethod
    def layers(self) -> tuple[str, ...]:
        """Names of the layers from input to output; the last is `head`."""

    @abstractmethod
    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Number of features that the head reads."""

    @abstractmethod
    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> torch.nn.Sequential:
        """Make the network: a Sequential whose children are named as `layers` says.

        Maps [n, *input_shape] to logits [n, n_classes]. Parameters are drawn from `generator`, the head's last, so
        that the layers below do not depend on `n_classes`. A layer keeps no running statistics and computes every
        example by itself, so that several networks can run as one tensor program.
        """

    def identity(self) -> Mapping[str, Any]:
        """What makes this backbone itself, for keys."""
        return {"backbone": self.name, "version": self.version, "options": dict(self.options)}

    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose code makes this backbone."""
        return (type(self).__module__,)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Checkpoint:
    """Weights from somewhere named: exactly one of a hub name with its revision, a local file, or an artifact.

    path: a safetensors file; its identity is the digest of its bytes, never where it lies.
    artifact: the key of a stage whose weights are in this results store.
    sha256: the digest of the file; taken when the checkpoint is named, checked again when it is read.
    """

    name: str | None = None
    revision: str | None = None
    path: str | None = None
    artifact: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        given = [item for item in (self.name, self.path, self.artifact) if item is not None]
        if len(given) != 1:
            raise HarnessError("a checkpoint is named by exactly one of: a hub name, a path, an artifact key")
        if self.name is not None and self.revision is None:
            raise HarnessError(f"checkpoint {self.name!r} needs a revision, so that it stays what it is")
        if self.path is not None and self.sha256 is None:
            object.__setattr__(self, "sha256", file_sha256(self.path))

    def identity(self) -> Mapping[str, Any]:
        """The pinned revision, the digest of the file, or the key of the artifact."""
        if self.path is not None:
            return {"checkpoint": "file", "sha256": self.sha256}
        if self.artifact is not None:
            return {"checkpoint": "artifact", "key": self.artifact}
        return {"checkpoint": "hub", "name": self.name, "revision": self.revision}

    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose code makes this value."""
        return (__name__,)

    def __str__(self) -> str:
        return self.path or self.artifact or f"{self.name}@{self.revision}"


@dataclass(frozen=True)
class Untrained:
    """The source that is no source: the backbone with its initial weights."""

    def identity(self) -> Mapping[str, Any]:
        """The word itself."""
        return {"untrained": True}

    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose code makes this value."""
        return (__name__,)

    def __str__(self) -> str:
        return "untrained"


P = ParamSpec("P")


class BackboneEntry(Generic[P]):
    """A registered backbone: called with its options it gives a `Backbone`."""

    def __init__(self, name: str, factory: Callable[P, Backbone]) -> None:
        self.name = name
        self.factory = factory
        self.parameters: Mapping[str, Parameter] = parameters_of(factory)
        self.summary = summary_of(factory)
        functools.update_wrapper(self, factory)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Backbone:
        """Make the backbone."""
        return self.factory(*args, **kwargs)

    def __repr__(self) -> str:
        return f"BackboneEntry({self.name!r})"


def backbone(name: str) -> Callable[[Callable[P, Backbone]], BackboneEntry[P]]:
    """Register a function that makes a backbone under `name`; its parameters are the backbone's options."""

    def register(factory: Callable[P, Backbone]) -> BackboneEntry[P]:
        entry = BackboneEntry(name, factory)
        BACKBONES.register(name, entry, factory.__module__)
        return entry

    return register


def file_sha256(path: str) -> str:
    """Return the sha256 of a file's bytes, read again only when its size or time of change differ.

    Raises HarnessError when it cannot be read.
    """
    try:
        status = Path(path).stat()
        return _digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise HarnessError(f"checkpoint {path}: {error.strerror or error}") from error


@functools.lru_cache(maxsize=1024)
def _digest(path: str, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
