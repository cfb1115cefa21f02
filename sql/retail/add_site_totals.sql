-- Adds the page views of the staged visits, and the users that were new, to their sites' totals.
-- Grain and key: (tenant_id, site_id, day), day '-infinity' being the whole history.
-- Parameters: tenants, sites, days text[], users bigint[] (as add_users returned them). Rows are locked in key order.
WITH new_users AS (
    SELECT
        tenant_id,
        site_id,
        day,
        users
    FROM unnest(%(tenants)s::text[], %(sites)s::text[], %(days)s::date[], %(users)s::bigint[])
        AS arrays (tenant_id, site_id, day, users)
),

new_views AS (
    SELECT
        new_visits.tenant_id,
        new_visits.site_id,
        grains.day,
        count(new_visits.path_key) AS views
    FROM new_visits
    CROSS JOIN LATERAL (VALUES (new_visits.day), ('-infinity'::date)) AS grains (day)
    WHERE new_visits.round = (SELECT max(round) FROM new_visits)
    GROUP BY
        new_visits.tenant_id,
        new_visits.site_id,
        grains.day
)

INSERT INTO retail_site_totals (
    tenant_id,
    site_id,
    day,
    views,
    users
)
SELECT
    new_views.tenant_id,
    new_views.site_id,
    new_views.day,
    new_views.views,
    coalesce(new_users.users, 0)
FROM new_views
LEFT JOIN new_users
    ON new_users.tenant_id = new_views.tenant_id
    AND new_users.site_id = new_views.site_id
    AND new_users.day = new_views.day
WHERE new_views.views > 0
    OR new_users.users > 0
ORDER BY
    new_views.tenant_id,
    new_views.site_id,
    new_views.day
ON CONFLICT (tenant_id, site_id, day) DO UPDATE SET
    views = retail_site_totals.views + excluded.views,
    users = retail_site_totals.users + excluded.users
