-- Ordered funnel rows of a window of cohort days as JSON: a list of objects with the columns below; complete: a run of the
-- job has seen the end of the last window.
-- Grain: one row; its list has an object per day, funnel, step and dimension, in that order, a step's overall one first.
-- Parameters: variants_of text (NULL: all; else overall rows and those of this experiment), tenant_id text, funnel_name text (NULL: all), first_day, last_day date (both included).
WITH found AS (
    SELECT
        funnel_cohort_rollups.day,
        funnel_cohort_rollups.funnel_name,
        funnel_cohort_rollups.step_number,
        funnel_cohort_rollups.step_name,
        funnel_cohort_rollups.experiment_id,
        funnel_cohort_rollups.variant_id,
        funnel_cohort_rollups.users_count,
        funnel_cohort_rollups.median_seconds,
        funnel_cohort_rollups.window_seconds,
        coalesce(
            funnel_cohort_rollups.complete_at <= (
                SELECT max(rollup_runs.as_of)
                FROM rollup_runs
                WHERE rollup_runs.job_name = 'funnel_cohort_rollup'
                    AND rollup_runs.status = 'SUCCESS'
            ),
            FALSE
        ) AS complete,
        funnel_cohort_rollups.run_id
    FROM funnel_cohort_rollups
    WHERE funnel_cohort_rollups.tenant_id = %(tenant_id)s
        AND (%(funnel_name)s::text IS NULL OR funnel_cohort_rollups.funnel_name = %(funnel_name)s)
        AND (
            %(variants_of)s::text IS NULL
            OR funnel_cohort_rollups.experiment_id IS NULL
            OR funnel_cohort_rollups.experiment_id = %(variants_of)s
        )
        AND funnel_cohort_rollups.day BETWEEN %(first_day)s AND %(last_day)s
)

SELECT
    coalesce(
        json_agg(
            found
            ORDER BY
                found.day,
                found.funnel_name,
                found.step_number,
                found.experiment_id NULLS FIRST,
                found.variant_id NULLS FIRST
        ),
        '[]'
    )::text AS rows
FROM found
