"""The environment variables of an installation, with their types."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class Variables(BaseSettings):
    """The environment, else the values that the class is created with, else None.

    An empty variable counts as not set. An error never shows a value, which may hold a password.
    """

    model_config = SettingsConfigDict(
        case_sensitive=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    NIGHTSHIFT_HOME: Path | None = None
    NIGHTSHIFT_PARAMS: Path | None = None
    NIGHTSHIFT_LAKE_URL: str | None = None
    NIGHTSHIFT_CLICKHOUSE_DSN: str | None = None
    NIGHTSHIFT_SOURCE_DSN: str | None = None
    NIGHTSHIFT_POSTGRES_DSN: str | None = None
    NIGHTSHIFT_REDIS_URL: str | None = None
    MLFLOW_TRACKING_URI: str | None = None
    NIGHTSHIFT_AIRFLOW_DSN: str | None = None
    NIGHTSHIFT_SPARK_MASTER: str | None = None
    NIGHTSHIFT_RUNNER: str | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the arguments."""
        return env_settings, init_settings
