-- Who may do what: keys of tenants, what a tenant is allowed, and row-level security as a second wall between tenants.
-- The API's sessions act as tidemark_app, which owns nothing, and see the rows of the tenants they are scoped to; whoever
-- owns the tables (exports, rollups, commands) sees all of them, by a policy of their own.

ALTER TABLE tenants
ADD COLUMN rate_limits jsonb NOT NULL DEFAULT '{}',
ADD COLUMN cors_origins text [] NOT NULL DEFAULT '{}',
ADD COLUMN hot_days integer CHECK (hot_days BETWEEN 1 AND 3650);

-- A key is known by its id; of the key itself there is a SHA-256 alone, which for 256 random bits cannot be reversed.
CREATE TABLE api_keys (
    key_id text COLLATE "C" PRIMARY KEY CHECK (key_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    tenant_id text NOT NULL REFERENCES tenants,
    name text NOT NULL DEFAULT '',
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    scopes text [] NOT NULL CHECK (
        cardinality(scopes) > 0 AND scopes <@ ARRAY['ingest', 'read', 'manage', 'admin']
    ),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    successor text COLLATE "C" REFERENCES api_keys
);

CREATE INDEX api_keys_tenant ON api_keys (tenant_id);

-- Rises with every change to a tenant or a key: processes read these again when it did.
CREATE TABLE access_revision (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL
);

INSERT INTO access_revision (revision) VALUES (1);

CREATE FUNCTION raise_access_revision() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE access_revision SET revision = revision + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER tenants_revised AFTER INSERT OR UPDATE OR DELETE ON tenants
FOR EACH STATEMENT EXECUTE FUNCTION raise_access_revision();

CREATE TRIGGER api_keys_revised AFTER INSERT OR UPDATE OR DELETE ON api_keys
FOR EACH STATEMENT EXECUTE FUNCTION raise_access_revision();

-- Buckets of requests, one per tenant and endpoint: full_at is when the bucket will be full again, granted what the last
-- process got out of it. Worth nothing after a crash, hence unlogged.
CREATE UNLOGGED TABLE rate_limit_buckets (
    tenant_id text NOT NULL,
    endpoint text NOT NULL,
    full_at timestamptz NOT NULL,
    granted integer NOT NULL,
    PRIMARY KEY (tenant_id, endpoint)
) WITH (fillfactor = 50);

-- Roles belong to the whole server: another database of it may have made this one already, or be making it now.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidemark_app') THEN
        BEGIN
            CREATE ROLE tidemark_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the role tidemark_app is missing, and this user may not create it'
                USING HINT = format('As an administrator: CREATE ROLE tidemark_app NOLOGIN; GRANT tidemark_app TO %I;', current_user);
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'tidemark_app', 'MEMBER') THEN
        EXECUTE format('GRANT tidemark_app TO %I', current_user);
    END IF;
END
$$;

-- Puts a table with a tenant_id behind the wall. What the application may do with it is given as a list of privileges.
-- The scope is read once per statement, hence the SELECT; IS TRUE keeps it from being looked up in an index, where it
-- would take the place of what a statement asks for, and read all rows of a tenant instead of a few.
CREATE PROCEDURE scope_by_tenant(scoped regclass, privileges text DEFAULT 'SELECT, INSERT, UPDATE, DELETE')
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', scoped);
    EXECUTE format('CREATE POLICY owner_sees_all ON %s TO CURRENT_USER USING (true) WITH CHECK (true)', scoped);
    EXECUTE format(
        'CREATE POLICY tenants_in_scope ON %s TO tidemark_app USING (('
        'tenant_id = ANY ((SELECT string_to_array(current_setting(''tidemark.tenants'', true), '',''))::text[])'
        ') IS TRUE)',
        scoped
    );
    EXECUTE format('GRANT %s ON %s TO tidemark_app', privileges, scoped);
END
$$;

CALL scope_by_tenant('experiments');
CALL scope_by_tenant('experiment_variants');
CALL scope_by_tenant('assignments');
CALL scope_by_tenant('assignment_changes');
CALL scope_by_tenant('event_logs', 'SELECT, INSERT');
CALL scope_by_tenant('removed_event_ids', 'SELECT');
CALL scope_by_tenant('removed_events', 'SELECT');
CALL scope_by_tenant('ingestion_ledger');
CALL scope_by_tenant('dead_letters');
CALL scope_by_tenant('dead_letter_totals');
CALL scope_by_tenant('dead_letter_ledger');
CALL scope_by_tenant('retail_site_totals');
CALL scope_by_tenant('retail_path_views');
CALL scope_by_tenant('retail_site_users');
CALL scope_by_tenant('rate_limit_buckets');
CALL scope_by_tenant('daily_metric_rollups', 'SELECT');
CALL scope_by_tenant('experiment_metric_rollups', 'SELECT');
CALL scope_by_tenant('funnel_rollups', 'SELECT');
CALL scope_by_tenant('funnel_cohort_rollups', 'SELECT');
CALL scope_by_tenant('retention_rollups', 'SELECT');
CALL scope_by_tenant('assigned_counts', 'SELECT');
CALL scope_by_tenant('tenants', 'SELECT');

GRANT SELECT, INSERT, UPDATE ON spool_receipts TO tidemark_app;
GRANT SELECT ON rollup_runs, run_provenance, statement_texts, lake_files, lake_file_rewrites, access_revision
TO tidemark_app;

-- How the API learns of the keys of all tenants, which none of its sessions may read otherwise.
CREATE FUNCTION live_keys()
RETURNS TABLE (key_id text, tenant_id text, digest bytea, scopes text [], expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
SELECT
    api_keys.key_id,
    api_keys.tenant_id,
    api_keys.digest,
    api_keys.scopes,
    api_keys.expires_at
FROM api_keys
WHERE api_keys.revoked_at IS NULL
    AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now())
$$;

CREATE FUNCTION tenant_terms()
RETURNS TABLE (tenant_id text, name text, rate_limits jsonb, cors_origins text [])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
SELECT
    tenants.tenant_id,
    tenants.name,
    tenants.rate_limits,
    tenants.cors_origins
FROM tenants
$$;

REVOKE ALL ON FUNCTION live_keys(), tenant_terms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION live_keys(), tenant_terms() TO tidemark_app;

-- Changes with every change to an experiment or a variant of a tenant.
CREATE FUNCTION experiments_revision(of_tenant text) RETURNS text
LANGUAGE sql STABLE AS $$
SELECT md5(
    concat(
        (
            SELECT string_agg(concat(experiments.ctid, experiments.xmin), ',' ORDER BY experiments.experiment_id)
            FROM experiments
            WHERE experiments.tenant_id = of_tenant
        ),
        ';',
        (
            SELECT string_agg(
                concat(experiment_variants.ctid, experiment_variants.xmin),
                ','
                ORDER BY experiment_variants.experiment_id, experiment_variants.variant_id
            )
            FROM experiment_variants
            WHERE experiment_variants.tenant_id = of_tenant
        )
    )
)
$$;
