-- What each pair's customer had received strictly before the pair's time, and what was known of it by then.
-- Grain: one row per pair, channel, category, offer and window. Keys: pair_id, channel, category, offer, span.
-- channel, category and offer are positions in the parameters (0: not among them); times and spans are microseconds.
WITH contact AS (
    SELECT NULL::BOOLEAN AS refused WHERE false
    UNION ALL BY NAME
    SELECT * FROM ${contacts}
),
seen AS (
    SELECT
        p.pair_id,
        coalesce(list_position($channels::VARCHAR[], c.channel), 0) AS channel,
        coalesce(list_position($categories::VARCHAR[], c.category), 0) AS category,
        coalesce(list_position($offers::VARCHAR[], c.offer_id), 0) AS offer,
        epoch_us(CAST(p.at AS TIMESTAMPTZ)) - epoch_us(CAST(c.at AS TIMESTAMPTZ)) AS age,
        epoch_us(CAST(p.at AS TIMESTAMPTZ)) - epoch_us(CAST(c.outcome_at AS TIMESTAMPTZ)) AS known_for,
        c.outcome,
        coalesce(c.refused, c.outcome = 0) AS refused
    FROM ${pairs} AS p
    JOIN contact AS c ON c.customer_id = p.customer_id AND c.at < p.at
)
SELECT
    pair_id, channel, category, offer, span,
    count(*) FILTER (age <= span) AS contacts,
    count(*) FILTER (age <= span AND outcome = 1 AND known_for > 0) AS successes,
    min(age) AS age,
    min(known_for) FILTER (refused AND known_for > 0) AS refusal_age
FROM seen, unnest($spans::BIGINT[]) AS s(span)
GROUP BY ALL
