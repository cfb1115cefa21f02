-- Ordered funnels and retention by cohort day. `day` is the cohort day. `complete_at` is the moment from which no event
-- that has yet to happen can change the row: whether a number is complete is asked when it is read, not stored.

ALTER TABLE rollup_runs DROP CONSTRAINT rollup_runs_job_name_check;
ALTER TABLE rollup_runs ADD CONSTRAINT rollup_runs_job_name_check CHECK (
    job_name IN (
        'daily_metrics_rollup', 'experiment_metrics_rollup', 'funnel_rollup', 'funnel_cohort_rollup', 'retention_rollup'
    )
);

CREATE TABLE funnel_cohort_rollups (
    tenant_id text NOT NULL DEFAULT 'default' REFERENCES tenants,
    day date NOT NULL,
    funnel_name text COLLATE "C" NOT NULL,
    step_name text COLLATE "C" NOT NULL,
    dimension_key text COLLATE "C" NOT NULL DEFAULT 'overall',
    step_number integer NOT NULL,
    experiment_id text COLLATE "C",
    variant_id text COLLATE "C",
    users_count bigint NOT NULL,
    median_seconds double precision,
    window_seconds double precision NOT NULL,
    complete_at timestamptz NOT NULL,
    run_id uuid NOT NULL REFERENCES rollup_runs,
    PRIMARY KEY (tenant_id, day, funnel_name, step_name, dimension_key)
);

CREATE TABLE retention_rollups (
    tenant_id text NOT NULL DEFAULT 'default' REFERENCES tenants,
    day date NOT NULL,
    days_after integer NOT NULL,
    dimension_key text COLLATE "C" NOT NULL DEFAULT 'overall',
    experiment_id text COLLATE "C",
    variant_id text COLLATE "C",
    cohort_size bigint NOT NULL,
    retained_users bigint NOT NULL,
    rate double precision NOT NULL GENERATED ALWAYS AS (
        CASE WHEN cohort_size = 0 THEN 0 ELSE retained_users::double precision / cohort_size END
    ) STORED,
    complete_at timestamptz NOT NULL,
    run_id uuid NOT NULL REFERENCES rollup_runs,
    PRIMARY KEY (tenant_id, day, days_after, dimension_key)
);

-- Up to which moment a job has looked: what tells a complete number from one that is not.
CREATE INDEX rollup_runs_as_of ON rollup_runs (job_name, as_of) WHERE status = 'SUCCESS';
