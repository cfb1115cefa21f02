-- Funnel rows of a window, each column as a JSON list, and the runs that published them.
-- Grain: one row; its lists have a value per day, funnel, step and dimension, in that order, a step's overall one first,
-- and are null without any.
-- Parameters: variants_of text (NULL: all; else overall rows and those of this experiment), tenant_id text, funnel_name text (NULL: all), first_day, last_day date (both included).
SELECT
    json_build_object(
        'day', json_agg(found.day),
        'funnel_name', json_agg(found.funnel_name),
        'step_name', json_agg(found.step_name),
        'experiment_id', json_agg(found.experiment_id),
        'variant_id', json_agg(found.variant_id),
        'users_count', json_agg(found.users_count),
        'events_count', json_agg(found.events_count)
    )::text AS columns,
    array_agg(DISTINCT found.run_id) AS run_ids
FROM (
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
) AS found
