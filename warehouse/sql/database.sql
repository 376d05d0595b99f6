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
    sequence INTEGER NOT NULL,
    event_id VARCHAR NOT NULL,
    decision_id VARCHAR NOT NULL,
    outcome INTEGER NOT NULL,
    reward_micros BIGINT NOT NULL,
    occurred_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    digest VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    decision_key BIGINT NOT NULL,
    PRIMARY KEY (sequence),
    CONSTRAINT known_status CHECK (status IN ('accepted', 'pending', 'corrected', 'dead', 'dropped')),
    CONSTRAINT outcome_is_0_or_1 CHECK (outcome IN (0, 1)),
    CONSTRAINT one_event_per_id UNIQUE (event_id)
);

CREATE INDEX events_by_decision ON feedback_event (decision_key);

CREATE INDEX events_waiting ON feedback_event (received_at) WHERE status = 'pending';

CREATE INDEX events_dead ON feedback_event (event_id) WHERE status = 'dead';

CREATE TABLE feedback_tally (
    writer INTEGER NOT NULL,
    changes BIGINT NOT NULL,
    PRIMARY KEY (writer)
);

CREATE TABLE learning_mark (
    subject VARCHAR NOT NULL,
    mark TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (subject)
);

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

-- What the service keeps (revision 0002).
-- Jobs, releases and deliveries. One row per: request for work; event of a job; finished step of a job; allocation's way
-- to its release; address that releases go to; release for an address.

CREATE TABLE job (
    job_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    request_key VARCHAR,
    document TEXT NOT NULL,
    digest VARCHAR NOT NULL,
    asked_by VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    created_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    ended_at BIGINT,
    worker VARCHAR,
    attempt INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    lease_until BIGINT,
    cancel_asked BOOLEAN NOT NULL,
    result TEXT,
    error TEXT,
    PRIMARY KEY (job_id),
    CONSTRAINT one_job_per_request UNIQUE (kind, request_key),
    CONSTRAINT known_state CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled'))
);

CREATE INDEX jobs_by_state ON job (state, created_at);

CREATE TABLE job_event (
    job_id VARCHAR NOT NULL,
    event INTEGER NOT NULL,
    at BIGINT NOT NULL,
    state VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    done INTEGER NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (job_id, event),
    CONSTRAINT of_job FOREIGN KEY(job_id) REFERENCES job (job_id)
);

CREATE TABLE job_step (
    job_id VARCHAR NOT NULL,
    step VARCHAR NOT NULL,
    result TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (job_id, step),
    CONSTRAINT step_of_job FOREIGN KEY(job_id) REFERENCES job (job_id)
);

CREATE TABLE release (
    allocation_id VARCHAR NOT NULL,
    asked_by VARCHAR NOT NULL,
    asked_at BIGINT NOT NULL,
    approved_by VARCHAR,
    approved_at BIGINT,
    released_by VARCHAR,
    released_at BIGINT,
    PRIMARY KEY (allocation_id),
    CONSTRAINT release_of_allocation FOREIGN KEY(allocation_id) REFERENCES allocation (allocation_id)
);

CREATE INDEX releases_by_time ON release (released_at);

CREATE TABLE webhook (
    webhook_id VARCHAR NOT NULL,
    url VARCHAR NOT NULL,
    signing_key VARCHAR NOT NULL,
    created_by VARCHAR NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (webhook_id)
);

CREATE TABLE delivery (
    delivery_id VARCHAR NOT NULL,
    webhook_id VARCHAR NOT NULL,
    allocation_id VARCHAR NOT NULL,
    body VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    attempts INTEGER NOT NULL,
    next_at BIGINT NOT NULL,
    last_error VARCHAR NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (delivery_id),
    CONSTRAINT known_state CHECK (state IN ('waiting', 'delivered', 'dead')),
    CONSTRAINT delivery_to_webhook FOREIGN KEY(webhook_id) REFERENCES webhook (webhook_id),
    CONSTRAINT delivery_of_allocation FOREIGN KEY(allocation_id) REFERENCES allocation (allocation_id)
);

CREATE INDEX deliveries_due ON delivery (state, next_at);

CREATE TABLE house_rule (
    name VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    reason VARCHAR NOT NULL,
    predicate VARCHAR NOT NULL,
    active BOOLEAN NOT NULL,
    created_by VARCHAR NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);

-- Budgets, leases and holds: one row per campaign and limit; and worker's lease of it; and decision that takes of it.

CREATE TABLE budget_account (
    campaign VARCHAR NOT NULL,
    limit_name VARCHAR NOT NULL,
    asked_micros BIGINT NOT NULL,
    cap_micros BIGINT NOT NULL,
    held_micros BIGINT NOT NULL,
    spent_micros BIGINT NOT NULL,
    unfunded_micros BIGINT DEFAULT 0 NOT NULL,
    fence BIGINT NOT NULL,
    frozen BOOLEAN NOT NULL,
    PRIMARY KEY (campaign, limit_name),
    CONSTRAINT nothing_negative CHECK (held_micros >= 0 AND spent_micros >= 0),
    CONSTRAINT unfunded_not_negative CHECK (unfunded_micros >= 0),
    CONSTRAINT never_over_the_cap CHECK (held_micros + spent_micros <= cap_micros),
    CONSTRAINT cap_keeps_what_is_taken CHECK (0 <= asked_micros AND asked_micros <= cap_micros)
);

CREATE TABLE budget_lease (
    campaign VARCHAR NOT NULL,
    limit_name VARCHAR NOT NULL,
    fence BIGINT NOT NULL,
    worker VARCHAR NOT NULL,
    granted_micros BIGINT NOT NULL,
    used_micros BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (campaign, limit_name, fence),
    CONSTRAINT never_over_the_grant CHECK (0 <= used_micros AND used_micros <= granted_micros),
    CONSTRAINT of_account FOREIGN KEY(campaign, limit_name) REFERENCES budget_account (campaign, limit_name)
);

CREATE TABLE budget_hold (
    decision_id VARCHAR NOT NULL,
    limit_name VARCHAR NOT NULL,
    campaign VARCHAR NOT NULL,
    fence BIGINT NOT NULL,
    amount_micros BIGINT NOT NULL,
    sure_micros BIGINT NOT NULL,
    spent_micros BIGINT,
    unfunded_micros BIGINT DEFAULT 0 NOT NULL,
    due_at BIGINT,
    PRIMARY KEY (decision_id, limit_name),
    CONSTRAINT sure_within_amount CHECK (0 <= sure_micros AND sure_micros <= amount_micros),
    CONSTRAINT spent_within_amount CHECK (0 <= spent_micros AND spent_micros <= amount_micros),
    CONSTRAINT unfunded_within_amount CHECK (unfunded_micros = 0 OR (unfunded_micros > 0 AND spent_micros IS NOT NULL AND spent_micros + unfunded_micros <= amount_micros))
);

CREATE INDEX holds_by_due ON budget_hold (due_at, decision_id);

CREATE INDEX holds_unfunded ON budget_hold (decision_id) WHERE unfunded_micros > 0;

-- Single decisions, and the versions of their prices: one row per decision; and version.

CREATE TABLE single_decision (
    decision_id VARCHAR NOT NULL,
    campaign VARCHAR NOT NULL,
    release_id VARCHAR NOT NULL,
    customer_id VARCHAR NOT NULL,
    customer_key BIGINT NOT NULL,
    decided_at BIGINT NOT NULL,
    digest VARCHAR NOT NULL,
    offer_id VARCHAR,
    prior VARCHAR NOT NULL,
    posterior VARCHAR NOT NULL,
    answer TEXT NOT NULL,
    numbers BLOB NOT NULL,
    features TEXT,
    sealed_in VARCHAR,
    PRIMARY KEY (decision_id)
);

CREATE INDEX singles_by_customer ON single_decision (customer_key, decided_at);

CREATE INDEX singles_by_release ON single_decision (release_id, decided_at);

CREATE INDEX singles_open ON single_decision (decided_at) WHERE sealed_in IS NULL;

CREATE TABLE price_version (
    price_version VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    solved_at BIGINT NOT NULL,
    prices TEXT NOT NULL,
    remaining TEXT NOT NULL,
    demand TEXT NOT NULL,
    tables BLOB NOT NULL,
    PRIMARY KEY (price_version)
);

CREATE INDEX prices_by_account ON price_version (account, solved_at);

INSERT INTO alembic_version VALUES ('0002');
