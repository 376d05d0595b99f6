-- The audience, and for each customer the rules that exclude offers, as bitmasks.
-- Grain: one row per customer of the audience. Key: customer_id.
-- c = customers as of the moment, m = their memory (one row per customer, or none).
SELECT
  c.*,
  $masks
FROM present_customers AS c
LEFT JOIN $memory AS m ON m.customer_id = c.customer_id
WHERE $audience
