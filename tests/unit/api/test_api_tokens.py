"""A web token opens something only where everything about it is as it must be."""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from allot import WorkspaceError
from api.service.settings import read_settings
from api.service.tokens import WebTokens

NOW = datetime(2026, 11, 22, tzinfo=UTC)
STAMP = round(NOW.timestamp())
EC, RSA = ECKey.generate_key("P-256", auto_kid=True), RSAKey.generate_key(2048, auto_kid=True)
SOUND: dict[str, Any] = {
    "iss": "https://issuer.example", "aud": "allot", "sub": "alice", "exp": STAMP + 60, "iat": STAMP - 5,
    "tenant": "main", "roles": ["analyst", "wizard"],
}  # fmt: skip


@pytest.fixture
def tokens(tmp_path: Path) -> Callable[..., WebTokens]:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(KeySet([EC, RSA]).as_dict()))

    def make(**given: Any) -> WebTokens:
        named = {"jwt_issuer": "https://issuer.example", "jwt_audience": "allot", "jwt_keys": str(path)}
        return WebTokens(read_settings(named | given))

    return make


def _signed(claims: dict[str, Any], key: Any = EC, alg: str = "ES256", **header: Any) -> str:
    return jwt.encode({"alg": alg, "kid": key.kid, **header}, claims, key, algorithms=[alg])


def test_a_sound_token_is_somebody_with_the_roles_that_are_known(tokens: Callable[..., WebTokens]) -> None:
    for key, alg in ((EC, "ES256"), (RSA, "RS256")):
        found = tokens().check(_signed(SOUND, key, alg), NOW)
        assert found is not None
        assert (found.id, found.tenant, found.roles, found.kind) == ("alice", "main", {"analyst"}, "jwt")


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://other.example"}, {"iss": None}, {"aud": "other"}, {"aud": ["x", "y"]}, {"aud": None},
        {"exp": STAMP - 31}, {"exp": None}, {"exp": "tomorrow"}, {"nbf": STAMP + 31}, {"iat": STAMP + 3_600},
        {"sub": None}, {"sub": ""}, {"tenant": None}, {"tenant": ""}, {"tenant": 7},
    ],
)  # fmt: skip
def test_one_wrong_claim_and_it_opens_nothing(tokens: Callable[..., WebTokens], change: dict[str, Any]) -> None:
    claims = {name: value for name, value in (SOUND | change).items() if value is not None}
    assert tokens().check(_signed(claims), NOW) is None


def test_leeway_is_for_clocks_that_differ_a_little(tokens: Callable[..., WebTokens]) -> None:
    late = SOUND | {"exp": STAMP - 20}
    assert tokens().check(_signed(late), NOW) is not None
    assert tokens(jwt_leeway_seconds=5).check(_signed(late), NOW) is None


def test_forged_tokens_open_nothing(tokens: Callable[..., WebTokens]) -> None:
    part = [urlsafe_b64encode(json.dumps(d).encode()).rstrip(b"=").decode() for d in ({"alg": "none"}, SOUND)]
    stranger = ECKey.generate_key("P-256")
    stranger.ensure_kid()
    sound = _signed(SOUND)
    head, body, signature = sound.split(".")
    public = OctKey.import_key(json.dumps(EC.as_dict(private=False)).encode())
    forged = [
        f"{part[0]}.{part[1]}.",
        _signed(SOUND, stranger),
        jwt.encode({"alg": "ES256", "kid": EC.kid}, SOUND, stranger, algorithms=["ES256"]),
        jwt.encode({"alg": "HS256", "kid": EC.kid}, SOUND, public, algorithms=["HS256"]),
        f"{head}.{part[1]}x.{signature}",
        f"{head}.{body}",
        "a.b.c", "..", "x" * 5_000, "é",
    ]  # fmt: skip
    for token in forged:
        assert tokens().check(token, NOW) is None, token[:60]


def test_an_algorithm_off_the_list_opens_nothing(tokens: Callable[..., WebTokens]) -> None:
    assert tokens(jwt_algorithms="ES256").check(_signed(SOUND, RSA, "RS256"), NOW) is None


def test_roles_and_tenant_come_from_the_claims_that_are_named(tokens: Callable[..., WebTokens]) -> None:
    claims = {**SOUND, "realm_access": {"roles": ["admin"]}, "org": "acme", "scope": "manager other"}
    found = tokens(jwt_roles_claim="realm_access.roles", jwt_tenant_claim="org").check(_signed(claims), NOW)
    assert found is not None
    assert (found.roles, found.tenant) == ({"admin"}, "acme")
    spaced = tokens(jwt_roles_claim="scope").check(_signed(claims), NOW)
    assert spaced is not None
    assert spaced.roles == {"manager"}


def test_tokens_without_a_tenant_belong_to_the_one_that_is_set(tokens: Callable[..., WebTokens]) -> None:
    claims = {name: value for name, value in SOUND.items() if name != "tenant"}
    found = tokens(jwt_tenant="main").check(_signed(claims), NOW)
    assert found is not None
    assert found.tenant == "main"


def test_an_issuer_that_cannot_be_used_stops_the_service(tokens: Callable[..., WebTokens], tmp_path: Path) -> None:
    weak = tmp_path / "weak.json"
    weak.write_text(json.dumps({"keys": [{"kty": "oct", "k": urlsafe_b64encode(b"changeme").decode()}]}))
    strong = tmp_path / "strong.json"
    strong.write_text(json.dumps(KeySet([OctKey.import_key(secrets.token_bytes(32))]).as_dict(private=True)))
    for keys in ("", str(tmp_path / "gone.json"), "http://issuer.example/jwks", str(weak), str(tmp_path)):
        with pytest.raises(WorkspaceError, match="ALLOT_JWT_KEYS"):
            tokens(jwt_keys=keys)
    with pytest.raises(WorkspaceError, match="ALLOT_JWT_AUDIENCE"):
        tokens(jwt_audience="")
    tokens(jwt_keys=str(strong), jwt_algorithms="HS256")
