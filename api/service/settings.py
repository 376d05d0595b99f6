"""What can be set, each by an environment variable ALLOT_<NAME>. No secret has a default, and no weak one is taken."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from allot import WorkspaceError

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # set by `allot serve` for its processes, not by users
SECRET_LENGTH = 24
_PLACEHOLDER = re.compile(
    r"(?:change[-_ ]?(?:me|it|this)|(?:my|your)?[-_ ]?(?:secret|password|passwd|token|key)|default|example|placeholder"
    r"|insecure|todo|postgres|allot|admin|root|test|demo|x+|<.*>|\d)[-_ \d!.]*(?:here|value)?\Z",
    re.IGNORECASE,
)
LOOPBACK = ("127.0.0.1", "::1", "localhost", "")
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256")


class Settings(BaseSettings):
    """The settings of one service.

    Every number of seconds is wall time; rates are per key and process.
    """

    model_config = SettingsConfigDict(env_prefix="ALLOT_", extra="ignore", frozen=True, env_ignore_empty=True)

    home: Path = Path("allot-workspace")
    database_url: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535)
    workers: int = Field(1, ge=1, le=64)

    feedback_hours: float = Field(24.0, gt=0, le=8_784)
    """How long feedback waits for its decision before it is a dead letter."""

    max_body_bytes: int = Field(16 * 2**20, ge=1024)
    max_upload_bytes: int = Field(2 * 2**30, ge=1024)
    request_seconds: float = Field(30.0, gt=0)
    upload_seconds: float = Field(900.0, gt=0)
    requests_per_second: float = Field(2_000.0, gt=0)
    burst: float = Field(4_000.0, ge=1)
    failures_per_minute: float = Field(30.0, gt=0)

    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_keys: str = ""
    jwt_algorithms: Annotated[tuple[str, ...], NoDecode] = ("RS256", "ES256", "EdDSA")
    jwt_leeway_seconds: float = Field(30.0, ge=0, le=300)
    jwt_roles_claim: str = "roles"
    jwt_tenant_claim: str = "tenant"
    jwt_tenant: str = ""

    metrics_token: SecretStr | None = None
    cpu_hour_price: float = Field(0.05, ge=0)
    max_lag_seconds: float = Field(3_600.0, gt=0)
    min_free_bytes: int = Field(256 * 2**20, ge=0)
    log_level: str = "info"
    telemetry: bool = False

    @field_validator("jwt_algorithms", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("jwt_algorithms")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in _ALGORITHMS]
        if unknown or not value:
            raise ValueError(f"{unknown} is not among {', '.join(_ALGORITHMS)}")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and (why := weakness(value.get_secret_value())):
            raise ValueError(why)
        return value

    @field_validator("database_url")
    @classmethod
    def _sound_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in ("postgresql", "postgres"):
            raise ValueError("it must begin with postgresql://")
        elsewhere = (parts.hostname or "") not in LOOPBACK
        if parts.password is not None and elsewhere and _PLACEHOLDER.match(unquote(parts.password)):
            raise ValueError("its password is a placeholder; set a real one")
        return value


def weakness(secret: str) -> str:
    """Why a secret may not be used; empty where it may."""
    if _PLACEHOLDER.match(secret):
        return "it is a placeholder; make one with `openssl rand -hex 32`"
    if len(secret) < SECRET_LENGTH or len(set(secret)) < 8:
        return f"it is too short or too even: {SECRET_LENGTH} random characters at least, `openssl rand -hex 32`"
    return ""


def read_settings(given: Mapping[str, Any] | None = None) -> Settings:
    """Settings from the environment, and what is `given` instead.

    Raises:
        WorkspaceError: one of them is unsound; its value is not repeated.
    """
    try:
        return Settings(**(given or {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "ALLOT_" + "_".join(str(part) for part in first["loc"]).upper()
        what = str(first["msg"]).removeprefix("Value error, ")
        raise WorkspaceError(f"{what}.", where=name, remedy="Set it in the environment and start again.") from None
