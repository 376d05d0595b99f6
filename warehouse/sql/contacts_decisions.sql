-- Our own decisions with an offer, each at ${moment}: its campaign's as_of, or its own decided_at.
-- Grain: one row per decision. Key: decision_id.
SELECT d.decision_id, d.customer_id, d.offer_id, CAST(${moment} AS TIMESTAMPTZ) AS at
FROM read_parquet($files, filename = true) AS d
JOIN ${files} AS f ON f.file = d.filename
WHERE d.offer_id IS NOT NULL AND NOT d.held_out
