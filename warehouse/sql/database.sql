-- The operational database of a new workspace, as the revisions under migrations/ make it (a test compares the two).
-- One row per: version of a campaign; allocation; event of feedback; body with a taken event id; model; window of a
-- fold; act in the audit trail. Keys: the primary keys below.

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE campaign (
    name VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    digest VARCHAR NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, version),
    CONSTRAINT one_version_per_document UNIQUE (name, digest)
);

CREATE TABLE allocation (
    allocation_id VARCHAR NOT NULL,
    campaign VARCHAR NOT NULL,
    campaign_digest VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    as_of BIGINT NOT NULL,
    versions TEXT NOT NULL,
    summary TEXT NOT NULL,
    decisions_path VARCHAR,
    decisions_sha256 VARCHAR,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (allocation_id),
    CONSTRAINT of_campaign FOREIGN KEY(campaign, campaign_digest) REFERENCES campaign (name, digest)
);

CREATE INDEX allocations_by_time ON allocation (campaign, created_at);

CREATE TABLE feedback_event (
    event_id VARCHAR NOT NULL,
    decision_id VARCHAR NOT NULL,
    outcome INTEGER NOT NULL,
    reward_micros BIGINT NOT NULL,
    occurred_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    digest VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (event_id),
    CONSTRAINT known_status CHECK (status IN ('accepted', 'pending', 'corrected', 'dead')),
    CONSTRAINT outcome_is_0_or_1 CHECK (outcome IN (0, 1))
);

CREATE INDEX events_by_decision ON feedback_event (decision_id);

CREATE INDEX events_waiting ON feedback_event (status, received_at) WHERE status = 'pending';

CREATE TABLE dead_letter (
    event_id VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    body TEXT NOT NULL,
    reason VARCHAR NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (event_id, digest)
);

CREATE TABLE model (
    kind VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL,
    parents TEXT NOT NULL,
    manifest TEXT NOT NULL,
    blob BLOB,
    watermark TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    is_current BOOLEAN NOT NULL,
    PRIMARY KEY (kind, model_id),
    CONSTRAINT known_kind CHECK (kind IN ('prior', 'posterior'))
);

CREATE UNIQUE INDEX one_current_model ON model (kind) WHERE is_current;

CREATE TABLE checkpoint (
    base_id VARCHAR NOT NULL,
    window INTEGER NOT NULL,
    digest VARCHAR NOT NULL,
    blob BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (base_id, window)
);

CREATE TABLE audit (
    entry INTEGER NOT NULL,
    at BIGINT NOT NULL,
    actor VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (entry)
);

INSERT INTO alembic_version VALUES ('0001');
