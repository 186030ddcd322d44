-- Devices that agents run engines on (JSON of api::DeviceList).
ALTER TABLE agents ADD COLUMN devices TEXT NOT NULL DEFAULT '';
-- What an agent is to do: build, or verify the engine of the job `subject` on a device.
ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'build';
ALTER TABLE jobs ADD COLUMN subject TEXT NOT NULL DEFAULT '';
