-- Which decisions have an event that counts.
-- grain: one row per event of decisions with some keys
-- OFFSET 0: see feedback_kept_postgresql.sql
SELECT found.decision_id
FROM unnest(%s::bigint[]) AS given (decision_key)
CROSS JOIN LATERAL (SELECT e.* FROM feedback_event AS e WHERE e.decision_key = given.decision_key OFFSET 0) AS found
WHERE found.status IN ('accepted', 'corrected')
