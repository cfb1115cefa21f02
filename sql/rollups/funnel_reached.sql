-- Adds to funnel_reached what each person reached on each cohort day, overall and per variant: the steps of the chain
-- that gets furthest, of several the one that began last. Number and time within the day are one number to compare.
-- Grain: one row per person, cohort day, dimension and step_number of funnel_chains. Parameters: none.
INSERT INTO funnel_reached
WITH later AS (
    SELECT
        chain,
        max(reached) AS reached
    FROM funnel_chains
    WHERE step_number > 1
    GROUP BY chain
),

entries AS (
    SELECT
        funnel_chains.chain,
        funnel_chains.person,
        funnel_chains.stamp,
        funnel_chains.entered_us // 86400000000 AS day_number,
        coalesce(later.reached, funnel_chains.reached) * 86400000000 + funnel_chains.entered_us % 86400000000 AS rank
    FROM funnel_chains
    LEFT JOIN later
        ON later.chain = funnel_chains.chain
    WHERE funnel_chains.step_number = 1
),

furthest_of_stamp AS (
    SELECT
        person,
        day_number,
        stamp,
        max(rank) AS rank,
        arg_max(chain, rank) AS chain
    FROM entries
    GROUP BY
        person,
        day_number,
        stamp
),

furthest AS (
    SELECT
        furthest_of_stamp.person,
        furthest_of_stamp.day_number,
        funnel_dimensions.dimension,
        arg_max(furthest_of_stamp.chain, furthest_of_stamp.rank) AS chain
    FROM furthest_of_stamp
    INNER JOIN funnel_dimensions
        ON funnel_dimensions.stamp = furthest_of_stamp.stamp
    GROUP BY
        furthest_of_stamp.person,
        furthest_of_stamp.day_number,
        funnel_dimensions.dimension
)

SELECT
    funnel_audiences.audience,
    furthest.day_number,
    furthest.dimension,
    funnel_chains.step_number,
    funnel_chains.second_gap_us,
    funnel_chains.third_gap_us,
    funnel_chains.fourth_gap_us,
    funnel_chains.fifth_gap_us
FROM furthest
INNER JOIN funnel_people
    ON funnel_people.who = furthest.person // 64
INNER JOIN funnel_audiences
    ON funnel_audiences.tenant_id = funnel_people.tenant_id
    AND funnel_audiences.funnel_number = furthest.person % 64
INNER JOIN funnel_chains
    ON funnel_chains.chain = furthest.chain
