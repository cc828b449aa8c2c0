"""What stands around every command: how it is stopped, and what becomes of unforeseen errors.

Bad input raises a `DcsimError`, which commands report with exit status 2, as this module does for
one that comes this far. Any other exception is an internal error: the user gets one line to read
and a log file to send, not a page of Python.

Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt wherever the program is, and leave a mark
(`dcsim.interrupts`) that the simulation loop looks at once a power step, and a study once a run.
The mark is needed because Python drops an exception that is raised in the callback of a weak
reference or in a finaliser, of which HDF5's library has many.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from dcsim.cli.exits import FAILED, FAULT, STOPPED, WRONG_INPUT
from dcsim.errors import DcsimError, ExtrapolationWarning
from dcsim.interrupts import interrupt

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that end a command with half-written files removed."""
OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF)
OUT_OF_MEMORY = "out of memory: play a shorter run or a smaller site, or keep less (`record`)"


def run_guarded(command: Callable[[], object]) -> None:
    """Call `command`; whatever it raises ends the process with a line on stderr.

    Exit statuses pass through. Ctrl-C ends with `STOPPED`, an internal error with `FAULT` after
    its traceback has been written to a log.
    """
    try:
        configure_process()
        try:
            command()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where an error can still be reported
    except KeyboardInterrupt:
        _tell("stopped")
        sys.exit(STOPPED)
    except SystemExit as end:
        # Typer turns KeyboardInterrupt into an exit with status 130, without a word.
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):
            _tell("stopped")
        raise
    except BrokenPipeError:
        # The reader of our output has gone.
        _drop_output()
        sys.exit(FAILED)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in OUTPUT_ERRORS:
            _drop_output()
            _tell(f"output cannot be written: {error.strerror}")
            sys.exit(FAILED)
        if isinstance(error, DcsimError):
            # Any command may be the first to read, for example, the user's own catalogue.
            _tell(str(error))
            sys.exit(WRONG_INPUT)
        log = write_log(error)
        if isinstance(error, MemoryError):
            _tell(f"{OUT_OF_MEMORY}. " + (f"Log: {log}" if log else "No log could be written"))
        else:
            what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            from dcsim.registry import culprit  # brings pydantic, which takes a moment

            package = culprit(error)
            to_whom = " to its authors" if package else ""
            with_log = f", with this log: {log}" if log else "; no log could be written"
            _tell(
                f"Internal error in {package or 'dcsim'} ({what}). "
                f"Please report it{to_whom}{with_log}"
            )
        sys.exit(FAULT)


def configure_process() -> None:
    """Install the handlers of signals, and make the streams fit for our output, whatever the
    process was started from.

    Ends the process with status 2 where the current folder has been removed.
    """
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    for name in STOP_SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in defaults:  # not under nohup
            signal.signal(number, interrupt)
    sys.unraisablehook = _report_unraisable
    for stream in (sys.stdout, sys.stderr):
        # Old locales lack the signs of trees and tables. A file or a pipe takes UTF-8, which
        # dcsim reads again; a terminal shows a question mark.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.encoding.lower().replace("-", "") != "utf8":
            reconfigure(**({"errors": "replace"} if stream.isatty() else {"encoding": "utf-8"}))
    warnings.showwarning = _print_note
    # Commands show the evidence of watts with their results.
    warnings.simplefilter("ignore", ExtrapolationWarning)
    try:
        Path.cwd()
    except FileNotFoundError:
        _tell("the current folder no longer exists; change to another folder")
        sys.exit(WRONG_INPUT)


def _print_note(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning of the library as one line on stderr."""
    _tell(f"note: {message}")


def _report_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Say nothing of an interrupt that Python has dropped: its mark is still there."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)


@contextmanager
def interrupts_to(stop: Callable[[], bool]) -> Iterator[None]:
    """Within it Ctrl-C calls `stop`; where that returns False, it is raised."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if not stop():
            before(number, frame)

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def write_log(error: BaseException) -> Path | None:
    """Write command line, versions and traceback to a new file; None where no folder takes it."""
    name = f"fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    text = "\n".join(
        [
            f"command: {sys.argv}",
            f"python: {sys.version.split()[0]} on {sys.platform}",
            f"folder: {Path.cwd()}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    from dcsim.files import cache_folder  # brings decompressors, which take a moment

    folders = [Path(tempfile.gettempdir())]
    with suppress(RuntimeError):  # a user without a home
        folders.insert(0, cache_folder() / "log")
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:  # such as a full disk
            continue
        return path
    return None


def _drop_output() -> None:
    """Nothing more goes to stdout. Python would complain again when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _tell(line: str) -> None:
    with suppress(OSError):  # no stderr may be left either
        print(line, file=sys.stderr)
