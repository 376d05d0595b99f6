-- Customers as they were known at a moment.
-- Grain: one row per customer. Key: customer_id.
-- Of several rows per customer the latest counts that was valid at the moment or before.
SELECT * FROM customers
WHERE valid_from <= CAST($as_of AS TIMESTAMPTZ)
QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY valid_from DESC) = 1
