-- What each pair's customer had done strictly before the pair's time, as far as it had been received by then.
-- Grain: one row per pair and window. Keys: pair_id, span. Times and spans are microseconds.
WITH event AS (
    SELECT NULL::TIMESTAMPTZ AS received_at, NULL::VARCHAR AS kind WHERE false
    UNION ALL BY NAME
    SELECT * FROM ${events}
),
seen AS (
    SELECT
        p.pair_id,
        epoch_us(CAST(p.at AS TIMESTAMPTZ)) - epoch_us(CAST(e.at AS TIMESTAMPTZ)) AS age,
        lower(e.kind) IN ('refusal', 'unsubscribe') AS refused
    FROM ${pairs} AS p
    JOIN event AS e
        ON e.customer_id = p.customer_id AND e.at < p.at AND coalesce(e.received_at, e.at) < p.at
)
SELECT
    pair_id, span,
    count(*) FILTER (age <= span) AS events,
    min(age) AS age,
    min(age) FILTER (refused) AS refusal_age
FROM seen, unnest($spans::BIGINT[]) AS s(span)
GROUP BY ALL
