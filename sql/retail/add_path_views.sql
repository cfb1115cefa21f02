-- Adds the page views among the staged visits to their paths.
-- Grain and key: (tenant_id, site_id, day, path_key), day '-infinity' being the whole history.
-- Parameters: none. Rows are locked in key order, so that two writers cannot deadlock.
INSERT INTO retail_path_views (
    tenant_id,
    site_id,
    day,
    path_key,
    path,
    views
)
SELECT
    new_visits.tenant_id,
    new_visits.site_id,
    grains.day,
    new_visits.path_key,
    min(new_visits.path),
    count(*)
FROM new_visits
CROSS JOIN LATERAL (VALUES (new_visits.day), ('-infinity'::date)) AS grains (day)
WHERE new_visits.round = (SELECT max(round) FROM new_visits)
    AND new_visits.path_key IS NOT NULL
GROUP BY
    new_visits.tenant_id,
    new_visits.site_id,
    grains.day,
    new_visits.path_key
ORDER BY
    new_visits.tenant_id,
    new_visits.site_id,
    grains.day,
    new_visits.path_key
ON CONFLICT (tenant_id, site_id, day, path_key) DO UPDATE SET
    views = retail_path_views.views + excluded.views
