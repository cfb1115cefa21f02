-- Makes funnel_chains: the steps 1 and 2 of each chain; gap_us is the time since the step before.
-- Grain and key: (chain, step_number).
-- Parameters: none.
CREATE OR REPLACE TABLE funnel_chains AS
SELECT
    chain,
    person,
    until_us,
    1 AS step_number,
    entered_us AS at_us,
    CAST(NULL AS BIGINT) AS gap_us
FROM funnel_entries
UNION ALL
SELECT
    chain,
    person,
    until_us,
    2 AS step_number,
    next_us AS at_us,
    next_us - entered_us AS gap_us
FROM funnel_entries
WHERE next_us <= until_us
