-- Makes retention_periods: after how many days users are looked for again.
-- Grain and key: one row per days_after.
-- Parameters: none.
CREATE OR REPLACE TABLE retention_periods AS
SELECT days_after
FROM (
    VALUES
    (1),
    (3),
    (7),
    (14),
    (30)
) AS periods (days_after)
