"""Paths that a file names: `${VAR}` from the environment, relative ones from the file's folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo
from pydantic_core import PydanticCustomError

VARIABLE = re.compile(r"\$\{(\w*)\}")


def absolute(text: str, folder: Path) -> str:
    """A path in full. Raises PydanticCustomError for a variable that is not set."""
    for name in VARIABLE.findall(text):
        if not os.environ.get(name):
            shown = name or "(no name)"
            raise PydanticCustomError(
                "refused",
                "the environment variable {shown} is not set",
                {"shown": shown, "hint": f"export {name}=FOLDER, or write the path in full"},
            )
    filled = VARIABLE.sub(lambda match: os.environ[match[1]], text)
    if VARIABLE.match(text):  # a variable is set in the shell, so it starts where the shell stands
        filled = os.path.abspath(filled)
    return os.path.abspath(folder / Path(filled).expanduser())


def _in_full(value: Any, info: ValidationInfo) -> Any:
    """A path as the file that is read means it; in Python a path is taken as it stands."""
    folder = (info.context or {}).get("folder")
    return value if folder is None else type(value)(absolute(str(value), folder))


def _pack_in_full(value: str, info: ValidationInfo) -> str:
    """The name of a shipped pack stays a name."""
    is_path = value.endswith(".h5") or VARIABLE.search(value)
    return str(_in_full(value, info)) if is_path else value


FilePath = Annotated[Path, AfterValidator(_in_full)]
"""A file or folder."""
FileName = Annotated[str, AfterValidator(_in_full)]
"""The same, kept as text."""
PackName = Annotated[str, AfterValidator(_pack_in_full)]
"""A shipped pack by its name, or an `.h5` file."""
