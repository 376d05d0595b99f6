-- Logged exposures, in an order that does not depend on the file's, as they were known at a moment.
-- grain: one row per exposure; key: none (equal rows may repeat); row_key names what was decided for whom and when: the
-- decision's own id where the log has it
-- place: of the row among those that came in, from 0
-- in: exposures(customer_id, offer_id, decided_at, propensity, outcome, reward, outcome_at, decision_id)
WITH known AS (
    SELECT *, outcome_at IS NULL OR outcome_at <= $as_of AS arrived, row_number() OVER () - 1 AS place
    FROM exposures
)
SELECT
    customer_id,
    offer_id,
    decided_at,
    propensity,
    CASE WHEN arrived THEN outcome ELSE 0 END::DOUBLE AS outcome,
    CASE WHEN arrived THEN coalesce(reward, outcome) ELSE 0 END::DOUBLE AS reward,
    reward IS NOT NULL OR outcome = 0 OR NOT arrived AS reward_known,
    CASE WHEN arrived AND outcome = 1 THEN epoch_us(outcome_at) - epoch_us(decided_at) END AS delay_us,
    coalesce(decision_id, concat_ws('|', customer_id, coalesce(offer_id, ''), epoch_us(decided_at))) AS row_key,
    decided_at + to_microseconds(CAST($outcome_days * 86400000000 AS BIGINT)) <= $as_of AS matured,
    place
FROM known
ORDER BY decided_at, customer_id, offer_id NULLS FIRST, outcome, reward, propensity, row_key
