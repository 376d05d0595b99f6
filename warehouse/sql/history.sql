-- Our own decisions with what became of them.
-- grain: one row per decision of the allocations given; key: decision_id
-- in: allocations(path, allocation_id, as_of, outcome_days, no_feedback, heard_with), outcomes(decision_id, outcome, reward,
--     occurred_at); ${moment} is when a decision was made: its allocation's as_of, or its own decided_at
WITH joined AS MATERIALIZED (
    SELECT
        d.decision_id,
        a.allocation_id,
        d.customer_id,
        d.offer_id,
        d.held_out,
        d.propensity,
        CAST(${moment} AS TIMESTAMPTZ) AS decided_at,
        o.decision_id IS NOT NULL AS answered,
        coalesce(o.outcome, 0)::DOUBLE AS outcome,
        coalesce(o.reward, 0)::DOUBLE AS reward,
        o.occurred_at,
        CASE WHEN o.outcome = 1 THEN epoch_us(o.occurred_at) - epoch_us(CAST(${moment} AS TIMESTAMPTZ)) END AS delay_us,
        CAST(${moment} AS TIMESTAMPTZ) + to_microseconds(CAST(a.outcome_days * 86400000000 AS BIGINT)) <= $as_of AS matured,
        a.heard_with,
        a.no_feedback = 'failure' AS silence_counts
    FROM read_parquet($paths, filename = true) AS d
    JOIN allocations AS a ON a.path = d.filename
    LEFT JOIN outcomes AS o ON o.decision_id = d.decision_id
),
heard AS (SELECT DISTINCT heard_with FROM joined WHERE answered)
SELECT
    * EXCLUDE (heard_with, silence_counts),
    -- Silence means failure only where somebody speaks: a plan of which nothing at all was heard may never have been sent.
    silence_counts AND heard_with IN (FROM heard) AS silence_is_failure,
    silence_counts
FROM joined
ORDER BY decision_id
