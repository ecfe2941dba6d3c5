"""The arm that asks a server: its answers grow in a file of the comparison's folder, and are never bought twice.

Separate because only this arm leaves the machine, and only when its address is among the settings.
"""

from __future__ import annotations

from pathlib import Path

from weitiao.api.arms import Arm
from weitiao.api.listener import Listener
from weitiao.api.outcomes import Draw, Outcome
from weitiao.api.stopping import StopRequest
from weitiao.api.trial import Trial
from weitiao.evaluation.chat_request import chat_endpoint
from weitiao.evaluation.endpoint import endpoint_answers, prompt
from weitiao.words import t

KEPT = "endpoint.jsonl"


def endpoint_outcome(arm: Arm, trial: Trial, folder: Path, listen: Listener) -> Outcome:
    """What the server that the settings name answers. Raises Stopped when asked to stop."""
    settings = trial.settings
    assert settings.endpoint is not None and settings.endpoint_model is not None, "arms.py has seen to it"
    endpoint = chat_endpoint(settings.endpoint, settings.endpoint_model, settings.max_new_tokens)
    with StopRequest() as stop:

        def told(done: int, count: int) -> None:
            listen("scoring", {"done": done, "count": count})
            stop.obey(t("stopped after {count} rows, and saved", count=done), t("give the same command again to go on"))

        found = endpoint_answers(endpoint, trial.examples, trial.task, folder / KEPT, told)
    draw = Draw("1", found.answers, round(found.seconds, 2), found.prompt_tokens + found.completion_tokens)
    asked = {"url": endpoint.url, "model": endpoint.model}
    first = tuple((turn["role"], turn["content"]) for turn in prompt(trial.examples[0], trial.task))
    return Outcome(arm, (draw,), asked, prompt=first)
