"""Runs on the cores of this machine: one spawned process a worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from dcsim.errors import RunFailedError
from dcsim.studies.jobs import Job
from dcsim.studies.outcome import Outcome, play

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

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome | Exception]]:
        """Each job with its outcome, or with what it raised, in the order in which they end.

        Raises RunFailedError where workers are killed `RETRIES + 1` times and no run ends between.
        """
        waiting = list(jobs)
        killed = 0
        while waiting:
            running: dict[Future[Outcome], Job] = {}
            ended: set[str] = set()
            try:
                running.update(self._submit(waiting))
                for future in as_completed(running):
                    job = running[future]
                    error = future.exception()
                    if isinstance(error, BrokenExecutor):
                        raise error
                    if error is not None and not isinstance(error, Exception):
                        raise error
                    ended.add(job.key)
                    killed = 0
                    yield job, error if error is not None else future.result()
            except BrokenExecutor:
                killed += 1
                self.close()
                # Those that were being played, one of which may be at fault, are played last.
                waiting = [job for job in waiting if job.key not in ended]
                waiting = waiting[self.workers :] + waiting[: self.workers]
                if killed > RETRIES:
                    raise RunFailedError(f"{waiting[-1].label}: {KILLED}") from None
                continue
            finally:
                for future in running:
                    future.cancel()
            return

    def close(self) -> None:
        """End the workers now. What they were playing is lost."""
        executor, lifeline = self._executor, self._lifeline
        self._executor = self._lifeline = None
        if lifeline is not None:
            lifeline.close()
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, jobs: Sequence[Job]) -> dict[Future[Outcome], Job]:
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
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
