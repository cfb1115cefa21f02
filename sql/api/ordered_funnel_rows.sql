-- Ordered funnel rows of a window of cohort days, each column as a JSON list, and the runs that published them; complete: a
-- run of the job has seen the end of the last window.
-- Grain: one row; its lists have a value per day, funnel, step and dimension, in that order, a step's overall one first,
-- and are null without any.
-- Parameters: variants_of text (NULL: all; else overall rows and those of this experiment), tenant_id text, funnel_name text (NULL: all), first_day, last_day date (both included).
SELECT
    json_build_object(
        'day', json_agg(found.day),
        'funnel_name', json_agg(found.funnel_name),
        'step_number', json_agg(found.step_number),
        'step_name', json_agg(found.step_name),
        'experiment_id', json_agg(found.experiment_id),
        'variant_id', json_agg(found.variant_id),
        'users_count', json_agg(found.users_count),
        'median_seconds', json_agg(found.median_seconds),
        'window_seconds', json_agg(found.window_seconds),
        'complete', json_agg(found.complete)
    )::text AS columns,
    array_agg(DISTINCT found.run_id) AS run_ids
FROM (
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
    ORDER BY
        funnel_cohort_rollups.day,
        funnel_cohort_rollups.funnel_name,
        funnel_cohort_rollups.step_number,
        funnel_cohort_rollups.experiment_id NULLS FIRST,
        funnel_cohort_rollups.variant_id NULLS FIRST
) AS found
