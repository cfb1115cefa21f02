-- A page of a tenant's experiments with their variants, in the order asked for; equal ones by id.
-- Grain and key: experiment_id; sort_key is a text that sorts, byte by byte, as the field does.
-- Parameters: tenant_id text, statuses text[] (NULL: all), words text (NULL: all; found in id, name or description, whatever
-- their case), sort text (createdAt, updatedAt, name, status, startDate, endDate), descending boolean, row_limit integer,
-- after_key, after_id text (the last row of the page before; NULL: from the beginning).
WITH keyed AS (
    SELECT
        experiments.tenant_id,
        experiments.experiment_id,
        CASE %(sort)s
            WHEN 'createdAt' THEN to_char(experiments.created_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')
            WHEN 'updatedAt' THEN to_char(experiments.updated_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')
            WHEN 'name' THEN lower(coalesce(experiments.name, experiments.experiment_id))
            WHEN 'status' THEN array_position(ARRAY['DRAFT', 'RUNNING', 'PAUSED', 'ENDED'], experiments.status)::text
            WHEN 'startDate' THEN to_char(experiments.start_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')
            WHEN 'endDate' THEN to_char(experiments.end_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')
        END AS key
    FROM experiments
    WHERE experiments.tenant_id = %(tenant_id)s
        AND (%(statuses)s::text [] IS NULL OR experiments.status = ANY (%(statuses)s::text []))
        AND (
            %(words)s::text IS NULL
            OR strpos(lower(experiments.experiment_id), lower(%(words)s::text)) > 0
            OR strpos(lower(experiments.name), lower(%(words)s::text)) > 0
            OR strpos(lower(experiments.description), lower(%(words)s::text)) > 0
        )
),

page AS (
    SELECT
        keyed.tenant_id,
        keyed.experiment_id,
        coalesce(keyed.key, '') COLLATE "C" AS sort_key
    FROM keyed
    WHERE %(after_id)s::text IS NULL
        OR CASE
            WHEN %(descending)s
                THEN (coalesce(keyed.key, '') COLLATE "C", keyed.experiment_id)
                    < (%(after_key)s::text COLLATE "C", %(after_id)s::text COLLATE "C")
            ELSE (coalesce(keyed.key, '') COLLATE "C", keyed.experiment_id)
                > (%(after_key)s::text COLLATE "C", %(after_id)s::text COLLATE "C")
        END
    ORDER BY
        CASE WHEN %(descending)s THEN coalesce(keyed.key, '') COLLATE "C" END DESC,
        CASE WHEN %(descending)s THEN keyed.experiment_id END DESC,
        coalesce(keyed.key, '') COLLATE "C",
        keyed.experiment_id
    LIMIT %(row_limit)s
)

SELECT
    page.sort_key,
    experiments.experiment_id,
    experiments.name,
    experiments.description,
    experiments.status,
    experiments.start_at,
    experiments.end_at,
    experiments.targeting,
    experiments.traffic_allocation,
    experiments.layer,
    experiments.layer_from,
    experiments.layer_to,
    experiments.allocation_version,
    experiments.version,
    experiments.revision,
    experiments.started_at,
    experiments.created_at,
    experiments.updated_at,
    variants_of_experiment(experiments.tenant_id, experiments.experiment_id) AS variants
FROM page
INNER JOIN experiments
    ON experiments.tenant_id = page.tenant_id
    AND experiments.experiment_id = page.experiment_id
ORDER BY
    CASE WHEN %(descending)s THEN page.sort_key END DESC,
    CASE WHEN %(descending)s THEN page.experiment_id END DESC,
    page.sort_key,
    page.experiment_id
