"""The contract of a study that another package brings: `dcsim study NAME`."""

from __future__ import annotations

from typing import Protocol

from dcsim.scenario.models import Scenario
from dcsim.studies.answer import Answer
from dcsim.studies.runner import Runner


class Study(Protocol):
    """A planner's question, put by a spec and answered by playing scenarios.

    Its class has the attribute `Spec`, a pydantic model, and is made of one: each field is an
    option of the command, with the text under it as help, its units and its checks. The package
    declares the class under the entry points `dcsim.studies`; the command has the name of the
    entry point and the docstring of the spec.
    """

    def answer(self, scenario: Scenario, runner: Runner) -> Answer:
        """Play what is needed, and say what comes of it.

        Parameters
        ----------
        scenario
            Checked, with the changes of `--set`.
        runner
            Plays jobs (`dcsim.studies.jobs.job`), each once, by the workers that the user gave.

        Returns
        -------
        Answer
            Its `study` and what is missing in its `inputs` are filled in from the command.

        Raises
        ------
        StudyError
            There is no answer to the question as it was put.
        """
