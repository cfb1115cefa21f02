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
    new_user_assignments.tenant_id,
    new_user_assignments.experiment_id,
    new_user_assignments.variant_id,
    NULL,
    new_users.day,
    count(*),
    count(*) FILTER (WHERE new_users.active_d1),
    coalesce(sum(new_users.sessions_d7), 0),
    count(*) FILTER (WHERE new_users.converted)
FROM new_user_assignments
INNER JOIN new_users
    ON new_users.tenant_id = new_user_assignments.tenant_id
    AND new_users.anonymous_user_id = new_user_assignments.anonymous_user_id
GROUP BY
    new_user_assignments.tenant_id,
    new_user_assignments.experiment_id,
    new_user_assignments.variant_id,
    new_users.day
