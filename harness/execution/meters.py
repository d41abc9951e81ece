"""What a worker leaves for the driver to find should it die, and what it measures of itself."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Beat:
    """What a worker was running: the stages ``keys`` of call ``call``; ``count`` grows with every batch begun."""

    call: int
    count: int
    keys: tuple[str, ...]


class Pulse:
    """One small file in which a worker notes, before each batch, which stages it begins.

    A write to the page cache survives the death of the process, so nothing is synced.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._count = 0

    def begin(self, call: int, keys: tuple[str, ...]) -> None:
        """Note that these stages begin."""
        if self._file is not None:
            self._count += 1
            os.pwrite(self._file, f"{call} {self._count} {','.join(keys)}\n".encode(), 0)

    def rest(self) -> None:
        """Note that nothing is running."""
        self.begin(0, ())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read_pulse(path: Path) -> Beat | None:
    """Return what a worker noted last, or None when it never began anything."""
    try:
        line = path.read_text().partition("\n")[0]
        call, count, keys = line.split(" ")
        return Beat(int(call), int(count), tuple(filter(None, keys.split(","))))
    except (OSError, ValueError):
        return None


class MemoryMeter:
    """Peak memory of this process in bytes: of the device when it is a GPU, otherwise resident."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")
        self._reset = _open_for_writing("/proc/self/clear_refs")
        self._last = 0

    def start(self) -> None:
        """Begin a new peak, where the system allows that."""
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        elif self._reset is not None:
            os.write(self._reset, b"5")  # resets the high-water mark only

    def peak(self) -> int:
        """Return the peak since `start`, or since the process began where it cannot be reset."""
        if self._cuda:
            import torch

            return int(torch.cuda.max_memory_allocated())
        return _status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def recent(self, seconds: float) -> int:
        """Return the peak of a batch that took ``seconds``; for very short ones that of the last longer one."""
        if seconds > 0.02 or not self._last:
            self._last = self.peak()
            self.start()
        return self._last


def resident_bytes() -> int:
    """Return the memory that this process holds now."""
    return _status_bytes("VmRSS") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def limit_memory(extra: int) -> None:
    """Let this process allocate at most ``extra`` bytes more than now; beyond that allocations fail."""
    now = _status_bytes("VmData") or 0
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = now + extra
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _open_for_writing(path: str) -> int | None:
    try:
        file = os.open(path, os.O_WRONLY)
        os.write(file, b"5")
    except OSError:
        return None
    return file


def _status_bytes(name: str) -> int | None:
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
