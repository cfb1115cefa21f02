-- Adds to funnel_reached what each person reached on each cohort day, overall and per variant: the steps of the chain
-- that gets furthest, of several the one that began last. Number and time within the day are one number to compare.
-- Grain: one row per person, cohort day, dimension and step. Parameters: none.
INSERT INTO funnel_reached
WITH furthest AS (
    SELECT
        funnel_chains.person,
        funnel_chains.day_number,
        funnel_dimensions.dimension,
        max(
            funnel_chains.step_number * 86400000000 + funnel_chains.entered_us % 86400000000
        ) % 86400000000 AS entered_us
    FROM funnel_chains
    INNER JOIN funnel_dimensions
        ON funnel_dimensions.stamp = funnel_chains.stamp
    GROUP BY
        funnel_chains.person,
        funnel_chains.day_number,
        funnel_dimensions.dimension
),

reached AS (
    SELECT
        funnel_chains.person,
        funnel_chains.day_number,
        furthest.dimension,
        funnel_chains.step_number,
        min(funnel_chains.gap_us) AS gap_us
    FROM funnel_chains
    INNER JOIN funnel_dimensions
        ON funnel_dimensions.stamp = funnel_chains.stamp
    INNER JOIN furthest
        ON furthest.person = funnel_chains.person
        AND furthest.day_number = funnel_chains.day_number
        AND furthest.dimension = funnel_dimensions.dimension
        AND furthest.entered_us = funnel_chains.entered_us % 86400000000
    GROUP BY
        funnel_chains.person,
        funnel_chains.day_number,
        furthest.dimension,
        funnel_chains.step_number
)

SELECT
    funnel_people.tenant_id,
    funnel_people.funnel_name,
    reached.day_number,
    reached.dimension,
    reached.step_number,
    reached.gap_us
FROM reached
INNER JOIN funnel_people
    ON funnel_people.person = reached.person
