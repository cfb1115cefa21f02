-- Funnel rows of a window.
-- Grain: one row per day, funnel, step and dimension, in that order; the overall row of a step comes first.
-- Parameters: variants_of text (NULL: all; else overall rows and those of this experiment), tenant_id text, funnel_name text (NULL: all), first_day, last_day date (both included).
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
ORDER BY
    funnel_rollups.day,
    funnel_rollups.funnel_name COLLATE "C",
    funnel_rollups.step_name COLLATE "C",
    funnel_rollups.experiment_id NULLS FIRST,
    funnel_rollups.variant_id NULLS FIRST
