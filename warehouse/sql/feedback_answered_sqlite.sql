-- Which decisions have an event that counts; one event says it, however many there are.
-- grain: one row per key, NULL where there is none
SELECT (
    SELECT e.decision_id
    FROM feedback_event AS e
    WHERE e.decision_key = given.value AND e.status IN ('accepted', 'corrected')
    LIMIT 1
)
FROM json_each(?) AS given
