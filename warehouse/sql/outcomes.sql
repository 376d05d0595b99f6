-- What is known of every decision, from all its events; the order in which they came plays no part.
-- grain: one row per decision_id; key: decision_id
-- in: events(decision_id, event_id, outcome, reward_micros, occurred_at, received_at), times in microseconds
--     counting(source, aggregation): of allocations, and of single decisions, of which not the latest event counts
WITH together AS MATERIALIZED (
    SELECT
        decision_id,
        count(*) AS events,
        any_value(outcome) AS outcome,
        any_value(reward_micros) AS reward_micros,
        any_value(occurred_at) AS occurred_at,
        any_value(received_at) AS received_at
    FROM ${events}
    GROUP BY decision_id
),
placed AS (
    SELECT
        e.*,
        coalesce(of_allocation.aggregation, of_single.aggregation, 'latest') AS aggregation,
        row_number() OVER (PARTITION BY decision_id ORDER BY occurred_at, event_id) AS place,
        row_number() OVER (PARTITION BY decision_id ORDER BY occurred_at DESC, event_id DESC) AS place_from_end
    FROM ${events} AS e
    SEMI JOIN (SELECT decision_id FROM together WHERE events > 1) AS several USING (decision_id)
    LEFT JOIN ${counting} AS of_allocation ON of_allocation.source = e.decision_id[:-18]
    LEFT JOIN ${counting} AS of_single ON of_single.source = e.decision_id
),
counted AS (
    -- Nearly every decision has one event, which counts whatever the campaign says.
    SELECT decision_id, outcome, reward_micros, occurred_at, received_at FROM together WHERE events = 1
    UNION ALL
    SELECT
        decision_id,
        max(outcome) AS outcome,
        CASE any_value(aggregation) WHEN 'max' THEN max(reward_micros) ELSE sum(reward_micros) END AS reward_micros,
        max(occurred_at) AS occurred_at,
        max(received_at) AS received_at
    FROM placed
    WHERE CASE aggregation WHEN 'first' THEN place = 1 WHEN 'latest' THEN place_from_end = 1 ELSE true END
    GROUP BY decision_id
)
SELECT
    decision_id,
    outcome::TINYINT AS outcome,
    reward_micros / 1e6 AS reward,
    make_timestamptz(occurred_at) AS occurred_at,
    make_timestamptz(received_at) AS received_at
FROM counted
ORDER BY decision_id
