"""MLflow: a run of an experiment, in the store that MLFLOW_TRACKING_URI names, or in mlflow.db where we are."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from potstill.runtime.errors import UserError
from potstill.tracking.base import (
    PROJECT,
    Cell,
    TrackedRun,
    Tracker,
    Value,
    check_reachable,
    reason,
    without_secrets,
)

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Unless the user has set them: nobody else is told of the run, and a server that has gone holds it up only briefly."""

CHATTER = ("mlflow.store.db", "alembic")
"""Loggers that report line by line how a new database is made."""


@dataclass(kw_only=True)
class MLflow(Tracker):
    """A run of MLflow. The environment variables of MLflow take effect.

    Attributes:
        project: the experiment, instead of ``MLFLOW_EXPERIMENT_NAME`` or ``potstill``.
        name: the name of the run, instead of that of its folder.
    """

    package: ClassVar[str] = "mlflow"
    install: ClassVar[str] = "'potstill[mlflow]'"

    project: str | None = None
    name: str | None = None
    _client: Any = field(init=False, repr=False, default=None)
    _id: str = field(init=False, repr=False, default="")

    def check(self) -> None:
        """Import MLflow, and open its store."""
        for variable, value in DEFAULTS.items():
            os.environ.setdefault(variable, value)
        super().check()
        for each in CHATTER:
            logging.getLogger(each).setLevel(logging.WARNING)
        store = str(self.library.get_tracking_uri())
        if re.match("https?:", store):
            check_reachable("mlflow", store, "start that server, or set MLFLOW_TRACKING_URI to another store")
        try:
            self._client = self.library.MlflowClient()
            self._client.search_experiments(max_results=1)
        except Exception as error:
            why = reason(error).replace(store, without_secrets(store)).partition(". ")[0]  # the first of its sentences
            raise UserError(
                f"mlflow cannot use the store {without_secrets(store)} ({why})",
                "pip install 'potstill[mlflow]', or set MLFLOW_TRACKING_URI to another store",
            ) from error

    def where(self) -> Mapping[str, str]:
        """The store, and the experiment if it is named."""
        store = str(self.library.get_tracking_uri())
        scheme, _, file = store.partition(":///")
        if scheme == "sqlite" and file and file != ":memory:":  # another one in each working directory
            store = f"{scheme}:///{os.path.abspath(file)}"  # noqa: PTH100 (nothing else of it may change)
        return {"store": without_secrets(store), "project": self.project or ""}

    def open(self, run: TrackedRun) -> str:
        """Begin a run, or continue the one of this number."""
        if run.earlier is not None:
            self._id = run.earlier
            self._client.update_run(self._id, status="RUNNING")
            return self._id
        title = self.project or self.library.environment_variables.MLFLOW_EXPERIMENT_NAME.get() or PROJECT
        found = self._client.get_experiment_by_name(title)
        experiment = self._client.create_experiment(title) if found is None else found.experiment_id
        self._id = self._client.create_run(experiment, run_name=self.name or run.name).info.run_id
        for key, value in run.config.items():
            self._client.log_param(self._id, _key(key), value)
        return self._id

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Metrics with steps."""
        for name, value in values.items():
            self._client.log_metric(self._id, _key(name), value, step=iteration)

    def picture(self, name: str, pixels: np.ndarray, iteration: int) -> None:
        """An image with a step."""
        self._client.log_image(self._id, pixels, key=name, step=iteration)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], iteration: int) -> None:
        """A CSV file, among the artifacts."""
        text = io.StringIO()
        csv.writer(text).writerows([columns, *rows])
        self._client.log_text(self._id, text.getvalue(), f"{name}.csv")

    def outcome(self, values: Mapping[str, Value]) -> None:
        """Tags."""
        for key, value in values.items():
            self._client.set_tag(self._id, _key(key), value)

    def close(self, *, complete: bool) -> None:
        """End the run; an interrupted one is marked as killed until it goes on."""
        self._client.set_terminated(self._id, status="FINISHED" if complete else "KILLED")


def _key(name: str) -> str:
    """A name with the characters that MLflow takes: ``convnet:width=8`` as ``convnet:width-8``."""
    return re.sub(r"[^\w\-. :/]", "-", name)
