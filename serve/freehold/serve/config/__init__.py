"""DeploymentConfig: the one schema of `freehold.yaml` and of the chart's values under `deployment:`.

snake_case in Python, camelCase in YAML; unknown keys are errors that name their path. One file per top-level key.
"""

from freehold.serve.config.base import ConfigModel, SecretRef
from freehold.serve.config.batches import BatchesConfig
from freehold.serve.config.console import ConsoleConfig, OidcConfig, OidcRoles
from freehold.serve.config.contemplation import Contemplate
from freehold.serve.config.deployment import DeploymentConfig, load_config, parse_config
from freehold.serve.config.gateway import GatewayConfig, MediaConfig
from freehold.serve.config.models import (
    Autoscaling,
    Cost,
    EngineConfig,
    ProcessEngine,
    RayEngine,
    RemoteEngine,
    Replaces,
    RestartPolicy,
    ServedAdapter,
    ServedModel,
    VllmEngine,
)
from freehold.serve.config.routes import Canary, Record, Route, Shadow, TokenPrice, Upstream
from freehold.serve.config.tuning import TuningConfig, TuningDefaults

__all__ = [
    "Autoscaling",
    "BatchesConfig",
    "Canary",
    "ConfigModel",
    "ConsoleConfig",
    "Contemplate",
    "Cost",
    "DeploymentConfig",
    "EngineConfig",
    "GatewayConfig",
    "MediaConfig",
    "OidcConfig",
    "OidcRoles",
    "ProcessEngine",
    "RayEngine",
    "Record",
    "RemoteEngine",
    "Replaces",
    "RestartPolicy",
    "Route",
    "SecretRef",
    "ServedAdapter",
    "ServedModel",
    "Shadow",
    "TokenPrice",
    "TuningConfig",
    "TuningDefaults",
    "Upstream",
    "VllmEngine",
    "load_config",
    "parse_config",
]
