-- Makes funnel_chains: from each entry a chain leads to the first event of step 2 at the same time or later. Of a user's
-- entries of one day with the same variants and the same second event only the last matters: it reaches all they reach.
-- Grain and key: (person, stamp, entered_us, step_number), steps 1 and 2; gap_us is since the step before. No parameters.
CREATE OR REPLACE TABLE funnel_chains AS
WITH followed AS (
    SELECT
        person,
        step_number,
        stamp,
        at_us,
        until_us,
        min(CASE WHEN step_number = 2 THEN at_us END) OVER (
            PARTITION BY person
            ORDER BY
                at_us,
                step_number
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS next_us
    FROM funnel_events
    WHERE step_number <= 2
),

entries AS (
    SELECT
        person,
        stamp,
        at_us // 86400000000 AS day_number,
        CASE WHEN next_us <= until_us THEN next_us END AS next_us,
        max(at_us) AS entered_us,
        max(until_us) AS until_us
    FROM followed
    WHERE step_number = 1
    GROUP BY
        person,
        stamp,
        at_us // 86400000000,
        CASE WHEN next_us <= until_us THEN next_us END
)

SELECT
    person,
    stamp,
    day_number,
    entered_us,
    until_us,
    1 AS step_number,
    entered_us AS at_us,
    CAST(NULL AS BIGINT) AS gap_us
FROM entries
UNION ALL
SELECT
    person,
    stamp,
    day_number,
    entered_us,
    until_us,
    2,
    next_us,
    next_us - entered_us
FROM entries
WHERE next_us IS NOT NULL
