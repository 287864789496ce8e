-- What is published, which version is served, and which model is champion. Release 0.1.0 made the same tables
-- on first use and kept no version.
CREATE TABLE IF NOT EXISTS publication (
    pipeline text NOT NULL,
    version text NOT NULL,
    date date NOT NULL,
    state text NOT NULL CHECK (state IN ('loading', 'ready', 'current', 'superseded', 'withdrawn')),
    model_digest text,
    model_version text,
    row_counts jsonb NOT NULL,
    digests jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    served_until timestamptz,
    left_at timestamptz,
    PRIMARY KEY (pipeline, version)
);
COMMENT ON TABLE publication IS 'One row a version; grain (pipeline, version). A row outlives its tables.';
COMMENT ON COLUMN publication.served_until IS 'when it last stopped being served';
COMMENT ON COLUMN publication.left_at IS 'when it last ceased to be served or previous';
CREATE UNIQUE INDEX IF NOT EXISTS publication_current ON publication (pipeline, date) WHERE state = 'current';
CREATE TABLE IF NOT EXISTS served (
    pipeline text PRIMARY KEY,
    version text NOT NULL,
    previous_version text,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    FOREIGN KEY (pipeline, version) REFERENCES publication,
    FOREIGN KEY (pipeline, previous_version) REFERENCES publication
);
COMMENT ON TABLE served IS 'The one pointer of a pipeline: the version that is served, and where a rollback goes.';
CREATE TABLE IF NOT EXISTS promotions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    date date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('promotion', 'rollback')),
    from_digest text,
    to_digest text,
    from_version text,
    to_version text,
    verdict text NOT NULL,
    metrics jsonb NOT NULL,
    reasons jsonb NOT NULL,
    approved_by text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE promotions IS 'Which model is champion from which date on; to_digest is null where the challenger was rejected.';
CREATE UNIQUE INDEX IF NOT EXISTS promotions_of_a_day ON promotions (pipeline, date) WHERE kind = 'promotion';
CREATE INDEX IF NOT EXISTS promotions_by_date ON promotions (pipeline, date);
