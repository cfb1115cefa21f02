-- Adds to funnel_chains where chains go on from a step for up to four more: always to the first event of the next step
-- at the same time or later, if that is within the window after the entry. From step 1 on every entry begins a chain.
-- Grain and key: as funnel_chains, of one step_number. Parameters: step_number integer (1, 5, 9 and so on).
-- Going backwards through a person's moments, each window keeps what came last of one step, and what that step kept of
-- the steps after it; 0 is never. They go by the order of the one sort, which is far cheaper than a sort for each: rows
-- in any other order are an error.
INSERT INTO funnel_chains
WITH windows AS (
    SELECT DISTINCT
        funnel_number,
        window_us
    FROM funnel_steps
    WHERE ordered
),

moments AS (
    SELECT
        funnel_entered.person,
        funnel_entered.moment,
        funnel_stamps.stamp AS carried,
        CAST(NULL AS BIGINT) AS entered_us
    FROM funnel_entered
    INNER JOIN funnel_stamps
        ON funnel_stamps.experiment_map IS NOT DISTINCT FROM funnel_entered.experiment_map
    WHERE $step_number = 1
    UNION ALL
    SELECT
        person,
        fifth_us * 32 + reached AS moment,
        chain AS carried,
        entered_us
    FROM funnel_chains
    WHERE reached = $step_number
        AND step_number = $step_number - 4
    UNION ALL
    SELECT
        person,
        moment,
        NULL AS carried,
        NULL AS entered_us
    FROM funnel_followed
    WHERE moment % 32 BETWEEN $step_number + 1 AND $step_number + 4
),

backwards AS (
    SELECT
        person,
        moment,
        moment % 32 - $step_number AS step,
        carried,
        entered_us,
        CASE
            WHEN lag(person) OVER () = person AND lag(moment) OVER () >= moment THEN NULL
            WHEN lag(person) OVER () >= person THEN error('the moments are not in the order of their sort')
            ELSE CAST(0 AS BIGINT)
        END AS never
    FROM (
        SELECT
            person,
            moment,
            carried,
            entered_us
        FROM moments
        ORDER BY
            person,
            moment DESC
    )
),

to_fifth AS (
    SELECT
        person,
        moment,
        step,
        carried,
        entered_us,
        never,
        last_value(CASE WHEN step = 4 THEN moment ELSE never END IGNORE NULLS) OVER onwards AS fifth
    FROM backwards
    WINDOW onwards AS (ROWS UNBOUNDED PRECEDING)
),

to_fourth AS (
    SELECT
        person,
        moment,
        step,
        carried,
        entered_us,
        never,
        last_value(CASE WHEN step = 3 THEN moment ELSE never END IGNORE NULLS) OVER onwards AS fourth,
        last_value(CASE WHEN step = 3 THEN fifth ELSE never END IGNORE NULLS) OVER onwards AS fifth
    FROM to_fifth
    WINDOW onwards AS (ROWS UNBOUNDED PRECEDING)
),

to_third AS (
    SELECT
        person,
        moment,
        step,
        carried,
        entered_us,
        never,
        last_value(CASE WHEN step = 2 THEN moment ELSE never END IGNORE NULLS) OVER onwards AS third,
        last_value(CASE WHEN step = 2 THEN fourth ELSE never END IGNORE NULLS) OVER onwards AS fourth,
        last_value(CASE WHEN step = 2 THEN fifth ELSE never END IGNORE NULLS) OVER onwards AS fifth
    FROM to_fourth
    WINDOW onwards AS (ROWS UNBOUNDED PRECEDING)
),

to_second AS (
    SELECT
        person,
        moment,
        carried,
        entered_us,
        last_value(CASE WHEN step = 1 THEN moment ELSE never END IGNORE NULLS) OVER onwards AS second,
        last_value(CASE WHEN step = 1 THEN third ELSE never END IGNORE NULLS) OVER onwards AS third,
        last_value(CASE WHEN step = 1 THEN fourth ELSE never END IGNORE NULLS) OVER onwards AS fourth,
        last_value(CASE WHEN step = 1 THEN fifth ELSE never END IGNORE NULLS) OVER onwards AS fifth
    FROM to_third
    WINDOW onwards AS (ROWS UNBOUNDED PRECEDING)
),

begun AS (
    SELECT
        to_second.person,
        to_second.carried,
        coalesce(to_second.entered_us, to_second.moment // 32) AS entered_us,
        to_second.moment // 32 AS at_us,
        nullif(to_second.second, 0) // 32 AS second_us,
        nullif(to_second.third, 0) // 32 AS third_us,
        nullif(to_second.fourth, 0) // 32 AS fourth_us,
        nullif(to_second.fifth, 0) // 32 AS fifth_us,
        coalesce(to_second.entered_us, to_second.moment // 32) + windows.window_us AS until_us
    FROM to_second
    INNER JOIN windows
        ON windows.funnel_number = to_second.person % 64
    WHERE to_second.carried IS NOT NULL
)

SELECT
    CASE WHEN $step_number = 1 THEN row_number() OVER () ELSE carried END AS chain,
    person,
    CASE WHEN $step_number = 1 THEN carried END AS stamp,
    entered_us,
    $step_number AS step_number,
    $step_number + CASE
        WHEN fifth_us <= until_us THEN 4
        WHEN fourth_us <= until_us THEN 3
        WHEN third_us <= until_us THEN 2
        WHEN second_us <= until_us THEN 1
        ELSE 0
    END AS reached,
    CASE WHEN fifth_us <= until_us THEN fifth_us END AS fifth_us,
    CASE WHEN second_us <= until_us THEN second_us - at_us END AS second_gap_us,
    CASE WHEN third_us <= until_us THEN third_us - second_us END AS third_gap_us,
    CASE WHEN fourth_us <= until_us THEN fourth_us - third_us END AS fourth_gap_us,
    CASE WHEN fifth_us <= until_us THEN fifth_us - fourth_us END AS fifth_gap_us
FROM begun
