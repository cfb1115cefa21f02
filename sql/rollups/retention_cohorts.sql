-- Makes retention_cohorts: how many new users a day had, and how many of them were active so many days after it.
-- Grain and key: one row per (tenant_id, day, experiment_id, variant_id, days_after); experiment and variant are null
-- for all users; days_after 0 counts the cohort itself. Parameters: none.
CREATE TABLE retention_cohorts AS
WITH members AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        day,
        CAST(NULL AS VARCHAR) AS experiment_id,
        CAST(NULL AS VARCHAR) AS variant_id
    FROM new_users
    UNION ALL
    SELECT
        new_users.tenant_id,
        new_users.anonymous_user_id,
        new_users.day,
        retention_members.experiment_id,
        retention_members.variant_id
    FROM new_users
    INNER JOIN retention_members
        ON retention_members.tenant_id = new_users.tenant_id
        AND retention_members.anonymous_user_id = new_users.anonymous_user_id
)

SELECT
    tenant_id,
    day,
    experiment_id,
    variant_id,
    0 AS days_after,
    count(*) AS users
FROM members
GROUP BY
    tenant_id,
    day,
    experiment_id,
    variant_id
UNION ALL
SELECT
    members.tenant_id,
    members.day,
    members.experiment_id,
    members.variant_id,
    user_days.day - members.day AS days_after,
    count(*) AS users
FROM members
INNER JOIN user_days
    ON user_days.tenant_id = members.tenant_id
    AND user_days.anonymous_user_id = members.anonymous_user_id
WHERE user_days.day - members.day IN (SELECT days_after FROM retention_periods)
GROUP BY
    members.tenant_id,
    members.day,
    members.experiment_id,
    members.variant_id,
    user_days.day - members.day
