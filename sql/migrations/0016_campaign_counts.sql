-- What GET /api/analytics/summary answers from: campaign events counted as they are stored, so that no answer reads
-- events, and one over any range of UTC days reads a row per day and variant (docs/adr/0020-campaign-counts.md).
-- '' as experiment_id or variant is any of them; every event counts in up to four scopes.

-- users[n]: users of the day who were active on none of the n - 1 days before it; beyond its end, its last element. The
-- users of a range are then the sum of users[day - first day + 1]. first_users: those never active on an earlier day.
-- converted_users and first_converted_users say the same of users with a conversion, and of days with one.
CREATE TABLE campaign_counts (
    tenant_id text NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    variant text COLLATE "C" NOT NULL,
    events bigint NOT NULL,
    conversions bigint NOT NULL,
    first_users bigint NOT NULL,
    first_converted_users bigint NOT NULL,
    users integer [] NOT NULL,
    converted_users integer [] NOT NULL,
    PRIMARY KEY (tenant_id, experiment_id, day, variant)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

-- On which UTC days a user was active in a scope, and on which of them converted. user_key: 16 bytes of the SHA-256 of
-- the user's id, which may be longer than an index row; it leads, since one event concerns all scopes of its user.
CREATE TABLE campaign_user_days (
    tenant_id text NOT NULL,
    user_key uuid NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    variant text COLLATE "C" NOT NULL,
    days datemultirange NOT NULL,
    converted_days datemultirange NOT NULL,
    PRIMARY KEY (tenant_id, user_key, experiment_id, variant)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- One row per tenant with campaign events, which whoever changes the tenant's counts holds until its commit.
CREATE TABLE campaign_writers (
    tenant_id text PRIMARY KEY,
    changes bigint NOT NULL
) WITH (fillfactor = 10);

-- What an event names, '' where it names none: no text, an empty one, or one of more than 255 characters.
CREATE FUNCTION campaign_name(properties jsonb, field text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT CASE
    WHEN jsonb_typeof(properties -> field) = 'string' AND char_length(properties ->> field) <= 255
        THEN properties ->> field
    ELSE ''
END
$$;

-- The user_key of an id.
CREATE FUNCTION campaign_user_key(anonymous_user_id text) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
SELECT encode(substr(sha256(convert_to(anonymous_user_id, 'UTF8')), 1, 16), 'hex')::uuid
$$;

-- Adds users with gaps (days since they were active before, at most 400) to an array as in campaign_counts: added[i]
-- users with gaps[i] count in its elements 1 to gaps[i]. The array becomes one element longer than the longest gap
-- below 400. In loops: a query for each array would take longer than the rest of the statement that calls this.
CREATE FUNCTION add_by_gap(known integer [], gaps integer [], added bigint []) RETURNS integer []
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    result integer [] := known;
    changes integer [];
    length integer := 0;
    place integer;
    longest integer := 0;
    change integer := 0;
BEGIN
    FOR i IN 1 .. cardinality(gaps) LOOP
        IF added[i] <> 0 THEN
            length := greatest(length, least(gaps[i] % 400 + 1, 400));
        END IF;
    END LOOP;
    IF length = 0 THEN
        RETURN known;
    END IF;
    FOR missing IN cardinality(known) + 1 .. length LOOP
        result[missing] := known[cardinality(known)];
    END LOOP;
    length := cardinality(result);
    changes := array_fill(0, ARRAY[length]);
    FOR i IN 1 .. cardinality(gaps) LOOP
        IF added[i] <> 0 THEN
            place := least(gaps[i], length);
            changes[place] := changes[place] + added[i];
            longest := greatest(longest, place);
        END IF;
    END LOOP;
    FOR element IN REVERSE longest .. 1 LOOP
        change := change + changes[element];
        result[element] := result[element] + change;
    END LOOP;
    RETURN result;
END
$$;

CALL scope_by_tenant('campaign_counts');
CALL scope_by_tenant('campaign_user_days');
CALL scope_by_tenant('campaign_writers');
