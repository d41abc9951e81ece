"""What a failure is called, and which rung comes next."""

from __future__ import annotations

import errno
from typing import Any

import pytest
import torch

from harness.execution import ladder
from harness.execution.messages import Rung
from harness.execution.meters import MemoryMeter, Pulse, read_pulse, resident_bytes
from harness.graph import Diverged, Resources, Stopped
from harness.store import StoreWriteError


def wrapped(code: int) -> StoreWriteError:
    error = StoreWriteError("artifact could not be written")
    error.__cause__ = OSError(code, "no room")
    return error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (Diverged("nan"), "diverged"),
        (Stopped(), "stopped"),
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "oom"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "oom"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "oom"),
        (OSError(errno.ENOSPC, "No space left on device"), "no_space"),
        (wrapped(errno.ENOSPC), "no_space"),
        (wrapped(errno.EDQUOT), "no_space"),
        (wrapped(errno.EFBIG), "failed"),
        (OSError(errno.ENOENT, "no such file"), "failed"),
        (ValueError("out of memory is only a word here"), "failed"),
        (RuntimeError("shapes differ"), "failed"),
    ],
)
def test_failures_have_names(error: Exception, failure: str) -> None:
    assert ladder.classify(error) == failure


def test_a_real_allocation_that_fails_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**46)
    assert ladder.classify(caught.value) == "oom"


def test_a_device_is_lost_by_cuda_errors_only() -> None:
    assert ladder.is_device_lost(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not ladder.is_device_lost(RuntimeError("size mismatch"))
    assert not ladder.is_device_lost(torch.OutOfMemoryError("CUDA out of memory"))


def test_reasons_are_one_line() -> None:
    assert ladder.one_sentence(ValueError("two\n  lines")) == "ValueError: two lines"
    assert ladder.one_sentence(KeyError()) == "KeyError"
    assert len(ladder.one_sentence(ValueError("x" * 10_000))) < 500
    assert len(ladder.trace(ValueError("x" * 100_000))) < 25_000


def steps(*given: Any, **more: Any) -> list[tuple[int, int]]:
    return [(rung.divide, rung.micro_batches) for rung in ladder.rungs(*given, **more)]


def test_the_batch_is_halved_first_and_examples_are_cut_then() -> None:
    assert steps(Rung(), 8, False) == [(1, 1), (2, 1), (4, 1), (8, 1)]
    assert steps(Rung(), 6, False) == [(1, 1), (2, 1), (4, 1)]
    assert steps(Rung(), 1, True) == [(1, 1)] + [(1, 2**i) for i in range(1, 7)]
    assert steps(Rung(), 2, True)[:4] == [(1, 1), (2, 1), (2, 2), (2, 4)]
    assert steps(Rung(), 1, False) == [(1, 1)]


def test_the_ladder_goes_on_from_where_it_is() -> None:
    assert steps(Rung(divide=4), 8, False) == [(4, 1), (8, 1)]
    assert steps(Rung(divide=8, micro_batches=32), 8, True) == [(8, 32), (8, 64)]
    assert steps(Rung(), 2, False, again=True) == [(1, 1), (1, 1), (2, 1)]


def test_rungs_in_words() -> None:
    assert ladder.describe_rung(Rung(), 8) == "batch width 8"
    assert ladder.describe_rung(Rung(4, 2), 8) == "batch width 2, 2 micro-batches"
    assert ladder.describe_rung(Rung(), 1) == "one stage at a time"


def test_bigger_slots_double_a_share_up_to_a_whole_gpu() -> None:
    assert ladder.bigger(Resources(gpus=0.25)) == Resources(gpus=0.5)
    assert ladder.bigger(Resources(gpus=0.6)) == Resources(gpus=1.0)
    assert ladder.bigger(Resources(gpus=0.25), 2) == Resources(gpus=1.0)
    assert ladder.bigger(Resources(gpus=1.0)) is None
    assert ladder.bigger(Resources(gpus=0.5), 2) is None
    assert ladder.bigger(Resources()) is None


# --- meters --------------------------------------------------------------------------------------------------------


def test_peak_memory_sees_what_was_allocated_and_freed() -> None:
    meter = MemoryMeter("cpu")
    meter.start()
    before = resident_bytes()
    torch.zeros(20 * 2**20).sum()
    assert meter.peak() - before > 60 * 2**20
    assert meter.recent(1.0) > 0
    assert meter.recent(0.0) == meter.recent(0.001)


def test_a_pulse_that_was_never_written_is_none(tmp_path: Any) -> None:
    assert read_pulse(tmp_path / "none") is None
    (tmp_path / "torn").write_text("12 ")
    assert read_pulse(tmp_path / "torn") is None


def test_a_shorter_note_hides_a_longer_one(tmp_path: Any) -> None:
    pulse = Pulse(tmp_path / "pulse")
    pulse.begin(3, tuple(f"key{i}" for i in range(50)))
    pulse.begin(4, ("a",))
    beat = read_pulse(tmp_path / "pulse")
    assert beat is not None and (beat.call, beat.count, beat.keys) == (4, 2, ("a",))
    pulse.close()
    pulse.begin(5, ())


def test_a_memory_limit_makes_allocations_fail(tmp_path: Any) -> None:
    import subprocess
    import sys

    script = (
        "import torch\nfrom harness.execution.ladder import classify\n"
        "from harness.execution.meters import limit_memory\nlimit_memory(64 * 2**20)\n"
        "try:\n    torch.zeros(100 * 2**20)\nexcept Exception as error:\n    print(classify(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["oom"], done.stderr
