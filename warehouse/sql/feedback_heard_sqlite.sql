-- What the events that count say of decisions with some keys: by time, ties by event id.
-- grain: one row per decision_id; key: decision_id
SELECT decision_id, first_outcome, latest_outcome, largest_outcome, latest_at
FROM (
    SELECT
        decision_id,
        row_number() OVER by_time AS place,
        first_value(outcome) OVER by_time AS first_outcome,
        last_value(outcome) OVER by_time AS latest_outcome,
        max(outcome) OVER by_time AS largest_outcome,
        max(occurred_at) OVER by_time AS latest_at
    FROM feedback_event
    WHERE decision_key IN (SELECT value FROM json_each(?)) AND status IN ('accepted', 'corrected')
    WINDOW by_time AS (
        PARTITION BY decision_id
        ORDER BY occurred_at, event_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
) AS heard
WHERE place = 1
