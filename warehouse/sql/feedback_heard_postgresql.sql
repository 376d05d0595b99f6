-- What the events that count say of decisions with some keys: by time, ties by event id.
-- grain: one row per decision_id; key: decision_id
-- OFFSET 0: see feedback_kept_postgresql.sql
SELECT decision_id, first_outcome, latest_outcome, largest_outcome, latest_at
FROM (
    SELECT
        found.decision_id,
        row_number() OVER by_time AS place,
        first_value(found.outcome) OVER by_time AS first_outcome,
        last_value(found.outcome) OVER by_time AS latest_outcome,
        max(found.outcome) OVER by_time AS largest_outcome,
        max(found.occurred_at) OVER by_time AS latest_at
    FROM unnest(%s::bigint[]) AS given (decision_key)
    CROSS JOIN LATERAL (SELECT e.* FROM feedback_event AS e WHERE e.decision_key = given.decision_key OFFSET 0) AS found
    WHERE found.status IN ('accepted', 'corrected')
    WINDOW by_time AS (
        PARTITION BY found.decision_id
        ORDER BY found.occurred_at, found.event_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
) AS heard
WHERE place = 1
