"""Runs as runs of an MLflow experiment that is called like the study.

A run that a crash left unfinished still says RUNNING: it is deleted and written again.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.trackers.runs import Run

T = TypeVar("T")
ID = "harness.id"
_PAGE, _METRICS, _PARAMS = 1000, 1000, 100
"""Most runs of one answer, and most metrics and parameters of one request, that MLflow allows."""
_LONGEST = 500
_ODD = re.compile(r"[^A-Za-z0-9_./ -]")


def open_tracker(study: str, folder: Path, at: str | None) -> MLflow:
    """Open the tracking URI ``at``, else that of MLFLOW_TRACKING_URI, else a file in the study's results folder."""
    uri = at or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{(folder / 'mlflow.db').absolute()}"
    return MLflow(study, uri)


class MLflow:
    """An experiment."""

    def __init__(self, study: str, uri: str) -> None:
        """Open or make the experiment called like the study.

        Raises:
            HarnessError: there is no MLflow at ``uri``.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        self.uri = uri
        self._failure = MlflowException
        try:
            self._client: Any = MlflowClient(tracking_uri=uri)
            found = self._client.get_experiment_by_name(study)
            self._experiment = found.experiment_id if found is not None else self._client.create_experiment(study)
        except MlflowException as error:
            raise self._complaint(error) from error

    def known(self) -> set[str]:
        """Return the runs that are there whole; unfinished ones are deleted."""
        found = set()
        try:
            for run in list(self._runs()):
                identifier = run.data.tags.get(ID)
                if identifier is None:
                    continue
                if run.info.status == "RUNNING":
                    self._client.delete_run(run.info.run_id)
                else:
                    found.add(identifier)
        except self._failure as error:
            raise self._complaint(error) from error
        return found

    def place(self) -> str:
        """Say how to look."""
        return f"mlflow ui --backend-store-uri {self.uri}"

    def settle(self) -> None:
        """Do nothing: what was written is there."""

    def write(self, run: Run) -> None:
        """Write a run."""
        from mlflow.entities import Metric, Param

        start, end = int(run.started * 1000), int(run.ended * 1000)
        tags = {ID: run.id, "harness.group": run.group, "harness.status": run.status}
        names = metric_names([point.name for point in run.points])
        metrics = [Metric(names[point.name], point.value, end, point.step or 0) for point in run.points]
        params = [Param(_ODD.sub("_", name), str(value)[:_LONGEST]) for name, value in run.settings.items()]
        try:
            made = self._client.create_run(self._experiment, start_time=start, tags=tags, run_name=run.name)
            number = made.info.run_id
            for some in _pieces(params, _PARAMS):
                self._client.log_batch(number, params=some)
            for values in _pieces(metrics, _METRICS):
                self._client.log_batch(number, metrics=values)
            status = "FINISHED" if run.status == "ok" else "FAILED"
            self._client.set_terminated(number, status, end_time=end)
        except self._failure as error:
            raise self._complaint(error) from error

    def _runs(self) -> Iterator[Any]:
        token: str | None = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _complaint(self, error: Exception) -> HarnessError:
        return HarnessError(f"MLflow at {self.uri}: {str(error).splitlines()[0]}")


def metric_names(names: Sequence[str]) -> dict[str, str]:
    """Return a name that MLflow takes for each, different ones for different names."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        plain = _ODD.sub("_", name)[:200]
        label, number = plain, 2
        while label in taken:
            label, number = f"{plain} {number}", number + 1
        found[name] = label
        taken.add(label)
    return found


def _pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[at : at + size] for at in range(0, len(items), size))
