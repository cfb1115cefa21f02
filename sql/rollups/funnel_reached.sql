-- Adds to funnel_reached what each person reached on each cohort day, overall and per variant: the steps of the chain
-- that gets furthest, of several the one that began last. Number and time within the day are one number to compare.
-- Grain: one row per person, cohort day, dimension and step. Parameters: none.
INSERT INTO funnel_reached
WITH depths AS (
    SELECT
        chain,
        max(step_number) AS depth
    FROM funnel_chains
    GROUP BY chain
),

furthest AS (
    SELECT
        funnel_entries.person,
        funnel_entries.day_number,
        funnel_dimensions.dimension,
        arg_max(funnel_entries.chain, depths.depth * 86400000000 + funnel_entries.entered_us % 86400000000) AS chain
    FROM funnel_entries
    INNER JOIN depths
        ON depths.chain = funnel_entries.chain
    INNER JOIN funnel_dimensions
        ON funnel_dimensions.stamp = funnel_entries.stamp
    GROUP BY
        funnel_entries.person,
        funnel_entries.day_number,
        funnel_dimensions.dimension
)

SELECT
    funnel_people.audience,
    furthest.day_number,
    furthest.dimension,
    funnel_chains.step_number,
    funnel_chains.gap_us
FROM furthest
INNER JOIN funnel_people
    ON funnel_people.person = furthest.person
INNER JOIN funnel_chains
    ON funnel_chains.chain = furthest.chain
