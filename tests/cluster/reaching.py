"""Which cluster is meant, and whether it answers."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cluster:
    """A cluster by its context, and the tools to speak to it."""

    kubectl: Path
    helm: Path
    context: str
    namespace: str

    def ask(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """What kubectl prints. Raises CalledProcessError, whose text is on stderr already."""
        command = [str(self.kubectl), "--context", self.context, "--namespace", self.namespace, *arguments]
        return _run(command, check=check, stdin=stdin)

    def release(self, *arguments: str, check: bool = True) -> str:
        """What Helm prints."""
        command = [str(self.helm), "--kube-context", self.context, "--namespace", self.namespace, *arguments]
        return _run(command, check=check)

    def objects(self, kind: str, selector: str) -> list[dict[str, Any]]:
        """Objects of a kind, by labels."""
        found: list[dict[str, Any]] = json.loads(self.ask("get", kind, "-l", selector, "-o", "json"))["items"]
        return found


def _run(command: list[str], *, check: bool, stdin: str | None = None) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, input=stdin, timeout=4 * 3600)
    if check and ended.returncode:
        raise RuntimeError(f"{' '.join(command[-6:])}: {ended.stderr.strip() or ended.stdout.strip()}")
    return ended.stdout


def unreachable(kubectl: Path, context: str | None = None) -> str:
    """Why there is no cluster to install into; empty if there is one."""
    current = context or _quiet(kubectl, "config", "current-context").strip()
    if not current:
        return "no cluster: kubectl has no current context (KUBECONFIG, ~/.kube/config)"
    if '"gitVersion"' not in _quiet(kubectl, "--context", current, "version", "-o", "json", "--request-timeout=10s"):
        return f"no cluster: the API server of context {current} does not answer"
    return ""


def current_context(kubectl: Path) -> str:
    return _quiet(kubectl, "config", "current-context").strip()


def _quiet(kubectl: Path, *arguments: str) -> str:
    ended = subprocess.run([str(kubectl), *arguments], capture_output=True, text=True, check=False, timeout=60)
    out = ended.stdout if not ended.returncode else ""
    # `version` without a server prints the client's version and fails.
    return out if "version" not in arguments or '"serverVersion"' in out else ""


def user_config() -> str | None:
    """The kubeconfig that whoever started us means; tests get a home of their own."""
    named = os.environ.get("KUBECONFIG")
    usual = Path.home() / ".kube" / "config"
    return named or (str(usual) if usual.is_file() else None)
