-- The published aggregates and the runs that produced them. Every row names its run.
-- Metrics endpoints and dashboards read these tables alone, never raw events.

CREATE TABLE rollup_runs (
    run_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_name text NOT NULL CHECK (
        job_name IN ('daily_metrics_rollup', 'experiment_metrics_rollup', 'funnel_rollup')
    ),
    status text NOT NULL CHECK (status IN ('RUNNING', 'SUCCESS', 'FAILED')),
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    as_of timestamptz NOT NULL,
    lake_version bigint,
    code_version text NOT NULL,
    sql_sha256 text NOT NULL,
    rows_written bigint NOT NULL DEFAULT 0,
    ignored_count bigint NOT NULL DEFAULT 0,
    seconds double precision,
    error_text text,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

CREATE INDEX rollup_runs_job ON rollup_runs (job_name, started_at DESC);

CREATE TABLE daily_metric_rollups (
    tenant_id text NOT NULL DEFAULT 'default' REFERENCES tenants,
    day date NOT NULL,
    metric_name text NOT NULL,
    dimension_key text COLLATE "C" NOT NULL DEFAULT 'overall',
    value double precision NOT NULL,
    dimensions jsonb,
    run_id uuid NOT NULL REFERENCES rollup_runs,
    PRIMARY KEY (tenant_id, day, metric_name, dimension_key)
);

CREATE TABLE experiment_metric_rollups (
    tenant_id text NOT NULL DEFAULT 'default' REFERENCES tenants,
    day date NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    variant_id text COLLATE "C" NOT NULL,
    metric_name text NOT NULL,
    value double precision NOT NULL,
    dimensions jsonb,
    run_id uuid NOT NULL REFERENCES rollup_runs,
    PRIMARY KEY (tenant_id, day, experiment_id, variant_id, metric_name)
);

CREATE TABLE funnel_rollups (
    tenant_id text NOT NULL DEFAULT 'default' REFERENCES tenants,
    day date NOT NULL,
    funnel_name text NOT NULL,
    step_name text NOT NULL,
    dimension_key text COLLATE "C" NOT NULL DEFAULT 'overall',
    experiment_id text COLLATE "C",
    variant_id text COLLATE "C",
    users_count bigint NOT NULL,
    events_count bigint NOT NULL,
    run_id uuid NOT NULL REFERENCES rollup_runs,
    PRIMARY KEY (tenant_id, day, funnel_name, step_name, dimension_key)
);
