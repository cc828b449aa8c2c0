"""Runs on the cores of this machine: one spawned process a worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

from dcsim.errors import RunFailedError
from dcsim.studies.jobs import Job
from dcsim.studies.outcome import RunOutcome, play

RETRIES = 3
"""Times that a run is begun again after its worker was killed."""
KILLED = f"its worker was killed {RETRIES + 1} times: memory may be too small"


class LocalPool:
    """So many worker processes, started when first needed.

    Workers end with this process, however it ends: each holds the reading end of a pipe whose
    writing end is here alone, and leaves when that is closed.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None
        self._lifeline: Connection | None = None

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, RunOutcome | Exception]]:
        """Each job with its outcome, or with what it raised, in the order in which they end.

        Those that were being played when a worker was killed are played again at the end, one at a
        time: then memory is theirs alone, and the one at fault is known.

        Raises RunFailedError, after all others, for a run whose worker is killed `RETRIES + 1`
        times.
        """
        batches = [list(jobs)]
        killed: Counter[str] = Counter()
        given_up: list[Job] = []
        while batches:
            batch = batches.pop(0)
            ended: set[str] = set()
            try:
                for job, outcome in self._batch(batch):
                    ended.add(job.key)
                    yield job, outcome
            except BrokenExecutor:
                self.close()
                left = [job for job in batch if job.key not in ended]
                for job in left[: self.workers]:
                    killed[job.key] += 1
                    if killed[job.key] <= RETRIES:
                        batches.append([job])
                    else:
                        given_up.append(job)
                if left[self.workers :]:
                    batches.insert(0, left[self.workers :])
        if given_up:
            raise RunFailedError(f"{given_up[0].label}: {KILLED}")

    def _batch(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, RunOutcome | Exception]]:
        futures: dict[Future[RunOutcome], Job] = {}
        try:
            futures.update(self._submit(jobs))
            for future in as_completed(futures):
                error = future.exception()
                if isinstance(error, BrokenExecutor) or not isinstance(error, Exception | None):
                    raise error
                yield futures[future], future.result() if error is None else error
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the workers now. What they were playing is lost."""
        executor, lifeline = self._executor, self._lifeline
        self._executor = self._lifeline = None
        if lifeline is not None:
            lifeline.close()
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, jobs: Sequence[Job]) -> dict[Future[RunOutcome], Job]:
        with _workers_without_ctrl_c():
            if self._executor is None:
                context = multiprocessing.get_context("spawn")
                read, self._lifeline = context.Pipe(duplex=False)
                self._executor = ProcessPoolExecutor(self.workers, context, _leave_with, (read,))
            return {self._executor.submit(play, job): job for job in jobs}


def _leave_with(lifeline: Connection) -> None:
    """End this worker when the other end of the pipe is closed, even in the middle of a run."""

    def watch() -> None:
        with suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _workers_without_ctrl_c() -> Iterator[None]:
    """A terminal sends Ctrl-C to every process of a command. Workers started within inherit a
    mask that holds it off; here it is raised on leaving."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Python starts this process with the first worker and takes the mask off as it does.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
