-- Each pair's customer as known at the pair's time: the latest row with valid_from at or before it; nulls before the first.
-- Grain: one row per pair. Key: pair_id. A row without valid_from holds from the beginning.
WITH customer AS (
    SELECT * REPLACE (coalesce(CAST(valid_from AS TIMESTAMPTZ), '-infinity'::TIMESTAMPTZ) AS valid_from)
    FROM ${customers}
)
SELECT p.pair_id, c.* EXCLUDE (customer_id, valid_from)
FROM (SELECT q.pair_id, q.customer_id, CAST(q.at AS TIMESTAMPTZ) AS at FROM ${pairs} AS q) AS p
ASOF LEFT JOIN customer AS c ON c.customer_id = p.customer_id AND p.at >= c.valid_from
ORDER BY p.pair_id
