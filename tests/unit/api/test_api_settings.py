"""No secret has a default, and no weak one is taken."""

import secrets

import pytest

from allot import WorkspaceError
from api.service.settings import read_settings, weakness


@pytest.mark.parametrize(
    "secret",
    [
        *("changeme", "change-me", "secret", "password123", "admin", "postgres", "your-secret-here", "test", "default"),
        *("<token>", "<your-secret-token-goes-here>", "8f2kq", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        "aaaaaaaabbbbbbbbccccccccdddd",
    ],
)
def test_placeholders_and_short_secrets_stop_the_service_and_are_not_repeated(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weakness(secret)
    monkeypatch.setenv("ALLOT_METRICS_TOKEN", secret)
    with pytest.raises(WorkspaceError, match="ALLOT_METRICS_TOKEN") as caught:
        read_settings()
    assert f" {secret}" not in str(caught.value)


def test_a_random_secret_is_taken_and_hidden_from_prints() -> None:
    secret = secrets.token_hex(16)
    settings = read_settings({"metrics_token": secret})
    assert weakness(secret) == ""
    assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("url", "sound"),
    [
        ("postgresql://allot:changeme@db.example.com/allot", False),
        ("postgresql://allot:postgres@10.0.0.5/allot", False),
        ("postgresql://allot:9fK2mX7qLz@10.0.0.5/allot", True),
        ("postgresql://postgres:@/allot?host=/tmp/x", True),
        ("mysql://a:b@c/d", False),
    ],
)
def test_a_database_elsewhere_needs_a_real_password(url: str, sound: bool) -> None:
    if sound:
        assert read_settings({"database_url": url}).database_url is not None
    else:
        with pytest.raises(WorkspaceError, match="ALLOT_DATABASE_URL") as caught:
            read_settings({"database_url": url})
        assert url not in str(caught.value)


def test_algorithms_without_a_signature_or_unknown_are_refused() -> None:
    assert read_settings({"jwt_algorithms": "RS256, EdDSA"}).jwt_algorithms == ("RS256", "EdDSA")
    for names in ("none", "RS256,none", ""):
        with pytest.raises(WorkspaceError, match="ALLOT_JWT_ALGORITHMS"):
            read_settings({"jwt_algorithms": names})
