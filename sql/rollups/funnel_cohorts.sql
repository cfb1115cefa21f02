-- Adds some days to funnel_cohorts: users and the median time since the step before, interpolated linearly.
-- Grain and key: those of the table. Exact medians do not spill to disk: never over many days at once.
-- Parameters: none.
INSERT INTO funnel_cohorts
WITH dimensions AS (
    SELECT DISTINCT
        dimension,
        dimension_key,
        experiment_id,
        variant_id
    FROM funnel_dimensions
),

counted AS (
    SELECT
        tenant_id,
        day_number,
        funnel_name,
        dimension,
        step_number,
        count(*) AS users_count,
        quantile_cont(gap_us, 0.5) / 1e6 AS median_seconds
    FROM funnel_reached
    GROUP BY
        tenant_id,
        day_number,
        funnel_name,
        dimension,
        step_number
)

SELECT
    counted.tenant_id,
    DATE '1970-01-01' + CAST(counted.day_number AS INTEGER) AS day,
    counted.funnel_name,
    dimensions.dimension_key,
    dimensions.experiment_id,
    dimensions.variant_id,
    counted.step_number,
    counted.users_count,
    counted.median_seconds
FROM counted
INNER JOIN dimensions
    ON dimensions.dimension = counted.dimension
