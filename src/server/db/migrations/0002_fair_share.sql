-- Fair shares and quotas of organisations; requests for several targets at once.
ALTER TABLE organisations ADD COLUMN running_quota BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organisations ADD COLUMN used_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organisations ADD COLUMN used_at_ms BIGINT NOT NULL DEFAULT 0;
-- When the attempt that runs began; started_ms is the first one's.
ALTER TABLE jobs ADD COLUMN leased_ms BIGINT NOT NULL DEFAULT 0;
CREATE INDEX jobs_next ON jobs (organisation, state, priority, created_ms);
-- The matrix that a build belongs to; empty for a request of its own.
ALTER TABLE builds ADD COLUMN matrix TEXT NOT NULL DEFAULT '';
CREATE INDEX builds_by_matrix ON builds (matrix);
