-- Keeps the contacts for as long as the connection lives. Grain: one row per contact. Keys: none.
CREATE OR REPLACE TEMP TABLE ${table} AS
SELECT * FROM ${made}
