-- Events added to the log, each column as an array; the ids of those that were added come back.
-- grain: one row per event; key: event_id, which nothing takes twice
INSERT INTO feedback_event
    (event_id, decision_id, outcome, reward_micros, occurred_at, received_at, digest, status, decision_key, reason)
SELECT new.*, ''
FROM unnest(
    %s::text[], %s::text[], %s::integer[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[]
) AS new
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id
