-- What the service remembers, as typed rows: what is looked up or counted is a column, the record itself is `record` (see
-- record.rs). Numbers that the service knows as unsigned lie in `bigint`.

-- Whose store this is, by what its service's keys are known, and how far its inbox goes. One row.
CREATE TABLE store (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    owner text,
    keys bytea,
    cursor text,
    next_inbox bigint NOT NULL DEFAULT 0
);
INSERT INTO store DEFAULT VALUES;

-- The processes that share the store, and until when each counts as alive.
CREATE TABLE processes (
    id bytea PRIMARY KEY,
    until timestamptz NOT NULL
);

-- Who works on each share of the work. The last one is the right to read the homeserver's stream.
CREATE TABLE shares (
    number smallint PRIMARY KEY,
    holder bytea
);
INSERT INTO shares (number) SELECT generate_series(0, 64);

-- Messages that were received and not answered yet: the queue.
CREATE TABLE inbox (
    seq bigint PRIMARY KEY,
    share smallint NOT NULL,
    sender text NOT NULL,
    received_at_ms bigint NOT NULL,
    record bytea NOT NULL
);

-- Answers that the same question gets again.
CREATE TABLE answers (
    key bytea PRIMARY KEY,
    expires_at_ms bigint NOT NULL,
    record bytea NOT NULL
);
CREATE INDEX answers_by_expiry ON answers (expires_at_ms, key);

-- What is owed to the world. A number is part of a transaction ID, so that none is given out twice.
CREATE SEQUENCE owed_id AS bigint MINVALUE 0 START 0;
CREATE TABLE owed (
    id bigint PRIMARY KEY DEFAULT nextval('owed_id'),
    share smallint NOT NULL,
    lane text NOT NULL,
    record bytea NOT NULL
);

-- Push transactions that were received whole; the newest ones.
CREATE TABLE push_transactions (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL,
    body bytea NOT NULL,
    UNIQUE (id, body)
);

-- What could not be handled, for the operator; the newest ones.
CREATE TABLE set_aside (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms bigint NOT NULL,
    record bytea NOT NULL
);

-- Where each group stands.
CREATE TABLE groups (
    id bytea PRIMARY KEY,
    epoch bigint NOT NULL,
    record bytea NOT NULL
);

-- What each group owes.
CREATE TABLE agendas (
    group_id bytea PRIMARY KEY,
    revision bigint NOT NULL,
    record bytea NOT NULL
);

-- The log of each group.
CREATE TABLE log (
    group_id bytea NOT NULL,
    epoch bigint NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (group_id, epoch)
);

-- The newest tree of each group.
CREATE TABLE snapshots (
    group_id bytea PRIMARY KEY,
    epoch bigint NOT NULL,
    record bytea NOT NULL
);

-- The command that waits in a group for what must happen outside first.
CREATE TABLE staged (
    group_id bytea PRIMARY KEY,
    inbox_seq bigint NOT NULL,
    record bytea NOT NULL
);
CREATE INDEX staged_by_row ON staged (inbox_seq);

-- Why a group takes no commands.
CREATE TABLE frozen (
    group_id bytea PRIMARY KEY,
    at_ms bigint NOT NULL,
    record bytea NOT NULL
);

-- How often one was taken out, or a last resort used: the sum, so that those who count at once do not wait for each other.
CREATE TABLE issued (
    place smallint PRIMARY KEY,
    count bigint NOT NULL DEFAULT 0
);
INSERT INTO issued (place) SELECT generate_series(0, 63);

-- KeyPackages: those in stock have a record, the others are known so that they do not come back.
CREATE TABLE key_packages (
    reference bytea PRIMARY KEY,
    place bigint GENERATED ALWAYS AS IDENTITY,
    -- Whose it is, and for which suite; of one that came gone, in a copy of another store, that is not known.
    account text,
    device text,
    suite integer,
    last_resort boolean NOT NULL,
    used boolean NOT NULL DEFAULT false,
    ends_ms bigint NOT NULL,
    known_until_ms bigint NOT NULL,
    record bytea
);
CREATE INDEX key_packages_in_stock ON key_packages (account, device, place) WHERE record IS NOT NULL;
CREATE UNIQUE INDEX key_packages_by_place ON key_packages (place);
CREATE INDEX key_packages_by_end ON key_packages (known_until_ms);

-- Damaged records that were moved out of the way, for the operator.
CREATE TABLE quarantined (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL
);
