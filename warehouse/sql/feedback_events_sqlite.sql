-- The events that count of decisions with some keys, by time, ties by event id.
-- grain: one row per event; key: event_id
SELECT decision_id, occurred_at, outcome, reward_micros
FROM feedback_event
WHERE decision_key IN (SELECT value FROM json_each(?)) AND status IN ('accepted', 'corrected')
ORDER BY occurred_at, event_id
