-- Events added to the log; run with many rows at once.
-- grain: one row per event; key: event_id, which nothing takes twice
INSERT INTO feedback_event
    (event_id, decision_id, outcome, reward_micros, occurred_at, received_at, digest, status, decision_key, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '')
ON CONFLICT (event_id) DO NOTHING
