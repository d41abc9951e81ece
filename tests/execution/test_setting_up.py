"""Sessions, plugins on their way to workers, options, rows, and how pools decide."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.execution import session, shipping
from harness.execution.actor import Desk, Luggage
from harness.execution.messages import Input, Reply, Result, Try
from harness.execution.options import ResourceRules, RunOptions, RunSummary, usable_cores
from harness.execution.ray_pool import RayPools, _cause, _need, _path_changes, _reason
from harness.execution.rows import RowMaker, as_measurement, precision_of
from harness.execution.temporary import PREFIX
from harness.execution.worker import WorkerSetup
from harness.graph import Measurement, Resources
from harness.store import ArtifactRef, Group, MeasurementRow
from harness.training.rules import Numerics
from tests.execution.lab import HERE, toys, tuned_choice

REF = ArtifactRef("artifacts/a", "a", "ab" * 32, 4)


# --- importing -----------------------------------------------------------------------------------------------------


def test_importing_execution_is_light() -> None:
    script = (
        "import sys, harness.execution\n"
        "print([name for name in ('ray', 'torch', 'pyarrow', 'deltalake', 'rich', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "[]", done.stderr


def test_in_process_needs_no_ray() -> None:
    script = (
        "import sys\nsys.modules['ray'] = None\nimport tempfile\nfrom pathlib import Path\n"
        "from tests.execution.lab import Lab, chains\n"
        "lab = Lab(Path(tempfile.mkdtemp()), {'in_process': True})\nprint(lab.run(chains(2, 1)).done)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=HERE.parents[1], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split() == ["2"], done.stderr


def test_without_ray_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HarnessError, match="Ray is not installed: install it, or use --in-process"):
        session.start_session(1, None)


# --- sessions ------------------------------------------------------------------------------------------------------


def fake_ray(**more: Any) -> Any:
    """A Ray that notes how it is started."""
    calls: list[dict[str, Any]] = []

    def init(**options: Any) -> Any:
        calls.append(options)
        if "fails" in more:
            raise ConnectionError("nobody\nthere")
        return SimpleNamespace(dashboard_url="")

    return SimpleNamespace(
        init=init, calls=calls, is_initialized=lambda: more.get("running", False), shutdown=lambda: calls.append({})
    )


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "RAY_ADDRESS"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)


def test_a_local_cluster_has_a_token_a_folder_of_its_own_and_no_dashboard(
    monkeypatch: pytest.MonkeyPatch, clean_environment: None
) -> None:
    ray = fake_ray()
    monkeypatch.setattr(session, "load_ray", lambda: ray)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    made = session.start_session(3, None)
    (options,) = ray.calls
    assert options["address"] == "local", "RAY_ADDRESS is not heeded"
    assert (options["num_cpus"], options["include_dashboard"], options["log_to_driver"]) == (3, False, False)
    assert options["dashboard_host"] == "127.0.0.1"
    assert (os.environ["RAY_AUTH_MODE"], len(os.environ["RAY_AUTH_TOKEN"])) == ("token", 64)
    assert made.folder is not None and made.folder.path.is_dir() and len(str(made.folder.path)) < 40
    made.close()
    assert not made.folder.path.exists() and ray.calls[-1] == {}


@pytest.mark.parametrize("job", ["7", None])
def test_inside_a_slurm_job_a_local_ray_is_deaf_to_what_announces_the_end(
    monkeypatch: pytest.MonkeyPatch, clean_environment: None, job: str | None
) -> None:
    """Ray's processes inherit what is blocked while it starts; afterwards this process hears again."""
    blocked: list[set[Any]] = []
    ray = fake_ray()
    start = ray.init

    def init(**options: Any) -> Any:
        blocked.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        return start(**options)

    ray.init = init
    monkeypatch.setattr(session, "load_ray", lambda: ray)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if job is not None:
        monkeypatch.setenv("SLURM_JOB_ID", job)
    session.start_session(1, None).close()
    assert (signal.SIGTERM in blocked[0]) == (job is not None)
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_cluster_is_joined_only_by_its_address(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> None:
    ray = fake_ray()
    monkeypatch.setattr(session, "load_ray", lambda: ray)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        made = session.start_session(3, None, address=address)
    assert ray.calls[0]["address"] == address and "_temp_dir" not in ray.calls[0]
    assert made.folder is None and "RAY_AUTH_TOKEN" not in os.environ


def test_a_ray_that_this_process_started_is_used_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = fake_ray(running=True)
    monkeypatch.setattr(session, "load_ray", lambda: ray)
    session.start_session(3, None).close()
    assert ray.calls == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, "Ray did not start: nobody there"),
        ("ray-head", "no Ray cluster can be joined at ray-head: nobody there"),
        ("127.0.0.1:1", "no Ray cluster can be joined at 127.0.0.1:1: nobody answers there"),
        ("nowhere.invalid:6379", "no Ray cluster can be joined at nowhere.invalid:6379: nobody answers there"),
        ("127.0.0.1:99999", "no Ray cluster can be joined at 127.0.0.1:99999: nobody answers there"),
    ],
)
def test_a_ray_that_does_not_start_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, clean_environment: None, address: str | None, words: str
) -> None:
    monkeypatch.setattr(session, "load_ray", lambda: fake_ray(fails=True))
    with pytest.raises(HarnessError, match=words):
        session.start_session(1, None, address)
    assert not list(Path(tempfile.gettempdir()).glob(f"{PREFIX}{os.getpid()}-*"))


def test_threads_are_set_for_all_libraries() -> None:
    assert set(session.thread_variables(3).values()) == {"3"}
    assert "OMP_NUM_THREADS" in session.thread_variables(1)


# --- what is shipped -----------------------------------------------------------------------------------------------


def test_plugin_files_travel_as_text_and_modules_by_name() -> None:
    file, module = shipping.pack_plugins([toys.__name__, "harness.errors"])
    assert file.text == (HERE / "toys.py").read_bytes() and file.module == toys.__name__
    assert module.text is None and Path(module.path) == shipping.package_root()


def unpack_elsewhere(plugins: list[shipping.Plugin], scratch: Path) -> str:
    """Load plugins in a process of its own and print where they came from."""
    script = (
        "import sys, pickle\nfrom pathlib import Path\nfrom harness.execution import shipping\n"
        "shipping.unpack_plugins(pickle.load(sys.stdin.buffer), Path(sys.argv[1]))\n"
        "print([module.__file__ for name, module in sys.modules.items() if name.startswith('harness_plugin_')])"
    )
    import pickle

    done = subprocess.run(
        [sys.executable, "-c", script, str(scratch)], input=pickle.dumps(plugins), capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_a_plugin_that_is_not_on_the_other_machine_comes_from_its_text(tmp_path: Path) -> None:
    text = b"VALUE = 1\n"
    here = tmp_path / "mine.py"
    here.write_bytes(text)
    same = shipping.Plugin("harness_plugin_mine", str(here), text)
    assert str(here) in unpack_elsewhere([same], tmp_path / "scratch")
    for gone in (shipping.Plugin("harness_plugin_mine", "/nowhere/mine.py", text), same):
        here.write_bytes(b"VALUE = 2\n")
        found = unpack_elsewhere([gone], tmp_path / "scratch")
        assert str(tmp_path / "scratch" / "plugins") in found


def test_another_package_is_refused(tmp_path: Path) -> None:
    import pickle

    script = (
        "import pickle, sys\nfrom harness.execution.actor import Desk\n"
        "desk = Desk()\nprint(desk.start(sys.stdin.buffer.read()), file=sys.__stderr__)\n"
        "import os\nopen(sys.argv[1], 'w').write(str(desk.run(b'')[0]))"
    )
    luggage = Luggage(WorkerSetup("w", tmp_path), "0" * 16, (), "logs/a.log")
    end = tmp_path / "end"
    subprocess.run([sys.executable, "-c", script, str(end)], input=pickle.dumps(luggage), timeout=300, check=True)
    said = (tmp_path / "logs" / "a.log").read_text()
    assert "differs from the driver's" in said and end.read_text() == "False"
    assert shipping.package_digest() == shipping.package_digest() != "0" * 16


def test_a_desk_that_never_started_refuses_calls() -> None:
    desk = Desk()
    desk.stop()
    fine, text = desk.run(b"anything")
    assert not fine and b"did not start" in text


def test_the_current_directory_is_dropped_from_the_path_of_workers() -> None:
    dropped, root = _path_changes()
    assert {"", os.getcwd()} <= set(dropped) and Path(root) == shipping.package_root()


# --- options and summaries -----------------------------------------------------------------------------------------


def test_exit_statuses() -> None:
    assert RunSummary(done=3).exit_status == 0
    assert [RunSummary(**{name: 1}).exit_status for name in ("failed", "skipped", "diverged", "pending")] == [3] * 4
    assert RunSummary(stopped="at the first failure").exit_status == 3
    assert RunSummary(interrupted=2, failed=1).exit_status == 130
    assert RunSummary(interrupted=15).exit_status == 143


def test_resources_of_the_study_win_over_the_kind() -> None:
    declared = Resources(cpus=1, gpus=0.5)
    assert ResourceRules().of(declared, "train") == declared
    assert ResourceRules(cpus=2.0).of(declared, "train") == Resources(cpus=2.0, gpus=0.5)
    rules = ResourceRules({"train": {"gpus": 1.0}, "score": SimpleNamespace(cpus=4.0, gpus=None)}, cpus=2.0)
    assert rules.of(declared, "train") == Resources(cpus=2.0, gpus=1.0)
    assert rules.of(declared, "score") == Resources(cpus=4.0, gpus=0.5)


def test_defaults() -> None:
    assert usable_cores() >= 1
    assert RunOptions().seconds_of_grace == 20.0 and RunOptions(grace=1.5).seconds_of_grace == 1.5


# --- rows ----------------------------------------------------------------------------------------------------------


def maker() -> RowMaker:
    return RowMaker(lambda stage: "c0de", lambda stage: stage.kind.keep, "run", "writer")


def test_a_record_of_a_result() -> None:
    net = toys.base.bind(seed=0)
    stage = toys.score.bind(net=net)
    result = Result(stage.key, "ok", "try", flags=("untrained_source",), seconds=1.5, memory_bytes=7, width=4)
    result.rows = (Measurement("accuracy", 0.5, "test", "toy", 10, None, ("odd",)),)
    result.curves = (("loss", 1, 0.25),)
    group = Group()
    maker().completed(
        group, stage, result, Reply(1, [], device="cpu", threads=2), {net.key: Input(net.key, artifact=REF)}
    )
    (record,) = group.records
    assert (record.key, record.status, record.attempt, record.provenance, record.writer) == (
        stage.key, "ok", "try", "run", "writer",
    )  # fmt: skip
    assert (record.seconds, record.memory_bytes, record.width, record.threads, record.precision) == (
        1.5, 7, 4, 2, "float32",
    )  # fmt: skip
    assert json.loads(record.inputs) == {net.key: REF.sha256}
    assert record.preimage == stage.preimage() and record.code == "c0de"
    assert [row.flags for row in group.measurements] == [("odd", "untrained_source")]
    assert [(row.name, row.step, row.value) for row in group.curves] == [("loss", 1, 0.25)]


def test_measurements_survive_the_store() -> None:
    row = MeasurementRow("key", "try", "toy", "val", "accuracy", 0.25, 3, 9, ("odd",))
    assert as_measurement(row) == Measurement("accuracy", 0.25, "val", "toy", 3, 9, ("odd",))
    lost = as_measurement(MeasurementRow("key", "try", "toy", "val", "accuracy", None))
    assert lost.value != lost.value


def test_attempts_of_a_failure() -> None:
    group, stage = Group(), toys.noop.bind(index=0)
    result = Result(stage.key, "oom", "try", "out of memory", "trace", tries=(Try("oom", "first", "trace", 0.5),))
    maker().tried(group, stage.key, "noop", result, "logs/a.log")
    maker().failed(group, stage.key, "noop", result, "logs/a.log")
    maker().note(group, stage.key, "noop", "skipped", "why")
    assert [(row.status, row.reason, row.log) for row in group.attempts] == [
        ("oom", "first", "logs/a.log"), ("oom", "out of memory", "logs/a.log"), ("skipped", "why", None),
    ]  # fmt: skip


def test_no_space_is_written_as_a_failure() -> None:
    group = Group()
    maker().failed(group, "key", "noop", Result("key", "no_space", "try", "full"), "")
    assert group.attempts[0].status == "failed"


def test_a_choice_repeats_its_option_under_its_own_key() -> None:
    choice, tests = tuned_choice([0.1, 0.2])
    rows = (Measurement("accuracy", 0.5, "test", "toy"),)
    group = maker().chosen(choice, 1, None, rows)
    (record,) = group.records
    assert (record.key, record.kind, record.status) == (choice.key, "choice", "ok")
    assert json.loads(record.value or "") == {"index": 1, "option": tests[1].key}
    assert [(row.key, row.attempt, row.value) for row in group.measurements] == [(choice.key, record.attempt, 0.5)]
    assert maker().chosen(choice, 0, None, (), "diverged").records[0].status == "diverged"


def test_precision_is_that_of_the_numerics() -> None:
    assert precision_of(toys.noop.bind(index=0)) == "float32"
    stage = SimpleNamespace(values=(1, "a", Numerics(precision="bfloat16")))
    assert precision_of(stage) == "bfloat16"  # type: ignore[arg-type]


# --- pools ---------------------------------------------------------------------------------------------------------


class Fault(Exception):
    preempted = False


class OutOfMemoryError(Exception):
    pass


class NodeDiedError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Fault("The actor died"), "crashed"),
        (OutOfMemoryError("x"), "oom"),
        (Fault("killed due to the node running low on memory"), "oom"),
        (NodeDiedError("x"), "preempted"),
    ],
)
def test_losses_have_causes(error: Exception, cause: str) -> None:
    assert _cause(error) == cause


def test_a_preempted_actor_says_so() -> None:
    error = Fault("gone")
    error.preempted = True
    assert _cause(error) == "preempted"


def test_reasons_of_losses_are_short() -> None:
    crew: Any = SimpleNamespace(doomed=None)
    text = "Worker exit detail: Worker unexpectedly exits with a connection error code 2. End of file. " + "x" * 500
    assert _reason(Fault(text), crew) == "its worker process was killed or ended itself"
    assert _reason(Fault("Worker exit detail: Owner's node died. More"), crew) == (
        "its worker process ended: Owner's node died"
    )
    crew.doomed = "timeout"
    assert _reason(TimeoutError("over its time limit of 3 s"), crew).startswith(
        "over its time limit of 3 s; it did not"
    )


def test_a_gang_needs_room_for_all() -> None:
    assert _need(Resources(cpus=1, gpus=1, loaders=2, world=4)) == (12, 4)
    assert _need(Resources(cpus=0.5)) == (0.5, 0)


class PaperPools(RayPools):
    """Pools whose workers exist on paper only."""

    def _open(self) -> None:
        self.dismissed: list[str] = []

    def _room(self) -> tuple[float, float]:
        return 4.0, 1.0

    def _hire(self, resources: Resources) -> Any:
        from harness.execution.pools import Seat
        from harness.execution.ray_pool import _Crew

        self._count += 1
        crew = _Crew(Seat(f"w{self._count}", resources), [], [])
        self._crews[crew.seat.name] = crew
        return crew

    def _dismiss(self, crew: Any) -> None:
        self.dismissed.append(crew.seat.name)
        del self._crews[crew.seat.name]


def pools(tmp_path: Path, **more: Any) -> PaperPools:
    return PaperPools(lambda name, resources: WorkerSetup(name, tmp_path), tmp_path, 4, **more)


def test_pools_grow_with_the_demand_up_to_the_cores(tmp_path: Path) -> None:
    made = pools(tmp_path)
    made.scale({Resources(): 2})
    assert len(made.seats()) == 2
    made.scale({Resources(): 100})
    assert len(made.seats()) == 4
    made.scale({})
    assert len(made.seats()) == 4


def test_the_number_of_workers_is_bounded(tmp_path: Path) -> None:
    made = pools(tmp_path, workers=3)
    made.scale({Resources(): 100})
    assert len(made.seats()) == 3


def test_idle_workers_make_room_for_another_class(tmp_path: Path) -> None:
    made = pools(tmp_path)
    made.scale({Resources(): 4})
    made.scale({Resources(cpus=2): 5})
    assert len(made.dismissed) == 4 and [seat.resources.cpus for seat in made.seats()] == [2, 2]


def test_busy_workers_are_left_alone_until_they_have_served_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pools(tmp_path)
    made.scale({Resources(): 4})
    for crew in made._crews.values():
        crew.calls[1] = ([], None)
    demand = {Resources(): 50, Resources(cpus=2): 5}
    made.scale(demand)
    assert len(made.seats()) == 4 and not made.dismissed
    monkeypatch.setattr("harness.execution.ray_pool.TENURE", 0.0)
    made.scale(demand)
    assert len(made.seats()) == 3, "one leaves when its call is done"


def test_what_fits_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="needs 8 cores and 0 GPUs, but there are 4 cores and 1 GPUs"):
        pools(tmp_path).scale({Resources(cpus=8): 1})


def test_shares_of_a_gpu_fill_it(tmp_path: Path) -> None:
    made = pools(tmp_path)
    made.scale({Resources(cpus=0.5, gpus=1 / 3): 100})
    assert len(made.seats()) == 3
