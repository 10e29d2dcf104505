"""What holds before and after any run, however Kiro is driven.

Invariant: a turn that the bridge did not survive is never run again; what Kiro recorded of it is read.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge.core.feed import Ended, Engine, FeedEvent
from bridge.core.ports import PromptRequest
from bridge.errors import Problem
from bridge.kiro.stores import StoreLocations, open_reader
from bridge.kiro.survivors import end_run

_ENGINES: Mapping[str, Engine] = {"v1": "v1", "v2": "v2", "v3": "v3"}


def recover(
    locations: StoreLocations,
    request: PromptRequest,
    mark: Mapping[str, Any],
    grace: float,
    clock: Callable[[], float],
) -> Sequence[FeedEvent]:
    """End what is left of the run that `mark` names, and return what Kiro recorded of the turn.

    A mark holds `run`, the id of the run, `engine`, and `store`, what the reader's `baseline` returned.
    """
    run_id, engine = mark.get("run"), _ENGINES.get(str(mark.get("engine")))
    if isinstance(run_id, str) and run_id:
        end_run(run_id, grace, signal.SIGINT)
    if engine is None or not isinstance(mark.get("store"), Mapping):
        return []
    reader = open_reader(
        engine,
        locations,
        cwd=request.cwd,
        started_at=request.started_at,
        kiro_id=request.kiro_id,
        prompt=request.prompt,
        clock=clock,
    )
    try:
        reader.resume_from(mark["store"])
        return [event for event in reader.poll(final=True) if not isinstance(event, Ended)]
    finally:
        reader.close()


def workdir_problem(cwd: str) -> Problem | None:
    """Return why Kiro cannot work in the folder `cwd`, None if it can."""
    if os.path.isdir(cwd):
        return None
    cause = f"The working folder {cwd} does not exist any more."
    return Problem("workdir_missing", cause, "Create it again, or choose another with the setting workdir.")


def not_startable(binary: Path, error: OSError) -> Problem:
    """Return the problem of a program that the system does not start."""
    cause = f"{binary} could not be started: {error.strerror or error}."
    return Problem("kiro_broken", cause, "Run it by hand in a terminal of this machine, or install kiro-cli again.")
