-- When an object was last put or asked for by somebody about to refer to it, and when the collector condemned it (0: not).
ALTER TABLE blobs ADD COLUMN touched_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE blobs ADD COLUMN condemned_ms BIGINT NOT NULL DEFAULT 0;

-- Parts of uploads are objects of the store, so that any hub can take the next part.
DELETE FROM uploads WHERE state = 'open';
CREATE TABLE upload_parts (
  upload TEXT NOT NULL,
  offset_bytes BIGINT NOT NULL,
  size_bytes BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (upload, offset_bytes)
);
CREATE INDEX upload_parts_by_object ON upload_parts (sha256);
CREATE INDEX jobs_by_onnx ON jobs (onnx);
CREATE INDEX jobs_by_engine ON jobs (engine);

-- What was announced to the queue: the number of the job's last event then, and when.
ALTER TABLE jobs ADD COLUMN announced_event BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN announced_ms BIGINT NOT NULL DEFAULT 0;
