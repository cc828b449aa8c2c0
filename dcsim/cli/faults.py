"""The last net under every command: what nobody foresaw becomes one line and a log file.

Bad input has an exception of its own (`DcsimError`), which commands report with exit status 2, as
this module does for one that comes this far. Anything else is a fault of dcsim, and a person who
meets it needs a line to read and a file to send, not a page of Python.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from dcsim.cli.exits import FAILED, FAULT, STOPPED, WRONG_INPUT
from dcsim.errors import DcsimError, ExtrapolationWarning

ENDING = ("SIGTERM", "SIGHUP")
"""Signals that end a command as Ctrl-C does, so that half a file is not left lying."""
AGAIN_S = 0.2
"""After so long Ctrl-C that nobody has heard is raised again."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF)
OUT_OF_MEMORY = "out of memory: play a shorter run or a smaller site, or keep less (`record`)"


def guarded(command: Callable[[], object]) -> None:
    """Call `command`; whatever it raises ends the process with a line on stderr.

    Exit statuses pass through. Ctrl-C ends with `STOPPED`, a fault with `FAULT` after its
    traceback has been written to a log.
    """
    try:
        prepare()
        try:
            command()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where what goes wrong with it can still be told
    except KeyboardInterrupt:
        _tell("stopped")
        sys.exit(STOPPED)
    except BrokenPipeError:
        # Whoever read our output has gone: nobody is left to tell.
        _drop_output()
        sys.exit(FAILED)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in NO_ROOM:
            _drop_output()
            _tell(f"output cannot be written: {error.strerror}")
            sys.exit(FAILED)
        if isinstance(error, DcsimError):
            # Its message is for the user. Any command may be the first to read, for example, the
            # user's own catalogue.
            _tell(str(error))
            sys.exit(WRONG_INPUT)
        log = write_log(error)
        if isinstance(error, MemoryError):
            _tell(OUT_OF_MEMORY + told_place(log))
        else:
            what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            from dcsim.registry import culprit  # brings pydantic, which takes a moment

            package = culprit(error)
            where, to = (package, "to its authors") if package else ("dcsim", "with the log")
            _tell(f"Internal error in {where} ({what}). Please report it {to}" + told_place(log))
        sys.exit(FAULT)


def prepare() -> None:
    """Make the process fit to be stopped and to speak, whatever it was started from.

    Ends it with status 2 where the current folder has been removed.
    """
    for name in ENDING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # not under nohup
            signal.signal(number, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        # Old locales lack the signs of trees and tables. A file or a pipe takes UTF-8, which
        # dcsim reads again; a terminal shows a question mark.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.encoding.lower().replace("-", "") != "utf8":
            reconfigure(**({"errors": "replace"} if stream.isatty() else {"encoding": "utf-8"}))
    warnings.showwarning = _note
    # Commands show the evidence of watts with their results.
    warnings.simplefilter("ignore", ExtrapolationWarning)
    try:
        Path.cwd()
    except FileNotFoundError:
        _tell("the current folder no longer exists; change to another folder")
        sys.exit(WRONG_INPUT)


def _note(message: Warning | str, *_: object, **__: object) -> None:
    """What the library warns of, as one line on stderr."""
    _tell(f"note: {message}")


@contextmanager
def insisting() -> Iterator[None]:
    """Within it Ctrl-C, and what ends a command as that does, is raised until it is heard.

    Python drops what is raised in the callback of a weak reference or in a finaliser, of which
    HDF5's library has many, and C libraries drop some silently: a simulation would go on. So where
    nothing is being stopped a moment later, it is raised again.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        yield
        return

    def told(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)
        raise KeyboardInterrupt

    def again(number: int, frame: FrameType | None) -> None:
        if not _stopping():
            raise KeyboardInterrupt

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if lost.exc_type is not KeyboardInterrupt:
            hook_before(lost)

    known = [getattr(signal, name) for name in ("SIGINT", *ENDING) if hasattr(signal, name)]
    ending = [one for one in known if signal.getsignal(one) == signal.default_int_handler]
    hook_before, sys.unraisablehook = sys.unraisablehook, hook
    alarm_before = signal.signal(signal.SIGALRM, again)
    for one in ending:
        signal.signal(one, told)
    try:
        yield
    finally:
        for one in ending:
            signal.signal(one, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, alarm_before)
        sys.unraisablehook = hook_before


@contextmanager
def interrupts_to(stop: Callable[[], bool]) -> Iterator[None]:
    """Within it Ctrl-C calls `stop`; where that returns False, it is raised."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() != threading.main_thread() or not callable(before):
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


def _stopping() -> bool:
    """Whether somebody is clearing up after Ctrl-C."""
    error = sys.exception()
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def said(error: OSError) -> str:
    """The system's complaint in words, the file first: `out.h5: Is a directory`."""
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what


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
    for folder in (log_folder(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except (OSError, RuntimeError):  # a home that is not there, a full disk
            continue
        return path
    return None


def log_folder() -> Path:
    """Where logs lie: `dcsim/log` of the user's cache folder (XDG_CACHE_HOME). Raises
    RuntimeError where the user has no home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    return base / "dcsim" / "log"


def told_place(log: Path | None) -> str:
    """Where the log is, as the end of a sentence."""
    return f". The log: {log}" if log is not None else ". No folder took a log of it"


def _drop_output() -> None:
    """Nothing more goes to stdout. Python would complain again when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _tell(line: str) -> None:
    with suppress(OSError):  # no stderr may be left either
        print(line, file=sys.stderr)
