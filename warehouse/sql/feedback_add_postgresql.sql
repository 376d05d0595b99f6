-- Events added to the log, each column as an array, and counted; see feedback_tally in database.sql.
-- grain: one row: how many were added, and their ids where not all were
-- key of the log: event_id, which nothing takes twice
WITH added AS (
    INSERT INTO feedback_event
        (event_id, decision_id, outcome, reward_micros, occurred_at, received_at, digest, status, decision_key, reason)
    SELECT new.*, ''
    FROM unnest(
        %s::text[], %s::text[], %s::integer[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[]
    ) AS new
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id
), counted AS (
    INSERT INTO feedback_tally (writer, changes)
    SELECT %s, count(*) FROM added HAVING count(*) > 0
    ON CONFLICT (writer) DO UPDATE SET changes = feedback_tally.changes + excluded.changes
)
SELECT count(*), CASE WHEN count(*) < %s THEN array_agg(event_id) END FROM added
