-- Which decisions have an event that counts; one event says it, however many there are.
-- grain: one row per key that has one
-- LIMIT 1 also keeps the lookup apart, as OFFSET 0 does in feedback_kept_postgresql.sql.
SELECT found.decision_id
FROM unnest(%s::bigint[]) AS given (decision_key)
CROSS JOIN LATERAL (
    SELECT e.decision_id
    FROM feedback_event AS e
    WHERE e.decision_key = given.decision_key AND e.status IN ('accepted', 'corrected')
    LIMIT 1
) AS found
