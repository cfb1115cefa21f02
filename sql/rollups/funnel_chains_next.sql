-- Adds to funnel_chains where each chain that reached a step goes on: to the first event of the next step at the same
-- time or later, if that is within the window after the entry.
-- Grain and key: as funnel_chains, of one step. Parameters: step_number integer.
INSERT INTO funnel_chains
SELECT
    chain,
    person,
    until_us,
    $step_number AS step_number,
    next_moment // 32 AS at_us,
    next_moment // 32 - moment // 32 AS gap_us
FROM (
    SELECT
        chain,
        person,
        until_us,
        moment,
        min(CASE WHEN chain IS NULL THEN moment END) OVER (
            PARTITION BY person
            ORDER BY moment
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS next_moment
    FROM (
        SELECT
            chain,
            person,
            until_us,
            at_us * 32 + step_number AS moment
        FROM funnel_chains
        WHERE step_number = $step_number - 1
        UNION ALL
        SELECT
            NULL AS chain,
            person,
            NULL AS until_us,
            moment
        FROM funnel_events
        WHERE moment % 32 = $step_number
    )
)
WHERE chain IS NOT NULL
    AND next_moment // 32 <= until_us
