-- What is known of some event ids.
-- grain: one row per event id that is in the log; key: event_id
-- OFFSET 0 keeps the lookup apart, so that it goes by the index for each id. A plan made while the table was small
-- would read all of it, and be kept while it grows.
SELECT found.event_id, found.digest, found.status
FROM unnest(%s::text[]) AS given (event_id)
CROSS JOIN LATERAL (SELECT e.* FROM feedback_event AS e WHERE e.event_id = given.event_id OFFSET 0) AS found
