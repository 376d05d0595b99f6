-- Our own decisions with what became of them.
-- grain: one row per decision of the allocations given; key: decision_id
-- in: allocations(path, allocation_id, decided_at, outcome_days, no_feedback), outcomes(decision_id, outcome, reward, occurred_at)
SELECT
    d.decision_id,
    a.allocation_id,
    d.customer_id,
    d.offer_id,
    d.held_out,
    d.propensity,
    a.decided_at,
    o.decision_id IS NOT NULL AS answered,
    coalesce(o.outcome, 0)::DOUBLE AS outcome,
    coalesce(o.reward, 0)::DOUBLE AS reward,
    o.occurred_at,
    CASE WHEN o.outcome = 1 THEN epoch_us(o.occurred_at) - epoch_us(a.decided_at) END AS delay_us,
    a.decided_at + to_microseconds(CAST(a.outcome_days * 86400000000 AS BIGINT)) <= $as_of AS matured,
    -- Silence means failure only where somebody speaks: a plan of which nothing at all was heard may never have been sent.
    a.no_feedback = 'failure' AND count(o.decision_id) OVER (PARTITION BY a.allocation_id) > 0 AS silence_is_failure,
    a.no_feedback = 'failure' AS silence_counts
FROM read_parquet($paths, filename = true) AS d
JOIN allocations AS a ON a.path = d.filename
LEFT JOIN outcomes AS o ON o.decision_id = d.decision_id
ORDER BY d.decision_id
