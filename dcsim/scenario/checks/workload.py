"""Streams and tenants: somebody must serve them, and what they name must be there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dcsim.hardware.catalogue import Catalogue
from dcsim.scenario.checks.parts import missing_file, numbered, shipped, unique, unknown
from dcsim.scenario.models import MixtureTokens, Scenario, Stream
from dcsim.spec.document import Finding, Steps
from dcsim.spec.unread import readable


def names(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    yield from unique("workload", scenario.workload)
    yield from readable(unique("tenants", scenario.tenants))


def streams(scenario: Scenario, catalogue: Catalogue) -> Iterator[Finding]:
    for path, stream in numbered("workload", scenario.workload):
        yield from _model(path, stream, scenario, catalogue)
        yield from readable(_tenants(path, stream, scenario))
        yield from readable(_lengths(path, stream))
        yield from readable(_recording((*path, "arrivals"), stream.arrivals))
        yield from readable(_recording((*path, "tokens"), stream.tokens))
        if isinstance(stream.tokens, MixtureTokens):
            for index, part in enumerate(stream.tokens.parts):
                at = (*path, "tokens", "parts", index, "tokens")
                yield from readable(_recording(at, part.tokens))


def _model(
    path: Steps, stream: Stream, scenario: Scenario, catalogue: Catalogue
) -> Iterator[Finding]:
    served = {group.model for group in scenario.servers}
    if stream.model not in catalogue.models:
        yield unknown((*path, "model"), "served model", stream.model, catalogue.models)
    elif stream.model not in served and all(name in catalogue.models for name in served):
        yield Finding(
            (*path, "model"),
            f"no server group serves '{stream.model}'",
            "the groups serve " + ", ".join(sorted(served)),
        )


def _tenants(path: Steps, stream: Stream, scenario: Scenario) -> Iterator[Finding]:
    known = [tenant.name for tenant in scenario.tenants]
    for number, tenant in enumerate(stream.tenants):
        if tenant not in known:
            yield unknown((*path, "tenants", number), "tenant", tenant, known)


def _lengths(path: Steps, stream: Stream) -> Iterator[Finding]:
    """A recording has its lengths and what its prompts share; all else needs lengths."""
    if getattr(stream.arrivals, "kind", None) != "replay":
        if stream.tokens is None:
            yield Finding(
                (*path, "tokens"),
                "required unless arrivals are a replay",
                "kind fit, fixed, lognormal, empirical or mixture",
            )
        return
    for key, message in (
        ("tokens", "a replay brings its own token counts"),
        ("sessions", "a replay has the conversations that were recorded"),
        ("system_prompt", "a replay has the prompts that were recorded"),
    ):
        if getattr(stream, key) not in (None, 0):
            yield Finding((*path, key), message, f"leave `{key}` out")


def _recording(path: Steps, part: Any) -> Iterator[Finding]:
    """Files of arrivals or lengths must be there, and what is shipped must have the name."""
    file, folder = getattr(part, "file", None), getattr(part, "folder", None)
    if file is not None:
        what = "trace file" if path[-1] == "arrivals" else "file"
        yield from missing_file((*path, "file"), file, what)
    if folder is not None and not Path(folder).is_dir():
        problem = "is no folder" if Path(folder).exists() else "does not exist"
        yield Finding((*path, "folder"), f"{folder} {problem}")
    for kind, what, where in (
        ("fit", "shipped fit", "workload/fits"),
        ("clients", "shipped population of clients", "workload/populations"),
    ):
        if getattr(part, "kind", None) == kind:
            known = shipped(where, ".yaml")
            if part.name not in known:
                yield unknown((*path, "name"), what, part.name, known)


RULES = (names, streams)
