-- Adds the users of the staged visits to their sites, and says how many were new where. Who was there on that day was
-- there before: only users new to a day may be new to the whole history, which is day '-infinity'.
-- Grain of the result: one row per tenant, site and day that has any; day as text. Parameters: none.
-- Rows are inserted in key order, days before whole histories, so that two writers cannot deadlock.
WITH of_days AS (
    INSERT INTO retail_site_users (
        tenant_id,
        site_id,
        day,
        user_key
    )
    SELECT DISTINCT
        new_visits.tenant_id,
        new_visits.site_id,
        new_visits.day,
        new_visits.user_key
    FROM new_visits
    WHERE new_visits.round = (SELECT max(round) FROM new_visits)
        AND new_visits.user_key IS NOT NULL
    ORDER BY
        new_visits.tenant_id,
        new_visits.site_id,
        new_visits.day,
        new_visits.user_key
    ON CONFLICT (tenant_id, site_id, day, user_key) DO NOTHING
    RETURNING
        tenant_id,
        site_id,
        day,
        user_key
),

of_histories AS (
    INSERT INTO retail_site_users (
        tenant_id,
        site_id,
        day,
        user_key
    )
    SELECT DISTINCT
        of_days.tenant_id,
        of_days.site_id,
        '-infinity'::date,
        of_days.user_key
    FROM of_days
    ORDER BY
        of_days.tenant_id,
        of_days.site_id,
        of_days.user_key
    ON CONFLICT (tenant_id, site_id, day, user_key) DO NOTHING
    RETURNING
        tenant_id,
        site_id,
        day
)

SELECT
    tenant_id,
    site_id,
    day::text,
    count(*) AS users
FROM of_days
GROUP BY
    tenant_id,
    site_id,
    day
UNION ALL
SELECT
    tenant_id,
    site_id,
    day::text,
    count(*) AS users
FROM of_histories
GROUP BY
    tenant_id,
    site_id,
    day
