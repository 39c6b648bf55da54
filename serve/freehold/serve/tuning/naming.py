"""What the result of a job is called: `ft:<model>:<team>:<suffix>:<end of the job's id>`."""

import re

from freehold.serve.gateway.errors import RequestError

MAX_NAME = 128
"""What a model may be called (`config.base.NAME`)."""
MAX_TEAM = 20
_ID_DIGITS = 8


def tuned_name(model: str, team: str, suffix: str | None, job_id: str) -> str:
    """The name, in OpenAI's shape. Raises RequestError for a suffix that leaves no room."""
    whose = re.sub(r"[^A-Za-z0-9._-]+", "-", team)[:MAX_TEAM].strip("-") or "freehold"
    name = f"ft:{model}:{whose}:{suffix or ''}:{job_id[-_ID_DIGITS:]}"
    if len(name) > MAX_NAME:
        room = MAX_NAME - len(name) + len(suffix or "")
        raise RequestError(
            "The suffix is too long",
            why=f"with it, the name of the result would have {len(name)} characters, and {MAX_NAME} are possible",
            next_step=f"Take at most {max(room, 0)} characters.",
            code="invalid_suffix",
            param="suffix",
        )
    return name


def artifact_name(model: str, job_id: str) -> str:
    """What the result is called in the store; no other job's is."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", model.lower()).strip("-._")[:32].strip("-._")
    return f"{slug or 'model'}-{job_id}"
