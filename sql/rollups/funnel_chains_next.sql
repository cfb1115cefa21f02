-- Adds to funnel_chains where each chain that reached a step goes on: to the first event of the next step at the same
-- time or later, if that is within the window after the entry.
-- Grain and key: as funnel_chains, of one step. Parameters: step_number integer.
INSERT INTO funnel_chains
SELECT
    person,
    stamp,
    day_number,
    entered_us,
    until_us,
    $step_number,
    next_us,
    next_us - at_us
FROM (
    SELECT
        person,
        stamp,
        day_number,
        entered_us,
        until_us,
        at_us,
        min(CASE WHEN stamp IS NULL THEN at_us END) OVER (
            PARTITION BY person
            ORDER BY
                at_us,
                stamp NULLS LAST
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS next_us
    FROM (
        SELECT
            person,
            stamp,
            day_number,
            entered_us,
            until_us,
            at_us
        FROM funnel_chains
        WHERE step_number = $step_number - 1
        UNION ALL
        SELECT
            person,
            NULL,
            NULL,
            NULL,
            NULL,
            at_us
        FROM funnel_events
        WHERE step_number = $step_number
    )
)
WHERE stamp IS NOT NULL
    AND next_us <= until_us
