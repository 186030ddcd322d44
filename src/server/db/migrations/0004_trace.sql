-- The traceparent of the request that made a job: its agent carries it on.
ALTER TABLE jobs ADD COLUMN trace TEXT NOT NULL DEFAULT '';
