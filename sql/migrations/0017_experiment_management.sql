-- Experiments that people manage: names, versions, an audit log, enrolment of a share of users, and layers.
-- Rows that exist keep their behaviour: everybody is enrolled, nothing is in a layer, what they are is version 1.

ALTER TABLE experiments
ADD COLUMN name text,
ADD COLUMN description text,
-- Rises with every change; the ETag is made of it.
ADD COLUMN revision bigint NOT NULL DEFAULT 1,
-- Rises with every change to the variants of an experiment that has been started.
ADD COLUMN version integer NOT NULL DEFAULT 1,
-- When the experiment left DRAFT: from then on it can have users, and its place in a layer is fixed.
ADD COLUMN started_at timestamptz,
ADD COLUMN created_by text,
ADD COLUMN traffic_allocation double precision NOT NULL DEFAULT 1 CHECK (traffic_allocation BETWEEN 0 AND 1),
ADD COLUMN allocation_salt text NOT NULL DEFAULT gen_random_uuid()::text,
ADD COLUMN layer text COLLATE "C" CHECK (layer ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
ADD COLUMN layer_from double precision,
ADD COLUMN layer_to double precision,
ADD CONSTRAINT experiments_layer_slice CHECK (
    CASE
        WHEN layer IS NULL THEN layer_from IS NULL AND layer_to IS NULL
        ELSE coalesce(0 <= layer_from AND layer_from < layer_to AND layer_to <= 1, false)
    END
);

UPDATE experiments SET started_at = updated_at WHERE status <> 'DRAFT';

-- Ranges, so that an exclusion constraint compares exactly what the assignment compares, with nothing to install.
CREATE TYPE text_range AS RANGE (SUBTYPE = text, COLLATION = "C");
CREATE TYPE share_range AS RANGE (SUBTYPE = double precision, SUBTYPE_DIFF = float8mi);

-- The second wall behind the check of the application: of two that take overlapping slices at once, one fails.
ALTER TABLE experiments ADD CONSTRAINT experiments_layer_disjoint EXCLUDE USING gist (
    text_range(tenant_id, tenant_id, '[]') WITH &&,
    text_range(layer, layer, '[]') WITH &&,
    share_range(layer_from, layer_to) WITH &&
) WHERE (layer IS NOT NULL AND status <> 'ENDED');

ALTER TABLE experiment_variants ADD COLUMN position integer NOT NULL DEFAULT 0;

UPDATE experiment_variants SET position = places.position
FROM (
    SELECT
        tenant_id,
        experiment_id,
        variant_id,
        row_number() OVER (PARTITION BY tenant_id, experiment_id ORDER BY variant_id) - 1 AS position
    FROM experiment_variants
) AS places
WHERE experiment_variants.tenant_id = places.tenant_id
    AND experiment_variants.experiment_id = places.experiment_id
    AND experiment_variants.variant_id = places.variant_id;

-- The variants of every version, as a JSON list of {key, name, weight, isControl, config}.
CREATE TABLE experiment_versions (
    tenant_id text NOT NULL REFERENCES tenants,
    experiment_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    variants jsonb NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, experiment_id, version)
);

-- The variants of an experiment as a JSON list, in the order they were given.
CREATE FUNCTION variants_of_experiment(of_tenant text, of_experiment text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
SELECT
    coalesce(
        jsonb_agg(
            jsonb_build_object(
                'key', experiment_variants.variant_id,
                'name', experiment_variants.variant_name,
                'weight', experiment_variants.weight,
                'isControl', experiment_variants.is_control,
                'config', experiment_variants.config_override
            )
            ORDER BY experiment_variants.position, experiment_variants.variant_id
        ),
        '[]'
    )
FROM experiment_variants
WHERE experiment_variants.tenant_id = of_tenant
    AND experiment_variants.experiment_id = of_experiment
$$;

INSERT INTO experiment_versions (tenant_id, experiment_id, version, variants, since)
SELECT
    experiments.tenant_id,
    experiments.experiment_id,
    1,
    variants_of_experiment(experiments.tenant_id, experiments.experiment_id),
    experiments.created_at
FROM experiments;

-- Who changed what, and when. `revision` is the experiment's after the change, `changes` {field: {before, after}},
-- `note` what follows from it. One row per change; a change that is tried again has the same change_id.
CREATE TABLE experiment_changes (
    tenant_id text NOT NULL REFERENCES tenants,
    experiment_id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    change_id uuid NOT NULL UNIQUE,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL,
    version integer NOT NULL,
    changes jsonb NOT NULL,
    note text,
    PRIMARY KEY (tenant_id, experiment_id, revision)
);

CALL scope_by_tenant('experiment_versions');
CALL scope_by_tenant('experiment_changes', 'SELECT, INSERT');
