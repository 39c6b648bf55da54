"""DeploymentConfig: the one schema of `freehold.yaml` and of the chart's values under `deployment:`.

snake_case in Python, camelCase in YAML; unknown keys are errors that name their path. One file per top-level key.
"""

from freehold.serve.config.base import ConfigModel, SecretRef
from freehold.serve.config.deployment import DeploymentConfig, load_config, parse_config
from freehold.serve.config.gateway import GatewayConfig
from freehold.serve.config.models import EngineConfig, ProcessEngine, RemoteEngine, RestartPolicy, ServedModel

__all__ = [
    "ConfigModel",
    "DeploymentConfig",
    "EngineConfig",
    "GatewayConfig",
    "ProcessEngine",
    "RemoteEngine",
    "RestartPolicy",
    "SecretRef",
    "ServedModel",
    "load_config",
    "parse_config",
]
