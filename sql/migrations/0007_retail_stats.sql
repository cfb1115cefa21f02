-- What GET /stats answers from: visits of a site counted as they are stored, so that no answer reads events.
-- Each table counts at two grains: every UTC day, and the whole history as day '-infinity'. Paths and users may be
-- longer than an index row: their SHA-256 is the key. Paths are ordered by their first 256 characters in the index,
-- beyond that by the reader.

CREATE TABLE retail_site_totals (
    tenant_id text NOT NULL,
    site_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    views bigint NOT NULL,
    users bigint NOT NULL,
    PRIMARY KEY (tenant_id, site_id, day)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE TABLE retail_path_views (
    tenant_id text NOT NULL,
    site_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    path_key bytea NOT NULL,
    path text COLLATE "C" NOT NULL,
    views bigint NOT NULL,
    PRIMARY KEY (tenant_id, site_id, day, path_key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE INDEX retail_path_views_order ON retail_path_views (tenant_id, site_id, day, views DESC, left(path, 256));

CREATE TABLE retail_site_users (
    tenant_id text NOT NULL,
    site_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    user_key bytea NOT NULL,
    PRIMARY KEY (tenant_id, site_id, day, user_key)
);
