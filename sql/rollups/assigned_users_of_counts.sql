-- Makes assigned_users from assignments counted by day, and from the assignments of the new users alone.
-- Grain and key: as in assigned_users, the cohorts apart: assigned_day is null in their rows.
-- Parameters: none.
CREATE TABLE assigned_users AS
SELECT
    tenant_id,
    experiment_id,
    variant_id,
    day AS assigned_day,
    CAST(NULL AS DATE) AS cohort_day,
    users,
    0 AS active_d1,
    0 AS sessions_d7,
    0 AS converted
FROM assigned_counts
UNION ALL
SELECT
    assignments.tenant_id,
    assignments.experiment_id,
    assignments.variant_id,
    NULL,
    new_user_activity.day,
    count(*),
    count(*) FILTER (WHERE new_user_activity.active_d1),
    coalesce(sum(new_user_activity.sessions_d7), 0),
    count(*) FILTER (WHERE new_user_activity.converted)
FROM assignments
INNER JOIN new_user_activity
    ON new_user_activity.tenant_id = assignments.tenant_id
    AND new_user_activity.anonymous_user_id = assignments.anonymous_user_id
GROUP BY
    assignments.tenant_id,
    assignments.experiment_id,
    assignments.variant_id,
    new_user_activity.day
