"""What a study is: a model of what a planner may ask, with the way to the answer.

A study is one class. Its fields are the options of `dcsim study NAME`, the keyword arguments of the
Python function, and the `inputs` of the answer; the text under a field is its help, and its type
brings units and checks. Studies of dcsim and of other packages are registered alike, under the
kind `studies` of `dcsim.registry`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from dcsim.errors import StudyError
from dcsim.registry import register
from dcsim.scenario.describe import about
from dcsim.scenario.models import Scenario, Spec
from dcsim.spec.document import Document
from dcsim.spec.validation import tell
from dcsim.studies.answer import Answer
from dcsim.studies.ask import evidence_sentences, opened, power_evidence
from dcsim.studies.busy import busy_sentences, watts_sentences
from dcsim.studies.folder import plain
from dcsim.studies.options import flag_of, options_of
from dcsim.studies.runner import Runner


class Study(Spec, ABC):
    """What a planner asks of a scenario. A subclass adds fields, its docstring is the question."""

    @abstractmethod
    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """Play what is needed, and say what comes of it.

        Parameters
        ----------
        scenario
            Checked, with the changes of `--set`.
        runner
            Plays jobs (`dcsim.studies.jobs.job`), each once, with the workers that the user gave.

        Returns
        -------
        Answer
            Its `study` and all inputs but those that the study resolved, such as the seeds that
            were used, are filled in by `answer`.

        Raises
        ------
        StudyError
            There is no answer to the question as it was put.
        RunFailedError
            A run could not be played.
        """

    @classmethod
    def build(cls, **values: Any) -> Self:
        """Make a study from values, or from texts as a user types them.

        Parameters
        ----------
        **values
            By field; numbers in SI units, or text with units.

        Returns
        -------
        Study
            Of this class, checked.

        Raises
        ------
        StudyError
            With every problem, each named by its option.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise StudyError(*_problems(cls, error, values)) from None

    def answer(self, name: str, scenario: Scenario, runner: Runner) -> Answer:
        """Play the study, and add its name and all its inputs to the answer.

        Parameters
        ----------
        name
            Under which the study is registered.
        scenario, runner
            As for `play`.

        Returns
        -------
        Answer
            Complete, as files and pages show it.

        Raises
        ------
        StudyError, RunFailedError
            As `play`.
        """
        answer = self.play(scenario, runner)
        evidence = power_evidence(answer.runs)
        return replace(
            answer,
            study=name,
            inputs=plain({**self.model_dump(), **answer.inputs}),
            reasons=(*answer.reasons, *busy_sentences(answer.runs)),
            uncertainty=(
                *answer.uncertainty,
                *evidence_sentences(evidence),
                *watts_sentences(answer.runs),
            ),
            evidence=evidence,
            runs=(),
        )

    @classmethod
    def inputs_schema(cls) -> dict[str, Any]:
        """Describe the inputs of an answer.

        Returns
        -------
        dict
            JSON Schema: every field, in SI units. What a study resolves (seeds, nodes, limits) is
            there as it was used.
        """
        schema = cls.model_json_schema(mode="serialization", schema_generator=_InSi)
        for option in options_of(cls):
            described = schema["properties"][option.field]
            described.pop("title", None)
            described["description"] = option.text
            if not option.required:
                info = cls.model_fields[option.field]
                adapter: TypeAdapter[Any] = TypeAdapter(info.rebuild_annotation())
                described["default"] = plain(adapter.validate_python(info.default))
        return schema


class _InSi(GenerateJsonSchema):
    """Quantities as the numbers that answers hold, not as the texts that scenario files do."""

    def ser_schema(self, schema: Any) -> Any:
        """No serializer is used: inputs are dumped in Python's mode."""
        return None


def publish(name: str, study: type[Study]) -> Callable[..., Answer]:
    """Register a study as `dcsim study NAME`, and make its Python function.

    Parameters
    ----------
    name
        What the command line calls it.
    study
        Its fields become options of the command and arguments of the function.

    Returns
    -------
    callable
        Such as `sweep(scenario, over, seeds=5, runner=None)`: takes the study's fields, the first
        ones by place too; `runner` plays the runs, one at a time in this process where it is left
        out. It raises StudyError with every problem, ScenarioError and RunFailedError.

    Raises
    ------
    PluginError
        If another study has the name.
    """
    register("studies", name, study, study)
    fields = list(study.model_fields)

    def ask(
        scenario: Scenario | str | Path, *values: Any, runner: Runner | None = None, **more: Any
    ) -> Answer:
        asking = study.build(**dict(zip(fields, values, strict=False)), **more)
        used = Runner(workers=1) if runner is None else runner
        return asking.answer(name, opened(scenario), used)

    parameters = [inspect.Parameter("scenario", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for field, info in study.model_fields.items():
        default = inspect.Parameter.empty if info.is_required() else info.default
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters.append(inspect.Parameter(field, kind, default=default))
    parameters.append(inspect.Parameter("runner", inspect.Parameter.KEYWORD_ONLY, default=None))
    ask.__name__ = ask.__qualname__ = name
    ask.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    ask.__doc__ = f"{about(study)}\n\nArguments are the fields of `{study.__name__}`, and `runner`."
    return ask


def _problems(study: type[Study], error: ValidationError, values: Any) -> Iterator[str]:
    """Each problem of a study's values in a line that begins with the option."""
    flags = {info.alias or name: flag_of(study, name) for name, info in study.model_fields.items()}
    document = Document("options", Path())
    document.data = values
    tell(document, error, study)
    for problem in document.problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        key = problem.path.partition(".")[0]
        where = f"{flags.get(key, problem.path)}: " if key else ""
        if problem.message.startswith("--"):  # of a StudyError, which names its option
            yield from problem.message.splitlines()
        else:
            yield f"{where}{problem.message}{hint}"
