-- Each pair's customer; unknown customers have nulls. Grain: one row per pair. Key: pair_id.
SELECT p.pair_id, c.* EXCLUDE (customer_id)
FROM ${pairs} AS p
LEFT JOIN ${customers} AS c ON c.customer_id = p.customer_id
ORDER BY p.pair_id
