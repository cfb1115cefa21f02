-- Reads the statistics of a site: totals, and the 10 paths with most page views as JSON, views descending, then path.
-- Grain: one row, also for a site without visits.
-- Parameters: tenant_id, site_id text, day text (a date, or '-infinity' for the whole history).
SELECT
    coalesce(totals.views, 0) AS total_views,
    coalesce(totals.users, 0) AS unique_users,
    coalesce(paths.top_paths, '[]') AS top_paths
FROM (
    SELECT jsonb_agg(jsonb_build_object('path', top.path, 'views', top.views) ORDER BY top.views DESC, top.path)
        AS top_paths
    FROM (
        SELECT
            path,
            views
        FROM retail_path_views
        WHERE tenant_id = %(tenant_id)s
            AND site_id = %(site_id)s
            AND day = %(day)s::date
        ORDER BY
            views DESC,
            left(path, 256),
            path
        LIMIT 10
    ) AS top
) AS paths
LEFT JOIN retail_site_totals AS totals
    ON totals.tenant_id = %(tenant_id)s
    AND totals.site_id = %(site_id)s
    AND totals.day = %(day)s::date
