-- Tenants, and the experiments their users are assigned to.
-- Ids compare byte by byte (COLLATE "C") wherever order decides an outcome, so that every machine buckets alike.

CREATE TABLE tenants (
    tenant_id text PRIMARY KEY CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO tenants (tenant_id, name) VALUES ('default', 'Default');

CREATE TABLE experiments (
    tenant_id text NOT NULL DEFAULT 'default' REFERENCES tenants,
    experiment_id text COLLATE "C" NOT NULL,
    status text NOT NULL CHECK (status IN ('DRAFT', 'RUNNING', 'PAUSED', 'ENDED')),
    start_at timestamptz,
    end_at timestamptz,
    targeting jsonb,
    allocation_version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, experiment_id)
);

CREATE TABLE experiment_variants (
    tenant_id text NOT NULL DEFAULT 'default',
    experiment_id text COLLATE "C" NOT NULL,
    variant_id text COLLATE "C" NOT NULL,
    variant_name text NOT NULL,
    is_control boolean NOT NULL DEFAULT false,
    weight double precision NOT NULL,
    config_override jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, experiment_id, variant_id),
    FOREIGN KEY (tenant_id, experiment_id) REFERENCES experiments ON DELETE CASCADE
);

-- No foreign key to variants: an assignment outlives its variant and is then bucketed anew; nor to experiments:
-- the history of an existing deployment may be imported before its manifest is seeded.
CREATE TABLE assignments (
    tenant_id text NOT NULL DEFAULT 'default',
    anonymous_user_id text COLLATE "C" NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    variant_id text COLLATE "C" NOT NULL,
    assignment_version integer NOT NULL DEFAULT 1,
    assigned_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, anonymous_user_id, experiment_id)
);
