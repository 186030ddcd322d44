-- One schema for SQLite and PostgreSQL. Times are milliseconds since 1970 (UTC), 0 for "not yet"; no column is null.
CREATE TABLE organisations (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  weight BIGINT NOT NULL,
  created_ms BIGINT NOT NULL
);

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE,
  organisation TEXT NOT NULL,
  role TEXT NOT NULL,
  name TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  revoked_ms BIGINT NOT NULL
);

CREATE TABLE blobs (
  digest TEXT PRIMARY KEY,
  size_bytes BIGINT NOT NULL,
  created_ms BIGINT NOT NULL
);

-- Who may read a blob. Content is stored once; knowing a digest gives no access.
CREATE TABLE blob_holders (
  digest TEXT NOT NULL,
  organisation TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  PRIMARY KEY (digest, organisation)
);

CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  organisation TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  name TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  received_bytes BIGINT NOT NULL,
  state TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL
);
CREATE INDEX uploads_by_expiry ON uploads (state, expires_ms);

-- Digests of catalogue sources that an administrator confirmed at their first fetch.
CREATE TABLE confirmed_sources (
  model TEXT PRIMARY KEY,
  sha256 TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  confirmed_ms BIGINT NOT NULL
);

CREATE TABLE models (
  organisation TEXT NOT NULL,
  id TEXT NOT NULL,
  document TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  PRIMARY KEY (organisation, id)
);

-- The truth about the farm: queued -> leased -> succeeded | failed | cancelled.
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  organisation TEXT NOT NULL,
  build_key TEXT NOT NULL,
  state TEXT NOT NULL,
  priority BIGINT NOT NULL,
  ready BIGINT NOT NULL,
  model TEXT NOT NULL,
  default_shapes BIGINT NOT NULL,
  onnx TEXT NOT NULL,
  target TEXT NOT NULL,
  build_precision TEXT NOT NULL,
  shapes TEXT NOT NULL,
  metadata TEXT NOT NULL,
  licence TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  lease_token TEXT NOT NULL,
  agent TEXT NOT NULL,
  lease_expires_ms BIGINT NOT NULL,
  stage TEXT NOT NULL,
  stage_done BIGINT NOT NULL,
  stage_total BIGINT NOT NULL,
  engine TEXT NOT NULL,
  engine_bytes BIGINT NOT NULL,
  report TEXT NOT NULL,
  error TEXT NOT NULL,
  last_event BIGINT NOT NULL,
  log_lines BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  started_ms BIGINT NOT NULL,
  finished_ms BIGINT NOT NULL
);
-- Identical builds in flight within an organisation are one job.
CREATE UNIQUE INDEX jobs_in_flight ON jobs (organisation, build_key) WHERE state IN ('queued', 'leased');
CREATE INDEX jobs_by_key ON jobs (organisation, build_key, state);
CREATE INDEX jobs_by_state ON jobs (state, ready, created_ms);
CREATE INDEX jobs_by_model ON jobs (model, state);

-- Who waits for a job.
CREATE TABLE builds (
  id TEXT PRIMARY KEY,
  job TEXT NOT NULL,
  organisation TEXT NOT NULL,
  requester TEXT NOT NULL,
  name TEXT NOT NULL,
  cached BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  cancelled_ms BIGINT NOT NULL
);
CREATE INDEX builds_by_job ON builds (job);
CREATE INDEX builds_by_organisation ON builds (organisation, created_ms);

CREATE TABLE events (
  job TEXT NOT NULL,
  id BIGINT NOT NULL,
  kind TEXT NOT NULL,
  time_ms BIGINT NOT NULL,
  body TEXT NOT NULL,
  stage TEXT NOT NULL,
  stage_done BIGINT NOT NULL,
  stage_total BIGINT NOT NULL,
  PRIMARY KEY (job, id)
);
