-- Sessions of each pair's customer in the window before the pair's time: runs of events with gaps of at most `gap`.
-- Grain: one row per pair with events. Key: pair_id. Times are microseconds.
-- Gaps are taken among the events known to the pair, so that an event received later cannot join two sessions.
WITH event AS (
    SELECT NULL::TIMESTAMPTZ AS received_at WHERE false
    UNION ALL BY NAME
    SELECT * FROM ${events}
),
seen AS (
    SELECT p.pair_id, epoch_us(CAST(e.at AS TIMESTAMPTZ)) AS at_us
    FROM ${pairs} AS p
    JOIN event AS e
        ON e.customer_id = p.customer_id AND e.at < p.at AND coalesce(e.received_at, e.at) < p.at
    WHERE epoch_us(CAST(p.at AS TIMESTAMPTZ)) - epoch_us(CAST(e.at AS TIMESTAMPTZ)) <= $span
),
spaced AS (
    SELECT pair_id, at_us - lag(at_us) OVER (PARTITION BY pair_id ORDER BY at_us) AS gap
    FROM seen
)
SELECT pair_id, count(*) FILTER (gap IS NULL OR gap > $gap) AS sessions
FROM spaced
GROUP BY pair_id
