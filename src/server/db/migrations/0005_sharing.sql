-- Compiled kernels that agents share within an organisation, by what they were compiled from: pieces of bundles.
CREATE TABLE kernels (
  organisation TEXT NOT NULL,
  name TEXT NOT NULL,
  bundle TEXT NOT NULL,
  offset_bytes BIGINT NOT NULL,
  size_bytes BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  used_ms BIGINT NOT NULL,
  PRIMARY KEY (organisation, name)
);
CREATE INDEX kernels_by_bundle ON kernels (bundle);
CREATE INDEX kernels_by_use ON kernels (used_ms);

-- Tuning records: what an organisation has for a target now, and each content that a job was made with.
CREATE TABLE tuning (
  organisation TEXT NOT NULL,
  target TEXT NOT NULL,
  records TEXT NOT NULL,
  PRIMARY KEY (organisation, target)
);
CREATE TABLE tuning_contents (
  digest TEXT PRIMARY KEY,
  records TEXT NOT NULL,
  created_ms BIGINT NOT NULL
);
ALTER TABLE jobs ADD COLUMN tuning TEXT NOT NULL DEFAULT '';

-- Agents as they were last seen; targets with a space around each.
CREATE TABLE agents (
  name TEXT PRIMARY KEY,
  targets TEXT NOT NULL,
  seen_ms BIGINT NOT NULL
);
-- Agents that have failed at a job that has not ended.
CREATE TABLE job_failures (
  job TEXT NOT NULL,
  agent TEXT NOT NULL,
  PRIMARY KEY (job, agent)
);
CREATE INDEX job_failures_by_agent ON job_failures (agent);
-- For estimates: the last builds for a target.
CREATE INDEX jobs_by_target ON jobs (target, state, finished_ms);
