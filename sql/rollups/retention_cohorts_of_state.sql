-- Makes retention_cohorts of new_users as the users state gives it: what `retention_cohorts` makes of events.
-- Grain and key: one row per (tenant_id, day, experiment_id, variant_id, days_after); experiment and variant are null
-- for all users; days_after 0 counts the cohort itself. Parameters: none.
CREATE TABLE retention_cohorts AS
WITH seen AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        day,
        unnest(list_prepend(0, returned_after)) AS days_after
    FROM new_users
    WHERE day IN (SELECT day FROM days)
)

SELECT
    tenant_id,
    day,
    CAST(NULL AS VARCHAR) AS experiment_id,
    CAST(NULL AS VARCHAR) AS variant_id,
    days_after,
    count(*) AS users
FROM seen
GROUP BY
    tenant_id,
    day,
    days_after
UNION ALL
SELECT
    seen.tenant_id,
    seen.day,
    new_user_assignments.experiment_id,
    new_user_assignments.variant_id,
    seen.days_after,
    count(*) AS users
FROM seen
INNER JOIN new_user_assignments
    ON new_user_assignments.tenant_id = seen.tenant_id
    AND new_user_assignments.anonymous_user_id = seen.anonymous_user_id
GROUP BY
    seen.tenant_id,
    seen.day,
    new_user_assignments.experiment_id,
    new_user_assignments.variant_id,
    seen.days_after
