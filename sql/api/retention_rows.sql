-- Retention rows of a window of cohort days, each column as a JSON list, and the runs that published them; complete: a run
-- of the job has seen the end of the day looked at.
-- Grain: one row; its lists have a value per day, period and dimension, in that order, a period's overall one first, and
-- are null without any.
-- Parameters: variants_of text (NULL: all; else overall rows and those of this experiment), tenant_id text, first_day, last_day date (both included).
SELECT
    json_build_object(
        'day', json_agg(found.day),
        'days_after', json_agg(found.days_after),
        'experiment_id', json_agg(found.experiment_id),
        'variant_id', json_agg(found.variant_id),
        'cohort_size', json_agg(found.cohort_size),
        'retained_users', json_agg(found.retained_users),
        'rate', json_agg(found.rate),
        'complete', json_agg(found.complete)
    )::text AS columns,
    array_agg(DISTINCT found.run_id) AS run_ids
FROM (
    SELECT
        retention_rollups.day,
        retention_rollups.days_after,
        retention_rollups.experiment_id,
        retention_rollups.variant_id,
        retention_rollups.cohort_size,
        retention_rollups.retained_users,
        retention_rollups.rate,
        coalesce(
            retention_rollups.complete_at <= (
                SELECT max(rollup_runs.as_of)
                FROM rollup_runs
                WHERE rollup_runs.job_name = 'retention_rollup'
                    AND rollup_runs.status = 'SUCCESS'
            ),
            FALSE
        ) AS complete,
        retention_rollups.run_id
    FROM retention_rollups
    WHERE retention_rollups.tenant_id = %(tenant_id)s
        AND (
            %(variants_of)s::text IS NULL
            OR retention_rollups.experiment_id IS NULL
            OR retention_rollups.experiment_id = %(variants_of)s
        )
        AND retention_rollups.day BETWEEN %(first_day)s AND %(last_day)s
    ORDER BY
        retention_rollups.day,
        retention_rollups.days_after,
        retention_rollups.experiment_id NULLS FIRST,
        retention_rollups.variant_id NULLS FIRST
) AS found
