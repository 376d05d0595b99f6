"""The service from Python: every call is safe to repeat, and is repeated while the service is busy or coming back.

with Client("http://127.0.0.1:8000", key) as allot:
    asked = allot.allocate({"name": "spring", "as_of": "2026-03-01"})
    done = allot.wait(asked)
    decision = allot.decide("spring", customer_id="c17")
    allot.feedback([{"event_id": "e1", "decision_id": decision["decision_id"], "outcome": 1, ...}])
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, final
from urllib.parse import quote

import httpx

from allot import (
    AccessError,
    AllotError,
    CampaignError,
    DataError,
    LimitError,
    NotFoundError,
    RuleError,
    WorkspaceError,
    __version__,
)

Document: TypeAlias = dict[str, Any]
Progress: TypeAlias = Callable[[Document], None]
JobKind: TypeAlias = Literal["allocations", "evaluations", "simulations"]

_AGAIN = (429, 502, 503, 504)
_LONGEST_WAIT, _FIRST_WAIT, _LOOK_SECONDS = 5.0, 0.2, 0.25
_BATCH = 1_000
_KINDS: dict[str, type[AllotError]] = {
    "campaign": CampaignError,
    "limits": LimitError,
    "rule": RuleError,
    "not-found": NotFoundError,
    "unauthorised": AccessError,
    "forbidden": AccessError,
}
_SUFFIXES = {".parquet": "application/vnd.apache.parquet", ".csv": "text/csv", ".ndjson": "application/x-ndjson"}


@final
class Client:
    """Calls one service with one key.

    What the service refuses is raised as the error that the same slip has on the command line: CampaignError,
    LimitError, RuleError, DataError, NotFoundError, AccessError; WorkspaceError where it cannot be reached.

    Args:
        url: such as https://allot.example.com.
        key: an API key or a web token.
        patience_seconds: how long a call is repeated while the service is busy, limits the rate, or is out of reach.
        timeout_seconds: of one attempt.
    """

    def __init__(self, url: str, key: str, *, patience_seconds: float = 60.0, timeout_seconds: float = 60.0) -> None:
        self._url = url.rstrip("/")
        self._patience = patience_seconds
        # loading certificates takes 100 ms, and http has none
        self._http = httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {key}", "User-Agent": f"allot/{__version__}"},
            timeout=timeout_seconds,
            verify=not self._url.startswith("http://"),
        )

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def allocate(self, campaign: Mapping[str, Any], *, release: bool = True, key: str | None = None) -> Document:
        """Ask for an allocation; the job, for `wait`. The same `key` with the same campaign is the same allocation."""
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return self._json("POST", "/v1/allocations", campaign, {"release": release}, headers)

    def evaluate(self, question: Mapping[str, Any], *, key: str | None = None) -> Document:
        """Ask for an evaluation, as `POST /v1/evaluations` describes it; the job, for `wait`."""
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return self._json("POST", "/v1/evaluations", question, None, headers)

    def simulate(self, world: Mapping[str, Any], *, key: str | None = None) -> Document:
        """Ask for a simulation, as `POST /v1/simulations` describes it; the job, for `wait`."""
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return self._json("POST", "/v1/simulations", world, None, headers)

    def wait(self, job: Document, kind: JobKind = "allocations", *, told: Progress | None = None) -> Document:
        """Wait until a job has ended; what it is then.

        Args:
            job: as it was asked for.
            kind: of the job.
            told: called with the job each time its progress has changed.

        Raises:
            AllotError: it failed or was cancelled; what, where and remedy as the service says.
        """
        last: Any = None
        while job["state"] not in ("done", "failed", "cancelled"):
            time.sleep(_LOOK_SECONDS)
            job = self._json("GET", f"/v1/{kind}/{_part(job['id'])}")
            if told is not None and job.get("progress") != last:
                last = job.get("progress")
                told(job)
        if job["state"] == "done":
            return job
        error = job.get("error") or {}
        known = {kind.__name__: kind for kind in (*_KINDS.values(), DataError, WorkspaceError)}
        kind_of = known.get(str(error.get("kind")), AllotError)
        what = str(error.get("what") or f"the job was {job['state']}.")
        raise kind_of(what, where=str(error.get("where") or ""), remedy=str(error.get("remedy") or ""))

    def allocation(self, allocation_id: str) -> Document:
        """An allocation or its job, with the summary once it is done."""
        return self._json("GET", f"/v1/allocations/{_part(allocation_id)}")

    def allocations(self) -> Iterator[Document]:
        """Allocations that were asked for over HTTP, newest first."""
        before: str | None = None
        while True:
            page = self._json("GET", "/v1/allocations", None, {} if before is None else {"before": before})
            yield from page["items"]
            before = page["next"]
            if before is None:
                return

    def decisions(self, allocation_id: str) -> Iterator[Document]:
        """The decisions of an allocation, one by one, in the order of their ids."""
        path = f"/v1/allocations/{_part(allocation_id)}/decisions"
        with self._http.stream("GET", path, headers={"Accept": "application/x-ndjson"}) as answer:
            if answer.status_code >= 400:
                answer.read()
            _check(answer)
            for line in answer.iter_lines():
                if line:
                    yield json.loads(line)

    def explain(self, customer_id: str, allocation_id: str) -> Document:
        """Why a customer got what they got, and why not each of the other offers."""
        return self._json("GET", f"/v1/allocations/{_part(allocation_id)}/customers/{_part(customer_id)}")

    def decide(
        self,
        campaign: str,
        *,
        customer_id: str | None = None,
        features: Mapping[str, Any] | None = None,
        decision_id: str | None = None,
    ) -> Document:
        """Which offer, if any, one customer gets now; durable when it returns."""
        asked = {"campaign": campaign, "customer_id": customer_id, "features": features}
        given = {name: value for name, value in asked.items() if value is not None}
        return self._json(
            "POST", "/v1/decisions", {**given, "decision_id": decision_id or f"dec-{secrets.token_hex(16)}"}
        )

    def why(self, decision_id: str) -> Document:
        """Why a single decision is what it is, and why not each of the other offers."""
        return self._json("GET", f"/v1/decisions/{_part(decision_id)}/why")

    def feedback(self, records: Sequence[Mapping[str, Any]]) -> Document:
        """Send outcomes, a thousand at a time: how many were accepted, duplicate, ..., and a result for each."""
        whole: Document = {"results": []}
        for start in range(0, len(records), _BATCH):
            said = self._json("POST", "/v1/feedback", list(records[start : start + _BATCH]))
            for name, value in said.items():
                whole[name] = whole[name] + value if name in whole else value
        return whole

    def load(self, table: str, path: Path, *, append: bool = False) -> Document:
        """Load a table from a .parquet, .ndjson or .csv file."""
        headers = {"Content-Type": _SUFFIXES.get(path.suffix.lower(), "application/octet-stream")}

        def send() -> httpx.Response:
            with path.open("rb") as file:
                parameters = {"append": append}
                return self._http.post(f"/v1/tables/{_part(table)}", content=file, params=parameters, headers=headers)

        return _read(self._repeated(send))

    def offers(self) -> Document:
        """The offers of the current data version."""
        return self._json("GET", "/v1/offers")

    def put_offers(self, offers: Sequence[Mapping[str, Any]]) -> Document:
        """Add or replace offers."""
        return self._json("POST", "/v1/offers", {"offers": list(offers)})

    def put_rule(self, name: str, reason: str, predicate: str, *, active: bool = True) -> Document:
        """Write a rule of the house, or its next version."""
        rule = {"name": name, "reason": reason, "predicate": predicate, "active": active}
        return self._json("POST", "/v1/rules", rule)

    def _json(
        self,
        method: str,
        path: str,
        body: Any = None,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        content = None if body is None else json.dumps(body, allow_nan=False, default=str).encode()
        sent = {"Content-Type": "application/json"} if content is not None else {}
        sent |= headers or {}

        def send() -> httpx.Response:
            return self._http.request(method, path, content=content, params=parameters, headers=sent)

        return _read(self._repeated(send))

    def _repeated(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send until there is an answer that is not "later", or patience ends."""
        until, wait = time.monotonic() + self._patience, _FIRST_WAIT
        while True:
            try:
                answer = send()
                asked = answer.headers.get("retry-after", "")
                later = float(asked) if asked.isdigit() else wait
                if answer.status_code not in _AGAIN or time.monotonic() + later > until:
                    return answer
            except httpx.TransportError as error:
                if time.monotonic() + wait > until:
                    what = f"cannot be reached ({type(error).__name__})."
                    raise WorkspaceError(what, where=self._url, remedy="Check the address and that it runs.") from error
                later = wait
            time.sleep(min(later, _LONGEST_WAIT))
            wait = min(2 * wait, _LONGEST_WAIT)


def _read(answer: httpx.Response) -> Document:
    _check(answer)
    try:
        document: Document = answer.json()
    except ValueError as error:
        raise WorkspaceError("did not answer with JSON.", where=str(answer.url), remedy="Is it Allot?") from error
    return document


def _check(answer: httpx.Response) -> None:
    """Raise what the service refuses as an error of ours.

    Raises:
        AllotError: of the problem's kind.
    """
    if answer.status_code < 400:
        return
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    kind = str(problem.get("type", "")).rpartition(":")[2]
    default = DataError if answer.status_code < 500 else WorkspaceError
    what = str(problem.get("detail") or problem.get("title") or f"answered with status {answer.status_code}.")
    raise _KINDS.get(kind, default)(what, where="the service")


def _part(name: str) -> str:
    return quote(name, safe="")
