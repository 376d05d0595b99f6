-- Logged exposures that are old enough for their outcome to be known, in an order that does not depend on the file's.
-- grain: one row per exposure; key: none (equal rows may repeat); row_key names what was decided for whom and when
-- in: exposures(customer_id, offer_id, decided_at, propensity, outcome, reward)
SELECT
    customer_id,
    offer_id,
    decided_at,
    propensity,
    outcome::DOUBLE AS outcome,
    coalesce(reward, outcome)::DOUBLE AS reward,
    concat_ws('|', customer_id, coalesce(offer_id, ''), epoch_us(decided_at)) AS row_key,
    decided_at + to_microseconds(CAST($outcome_days * 86400000000 AS BIGINT)) <= $as_of AS matured
FROM exposures
ORDER BY decided_at, customer_id, offer_id NULLS FIRST, outcome, reward, propensity
