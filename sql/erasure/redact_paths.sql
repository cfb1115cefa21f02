-- Replaces the person's id within paths that others viewed; equal paths become one.
-- Grain and key: (tenant_id, site_id, day, path_key).
-- Parameters: tenant_id, user_id, replacement text.
WITH removed AS (
    DELETE FROM retail_path_views
    WHERE tenant_id = %(tenant_id)s
        AND strpos(path, %(user_id)s) > 0
    RETURNING
        site_id,
        day,
        replace(path, %(user_id)s, %(replacement)s) AS path,
        views
)

INSERT INTO retail_path_views (
    tenant_id,
    site_id,
    day,
    path_key,
    path,
    views
)
SELECT
    %(tenant_id)s,
    site_id,
    day,
    sha256(convert_to(path, 'UTF8')),
    path,
    sum(views)::bigint
FROM removed
GROUP BY
    site_id,
    day,
    path
ON CONFLICT (tenant_id, site_id, day, path_key) DO UPDATE SET
    views = retail_path_views.views + excluded.views
