-- What an incremental refresh keeps in Postgres: the days a run computed, published days that are out of date, the
-- inputs it saw last, and the changes of assignments since.

ALTER TABLE rollup_runs ADD COLUMN days date [];

CREATE TABLE stale_days (
    job_name text NOT NULL,
    day date NOT NULL,
    as_of timestamptz NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_name, day)
);

-- Fingerprints of inputs that reach every day: the tenants, the running variants.
CREATE TABLE refresh_inputs (
    name text PRIMARY KEY,
    fingerprint text NOT NULL
);

-- A queue: each refresh takes what it finds. `change` is 1 for an assignment made, -1 for one that went; `day` is the
-- UTC day of assigned_at.
CREATE TABLE assignment_changes (
    tenant_id text NOT NULL,
    anonymous_user_id text COLLATE "C" NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    variant_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    change smallint NOT NULL
);

-- Assignments per variant and UTC day of assigned_at, as far as the queue was taken.
CREATE TABLE assigned_counts (
    tenant_id text NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    variant_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    users bigint NOT NULL,
    PRIMARY KEY (tenant_id, experiment_id, variant_id, day)
);

CREATE FUNCTION note_made_assignments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO assignment_changes (tenant_id, anonymous_user_id, experiment_id, variant_id, day, change)
    SELECT tenant_id, anonymous_user_id, experiment_id, variant_id, (assigned_at AT TIME ZONE 'UTC')::date, 1
    FROM made;
    RETURN NULL;
END
$$;

CREATE FUNCTION note_gone_assignments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO assignment_changes (tenant_id, anonymous_user_id, experiment_id, variant_id, day, change)
    SELECT tenant_id, anonymous_user_id, experiment_id, variant_id, (assigned_at AT TIME ZONE 'UTC')::date, -1
    FROM gone;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_inserted_assignments
AFTER INSERT ON assignments REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION note_made_assignments();

CREATE TRIGGER note_deleted_assignments
AFTER DELETE ON assignments REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION note_gone_assignments();

CREATE TRIGGER note_updated_assignments
AFTER UPDATE ON assignments REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION note_made_assignments();

CREATE TRIGGER note_replaced_assignments
AFTER UPDATE ON assignments REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION note_gone_assignments();

INSERT INTO assigned_counts (tenant_id, experiment_id, variant_id, day, users)
SELECT tenant_id, experiment_id, variant_id, (assigned_at AT TIME ZONE 'UTC')::date, count(*)
FROM assignments
GROUP BY 1, 2, 3, 4;
