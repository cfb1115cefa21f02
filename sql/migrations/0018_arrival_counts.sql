-- Events of the lake by the UTC day they happened and the UTC day they were received: the lateness of each day.
-- Every refresh adds the files that are new to it; what it has counted is one row, written in the same transaction.

CREATE TABLE arrival_counts (
    tenant_id text NOT NULL,
    occurred_day date NOT NULL,
    received_day date NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (tenant_id, occurred_day, received_day)
);

-- table_id names the lake's table, which another one could follow in the same folder with the same version.
CREATE TABLE arrival_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    table_id text NOT NULL,
    lake_version bigint NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT now()
);

CALL scope_by_tenant('arrival_counts', 'SELECT');
GRANT SELECT ON arrival_progress TO tidemark_app;
