"""Who plays the runs of a study: this process, workers beside it, or a cluster elsewhere.

Workers take jobs and return outcomes, nothing else. What a run gives depends on its job alone, and
outcomes are put in the order of the jobs, so that a study's tables are the same whatever the number
of workers, and however often it was interrupted.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from dcsim.errors import RunFailedError
from dcsim.extras import optional
from dcsim.interrupts import raise_if_interrupted
from dcsim.studies.jobs import Job, code_hash
from dcsim.studies.outcome import RunOutcome, play
from dcsim.studies.pool import KILLED, LocalPool
from dcsim.studies.store import Store

CONNECT_S = 10.0
"""Time that a scheduler elsewhere has to answer."""
STOP_S = 10.0
"""Time that a scheduler elsewhere gets to say goodbye."""


class Progress(Protocol):
    """A watcher of a study's runs."""

    def begin(self, what: str, runs: int, cached: int) -> None:
        """Note that a batch of so many runs starts, of which some are there already."""

    def advance(self) -> None:
        """Note that one more run was played."""

    def end(self) -> None:
        """Note that the batch is done."""


class Runner:
    """Plays jobs and keeps their outcomes.

    A context manager: leaving it ends the workers. `executed` and `cached` count runs.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        workers: int | None = None,
        scheduler: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Prepare a runner.

        Parameters
        ----------
        folder
            Where outcomes are kept; None: a temporary folder that goes with the runner.
        workers
            Processes on this machine; None: one a core. With one worker, or one run to play,
            everything happens in this process.
        scheduler
            Address of a Dask scheduler, such as "tcp://head:8786", in place of processes here.
        progress
            Follows the runs.

        Raises
        ------
        ValueError
            If there are fewer workers than one.
        MissingExtraError
            If a scheduler is named and Dask is not installed.
        """
        if workers is not None and workers < 1:
            raise ValueError("workers: one or more")
        if scheduler is not None:
            optional("distributed", "--scheduler")
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="dcsim-study-")
            folder = temporary.name
            weakref.finalize(self, temporary.cleanup)
        self.store = Store(Path(folder))
        self.workers = workers or _cores()
        self.executed = 0
        self.cached = 0
        self._scheduler = scheduler
        self._progress = progress
        self._pool = LocalPool(self.workers)
        self._client: Any = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. What they were playing is lost, what was played is kept."""
        self._pool.close()
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                client.close(timeout=STOP_S)

    @property
    def parallelism(self) -> int:
        """Number of runs that are played at once."""
        if self._scheduler is None:
            return self.workers
        threads: int = sum(self._connect().nthreads().values())
        return max(1, threads)

    def play(self, jobs: Sequence[Job], what: str = "runs") -> list[RunOutcome]:
        """Play jobs; one whose outcome is kept already is not played again.

        Parameters
        ----------
        jobs
            Two of the same content are one run.
        what
            What they are, for the progress.

        Returns
        -------
        list of RunOutcome
            In the order of the jobs. Their series stay on disk; `series` reads them.

        Raises
        ------
        RunFailedError
            If a run cannot be played; what had been played by then is kept.
        KeyboardInterrupt
            If the user stops it; the same holds.
        """
        distinct = {job.key: job for job in jobs}
        missing = [job for key, job in distinct.items() if not self.store.whole(key)]
        self.cached += len(distinct) - len(missing)
        if self._progress is not None:
            self._progress.begin(what, len(distinct), len(distinct) - len(missing))
        try:
            for outcome in self._outcomes(missing):
                self.store.write(outcome)
                self.executed += 1
                raise_if_interrupted()
                if self._progress is not None:
                    self._progress.advance()
        finally:
            if self._progress is not None:
                self._progress.end()
        return [self.store.read(job.key, series=False) for job in jobs]

    def series(self, outcome: RunOutcome) -> RunOutcome:
        """Read the series of an outcome.

        Parameters
        ----------
        outcome
            As `play` returned it.

        Returns
        -------
        RunOutcome
            The same, with its series.
        """
        return self.store.read(outcome.key)

    def _outcomes(self, jobs: Sequence[Job]) -> Iterator[RunOutcome]:
        """Yield outcomes in the order in which they end."""
        if self._scheduler is not None:
            results = self._from_cluster(jobs)
        elif min(self.workers, len(jobs)) <= 1:
            results = _played_here(jobs)
        else:
            results = self._pool.outcomes(jobs)
        for job, outcome in results:
            if isinstance(outcome, Exception):
                raise RunFailedError(f"{job.label}: {outcome}") from outcome
            yield outcome

    def _from_cluster(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, RunOutcome | Exception]]:
        client = self._connect()
        from distributed import KilledWorker, as_completed

        code = code_hash()
        futures = {
            client.submit(play, job, code, key=f"dcsim-{job.key}", pure=True, retries=0): job
            for job in jobs
        }
        try:
            for done in as_completed(list(futures), loop=client.loop):
                job = futures.pop(done)
                try:
                    outcome = done.result()
                except (KilledWorker, CancelledError) as error:
                    raise RunFailedError(f"{job.label}: {KILLED}") from error
                except Exception as error:
                    outcome = error
                done.release()
                yield job, outcome
        finally:
            if futures:
                with suppress(Exception):
                    client.cancel(list(futures), force=True)

    def _connect(self) -> Any:
        if self._client is None:
            import distributed

            try:
                self._client = distributed.Client(
                    self._scheduler, timeout=CONNECT_S, set_as_default=False
                )
            except (OSError, ValueError) as error:
                what = f"no scheduler answers at {self._scheduler}"
                raise RunFailedError(f"{what} (start one with `dask scheduler`)") from error
        return self._client


def _played_here(jobs: Sequence[Job]) -> Iterator[tuple[Job, RunOutcome | Exception]]:
    for job in jobs:
        try:
            outcome: RunOutcome | Exception = play(job)
        except Exception as error:
            outcome = error
        yield job, outcome


def _cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
