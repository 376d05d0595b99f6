-- What is known of some event ids.
-- grain: one row per event id that is in the log; key: event_id
SELECT event_id, digest, status FROM feedback_event WHERE event_id IN (SELECT value FROM json_each(?))
