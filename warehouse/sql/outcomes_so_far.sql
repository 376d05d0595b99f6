-- Events of the log, a part of it at a time, brought to one line per decision; the order in which they came plays no
-- part, nor does how the log was cut: a line that stands for several events counts on like one event.
-- grain: one row per decision_id; key: decision_id
-- in: so_far, events (decision_id, event_id, outcome, reward_micros, occurred_at, received_at), times in microseconds;
--     counting(source, aggregation): of allocations, and of single decisions, of which not the latest event counts
WITH everything AS NOT MATERIALIZED (
    SELECT * FROM ${so_far}
    UNION ALL BY NAME
    SELECT * FROM ${events}
),
together AS MATERIALIZED (
    SELECT
        decision_id,
        count(*) AS events,
        any_value(event_id) AS event_id,
        any_value(outcome) AS outcome,
        any_value(reward_micros) AS reward_micros,
        any_value(occurred_at) AS occurred_at,
        any_value(received_at) AS received_at,
        min(occurred_at) AS first_at,
        max(occurred_at) AS last_at
    FROM everything
    GROUP BY decision_id
),
several AS MATERIALIZED (
    SELECT decision_id, first_at, last_at, coalesce(of_allocation.aggregation, of_single.aggregation, 'latest') AS aggregation
    FROM together
    LEFT JOIN ${counting} AS of_allocation ON of_allocation.source = decision_id[:-18]
    LEFT JOIN ${counting} AS of_single ON of_single.source = decision_id
    WHERE events > 1
),
considered AS (
    -- By their times alone nearly all that do not count are left out: only ties are put in an order, which is dear.
    SELECT everything.*, aggregation
    FROM everything
    JOIN several USING (decision_id)
    WHERE CASE aggregation WHEN 'first' THEN occurred_at = first_at WHEN 'latest' THEN occurred_at = last_at ELSE true END
),
placed AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY decision_id ORDER BY event_id) AS place,
        row_number() OVER (PARTITION BY decision_id ORDER BY event_id DESC) AS place_from_end
    FROM considered
)
-- Nearly every decision has one event, which counts whatever the campaign says.
SELECT decision_id, event_id, outcome, reward_micros, occurred_at, received_at FROM together WHERE events = 1
UNION ALL
SELECT
    decision_id,
    max(event_id) AS event_id,
    max(outcome) AS outcome,
    CASE any_value(aggregation) WHEN 'max' THEN max(reward_micros) ELSE sum(reward_micros) END AS reward_micros,
    max(occurred_at) AS occurred_at,
    max(received_at) AS received_at
FROM placed
WHERE CASE aggregation WHEN 'first' THEN place = 1 WHEN 'latest' THEN place_from_end = 1 ELSE true END
GROUP BY decision_id
