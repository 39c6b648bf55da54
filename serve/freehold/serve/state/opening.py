"""What commands need of a deployment's state: its database, and the config that says where it is."""

from pathlib import Path

from freehold.core.settings import Settings
from freehold.serve.config import DeploymentConfig, load_config
from freehold.serve.state.database import Database, default_url, open_database
from freehold.serve.state.migrating import migrate

CONFIG = Path("freehold.yaml")


def open_state(config_path: Path | None, settings: Settings) -> tuple[Database, DeploymentConfig | None]:
    """The migrated database and the config, if there is one: the given file, else ./freehold.yaml.

    Raises NotFoundError for a given file that is missing, ConfigError, DatabaseUnavailable.
    """
    config = load_config(config_path or CONFIG) if config_path or CONFIG.is_file() else None
    database = open_database((config and config.gateway.database) or default_url(settings.home))
    migrate(database)
    return database, config
