-- Which decisions have an event that counts.
-- grain: one row per event of decisions with some keys
SELECT decision_id
FROM feedback_event
WHERE decision_key IN (SELECT value FROM json_each(?)) AND status IN ('accepted', 'corrected')
