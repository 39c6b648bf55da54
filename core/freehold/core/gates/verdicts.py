"""Verdicts on disk: `<store>/verdicts/<artifact id>/<gate>.json`, the newest of each gate."""

from pathlib import Path

from pydantic import ValidationError

from freehold.core.errors import IntegrityError, RefusedError
from freehold.core.gates.verdict import GateName, Verdict
from freehold.core.store import Artifact, Store
from freehold.core.store.atomic import write_atomically


def record_verdict(store: Store, verdict: Verdict) -> Path:
    """Keep a verdict in place of an older one of the same gate; returns its file."""
    path = _path(store, verdict.artifact, verdict.gate)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, verdict.model_dump_json(indent=2).encode() + b"\n")
    return path


def read_verdict(store: Store, artifact: Artifact, gate: GateName) -> Verdict | None:
    """The newest verdict of a gate, or None if it was never asked. Raises IntegrityError on an unreadable one."""
    path = _path(store, artifact.id, gate)
    try:
        return Verdict.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise IntegrityError(
            f"{path} is not a verdict that this version reads",
            why=str(error).splitlines()[0],
            next_step=f"Remove it and run the {gate} gate again.",
        ) from error


def require_verdict(store: Store, artifact: Artifact, gate: GateName, *, judge: str, accept: str) -> Verdict:
    """The passing verdict that a step needs.

    `judge` is the command that runs the gate, `accept` what the user may write to go on without it.
    Raises RefusedError when the gate was never asked or did not pass.
    """
    verdict = read_verdict(store, artifact, gate)
    if verdict is None:
        raise RefusedError(
            f"{artifact.id} has not passed the {gate} gate",
            why="it was never judged",
            next_step=f"Run `{judge}` first, or accept it unproven with {accept}.",
        )
    if not verdict.passed:
        raise RefusedError(
            f"{artifact.id} did not pass the {gate} gate",
            why="; ".join(verdict.reasons),
            next_step=f"Correct the cause and run `{judge}` again, or accept it as it is with {accept}.",
        )
    return verdict


def _path(store: Store, artifact_id: str, gate: GateName) -> Path:
    return store.verdict_folder(artifact_id) / f"{gate}.json"
