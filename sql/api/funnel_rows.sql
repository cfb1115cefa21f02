-- Funnel rows of a window as JSON: a list of objects with the columns below.
-- Grain: one row; its list has an object per day, funnel, step and dimension, in that order, a step's overall one first.
-- Parameters: variants_of text (NULL: all; else overall rows and those of this experiment), tenant_id text, funnel_name text (NULL: all), first_day, last_day date (both included).
WITH found AS (
    SELECT
        funnel_rollups.day,
        funnel_rollups.funnel_name,
        funnel_rollups.step_name,
        funnel_rollups.experiment_id,
        funnel_rollups.variant_id,
        funnel_rollups.users_count,
        funnel_rollups.events_count,
        funnel_rollups.run_id
    FROM funnel_rollups
    WHERE funnel_rollups.tenant_id = %(tenant_id)s
        AND (%(funnel_name)s::text IS NULL OR funnel_rollups.funnel_name = %(funnel_name)s)
        AND (
            %(variants_of)s::text IS NULL
            OR funnel_rollups.experiment_id IS NULL
            OR funnel_rollups.experiment_id = %(variants_of)s
        )
        AND funnel_rollups.day BETWEEN %(first_day)s AND %(last_day)s
)

SELECT
    coalesce(
        json_agg(
            found
            ORDER BY
                found.day,
                found.funnel_name COLLATE "C",
                found.step_name COLLATE "C",
                found.experiment_id NULLS FIRST,
                found.variant_id NULLS FIRST
        ),
        '[]'
    )::text AS rows
FROM found
