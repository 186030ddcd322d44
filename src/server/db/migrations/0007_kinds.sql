-- Kinds of jobs that agents do, with a space around each; what a job has beside model, target and shapes (JSON of api::JobOptions).
ALTER TABLE agents ADD COLUMN kinds TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN options TEXT NOT NULL DEFAULT '';
