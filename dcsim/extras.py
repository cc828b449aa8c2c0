"""Libraries that only some commands need, and the extra of `pyproject.toml` that installs each."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from dcsim.errors import MissingExtraError

EXTRAS = {
    "aiohttp": "measure",
    "distributed": "cluster",
    "gymnasium": "cosim",
    "matplotlib": "plots",
    "opendssdirect": "cosim",
    "pandapower": "export",
    "pyarrow": "export",
    "pynvml": "measure",
    "sklearn": "train",
    "torch": "train",
    "vessim": "cosim",
}
"""By the name that is imported."""
PACKAGES = {
    "opendssdirect": "opendssdirect.py",
    "pynvml": "nvidia-ml-py",
    "sklearn": "scikit-learn",
}
"""Names that differ where they are installed from."""


def optional(module: str, purpose: str) -> Any:
    """Import an optional library.

    Parameters
    ----------
    module : str
        What is imported, such as "pyarrow" or "matplotlib.figure"; its library is in `EXTRAS`.
    purpose : str
        What needs it, as the subject of a sentence: "Parquet", "a picture".

    Returns
    -------
    module
        As `importlib.import_module` returns it.

    Raises
    ------
    MissingExtraError
        If the library is not installed; one line that names it and the extra.
    """
    library = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] != library:
            raise  # the library is there, and broken
        package = PACKAGES.get(library, library)
        raise MissingExtraError(
            f"{purpose} needs {package}, which is not installed: "
            f"pip install 'dcsim[{EXTRAS[library]}]'"
        ) from None
