-- What is known of every decision, in the units of the log of decisions.
-- grain: one row per decision_id; key: decision_id
-- in: so_far, as outcomes_so_far.sql leaves it
SELECT
    decision_id,
    outcome::TINYINT AS outcome,
    reward_micros / 1e6 AS reward,
    make_timestamptz(occurred_at) AS occurred_at,
    make_timestamptz(received_at) AS received_at
FROM ${so_far}
ORDER BY decision_id
