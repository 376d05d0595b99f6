-- The columns of a relation, none of its rows.
SELECT * FROM ${relation} LIMIT 0
