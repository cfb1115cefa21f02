-- How many of a tenant's experiments a list would show over all of its pages.
-- Grain: one row.
-- Parameters: tenant_id text, statuses text[] (NULL: all), words text (NULL: all), as in experiments/list.
SELECT count(*) AS total
FROM experiments
WHERE experiments.tenant_id = %(tenant_id)s
    AND (%(statuses)s::text [] IS NULL OR experiments.status = ANY (%(statuses)s::text []))
    AND (
        %(words)s::text IS NULL
        OR strpos(lower(experiments.experiment_id), lower(%(words)s::text)) > 0
        OR strpos(lower(experiments.name), lower(%(words)s::text)) > 0
        OR strpos(lower(experiments.description), lower(%(words)s::text)) > 0
    )
