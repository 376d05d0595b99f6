-- Every contact: a logged exposure with an offer, or one of our own decisions with an offer.
-- Grain: one row per contact. Keys: none; (customer_id, at) is what it is read by.
-- A decision that the log repeats under its decision_id counts once, as the log's row.
WITH exposure AS (
    SELECT NULL::VARCHAR AS decision_id, NULL::INTEGER AS outcome, NULL::TIMESTAMPTZ AS outcome_at WHERE false
    UNION ALL BY NAME
    SELECT * FROM ${exposures}
),
offer AS (
    SELECT NULL::VARCHAR AS channel, NULL::VARCHAR AS category WHERE false
    UNION ALL BY NAME
    SELECT * FROM ${offers}
),
contact AS (
    SELECT customer_id, offer_id, CAST(decided_at AS TIMESTAMPTZ) AS at, CAST(outcome AS INTEGER) AS outcome,
        CAST(outcome_at AS TIMESTAMPTZ) AS outcome_at
    FROM exposure
    WHERE offer_id IS NOT NULL
    UNION ALL
    SELECT d.customer_id, d.offer_id, CAST(d.at AS TIMESTAMPTZ), CAST(y.outcome AS INTEGER),
        CAST(y.occurred_at AS TIMESTAMPTZ)
    FROM ${decisions} AS d
    LEFT JOIN ${outcomes} AS y ON y.decision_id = d.decision_id
    ANTI JOIN exposure AS x ON x.decision_id = d.decision_id
)
SELECT c.customer_id, c.offer_id, o.channel, o.category, c.at, c.outcome, c.outcome_at
FROM contact AS c
LEFT JOIN offer AS o ON o.offer_id = c.offer_id
