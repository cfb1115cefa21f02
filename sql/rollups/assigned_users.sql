-- Makes assigned_users: assignments counted by the day they were made and by the day their user was first seen.
-- Grain and key: (tenant_id, experiment_id, variant_id, assigned_day, cohort_day); assigned_day is not before the
-- window, cohort_day is null for users who are not new in the window. Parameters: window_start, assigned_before timestamptz.
CREATE TABLE assigned_users AS
SELECT
    assignments.tenant_id,
    assignments.experiment_id,
    assignments.variant_id,
    CAST(greatest(assignments.assigned_at, $window_start) AS DATE) AS assigned_day,
    new_user_activity.day AS cohort_day,
    count(*) AS users,
    count(*) FILTER (WHERE new_user_activity.active_d1) AS active_d1,
    coalesce(sum(new_user_activity.sessions_d7), 0) AS sessions_d7,
    count(*) FILTER (WHERE new_user_activity.converted) AS converted
FROM assignments
LEFT JOIN new_user_activity
    ON new_user_activity.tenant_id = assignments.tenant_id
    AND new_user_activity.anonymous_user_id = assignments.anonymous_user_id
WHERE assignments.assigned_at < $assigned_before
GROUP BY
    assignments.tenant_id,
    assignments.experiment_id,
    assignments.variant_id,
    CAST(greatest(assignments.assigned_at, $window_start) AS DATE),
    new_user_activity.day
