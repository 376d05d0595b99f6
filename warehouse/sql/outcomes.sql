-- What is known of every decision, from all its events; the order in which they came plays no part.
-- grain: one row per decision_id; key: decision_id
-- in: events(decision_id, event_id, outcome, reward_micros, occurred_at, received_at), times in microseconds
--     counting(source, aggregation): of allocations, and of single decisions, of which not the latest event counts
WITH placed AS (
    SELECT
        e.*,
        coalesce(of_allocation.aggregation, of_single.aggregation, 'latest') AS aggregation,
        row_number() OVER (PARTITION BY decision_id ORDER BY occurred_at, event_id) AS place,
        row_number() OVER (PARTITION BY decision_id ORDER BY occurred_at DESC, event_id DESC) AS place_from_end
    FROM ${events} AS e
    LEFT JOIN ${counting} AS of_allocation ON of_allocation.source = e.decision_id[:-18]
    LEFT JOIN ${counting} AS of_single ON of_single.source = e.decision_id
)
SELECT
    decision_id,
    max(outcome)::TINYINT AS outcome,
    CASE any_value(aggregation) WHEN 'max' THEN max(reward_micros) ELSE sum(reward_micros) END / 1e6 AS reward,
    make_timestamptz(max(occurred_at)) AS occurred_at,
    make_timestamptz(max(received_at)) AS received_at
FROM placed
WHERE CASE aggregation WHEN 'first' THEN place = 1 WHEN 'latest' THEN place_from_end = 1 ELSE true END
GROUP BY decision_id
ORDER BY decision_id
