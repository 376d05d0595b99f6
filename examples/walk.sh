#!/usr/bin/env bash
# A walk over the service with curl: allocate -> decide -> feedback -> learn -> explain -> evaluate.
#
#     make demo && examples/walk.sh                 # on what the demo has left, in SQLite
#     ALLOT_DATABASE_URL=postgresql://... examples/walk.sh FOLDER    # the same in PostgreSQL
#
# FOLDER is a demo's folder (default allot-demo). The walk starts `allot serve` on it, on a free port, and ends it.
set -euo pipefail

folder=${1:-allot-demo}
bin=$(cd "$(dirname "$0")/.." && pwd)/.venv/bin
export ALLOT_HOME=$folder/workspace
field() { "$bin/python" -c "import json, sys; print(json.load(sys.stdin)$1)"; }

echo "== a key for everything: shown once, kept as a hash"
key=$("$bin/allot" keys create --role admin --name walk --output json | field '["key"]')

port=$("$bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
"$bin/allot" serve --port "$port" 2>"$folder/serve.log" &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true' EXIT
for _ in $(seq 240); do
  curl -sf "$url/readyz" >/dev/null && break
  kill -0 $server 2>/dev/null || { cat "$folder/serve.log" >&2; exit 1; }
  sleep .25
done

call() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "$@"; }

echo "== allocate: the demo's campaign six weeks later; three tenths of its limits are kept for single decisions"
"$bin/python" - "$folder" >"$folder/walk.json" <<'PYTHON'
import datetime, json, sys, tomllib

document = tomllib.load(open(f"{sys.argv[1]}/campaign.toml", "rb"))
document |= {"name": "walk", "as_of": "2026-02-15T00:00:00Z"}
until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
document["single_decisions"] = {"share": 0.3, "expected_per_day": 200, "until": until.isoformat()}
print(json.dumps(document, default=str))
PYTHON
job=$(call -H 'Idempotency-Key: walk' -d "@$folder/walk.json" "$url/v1/allocations" | field '["id"]')
call --no-buffer "$url/v1/allocations/$job/events" | grep '"state":"done"' | tail -1  # ends with the job
allocation=$(call "$url/v1/allocations/$job" | tee "$folder/walk-allocation.json" | field '["allocation_id"]')
field '["status"]' <"$folder/walk-allocation.json"

echo "== its decisions, one a line"
call -H 'Accept: application/x-ndjson' "$url/v1/allocations/$allocation/decisions?limit=200" >"$folder/walk-decisions.ndjson"
first=$("$bin/python" - "$folder/walk-decisions.ndjson" <<'PYTHON'
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1])]
chosen = next(row for row in rows if row["offer_id"])
print(chosen["customer_id"], chosen["decision_id"])
PYTHON
)
read -r customer decision <<<"$first"

echo "== decide: one customer now, at prices that keep what is left of the limits"
call -d "{\"campaign\": \"walk\", \"customer_id\": \"$customer\", \"decision_id\": \"walk-$allocation\"}" "$url/v1/decisions"
echo

echo "== feedback: the same events twice, which counts once"
before=$(curl -s "$url/readyz" | field '["checks"]["model"]["id"]')
cat >"$folder/walk-feedback.json" <<JSON
[{"event_id": "$allocation-1", "decision_id": "$decision", "outcome": 1, "reward": 12.5, "occurred_at": "2026-02-16T09:00:00Z"},
 {"event_id": "$allocation-2", "decision_id": "walk-$allocation", "outcome": 1, "reward": 9, "occurred_at": "$(date -u +%FT%TZ)"}]
JSON
call -d "@$folder/walk-feedback.json" "$url/v1/feedback"
echo
call -d "@$folder/walk-feedback.json" "$url/v1/feedback"
echo

echo "== learn: the worker folds by itself; decisions use the new posterior within seconds"
for _ in $(seq 120); do
  after=$(curl -s "$url/readyz" | field '["checks"]["model"]["id"]')
  [ "$after" != "$before" ] && break
  sleep .25
done
echo "$before -> $after"
[ "$after" != "$before" ] || { echo "nothing was learnt" >&2; exit 1; }

echo "== explain: why this offer, why not the others; the batch's decision and the single one"
call "$url/v1/allocations/$allocation/customers/$customer" | field '["sentence"]'
call "$url/v1/decisions/walk-$allocation/why" | field '["offers"][0]'

echo "== evaluate: what would a fifth less budget have earned?"
job=$(call -d '{"policy": "logged", "until": "2026-02-01T00:00:00Z", "what_if": ["budget=-20%"]}' "$url/v1/evaluations" | field '["id"]')
call --no-buffer "$url/v1/evaluations/$job/events" >"$folder/walk-evaluation.sse"  # ends with the job
call "$url/v1/evaluations/$job" >"$folder/walk-evaluation.json"
"$bin/python" - "$folder/walk-evaluation.json" <<'PYTHON'
import json, sys

result = json.load(open(sys.argv[1]))["result"]
for scenario in (result["as_written"], *result["scenarios"]):
    found = scenario["estimate"]
    print(f"{scenario['scenario']}: {found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}] a decision, {scenario['verdict']}")
PYTHON
