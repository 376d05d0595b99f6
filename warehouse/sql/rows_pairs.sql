-- The pairs in their order. Grain: one row per pair. Key: pair_id. Times are microseconds since 1970 in UTC.
SELECT CAST(p.pair_id AS BIGINT) AS pair_id, epoch_us(CAST(p.at AS TIMESTAMPTZ)) AS at_us
FROM ${pairs} AS p
ORDER BY p.pair_id
