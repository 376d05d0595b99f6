-- The events that count of decisions with some keys, by time, ties by event id.
-- grain: one row per event; key: event_id
-- OFFSET 0: see feedback_kept_postgresql.sql
SELECT found.decision_id, found.occurred_at, found.outcome, found.reward_micros
FROM unnest(%s::bigint[]) AS given (decision_key)
CROSS JOIN LATERAL (SELECT e.* FROM feedback_event AS e WHERE e.decision_key = given.decision_key OFFSET 0) AS found
WHERE found.status IN ('accepted', 'corrected')
ORDER BY found.occurred_at, found.event_id
