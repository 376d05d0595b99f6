"""Who may call: keys and web tokens over HTTP, in their time, in their tenant, and never in the log."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from allot import WorkspaceError
from api.service import access
from api.service.access import Access
from api.service.problems import Problem
from api.service.roles import Principal
from api.service.settings import Settings
from warehouse import Keys, Workspace

if TYPE_CHECKING:
    from service_running import Running

MANAGER = Principal("k", "main", frozenset({"manager"}), "key")


def test_a_revoked_key_and_one_that_expires_are_refused_within_the_time_that_is_promised(
    serve: Callable[..., "Running"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "REMEMBERED_SECONDS", 0.3)
    running = serve()
    now = datetime.now(UTC)
    with Keys.open(Workspace.open(running.home)) as keys:
        revoked = keys.create("main", ["analyst"], actor="test", at=now)
        old = keys.create("main", ["analyst"], actor="test", at=now)
        running.keys |= {"revoked": revoked.text, "old": old.text}
        clients = [running.client("revoked"), running.client("old")]
        assert [c.get("/v1/rules").status_code for c in clients] == [200, 200]
        keys.revoke(revoked.record.key_id, actor="test", at=now)
        new = keys.rotate(old.record.key_id, overlap=timedelta(seconds=1.5), actor="test", at=datetime.now(UTC))
        running.keys["new"] = new.text
        time.sleep(0.4)
        assert [c.get("/v1/rules").status_code for c in clients] == [401, 200]  # both work while they overlap
        assert running.client("new").get("/v1/rules").status_code == 200
        time.sleep(1.5)
        assert clients[1].get("/v1/rules").status_code == 401


def test_who_fails_too_often_waits_and_who_is_known_does_not(serve: Callable[..., "Running"]) -> None:
    running = serve(failures_per_minute=4)
    running.keys |= {f"guess{i}": f"allot_0123456789ab_{i:064x}" for i in range(6)}
    known = running.client("analyst")
    assert known.get("/v1/rules").status_code == 200
    statuses = [running.client(f"guess{i}").get("/v1/rules").status_code for i in range(6)]
    assert statuses == [401, 401, 401, 401, 429, 429]
    assert known.get("/v1/rules").status_code == 200


def test_a_web_token_of_the_issuer_is_let_in_with_its_roles(serve: Callable[..., "Running"], tmp_path: Path) -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    (tmp_path / "jwks.json").write_text(json.dumps(KeySet([key]).as_dict()))
    issuer = {"jwt_issuer": "https://i.example", "jwt_audience": "allot", "jwt_keys": str(tmp_path / "jwks.json")}
    running = serve(**issuer)
    claims: dict[str, Any] = {"iss": "https://i.example", "aud": "allot", "sub": "alice", "tenant": "main"}
    claims |= {"exp": round(time.time()) + 60, "roles": ["analyst"]}
    for name, change in {
        "alice": {},
        "late": {"exp": 1},
        "elsewhere": {"tenant": "gone"},
        "escape": {"tenant": ".."},
    }.items():
        running.keys[name] = jwt.encode({"alg": "ES256", "kid": key.kid}, {**claims, **change}, key)
    assert running.client("alice").get("/v1/rules").status_code == 200
    assert running.client("alice").post("/v1/rules", json={}).status_code == 403
    assert running.client("late").get("/v1/rules").status_code == 401
    assert running.client("elsewhere").get("/v1/rules").status_code == 403
    assert running.client("escape").get("/v1/rules").status_code == 403


def test_the_log_has_one_line_a_request_with_who_and_what_but_no_token_and_no_body(
    service: "Running", capsys: pytest.CaptureFixture[str]
) -> None:
    client = service.client("manager")
    client.post("/v1/rules", json={"name": "PRIVATE", "reason": "r", "predicate": "nonsense >"})
    service.keys["wrong"] = "allot_0123456789ab_" + "5" * 64
    service.client("wrong").get("/v1/rules")
    said = "".join(capsys.readouterr())
    lines = [line for line in said.splitlines() if "request_id" in line]
    assert len(lines) == 2
    assert "/v1/rules" in lines[0]
    assert "main" in lines[0]
    for hidden in ("PRIVATE", service.keys["manager"], service.keys["manager"][-20:], "5" * 20):
        assert hidden not in said


def test_metrics_can_ask_for_a_token(serve: Callable[..., "Running"]) -> None:
    token = "8d0fc5a1e7b34f6c9a2e71bd"
    running = serve(metrics_token=token)
    client = running.client(None)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": f"Bearer {token}x"}).status_code == 401
    assert client.get("/metrics", headers={"authorization": f"Bearer {token}"}).status_code == 200


class _Request:
    """As much of a request as access looks at."""

    def __init__(self, token: str) -> None:
        self.headers = {"authorization": f"Bearer {token}"}
        self.client = None


def _admit(held: Access, token: str = "allot_x") -> Any:
    async def call() -> Principal:
        return await held.admit(_Request(token))  # type: ignore[arg-type]

    return asyncio.run(call())


def test_while_keys_cannot_be_looked_up_known_ones_are_believed_and_new_ones_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = False

    def check(text: str, _: datetime) -> Principal | None:
        if gone:
            raise WorkspaceError("the database is gone.")
        return MANAGER

    monkeypatch.setattr(access, "REMEMBERED_SECONDS", 0.0)
    held = Access(Settings(home=tmp_path), check)
    assert _admit(held) == MANAGER
    gone = True
    assert _admit(held) == MANAGER
    with pytest.raises(WorkspaceError):
        _admit(held, "allot_new")
    monkeypatch.setattr(access, "_TRUSTED_SECONDS", 0.0)
    with pytest.raises(WorkspaceError):
        _admit(held)


def test_a_key_is_hashed_once_however_many_come_with_it_at_once(tmp_path: Path) -> None:
    checked: list[str] = []

    def check(text: str, _: datetime) -> Principal | None:
        checked.append(text)
        time.sleep(0.05)
        return MANAGER

    held = Access(Settings(home=tmp_path), check)

    async def many() -> list[Principal]:
        return await asyncio.gather(*(held.admit(_Request("allot_x")) for _ in range(20)))  # type: ignore[arg-type]

    assert asyncio.run(many()) == [MANAGER] * 20
    assert checked == ["allot_x"]


@pytest.mark.parametrize("token", ["", "x" * 10_000, "allot_é", "Basic abc"])
def test_what_cannot_be_a_token_is_not_looked_up(token: str, tmp_path: Path) -> None:
    def check(text: str, _: datetime) -> Principal | None:
        raise AssertionError("asked")

    with pytest.raises(Problem) as caught:
        _admit(Access(Settings(home=tmp_path), check), token)
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"
