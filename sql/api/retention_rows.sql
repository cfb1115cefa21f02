-- Retention rows of a window of cohort days as JSON: a list of objects with the columns below; complete: a run of the job
-- has seen the end of the day looked at.
-- Grain: one row; its list has an object per day, period and dimension, in that order, a period's overall one first.
-- Parameters: variants_of text (NULL: all; else overall rows and those of this experiment), tenant_id text, first_day, last_day date (both included).
WITH found AS (
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
)

SELECT
    coalesce(
        json_agg(
            found
            ORDER BY
                found.day,
                found.days_after,
                found.experiment_id NULLS FIRST,
                found.variant_id NULLS FIRST
        ),
        '[]'
    )::text AS rows
FROM found
