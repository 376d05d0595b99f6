"""JSON web tokens of one configured issuer."""

import json
import time
import warnings
from base64 import urlsafe_b64decode
from datetime import datetime
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet

from allot import WorkspaceError
from api.service.roles import ROLES, Principal
from api.service.settings import LOOPBACK, Settings, weakness

_FRESH_SECONDS, _AGAIN_SECONDS, _STALE_SECONDS = 600.0, 60.0, 86_400.0
_FETCH_SECONDS, _FETCH_BYTES = 5.0, 2**20
_WHERE = "ALLOT_JWT_KEYS"


@final
class WebTokens:
    """Checks tokens against the issuer's public keys.

    A token must be signed by one of the keys with an algorithm of the list, name the issuer and the audience, have a
    subject, be in its time, and name a tenant. Roles that this service does not know give no right.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the keys.

        Raises:
            WorkspaceError: no audience or keys are set, or the keys cannot be used.
        """
        self._settings = settings
        for name in ("audience", "keys"):
            if not getattr(settings, f"jwt_{name}"):
                what = "is missing, but ALLOT_JWT_ISSUER is set."
                raise WorkspaceError(what, where=f"ALLOT_JWT_{name.upper()}", remedy="Set both, or neither.")
        exact = {"essential": True, "value": settings.jwt_issuer}, {"essential": True, "value": settings.jwt_audience}
        self._claims = {"iss": exact[0], "aud": exact[1], "sub": {"essential": True}, "exp": {"essential": True}}
        self._read_at = self._tried_at = time.monotonic()
        self._keys = self._fetch()

    def check(self, token: str, now: datetime) -> Principal | None:
        """Who it is; None where anything about the token is not as it must be."""
        keys = self._current()
        if keys is None:
            return None
        found = self._verified(token, keys, now)
        if found is None and (newer := self._refreshed(keys)) is not None:
            found = self._verified(token, newer, now)
        return found

    def _verified(self, token: str, keys: KeySet, now: datetime) -> Principal | None:
        settings = self._settings
        leeway = round(settings.jwt_leeway_seconds)
        claims = jwt.JWTClaimsRegistry(round(now.timestamp()), leeway, **self._claims)  # type: ignore[arg-type]
        try:
            read = jwt.decode(token, keys, algorithms=settings.jwt_algorithms)
            claims.validate(read.claims)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            return None
        tenant = _claim(read.claims, settings.jwt_tenant_claim) or settings.jwt_tenant
        if not isinstance(tenant, str) or not tenant:
            return None
        roles = _claim(read.claims, settings.jwt_roles_claim)
        named = roles.split() if isinstance(roles, str) else roles if isinstance(roles, list) else []
        known = frozenset(role for role in named if role in ROLES)
        return Principal(str(read.claims["sub"])[:200], tenant, known, "jwt")

    def _current(self) -> KeySet | None:
        """The keys; None where they are older than a day, since then nobody knows whether they still hold."""
        now = time.monotonic()
        if now - self._read_at > _FRESH_SECONDS:
            self._refreshed(self._keys)
        return self._keys if now - self._read_at < _STALE_SECONDS else None

    def _refreshed(self, old: KeySet) -> KeySet | None:
        """The keys read again, at most once a minute; None where they are the same, or out of reach."""
        now = time.monotonic()
        if now - self._tried_at < _AGAIN_SECONDS:
            return None
        self._tried_at = now
        try:
            self._keys = self._fetch()
        except WorkspaceError:
            return None
        self._read_at = now
        return None if self._keys == old else self._keys

    def _fetch(self) -> KeySet:
        where = self._settings.jwt_keys
        try:
            document = json.loads(_download(where) if "://" in where else Path(where).read_bytes())
            with warnings.catch_warnings():
                warnings.simplefilter("error", SecurityWarning)
                keys = KeySet.import_key_set(document)
        except (OSError, ValueError, TypeError, KeyError, JoseError, httpx.HTTPError, SecurityWarning) as error:
            what = f"the issuer's keys cannot be read ({type(error).__name__})."
            raise WorkspaceError(what, where=_WHERE, remedy="Give a JWKS file or an https URL of one.") from error
        _refuse_weak(document)
        return keys


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A claim by its name, or by a path such as realm_access.roles."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _download(url: str) -> bytes:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise WorkspaceError("is not https.", where=_WHERE, remedy="Only https can be trusted with keys.")
    with httpx.stream("GET", url, timeout=_FETCH_SECONDS, follow_redirects=False) as answer:
        answer.raise_for_status()
        read = b""
        for piece in answer.iter_bytes():
            read += piece
            if len(read) > _FETCH_BYTES:
                raise ValueError("more than a key set")
    return read


def _refuse_weak(document: Any) -> None:
    """Shared secrets among the keys must be secrets."""
    for key in document["keys"]:
        if key.get("kty") == "oct":
            secret = urlsafe_b64decode(key["k"] + "=" * (-len(key["k"]) % 4))
            why = weakness(secret.decode("latin-1")) or ("it has less than 32 bytes" if len(secret) < 32 else "")
            if why:
                raise WorkspaceError(f"a shared secret in it is weak: {why}.", where=_WHERE, remedy="Use another.")
