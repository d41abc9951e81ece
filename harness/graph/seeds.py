"""Seeds that depend on what they serve, never on the order of work.

A generator's seed is a hash of the scoped seed, the purpose (``few_shot``, ``initialisation``, ``order`` ...) and the
task or shape that it serves, so that methods and sources are compared on the same examples and the same fresh layers.
"""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, purpose: str, *serves: str | int) -> int:
    """Return a 63-bit seed for one ``purpose`` of ``seed``, serving e.g. a task's name or a layer's shape."""
    text = "\x1f".join([str(int(seed)), purpose, *(f"{type(item).__name__}:{item}" for item in serves)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
