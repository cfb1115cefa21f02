-- Takes the page views among the erased events out of their paths and their sites' totals; what is a visit is what
-- sql/retail/stage_new_visits counts as one.
-- Grain and key: (site_id, day, path_key), day '-infinity' being the whole history. Parameters: tenant_id text.
WITH gone AS (
    SELECT
        erased.properties ->> 'site_id' AS site_id,
        grains.day,
        sha256(convert_to(erased.properties ->> 'path', 'UTF8')) AS path_key,
        count(*) AS views
    FROM erased_events AS erased
    CROSS JOIN LATERAL (
        VALUES ((erased.occurred_at AT TIME ZONE 'UTC')::date), ('-infinity'::date)
    ) AS grains (day)
    WHERE erased.event_name = 'page_view'
        AND erased.context ->> 'source' = 'retail'
        AND jsonb_typeof(erased.properties -> 'site_id') = 'string'
        AND char_length(erased.properties ->> 'site_id') BETWEEN 1 AND 255
        AND jsonb_typeof(erased.properties -> 'path') = 'string'
        AND char_length(erased.properties ->> 'path') BETWEEN 1 AND 8192
    GROUP BY 1, 2, 3
),

of_paths AS (
    UPDATE retail_path_views AS paths
    SET views = greatest(paths.views - gone.views, 0)
    FROM gone
    WHERE paths.tenant_id = %(tenant_id)s
        AND paths.site_id = gone.site_id
        AND paths.day = gone.day
        AND paths.path_key = gone.path_key
)

UPDATE retail_site_totals AS totals
SET views = greatest(totals.views - of_sites.views, 0)
FROM (
    SELECT
        site_id,
        day,
        sum(views)::bigint AS views
    FROM gone
    GROUP BY
        site_id,
        day
) AS of_sites
WHERE totals.tenant_id = %(tenant_id)s
    AND totals.site_id = of_sites.site_id
    AND totals.day = of_sites.day
