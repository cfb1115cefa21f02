-- Adds some days to funnel_cohorts: users and the median time since the step before, interpolated linearly. Should ids
-- with colons give two variants of a cohort one dimension_key, the one whose experiment_id sorts first stays.
-- Grain and key: those of the table. Exact medians do not spill to disk: never over many days at once. Parameters: none.
INSERT INTO funnel_cohorts
WITH medians AS MATERIALIZED (
    SELECT
        audience,
        day_number,
        dimension,
        step_number,
        count(*) AS users_count,
        count(second_gap_us) AS second_users,
        quantile_cont(second_gap_us, 0.5) / 1e6 AS second_median,
        count(third_gap_us) AS third_users,
        quantile_cont(third_gap_us, 0.5) / 1e6 AS third_median,
        count(fourth_gap_us) AS fourth_users,
        quantile_cont(fourth_gap_us, 0.5) / 1e6 AS fourth_median,
        count(fifth_gap_us) AS fifth_users,
        quantile_cont(fifth_gap_us, 0.5) / 1e6 AS fifth_median
    FROM funnel_reached
    GROUP BY
        audience,
        day_number,
        dimension,
        step_number
),

counted AS (
    SELECT
        audience,
        day_number,
        dimension,
        step_number,
        users_count,
        NULL AS median_seconds
    FROM medians
    WHERE step_number = 1
    UNION ALL
    SELECT
        audience,
        day_number,
        dimension,
        step_number + 1 AS step_number,
        second_users AS users_count,
        second_median AS median_seconds
    FROM medians
    WHERE second_users > 0
    UNION ALL
    SELECT
        audience,
        day_number,
        dimension,
        step_number + 2 AS step_number,
        third_users AS users_count,
        third_median AS median_seconds
    FROM medians
    WHERE third_users > 0
    UNION ALL
    SELECT
        audience,
        day_number,
        dimension,
        step_number + 3 AS step_number,
        fourth_users AS users_count,
        fourth_median AS median_seconds
    FROM medians
    WHERE fourth_users > 0
    UNION ALL
    SELECT
        audience,
        day_number,
        dimension,
        step_number + 4 AS step_number,
        fifth_users AS users_count,
        fifth_median AS median_seconds
    FROM medians
    WHERE fifth_users > 0
),

named AS (
    SELECT
        funnel_audiences.tenant_id,
        DATE '1970-01-01' + CAST(counted.day_number AS INTEGER) AS day,
        funnel_audiences.funnel_name,
        coalesce(funnel_variants.experiment_id || ':' || funnel_variants.variant_id, 'overall') AS dimension_key,
        funnel_variants.experiment_id,
        funnel_variants.variant_id,
        counted.step_number,
        counted.users_count,
        counted.median_seconds
    FROM counted
    INNER JOIN funnel_audiences
        ON funnel_audiences.audience = counted.audience
    LEFT JOIN funnel_variants
        ON funnel_variants.dimension = counted.dimension
)

SELECT
    tenant_id,
    day,
    funnel_name,
    dimension_key,
    experiment_id,
    variant_id,
    step_number,
    users_count,
    median_seconds
FROM named
QUALIFY experiment_id IS NOT DISTINCT FROM min(experiment_id) OVER (
    PARTITION BY
        tenant_id,
        day,
        funnel_name,
        dimension_key
)
