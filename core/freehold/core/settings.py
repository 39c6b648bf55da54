"""Where Freehold keeps things and how it reaches the outside; the only reader of the process environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from freehold.core.errors import ConfigError

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}

DEFAULT_HUB = "https://huggingface.co"
POLICY_VARIABLE = "FREEHOLD_POLICY"


@dataclass(frozen=True)
class Settings:
    """Process-wide settings, read once at the edge and handed down."""

    home: Path
    """Data folder (`FREEHOLD_HOME`, else `$XDG_DATA_HOME/freehold`): store, engine environments, logs."""
    hub_endpoint: str = DEFAULT_HUB
    """Base URL of the hub that `pull` reads (`HF_ENDPOINT`)."""
    hub_token: str | None = None
    """Bearer token for that hub (`HF_TOKEN`); never printed."""
    offline: bool = False
    """No socket but loopback (`FREEHOLD_OFFLINE`, `HF_HUB_OFFLINE` or `--offline`)."""
    policy_file: Path | None = None
    """What may be pulled, promoted and served (`FREEHOLD_POLICY`); None means `own_policy`, if there is such a file."""
    is_rehearsal: bool = False
    """What is served is asked by evaluations and gates alone (`freehold serve --rehearsal`)."""

    @property
    def store_root(self) -> Path:
        return self.home / "store"

    @property
    def engines_root(self) -> Path:
        """Versioned engine environments made by `freehold engine install`."""
        return self.home / "engines"

    @property
    def run_root(self) -> Path:
        """Log files and process records of what is being served."""
        return self.home / "run"

    @property
    def manifests_root(self) -> Path:
        """The user's own model manifests, which extend and override those that ship."""
        return self.home / "manifests"

    @property
    def bundles_root(self) -> Path:
        """What air-gap bundles brought in beside the store: configs, charts, wheels."""
        return self.home / "bundles"

    @property
    def own_policy(self) -> Path:
        """The policy that holds where `policy_file` names none: `policy.yaml` in `home`."""
        return self.home / "policy.yaml"

    @property
    def audit_log(self) -> Path:
        """One JSON line for every administrative act."""
        return self.home / "audit" / "audit.jsonl"

    @property
    def spool_root(self) -> Path:
        """What gateways have yet to write into their database."""
        return self.home / "spool"

    @property
    def recordings_root(self) -> Path:
        """Prompts and answers of the routes that record them, and the log of who read them."""
        return self.home / "recordings"

    def with_offline(self, offline: bool) -> "Settings":
        return replace(self, offline=self.offline or offline)

    def with_rehearsal(self, rehearsal: bool) -> "Settings":
        return replace(self, is_rehearsal=rehearsal)

    def with_home(self, home: Path) -> "Settings":
        return replace(self, home=home)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. Raises ConfigError on a value that is neither true nor false."""
    env = os.environ if environ is None else environ
    data_home = Path(env.get("XDG_DATA_HOME") or Path(env.get("HOME", "~")).expanduser() / ".local" / "share")
    return Settings(
        home=Path(env.get("FREEHOLD_HOME") or data_home / "freehold").expanduser().absolute(),
        hub_endpoint=(env.get("HF_ENDPOINT") or DEFAULT_HUB).rstrip("/"),
        hub_token=env.get("HF_TOKEN") or None,
        offline=_flag(env, "FREEHOLD_OFFLINE") or _flag(env, "HF_HUB_OFFLINE"),
        policy_file=Path(named).expanduser().absolute() if (named := env.get(POLICY_VARIABLE)) else None,
    )


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "").strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ConfigError("The environment is not usable", [f"{name}={value!r} is neither true (1) nor false (0)"])
