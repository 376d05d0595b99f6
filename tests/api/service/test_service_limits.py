"""Bad input is a 4xx in few words, whatever it is; nothing is taken without measure."""

import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from api.service.contract import _calls, routes
from api.service.protocol import LONGEST_HEAD

if TYPE_CHECKING:
    from service_running import Running

UNSOUND = {
    "nan": b'{"name": NaN}',
    "infinity": b'{"name": Infinity}',
    "1e400": b'{"name": 1e400}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "nul": b'{"name": "\\u0000"}',
    "duplicate key": b'{"name": "a", "name": "b"}',
    "unknown field": b'{"colour": 1}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "an id of 1 MB": b'{"name": "' + b"x" * 2**20 + b'"}',
    "true as a number": b'{"name": "a", "reason": "b", "predicate": "true", "active": 1}',
    "text as a number": b'{"name": "a", "as_of": "2026-01-01", "seed": "1"}',
    "nothing": b"{}",
    "a number": b"1",
    "null": b"null",
    "empty": b"",
    "not utf-8": b"\xff\xfe",
}


def _documents() -> list[str]:
    """The routes that take a JSON document."""
    marks = ("body_model", "body_schema")
    return [r.path for r in routes() if any(hasattr(call, mark) for call in _calls(r) for mark in marks)]


@pytest.mark.parametrize("raw", UNSOUND.values(), ids=UNSOUND.keys())
def test_unsound_bodies_are_refused_by_every_route_that_takes_a_document(service: "Running", raw: bytes) -> None:
    client = service.client()
    assert len(_documents()) >= 3
    for path in _documents():
        answer = client.post(path, content=raw, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 1_500
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_body_of_100_mb_is_refused_and_the_sender_gets_to_know(service: "Running") -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"name": "'
        for _ in range(100):
            yield b"x" * 2**20

    client = service.client()
    headers = {"content-type": "application/json"}
    promised = client.post("/v1/rules", content=b"x" * (20 * 2**20), headers=headers)
    streamed = client.post("/v1/rules", content=pieces(), headers=headers)
    for answer in (promised, streamed):
        assert answer.status_code == 413
        assert answer.json()["type"] == "urn:allot:problem:too-large"
    assert client.get("/v1/rules").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 422),
        ({"content-type": "application/problem+json"}, 422),
    ],
)
def test_only_json_in_utf_8_is_taken_for_json(service: "Running", headers: dict[str, str], status: int) -> None:
    assert service.client().post("/v1/rules", content=b"{}", headers=headers).status_code == status


_CHUNKED = b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0"


def _raw(running: "Running", head: str, *, wait: float = 10.0) -> bytes:
    """What a hand-written request is answered with."""
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=wait) as connection:
        key = running.keys["admin"]
        connection.sendall(f"{head}\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        read = b""
        while b"\r\n\r\n" not in read or b"}" not in read:
            piece = connection.recv(65_536)
            if not piece:
                break
            read += piece
        return read


def test_a_body_without_a_length_and_one_that_never_comes(serve: Callable[..., "Running"]) -> None:
    running = serve(request_seconds=0.3)
    said = _raw(running, "POST /v1/rules HTTP/1.1\r\nContent-Type: application/json")
    assert b" 411 " in said
    assert b"application/problem+json" in said
    slow = _raw(running, "POST /v1/rules HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100")
    assert b" 408 " in slow
    assert running.client().get("/v1/rules").status_code == 200


def test_addresses_and_headers_of_a_megabyte_are_refused(service: "Running") -> None:
    long = "x" * 2**20
    client = service.client()
    heads = (f"GET /v1/rules/{long} HTTP/1.1", f"GET /v1/offers?version={long} HTTP/1.1")
    for head in (*heads, f"GET /v1/rules HTTP/1.1\r\nX-Request-Id: {long}"):
        with suppress(ConnectionError):  # it may be cut before all of it was sent
            assert _raw(service, head).split(b" ")[1][:1] in (b"4", b"")
    assert _raw(service, f"GET /v1/rules HTTP/1.1\r\nX-Much: {'x' * LONGEST_HEAD}").startswith(b"HTTP/1.1 400 ")
    assert b" 200 " in _raw(service, f"GET /v1/rules HTTP/1.1\r\nX-Much: {'x' * (LONGEST_HEAD - 1_000)}")
    assert client.get("/v1/offers", params={"version": "x" * 1_000}).status_code == 422
    assert client.get("/v1/rules/%00").status_code == 404
    assert client.get("/v1/rules/%ff%ed%a0%80").status_code == 404


def test_a_head_that_never_ends_and_a_tail_that_never_ends_are_cut(service: "Running") -> None:
    for begun in (
        b"GET /v1/rules HTTP/1.1\r\nX-Endless: ",
        b"POST /v1/rules HTTP/1.1\r\n" + _CHUNKED + b"\r\nX-Tail: ",
    ):
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10.0) as connection:
            sent = 0
            with suppress(ConnectionError):
                connection.sendall(begun)
                while sent < 64 * 2**20:
                    sent += connection.send(b"x" * 65_536)
        assert sent < 32 * 2**20  # what the sockets hold, and no more
    assert service.client().get("/v1/rules").status_code == 200


def _spoken(service: "Running", *pieces: bytes) -> bytes:
    """What comes back until the connection ends or falls silent."""
    host, port = service.url.removeprefix("http://").split(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=1.0) as connection, suppress(TimeoutError):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05)
        while more := connection.recv(65_536):
            found += more
    return found


@pytest.mark.parametrize("cuts", [(), (300,), (20,)], ids=["in one piece", "body apart", "head in two"])
def test_an_offer_to_speak_another_protocol_is_not_taken_and_loses_nothing(
    service: "Running", cuts: tuple[int, ...]
) -> None:
    body = json.dumps({"name": "adults", "reason": "too young", "predicate": "age < 18"}).encode()
    offer = "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    head = f"POST /v1/rules HTTP/1.1\r\nHost: x\r\n{offer}Authorization: Bearer {service.keys['manager']}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    sent = head.encode() + body
    at = [0, *(min(cut, len(head)) for cut in cuts), len(sent)]
    answer = _spoken(service, *(sent[a:b] for a, b in itertools.pairwise(at)))
    assert answer.startswith(b"HTTP/1.1 2"), answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_who_hangs_up_in_the_middle_of_a_body_is_no_failure_of_ours(service: "Running") -> None:
    key = service.keys["manager"]
    begun = f"POST /v1/rules HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10.0) as connection:
        connection.sendall(f"{begun}Content-Length: 100\r\n\r\n{{".encode())
        time.sleep(0.2)
    for _ in range(50):
        told = service.client(None).get("/metrics").text
        if 'status="499"' in told:
            break
        time.sleep(0.1)
    assert 'status="499"' in told
    assert 'route="/v1/rules",status="500"' not in told


def test_above_the_rate_there_is_429_with_a_time_to_come_again(serve: Callable[..., "Running"]) -> None:
    running = serve(requests_per_second=0.5, burst=3)
    client = running.client("analyst")
    answers = [client.get("/v1/rules") for _ in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
    assert answers[-1].json()["type"] == "urn:allot:problem:too-many"
    assert running.client("manager").get("/v1/rules").status_code == 200


def test_what_nobody_foresaw_is_a_500_that_says_nothing_but_the_id(
    service: "Running", monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("warehouse.newest_house_rules", broken, raising=False)
    answer = service.client().get("/v1/rules", headers={"x-request-id": "mine-1"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine-1"
    assert "secret" not in answer.text
    assert 'route="/v1/rules",status="500"} 1.0' in service.client(None).get("/metrics").text
    monkeypatch.undo()
    assert service.client().get("/v1/rules").status_code == 200


def test_request_ids_that_are_not_plain_are_replaced(service: "Running") -> None:
    client = service.client(None)
    assert client.get("/livez", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 65, '"}'):
        given = client.get("/livez", headers={"x-request-id": odd}).headers["x-request-id"]
        assert given != odd
        assert len(given) == 16


def test_problems_are_json_without_anything_invisible(service: "Running") -> None:
    answer = service.client().post("/v1/campaigns", json={"name": "x", "as_of": "\x1b[31m" + "y" * 200 + "\u202e"})
    detail = json.loads(answer.content)["detail"]
    assert answer.status_code == 422
    assert detail.isprintable() or "\n" in detail


def test_a_request_that_accepts_nothing_that_there_is_does_nothing(service: "Running") -> None:
    client = service.client()
    rule = {"name": "never-kept", "reason": "r", "predicate": "true"}
    refused = [client.post("/v1/rules", json=rule, headers={"accept": "text/html"})]
    refused += [client.get(r.path, headers={"accept": "image/*"}) for r in routes() if "GET" in (r.methods or ())]
    for answer in refused:
        assert (answer.status_code, answer.headers["content-type"]) == (406, "application/problem+json"), answer.url
        assert answer.json()["type"] == "urn:allot:problem:accept"
    assert "never-kept" not in client.get("/v1/rules", headers={"accept": "text/html, */*;q=0.1"}).text
