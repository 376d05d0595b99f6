-- Exponentially decayed counts and amounts of each pair's events strictly before its time, at several half-lives.
-- Grain: one row per pair, half-life and category. Keys: pair_id, half_life, category.
-- category is a position in the parameter (0: not among them, -1: none); half-lives are microseconds.
-- The sums are of integers (2^-32 events, 2^-20 currency units), so that threads change no bit.
WITH event AS (
    SELECT NULL::TIMESTAMPTZ AS received_at, NULL::VARCHAR AS category, NULL::DOUBLE AS amount WHERE false
    UNION ALL BY NAME
    SELECT * FROM ${events}
),
seen AS (
    SELECT
        p.pair_id,
        CASE WHEN e.category IS NULL THEN -1
            ELSE coalesce(list_position($categories::VARCHAR[], e.category), 0) END AS category,
        epoch_us(CAST(p.at AS TIMESTAMPTZ)) - epoch_us(CAST(e.at AS TIMESTAMPTZ)) AS age,
        e.amount
    FROM ${pairs} AS p
    JOIN event AS e
        ON e.customer_id = p.customer_id AND e.at < p.at AND coalesce(e.received_at, e.at) < p.at
),
weighted AS (
    SELECT pair_id, half_life, category, pow(0.5, age / half_life) AS weight, amount
    FROM seen, unnest($half_lives::BIGINT[]) AS h(half_life)
)
SELECT
    pair_id, half_life, category,
    CAST(sum(CAST(round(weight * 4294967296) AS BIGINT)) AS DOUBLE) / 4294967296 AS events,
    CAST(coalesce(sum(TRY_CAST(round(weight * amount * 1048576) AS BIGINT)), 0) AS DOUBLE) / 1048576 AS amount
FROM weighted
GROUP BY ALL
